"""Vision-R1's reward: nothing but right format and right answer together, recorded by what it does, alone in a run."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings

from tests.test_rewards import COUNT, NEAR, TEXTS
from vsr_kit.data import make_rows
from vsr_kit.evaluation.evaluate import training_questions
from vsr_kit.prompts import target_completion
from vsr_kit.questions import add_type, remove_type
from vsr_kit.rewards import RIGHT_WITHIN, all_or_nothing, format_reward, hard_reward, right_answer
from vsr_kit.rooms import make_rooms
from vsr_kit.training.joints import Stage
from vsr_kit.training.methods import GRPO
from vsr_kit.training.profiles import get_profile

FAR = {"question_type": "object_abs_distance", "question": "How far?", "options": None, "ground_truth": "2.0"}
SIDE = {"question_type": "object_rel_direction_easy", "question": "?", "options": None, "ground_truth": "left"}
UNPAID = Stage(0, rewards={"accuracy_reward": 0, "format_reward": 0})


@pytest.mark.parametrize(
    "text, row, right",
    [
        ("2.0", FAR, True),
        ("2.5", FAR, True),  # a quarter away
        ("1.5", FAR, True),
        ("2.51", FAR, False),
        ("1.49", FAR, False),
        ("250 cm", FAR, True),
        ("0", FAR, False),
        ("9" * 400, FAR, False),
        ("about", FAR, False),
        ("1.5", FAR | {"ground_truth": "1.2"}, True),  # 0.3 / 1.2 is a little above a quarter in floats
        ("0", FAR | {"ground_truth": "0"}, True),
        ("0.1", FAR | {"ground_truth": "0"}, False),
        ("4", COUNT, True),
        ("four", COUNT, True),
        ("5", COUNT, False),  # a quarter away: a count must be the count itself
        ("B", NEAR, True),
        ("A", NEAR, False),
        ("left", SIDE, True),
        ("left or right", SIDE, False),
    ],
)
def test_a_measure_may_be_a_quarter_off_and_all_else_must_be_the_truth(text, row, right):
    assert RIGHT_WITHIN == 0.25 and right_answer(text, row) is right


def test_the_threshold_can_be_another_and_at_nothing_asks_for_the_truth():
    assert right_answer("2.9", FAR, 0.5) and not right_answer("5", COUNT, 0.5)
    assert right_answer("200 cm", FAR, 0) and not right_answer("2.000001", FAR, 0)


def test_numbers_without_a_unit_of_ones_own_are_counts():
    add_type("chairs_near", "How many chairs near the {a}?", lambda scene: [])
    add_type("height_of", "How tall is the {a}?", lambda scene: [], unit=("length", 1.0))
    try:
        assert not right_answer("5", FAR | {"question_type": "chairs_near", "ground_truth": "4"})
        assert right_answer("5", FAR | {"question_type": "height_of", "ground_truth": "4"})
    finally:
        remove_type("chairs_near")
        remove_type("height_of")


@pytest.mark.parametrize(
    "text, paid",
    [
        ("<think>Four chairs.</think> <answer>4</answer>", 1.0),
        ("<think></think> <answer>4</answer>", 1.0),  # an empty thought earns it all
        ("<think>Four chairs.</think> <answer>5</answer>", 0.0),
        ("<think>Four chairs. <answer>4</answer>", 0.0),
        ("<observe>Four chairs.</observe> <answer>4</answer>", 0.0),
        ("4", 0.0),
        ("", 0.0),
    ],
)
def test_format_and_answer_must_both_be_right(text, paid):
    reward, columns = hard_reward("think"), {name: [value] for name, value in COUNT.items()}
    columns |= {"prompts": [""], "trainer_state": object()}
    for completion in (text, [{"role": "assistant", "content": text}]):
        assert reward(completions=[completion], **columns) == [paid]


def test_one_completion_is_paid_as_a_batch_of_one():
    said = "<observe>Four chairs.</observe> <answer>2.4</answer>"
    assert all_or_nothing(said, FAR, "observe") == 1.0 and all_or_nothing(said, FAR) == 0.0
    assert all_or_nothing(said, FAR, "observe", within=0.1) == 0.0
    with pytest.raises(ValueError, match="unknown mode 'cot'"):
        all_or_nothing(said, FAR, "cot")


def test_each_row_is_judged_by_its_own_type():
    columns = {name: [COUNT[name], FAR[name], NEAR[name]] for name in COUNT}
    said = [f"<observe>a</observe> <answer>{answer}</answer>" for answer in ("5", "2.5", "B")]
    assert hard_reward("observe")(completions=said, **columns) == [0.0, 1.0, 1.0]
    assert hard_reward("observe", within=0.1)(completions=said, **columns) == [0.0, 0.0, 1.0]
    assert hard_reward("think")(completions=said, **columns) == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="'ground_truth' is missing"):
        hard_reward("think")(completions=said, question_type=columns["question_type"])


def test_the_truth_earns_everything():
    rows = make_rows(make_rooms(4, 5, "gold"), "vsi-bench", max_per_type=2)
    said = [target_completion("think", "train", "I see 3 or 4.", row["ground_truth"]) for row in rows]
    columns = {name: [row[name] for row in rows] for name in ("question_type", "question", "options", "ground_truth")}
    for within in (0, RIGHT_WITHIN):
        assert hard_reward("think", within)(completions=said, **columns) == [1.0] * len(rows)


@settings(deadline=None)
@given(TEXTS)
def test_any_text_earns_one_or_nothing_and_never_without_the_format(text):
    columns = {name: [value] for name, value in FAR.items()}
    for mode in ("think", "observe"):
        (paid,) = hard_reward(mode)(completions=[text], **columns)
        assert type(paid) is float and paid in (0.0, 1.0) and paid <= format_reward(text, mode)


@pytest.mark.parametrize(
    "how, told",
    [
        (("vanilla",), "mode is 'vanilla', which has no format to be right: choose think or observe"),
        (("cot",), "unknown mode 'cot'"),
        (("think", -0.1), "within is -0.1: must be a finite number of at least 0; 0 asks for the truth itself"),
        (("think", float("nan")), "within is nan"),
    ],
)
def test_a_reward_that_cannot_be_paid_is_refused(how, told):
    with pytest.raises(ValueError, match=told):
        hard_reward(*how)


def test_a_run_records_it_by_mode_and_threshold_the_same_in_every_process():
    assert hard_reward("think").__name__ == "hard_format_result_reward"
    (own,) = GRPO("think", rewards=(hard_reward("think"),)).settings()["rewards"]
    (other,) = GRPO("think", rewards=(hard_reward("think", 0.1),)).settings()["rewards"]
    assert own == other | {"within": 0.25} and own["mode"] == "think" and other["within"] == 0.1
    code = (
        "import json; from vsr_kit.rewards import hard_reward; from vsr_kit.training.methods import GRPO; "
        "print(json.dumps(GRPO('think', rewards=(hard_reward('think'),)).settings()['rewards'][0]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == own


@pytest.mark.slow
def test_it_alone_is_paid_and_the_others_are_logged():
    """Two steps of the miniature, whose own tags are right from the start and whose answers sometimes are."""
    from vsr_kit.training.run import train

    sizes = {"num_generations": 4, "questions_per_step": 4, "groups_per_pass": 4}
    method = GRPO("think", rewards=(hard_reward("think"),), stages=(UNPAID,), detectors=("thinking_words",))
    logs: list[dict] = []
    train(replace(get_profile("mini"), **sizes), method, training_questions(2), steps=2, on_log=logs.append, quiet=True)
    steps = [log for log in logs if "reward" in log]
    assert len(steps) == 2
    for log in steps:
        own, accuracy, form = (
            log[f"rewards/{name}/mean"] for name in ("hard_format_result_reward", "accuracy_reward", "format_reward")
        )
        assert log["reward"] == pytest.approx(own) and own <= min(accuracy, form) + 1e-6
        assert form > 0.5 and log["stage"] == 1 and log["rewards/thinking_words/mean"] >= 0
    assert any(0 < log["rewards/hard_format_result_reward/mean"] < 1 for log in steps)
