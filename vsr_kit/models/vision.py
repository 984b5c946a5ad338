"""From a clip to the features and tokens that a model reads: frames -> patches -> vision tower -> merged tokens.

A clip is uint8 frames (F, H, W, 3). The processor cuts it into patches of 14 x 14 px over two frames and normalises
them; the vision tower turns them into V = F/2 * H/28 * W/28 merged tokens of the language model's width D; the chat
template holds one `<|video_pad|>` that is repeated V times, and the features replace the embeddings there. Qwen3-VL's
patches have 16 px, and its features are wider: families.py says what else differs.
A prompt may also give the clip in pieces, a video block for each pair of frames with text between (`prompts.tagged`).
The tower looks at one pair at a time, so the features are the same; positions are what transformers gives several
videos. With one block, nothing differs.
`chat_inputs` does all of this for one question; `encode_clips` runs the tower once per clip so that many questions and
rollouts can share its features.

torchvision is not needed: see processors.py.

Left out: reading video files (videos/files.py), several different clips in one question, images, and frame rates
(Qwen2-VL ignores them; families.py says what the others are told).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers.video_utils import VideoMetadata

from vsr_kit.models.families import FAMILIES, FRAMES_A_SECOND
from vsr_kit.models.processors import (
    TORCHVISION,
    Qwen2VLImageProcessorPil,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    load_processor,
    new_processor,
)

__all__ = [
    "TORCHVISION",
    "ClipFeatures",
    "Qwen2VLImageProcessorPil",
    "Qwen2VLProcessor",
    "Qwen2VLVideoProcessor",
    "chat_ids",
    "chat_inputs",
    "chat_text",
    "core_model",
    "deep_levels",
    "encode_clip",
    "encode_clips",
    "load_processor",
    "new_processor",
    "rope_positions",
]


@dataclass(frozen=True)
class ClipFeatures:
    """One clip as the language model sees it.

    Attributes:
        features_VD: V merged tokens of width D; of Qwen3-VL (1 + n) * D, n = `deep_levels` more beside the first.
        grid_thw: in patches.
    """

    features_VD: torch.Tensor
    grid_thw: tuple[int, int, int]


def core_model(model):
    """The Qwen2VLForConditionalGeneration itself, or inside PEFT (LoRA stays active) and DistributedDataParallel."""
    model = getattr(model, "module", model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def deep_levels(core) -> int:
    """How many layers of the language model a clip's features are added to behind its embeddings; Qwen3-VL has some."""
    return len(getattr(core.config.vision_config, "deepstack_visual_indexes", ()))


def _timed(processor) -> bool:
    return any(family.timed and family.processor == type(processor).__name__ for family in FAMILIES.values())


def _shown(processor, frames_FHW3) -> np.ndarray:
    """A clip checked. A timed family is given whole pairs of frames, so that the seconds follow from the grid alone."""
    frames = _checked(frames_FHW3)
    missing = -len(frames) % processor.video_processor.temporal_patch_size if _timed(processor) else 0
    return np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)]) if missing else frames


def _metadata(num_frames: int) -> VideoMetadata:
    """Of a clip that is shown whole: when its frames were taken, `FRAMES_A_SECOND`."""
    return VideoMetadata(num_frames, fps=FRAMES_A_SECOND, frames_indices=list(range(num_frames)))


def _checked(frames_FHW3) -> np.ndarray:
    frames = np.asarray(frames_FHW3)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise ValueError(
            f"a clip must be uint8 frames of shape (F, H, W, 3) with F >= 1, got {frames.dtype} {frames.shape}; "
            "videos.read_mp4 and videos.render return such frames"
        )
    return frames


@torch.no_grad()
def encode_clips(model, processor, clips: Sequence[np.ndarray]) -> list[ClipFeatures]:
    """Run the vision tower once over several clips. They need not share a size; a clip attends only to itself.

    No gradient flows: the tower is frozen everywhere in this kit, so its output can be kept for a whole run.
    """
    if not len(clips):
        return []
    shown = [_shown(processor, clip) for clip in clips]
    batch = processor.video_processor(
        shown, return_tensors="pt", **({"do_sample_frames": False} if _timed(processor) else {})
    )
    core, grids = core_model(model), batch["video_grid_thw"]
    visual = core.model.visual
    out = core.get_video_features(batch["pixel_values_videos"].to(visual.device), grids.to(visual.device))
    levels = zip(out.pooler_output, *(getattr(out, "deepstack_features", None) or ()), strict=True)
    features = [own[0] if len(own) == 1 else torch.cat(own, -1) for own in levels]
    return [ClipFeatures(f, tuple(g)) for f, g in zip(features, grids.tolist(), strict=True)]


def encode_clip(model, processor, frames_FHW3: np.ndarray) -> ClipFeatures:
    """`encode_clips` for one clip."""
    return encode_clips(model, processor, [frames_FHW3])[0]


def _refuse_special(processor, texts: list) -> None:
    """No text may say what only the chat template may: where a turn ends, where a picture stands."""
    special = [token.content for token in processor.tokenizer.added_tokens_decoder.values() if token.special]
    for text in texts:
        if found := [token for token in special if isinstance(text, str) and token in text]:
            raise ValueError(
                f"a message holds the special token {found[0]!r}: it would be taken for a command, remove it"
            )


def chat_text(processor, messages: list[dict], with_video: bool, add_generation_prompt: bool = True) -> str:
    """The chat template's text, one `<|video_pad|>` for the clip; without a clip its block is left out altogether.

    Raises:
        ValueError: no video block for a clip, or a text that holds a special token of the tokenizer.
    """
    blocks = [b for m in messages if not isinstance(m["content"], str) for b in m["content"]]
    _refuse_special(processor, [m["content"] for m in messages] + [b.get("text") for b in blocks])
    if with_video and not any(b["type"] == "video" for b in blocks):
        raise ValueError(f"a clip needs exactly one {{'type': 'video'}} block in the messages, got {messages}")
    if not with_video:
        messages = [m if isinstance(m["content"], str) else m | {"content": _no_video(m["content"])} for m in messages]
    return processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt)


def _no_video(content: list[dict]) -> list[dict]:
    return [block for block in content if block["type"] != "video"]


def chat_ids(processor, messages, grid_thw: tuple[int, int, int] | None, add_generation_prompt=True) -> torch.Tensor:
    """Token ids (T,) of a prompt whose clip has the given grid; the fast half of `chat_inputs`: no pixels needed."""
    text = chat_text(processor, messages, grid_thw is not None, add_generation_prompt)
    if grid_thw is not None:
        text = _expanded(processor, text, grid_thw)
    return torch.tensor(processor.tokenizer(text)["input_ids"])


def _expanded(processor, text: str, grid_thw: tuple[int, int, int]) -> str:
    """The video pad once for every token of the clip, in the processor's own words (Qwen3-VL's tell the seconds)."""
    steps, *size = grid_thw
    pieces = _pieces(text.count(processor.video_token), steps)
    frames = steps // pieces * processor.video_processor.temporal_patch_size
    seen = {
        "video_grid_thw": torch.tensor([[steps // pieces, *size]] * pieces),
        "video_metadata": [_metadata(frames)] * pieces,
    }
    pads = [processor.replace_video_token(seen, i) for i in range(pieces)]
    if pieces > 1 and pads[0].replace(processor.video_token, ""):
        raise ValueError("this model's own prompt says when each pair of frames was taken: give it rows without tags")
    return processor.get_text_with_replacements([text], videos_replacements=pads)[0][0]


def _pieces(blocks: int, steps: int) -> int:
    """How many pieces a clip of so many pairs of frames is given in: one, or one for each pair.

    Raises:
        ValueError: another number of video blocks.
    """
    if blocks not in (1, steps):
        raise ValueError(
            f"a clip of {steps} pairs of frames needs exactly one {{'type': 'video'}} block, or one for each pair, got "
            f"{blocks}: tag the rows for clips of as many frames as are shown (prompts.tagged)"
        )
    return blocks


def chat_inputs(processor, messages: list[dict], frames_FHW3: np.ndarray | None = None) -> dict[str, torch.Tensor]:
    """Everything a plain `model(**inputs)` or `model.generate(**inputs)` needs for one question about one clip.

    messages: as prompts.chat_messages writes them, with one {"type": "video"} block, or one for each pair of frames.
    frames None: asked without video.
    Returns input_ids, attention_mask, mm_token_type_ids, each (1, T), and with a clip pixel_values_videos
    (patches, values) and video_grid_thw (blocks, 3), of Qwen2.5-VL also second_per_grid_ts (blocks,).
    """
    text = chat_text(processor, messages, frames_FHW3 is not None)
    videos = None if frames_FHW3 is None else [_shown(processor, frames_FHW3)]
    if videos is not None and text.count(processor.video_token) > 1:
        (frames,), step = videos, processor.video_processor.temporal_patch_size
        videos = [frames[i : i + step] for i in range(0, len(frames), step)]
        _pieces(text.count(processor.video_token), len(videos))
    timed = videos is not None and _timed(processor)
    told = {"video_metadata": [_metadata(len(clip)) for clip in videos], "do_sample_frames": False} if timed else {}
    return dict(processor(text=[text], videos=videos, return_tensors="pt", **told))


def rope_positions(model, ids_T: torch.Tensor, grid_thw: tuple[int, int, int] | None) -> tuple[torch.Tensor, int]:
    """Positions (3, T) of a prompt's tokens in time, height and width, and the position of the token after it.

    From the model's own `get_rope_index`: the text after a clip starts at max(h, w) of the merged grid past the clip's
    first position, so counting tokens would be wrong. A completion goes on behind the prompt's last token, as in a
    forward pass over both. (transformers' `generate` goes on behind the largest position, which differs where a clip
    has more positions in time than the question has tokens after it; log-probabilities would then be of other tokens
    than those that were sampled.) A clip in pieces, runs of video tokens with text between, is as many videos.
    """
    core = core_model(model)
    vision = core.config.vision_config
    is_video = (ids_T == core.config.video_token_id)[None]
    grids, pieces = None, 1
    if grid_thw is not None:
        begins = is_video[0] & ~torch.cat([is_video[0, :1] & False, is_video[0, :-1]])
        pieces, (steps, *size) = max(1, int(begins.sum())), grid_thw
        grids = torch.tensor([[steps // pieces, *size]] * pieces, device=ids_T.device)
    timed = hasattr(vision, "tokens_per_second") and grids is not None  # Qwen2.5-VL
    seconds = {"second_per_grid_ts": [vision.temporal_patch_size / FRAMES_A_SECOND] * pieces} if timed else {}
    positions, _ = core.model.get_rope_index(
        ids_T[None],
        mm_token_type_ids=2 * is_video.int(),
        video_grid_thw=grids,
        attention_mask=torch.ones_like(is_video),
        **seconds,
    )
    return positions[:, 0], int(positions[:, 0, -1].max()) + 1
