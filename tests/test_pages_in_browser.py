"""The site's other pages in a headless Chromium without a network: legible, never too wide, nothing asked."""

import shutil

import pytest

from tests.lab import MISSING, Page, until
from vsr_kit.evaluation import Interval
from vsr_kit.pages import furnished, site, verdicts
from vsr_kit.pages.html import notebook_page
from vsr_kit.pages.landing import copy_pictures, headline_figure, minutes_told
from vsr_kit.paths import notebooks_folder
from vsr_kit.recipes import all_claims, claim
from vsr_kit.runs import RunFolder
from vsr_kit.study.citations import ALONG, Citations, Cited, Example
from vsr_kit.study.judge import Verdict
from vsr_kit.study.summary import counted

NOT_HERE = [part for part in MISSING.split(", ") if part and part != "JupyterLab"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(NOT_HERE), reason=f"not here: {', '.join(NOT_HERE)}")]
LONG = "The wardrobe east 1.2, " * 30 + "w" * 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A site of shipped notebooks, a report and the verdicts' page, nothing executed and nothing measured."""
    out = tmp_path_factory.mktemp("site")
    (out / "notebooks").mkdir()
    shutil.copyfile(notebooks_folder() / "glossary.md", out / "notebooks" / "glossary.md")
    site._copy_plotly(out)
    site._write_glossary(out)
    paths = site.course_notebooks(["01", "06"])
    listed = [site._as_shipped(path, out, [path.stem for path in paths]) for path in paths]
    run = RunFolder.create("live", {"lr": 1e-5, "a setting with a long name": LONG}, root=out / "runs")
    for step in range(1, 5):
        run.metrics({"step": step, "reward": step / 4, "kl": step / 1000})
    asked = {"question": LONG, "question_type": "object_counting", "ground_truth": "2", "scene_name": "train-0-00013"}
    run.rollouts([asked | {"id": "q", "step": 1, "completion": LONG, "accuracy_reward": g / 4} for g in range(4)])
    run.summarise(headline={"gain": [5.0, 1.0, 9.0, 77]}, scores={"base": {"overall": 40.0, "room_size": 1.0}})
    run.finish()
    band = Interval(5.0, 1.0, 9.0, 100, 10, (1,))
    found = {name: Verdict(claim(name), {"grpo_minus_base": band}, "reproduced") for name in ("grpo-lifts",)}
    row = {"id": 1, "question": LONG, "ground_truth": "2", "options": None, "question_type": "object_counting"}
    one = Cited("base", 0, "vanilla", "own", "1", LONG, 0.5, "base")
    cited = {known.name: Citations(known.name, none="left out here") for known in all_claims()}
    cited["grpo-lifts"] = Citations("grpo-lifts", (Example(row, (one, one), ALONG),), "answers")
    verdicts.write_verdicts(out, found, cited, links={"Index of the course": "index.html"})
    shown = {"minutes": {path.stem: minutes_told(site._read(path)) for path in paths}, "smoke": False}
    shown |= {"picture": copy_pictures(out), "figure": headline_figure(found), "counted": counted(found)}
    shown |= {"verdicts": verdicts.PAGE}
    with pytest.MonkeyPatch.context() as small:
        small.setattr(furnished, "SIZE_PX", 48)
        shown |= {"rooms": furnished.write_rooms(out).name}
    site._write_index(out, [], listed, [run], shown, last=True)
    return out


@pytest.fixture(scope="module")
def page():
    page = Page("file://")
    yield page
    page.close()


PAGES = ["index", "rooms", "report", "report-rollouts", "verdicts", "notebooks/glossary"]
PAGES += ["notebooks/01_rooms_clips_questions", "notebooks/06_kl_penalty"]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_is_legible_and_no_wider_than_the_window(page, folder, name, theme):
    for width in (1400, 420, 360):
        page.emulate(theme, width)
        page.open(folder / f"{name}.html")
        page.driver.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.faint("main, body > *") == [], width
        assert page.wider_than_seen() <= 0, width
        assert page.cut() == [], width
    if theme == "light":
        assert page.nameless() == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_nobody_and_has_nothing_to_complain_of(page, folder, name):
    page.complaints()  # those of earlier pages
    page.open(folder / f"{name}.html")
    assert page.complaints() == [] and page.asked_outside() == []
    assert all(alt for alt in page.driver.execute_script("return [...document.images].map(i => i.alt)"))


def shown_on_index(page):
    """Names of the pictures of the index that are to be seen."""
    return page.driver.execute_script(
        "return [...document.querySelectorAll('#walk img')].filter(i => i.checkVisibility() && i.naturalWidth)"
        ".map(i => i.currentSrc.split('/').pop())"
    )


def test_the_moving_picture_can_be_stopped_and_stands_still_for_those_who_want_it(page, folder):
    page.emulate("light", 1400)
    page.open(folder / "index.html")
    until(lambda: shown_on_index(page) == ["walk.gif"], "the moving picture is not there", 20)
    page.focus(page.all("#halt")[0])
    page.press("Space")
    until(lambda: shown_on_index(page) == ["picture.png"], "it does not stop", 20)
    still = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": still})
    page.open(folder / "index.html")
    until(lambda: shown_on_index(page) == ["picture.png"], "it moves for those who asked for less", 20)
    assert not page.all("#halt")[0].is_displayed()  # there is nothing to stop


def test_every_kind_of_code_is_legible(page, tmp_path):
    from nbformat.v4 import new_code_cell, new_notebook

    code = (
        "# why\nimport a.b as c\n@d\ndef f(x: int = 1, *y) -> None:\n    return x ** 2.5 % 'text' if not y else None\n"
    )
    (tmp_path / "n.html").write_text(notebook_page(new_notebook(cells=[new_code_cell(code)]), "n"))
    for theme in ("light", "dark"):
        page.emulate(theme, 1400)
        page.open(tmp_path / "n.html")
        assert page.faint(".highlight") == [], theme
