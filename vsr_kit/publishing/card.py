"""Model cards, written from run folders alone: what was trained on what, how it scored, how to load it, what it lacks.

A card says what the folders record and nothing else; what they do not record is called unknown, never guessed. Scores
come from the run and from the evaluations that asked exactly this adapter (`evaluations_of` compares the weights'
hashes), each with its 95 % interval over rooms. Paths of this machine are cut to their last part, and whatever was
typed or read stands in code spans, so that no name can become markup.
Left out: the hub's `model-index`, which knows no intervals, and an assessment: the limits listed are those that follow
from the records.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from vsr_kit.evaluation.run_scores import recorded_scores
from vsr_kit.models.adapters import WEIGHTS, read_config
from vsr_kit.paths import SHIPPED, checkpoint_of
from vsr_kit.publishing.origin import Origin
from vsr_kit.questions import TASKS
from vsr_kit.runs import RunFolder, run_folders
from vsr_kit.runs.identity import adapter_file_identity
from vsr_kit.validation import one_line

UNKNOWN = "unknown"
_FIRST = ("method", "mode", "profile", "steps", "rooms", "phrasing", "types", "quantize", "lora_rank", "lora_alpha")

AUTO = "AutoModelForImageTextToText"  # transformers' class that finds a model's own, of every family here


def adapter_card(
    origin: Origin,
    repo_id: str,
    *,
    evaluations: Sequence[RunFolder] = (),
    command: str | None = None,
    base_id: str | None = None,
    license: str | None = None,
) -> str:
    """The card of a run's adapter, as Markdown with the hub's head.

    Args:
        origin: from `origin_of`.
        repo_id: `owner/name`, where the adapter will be.
        evaluations: run folders of `vsr eval` that asked it.
        command: what made the run; None is unknown.
        base_id: the base's hub id, where the run names it otherwise.
        license: of the adapter, as the hub spells it (`apache-2.0`); None is unknown.
    """
    base = base_id or (None if origin.is_folder else origin.base)
    head = _head(license, base, "peft", ["lora", *_tags(origin)])
    return (
        "\n\n".join(
            [
                head,
                f"# {_escaped(repo_id.rpartition('/')[2])}",
                _opening(origin, base),
                "## Load it",
                "```python\n" + loading_lines(base or base_name(origin.base), repo_id, origin) + "\n```",
                _about_loading(origin, base),
                "## Scores",
                _scores(origin, evaluations),
                "## How it was made",
                _made(origin, command),
                "## Limits",
                _limits(origin, evaluations),
                "## License",
                _license(license),
            ]
        )
        + "\n"
    )


def merged_card(origin: Origin, *, dtype: str, seen: bool, lost: float, command: str | None = None) -> str:
    """The card of a merged checkpoint: what was merged into what, and what rounding cost."""
    base = None if origin.is_folder else origin.base
    into = "the base's 4-bit weights, turned back into numbers (those that the adapter saw in training)"
    into = into if seen else "the base checkpoint's own weights"
    told = f"{_opening(origin, base)} Here it is merged into {into}, in {dtype}."
    if origin.quantize == "nf4" and not seen:
        told += " The adapter was trained on nf4 weights, which these are not: scores of the run are not this model's."
    told += f" Rounding to {dtype} moved the changed weights {lost:.2g} times as far as the adapter did."
    load = f'model = {AUTO}.from_pretrained("FOLDER", dtype="{dtype}")'
    lines = [f"from transformers import {AUTO}", "", load]
    parts = [_head(None, base, "transformers", _tags(origin)), f"# {_escaped(origin.run.name)}, merged", told]
    parts += ["```python\n" + "\n".join(lines) + "\n```", "## How it was made", _made(origin, command)]
    return "\n\n".join([*parts, "## License", _license(None)]) + "\n"


def loading_lines(base: str, adapter: str, origin: Origin) -> str:
    """Python that loads base and adapter by transformers and PEFT alone, as they were trained.

    base, adapter: hub ids or folders.
    """
    dtype = _precision(origin)
    names = AUTO
    how, first = f'dtype="{dtype}"', []
    if origin.quantize == "nf4":
        names = f"BitsAndBytesConfig, {names}"
        first = [
            'nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, '
            f'bnb_4bit_compute_dtype="{dtype}", llm_int8_skip_modules=["model.visual", "lm_head"])'
        ]
        how += ", quantization_config=nf4"
    return "\n".join(
        [
            "from peft import PeftModel",
            f"from transformers import {names}",
            "",
            *first,
            f"base = {AUTO}.from_pretrained({json.dumps(base)}, {how})",
            f"model = PeftModel.from_pretrained(base, {json.dumps(adapter)}).eval()",
        ]
    )


def evaluations_of(origin: Origin, root: str | Path | None = None) -> list[RunFolder]:
    """Evaluations of exactly this adapter among the run folders of `root`, the run's own folder of runs by default."""
    wanted = adapter_file_identity(origin.adapter / WEIGHTS)
    found = run_folders(root or origin.run.path.absolute().parent)
    return [run for run in found if asked_adapter(run) == wanted and run.read_predictions()]


def asked_adapter(run: RunFolder) -> str | None:
    """The hash of the adapter that an evaluation asked; None where it asked none, or did not record it."""
    try:
        identity = run.identity
    except (OSError, ValueError):  # a folder that another program is writing, or that is damaged
        return None
    return identity.get("adapter sha256") if "use" in identity else None


def base_name(base: str) -> str:
    """What a base is called elsewhere: a hub id as it is, of a folder its last part."""
    folder = Path(checkpoint_of(base))
    return folder.name if folder.is_dir() else base


def shown_setting(value) -> str:
    """A setting as a card shows it: a path cut to its last part, everything in a code span."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(shown_setting, value)) or "none"
    if value is None or value == "":
        return "none"
    return _code(private(str(value)) if isinstance(value, (str, Path)) else json.dumps(value, default=str))


def private(text: str) -> str:
    """A text without this machine's folders: an absolute path is cut to its last part."""
    path = Path(text)
    return f"…/{path.name}" if path.is_absolute() or text.startswith("~") else text


# -- the parts of a card -----------------------------------------------------------------------------------------------


def _head(license: str | None, base: str | None, library: str, tags: Sequence[str]) -> str:
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        license=license,
        base_model=base,
        library_name=library,
        pipeline_tag="video-text-to-text",
        tags=list(tags),
    )
    return f"---\n{data.to_yaml()}\n---"


def _tags(origin: Origin) -> list[str]:
    method = str(origin.settings.get("method", ""))
    return ["vsr-kit", "qwen2_vl", "visual-spatial-reasoning", *([method] if method.isidentifier() else [])]


def _opening(origin: Origin, base: str | None) -> str:
    lora, said = read_config(origin.adapter), origin.settings
    name = _code(base or base_name(origin.base))
    steps = (origin.run.summary.get("headline") or {}).get("steps", UNKNOWN)
    how = f"{shown_setting(said.get('method', UNKNOWN))} in mode {shown_setting(said.get('mode', UNKNOWN))}"
    kit = origin.run.versions.get("vsr_kit", UNKNOWN)
    return (
        f"A LoRA adapter of rank {lora.r} (alpha {lora.lora_alpha}) for {name}, trained by {how} for {steps} steps "
        f"with seed {origin.run.seed}, by vsr-kit {_escaped(kit)}."
    )


def _about_loading(origin: Origin, base: str | None) -> str:
    told = [] if base else [f"The base {_code(base_name(origin.base))} is a folder, not a repository of the hub."]
    if base is None and origin.base in SHIPPED:
        told = [f"The base, {_code(base_name(origin.base))}, ships with vsr-kit; it is no repository of the hub."]
    if origin.quantize == "nf4":
        told.append(
            "It was trained on the base in 4 bits (nf4), so it is loaded so; on other weights it scores otherwise. On "
            "processors with AVX512-BF16, bitsandbytes computes 4-bit layers in bfloat16, which moves logits a little."
        )
    if origin.quantize == UNKNOWN:
        told.append("Whether the base was in 4 bits in training is unknown.")
    told.append("Prompts, clips and reading of answers are vsr-kit's: `vsr eval --adapter`.")
    return " ".join(told)


def _precision(origin: Origin) -> str:
    """What the weights outside of 4 bits were computed in: the profile's, or the device's best."""
    told = origin.settings.get("dtype")
    on_gpu = bool(origin.run.versions["hardware"].get("cuda"))
    return told if told in ("float32", "bfloat16", "float16") else "bfloat16" if on_gpu else "float32"


def _scores(origin: Origin, evaluations: Sequence[RunFolder]) -> str:
    tables = [_score_table(run) for run in (origin.run, *evaluations)]
    found = [table for table in tables if table]
    if not found:
        return "No evaluation of this adapter was found: its scores are unknown."
    told = (
        "In per cent, with 95 % intervals over rooms where the answers are kept; one training, so no spread of seeds."
    )
    return "\n\n".join([told, *found])


def _score_table(run: RunFolder) -> str:
    lines = []
    for label, row in recorded_scores(run).items():
        for task in sorted(row, key=lambda name: (name in TASKS, name)):
            mean, low, high, n = row[task]
            band = f"{low:.1f} to {high:.1f}" if (low, high) != (mean, mean) else UNKNOWN
            lines.append(f"| {_code(label)} | {_code(task)} | {mean:.1f} | {band} | {n or UNKNOWN} |")
    if not lines:
        return ""
    settings = run.config["config"]
    named = {"rooms": "rooms", "split": "split", "phrasing": "phrasing", "frames": "frames", "quantize": "weights"}
    about = ", ".join(f"{word} {shown_setting(settings[key])}" for key, word in named.items() if key in settings)
    answered = run.read_predictions()
    counted = f", {len({row.get('scene_name') for row in answered})} scenes" if answered else ""
    title = f"Run {_code(run.path.name)}, seed {run.seed}{counted}" + (f": {about}" if about else "")
    return "\n".join([title, "", "| reading | task | % | 95 % interval | questions |", "|---|---|---|---|---|", *lines])


def _made(origin: Origin, command: str | None) -> str:
    run, settings = origin.run, origin.settings
    versions = run.versions
    names = [*(name for name in _FIRST if name in settings), *(name for name in settings if name not in _FIRST)]
    rows = [f"| {_code(name)} | {shown_setting(settings[name])} |" for name in names if name != "about"]
    git, checkpoint = versions.get("git"), versions.get("checkpoint") or {}
    packages = recorded_packages(run)
    facts = {
        "command": _code(command) if command else UNKNOWN,
        "seed": str(run.seed),
        "started": _code(run.config["started"]),
        "rows": str(run.identity.get("rows", settings.get("rows", UNKNOWN))),
        "SHA-256 of the rows": _code(run.identity["rows sha256"]) if run.identity.get("rows sha256") else UNKNOWN,
        "SHA-256 of the base": _code(checkpoint["sha256"]) if checkpoint.get("sha256") else UNKNOWN,
        "code": _code(git["commit"] + (" with changes" if git.get("dirty") else "")) if git else UNKNOWN,
        "machine": _code(", ".join(versions["hardware"].get("cuda") or []) or _processor(versions["hardware"])),
        "packages": ", ".join(f"{_escaped(k)} {_escaped(v)}" for k, v in list(packages.items())[:40]) or UNKNOWN,
    }
    told = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    return f"{told}\n\n| setting | value |\n|---|---|\n" + "\n".join(rows)


def recorded_packages(run: RunFolder) -> dict[str, str]:
    """The versions of packages that a run recorded; empty where it recorded none."""
    found = run.versions.get("packages")
    return {str(name): str(version) for name, version in found.items()} if isinstance(found, Mapping) else {}


def _processor(hardware: Mapping) -> str:
    return str(hardware.get("processor") or UNKNOWN)


def _limits(origin: Origin, evaluations: Sequence[RunFolder]) -> str:
    rooms = str(origin.settings.get("rooms", origin.settings.get("questions", "")))
    told = ["One training with one seed: another seed may score otherwise."]
    if rooms.isdigit() or origin.settings.get("questions"):
        told.append("It was trained on procedural rooms (boxes), whose gain need not travel to real ones.")
    if origin.base in SHIPPED:
        told.append("Its base is a miniature of a few million parameters that knows rendered rooms alone.")
    if not evaluations:
        told.append("No evaluation is attached; rewards in training are no scores.")
    told.append("It answers questions of the trained wordings; what it says of others was not looked at.")
    told.append("The vision tower and the embeddings are the base's, unchanged.")
    return "\n".join(f"- {line}" for line in told)


def _license(license: str | None) -> str:
    if license:
        return f"{_code(license)}. The base's license and that of the training's videos apply beside it."
    return "Unknown: whoever published this stated none. The base's license and that of the training's videos apply."


def _code(text: str) -> str:
    """A Markdown code span of any text: one line, no bar that would end a cell, ticks outnumbered."""
    line = one_line(text).replace("|", "¦") or " "
    runs = [len(run) for run in "".join(c if c == "`" else " " for c in line).split()]
    fence = "`" * (max(runs, default=0) + 1)
    pad = " " if "`" in line else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _escaped(text: str) -> str:
    """Text that stands outside of a code span."""
    line = one_line(text)
    return "".join(f"\\{c}" if c in "\\`*_[]<>#|!{}" else c for c in line)
