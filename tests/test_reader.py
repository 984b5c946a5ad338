"""The reader by kinds of answer: what must be read, what is a hedge, what is no answer; hostile texts, their time."""

import json
import os
import random
import re
import time
import warnings
from pathlib import Path

import pytest

from tests.fuzz_reader import run
from vsr_kit.evaluation import HARNESSES, score_row
from vsr_kit.prompts import answer_choices, candidates, parse_answer, parsing
from vsr_kit.prompts.number_words import lmms_eval_number
from vsr_kit.rewards import accuracy_reward, format_reward, length_reward, mra, thought_reward, thoughts
from vsr_kit.rewards.detectors import DETECTORS

SHARED = Path(__file__).resolve().parents[2] / "shared" / "cases" / "parsing.jsonl"


def asked(question_type, options=None, question="Why?", **more):
    return {"question_type": question_type, "question": question, "options": options, "ground_truth": "3", **more}


COUNT = asked("object_counting")
DISTANCE = asked("object_abs_distance")
SIZE = asked("object_size_estimation")
ROOM = asked("room_size_estimation")
NEAREST = asked("object_rel_distance", ["A. chair", "B. table", "C. sofa", "D. bed"])
MEDIUM = asked("object_rel_direction_medium", ["A. left", "B. right", "C. back"])
HARD = asked("object_rel_direction_hard", ["A. front-left", "B. front-right", "C. back-left", "D. back-right"])
HARD_WORDS, MEDIUM_WORDS = asked("object_rel_direction_hard"), asked("object_rel_direction_medium")
EASY_WORDS = asked("object_rel_direction_easy")
ORDER = asked(
    "obj_appearance_order",
    ["A. chair, table, sofa, bed", "B. table, chair, bed, sofa", "C. bed, sofa, table, chair"],
)
_NAMED = "Which of these objects ({})is the closest to the bed?"
NAMED = asked("object_rel_distance", None, _NAMED.format("chair, table, sofa, tv stand"))
COMMA = asked("object_rel_distance", None, _NAMED.format("table, cabinet, tall, tv, sofa"))
COMMA_KNOWN = asked(
    "object_rel_distance",
    None,
    _NAMED.format("table, cabinet, tall, tv"),
    objects=["bed", "table", "cabinet, tall", "tv"],
)

# by row and value: answers that say that one thing
READ = [
    (NEAREST, "B", [
        "B, not A", "B rather than A", "The table is closer than the chair.", "not A but B", "B instead of A",
        "It's not the chair, it's the table.", "The chair isn't the closest, the table is.",
        "The answer is B, not A.", "The answer is B because it is closer than A.", "B because A is far",
        "A is wrong, so B", "A is far away. B is near.", "<answer>B, not A</answer>",
        "Compared to the chair, the table is closer.", "The table, unlike the chair, is near",
        "B\n\nThe table is next to the bed.", "B. The table is nearer than the chair.", "The answer is the table.",
        "table", "It's the table that is closest.", "B: table", "Option (B)", "$\\boxed{B}$", "\\boxed{\\text{B}}",
        "\\textbf{B}", "<b>B</b>", "Answer: (B) table", "答案是B", "选B", "B。", "B、", "{B}", '"B"', '{"answer": "B"}',
        "B or B", "B, definitely.", "I'd go with B", "Between A and B, B is closer", "A is not as close as B.",
        "The table is nearest; the chair is further away.", "It can't be A, so B.",
        "A is incorrect. The answer is B.", "The answer is B (table), not A (chair).", "B and not A", "B but not A",
        "not A and not C but B", "A: no\nB: yes",
    ]),
    (NEAREST, "C", [
        "Not A, not B, not D: C", "Of the chair, the table and the sofa, the sofa is the closest.",
    ]),
    (NEAREST, "A", [
        "A is closer to the door than B", "A is closer than B",
    ]),
    (COUNT, "3", [
        "3, not 4", "3 rather than 4", "The answer is 3 rather than 4.", "3 (confidence 0.9)",
        "3 chairs in 8 frames", "3\n\nUser: how many? 5", "3 (confidence: 90%)", "3, confidence 0.9",
        "Across 8 frames I count 3 chairs", "In frame 12, there are 3 chairs", "3 (frame 12)",
        "The answer is three, as seen in frame 12.", "<answer>three (frame 5)</answer>",
        "Answer: three. (1 of them is hidden.)", "Answer: three\n\nExplanation: frames 3-7 show the chairs.",
        "I am 90% sure there are 3", "3 (90% sure)", "3.\n\nI see 2 on the left and 1 on the right.", "3 of 4",
        "There are three chairs.", "1 here and 2 there: 3", "I can see 3 chairs in the video.",
        "There are 3 chairs in this room, based on the 32 frames.",
    ]),
    (COUNT, "4", [
        "not 3 but 4", "Answer:\n1. 4", "The answer is:\n\n1) 4 chairs", "(1) 4 chairs", "1) 4",
        "Step 1: look. Step 2: count. There are 4 chairs.", "1. Look around.\n2. Count.\n\nThere are 4 chairs.",
        "The answer is 3. My other answer is 4.", "I see 4 chairs around the table.",
        "Looking at the video from 0:05 to 0:15, there are 4 chairs.", "Chair count: 4", "Total: 4 chairs",
        "4 (four)", "four (4)", "4 chairs total", "The number of chairs is 4", "4️⃣", "4 ✓", "~4", "≈ 4",
        "approximately four", "4 chairs.\n\nConfidence: 95%", "4 chairs.\nConfidence: 0.95", "Final answer: **4**",
        "### Answer\n4", "Answer\n\n4", "> 4", "- 4", "* 4", "• 4 chairs", "```\n4\n```", "4<|im_end|>", "4</s>",
        "[4]", "'4'", "4,", "2 on the left + 2 on the right = 4", "2+2=4",
        "1 by the door, 3 at the table: a total of 4", "1 by the door and 3 at the table, so 4 in total",
        "1 by the door and 3 at the table, making 4", "So there are 4 chairs (1 by the door, 3 at the table).",
    ]),
    (COUNT, "2", [
        "The answer is two (confidence: 90%).",
    ]),
    (DISTANCE, "2", [
        "The answer is two meters (frame 12).", "slightly more than 2 m", "just over 2 m",
    ]),
    (DISTANCE, "1.5", [
        "1.5 ± 0.2 m", "1.5 +- 0.2 m", "<answer>1.5 ± 0.2</answer>", "1.5 m, give or take 20 cm", "$1.5 \\pm 0.2$ m",
        "150 (±20) cm", "1.5 m with an error of 0.2 m", "1.5m+/-0.2m", "1.5 m (+/- 10%)", "1.5 m ± 10 %", "1½ m",
        "one and a half", "1 1/2 meters", "150 cm (1.5 m)", "1.5 m (4.9 ft)", "1.5 m (5 feet)", "1.5 meters apart",
        "roughly 1.5-meter", '"1.5"', 'The answer is "150 cm".', '{"answer": "150 cm"}',
        '{"answer": 150, "unit": "cm"}', "Distance = 150cm",
        "**Distance:** 1.5 m", "The distance in cm is **150**.", "The answer (in cm) is 150.",
        "The answer in centimeters is 150", "| distance | 1.5 m |", "150 <b>cm</b>", "<b>150</b> cm", "150 'cm'",
        '150 "centimeters"', "150\xa0cm", "150-cm", "150 {cm}", "150 \\mathrm{cm}", "150 \\, \\mathrm{cm}",
        "\\[ d = 150 \\text{ cm} \\]", "\\boxed{150} cm", "150 \\textbf{cm}", "\\SI{150}{cm}",
        "The distance between the chair and the table is 1.5 meters.", "The 2 objects are 1.5 m apart",
        "1.5 meters (150 centimeters)", "≈1.5m", "1.5 metres.", "1.5M", "1.5 m.", "1.50", "150 CM",
        "1500 millimetres", "1m50cm", "1 m and 50 cm", "one meter and fifty centimeters", "one and a half meters",
        "a meter and a half", "1.5 m or so", "1.5 m, or 150 cm", "1.5 m, i.e. 150 cm", "150 cm = 1.5 m", "d = 1.5",
        "$d \\approx 1.5\\ \\mathrm{m}$", "\\(1.5\\)", "1.5 $m$", "1.5 `m`", "<b>1.5</b><i>m</i>", "1.5&nbsp;m",
        "150_cm", "150 *cm*", "150 __cm__", "**150**\n**cm**", "150 (in cm)", "(150) cm", "[150] [cm]", "150, in cm",
        "150 cms", "150 cm's", "150 cm-ish", "centimeters: 150", "cm: 150", "Distance [cm] = 150",
        "Distance in cm: 150", "150 公分", "1.5 公尺", "1.5米", "约1.5米。", "1,500 mm", "1.5e0 m", "15e-1", "1-1/2 m",
        "1 1⁄2", "one hundred fifty centimeters", "a hundred and fifty centimetres", "hundred fifty cm",
    ]),
    (DISTANCE, "3", [
        "3 +/- 0.5 meters", "about 3 m (± 0.5 m).", "3 plus or minus 0.5",
    ]),
    (SIZE, "150", [
        "150 ± 20 cm",
    ]),
    (DISTANCE, "2.5", [
        "two meters and a half", "two and a half meters", "2 and a half m", "2 point 5 meters", "2 m 50 cm",
    ]),
    (DISTANCE, "1.75", [
        "one and three quarters meters",
    ]),
    (DISTANCE, "0.5", [
        "½", "½ m", "\\frac12 m", "half a metre", "one half", "point five", "half a meter", "about half a meter",
        "point 5", "zero point five",
    ]),
    (DISTANCE, "0.75", [
        "$\\frac{3}{4}$", "3/4 of a meter", "3 quarters of a meter", "6 eighths of a metre",
    ]),
    (DISTANCE, "0.25", [
        "a quarter of a meter",
    ]),
    (DISTANCE, "2.25", [
        "two point twenty-five",
    ]),
    (DISTANCE, "0.8", [
        "zero point eight",
    ]),
    (DISTANCE, "1.524", [
        "5'", "60 inches", "60″", "5′",
    ]),
    (DISTANCE, "1.778", [
        "5 ft 10 in",
    ]),
    (ROOM, "20", [
        "5 m x 4 m = 20 m²", "The room is 5 m by 4 m, so 20 square meters.", "20 m² (5 m x 4 m)",
    ]),
    (DISTANCE, "150", [
        "150 in total, cm",
    ]),
    (SIZE, "90", [
        "0.9 meter",
    ]),
    (SIZE, "91.44", [
        "3 feet",
    ]),
    (SIZE, "120", [
        "1.2米", "120公分",
    ]),
    (ROOM, "25", [
        "25平方米", "25 sqm", "25 sq.m.", "25 m sq", "25 meters squared", "25 square-meters", "25 m^2", "25 m²", "25m2",
        "25 metres²", "25 square metres (269 sq ft)", "250000 cm²", "25 (m²)", "25 [m^2]", "25 sq. meters",
        "25 square meter", "area (m²): 25", "$25\\,\\mathrm{m}^{2}$", "$25 m^2$", "25\\,\\text{m}^2",
        "25 \\text{m}^{2}", "25 \\text{m²}", "25 m\\(^2\\)", "25 m$^2$", "25 m\\textsuperscript{2}", "25 m&sup2;",
        "25 **m²**", "25 meter²", "25 M2", "25 sq m", "25 sq metre", "25 square metres.", "25 metre square",
        "The room measures 5 m x 5 m (25 m²).", "5x5=25", "about 25 m2 (5 by 5)",
    ]),
    (ORDER, "A", [
        "chair, table, sofa, and bed", "chair, then table, then sofa, then bed", "1. chair 2. table 3. sofa 4. bed",
        "1. chair\n2. table\n3. sofa\n4. bed", "First the chair, then the table, the sofa and finally the bed.",
        "chair → table → sofa → bed", "chair; table; sofa; bed", "chair > table > sofa > bed",
        "- chair\n- table\n- sofa\n- bed", "chair (1), table (2), sofa (3), bed (4)", "chair table sofa bed",
        "chair, followed by table, followed by sofa, followed by bed", "A. chair, table, sofa, bed",
        "chair,table,sofa,bed", "Chair, Table, Sofa, Bed.", "the chair, the table, the sofa, the bed",
        "chair first, then table, sofa, bed", "(1) chair (2) table (3) sofa (4) bed",
        "1) chair, 2) table, 3) sofa, 4) bed", "1.chair 2.table 3.sofa 4.bed", "chair & table & sofa & bed",
        "[chair, table, sofa, bed]", "['chair', 'table', 'sofa', 'bed']", "chair, table, sofa, then bed",
        "chair, and then table, and then sofa, and then bed", "chair, table, sofa, bed, not table, chair, bed, sofa",
        "chair, next table, next sofa, last bed", "first chair second table third sofa fourth bed",
        "chair (1st), table (2nd), sofa (3rd), bed (4th)",
    ]),
    (HARD, "A", [
        "left-front", "front and left", "front-left", "The answer is front left.", "left and in front", "front/left",
        "forward left",
    ]),
    (HARD_WORDS, "front left", [
        "left-front", "front and left", "front left", "frontleft", "front-left, not front-right",
    ]),
    (HARD_WORDS, "back left", [
        "behind and to the left", "to the left and behind", "back, left", "left back side", "rear left",
        "It's behind, to the left",
    ]),
    (HARD_WORDS, "front right", [
        "in front of me and to the right", "forward-right",
    ]),
    (MEDIUM_WORDS, "back", [
        "behind", "backwards", "behind me", "to my rear", "in the back", "backward", "at my back",
    ]),
    (MEDIUM, "A", [
        "It is on my left when I turn back.",
    ]),
    (EASY_WORDS, "left", [
        "to the left-hand side", "left, not right", "to my left", "on the left side", "leftward", "Left.",
    ]),
    (COMMA, "cabinet tall", [
        "cabinet, tall",
    ]),
    (COMMA_KNOWN, "cabinet tall", [
        "cabinet, tall",
    ]),
    (COMMA, "sofa", [
        "sofa",
    ]),
    (COUNT, "0", [
        "Zero",
    ]),
    (DISTANCE, "1.6002", [
        "5 feet and 3 inches", "5ft3in",
    ]),
    (DISTANCE, "0.625", [
        "five eighths of a meter",
    ]),
    (DISTANCE, "0.6666666667", [
        "⅔ m",
    ]),
    (ROOM, "24.99091776", [
        "269 square foot", "269 ft2", "269 ft^2", "269 sq. ft.",
    ]),
    (EASY_WORDS, "right", [
        "right-hand side",
    ]),
    (HARD, "C", [
        "behind-left", "back to the left", "left, back",
    ]),
    (HARD, "B", [
        "ahead and to the right",
    ]),
]  # fmt: skip

# more than one answer, or a bound
HEDGED = [
    (COUNT, [
        "3 chairs or 4 chairs", "3~4", "3 or maybe 4", "The answer is 3 (or 4).", "2 ~ 3", "2 through 3",
        "2, maybe 3", "2 → 3", "at least 2, at most 3", "two or maybe three", "3 (4)", "3 [or 4]", "3 / 4", "3 | 4",
        "between 3 and 4", "between 3 chairs and 4 chairs", "3 to 4 chairs", "from 3 to 4", "3 chairs to 4 chairs",
        "either 3 or 4", "3, possibly 4", "3? 4?", "3 perhaps 4", "3 or so, maybe 4", "3 otherwise 4", "3 else 4",
        "3 if not 4", "3 going on 4", "3 bordering on 4", "3 alternatively 4", "3; 4", "3\n4", "3 chairs\n4 chairs",
        "3 ... 4", "3—4", "3 – 4", "3-4 chairs", "3 or four", "three or 4", "3, four",
        "It might be 3. It might be 4.", "Maybe 3. Maybe 4.", "Perhaps 3, perhaps 4", "I think 3. Or 4.",
        "3. Or maybe 4.", "3 but could be 4", "3 (could be 4)", "3 (possibly 4)", "3 (4?)",
        "The answer is 3. It could also be 4.", "The answer is 3 or 4 chairs", "The answer is either 3 or 4.",
        "The answer is 3, but it might be 4.", "The answer is 3, although 4 is also possible", "The answer is 3/4",
        "The answer is 3. Or 4.", "The answer is 2. The answer is 3.", "<answer>3 or maybe 4</answer>",
        "<answer>3 (or 4)</answer>", "<answer>3~4</answer>", "<answer>3 with 4</answer>",
        "<answer>3 because 4</answer>", "<answer>3\n4</answer>", "$3$ or $4$", "3 \\sim 4", "3 \\text{ or } 4",
        "3&ndash;4", "3 或 4", "3到4", "at least 3", "at most 3", "3 or more", "more than 3", "3+", "up to 3",
        "over 3", "≥ 3", "fewer than 4", "no more than 3", "3 at least", "a minimum of 3", "3-4", "3 up to 4",
        "three to four", "3 x 4", "3 and 4", "3, 4 or 5", "3, 4, 5", "anywhere from 3 to 5", "3 ≤ n ≤ 5",
        "3 < n < 5", "about 3 to 4", "3 rather or 4", "3 => 4", "3 vs 4", "3 versus 4", "3 as well as 4", "3 plus 4",
        "I count 3, however 4 is possible", "2 chairs by the window and 1 by the door", "2. 3", "1. 4\n2. 5",
        "I'm torn between 3 and 4 chairs.", "3 chairs (4 if you count the stool)", "3 (4 with the stool)",
        "3, maybe even 4", "Three, or four at most", "3ish, could be 4", "It's 3. Alternatively, 4.",
        "3. Possibly 4.", "3! Or 4!", "3, but 4 is also plausible.", "Could be 3, could be 4.",
        "Some would say 3, others 4", "3 on one hand, 4 on the other", "A few: 3, 4",
        "Low estimate 3, high estimate 4", "min 3 max 4", "3 (min), 4 (max)", "3..4", "3…4", "3 ∼ 4", "3～4", "3⁓4",
        "3‐4", "3 ⟶ 4", "3, 4", "3 \\or 4", "3\\text{ or }4", "\\boxed{3} \\text{ or } \\boxed{4}",
        "\\boxed{3}\n\\boxed{4}", "$3-4$", "[3, 4]", "{3,4}", "(3,4)", "3OR4", "3or4", "3 aut 4", "3 oder 4",
        "3 ou 4", "answer: 3\nanswer: 4", "Answer: 3. Answer: 4.", "The answer is 3 chairs, possibly 4.",
        "The answer is 3, or even 4.", "The answer is 3 - 4.", "The answer is 3 to 4 chairs.",
        "The answer is 3 chairs and 4 chairs.", "The answer is somewhere from 3 to 4.", "The answer is 3.\nOr 4.",
        "The answer is 3.\n4", "The answer is 3 (alternatively 4).", "The answer is 3 [4].", "The answer is 3, 4.",
        "The answer is 3 chairs/4 chairs", "The answer is three or four.", "The answer is three, maybe 4.",
        "The answer is 3. Hmm, 4.", "The answer is 3... or 4", "The answer is 3? Or is it 4?",
        "The answer is 3 unless it is 4", "<answer>3. Or 4.</answer>", "<answer>Between 3 and 4</answer>",
        "<answer>3, possibly 4</answer>", "<answer>3 4</answer>", "<answer>3 (possibly 4)</answer>",
        "<answer>at least 3</answer>",
    ]),
    (NEAREST, [
        "A or maybe B", "A | B", "chair or maybe table", "A\nB\nC\nD", "The answer is A or maybe B.", "A/B",
        "A or B", "a or b", "b or c", "B, or C", "A; B", "A, B", "A and B", "A & B", "A B C D", "(A) (B)",
        "A) or B)", "both A and B", "A (or B)", "A (chair) or B (table)", "B > A", "A → B", "A\nB",
        "the chair / the table", "chair, table", "chair; table", "chair table", "It could be A. It could be B.",
        "Maybe A. Maybe B.", "The chair is near. The table is near.", "A, perhaps B", "Probably A, but possibly B",
        "The answer is A. Or B.", "The answer is A/B", "The answer is A, B", "The answer is A or the table.",
        "The answer is A, but B is also possible", "<answer>A or B</answer>", "<answer>A, B</answer>",
        "<answer>A\nB</answer>", "<answer>A with B</answer>", "\\boxed{A} or \\boxed{B}", "**A** or **B**", "A~B",
        "A-B", "A. chair\nB. table", "A or the table", "A then B", "A if not B", "A else B", "(a) or (b)",
        "A. The answer is B or A.", "A和B", "A或B", "B\n\nThe chair is closest.", "B < A", "B >> A", "B ≻ A",
        "chair < table", "A or C, not B", "A, B, C, D", "A.B.C", "A+B", "A\\B", "A·B", "A⟂B", "A  B", "(A)(B)",
        "A OR B", "Option A or Option B", "option a or option b", "Either the chair or the table",
        "The chair; maybe the table", "the chair (maybe the table)", "chair | table", "chair\ntable",
        "1. chair\n2. table", "- A\n- B", "A? B?", "A...B", "A…B", "chairs and tables", "A&B", "A^B", "A to B",
        "A then maybe B", "a, b", "a/b", "A, b", "The answer is A. B is also possible.",
        "The answer is A. But B is just as likely.", "The answer is A\nB",
    ]),
    (NAMED, [
        "chair, table", "chair or possibly sofa", "chair/sofa",
    ]),
    (HARD, [
        "front-left or back-left", "front-left/right", "front-left or front-right",
    ]),
    (EASY_WORDS, [
        "left or right", "left/right", "left, maybe right",
    ]),
    (ROOM, [
        "5 m by 4 m",
    ]),
    (DISTANCE, [
        "over 2 m", "1,5 m", "1.5 m to 2 m", "1-2 m", "1.5m~2m", "100 cm to 150 cm", "100-150cm", "less than 1.5 m",
        "3/2",
    ]),
    (SIZE, [
        "12.345,6",
    ]),
    (ORDER, [
        "chair, table, sofa, bed or bed, sofa, table, chair",
    ]),
    (MEDIUM_WORDS, [
        "behind and to the left", "It's behind, to the left",
    ]),
    (COMMA_KNOWN, [
        "table, tv",
    ]),
]  # fmt: skip

# nothing that answers
UNREAD = [
    (NEAREST, [
        "The chair is not the closest.", "The answer is not A.", "<answer>not A</answer>", "Neither A nor B.",
        "A can't be right", "not B", "definitely not the chair", "All except A", "Everything is equally far", "Both",
        "ABCD", "AB", "AorB",
    ]),
    (DISTANCE, [
        "1.7976931348623157e308", "within 1.5 m", "1.500,0 mm", "two thirds of a meter", "nought point five",
    ]),
    (SIZE, [
        "1e308 m",
    ]),
    (COUNT, [
        "inf", "1e5000", "several", "100%", "Frame 4", "3 seconds", "no chairs", "a chair",
    ]),
    (ORDER, [
        "chair, table, sofa", "bed, chair, table, sofa", "chair, table, sofa or bed",
        "chair comes before table, sofa, bed",
    ]),
    (HARD_WORDS, [
        "left",
    ]),
    (MEDIUM_WORDS, [
        "back-left",
    ]),
    (EASY_WORDS, [
        "not left",
    ]),
]  # fmt: skip


@pytest.mark.parametrize("row, value, texts", READ)
def test_what_says_one_thing_is_read(row, value, texts):
    assert {text: parse_answer(text, row).value for text in texts} == dict.fromkeys(texts, value)


@pytest.mark.parametrize("row, texts", HEDGED)
def test_a_hedge_is_ambiguous(row, texts):
    assert {text: parse_answer(text, row).reason for text in texts} == dict.fromkeys(texts, "ambiguous")


@pytest.mark.parametrize("row, texts", UNREAD)
def test_what_says_nothing_is_not_read(row, texts):
    assert {text: parse_answer(text, row).value for text in texts} == dict.fromkeys(texts)


def test_what_a_float_cannot_hold_is_no_number():
    for text in ("1.7976931348623157e308", "1e309", "9" * 400, "9" * 5000, "one " + "thousand " * 3 + "1e999"):
        assert parse_answer(text, DISTANCE).value is None, text
    assert parse_answer("9" * 400 + " or 3", COUNT).reason == "ambiguous"
    assert lmms_eval_number("hundred " * 200) is None
    assert lmms_eval_number("1" * 400) is None
    assert [score_row(COUNT, "hundred " * 200, harness).value for harness in HARNESSES] == [0, 0, 0]
    with warnings.catch_warnings(action="error"):  # numpy's, of an overflow
        assert mra(1.7e308, 0.5) == 0


def test_a_label_with_a_comma_can_be_answered():
    row = {**COMMA_KNOWN, "ground_truth": "cabinet, tall"}
    assert [choice.text for choice in answer_choices(row)] == ["table", "cabinet, tall", "tv"]
    assert accuracy_reward("cabinet, tall", row) == 1
    assert accuracy_reward("table, tv", row) == 0
    # without the objects the borders of the labels are not known, and still no hedge is paid
    unknown = {**COMMA, "ground_truth": "cabinet, tall"}
    assert accuracy_reward("<answer>cabinet, tall</answer>", unknown) == 1
    assert accuracy_reward("table, cabinet, tall", unknown) == accuracy_reward("tv, sofa", unknown) == 0


def test_what_was_read_before_is_read_as_if_for_the_first_time():
    texts = ["B", "table", "The answer is 150 cm.", "The answer is B. The answer is table.", "3 or 4", "<think>left"]
    asked_in_turn = [(text, row) for row in (COUNT, SIZE, NEAREST, MEDIUM, ORDER, EASY_WORDS, COUNT) for text in texts]
    first = []
    for text, row in asked_in_turn:
        parsing._part_once.cache_clear()
        parsing._read_once.cache_clear()
        first.append(parse_answer(text, row))
    assert [parse_answer(text, row) for text, row in asked_in_turn for _ in range(2)][::2] == first
    mine = {**NEAREST, "options": list(NEAREST["options"])}
    assert parse_answer("table", mine).value == "B"
    mine["options"][0] = "A. table"
    assert parse_answer("table", mine).value != "B"


@pytest.mark.parametrize("row", [NEAREST, HARD, ORDER, asked("route_planning", ["A. plan B", "B. \u017fofa", "x"])])
def test_texts_and_letters_are_found_as_one_pattern_of_both_finds_them(row):
    found, draw = answer_choices(row), random.Random(0)
    patterns = candidates._text_pattern(found), candidates._letter_pattern(candidates._letters(found))
    both = re.compile("|".join(pattern.pattern for pattern in patterns))
    pieces = [*" ".join(row["options"]).split(), *"a B. (C) d, or and \u017fofa SOFA plan behind left then".split()]
    for _ in range(500):
        text = draw.choice((" ", ", ", "")).join(draw.choices(pieces, k=draw.randint(0, 12)))
        wanted = [(match.span(), match.lastgroup) for match in both.finditer(text)]
        assert [(match.span(), match.lastgroup) for match in candidates._matches(text, found)] == wanted, text


def test_the_shared_cases_are_read():
    if not SHARED.is_file():
        pytest.skip(f"no {SHARED}")
    rows = {row["question_type"]: row for row in (COUNT, DISTANCE, SIZE, ROOM, NEAREST, MEDIUM)}
    for case in map(json.loads, SHARED.read_text(encoding="utf-8").splitlines()):
        parsed, want = parse_answer(case["text"], rows[case["question_type"]]), case["want"]
        if parsed.kind == "number" and want is not None:
            assert float(parsed.value) == pytest.approx(float(want), rel=1e-4), case
        else:
            assert parsed.value == want, case
        assert not case["ambiguous"] or parsed.reason == "ambiguous", case


def test_mutated_answers_and_hedges():
    """A few thousand; `VSR_FUZZ=1000000`, or `python tests/fuzz_reader.py 1000000`, for more."""
    faults, seen = run(int(os.environ.get("VSR_FUZZ", "4000")), seed=20)
    assert faults == []
    assert {reason for _, reason in seen} >= {"ambiguous", "bare", "statement", "answer_tag", "last_candidate"}


# -- rewards read the same as before, in linear time -------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["think", "observe"])
def test_the_format_is_still_the_published_pattern(mode):
    pattern = re.compile(rf"<{mode}>.*?</{mode}>\s*<answer>.*?</answer>", re.DOTALL)
    pieces = ["<think>", "</think>", "<observe>", "</observe>", "<answer>", "</answer>", " ", "\n", "x", "<answer", ">"]
    rng = random.Random(0)
    texts = ["".join(rng.choices(pieces, k=rng.randint(0, 9))) for _ in range(20_000)]
    texts += [f"<{mode}>{text}</answer>" for text in texts]
    paid = [format_reward(text, mode) for text in texts]
    assert paid == [float(pattern.fullmatch(text) is not None) for text in texts]
    assert 100 < sum(paid) < len(texts) - 100


def test_thoughts_are_still_the_blocks():
    block = re.compile(r"< {,2}think ?>(.*?)(?:< ?/ ?think ?>|(?=< {,2}answer ?>)|\Z)", re.IGNORECASE | re.DOTALL)
    tag = re.compile(r"< ?/? ?(?:think|observe|answer) ?>", re.IGNORECASE)
    pieces = ["<think>", "</think>", "< Think >", "<observe>", "<answer>", "</answer>", " a ", "b", "\n", "<"]
    pieces += ["<  think>", "< / think >", "<  Answer >"]
    rng = random.Random(0)
    for _ in range(5000):
        text = "".join(rng.choices(pieces, k=rng.randint(0, 9)))
        assert thoughts(text, "think") == [tag.sub(" ", held) for held in block.findall(text)], text


LONG = 1_000_000
SHAPES = [
    "1", ",000", "one ", "hundred ", "<think>", "</think>", "</think><answer>", "<answer>", "<think></think>", "answer is ",  # noqa: E501
    "the answer is 3. ", "A, ", "B or ", "chair, table, ", "(", " ", "\n", "\\", "\\frac{1}{2}", "*", "1/2 ", "1.2.", "+-",  # noqa: E501
    "3 ± ", "3 m ", "6'2\" ", '"', "½", "²", "é", "&", "<", "1) 2\n", "not A ", "closer than A ", "3 or 4 ", "2=", "\nuser:",  # noqa: E501
    "front and ", "in front of me and to the left ", "point five ", "half a ", "a-", "\ud800", "\x00",
]  # fmt: skip
WHOLE = [
    "1" + ",000" * (LONG // 4) + "1",
    "<think>" + "</think><answer>" * (LONG // 17),
    "<answer>" + "3, " * (LONG // 3) + "</answer>",
    "The answer is" + " " * LONG + "3",
    "two hundred" + " and" * (LONG // 4) + " five",
    "<think>" + ("</think>" + " " * 500) * (LONG // 508),
    "0." + "1" * LONG,
    "answer in " + "a" * LONG,
]
READERS = {
    "format": lambda text: format_reward(text, "think"),
    "length": lambda text: length_reward(text, "think"),
    "thought": lambda text: thought_reward(text, "think"),
    "thoughts": lambda text: thoughts(text, "observe"),
    **{name: lambda text, found=found: found(text, "think") for name, found in DETECTORS.items()},
    "number": lambda text: parse_answer(text, DISTANCE),
    "choice": lambda text: parse_answer(text, NEAREST),
    "order": lambda text: parse_answer(text, ORDER),
    "side": lambda text: parse_answer(text, HARD_WORDS),
    **{name: lambda text, name=name: score_row(COUNT, text, name) for name in HARNESSES},
}


def seconds(reader, text):
    """The least of up to three tries, in the process's own time: others share the machine."""
    least = float("inf")
    for _ in range(3):
        start = time.process_time()
        reader(text)
        least = min(least, time.process_time() - start)
        if least < 0.1:
            break
    return least


@pytest.mark.parametrize("name", READERS)
def test_a_megabyte_takes_a_fifth_of_a_second_at_most(name):
    texts = WHOLE + [shape * (LONG // len(shape)) for shape in SHAPES]
    slow = {text[:30]: taken for text in texts if (taken := seconds(READERS[name], text)) > 0.2}
    assert slow == {}
