"""Clips: a camera walks through a room, and video files are written and read.

rendering.py draws the frames, filming.py chooses the walk and records what each frame shows, files.py handles video
files. for_people.py draws the same walk larger, with light and shadows (light.py), for readers and for no model.
Left out: realistic walls, textures and light; each pixel has the colour of the box that it shows.
"""

from vsr_kit.videos.files import Video, read_mp4, read_video, sample_frame_indices, write_mp4
from vsr_kit.videos.filming import ELBOW_ROOM_M, MOST_OF_THE_VIEW, WALKS, film, walk_seed
from vsr_kit.videos.for_people import film_for_people
from vsr_kit.videos.rendering import (
    CameraPath,
    Clip,
    camera_walk,
    category_color,
    first_appearance,
    frame_showing,
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
    "film_for_people",
    "first_appearance",
    "frame_showing",
    "object_colors",
    "read_mp4",
    "read_video",
    "render",
    "sample_frame_indices",
    "visible_objects",
    "walk_seed",
    "write_mp4",
]
