"""What a checkpoint was taught, as its model card tells, and what of a question is new to it.

Nobody can see from weights what a model has been trained on. Whoever trained it can say so in the model card, README.md
in the checkpoint's folder, whose head is YAML by the hub's convention. `read_taught` reads the entry `taught` there:

    taught:
      objects: [chair, table]                    names of objects in its training rooms
      question_types: {vsi-bench: [object_counting]}   types by phrasing, whose wordings the kit knows
      also_asked: [Describe the video.]          other texts that it was asked
      rooms: [procedural]                        data sets of its rooms
      clips: {frames: 8, size_px: 112}

`news` compares a question with it and says in sentences what the model meets for the first time: a word, an object, a
type, a wording, a kind of room, a length of clip. A checkpoint without the entry is said to tell nothing; nothing is
guessed from its name or its size.
Left out: what an adapter was trained on besides, and how well anything was learnt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vsr_kit.files import Damaged
from vsr_kit.prompts import PROMPTS
from vsr_kit.questions import QUESTION_TYPES
from vsr_kit.questions.types import PHRASINGS
from vsr_kit.questions.wordings import TEMPLATES, wording_of

CARD = "README.md"
MOST_NAMED = 6  # words in one sentence
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_OPENING = "These are frames of a video. Options: A B C D E F G H"


@dataclass(frozen=True)
class Taught:
    """What a checkpoint's card says that it was taught.

    Attributes:
        objects: names of objects, in the card's order.
        question_types: by phrasing.
        also_asked: other texts that it was asked.
        rooms: data sets of its rooms; empty where the card does not tell.
        frames, size_px: of its clips; 0 where the card does not tell.
    """

    objects: tuple[str, ...]
    question_types: Mapping[str, tuple[str, ...]]
    also_asked: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    frames: int = 0
    size_px: int = 0
    words: frozenset[str] = field(default=frozenset(), init=False)

    def __post_init__(self) -> None:
        """Collect every word of what it was asked; the fields of a wording hold names of objects."""
        texts = [*self.objects, *self.also_asked, *PROMPTS.values(), _OPENING]
        texts += [re.sub(r"\{\w+\}", " ", wording) for wording in self.wordings]
        object.__setattr__(self, "words", frozenset(word for text in texts for word in words_of(text)))

    @property
    def wordings(self) -> tuple[str, ...]:
        """The wordings of its question types, each once."""
        found = [TEMPLATES[p][kind] for p, kinds in self.question_types.items() for kind in kinds]
        return tuple(dict.fromkeys(found))

    def summary(self) -> str:
        """One sentence: how many objects and wordings, and which objects."""
        kinds = {kind for kinds in self.question_types.values() for kind in kinds}
        told = f"It was taught {len(self.objects)} objects ({', '.join(self.objects)}) and {len(kinds)} question types"
        return f"{told} in {len(self.wordings)} wordings."


def words_of(text: str) -> list[str]:
    """The words of a text in small letters, each once; digits and signs are none."""
    return list(dict.fromkeys(_WORD.findall(text.lower())))


def folder_of_model(model) -> Path | None:
    """The folder that a model's weights were read from; None where it was not read from a folder."""
    if model is None:
        return None
    from vsr_kit.models.vision import core_model

    name = str(getattr(core_model(model).config, "_name_or_path", "") or "")
    return Path(name) if name and Path(name).is_dir() else None


def read_taught(folder: str | Path | None) -> Taught | None:
    """What the card in a checkpoint's folder says; None where there is no card, or it has no entry `taught`.

    Raises:
        ValueError: as `Damaged`, there is an entry that cannot be understood; it names file, field and rule.
    """
    path = None if folder is None else Path(folder) / CARD
    if path is None or not path.is_file():
        return None
    from huggingface_hub import metadata_load

    try:
        head = metadata_load(path)
    except Exception as error:  # whatever the YAML reader raises
        raise Damaged(f"{path}: its head is not YAML ({type(error).__name__}); mend it, or remove it") from error
    if not isinstance(head, dict) or "taught" not in head:
        return None
    return _checked(head["taught"], f"{path}: field 'taught'")


def _checked(found: object, where: str) -> Taught:
    if not isinstance(found, dict) or not {"objects", "question_types"} <= set(found):
        raise Damaged(f"{where} must have `objects` and `question_types`; see vsr_kit/evaluation/taught.py")
    types, clips = found["question_types"], found.get("clips") or {}
    lists = {name: found.get(name) or [] for name in ("objects", "also_asked", "rooms")}
    for name, value in lists.items():
        if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
            raise Damaged(f"{where}: `{name}` is {value!r}, must be a list of texts")
    if not isinstance(types, dict) or not set(types) <= set(PHRASINGS):
        raise Damaged(f"{where}: `question_types` is {types!r}, must have lists by {' and '.join(PHRASINGS)}")
    for phrasing, kinds in types.items():
        if not isinstance(kinds, list) or not set(kinds) <= set(TEMPLATES[phrasing]):
            raise Damaged(f"{where}: `question_types` has {kinds!r}, must be among {', '.join(TEMPLATES[phrasing])}")
    sizes = clips if isinstance(clips, dict) else {"": clips}
    if not set(sizes) <= {"frames", "size_px"} or not all(isinstance(n, int) and n >= 0 for n in sizes.values()):
        raise Damaged(f"{where}: `clips` is {clips!r}, must have whole numbers `frames` and `size_px`")
    kept = {phrasing: tuple(kinds) for phrasing, kinds in types.items()}
    named = {name: tuple(value) for name, value in lists.items()}
    return Taught(named["objects"], kept, named["also_asked"], named["rooms"], **sizes)


def news(
    taught: Taught, row: Mapping, tokenizer=None, *, dataset: str = "", frames_shape: Sequence[int] = ()
) -> list[str]:
    """What a question has that the model was not taught, a sentence each; empty where there is nothing.

    Args:
        taught: from the card.
        row: with `question`, and `options`, `question_type` and `objects` where it has them.
        tokenizer: the model's; with it, a word that it has no token for is shown in the pieces that it reads.
        dataset: of the room; `video` for a video file.
        frames_shape: (F, H, W, 3) of the clip.
    """
    return [
        *_new_words(taught, row, tokenizer),
        *_new_kind(taught, row),
        *_new_clip(taught, dataset, tuple(frames_shape)),
    ]


def _new_words(taught: Taught, row: Mapping, tokenizer) -> list[str]:
    text = "\n".join([str(row["question"]), *map(str, row.get("options") or ())])
    unknown = [word for word in words_of(text) if word not in taught.words]
    objects = [name for name in row.get("objects") or () if name not in taught.objects]
    objects = [name for name in dict.fromkeys(objects) if set(words_of(name)) <= taught.words]  # the words tell others
    told = []
    if unknown:
        shown = ", ".join(_in_pieces(word, tokenizer) for word in unknown[:MOST_NAMED])
        more = f" and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
        told.append(f"It has never seen the word{'s' * (len(unknown) > 1)} {shown}{more}.")
    if objects:
        told.append(f"It was taught no object called {', '.join(map(repr, objects[:MOST_NAMED]))}.")
    return told


def _in_pieces(word: str, tokenizer) -> str:
    if tokenizer is None:
        return repr(word)
    pieces = [tokenizer.decode([token]) for token in tokenizer(f" {word}", add_special_tokens=False)["input_ids"]]
    return repr(word) if len(pieces) < 2 else f"{word!r} (read in pieces: {'·'.join(pieces).strip()})"


def _new_kind(taught: Taught, row: Mapping) -> list[str]:
    known = {kind for kinds in taught.question_types.values() for kind in kinds}
    kind, wording = row.get("question_type") or "", wording_of(str(row["question"]))
    if kind in QUESTION_TYPES and kind not in known:
        return [f"It was taught no question of this type ({kind})."]
    if wording is None:
        return [f"The question is in none of the {len(taught.wordings)} wordings that it was taught."]
    if wording.question_type not in taught.question_types.get(wording.phrasing, ()):
        return [f"It was not taught this wording ({wording.question_type} of {wording.phrasing})."]
    return []


def _new_clip(taught: Taught, dataset: str, shape: tuple[int, ...]) -> list[str]:
    told = []
    if dataset and taught.rooms and dataset not in taught.rooms:
        what = "a video file" if dataset == "video" else f"a room of {dataset}"
        told.append(f"This is {what}; it was shown rooms of {', '.join(taught.rooms)} only.")
    if len(shape) == 4 and taught.frames and shape[0] != taught.frames:
        told.append(f"The clip has {shape[0]} frames; it was shown clips of {taught.frames}.")
    return told
