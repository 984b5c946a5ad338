"""The setup cell, the first of every notebook: it finds and installs the kit in a Python that lacks it.

It runs here in a shell whose pip only notes what it is given, and whose Colab, Drive and Kaggle are folders of a test.
"""

import os
import re
import shlex
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from bs4 import BeautifulSoup
from IPython.core.interactiveshell import InteractiveShell

from vsr_kit.pages.html import notebook_page
from vsr_kit.pages.site import course_notebooks

TOP = Path(__file__).resolve().parent.parent
WHEEL = "vsr_kit-0.1.0-py3-none-any.whl"
SECOND = "vsr_kit-0.1.0-py3-none-any (1).whl"  # what a browser names its second download; pip refuses the name


def setup_cell(path):
    (cell,) = [c for c in nbformat.read(path, as_version=4).cells if "setup" in c.metadata.get("tags", [])]
    return cell


class Kernel:
    """A Python with some modules, in a folder; `given` is what pip got: a name, and the text of that file."""

    def __init__(self, top: Path, monkeypatch) -> None:
        self.top, self.monkeypatch, self.given = top, monkeypatch, []
        self.have, self.pip = set(), lambda: self.have.add("vsr_kit")
        self.notebooks = self.folder("home/notebooks")
        monkeypatch.setattr(sys, "path", list(sys.path))
        self.before = list(sys.path)
        monkeypatch.setattr("importlib.util.find_spec", self.find)
        self.shell = InteractiveShell.instance()
        self.shell.register_magic_function(self.install, magic_name="pip")

    def folder(self, name: str) -> Path:
        (self.top / name).mkdir(parents=True, exist_ok=True)
        return self.top / name

    def file(self, name: str, age: int = 0) -> Path:
        path = self.folder(str(Path(name).parent)) / Path(name).name
        path.write_text(name)
        os.utime(path, (2e9 - age, 2e9 - age))
        return path

    def find(self, name: str):
        added = [Path(folder, name, "__init__.py") for folder in sys.path if folder not in self.before]
        return name in self.have or any(path.is_file() for path in added) or None

    def install(self, line: str) -> None:
        *words, name = shlex.split(line)
        assert words == ["install", "--quiet"]
        self.given.append((Path(name).name, Path(name).read_text()) if Path(name).is_file() else (name, ""))
        self.pip()

    def run(self, repository: str = "") -> None:
        """The cell as the notebook in home/notebooks runs it."""
        self.monkeypatch.chdir(self.notebooks)
        source = setup_cell(course_notebooks()[0]).source
        for root in ("/content", "/kaggle"):
            assert f'"{root}' in source
            source = source.replace(f'"{root}', f'"{self.top}{root}')
        source = source.replace('REPOSITORY = ""', f'REPOSITORY = "{repository}"')
        self.shell.run_cell(source, silent=True).raise_error()

    def colab(self, upload) -> None:
        self.monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace(files=SimpleNamespace(upload=upload)))


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    yield Kernel(tmp_path, monkeypatch)
    InteractiveShell.clear_instance()


def test_all_notebooks_share_one_setup_cell_which_is_their_first():
    cells = [setup_cell(path) for path in course_notebooks()]
    assert len({(cell.source, str(cell.metadata)) for cell in cells}) == 1
    for path, cell in zip(course_notebooks(), cells, strict=True):
        code = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
        assert (code[0].id, code[0].outputs) == (cell.id, [])
    address = tomllib.loads((TOP / "pyproject.toml").read_text())["project"].get("urls", {}).get("repository")
    assert f'REPOSITORY = "{f"git+{address}" if address else ""}"' in cells[0].source


def test_the_setup_cell_is_folded_to_its_title():
    """Colab shows the title of a form alone, Jupyter a line that opens."""
    cell = setup_cell(course_notebooks()[0])
    assert cell.source.startswith("# @title Setup: ")
    assert (cell.metadata.cellView, cell.metadata.jupyter.source_hidden) == ("form", True)


def test_on_the_courses_pages_it_is_folded_to_the_same_title():
    notebook = nbformat.v4.new_notebook(cells=[setup_cell(course_notebooks()[0]), nbformat.v4.new_code_cell("1 + 1")])
    notebook.cells += [nbformat.v4.new_code_cell("# <b>bold</b>\n1", metadata={"jupyter": {"source_hidden": True}})]
    page = BeautifulSoup(notebook_page(notebook, "00"), "html.parser")
    titles = [summary.get_text() for summary in page.select("details > summary")]
    assert titles == [notebook.cells[0].source.splitlines()[0].removeprefix("# @title "), "# <b>bold</b>"]
    assert [len(fold.select(".highlight")) for fold in page.find_all("details")] == [1, 1]
    assert len(page.select(".highlight")) == 3


def test_it_is_silent_where_the_kit_is_there(kernel, capsys):
    kernel.have.add("vsr_kit")
    kernel.file(f"home/notebooks/{WHEEL}")
    kernel.run()
    assert (kernel.given, sys.path, capsys.readouterr()) == ([], kernel.before, ("", ""))


PLACES = ["home/notebooks", "home", "home/dist", "content", "content/drive/MyDrive", "content/drive/MyDrive/Notebooks"]
PLACES += ["kaggle/working", "kaggle/input/the-kit", "kaggle/input/datasets/reader/the-kit"]


NAMES = [SECOND, "vsr-kit.zip", "vsr_kit-main.zip", "vsr-kit (2).zip"]


@pytest.mark.parametrize(("place", "name"), [*((p, WHEEL) for p in PLACES), *((PLACES[0], name) for name in NAMES)])
def test_it_installs_a_wheel_or_a_zip_from_wherever_it_lies(kernel, place, name, capsys):
    kernel.file(f"{place}/{name}")
    kernel.file(f"{place}/{WHEEL}.crdownload")  # half a download
    kernel.run(repository="git+https://example.org/kit")
    assert kernel.given == [(re.sub(r" \(.\)", "", name), f"{place}/{name}")]
    assert capsys.readouterr().out.count("\n") == 1


def test_it_takes_the_highest_version_wherever_that_lies(kernel):
    for place, number in (("home/notebooks", "0.9.0"), ("content", "0.10.0"), ("kaggle/input/kit", "0.2.0")):
        kernel.file(f"{place}/vsr_kit-{number}-py3-none-any.whl", age=int(number[2:-2]))
    kernel.file("home/notebooks/vsr-kit-9.zip")  # a name without a version, or with any: a wheel says what it is
    kernel.run()
    assert kernel.given == [("vsr_kit-0.10.0-py3-none-any.whl", "content/vsr_kit-0.10.0-py3-none-any.whl")]


@pytest.mark.parametrize("latest", [WHEEL, SECOND])
def test_of_one_version_it_takes_the_latest_download_under_a_name_that_pip_accepts(kernel, latest):
    for name in (WHEEL, SECOND):
        kernel.file(f"home/notebooks/{name}", age=0 if name == latest else 60)
    kernel.run()
    assert kernel.given == [(WHEEL, f"home/notebooks/{latest}")]


def test_on_colab_it_asks_for_an_upload_and_goes_on(kernel, capsys):
    kernel.colab(lambda: kernel.file(f"home/notebooks/{SECOND}"))
    kernel.run()
    assert kernel.given == [(WHEEL, f"home/notebooks/{SECOND}")]
    assert "Choose the kit's wheel or zip" in capsys.readouterr().out


def test_on_colab_nothing_is_asked_where_a_file_or_the_repository_is_known(kernel):
    kernel.colab(lambda: pytest.fail("asked"))
    kernel.run(repository="git+https://example.org/kit")
    kernel.have.clear()
    kernel.file(f"content/{WHEEL}")
    kernel.run()
    assert [name for name, _ in kernel.given] == ["git+https://example.org/kit", WHEEL]


def refused(kernel):
    with pytest.raises(AssertionError) as caught:
        kernel.run()
    return str(caught.value)


def test_elsewhere_it_says_in_two_sentences_what_to_do(kernel):
    said = refused(kernel)
    assert len(re.findall(r"\.(?= |$)", said)) == 2 and "\n" not in said
    assert all(word in said for word in ("beside this notebook", "make wheel", "make lab", "dataset"))
    assert kernel.given == []


def test_an_upload_that_brings_nothing_ends_in_the_same_two_sentences(kernel):
    elsewhere = refused(kernel)
    kernel.colab(lambda: kernel.file("home/notebooks/holiday.zip"))
    assert refused(kernel) == elsewhere


def test_kaggle_whose_image_holds_colabs_modules_is_not_asked_for_an_upload(kernel):
    kernel.colab(lambda: pytest.fail("asked"))
    kernel.folder("kaggle")
    assert "on Kaggle in a dataset" in refused(kernel)


def test_where_pip_fails_it_says_so_and_not_a_later_cell(kernel):
    kernel.file(f"home/notebooks/{WHEEL}")
    kernel.pip = lambda: None
    assert refused(kernel) == f"pip could not install {WHEEL}; it says why above. It needs the internet."


@pytest.mark.parametrize(("module", "loaded"), [("toyarrows", True), ("toyarrows", False), ("_toy_hack", True)])
def test_packages_that_pip_replaced_under_a_running_kernel_ask_for_a_restart(kernel, module, loaded):
    """One of setuptools' modules, _distutils_hack, is loaded in every kernel: a new setuptools asks for nothing."""

    def distribution(version):
        info = kernel.folder(f"site/toy_arrows-{version}.dist-info")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: toy-arrows\nVersion: {version}\n")
        (info / "top_level.txt").write_text(f"{module}\n")
        return info

    def replace():
        kernel.have.add("vsr_kit")
        first.rename(kernel.top / "removed")
        distribution("24.0")

    first = distribution("18.1")
    sys.path.append(str(kernel.top / "site"))
    if loaded:
        kernel.monkeypatch.setitem(sys.modules, module, SimpleNamespace())
    kernel.file(f"home/notebooks/{WHEEL}")
    kernel.pip = replace
    if loaded and module == "toyarrows":
        said = refused(kernel)
        assert "Restart the kernel" in said and said.endswith("it still holds toy-arrows 18.1.")
    kernel.run()  # in a new kernel the kit is there
    assert len(kernel.given) == 1


def test_in_a_checkout_that_is_not_installed_its_own_code_is_used(kernel, capsys):
    (kernel.folder("home/vsr_kit") / "__init__.py").touch()
    kernel.file(f"home/dist/{WHEEL}")
    kernel.have |= {"trl", "lazy_loader"}
    kernel.run()
    assert (kernel.given, sys.path) == ([], [*kernel.before, str(kernel.top / "home")])
    assert capsys.readouterr() == ("", "")


def test_a_checkout_without_the_packages_it_needs_is_not_enough(kernel):
    (kernel.folder("home/vsr_kit") / "__init__.py").touch()
    kernel.have.add("trl")
    assert "In a checkout run `make lab`" in refused(kernel)
    kernel.file(f"home/dist/{WHEEL}")
    kernel.run()
    assert (kernel.given, sys.path) == ([(WHEEL, f"home/dist/{WHEEL}")], kernel.before)
