"""Pretraining of the miniature, from rooms to a checkpoint folder, stage by stage, each resumable.

`pretrain` checks or records the recipe in the work folder, films the rooms and runs the stages sight, look, clean and
diffuse. It saves the model after *clean* as `<out>-clean`, the headroom reference, and after *diffuse* as `out`. Under
torchrun the first process makes the files and the others wait for them.
"""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from transformers import Qwen2VLForConditionalGeneration

from vsr_kit.files import write_json
from vsr_kit.locks import held
from vsr_kit.miniature.batches import Grounding, LessonEncoder, lesson_loss
from vsr_kit.miniature.folder import CHECKPOINTS, RECIPE, as_recorded, check, checkpoint_folders, digest
from vsr_kit.miniature.lessons import AnswerPool, Lesson, category_of_token, draw_rows, question_lesson, sight_lessons
from vsr_kit.miniature.recipe import Recipe, Stage
from vsr_kit.miniature.sight import LEAST_PIXELS, ClipStore, SightHeads, sight_labels
from vsr_kit.miniature.stages import optimise_cpu_ops, rank, run_stage, world
from vsr_kit.models.new_checkpoint import build_config, build_tokenizer, save_checkpoint
from vsr_kit.models.vision import new_processor
from vsr_kit.prompts import target_completion, user_text
from vsr_kit.questions import make_questions
from vsr_kit.rooms import make_rooms

_SIGHT_WEIGHT = 0.3  # of the vision heads' loss while the whole model learns
_TOWER_RATE = 0.3  # of the learning rate, for the tower once it has learnt to see
_POOL_ROOMS = 2000
_CORPUS_ROOMS = 300
SIZE_LIMITS = {"shortest_edge": 56 * 56, "longest_edge": 448 * 448}  # pixels of a frame; clips between pass as they are


def pretrain(out: str | Path, recipe: Recipe | None = None, work: str | Path | None = None, fuse: bool = True) -> Path:
    """Train the miniature, or go on where a killed run stood.

    Under `torchrun --nproc_per_node N -m vsr_kit.miniature OUT` N processes share the work.

    Args:
        out: checkpoint folder to write; its sibling `<out>-clean` holds the headroom reference.
        recipe: the numbers; the shipped miniature's by default.
        work: films, logs and resume states (about 5 GB at the default recipe); `<out>-work` by default.
        fuse: compile the small operations (needs a C++ compiler; a minute once, then half as long a step).

    Raises:
        ValueError: if `work` was begun with another recipe or by another number of processes, if somebody is writing
            there, or if `out` holds anything that it did not write.
        OSError: if the disk is full, or too small for the films.
    """
    recipe, out = recipe or Recipe(), Path(out)
    work = Path(work or f"{out}-work")
    if "RANK" in os.environ and not dist.is_initialized():
        dist.init_process_group("gloo")
    with ExitStack() as kept:
        if rank() == 0:
            kept.enter_context(held(out))
            kept.enter_context(held(work))
        school = _open_school(out, recipe, work, fuse)
        return _teach(school, out)


def _clean(out: Path) -> Path:
    return out.with_name(f"{out.name}-clean")


def _open_school(out: Path, recipe: Recipe, work: Path, fuse: bool) -> MiniatureTrainer:
    """The school with its rooms filmed; the first process makes the files, the others wait for them."""
    check(work, {"recipe": recipe, "processes": world()})  # before the rooms are made
    if rank() > 0:
        dist.barrier()
        school = MiniatureTrainer(recipe, work, fuse)
        dist.barrier()
        return school
    folders = checkpoint_folders(work, (out, _clean(out)))
    school = MiniatureTrainer(recipe, work, fuse)
    write_json(work / CHECKPOINTS, {"folders": folders})
    if dist.is_initialized():
        dist.barrier()
    school.store.film_all()
    if dist.is_initialized():
        dist.barrier()
    return school


def _teach(school: MiniatureTrainer, out: Path) -> Path:
    recipe = school.recipe
    school.teach_sight()
    school.teach_answers("look", recipe.look)
    school.teach_answers("clean", recipe.clean)
    school.save(_clean(out))
    school.teach_answers("diffuse", recipe.diffuse)
    return school.save(out)


class MiniatureTrainer:
    """A model under training, with its rooms and films."""

    def __init__(self, recipe: Recipe, work: Path, fuse: bool = True) -> None:
        self.recipe, self.work = recipe, work
        work.mkdir(parents=True, exist_ok=True)
        self.rooms = make_rooms(recipe.num_rooms, recipe.rooms_seed, "pretrain")
        tokenizer = build_tokenizer(corpus(self.rooms[:_CORPUS_ROOMS], recipe.seed), recipe.vocab_size)
        self._hold_to_recipe(tokenizer)
        self.store = ClipStore(work / "clips", self.rooms, recipe.num_frames, recipe.size_px)
        config = build_config(tokenizer, recipe.text | {"vocab_size": recipe.vocab_size}, recipe.vision)
        torch.manual_seed(recipe.seed)
        self.model = Qwen2VLForConditionalGeneration(config)
        self.heads = SightHeads(config.text_config.hidden_size)
        self.both = nn.ModuleDict({"model": self.model, "heads": self.heads})
        self.processor = new_processor(tokenizer, SIZE_LIMITS)
        self.encoder = LessonEncoder(self.model, self.processor, recipe.grid_thw)
        self.pool = AnswerPool([q.to_row() for room in self.rooms[:_POOL_ROOMS] for q in _all_questions(room)])
        self.category_of_token = category_of_token(tokenizer, recipe.vocab_size)
        optimise_cpu_ops(self.model, fuse)

    def _hold_to_recipe(self, tokenizer) -> None:
        """Refuse a work folder that was begun with anything else; note it in a new one."""
        rooms, words = digest(room.to_dict() for room in self.rooms), digest([tokenizer.get_vocab()])
        identity = {"recipe": self.recipe, "processes": world(), "rooms": rooms, "tokenizer": words}
        check(self.work, identity)
        if rank() == 0 and not (self.work / RECIPE).exists():
            write_json(self.work / RECIPE, as_recorded(identity))

    def teach_sight(self) -> None:
        """Stage one: the vision tower and its throw-away heads."""
        stage = self.recipe.sight
        tower = [(self.model.model.visual.parameters(), 1.0), (self.heads.parameters(), 1.0)]

        def step_loss(rng: np.random.Generator):
            clips = self._draw_clips(rng, stage.clips_per_step // world())
            return self.heads.loss(self._features(clips).float(), sight_labels(self.store, clips))

        run_stage("sight", stage, self.work, self.both, tower, step_loss, self.recipe.seed)

    def teach_answers(self, name: str, stage: Stage) -> None:
        """The other stages: lessons behind each clip."""
        trained = [(self.model.model.language_model.parameters(), 1.0)]
        if stage.train_vision:
            trained += [(self.model.model.visual.parameters(), _TOWER_RATE), (self.heads.parameters(), _TOWER_RATE)]

        def step_loss(rng: np.random.Generator):
            clips = self._draw_clips(rng, stage.clips_per_step // world())
            with torch.set_grad_enabled(stage.train_vision):
                features = self._features(clips)
            lessons = [self._lessons(i, stage, rng) for i in clips]
            clip_of_row = [b for b, part in enumerate(lessons) for _ in part]
            encoded = self.encoder([lesson for part in lessons for lesson in part])
            labels = sight_labels(self.store, clips)
            grounding = (
                Grounding(self.category_of_token, labels.shown_BVC, stage.grounding) if stage.grounding else None
            )
            loss, read = lesson_loss(
                self.model, self.encoder.prefix, features, encoded, clip_of_row, grounding=grounding
            )
            if stage.train_vision:
                sight, seen = self.heads.loss(features.float(), labels)
                loss, read = loss + _SIGHT_WEIGHT * sight, read | seen
            return loss, read

        run_stage(name, stage, self.work, self.both, trained, step_loss, self.recipe.seed)

    def save(self, out: Path) -> Path:
        """Write the checkpoint in bf16, in the ordinary Hugging Face format."""
        return save_in_bf16(out, self.model, self.processor)

    def _draw_clips(self, rng: np.random.Generator, count: int) -> list[int]:
        return sorted(rng.choice(self.store.filmed, count, replace=False).tolist())

    def _features(self, clips: list[int]) -> torch.Tensor:
        """Merged tokens of some clips, shape (B, V, D), with gradient where it is enabled."""
        batch = self.processor.video_processor(list(self.store.frames_NFHW3[clips]), return_tensors="pt")
        out = self.model.model.visual(batch["pixel_values_videos"], grid_thw=batch["video_grid_thw"])
        return out.pooler_output.view(len(clips), -1, self.model.config.text_config.hidden_size)

    def _lessons(self, i: int, stage: Stage, rng: np.random.Generator) -> list[Lesson]:
        room = self.rooms[i]
        seen = np.flatnonzero(self.store.cover_NVB[i].sum(0) >= 2 * LEAST_PIXELS).tolist()
        rows = draw_rows(room, seen, rng, stage.questions_per_clip) if stage.questions_per_clip else []
        asked = [question_lesson(room, row, stage.teaching, self.pool, rng) for row in rows]
        return sight_lessons(room, seen, rng, stage.looks_per_clip) + asked


def save_in_bf16(out: Path, model, processor) -> Path:
    """Write a model under training as an ordinary checkpoint in bf16; the first of several processes does."""
    if rank() > 0:
        return out
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    # A copy of the configuration: the model under training keeps its own attention, told below to the saved one.
    config = copy.deepcopy(model.config)
    for part in (config, config.text_config, config.vision_config):
        part.dtype = torch.bfloat16  # a model that was loaded to be trained recorded what it was trained in
    fresh = Qwen2VLForConditionalGeneration(config)
    fresh.load_state_dict(weights)
    fresh.set_attn_implementation("sdpa")
    staged = out / ".unfinished"
    try:
        shutil.rmtree(staged, ignore_errors=True)
        save_checkpoint(staged, fresh.to(torch.bfloat16), processor)
        (out / "config.json").unlink(missing_ok=True)  # no checkpoint until every file of it is in place
        for path in sorted(staged.iterdir(), key=lambda path: path.name == "config.json"):
            os.replace(path, out / path.name)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return out


def _all_questions(room):
    both = (make_questions(room, phrasing, max_per_type=4, rules="study") for phrasing in ("vsi-bench", "vsi-100k"))
    return [question for found in both for question in found]


def corpus(rooms, seed: int) -> Iterator[str]:
    """What the tokenizer is learnt from: every kind of text the kit will show the model."""
    rng = np.random.default_rng([seed, 99])
    yield from ["system You are a helpful assistant. user assistant"] * len(rooms)
    for room in rooms:
        seen = range(len(room.boxes))
        for lesson in sight_lessons(room, seen, rng, 6):
            yield f"{lesson.user}\n{lesson.reply}"
        for question in _all_questions(room):
            row = question.to_row()
            for mode in ("vanilla", "think", "observe"):
                for use in ("train", "eval"):
                    yield user_text(row, mode, use) + "\n" + target_completion(mode, use, "I see", row["ground_truth"])
