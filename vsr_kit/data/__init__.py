"""Data: splits by room, rows with VSI-Bench's fields, clips beside them, and the benchmark itself.

Left out: anything a model sees; prompts and processing come later.
"""

from vsr_kit.data.builds import unfinished
from vsr_kit.data.checks import FIELDS, check_row, check_rows
from vsr_kit.data.clips import ClipFolder, clip_path, load_clips, whole_clips
from vsr_kit.data.filming import film
from vsr_kit.data.folders import (
    BuildReport,
    build,
    make_samples,
    sample_clips,
    sample_rooms,
    sample_rows,
)
from vsr_kit.data.records import read_records
from vsr_kit.data.rows import (
    HUB_ID,
    balanced,
    first_of_types,
    load_vsi_bench,
    make_rows,
    read_rows,
    write_rows,
)
from vsr_kit.data.splits import SPLITS, assign_splits, split_rooms
from vsr_kit.data.visibility import Visibility, read_visibility, shown_rows, visibility_of

__all__ = [
    "FIELDS",
    "HUB_ID",
    "SPLITS",
    "BuildReport",
    "ClipFolder",
    "Visibility",
    "assign_splits",
    "balanced",
    "build",
    "check_row",
    "check_rows",
    "clip_path",
    "film",
    "first_of_types",
    "load_clips",
    "load_vsi_bench",
    "make_rows",
    "make_samples",
    "read_records",
    "read_rows",
    "read_visibility",
    "sample_clips",
    "sample_rooms",
    "sample_rows",
    "shown_rows",
    "split_rooms",
    "unfinished",
    "visibility_of",
    "whole_clips",
    "write_rows",
]
