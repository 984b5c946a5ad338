"""Which chains are kept: those with the right answer that are consistent. Each rule has a name; RULES is the table.

Vision-R1 keeps a chain only if its answer is right, and drops logically inconsistent ones (arXiv 2503.06749); how it
tells them is not stated, so the rules are ours. A chain that breaks several is dropped for all of them, and the first
in the table's order is counted. Where nothing was written, or a text was cut, no other rule is asked.

An answer is right if it is the true option, or a number that differs from the true one by at most TOLERANCE of it. The
chain's own conclusion is the last "the answer is …" in it; else what quality.py works out of a chain in the kit's
language, of which places alone conclude nothing and pass; else the last number, or the last option, that it names. It
and the answer may differ by rounding, AS_ROUNDED.
Left out: whether what a chain says of the room is true and its sums are right, which needs the room (quality.py), and
denials in other words than English.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vsr_kit.bridging.asking import LENGTH, REFUSED, Written
from vsr_kit.bridging.chains import Chain, read_chain
from vsr_kit.bridging.quality import conclusion
from vsr_kit.prompts import Parsed, answer_choices, parse_answer, same_answer
from vsr_kit.prompts.candidates import find_choices, find_phrase
from vsr_kit.prompts.markup import plain
from vsr_kit.prompts.numbers import Mention, find_quantities
from vsr_kit.validation import text_fault

TOLERANCE = 0.1
AS_ROUNDED = 0.02  # 3.16 m and "3.2"
_TAIL = 2000  # characters of a chain in which its conclusion is looked for

_THINK = re.compile(r"<\s?think\s?>", re.IGNORECASE)
_THINK_END = re.compile(r"<\s?/\s?think\s?>", re.IGNORECASE)
_ANSWER = re.compile(r"<\s?answer\s?>", re.IGNORECASE)
_ANNOUNCED = re.compile(r"<\s?answer\s?>|\bthe (?:final )?answer is\b", re.IGNORECASE)
_CLIP = (
    r"(?:the |any |this |an? |your )?(?:actual |attached )?(?:video|clip|image|picture|photo|frame|footage|scene)s?\b"
)
_DENIAL = re.compile(
    r"\b(?:can ?not|can[’']t|could not|couldn[’']t|unable to|not able to|do not|don[’']t|did not|didn[’']t|never)"
    rf"(?: \w+)? (?:see|view|watch|access|look at|observe|open|have access to|have) {_CLIP}"
    rf"|\b(?:no|without(?: \w+)?) (?:access to |seeing |viewing |watching )?{_CLIP}"
    r"(?: (?:was|were|is|are|has been)\b(?: \w+)? (?:provided|given|attached|shown|available|included))?"
    r"|\bas an? (?:ai|language model|text-based|text-only)\b",
    re.IGNORECASE,
)
_MENTION = re.compile(
    r"\bdescri(?:ptions?|bed|bes?)\b|\bcaptions?\b|\bnotes? (?:say|state|mention)s?\b"
    r"|\b(?:the |this )?(?:text|passage|prompt) (?:says|states|mentions|gives|tells|provides)\b"
    r"|\b(?:given|provided) (?:text|passage|information|details)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Finished:
    """A chain as the rules see it: the question with its truth, what was written, and how far a number may be off."""

    row: Mapping[str, Any]
    written: Written
    tolerance: float = TOLERANCE

    @cached_property
    def chain(self) -> str:
        """The thoughts alone."""
        return chain_of(self.written.text)

    @cached_property
    def parsed(self) -> Parsed:
        """The answer, as `parse_answer` reads it behind the thoughts."""
        return parse_answer(self.written.text, self.row)

    @cached_property
    def answer(self) -> str | None:
        """The answer as it is learnt: the true one's spelling where it is the true one."""
        if self.parsed.value is None:
            return None
        truth = str(self.row["ground_truth"])
        return truth if same_answer(self.parsed.value, truth, self.parsed.kind) else self.parsed.value


@dataclass(frozen=True)
class Rule:
    """One rule. breaks: f(Finished) -> what breaks it, in a few words, or None. alone: no later rule is then asked."""

    name: str
    says: str
    breaks: Callable[[Finished], str | None]
    alone: bool = False


def chain_of(text: str) -> str:
    """The thoughts of a completion: between the tags, before the closing one, or before an answer is announced."""
    end = _THINK_END.search(text)
    start = _THINK.search(text)
    if end:
        begin = start.end() if start and start.end() <= end.start() else 0
        return text[begin : end.start()].strip("\r\n\t").rstrip()
    if start:
        return text[start.end() :].strip("\r\n\t").rstrip()
    return _ANNOUNCED.split(text, maxsplit=1)[0].strip("\r\n\t").rstrip()


def concluded(chain: str, row: Mapping) -> str | None:
    """What a chain itself comes to: stated, worked out by the kit's language, or named last; None for nothing."""
    stated = parse_answer(chain, row)
    if stated.source == "statement":
        return stated.value
    said = read_chain(chain)
    worked_out = conclusion(chain, said, row)
    if worked_out is not None or _facts_alone(said):
        return worked_out
    tail = plain(chain[-_TAIL:])
    found = [mention for mention in _mentions(tail, row, stated.kind) if mention.value]
    return found[-1].value if found else None


def _facts_alone(said: Chain) -> bool:
    """Whether a chain in the kit's language states places and draws nothing from them."""
    return bool(said.places) and not (said.steps or said.turns or said.closest or said.sums or said.counts)


def _mentions(text: str, row: Mapping, kind: str) -> list[Mention]:
    if kind == "number":
        return find_quantities(text, row["question_type"])
    choices = answer_choices(row)
    return find_choices(text, choices) if choices else find_phrase(text)


def is_right(value: str, row: Mapping, kind: str, tolerance: float = TOLERANCE) -> bool:
    """Whether a parsed answer is the true one, or a number within `tolerance`, a share of the truth, of it."""
    truth = str(row["ground_truth"])
    if kind != "number":
        return same_answer(value, truth, kind)
    return abs(float(value) - float(truth)) <= tolerance * abs(float(truth)) + 1e-9


def _agree(value: str, own: str, kind: str) -> bool:
    if kind != "number":
        return same_answer(value, own, kind)
    a, b = float(value), float(own)
    return abs(a - b) <= AS_ROUNDED * max(abs(a), abs(b)) + 1e-9


def _refused(one: Finished) -> str | None:
    return (one.written.detail or "no reason given") if one.written.finish == REFUSED else None


def _truncated(one: Finished) -> str | None:
    if one.written.finish == LENGTH:
        return "cut by the cap on tokens"
    text = one.written.text
    return "a thought that never ends" if _THINK.search(text) and not _THINK_END.search(text) else None


def _several(one: Finished) -> str | None:
    text = one.written.text
    for pattern, what in ((_ANSWER, "answer tags"), (_THINK, "thoughts"), (_THINK_END, "ends of thoughts")):
        if (count := len(pattern.findall(text))) > 1:
            return f"{count} {what}"
    return "an answer inside the thoughts" if _ANSWER.search(one.chain) else None


def _wrong(one: Finished) -> str | None:
    value = one.parsed.value
    if value is None or is_right(value, one.row, one.parsed.kind, one.tolerance):
        return None
    return f"{value} instead of {one.row['ground_truth']}"


def _other(one: Finished) -> str | None:
    value, own = one.parsed.value, concluded(one.chain, one.row)
    if value is None or not one.chain or (own is not None and _agree(value, own, one.parsed.kind)):
        return None
    if own is None and _facts_alone(read_chain(one.chain)):
        return None
    return f"the chain comes to {own or 'nothing'}, the answer is {value}"


def _found(pattern: re.Pattern) -> Callable[[Finished], str | None]:
    def breaks(one: Finished) -> str | None:
        match = pattern.search(one.chain)
        return repr(match[0][:80]) if match else None

    return breaks


RULES: tuple[Rule, ...] = (
    Rule("refused", "the writer wrote something", _refused, alone=True),
    Rule("truncated", "the text ends by itself", _truncated, alone=True),
    Rule("control text", "it holds nothing that a chat model obeys", lambda one: text_fault(one.written.text, True)),
    Rule("no chain", "there is a thought before the answer", lambda one: None if one.chain.strip() else "no thought"),
    Rule("several answers", "one thought, then one answer", _several),
    Rule("unread", "an answer can be read", lambda one: one.parsed.reason),
    Rule("wrong answer", f"the answer is right; a number to {TOLERANCE:.0%} by default", _wrong),
    Rule("other conclusion", "the answer is what the chain comes to", _other),
    Rule("denies seeing", "it does not say that there is no clip", _found(_DENIAL)),
    Rule("mentions the description", "it does not speak of a text it was given", _found(_MENTION)),
)


def faults(row: Mapping, written: Written, tolerance: float = TOLERANCE) -> dict[str, str]:
    """The rules that a chain breaks, by name, each with what breaks it; empty for a chain that is kept."""
    one, broken = Finished(row, written, tolerance), {}
    for rule in RULES:
        if (what := rule.breaks(one)) is not None:
            broken[rule.name] = what
            if rule.alone:
                break
    return broken


def stage_fault(written: Written) -> tuple[str, str] | None:
    """The rule that a pseudo-CoT or a description breaks, so that nothing can be built on it; None if none.

    Returns:
        (name, what breaks it): `refused`, `truncated`, `control text`, or `empty`.
    """
    if written.finish == REFUSED:
        return "refused", written.detail or "no reason given"
    if written.finish == LENGTH:
        return "truncated", "cut by the cap on tokens"
    if not written.text.strip():
        return "empty", "nothing but spaces"
    fault = text_fault(written.text, True)
    return ("control text", fault) if fault else None
