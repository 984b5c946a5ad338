"""SPARC (arXiv 2502.16911): which objects are in the room, from scores alone, debiased and fused over many prompts.

The paper takes a model that scores how well a text fits a picture, asks it about each name alone and about names in
company, and gets better rankings out of the same scores by arithmetic, without training and without labels
(`vsr_kit.evaluation.multi_label` has it, step by step as its released script takes them, in code of our own). Here the
score is read from a Qwen2-VL's answer (`vsr_kit.evaluation.presence`).

The miniature was never taught yes and no, and no question about what is not there. Readings were tried on 60 and 40
validation rooms, single prompts alone: yes against no ranks rooms below chance (mean average precision 20 %, chance
29), places and captions reach 35 to 55, how sure it is of a size 74, and a count above two against one up to two 85.
That last reading is taken, and nothing else was chosen. On these rooms standardising single prompts had been seen to
help (85 to 88) before the rule was written; nothing about compound prompts had been looked at.

    setting              SPARC                                    here
    model                CLIP, nine backbones                     the base; its cold start beside it
    names                20 to 81 classes                         24 categories
    single prompts       80 templates                             one question
    compound prompts     a language model's, objects found together   six pairs and three triples a name, by turns

Left out: company that is likely, since these rooms are furnished at random.
"""

from __future__ import annotations

from vsr_kit.claims.measures import Evidence, all_of
from vsr_kit.claims.recipe import Recipe, System
from vsr_kit.claims.rules import Claim, Finding, Measure, gain
from vsr_kit.evaluation.multi_label import map_difference

PAPER = "SPARC (arXiv 2502.16911)"
RULE = (
    "Reproduced if the difference's interval over rooms is above zero, not reproduced if at or below, else undecided."
)


def methods_minus(name: str, after: str, before: str, model: str = "mini") -> Measure:
    """The difference of two methods' mean average precision on the same scores, in points, over rooms.

    Args:
        name: of the finding.
        after, before: of `multi_label.METHODS`.
        model: a checkpoint whose scores the study has.
    """

    def measure(evidence: Evidence) -> dict[str, Finding]:
        found = evidence.object_scores()
        return {name: map_difference(found.by_method(model), found.labels_CN, after, before)}

    return measure


_MEASURED = (
    "24 names in 120 held-out procedural rooms, one clip each: mean over names of the average precision of the ranked "
    "rooms, 95 % bootstrap interval over rooms (one network, so seeds do not vary)."
)
CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="sparc-fusing-helps",
        says="Debiased and fused over compound prompts, the same model's scores rank objects better.",
        source=f"{PAPER}, where it holds for nine CLIP backbones on three data sets",
        measured=f"{_MEASURED} SPARC's score minus the single prompt's plain score. Its two steps stand beside it.",
        rule=RULE,
        decide=gain("fused_minus_plain"),
        measure=all_of(
            methods_minus("fused_minus_plain", "fused", "plain"),
            methods_minus("standardised_minus_plain", "standardised", "plain"),
            methods_minus("fused_minus_standardised", "fused", "standardised"),
        ),
        untrained=("mini",),
        caveat=(
            "On validation rooms the first of the two steps had been seen to help before the rule was written. The "
            "score is read from counts, of which the base was taught none below two."
        ),
    ),
    Claim(
        name="sparc-second-highest",
        says="Of the compound prompts that hold a name, the second-highest score tells more than the highest.",
        source=f"{PAPER}, its finding on the weakness of the maximum",
        measured=f"{_MEASURED} The second-highest of a name's nine debiased compound scores minus the highest.",
        rule=RULE,
        decide=gain("second_minus_highest"),
        measure=methods_minus("second_minus_highest", "second", "highest"),
        untrained=("mini",),
        caveat="The paper's compounds name objects that are found together; these rooms are furnished at random.",
    ),
)

RECIPE = Recipe(
    name="sparc",
    about="Which objects are in the room, from many prompts' scores",
    claims=CLAIMS,
    system=System(
        title="SPARC",
        source="arXiv 2502.16911",
        mechanism="scores standardised per clip and prompt, compound prompts ranked and fused",
        section="16_recipes_around_it",
        try_it="vsr claims sparc",
    ),
)
