"""Trainings watched and stopped in JupyterLab, in a real browser: while their own cell runs, and from outside."""

import subprocess
import sys

import pytest

from tests.lab import MISSING, Page, lab_page, until

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
    with lab_page(tmp_path_factory.mktemp("lab")) as page:
        yield page


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


MONITOR = """
from vsr_kit.widgets import RunMonitor
monitor = RunMonitor("followed", every_s=0.2)
monitor
"""
# another process, which takes a step for every line that it reads, and stops when its folder asks for it
WRITER = """
import sys
from vsr_kit.runs import RunFolder
from vsr_kit.runs.stopping import is_asked

run = RunFolder.create("other", {"steps": 50}, root=sys.argv[1])
print("ready", flush=True)
for step, line in enumerate(sys.stdin, 1):
    run.metrics({"step": step, "reward": step / 50, "kl": 1e-3})
    text = "<script>window.hacked = 1</script> answer of step " + str(step)
    run.rollouts([{"step": step, "id": 1, "question": "How many?", "completion": text, "accuracy_reward": 0.5}])
    if is_asked(run.path):
        run.interrupt(step)
        print("stopped", flush=True)
"""


def view(page) -> str:
    return page.text(".vsr-view")


def test_a_monitor_follows_a_run_of_another_process_and_stops_it(page):
    (page.folder / "followed").mkdir()
    words = [sys.executable, "-c", WRITER, str(page.folder / "followed")]
    page.run(page.folder, MONITOR)
    until(lambda: "There is no run in" in view(page), "the monitor did not open")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "ready\n"
        for step in (1, 2, 3):
            print(file=other.stdin, flush=True)
            until(lambda step=step: f"step {step} of 50" in view(page), f"step {step} was not seen")  # no cell runs
            until(lambda step=step: f"answer of step {step}" in view(page), "its answers were not seen")
        assert page.seen(".vsr-view svg") and "Running." in view(page)
        assert page.faint(".vsr-view") == []
        assert page.driver.execute_script("return window.hacked") is None and "<script>" in view(page)
        press(page, "Stop after this step")
        until(lambda: "Stopping after the step it is in" in view(page), "the request was not seen")
        print(file=other.stdin, flush=True)
        assert other.stdout.readline() == "stopped\n"
        until(lambda: "Stopped by someone after step 4" in view(page), "the end was not seen")
        other.stdin.close()
    assert page.complaints() == []


WATCHED = TRAINING.replace("on_log=live, ", "").replace("live = LiveCurves((\"reward\", \"kl\"))", (
    "from vsr_kit.widgets import RunMonitor\nfrom IPython.display import display\n"
    "monitor = RunMonitor(run, every_s=0.2)\ndisplay(monitor)"
))  # fmt: skip


def test_a_monitor_follows_and_stops_a_training_while_its_cell_runs(page):
    page.run(page.folder, WATCHED)
    until(lambda: "step 2 of 5000" in view(page) or "step 3 of 5000" in view(page), f"not followed: {view(page)[:200]}")
    press(page, "Stop after this step")
    until(lambda: RETURNED in outputs(page), f"it did not stop: {outputs(page)[-500:]}")
    until(lambda: "Stopped by someone after step" in view(page), "the end was not seen")
    assert "Traceback" not in outputs(page)


BACKGROUND = TRAINING.replace("trained = vsr.train(", "training = vsr.train_in_background(").replace(
    'print("returned:"', "\n#"
)
RESULT = """
training.stop()
trained = training.result(120)
print("returned:", trained.stopped, trained.steps == trained.good_step, trained.adapter.is_dir())
"""


def test_a_training_in_the_background_leaves_the_notebook_free_and_its_curves_grow(page):
    page.run(page.folder, BACKGROUND, "print('free', training)", RESULT)
    until(lambda: page.all(".jp-OutputArea-output svg, .jp-OutputArea-output img"), "no curves")
    page.press("Shift+Enter")
    until(lambda: "free <training in the background: step" in outputs(page), "the kernel is busy")
    page.press("Shift+Enter")
    until(lambda: RETURNED in outputs(page), f"it did not stop: {outputs(page)[-500:]}")


COMPARE = """
from vsr_kit.paths import data_samples
from vsr_kit.widgets import RunCompare
RunCompare([data_samples("reference_runs", f"{name}-seed{i}") for name in ("grpo-vanilla", "kl-0") for i in (1, 2)])
"""


def drawn(page) -> str:
    return page.driver.execute_script("return document.querySelector('.vsr-view svg').textContent")


@pytest.mark.parametrize("width", [1400, 420])
def test_a_comparison_switches_its_axis_by_click_and_its_smoothing_by_keys(page, width):
    own = Page(page.address, width)
    try:
        own.run(page.folder, COMPARE, "1 + 1", alone=width < 1000)
        until(lambda: own.all(".vsr-view svg") and "trailing mean of 10" in drawn(own), "no figure")
        press(own, "tokens")
        until(lambda: "tokens read and written" in drawn(own), "the axis did not change")
        handle, *_ = own.seen(".vsr-view .noUi-handle")
        own.focus(handle)
        own.press("ARROW_RIGHT")
        until(lambda: "trailing mean of 20" in drawn(own), "the smoothing did not change")
        look = "const v = document.querySelector('.vsr-view'); return [v.scrollWidth, v.clientWidth]"
        wide, there = own.driver.execute_script(look)
        assert wide <= there + 1
        assert own.faint(".vsr-view") == [] and len(own.all(".jp-Notebook .jp-Cell")) == 2
        assert own.complaints() == [] and own.asked_outside() == []
    finally:
        own.close()


SHIPPED = """
from vsr_kit.paths import data_samples
from vsr_kit.widgets import RunMonitor
RunMonitor(data_samples("reference_runs"))
"""


def test_a_monitor_is_no_wider_than_its_page(page):
    narrow = Page(page.address, 420)
    try:
        narrow.run(page.folder, SHIPPED, alone=True)
        until(lambda: "Finished." in view(narrow), "the monitor did not open")
        look = "const v = document.querySelector('.vsr-view'); return [v.scrollWidth, v.clientWidth]"
        wide, there = narrow.driver.execute_script(look)
        assert wide <= there + 1
    finally:
        narrow.close()
