"""Clips: a camera walks through a room (rendering.py, filming.py); video files are written and read (files.py).

Left out: walls, textures and light; a pixel has the colour of the box it sees.
"""

from vsr_kit.videos.files import Video, read_mp4, read_video, sample_frame_indices, write_mp4
from vsr_kit.videos.filming import ELBOW_ROOM_M, MOST_OF_THE_VIEW, WALKS, film, walk_seed
from vsr_kit.videos.rendering import (
    CameraPath,
    Clip,
    camera_walk,
    category_color,
    first_appearance,
    object_colors,
    render,
    visible_objects,
)

__all__ = [
    "ELBOW_ROOM_M",
    "MOST_OF_THE_VIEW",
    "WALKS",
    "CameraPath",
    "Clip",
    "Video",
    "camera_walk",
    "category_color",
    "film",
    "first_appearance",
    "object_colors",
    "read_mp4",
    "read_video",
    "render",
    "sample_frame_indices",
    "visible_objects",
    "walk_seed",
    "write_mp4",
]
