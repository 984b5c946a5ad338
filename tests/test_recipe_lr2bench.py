"""LR²Bench's recipe: puzzles with one solution, four measures of an answer, and what exact and partial credit pay."""

import json
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from vsr_kit import recipes
from vsr_kit.cli import app
from vsr_kit.data import make_rows, split_rooms
from vsr_kit.data.checking import check_row
from vsr_kit.evaluation import score
from vsr_kit.evaluation.puzzle_scores import PUZZLE_MEASURES, puzzle_scores, puzzle_table
from vsr_kit.questions import PUZZLE_TYPES, TRAINED_TYPES, make_questions, named_types, solutions
from vsr_kit.questions.puzzles import Clue, clues_about, draw_clues, numbered
from vsr_kit.recipes import lr2bench
from vsr_kit.rewards import accuracy_reward, orders
from vsr_kit.rewards.orders import places_filled, places_right, read_order

PUZZLE = PUZZLE_TYPES[0]


def row(truth="213", at=0, **more):
    question = (
        "The bed is left of the sofa. What is the order of the sofa (1), the bed (2) and the desk (3) from left to "
        "right, as one number?"
    )
    fields = {"id": f"r/{at}", "dataset": "procedural", "scene_name": f"r{at % 20}", "question_type": PUZZLE}
    return fields | {"question": question, "options": None, "ground_truth": truth, "phrasing": "vsi-bench"} | more


@pytest.fixture(scope="module")
def puzzles():
    return make_rows(split_rooms(30, "val"), types=PUZZLE_TYPES)


def test_solutions_are_all_orders_that_meet_the_clues():
    bed, sofa, desk = "bed", "sofa", "desk"
    said = {clue.text: clue for clue in clues_about([bed, desk, sofa])}
    left, end = said["The bed is left of the sofa."], said["The desk is at the right end."]
    middle, apart = said["The bed is not at an end."], said["The bed is not next to the sofa."]
    assert solutions([bed, desk, sofa], [left, end]) == [(bed, sofa, desk)]
    assert solutions([bed, desk, sofa], [left]) == [(bed, desk, sofa), (bed, sofa, desk), (desk, bed, sofa)]
    assert set(solutions([bed, desk, sofa], [middle])) == {(desk, bed, sofa), (sofa, bed, desk)}
    assert set(solutions([bed, desk, sofa], [apart])) == {(bed, desk, sofa), (sofa, desk, bed)}
    assert solutions([bed, desk, sofa], [middle, apart]) == []
    with pytest.raises(ValueError, match="give 2 to 7 different ones"):
        solutions([bed, bed], [])


@pytest.mark.parametrize("pieces", [3, 4, 5])
def test_drawn_clues_leave_one_order_and_none_of_them_is_needless(pieces):
    rng = np.random.default_rng(pieces)
    for _ in range(40):
        order = tuple(rng.permutation(["bed", "sofa", "desk", "lamp", "tv"][:pieces]).tolist())
        clues = draw_clues(order, rng)
        assert solutions(sorted(order), clues) == [order]
        for clue in clues:
            assert len(solutions(sorted(order), [other for other in clues if other is not clue])) > 1


def test_a_rooms_puzzles_state_rules_that_only_their_answer_meets(puzzles):
    assert len(puzzles) > 40 and {r["question_type"] for r in puzzles} == {PUZZLE}
    for own in puzzles:
        known = {clue.text: clue for clue in clues_about(sorted(own["objects"]))}
        rules = own["question"].partition(" What is the order")[0].replace(". The", ".|The").replace(". N", ".|N")
        stated: list[Clue] = [known[text] for text in rules.split("|")]
        (order,) = solutions(own["objects"], stated)
        assert own["ground_truth"] == numbered(own["objects"], order)
        assert check_row(own, "here") == own
    assert len({own["ground_truth"] for own in puzzles}) == 6


def test_puzzles_are_asked_where_they_are_named_and_change_no_other_draw():
    room = split_rooms(1, "val")[0]
    assert PUZZLE not in {q.question_type for q in make_questions(room)}
    assert PUZZLE not in {q.question_type for q in make_questions(room, "vsi-100k")}
    assert named_types(["puzzles"]) == PUZZLE_TYPES and PUZZLE not in TRAINED_TYPES


@pytest.mark.parametrize(
    "text, read, filled, right",
    [
        ("213", "213", 3, 3),
        ("The answer is 213.", "213", 3, 3),
        ("<think>2, 3, 1?</think> <answer>2, 1, 3</answer>", "213", 3, 3),
        ("2-1-3", "213", 3, 3),
        ("231", "231", 3, 1),
        ("21", "21", 2, 2),
        ("145", "145", 1, 0),
        ("111", "111", 3, 1),
        ("2134", None, 0, 0),  # more numbers than places: no answer
        ("213213", None, 0, 0),
        ("2.13", None, 0, 0),
        ("The order is 2, 1, 3.", "213", 3, 3),
        ("2 1 3.", "213", 3, 3),
        ("From left to right: 2, 1, 3.", "213", 3, 3),
        ("2, 1, and 3", "213", 3, 3),
        ("2, 1, 3, 4.", None, 0, 0),  # more numbers than places, spaced or not
        ("From left to right: 2, 1, 3, 4.", None, 0, 0),
        ("2, 1, 34.", None, 0, 0),  # no row of single digits
        ("2, 1, 3.5", None, 0, 0),
        ("2", "2", 1, 1),
        ("sofa, bed", None, 0, 0),
        ("", None, 0, 0),
    ],
)
def test_an_answer_is_read_place_by_place(text, read, filled, right):
    assert read_order(text, row()) == read
    assert places_filled(text, row()) == pytest.approx(filled / 3)
    assert places_right(text, row()) == pytest.approx(right / 3)


def test_white_space_is_collapsed_before_a_row_is_looked_for(monkeypatch):
    """The pattern never sees a long gap: over one, a search takes the square of its length."""
    seen, pattern = [], orders._APART
    monkeypatch.setattr(
        orders, "_APART", SimpleNamespace(findall=lambda text: seen.append(text) or pattern.findall(text))
    )
    assert read_order(f"<answer>2, 1,{' ' * 20_000}3</answer>", row()) == "213"
    assert read_order("<answer>1" + " \n" * 10_000 + "x</answer>", row()) is None
    assert seen == ["2, 1, 3", "1 x"]


def test_exact_match_pays_for_all_places_and_graded_rewards_for_each():
    paid = {text: accuracy_reward(text, row(), "paper") for text in ("213", "231", "21", "145", "132")}
    assert paid == pytest.approx({"213": 1, "231": 1 / 3, "21": 2 / 3, "145": 0, "132": 0})
    assert [accuracy_reward(text, row(), "exact") for text in ("213", "231", "21")] == [1, 0, 0]
    assert accuracy_reward("213", row(), "mra") == 1 and accuracy_reward("212", row(), "mra") == pytest.approx(2 / 3)


def test_the_four_measures_by_hand():
    said = ["213", "21", "231", "145", "none"]  # right: 3, 2, 1, 0, 0; filled: 3, 2, 3, 1, 0 of 3
    rows = [row(at=i, prediction=text) for i, text in enumerate(said)]
    means = {name: float(puzzle_table(rows, name).values.mean()) for name in PUZZLE_MEASURES}
    assert means == pytest.approx(
        {"completion": 9 / 15, "subtask_accuracy": 6 / 15, "exact_match": 1 / 5, "pm_0.5": 2 / 5}
    )
    for harness in ("official", "lmms-eval", "lenient"):
        assert score(rows, harness).tasks == {PUZZLE: pytest.approx(6 / 15)}
    assert score(rows).overall is None and score(rows, "lenient").parse_rate == pytest.approx(4 / 5)
    found = puzzle_scores([rows, rows])
    assert found["exact_match"].mean == pytest.approx(20) and found["exact_match"].rooms == 5
    assert puzzle_table(score(rows, "lenient"), "exact_match").values.tolist() == [1, 0, 0, 0, 0]
    with pytest.raises(ValueError, match="completion is read from texts"):
        puzzle_table(score(rows, "lenient"), "completion")
    with pytest.raises(ValueError, match="object_counting"):
        puzzle_table([row(prediction="3", question_type="object_counting", ground_truth="3")], "exact_match")


def evidence(exact, partial):
    """A study whose two variants gave these answers, a list for each seed, and logged these shares of equal groups."""
    tables = {
        name: [score([row(at=i, prediction=text) for i, text in enumerate(said * 20)], "lenient") for said in runs]
        for name, runs in (("lr2-exact", exact), ("lr2-partial", partial), ("base", [["145"] * len(exact[0])]))
    }
    logs = {"lr2-exact": [[1.0, 1.0], [1.0, 0.9], [0.95, 1.0]], "lr2-partial": [[0.2, 0.1], [0.2, 0.3], [0.1, 0.2]]}

    def curves(of):
        return [[{"frac_reward_zero_std": share} for share in shares] for shares in logs[of]]

    def sides(after, before, questions):
        assert questions == lr2bench.TEST_SET
        return tuple(tables[of][0] if of == "base" else tables[of] for of in (after, before))

    return SimpleNamespace(sides=sides, curves=curves)


def test_the_claims_compare_exact_matches_and_groups_and_can_fail():
    worse, better = [["231", "145", "213"]] * 3, [["213", "213", "213"]] * 3
    signal, pays = lr2bench.CLAIMS
    found = signal.measure(evidence(worse, better))
    assert found["equal_groups_exact_minus_partial"].mean == pytest.approx(100 * (0.975 - 1.1 / 6))
    assert signal.decide(found) == "reproduced"
    found = pays.measure(evidence(worse, better))
    assert found["exact_match"].mean == pytest.approx(200 / 3)
    assert found["subtask_accuracy"].mean == pytest.approx(100 * (1 - (1 / 3 + 0 + 1) / 3))
    assert found["half_right"].mean == pytest.approx(200 / 3) and found["exact_match_over_base"].mean == 100
    assert pays.decide(found) == "reproduced"
    assert pays.decide(pays.measure(evidence(better, worse))) == "not reproduced"


def test_the_recipe_differs_in_the_reward_alone():
    exact, partial = recipes.variant("lr2-exact"), recipes.variant("lr2-partial")
    assert exact.profile.numeric == "exact" and partial.profile.numeric == "paper"
    assert exact.changes | {"numeric": "paper"} == partial.changes
    assert (exact.questions, exact.asked, exact.seeds) == (partial.questions, partial.asked, (1, 2, 3))
    assert exact.profile.learning_rate == 1e-3 and exact.profile.steps == lr2bench.STEPS
    assert {c.questions for c in lr2bench.BASE} == {"test-puzzles"}
    assert [c.model for c in lr2bench.BASE] == ["base", "mini-cold-start", "mini-cold-start"]


def test_every_order_is_as_good_a_guess_as_another():
    """What the claim's caveat says of guessing: one of six exactly right, a third of the places."""
    rows = [row(at=i, prediction="".join(order)) for i, order in enumerate(permutations("123"))]
    assert puzzle_table(rows, "exact_match").values.mean() == pytest.approx(1 / 6)
    assert puzzle_table(rows, "subtask_accuracy").values.mean() == pytest.approx(1 / 3)


@pytest.mark.slow
def test_puzzles_are_asked_by_command(tmp_path, monkeypatch, tiny_path):
    monkeypatch.chdir(tmp_path)

    def vsr(*words):
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == 0, done.output
        return done.output

    small = ("--rooms", 4, "--frames", 2, "--size", 28, "--types", "puzzles", "--model", tiny_path)
    vsr("eval", *small)
    (evaluated,) = tmp_path.glob("runs/*/predictions.jsonl")
    asked = [json.loads(line) for line in evaluated.read_text().splitlines()]
    assert {own["question_type"] for own in asked} == {PUZZLE}
    assert set(puzzle_scores(asked)) == set(PUZZLE_MEASURES)
