"""What a claim is, and the rules that turn what was measured into a verdict.

The claims themselves are in `vsr_kit.recipes`, each with its recipe; `vsr_kit.study.judge` measures and decides.
Left out: data. Nothing here has seen a result.
"""

from vsr_kit.claims.rules import (
    BUILT_IN,
    GAIN,
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
