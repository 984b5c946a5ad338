"""The two public scorers against transcriptions of them, made here a second time, and predictions line by line.

The transcriptions follow what the public code does, in its order: VSI-Bench's lmms_eval/tasks/vsibench/utils.py, and
the same file of lmms-eval 0.7.3. They share nothing with the kit.
"""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsr_kit import evaluation as ev
from vsr_kit.questions import BESIDE_TYPES, NUMERIC_TYPES, PUZZLE_TYPES, QUESTION_TYPES
from vsr_kit.rewards import mra

LETTERS = ["A. bed", "B. sofa", "C. desk", "D. lamp"]


def row_of(kind, truth, **more):
    options = None if kind in NUMERIC_TYPES else LETTERS
    row = {"id": 1, "dataset": "d", "scene_name": "s", "question_type": kind, "question": "?", "options": options}
    return row | {"ground_truth": truth} | more


# -- transcriptions ----------------------------------------------------------------------------------------------------


def first_word(text):
    word = text.split(" ")[0]
    while word.endswith("."):
        word = word[:-1]
    return word.strip()


def accuracy_over_thresholds(said, truth):
    if said is None:
        return 0.0
    how_many = int((0.95 - 0.5) / 0.05 + 2)  # int(10.999…): ten
    hits = [abs(said - truth) / truth <= 1 - threshold for threshold in np.linspace(0.5, 0.95, how_many)]
    return sum(hits) / len(hits)


def vsi_bench(row, text):
    word = first_word(text)
    if row["question_type"] not in NUMERIC_TYPES:
        return 1.0 if word.lower() == row["ground_truth"].lower() else 0.0
    try:
        said = float(word)
    except ValueError:
        said = None
    return accuracy_over_thresholds(said, float(row["ground_truth"]))


SPELLED = dict(
    zip("zero one two three four five six seven eight nine ten eleven twelve".split(), range(13), strict=True)
)
SPELLED |= dict(
    zip("thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(), range(13, 20), strict=True)
)
SPELLED |= {word: 10 * i for i, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
SPELLED |= {"hundred": 100, "thousand": 1000}


def first_number(text):
    text = text.strip().lower()
    digits = re.search(r"-?\d+(?:\.\d+)?", text)
    start, words = None, []
    for found in re.finditer(r"[a-z]+", text):
        word = found.group()
        if start is None and word in SPELLED:
            start, words = found.start(), [word]
        elif start is not None and word in SPELLED:
            words.append(word)
        elif start is not None and word != "and":
            break
    if digits and (start is None or digits.start() < start):
        return float(digits.group())
    total = current = 0
    for word in words:
        if SPELLED[word] == 100:
            current = 100 * max(1, current)
        elif SPELLED[word] == 1000:
            total, current = total + 1000 * max(1, current), 0
        else:
            current += SPELLED[word]
    return None if start is None else float(total + current)


def lmms_eval(row, text):
    if row["question_type"] not in NUMERIC_TYPES:
        return vsi_bench(row, text)
    return accuracy_over_thresholds(first_number(text), float(row["ground_truth"]))


# -- the kit against them ----------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    "3 4 2 12 two three twenty-one hundred and thousand A B C D b. (B) B) -1.5 .5 1,234 1.5m nan inf 1e3 1_000 answer"
    " is: \n \t ３ point 2.50. 3.. . <answer>3</answer> the Two".split(" ")
)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.lists(PIECES, max_size=5).map(" ".join),
    st.lists(PIECES, max_size=3).map("".join),
    st.floats(0, 500).map(str),
)
TRUTHS = st.sampled_from(["1", "2", "3", "3.0", "0.7", "1.5", "12", "21", "100", "1000", "31.4"])


@given(TEXTS, TRUTHS, st.sampled_from([kind for kind in NUMERIC_TYPES if kind not in PUZZLE_TYPES]))
@settings(max_examples=600)
def test_numbers_score_as_the_public_code_scores_them(text, truth, kind):
    row = row_of(kind, truth)
    assert ev.score_row(row, text, "official").value == pytest.approx(vsi_bench(row, text), abs=1e-12)
    assert ev.score_row(row, text, "lmms-eval").value == pytest.approx(lmms_eval(row, text), abs=1e-12)


@given(TEXTS, st.sampled_from("ABCD"), st.sampled_from([kind for kind in QUESTION_TYPES if kind not in NUMERIC_TYPES]))
@settings(max_examples=300)
def test_letters_score_as_the_public_code_scores_them(text, truth, kind):
    row = row_of(kind, truth)
    assert ev.score_row(row, text, "official").value == vsi_bench(row, text)
    assert ev.score_row(row, text, "lmms-eval").value == lmms_eval(row, text)


@pytest.mark.parametrize("text, value", [("B.", 1), ("B..", 1), ("B\n", 1), ("B.\n", 0), (" B", 0), ("B\nsofa", 0)])
def test_the_official_first_word_is_cut_in_the_public_codes_order(text, value):
    row = row_of("object_rel_distance", "B")
    assert ev.score_row(row, text, "official").value == vsi_bench(row, text) == value


def test_the_metric_agrees_on_a_grid_that_catches_its_near_misses():
    truths = [i / 10 for i in range(1, 60)] + list(range(20, 400, 13))
    said = [i / 10 for i in range(0, 100)] + list(range(10, 500, 3))
    literal = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    strict = typed = 0
    for truth in truths:
        got = mra(np.array(said), truth)
        assert got == pytest.approx([accuracy_over_thresholds(p, truth) for p in said], abs=1e-12)
        errors = abs(np.array(said) - truth)[:, None] / truth
        strict += int(((errors < 1 - np.linspace(0.5, 0.95, 10)).mean(1) != got).sum())
        typed += int(((errors <= 1 - np.array(literal)).mean(1) != got).sum())
    assert strict > 50 and typed > 3  # "<" as printed, or thresholds typed out, would be another metric


def test_mra_of_an_array_is_that_of_its_numbers():
    said = [0.0, 1.3, 1.5, 3.0, -1.0, np.inf, np.nan]
    assert mra(np.array(said), 1.5).tolist() == [mra(number, 1.5) for number in said] == [0, 0.8, 1, 0, 0, 0, 0]
    assert mra(np.array([0.0, 1.0]), 0.0).tolist() == [1, 0]
    assert [mra(-2.0, -2.0), mra(5.0, -2.0)] == [1, 0]


@pytest.mark.parametrize(
    "truth, question, text, official, lenient",
    [
        ("sofa", "Which of these objects (bed, sofa)is the closest to the desk?", "Sofa.", 1, 1),
        ("sofa", "Which of these objects (bed, sofa)is the closest to the desk?", "the sofa", 0, 1),
        ("tv stand", "Which of these objects (bed, tv stand)is the closest to the desk?", "tv stand", 0, 1),
    ],
)
def test_words_without_options_are_scored(truth, question, text, official, lenient):
    row = row_of("object_rel_distance", truth, options=None, question=question)
    assert [ev.score_row(row, text, harness).value for harness in ("official", "lenient")] == [official, lenient]


def test_answers_are_counted_apart_by_what_became_of_them():
    said = ["3", "4", "30", "many", "", "<think>3", "3 or 4"]
    table = ev.score([row_of("object_counting", "3", id=i, prediction=text) for i, text in enumerate(said)], "lenient")
    counts = table.types["object_counting"]
    assert (counts.n, counts.right, counts.partly, counts.wrong, counts.unparsed) == (7, 1, 1, 1, 4)
    assert counts.reasons == {"not a number": 1, "empty": 1, "truncated": 1, "ambiguous": 1}
    assert table.parse_rate == pytest.approx(3 / 7)
    written = table.to_dict()
    assert written["types"]["object_counting"]["reasons"]["ambiguous"] == 1
    means = [written["overall"], written["mean_of_trained_tasks"], written["types"]["object_counting"]["mean"]]
    assert means == pytest.approx([100 * np.mean([1, mra(4, 3), 0, 0, 0, 0, 0])] * 3)
    assert (written["n"], written["harness"]) == (7, "lenient")
    assert written["parse_rate"] == pytest.approx(300 / 7)


@pytest.mark.parametrize("prediction", [None, 3])
def test_a_prediction_is_text(prediction):
    with pytest.raises(ValueError, match=f"row 1: 'prediction' is {prediction}, must be the text"):
        ev.score([row_of("object_counting", "3", prediction=prediction)])


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_what_float_takes_but_is_no_number_counts_as_unread(text):
    assert ev.score_row(row_of("object_counting", "3"), text) == ev.Score(0.0, False, "not a number")


def test_all_tasks_make_the_overall_score():
    kinds = [kind for kind in QUESTION_TYPES if kind not in BESIDE_TYPES]
    rows = [row_of(kind, "3" if kind in NUMERIC_TYPES else "B", id=kind) for kind in kinds]
    said = {"object_counting": "3", "object_rel_direction_hard": "B", "route_planning": "B"}
    table = ev.score([row | {"prediction": said.get(row["question_type"], "x")} for row in rows])
    assert len(table.tasks) == 8 and table.tasks["object_rel_direction"] == pytest.approx(1 / 3)
    assert table.overall == pytest.approx((1 + 1 / 3 + 1) / 8)
    assert table.trained == pytest.approx((1 + 1 / 3) / 6)


def test_the_best_constant_is_the_best_of_all_by_hand():
    train = [row_of("object_abs_distance", truth) for truth in ("1", "1", "2", "2.2", "2.4", "9")]
    scored = {
        a: np.mean([mra(float(a), float(t["ground_truth"])) for t in train]) for a in ("1", "2", "2.2", "2.4", "9")
    }
    best = ev.best_constant(train, train[:1])[0]["prediction"]
    assert best == max(scored, key=scored.get) == "2.2"
    assert ev.most_frequent_answer(train, train[:1])[0]["prediction"] == "1"


# -- predictions.jsonl -------------------------------------------------------------------------------------------------

GOOD = row_of("object_counting", "3", prediction="3")


def written(tmp_path, *lines):
    path = tmp_path / "p.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    return path


@pytest.mark.parametrize(
    "line, rule",
    [
        (b"", "not JSON"),
        (b"\xff{}", "not UTF-8"),
        (GOOD, "'id' 1 is line 1's, too; .*'sample'"),
        (GOOD | {"id": 2, "prediction": 3}, "'prediction' is 3, must be the text"),
        (GOOD | {"id": 2, "ground_truth": "0"}, "'ground_truth' is '0', must be above 0"),
        (GOOD | {"id": 2, "ground_truth": "-1"}, "'ground_truth' is '-1', must be above 0"),
    ],
)
def test_no_line_is_dropped_silently(tmp_path, line, rule):
    with pytest.raises(ValueError, match=f"p.jsonl, line 2: .*{rule}"):
        ev.read_predictions(written(tmp_path, GOOD, line, GOOD | {"id": 3}))


def test_samples_of_one_question_are_no_duplicates(tmp_path):
    rows = ev.read_predictions(written(tmp_path, *(GOOD | {"sample": i} for i in range(3))))
    assert [row["sample"] for row in rows] == [0, 1, 2]


def test_other_line_ends_and_a_byte_order_mark_do_no_harm(tmp_path):
    lines = [json.dumps(GOOD | {"id": i}).encode() + b"\r" for i in range(2)]
    assert len(ev.read_predictions(written(tmp_path, b"\xef\xbb\xbf" + lines[0], lines[1], b""))) == 2
