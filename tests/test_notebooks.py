"""The course: every notebook runs from a clean kernel on its smoke budget, and all keep to the conventions."""

import re
import statistics

import nbformat
import pytest

from tests.test_look import illegible
from vsr_kit.claims.recipe import SEEDS
from vsr_kit.pages.site import course_notebooks, execute
from vsr_kit.paths import notebooks_folder
from vsr_kit.plots.canvas import PLOTLY_MIME
from vsr_kit.study import provenance
from vsr_kit.training.profiles import get_profile

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
NOTEBOOKS = course_notebooks()
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


@pytest.mark.slow
@each
def test_it_runs_from_a_clean_kernel_on_the_smoke_budget(path, tmp_path):
    done = execute(path, tmp_path, smoke=True)
    assert done.error is None, done.error
    assert done.cells > 0


@each
def test_its_size_fits_a_reader(path):
    notebook = read(path)
    lines = [len([line for line in cell.source.splitlines() if line.strip()]) for cell in code_cells(notebook)]
    folded = ["source_hidden" in cell.metadata.get("jupyter", {}) for cell in code_cells(notebook)]
    shown = [1 if hidden else count for hidden, count in zip(folded, lines, strict=True)]  # a folded cell is its title
    assert 20 <= len(notebook.cells) <= 35
    assert folded.index(True) == 0 and sum(folded) == 1  # the setup cell, and no other
    assert statistics.median(shown) <= 7
    assert max(lines) <= 35
    assert path.stat().st_size <= 1_000_000


@each
def test_it_opens_and_closes_as_all_do(path):
    text = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    assert re.match(r"# \S", text[0])
    opening = "\n".join(text[:3])
    for part in ("You will", "CPU", "T4", "A100"):
        assert part in opening, f"the opening lacks {part!r}"
    for heading in ("What you saw", "What we left out", "Next"):
        assert any(re.search(rf"^#+ {heading}", part, re.M) for part in text), f"no heading {heading!r}"


@each
def test_its_budget_is_chosen_in_one_tagged_cell(path):
    tagged = [cell for cell in code_cells(read(path)) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert re.search(r"^SMOKE = (vsr\.)?smoke\(\)", tagged[0].source, re.M)


@each
def test_it_is_committed_with_outputs_of_one_clean_run(path):
    cells = code_cells(read(path))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for output in outputs(read(path)) if output.output_type == "error"]


@each
def test_what_it_shows_needs_no_script(path):
    notebook = read(path)
    assert "widgets" not in notebook.metadata  # state without a server breaks rendering
    shown = [output.data for output in outputs(notebook) if "data" in output]
    for data in shown:
        if PLOTLY_MIME in data:
            assert "image/svg+xml" in data, "a figure without a still picture"
        if WIDGET_MIME in data:
            assert {"text/html", "image/svg+xml", "image/png"} & data.keys(), "a widget without a static fallback"
    assert "<script" not in "".join(str(data.get("text/html", "")) for data in shown)


@each
def test_it_shows_no_warning_and_no_place_on_the_machine_that_ran_it(path):
    shown = outputs(read(path))
    assert [output.text for output in shown if output.get("name") == "stderr"] == []
    assert "site-packages" not in str(shown)
    data = [output.get("data", {}) for output in shown]
    read_by_eye = [output.get("text") for output in shown] + [(d.get("text/plain"), d.get("text/html")) for d in data]
    assert not re.search(r"(?<![\w.])/(home|root|Users|tmp|opt)/", str(read_by_eye))


@each
def test_it_has_no_magic_beyond_the_setup_cell(path):
    cells = code_cells(read(path))
    magic = [number for number, cell in enumerate(cells) if re.search(r"^\s*[%!]", cell.source, re.M)]
    assert set(magic) <= {0}


def test_links_between_notebooks_lead_somewhere():
    names = {path.name for path in NOTEBOOKS}
    for path in NOTEBOOKS:
        for cell in read(path).cells:
            linked = re.findall(r"\]\(([\w-]+\.ipynb)", cell.source) if cell.cell_type == "markdown" else []
            assert set(linked) <= names, path.name


def test_the_main_job_is_there():
    assert [path.name[:2] for path in NOTEBOOKS][:5] == ["00", "01", "02", "03", "04"]
    assert not list(notebooks_folder().glob("Untitled*"))


@each
def test_its_tables_can_be_read_in_a_dark_theme(path):
    shown = [str(output.data.get("text/html", "")) for output in outputs(read(path)) if "data" in output]
    assert [style for html in shown for style in illegible(html)] == []
    assert not any("overflow-wrap:anywhere" in html for html in shown)


# -- numbers that prose and outputs say --------------------------------------------------------------------------------


def prose(path):
    return "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def test_the_first_notebook_trains_by_steps_and_its_prose_says_how_many():
    path = NOTEBOOKS[0]
    code = "\n".join(cell.source for cell in code_cells(read(path)))
    steps = re.search(r"TRAIN_STEPS = \d+ if SMOKE else (\d+)", code)[1]
    assert "SECONDS" not in code and '"seconds":' not in code
    assert f"## 8. Train for {steps} steps" in prose(path)
    assert set(re.findall(r"(\d+) steps", prose(path))) == {steps, str(get_profile("mini").steps)}
    assert f"after, shipped: {get_profile('mini').steps} steps" in code  # the profile's, which the study ran to its end


def test_prose_says_how_many_seeds_the_study_has():
    words = {3: "three", 4: "four", 5: "five", 6: "six"}
    assert f"with {words[len(SEEDS)]} seeds, is in notebook [04]" in prose(NOTEBOOKS[0])
    assert f"## 8. {words[len(SEEDS)].capitalize()} seeds, shipped" in prose(NOTEBOOKS[4])


def test_what_02_printed_of_the_shipped_study_is_what_it_prints_today():
    """The study grew after the notebook was executed: 92 conditions stood there when there were 151."""
    printed = "".join(output.get("text", "") for output in outputs(read(NOTEBOOKS[2])))
    assert provenance() in printed.splitlines()
