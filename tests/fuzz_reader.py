"""Mutated answers for the reader: `python tests/fuzz_reader.py 1000000 [SEED]`; a test runs a few thousand of them.

Half of the texts are answers of every kind, mutated (characters lost, doubled, exchanged, pieces put in, markup added,
two answers run together). They must be read or refused for a reason, in a finite range, and earn the same from the
accuracy reward as from the lenient scorer. The other half are hedges: two different answers, one of them true, with a
word or sign between them that offers both. They must earn nothing.
"""

import math
import random
import sys
import time
from collections import Counter

from vsr_kit.evaluation import score_row
from vsr_kit.prompts import REASONS, SOURCES, answer_choices, parse_answer
from vsr_kit.prompts.numbers import canonical_number
from vsr_kit.rewards import NUMERIC_REWARDS, accuracy_reward


def asked(question_type, truth, options=None, question="Why?"):
    return {"question_type": question_type, "question": question, "options": options, "ground_truth": truth}


NAMED = "Which of these objects (chair, table, sofa, tv stand)is the closest to the bed?"
ROWS = [
    asked("object_counting", "4"),
    asked("object_abs_distance", "1.5"),
    asked("object_size_estimation", "150"),
    asked("room_size_estimation", "25.3"),
    asked("object_rel_distance", "B", ["A. chair", "B. table", "C. sofa", "D. tv stand"]),
    asked("object_rel_direction_hard", "A", ["A. front-left", "B. front-right", "C. back-left", "D. back-right"]),
    asked("object_rel_direction_medium", "C", ["A. left", "B. right", "C. back"]),
    asked("obj_appearance_order", "A", ["A. chair, table, sofa, bed", "B. table, chair, bed, sofa"]),
    asked("route_planning", "B", ["A. Turn Left", "B. Turn Left, Turn Right", "C. Turn Back"]),
    asked("object_rel_distance", "sofa", question=NAMED),
    asked("object_rel_direction_easy", "left"),
    asked("object_rel_direction_hard", "back-left"),
]
ANSWERS = (
    "4|four|There are 4 chairs.|**150** cm|\\boxed{150\\text{ cm}}|1.5 m|1½ m|6'2\"|25 m^{2}|269 sq ft|"
    "1.5 ± 0.2 m|1,234|"
    "two and a half meters|point five|three quarters of a meter|The answer is 3 chairs (2 at the window).|3 (frame 12)|"
    "<think>2 here</think> <answer>4</answer>|<observe>I see one</observe> <answer>B</answer>|<answer>table</answer>|B|"
    "(B) table|The answer is B, not A.|The table is closer than the chair.|chair, then table, then sofa, and bed|"
    "left-front|"
    "behind and to the left|Turn Left, Turn Right|B because it is near|Answer:\n1. 4|"
    "Step 1: look. Step 2: 4 chairs.|1e400|"
    "1.7976931348623157e308|9e999|-4|1/2 m|25 平方米|150厘米|３|The distance (cm): 150|at least 3|hundred and fifty"
).split("|")
PIECES = (
    "<think> </think> <observe> </observe> <answer> </answer> ** $ \\( \\text{ } { ( ) [ ] , . .. ; : = ~ - – ± +/- / | → "
    "' \" ° % ² ½ \n \t & &nbsp; \u00a0 \u2028 \x00 ſ İ 或 cm m ft in or maybe not and to than closer because is point half "
    "hundred thousand one A B C D chair sofa left back 1e9 999 .5 0 -1 User: answer frame confidence at least"
).split(" ")
WRAPPERS = [
    "{}",
    "**{}**",
    "<answer>{}</answer>",
    "The answer is {}.",
    "\\boxed{{{}}}",
    "Answer: {}",
    " {}\n",
    "({})",
    "`{}`",
]
HEDGES = [
    "{a} or {b}", "{a} or maybe {b}", "{a}, possibly {b}", "{a} (or {b})", "{a}/{b}", "{a} |"
    " {b}", "{a}\n{b}", "{a} ~ {b}",
    "{a} → {b}", "{a}, {b}", "{a}; {b}", "either {a} or {b}", "{a}, perhaps {b}", "{a} and/or {b}", "{a}, alternatively {b}",
    "{a} but maybe {b}", "{a} or else {b}", "{a} – {b}", "{a} ... {b}", "{a}, otherwise {b}", "{a} & {b}", "{a} vs. {b}",
    "maybe {a}, maybe {b}", "{a} might be right, or {b}", "{a}? {b}?", "{a}, if not {b}", "{a} (possibly {b})",
]  # fmt: skip
SENTENCES = [
    "It could be {a}. It could be {b}.",
    "Maybe {a}. Or {b}.",
    "{a}. Or maybe {b}.",
    "I think {a}. It might also be {b}.",
]
RANGES = ["between {a} and {b}", "from {a} to {b}", "{a} to {b}", "{a} through {b}", "{a} up to {b}", "{a}-{b}", "{a}~{b}",
          "at least {a}, at most {b}", "{a}..{b}", "{a} {n} or {b} {n}", "{a} {n} to {b} {n}", "{a} {n}\n{b} {n}"]  # fmt: skip


def mutated(rng):
    """An answer with a few things done to it."""
    text = rng.choice(ANSWERS)
    for _ in range(rng.randint(0, 5)):
        place = rng.randint(0, len(text))
        change = rng.randrange(8)
        if change == 0:
            text = text[:place] + text[place + rng.randint(1, 4) :]
        elif change == 1:
            text = text[:place] + text[max(0, place - rng.randint(1, 6)) :]
        elif change == 2:
            text = text[:place] + rng.choice(PIECES) + text[place:]
        elif change == 3:
            text = f"{text} {rng.choice(PIECES)} {rng.choice(ANSWERS)}"
        elif change == 4:
            text = rng.choice(WRAPPERS).format(text)
        elif change == 5:
            text = (
                text[:place]
                + chr(rng.choice([rng.randint(1, 127), rng.randint(128, 0x2FFF), rng.randint(0xFF00, 0xFFEF)]))
                + text[place:]
            )
        elif change == 6:
            text = (
                text.swapcase() if rng.random() < 0.3 else text.replace(" ", rng.choice(["  ", "\n", "", "\u00a0"]), 2)
            )
        else:
            text = (
                text[:place]
                + str(rng.choice([rng.randint(0, 9), rng.random(), 10 ** rng.randint(0, 320)]))
                + text[place:]
            )
    return text


def hedged(rng, row):
    """Two different answers to a row in a text that offers both; one of them is its ground truth."""
    truth = row["ground_truth"]
    if choices := answer_choices(row):
        letters = [choice.label for choice in choices] if row["options"] else []
        true = next(choice for choice in choices if choice.label.replace(" ", "-") in (truth, truth.replace(" ", "-")))
        other = rng.choice([choice for choice in choices if choice != true])
        as_text = not letters or rng.random() < 0.4
        a, b = (c.text if as_text else c.label for c in (true, other))
        if row["question_type"] in ("route_planning", "obj_appearance_order") and as_text:
            a, b = true.label, other.label  # texts with commas in them run into each other
        template = rng.choice(HEDGES + SENTENCES)
    else:
        a, b = truth, canonical_number(float(truth) * rng.choice([0.5, 0.8, 1.25, 2, 3]))
        if row["question_type"] == "object_counting":
            b = str(int(truth) + rng.choice([-1, 1, 2]))
            if rng.random() < 0.3:
                a, b = ({"4": "four", "3": "three", "5": "five", "6": "six"}[n] for n in (a, b))
        template = rng.choice(HEDGES + SENTENCES + RANGES)
    if rng.random() < 0.5:
        a, b = b, a
    noun = {"object_counting": "chairs", "object_size_estimation": "cm", "room_size_estimation": "m²"}.get(
        row["question_type"], "meters"
    )
    text = template.format(a=a, b=b, n=noun)
    if rng.random() < 0.3:
        text = f"{rng.choice(['I see', 'It is', 'There are', 'About', 'Probably', 'Hmm,'])} {text}"
    if rng.random() < 0.4:
        text = rng.choice(WRAPPERS).format(text)
    if rng.random() < 0.15:
        text = text.replace(a, f"**{a}**").replace(b, f"*{b}*")
    if rng.random() < 0.2:
        text = f"<think>Let me look at frame 3.</think> {text}"
    return text


def fault_of(text, row, parsed):
    """What is wrong with the reading of a text, None if nothing is."""
    if (parsed.value is None) != (parsed.reason is not None) or (parsed.value is None) != (parsed.source is None):
        return f"value, reason and source do not fit: {parsed}"
    if parsed.reason not in (None, *REASONS) or parsed.source not in (None, *SOURCES):
        return f"no such reason or source: {parsed}"
    if parsed.kind == "number":
        if parsed.value is not None and not math.isfinite(float(parsed.value)):
            return f"outside the finite range: {parsed}"
        truth = float(row["ground_truth"])
        if parsed.value and any(
            not 0 <= reward(float(parsed.value), truth) <= 1 for reward in NUMERIC_REWARDS.values()
        ):
            return f"a reward beyond 0 to 1: {parsed}"
    elif parsed.value is not None and parsed.value not in {choice.label for choice in answer_choices(row)}:
        return f"no choice of the row: {parsed}"
    reward, score = accuracy_reward(text, row, "mra"), score_row(row, text, "lenient")
    if reward != score.value or score.parsed != (parsed.value is not None):
        return f"reward {reward}, lenient score {score}"
    return None


def run(count, seed=0):
    """Try `count` texts: ([(text, row, what is wrong)], how often each reason and source came up)."""
    rng = random.Random(seed)
    faults, seen = [], Counter()
    for i in range(count):
        row = rng.choice(ROWS)
        text = hedged(rng, row) if i % 2 else mutated(rng)
        parsed = parse_answer(text, row)
        fault = fault_of(text, row, parsed)
        if i % 2 and fault is None and parsed.value is not None:
            fault = f"a hedge read as {parsed.value}"
        seen["hedge" if i % 2 else "mutated", parsed.reason or parsed.source] += 1
        if fault:
            faults.append((text, row, fault))
    return faults, seen


if __name__ == "__main__":
    count, seed = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, int(sys.argv[2]) if len(sys.argv) > 2 else 0
    start = time.perf_counter()
    faults, seen = run(count, seed)
    print(f"{count} texts in {time.perf_counter() - start:.0f} s: {len(faults)} faults")
    for key, number in sorted(seen.items()):
        print(*key, number)
    for text, row, fault in faults[:40]:
        print(repr(text), row["question_type"], row["ground_truth"], fault)
    sys.exit(bool(faults))
