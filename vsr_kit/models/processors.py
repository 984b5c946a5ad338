"""Processors without torchvision: clips cut into patches by PIL and NumPy, for each family of models.

transformers' video processors import only with torchvision, so the classes here do the same computation in PIL and
NumPy: the same patch layout and grid, equal up to float rounding where nothing is resized, and within two grey levels
where something is (the two libraries interpolate differently). Where torchvision works, transformers' own are used.

Left out: sampling frames from a film (videos/files.py), and the cap on the pixels of a whole video that transformers is
about to switch on: it changes nothing below 128,000 video tokens, and both processors here leave it off so that they
agree.
"""

from __future__ import annotations

from pathlib import Path
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
from transformers import Qwen2_5_VLProcessor as StockProcessor25
from transformers import Qwen2VLProcessor as StockProcessor
from transformers import Qwen3VLProcessor as StockProcessor3
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import (
    IMAGENET_STANDARD_MEAN,
    IMAGENET_STANDARD_STD,
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
    PILImageResampling,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    Qwen2VLImageProcessorPil,
    smart_resize,
)
from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize as smart_resize_clip
from transformers.processing_utils import VideosKwargs
from transformers.video_processing_utils import VideoProcessorMixin
from transformers.video_utils import make_batched_videos

from vsr_kit.models.checkpoint_files import NO_CODE, family_in
from vsr_kit.models.families import FAMILIES, Family

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
        made = BatchFeature(data, tensor_type=return_tensors)
        if kwargs.get("video_metadata"):  # a timed family's processor looks there for the seconds
            made["video_metadata"] = kwargs["video_metadata"]
        return made

    def _one_clip(self, video, setting) -> tuple[np.ndarray, tuple[int, int, int]]:
        frames = [_as_rgb(frame) for frame in video]
        if setting["do_resize"]:
            frames = self._resized(frames, setting)
        x_FHWC = np.stack(frames).astype(np.float32)
        if setting["do_rescale"]:
            x_FHWC *= setting["rescale_factor"]
        if setting["do_normalize"]:
            x_FHWC = (x_FHWC - np.float32(setting["image_mean"])) / np.float32(setting["image_std"])
        return _patchify(x_FHWC, setting["patch_size"], setting["merge_size"], setting["temporal_patch_size"])

    def _resized(self, frames: list[np.ndarray], setting) -> list[np.ndarray]:
        """To multiples of a token's side, within `size`'s two bounds; unchanged if already so."""
        height, width = frames[0].shape[:2]
        new_height, new_width = self._new_size(len(frames), height, width, setting)
        if (new_height, new_width) == (height, width):
            return frames
        return [np.asarray(Image.fromarray(f).resize((new_width, new_height), setting["resample"])) for f in frames]

    def _new_size(self, num_frames: int, height: int, width: int, setting) -> tuple[int, int]:
        """Height and width: `size` bounds the pixels of a frame."""
        size, factor = setting["size"], setting["patch_size"] * setting["merge_size"]
        low, high = size["shortest_edge"], size["longest_edge"]
        return smart_resize(height, width, factor=factor, min_pixels=low, max_pixels=high)


class Qwen3VLVideoProcessor(Qwen2VLVideoProcessor):
    """transformers' Qwen3VLVideoProcessor likewise: larger patches, other colours, and bounds on a whole clip."""

    size: ClassVar = {"shortest_edge": 128 * 32 * 32, "longest_edge": 32 * 32 * 768}
    image_mean = IMAGENET_STANDARD_MEAN
    image_std = IMAGENET_STANDARD_STD
    patch_size = 16

    def _new_size(self, num_frames: int, height: int, width: int, setting) -> tuple[int, int]:
        size, frames = setting["size"], setting["temporal_patch_size"]
        bounds = {"min_pixels": size["shortest_edge"], "max_pixels": size["longest_edge"]}
        factor = setting["patch_size"] * setting["merge_size"]
        return smart_resize_clip(max(num_frames, frames), height, width, frames, factor, **bounds)


def _as_rgb(frame) -> np.ndarray:
    if isinstance(frame, Image.Image):
        return np.asarray(frame.convert("RGB"))
    frame = np.asarray(frame)
    return frame.transpose(1, 2, 0) if frame.shape[0] in (1, 3) and frame.shape[-1] not in (1, 3) else frame


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


class _WithoutTorchvision:
    """Before one of transformers' processors: its image and video halves in PIL."""

    video: ClassVar = Qwen2VLVideoProcessor

    def check_argument_for_proper_class(self, argument_name, argument):
        # the stock check looks for transformers.VideoProcessorMixin, a dummy that raises where torchvision is absent
        if argument_name == "video_processor" and isinstance(argument, VideoProcessorMixin):
            return VideoProcessorMixin
        return super().check_argument_for_proper_class(argument_name, argument)

    @classmethod
    def _get_arguments_from_pretrained(cls, pretrained_model_name_or_path, processor_dict=None, **kwargs):
        path, kwargs = pretrained_model_name_or_path, {k: v for k, v in kwargs.items() if k in HUB_KWARGS} | NO_CODE
        parts = (Qwen2VLImageProcessorPil, AutoTokenizer, cls.video)
        return [kind.from_pretrained(path, **kwargs) for kind in parts]


class Qwen2VLProcessor(_WithoutTorchvision, StockProcessor):
    """transformers' Qwen2VLProcessor with the PIL processors, for environments without torchvision."""


class Qwen2_5_VLProcessor(_WithoutTorchvision, StockProcessor25):
    """transformers' Qwen2_5_VLProcessor likewise."""


class Qwen3VLProcessor(_WithoutTorchvision, StockProcessor3):
    """transformers' Qwen3VLProcessor likewise."""

    video = Qwen3VLVideoProcessor


_PROCESSORS = {  # by the name that a checkpoint records: with torchvision, without
    "Qwen2VLProcessor": (StockProcessor, Qwen2VLProcessor),
    "Qwen2_5_VLProcessor": (StockProcessor25, Qwen2_5_VLProcessor),
    "Qwen3VLProcessor": (StockProcessor3, Qwen3VLProcessor),
}


def new_processor(tokenizer, size: dict[str, int], family: Family = FAMILIES["qwen2_vl"]) -> StockProcessor:
    """A processor for a fresh checkpoint; `size` = {"shortest_edge", "longest_edge"}, each a *number of pixels*.

    Clips whose pixels per frame lie between the two, in multiples of 28 px a side, pass as they are. The default of
    Qwen2-VL blows every frame up to at least 100,352 px. For Qwen3-VL the pixels are those of a whole clip, and the
    sides multiples of 32 px.
    """
    if set(size) != {"shortest_edge", "longest_edge"} or not 0 < size["shortest_edge"] <= size["longest_edge"]:
        raise ValueError(
            f"size must be {{'shortest_edge': n, 'longest_edge': m}} with 0 < n <= m, both pixels per frame, got {size}"
        )
    kind = _PROCESSORS[family.processor][1]
    video = kind.video(size=dict(size))
    alike = {"patch_size": video.patch_size, "image_mean": video.image_mean, "image_std": video.image_std}
    image = Qwen2VLImageProcessorPil(size=dict(size), **alike)
    return kind(image, tokenizer, video, chat_template=tokenizer.chat_template)


def load_processor(path, backend: str | None = None, **hub_kwargs) -> StockProcessor:
    """The processor of a checkpoint (folder, or hub id of a Qwen2-VL).

    backend: "torchvision", "pil", or None for torchvision where it works and PIL elsewhere. `hub_kwargs` go to
    `from_pretrained` (revision, token, local_files_only, cache_dir, subfolder).
    """
    if backend not in (None, "torchvision", "pil"):
        raise ValueError(f"backend must be None, 'torchvision' or 'pil', got {backend!r}")
    if backend == "torchvision" and not TORCHVISION:
        raise ImportError("backend='torchvision' was asked for, and torchvision is not installed; use 'pil' or None")
    family = family_in(Path(path)) if (Path(path) / "config.json").is_file() else FAMILIES["qwen2_vl"]
    stock, ours = _PROCESSORS[family.processor]
    if backend == "pil" or not TORCHVISION:
        return ours.from_pretrained(path, **hub_kwargs, **NO_CODE)
    processor = stock.from_pretrained(path, **hub_kwargs, **NO_CODE)
    processor.video_processor.cap_pixels_per_frame = False  # say so now: its default is about to change
    return processor
