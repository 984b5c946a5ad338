"""What a setting may be: one rule for the command line, a notebook and a record that is read back.

The story: a run of hours that ends in "zip() argument 2 is longer" began with a number that no run can use. Numbers are
therefore checked where they enter, before anything is loaded or written, and whoever is refused reads the name, the
value, the rule and what to do. NaN, infinity, negative numbers, halves and booleans are no numbers of anything here.
Left out: rules between several settings, which stand with what they are about.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real

MAX_SEED = 2**32 - 1  # what NumPy's global generator takes, which trainers seed
MIN_TEMPERATURE = 1e-3  # below it logits divided by it leave what a float can tell apart
MAX_TEMPERATURE = 1e3


def whole(name: str, value, least: int = 1, most: int | None = None, remedy: str = "") -> None:
    """ValueError unless `value` is a whole number from `least` to `most`."""
    is_number = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_number or value < least or (most is not None and value > most):
        upper = f" and at most {most}" if most is not None else ""
        raise ValueError(_told(name, value, f"must be a whole number of at least {least}{upper}", remedy))


def real(name: str, value, least: float = 0.0, above: bool = False, remedy: str = "") -> None:
    """ValueError unless `value` is a finite number of at least `least`, or above it if that is asked for."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < least or (above and value == least):
        rule = f"must be a finite number {'above' if above else 'of at least'} {least:g}"
        raise ValueError(_told(name, value, rule, remedy))


def one_of(name: str, value, known: Iterable, remedy: str = "") -> None:
    """ValueError unless `value` is one of `known`."""
    known = list(known)
    if value not in known:
        choices = ", ".join("none" if each is None else str(each) for each in known)
        raise ValueError(_told(name, value, f"choose one of {choices}", remedy))


def seed(value) -> None:
    """ValueError unless `value` can seed every generator that a run has."""
    whole("seed", value, 0, MAX_SEED)


def drawing(max_new_tokens, temperature, num_samples, seed_value) -> None:
    """ValueError unless answers can be drawn so: the cap in tokens, the temperature, the answers of a question."""
    whole("max_new_tokens", max_new_tokens)
    whole("samples", num_samples)
    real("temperature", temperature, remedy="0 is greedy, 1 is the model's own distribution")
    if temperature and not MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE:
        rule = f"must be 0 (greedy), or from {MIN_TEMPERATURE:g} to {MAX_TEMPERATURE:g}"
        raise ValueError(_told("temperature", temperature, rule))
    if num_samples > 1 and not temperature:
        raise ValueError(
            f"num_samples is {num_samples} at temperature {temperature}: greedy samples are all the same; give a "
            "temperature above 0, or one sample"
        )
    seed(seed_value)


def _told(name: str, value, rule: str, remedy: str = "") -> str:
    return f"{name} is {value!r}: {rule}" + (f"; {remedy}" if remedy else "")
