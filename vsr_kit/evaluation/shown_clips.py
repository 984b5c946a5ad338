"""What a model is shown of its clips, told before its weights are loaded: frames, sizes, tokens, and what is new to it.

A clip's tokens decide what a question costs in time and memory, and they follow from frames and sizes alone. A model
that learnt from eight square frames of 112 px sees something else in a film of 640 x 480, and an adapter was trained
under limits of its own; neither is wrong to try, and both are worth a line before the scores.
Left out: what of a question's words is new (`taught.news`), and memory in bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vsr_kit.evaluation.taught import Taught
from vsr_kit.videos.frame_limits import PixelBounds, smart_size, video_tokens

Shape = tuple[int, ...]  # (F, H, W, 3)


def shapes_of(clips: Mapping, scenes: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """(F, H, W, 3) of the clips of scenes; one that a folder of clips has read already isn't read again."""
    known = getattr(clips, "shapes", {})
    return {scene: known[scene] if scene in known else clips[scene].shape for scene in dict.fromkeys(scenes)}


def cost_told(shapes: Iterable[Shape], bounds: PixelBounds) -> str:
    """One line such as "8 frames of 336 × 252: 432 video tokens a clip"; ranges where clips differ.

    Args:
        shapes: of the clips, as they are given to the processor.
        bounds: of the model's processor; what it resizes is told.
    """
    found = list(shapes)
    if not found:
        return "no clip"
    frames = [shape[0] for shape in found]
    tokens = [video_tokens(f, high, wide, bounds) for f, high, wide, _ in found]
    given = [(high, wide) for _, high, wide, _ in found]
    seen = [smart_size(high, wide, bounds, f) for f, high, wide, _ in found]
    other = f", resized to {_sizes(seen)}" if seen != given else ""
    how_many = _range(frames)
    return (
        f"{how_many} frame{'s' * (how_many != '1')} of {_sizes(given)}{other}: {_range(tokens)} video tokens a clip"
        + ("" if len(found) == 1 else f" ({len(found)} clips)")
    )


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _sizes(sizes: Iterable[tuple[int, ...]]) -> str:
    """Width × height, the smallest and the largest."""
    ordered = sorted(set(sizes), key=lambda size: (size[0] * size[1], size))
    told = [f"{width} × {height}" for height, width in ordered]
    return told[0] if len(told) == 1 else f"{told[0]} to {told[-1]}"


def unlearnt(taught: Taught | None, datasets: Iterable[str], shapes: Iterable[Shape], bounds: PixelBounds) -> list[str]:
    """Lines about what the clips have that the model was not shown in training, as its card tells; none without one.

    Args:
        taught: from the model's card (`taught.read_taught`).
        datasets: of the rooms that are asked about.
        shapes: of their clips.
        bounds: of the model's processor.
    """
    if taught is None:
        return []
    told, found = [], list(shapes)
    strange = sorted(set(datasets) - set(taught.rooms)) if taught.rooms else []
    if strange:
        told.append(f"rooms of {', '.join(strange)}; it was shown rooms of {', '.join(taught.rooms)} only")
    frames = [shape[0] for shape in found if taught.frames and shape[0] != taught.frames]
    if frames:
        told.append(f"clips of {_range(frames)} frames; it was shown clips of {taught.frames}")
    side = taught.size_px
    sizes = [size for f, high, wide, _ in found if (size := smart_size(high, wide, bounds, f)) != (side, side)]
    if sizes and side:
        told.append(f"frames of {_sizes(sizes)}; it was shown frames of {side} × {side}")
    return [f"warning: the model never learnt from {line}" for line in told]


def trained_otherwise(run_config: Mapping, shapes: Iterable[Shape]) -> str | None:
    """A line where an adapter was trained on other frames or fewer pixels than it is shown; None where it was not.

    Args:
        run_config: what the adapter's run recorded.
        shapes: of the clips that it is shown.
    """
    profile, found = run_config.get("profile"), list(shapes)
    if not isinstance(profile, Mapping) or not found or not {"num_frames", "size_px"} <= set(profile):
        return None
    frames, pixels = profile["num_frames"], run_config.get("pixels") or profile["size_px"] ** 2
    by_rate = run_config.get("fps")
    shown = max(shape[1] * shape[2] for shape in found)
    if shown <= pixels and (by_rate or {shape[0] for shape in found} == {frames}):
        return None
    same = f"--frames {frames} --pixels {pixels}" + (f" --fps {by_rate:g}" if by_rate else "")
    return (
        f"warning: the adapter was trained on {'at most ' if by_rate else ''}{frames} frames of at most {pixels:,} "
        f"pixels and is shown {_range([shape[0] for shape in found])} of up to {shown:,}: {same} shows what it learnt"
    )
