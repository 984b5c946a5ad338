"""The account of a gap between two scores: parts that are known in advance, which add up, and what differs."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from vsr_kit.cli import app
from vsr_kit.evaluation import score
from vsr_kit.publishing import Side, explain_gap, export_answers, read_side
from vsr_kit.publishing.gap import _weights
from vsr_kit.questions import QUESTION_TYPES
from vsr_kit.runs import RunFolder

COUNT = {"question_type": "object_counting", "options": None, "question": "How many bed(s)?", "ground_truth": "4"}
SIDE = {"question_type": "object_rel_direction_easy", "options": ["A. left", "B. right"], "ground_truth": "A"}
SIDE |= {"question": "Is the tv to the left?"}
FAR = {"question_type": "object_abs_distance", "options": None, "question": "How far?", "ground_truth": "2.0"}


def rows(texts, mode="vanilla", kinds=(COUNT, SIDE, FAR)):
    """One row a text, over the kinds in turn and over four scenes."""
    return [
        {**kinds[at % len(kinds)], "dataset": "made", "scene_name": f"room-{at % 4}", "id": at, "mode": mode}
        | {"sample": 0, "prediction": text, "num_tokens": 2, "truncated": False}
        for at, text in enumerate(texts)
    ]


def side(own, harness="official", **more):
    return Side("x", "rows", own, harness, **more)


def parts(gap):
    return {part.name: part.points for part in gap.parts}


def adds_up(gap):
    return sum(part.points for part in gap.parts) == pytest.approx(gap.points, abs=1e-9)


GOOD = ["4", "A", "2.0"] * 4


def test_equal_answers_leave_no_gap():
    gap = explain_gap(side(rows(GOOD)), side(rows(GOOD)))
    assert gap.points == 0 and set(parts(gap).values()) == {0.0} and gap.same_answers == gap.common == 12
    assert gap.paired.mean == gap.paired.low == gap.paired.high == 0


def test_a_scorer_alone_explains_what_it_reads_otherwise():
    said = ["Answer: 4", "A", "2.0"] * 4
    gap = explain_gap(side(rows(said), "lenient"), side(rows(said), "official"))
    assert gap.scores == (pytest.approx(100), pytest.approx(200 / 3))
    assert parts(gap)["scorer"] == pytest.approx(100 / 3) and parts(gap)["rest: other answers"] == 0 and adds_up(gap)


def test_missing_rows_are_worth_what_the_scores_lose_without_them():
    said = [*GOOD[:9], "9", "B", "9"]
    gap = explain_gap(side(rows(said)), side(rows(said)[:9]))
    assert parts(gap)["rows"] == pytest.approx(score(rows(said)).overall * 100 - 100)
    assert gap.points == pytest.approx(parts(gap)["rows"]) and gap.parts[0].about == "3 are only in A, 0 only in B"
    back = explain_gap(side(rows(said)[:9]), side(rows(said)))
    assert back.points == pytest.approx(-gap.points) and parts(back)["rows"] == pytest.approx(-parts(gap)["rows"])


def test_answers_are_divided_by_what_can_be_seen_of_them():
    a, b = rows(GOOD), rows(GOOD)
    b[0] |= {"prediction": "I think", "truncated": True}  # cut off
    b[1] |= {"prediction": "perhaps"}  # not read
    b[2] |= {"prediction": "9"}  # another answer
    b[3] |= {"ground_truth": "80"}  # another truth under one id
    gap = explain_gap(side(a), side(b))
    one = 100 / 12
    wanted = {"rows": 0.0, "scorer": 0.0, "other questions": one, "cut off": one, "not read": one}
    assert parts(gap) == pytest.approx(wanted | {"rest: other answers": one}) and adds_up(gap)
    assert {part.name: part.rows for part in gap.parts}["cut off"] == 1 and gap.same_answers == 9


def test_the_account_adds_up_whatever_differs():
    rng = np.random.default_rng(0)
    texts = ["4", "5", "A", "B", "2.0", "1.8", "Answer: 4", "The answer is A.", "none", "", "two"]
    kinds = [{**COUNT, "question_type": kind} for kind in ("object_counting", "object_size_estimation")] + [SIDE, FAR]
    kinds += [{**SIDE, "question_type": "object_rel_direction_hard"}]
    for _ in range(30):
        a, b = (rows([texts[i] for i in rng.integers(0, len(texts), 40)], kinds=kinds) for _ in range(2))
        for at in rng.integers(0, 40, 5):
            b[at] |= {"truncated": True, "ground_truth": str(a[at]["ground_truth"])}
        a = [row for row in a if rng.random() < 0.8]
        b = [row for row in b if rng.random() < 0.9]
        h = rng.choice(["official", "lenient", "lmms-eval"], 2)
        gap = explain_gap(side(a, str(h[0])), side(b, str(h[1])))
        assert adds_up(gap)
        assert gap.scores == tuple(
            pytest.approx(100 * score(own, str(by)).overall) for own, by in zip((a, b), h, strict=True)
        )


def test_weights_are_those_of_the_mean_of_tasks():
    kinds = [kind for kind in QUESTION_TYPES if kind != "mathematics"]
    own = [{"question_type": kinds[i % len(kinds)]} for i in range(70)]
    assert _weights(own).sum() == pytest.approx(1)
    beside = [{"question_type": kind} for kind in kinds if "multi" in kind] or own
    assert _weights(beside).sum() == pytest.approx(1)


def test_questions_that_another_harness_numbered_anew_are_paired_by_scene_and_wording():
    a = [{**row, "question": f"{row['question']} {at}"} for at, row in enumerate(rows(GOOD))]
    b = [{**row, "id": str(99 - row["id"]), "dataset": None} for row in a]
    gap = explain_gap(side(a), side(b))
    assert gap.common == 12 and gap.same_answers == 12
    with pytest.raises(ValueError, match="have no question in common"):
        explain_gap(side(a), side([{**row, "scene_name": "other", "question": "?"} for row in b]))


# -- sides from disk ---------------------------------------------------------------------------------------------------


def run_of(root, own, **settings):
    settings = {"model": "mini", "mode": "vanilla", "split": "test", "quantize": "none", "frames": 8} | settings
    run = RunFolder.create("eval", {"harness": "lenient", "max_new_tokens": 64, **settings}, root=root)
    run.predictions(own)
    run.identify({"base sha256": "ab", "adapter sha256": None, "mode": settings["mode"], "rows sha256": "no"})
    run.finish()
    return run.path


def test_two_runs_differ_by_what_they_recorded(tmp_path):
    a = run_of(tmp_path / "a", rows(GOOD))
    b = run_of(tmp_path / "b", rows(GOOD, "think"), mode="think", quantize="nf4", frames=16, harness="official")
    gap = explain_gap(read_side(a), read_side(b))
    assert (gap.a.harness, gap.b.harness) == ("lenient", "official")
    found = {what: (one, other) for what, one, other in gap.differing}
    assert found["quantize"] == ("none", "nf4") and found["frames"] == ("8", "16")
    assert found["mode"] == ("vanilla", "think") and "model" not in found and "rows sha256" not in found
    (prompts,) = [what for what in found if what.startswith("prompt")]
    assert prompts == "prompt of 12 of 12 questions" and "step by step" in found[prompts][1]


def test_a_run_against_its_own_export_is_the_scorer_alone(tmp_path):
    said = ["4", "The answer is A.", "2.0"] * 4
    run = run_of(tmp_path, rows(said))
    samples = export_answers(rows(said), "lmms-eval", tmp_path / "samples.jsonl")
    gap = explain_gap(read_side(run), read_side(samples))
    assert gap.b.recorded and gap.b.harness == "lmms-eval" and gap.b.kind == "lmms-eval"
    assert gap.scores[1] == pytest.approx(100 * score(rows(said), "lmms-eval").overall) and adds_up(gap)
    assert parts(gap)["own scorer of B"] == pytest.approx(0) and gap.same_answers == 12
    assert parts(gap)["scorer"] == pytest.approx(gap.points) == pytest.approx(100 / 3)
    assert not [what for what, *_ in gap.differing if what.startswith("prompt")]
    table = export_answers(rows(said), "vlmevalkit", tmp_path / "x.tsv")
    other = explain_gap(read_side(run), read_side(table, "lenient"))
    assert other.points == 0 and other.b.kind == "vlmevalkit"


def test_scores_that_a_harness_recorded_by_a_reading_of_its_own_are_told_apart(tmp_path):
    samples = export_answers(rows(GOOD), "lmms-eval", tmp_path / "samples.jsonl")
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    for line in lines[::3]:  # every count
        line["vsibench_score"]["MRA:.5:.95:.05"] = 0.9
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    gap = explain_gap(read_side(run_of(tmp_path, rows(GOOD), harness="official")), read_side(samples))
    assert parts(gap)["own scorer of B"] == pytest.approx(10 / 3) == pytest.approx(gap.points) and adds_up(gap)


def test_hostile_text_is_escaped_and_long_text_is_cut(tmp_path):
    a, b = rows(GOOD), rows(GOOD)
    a[0]["input"], b[0]["input"] = "\x1b[31mred" + "x" * 500, "plain\u202e"
    run = run_of(tmp_path, a, rooms="\x1b]0;title\x07" + "y" * 500)
    lines = explain_gap(read_side(run), Side("\x1b[2J", "rows", b, "lenient")).lines()
    text = "\n".join(lines)
    assert "\x1b" not in text and "\u202e" not in text and "\x07" not in text and max(map(len, lines)) < 400


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda own: [*own, {**own[0], "sample": 1}], "question '0' has 2 answers"),
        (lambda own: [{**own[0], "question_type": "mine"}], "is of the type mine, which no reading here knows"),
        (lambda own: [], "holds no answers"),
        (lambda own: [{k: v for k, v in own[0].items() if k != "question"}], "has no text in 'question'"),
        (lambda own: [{**own[0], "ground_truth": "four"}], "truth of question 0 is four, must be a number above 0"),
    ],
)
def test_what_is_no_side_is_refused(tmp_path, change, told):
    with pytest.raises(ValueError, match=told):
        read_side(run_of(tmp_path, change(rows(GOOD))))
    with pytest.raises(FileNotFoundError):
        read_side(tmp_path / "nothing.jsonl")
    with pytest.raises(ValueError, match="harness is 'mine'"):
        read_side(tmp_path, "mine")


def test_the_command_prints_the_account(tmp_path):
    said = ["Answer: 4", "A", "2.0"] * 4
    run = run_of(tmp_path, rows(said))
    samples = export_answers(rows(said), "lmms-eval", tmp_path / "samples.jsonl")
    done = CliRunner().invoke(app, ["explain-gap", str(run), str(samples), "--harness-b", "official"])
    assert done.exit_code == 0, done.output
    assert "A - B: +33.3 points, of which" in done.output and "12 questions in common, 12 with the same" in done.output
