"""Data: rows with VSI-Bench's fields, splits by room, clips, and data sets on disk.

rows.py reads, makes and splits rows, checking.py checks them, clips.py finds and reads videos, datasets.py writes the
folders of `vsr build` and opens the sample that ships with the kit. picture_rows.py reads rows about pictures in other
projects' layouts, pictures.py makes clips of the pictures, and own_questions.py makes a row of a typed question.
Left out: what a model sees; `vsr_kit.prompts` and `vsr_kit.models` prepare that.
"""

from vsr_kit.data.checking import FIELDS, check_row, check_rows
from vsr_kit.data.clips import ClipFolder, clip_path, load_clips, whole_clips
from vsr_kit.data.datasets import BuildReport, build, make_samples, sample_clips, sample_rooms, sample_rows, unfinished
from vsr_kit.data.picture_rows import PictureRows, read_picture_rows
from vsr_kit.data.pictures import MAX_PIXELS, PictureClips, fitted_size, read_picture
from vsr_kit.data.rows import (
    HUB_ID,
    SPLITS,
    assign_splits,
    balanced,
    first_of_types,
    load_vsi_bench,
    make_rows,
    read_records,
    read_rows,
    room_named,
    split_rooms,
    write_rows,
)

__all__ = [
    "FIELDS",
    "HUB_ID",
    "MAX_PIXELS",
    "SPLITS",
    "BuildReport",
    "ClipFolder",
    "PictureClips",
    "PictureRows",
    "assign_splits",
    "balanced",
    "build",
    "check_row",
    "check_rows",
    "clip_path",
    "first_of_types",
    "fitted_size",
    "load_clips",
    "load_vsi_bench",
    "make_rows",
    "make_samples",
    "read_picture",
    "read_picture_rows",
    "read_records",
    "read_rows",
    "room_named",
    "sample_clips",
    "sample_rooms",
    "sample_rows",
    "split_rooms",
    "unfinished",
    "whole_clips",
    "write_rows",
]
