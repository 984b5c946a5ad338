"""Frame tags: a short text before each piece of a clip, which says the piece's place in time.

NVLM (arXiv 2409.11402) writes `<tile_1>`, `<tile_2>`, ... before the tiles of a picture. A clip has moments instead of
tiles, and Qwen2-VL merges two frames into one moment, so `<frame_k>` stands before the k-th pair of frames. As in the
paper a tag is plain text in the model's own tokens, no new special token. Tags are a field of a row, `frame_tags`:
`chat_messages` then gives the clip in as many video blocks as there are tags, and everything that takes rows (training,
evaluation, a file of questions) takes tagged ones. Shuffled tags are the control: the same texts before the same pairs,
in an order that is drawn once for each clip, so that a tag's number says nothing of its moment.
Left out: tags of time (`<3.5s>`), tags before parts of a frame, and tags of a clip that is not shown.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from vsr_kit.validation import one_of

TAGGINGS = ("none", "right", "shuffled")
FRAMES_A_TAG = 2  # Qwen2-VL's temporal patch


def frame_tags(steps: int, tagging: str = "right", scene: str = "") -> list[str]:
    """The tags of a clip of so many moments: `["<frame_1>", "<frame_2>"]`; none for the tagging `none`.

    Args:
        steps: pairs of frames, at least 1.
        tagging: one of `TAGGINGS`.
        scene: the clip's name, from which alone a shuffled order follows.

    Raises:
        ValueError: another tagging.
    """
    one_of("tagging", tagging, TAGGINGS)
    if tagging == "none":
        return []
    order = np.arange(steps)
    if tagging == "shuffled":
        order = np.random.default_rng(zlib.crc32(f"frame tags of {scene}".encode())).permutation(steps)
    return [f"<frame_{k + 1}>" for k in order]


def tagged(rows: Sequence[Mapping], clips: Mapping[str, np.ndarray], tagging: str = "right") -> list[dict]:
    """Copies of rows with the tags of their clips as `frame_tags`; an odd last frame has a tag of its own.

    Args:
        rows: with VSI-Bench's fields.
        clips: scene_name to frames (F, H, W, 3).
        tagging: one of `TAGGINGS`; `none` gives rows without the field.

    Raises:
        ValueError: another tagging, or a row without a clip, whose number of frames nobody knows.
    """
    one_of("tagging", tagging, TAGGINGS)
    if tagging == "none":
        return [{name: value for name, value in row.items() if name != "frame_tags"} for row in rows]
    if missing := [row["scene_name"] for row in rows if row["scene_name"] not in clips]:
        raise ValueError(f"no clip of scene {missing[0]!r}: a tag stands before a pair of frames, give the clip")
    steps = {scene: math.ceil(len(clips[scene]) / FRAMES_A_TAG) for scene in {row["scene_name"] for row in rows}}
    return [{**row, "frame_tags": frame_tags(steps[row["scene_name"]], tagging, row["scene_name"])} for row in rows]
