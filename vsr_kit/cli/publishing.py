"""`vsr merge`, `push`, `export` and `explain-gap`: what a finished run becomes for others.

Each is a thin layer over vsr_kit.publishing. `command_of` writes the command that made a run from what its folder
recorded, for the model card: flags that differ from their defaults, by the names that `vsr train` has for them.
Left out: pushing merged checkpoints, which `hf upload` does.
"""

from __future__ import annotations

import inspect
import shlex
import tempfile
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from vsr_kit.validation import printable

_FLAGS = {
    "extra_rewards": "extra_reward",
    "detectors": "detector",
    "num_frames": "frames",
}  # settings whose flags have another name


class Dtype(StrEnum):
    """Precision of a merged checkpoint."""

    bfloat16 = "bfloat16"
    float32 = "float32"


class Weights(StrEnum):
    """What an adapter is merged into."""

    seen = "seen"
    original = "original"


class Format(StrEnum):
    """Whose files of answers are written."""

    lmms_eval = "lmms-eval"
    vlmevalkit = "vlmevalkit"


Run = Annotated[Path, typer.Argument(help="The run folder of a finished training.")]


def merge(
    run: Run,
    out: Annotated[Path, typer.Option(help="Folder to write; it must not be there yet.")],
    dtype: Annotated[Dtype | None, typer.Option(help="Of the weights; the base checkpoint's own by default.")] = None,
    weights: Annotated[
        Weights, typer.Option(help="Merge into the base as the adapter saw it (nf4 turned back), or as it is stored.")
    ] = Weights.seen,
) -> None:
    """Write a run's adapter merged into its base: an ordinary Hugging Face checkpoint.

    An adapter trained on 4-bit weights is merged into those very weights, turned back into numbers, so that the
    checkpoint answers as the run did. Ask it: vsr eval --model FOLDER.
    """
    from vsr_kit.publishing import origin_of
    from vsr_kit.publishing.merging import merge as make
    from vsr_kit.runs.interrupts import say_on_full_disk, say_on_stop

    again = "merge again with the same command (nothing was left)"
    with say_on_stop(again) as stop, say_on_full_disk(out.absolute().parent, stop):
        origin = origin_of(run)
        how: dict[str, Any] = {
            "dtype": dtype and dtype.value,
            "weights": weights.value,
            "command": command_of(origin.run),
        }
        made = make(origin, out, quiet=False, **how)
    typer.echo(
        f"{made.layers} layers merged in {made.dtype}; rounding moved them {made.lost:.2g} times as far as the adapter"
    )
    if made.lost > 1:
        typer.echo(f"warning: {made.dtype} loses more than the adapter changed; take --dtype float32", err=True)
    typer.echo(f"look at {made.folder}; ask it: vsr eval --model {made.folder}")


def push(
    run: Run,
    repo_id: Annotated[str, typer.Argument(help="owner/name on the hub; made if it is not there.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(help="A run folder of vsr eval that asked it; may repeat. Found beside the run by default."),
    ] = None,
    base: Annotated[str | None, typer.Option(help="The base's hub id, where the run names a folder.")] = None,
    license: Annotated[
        str | None, typer.Option(help="Of the adapter, as the hub spells it: apache-2.0, mit, …")
    ] = None,
    dry_run: Annotated[Path | None, typer.Option(help="Write what would be pushed into this folder, and stop.")] = None,
) -> None:
    """Push a run's adapter to the Hugging Face hub, with a model card and the answers of its evaluations.

    The card holds scores with intervals, seed, settings, data, the command and the limits, as the run folders record
    them; what they do not record is called unknown. Log in before: hf auth login, or HF_TOKEN.
    """
    from vsr_kit.publishing import origin_of
    from vsr_kit.publishing.card import evaluations_of
    from vsr_kit.publishing.hub import check_repo_id, described, gather
    from vsr_kit.publishing.hub import push as send
    from vsr_kit.runs import RunFolder
    from vsr_kit.runs.interrupts import say_on_full_disk

    check_repo_id(repo_id)
    if base is not None:
        check_repo_id(base)
    origin = origin_of(run)
    asked = [RunFolder.open(path) for path in evaluation] if evaluation else evaluations_of(origin)
    how: dict[str, Any] = {"evaluations": asked, "command": command_of(origin.run), "base_id": base, "license": license}
    with tempfile.TemporaryDirectory() as scratch, say_on_full_disk(dry_run or scratch, "push again"):
        folder = dry_run or Path(scratch) / "push"
        gather(origin, repo_id, folder, **how)
        for line in described(folder):
            typer.echo(printable(line))
        if license is None:
            typer.echo("note: no --license: the card says that it is unknown", err=True)
        if dry_run is not None:
            typer.echo(f"nothing was pushed; look at {dry_run}")
            return
        typer.echo(f"pushed: {printable(send(folder, repo_id, private=private))}")


def export(
    source: Annotated[Path, typer.Argument(help="The run folder of an evaluation, or a file of answers.")],
    format: Annotated[Format, typer.Option(help="Whose files to write.")],
    out: Annotated[Path, typer.Option(help=".jsonl for lmms-eval; .tsv, .csv or .xlsx (openpyxl) for VLMEvalKit.")],
) -> None:
    """Write answers as lmms-eval's samples or as VLMEvalKit's table, so that their scorers take them."""
    from vsr_kit.inspection.sources import read_answer_file
    from vsr_kit.publishing import export_answers
    from vsr_kit.runs import RunFolder
    from vsr_kit.runs.interrupts import say_on_full_disk

    rows = RunFolder.open(source).read_predictions() if source.is_dir() else read_answer_file(source)
    with say_on_full_disk(out.absolute().parent, "export again with the same command"):
        made = export_answers(rows, format.value, out)
    typer.echo(f"{len(rows)} answers written to {made}")


def explain_gap(
    a: Annotated[Path, typer.Argument(help="A run folder of vsr eval, or a file of answers, any harness's.")],
    b: Annotated[Path, typer.Argument(help="What it is compared with.")],
    harness_a: Annotated[str | None, typer.Option(help="Read A by official, lenient or lmms-eval.")] = None,
    harness_b: Annotated[str | None, typer.Option(help="Read B by official, lenient or lmms-eval.")] = None,
) -> None:
    """Account for the difference between two scores of one model: questions, scorer, answers, and what is left.

    The parts add up to the difference. Below them stands what the two did differently, as far as they record it.
    """
    from vsr_kit.publishing import explain_gap as account
    from vsr_kit.publishing import read_side

    for line in account(read_side(a, harness_a), read_side(b, harness_b)).lines():
        typer.echo(line)


def command_of(run) -> str | None:
    """The `vsr train` that makes a run like this one; None where the run does not record enough to say.

    Settings without a flag, which a notebook or a script had changed, are told behind a #.
    """
    from vsr_kit.cli import models
    from vsr_kit.training.profiles import PROFILES

    settings = dict(run.config["config"])
    profile = settings.pop("profile", None)
    if not isinstance(profile, Mapping) or profile.get("name") not in PROFILES or "rooms" not in settings:
        return None
    known = inspect.signature(models.train).parameters
    usual = vars(PROFILES[str(profile["name"])])
    changed = {k: v for k, v in profile.items() if k in usual and v != usual[k] and k != "about"}
    words, others = ["vsr", "train", "--profile", str(profile["name"])], []
    for name, value in {**changed, **settings}.items():
        flag = _FLAGS.get(name, name)
        if flag not in known:
            others.append(f"{name}={value!r}")
            continue
        default = known[flag].default
        if name in changed or _plain(value) != _plain(getattr(default, "value", default)):
            words += _words(flag, value)
    words += ["--seed", str(run.seed)] if run.seed else []
    words += ["--name", run.name] if run.name != known["name"].default else []
    return shlex.join(words) + (f"  # and {', '.join(others)}" if others else "")


def _plain(value):
    """Nothing chosen is one thing, whether it is None, zero or an empty list."""
    return value or None


def _words(flag: str, value) -> list[str]:
    from vsr_kit.publishing.card import private

    name = f"--{flag.replace('_', '-')}"
    if isinstance(value, bool):
        return [name] if value else [f"--no-{name[2:]}"] * (flag == "gradient_checkpointing")
    if flag == "quantize":
        return [name, value or "none"]
    if isinstance(value, (list, tuple)):
        return [word for each in value for word in (name, private(str(each)))]
    return [name, private(str(value))]
