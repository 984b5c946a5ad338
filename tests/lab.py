"""JupyterLab in a headless browser: a server on a folder of its own, and a page to run cells, click and press keys in.

Debian's `chromium` and `chromium-driver` and Python's selenium drive it; `MISSING` says what is not there.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
MISSING = ", ".join(
    name
    for name, there in (
        ("Chromium", CHROMIUM),
        ("chromedriver", DRIVER),
        ("selenium", importlib.util.find_spec("selenium")),
        ("JupyterLab", importlib.util.find_spec("jupyterlab")),
    )
    if not there
)
PATIENCE_S = 120
WIDE_PX = 1000
TOP = Path(__file__).resolve().parent.parent

# Text of the page that is too faint: [contrast, text, element], worst first. A disabled control may be faint.
_FAINT = """
const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
const light = c => [.2126, .7152, .0722].reduce((sum, w, i) => sum + w * linear(c[i] / 255), 0);
const read = text => { const n = text.match(/[\\d.]+/g).map(Number); return [n.slice(0, 3), n.length > 3 ? n[3] : 1] };
const behind = node => { for (let at = node; at; at = at.parentElement) {
  const [color, alpha] = read(getComputedStyle(at).backgroundColor); if (alpha > .5) return color }
  return [255, 255, 255] };
const found = [];
for (const root of document.querySelectorAll(arguments[0])) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || node.closest('svg, [disabled]') || !node.checkVisibility() || !node.getClientRects().length) continue;
    const [a, b] = [light(read(getComputedStyle(node).color)[0]), light(behind(node))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) found.push([ratio, text.slice(0, 40), node.tagName]);
  }
}
return found.sort((x, y) => x[0] - y[0]);
"""

# What is asked for by its name alone: Chromium's own word for it is what a screen reader says.
_NEEDS_A_NAME = set(
    "button checkbox combobox image img link listbox option radio searchbox slider spinbutton switch tab".split()
)
_NEEDS_A_NAME |= {"textbox", "textField", "DisclosureTriangle", "menuitem"}
# Text that is cut off at the window's edge, or by a box that hides what is too long: [text, element].
_CUT = """
const found = [], wide = document.documentElement.clientWidth;
const scrolls = node => { for (let at = node; at && at !== document.body; at = at.parentElement) {
  const s = getComputedStyle(at); if (/auto|scroll/.test(s.overflowX)) return true } return false };
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
  if (!text || node.closest('svg, script, style, noscript') || !node.checkVisibility()) continue;
  const range = document.createRange(); range.selectNodeContents(walker.currentNode);
  const box = range.getBoundingClientRect();
  if (!box.width || scrolls(node)) continue;
  const hides = getComputedStyle(node).overflowX === 'hidden' && node.scrollWidth > node.clientWidth + 1;
  if (box.right > wide + 1 || box.left < -1 || hides) found.push([text.slice(0, 40), node.tagName]);
}
return found;
"""


@contextmanager
def lab(folder: Path, theme: str = "JupyterLab Light") -> Iterator[str]:
    """A server on a folder; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = folder / ".settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "themes.jupyterlab-settings").write_text(f'{{"theme": "{theme}"}}')
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    own = {"JUPYTERLAB_SETTINGS_DIR": str(folder / ".settings"), "JUPYTERLAB_WORKSPACES_DIR": str(folder / ".work")}
    own |= {"JUPYTER_CONFIG_DIR": str(folder / ".config"), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TOP)}
    words = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1"]
    words += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", "--ServerApp.open_browser=False"]
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(words, stdout=log, stderr=log, env={**os.environ, **own})
        try:
            until(lambda: _answers(port), f"JupyterLab did not start: {folder / 'lab.log'}")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:  # a busy machine: the next test needs the port and the memory
                server.kill()
                server.wait()


def _answers(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def until(true: Callable, told: str, seconds: float = PATIENCE_S):
    """Wait for something to be true, and give it; AssertionError with what was waited for."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, told
        time.sleep(0.1)
    return found


class Page:
    """A notebook in a browser."""

    def __init__(self, address: str, width: int = 1400, height: int = 1400) -> None:
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        words = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--window-size={width},{height}"]
        words += ["--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        for word in words:
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        self.address, self.size = address, (width, height)

    def close(self) -> None:
        """End the browser."""
        self.driver.quit()

    def run(self, folder: Path, *cells: str, alone: bool = False) -> None:
        """Open a notebook with some cells, alone or beside JupyterLab's panels, and run the first cell."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, folder / "try.ipynb")
        self.driver.set_window_size(max(self.size[0], WIDE_PX), self.size[1])  # a narrow new JupyterLab hides prompts
        self.driver.get(f"{self.address}/{'doc' if alone else 'lab'}/tree/try.ipynb?reset")
        until(lambda: self.all(".jp-Notebook .jp-Cell"), "the notebook did not open")
        until(lambda: "Idle" in self.text(".jp-Notebook-ExecutionIndicator, body"), "the kernel did not start")
        self.all(".jp-Cell .jp-InputPrompt")[0].click()
        self.press("Shift+Enter")
        self.driver.set_window_size(*self.size)

    def open(self, path: Path, fragment: str = "") -> None:
        """Open a file, as a double click does; `fragment` is what stands behind the #."""
        self.driver.get("about:blank")  # a fragment alone would not load anything
        self.driver.get(path.resolve().as_uri() + (f"#{fragment}" if fragment else ""))

    def emulate(self, theme: str = "light", width: int | None = None) -> None:
        """Prefer a theme, and have the page as wide as a telephone's (which a window cannot be)."""
        prefers = [{"name": "prefers-color-scheme", "value": theme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": prefers})
        if width is not None:
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def wider_than_seen(self) -> int:
        """By how many pixels the page is wider than what is seen of it: more than 0 scrolls sideways."""
        return self.driver.execute_script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def all(self, css: str) -> list:
        """Every element of a kind."""
        from selenium.webdriver.common.by import By

        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def seen(self, css: str) -> list:
        """Those that can be seen, when there are some."""
        return until(lambda: [one for one in self.all(css) if one.is_displayed()], f"no {css} to be seen")

    def text(self, css: str) -> str:
        """All their text, also of what has just gone."""
        return self.driver.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText).join('\\n')", css
        )

    def focus(self, element) -> None:
        """Give an element the keyboard."""
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].focus()", element)

    def press(self, *keys: str) -> None:
        """Press keys where the keyboard is: letters, names of selenium's Keys, or `Shift+Enter`."""
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        for key in keys:
            chain = ActionChains(self.driver)
            held, _, last = key.rpartition("+")
            if held:
                chain.key_down(getattr(Keys, held.upper()))
            chain.send_keys(last if len(last) == 1 else getattr(Keys, last.upper()))
            if held:
                chain.key_up(getattr(Keys, held.upper()))
            chain.perform()

    def faint(self, css: str) -> list:
        """Text of less contrast than 4.5 in elements of a kind."""
        return self.driver.execute_script(_FAINT, css)

    def cut(self) -> list:
        """Text that is cut off and cannot be scrolled to."""
        return self.driver.execute_script(_CUT)

    def nameless(self) -> list[str]:
        """Controls, links and pictures that a screen reader has no name for: their roles with what they hold."""
        nodes = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        asked = [node for node in nodes if not node["ignored"] and node["role"]["value"] in _NEEDS_A_NAME]
        assert asked, "there is nothing to name: did the page open?"
        return [
            f"{node['role']['value']} {node.get('value', {}).get('value', '')} {node.get('backendDOMNodeId')}"
            for node in asked
            if not str(node.get("name", {}).get("value", "")).strip()
        ]

    def complaints(self) -> list[str]:
        """Errors on the console."""
        return [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]

    def asked_outside(self) -> list[str]:
        """What was asked of any other server."""
        asked = self.driver.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
        return [name for name in asked if not name.startswith((self.address, "data:", "blob:"))]


@contextmanager
def lab_page(folder: Path, theme: str = "JupyterLab Light") -> Iterator[Page]:
    """A page of a JupyterLab of its own; `page.folder` is where its notebooks lie."""
    with lab(folder, theme) as address:
        page = Page(address)
        page.folder = folder
        try:
            yield page
        finally:
            page.close()
