"""How models think: lengths in tokens, scores by length, and chains of a run's kept rollouts, early and late."""

import json
import math

import pytest

from vsr_kit.bridging import chain_quality, describe, reason
from vsr_kit.bridging.quality import Quality
from vsr_kit.data import make_rows, split_rooms
from vsr_kit.files import append_lines
from vsr_kit.models.loading import load_model
from vsr_kit.paths import data_samples
from vsr_kit.prompts import target_completion
from vsr_kit.recipes import variant, vision_r1
from vsr_kit.recipes.ptst import in_words, stages
from vsr_kit.runs import RunFolder
from vsr_kit.study import (
    Study,
    answers_path,
    chains_by_step,
    questions_path,
    right_by_length,
    thinking_of,
    token_counts,
)
from vsr_kit.study.conditions import write_lines

ROOMS = {split: {room.name: room for room in split_rooms(3, split)} for split in ("train", "test")}


def chained(split, right=True):
    """Rows about three rooms, with the chain that the rule reasoner writes about the room; or about another room."""
    rows = make_rows(list(ROOMS[split].values()), "vsi-100k", 0, types=vision_r1.PLACES_TYPES)
    others = list(ROOMS[split].values())
    found = []
    for row in rows:
        room = ROOMS[split][row["scene_name"]]
        told = reason(row, describe(room if right else others[(others.index(room) + 1) % 3]))
        if told is not None:
            found.append((row, target_completion("think", "train", told.chain, told.answer)))
    return found


@pytest.fixture
def study(tmp_path):
    """A study of one run of vr1-long: chains about the room first, chains about other rooms later."""
    folder, run = tmp_path, "vr1-long-seed1"
    asked = chained("test")
    write_lines(questions_path(vision_r1.WORDS_SET, folder), [row for row, _ in asked])
    (condition,) = variant("vr1-long").conditions(1)
    lines = [{"id": row["id"], "said": [text], "cut": [i == 0]} for i, (row, text) in enumerate(asked)]
    write_lines(answers_path(condition, folder), lines)
    kept = RunFolder.create(run, variant("vr1-long").profile, seed=1, root=folder / "made")
    for step, right in ((1, True), (120, False)):
        own = [{"step": step, **row, "completion": text} for row, text in chained("train", right)]
        kept.rollouts([{key: value for key, value in row.items() if key != "objects"} for row in own])
    append_lines(kept.path / "metrics.jsonl", [{"step": 120}])
    kept.path.rename(folder / run)
    return Study(folder)


def test_a_variants_answers_are_measured(study):
    found = thinking_of(study, "vr1-long")
    (rows,) = study.answers_of("vr1-long")
    tokenizer = load_model("mini-cold-start", quiet=True).processor.tokenizer
    counts = [len(tokenizer(row["prediction"])["input_ids"]) for row in rows]
    assert token_counts([row["prediction"] for row in rows], "vr1-long") == counts
    assert found.tokens == pytest.approx(sum(counts) / len(counts)) and found.runs == 1
    assert found.cut_percent == pytest.approx(100 / len(rows)) and found.words == 0
    assert found.score.mean > 80 and found.quality == chain_quality(rows, ROOMS["test"])
    assert found.quality.places_percent == found.quality.steps_percent == 100


def test_a_studys_rollouts_are_checked_in_parts_of_training(study):
    found = chains_by_step(study, "vr1-long", {"early": (1, 5), "late": (116, 120), "never": (30, 40)})
    assert found["early"].places_percent == found["early"].follows_percent == 100 and found["early"].texts > 10
    assert found["late"].places_percent < 60 and found["late"].steps_percent == 100  # another room, right sums
    assert found["never"].texts == 0 and math.isnan(found["never"].places_percent)


def test_what_a_closest_object_is_chosen_from_is_read_from_the_question_where_a_row_does_not_list_it():
    rows = [row | {"prediction": text} for row, text in chained("train") if row["question_type"].endswith("distance")]
    bare = [{key: value for key, value in row.items() if key != "objects"} for row in rows]
    kinds = [row["question_type"] for row in rows]
    assert kinds.count("object_rel_distance") > 2
    assert chain_quality(bare, ROOMS["train"]) == chain_quality(rows, ROOMS["train"])
    assert chain_quality(rows, ROOMS["train"]).concluded == len(rows)


def test_answers_are_sorted_into_bins_by_their_tokens():
    rows = [
        {"question_type": "object_counting", "ground_truth": "2", "options": None, "scene_name": "a", "dataset": "d"}
        | {"question": "How many?", "prediction": text, "id": i}
        for i, text in enumerate("2239")
    ]
    found = right_by_length(rows, [1, 136, 137, 500], [136, 272])
    assert found["up to 136"] == (2, 100.0) and list(found) == ["up to 136", "137 to 272", "above 272"]
    assert found["137 to 272"][0] == 1 and found["137 to 272"][1] < 100 and found["above 272"] == (1, 0.0)
    assert math.isnan(right_by_length(rows, [1] * 4, [136])["above 136"][1])
    with pytest.raises(ValueError, match="shorter"):
        right_by_length(rows, [1, 2], [136])
    for edges in ([], [200, 100], [0, 5], [5, 5]):
        with pytest.raises(ValueError, match="each above the one before it"):
            right_by_length(rows, [1] * 4, edges)


def test_shares_are_all_that_a_table_shows():
    made = Quality(9, 90.0, 8, 80.0, 0.5, 7, 70.0, 6, 60.0, 5, 50.0)
    assert list(made.shares.values()) == [80.0, 0.5, 70.0, 60.0, 50.0]


def test_a_schedule_is_told_in_words():
    assert in_words(stages(16, 8)) == "16 × 136, then 8 × 272"


def test_shipped_rollouts_can_be_checked():
    there = Study().runs("vr1-full")
    assert there and json.loads((data_samples("reference_runs") / there[0] / "config.json").read_text())["seed"] == 1
    found = chains_by_step(Study(), "vr1-full", {"first five steps": (1, 5)})["first five steps"]
    assert found.texts == len(there) * 5 * 4 * 16 and found.read_percent > 90
