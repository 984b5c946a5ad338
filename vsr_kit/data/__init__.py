"""Data: splits by room, rows with VSI-Bench's fields, clips beside them, and the benchmark itself.

Left out: anything a model sees; prompts and processing come later.
"""

from vsr_kit.data.checking import FIELDS, check_row, check_rows
from vsr_kit.data.clips import ClipFolder, clip_path, load_clips, whole_clips
from vsr_kit.data.datasets import BuildReport, build, make_samples, sample_clips, sample_rooms, sample_rows, unfinished
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
    split_rooms,
    write_rows,
)

__all__ = [
    "FIELDS",
    "HUB_ID",
    "SPLITS",
    "BuildReport",
    "ClipFolder",
    "assign_splits",
    "balanced",
    "build",
    "check_row",
    "check_rows",
    "clip_path",
    "first_of_types",
    "load_clips",
    "load_vsi_bench",
    "make_rows",
    "make_samples",
    "read_records",
    "read_rows",
    "sample_clips",
    "sample_rooms",
    "sample_rows",
    "split_rooms",
    "unfinished",
    "whole_clips",
    "write_rows",
]
