"""The way an exercise is checked: a few calls with known answers, where the first failure is shown with a hint.

The failing case shows the call, what was expected and what came back; nothing is graded.
Left out: how a function is written, its speed, and inputs that no notebook uses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from traceback import extract_tb
from typing import Any


class NotYet(AssertionError):
    """An exercise that does not pass yet; the message shows the case and gives a hint.

    A notebook shows the message alone: how the check came to it is no help.
    """

    def _render_traceback_(self) -> list[str]:  # what IPython shows in place of a traceback
        return [f"Not yet: {self}"]


@dataclass(frozen=True)
class Case:
    """One call and its answer.

    Attributes:
        args, kwargs: what the function is called with.
        expected: what it shall return; numbers may be off by 1e-6.
        hint: what to think of where it returns something else.
        shown: the call as the message writes it; the arguments' own text by default.
        of: what is compared, a function of the function and the arguments (a gradient, say); its value by default.
        mistakes: values that a known mistake gives, each with its own hint.
    """

    args: tuple
    expected: Any
    hint: str
    kwargs: dict = field(default_factory=dict)
    shown: str | None = None
    of: Callable | None = None
    mistakes: tuple[tuple[Any, str], ...] = ()


def run_cases(name: str, function: Callable, cases: Sequence[Case]) -> None:
    """Call `function` with every case; print one line if all pass.

    Raises:
        NotYet: at the first case that raises, returns nothing, or returns something else.
    """
    if not callable(function):
        raise NotYet(f"{name} is {function!r}, not a function: write `def {name}(…):` and hand over its name")
    for case in cases:
        call = f"{name}({_arguments(case)})"
        try:
            called = function if case.of is None else partial(case.of, function)
            got = called(*case.args, **case.kwargs)
        except Exception as error:
            said = f"{call} raised {type(error).__name__}: {error}{_where(error)}"
            raise NotYet(f"{said}. Hint: {case.hint}") from error
        if got is None and case.expected is not None:
            raise NotYet(f"{call} gave None, expected {case.expected!r}: does every branch end with a return?")
        if not _same(got, case.expected):
            hint = next((hint for value, hint in case.mistakes if _same(got, value)), case.hint)
            raise NotYet(f"{call} gave {_plain(got)!r}, expected {case.expected!r}. Hint: {hint}")
    print(f"✓ {name}: all {len(cases)} cases pass")


def _where(error: Exception) -> str:
    """The line of the reader's own cell in which an error arose, where it arose in one."""
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if "ipykernel" in frame.filename]
    return f", in line {lines[-1]} of your cell" if lines else ""


def _arguments(case: Case) -> str:
    if case.shown is not None:
        return case.shown
    return ", ".join([*map(repr, case.args), *(f"{name}={value!r}" for name, value in case.kwargs.items())])


def _plain(value: Any) -> Any:
    """Arrays and tensors as lists, so that a message shows numbers."""
    return value.tolist() if hasattr(value, "tolist") else value


def _same(got: Any, expected: Any) -> bool:
    got = _plain(got)
    if isinstance(expected, (list, tuple)):
        same_kind = isinstance(got, (list, tuple)) and len(got) == len(expected)
        return same_kind and all(_same(g, e) for g, e in zip(got, expected, strict=True))
    if isinstance(expected, float) or (isinstance(expected, int) and not isinstance(expected, bool)):
        is_number = isinstance(got, (int, float)) and not isinstance(got, bool)
        return is_number and math.isclose(got, expected, rel_tol=1e-6, abs_tol=1e-6)
    return got == expected
