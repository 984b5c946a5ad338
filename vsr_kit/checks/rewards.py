"""Exercises on what is paid: numbers, formats, thoughts. Left out: as in `vsr_kit.checks`."""

from __future__ import annotations

from collections.abc import Callable

from vsr_kit.checks.cases import Case, run_cases


def paper_numeric(function: Callable[[float, float], float]) -> None:
    """Notebook 00: the reward of a number, `(predicted, truth) -> 0 to 1`."""
    smaller = "divide |p - g| by the smaller of the two, not by the truth"
    floor = "a reward is never below 0: max(0, …)"
    cases = [
        Case((4.0, 4.0), 1.0, "no error earns 1"),
        Case((3.0, 4.0), 2 / 3, smaller),
        Case((5.0, 4.0), 0.75, smaller),
        Case((8.0, 4.0), 0.0, "twice the truth is an error of 1: 1 - 1 = 0"),
        Case((1.0, 4.0), 0.0, floor),
        Case((0.0, 4.0), 0.0, "the smaller of the two may be 0: nothing can be divided by it, and it earns nothing"),
        Case((-2.0, 4.0), 0.0, "a negative answer must not turn the sign of the error: it earns nothing"),
    ]
    run_cases("paper_numeric", function, cases)


def format_reward(function: Callable[[str, str], float | None]) -> None:
    """Notebook 08: `(text, mode) -> 1.0 or 0.0` for the strict format; None in vanilla mode."""
    whole = "the whole text must match (re.fullmatch): nothing before, between or after the two blocks but white space"
    lines = "a thought may run over several lines: in a pattern '.' stops at a line break without re.DOTALL"
    empty = "the shape is paid, not what is in it: empty blocks earn it, too, and that is the way to cheat"
    cases = [
        Case(("<think>Two beds.</think> <answer>2</answer>", "think"), 1.0, "this is what the prompt asks for"),
        Case(("<think>Two\nbeds.</think>\n<answer>2</answer>", "think"), 1.0, lines),
        Case(("Sure! <think>Two beds.</think> <answer>2</answer>", "think"), 0.0, whole),
        Case(("<think>Two beds.</think> <answer>2</answer>, I think", "think"), 0.0, whole),
        Case(("<think>Two beds.</think> so <answer>2</answer>", "think"), 0.0, whole),
        Case(("<answer>2</answer> <think>Two beds.</think>", "think"), 0.0, "first the thought, then the answer"),
        Case(("<think>Two beds.</think> <answer>2</answer>", "observe"), 0.0, "each mode has a tag of its own"),
        Case(("<observe>Two beds.</observe> <answer>2</answer>", "observe"), 1.0, "each mode has a tag of its own"),
        Case(("<think></think> <answer></answer>", "think"), 1.0, empty),
        Case(("2", "vanilla"), None, "vanilla asks for no tags: there is no such reward, so None"),
    ]
    run_cases("format_reward", function, cases)


def thought_reward(function: Callable[[str, str], float | None]) -> None:
    """Notebook 06: `(text, mode) -> 0 to 1`, for six different words in one strict pair of tags; None in vanilla."""
    end, six = " <answer>2</answer>", "one two three four five six"
    share = "different words / 6, at most 1; a word said twice, or in capitals, is one word (`words` takes case away)"
    once = "each of the four tags once: `tag_names` lists them, however sloppily spelled"
    cases = [
        Case((f"<think>{six}, seven</think>{end}", "think"), 1.0, share),
        Case((f"<think>Two beds.</think>{end}", "think"), 1 / 3, share),
        Case((f"<think>chair Chair chair chair chair chair</think>{end}", "think"), 1 / 6, share),
        Case((f"<think> </think>{end}", "think"), 0.0, "no word, no pay"),
        Case((f"<think></think><think>{six}</think>{end}", "think"), 0.0, once),
        Case((f"<think>{six} < Think ></think>{end}", "think"), 0.0, once),
        Case((f"{six} <think>lamp</think>{end}", "think"), 0.0, "nothing but the two blocks, as for the format"),
        Case((f"<think>{six}</think> <answer> </answer>", "think"), 0.0, "an answer block that holds no answer"),
        Case((f"<think>{six}</think>{end}", "observe"), 0.0, "each mode has a tag of its own"),
        Case((f"<observe>{six}</observe>{end}", "observe"), 1.0, "each mode has a tag of its own"),
        Case(("2", "vanilla"), None, "vanilla asks for no thought: there is no such reward, so None"),
    ]
    run_cases("thought_reward", function, cases)
