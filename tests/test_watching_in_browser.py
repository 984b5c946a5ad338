"""Trainings watched and stopped in JupyterLab, in a real browser: while their own cell runs, and from outside."""

import pytest

from tests.lab import MISSING, Page, lab, until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=f"not here: {MISSING}")]

STEPS = 5000  # hours: only a stop ends it
TRAINING = f"""
import vsr_kit as vsr
from vsr_kit.runs import RunFolder
from vsr_kit.widgets import LiveCurves

lessons = vsr.training_questions(4)
run = RunFolder.create("mine", {{}}, root="runs")
live = LiveCurves(("reward", "kl"))
trained = vsr.train("mini", vsr.GRPO("vanilla"), lessons, run=run, steps={STEPS}, on_log=live, quiet=True)
print("returned:", trained.stopped, trained.steps == trained.good_step, trained.adapter.is_dir())
"""
RETURNED = "returned: interrupted True True"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    with lab(folder) as address:
        page = Page(address)
        page.folder = folder
        yield page
        page.close()


def outputs(page) -> str:
    return page.text(".jp-OutputArea-output")


def press(page, words):
    """Click the button with these words, when it can be clicked."""
    until(lambda: [one for one in page.all("button") if words in one.text and one.is_enabled()], f"no {words!r}")
    next(one for one in page.all("button") if words in one.text).click()


def test_a_button_stops_the_training_of_a_cell_that_runs(page):
    page.run(page.folder, TRAINING)
    until(lambda: page.all(".jp-OutputArea-output svg, .jp-OutputArea-output img"), "no curves")
    press(page, "Stop after this step")
    until(lambda: RETURNED in outputs(page), f"it did not stop: {outputs(page)[-500:]}")
    assert "Stopped after step" in outputs(page) and "Traceback" not in outputs(page)
    assert page.complaints() == []


def test_the_notebooks_interrupt_button_stops_it_after_its_step_without_a_traceback(page):
    page.run(page.folder, TRAINING)
    until(lambda: page.all(".jp-OutputArea-output svg, .jp-OutputArea-output img"), "no curves")
    page.press("ESCAPE", "i", "i")  # JupyterLab's keys for it
    until(lambda: "returned: interrupted" in outputs(page), f"it did not stop: {outputs(page)[-500:]}")
    assert RETURNED in outputs(page) and "Traceback" not in outputs(page)
