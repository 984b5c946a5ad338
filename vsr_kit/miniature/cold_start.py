"""The cold start of Vision-R1 on the miniature: all of the language model learns to write chains that compute.

The base says where things stand and cannot calculate with it. Its cold start has six stages. *values* and *steps*
have no clip: places are given as text and said again, with the copying loss, beside differences and distances of places
that are there to be read; then places are fetched and calculated with. *chains* stands behind clips: most questions are
answered with chains that a describer and a rule reasoner wrote (`vsr_kit.bridging`), some in one glance, beside looks
at the clip and lessons without one. *again* goes on with fewer clips and more names. So much text makes the network
forget where things stand in a clip; *look* brings that back with many looks, and *together* has a share of everything.
The vision tower stays as it is, as in Vision-R1, whose own cold start is a full fine-tuning on 200 thousand chains.

What is built in: a chain's places are those of the room shown (of a stated share of chains), its arithmetic is right,
and its answer follows from it. Chains whose answer misses the truth are left out, as Vision-R1 leaves them out.
Left out: judging a cold start by whether its chains pay; `acceptance` looks at places, copying, arithmetic and form.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from vsr_kit.bridging.description import describe, imagined
from vsr_kit.bridging.reasoner import Reasoned, Style, reason
from vsr_kit.files import write_json
from vsr_kit.locks import held
from vsr_kit.miniature.batches import Copying, Grounding, LessonEncoder, lesson_loss
from vsr_kit.miniature.copying import token_texts
from vsr_kit.miniature.folder import CHECKPOINTS, RECIPE, as_recorded, check, checkpoint_folders
from vsr_kit.miniature.lessons import Lesson, category_of_token, draw_rows, sight_lessons
from vsr_kit.miniature.sight import LEAST_PIXELS, ClipStore, sight_labels
from vsr_kit.miniature.stages import optimise_cpu_ops, rank, run_stage, world
from vsr_kit.miniature.text_lessons import text_lesson
from vsr_kit.miniature.training import save_in_bf16
from vsr_kit.models.loading import load_model
from vsr_kit.prompts import target_completion, user_text
from vsr_kit.rewards import RIGHT_WITHIN, right_answer
from vsr_kit.rooms import Room, make_rooms


@dataclass(frozen=True)
class ColdStage:
    """One stage: AdamW, linear warm-up, cosine down to a fiftieth. Numbers of lessons are over all processes.

    Attributes:
        texts: lessons without a clip in a step, for each kind of `text_lessons.KINDS`.
        clips_per_step: clips of a step; each has the numbers of lessons below.
        chains_per_clip, glances_per_clip, looks_per_clip: questions answered with a chain, questions answered at once,
            and looks at what stands where.
        wide_names: of the lessons without a clip; see `text_lessons.text_lesson`.
        grounding, copying: weights of the two losses that teach attention.
    """

    steps: int
    learning_rate: float
    texts: dict[str, int] = field(default_factory=dict)
    clips_per_step: int = 0
    chains_per_clip: int = 0
    glances_per_clip: int = 0
    looks_per_clip: int = 0
    wide_names: bool = False
    grounding: float = 0.1
    copying: float = 1.0
    weight_decay: float = 0.05
    warmup: int = 50


LONG_WINDED = Style(checks=0.1, detours=0.1, restarts=0.1)  # of the shipped cold start


@dataclass(frozen=True)
class ColdStartRecipe:
    """Everything the cold start is made of.

    Attributes:
        grounded_share: of chains that speak of the room shown; the others speak of one that is not there.
        style: how the reasoner writes.
        right_within: of the truth, as a share of it, an answer in metres or the like is kept; others must be exact.
    """

    base: str = "mini"
    seed: int = 0
    num_rooms: int = 4800
    rooms_seed: int = 2002
    num_frames: int = 8
    size_px: int = 112
    grounded_share: float = 1.0
    style: Style = LONG_WINDED
    right_within: float = RIGHT_WITHIN
    # Small steps and many of them: sums are learnt by the number of steps, hardly by the number of lessons in one.
    values: ColdStage = ColdStage(steps=2000, learning_rate=1e-3, texts={"recall": 4, "sums": 4})
    steps: ColdStage = ColdStage(
        steps=800, learning_rate=1e-3, texts={"recall": 2, "sums": 2, "steps": 4, "question": 2}
    )
    chains: ColdStage = ColdStage(
        steps=400,
        learning_rate=1e-3,
        texts={"sums": 2, "steps": 2, "question": 2},
        clips_per_step=4,
        chains_per_clip=5,
        glances_per_clip=2,
        looks_per_clip=2,
    )
    # Until here a third of the names that no lesson had are fetched, those of rooms are: more names, and fewer clips.
    again: ColdStage = ColdStage(
        steps=450,
        learning_rate=1e-3,
        wide_names=True,
        texts={"recall": 2, "sums": 2, "steps": 6, "question": 2},
        clips_per_step=2,
        chains_per_clip=5,
        glances_per_clip=2,
        looks_per_clip=2,
    )
    look: ColdStage = ColdStage(
        steps=1200,
        learning_rate=1e-3,
        wide_names=True,
        texts={"recall": 2, "sums": 2, "steps": 4, "question": 2},
        clips_per_step=12,
        chains_per_clip=1,
        glances_per_clip=1,
        looks_per_clip=8,
        grounding=0.3,
    )
    together: ColdStage = ColdStage(
        steps=700,
        learning_rate=5e-4,
        wide_names=True,
        texts={"recall": 2, "sums": 2, "steps": 4, "question": 4},
        clips_per_step=12,
        chains_per_clip=2,
        glances_per_clip=1,
        looks_per_clip=5,
        grounding=0.3,
    )


def cold_start(
    out: str | Path, recipe: ColdStartRecipe | None = None, work: str | Path | None = None, fuse: bool = True
) -> Path:
    """Make the cold start's checkpoint, or go on where a killed run stood.

    Under `torchrun --nproc_per_node N -m vsr_kit.miniature.cold_start OUT` N processes share the work.

    Args:
        out: checkpoint folder to write, in bf16.
        recipe: the numbers; those of the shipped cold start by default.
        work: films, logs and resume states; `<out>-work` by default.
        fuse: compile the small operations (needs a C++ compiler).

    Raises:
        ValueError: if `work` was begun with another recipe or by another number of processes, if somebody is writing
            there, or if `out` holds anything that it did not write.
    """
    recipe, out = recipe or ColdStartRecipe(), Path(out)
    work = Path(work or f"{out}-work")
    if "RANK" in os.environ and not dist.is_initialized():
        dist.init_process_group("gloo")
    with ExitStack() as kept:
        identity = {"recipe": recipe, "processes": world()}
        check(work, identity)
        if rank() == 0:
            kept.enter_context(held(out))
            kept.enter_context(held(work))
            folders = checkpoint_folders(work, (out,))
            work.mkdir(parents=True, exist_ok=True)
            if not (work / RECIPE).exists():
                write_json(work / RECIPE, as_recorded(identity))
            write_json(work / CHECKPOINTS, {"folders": folders})
        _wait()
        teacher = ColdStart(recipe, work, fuse)
        teacher.teach("values", recipe.values)
        teacher.teach("steps", recipe.steps)
        teacher.film()
        teacher.teach("chains", recipe.chains)
        teacher.teach("again", recipe.again)
        teacher.teach("look", recipe.look)
        teacher.teach("together", recipe.together)
        return save_in_bf16(out, teacher.model, teacher.processor)


def _wait() -> None:
    """Let all processes reach this point."""
    if dist.is_initialized():
        dist.barrier()


class ColdStart:
    """The base under training, with its rooms and films."""

    def __init__(self, recipe: ColdStartRecipe, work: Path, fuse: bool = True) -> None:
        self.recipe, self.work = recipe, work
        loaded: Any = load_model(recipe.base, None, quiet=True)
        self.device = torch.device("cuda" if torch.cuda.is_available() and world() == 1 else "cpu")
        # Passes a step without clips and behind them: on a GPU another pass costs more than padding does.
        self.text_chunks, self.clip_chunks = (1, 1) if self.device.type == "cuda" else (2, 6)
        self.model, self.processor = loaded.model.float().to(self.device).train(), loaded.processor
        self.model.requires_grad_(False)
        self.model.model.language_model.requires_grad_(True)
        tokenizer, size = self.processor.tokenizer, self.model.config.text_config.vocab_size
        grid = recipe.num_frames // 2, recipe.size_px // 14, recipe.size_px // 14
        self.behind_clips = LessonEncoder(self.model, self.processor, grid)
        self.without_clips = LessonEncoder(self.model, self.processor, None)
        self.token_texts = token_texts(tokenizer, size)
        self.category_of_token = category_of_token(tokenizer, size, " (>")  # a chain begins right after its tag
        self.rooms: list[Room] = []
        optimise_cpu_ops(self.model, fuse and self.device.type == "cpu")

    def film(self) -> None:
        """Film the rooms of the stage behind clips; the first process does, the others wait."""
        self.rooms = make_rooms(self.recipe.num_rooms, self.recipe.rooms_seed, "cold-start")
        place = self.work / "clips", self.rooms, self.recipe.num_frames, self.recipe.size_px
        if rank() == 0:
            ClipStore(*place).film_all()
        _wait()
        self.store = ClipStore(*place)

    def teach(self, name: str, stage: ColdStage) -> None:
        """Run one stage, or go on with it."""
        trained = [(self.model.model.language_model.parameters(), 1.0)]
        run_stage(name, stage, self.work, self.model, trained, lambda rng: self._loss(stage, rng), self.recipe.seed)

    def _loss(self, stage: ColdStage, rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        """A step's loss on this process's share of the lessons; what is behind clips and what is not weigh alike."""
        parts = [self._text_loss(stage, rng)] if stage.texts else []
        parts += [self._clip_loss(stage, rng)] if stage.clips_per_step else []
        read = {
            f"{name}{'' if not i else '_behind_clips'}": n
            for i, (_, own) in enumerate(parts)
            for name, n in own.items()
        }
        return sum(loss for loss, _ in parts) / len(parts), read

    def _text_loss(self, stage: ColdStage, rng: np.random.Generator):
        lessons = [
            text_lesson(kind, rng, style=self.recipe.style, wide=stage.wide_names)
            for kind, count in stage.texts.items()
            for _ in range(count // world())
        ]
        encoded = self.without_clips(lessons)
        nothing = torch.zeros(1, 0, self.model.config.text_config.hidden_size, device=self.device)
        copying, prefix = Copying(self.token_texts, stage.copying), self.without_clips.prefix
        return lesson_loss(
            self.model, prefix, nothing, encoded, [0] * len(encoded), chunks=self.text_chunks, copying=copying
        )

    def _clip_loss(self, stage: ColdStage, rng: np.random.Generator):
        clips = sorted(rng.choice(len(self.rooms), stage.clips_per_step // world(), replace=False).tolist())
        lessons = [self._lessons(i, stage, rng) for i in clips]
        clip_of_row = [b for b, part in enumerate(lessons) for _ in part]
        encoded = self.behind_clips([lesson for part in lessons for lesson in part])
        with torch.no_grad():
            batch = self.processor.video_processor(list(self.store.frames_NFHW3[clips]), return_tensors="pt")
            batch = batch.to(self.device)
            seen = self.model.model.visual(batch["pixel_values_videos"], grid_thw=batch["video_grid_thw"])
            features = seen.pooler_output.view(len(clips), -1, self.model.config.text_config.hidden_size)
        grounding = Grounding(self.category_of_token, sight_labels(self.store, clips).shown_BVC, stage.grounding)
        copying = Copying(self.token_texts, stage.copying)
        return lesson_loss(
            self.model,
            self.behind_clips.prefix,
            features,
            encoded,
            clip_of_row,
            chunks=self.clip_chunks,
            grounding=grounding,
            copying=copying,
        )

    def _lessons(self, i: int, stage: ColdStage, rng: np.random.Generator) -> list[Lesson]:
        room = self.rooms[i]
        seen = np.flatnonzero(self.store.cover_NVB[i].sum(0) >= 2 * LEAST_PIXELS).tolist()
        rows = draw_rows(room, seen, rng, stage.chains_per_clip + stage.glances_per_clip, phrasings_alike=True)
        order = rng.permutation(len(rows))
        modes = ["think"] * stage.chains_per_clip + ["vanilla"] * stage.glances_per_clip
        asked = [self._asked(room, seen, rows[k], mode, rng) for k, mode in zip(order, modes, strict=True)]
        return sight_lessons(room, seen, rng, stage.looks_per_clip) + asked

    def _asked(self, room: Room, seen: list[int], row: dict, mode: str, rng: np.random.Generator) -> Lesson:
        """A question as it is taught: at once with its true answer, or with a chain that passed the filter."""
        use = ("train", "eval")[int(rng.integers(2))]
        found = None if mode == "vanilla" else self._reasoned(room, seen, row, rng)
        if found is None:
            return Lesson(user_text(row, "vanilla", use), row["ground_truth"])
        return Lesson(user_text(row, mode, use), target_completion(mode, use, found.chain, found.answer))

    def _reasoned(self, room: Room, seen: list[int], row: dict, rng: np.random.Generator) -> Reasoned | None:
        """A chain about the room shown, or about one that is not there; None where its answer is not right.

        A chain about another room is kept with the true answer, which it cannot lead to.
        """
        if rng.random() < self.recipe.grounded_share:
            found = reason(row, describe(room, seen), self.recipe.style, rng)
            return found if found is not None and right_answer(found.answer, row, self.recipe.right_within) else None
        found = reason(row, describe(imagined(room, rng), seen), self.recipe.style, rng)
        return None if found is None else Reasoned(found.chain, row["ground_truth"])
