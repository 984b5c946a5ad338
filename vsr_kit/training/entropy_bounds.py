"""GRPO whose entropy is held between two bounds: a bonus below the lower, a penalty above the upper.

TRL's adaptive coefficient (`use_adaptive_entropy`) knows one side: it pays a bonus where entropy has fallen to a
target, and nothing above it. Here the sign of the coefficient follows from the entropy of the step before, so that a
policy is kept from collapsing and from dissolving. The bounds are shares of the entropy that the run began with, since
models differ: a miniature's one-word answers have 1 nat a token, a large model's chains a third of that.

`BoundedGRPO` is `methods.GRPO` with TRL's own trainer and one callback: before each step it sets TRL's `entropy_coef`,
which TRL logs. What it does follows from the log alone, which a checkpoint holds, so a resumed run is the same run.
Left out: bounds for each question type, and coefficients between none and the whole weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vsr_kit.training.methods import GRPO
from vsr_kit.validation import real, whole


@dataclass(frozen=True)
class EntropyBounds:
    """Between which shares of a run's first entropy the mean entropy of a token is to stay.

    Attributes:
        low, high: as shares of the mean over the first steps.
        weight: of the bonus or the penalty, for each nat.
        first: steps that the shares are of; nothing is held before they are over.
    """

    low: float = 0.75
    high: float = 1.0
    weight: float = 0.05
    first: int = 10

    def __post_init__(self) -> None:
        real("low", self.low, above=True)
        real("weight", self.weight, above=True)
        whole("first", self.first)
        if not self.high > self.low:
            raise ValueError(f"high is {self.high} and low {self.low}: high must be above low; raise it")

    def coefficient(self, entropies: Sequence[float]) -> float:
        """The coefficient of the coming step: weight below the lower bound, -weight above the upper, 0 between.

        entropies: of all steps so far, in nats a token.
        """
        zone = self.zone(entropies)
        if zone is None:
            return 0.0
        return self.weight if entropies[-1] < zone[0] else -self.weight if entropies[-1] > zone[1] else 0.0

    def zone(self, entropies: Sequence[float]) -> tuple[float, float] | None:
        """The bounds in nats; None while the first steps are not over."""
        if len(entropies) < self.first:
            return None
        begun = sum(entropies[: self.first]) / self.first
        return self.low * begun, self.high * begun

    def share_inside(self, rows: Sequence[Mapping]) -> float:
        """The share of a run's steps whose entropy lies between the bounds, of those after the first ones.

        Args:
            rows: a run's log, with `entropy` in each step's row.

        Raises:
            ValueError: no step after the first ones has an entropy.
        """
        entropies = [row["entropy"] for row in rows if row.get("entropy") is not None]
        zone, held = self.zone(entropies), entropies[self.first :]
        if zone is None or not held:
            raise ValueError(f"a log has {len(entropies)} steps with an entropy: bounds need more than {self.first}")
        return sum(zone[0] <= own <= zone[1] for own in held) / len(held)


@dataclass(frozen=True)
class BoundedGRPO(GRPO):
    """`methods.GRPO` with its entropy held between bounds.

    Attributes:
        bounds: the bounds; logged is `entropy_coef`, the coefficient of each step.
    """

    bounds: EntropyBounds = EntropyBounds()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.entropy_bonus:
            raise ValueError(
                f"entropy_bonus is {self.entropy_bonus}: bounds set the coefficient of each step; leave one out"
            )

    def joints(self) -> dict:
        """The bounds are recorded whatever they are: a GRPO without them is another method."""
        from vsr_kit.training.joints import described

        return super().joints() | {"bounds": described(self.bounds)}

    def config(self, profile, **settings):
        # TRL looks once whether there is a coefficient at all; the callback sets it before the first pass
        return super().config(profile, **{"entropy_coef": self.bounds.weight} | settings)

    def trainer(self, profile, config, loaded, rows, clips, features=None, recorder=None):
        from transformers import TrainerCallback

        trainer = super().trainer(profile, config, loaded, rows, clips, features, recorder)
        bounds = self.bounds

        class HoldEntropy(TrainerCallback):
            """Sets the trainer's coefficient before each step, by the entropies that were logged."""

            def on_step_begin(self, args, state, control, **kwargs):
                logged = [row["entropy"] for row in state.log_history if "entropy" in row]
                trainer.entropy_coef = bounds.coefficient(logged)

        trainer.add_callback(HoldEntropy())
        return trainer
