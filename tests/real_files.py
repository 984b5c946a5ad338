"""Files in the forms in which real data comes, VSI-Bench's, VSI-100k's and ScanNet's, and a hub to fetch them from."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image

from vsr_kit.videos import write_mp4

COLORS = [(240, 10, 10), (10, 240, 10), (10, 10, 240), (240, 240, 10), (10, 240, 240), (240, 10, 240)]
ARKIT, SCANNETPP, SCANNET = "41069025", "7b6477cb95", "scene0011_00"
SCENES = {"arkitscenes": ARKIT, "scannetpp": SCANNETPP, "scannet": SCANNET}


def plain_frames(count: int, height: int = 24, width: int = 32) -> np.ndarray:
    """Frames of one colour each, which JPEG and H.264 keep nearly."""
    return np.stack([np.full((height, width, 3), COLORS[i % len(COLORS)], np.uint8) for i in range(count)])


def jpeg(frame: np.ndarray, kind: str = "JPEG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return stream.getvalue()


def write_sens(path: Path, frames, stated: int | None = None, version: int = 4, colours: int = 2) -> Path:
    """A .sens file as ScanNet's SensorData has it; depth is noise, which nobody may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = b"StructureSensor"
    identity = list(np.eye(4).flatten())
    height, width = frames[0].shape[:2] if len(frames) else (24, 32)
    with path.open("wb") as stream:
        stream.write(struct.pack("<IQ", version, len(name)) + name)
        stream.write(struct.pack("<64f", *(identity * 4)))
        stream.write(struct.pack("<ii4If", colours, 1, width, height, 640, 480, 1000.0))
        stream.write(struct.pack("<Q", len(frames) if stated is None else stated))
        for i, frame in enumerate(frames):
            colour, depth = jpeg(frame, "PNG" if colours == 1 else "JPEG"), bytes([i % 256]) * (37 + i)
            stream.write(struct.pack("<16f4Q", *identity, i, i, len(colour), len(depth)) + colour + depth)
        stream.write(struct.pack("<Q", 0))  # no readings of the inertial sensor
    return path


def vsi_bench_rows() -> list[dict]:
    """A row of each of the ten types over three scenes, as the hub's test.jsonl has them: whole numbers as ids."""
    standing = "If I am standing by the bed and facing the tv, is the sofa to"
    numbers = [
        ("object_counting", "How many chair(s) are in this room?", "4"),
        (
            "object_abs_distance",
            "Measuring from the closest point of each object, what is the direct distance between the bed and the tv "
            "(in meters)?",
            "1.6",
        ),
        (
            "object_size_estimation",
            "What is the length of the longest dimension (length, width, or height) of the sofa, measured in "
            "centimeters?",
            "182",
        ),
        (
            "room_size_estimation",
            "What is the size of this room (in square meters)? If multiple rooms are shown, estimate the size of the "
            "combined space.",
            "21.4",
        ),
    ]
    letters = [
        (
            "object_rel_distance",
            "Measuring from the closest point of each object, which of these objects (bed, sofa, stove, tv) is the "
            "closest to the chair?",
            ["A. bed", "B. sofa", "C. stove", "D. tv"],
        ),
        ("object_rel_direction_easy", f"{standing} the left or the right of the tv?", ["A. right", "B. left"]),
        (
            "object_rel_direction_medium",
            f"{standing} my left, right, or back? An object is to my back if I would have to turn at least 135 degrees "
            "in order to face it.",
            ["A. left", "B. back", "C. right"],
        ),
        (
            "object_rel_direction_hard",
            f"{standing} my front-left, front-right, back-left, or back-right? Directions refer to the quadrants of a "
            "Cartesian plane (assuming I am at the origin and facing the positive y-axis).",
            ["A. front-left", "B. back-right", "C. front-right", "D. back-left"],
        ),
        (
            "route_planning",
            "You are a robot beginning at the bed facing the tv. You want to navigate to the toilet. You will perform "
            "the following actions (Note: for each [please fill in], choose either 'turn back,' 'turn left,' or 'turn "
            "right.'): 1. Go forward until the tv 2. [please fill in] 3. Go forward until the toilet. You have reached "
            "the final destination.",
            ["A. Turn Back", "B. Turn Left", "C. Turn Right"],
        ),
        (
            "obj_appearance_order",
            "What will be the first-time appearance order of the following categories in the video: bed, sofa, stove, "
            "tv?",
            [
                "A. bed, sofa, stove, tv",
                "B. sofa, bed, tv, stove",
                "C. tv, stove, sofa, bed",
                "D. stove, tv, bed, sofa",
            ],
        ),
    ]
    kinds = [(kind, text, truth, None) for kind, text, truth in numbers]
    kinds += [(kind, text, "B", options) for kind, text, options in letters]
    scenes = list(SCENES.items())
    return [
        {
            "id": i,
            "dataset": scenes[i % 3][0],
            "scene_name": scenes[i % 3][1],
            "question_type": kind,
            "question": text,
            "ground_truth": truth,
            "options": options,
        }
        for i, (kind, text, truth, options) in enumerate(kinds)
    ]


def write_lines(path: Path, rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def write_films(root: Path, scenes=SCENES, count: int = 4) -> None:
    for dataset, scene in dict(scenes).items():
        (root / dataset).mkdir(parents=True, exist_ok=True)
        write_mp4(root / dataset / f"{scene}.mp4", plain_frames(count))


def zipped(root: Path, dataset: str) -> bytes:
    """An archive as the hub has it, of the films in root/dataset."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for film in sorted((root / dataset).glob("*.mp4")):
            archive.writestr(f"{dataset}/{film.name}", film.read_bytes())
    return stream.getvalue()


class Hub:
    """A hub with one data set, on this machine: the list of files, their heads, and their bytes from any place on.

    files: name to bytes; `.zip` and `.parquet` are large files, with a SHA-256. broken: names whose bytes come wrong.
    cut: name to a number of bytes after which the line goes dead, once.
    """

    SHA = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self, hub_id: str, files: dict[str, bytes], others: dict[str, dict[str, bytes]] | None = None) -> None:
        self.hub_id, self.files, self.broken, self.cut = hub_id, dict(files), set(), {}
        self.others = others or {}
        self.asked: list[tuple[str, str, str]] = []  # method, file, range
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_HEAD(self):
                hub.answer(self, False)

            def do_GET(self):
                hub.answer(self, True)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *what) -> None:
        self.server.shutdown()
        self.server.server_close()

    def fetched(self) -> list[str]:
        return [name for method, name, _ in self.asked if method == "GET"]

    def listing(self, hub_id: str, files: dict[str, bytes]) -> dict:
        siblings = []
        for name, data in files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            entry = {"rfilename": name, "size": len(data), "blobId": blob}
            if name.endswith((".zip", ".parquet")):
                sha = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"sha256": sha, "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        return {"id": hub_id, "sha": self.SHA, "siblings": siblings, "private": False, "tags": [], "downloads": 0}

    def answer(self, request, with_body: bool) -> None:
        path = request.path.split("?")[0]
        sets = {self.hub_id: self.files, **self.others}
        for hub_id, files in sets.items():
            if path.startswith(f"/api/datasets/{hub_id}"):
                return self._send(request, json.dumps(self.listing(hub_id, files)).encode(), with_body, {})
        found = {
            f"/datasets/{i}/resolve/{self.SHA}/{name}": (name, data)
            for i, f in sets.items()
            for name, data in f.items()
        }
        name, data = found.get(path, (path, None))
        wanted = request.headers.get("Range", "")
        self.asked.append((request.command, name, wanted))
        if data is None:
            return self._send(request, b"", with_body, {}, 404)
        data = bytes(len(data)) if name in self.broken else data
        tags = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": self.SHA}
        start = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
        cut = self.cut.pop(name, None) if with_body else None
        return self._send(request, data[start:], with_body, tags, 206 if wanted else 200, cut)

    def _send(self, request, data: bytes, with_body: bool, headers, status: int = 200, cut=None) -> None:
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            request.send_header(name, value)
        request.end_headers()
        if with_body:
            request.wfile.write(data[:cut])
            request.wfile.flush()
            if cut is not None:
                threading.Event().wait(30)  # the line is dead; whoever waits for the rest is killed meanwhile


def lay_out(root: Path) -> None:
    """The folders that docs/real_data.md speaks of: `vsi-bench`, `vsi-100k`, `scannet`, and a film of one's own."""
    write_films(root / "vsi-bench")
    write_lines(root / "vsi-bench" / "test.jsonl", vsi_bench_rows())
    write_parquet(root / "vsi-bench" / "test_debiased.parquet", vsi_bench_rows()[:4])
    scans = ["scene0700_00", "scene0701_00", "scene0702_00", "scene0011_01"]
    for scene in scans[1:]:
        write_sens(root / "scannet" / "scans" / scene / f"{scene}.sens", plain_frames(9))
    (root / "scannet" / "scans" / scans[0] / "color").mkdir(parents=True)
    for i, frame in enumerate(plain_frames(9)):
        (root / "scannet" / "scans" / scans[0] / "color" / f"{i}.jpg").write_bytes(jpeg(frame))
    write_annotations(root / "vsi-100k" / "object_counting.json", scans)
    write_mp4(root / "kitchen.mp4", plain_frames(9))
    box = {"centroid": [0, 0, 0.4], "axesLengths": [1, 0.6, 0.8], "normalizedAxes": [1, 0, 0, 0, 1, 0, 0, 0, 1]}
    boxes = {"chair": [box, {**box, "centroid": [2, 0, 0.4]}], "sofa": [{**box, "centroid": [0, 3, 0.4]}]}
    scene = {"dataset": "scannet", "room_size": 24.0, "object_bbox": boxes}
    (root / "my_scenes.json").write_text(json.dumps({scans[0]: scene}), encoding="utf-8")


def write_annotations(path: Path, scenes, things=("chair", "table", "lamp", "shelf")) -> Path:
    """Annotations as VSI-100k's, four questions a scene."""
    made = [{"question": f"How many {t}(s)in the room?", "answer": 2, "scene_id": s} for s in scenes for t in things]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made), encoding="utf-8")
    return path
