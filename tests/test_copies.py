"""`vsr lab`: the reader works on a copy that nobody overwrites, and its runs are where `vsr report` looks."""

import json
import os
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from typer.testing import CliRunner

from vsr_kit.cli import app
from vsr_kit.paths import OWN_COPY, RECORD, checkout, default_runs, notebooks_folder, update_copy
from vsr_kit.runs import RunFolder, runs_root


@pytest.fixture
def shipped(tmp_path):
    folder = tmp_path / "shipped"
    folder.mkdir()
    for name in ("00_a.ipynb", "01_b.ipynb"):
        (folder / name).write_text(f"{name}, version 1")
    return folder


def texts(folder):
    return {path.name: path.read_text() for path in sorted(folder.glob("*.ipynb"))}


def test_a_copy_is_made_whole_and_the_second_time_nothing_is_said(shipped, tmp_path):
    own = tmp_path / "own"
    assert update_copy(own, shipped) == []
    assert texts(own) == texts(shipped)
    assert update_copy(own, shipped) == []


def test_what_was_edited_stays_and_the_newer_version_lies_beside_it(shipped, tmp_path):
    own = tmp_path / "own"
    update_copy(own, shipped)
    (own / "00_a.ipynb").write_text("mine")
    assert update_copy(own, shipped) == []  # nothing new has been shipped
    for name in ("00_a.ipynb", "01_b.ipynb"):
        (shipped / name).write_text(f"{name}, version 2")
    edited, replaced = update_copy(own, shipped)
    assert "00_a.ipynb is yours and stays" in edited
    assert "01_b.ipynb was as shipped" in replaced
    found = texts(own)
    (beside,) = found.keys() - {"00_a.ipynb", "01_b.ipynb"}
    assert beside.startswith("00_a-new-") and beside in edited
    assert (found["00_a.ipynb"], found["01_b.ipynb"]) == ("mine", "01_b.ipynb, version 2")
    assert found[beside] == "00_a.ipynb, version 2"
    (own / beside).write_text("edited, too")
    assert update_copy(own, shipped) == []  # told once
    assert texts(own)[beside] == "edited, too"


@pytest.mark.parametrize("record", [None, "no json {", "[]", '{"00_a.ipynb": 3}'])
def test_without_a_record_whatever_differs_is_the_readers(record, shipped, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "00_a.ipynb").write_text("mine")
    if record is not None:
        (own / RECORD).write_text(record)
    (said,) = update_copy(own, shipped)
    assert "is yours and stays" in said
    assert texts(own)["00_a.ipynb"] == "mine"


def test_the_copy_holds_every_notebook_that_another_links_to(tmp_path):
    update_copy(tmp_path / "own")
    assert texts(tmp_path / "own").keys() == texts(notebooks_folder()).keys()


# -- where runs go -----------------------------------------------------------------------------------------------------


def test_lab_opens_the_copy_and_tells_its_kernels_where_runs_go(monkeypatch, tmp_path):
    called = {}

    def run(words, env):
        called.update(words=words, env=env)
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.delenv("VSR_RUNS", raising=False)
    monkeypatch.setattr("vsr_kit.cli.course.subprocess.run", run)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["lab", "06", "--no-browser"])
    assert done.exit_code == 0, done.output
    assert f"{OWN_COPY}/06_kl_penalty.ipynb" in called["words"]
    assert called["env"]["VSR_RUNS"] == str(tmp_path / "runs")
    assert OWN_COPY in done.output and "vsr report" in done.output


def test_git_sees_neither_the_copy_nor_its_runs():
    ignored = (checkout() / ".gitignore").read_text().splitlines()
    assert {f"/{OWN_COPY}/", "/runs/", "/notebooks/runs/"} <= set(ignored)


def test_runs_of_a_notebook_in_a_folder_of_the_copy_go_beside_the_copy_too(tmp_path, monkeypatch):
    monkeypatch.delenv("VSR_RUNS", raising=False)
    update_copy(tmp_path / OWN_COPY)
    (tmp_path / OWN_COPY / "mine" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / OWN_COPY / "mine" / "deeper")
    assert runs_root().resolve() == tmp_path / "runs"


@pytest.mark.parametrize("place", ["copy", "checkout"])
def test_a_notebook_opened_by_hand_records_its_runs_beside_its_folder(place, tmp_path, monkeypatch):
    monkeypatch.delenv("VSR_RUNS", raising=False)
    if place == "copy":
        update_copy(tmp_path / OWN_COPY)
    monkeypatch.chdir(tmp_path / OWN_COPY if place == "copy" else notebooks_folder())
    assert runs_root().resolve() == (tmp_path if place == "copy" else checkout()) / "runs"


def test_elsewhere_runs_go_to_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_runs().resolve() == tmp_path / "runs"
    monkeypatch.setenv("VSR_RUNS", "somewhere")
    assert str(runs_root()) == "somewhere"


@pytest.mark.slow
def test_a_run_made_in_a_kernel_of_the_copy_is_the_one_vsr_report_shows(tmp_path):
    """A real kernel, started in the notebook's folder as Lab does; then `vsr report` from the folder above."""
    update_copy(tmp_path / OWN_COPY)
    code = 'from vsr_kit.runs import RunFolder\nRunFolder.create("by-hand", {}).finish()'
    notebook = tmp_path / OWN_COPY / "mine.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(code)]), notebook)
    env = {name: value for name, value in os.environ.items() if name != "VSR_RUNS"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(checkout()), env.get("PYTHONPATH")]))
    words = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", str(notebook)]
    subprocess.run(words, check=True, env=env, capture_output=True, cwd=tmp_path)
    (made,) = (tmp_path / "runs").iterdir()
    assert RunFolder.open(made).name == "by-hand"
    done = subprocess.run(
        [sys.executable, "-m", "vsr_kit.cli", "report"], env=env, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert f"{made.name}/report.html" in done.stdout
    assert json.loads((tmp_path / OWN_COPY / RECORD).read_text()).keys() == texts(notebooks_folder()).keys()


def test_the_glossary_comes_along(shipped, tmp_path):
    (shipped / "glossary.md").write_text("### A word\n")
    update_copy(tmp_path / "own", shipped)
    assert (tmp_path / "own" / "glossary.md").read_text() == "### A word\n"
    (shipped / "glossary.md").write_text("### Another word\n")
    assert update_copy(tmp_path / "own", shipped) == []
    assert (tmp_path / "own" / "glossary.md").read_text() == "### Another word\n"
