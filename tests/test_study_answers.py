"""Results: a small study folder with known answers gives the tables and verdicts that its numbers call for."""

import json
import os

import pytest

from vsr_kit import claims, recipes
from vsr_kit import study as results
from vsr_kit.claims.recipe import SAMPLES, SEEDS, Condition
from vsr_kit.evaluation import score
from vsr_kit.files import Damaged, append_lines
from vsr_kit.recipes import variant
from vsr_kit.study import answers_path, questions_path, write_lines
from vsr_kit.study.answers import condition_answers, scored
from vsr_kit.study.comparisons import clip_gaps, side_by_side

ROOMS, PER_ROOM = 12, 4  # 48 counting questions


def rows(phrasing):
    return [
        {
            "id": f"{phrasing}/{room}/{i}",
            "dataset": "procedural",
            "scene_name": f"room-{room}",
            "question_type": "object_counting",
            "question": f"How many chair(s) are in room {room}?",
            "options": None,
            "ground_truth": str(2 + (room + i) % 3),
            "phrasing": phrasing,
        }
        for room in range(ROOMS)
        for i in range(PER_ROOM)
    ]


def say(folder, condition, right, text="9", cut=False):
    """Write answers of which every row with `right(index)` is the truth and all others are `text`."""
    asked = rows(condition.questions.removeprefix("test-"))
    lines = []
    for i, row in enumerate(asked):
        truth = f"The answer is {row['ground_truth']}." if condition.mode != "vanilla" else row["ground_truth"]
        said = [truth if right(i + draw) else text for draw in range(max(1, condition.samples))]
        lines.append({"id": row["id"], "said": said, "cut": [cut and s == text for s in said]})
    write_lines(answers_path(condition, folder), lines)


def every(n):
    return lambda i: i % n == 0


def scattered(i):
    """As many as every fourth, but in other rooms."""
    return i * 7 % 16 < 4


NOT_HERE = [known.name for known in recipes.CLAIMS if known.scale]
ALWAYS, FOURTH = every(1), every(4)


def write_study(folder, think=FOURTH, trained=ALWAYS, trained_wrong=FOURTH):
    """Base: a quarter right with its own clip, an eighth with another; `think` and the trained runs as told."""
    for phrasing in ("vsi-bench", "vsi-100k"):
        write_lines(questions_path(f"test-{phrasing}", folder), rows(phrasing))
        write_lines(questions_path(f"train-{phrasing}", folder), rows(phrasing))
        say(folder, Condition(f"test-{phrasing}"), every(4))
        say(folder, Condition(f"test-{phrasing}", clip="wrong"), every(8))
    say(folder, Condition("test-vsi-bench", clip="none"), every(16))
    say(folder, Condition("test-vsi-bench", mode="think"), think, "I see a bed", cut=True)
    say(folder, Condition("test-vsi-bench", mode="observe"), every(4), "I see a bed")
    for mode in results.MODES:
        say(folder, Condition("test-vsi-bench", mode=mode, samples=SAMPLES), every(4))
    for seed in SEEDS:
        for condition in variant("grpo-vanilla").conditions(seed):
            if questions_path(condition.questions, folder).exists():
                say(folder, condition, trained_wrong if condition.clip == "wrong" else trained)
    return folder


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path)


def test_scores_are_those_of_the_answers(study):
    table = results.cot_table(study)
    assert list(table) == ["think", "observe", "vanilla"]
    assert {mode: band["overall"].mean for mode, band in table.items()} == {m: pytest.approx(25) for m in table}
    assert "trained" not in table["think"]  # nothing else was asked: it would repeat `overall`
    official = results.cot_table(study, "official")
    assert official["think"]["overall"].mean == 0
    assert official["vanilla"]["overall"].mean == pytest.approx(25)


def test_sampled_scores_are_the_mean_over_draws(study):
    one = results.cot_table(study, sampled=True)["vanilla"]["overall"]
    assert (one.mean, one.n) == (pytest.approx(25), ROOMS * PER_ROOM)


def test_what_became_of_the_answers_is_counted_apart(study):
    said = results.mode_answers(study)
    assert results.answer_shares(said["think"]) == {"right": 12, "partly": 0, "wrong": 0, "unparsed": 0, "cut": 36}
    assert results.answer_shares(said["observe"]) == {"right": 12, "partly": 0, "wrong": 0, "unparsed": 36, "cut": 0}
    assert results.answer_shares(said["vanilla"]) == {"right": 12, "partly": 0, "wrong": 36, "unparsed": 0, "cut": 0}
    assert results.truncated_percent(said["think"]) == 75


def test_a_table_is_made_once_and_never_of_what_a_file_held_before(study):
    asked = Condition("test-vsi-bench")
    answers, questions = answers_path(asked, study), questions_path(asked.questions, study)
    once = scored(asked, study)
    assert once == score(condition_answers(asked, study), "lenient")
    assert scored(asked, study) is once
    then = os.stat(answers)
    say(study, asked, ALWAYS)
    os.utime(answers, ns=(then.st_atime_ns, then.st_mtime_ns))  # its time tells nothing
    assert scored(asked, study).overall == 1
    write_lines(questions, [{**row, "ground_truth": "9"} for row in rows("vsi-bench")])
    assert scored(asked, study).overall == 0
    questions.write_bytes(questions.read_bytes()[:-9])
    for _ in range(2):
        with pytest.raises(Damaged, match="test-vsi-bench"):
            scored(asked, study)


def test_whoever_reads_answers_has_rows_of_their_own(study):
    kept = [{**row, "options": ["A. chair", "B. bed"]} for row in rows("vsi-bench")]
    write_lines(questions_path("test-vsi-bench", study), kept)
    one, other = (condition_answers(Condition("test-vsi-bench"), study) for _ in range(2))
    one[0]["options"].clear()
    assert (
        other[0]["options"]
        == condition_answers(Condition("test-vsi-bench"), study)[0]["options"]
        == ["A. chair", "B. bed"]
    )


def test_the_lines_to_beat(study):
    lines = {name: band["overall"].mean for name, band in results.lines_to_beat(study).items()}
    assert lines["no_video"] == pytest.approx(100 / 16)
    assert lines["wrong_clip"] == pytest.approx(100 / 8)
    assert 100 / 3 <= lines["frequent"] < 100  # one of three numbers is exact, its neighbours are near
    answers_path(Condition("test-vsi-bench", clip="none"), study).unlink()
    assert "no_video" not in results.lines_to_beat(study)


def test_training_answers_are_the_studys_or_else_geometrys(study, monkeypatch):
    monkeypatch.setattr("vsr_kit.study.answers.TRAIN_ROOMS", 10)
    assert {row["dataset"] for row in results.training_answers("vsi-bench", study)} == {"procedural"}
    assert len(results.training_answers("vsi-bench", study)) == ROOMS * PER_ROOM
    questions_path("train-vsi-bench", study).unlink()
    made = results.training_answers("vsi-bench", study)
    assert {row["phrasing"] for row in made} == {"vsi-bench"}
    assert {row["scene_name"] for row in made} == {f"train-0-{i:05d}" for i in range(10)}


def test_best_of_k_beside_draws_that_never_look(study):
    modes, blind = results.tries_table(study, ks=(1, 8))
    assert modes["think"][1][0] == pytest.approx(25)
    assert modes["think"][8][0] == 100  # every question is answered rightly in two of eight draws
    (drawn,) = blind.values()
    assert drawn[1][0] < drawn[8][0] <= 100


def test_before_and_after_over_seeds(study):
    found = results.grpo_table(study)
    assert found.runs == tuple(f"grpo-vanilla-seed{seed}" for seed in SEEDS)
    assert (found.before["overall"].mean, found.after["overall"].mean) == (pytest.approx(25), 100)
    assert found.change["overall"].mean == pytest.approx(75)
    assert found.gap_before["overall"].mean == pytest.approx(12.5)
    assert found.gap_after["overall"].mean == pytest.approx(75)
    assert found.gap_growth["overall"].mean == pytest.approx(62.5)
    assert found.after["overall"].seeds == (len(SEEDS),) == (5,)


def test_runs_that_are_not_there_are_not_counted(study):
    for path in (study / "answers").glob("*grpo-vanilla-seed2*"):
        path.unlink()
    assert results.trained_runs(study) == tuple(f"grpo-vanilla-seed{seed}" for seed in (1, 3, 4, 5))
    for path in (study / "answers").glob("*grpo*"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match="holds no answers of grpo-vanilla; vsr reproduce makes them"):
        results.grpo_table(study)
    assert list(results.verdicts(study)) == ["cot-prompts-do-not-help", *NOT_HERE]


@pytest.mark.parametrize(
    "think, trained, trained_wrong, wanted",
    [
        (every(4), every(1), every(4), [claims.REPRODUCED, claims.REPRODUCED, claims.REPRODUCED]),
        (every(1), every(16), every(16), [claims.NOT_REPRODUCED, claims.NOT_REPRODUCED, claims.NOT_REPRODUCED]),
        (every(16), every(1), every(1), [claims.REPRODUCED, claims.REPRODUCED, claims.NOT_REPRODUCED]),
        (every(4), scattered, every(8), [claims.REPRODUCED, claims.UNDECIDED, claims.UNDECIDED]),
    ],
)
def test_verdicts_follow_from_the_answers(tmp_path, think, trained, trained_wrong, wanted):
    study = write_study(tmp_path, think, trained, trained_wrong)
    found = results.verdicts(study)
    assert [found[name].verdict for name in ("cot-prompts-do-not-help", "grpo-lifts", "grpo-teaches-looking")] == wanted
    assert {found[name].verdict for name in NOT_HERE} == {claims.NOT_TESTABLE}


def test_a_folder_may_be_named_by_text(study):
    assert results.verdict("grpo-lifts", str(study)) == results.verdict("grpo-lifts", study)
    assert results.tries_table(str(study), ks=(1,)) == results.tries_table(study, ks=(1,))


def test_a_verdict_is_told_with_its_interval(study):
    said = str(results.verdict("grpo-lifts", study))
    assert said.startswith("grpo minus base: +75.0 points (")
    assert "48 questions, 12 procedural rooms, 5 seeds)\ngrpo-lifts: REPRODUCED on the miniature" in said
    assert said.endswith(", 12 procedural rooms, 5 seeds; asked was whether it gains at all, not by how much")
    with pytest.raises(ValueError, match="no claim is called 'nonsense'"):
        results.verdict("nonsense", study)


def test_a_claim_is_shown_with_its_rule_in_lines_of_a_page():
    text = results.claim_text("grpo-lifts")
    assert max(map(len, text.splitlines())) <= 100
    known, words = recipes.claim("grpo-lifts"), " ".join(text.split())
    assert all(part in words for part in (known.says, known.source, known.measured, known.rule, known.caveat))


def test_answers_stand_side_by_side(study):
    pairs = results.answer_pairs(study, per_type=2)
    assert [row["label"] for row in pairs] == ["base", "grpo-vanilla-seed1"] * 2
    assert pairs[0]["id"] == pairs[1]["id"] != pairs[2]["id"]
    assert [row["rewards"]["accuracy_reward"] for row in pairs] == [1.0, 1.0, 0.0, 1.0]
    assert results.answer_pairs(study, types=("object_rel_distance",)) == []


def test_a_variant_looks_where_another_rooms_clip_costs_it_more_than_the_base(study):
    assert list(clip_gaps(["grpo-vanilla", "sft"], study)) == ["grpo-vanilla"]  # there is no sft
    gap, growth = clip_gaps(["grpo-vanilla"], study)["grpo-vanilla"]
    table = results.grpo_table(study)
    assert gap["overall"] == table.gap_after["overall"]
    assert growth["overall"] == table.gap_growth["overall"]
    for seed in SEEDS:
        say(study, Condition("test-vsi-bench", f"dpo-corrupted-seed{seed}"), every(2))
        for clip in ("own", "wrong"):
            say(study, Condition("test-vsi-bench", f"sft-seed{seed}", clip=clip), every(2))
    assert clip_gaps(["dpo-corrupted"], study) == {}  # the study asks it with its own clips alone
    gap, growth = clip_gaps(["sft"], study)["sft"]
    assert (gap["overall"].mean, growth["overall"].mean) == (0.0, pytest.approx(-12.5))


def test_variants_stand_beside_the_base_on_the_same_questions(study):
    for clip in ("own", "wrong"):
        say(study, Condition("test-vsi-bench", "sft-seed2", clip=clip), every(2))
    shown = side_by_side(["grpo-vanilla", "sft", "dpo-corrupted"], study, ("object_counting",), per_type=2)
    assert [row["label"] for row in shown] == ["base", "grpo-vanilla", "sft"] * 2
    assert [row["id"] for row in shown] == ["vsi-bench/0/0"] * 3 + ["vsi-bench/0/1"] * 3
    assert [row["rewards"]["accuracy_reward"] for row in shown] == [1, 1, 1, 0, 1, 0]
    assert side_by_side(["sft"], study, ("room_size_estimation",)) == []


def test_curves_and_groups_of_a_run(study):
    for seed in SEEDS:
        run = study / f"grpo-vanilla-seed{seed}"
        run.mkdir()
        (run / "config.json").write_text(json.dumps({"name": run.name, "seed": seed, "started": "", "config": {}}))
        append_lines(run / "metrics.jsonl", [{"attempt": 1, "step": step, "reward": seed} for step in (1, 2)])
    kind = {"question_type": "object_counting", "attempt": 1}
    sampled = [{"row": i, "step": 1 + i // 4, "id": f"q{i // 2}", **kind} for i in range(8)]
    append_lines(study / "grpo-vanilla-seed1" / "rollouts.jsonl", sampled)
    assert [[row["reward"] for row in log] for log in results.run_curves(study)] == [[s, s] for s in SEEDS]
    assert [[row["row"] for row in g] for g in results.first_and_last_groups(study)] == [[0, 1], [6, 7]]
    kept, *others = results.rollouts(study)
    assert [(row["row"], row["run"]) for row in kept] == [(i, "grpo-vanilla-seed1") for i in range(8)]
    assert others == [[]] * (len(SEEDS) - 1) and results.rollouts(study, "sft") == []


def test_provenance_names_what_made_the_answers(study):
    """A kill after its entry leaves answers to be made again, and a second entry: the last one counts."""
    entry = {
        "name": "a",
        "token_cap": 96,
        "git": {"commit": "0123456789abcdef"},
        "base": {"sha256": "fedcba9876543210"},
    }
    killed = {**entry, "git": {"commit": "another"}}
    lines = [killed, entry, {**entry, "name": "b", "git": None}, {"run": "another kind of entry"}]
    append_lines(study / "manifest.jsonl", lines)
    said = results.provenance(study)
    assert said == "2 conditions; token cap 96, commit 0123456789 and unknown, SHA-256 of the base fedcba9876"


def test_the_papers_rows_and_their_averages():
    columns = {name: [v for task, v in row.items() if task != "overall"] for name, row in results.PAPER_2B.items()}
    means = {name: round(sum(values) / len(values), 1) for name, values in columns.items()}
    assert means["think"] == 20.7 != results.PAPER_2B["think"]["overall"]
    assert means["most frequent answer"] == 35.5 > results.PAPER_2B["vsGRPO-V"]["overall"]
