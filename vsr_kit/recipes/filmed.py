"""Question sets of a recipe's own: rooms filmed as the study films them, and questions about what their clips show.

Left out: the study's sets (`vsr_kit.study.question_sets`), and choosing among the questions, which a recipe does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vsr_kit.claims.recipe import Asked
from vsr_kit.data import make_rows
from vsr_kit.questions import STUDY_RULES
from vsr_kit.rooms import Room
from vsr_kit.videos import Clip, film


def filmed(rooms: Sequence[Room]) -> dict[str, Clip]:
    """The clip of each room by its name, on the walk that the study's clips take."""
    return {room.name: film(room, clear=STUDY_RULES.clear_walk) for room in rooms}


def asked_about(
    name: str,
    rooms: Sequence[Room],
    phrasing: str = "vsi-100k",
    clips: Mapping[str, Clip] | None = None,
    **how,
) -> Asked:
    """A question set about some rooms, by the study's rules.

    Args:
        name: of the set.
        rooms: that are asked about.
        phrasing: `vsi-100k` or `vsi-bench`.
        clips: by the rooms' names; `filmed(rooms)` if None.
        how: `types`, `max_per_type` and whatever else `make_rows` takes.
    """
    clips = filmed(rooms) if clips is None else clips
    rows = make_rows(rooms, phrasing, clips=clips, rules=STUDY_RULES, **how)
    return Asked(name, rows, {scene: clip.frames_FHW3 for scene, clip in clips.items()})
