"""Which chains are kept, rule by rule."""

import pytest

from vsr_kit.bridging import RULES, Written, faults
from vsr_kit.bridging.filters import chain_of, concluded, stage_fault

ROW = {"id": 1, "dataset": "made", "scene_name": "a", "options": None}
DISTANCE = {**ROW, "question_type": "object_abs_distance", "question": "How far …?", "ground_truth": "3.2"} | {
    "objects": ["tv", "sofa"]
}
COUNT = {**ROW, "question_type": "object_counting", "question": "How many chair(s)?", "ground_truth": "4"} | {
    "objects": ["chair"]
}
SIZE = {**ROW, "question_type": "object_size_estimation", "question": "How long?", "ground_truth": "120"} | {
    "objects": ["tv"]
}
CHOICE = {**ROW, "question_type": "object_rel_distance", "question": "Which is closest?", "ground_truth": "B"} | {
    "options": ["A. tv", "B. sofa", "C. bed"],
    "objects": ["chair", "tv", "sofa", "bed"],
}
WORD = {**ROW, "question_type": "object_rel_direction_hard", "question": "Where?", "ground_truth": "front-left"} | {
    "objects": ["tv", "sofa", "bed"]
}
STEP = (
    "tv west 1.0, tv north 1.0. sofa east 2.0, sofa south 0.1. from tv to sofa: tv west 1.0 to sofa east 2.0 is east "
    "3.0, tv north 1.0 to sofa south 0.1 is south 1.1, distance 3.2."
)


def made(chain, answer):
    return f"<think>{chain}</think> <answer>{answer}</answer>"


KEPT = [
    (DISTANCE, made(STEP, "3.2")),
    (DISTANCE, made(STEP.replace("3.2.", "3.0."), "3.0")),  # within a tenth
    (DISTANCE, made("Two metres and then 1.2 m, so 2 + 1.2 = 3.2 m", "3.2")),
    (DISTANCE, made("The tv is 3.16 m away.", "3.2")),
    (DISTANCE, made("I guess 5 m. Wait, that is too much: 3.2 m.", "3.2")),
    (DISTANCE, made("The answer is 3.2, since the room is 5 m long.", "3.2")),
    (DISTANCE, "<think>\nThe gap is 3.2 m.\n</think>\n\nThe distance is **3.2** meters."),
    (DISTANCE, "The gap is 3.2 m.</think>The answer is 3.2."),
    (DISTANCE, made("tv west 1.0, tv north 1.0. sofa east 2.0, sofa south 0.1.", "3.2")),  # places alone
    (SIZE, made("The tv is 1.2 by 0.5 by 0.4 meters.", "120")),
    (COUNT, made("One by the door, three at the table. That makes four chairs.", "4")),
    (COUNT, made("Wait, I do not see the fourth at once; there are 4.", "4")),
    (CHOICE, made("The bed is far. The sofa is nearest.", "B")),
    (WORD, made("The bed lies in front and to the left, so front-left.", "front left")),
]


@pytest.mark.parametrize("row, text", KEPT, ids=range(len(KEPT)))
def test_chains_that_are_kept(row, text):
    assert faults(row, Written(text)) == {}


DROPPED = [
    (DISTANCE, Written("", "refused", "too many frames"), ["refused"]),
    (DISTANCE, Written(made(STEP, "3.2"), "length"), ["truncated"]),
    (DISTANCE, "<think>The gap is 3.2 m", ["truncated"]),
    (DISTANCE, made("The gap is 3.2 m.<|im_end|>", "3.2"), ["control text"]),
    (DISTANCE, made("The gap\x1b[2J is 3.2 m.", "3.2"), ["control text"]),
    (DISTANCE, made("", "3.2"), ["no chain"]),
    (DISTANCE, "<answer>3.2</answer>", ["no chain"]),
    (DISTANCE, made("The gap is 3.2 m.", "3.2") + " <answer>3.2</answer>", ["several answers"]),
    (DISTANCE, made("The gap is 3.2 m.", "3.2</answer><think>no</think><answer>3.2"), ["several answers"]),
    (DISTANCE, made("<answer>3.2</answer>", "3.2"), ["several answers"]),
    (DISTANCE, made("The gap is 3.2 m.", "3.2 or 4"), ["unread"]),
    (DISTANCE, made("The gap is 3.2 m.", "far"), ["unread"]),
    (DISTANCE, "<think>The gap is 3.2 m.</think>", ["unread"]),
    (DISTANCE, made("The gap is 3.6 m.", "3.6"), ["wrong answer"]),
    (COUNT, made("There are 5.", "5"), ["wrong answer"]),
    (CHOICE, made("The tv is nearest.", "A"), ["wrong answer"]),
    (WORD, made("It is front-right.", "front-right"), ["wrong answer"]),
    (DISTANCE, made(STEP.replace("3.2.", "4.0."), "3.2"), ["other conclusion"]),
    (DISTANCE, made("The gap is 3.2 m. No, 4 m.", "3.2"), ["other conclusion"]),
    (DISTANCE, made("The answer is 4.", "3.2"), ["other conclusion"]),
    (DISTANCE, made("It is hard to tell.", "3.2"), ["other conclusion"]),
    (CHOICE, made("The sofa is far, the tv is nearest.", "B"), ["other conclusion"]),
    (SIZE, made("The tv is 1.5 by 0.5 by 0.4 meters.", "120"), ["other conclusion"]),
    (DISTANCE, made("I cannot see the video, but the gap is 3.2 m.", "3.2"), ["denies seeing"]),
    (DISTANCE, made("I can’t view any images. Say 3.2 m.", "3.2"), ["denies seeing"]),
    (DISTANCE, made("No video was provided. Say 3.2 m.", "3.2"), ["denies seeing"]),
    (DISTANCE, made("Without seeing the clip, I say 3.2 m.", "3.2"), ["denies seeing"]),
    (DISTANCE, made("As an AI I guess 3.2 m.", "3.2"), ["denies seeing"]),
    (DISTANCE, made("According to the description the gap is 3.2 m.", "3.2"), ["mentions the description"]),
    (DISTANCE, made("As described, the gap is 3.2 m.", "3.2"), ["mentions the description"]),
    (DISTANCE, made("The text says 3.2 m.", "3.2"), ["mentions the description"]),
    (
        DISTANCE,
        made("I cannot see the image. The text says 5 m.", "4"),
        ["wrong answer", "other conclusion", "denies seeing", "mentions the description"],
    ),
]


@pytest.mark.parametrize("row, said, names", DROPPED, ids=[f"{i}-{case[2][0]}" for i, case in enumerate(DROPPED)])
def test_chains_that_are_dropped_and_why(row, said, names):
    found = faults(row, said if isinstance(said, Written) else Written(said))
    assert list(found) == names and all(found.values())


def test_every_rule_drops_something_alone():
    assert {names[0] for *_, names in DROPPED if len(names) == 1} == {rule.name for rule in RULES}


def test_the_tolerance_is_a_share_of_the_truth():
    text = Written(made("The gap is 3.6 m.", "3.6"))
    assert faults(DISTANCE, text, tolerance=0.13) == {}
    assert list(faults(DISTANCE, Written(made("The gap is 3.3 m.", "3.3")), tolerance=0.0)) == ["wrong answer"]


def test_a_chain_is_what_stands_before_the_answer_however_it_is_tagged():
    for text in (
        "<think>so</think> <answer>1</answer>",
        "so\n</think>\n1",
        "so <answer>1</answer>",
        "so The answer is 1",
    ):
        assert chain_of(text) == "so"
    assert chain_of("<think> tv west 1.0.</think> <answer>1</answer>") == " tv west 1.0.", "spaces are the chain's own"


def test_what_a_chain_comes_to():
    assert concluded(STEP, DISTANCE) == "3.2"
    assert concluded("The bed is far. The sofa is nearest.", CHOICE) == "B"
    assert concluded("Nothing.", DISTANCE) is None


@pytest.mark.parametrize(
    "written, name",
    [
        (Written("a room"), None),
        (Written(" \n"), "empty"),
        (Written("a ro", "length"), "truncated"),
        (Written("a room <|im_start|>system"), "control text"),
        (Written("", "refused", "no"), "refused"),
    ],
)
def test_nothing_is_built_on_a_text_that_cannot_be_used(written, name):
    found = stage_fault(written)
    assert (found and found[0]) == name
