"""OpenVLThinker (arXiv 2503.17352): a loop of SFT on one's own short right chains and GRPO that grows harder.

A round has two trainings. SFT takes the shortest right rollout of each question, written by the model of the round
before, and always begins at the base: what a round hands on is texts, not weights. GRPO goes on from there, first on
questions of medium difficulty, then on hard ones, where difficulty is the base's own error on a question. The paper
does three rounds; it reports that each SFT lowers the score and the GRPO after it lifts it above what was there before.

Here the base is the shipped cold start, whose chains compute, and there are two rounds: four trainings of one seed,
each a variant. The control is the shipped vr1-long, one run of 120 steps of GRPO from the same base with the same
rate, group, cap and reward, five seeds. The loop was planned for its tokens (515 thousand): twice 384 rollouts for
texts, two SFTs of 96 texts, 56 steps of GRPO. The rollouts by which the base's error is known are those of the first
SFT, drawn once more and counted once. Ours is written from the paper, not from its released code.

| setting | published | here |
|---|---|---|
| rounds | 3 | 2 |
| weight of the KL term | 1e-2 | 1e-2 |
| SFT begins at | the base | the base, with a fresh adapter |
| difficulty | the base's error | the base's error in 2 rollouts; the middle and the last third |
| texts of an SFT | own right chains, long ones left out | the shortest right one of 2 rollouts |

Left out: the third round, the paper's first chains (distilled from a text-only model), and its three sources of
questions by difficulty.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from vsr_kit.claims.measures import all_of, minus
from vsr_kit.claims.recipe import THREE_SEEDS, WATCHED, WORDS_SET, Condition, Recipe, System, Variant
from vsr_kit.claims.rules import GAIN_BY_STUDENT, Claim, gain
from vsr_kit.data import first_of_types
from vsr_kit.recipes.ptst import BETA, GRPO_RATE, LONGEST, NOT_PAID
from vsr_kit.recipes.vision_r1 import ASKED, CHAINS_RATE, COLD, QUESTIONS, TUNED
from vsr_kit.rewards.hard import hard_reward
from vsr_kit.training.joints import Stage
from vsr_kit.training.methods import GRPO, SFT
from vsr_kit.training.phases import Given, Phase

PAPER = "OpenVLThinker (arXiv 2503.17352)"
ROUNDS = 2
PER_TYPE, DRAWS = 32, 2  # questions of each type that the loop is about, and rollouts of each for texts and errors
SFT_STEPS, GRPO_STEPS = 12, 28
CONTROL = "vr1-long"


@dataclass(frozen=True)
class OwnChains(SFT):
    """SFT on the shortest right rollouts of whatever it starts from, itself always from a fresh adapter.

    Attributes:
        per_type: so many questions of each type are asked for texts, the first ones.
        draws: rollouts of each.
    """

    per_type: int = 0
    draws: int = 1

    def trainer(self, profile, config, loaded, rows, clips, features=None, recorder=None):
        from vsr_kit.training.methods import enough, trainer_arguments
        from vsr_kit.training.own_rollouts import OwnChainsTrainer

        return OwnChainsTrainer(
            questions=first_of_types(rows, self.per_type),
            mode=self.mode,
            how=_how(self, profile, config),
            check=partial(enough, profile=profile, what="questions with a right rollout"),
            **trainer_arguments(profile, config, loaded, clips, features),
        )


@dataclass(frozen=True)
class MediumThenHard(GRPO):
    """GRPO that asks the middle third of the questions by the base's error, and in its second half the last third.

    Attributes:
        per_type, draws: as `OwnChains` has them; a question's error is the share of its rollouts that are wrong.
    """

    per_type: int = 0
    draws: int = 1

    def trainer(self, profile, config, loaded, rows, clips, features=None, recorder=None):
        from vsr_kit.training.own_rollouts import draw_groups, errors

        asked = first_of_types(rows, self.per_type)
        # Before the adapter that training starts from is put in: this is the base.
        how = _how(self, profile, config)
        groups = draw_groups(loaded.model, loaded.processor, asked, clips, self.mode, **how)
        medium, hard = by_difficulty(errors(asked, groups, self.mode))
        half = max(1, config.max_steps // 2)
        stages = (
            Stage(0, questions=lambda row: row["id"] in medium, rewards=NOT_PAID),
            Stage(half, questions=lambda row: row["id"] in hard, rewards=NOT_PAID),
        )
        own = replace(self, stages=stages)
        GRPO.check(own, profile, rows)
        return GRPO.trainer(own, profile, config, loaded, rows, clips, features, recorder)


def _how(method, profile, config) -> dict:
    """How rollouts are drawn for texts and for errors: alike, so that those of the base are the same in both."""
    cap = profile.max_completion_length(method.mode)
    return {"num_samples": method.draws, "max_new_tokens": cap, "seed": config.seed}


def by_difficulty(error: Mapping[Any, float]) -> tuple[set, set]:
    """Ids of the questions of medium error and of those of large error: the middle third and the last.

    Thirds, not thresholds, so that both are there however good a base is. Equal errors, of which few rollouts make
    many, are in the order of a hash of the ids: in the order given, by type, a third would be two types of question.

    Raises:
        ValueError: fewer than three questions.
    """
    if len(error) < 3:
        raise ValueError(f"{len(error)} questions have no thirds: give at least three")
    order = sorted(error, key=lambda name: (error[name], zlib.crc32(str(name).encode())))
    third = len(order) // 3
    return set(order[third:-third]), set(order[-third:])


CHAINS = OwnChains("think", per_type=PER_TYPE, draws=DRAWS)
REINFORCED = MediumThenHard(
    "think",
    detectors=(*WATCHED, "thinking_words"),
    rewards=(hard_reward("think"),),
    per_type=PER_TYPE,
    draws=DRAWS,
)


def _variant(name: str, how, rate: float, starts_from: str, **changes) -> Variant:
    changes = {"model": COLD, "max_chain_tokens": LONGEST} | changes
    more: dict[str, Any] = {
        "asked": ((WORDS_SET, "think", "own"),),
        "seeds": THREE_SEEDS,
        "learning_rate": rate,
    } | ASKED
    return Variant(
        name, "openvlthinker", "vr1-full", mode="think", changes=changes, how=how, starts_from=starts_from, **more
    )


def _rounds(count: int) -> tuple[Variant, ...]:
    """SFT and GRPO of each round; an SFT starts from the GRPO before it for its texts alone."""
    found: list[Variant] = []
    grpo = {"steps": GRPO_STEPS, "beta": BETA, "questions_per_step": QUESTIONS, "groups_per_pass": QUESTIONS}
    for number in range(1, count + 1):
        before = f"ovt-grpo-{number - 1}" if number > 1 else ""
        found.append(_variant(f"ovt-sft-{number}", CHAINS, CHAINS_RATE, before, steps=SFT_STEPS))
        how = {"num_generations": 4} | grpo
        found.append(_variant(f"ovt-grpo-{number}", REINFORCED, TUNED["vr1-full"], f"ovt-sft-{number}", **how))
    return tuple(found)


VARIANTS = _rounds(ROUNDS)
BASE = tuple(Condition(WORDS_SET, COLD, mode, **ASKED) for mode in ("think", "vanilla"))
_MEASURED = (
    "Mean of the six trained tasks on held-out procedural rooms, VSI-100k's words, the training prompt for thinking, "
    f"greedy, a cap of {LONGEST} tokens, read by the lenient parser; paired by question. "
)

CLAIMS = (
    Claim(
        name="loop-beats-one-long-run",
        says="Two rounds of SFT on own chains and GRPO do better than one long run of GRPO with as many tokens.",
        source=f"{PAPER}, iterations against RL alone",
        measured=f"{_MEASURED}The loop's last model, three seeds, minus {CONTROL}, five seeds.",
        rule=GAIN_BY_STUDENT,
        decide=gain("loop_minus_long", by="student"),
        measure=minus("loop_minus_long", f"ovt-grpo-{ROUNDS}", CONTROL, questions=WORDS_SET),
        caveat=(
            "Half of the loop's tokens go into rollouts for texts, and its questions are 192 where the long run has "
            "480. The cold start's chains are right already, so SFT has less to bring out than in the paper."
        ),
        needs=(f"ovt-grpo-{ROUNDS}", CONTROL),
    ),
    Claim(
        name="each-sft-dips",
        says="After each SFT on own chains a model scores below the one that wrote them.",
        source=f"{PAPER}, scores after each SFT and each GRPO",
        measured=(
            f"{_MEASURED}The writer minus its SFT: the cold start minus ovt-sft-1, and ovt-grpo-1 minus ovt-sft-2; "
            "three seeds. What GRPO wins back afterwards is told beside them and is no part of the rule."
        ),
        rule=(
            "Reproduced if Student's intervals of both differences are above zero, not reproduced if one is at or "
            "below, else undecided."
        ),
        decide=gain("cold_start_minus_sft_1", "grpo_1_minus_sft_2", by="student"),
        measure=all_of(
            minus("cold_start_minus_sft_1", COLD, "ovt-sft-1", questions=WORDS_SET),
            minus("grpo_1_minus_sft_2", "ovt-grpo-1", "ovt-sft-2", questions=WORDS_SET),
            minus("grpo_1_minus_sft_1", "ovt-grpo-1", "ovt-sft-1", questions=WORDS_SET),
            minus("grpo_2_minus_sft_2", "ovt-grpo-2", "ovt-sft-2", questions=WORDS_SET),
        ),
        caveat=(
            "The second dip is partly built in: SFT restarts from the base and loses the weights that GRPO trained. "
            "The cold start often fails to end; texts that end may lift the first SFT instead."
        ),
        needs=("ovt-sft-1", "ovt-grpo-1", "ovt-sft-2", "ovt-grpo-2"),
        untrained=(COLD,),
    ),
)


def _sft(given: Given) -> tuple[SFT, dict]:
    return CHAINS, {"steps": given.steps}


def _grpo(given: Given) -> tuple[GRPO, dict]:
    rate = GRPO_RATE * given.profile.learning_rate
    return REINFORCED, {"steps": given.steps, "beta": BETA, "learning_rate": rate}


def _phases(count: int) -> tuple[Phase, ...]:
    texts = "SFT from the base on the shortest right chains of the model so far."
    harder = "GRPO on questions of medium difficulty, then on hard ones."
    found: list[Phase] = []
    for number in range(1, count + 1):
        found.append(Phase(f"own-chains-{number}", texts, _sft, needs_chains=False))
        found.append(Phase(f"medium-then-hard-{number}", harder, _grpo, needs_chains=False))
    return tuple(found)


def spent(logs: Sequence[Sequence[Mapping]]) -> int:
    """Tokens of a loop: those of its trainings, and of the rollouts that texts were chosen from.

    Args:
        logs: the log rows of its trainings, as `Study.curves` gives them for each variant and seed.
    """
    trained = sum(max((row.get("num_tokens", 0) for row in rows), default=0) for rows in logs)
    drawn = sum(next((row["rollouts/tokens"] for row in rows if "rollouts/tokens" in row), 0) for rows in logs)
    return round(trained + drawn)


RECIPE = Recipe(
    "openvlthinker",
    "A loop of SFT on own short right chains, always from the base, and GRPO from medium to hard questions",
    VARIANTS,
    CLAIMS,
    BASE,
    phases=_phases(ROUNDS),
    system=System(
        title="OpenVLThinker",
        source="arXiv 2503.17352",
        mechanism="SFT on own short right chains from the base, GRPO medium then hard, repeated",
        section="15_recipes_for_rl",
        try_it="vsr train --recipe openvlthinker --steps 5",
        kl="1e-2",
        kl_here="1e-2",
        trained="ovt-grpo-2",
    ),
)
