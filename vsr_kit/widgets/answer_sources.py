"""Where the answers come from that an inspector compares: kept ones, loaded models, run folders, checkpoints.

`answer_source` takes whatever names answers or a model. Kept answers are a mapping, rows, a `RolloutTable` or a file
(`inspection.read_rollout_table`); a run folder may have kept predictions, an adapter, or both. A loaded model and a
function are asked live. A model that is only named (an adapter, a run, a checkpoint) is loaded when it is first asked,
so that a list of ten costs nothing until then.
Left out: how answers are drawn other than greedily (`widgets.Playground`), and letting a model go again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from vsr_kit.evaluation import predict
from vsr_kit.evaluation.draws import one_at_a_time
from vsr_kit.evaluation.predictions import CAP_WITHOUT_CHAIN, TOKEN_CAP
from vsr_kit.files import read_json
from vsr_kit.inspection import RolloutTable, read_rollout_table
from vsr_kit.paths import SHIPPED
from vsr_kit.runs import RunFolder
from vsr_kit.runs.reading import RecordedRun, flat_settings
from vsr_kit.videos import Clip

Ask = Callable[[Mapping], str]
Answers: TypeAlias = Any  # what `answer_source` lists


@dataclass
class AnswerSource:
    """Answers by row id, and what can be asked for more.

    Attributes:
        kept: texts by row id.
        ask: asks about a row; None where nothing can.
    """

    kept: dict[str, str] = field(default_factory=dict)
    ask: Ask | None = None


@dataclass(frozen=True)
class Asking:
    """How models are asked: the clips by scene name, the mode and the prompts."""

    clips: Mapping[str, Clip | np.ndarray]
    mode: str = "vanilla"
    prompt_set: str = "eval"

    def __call__(self, loaded, row: Mapping) -> str:
        """A model's greedy answer to a row about its own clip, or without one where there is none."""
        scene, clip = row["scene_name"], self.clips.get(row["scene_name"])
        frames = clip.frames_FHW3 if isinstance(clip, Clip) else clip
        cap = CAP_WITHOUT_CHAIN if self.mode == "vanilla" else TOKEN_CAP
        how: dict[str, Any] = {"mode": self.mode, "prompt_set": self.prompt_set, "max_new_tokens": cap}
        with one_at_a_time():
            (answer,) = predict(loaded, [dict(row)], clips=None if frames is None else {scene: frames}, **how)
        return answer["prediction"]


def answer_source(name: str, given: Answers, asking: Asking) -> AnswerSource:
    """The source that something names.

    Args:
        name: what it is called in the widget.
        given: a mapping from a row's id to text; rows with `id` and `prediction`; a `RolloutTable`; a loaded model; a
            function that is given a row and returns text; a run or its folder; a file of answers; an adapter's folder;
            a checkpoint's folder, or the name of a shipped one such as `mini`; or an `AnswerSource`.
        asking: how a model is asked.

    Raises:
        ValueError: naming the source: it is none of these, or rows lack `id` or `prediction`.
    """
    if isinstance(given, AnswerSource):
        return given
    if hasattr(given, "model") and hasattr(given, "processor"):
        return AnswerSource(ask=lambda row: asking(given, row))
    if callable(given):
        return AnswerSource(ask=given)
    if isinstance(given, RecordedRun):
        return _of_run(given, asking)
    if isinstance(given, (str, Path)):
        return _of_path(name, given, asking)
    if isinstance(given, RolloutTable):
        return AnswerSource(_first_of_each(given))
    if isinstance(given, (Mapping, Iterable)):
        return AnswerSource(stored_answers(name, given))
    raise ValueError(f"answers of {name!r} are {given!r}: give kept answers, a model, a run, or the path of one")


def stored_answers(name: str, answers: Mapping[str, str] | Iterable[Mapping]) -> dict[str, str]:
    """Predictions by row id, from a mapping or from rows; of several samples of one question the first.

    Raises:
        ValueError: naming the checkpoint, for a row without `id` or `prediction`.
    """
    if isinstance(answers, Mapping):
        return {str(key): str(text) for key, text in answers.items()}
    known: dict[str, str] = {}
    for i, row in enumerate(answers):
        if "id" not in row or "prediction" not in row:
            raise ValueError(f"answers of {name!r}: row {i} holds {sorted(row)}, it needs 'id' and 'prediction'")
        known.setdefault(str(row["id"]), str(row["prediction"]))
    return known


def by_label(table: RolloutTable) -> dict[str, AnswerSource]:
    """The kept answers of a table, a source for each of its labels, in their order."""
    labels = table.frame["label"].to_numpy()
    keys, texts = table.frame["id"].astype(str).to_numpy(), table.frame["completion"].to_numpy()
    found: dict[str, AnswerSource] = {label or table.name: AnswerSource() for label in table.labels}
    for label, key, text in zip(labels, keys, texts, strict=True):
        found[label or table.name].kept.setdefault(key, text)
    return found


def _of_path(name: str, given: str | Path, asking: Asking) -> AnswerSource:
    path = Path(given)
    if not path.exists():
        if str(given) in SHIPPED:
            return AnswerSource(ask=_later({"name": str(given)}, asking))
        raise ValueError(
            f"answers of {name!r}: there is no {str(given)!r}; give a file, a folder, or one of {_known()}"
        )
    if path.is_file():
        return AnswerSource(_first_of_each(read_rollout_table(path)))
    if (path / "versions.json").is_file():
        return _of_run(RunFolder.open(path), asking)
    if (path / "adapter_config.json").is_file():
        base = read_json(path / "adapter_config.json").get("base_model_name_or_path")
        return AnswerSource(ask=_later({"name": base or "mini", "quantize": "nf4", "adapter": path}, asking))
    if (path / "config.json").is_file():
        return AnswerSource(ask=_later({"name": path}, asking))
    return AnswerSource(_first_of_each(read_rollout_table(path)))


def _known() -> str:
    return ", ".join(SHIPPED)


def _of_run(run: RecordedRun, asking: Asking) -> AnswerSource:
    """What a run kept of an evaluation, and its adapter on the model that it names."""
    kept = {str(row["id"]): str(row["prediction"]) for row in reversed(run.read_predictions())}
    if not (run.adapter / "adapter_config.json").is_file():
        return AnswerSource(kept)
    settings = flat_settings(run)
    base = {"name": settings.get("model") or "mini", "quantize": settings.get("quantize")}
    return AnswerSource(kept, _later({**base, "adapter": run.adapter}, asking))


def _later(how: Mapping[str, Any], asking: Asking) -> Ask:
    """Asks a model that is loaded when it is first needed, and kept."""
    loaded: list = []

    def ask(row: Mapping) -> str:
        if not loaded:
            from vsr_kit.models import load_model

            loaded.append(load_model(**how, quiet=True))
        return asking(loaded[0], row)

    return ask


def _first_of_each(table: RolloutTable) -> dict[str, str]:
    """Of several samples of one question the first."""
    texts = zip(table.frame["id"].tolist(), table.frame["completion"].tolist(), strict=True)
    return {str(key): text for key, text in reversed(list(texts))}
