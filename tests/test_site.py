"""The site and the report: cells run and are counted, failures are told, hostile text is escaped."""

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from vsr_kit.report import number, write_report
from vsr_kit.runs import RunFolder
from vsr_kit.site import PLOTLY_MIME, build_site, course_notebooks, execute, notebook_page

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
HOSTILE = "<script>alert('x')</script></td><img src=x onerror=alert(1)>"
RECORDS = """
from vsr_kit.budget import smoke
from vsr_kit.runs import RunFolder
run = RunFolder.create("live", {"lr": 1e-5})
run.metrics({"step": 1, "reward": 0.25})
run.summarise(headline={"smoke budget": str(smoke())})
run.finish()
"""


def write(folder, name, *cells):
    path = folder / name
    nbformat.write(new_notebook(cells=list(cells)), path)
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Two notebooks executed once: one records a run, one fails in its second of three cells."""
    folder = tmp_path_factory.mktemp("course")
    good = write(
        folder,
        "00_good.ipynb",
        new_markdown_cell(f"# A title {HOSTILE}\n\nNext: [the other](01_bad.ipynb)"),
        new_code_cell(RECORDS),
        new_code_cell("import sys; print(sys.executable)"),
    )
    bad = write(
        folder, "01_bad.ipynb", new_code_cell("x = 1"), new_code_cell("raise KeyError('no such')"), new_code_cell("x")
    )
    told = []
    made = build_site(
        [good, bad],
        folder / "site",
        smoke=True,
        on_start=lambda path, cells: told.append((path.stem, cells)),
        on_cell=lambda: told.append("cell"),
        on_done=lambda done: told.append((done.name, bool(done.error), (folder / "site" / "index.html").exists())),
    )
    return made, told, folder / "site"


def test_every_cell_is_executed_and_told(site):
    _, told, _ = site
    assert told[:4] == [("00_good", 2), "cell", "cell", ("00_good", False, True)]


def test_a_failing_cell_ends_its_notebook_and_is_shown(site):
    made, told, folder = site
    assert told[4:] == [("01_bad", 3), "cell", "cell", ("01_bad", True, True)]
    assert [done.name for done in made.failed] == ["01_bad"]
    assert "KeyError: 'no such'" in made.failed[0].error
    index = (folder / "index.html").read_text()
    assert "no such" in index
    assert "KeyError" in (folder / "notebooks" / "01_bad.html").read_text()


def test_the_executed_notebook_is_kept_with_its_outputs(site):
    import sys

    _, _, folder = site
    executed = nbformat.read(folder / "notebooks" / "00_good.ipynb", as_version=4)
    assert executed.cells[2].outputs[0].text.strip() == sys.executable


def test_what_notebooks_record_becomes_the_report_and_the_headline(site):
    made, _, folder = site
    assert [run.name for run in made.runs] == ["live"]
    assert made.runs[0].summary["headline"] == {"smoke budget": "True"}
    index = (folder / "index.html").read_text()
    assert 'href="report.html"' in index
    assert "smoke budget" in index
    assert "0.25" in (folder / "report.html").read_text()


def test_a_second_build_reports_its_own_runs_only(site, tmp_path):
    _, _, folder = site
    quiet = write(tmp_path, "02_quiet.ipynb", new_code_cell("1"))
    assert build_site([quiet], folder).runs == ()


def test_pages_link_to_pages_and_load_plotly_from_beside_them(site):
    _, _, folder = site
    page = (folder / "notebooks" / "00_good.html").read_text()
    assert 'href="01_bad.html"' in page
    assert page.index("../plotly.min.js") < page.index("require.min.js")
    assert (folder / "plotly.min.js").stat().st_size > 1_000_000


def test_whatever_python3_means_to_jupyter_the_kernel_is_this_python(monkeypatch, tmp_path):
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text('{"argv": ["no-such-python"], "display_name": "other", "language": "python"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    assert execute(write(tmp_path, "00_any.ipynb", new_code_cell("1")), tmp_path / "site").error is None


def test_a_cell_that_takes_too_long_fails(tmp_path):
    slow = write(tmp_path, "00_slow.ipynb", new_code_cell("import time; time.sleep(60)"))
    done = execute(slow, tmp_path / "site", cell_timeout_s=1)
    assert "timed out" in done.error.lower()


def test_figures_draw_and_widgets_fall_back_to_what_is_static():
    notebook = new_notebook(cells=[new_code_cell("x")])
    layout = {"meta": {"alt": "what it shows"}}
    figure = {"data": [{"type": "scatter", "y": [1, 2], "name": "</script><b>"}], "layout": layout}
    svg = '<svg id="fallback"></svg>'
    notebook.cells[0].outputs = [
        nbformat.v4.new_output("display_data", {PLOTLY_MIME: figure, "image/svg+xml": svg}),
        nbformat.v4.new_output("display_data", {WIDGET_MIME: {"model_id": "a"}, "text/html": "<p>static</p>"}),
    ]
    page = notebook_page(notebook, "n")
    assert "Plotly.newPlot" in page
    assert f"<noscript>{svg}</noscript>" in page
    assert 'aria-label="what it shows"' in page
    assert "</script><b>" not in page
    assert "<p>static</p>" in page
    assert WIDGET_MIME not in page.split("</head>")[1]
    assert WIDGET_MIME in notebook.cells[0].outputs[1].data  # the notebook itself is left as it was


def test_notebooks_are_chosen_by_prefix_in_order(tmp_path):
    for name in ("03_c.ipynb", "00_a.ipynb", "10_d.ipynb", "draft.ipynb"):
        write(tmp_path, name)
    assert [p.name for p in course_notebooks(folder=tmp_path)] == ["00_a.ipynb", "03_c.ipynb", "10_d.ipynb"]
    assert [p.name for p in course_notebooks(["03"], tmp_path)] == ["03_c.ipynb"]
    with pytest.raises(ValueError, match="no notebook starts with '07'"):
        course_notebooks(["07"], tmp_path)


@pytest.fixture
def hostile_run(tmp_path):
    run = RunFolder.create("traces", {"note": HOSTILE, "steps": 2}, root=tmp_path)
    for step in (1, 2):
        run.metrics({"step": step, HOSTILE: 0.5 * step, "reward": 0.125 * step})
    rows = [{"step": 1, "question": HOSTILE, "ground_truth": HOSTILE, "completion": HOSTILE, "accuracy_reward": 0.25}]
    run.rollouts(rows)
    run.summarise(scores={HOSTILE: {HOSTILE: 12.34}}, headline={HOSTILE: HOSTILE})
    run.finish()
    return run


def test_text_of_models_and_users_is_escaped_everywhere(hostile_run, site):
    page = write_report([hostile_run]).read_text()
    # question, truth, completion, metric, score row and column, headline (what and value), setting
    assert page.count("&lt;img src=x") == 9
    for text in (page, (site[2] / "index.html").read_text()):
        assert "<img" not in text
        assert "alert('x')" not in text


def test_a_report_says_what_was_measured_and_how(hostile_run):
    page = write_report([hostile_run]).read_text()
    assert hostile_run.path.name in page
    assert "<td>12.3</td>" in page
    assert "accuracy 0.25" in page
    assert "reward, mean of a step</" in page  # a curve, as SVG
    assert "finished" in page


def test_two_runs_are_compared_by_the_settings_that_differ(tmp_path):
    first = RunFolder.create("one", {"beta": 0.0, "profile": {"G": 8, "lr": 1e-4}}, root=tmp_path)
    second = RunFolder.create("two", {"beta": 1e-4, "profile": {"G": 8, "lr": 1e-4}}, root=tmp_path, seed=1)
    page = write_report([first, second], tmp_path / "both.html").read_text()
    table = page[page.index("Settings that differ") :]
    assert re.findall(r"<tr><td>([\w.]+)</td>", table) == ["beta", "seed"]


def test_a_report_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one run"):
        write_report([])


@pytest.mark.parametrize(
    "value, shown",
    [(None, "–"), (3, "3"), (61.26, "61.3"), (1.234, "1.23"), (0.00012345, "0.000123"), ("a", "a"), (True, "True")],
)
def test_numbers_are_shown_without_noise(value, shown):
    assert number(value) == shown
