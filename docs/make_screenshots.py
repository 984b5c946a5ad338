"""The screenshots of docs/looking_inside.md: `python docs/make_screenshots.py` makes all, or those that it is given.

    rollouts    the rollout browser's page of a training of one step, tokens coloured by their grounding
    gallery     the gallery of the shipped study, at an answer that became right
    playground  the playground in JupyterLab, asked a question

They come from the browser that the tests drive (tests/lab.py), so that what they show is what is tested. It takes
Debian's chromium and chromium-driver, JupyterLab and selenium, and some minutes.
"""

import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent)]

from PIL import Image  # noqa: E402

from tests.lab import MISSING, Page, lab_page, until  # noqa: E402

WIDE, HIGH, MOST_BYTES = 1200, 1000, 150_000
PLAYGROUND = """
import vsr_kit as vsr

vsr.widgets.Playground(vsr.load_model("mini", quantize="nf4", quiet=True))
"""


def shoot(page: Page, name: str, element=None, most_high: int = HIGH) -> Path:
    """Write what is seen of a page, or of one element's top, as docs/NAME.webp, as well as few enough bytes allow."""
    png = page.driver.get_screenshot_as_png() if element is None else element.screenshot_as_png
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image = image.crop((0, 0, image.width, min(image.height, most_high)))
    for quality in (90, 80, 70, 60, 50, 40):
        held = io.BytesIO()
        image.save(held, "WEBP", quality=quality, method=6)
        if held.tell() <= MOST_BYTES:
            break
    path = DOCS / f"{name}.webp"
    path.write_bytes(held.getvalue())
    return path


def sized(page: Page, high: int = HIGH) -> None:
    """A light page of the screenshots' size."""
    page.emulate("light")
    size = {"width": WIDE, "height": high, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def opened(page: Page, path: Path, fragment: str) -> None:
    """A page of rollouts, opened and scrolled to the rollouts."""
    sized(page)
    page.open(path, fragment)
    until(lambda: page.all("#rollouts article"), f"{path} did not open")
    page.driver.execute_script("scrollTo(0, document.querySelector('#bars').getBoundingClientRect().top - 20)")
    time.sleep(1)  # pictures are decoded


def rollouts(page: Page, folder: Path) -> Path:
    """Train one step with thoughts, recording tokens, and show them."""
    from vsr_kit.pages.browser import link_to, write_browser
    from vsr_kit.runs import RunFolder

    words = ["train", "--rooms", "6", "--steps", "1", "--mode", "think", "--record-tokens", "1"]
    environment = os.environ | {"PYTHONPATH": str(DOCS.parent)}
    subprocess.run([sys.executable, "-m", "vsr_kit.cli", *words], cwd=folder, env=environment, check=True)
    (run,) = (RunFolder.open(path) for path in (folder / "runs").iterdir())
    path = write_browser([run], folder / "rollouts.html", title="Rollouts of a training")
    recorded = run.read_tokens()[0]
    link = link_to("", run.path.name, recorded["id"], recorded["step"], colour="grounding")
    opened(page, path, link.removeprefix("#"))
    return shoot(page, "rollouts")


def gallery(page: Page, folder: Path) -> Path:
    """The shipped study's, at the first claim's answers that became right."""
    from vsr_kit.pages.gallery import run_name, write_gallery
    from vsr_kit.pages.verdicts import all_citations

    cited = all_citations()
    claim = next(name for name, found in cited.items() if found.conditions)
    path = write_gallery(folder, cited)
    opened(page, path, f"run={run_name(claim).replace(' ', '+')}&change=became+right")
    return shoot(page, "gallery")


def playground(page: Page, folder: Path) -> Path:
    """A question asked in JupyterLab, with the distribution of the miniature's answers."""
    with lab_page(folder) as lab:
        lab.size = (1100, 1500)
        lab.run(folder, PLAYGROUND, alone=True)
        until(lambda: "Ask" in lab.text(".vsr-view button"), "the playground did not open")
        next(one for one in lab.seen(".vsr-view button") if one.text == "Ask").click()
        until(lambda: "mean score" in lab.text(".vsr-view"), "no answers came")
        view = lab.seen(".vsr-view")[0]
        lab.driver.execute_script("arguments[0].scrollIntoView()", view)
        time.sleep(2)
        return shoot(lab, "playground", view, 1130)


MADE = {"rollouts": rollouts, "gallery": gallery, "playground": playground}


def main(names: list[str]) -> None:
    """Make the screenshots of these names."""
    if unknown := [name for name in names if name not in MADE]:
        sys.exit(f"no screenshot is called {unknown[0]!r}: choose from {', '.join(MADE)}")
    if MISSING:
        sys.exit(
            f"not here: {MISSING}; on Debian: apt install chromium chromium-driver, then pip install -e '.[lab,test]'"
        )
    page = Page("file://", WIDE, HIGH)
    try:
        for name in names or MADE:
            with tempfile.TemporaryDirectory() as folder:
                path = MADE[name](page, Path(folder))
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
    finally:
        page.close()


if __name__ == "__main__":
    main(sys.argv[1:])
