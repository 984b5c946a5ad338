"""VSI-Bench is a test set: which scenes it asks about, which rows are its own, and how training leaves both out.

`SCENES` names the 200 scenes of two of the benchmark's three geometry files (`arkitscenes_meta_info_val.json` and
`scannetpp_meta_info_val.json` of github.com/vision-x-nyu/thinking-in-space, names only). ScanNet's 88 are not here: no
copy of `scannet_meta_info_val.json` was at hand. They come from any file of the benchmark that the user has (its
questions or a geometry file), and until one is named it is said that they were not compared.

A scene of ScanNet is compared by its place: `scene0011_00` and `scene0011_01` are two scans of one home.
Rows are taken for the benchmark's own by what they hold, not by their folder: its three data sets, its wording, whole
numbers as ids, no sign of `vsr build`.
Left out: the same home under two names in ARKitScenes or ScanNet++, which the releases do not mark.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vsr_kit.data.picture_records import CV_BENCH
from vsr_kit.data.sources import find_source
from vsr_kit.rooms import read_geometry
from vsr_kit.validation import shown

SCENES = {
    "arkitscenes": """
41069025 41069043 41069048 41125700 41125731 41125760 41142280 41159504 41159525 41159530 41159541 41159555
41159572 41254246 41254386 41254402 41254432 42444950 42444954 42444976 42445026 42445031 42445429 42445981
42445984 42446049 42446056 42446103 42446116 42446151 42446167 42446517 42446529 42446535 42446541 42897508
42897528 42897538 42897550 42897554 42897564 42897629 42897647 42897688 42897692 42898486 42898527 42898544
42898581 42898817 42898826 42898849 42898869 42899461 42899612 42899617 42899685 42899696 42899698 42899712
42899720 42899725 42899729 42899739 44358436 44358442 44358451 44358499 44358518 44358536 44358582 45260856
45260900 45260905 45260928 45261121 45261142 45261150 45261182 45261575 45261594 45261620 45261637 45662924
45662943 45662970 45662987 45663105 45663114 45663154 45663164 47115460 47115469 47115525 47115543 47204552
47204566 47204578 47204607 47331063 47331068 47331262 47331316 47331319 47331331 47331336 47331644 47331654
47331668 47331970 47331972 47331990 47332005 47332886 47332899 47332901 47332908 47332918 47333436 47333441
47333457 47333899 47333918 47333924 47333932 47333940 47334096 47334103 47334107 47334117 47334238 47334239
47334254 47334362 47334372 47334380 47429904 47429912 47429922 47429977 47429992 47429998 47430007 47430023
47430034 47430038 47430048 47430422 47430468 47430475
""",
    "scannetpp": """
09c1414f1b 0d2ee665be 13c3e046d7 1ada7a0617 21d970d8de 25f3b7a318 27dd4da69e 286b55a2bf 31a2c91c43 3864514494
38d58a7a31 3db0a1c8f3 3e8bba0176 3f15a9266d 40aec5fffa 45b0dac5e3 5748ce6f01 578511c8a9 5942004064 5eb31827b7
5ee7c22ba0 5f99900f09 6115eddb86 7831862f02 7b6477cb95 7bc286c1b6 825d228aec 9071e139d9 99fa5c25e1 a24f64f7fb
a8bf42d646 a980334473 ac48a9b736 acd95847c5 b0a08200c9 bcd2436daf bde1e479ad c49a8c6cff c4c04e6d6c c50d2d1d42
c5439f4607 cc5237fd77 d755b3d9d8 e398684d27 e7af285f7d f2dc06b1d2 f3685d06a9 f3d64c30f8 f9f95681fd fb5a96b1a2
""",
}
DATASETS = {"scannet": "ScanNet", "scannetpp": "ScanNet++", "arkitscenes": "ARKitScenes"}
_MOST_NAMED = 5


@dataclass(frozen=True)
class BenchmarkScenes:
    """The benchmark's scenes as far as they are known.

    Attributes:
        names: by data set.
        files: what the user named, from which some of them were read.
    """

    names: Mapping[str, frozenset[str]]
    files: tuple[str, ...] = ()

    @cached_property
    def _places(self) -> frozenset[tuple[str, str]]:
        return frozenset((dataset, place_of(name)) for dataset, own in self.names.items() for name in own)

    def has(self, dataset: str, scene_name: str) -> bool:
        """Whether the benchmark asks about a scene, or about another scan of the same place."""
        return (dataset, place_of(scene_name)) in self._places

    def told(self, datasets: Collection[str] = tuple(DATASETS)) -> str:
        """What rows of these data sets are compared with, and what is not known."""
        parts = [f"{len(own)} of {DATASETS[name]}" for name, own in self.names.items() if own]
        read = f", some of them from {', '.join(self.files)}" if self.files else ""
        line = f"compared with the scenes of VSI-Bench that are known: {', '.join(parts)}{read}"
        if self.names.get("scannet") or "scannet" not in datasets:
            return line
        return (
            f"{line}. ScanNet's are NOT: this kit has no list of them; name VSI-Bench's test.jsonl or "
            "scannet_meta_info_val.json by --benchmark FILE"
        )


def place_of(scene_name: str) -> str:
    """What a scene shows: of ScanNet's `scene0011_01` the place `scene0011`, of all others the scene itself."""
    head, _, scan = scene_name.rpartition("_")
    return head if head.startswith("scene") and head[5:].isdigit() and scan.isdigit() else scene_name


def benchmark_scenes(files: Iterable[str | Path] = ()) -> BenchmarkScenes:
    """The scenes of `SCENES`, and those of files of the benchmark: questions, a folder of them, or geometry.

    Raises:
        ValueError: a file that is none of these, or that names no scene of the benchmark's three data sets.
    """
    names = {dataset: set(SCENES.get(dataset, "").split()) for dataset in DATASETS}
    named = [str(path) for path in files]
    for path in named:
        found = [(dataset, scene) for dataset, scene in _scenes_of(path) if dataset in DATASETS]
        if not found:
            raise ValueError(
                f"--benchmark {path}: names no scene of {', '.join(DATASETS)}; give VSI-Bench's test.jsonl or one of "
                "its *_meta_info_val.json"
            )
        for dataset, scene in found:
            names[dataset].add(scene)
    return BenchmarkScenes({dataset: frozenset(own) for dataset, own in names.items()}, tuple(named))


def _scenes_of(path: str) -> Iterable[tuple[str, str]]:
    if not Path(path).exists():
        raise ValueError(f"--benchmark {path}: there is no such file; give VSI-Bench's test.jsonl or a geometry file")
    source = find_source(path)
    if source is None:
        return [(room.dataset, room.name) for room in read_geometry(path).rooms]
    records = [record for _, record in source.records if isinstance(record, dict)]
    return [(str(record.get("dataset")), str(record.get("scene_name"))) for record in records]


def is_benchmark_like(row: Mapping) -> bool:
    """Whether a row has what the benchmark's own rows have, and none of what `vsr build` writes."""
    own = row["dataset"] in DATASETS and row.get("phrasing", "vsi-bench") == "vsi-bench"
    return own and str(row["id"]).isdigit() and "rules" not in row and "objects" not in row


def training_rows(
    rows: Sequence[dict], scenes: BenchmarkScenes, allowed: bool = False
) -> tuple[list[dict], tuple[str, ...]]:
    """The rows that may be trained on, and what to tell.

    Args:
        rows: of any source; those of other data sets than the benchmark's three are not touched.
        scenes: what the benchmark asks about.
        allowed: keep everything, and say so.

    Raises:
        ValueError: the rows are the benchmark's test set, or may be and cannot be told from it, or nothing is left.
    """
    if (pictures := sum(row.get("benchmark") == CV_BENCH for row in rows)) and not allowed:
        raise ValueError(
            f"{pictures} of {len(rows)} rows are {CV_BENCH}'s, which is a test set as a whole: train on other rows, "
            "such as SAT's, and ask these by vsr eval; or say --train-on-test-set"
        )
    real = [row for row in rows if row["dataset"] in DATASETS]
    warned = [f"TRAINING ON THE TEST SET of {CV_BENCH}, as told"] if pictures else []
    if real and allowed:
        warned.append("TRAINING ON THE TEST SET, as told: no score on VSI-Bench is worth anything after this")
    if allowed or not real:
        return list(rows), tuple(warned)
    _refuse_the_test_set(real, scenes)
    held = {(r["dataset"], r["scene_name"]) for r in real if scenes.has(r["dataset"], r["scene_name"])}
    kept = [row for row in rows if (row["dataset"], row["scene_name"]) not in held]
    told = scenes.told({row["dataset"] for row in real})
    if not held:
        return kept, (f"{told}: none of them is trained on",)
    named = ", ".join(sorted(scene for _, scene in held)[:_MOST_NAMED]) + (", …" if len(held) > _MOST_NAMED else "")
    total = len({(row["dataset"], row["scene_name"]) for row in rows})
    line = (
        f"left out {len(rows) - len(kept)} of {len(rows)} questions, about {len(held)} of {total} scenes that "
        f"VSI-Bench asks about: {named}"
    )
    if not kept:
        raise ValueError(f"nothing is left to train on: {line}; give other scenes, or say --train-on-test-set")
    return kept, (told, line)


def _refuse_the_test_set(rows: Sequence[dict], scenes: BenchmarkScenes) -> None:
    like = [row for row in rows if is_benchmark_like(row)]
    known = [row for row in like if scenes.has(row["dataset"], row["scene_name"])]
    remedy = (
        "train on other rows, and ask these by vsr eval; or say --train-on-test-set, which the run records, and no "
        "score on VSI-Bench is worth anything afterwards"
    )
    if known:
        raise ValueError(
            f"{len(known)} of {len(rows)} rows are VSI-Bench's own, the test set (id {shown(known[0]['id'])} about "
            f"{known[0]['dataset']}'s {known[0]['scene_name']} first): {remedy}"
        )
    unknown = [row for row in like if not scenes.names.get(row["dataset"])]
    if unknown:
        raise ValueError(
            f"{len(unknown)} of {len(rows)} rows look like VSI-Bench's own (data set {unknown[0]['dataset']}, wording, "
            f"id {shown(unknown[0]['id'])}), and this kit has no list of its {DATASETS[unknown[0]['dataset']]} scenes "
            f"to tell: name VSI-Bench's test.jsonl or geometry file by --benchmark FILE, to compare; or {remedy}"
        )
