"""CrossThink: a question's two forms, what no rule can check, a reward that is a product, and the recipe's file."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from vsr_kit import recipes
from vsr_kit.claims.recipe import BENCH_SET, WORDS_SET
from vsr_kit.cli import app
from vsr_kit.data import check_row, make_rows, split_rooms
from vsr_kit.data.forms import (
    LEAST_RATIO,
    NOT_OFFERED,
    NOT_READ,
    TOO_LONG,
    as_choice,
    as_letters,
    as_open,
    blend,
    drop_unchecked,
    numbers_offered,
    offered,
    unchecked,
)
from vsr_kit.evaluation import even_guess, score
from vsr_kit.questions import HELD_OUT_TYPES, NUMERIC_TYPES, STUDY_RULES, TRAINED_TYPES
from vsr_kit.recipes import crossthink
from vsr_kit.rewards import accuracy_reward, paper_numeric
from vsr_kit.rewards.in_form import both_or_nothing, in_form, product_reward
from vsr_kit.runs import RunFolder
from vsr_kit.study.question_sets import make_set
from vsr_kit.videos import film

COUNT = {
    "id": "c", "dataset": "d", "scene_name": "s", "question_type": "object_counting",
    "question": "How many chair(s)in the room? Which of these (8, 3, 1, 20)?", "options": None, "ground_truth": "3",
    "phrasing": "vsi-100k", "objects": ["chair"],
}  # fmt: skip
NEAREST = COUNT | {
    "id": "n", "question_type": "object_rel_distance", "objects": ["bed", "sofa", "lamp"],
    "question": "Which of these objects (sofa, lamp)is the closest to the bed?", "options": ["A. lamp", "B. sofa"],
    "ground_truth": "B", "phrasing": "vsi-bench",
}  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    return make_rows(split_rooms(40, "val"), "vsi-100k", 0, types=TRAINED_TYPES, max_per_type=2, rules=STUDY_RULES)


# ------------------------------------------------------------------------------------------------------- two forms


def test_a_choice_is_the_same_question_and_open_again_it_is_the_same_row(rows):
    choices = as_choice(rows)
    assert len(rows) > 300 and [row["id"] for row in choices] == [row["id"] for row in rows]
    assert all(row["ground_truth"] in offered(row) and len(offered(row)) in (2, 4) for row in choices)
    assert as_open(choices) == rows and as_choice(choices) == choices and as_open(rows) == rows
    assert all(check_row(row, "") for row in choices)
    words = [row for row in rows if row["question_type"] not in NUMERIC_TYPES]
    assert as_choice(words) == as_letters(words)  # the shipped group labels-letters trained on these
    told = score([{**row, "prediction": row["ground_truth"]} for row in choices], "lenient").percent()
    assert set(told.values()) == {100.0}


def test_offered_numbers_are_a_factor_apart_and_a_wrong_one_earns_nothing(rows):
    numbers = [row for row in as_choice(rows) if row["question_type"] in NUMERIC_TYPES]
    for row in numbers:
        own = sorted(map(float, numbers_offered(row)))
        assert len(own) == 4 and own[0] > 0 and min(np.divide(own[1:], own[:-1])) >= LEAST_RATIO - 1e-9
        truth = float(row["ground_truth"])
        assert [paper_numeric(number, truth) for number in own if number != truth] == [0.0] * 3
        digits = {len(number.partition(".")[2]) for number in numbers_offered(row)}
        assert digits == {len(row["ground_truth"].partition(".")[2])}  # precision tells nothing


def test_neither_rank_nor_place_tells_the_truth_where_all_ranks_are_open(rows):
    sizes = [row for row in as_choice(rows) if row["question_type"] == "object_size_estimation"]
    among = [numbers_offered(row) for row in sizes if int(row["ground_truth"]) > 2.6**3 * 2]
    truths = [row["ground_truth"] for row in sizes if int(row["ground_truth"]) > 2.6**3 * 2]
    ranks = np.bincount([sorted(own, key=int).index(t) for own, t in zip(among, truths, strict=True)], minlength=4)
    places = np.bincount([own.index(t) for own, t in zip(among, truths, strict=True)], minlength=4)
    assert min(ranks) > len(among) / 10 and min(places) > len(among) / 10
    assert sum(own == tuple(sorted(own, key=int)) for own in among) < len(among) / 5  # by chance one in 24


def test_what_is_drawn_depends_on_seed_and_id_alone(rows):
    choices = as_choice(rows)
    assert as_choice(rows[::-1])[::-1] == choices and as_choice(rows[5:]) == choices[5:]
    assert as_choice(rows, seed=1) != choices
    before = json.dumps(rows)
    blend(rows, 0.5)
    assert json.dumps(rows) == before


def test_a_larger_share_only_adds_choices(rows):
    chosen = [{r["id"] for r in blend(rows, share) if r not in rows} for share in (0, 0.25, 0.5, 1)]
    assert chosen[0] == set() and chosen[0] < chosen[1] < chosen[2] < chosen[3] and len(chosen[3]) == len(rows)
    assert 0.4 < len(chosen[2]) / len(rows) < 0.6
    assert blend(rows, 1) == as_choice(rows) and blend(rows, 0) == rows
    with pytest.raises(ValueError, match="share is 1.5: it is a share of the rows, give 0 to 1"):
        blend(rows, 1.5)


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_no_row_is_dropped_whatever_the_share(rows, share):
    """The arm of open questions takes the study's set as it is, the two others a set without what cannot be checked."""
    kept, dropped = drop_unchecked(blend(rows, share))
    assert len(kept) == len(rows) and not dropped


# ------------------------------------------------------------------------------------------- what cannot be checked


def test_a_row_says_why_it_cannot_be_checked():
    assert unchecked(COUNT) is unchecked(NEAREST) is None
    assert unchecked(COUNT | {"ground_truth": "4"}) == unchecked(NEAREST | {"ground_truth": "C"}) == NOT_OFFERED
    (opened,) = as_open([NEAREST])
    assert (opened["ground_truth"], opened["options"]) == ("sofa", None) and unchecked(opened) is None
    assert unchecked(opened | {"ground_truth": "the sofa " * 6}) == TOO_LONG
    assert unchecked(opened | {"ground_truth": "piano"}) == NOT_READ
    kept, dropped = drop_unchecked([COUNT, opened | {"ground_truth": "piano"}, COUNT | {"ground_truth": "4"}])
    assert (kept, dropped) == ([COUNT], {NOT_READ: 1, NOT_OFFERED: 1})
    with pytest.raises(ValueError, match="'C' is none of its options .*: leave it out by drop_unchecked"):
        as_open([NEAREST | {"ground_truth": "C"}])


def test_without_options_routes_and_orders_cannot_be_checked_and_nothing_else_is_dropped():
    rooms = split_rooms(30, "val")
    clips = {room.name: film(room, clear=False) for room in rooms}
    rows = make_rows(rooms, types=(*TRAINED_TYPES, *HELD_OUT_TYPES), clips=clips, max_per_type=2, rules=STUDY_RULES)
    kept, dropped = drop_unchecked(as_open(rows))
    lost = [row for row in rows if row["question_type"] in HELD_OUT_TYPES]
    assert dropped == {NOT_READ: len(lost)} and len(lost) > 20 and len(kept) + len(lost) == len(rows)
    assert drop_unchecked(rows) == (rows, {})


# ------------------------------------------------------------------------------------------------- the reward


@pytest.mark.parametrize(
    "text, mode, row, paid",
    [
        ("3", "vanilla", COUNT, 1.0),
        ("The answer is 3", "vanilla", COUNT, 0.0),  # right, and not in form
        ("8", "vanilla", COUNT, 0.0),  # in form, and not right
        ("4", "vanilla", COUNT, 0.0),  # near, and not offered
        ("4", "vanilla", as_open([COUNT])[0], 2 / 3),  # near, where anything may be said
        ("B", "vanilla", NEAREST, 1.0),
        ("B", "think", NEAREST, 0.0),  # right, without tags
        ("<think>near the sofa</think> <answer>B</answer>", "think", NEAREST, 1.0),
        ("<think>near the lamp</think> <answer>A</answer>", "think", NEAREST, 0.0),  # the sum would pay 1 of 2
        ("", "vanilla", NEAREST, 0.0),
    ],
)
def test_accuracy_and_format_are_worth_nothing_without_each_other(text, mode, row, paid):
    assert both_or_nothing(text, row, mode) == pytest.approx(paid)
    columns = {name: [value] for name, value in row.items()}
    assert product_reward(mode)([text], **columns) == [pytest.approx(paid)]
    assert not paid or in_form(text, row, mode)


def test_the_truth_of_every_row_earns_all_in_either_form(rows):
    for row in (*rows, *as_choice(rows)):
        assert both_or_nothing(row["ground_truth"], row) == accuracy_reward(row["ground_truth"], row) == 1.0
    assert product_reward("think").__name__ == "accuracy_and_format"
    with pytest.raises(ValueError, match="unknown mode 'Think'"):
        product_reward("Think")


# ------------------------------------------------------------------------------------------------- the recipe


def test_a_guess_is_the_mean_over_what_is_offered():
    train = [as_open([COUNT])[0] | {"ground_truth": truth} for truth in ("3", "3", "6")]
    assert even_guess(train, [COUNT, NEAREST]).tasks == {"object_counting": 0.25, "object_rel_distance": 0.5}
    opened = even_guess(train, as_open([COUNT, NEAREST])).tasks
    assert opened == {"object_counting": pytest.approx(2 / 3), "object_rel_distance": 0.5}


def test_the_arms_differ_in_their_questions_alone_and_take_equal_tokens():
    arms = {variant.name: variant for variant in crossthink.VARIANTS}
    assert list(arms) == ["crossthink-open", "crossthink-half", "crossthink-choice"]
    assert [variant.questions for variant in arms.values()] == ["train-vsi-100k", "train-half-choices", "train-choices"]
    assert {variant.seeds for variant in arms.values()} == {(1, 2, 3)} and crossthink.BETA == 1e-3
    first, *others = arms.values()
    steps = {variant.profile.steps for variant in arms.values()}
    assert max(steps) <= 160 and min(steps) >= 156
    for other in others:
        same = {"questions": first.questions, "name": first.name, "changes": first.changes}
        assert replace(other, **same) == first
    assert {BENCH_SET, WORDS_SET, "test-choices"} == {asked[0] for asked in first.asked}
    assert first.trained_by.stages[0].rewards == {"accuracy_reward": 0.0}
    assert {system for claim in crossthink.CLAIMS for system in claim.needs} == set(arms)


@pytest.mark.slow
def test_its_questions_are_the_studys():
    made = crossthink.blended("some", "val", 0.5, rooms=6)
    study = [row for row in make_set("val-vsi-100k").rows if row["scene_name"] in made.clips]
    assert made.rows == blend(study, 0.5) and len(made.clips) == 6
    assert drop_unchecked(study)[1] == drop_unchecked(as_choice(study))[1] == {}


@pytest.mark.slow
def test_it_trains_on_any_rooms_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["train", "--recipe", "crossthink", "--steps", "2", "--rooms", "2", "--name", "ct"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (found,) = tmp_path.rglob("*-grpo/config.json")
    run = RunFolder.open(found.parent)
    assert len(run.read_metrics()) >= 2 and "rewards/accuracy_and_format/mean" in run.read_metrics()[0]
    paid = run.read_metrics()[0]
    assert paid["reward"] == pytest.approx(paid["rewards/accuracy_and_format/mean"], abs=1e-6)
    assert recipes.trainable("crossthink") is crossthink.RECIPE
