"""Claims: every rule at its edges, and that what a rule says in words is what its code can decide."""

from dataclasses import dataclass
from itertools import product

import pytest

from vsr_kit import claims, recipes
from vsr_kit.claims import Count, rules
from vsr_kit.recipes import CLAIMS

YES, NO, OPEN, SOME = claims.REPRODUCED, claims.NOT_REPRODUCED, claims.UNDECIDED, claims.SOME_RUNS


@dataclass(frozen=True)
class Band:
    """An interval as a rule sees it."""

    low: float
    high: float
    mean: float = 0.0


@dataclass(frozen=True)
class Both(Band):
    """One with Student's interval beside the bootstrap's."""

    student: tuple[float, float] | None = None


ABOVE, BELOW, AROUND = Band(0.1, 2), Band(-2, -0.1), Band(-1, 1)
TOUCHES_FROM_ABOVE, TOUCHES_FROM_BELOW = Band(0, 2), Band(-2, 0)


@pytest.mark.parametrize(
    "a, b, wanted",
    [
        (ABOVE, ABOVE, YES),
        (ABOVE, AROUND, OPEN),
        (ABOVE, TOUCHES_FROM_ABOVE, OPEN),  # zero itself is no gain
        (ABOVE, TOUCHES_FROM_BELOW, NO),
        (ABOVE, BELOW, NO),
        (AROUND, AROUND, OPEN),
        (BELOW, ABOVE, NO),
    ],
)
def test_a_gain_must_be_above_zero_everywhere(a, b, wanted):
    assert rules.gain("a", "b")({"a": a, "b": b, "other": BELOW}) == wanted


@pytest.mark.parametrize(
    "a, b, wanted",
    [
        (AROUND, AROUND, YES),
        (AROUND, TOUCHES_FROM_ABOVE, YES),
        (BELOW, BELOW, YES),
        (BELOW, ABOVE, NO),
        (ABOVE, AROUND, NO),
    ],
)
def test_no_gain_holds_unless_one_is_above_zero(a, b, wanted):
    assert rules.no_gain("a", "b")({"a": a, "b": b}) == wanted


@pytest.mark.parametrize(
    "student, wanted, not_above, below_one",
    [
        ((0.1, 3.0), YES, NO, claims.HOLDS_LIMIT),
        ((-0.1, 3.1), OPEN, YES, claims.HOLDS_LIMIT),
        ((-3.0, 0.0), NO, YES, YES),
        ((1.0, 3.0), YES, NO, NO),
        (None, YES, NO, claims.HOLDS_LIMIT),  # no side has several seeds: the bootstrap's decides
    ],
)
def test_students_interval_decides_where_a_rule_says_so(student, wanted, not_above, below_one):
    found = {"a": Both(0.5, 2, student=student)}
    assert rules.gain("a", by="student")(found) == wanted
    assert rules.no_gain("a", by="student")(found) == not_above
    assert rules.below("a", 1.0, by="student")(found) == below_one
    for rule in (rules.gain("a"), rules.gain("a", by="bootstrap")):
        assert rule(found) == YES
    assert (rules.no_gain("a")(found), rules.below("a", 1.0)(found)) == (NO, claims.HOLDS_LIMIT)


def test_a_rule_by_another_interval_is_refused():
    for make in (rules.gain, rules.no_gain, lambda name, by: rules.below(name, 1.0, by)):
        with pytest.raises(ValueError, match="by is 'wald': choose one of bootstrap, student"):
            make("a", by="wald")


@pytest.mark.parametrize(
    "shown, wanted",
    [
        (Count(0, 3), NO),
        (Count(1, 3), SOME),
        (Count(2, 3), YES),
        (Count(3, 3), YES),
        (Count(3, 5), SOME),
        (Count(4, 6), YES),
    ],
)
def test_most_runs_are_two_thirds(shown, wanted):
    assert rules.most_runs("a")({"a": shown}) == wanted


@pytest.mark.parametrize(
    "shown, other, wanted",
    [
        (Count(3, 3), Count(0, 3), YES),
        (Count(2, 3), Count(0, 3), YES),
        (Count(1, 3), Count(0, 3), SOME),
        (Count(0, 3), Count(0, 3), NO),
        (Count(3, 3), Count(1, 3), SOME),
        (Count(3, 3), Count(3, 3), NO),
        (Count(2, 3), Count(2, 3), NO),
        (Count(2, 3), Count(1, 1), NO),  # shares are compared, not counts
        (Count(2, 4), Count(1, 3), SOME),
    ],
)
def test_what_must_never_happen_counts_against_most_runs(shown, other, wanted):
    assert rules.most_runs("a", never="b")({"a": shown, "b": other}) == wanted


@pytest.mark.parametrize(
    "band, wanted",
    [
        (Band(30, 39.9), YES),
        (Band(30, 40), claims.HOLDS_LIMIT),
        (Band(39.9, 45), claims.HOLDS_LIMIT),
        (Band(40, 45), NO),
        (Band(50, 60), NO),
    ],
)
def test_below_a_limit(band, wanted):
    assert rules.below("a", 40.0)({"a": band}) == wanted


@pytest.mark.parametrize(
    "first, then, wanted",
    [
        (Count(6, 6), Count(0, 6), claims.BUILT_IN),
        (Count(5, 6), Count(6, 6), YES),
        (Count(0, 6), Count(0, 6), NO),
        (Count(5, 6), Count(1, 6), SOME),
    ],
)
def test_built_in_if_every_run_begins_so(first, then, wanted):
    decide = rules.built_in_if_all("a", rules.most_runs("b"))
    assert decide({"a": first, "b": then}) == wanted


# -- words and code ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Either:
    """A finding of both kinds, so that any rule can look at it."""

    low: float
    high: float
    k: int
    of: int = 3
    mean: float = 0.0

    @property
    def student(self) -> tuple[float, float]:
        return self.low, self.high


FINDINGS = [
    Either(*band, k) for band, k in product([(1, 2), (-1, 1), (-2, -1), (30, 50), (45, 50), (0.5, 45)], (0, 1, 2, 3))
]


class Asked(dict):
    """Findings that are all the same, and the names that a rule asked for."""

    def __init__(self, finding):
        self.finding, self.names = finding, set()

    def __missing__(self, name):
        self.names.add(name)
        return self.finding


def names_of(decide) -> list[str]:
    found = [Asked(finding) for finding in FINDINGS]
    for asked in found:
        decide(asked)
    return sorted(set().union(*(asked.names for asked in found)))


def reachable(decide) -> set[str]:
    names = names_of(decide)
    return {decide(dict(zip(names, drawn, strict=True))) for drawn in product(FINDINGS, repeat=len(names))}


@pytest.mark.parametrize("known", CLAIMS, ids=lambda known: known.name)
def test_a_claim_says_in_words_what_it_can_decide(known):
    words, verdicts = known.rule.lower(), reachable(known.decide)
    assert verdicts <= set(claims.VERDICTS)
    if known.scale:
        assert verdicts == {claims.NOT_TESTABLE} and words == "none here." and not known.needs
        return
    assert {YES, NO} <= verdicts and "reproduced" in words
    assert "not reproduced" in words or "reproduced unless" in words
    assert ("undecided" in words) == bool(verdicts & {OPEN, SOME, claims.HOLDS_LIMIT})
    assert ("built in" in words) == (claims.BUILT_IN in verdicts)
    assert claims.NOT_TESTABLE not in verdicts and len(verdicts & {OPEN, SOME, claims.HOLDS_LIMIT}) <= 1
    assert ("runs" in words) == (SOME in verdicts)


@pytest.mark.parametrize("known", CLAIMS, ids=lambda known: known.name)
def test_a_claim_is_stated_in_full(known):
    for field in ("name", "says", "source", "measured", "rule", "caveat"):
        text = getattr(known, field)
        assert text and text == text.strip() and "  " not in text, field
    for field in ("says", "measured", "rule", "caveat"):
        assert getattr(known, field).endswith("."), field
    assert known.name == known.name.lower() and " " not in known.name


def test_claims_are_looked_up_by_name():
    assert len({known.name for known in CLAIMS}) == len(CLAIMS) == sum(len(recipe.claims) for recipe in recipes.RECIPES)
    assert all(recipes.claim(known.name) is known for known in CLAIMS)
    with pytest.raises(ValueError, match="no claim is called 'x': there are cot-prompts-do-not-help, grpo-lifts, "):
        recipes.claim("x")
    scaled = {"small-model-beats-gpt-4o", "seven-billion-near-72b", "seven-billion-on-mathematics"}
    assert {known.name for known in CLAIMS if known.scale} == scaled
    assert [known.name for known in CLAIMS if not known.needs and not known.scale] == [
        "cot-prompts-do-not-help",
        "centre-labels-cap-distance",
        "cold-start-makes-chains-pay",
        "overthinking-after-cold-start",
        "thinking-budget-pays",
        "sparc-fusing-helps",
        "sparc-second-highest",
    ]
