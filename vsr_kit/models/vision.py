"""From a clip to the features and tokens that Qwen2-VL reads: frames -> patches -> vision tower -> merged video tokens.

A clip is uint8 frames (F, H, W, 3). The processor cuts it into patches of 14 x 14 px over two frames and normalises
them; the vision tower turns them into V = F/2 * H/28 * W/28 merged tokens of the language model's width D; the chat
template holds one `<|video_pad|>` that is repeated V times, and the features replace the embeddings there.
A prompt may also give the clip in pieces, a video block for each pair of frames with text between (`prompts.tagged`).
The tower looks at one pair at a time, so the features are the same; positions are what transformers gives several
videos. With one block, nothing differs.
`chat_inputs` does all of this for one question; `encode_clips` runs the tower once per clip so that many questions and
rollouts can share its features.

torchvision is not needed. transformers' video processor imports only with it, so `Qwen2VLVideoProcessor` below does the
same computation in PIL and NumPy: the same patch layout and grid, equal up to float rounding where nothing is resized,
and within two grey levels where something is (the two libraries interpolate differently). Where torchvision works,
transformers' own is used.

Left out: reading video files (videos/files.py), several different clips in one question, images, frame rates (Qwen2-VL
ignores them), and the cap on the pixels of a whole video that transformers is about to switch on: it changes nothing
below 128,000 video tokens, and both processors here leave it off so that they agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from PIL import Image

try:  # before transformers, which imports torchvision whenever the package is there and then fails in its own words
    import torchvision.transforms.v2.functional  # noqa: F401

    TORCHVISION = True
except ModuleNotFoundError:
    TORCHVISION = False
except Exception as err:
    raise ImportError(
        f"torchvision is installed but does not import beside torch {torch.__version__} ({err}). vsr-kit does not "
        "need it: `pip uninstall torchvision`, or install the build that matches your torch."
    ) from err

from transformers import AutoTokenizer
from transformers import Qwen2VLProcessor as StockProcessor
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD, PILImageResampling
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    Qwen2VLImageProcessorPil,
    smart_resize,
)
from transformers.processing_utils import VideosKwargs
from transformers.video_processing_utils import VideoProcessorMixin
from transformers.video_utils import make_batched_videos

from vsr_kit.models.checkpoint_files import NO_CODE

HUB_KWARGS = ("revision", "token", "local_files_only", "cache_dir", "subfolder")


class _VideoKwargs(VideosKwargs, total=False):
    patch_size: int
    temporal_patch_size: int
    merge_size: int
    min_frames: int
    max_frames: int
    min_pixels: int
    max_pixels: int


# Both classes carry transformers' own names on purpose: a saved checkpoint records the class name, and AutoProcessor
# *silently* returns the bare tokenizer when it meets a name it does not know.
class Qwen2VLVideoProcessor(VideoProcessorMixin, PilBackend):
    """transformers' Qwen2VLVideoProcessor in PIL and NumPy: same settings, same patch layout, same file format."""

    resample = PILImageResampling.BICUBIC
    size: ClassVar = {"shortest_edge": 128 * 28 * 28, "longest_edge": 28 * 28 * 768}
    image_mean = OPENAI_CLIP_MEAN
    image_std = OPENAI_CLIP_STD
    do_resize = do_rescale = do_normalize = do_convert_rgb = True
    do_sample_frames = False
    default_to_square = False
    patch_size, temporal_patch_size, merge_size = 14, 2, 2
    min_frames, max_frames = 4, 768
    valid_kwargs = _VideoKwargs
    model_input_names: ClassVar = ["pixel_values_videos", "video_grid_thw"]

    def __init__(self, **kwargs):
        size = dict(kwargs.pop("size", None) or self.size)
        for old_name, edge in (("min_pixels", "shortest_edge"), ("max_pixels", "longest_edge")):
            if (pixels := kwargs.pop(old_name, None)) is not None:  # how Qwen2-VL's own hub files spell it
                size[edge] = pixels
        super().__init__(size=size, **kwargs)

    def preprocess(self, videos, return_tensors=None, **kwargs) -> BatchFeature:
        """Clips (each uint8 (F, H, W, 3), or a list of PIL images) -> patches (P, C*2*14*14) and grids (N, 3)."""
        setting = {name: kwargs.get(name) for name in self.valid_kwargs.__annotations__}
        setting = {name: getattr(self, name, None) if value is None else value for name, value in setting.items()}
        patches, grids = zip(*(self._one_clip(video, setting) for video in make_batched_videos(videos)), strict=True)
        data = {"pixel_values_videos": torch.from_numpy(np.concatenate(patches)), "video_grid_thw": torch.tensor(grids)}
        return BatchFeature(data, tensor_type=return_tensors)

    def _one_clip(self, video, setting) -> tuple[np.ndarray, tuple[int, int, int]]:
        frames = [_as_rgb(frame) for frame in video]
        if setting["do_resize"]:
            frames = _resized(frames, setting)
        x_FHWC = np.stack(frames).astype(np.float32)
        if setting["do_rescale"]:
            x_FHWC *= setting["rescale_factor"]
        if setting["do_normalize"]:
            x_FHWC = (x_FHWC - np.float32(setting["image_mean"])) / np.float32(setting["image_std"])
        return _patchify(x_FHWC, setting["patch_size"], setting["merge_size"], setting["temporal_patch_size"])


def _as_rgb(frame) -> np.ndarray:
    if isinstance(frame, Image.Image):
        return np.asarray(frame.convert("RGB"))
    frame = np.asarray(frame)
    return frame.transpose(1, 2, 0) if frame.shape[0] in (1, 3) and frame.shape[-1] not in (1, 3) else frame


def _resized(frames: list[np.ndarray], setting) -> list[np.ndarray]:
    """To multiples of 28 px, with the number of pixels between `size`'s two bounds; unchanged if already so."""
    height, width = frames[0].shape[:2]
    size, factor = setting["size"], setting["patch_size"] * setting["merge_size"]
    low, high = size["shortest_edge"], size["longest_edge"]
    new_height, new_width = smart_resize(height, width, factor=factor, min_pixels=low, max_pixels=high)
    if (new_height, new_width) == (height, width):
        return frames
    return [np.asarray(Image.fromarray(f).resize((new_width, new_height), setting["resample"])) for f in frames]


def _patchify(x_FHWC: np.ndarray, patch: int, merge: int, temporal: int) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Patches in the order the tower's merger expects: the merge x merge patches of one token side by side."""
    if missing := -len(x_FHWC) % temporal:  # an odd clip: the last frame once more, as transformers does
        x_FHWC = np.concatenate([x_FHWC, np.repeat(x_FHWC[-1:], missing, axis=0)])
    frames, height, width, channels = x_FHWC.shape
    t, h, w = frames // temporal, height // patch, width // patch
    x = x_FHWC.transpose(0, 3, 1, 2)
    x = x.reshape(t, temporal, channels, h // merge, merge, patch, w // merge, merge, patch)
    x = x.transpose(0, 3, 6, 4, 7, 2, 1, 5, 8)  # t, h, w, (merge, merge), channel, temporal, (patch, patch)
    return np.ascontiguousarray(x).reshape(t * h * w, channels * temporal * patch * patch), (t, h, w)


class Qwen2VLProcessor(StockProcessor):
    """transformers' Qwen2VLProcessor with the PIL processors, for environments without torchvision."""

    def check_argument_for_proper_class(self, argument_name, argument):
        # the stock check looks for transformers.VideoProcessorMixin, a dummy that raises where torchvision is absent
        if argument_name == "video_processor" and isinstance(argument, VideoProcessorMixin):
            return VideoProcessorMixin
        return super().check_argument_for_proper_class(argument_name, argument)

    @classmethod
    def _get_arguments_from_pretrained(cls, pretrained_model_name_or_path, processor_dict=None, **kwargs):
        path, kwargs = pretrained_model_name_or_path, {k: v for k, v in kwargs.items() if k in HUB_KWARGS} | NO_CODE
        return [kind.from_pretrained(path, **kwargs) for kind in (Qwen2VLImageProcessorPil, AutoTokenizer)] + [
            Qwen2VLVideoProcessor.from_pretrained(path, **kwargs)
        ]


def new_processor(tokenizer, size: dict[str, int]) -> Qwen2VLProcessor:
    """A processor for a fresh checkpoint; `size` = {"shortest_edge", "longest_edge"}, each a *number of pixels*.

    Clips whose pixels per frame lie between the two, in multiples of 28 px a side, pass as they are. The default of
    Qwen2-VL blows every frame up to at least 100,352 px.
    """
    if set(size) != {"shortest_edge", "longest_edge"} or not 0 < size["shortest_edge"] <= size["longest_edge"]:
        raise ValueError(
            f"size must be {{'shortest_edge': n, 'longest_edge': m}} with 0 < n <= m, both pixels per frame, got {size}"
        )
    image, video = Qwen2VLImageProcessorPil(size=dict(size)), Qwen2VLVideoProcessor(size=dict(size))
    return Qwen2VLProcessor(image, tokenizer, video, chat_template=tokenizer.chat_template)


def load_processor(path, backend: str | None = None, **hub_kwargs) -> StockProcessor:
    """The processor of a Qwen2-VL checkpoint (folder or hub id).

    backend: "torchvision", "pil", or None for torchvision where it works and PIL elsewhere. `hub_kwargs` go to
    `from_pretrained` (revision, token, local_files_only, cache_dir, subfolder).
    """
    if backend not in (None, "torchvision", "pil"):
        raise ValueError(f"backend must be None, 'torchvision' or 'pil', got {backend!r}")
    if backend == "torchvision" and not TORCHVISION:
        raise ImportError("backend='torchvision' was asked for, and torchvision is not installed; use 'pil' or None")
    if backend == "pil" or not TORCHVISION:
        return Qwen2VLProcessor.from_pretrained(path, **hub_kwargs, **NO_CODE)
    processor = StockProcessor.from_pretrained(path, **hub_kwargs, **NO_CODE)
    processor.video_processor.cap_pixels_per_frame = False  # say so now: its default is about to change
    return processor


@dataclass(frozen=True)
class ClipFeatures:
    """One clip as the language model sees it. features_VD: V merged tokens of width D; grid_thw: in patches."""

    features_VD: torch.Tensor
    grid_thw: tuple[int, int, int]


def core_model(model):
    """The Qwen2VLForConditionalGeneration itself, or inside PEFT (LoRA stays active) and DistributedDataParallel."""
    model = getattr(model, "module", model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


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
    batch = processor.video_processor([_checked(clip) for clip in clips], return_tensors="pt")
    core, grids = core_model(model), batch["video_grid_thw"]
    visual = core.model.visual
    out = core.get_video_features(batch["pixel_values_videos"].to(visual.get_device()), grids.to(visual.get_device()))
    return [ClipFeatures(f, tuple(g)) for f, g in zip(out.pooler_output, grids.tolist(), strict=True)]


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
        pieces = _pieces(text.count(processor.video_token), grid_thw[0])
        num_tokens = int(np.prod(grid_thw)) // pieces // processor.video_processor.merge_size**2
        text = text.replace(processor.video_token, processor.video_token * num_tokens)
    return torch.tensor(processor.tokenizer(text)["input_ids"])


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
    (patches, values) and video_grid_thw (blocks, 3).
    """
    text = chat_text(processor, messages, frames_FHW3 is not None)
    videos = None if frames_FHW3 is None else [_checked(frames_FHW3)]
    if videos is not None and text.count(processor.video_token) > 1:
        (frames,), step = videos, processor.video_processor.temporal_patch_size
        videos = [frames[i : i + step] for i in range(0, len(frames), step)]
        _pieces(text.count(processor.video_token), len(videos))
    return dict(processor(text=[text], videos=videos, return_tensors="pt"))


def rope_positions(model, ids_T: torch.Tensor, grid_thw: tuple[int, int, int] | None) -> tuple[torch.Tensor, int]:
    """Positions (3, T) of a prompt's tokens in time, height and width, and the position of the token after it.

    From the model's own `get_rope_index`: the text after a clip starts at max(h, w) of the merged grid past the clip's
    first position, so counting tokens would be wrong. A clip in pieces, runs of video tokens with text between, is
    positioned as that many videos.
    """
    core = core_model(model)
    is_video = (ids_T == core.config.video_token_id)[None]
    grids = None
    if grid_thw is not None:
        begins = is_video[0] & ~torch.cat([is_video[0, :1] & False, is_video[0, :-1]])
        pieces, (steps, *size) = max(1, int(begins.sum())), grid_thw
        grids = torch.tensor([[steps // pieces, *size]] * pieces, device=ids_T.device)
    positions, delta = core.model.get_rope_index(
        ids_T[None],
        mm_token_type_ids=2 * is_video.int(),
        video_grid_thw=grids,
        attention_mask=torch.ones_like(is_video),
    )
    return positions[:, 0], len(ids_T) + int(delta)
