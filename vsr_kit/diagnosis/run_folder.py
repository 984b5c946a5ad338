"""What a run's folder says about its training: the rules of rules.py that log lines, rollouts and adapter can tell.

The checks read what `runs/reading.py` reads, so a damaged file is an error with its name, and lines that a later
attempt wrote again are left out. A run that is under way can be looked at as well as a finished one. Each check is a
function of `Seen` and gives one finding, or None where the run has nothing to look at: SFT has no rewards, a training
without a KL term no kl.
Left out: scores on held-out questions (`vsr eval`, `vsr report`), and runs of `vsr eval`, which train nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from vsr_kit.diagnosis.adapter_files import WEIGHTS, moved
from vsr_kit.diagnosis.findings import Diagnosis, Finding, judged
from vsr_kit.diagnosis.rules import FEW, RULES, WINDOW
from vsr_kit.files import file_hash
from vsr_kit.prompts import parse_answer
from vsr_kit.questions import QUESTION_TYPES
from vsr_kit.rewards.detectors import shares
from vsr_kit.runs import RunFolder
from vsr_kit.runs.attempts import BROKEN
from vsr_kit.training.collapse import collapsed, running_mean

MISMATCH = "sampling/sampling_logp_difference/mean"  # training/mismatch.py's, which loads torch
ACCURACY, FORMAT = "rewards/accuracy_reward/mean", "rewards/format_reward/mean"
FLAT = 0.02  # an accuracy that rose by less did not rise
_BROKEN = ("loss", "grad_norm", "kl")


@dataclass(frozen=True)
class Seen:
    """A run as the checks look at it.

    Attributes:
        run: its folder.
        lines: log lines of training steps, in order.
    """

    run: RunFolder
    lines: list[dict]

    def values(self, name: str) -> list[float]:
        """What was logged under a name, lines without it left out."""
        return [line[name] for line in self.lines if _finite(line.get(name))]

    @property
    def last(self) -> list[dict]:
        """The lines of the window."""
        return self.lines[-WINDOW:]

    def of_last(self, name: str) -> list[float]:
        """What was logged under a name in the window."""
        return [line[name] for line in self.last if _finite(line.get(name))]

    def ends(self, name: str) -> tuple[float, float] | None:
        """Means over the first and the last window; None where these are not two."""
        values = self.values(name)
        return (fmean(values[:WINDOW]), fmean(values[-WINDOW:])) if len(values) >= 2 * WINDOW else None

    @property
    def where(self) -> str:
        """The window's steps, in words."""
        return f"steps {self.last[0].get('step', 1)} to {self.last[-1].get('step', len(self.lines))}"


def check_run(folder: str | Path | RunFolder) -> Diagnosis:
    """Look at a training's folder.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: a damaged file, or a run that trains nothing.
    """
    run = folder if isinstance(folder, RunFolder) else RunFolder.open(folder)
    settings = run.config["config"]
    if "split" in settings and "profile" not in settings:
        raise ValueError(f"{run.path} is an evaluation: the doctor looks at trainings; vsr report {run.path} shows it")
    lines = [line for line in run.read_metrics() if "loss" in line]
    seen = Seen(run, lines)
    if not lines:
        begun = "the run holds no log line of a training step"
        findings = [Finding("steps", "problem", begun, f"status {run.status}", RULES["steps"].remedy)]
    else:
        findings = [found for check in CHECKS if (found := check(seen)) is not None]
    return Diagnosis(str(run.path), "run", tuple(findings))


# -- what ends or stops a training -------------------------------------------------------------------------------------


def _steps(seen: Seen) -> Finding:
    count, status = len(seen.lines), seen.run.status
    numbers = {"value": count, "status": status}
    evidence = f"{count} log line{'s' * (count > 1)}, last step {seen.last[-1].get('step', count)}, {status}"
    if count < FEW:
        return Finding("steps", "warning", "too few steps to judge", evidence, RULES["steps"].remedy, numbers)
    return Finding("steps", "fine", "the run has steps to look at", evidence, numbers=numbers)


def _numbers(seen: Seen) -> Finding:
    wrong = [(line.get("step", i), name) for i, line in enumerate(seen.lines, 1) for name in _BROKEN
             if name in line and not _finite(line[name])]  # fmt: skip
    remedy = RULES["numbers"].remedy
    if seen.run.status == BROKEN:
        why = seen.run.stopped or (seen.run.summary.get("headline") or {}).get("stopped") or "its numbers broke"
        return Finding("numbers", "problem", "the training broke and was ended", str(why), remedy, {"value": 1})
    if wrong:
        step, name = wrong[0]
        evidence = f"first {name} at step {step}, {len(wrong)} in all"
        numbers = {"value": len(wrong), "first_step": step}
        return Finding("numbers", "problem", "numbers of the log are NaN or infinite", evidence, remedy, numbers)
    return Finding("numbers", "fine", "all numbers are finite", f"{len(seen.lines)} lines", numbers={"value": 0})


def _learning_rate(seen: Seen) -> Finding | None:
    if not (rates := seen.values("learning_rate")):
        return None
    said = {"fine": "the learning rate was above zero", "else": "the learning rate was zero throughout"}
    evidence = f"largest {max(rates):.3g} of {len(rates)} steps, last {rates[-1]:.3g}"
    return judged("learning rate", max(rates), said, evidence, below=True)


def _gradient(seen: Seen) -> Finding | None:
    if not (norms := seen.of_last("grad_norm")):
        return None
    said = {"fine": "there is a gradient", "else": "there is no gradient: nothing is learnt"}
    evidence = f"largest grad_norm {max(norms):.3g}, {seen.where}"
    return judged("gradient", max(norms), said, evidence, below=True)


def _adapter(seen: Seen) -> Finding | None:
    found = moved(seen.run.adapter)
    if found is None:
        return None
    start = (seen.run.identity.get("joints") or {}).get("start sha256")
    same = start is not None and file_hash(seen.run.adapter / WEIGHTS) == start
    said = {"fine": "the adapter has moved", "else": "the adapter is the one that training began with"}
    evidence = f"{found.moved} of {found.all} B matrices are not zero" + (", file unchanged" if same else "")
    return judged("adapter", 0.0 if same else found.share, said, evidence, below=True)


# -- what GRPO needs ---------------------------------------------------------------------------------------------------


def _equal_rewards(seen: Seen) -> Finding | None:
    if not (equal := seen.of_last("frac_reward_zero_std")):
        return None
    said = {"fine": "rewards tell completions apart", "else": "in most groups all completions earn the same"}
    evidence = f"{_percent(fmean(equal))} of groups with equal rewards, {seen.where}"
    if rewards := seen.of_last("reward"):
        evidence += f", mean reward {fmean(rewards):.3g}"
    return judged("equal rewards", fmean(equal), said, evidence)


def _clipped(seen: Seen) -> Finding | None:
    if not (cut := seen.of_last("completions/clipped_ratio")):
        return None
    said = {"fine": "completions end by themselves", "else": "the cap cuts completions off"}
    lengths = seen.of_last("completions/mean_length")
    evidence = f"{_percent(fmean(cut))} cut off, {seen.where}"
    evidence += f", mean length {fmean(lengths):.3g} tokens" if lengths else ""
    return judged("clipped", fmean(cut), said, evidence)


def _masked(seen: Seen) -> Finding | None:
    if not seen.of_last("completions/clipped_ratio"):
        return None
    empty = [line.get("entropy") == 0 and line["loss"] == 0 and line.get("completions/clipped_ratio") == 1
             for line in seen.last]  # fmt: skip
    said = {"fine": "completions count", "else": "every completion was masked out: loss and entropy are exactly 0"}
    evidence = f"{sum(empty)} of {len(empty)} lines without a completion that counts, {seen.where}"
    return judged("masked", sum(empty) / len(empty), said, evidence)


def _format(seen: Seen) -> Finding | None:
    form, right = seen.ends(FORMAT), seen.ends(ACCURACY)
    if form is None or right is None:
        return None
    rose, gained = form[1] - form[0], right[1] - right[0]
    said = {"fine": "accuracy does not stay behind the format",
            "else": "the format is learnt while accuracy is flat"}  # fmt: skip
    evidence = f"format {form[0]:.2f} to {form[1]:.2f}, accuracy {right[0]:.2f} to {right[1]:.2f}, first to last window"
    return judged("format without accuracy", rose if gained < FLAT else 0.0, said, evidence, rose=rose, gained=gained)


def _collapse(seen: Seen) -> Finding | None:
    curves = {name: seen.values(name) for name in (FORMAT, ACCURACY, "reward")}
    curves = {name: own for name, own in curves.items() if len(own) >= 2 * WINDOW and min(own) >= 0}
    if not curves:
        return None
    fallen = {name: step for name, own in curves.items() if (step := collapsed(own, WINDOW)) is not None}
    if not fallen:
        named = ", ".join(curves)
        return Finding("collapse", "fine", "no reward has collapsed", named, numbers={"value": 0})
    name, step = min(fallen.items(), key=lambda own: own[1])
    means = running_mean(curves[name], WINDOW)
    evidence = f"{name} is down since line {step}: window mean {means[-1]:.3g}, best {max(means):.3g}"
    numbers = {"value": means[-1] / max(means), "step": step}
    return Finding("collapse", "problem", "a reward has collapsed", evidence, RULES["collapse"].remedy, numbers)


def _kl(seen: Seen) -> Finding | None:
    if not (kls := seen.of_last("kl")):
        return None
    said = {"fine": "the policy is near its reference", "else": "the policy has left its reference"}
    evidence = f"median {median(kls):.3g} nats a token, largest {max(kls):.3g}, {seen.where}"
    return judged("kl", median(kls), said, evidence)


def _kl_rises(seen: Seen) -> Finding | None:
    kls = seen.values("kl")
    quarter = len(kls) // 4
    if len(kls) < 2 * WINDOW:
        return None
    early, late = median(kls[quarter : 2 * quarter]), median(kls[-quarter:])
    said = {"fine": "the KL has settled", "else": "the KL still grows"}
    evidence = f"median {early:.3g} in the second quarter, {late:.3g} in the last"
    return judged("kl rises", late / early if late > 1 and early > 0 else 0.0, said, evidence)


def _entropy(seen: Seen) -> Finding | None:
    ends = seen.ends("entropy")
    if ends is None or ends[0] <= 0:
        return None
    said = {"fine": "the policy still explores", "else": "the entropy has collapsed"}
    evidence = f"{ends[0]:.3g} to {ends[1]:.3g} nats a token, first to last window"
    return judged("entropy", ends[1] / ends[0], said, evidence, below=True)


def _mismatch(seen: Seen) -> Finding | None:
    if not (apart := seen.of_last(MISMATCH)):
        return None
    said = {"fine": "rollouts are of the policy that is trained",
            "else": "rollouts are of another policy than the one that is trained"}  # fmt: skip
    evidence = f"median {median(apart):.3g} nats, largest {max(apart):.3g}, {seen.where}"
    return judged("mismatch", median(apart), said, evidence)


# -- what was written --------------------------------------------------------------------------------------------------


def _rollouts_of_the_window(seen: Seen) -> list[dict]:
    steps = {line.get("step") for line in seen.last}
    rows = [row for row in seen.run.read_rollouts() if row.get("step") in steps]
    return [row for row in rows if isinstance(row.get("completion"), str)]


def _unread(seen: Seen) -> Finding | None:
    rows = [row for row in _rollouts_of_the_window(seen) if row.get("question_type") in QUESTION_TYPES]
    if not rows:
        return None
    unread = sum(parse_answer(row["completion"], row).value is None for row in rows)
    said = {"fine": "answers can be read", "else": "most answers cannot be read"}
    evidence = f"{unread} of {len(rows)} completions without a readable answer, {seen.where}"
    return judged("unread", unread / len(rows), said, evidence)


def _hacking(seen: Seen) -> Finding | None:
    texts = [row["completion"] for row in _rollouts_of_the_window(seen)]
    mode = seen.run.config["config"].get("mode", "vanilla")
    found = {name: share for name, share in (shares(texts, mode) if texts else {}).items() if name != "repeated_words"}
    if not found:
        return None
    said = {"fine": "thoughts hold words", "else": "thoughts are empty, or tags repeated"}
    evidence = ", ".join(f"{name} {_percent(share)}" for name, share in found.items()) + f", {seen.where}"
    return judged("hacking", max(found.values()), said, evidence, shares=found)


CHECKS: Sequence[Callable[[Seen], Finding | None]] = (
    _steps, _numbers, _learning_rate, _gradient, _adapter, _equal_rewards, _clipped, _masked, _format, _collapse, _kl,
    _kl_rises, _entropy, _mismatch, _unread, _hacking,
)  # fmt: skip


def _finite(value) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
