"""The miniature's lessons about rooms, as text, and an extra loss that makes words attend to the objects they name.

A lesson is a user's text and the reply: where things stand, what there is, or a question. Places are metres east and
north of the room's middle (the walls' own axes, which their tints show). Questions come in both phrasings, with the
prompts of training and of evaluation, in all three modes; think and observe replies carry a chain that names the facts
from which the answer follows.

From answers alone, a small language model trains for thousands of steps before the first word finds its object in the
clip. The renderer knows which token shows what, so `grounding_loss` trains two heads in each of the first two layers:
where a lesson names a category, their attention belongs on that category's tokens. What to do with them is learnt from
the lessons.

Left out: grounding of numbers, places or directions; route planning and appearance order, on which nothing here trains.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import torch

from vsr_kit.bridging.description import imagined
from vsr_kit.prompts import target_completion, user_text
from vsr_kit.questions import make_questions, task_of
from vsr_kit.rooms import CATEGORIES, Box, Room, room_position

LAYERS = (0, 1)


@dataclass
class AttentionTap:
    """Queries and keys that attention saw, in some layers, while `on`; see `stages.optimise_cpu_ops`."""

    on: bool = False
    layers: tuple[int, ...] = LAYERS
    seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def note(self, layer: int | None, query: torch.Tensor, key: torch.Tensor) -> None:
        """Keep a layer's rotated queries (N, H, T, d) and keys (N, K, P + T, d), with their graph."""
        if self.on and layer in self.layers:
            self.seen[layer] = (query, key)


WATCH = AttentionTap()


def category_of_token(tokenizer, vocab_size: int, before: str = " (") -> torch.Tensor:
    """For each token id the category it spells, one of the signs `before` it or none, else -1. Shape (vocab,)."""
    table = torch.full((vocab_size,), -1)
    for token, index in tokenizer.get_vocab().items():
        word = tokenizer.convert_tokens_to_string([token]).strip(before)
        if word in CATEGORIES:
            table[index] = CATEGORIES.index(word)
    return table


def grounding_loss(
    category_NT: torch.Tensor, shown_NVC: torch.Tensor, visual_P: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy between attention and the tokens that show the word's object, summed, and how many words.

    Args:
        category_NT: category a lesson's token names, -1 where it names none.
        shown_NVC: which of a clip's V merged tokens show which category, for each row.
        visual_P: True where a prefix token is one of the clip's.
    """
    rows, places = (category_NT >= 0).nonzero(as_tuple=True)
    target_MV = shown_NVC[rows, :, category_NT[rows, places]] > 0
    known = target_MV.any(1)
    rows, places, target_MV = rows[known], places[known], target_MV[known]
    total, count = shown_NVC.new_zeros(()), 0
    for query, key in (WATCH.seen[layer] for layer in LAYERS if layer in WATCH.seen):
        group = query.shape[1] // key.shape[1]
        q_MKd = query[:, ::group][rows, :, places]
        k_MKPd = key[:, :, : len(visual_P)][rows][:, :, visual_P]
        with torch.autocast(query.device.type, enabled=False):
            logits_MKV = torch.einsum("mkd,mkpd->mkp", q_MKd.float(), k_MKPd.float()) / query.shape[-1] ** 0.5
            right = logits_MKV.masked_fill(~target_MV[:, None], torch.finfo(torch.float32).min).logsumexp(-1)
            total = total + (logits_MKV.logsumexp(-1) - right).sum()
        count += right.numel()
    return total, torch.tensor(count)


@dataclass(frozen=True)
class Lesson:
    """One exchange about one clip, or about none.

    Attributes:
        user: what is asked.
        reply: what is to be said.
        given: the reply's beginning, which is there to be read and not learnt, such as places that nobody could know.
        results_only: of the reply, learn the results of steps alone (`bridging.chains.results_in`).
    """

    user: str
    reply: str
    given: str = ""
    results_only: bool = False


def place_text(room: Room, box: Box) -> str:
    """`tv east 1.2, tv south 0.5`: where a box's centre lies, in metres from the middle of the room.

    The name stands before each coordinate and the side before the number: what is known leads straight to what is not.
    """
    east, north = room_position(room, box.center)
    sides = ("east" if east >= 0 else "west", abs(east)), ("north" if north >= 0 else "south", abs(north))
    return ", ".join(f"{box.category} {side} {metres:.1f}" for side, metres in sides)


def sight_lessons(room: Room, seen: Collection[int], rng: np.random.Generator, count: int) -> list[Lesson]:
    """Draw `count` lessons in looking: what there is, where it stands, how large it is."""
    boxes = [box for i, box in enumerate(room.boxes) if i in set(seen)]
    if not boxes:
        return []
    lessons = [_caption(room, boxes)]
    categories = sorted({box.category for box in boxes})
    for category in rng.permutation(categories).tolist():
        same = sorted((b for b in boxes if b.category == category), key=lambda b: room_position(room, b.center))
        where = "; ".join(place_text(room, box) for box in same)
        lessons.append(Lesson(f"Where is each {category}?", where))
        if len(same) == 1:
            lessons.append(Lesson(f"How large is the {category}?", f"{category} {_size_text(same[0])}"))
    picked = rng.permutation(len(lessons))[:count]
    return [lessons[i] for i in picked]


def _caption(room: Room, boxes: list[Box]) -> Lesson:
    counts: dict[str, int] = {}
    for box in sorted(boxes, key=lambda b: b.category):
        counts[box.category] = counts.get(box.category, 0) + 1
    listed = ", ".join(f"{n} {category}" for category, n in counts.items())
    return Lesson("Describe the video.", f"{_walls_text(room)} {listed}.")


def _walls_text(room: Room) -> str:
    return f"The room is {room.shell.size[0]:.1f} by {room.shell.size[1]:.1f} meters."


def _size_text(box: Box) -> str:
    return " by ".join(f"{side:.1f}" for side in sorted(box.size, reverse=True)) + " meters"


def chain_text(room: Room, row: dict) -> str:
    """The facts of `room` that a question's answer follows from, as a sentence or a few."""
    kind, named = row["question_type"], row["objects"]
    if kind == "room_size_estimation":
        return _walls_text(room)
    if kind == "object_counting":
        places = [room_position(room, b.center) for b in room.boxes if b.category == named[0]]
        return "I see one in the " + ", one in the ".join(_quarter(*p) for p in sorted(places)) + "."
    boxes = {name: next(b for b in room.boxes if b.category == name) for name in named}
    if kind == "object_size_estimation":
        return f"The {named[0]} is {_size_text(boxes[named[0]])}."
    if kind == "object_rel_distance":
        target = np.asarray(boxes[named[0]].center)
        away = (f"the {name} is {np.linalg.norm(target - boxes[name].center):.1f} away" for name in named[1:])
        return f"From the {named[0]}, " + ", ".join(away) + "."
    return " ".join(f"{place_text(room, boxes[name])}." for name in named)


def _quarter(east: float, north: float) -> str:
    return f"{'north' if north >= 0 else 'south'}-{'east' if east >= 0 else 'west'}"


class AnswerPool:
    """Answers seen in training, by type and phrasing: what a resampled label is drawn from."""

    def __init__(self, rows: list[dict]) -> None:
        self.by_kind: dict[tuple[str, str], list[str]] = {}
        for row in rows:
            self.by_kind.setdefault((row["phrasing"], row["question_type"]), []).append(row["ground_truth"])

    def draw(self, row: dict, rng: np.random.Generator) -> str:
        """A random answer of the row's type: one of its own options where it has some, else one from the pool."""
        if row["options"]:
            return "ABCD"[int(rng.integers(len(row["options"])))]
        if row["question_type"] == "object_rel_distance":  # open words: one of the four that the question names
            return row["objects"][1 + int(rng.integers(len(row["objects"]) - 1))]
        pool = self.by_kind[row["phrasing"], row["question_type"]]
        return pool[int(rng.integers(len(pool)))]


@dataclass(frozen=True)
class Teaching:
    """How questions are taught.

    Attributes:
        cot_share: of questions answered in think or observe mode, half each.
        resampled_share: of labels replaced by a random one of the same type.
        grounded_share: of chains that state facts of the room shown; the others state an imagined room's.
    """

    cot_share: float
    resampled_share: float
    grounded_share: float


def draw_rows(
    room: Room, seen: Collection[int], rng: np.random.Generator, count: int, phrasings_alike: bool = False
) -> list[dict]:
    """Draw `count` questions about a room, the tasks equally often, both phrasings.

    Args:
        phrasings_alike: of each task ask as often in VSI-100k's words as in VSI-Bench's, which have more types; so
            directions, for example, are answered by a word as often as by a letter.
    """
    by_task: dict[str, list[dict]] = {}
    for phrasing in ("vsi-bench", "vsi-100k"):
        found = make_questions(room, phrasing, int(rng.integers(2**31)), seen=seen, max_per_type=4, rules="study")
        for question in found:
            if question.question_type != "route_planning":
                by_task.setdefault(task_of(question.question_type), []).append(question.to_row())
    tasks = sorted(by_task)
    wanted = [tasks[i % len(tasks)] for i in range(count)]
    if phrasings_alike:
        return [_of_either_phrasing(by_task[task], rng) for task in wanted]
    return [by_task[task][int(rng.integers(len(by_task[task])))] for task in wanted]


def _of_either_phrasing(rows: list[dict], rng: np.random.Generator) -> dict:
    phrasings = sorted({row["phrasing"] for row in rows})
    phrasing = phrasings[int(rng.integers(len(phrasings)))]
    rows = [row for row in rows if row["phrasing"] == phrasing]
    return rows[int(rng.integers(len(rows)))]


def question_lesson(room: Room, row: dict, teaching: Teaching, pool: AnswerPool, rng: np.random.Generator) -> Lesson:
    """One question as it is taught: mode, prompt of training or evaluation, chain and label drawn by `teaching`."""
    mode = ("think", "observe")[int(rng.integers(2))] if rng.random() < teaching.cot_share else "vanilla"
    use = ("train", "eval")[int(rng.integers(2))]
    answer = pool.draw(row, rng) if rng.random() < teaching.resampled_share else row["ground_truth"]
    chain = ""
    if mode != "vanilla":
        grounded = rng.random() < teaching.grounded_share
        chain = chain_text(room if grounded else imagined(room, rng), row)
    return Lesson(user_text(row, mode, use), target_completion(mode, use, chain, answer))
