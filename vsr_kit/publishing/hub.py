"""Pushing a trained adapter to the Hugging Face hub with card and answers; a dry run writes the same to a folder.

`gather` lays out what would be pushed: the adapter in safetensors, README.md (card.py), and the answers of each
evaluation. `push` sends exactly these files in one commit through `huggingface_hub`, so who may write is decided by its
own means (`hf auth login`, HF_TOKEN), which are never read, printed or kept here. What goes wrong there is told in one
sentence with a remedy, and nothing is left half done: a commit appears whole or not at all.
Left out: merged checkpoints (`hf upload REPO FOLDER` sends one), optimiser states, rollouts, and changing repositories
that are there already beyond the files named.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vsr_kit.files import append_lines, in_a_line, read_json, seal, write_json
from vsr_kit.models.adapters import CONFIG, WEIGHTS, check_files
from vsr_kit.publishing.card import adapter_card, asked_adapter, base_name
from vsr_kit.publishing.origin import Origin
from vsr_kit.runs import RunFolder
from vsr_kit.runs.identity import adapter_file_identity

ANSWERS = "predictions"


def check_repo_id(repo_id: str) -> None:
    """ValueError unless a text can name a repository of one's own: owner/name."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    rule = "must be owner/name, of letters, digits, '-', '_' and '.', such as me/qwen2-vl-2b-vsgrpo"
    try:
        validate_repo_id(repo_id)
    except HFValidationError:
        raise ValueError(f"the repository is {repo_id!r}: {rule}") from None
    if repo_id.count("/") != 1:
        raise ValueError(f"the repository is {repo_id!r}: {rule}")


def gather(
    origin: Origin,
    repo_id: str,
    out: str | Path,
    *,
    evaluations: Sequence[RunFolder] = (),
    command: str | None = None,
    base_id: str | None = None,
    license: str | None = None,
) -> list[str]:
    """Write into `out` what a push sends, and return the files' names; arguments as in `card.adapter_card`.

    Raises:
        ValueError: `out` exists, the repository's name cannot be, the adapter is not whole, or an evaluation asked
            another adapter.
    """
    check_repo_id(repo_id)
    out = Path(out)
    if out.exists():
        raise ValueError(f"{out} exists: name a folder that does not, or remove it")
    check_files(origin.adapter)
    wanted = adapter_file_identity(origin.adapter / WEIGHTS)
    for run in evaluations:
        if (asked := asked_adapter(run)) != wanted:
            what = "no adapter" if asked is None else f"an adapter with the hash {asked[:12]}…"
            raise ValueError(f"{run.path} asked {what}, not that of {origin.run.path} ({wanted[:12]}…): leave it out")
    how = {"evaluations": evaluations, "command": command, "base_id": base_id, "license": license}
    card = adapter_card(origin, repo_id, **how)  # type: ignore[arg-type]
    out.mkdir(parents=True)
    try:
        _write(origin, out, card, evaluations, base_id)
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


def _write(origin: Origin, out: Path, card: str, evaluations: Sequence[RunFolder], base_id: str | None) -> None:
    shutil.copyfile(origin.adapter / WEIGHTS, out / WEIGHTS)
    config = read_json(origin.adapter / CONFIG)
    write_json(out / CONFIG, {**config, "base_model_name_or_path": base_id or base_name(origin.base)})
    seal(out, [CONFIG, WEIGHTS])
    (out / "README.md").write_text(card, encoding="utf-8")
    for run in evaluations:
        (out / ANSWERS).mkdir(exist_ok=True)
        append_lines(out / ANSWERS / f"{run.path.absolute().name}.jsonl", run.read_predictions())


def push(folder: str | Path, repo_id: str, *, private: bool = False) -> str:
    """Send a folder that `gather` wrote as one commit, into a repository that is made where there is none.

    private: of a new repository; one that is there stays what it is.

    Returns:
        The commit's address.

    Raises:
        ValueError: offline, unknown or refused who asks, or the hub refused the files; nothing was sent then, but a
            new repository may be there, empty.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    check_repo_id(repo_id)
    folder, api = Path(folder), HfApi(library_name="vsr-kit")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    adding = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in names]
    with _told_plainly(repo_id):
        api.create_repo(repo_id, private=private, exist_ok=True)
        made = api.create_commit(repo_id, adding, commit_message="Adapter, model card and answers, by vsr push")
    return str(made.commit_url)


@contextmanager
def _told_plainly(repo_id: str) -> Iterator[None]:
    """Turn what huggingface_hub raises into one sentence with a remedy."""
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    network: Any = HfHubHTTPError.__bases__[0]  # of its HTTP library, whose name changes with versions
    dry = "; --dry-run FOLDER writes what would be pushed"
    try:
        yield
    except OfflineModeIsEnabled:
        raise ValueError(f"HF_HUB_OFFLINE is set, so nothing can be pushed: unset it{dry}") from None
    except LocalTokenNotFoundError:
        raise ValueError(f"nobody is logged in to the hub: hf auth login, or set HF_TOKEN{dry}") from None
    except HfHubHTTPError as error:
        raise ValueError(_refused(error, repo_id)) from None
    except (OSError, network) as error:
        raise ValueError(f"the hub cannot be reached ({in_a_line(error)}): connect to the network{dry}") from None


def _refused(error, repo_id: str) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    owner, told = repo_id.split("/")[0], in_a_line(error)
    if status == 401:
        return (
            f"the hub does not know who asks (401): hf auth login, or set HF_TOKEN to a token that may write ({told})"
        )
    if status == 403:
        return f"your token may not write to {owner}'s repositories (403): use one that may, or another owner ({told})"
    if status == 404:
        return f"the hub finds no {repo_id} (404): is {owner} the name you are logged in with? ({told})"
    return f"the hub refused {repo_id} ({status or 'no status'}): {told}"


def described(folder: str | Path) -> list[str]:
    """A line for each file that a push would send, with its size."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return [f"{path.relative_to(folder).as_posix()}  {path.stat().st_size:,} bytes" for path in files]
