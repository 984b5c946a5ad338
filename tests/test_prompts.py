"""Prompts word for word, the layout around them, and the reader of answers: tables of cases, and laws for any text."""

import inspect
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsr_kit.prompts import (
    MODES,
    PROMPTS,
    REASONS,
    SOURCES,
    USES,
    VSI_BENCH_CHOICE_PROMPT,
    VSI_BENCH_NUMBER_PROMPT,
    answer_choices,
    chat_messages,
    parse_answer,
    same_answer,
    target_completion,
    user_text,
)
from vsr_kit.prompts.number_words import lmms_eval_number, words_value
from vsr_kit.prompts.numbers import canonical_number, find_numbers
from vsr_kit.questions import CHOICE_TYPES, MULTI_STEP_TYPES, NUMERIC_TYPES, PUZZLE_TYPES, make_questions
from vsr_kit.rooms import make_rooms


def asked(question_type, options=None, question="Why?", truth="3"):
    return {"question_type": question_type, "question": question, "options": options, "ground_truth": truth}


COUNT = asked("object_counting")
DISTANCE = asked("object_abs_distance")
SIZE = asked("object_size_estimation")
ROOM = asked("room_size_estimation")
NEAREST = asked("object_rel_distance", ["A. chair", "B. table", "C. sofa", "D. coffee table"])
SIDE = asked("object_rel_direction_hard", ["A. front-left", "B. front-right", "C. back-left", "D. back-right"])
ROUTE = asked("route_planning", ["A. Turn left", "B. Turn left, turn right", "C. Turn back"])
ORDER = asked("obj_appearance_order", ["A. chair, table, sofa, bed", "B. table, chair, bed, sofa"])
WORDS = asked(
    "object_rel_distance", None, "Which of these objects (chair, table, sofa, tv stand)is the closest to the bed?"
)
LEFT = asked("object_rel_direction_easy", None, "… is the sofa to the left or the right of the bed?")
OPEN = asked("route_planning", None, "Where to?")


# -- what is asked -----------------------------------------------------------------------------------------------------


def test_the_six_prompts_are_the_papers():
    # typed from the paper a second time, so that a slip in either shows
    think = "Please think step by step and enclose your thinking process in <think> </think> tags and then provide the"
    assert {
        ("eval", "think"): "Let's think step by step and then answer the question using a single word or phrase.",
        ("eval", "observe"): (
            "Please observe the video first and then answer the question using a single word or phrase."
        ),
        ("eval", "vanilla"): "Please answer the question using a single word or phrase.",
        ("train", "think"): f"{think} short answer with one or two words or a number in <answer> </answer>.",
        ("train", "observe"): (
            "Please observe carefully and analyze what you see that helps you to solve the question in the video and "
            "enclose it in <observe> </observe> tag, and then provide the short answer with one or two words or a "
            "number in <answer> </answer>."
        ),
        ("train", "vanilla"): "Please provide the short answer with one or two words or a number.",
    } == PROMPTS
    assert set(PROMPTS) == {(use, mode) for use in USES for mode in MODES}


def test_the_layout_is_vsi_benchs():
    assert user_text(NEAREST, "vsi-bench") == (
        "These are frames of a video.\nWhy?\nOptions:\nA. chair\nB. table\nC. sofa\nD. coffee table\n"
        "Answer with the option's letter from the given choices directly."
    )
    assert user_text(COUNT, "vsi-bench") == (
        "These are frames of a video.\nWhy?\nPlease answer the question using a single word or phrase."
    )


@pytest.mark.parametrize("use, mode", PROMPTS)
def test_the_modes_prompt_takes_the_place_of_the_benchmarks(use, mode):
    assert user_text(NEAREST, mode, use).split("\n") == [
        "These are frames of a video.", "Why?", "Options:", *NEAREST["options"], PROMPTS[use, mode]
    ]  # fmt: skip
    assert user_text(COUNT, mode, use).split("\n") == ["These are frames of a video.", "Why?", PROMPTS[use, mode]]


def test_words_without_options_get_the_benchmarks_prompt_for_words():
    assert user_text(WORDS, "vsi-bench").endswith(VSI_BENCH_NUMBER_PROMPT)
    assert user_text(NEAREST, "vsi-bench").endswith(VSI_BENCH_CHOICE_PROMPT)


@pytest.mark.parametrize("options", [None, [], (), np.array([], dtype=str)])
def test_no_options_in_any_spelling(options):
    assert user_text(asked("object_counting", options)) == user_text(COUNT)
    assert parse_answer("tv stand", {**WORDS, "options": options}).kind == "word"


def test_options_may_come_as_an_array():
    row = {**NEAREST, "options": np.array(NEAREST["options"])}
    assert user_text(row) == user_text(NEAREST)
    assert parse_answer("B", row).value == "B"


def test_the_video_comes_before_the_text():
    assert chat_messages(COUNT, "think", "train") == [
        {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": user_text(COUNT, "think", "train")}]}
    ]


@pytest.mark.parametrize("mode, use", [("vsi-bench", "train"), ("cot", "eval"), ("think", "test")])
def test_an_unknown_prompt_is_named(mode, use):
    with pytest.raises(ValueError, match=f"mode '{mode}', prompt_set '{use}'.*vanilla, think, observe"):
        user_text(COUNT, mode, use)


def test_completions_have_the_shapes_the_prompts_ask_for():
    written = {(use, mode): target_completion(mode, use, "I see two.", "2") for use, mode in PROMPTS}
    assert written == {
        ("train", "vanilla"): "2",
        ("eval", "vanilla"): "2",
        ("train", "think"): "<think>I see two.</think> <answer>2</answer>",
        ("train", "observe"): "<observe>I see two.</observe> <answer>2</answer>",
        ("eval", "think"): "I see two. The answer is 2.",
        ("eval", "observe"): "I see two. The answer is 2.",
    }
    assert target_completion("think", "eval", "", "2") == "The answer is 2."


# -- what is read ------------------------------------------------------------------------------------------------------

READ = [
    # digits, words, signs
    (COUNT, "3", "3", "bare"),
    (COUNT, "3.", "3", "bare"),
    (COUNT, " 3\n", "3", "bare"),
    (COUNT, "**3**", "3", "bare"),
    (COUNT, r"\boxed{3}", "3", "last_candidate"),
    (COUNT, "3.0", "3", "bare"),
    (DISTANCE, ".5", "0.5", "bare"),
    (DISTANCE, "…5", "5", "bare"),
    (DISTANCE, "so...5", "5", "last_candidate"),
    (DISTANCE, "1.2.3", "1.2", "last_candidate"),
    (DISTANCE, "−3", "-3", "bare"),
    (DISTANCE, "–3", "-3", "bare"),
    (ROOM, "1,234.5", "1234.5", "bare"),
    (ROOM, "2e1", "20", "bare"),
    (COUNT, "two", "2", "bare"),
    (COUNT, "One", "1", "bare"),
    (COUNT, "twenty one", "21", "bare"),
    (COUNT, "twenty-one", "21", "bare"),
    (COUNT, "a hundred", "100", "bare"),
    (COUNT, "a thousand", "1000", "bare"),
    (COUNT, "one hundred and five", "105", "bare"),
    (COUNT, "two thousand three hundred", "2300", "bare"),
    (DISTANCE, "one point five", "1.5", "bare"),
    (DISTANCE, "two and a half meters", "2.5", "bare"),
    (COUNT, "four chairs and the last one", "4", "last_candidate"),
    (COUNT, "There are 4 chairs, one by the door", "4", "last_candidate"),
    (COUNT, "4 chairs in the 2nd room of this 3D scan", "4", "last_candidate"),
    # units
    (DISTANCE, "1.5m", "1.5", "bare"),
    (DISTANCE, "about 1.5 meters.", "1.5", "bare"),
    (DISTANCE, "150 cm", "1.5", "bare"),
    (DISTANCE, "1500mm", "1.5", "bare"),
    (DISTANCE, "5 ft", "1.524", "bare"),
    (DISTANCE, "10 inches", "0.254", "bare"),
    (DISTANCE, "1.5 in total", "1.5", "last_candidate"),
    (SIZE, "1.1 m", "110", "bare"),
    (SIZE, "90cm", "90", "bare"),
    (ROOM, "35 m²", "35", "bare"),
    (ROOM, "35m2", "35", "bare"),
    (ROOM, "35 square meters", "35", "bare"),
    (ROOM, "35 sq. m", "35", "bare"),
    (ROOM, "100 square feet", "9.290304", "bare"),
    (ROOM, "35 meters", "35", "bare"),
    (ROOM, "35 ft", "35", "bare"),
    (SIZE, "90 mugs", "90", "last_candidate"),
    (COUNT, "3 m", "3", "bare"),
    # letters and texts
    (NEAREST, "B", "B", "bare"),
    (NEAREST, "b", "B", "bare"),
    (NEAREST, "B.", "B", "bare"),
    (NEAREST, "B)", "B", "bare"),
    (NEAREST, "(B)", "B", "bare"),
    (NEAREST, "[b]", "B", "bare"),
    (NEAREST, "a", "A", "bare"),
    (NEAREST, "option B", "B", "bare"),
    (NEAREST, "B table", "B", "bare"),
    (NEAREST, "B) table", "B", "bare"),
    (NEAREST, "B. Table.", "B", "bare"),
    (NEAREST, "the Sofa", "C", "bare"),
    (NEAREST, "sofas", "C", "bare"),
    (NEAREST, "a chair", "A", "bare"),
    (NEAREST, "coffee table", "D", "bare"),
    (NEAREST, "coffee-table", "D", "bare"),
    (NEAREST, "B is closest", "B", "last_candidate"),
    (NEAREST, "A is closest", "A", "last_candidate"),
    (NEAREST, "A table is close. C is closer.", "C", "last_candidate"),
    (NEAREST, "The chair is far off. The sofa is near.", "C", "last_candidate"),
    (NEAREST, "The sofa is near. A lamp is not.", "C", "last_candidate"),
    (NEAREST, "I take option b today", "B", "last_candidate"),
    (SIDE, "front left", "A", "bare"),
    (SIDE, "It is at my back-left.", "C", "last_candidate"),
    (ROUTE, "turn left", "A", "bare"),
    (ROUTE, "Turn Left, Turn Right", "B", "bare"),
    (ORDER, "table, chair, bed, sofa", "B", "bare"),
    (ORDER, "Chair -> table -> sofa -> bed", "A", "bare"),
    (ORDER, "B. table, chair, bed, sofa", "B", "bare"),
    # words without options
    (WORDS, "sofa", "sofa", "bare"),
    (WORDS, "The TV-stand.", "tv stand", "bare"),
    (WORDS, "The options are chair, table. The sofa is closest", "sofa", "last_candidate"),
    (LEFT, "Left", "left", "bare"),
    (LEFT, "to the right", "right", "bare"),
    (OPEN, "The kitchen door.", "kitchen door", "bare"),
    # tags
    (COUNT, "<think>2 here</think> <answer>3</answer>", "3", "answer_tag"),
    (COUNT, "<observe>2 here</observe> <answer> three </answer>", "3", "answer_tag"),
    (COUNT, "<answer>2</answer> no: <answer>3</answer>", "3", "answer_tag"),
    (COUNT, "<answer><answer>3</answer></answer>", "3", "answer_tag"),
    (COUNT, "<answer>3", "3", "answer_tag"),
    (COUNT, "< Answer >3</ ANSWER > and 4", "3", "answer_tag"),
    (COUNT, "<answer><b>3</b></answer>", "3", "answer_tag"),
    (DISTANCE, "<answer>1.5 m (150 cm)</answer>", "1.5", "answer_tag"),
    (COUNT, "<think>2</think> 3", "3", "bare"),
    (COUNT, "<think>2</think> The answer is 3, not 4.", "3", "statement"),
    (COUNT, "<observe>1</observe><think>2</think>3", "3", "bare"),
    # statements
    (COUNT, "2 here and 1 there. The answer is 3.", "3", "statement"),
    (COUNT, "The answer is 2. No, the answer is 3.", "3", "statement"),
    (COUNT, "The answer is 3 chairs (2 at the window).", "3", "statement"),
    (COUNT, "**Answer:** 3", "3", "statement"),
    (COUNT, "**Answer**: 3 of the 4", "3", "statement"),
    (COUNT, "Answer = 3", "3", "statement"),
    (COUNT, "The answer to the question is 3.", "3", "statement"),
    (COUNT, "2 + 1 = 3", "3", "last_candidate"),
    (NEAREST, "The chair is far. The correct option is C.", "C", "statement"),
    (NEAREST, "The answer is b because it is near.", "B", "statement"),
    (NEAREST, "The answer is A chair", "A", "statement"),
    (NEAREST, "So the sofa is near.\n\nB", "B", "last_candidate"),
]


@pytest.mark.parametrize("row, text, value, source", READ)
def test_answers_are_read(row, text, value, source):
    parsed = parse_answer(text, row)
    assert (parsed.value, parsed.reason, parsed.source) == (value, None, source)


UNREAD = [
    (COUNT, "", "empty"),
    (COUNT, " \n", "empty"),
    (COUNT, "<answer> </answer>", "empty"),
    (COUNT, "<answer><think></think></answer>", "empty"),
    (COUNT, "<answer>", "truncated"),
    (COUNT, "<think>3 chairs and", "truncated"),
    (COUNT, "<think>3</think> <think>or 4", "truncated"),
    (COUNT, "3. The answer is", "truncated"),
    (COUNT, "<think>3</think>", "no answer"),
    (COUNT, "<observe>3</observe> ", "no answer"),
    (COUNT, "many", "not a number"),
    (COUNT, "a couple", "not a number"),
    (COUNT, "the one by the door", "not a number"),
    (COUNT, "nan", "not a number"),
    (COUNT, "inf", "not a number"),
    (COUNT, "1e999", "not a number"),
    (COUNT, "9" * 400, "not a number"),
    (COUNT, "frame2", "not a number"),
    (COUNT, "1st", "not a number"),
    (COUNT, "21st", "not a number"),
    (COUNT, "<answer>many</answer> 3", "not a number"),
    (COUNT, "ſix", "not a number"),  # a long s, which matches s without regard to case
    (COUNT, "3 or 4", "ambiguous"),
    (COUNT, "3-4", "ambiguous"),
    (COUNT, "3–4", "ambiguous"),
    (COUNT, "3, 4", "ambiguous"),
    (COUNT, "one, two", "ambiguous"),
    (DISTANCE, "1,5", "ambiguous"),
    (DISTANCE, "1/2", "ambiguous"),
    (ROOM, "4 x 5 m", "ambiguous"),
    (COUNT, "The answer is 3 or 4.", "ambiguous"),
    (COUNT, "<answer>3 no 4</answer>", "ambiguous"),
    (NEAREST, "A or B", "ambiguous"),
    (NEAREST, "A B C D", "ambiguous"),
    (NEAREST, "A. chair, B. table", "ambiguous"),
    (NEAREST, "B) sofa", "ambiguous"),
    (NEAREST, "the chair or the sofa", "ambiguous"),
    (NEAREST, "lamp", "not an option"),
    (NEAREST, "A lamp", "not an option"),
    (NEAREST, "E", "not an option"),
    (NEAREST, "3", "not an option"),
    (SIDE, "left", "not an option"),
    (WORDS, "A", "not an option"),
    (WORDS, "chair or sofa", "ambiguous"),
    (LEFT, "back", "not an option"),
    (LEFT, "front-left", "not an option"),
    (OPEN, "I would go through the kitchen door", "not an option"),
]


@pytest.mark.parametrize("row, text, reason", UNREAD)
def test_what_cannot_be_read_says_why(row, text, reason):
    parsed = parse_answer(text, row)
    assert (parsed.value, parsed.reason, parsed.source) == (None, reason, None)


def test_every_reason_and_source_occurs_and_no_other():
    assert {case[-1] for case in UNREAD} == set(REASONS)
    assert {case[-1] for case in READ} == set(SOURCES)


def test_the_kind_is_what_the_row_asks_for():
    assert [parse_answer("?", row).kind for row in (COUNT, NEAREST, WORDS)] == ["number", "letter", "word"]


def test_an_unknown_type_is_named():
    with pytest.raises(ValueError, match="unknown question_type 'counting'.*object_counting"):
        parse_answer("3", asked("counting"))


def test_the_ground_truth_is_not_looked_at():
    cases = [(row, text) for row, text, *_ in READ + UNREAD]
    blind = [{name: row[name] for name in row if name != "ground_truth"} for row, _ in cases]
    assert [parse_answer(text, row) for row, text in cases] == [
        parse_answer(text, row) for (_, text), row in zip(cases, blind, strict=True)
    ]


def test_choices_without_letters_come_from_the_question():
    assert [choice.label for choice in answer_choices(WORDS)] == ["chair", "table", "sofa", "tv stand"]
    assert [choice.label for choice in answer_choices(LEFT)] == ["left", "right"]
    assert answer_choices(COUNT) == () == answer_choices(OPEN)


@pytest.mark.parametrize("option", ["C. sofa", "C) sofa", "(C) sofa", "C: sofa", "sofa"])
def test_options_are_lettered_however_they_are_written(option):
    third = answer_choices({**NEAREST, "options": ["A. chair", "B. table", option]})[2]
    assert (third.label, third.text) == ("C", "sofa")


@pytest.mark.parametrize(
    "value, truth, kind, same",
    [
        ("30", "30.0", "number", True),
        ("0.3", "0.30000000000000004", "number", True),
        ("3", "4", "number", False),
        ("B", "b ", "letter", True),
        ("B", "C", "letter", False),
        ("tv stand", "TV-Stand", "word", True),
        ("tv", "tv stand", "word", False),
    ],
)
def test_same_answer(value, truth, kind, same):
    assert same_answer(value, truth, kind) is same


@pytest.mark.parametrize(
    "value, text",
    [(30.0, "30"), (1.50, "1.5"), (1e6, "1000000"), (-0.25, "-0.25"), (1.1 * 100, "110"), (0.1 + 0.2, "0.3")],
)
def test_numbers_have_one_spelling(value, text):
    assert canonical_number(value) == text


# -- lmms-eval's reader ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3.0),
        ("There are 3 boxes", 3.0),
        ("Three boxes.", 3.0),
        ("twenty-one", 21.0),
        ("three hundred and twenty-one", 321.0),
        ("two thousand five", 2005.0),
        ("one apple, room 2", 1.0),
        ("room 2, one apple", 2.0),
        ("-3", -3.0),
        ("3-4", 3.0),
        (".5", 5.0),
        ("1,234", 1.0),
        ("one, two", 3.0),
        ("two or three", 2.0),
        ("nine 5 hundred", 900.0),
        ("answer", None),
        ("", None),
        ("  ", None),
    ],
)
def test_lmms_evals_reader(text, value):
    assert lmms_eval_number(text) == value


# -- laws --------------------------------------------------------------------------------------------------------------

ROWS = [COUNT, DISTANCE, SIZE, ROOM, NEAREST, SIDE, ROUTE, ORDER, WORDS, LEFT, OPEN]
# pieces that the reader looks for, strung together, find more than letters at random do
PIECES = st.sampled_from(
    "<think> </think> <observe> </observe> <answer> </answer> < > / answer is : = . , ; - – − or and to A B C D (B) b)"
    " 3 4 1.5 .5 1e9 1e999 -3 1,234 one twenty hundred thousand point half m cm m² sq ft chair table sofa coffee left"
    " front- tv stand Option ſ İ ² ３ \n \t \u2028 \x00 the".split(" ")
)
TEXTS = st.one_of(
    st.text(max_size=80), st.lists(PIECES, max_size=14).map(" ".join), st.lists(PIECES, max_size=9).map("".join)
)
NUMBERS = st.one_of(
    st.integers(0, 10**6).map(str),
    st.floats(0.001, 1e6).map(canonical_number),
    st.floats(-1e6, -0.001).map(canonical_number),
)
CHAINS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(TEXTS, st.sampled_from(ROWS))
@settings(max_examples=1500, deadline=None)
def test_any_text_is_read_or_refused_for_a_reason(text, row):
    parsed = parse_answer(text, row)
    assert (parsed.value is None) == (parsed.reason is not None) == (parsed.source is None)
    assert parsed.reason in (None, *REASONS) and parsed.source in (None, *SOURCES)
    if parsed.kind == "number" and parsed.value is not None:
        assert canonical_number(float(parsed.value)) == parsed.value
    if parsed.kind == "letter" and parsed.value is not None:
        assert parsed.value in {choice.label for choice in answer_choices(row)}


def answer_of(row):
    """Answers a row may have, each in canonical form."""
    if row["question_type"] in NUMERIC_TYPES:
        return NUMBERS
    return st.sampled_from([choice.label for choice in answer_choices(row)] or ["kitchen door", "stop"])


@given(st.data(), st.sampled_from(ROWS), st.sampled_from(sorted(PROMPTS)), CHAINS)
@settings(max_examples=600, deadline=None)
def test_an_answer_is_read_back_from_the_completion_it_was_written_in(data, row, prompt, chain):
    use, mode = prompt
    answer = data.draw(answer_of(row))
    if use == "eval":
        chain = chain.replace("<", "")  # evaluation prompts ask for no tags, which would hide what follows them
    assert parse_answer(target_completion(mode, use, chain, answer), row).value == answer


@pytest.mark.parametrize("phrasing", ["vsi-bench", "vsi-100k"])
def test_the_ground_truth_of_every_generated_question_is_read_back(phrasing):
    rooms, named = make_rooms(3, seed=5), (None, MULTI_STEP_TYPES, PUZZLE_TYPES)
    rows = [
        q.to_row() for room in rooms for n in named for q in make_questions(room, phrasing, types=n, max_per_type=6)
    ]
    types = {row["question_type"] for row in rows}
    every = {*NUMERIC_TYPES, *CHOICE_TYPES} - {"obj_appearance_order"}
    assert types >= (every if phrasing == "vsi-bench" else {*MULTI_STEP_TYPES, *PUZZLE_TYPES})
    for row in rows:
        for use, mode in PROMPTS:
            parsed = parse_answer(target_completion(mode, use, "I see 2 of them.", row["ground_truth"]), row)
            assert parsed.value is not None and same_answer(parsed.value, row["ground_truth"], parsed.kind), row


@given(st.integers(0, 999_999))
@settings(max_examples=300, deadline=None)
def test_number_words_are_read_as_they_are_spelled(number):
    words = spelled(number)
    assert words_value([w for w in words.replace("-", " ").split() if w != "and"]) == number
    assert [mention.value for mention in find_numbers(words, "object_counting")] == [str(number)]
    assert lmms_eval_number(words) == number


SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()


def spelled(number):
    """English words of a number below a million, written from the grammar and not from the reader."""
    if number >= 1000:
        rest = number % 1000
        return f"{spelled(number // 1000)} thousand" + (f" {spelled(rest)}" if rest else "")
    if number >= 100:
        rest = number % 100
        return f"{SMALL[number // 100]} hundred" + (f" and {spelled(rest)}" if rest else "")
    if number >= 20:
        return TENS[number // 10] + (f"-{SMALL[number % 10]}" if number % 10 else "")
    return SMALL[number]


def test_the_reader_needs_no_torch():
    code = "import sys, vsr_kit.prompts; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "av", "pandas"} & set(loaded)


def test_defaults_are_vanilla_evaluation():
    for function in (user_text, chat_messages):
        defaults = {name: p.default for name, p in inspect.signature(function).parameters.items() if name != "row"}
        assert defaults == {"mode": "vanilla", "prompt_set": "eval"}
