"""The work of a benchmark: one checkpoint with random weights, and the same clips and questions for both sides.

Weights follow from the shape and the seed, clips are random pixels, and questions end in random digits, so nothing has
to be downloaded or filmed. Each question is padded with digits, one token each in Qwen's tokenizers, until the text
after the clip has exactly the number of tokens that the shape names. Stock TRL reads images only: it gets a clip as one
image with the frames above one another, cut into the same patches as a video, with a grid of several time steps.
Left out: real rooms and real weights (`--model FOLDER` uses your own); speed does not depend on the content.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import make_flat_list_of_images

from benchmarks.cases import Case, Shape
from vsr_kit.models.vision import Qwen2VLImageProcessorPil, chat_ids
from vsr_kit.prompts import chat_messages


def make_checkpoint(folder: Path, shape: Shape, seed: int) -> Path:
    """Save a model of this shape with random weights, a tokenizer learnt from the kit's questions, and a processor."""
    from vsr_kit.models.new_checkpoint import build_config, build_tokenizer, new_checkpoint

    tokenizer = build_tokenizer(_corpus(), shape.vocab_size)
    config = build_config(tokenizer, shape.text, shape.vision)
    for part in (config, config.text_config, config.vision_config):
        part.initializer_range = shape.spread
    size = {"shortest_edge": 28 * 28, "longest_edge": max(56 * 56, shape.height_px * shape.width_px)}
    return new_checkpoint(folder, tokenizer, config, size, seed, getattr(torch, shape.dtype))


def _corpus() -> list[str]:
    from vsr_kit.prompts import user_text
    from vsr_kit.questions import make_questions
    from vsr_kit.rooms import make_rooms

    rows = [q.to_row() for room in make_rooms(4, prefix="bench") for q in make_questions(room)]
    texts = [user_text(row, "vanilla", use) for row in [*rows, _row("", "", "1")] for use in ("train", "eval")]
    return [*texts, "system\nYou are a helpful assistant.", "user\n", "assistant\n"] * 2


def make_work(processor, shape: Shape, case: Case, repeat: int, seed: int) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Rows of one repeat and their clips (scene_name to frames); another repeat has other ones."""
    rng = np.random.default_rng((seed, repeat))
    rows, clips = [], {}
    for i in range(case.questions):
        scene = f"repeat-{repeat}-clip-{i // case.questions_per_clip}"
        if scene not in clips:
            frames = (shape.num_frames, shape.height_px, shape.width_px, 3)
            clips[scene] = rng.integers(0, 256, frames, dtype=np.uint8)
        digits = "".join(map(str, rng.integers(1, 10, shape.question_tokens)))
        use = "eval" if case.kind == "evaluation" else "train"
        row = _fitted(processor, f"{repeat}-{i}", scene, digits, shape.question_tokens, use)
        if case.kind == "sft":  # with its end token as long as the case says
            row["ground_truth"] = "".join(map(str, rng.integers(1, 10, case.answer_tokens - 1)))
        rows.append(row)
    return rows, clips


def _row(id_: str, scene: str, digits: str) -> dict:
    return {
        "id": id_,
        "dataset": "bench",
        "scene_name": scene,
        "question_type": "object_counting",
        "question": f"How many chair(s) are in room {digits}?",
        "options": None,
        "ground_truth": "3",
        "phrasing": "vsi-100k",
    }


def _fitted(processor, id_: str, scene: str, digits: str, tokens: int, use: str) -> dict:
    """A row whose prompt has `tokens` tokens after the clip: every digit more is a token more."""
    spare = tokens - _after_clip(processor, _row(id_, scene, digits[:1]), use)
    row = _row(id_, scene, digits[: 1 + max(spare, 0)])
    if (found := _after_clip(processor, row, use)) != tokens:
        raise ValueError(
            f"the question takes {found} tokens, {tokens} were wanted: the shape's question_tokens must be at least "
            f"{tokens - spare}, for a tokenizer with one token a digit"
        )
    return row


def _after_clip(processor, row: dict, use: str) -> int:
    ids = chat_ids(processor, chat_messages(row, "vanilla", use), (1, 2, 2)).tolist()
    return len(ids) - 1 - ids.index(processor.tokenizer.convert_tokens_to_ids("<|vision_end|>"))


def stock_rows(rows: Sequence[dict], clips: dict[str, np.ndarray]) -> Dataset:
    """Rows as stock TRL takes them: text alone in `prompt`, the clip as one tall image in `images`."""
    prompts = [chat_messages(row, "vanilla", "train")[0]["content"][1]["text"] for row in rows]
    plain = [{**r, "prompt": [{"role": "user", "content": t}]} for r, t in zip(rows, prompts, strict=True)]

    def with_images(batch: dict) -> dict:
        return {**batch, "images": [[_tall(clips[scene])] for scene in batch["scene_name"]]}

    return Dataset.from_list(plain).with_transform(with_images)


def _tall(frames_FHW3: np.ndarray) -> Image.Image:
    return Image.fromarray(frames_FHW3.reshape(-1, *frames_FHW3.shape[2:]))


class ClipsAsImages(Qwen2VLImageProcessorPil):
    """An image processor for tall images of `num_frames` frames each: patches and grids are those of the clip.

    Exact for Qwen2-VL alone, whose attention and rotary positions treat grids of images and videos alike.
    """

    def __init__(self, video_processor, num_frames: int) -> None:
        super().__init__(size=dict(video_processor.size))
        self._video, self._frames = video_processor, num_frames

    def preprocess(self, images, return_tensors=None, **kwargs) -> BatchFeature:
        """Patches (P, values) and grids (N, 3) of N tall images."""
        tall = [np.asarray(image) for image in make_flat_list_of_images(images)]
        clips = [pixels.reshape(self._frames, -1, *pixels.shape[1:]) for pixels in tall]
        made = self._video.preprocess(clips, return_tensors="pt")
        return BatchFeature({"pixel_values": made["pixel_values_videos"], "image_grid_thw": made["video_grid_thw"]})
