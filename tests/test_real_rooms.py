"""Real rooms: rows of a set that was asked stand beside our own, and a verdict never goes without them."""

import json

import pytest
from typer.testing import CliRunner

from tests.test_study_answers import PER_ROOM, ROOMS, every, write_study
from tests.test_study_answers import rows as procedural
from vsr_kit import recipes
from vsr_kit import study as results
from vsr_kit.claims.recipe import BENCH_SET, SEEDS, Condition
from vsr_kit.cli import app
from vsr_kit.study import answers_path, pairs_path, questions_path, read_lines, write_lines
from vsr_kit.study.labels import DistancePair, write_pairs
from vsr_kit.study.real_rooms import (
    ELSEWHERE,
    REAL_SETS,
    ceilings,
    elsewhere,
    gain_travels,
    real_rooms,
    real_rooms_summary,
    travels,
    untaught_percent,
)

ARKITSCENES, SCANNETPP = REAL_SETS


def real(name):
    """Counting questions about rooms of a data set; every fourth names a thing that was never taught."""
    dataset = name.partition("-")[0]
    objects = [["door"] if i % 4 == 0 else ["chair"] for i in range(ROOMS * PER_ROOM)]
    return [
        {**row, "dataset": dataset, "objects": names}
        for row, names in zip(procedural("vsi-bench"), objects, strict=True)
    ]


def say(folder, condition, right):
    asked = real(condition.questions)
    said = [row["ground_truth"] if right(i) else "99" for i, row in enumerate(asked)]
    lines = [{"id": row["id"], "said": [text], "cut": [False]} for row, text in zip(asked, said, strict=True)]
    write_lines(answers_path(condition, folder), lines)


@pytest.fixture
def study(tmp_path):
    """On procedural rooms training brings 75 points, on ARKitScenes' 25, and on ScanNet++'s it loses 25."""
    folder = write_study(tmp_path)
    path = questions_path(BENCH_SET, folder)
    write_lines(path, [row | {"objects": ["chair"]} for row in read_lines(path)])
    for name, before, after in ((ARKITSCENES, every(4), every(2)), (SCANNETPP, every(2), every(4))):
        write_lines(questions_path(name, folder), real(name))
        for clip in ("own", "wrong"):
            say(folder, Condition(name, clip=clip), before if clip == "own" else every(8))
            for seed in SEEDS:
                right = after if clip == "own" else every(8)
                say(folder, Condition(name, f"grpo-vanilla-seed{seed}", clip=clip), right)
    return folder


def test_sets_of_rooms_stand_side_by_side_ours_first(study):
    found = real_rooms(study)
    assert list(found) == [BENCH_SET, ARKITSCENES, SCANNETPP]
    change = {name: one.table.change["overall"].mean for name, one in found.items()}
    assert change == {BENCH_SET: pytest.approx(75), ARKITSCENES: pytest.approx(25), SCANNETPP: pytest.approx(-25)}
    assert found[SCANNETPP].rooms == "12 ScanNet++ rooms" and found[BENCH_SET].rooms == "12 procedural rooms"
    assert found[SCANNETPP].untaught == {"overall": 25.0, "object_counting": 25.0}
    assert found[BENCH_SET].untaught["overall"] == 0
    gaps = found[ARKITSCENES].table
    assert (gaps.gap_before["overall"].mean, gaps.gap_growth["overall"].mean) == (12.5, pytest.approx(25))


def test_an_oracles_constant_is_chosen_on_the_set_itself(study):
    path = questions_path("train-vsi-bench", study)
    write_lines(path, [row | {"ground_truth": "40"} for row in read_lines(path)])
    constants = real_rooms(study)[SCANNETPP].constants
    assert constants["training"]["overall"].mean == 0 < 30 < constants["oracle"]["overall"].mean


def test_only_runs_that_were_asked_everything_count(study):
    answers_path(Condition(SCANNETPP, "grpo-vanilla-seed4", clip="wrong"), study).unlink()
    found = real_rooms(study)
    assert [len(one.table.runs) for one in found.values()] == [5, 5, 4]
    assert "grpo-vanilla-seed4" not in found[SCANNETPP].table.runs
    assert [line[-7:] for line in elsewhere(recipes.claim("grpo-lifts"), study)] == ["5 seeds", "4 seeds"]
    for path in (study / "answers").glob("*benchmark--grpo*"):
        path.unlink()
    assert list(real_rooms(study)) == [BENCH_SET]
    assert (
        elsewhere(recipes.claim("grpo-lifts"), study) == elsewhere(recipes.claim("grpo-teaches-looking"), study) == []
    )


def test_what_names_a_thing_never_taught_is_counted_by_task():
    rows = [
        {"question_type": "object_rel_direction_easy", "objects": ["chair", "door", "bed"]},
        {"question_type": "object_rel_direction_hard", "objects": ["chair", "sofa", "bed"]},
        {"question_type": "room_size_estimation", "objects": []},
    ]
    wanted = {"overall": 100 / 3, "object_rel_direction": 50, "room_size_estimation": 0}
    assert untaught_percent(rows) == pytest.approx(wanted)


def test_the_summary_has_a_row_for_each_set(study):
    lines = real_rooms_summary(study).split("\n")
    assert len(lines) == 2 + 3
    assert all(line.count("|") == lines[0].count("|") for line in lines)
    cells = [cell.strip() for cell in lines[4].strip("|").split("|")]
    assert cells[:5] == ["12 ScanNet++ rooms", "48", "50.0", "25.0", "5"] and cells[5].startswith("-25.0 (")
    assert "; Student's -" in cells[5] and cells[-1] == "25 %"


def test_what_was_found_is_told_as_it_came_out(study):
    ark, scan, third = travels(study)
    assert ark.startswith("On 12 ARKitScenes rooms the miniature after GRPO gains: +25.0 (")
    assert scan.startswith("On 12 ScanNet++ rooms the miniature after GRPO loses: -25.0 (") and "25 % name a" in scan
    assert "looks more than before (own minus another's clip +25.0" in ark and "does not look more" in scan
    assert "88 other real rooms" in third and "-6.9 points (95 % -9.4 to -4.3)" in third
    assert not gain_travels(study)
    for path in (study / "answers").glob("scannetpp*"):
        path.unlink()
    assert travels(study)[1] == "scannetpp-benchmark: not asked yet."


def test_a_verdict_is_told_with_what_was_found_elsewhere(study):
    found = results.verdict("grpo-lifts", study)
    assert found.verdict == "reproduced" and len(found.elsewhere) == 2
    lines = str(found).split("\n")
    assert lines[2].startswith("elsewhere, no part of the rule: on 12 ScanNet++ rooms: -25.0 (")
    (row,) = [line for line in results.ledger(study).split("\n") if "`grpo-lifts`" in line]
    assert "elsewhere, no part of the rule: on 12 ARKitScenes rooms: +25.0 (" in row
    told = json.loads(CliRunner().invoke(app, ["claims", "--study", str(study), "--json"]).output)
    assert told["grpo-lifts"]["elsewhere"] == list(found.elsewhere)
    assert told["grpo-beats-sft"]["elsewhere"] == []
    looking = results.verdict("grpo-teaches-looking", study).elsewhere
    assert [line.split(" (")[0] for line in looking] == [
        "on 12 ARKitScenes rooms: +25.0",
        "on 12 ScanNet++ rooms: -25.0",
    ]


def test_the_ceiling_of_another_geometry_stands_beside_the_first(study):
    path = pairs_path(study)
    path.parent.mkdir()
    write_pairs(path, [DistancePair(f"room-{i}", "bed", "lamp", 1.0, 2.0) for i in range(5)])
    assert elsewhere(recipes.claim("centre-labels-cap-distance"), study) == []
    write_pairs(pairs_path(study, "scannetpp"), [DistancePair(f"room-{i}", "bed", "lamp", 2.0, 2.0) for i in range(4)])
    assert {name: band.mean for name, band in ceilings(study).items()} == {"arkitscenes": 0, "scannetpp": 100}
    (line,) = results.verdict("centre-labels-cap-distance", study).elsewhere
    assert line == "on 4 ScanNet++ rooms: 100.0 % (100.0 to 100.0; 4 pairs)"


def test_what_was_measured_elsewhere_is_a_loss_with_its_interval():
    assert ELSEWHERE["low"] < ELSEWHERE["gain"] < ELSEWHERE["high"] < 0
