"""Results of training with chains: whose answers, in which mode, about which questions; the tasks nobody trained."""

import pytest

from vsr_kit import study as results
from vsr_kit.claims.recipe import BENCH_SET, HELD_OUT_SET, ORDER_SET, Condition
from vsr_kit.evaluation import Interval
from vsr_kit.study import answers_path, questions_path, write_lines
from vsr_kit.study.comparisons import held_out_table, letter_lines, side_by_side

LETTERS = {"route_planning": "ABC", "obj_appearance_order": "ABCD"}


def counts(n=24):
    return [question(i, "object_counting", None, str(2 + i % 3)) for i in range(n)]


def routes(kind, n=24):
    """Every truth is A but each third one B."""
    letters = [f"{letter}. way {letter}" for letter in LETTERS[kind]]
    return [question(i, kind, letters, "B" if i % 3 == 0 else "A") for i in range(n)]


def question(i, kind, options, truth):
    fields = {"dataset": "procedural", "scene_name": f"room-{i // 2}", "phrasing": "vsi-bench", "objects": []}
    ident = {"id": f"{kind}/{i}", "question_type": kind, "question": f"{kind} {i}?"}
    return {**ident, **fields, "options": options, "ground_truth": truth}


ASKED = {
    BENCH_SET: counts(),
    HELD_OUT_SET: routes("route_planning") + routes("obj_appearance_order", 3),
    ORDER_SET: routes("obj_appearance_order"),
}


def say(folder, condition, every):
    """Every so many-th answer is right; the others name the condition."""
    asked = ASKED[condition.questions]
    said = [row["ground_truth"] if i % every == 0 else f"no {condition.mode}" for i, row in enumerate(asked)]
    lines = [{"id": row["id"], "said": [text], "cut": [False]} for row, text in zip(asked, said, strict=True)]
    write_lines(answers_path(condition, folder), lines)


@pytest.fixture
def study(tmp_path):
    for name, asked in ASKED.items():
        write_lines(questions_path(name, tmp_path), asked)
    for mode, every in {"vanilla": 4, "think": 2, "observe": 3}.items():
        say(tmp_path, Condition(BENCH_SET, mode=mode), every)
        say(tmp_path, Condition(HELD_OUT_SET, mode=mode), every)
    say(tmp_path, Condition(ORDER_SET), 2)
    for run in ("grpo-think-seed1", "grpo-think-seed2"):
        say(tmp_path, Condition(BENCH_SET, run, "think"), 1)
        say(tmp_path, Condition(BENCH_SET, run, "think", clip="wrong"), 2)
        say(tmp_path, Condition(BENCH_SET, run), 4)
        say(tmp_path, Condition(HELD_OUT_SET, run, "think"), 1)
    return tmp_path


def test_answers_side_by_side_are_asked_in_the_variants_mode(study):
    first, second, *more = results.answer_pairs(study, per_type=2, of="grpo-think")
    assert (first["label"], second["label"]) == ("base", "grpo-think-seed1")
    assert [row["prediction"] for row in more] == ["no think", more[1]["ground_truth"]]
    shown = {mode: side_by_side(["grpo-think"], study, per_type=2, mode=mode) for mode in ("think", "vanilla")}
    assert [row["label"] for row in shown["think"]] == ["base", "grpo-think"] * 2
    assert [rows[2]["prediction"] for rows in shown.values()] == ["no think", "no vanilla"]  # the base's second answer
    assert {rows[3]["prediction"] for rows in shown.values()} == {more[1]["ground_truth"]}  # the variant's


def test_the_bases_answers_to_another_set(study):
    assert {mode: len(rows) for mode, rows in results.mode_answers(study, questions=HELD_OUT_SET).items()} == {
        mode: len(ASKED[HELD_OUT_SET]) for mode in results.MODES
    }


def test_differences_in_words():
    assert results.in_points({"overall": Interval(1.25, -0.5, 3.0, 8, 4, 1)}) == {"overall": "+1.2 (-0.5 to +3.0)"}


def test_held_out_tasks_are_scored_where_they_were_asked(study):
    table = held_out_table(["grpo-think", "sft"], study)
    assert list(table) == ["base, think", "base, observe", "base, vanilla", "grpo-think"]
    assert set(table["base, vanilla"]) == {"route_planning", "obj_appearance_order"}
    assert table["base, vanilla"]["obj_appearance_order"].n == len(ASKED[ORDER_SET])
    assert set(table["grpo-think"]) == {"route_planning"}
    assert table["grpo-think"]["route_planning"].mean == 100
    assert [table[f"base, {mode}"]["route_planning"].mean for mode in ("vanilla", "think")] == [25, 50]


def test_a_letter_alone_earns_its_share(study):
    lines = letter_lines(study)
    assert lines["most frequent letter"] == pytest.approx({"route_planning": 200 / 3, "obj_appearance_order": 200 / 3})
    assert lines["any option at random"] == pytest.approx({"route_planning": 100 / 3, "obj_appearance_order": 25})
