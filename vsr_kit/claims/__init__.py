"""Claims: their form, and the rules that turn measured findings into a verdict.

rules.py has the claim and its rules, measures.py how findings are measured, recipe.py what a recipe is made of. The
claims themselves are in `vsr_kit.recipes`, each with its recipe; `vsr_kit.study.judge` measures and decides.
Left out: data. The rules were written before any result.
"""

from vsr_kit.claims.rules import (
    BUILT_IN,
    GAIN,
    GAIN_BY_STUDENT,
    HOLDS_LIMIT,
    MOST_RUNS,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    SOME_RUNS,
    UNDECIDED,
    VERDICTS,
    Claim,
    Count,
    Finding,
    Interval,
    Rule,
    below,
    built_in_if_all,
    gain,
    gain_rule,
    most_runs,
    no_gain,
    not_testable,
)

__all__ = [
    "BUILT_IN",
    "GAIN",
    "GAIN_BY_STUDENT",
    "HOLDS_LIMIT",
    "MOST_RUNS",
    "NOT_REPRODUCED",
    "NOT_TESTABLE",
    "REPRODUCED",
    "SOME_RUNS",
    "UNDECIDED",
    "VERDICTS",
    "Claim",
    "Count",
    "Finding",
    "Interval",
    "Rule",
    "below",
    "built_in_if_all",
    "gain",
    "gain_rule",
    "most_runs",
    "no_gain",
    "not_testable",
]
