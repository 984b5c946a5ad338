"""Pairs for DPO: a rejected answer is wrong, could be right elsewhere, and hangs on nothing but seed and row."""

import pytest

from vsr_kit.generation import Generation
from vsr_kit.prompts import target_completion
from vsr_kit.training import supervised_trainers
from vsr_kit.training.supervised_trainers import corrupted_pairs, rollout_pairs
from vsr_kit.training.video_mixin import training_rows

DIRECTION = "If I am standing by the bed and facing the sofa, is the lamp to my left, right, or back?"


def row(i, kind, truth, question="How many chair(s)in the room?", options=None) -> dict:
    own = {"id": f"q{i}", "dataset": "made", "scene_name": f"room-{i % 2}", "question_type": kind}
    return own | {"question": question, "options": options, "ground_truth": truth}


def counts(*truths) -> list[dict]:
    return [row(i, "object_counting", truth) for i, truth in enumerate(truths)]


def by_id(data, column="rejected") -> dict[str, str]:
    return dict(zip(data["id"], data[column], strict=True))


def test_a_wrong_number_is_another_rows_and_never_the_truth_in_other_digits():
    sizes = [row(i, "object_size_estimation", truth) for i, truth in enumerate(["200", "150"], 100)]
    rows = counts("3", "3.0", "4", "5") + sizes
    for seed in range(8):
        wrong = by_id(corrupted_pairs(rows, seed=seed))
        assert {wrong["q0"], wrong["q1"]} <= {"4", "5"}
        assert wrong["q2"] in {"3", "3.0", "5"} and wrong["q3"] in {"3", "3.0", "4"}
        assert (wrong["q100"], wrong["q101"]) == ("150", "200")


@pytest.mark.parametrize("mode", ["vanilla", "think"])
def test_both_answers_have_the_modes_shape_and_rows_keep_what_they_had(mode):
    rows = counts("3", "4")
    data = corrupted_pairs(rows, mode)
    assert data["chosen"] == [target_completion(mode, "train", "", truth) for truth in ("3", "4")]
    assert data["rejected"] == [target_completion(mode, "train", "", truth) for truth in ("4", "3")]
    assert data.remove_columns(["chosen", "rejected"])[:] == training_rows(rows, mode)[:]


def test_words_come_from_the_questions_own():
    easy = "Is the lamp to the left or the right of the sofa?"
    rows = [row(i, "object_rel_direction_medium", side, DIRECTION) for i, side in enumerate(["left", "right", "back"])]
    rows += [row(3 + i, "object_rel_direction_easy", side, easy) for i, side in enumerate(["left", "right"])]
    near = [("sofa", "sofa, cabinet"), ("cabinet", "sofa, cabinet"), ("bin", "washer, bin"), ("washer", "washer, bin")]
    rows += [
        row(5 + i, "object_rel_distance", thing, f"Which of these objects ({offered})is the closest to the dishwasher?")
        for i, (thing, offered) in enumerate(near)
    ]
    for seed in range(8):
        wrong = by_id(corrupted_pairs(rows, seed=seed))
        assert wrong["q0"] in {"right", "back"} and wrong["q2"] in {"left", "right"}
        assert (wrong["q3"], wrong["q4"]) == ("right", "left")
        # neither "bin", an answer elsewhere that "cabinet" contains, nor "washer", which the asked-about object does
        assert [wrong[f"q{i}"] for i in (5, 6, 7, 8)] == ["cabinet", "sofa", "washer", "bin"]


def test_where_a_question_offers_no_words_it_takes_another_rows_answer():
    asked = "What is closest to the bed?"
    rows = [row(i, "object_rel_distance", thing, asked) for i, thing in enumerate(["bin", "rug"])]
    assert corrupted_pairs(rows)["rejected"] == ["rug", "bin"]


def test_letters_come_from_the_options():
    options = ["A. bed", "B. sofa", "C. lamp"]
    rows = [row(0, "object_rel_distance", "B", "Which is closest?", options)]  # a row by itself has enough of them
    rows += [row(1, "object_rel_distance", "A", "Which is closest?", options[:2])]
    drawn = {tuple(corrupted_pairs(rows, seed=seed)["rejected"]) for seed in range(20)}
    assert drawn == {("A", "B"), ("C", "B")}


def test_the_seed_and_the_row_decide():
    rows = counts(*map(str, range(2, 22)))
    first = by_id(corrupted_pairs(rows, seed=1))
    assert by_id(corrupted_pairs(rows, seed=1)) == first
    assert by_id(corrupted_pairs(rows, seed=2)) != first
    options = ["A. bed", "B. sofa", "C. lamp", "D. rug"]
    lettered = [row(i, "object_rel_distance", "B", "Which is closest?", options) for i in range(100, 112)]
    drawn = by_id(corrupted_pairs(lettered, seed=1))
    assert len(set(drawn.values())) == 3
    assert by_id(corrupted_pairs(lettered[::-1] + rows, seed=1)).items() >= drawn.items()
    assert by_id(corrupted_pairs(lettered[3:5], seed=1)) == {k: drawn[k] for k in ("q103", "q104")}


def test_a_number_may_name_a_row():
    rows = [r | {"id": i} for i, r in enumerate(counts("3", "4"))]  # VSI-Bench's ids
    assert corrupted_pairs(rows)["rejected"] == ["4", "3"]


@pytest.mark.parametrize(
    "rows, named",
    [
        (counts("3", "3.0"), "object_counting"),
        ([*counts("3", "4"), row(9, "object_rel_distance", "bin", "What is closest to the bed?")], "rel_distance"),
    ],
)
def test_a_type_without_a_second_answer_is_an_error(rows, named):
    with pytest.raises(ValueError, match=f"every answer of type '.*{named}' is .*give more rows"):
        corrupted_pairs(rows)


# -- from the base's own answers ---------------------------------------------------------------------------------------


@pytest.fixture
def says(monkeypatch):
    """says(groups) makes the base answer so; a text that ends in … was cut. Returns what generate was given."""
    given = []

    def stub(groups):
        def generate(*args, **how):
            given.append((*args, *how.values()))
            return [[Generation(text.rstrip("…"), 2, text.endswith("…")) for text in group] for group in groups]

        monkeypatch.setattr("vsr_kit.generation.generate", generate)
        return given

    return stub


def test_the_best_paid_is_chosen_and_the_worst_paid_rejected(says):
    rows = counts("4", "4", "4", "4", "4")
    given = says(
        [
            ["5", "4", "7", "none"],
            ["9", "5", "9", "9"],  # the best need not be right
            ["9", "9 chairs", "9", "9"],  # all earn the same
            ["4…", "5", "9", "no…"],  # what was cut counts neither as best nor as worst
            ["4…", "5…", "9…", "no…"],
        ]
    )
    data = rollout_pairs("a model", rows, {"room-0": 1}, "vanilla", "paper", 16, 7)
    assert list(zip(data["id"], data["chosen"], data["rejected"], strict=True)) == [
        ("q0", "4", "none"),
        ("q1", "5", "9"),
        ("q3", "5", "9"),
    ]
    assert given == [("a model", rows, {"room-0": 1}, "vanilla", "train", 16, 1.0, supervised_trainers.SAMPLES, 7)]
    assert data["prompt"] == training_rows([rows[i] for i in (0, 1, 3)], "vanilla")["prompt"]


def test_the_reward_for_numbers_decides_what_is_best(says):
    says([["6", "x"], ["6", "5"]])
    assert rollout_pairs(None, counts("4", "4"), {}, numeric="paper")["id"] == ["q0", "q1"]
    with pytest.raises(ValueError):
        rollout_pairs(None, counts("4", "4"), {}, numeric="exact")


def test_no_pair_at_all_is_an_error(says):
    says([["4", "4"], ["9…", "4…"]])
    with pytest.raises(ValueError, match=r"all 8 answers to each of 2 questions earn the same: there is no pair"):
        rollout_pairs(None, counts("4", "4"), {})
