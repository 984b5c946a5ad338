"""Data: rows with VSI-Bench's fields, splits by room, clips, and data sets on disk.

rows.py reads, makes and splits rows, checking.py checks them, clips.py finds and reads videos, datasets.py writes the
folders of `vsr build` and opens the sample that ships with the kit. sources.py takes VSI-Bench as the hub has it,
vsi_100k.py reads VSI-100k, scans.py ScanNet's films, fetching.py brings the first two, and benchmark.py keeps training
off the benchmark's scenes. picture_rows.py reads rows about pictures in other
projects' layouts, pictures.py makes clips of the pictures, and own_questions.py makes a row of a typed question.
Left out: what a model sees; `vsr_kit.prompts` and `vsr_kit.models` prepare that.
"""

from vsr_kit.data.benchmark import BenchmarkScenes, benchmark_scenes, training_rows
from vsr_kit.data.checking import FIELDS, check_row, check_rows
from vsr_kit.data.clips import ClipFolder, load_clips, whole_clips
from vsr_kit.data.datasets import BuildReport, build, make_samples, sample_clips, sample_rooms, sample_rows, unfinished
from vsr_kit.data.fetching import fetch
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
from vsr_kit.data.scans import clip_path, find_clip, read_clip
from vsr_kit.data.vsi_100k import ReadRows, load_vsi_100k

__all__ = [
    "FIELDS",
    "HUB_ID",
    "MAX_PIXELS",
    "SPLITS",
    "BenchmarkScenes",
    "BuildReport",
    "ClipFolder",
    "PictureClips",
    "PictureRows",
    "ReadRows",
    "assign_splits",
    "balanced",
    "benchmark_scenes",
    "build",
    "check_row",
    "check_rows",
    "clip_path",
    "fetch",
    "find_clip",
    "first_of_types",
    "fitted_size",
    "load_clips",
    "load_vsi_100k",
    "load_vsi_bench",
    "make_rows",
    "make_samples",
    "read_clip",
    "read_picture",
    "read_picture_rows",
    "read_records",
    "read_rows",
    "room_named",
    "sample_clips",
    "sample_rooms",
    "sample_rows",
    "split_rooms",
    "training_rows",
    "unfinished",
    "whole_clips",
    "write_rows",
]
