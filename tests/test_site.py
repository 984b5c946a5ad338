"""The site and the report: cells run and are counted, failures are told, hostile text is escaped."""

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from vsr_kit.evaluation import intervals, score
from vsr_kit.pages.html import mathml, notebook_page
from vsr_kit.pages.report import number, write_report
from vsr_kit.pages.site import build_site, course_notebooks, execute
from vsr_kit.plots.canvas import PLOTLY_MIME
from vsr_kit.runs import RunFolder

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
HOSTILE = "<script>alert('x')</script></td><img src=x onerror=alert(1)>"
LINKS = """## Links
[a page](02_beside.ipynb#Beside), [gone](07_gone.ipynb), [the repository](../README.md), [the paper](https://arxiv.org/),
[a word](glossary.md#kl-term), <a href="../data_samples/README.md">raw</a>, ![far](https://example.org/far.png)

Inline $p(a<b) = \\frac{1}{2}$ and displayed:

$$\\mathcal{L} = -\\sum_i \\log \\sigma(x_i)$$
"""
RECORDS = """
from vsr_kit.paths import smoke
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
    """Two notebooks executed once: one records a run, one fails in its second of three cells. A third lies beside."""
    folder = tmp_path_factory.mktemp("course")
    good = write(
        folder,
        "00_good.ipynb",
        new_markdown_cell(f"# A title {HOSTILE}\n\nNext: [the other](01_bad.ipynb)"),
        new_markdown_cell(LINKS),
        new_code_cell(RECORDS),
        new_code_cell("import sys; print(sys.executable)"),
    )
    bad = write(
        folder, "01_bad.ipynb", new_code_cell("x = 1"), new_code_cell("raise KeyError('no such')"), new_code_cell("x")
    )
    write(folder, "02_beside.ipynb", new_markdown_cell("# Beside\n\nBack: [good](./00_good.ipynb#Links)"))
    told = []
    made = build_site(
        [good, bad],
        folder / "site",
        smoke=True,
        study=False,
        on_start=lambda path, cells: told.append((path.stem, cells)),
        on_cell=lambda: told.append("cell"),
        on_done=lambda done: told.append((done.name, bool(done.error), (folder / "site" / "index.html").exists())),
    )
    return made, told, folder / "site"


@pytest.mark.slow
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
    assert executed.cells[3].outputs[0].text.strip() == sys.executable


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
    shutil.copytree(folder, tmp_path / "site")
    assert build_site([quiet], tmp_path / "site", study=False).runs == ()


class Page(HTMLParser):
    """A page's links, what it loads, its pictures, and its text outside of scripts and styles."""

    def __init__(self, path):
        super().__init__()
        self.path, self.links, self.loads, self.pictures, self.ids, self.text = path, {}, [], [], set(), ""
        self._open = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        said = dict(attributes)
        self._open += [tag] if tag in ("a", "script", "style", "math") else []
        self.ids |= {said["id"]} if said.get("id") else set()
        if tag == "a":
            self._href = said.get("href")
        elif tag == "img":
            self.pictures.append(said)
        for name in ("src", "srcset", "poster", "data"):
            self.loads += [said[name]] if said.get(name) else []
        if tag == "link":
            self.loads.append(said.get("href"))

    def handle_endtag(self, tag):
        if tag in self._open:
            self._open.remove(tag)

    def handle_data(self, data):
        if "a" in self._open and data.strip():
            self.links[data.strip()] = self._href
        if not {"script", "style"} & set(self._open):
            self.text += data


def dead(folder, index):
    """Links of a site that lead nowhere, and whatever its pages load from outside its folder."""
    wrong, pages = [], {path: Page(path) for path in [index, *folder.rglob("*.html")] if "runs" not in path.parts}
    for path, shown in pages.items():
        for text, link in shown.links.items():
            if link is None or re.match(r"(https?|mailto):", link):
                continue
            file, _, fragment = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            if not target.exists() or (fragment and fragment not in pages[target].ids):
                wrong.append((path.name, text, link))
        for source in shown.loads:
            if not source.startswith("data:") and not (path.parent / source).exists():
                wrong.append((path.name, "loads", source[:80]))
    return wrong


def test_no_link_is_dead_and_nothing_is_loaded_from_elsewhere(site):
    _, _, folder = site
    assert dead(folder, folder / "index.html") == []
    for path in (folder / "notebooks").glob("*.html"):
        assert not re.search(r"<script[^>]+src=.(https?:)?//", path.read_text())
        assert "cdn" not in re.sub(r"<style.*?</style>", "", path.read_text(), flags=re.S).lower()


def test_links_lead_to_pages_and_those_that_cannot_are_plain_text(site):
    _, _, folder = site
    links = Page(folder / "notebooks" / "00_good.html").links
    assert links["the other"] == "01_bad.html"
    assert links["a page"] == "02_beside.html#Beside"
    assert links["the paper"] == "https://arxiv.org/"
    assert links["a word"] == "glossary.html#kl-term"
    assert links["far"] == "https://example.org/far.png"  # a picture from afar is asked for only by a click
    assert [links[text] for text in ("gone", "the repository", "raw")] == [None] * 3


def test_the_glossary_is_a_page_with_the_anchors_that_notebooks_link_to(site):
    glossary = (site[2] / "notebooks" / "glossary.html").read_text()
    for name in ("kl-term", "advantage", "k1-k2-k3", "students-interval"):
        assert f'id="{name}"' in glossary, name
    assert Page(site[2] / "notebooks" / "glossary.html").links["The course"] == "../index.html"


def test_every_page_leads_back_to_the_index_and_on_to_its_neighbours(site):
    _, _, folder = site
    for name in ("00_good", "01_bad", "02_beside"):
        assert Page(folder / "notebooks" / f"{name}.html").links["Index of the course"] == "../index.html"
    assert Page(folder / "report.html").links["Index of the course"] == "index.html"
    links = Page(folder / "notebooks" / "01_bad.html").links
    assert (links["← 00_good"], links["02_beside →"]) == ("00_good.html", "02_beside.html")


def test_notebooks_beside_those_that_run_are_shown_as_they_were_shipped(site):
    _, _, folder = site
    assert "Not executed here" in Page(folder / "notebooks" / "02_beside.html").text
    assert "Not executed here" not in Page(folder / "notebooks" / "00_good.html").text
    index = Page(folder / "index.html")
    assert index.links["02 · Beside"] == "notebooks/02_beside.html"
    assert "as shipped" in index.text
    assert (folder / "notebooks" / "02_beside.ipynb").exists()


def test_what_an_earlier_build_executed_stays(tmp_path):
    one = write(tmp_path, "00_one.ipynb", new_code_cell("print('one ran')"))
    two = write(tmp_path, "01_two.ipynb", new_code_cell("print('two ran')"))
    build_site([two], tmp_path / "site", study=False)
    build_site([one], tmp_path / "site", study=False)
    assert "two ran" in Page(tmp_path / "site" / "notebooks" / "01_two.html").text
    assert "from an earlier run" in Page(tmp_path / "site" / "index.html").text


def test_formulas_are_drawn_without_a_script(site):
    _, _, folder = site
    page = (folder / "notebooks" / "00_good.html").read_text()
    assert page.count("<math ") == 2
    assert "<mfrac>" in page and 'display="block"' in page
    assert "$" not in Page(folder / "notebooks" / "00_good.html").text
    assert "mathjax" not in page.lower()


def test_every_formula_of_the_course_is_drawn():
    for path in course_notebooks():
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                for block, inline in re.findall(r"\$\$(.*?)\$\$|\$([^$\n]+)\$", cell.source, re.S):
                    drawn = mathml(block or inline, "block" if block else "inline")
                    assert drawn.startswith("<math ") and "\\" not in re.sub(r'alttext="[^"]*"', "", drawn), path.name


def test_a_formula_that_nobody_can_parse_stays_as_it_was_written():
    assert mathml(r"x^", "inline") == "<code>x^</code>"
    assert "<b>" not in mathml(r"\text{<b>bold</b>}", "inline")


def test_plotly_lies_beside_the_pages(site):
    _, _, folder = site
    assert "../plotly.min.js" in Page(folder / "notebooks" / "00_good.html").loads
    assert (folder / "plotly.min.js").stat().st_size > 1_000_000


@pytest.mark.slow
def test_a_kernel_ends_with_its_notebook(tmp_path):
    path = write(tmp_path, "00_any.ipynb", new_code_cell("import os\nprint(os.getpid())"))
    execute(path, tmp_path / "site")
    executed = nbformat.read(tmp_path / "site" / "notebooks" / path.name, as_version=4)
    with pytest.raises(ProcessLookupError):
        os.kill(int(executed.cells[0].outputs[0].text), 0)


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
    assert re.search(r'<div class="still" tabindex="0"><svg id="fallback"></svg></div>', page)
    assert re.search(r"<noscript><style>[^<]*\.still \{ display: block", page)
    assert 'aria-label="what it shows"' in page
    assert "</script><b>" not in page
    assert "<p>static</p>" in page
    assert WIDGET_MIME not in page.split("</head>")[1]
    assert WIDGET_MIME in notebook.cells[0].outputs[1].data  # the notebook itself is left as it was


def test_pictures_keep_their_alternative_text(tmp_path):
    notebook = new_notebook(cells=[new_code_cell("x")])
    told = {"image/png": {"alt": "eight frames", "width": 920}}
    notebook.cells[0].outputs = [
        nbformat.v4.new_output("display_data", {"image/png": "AAAA", "text/plain": "a"}, metadata=told),
        nbformat.v4.new_output("display_data", {"image/svg+xml": "<svg></svg>", "text/plain": 'a "plan"'}),
    ]
    (tmp_path / "n.html").write_text(notebook_page(notebook, "n"))
    png, svg = Page(tmp_path / "n.html").pictures
    assert (png["alt"], png["width"], svg["alt"]) == ("eight frames", "920", 'a "plan"')


def test_a_narrow_page_shrinks_figures_and_never_cuts_them():
    figure = {"data": [], "layout": {"width": 880, "height": 400}}
    notebook = new_notebook(cells=[new_code_cell("x")])
    svg = '<svg width="880" height="400"></svg>'
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", {PLOTLY_MIME: figure, "image/svg+xml": svg})]
    page = notebook_page(notebook, "n")
    narrow = page[page.index("@media (max-width: 1020px)") :]
    assert re.search(r"\.live \{ display: none; \} \.figure \.still \{ display: block", narrow)
    assert re.search(r"img, \.jp-OutputArea-output svg \{ max-width: 100%; height: auto; \}", page)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def console(page, folder):
    """What a browser without any network says on its console about a page."""
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    words += ["--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND"]
    words += [f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--virtual-time-budget=2000"]
    words = [CHROMIUM, *words, "--dump-dom", page.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240)
    assert "</html>" in done.stdout
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line], done.stdout


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_without_a_network_draws_the_page_and_has_nothing_to_complain_of(site, tmp_path):
    _, _, folder = site
    figure = {"data": [{"type": "scatter", "y": [1, 2]}], "layout": {"width": 300, "height": 200}}
    notebook = new_notebook(cells=[new_markdown_cell("$\\frac12$"), new_code_cell("x")])
    notebook.cells[1].outputs = [nbformat.v4.new_output("display_data", {PLOTLY_MIME: figure})]
    shutil.copyfile(folder / "plotly.min.js", tmp_path / "plotly.min.js")
    (tmp_path / "notebooks").mkdir()
    page = tmp_path / "notebooks" / "n.html"
    page.write_text(notebook_page(notebook, "n"))
    complaints, drawn = console(page, tmp_path)
    assert complaints == []
    assert 'class="main-svg"' in drawn  # plotly's
    spoilt = tmp_path / "spoilt.html"
    spoilt.write_text("<html><script>require(['plotly'])</script></html>")  # as nbconvert's page did offline
    assert console(spoilt, tmp_path)[0] != []


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
        assert "<img src=x" not in text
        assert "alert('x')" not in text


def test_a_report_says_what_was_measured_and_how(hostile_run):
    page = write_report([hostile_run]).read_text()
    assert hostile_run.path.name in page
    assert "<td>12.3</td>" in page  # a score without predictions has no interval to show
    assert "accuracy 0.25" in page
    assert "reward, mean of a step</" in page  # a curve, as SVG
    assert "finished" in page


ANSWERED = [
    {
        "id": i,
        "dataset": "made",
        "scene_name": f"room {i // 2}",
        "question_type": "object_counting",
        "question": "How many chairs?",
        "options": None,
        "ground_truth": "4",
        "prediction": "4" if i % 3 else "2",
    }
    for i in range(12)
]


def test_scores_stand_with_their_interval_and_number_of_questions(tmp_path):
    run = RunFolder.create("eval", {}, root=tmp_path)
    run.predictions(ANSWERED)
    percent = score(ANSWERED, "lenient").percent()
    run.summarise(scores={"vanilla, own clip, lenient": percent})
    run.finish()
    page = write_report([run]).read_text()
    found = intervals(ANSWERED)["object_counting"]
    assert f"{found.mean:.1f}<br>" in page
    assert f"{found.low:.1f} to {found.high:.1f}<br>n = 12" in page


def test_recorded_intervals_are_shown_and_other_peoples_predictions_lend_none(tmp_path):
    run = RunFolder.create("tour", {}, root=tmp_path)
    bands = {"after": {"overall": (50.0, 41.5, 58.5, 77)}}
    run.summarise(scores={"before": {"overall": 40.0}, "after": {"overall": 50.0}}, intervals=bands)
    page = write_report([run]).read_text()
    assert "41.5 to 58.5<br>n = 77" in page
    assert page.count("n = ") == 1
    twice = RunFolder.create("twice", {}, root=tmp_path)
    twice.predictions([*ANSWERED, *ANSWERED])  # two draws of each question
    twice.summarise(scores={"vanilla, own clip, lenient": score(ANSWERED, "lenient").percent()})
    assert "n = " not in write_report([twice]).read_text()


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
    [
        (None, "–"),
        (3, "3"),
        (61.26, "61.3"),
        (1.234, "1.23"),
        (0.00012345, "0.000123"),
        ("a", "a"),
        (True, "True"),
        ([50.0, 41.5, 58.5, 77], "50.0 (41.5 to 58.5; 77 questions)"),
    ],
)
def test_numbers_are_shown_without_noise(value, shown):
    assert number(value) == shown


def test_a_report_leads_to_all_its_rollouts_and_back(tmp_path):
    run = RunFolder.create("live", {}, root=tmp_path)
    row = {
        "step": 1,
        "id": "a",
        "question": "How many?",
        "ground_truth": "2",
        "completion": "2",
        "accuracy_reward": 1.0,
    }
    run.rollouts([row | {"question_type": "object_counting"}])
    run.summarise(scores={"base": {"overall": 1.0}})
    page = write_report([run])
    assert Page(page).links["All rollouts and answers"] == "report-rollouts.html"
    assert Page(page.with_name("report-rollouts.html")).links["Report"] == "report.html"
    assert "A score without an interval: the run recorded none" in page.read_text()
    empty = RunFolder.create("empty", {}, root=tmp_path)
    empty.summarise(scores={})
    assert "All rollouts" not in write_report([empty]).read_text()
    assert not (empty.path / "report-rollouts.html").exists()


def test_rollouts_that_cannot_be_looked_through_do_not_cost_the_report(tmp_path):
    run = RunFolder.create("odd", {}, root=tmp_path)
    run.rollouts([{"step": 1, "question": "How many?", "completion": "2", "accuracy_reward": "much"}])
    page = write_report([run]).read_text()
    assert "cannot be looked through" in page and "must be a number" in page
