"""No control character reaches a terminal, an SVG or a page, wherever it comes from."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import unicodedata
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import test_plots
from vsr_kit import plots
from vsr_kit.cli import main
from vsr_kit.cli.terminal import Guarded, guard
from vsr_kit.data import build, write_rows
from vsr_kit.pages.report import page
from vsr_kit.rooms import make_rooms, save_rooms
from vsr_kit.validation import drawable, one_line, printable, without_commands

CONTROLS = [chr(code) for code in [*range(0x20), *range(0x7F, 0xA0)] if chr(code) not in "\n\t"]
TURNING = [*"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\ufeff"]
EVIL = "a\x1b]0;title\x07b\x1b[31mred\x9b2J\x90q\x9c\u202eabc\u2066\x08\x7f"


def harmless(text: str) -> bool:
    """Whether a terminal shows all of it and obeys none of it."""
    return not any(unicodedata.category(char) in ("Cc", "Cf", "Cs") for char in text if char not in "\n\t\r")


@pytest.mark.parametrize("char", [*CONTROLS, *TURNING, "\ud800", "\ufffe", "\U000e0041"], ids=lambda c: f"{ord(c):x}")
def test_a_character_that_commands_is_written_as_an_escape(char):
    shown = printable(f"a{char}b")
    assert shown != f"a{char}b" and shown.isprintable() and shown.startswith("a\\") and shown.endswith("b")


def test_what_is_read_stays_as_it_is():
    text = "Größe 25 m² – 椅子 🪑 “quoted” \\x1b \u00a0 é\nsecond\tline"
    assert printable(text) == drawable(text) == without_commands(text) == text
    assert one_line(" two\r\nlines\nand  more ") == "two lines and  more"


@pytest.mark.parametrize("char", [*CONTROLS, "\ud800", "\udfff", "\ufffe", "\uffff"], ids=lambda c: f"{ord(c):x}")
def test_what_xml_has_no_way_to_write_is_replaced(char):
    shown = drawable(f"<a b='{char}'>{char}</a>")
    assert char not in shown
    ET.fromstring(shown.encode())


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mred\x1b[0m",
        "\x1b[38;2;1;2;3mred\x1b[?25l",
        "\x1b]0;title\x07red",
        "\x1b]8;;file:///x\x1b\\red\x1b]8;;\x1b\\",
        "\x1bPq#0;1\x1b\\red",
        "\x9b31mred",
        "\x9d0;title\x9cred",
        "\x1b(Bred\x1b7\x1b=",
        "\x1b_payload\x1b\\red",
        "red\x1b]0;never ended",
        "red\x1b[",
        "red\x1b",
    ],
)
def test_commands_of_a_terminal_are_taken_away_whole(text):
    assert without_commands(text) == "red"


# ------------------------------------------------------------------------------------------------ figures and pages

LABEL = "chair\x00\x1b[31m\x9b\ud800\ufffe\uffff\x0b<b>"


def every_figure(monkeypatch) -> dict:
    monkeypatch.setattr(test_plots, "HOSTILE", LABEL)
    return test_plots.every_figure()


def test_every_figure_with_such_a_label_is_xml_and_utf8(monkeypatch):
    for name, figure in every_figure(monkeypatch).items():
        bundle = figure._repr_mimebundle_()
        ET.fromstring(bundle["image/svg+xml"].encode()), name
        assert harmless(bundle["image/svg+xml"]) and harmless(bundle["text/plain"]), name
        json.dumps(bundle, ensure_ascii=False).encode()


@pytest.mark.parametrize("code", ["&#27;", "&#x1b;", "&#0;"])
def test_a_label_that_spells_a_character_is_xml_too(code):
    room = make_rooms(1, seed=5)[0]
    ET.fromstring(plots.floor_plan(replace(room, name=f"a{code}b"), source="shipped", title=code).to_svg().encode())


def test_categories_and_rooms_of_such_names_have_plans():
    room = make_rooms(1, seed=5)[0]
    boxes = tuple(replace(box, category=f"{LABEL}{i}".replace("\ud800", "")) for i, box in enumerate(room.boxes))
    figure = plots.floor_plan(replace(room, name=LABEL, boxes=boxes), source="shipped", highlight=[boxes[0].category])
    ET.fromstring(figure.to_svg().encode())


def test_a_forest_of_such_names_is_xml():
    drawn = plots.difference_forest({LABEL: (1.0, 0.0, 2.0)}, source="shipped", conclusions={LABEL: LABEL})
    ET.fromstring(drawn.to_svg().encode())
    json.dumps(drawn._repr_mimebundle_(), ensure_ascii=False).encode()


def test_any_figure_that_is_shown_is_xml():
    import plotly.graph_objects as go

    figure = go.Figure(go.Scatter(x=[1, 2], y=[1, 2], text=["a\x01", "b"], mode="text"))
    figure.update_xaxes(title_text=LABEL.replace("\ud800", ""), ticktext=["\x02", "\x03"], tickvals=[1, 2])
    ET.fromstring(plots.show(figure, alt=f"alt {LABEL}").to_svg().encode())


def test_pages_and_tables_hold_no_such_character(tmp_path):
    answer = {"question": LABEL, "prediction": LABEL, "ground_truth": "2", "question_type": "object_counting"}
    answer |= {"options": None, "scene_name": LABEL, "id": "1", "label": LABEL, "phrasing": "vsi-bench"}
    shown = plots.traces([answer], source="shipped", title=LABEL)
    executed = SimpleNamespace(name=LABEL, title=LABEL, seconds=1.0, cells=1, error=LABEL, state="failed")
    values = {"notebooks": [executed], "failed": [executed], "report": None, "headlines": [], "smoke": False}
    values |= {
        "made": LABEL,
        "picture": {"moving": "w.gif", "still": "p.png", "alt": LABEL},
        "figure": None,
        "counted": LABEL,
    }
    values |= {"minutes": {LABEL: LABEL}, "verdicts": None, "gallery": None, "glossary": None, "rooms": None}
    for html in (page("index.html.j2", **values), shown.__html__(), shown._repr_mimebundle_()["text/html"]):
        assert "chair" in html and harmless(html)
        html.encode()


# ---------------------------------------------------------------------------------------------------- the terminal


def vsr(folder: Path, *words: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONIOENCODING": "utf-8"}
    words = [sys.executable, "-m", "vsr_kit.cli", *words]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8")


def geometry(folder: Path, scene: str, **changes) -> Path:
    box = {"centroid": [1, 1, 1], "axesLengths": [1, 1, 1], "normalizedAxes": [1, 0, 0, 0, 1, 0, 0, 0, 1]}
    bad = {"room_size": 20, "object_bbox": {scene: "no list"}}
    scenes = {"good": {"room_size": 20, "object_bbox": {"chair": [box], "table": [box]}}, scene: bad | changes}
    (folder / "x_meta_info_y.json").write_text(json.dumps(scenes))
    return folder / "x_meta_info_y.json"


def rows_about(folder: Path, scene: str) -> Path:
    (folder / "set").mkdir()
    row = {"id": "1", "dataset": "d", "scene_name": scene, "question_type": "object_counting", "options": None}
    write_rows(folder / "set" / "questions.jsonl", [row | {"question": "How many?", "ground_truth": "2"}])
    return folder / "set"


def hostile_scene(folder):
    return "eval", "--rooms", str(rows_about(folder, EVIL.replace("/", "")))


def hostile_skipped_scene(folder):
    return "build", "--rooms", str(geometry(folder, EVIL)), "--out", "out"


def hostile_run(folder):
    return "train", "--rooms", "1", "--name", EVIL


def hostile_folder(folder):
    return "train", "--resume", EVIL.replace("\x00", "")


def hostile_adapter(folder):
    return "eval", "--rooms", "1", "--adapter", EVIL


def hostile_option(folder):
    return "eval", f"--{EVIL}"


def hostile_first_option(folder):
    return (f"--{EVIL}",)


def hostile_command(folder):
    return (EVIL,)


def hostile_argument(folder):
    return "build", "--rooms", "1", "--out", "x", EVIL


def hostile_value(folder):
    return "eval", "--mode", EVIL


def hostile_number(folder):
    return "build", "--rooms", "1", "--out", "x", "--seed", EVIL


def hostile_method(folder):
    return "train", "--method", EVIL, "--rooms", "1"


def hostile_row(folder):
    row = {"id": "1", "dataset": "d", "scene_name": "s", "question": "q", "question_type": "object_counting"}
    (folder / "p.jsonl").write_text(json.dumps(row | {"ground_truth": EVIL, "prediction": "2"}) + "\n")
    return "score", "p.jsonl"


def hostile_type(folder):
    row = {"id": "1", "dataset": "d", "scene_name": "s", "question": "q", "ground_truth": "2", "prediction": "2"}
    (folder / "p.jsonl").write_text(json.dumps(row | {"question_type": EVIL}) + "\n")
    return "score", "p.jsonl"


def hostile_notebook(folder):
    return "run", EVIL


def hostile_study(folder):
    return "claims", "--study", EVIL


def hostile_file_beside(folder):
    (folder / "out").mkdir()
    (folder / "out" / EVIL.replace("/", "")).write_text("")
    return "build", "--rooms", "1", "--out", "out"


LOADING_TORCH = (hostile_run, hostile_folder, hostile_adapter, hostile_method)
CASES = [
    pytest.param(case, id=name, marks=[pytest.mark.slow] if case in LOADING_TORCH else [])
    for name, case in list(globals().items())
    if name.startswith("hostile_")
]


@pytest.mark.parametrize("case", CASES)
def test_no_command_prints_what_a_terminal_obeys(tmp_path, case):
    done = vsr(tmp_path, *case(tmp_path))
    told = re.sub(r"[\W_]", "", done.stdout + done.stderr)  # over the ends of lines, too
    named = "title" in told or "controlcharacter" in told  # rows and rooms of such names are refused, by field
    assert named or case is hostile_number, "the name is told, but that of a number"
    assert harmless(done.stdout) and harmless(done.stderr)
    assert case is hostile_skipped_scene or done.returncode in (1, 2)


def test_a_hostile_name_cannot_begin_a_line_of_its_own(tmp_path):
    done = vsr(tmp_path, "score", "x\nerror: all is well\r\ny")
    assert done.returncode == 2 and "\nerror: all" not in done.stderr


def test_whoever_prints_goes_through_the_guard(monkeypatch):
    import logging
    import warnings

    from tqdm import tqdm

    raw = io.StringIO()
    raw.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", raw)
    monkeypatch.setattr(sys, "stderr", raw)
    guard()
    guard()
    assert isinstance(sys.stdout, Guarded) and not isinstance(sys.stdout._stream, Guarded)
    print(EVIL)
    warnings.showwarning(UserWarning(EVIL), UserWarning, EVIL, 1)
    logging.StreamHandler().emit(logging.LogRecord("x", 30, "", 1, EVIL, None, None))
    sys.stdout.writelines([EVIL, "\n"])
    with contextlib.suppress(ZeroDivisionError), tqdm(total=2, desc=EVIL, file=sys.stderr) as bar:
        bar.update()
        bar.set_postfix({EVIL: EVIL})
    assert raw.getvalue().count("title") >= 6 and "\r" in raw.getvalue()
    assert harmless(raw.getvalue())


def test_rich_keeps_its_colours(monkeypatch):
    from rich.console import Console

    raw = io.StringIO()
    monkeypatch.setattr(sys, "stdout", raw)
    guard()
    Console(force_terminal=True, color_system="standard").print("[red]x[/red]")
    assert "\x1b[31mx" in raw.getvalue()


def test_the_entry_point_is_guarded(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["vsr", "score", EVIL])
    before = sys.stdout, sys.stderr
    try:
        with pytest.raises(SystemExit) as caught:
            main()
    finally:
        sys.stdout, sys.stderr = before
    assert caught.value.code == 2
    assert harmless(capsys.readouterr().err)


def test_rooms_and_files_of_such_names_are_refused_without_a_command_to_the_terminal(tmp_path):
    save_rooms(tmp_path / "r.json", [replace(make_rooms(1)[0], name="a\x1b[31mb")])
    done = vsr(tmp_path, "build", "--rooms", "r.json", "--out", "out")
    assert done.returncode == 2 and "control character" in done.stderr and harmless(done.stdout + done.stderr)
    build(make_rooms(1), tmp_path / "out")
    with pytest.raises(ValueError, match="which no build wrote") as caught:
        (tmp_path / "out" / "x\x1by").write_text("")
        build(make_rooms(1), tmp_path / "out")
    assert str(caught.value).isprintable()
