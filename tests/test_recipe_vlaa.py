"""VLAA's recipe: rewards mixed by row, chains that hesitate, runs that differ from their control in SFT alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from vsr_kit import recipes
from vsr_kit.bridging import Style
from vsr_kit.claims import NOT_REPRODUCED, REPRODUCED, UNDECIDED
from vsr_kit.cli import app
from vsr_kit.data import make_rows, split_rooms
from vsr_kit.evaluation import Interval, score
from vsr_kit.recipes import vlaa
from vsr_kit.rewards import COUNTS
from vsr_kit.rewards.hard import all_or_nothing
from vsr_kit.rewards.mixed import KINDS, RULES, answer_kind, box_iou, box_of, mixed_reward, mixed_rule_reward
from vsr_kit.runs import RunFolder
from vsr_kit.study.staleness import settings_of

# -- rewards mixed by row ----------------------------------------------------------------------------------------------


def row_of(kind, truth, options=None, question="?"):
    return {"question_type": kind, "question": question, "options": options, "ground_truth": truth, "objects": []}


COUNT = row_of("object_counting", "4")
SIZE = row_of("object_size_estimation", "100")
LETTER = row_of("object_rel_distance", "B", ["A. bed", "B. tv"])
WORD = row_of("object_rel_direction_easy", "left", question="Is the sofa to the left or the right of the toilet?")
BOX = row_of("object_box", "[10, 10, 20, 20]")


@pytest.mark.parametrize(
    "row, kind, answers",
    [
        (COUNT, "digit", {"4": 1.0, "four": 1.0, "5": 0.0, "4.2": 0.0}),
        (SIZE, "measure", {"100": 1.0, "125 cm": 1.0, "126": 0.0, "1.2 m": 1.0}),
        (LETTER, "letter", {"B": 1.0, "b": 1.0, "A": 0.0}),
        (WORD, "word", {"left": 1.0, "Left.": 1.0, "right": 0.0}),
        (BOX, "box", {"[10, 10, 20, 20]": 1.0, "[10,10,20,15]": 0.5, "[30, 30, 40, 40]": 0.0, "there": 0.0}),
    ],
)
def test_each_row_is_paid_by_its_own_rule(row, kind, answers):
    assert answer_kind(row) == kind and kind in RULES
    for answer, earned in answers.items():
        assert mixed_reward(f"<think>so</think> <answer>{answer}</answer>", row) == pytest.approx(earned), answer


def test_what_stands_in_no_tags_earns_nothing():
    for text in ("4", "The answer is 4.", "<answer>4", "<answer></answer> 4", ""):
        assert mixed_reward(text, COUNT) == 0.0
    assert mixed_reward("<answer>3</answer> no, <answer>4</answer>", COUNT) == 1.0  # the last one counts
    assert mixed_reward("[10, 10, 20, 20] <answer>here</answer>", BOX) == 0.0


def test_boxes_share_what_they_have_in_common():
    assert box_iou((0, 0, 2, 2), (1, 1, 3, 3)) == pytest.approx(1 / 7)  # 1 of 4 + 4 - 1
    assert box_iou((2, 2, 0, 0), (0, 2, 2, 0)) == 1.0  # the same box, corners in another order
    assert box_iou((0, 0, 1, 1), (1, 0, 2, 1)) == 0.0 == box_iou((0, 0, 0, 5), (0, 0, 0, 5))
    assert box_of("from [1, 2, 3] to [1.5, 2, 3, -4]") == (1.5, 2, 3, -4) and box_of([1, 2, 3, 4]) == (1, 2, 3, 4)
    assert box_of("[1, 2, 3]") is None and box_of([1, 2, 3, float("nan")]) is None and box_of("4") is None
    assert box_of("[01, 2, 3, 004.50]") == (1, 2, 3, 4.5) and box_of("[१, २, ३, ४]") is None
    assert mixed_reward("<answer>[010, 10, 20, 20]</answer>", BOX) == 1.0
    assert mixed_reward("<answer>[१०, १०, २०, २०]</answer>", BOX) == 0.0
    assert box_of([1, 2, 3, "4"]) is None and box_of("[" * 50_000) is None


def test_one_function_pays_a_mixed_batch():
    rows = [COUNT, LETTER, BOX, SIZE]
    columns = {name: [row[name] for row in rows] for name in COUNT}
    texts = [f"<answer>{answer}</answer>" for answer in ("4", "A", "[10, 10, 20, 15]", "110")]
    assert mixed_rule_reward(texts, **columns) == [1.0, 0.0, 0.5, 1.0]


def test_rooms_rows_earn_what_the_controls_reward_earns():
    rows = make_rows(split_rooms(3, "train"), "vsi-100k") + make_rows(split_rooms(3, "train"), "vsi-bench")
    assert {answer_kind(row) for row in rows} == set(KINDS) - {"formula", "box"}
    earned = []
    for row, other in zip(rows, reversed(rows), strict=True):
        for answer in (row["ground_truth"], other["ground_truth"], "nothing"):
            text = f"<think>because</think> <answer>{answer}</answer>"
            earned.append(mixed_reward(text, row))
            assert earned[-1] == all_or_nothing(text, row)
    assert {0.0, 1.0} == set(earned)


# -- chains ------------------------------------------------------------------------------------------------------------


def test_verbose_chains_are_right_and_longer_than_terse_ones():
    rows = make_rows(split_rooms(12, "train"), "vsi-100k", max_per_type=2)
    told, terse = ([chains(row) for row in rows] for chains in (vlaa.VerboseChains(), vlaa.VerboseChains(Style())))
    assert None not in told and told == [vlaa.VerboseChains()(row) for row in rows]
    answers = [{**row, "prediction": text} for row, text in zip(rows, told, strict=True)]
    assert score(answers, "lenient").overall > 0.9
    words = [np.mean([COUNTS["thinking_words"](text, "think") for text in texts]) for texts in (told, terse)]
    assert words[0] > 0.3 > words[1] == 0
    assert np.mean([len(text) for text in told]) > 1.2 * np.mean([len(text) for text in terse])
    wrong = {**rows[0], "ground_truth": "400"}
    assert vlaa.VerboseChains()(wrong) is None


# -- the file ----------------------------------------------------------------------------------------------------------


def test_the_arm_differs_from_its_control_in_sft_alone():
    own, control = settings_of(recipes.variant("vlaa-verbose-grpo")), settings_of(recipes.variant("vr1-zero"))
    assert {name for name in own.keys() | control.keys() if own.get(name) != control.get(name)} == {
        "group",
        "starts_from",
    }
    assert own["starts_from"] == "vlaa-verbose" and vlaa.PAPER_SFT_THEN_GRPO == (32.5, 19.8)
    ends = vlaa.CLAIMS[1]
    assert "32.5 falls to 19.8" in ends.says
    # Both hold back the arm that SFT came before, which the claim's rule would take for the paper's finding.
    how = recipes.variant("vlaa-verbose-grpo").trained_by
    assert how.reference == "base" and "the untrained base" in ends.caveat
    assert own["learning_rate"] == control["learning_rate"] == 1e-3 and "a fresh adapter's" in ends.caveat
    variants = {v.name: v for v in vlaa.VARIANTS}
    assert {v.group for v in variants.values()} == {vlaa.RECIPE.name}
    assert variants["vlaa-verbose"].profile.model == "mini"
    assert all(v.seeds == (1, 2, 3) for v in variants.values())


class Told:
    """Evidence of logs and answers made up: SFT begins higher and ends lower."""

    def curves(self, of):
        first, last = (0.6, 0.2) if of == "vlaa-verbose-grpo" else (0.1, 0.5)
        return [[{vlaa.EARNED: own + seed / 100} for own in [first] * 20 + [last] * 20] for seed in (0, 1, 2)]

    def sides(self, after, before, questions=None, **how):
        def run(right):
            rows = [
                {
                    **{"dataset": "procedural", "id": i, "scene_name": f"room {i}", "objects": []},
                    **row_of("room_size_estimation", "20"),
                    "prediction": "20" if i % 10 < right else "400",
                }
                for i in range(80)
            ]
            return score(rows, "lenient")

        right = {"vr1-zero": 8, "vlaa-verbose-grpo": 5, "vlaa-verbose": 6, "base": 2}
        return tuple(run(2) if of == "base" else [run(right[of]) for _ in range(3)] for of in (after, before))


def test_what_each_claim_measures_on_runs_made_up():
    starts, ends = (claim.measure(Told()) for claim in vlaa.CLAIMS)
    assert starts["sft_minus_none_at_first"].mean == pytest.approx(50)
    assert starts["sft_minus_none_at_last"].mean == pytest.approx(-30) and starts["sft_minus_base"].mean == 40
    assert ends["none_minus_sft"].mean == pytest.approx(30)
    assert [claim.decide(found) for claim, found in zip(vlaa.CLAIMS, (starts, ends), strict=True)] == [REPRODUCED] * 2


@pytest.mark.parametrize(
    "claim, name", [(vlaa.CLAIMS[0], "sft_minus_none_at_first"), (vlaa.CLAIMS[1], "none_minus_sft")]
)
def test_every_rule_can_come_out_three_ways(claim, name):
    def finding(low, high):
        return {name: Interval(0.0, -9.0, 9.0, 1, 1, (3, 5), (low, high))}

    ways = [claim.decide(finding(*ends)) for ends in ((1.0, 2.0), (-2.0, -1.0), (-1.0, 1.0))]
    assert ways == [REPRODUCED, NOT_REPRODUCED, UNDECIDED]


@pytest.mark.slow
def test_the_command_trains_both_phases(tmp_path, monkeypatch):
    monkeypatch.setenv("VSR_RUNS", str(tmp_path))
    words = ["train", "--recipe", "vlaa", "--rooms", "2", "--per-room", "1", "--steps", "2"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (config,) = tmp_path.rglob("*-mixed-grpo/config.json")
    assert list(tmp_path.rglob("*-verbose-sft/config.json"))
    rows = [row for row in RunFolder.open(config.parent).read_metrics() if "loss" in row]
    assert len(rows) == 2 and all("rewards/mixed_rule_reward/mean" in row for row in rows)
    assert all(row["reward"] == pytest.approx(row["rewards/mixed_rule_reward/mean"], abs=1e-5) for row in rows)
    assert "mixed_rule_reward" in str(json.loads(config.read_text())["config"]["rewards"])
