"""`vsr fetch` against a hub on this machine: sizes first, checksums, archives unpacked, and on where it was cut off."""

import hashlib
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from tests.real_files import SCENES, Hub, vsi_bench_rows, write_films, write_lines, write_parquet, zipped
from vsr_kit.data import fetch, load_vsi_100k
from vsr_kit.data.archives import unpack_films
from vsr_kit.evaluation import load_questions

ID = "nyu-visionx/VSI-Bench"
ROWS = vsi_bench_rows()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The hub's files, in bytes."""
    root = tmp_path_factory.mktemp("hub")
    write_films(root)
    lines = write_lines(root / "test.jsonl", ROWS).read_bytes()
    table = write_parquet(root / "test-00000-of-00001.parquet", ROWS).read_bytes()
    zips = {f"{dataset}.zip": zipped(root, dataset) for dataset in SCENES}
    own = {"README.md": b"a card", "test.jsonl": lines, "test-00000-of-00001.parquet": table}
    return {**own, "create_pq.py": b"print('not wanted')", **zips}


@pytest.fixture
def hub(files, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with Hub(ID, files) as hub:
        yield hub


def bring(hub, out, **how):
    told = []
    fetch("vsi-bench", out, endpoint=hub.url, tell=told.append, **how)
    return told


def test_what_is_fetched_is_a_folder_that_can_be_asked(hub, tmp_path):
    told = bring(hub, tmp_path / "b")
    asked = load_questions(tmp_path / "b", num_frames=2)
    assert len(asked.rows) == 10 and set(asked.clips) == set(SCENES.values())
    assert "terms of its own" in told[0] and "ScanNet++" in told[0]
    assert "6 files" in told[1] and "MB to fetch" in told[1] and "free" in told[1]
    assert not list((tmp_path / "b").glob("*.zip")) and not (tmp_path / "b" / "create_pq.py").exists()


def test_a_second_time_nothing_is_fetched_and_what_was_lost_is(hub, tmp_path):
    bring(hub, tmp_path)
    before = len(hub.fetched())
    assert "0 of them fetched now" in bring(hub, tmp_path)[-1] and len(hub.fetched()) == before
    (tmp_path / "scannet" / f"{SCENES['scannet']}.mp4").unlink()
    (tmp_path / "test.jsonl").write_text("edited")
    bring(hub, tmp_path)
    assert sorted(hub.fetched()[before:]) == ["scannet.zip", "test.jsonl"]
    assert load_questions(tmp_path, num_frames=1).rows


def test_annotations_alone(hub, tmp_path):
    bring(hub, tmp_path, annotations_only=True)
    assert sorted(set(hub.fetched())) == ["README.md", "test-00000-of-00001.parquet", "test.jsonl"]
    assert len(load_questions(tmp_path, blind=True).rows) == 10


@pytest.mark.parametrize("name", ["scannet.zip", "test.jsonl"])
def test_a_checksum_that_is_not_the_hubs_is_refused_and_the_file_not_kept(hub, tmp_path, name):
    hub.broken.add(name)
    with pytest.raises(
        ValueError, match=rf"{name}: came with another checksum than the hub states .*run the same command again"
    ):
        bring(hub, tmp_path)
    assert not (tmp_path / name).exists() and not list((tmp_path / ".fetch").glob("*.part"))
    hub.broken.clear()
    bring(hub, tmp_path)
    assert load_questions(tmp_path, num_frames=1).rows


def test_the_disk_is_looked_at_before_anything_is_fetched(hub, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    with pytest.raises(ValueError, match=r"0\.10 GB are needed and 0\.0 MB are free; make room"):
        bring(hub, tmp_path)
    assert hub.fetched() == []


def test_a_part_goes_on_where_it_stood(hub, tmp_path, files):
    """As a kill leaves it: half of an archive in `.fetch`."""
    data = files["scannet.zip"]
    part = tmp_path / ".fetch" / f"scannet.zip.{hashlib.sha256(data).hexdigest()[:16]}.part"
    part.parent.mkdir()
    part.write_bytes(data[:500])
    bring(hub, tmp_path)
    assert [asked for method, name, asked in hub.asked if (method, name) == ("GET", "scannet.zip")] == ["bytes=500-"]
    assert load_questions(tmp_path, num_frames=1).rows


def test_a_name_that_leads_out_is_refused(hub, tmp_path):
    hub.files["data/../../test-x.parquet"] = b"x"
    hub.files = {"data/test-..\\x.parquet": b"x", **hub.files}
    with pytest.raises(ValueError, match="a name that leads out of the folder: nothing was fetched"):
        bring(hub, tmp_path / "b")
    assert hub.fetched() == []


def test_a_set_that_has_changed_is_told_with_what_it_has(hub, tmp_path):
    hub.files = {"README.md": b"", "moved.jsonl": b""}
    with pytest.raises(ValueError, match=r"has none of test\.jsonl.* any more \(it has README\.md, moved\.jsonl\)"):
        bring(hub, tmp_path)


def test_two_fetches_into_one_folder_are_refused(hub, tmp_path):
    from vsr_kit.locks import held

    with held(tmp_path), pytest.raises(ValueError, match="is being written by"):
        bring(hub, tmp_path)


def test_vsi_100k_is_fetched_and_read(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    rows = [{"question": "How many chair(s)in the room?", "answer": 2, "scene": "scene0000_00"}]
    with Hub("OPPOer/VSI-100k", {"README.md": b"", "object_counting.json": json.dumps(rows).encode()}) as hub:
        told = []
        fetch("vsi-100k", tmp_path / "v", endpoint=hub.url, tell=told.append)
    assert len(load_vsi_100k(tmp_path / "v").rows) == 1 and "licence of your own" in told[0]


@pytest.mark.parametrize("why", ["offline", "no server"])
def test_without_network_there_is_one_sentence(monkeypatch, tmp_path, why):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", why == "offline")
    with pytest.raises(ValueError, match=r"VSI-Bench cannot be fetched \(.*needs the network .*copy the folder"):
        fetch("vsi-bench", tmp_path / "b", endpoint="http://127.0.0.1:9")
    assert not (tmp_path / "b").exists()


def command(hub, out):
    """`vsr fetch` in a process of its own, as a user has it."""
    env = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "CI")}
    env |= {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    words = [sys.executable, "-m", "vsr_kit.cli", "fetch", "vsi-bench", "--out", str(out)]
    return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_fetch_that_is_killed_inside_a_file_goes_on_inside_it(hub, tmp_path, files):
    """The library writes 10 MB at a time."""
    stream = io.BytesIO(files["scannet.zip"])
    with zipfile.ZipFile(stream, "a") as larger:
        larger.writestr("more/notes.txt", bytes(24_000_000))
    hub.files["scannet.zip"], hub.cut["scannet.zip"] = stream.getvalue(), 22_000_000
    first = command(hub, tmp_path / "b")
    place, have = tmp_path / "b" / ".fetch", 0
    for _ in range(600):
        time.sleep(0.1)
        have = max((path.stat().st_size for path in place.glob("scannet.zip.*.part")), default=0)
        if have > 20_000_000:
            break
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    assert 20_000_000 < have < 24_000_000 and not (tmp_path / "b" / "scannet").exists()
    second = command(hub, tmp_path / "b")
    out, err = second.communicate(timeout=120)
    assert second.returncode == 0, err
    asked = [asked for method, name, asked in hub.asked if (method, name) == ("GET", "scannet.zip")]
    assert asked == ["", f"bytes={have}-"]
    assert "ask a model: vsr eval --rooms" in out
    assert len(load_questions(tmp_path / "b", num_frames=1).rows) == 10


def archive(path: Path, *members):
    """A zip of (name, bytes) or of ready ZipInfos."""
    with zipfile.ZipFile(path, "w") as made:
        for name, data in members:
            made.writestr(name, data)
    return path


def test_films_are_unpacked_whatever_folder_the_archive_names(tmp_path):
    made = archive(tmp_path / "scannet.zip", ("videos/scannet/a.mp4", b"A"), ("b.mp4", b"B"), ("__MACOSX/c.mp4", b"C"))
    assert [path.name for path in unpack_films(made, tmp_path)] == ["a.mp4", "b.mp4"]
    assert (tmp_path / "scannet" / "a.mp4").read_bytes() == b"A" and len(list((tmp_path / "scannet").iterdir())) == 2


@pytest.mark.parametrize("name", ["../evil.mp4", "/etc/evil.mp4", "a/../../evil.mp4", "..\\evil.mp4", "C:evil.mp4"])
def test_a_film_that_leads_out_of_the_folder_is_refused_before_anything_is_written(tmp_path, name):
    made = archive(tmp_path / "scannet.zip", ("a.mp4", b"A"), (name, b"E"))
    with pytest.raises(ValueError, match="a name that leads out of the folder; remove it and fetch it again"):
        unpack_films(made, tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob("**/evil.mp4"))


def test_links_doubles_and_emptiness_are_refused(tmp_path):
    link = zipfile.ZipInfo("scannet/a.mp4")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(ValueError, match="a link, must be a film"):
        unpack_films(archive(tmp_path / "a.zip", (link, "/etc/passwd")), tmp_path)
    with pytest.raises(ValueError, match="two films 'a.mp4'"):
        unpack_films(archive(tmp_path / "b.zip", ("x/a.mp4", b"1"), ("y/a.mp4", b"2")), tmp_path)
    with pytest.raises(ValueError, match=r"holds no \.mp4 among 1 entries"):
        unpack_films(archive(tmp_path / "c.zip", ("readme.txt", b"1")), tmp_path)
    (tmp_path / "d.zip").write_bytes(b"no zip")
    with pytest.raises(ValueError, match="is damaged, or no zip"):
        unpack_films(tmp_path / "d.zip", tmp_path)


def test_damage_inside_is_told_and_leaves_no_film(tmp_path):
    made = archive(tmp_path / "scannet.zip", ("a.mp4", b"A" * 1000))
    made.write_bytes(made.read_bytes().replace(b"A" * 1000, b"A" * 999 + b"B"))
    with pytest.raises(ValueError, match="is damaged, or no zip .*Bad CRC"):
        unpack_films(made, tmp_path)
    assert not list((tmp_path / "scannet").glob("*.mp4"))


def test_an_archive_that_unfolds_beyond_the_disk_is_refused_first(tmp_path, monkeypatch):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.mp4", bytes(5_000_000))
    (tmp_path / "scannet.zip").write_bytes(stream.getvalue())
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 4_000_000))
    with pytest.raises(ValueError, match=r"unpacks to 0\.01 GB, and .* has 0\.00 GB free"):
        unpack_films(tmp_path / "scannet.zip", tmp_path)
    assert not (tmp_path / "scannet").exists()


def test_unpacking_that_was_killed_goes_on(tmp_path):
    made = archive(tmp_path / "scannet.zip", ("a.mp4", b"A" * 50), ("b.mp4", b"B" * 50), ("c.mp4", b"C" * 50))
    folder = tmp_path / "scannet"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"A" * 50)
    kept = (folder / "a.mp4").stat().st_mtime_ns
    (folder / "b.mp4").write_bytes(b"x" * 50)  # right size, wrong bytes
    (folder / ".c.mp4.part").write_bytes(b"C")
    unpack_films(made, tmp_path)
    assert {path.name: path.read_bytes()[:1] for path in folder.iterdir()} == {
        "a.mp4": b"A",
        "b.mp4": b"B",
        "c.mp4": b"C",
    }
    assert (folder / "a.mp4").stat().st_mtime_ns == kept


def test_an_archive_that_was_fetched_is_not_fetched_again(hub, tmp_path, monkeypatch):
    """A call that was killed while it unpacked: the line about the disk counts the archive as here."""
    monkeypatch.setattr("vsr_kit.data.fetching._size", str)  # bytes: these files are small
    first = bring(hub, tmp_path / "plain")
    out = tmp_path / "cut"

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("vsr_kit.data.fetching.unpack_films", killed)
        with pytest.raises(KeyboardInterrupt):
            bring(hub, out)
    told = bring(hub, out)
    line = next(line for line in told if "to fetch" in line)
    assert "1 fetched already and to be unpacked" in line
    all_of_it = next(line for line in first if "to fetch" in line)
    whole, left = (int(text.split(" to fetch")[0].split()[-1]) for text in (all_of_it, line))
    assert left < whole and not list(out.glob("*.zip"))
