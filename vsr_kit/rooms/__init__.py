"""Rooms: exact geometry in metres, made by us or read from the benchmark's release.

A room is a floor, four walls and labelled boxes; every ground truth of the kit is computed from it and nothing else.
Left out: meshes, point clouds, rooms that are not one rectangle, and anything about appearance (see `vsr_kit.videos`).
"""

from vsr_kit.rooms.files import GeometryFile, load_rooms, read_geometry, read_rooms, save_rooms
from vsr_kit.rooms.generator import CATEGORIES, make_room, make_rooms
from vsr_kit.rooms.geometry import Box, Room, box_distance, center_distance, pairwise_distances, yaw_axes

__all__ = [
    "CATEGORIES",
    "Box",
    "GeometryFile",
    "Room",
    "box_distance",
    "center_distance",
    "load_rooms",
    "make_room",
    "make_rooms",
    "pairwise_distances",
    "read_geometry",
    "read_rooms",
    "save_rooms",
    "yaw_axes",
]
