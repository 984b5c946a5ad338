"""What a probe of a model means: parity, the clip in each pass, the chat template, readable answers, rewards that vary.

`check_model` does one step of GRPO (probe.py) and turns its numbers into findings by the table of rules.py.
Left out: how good the answers are.
"""

from __future__ import annotations

from vsr_kit.diagnosis.findings import Diagnosis, Finding, judged
from vsr_kit.diagnosis.probe import PASSES, Probed, probe
from vsr_kit.diagnosis.rules import GROUPS, RULES
from vsr_kit.prompts import parse_answer

_OPENS, _ENDS = "<|im_start|>", "<|im_start|>assistant\n"
_BEFORE, _AFTER = "<|vision_start|>", "<|vision_end|>"


def check_model(subject: str, *args, **settings) -> Diagnosis:
    """Look at a model; arguments after `subject`, its name for readers, as `probe` takes them."""
    return Diagnosis(subject, "model", tuple(findings_of(probe(*args, **settings))))


def findings_of(probed: Probed) -> list[Finding]:
    """The findings of a probe."""
    loaded = Finding("model", "fine", "the model loads and trains for a step", probed.description)
    clips = [_clip(probed, name) for name in PASSES]
    return [loaded, _template(probed), _parity(probed), *clips, _reference(probed), _answers(probed), _rewards(probed)]


def _template(probed: Probed) -> Finding:
    tokens, text = probed.video_tokens, probed.prompt
    evidence = f"{tokens[0]} video tokens for a clip of {tokens[1]}; begins {text[:24]!r}, ends {text[-24:]!r}"
    turn = text.rfind("<|im_start|>user", 0, max(text.find(_BEFORE), 0))
    wrong = [
        told
        for told, is_so in {
            f"the prompt does not begin with {_OPENS}": not text.startswith(_OPENS),
            f"the prompt does not end with {_ENDS!r}": not text.endswith(_ENDS),
            "the clip is not inside the user's turn": turn < 0 or not text.find(_BEFORE) < text.find(_AFTER),
            "the prompt has other than the clip's tokens": tokens[0] != tokens[1] or not tokens[0],
        }.items()
        if is_so
    ]
    if wrong:
        return Finding("template", "problem", "; ".join(wrong), evidence, RULES["template"].remedy)
    return Finding("template", "fine", "the chat template is applied, with the clip in it", evidence)


def _parity(probed: Probed) -> Finding:
    apart = probed.apart_N
    if not len(apart):
        told = "rollouts and training cannot be compared: no token was seen by both"
        return Finding("parity", "problem", told, "0 tokens", RULES["parity"].remedy)
    mean, most = float(apart.mean()), float(apart.max())
    said = {"fine": "rollouts and training agree", "else": "rollouts and training disagree"}
    evidence = f"|rollout - training| mean {mean:.2g}, max {most:.2g} nats over {len(apart)} tokens"
    return judged("parity", mean, said, evidence, max=most, tokens=len(apart))


def _clip(probed: Probed, name: str) -> Finding:
    check, changes = f"clip in {name}", probed.changes[name]
    mean = float(changes.mean()) if len(changes) else 0.0
    whose = {"rollouts": "rollouts see", "policy": "the pass with gradients sees", "reference": "the reference sees"}
    blind = {"rollouts": "rollouts do", "policy": "the pass with gradients does", "reference": "the reference does"}
    said = {"fine": f"{whose[name]} the clip", "else": f"{blind[name]} not see the clip"}
    evidence = f"another room's clip changes a log-probability by {mean:.3g} nats, mean of {len(changes)} tokens"
    return judged(check, mean, said, evidence, below=True, tokens=len(changes))


def _reference(probed: Probed) -> Finding:
    mean = float(probed.from_reference_N.mean()) if len(probed.from_reference_N) else 0.0
    return Finding("reference", "note", "how far the policy is from its reference before the step",
                   f"mean {mean:.2g} nats; 0 with a fresh adapter", numbers={"value": mean})  # fmt: skip


def _answers(probed: Probed) -> Finding:
    rows = probed.completions
    unread = [row for row in rows if parse_answer(row["completion"], row).value is None]
    said = {"fine": "answers can be read", "else": "most answers cannot be read"}
    evidence = f"{len(unread)} of {len(rows)} completions without a readable answer"
    evidence += f", such as {unread[0]['completion'][:60]!r}" if unread else ""
    return judged("answers", len(unread) / len(rows), said, evidence)


def _rewards(probed: Probed) -> Finding:
    evidence = f"{100 * probed.equal_share:.0f} % of {probed.groups} groups with equal rewards"
    if probed.groups < GROUPS:
        told = "how often rewards differ needs more groups"
        return Finding("reward varies", "note", told, evidence, numbers={"value": probed.equal_share})
    said = {"fine": "rewards tell completions apart", "else": "in most groups all completions earn the same"}
    return judged("reward varies", probed.equal_share, said, evidence, groups=probed.groups)
