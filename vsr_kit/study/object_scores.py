"""Which objects a model sees in the test rooms, as scores: measured once, kept in one file, judged from it.

    python -m vsr_kit.study.object_scores --out FOLDER

writes `FOLDER/sparc.json`, the one file that the claims of `vsr_kit.recipes.sparc` read: scores of every prompt about
every clip, for each model, what each clip shows, and how all that was made. Texts would lose what the claims are about,
so this is no condition of a study. Models whose scores are there are not asked again; others are added.

The camera takes clear walks, unlike in the study's question sets, which take the first walk of a room
(`STUDY_RULES.clear_walk`): other objects can be in view here than there. The shipped scores are of these clips.
Left out: trained models; the recipe asks the shipped checkpoints as they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vsr_kit.data import split_rooms
from vsr_kit.evaluation.multi_label import Prompt, name_scores, single_and_compound
from vsr_kit.files import Damaged, check_seal, read_json, write_json
from vsr_kit.paths import checkpoint_of
from vsr_kit.rooms import CATEGORIES, Room
from vsr_kit.runs.provenance import versions
from vsr_kit.study.question_sets import ROOMS
from vsr_kit.videos import Clip, film, visible_objects

FILE = "sparc.json"
MODELS = ("mini", "mini-cold-start")
CLEAR_WALK = True  # of the clips that the shipped scores are about; the study's question sets have False
READING, ABSENT = "count", 2  # chosen on validation rooms, see recipes/sparc.py
_FIELDS = {"names": list, "prompts": list, "rooms": list, "labels": list, "scores": dict, "made": dict}


@dataclass(frozen=True)
class ObjectScores:
    """What a file holds, ready for `multi_label`.

    Attributes:
        names: of objects, N.
        prompts: P, each with the names that it holds, by number.
        rooms: C, one clip each.
        labels_CN: as `multi_label.mean_average_precision` takes them.
        scores: (C, P) by model.
    """

    names: tuple[str, ...]
    prompts: tuple[Prompt, ...]
    rooms: tuple[str, ...]
    labels_CN: np.ndarray
    scores: dict[str, np.ndarray]

    def by_method(self, model: str = "mini") -> dict[str, np.ndarray]:
        """`multi_label.name_scores` of a model.

        Raises:
            ValueError: the file has no scores of it.
        """
        if model not in self.scores:
            raise ValueError(f"there are no scores of {model!r}: choose one of {', '.join(self.scores)}")
        return name_scores(self.scores[model], self.prompts)


def labels_of(room: Room, clip: Clip, names: Sequence[str] = CATEGORIES) -> list[int]:
    """For each name 1 where the clip shows such an object, 0 where the room has none, -1 where it has one unseen."""
    seen = {room.boxes[i].category for i in visible_objects(clip)}
    there = {box.category for box in room.boxes}
    return [1 if name in seen else -1 if name in there else 0 for name in names]


def measure(
    folder: str | Path,
    models: Sequence[str] = MODELS,
    split: str = "test",
    rooms: int | None = None,
    reading: str = READING,
    absent: int = ABSENT,
) -> Path:
    """Score every prompt about a split's rooms, model after model, and write the file; returns its place.

    Args:
        folder: gets FILE.
        models: names or folders, as `load_model` takes them; with nf4 weights, as a study asks.
        split, rooms: procedural rooms; as many as the study has of the split, by default.
        reading, absent: as `presence_scores` takes them.

    Raises:
        ValueError: the file that is there is about other rooms, or was read otherwise.
    """
    path = Path(folder) / FILE
    from vsr_kit.evaluation.presence import presence_scores
    from vsr_kit.models.loading import load_model

    made = split_rooms(rooms or ROOMS[split], split)
    clips = {room.name: film(room, clear=CLEAR_WALK) for room in made}
    prompts = single_and_compound(len(CATEGORIES))
    asked = [[CATEGORIES[i] for i in prompt] for prompt in prompts]
    frames = {name: clip.frames_FHW3 for name, clip in clips.items()}
    record: dict[str, Any] = {
        "names": list(CATEGORIES),
        "prompts": [list(prompt) for prompt in prompts],
        "rooms": [room.name for room in made],
        "labels": [labels_of(room, clips[room.name]) for room in made],
        "scores": {},
        "made": {"reading": reading, "absent": absent, "clear_walk": CLEAR_WALK, "by": {}},
    }
    if path.exists():
        record = _same(path, record)
    path.parent.mkdir(parents=True, exist_ok=True)
    for model in models:
        if model not in record["scores"]:
            loaded = load_model(model, quantize="nf4", quiet=True)
            found = presence_scores(loaded, frames, asked, reading, absent=absent)
            record["scores"][model] = found.round(3).tolist()
            record["made"]["by"][model] = versions(checkpoint_of(model)) | {"loaded": loaded.description}
            write_json(path, record)
    return path


def _same(path: Path, wanted: dict) -> dict:
    """What is there, if it is about what is wanted now."""
    found = read_json(path, _FIELDS)
    # the first files did not record the walk, which was clear
    there = {**found, "made": {"clear_walk": True, **found["made"], "by": {}}, "scores": {}}
    if other := [name for name in wanted if there[name] != wanted[name]]:
        raise ValueError(f"{path}: its {other[0]} are not those of today; give another --out, or remove it")
    return found


def read_scores(folder: str | Path) -> ObjectScores:
    """What `measure` wrote into a folder, checked.

    Raises:
        FileNotFoundError: it has written nothing there.
        Damaged: the file is not what was written.
    """
    path = Path(folder) / FILE
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; python -m vsr_kit.study.object_scores --out FOLDER makes it")
    found = read_json(check_seal(path), _FIELDS)
    labels, scores = np.array(found["labels"]), {name: np.array(own) for name, own in found["scores"].items()}
    shape = len(found["rooms"]), len(found["prompts"])
    if labels.shape != (shape[0], len(found["names"])) or any(own.shape != shape for own in scores.values()):
        raise Damaged(f"{path}: scores and labels are not of {shape[0]} rooms and {shape[1]} prompts; restore a copy")
    prompts = tuple(tuple(prompt) for prompt in found["prompts"])
    return ObjectScores(tuple(found["names"]), prompts, tuple(found["rooms"]), labels, scores)


def main(words: Sequence[str] | None = None) -> None:
    """The command of this module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m vsr_kit.study.object_scores", description=__doc__)
    parser.add_argument("--out", required=True, help=f"folder that gets {FILE}")
    parser.add_argument("--model", action="append", help="name or folder of a checkpoint; may be given again")
    parser.add_argument("--split", default="test", choices=tuple(ROOMS))
    parser.add_argument("--rooms", type=int)
    given = parser.parse_args(words)
    print(measure(given.out, given.model or MODELS, given.split, given.rooms))


if __name__ == "__main__":
    main()
