"""GRPO with parts exchanged: own advantages and group rewards, questions chosen or refilled.

The story: `VideoGRPOTrainer` is left as it is, byte for byte; this subclass is made only where a `methods.GRPO` asks
for something else. A batch then comes about in rounds: questions are dealt, their rollouts drawn and rewarded by TRL,
groups that are not to count are dropped, and their places are dealt again. What TRL logs (rewards, lengths) is of the
first round, so that curves compare with those of a run that drops nothing; tokens count in every round.

What a resumed run must know besides TRL's own state (what was earned, how many questions were dealt) is in the
checkpoint, in STATE.
Left out: refilling in several processes, which would wait for each other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from trl.trainer.utils import use_adapter

from vsr_kit.files import read_json
from vsr_kit.sharing import score
from vsr_kit.training.grpo_trainer import VideoGRPOTrainer, take_rows
from vsr_kit.training.joints import Stage
from vsr_kit.training.references import REFERENCE, set_reference
from vsr_kit.training.stages import enter, make_room, number_of

STATE = "joints.json"  # in a checkpoint


@dataclass
class _Round:
    """Questions that were asked at once: TRL's batch of them, their weighted rewards, and which groups count."""

    output: dict
    rewards_BG: torch.Tensor
    kept: list[bool]
    sampled: list[dict]


class JointGRPOTrainer(VideoGRPOTrainer):
    """`VideoGRPOTrainer` with the joints of a `methods.GRPO`.

    Args:
        joints: the method object, whose fields say what is exchanged.
        args, kwargs: those of `VideoGRPOTrainer`, by their names.
    """

    def __init__(self, *args, joints, **kwargs) -> None:
        self._wants_reference = any(getattr(f, "wants_reference", False) for f in kwargs["reward_funcs"])
        super().__init__(*args, **kwargs)
        self.joints = joints
        self.history: dict[int, list[float | None]] = {}  # row index to the weighted rewards of its last group
        self._decks: dict[int, list[int]] = {}  # the rows of each stage, once they were looked for
        self._dealt = 0  # questions that came from the deck so far
        self._rewards_all: torch.Tensor | None = None  # (B x G,) weighted, of all processes, of the last round
        self._asked: list[int] = []  # the rows of the last round that were dealt, of all processes
        self._held: list[dict] | None = None  # records of a round, until it is known what counts
        self._stage: int | None = None  # the stage that the settings are of
        self._deck = 0  # the stage whose questions are being dealt
        self.configured_weights = self.reward_weights.tolist()
        make_room(self, joints.stages)
        set_reference(self, joints.reference)
        self._kls: list[float] = []  # of the passes of this step
        if joints.adaptive_beta is not None and self.beta == 0:
            raise ValueError("adaptive_beta multiplies beta, which is 0 and stays so: give beta above 0")
        if joints.keep_group is not None:
            self._refuse_with_refills()

    def _refuse_with_refills(self) -> None:
        if self.accelerator.num_processes > 1:
            raise ValueError(
                f"keep_group refills groups in one process only, and there are {self.accelerator.num_processes}: leave "
                "keep_group out, or launch one process"
            )
        batchwise = self.scale_rewards == "batch" or self.multi_objective_aggregation != "sum_then_normalize"
        if batchwise and self.joints.advantages is None:
            raise ValueError(
                f"scale_rewards is {self.scale_rewards!r} and multi_objective_aggregation "
                f"{self.multi_objective_aggregation!r}: with keep_group they would be taken over dropped groups, too; "
                "give advantages=f, or scale_rewards='group'"
            )

    # -- which questions -----------------------------------------------------------------------------------------------

    def _generate_and_score_completions(self, inputs: list[dict]) -> dict:
        if not self.model.training or len(inputs) % self.args.num_generations:  # the latter is refused there
            return super()._generate_and_score_completions(inputs)
        self._enter_stage()
        count = len(inputs) // self.args.num_generations  # of the data loader's groups
        rounds = [self._ask(self._deal(count) if self._deals else inputs[:: self.args.num_generations])]
        while self.joints.keep_group is not None and len(rounds) <= self.joints.most_refills:
            missing = count - sum(sum(one.kept) for one in rounds)
            if not missing:
                break
            rounds.append(self._ask_unlogged(self._deal(missing)))
        return self._batch(rounds)

    @property
    def _deals(self) -> bool:
        """Whether questions are dealt here; otherwise they come as TRL's sampler orders them."""
        chosen = self.joints.next_rows is not None or self.joints.keep_group is not None
        return chosen or any(stage.questions is not None for stage in self.joints.stages)

    def _enter_stage(self) -> None:
        """Set the trainer to the stage of the coming step; each stage has a deck of its own questions."""
        number = number_of(self.joints.stages, self.state.global_step)
        if self.joints.stages and number != self._stage:
            enter(self, self.joints.stages[number - 1] if number else None)
        if number != self._deck:
            self._deck, self._dealt = number, 0
        self._stage = number

    def _deal(self, count: int) -> list[Mapping]:
        """The next `count` questions of this process; all of them are chosen alike in every process."""
        processes, rank = self.accelerator.num_processes, self.accelerator.process_index
        chooser = self.joints.next_rows
        if chooser is None:
            self._asked = self._from_the_deck(count * processes)
        else:
            history = MappingProxyType(self.history)
            self._asked = [int(i) for i in chooser.choose(self.state.global_step, count * processes, history)]
            last = len(self.train_dataset) - 1
            if len(self._asked) != count * processes or not all(0 <= i <= last for i in self._asked):
                raise ValueError(
                    f"next_rows chose the rows {self._asked}: it must choose {count * processes} of 0 to {last}"
                )
        return [self.train_dataset[i] for i in self._asked[rank * count : (rank + 1) * count]]

    def _from_the_deck(self, count: int) -> list[int]:
        """A stage's rows in a shuffled order, then in another: it follows from the seed and the number dealt so far."""
        if self._deck not in self._decks:
            stage = self.joints.stages[self._deck - 1] if self._deck else Stage(0)
            self._decks[self._deck] = [i for i, row in enumerate(self.train_dataset) if stage.asks(row)]
        rows = self._decks[self._deck]
        places = [divmod(place, len(rows)) for place in range(self._dealt, self._dealt + count)]
        self._dealt += count
        seeds = {turn: [self.args.seed, self._deck, turn] for turn, _ in places}
        orders = {turn: np.random.default_rng(seed).permutation(rows) for turn, seed in seeds.items()}
        return [int(orders[turn][place]) for turn, place in places]

    # -- one round -----------------------------------------------------------------------------------------------------

    def _ask(self, rows: Sequence[Mapping]) -> _Round:
        """Draw and reward a group for each row, and decide which groups count."""
        group, keep = self._group_size, self.joints.keep_group
        self._held = []
        output = super()._generate_and_score_completions([dict(row) for row in rows for _ in range(group)])
        sampled, self._held = self._held, None
        rewards_BG = self._rewards_all.view(-1, group)
        if self._deals:
            earned = [[None if math.isnan(reward) else reward for reward in own] for own in rewards_BG.tolist()]
            self.history |= dict(zip(self._asked, earned, strict=True))
        return _Round(output, rewards_BG, [keep is None or bool(keep(own)) for own in rewards_BG], sampled)

    def _ask_unlogged(self, rows: Sequence[Mapping]) -> _Round:
        """A refill: of its metrics only the count of tokens stays."""
        metrics = self._metrics["train"]
        before = {name: list(values) for name, values in metrics.items()}
        asked = self._ask(rows)
        for name in metrics:
            if name != "num_tokens":
                metrics[name] = before.get(name, [])
        return asked

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        """TRL's; what a reward of a whole group needs is put beside the rows' columns."""
        rows = [{**row, "group": i // self._group_size} for i, row in enumerate(inputs)]
        if self._wants_reference:
            logps = self._reference_logps(completion_ids_list)
            rows = [{**row, "reference_logps": own} for row, own in zip(rows, logps, strict=True)]
        rewards_BR = super()._calculate_rewards(rows, prompts, completions, completion_ids_list)
        weighted = (rewards_BR * self.reward_weights.to(rewards_BR.device)).nansum(1)
        self._rewards_all = weighted.masked_fill(rewards_BR.isnan().all(1), torch.nan)  # as TRL adds them up
        return rewards_BR

    def _reference_logps(self, completion_ids_list: list[list[int]]) -> list[float]:
        """The log-probability of each completion under the reference, in nats, as many groups at once as in a pass."""
        group, device = self._group_size, self.accelerator.device
        at_once = max(1, self.args.per_device_train_batch_size // group)
        prompts = self._prompts[::group]
        ids = [torch.tensor(own, device=device) for own in completion_ids_list]
        groups = [ids[i : i + group] for i in range(0, len(ids), group)]
        found = []
        with torch.no_grad(), self._reference() as reference, self.accelerator.autocast():
            for start in range(0, len(groups), at_once):
                part = slice(start, start + at_once)
                found += sum(score(reference, prompts[part], groups[part], self.temperature), [])
        return [float(one.logps_T.sum()) for one in found]

    @contextmanager
    def _reference(self):
        """The reference model: what TRL takes for its KL term."""
        model = self.accelerator.unwrap_model(self.model)
        if self.ref_model is not None:
            yield self.ref_model
        elif hasattr(model, "peft_config"):
            with use_adapter(model, adapter_name=REFERENCE if REFERENCE in model.peft_config else None):
                yield self.model
        else:
            raise ValueError("beta is 0 and all weights are trained: there is no reference; give beta above 0")

    def _record(self, sampled: list[dict]) -> None:
        if self._held is None:
            super()._record(sampled)
        else:
            self._held += sampled

    # -- the batch of all rounds ---------------------------------------------------------------------------------------

    def _batch(self, rounds: Sequence[_Round]) -> dict:
        """One batch of as many groups as were dealt first: what counts of all rounds, and it is recorded."""
        group, own = self._group_size, len(rounds[0].output["advantages"])
        output = _joined([one.output for one in rounds], self._tokenizer.pad_token_id)
        kept = [counts for one in rounds for counts in one.kept]
        if self.joints.advantages is not None:
            counts, rewards_BG = torch.tensor(kept), torch.cat([one.rewards_BG for one in rounds])
            advantages_BG = torch.zeros_like(rewards_BG)
            if any(kept):
                advantages_BG[counts] = self._own_advantages(rewards_BG[counts])
            here = slice(self.accelerator.process_index * own, None) if len(rounds) == 1 else slice(None)
            output["advantages"] = advantages_BG.flatten()[here][: len(output["advantages"])]
        if self.joints.keep_group is not None:
            counts_B = torch.tensor(kept, device=self.accelerator.device).repeat_interleave(group)
            output["advantages"] = output["advantages"] * counts_B
            output["completion_mask"] = output["completion_mask"] * counts_B[:, None]  # no part in the KL either
        sampled = sum((one.sampled for one in rounds), [])  # none where nobody records
        for row, advantage in zip(sampled, output["advantages"].tolist(), strict=bool(sampled)):
            row["advantage"] = advantage
        self._record(sampled)
        return output if self.joints.keep_group is None else self._filled(output, rounds[0].kept, kept)

    def _own_advantages(self, rewards_BG: torch.Tensor) -> torch.Tensor:
        """What `advantages` makes of rewards, looked at; a completion that nothing rewarded has none."""
        given = self.joints.advantages(rewards_BG.clone())
        if not isinstance(given, torch.Tensor) or given.shape != rewards_BG.shape:
            shape = tuple(given.shape) if isinstance(given, torch.Tensor) else type(given).__name__
            raise ValueError(f"advantages gave {shape} for rewards of {tuple(rewards_BG.shape)}: give a tensor like it")
        if bool((~given.isfinite() & rewards_BG.isfinite()).any()):
            raise ValueError(
                f"advantages gave {given.tolist()} for the rewards {rewards_BG.tolist()}: an advantage must be a "
                "finite number; add a small constant to what it divides by"
            )
        return given.detach().to(rewards_BG.dtype).nan_to_num(nan=0.0)

    def _filled(self, output: dict, first: list[bool], kept: list[bool]) -> dict:
        """The batch with refills in the places of dropped groups, in order; a place that none fills stays empty."""
        refills = iter([i for i in range(len(first), len(kept)) if kept[i]])
        places = [i if counts else next(refills, i) for i, counts in enumerate(first)]
        group, metrics = self._group_size, self._metrics["train"]
        batch = take_rows(output, torch.tensor([i * group + j for i in places for j in range(group)]))
        batch["num_items_in_batch"] = batch["completion_mask"].sum()
        metrics["groups/kept"].append(sum(first) / len(first))
        metrics["groups/sampled"].append(len(kept) / len(first))
        metrics["groups/empty"].append(1 - sum(kept[i] for i in places) / len(first))
        return batch

    # -- optimisation --------------------------------------------------------------------------------------------------

    def _compute_loss(self, model, inputs):
        loss = super()._compute_loss(model, inputs)
        if self.joints.adaptive_beta is not None and self.model.training:
            metrics = self._metrics["train"]
            self._kls.append(metrics["kl"][-1])
            if self.accelerator.sync_gradients:  # the last pass of a step: every pass of it had the same beta
                metrics["beta"].append(self.beta)
                self.beta = self.joints.adaptive_beta.after(self.beta, sum(self._kls) / len(self._kls))
                self._kls = []
        return loss

    def log(self, logs, start_time=None) -> None:
        """TRL's, with the number of the stage beside a step's numbers."""
        super().log(logs | {"stage": self._stage} if self.joints.stages and "loss" in logs else logs, start_time)

    # -- checkpoints ---------------------------------------------------------------------------------------------------

    def _save_checkpoint(self, model, trial) -> None:
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            path = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}" / STATE
            state = {"deck": self._deck, "dealt": self._dealt, "history": self.history, "beta": self.beta}
            path.write_text(json.dumps(state), encoding="utf-8")

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        kinds = {"deck": int, "dealt": int, "history": dict, "beta": (int, float)}
        state = read_json(Path(resume_from_checkpoint) / STATE, kinds)
        self.beta, self._deck = state["beta"], state["deck"]
        self._dealt, self.history = state["dealt"], {int(row): own for row, own in state["history"].items()}


def _joined(outputs: Sequence[dict], pad_id: int) -> dict:
    """Batches one below the other, padded to the longest as TRL pads: prompts on the left, all else on the right."""
    if len(outputs) == 1:
        return outputs[0]

    def both(name: str):
        values = [output[name] for output in outputs]
        if not isinstance(values[0], torch.Tensor):
            return sum(values, [])
        if values[0].ndim < 2:
            return torch.cat(values) if values[0].ndim else sum(values)
        width = max(value.shape[1] for value in values)
        fill = pad_id if name.endswith("_ids") else 0
        spare = [width - value.shape[1] for value in values]
        sides = [(more, 0) if name.startswith("prompt_") else (0, more) for more in spare]
        padded = [torch.nn.functional.pad(v, side, value=fill) for v, side in zip(values, sides, strict=True)]
        return torch.cat(padded)

    return {name: both(name) for name in outputs[0]}
