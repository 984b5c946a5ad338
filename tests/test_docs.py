"""The pages of docs/, CONTRIBUTING.md and CHANGELOG.md: code runs, computed parts are fresh, names and links exist."""

import importlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vsr_kit import recipes
from vsr_kit.questions import QUESTION_TYPES, remove_type
from vsr_kit.rewards import EXTRA_REWARDS, NUMERIC_REWARDS
from vsr_kit.rewards.detectors import DETECTORS

TOP = Path(__file__).resolve().parent.parent
GLOSSARY = TOP / "notebooks" / "glossary.md"
DOCS = TOP / "docs"
PAGES = [*(TOP / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *sorted(DOCS.glob("*.md"))]
SLOW = pytest.mark.slow
EXECUTED = [
    pytest.param("README", marks=SLOW),
    pytest.param("docs/add_a_reward", marks=SLOW),
    "docs/add_a_question_type",
    "docs/add_a_claim",
    pytest.param("docs/add_a_recipe", marks=SLOW),
    pytest.param("docs/share_a_result", marks=SLOW),
]


def made(name: str):
    """One of docs/' scripts as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.fixture
def as_it_was():
    """Registries are the kit's own again afterwards."""
    tables = (EXTRA_REWARDS, NUMERIC_REWARDS, DETECTORS)
    before, known, types = [dict(table) for table in tables], recipes.recipes(), tuple(QUESTION_TYPES)
    yield
    for table, was in zip(tables, before, strict=True):
        table.clear()
        table.update(was)
    for recipe in recipes.recipes()[len(known) :]:
        recipes.remove(recipe)
    for name in set(QUESTION_TYPES) - set(types):
        remove_type(name)


@pytest.mark.parametrize("page", EXECUTED)
def test_the_code_of_a_page_runs(page, as_it_was, tmp_path, monkeypatch):
    """Its Python blocks in order, in one namespace and an empty folder; a block named after a file is that file."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", read(TOP / f"{page}.md"), re.S | re.M)
    assert blocks
    names = {"__name__": "__main__"}
    for block in blocks:
        if file := re.match(r"# (\w+\.py)\n", block):
            Path(file[1]).write_text(block, encoding="utf-8")
        else:
            exec(compile(block, f"{page}.md", "exec"), names)
    assert "assert" in blocks[-1] or page == "README"


@SLOW
def test_the_page_on_real_data_runs_on_files_in_the_released_forms(tmp_path, monkeypatch):
    """Its commands and its Python in order; the hub is one on this machine, the model the miniature."""
    from functools import partial

    from typer.testing import CliRunner

    from tests.real_files import Hub, lay_out, zipped
    from vsr_kit.cli import app
    from vsr_kit.data.fetching import SETS, fetch

    lay_out(tmp_path)
    bench, train = tmp_path / "vsi-bench", tmp_path / "vsi-100k"
    files = {path.name: path.read_bytes() for path in bench.glob("test*")}
    files |= {name: zipped(bench, name.removesuffix(".zip")) for name in SETS["vsi-bench"].archives}
    others = {SETS["vsi-100k"].hub_id: {path.name: path.read_bytes() for path in train.iterdir()}}
    bench.rename(tmp_path / "gone"), train.rename(tmp_path / "gone too")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VSR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    names, shown = {"__name__": "__main__"}, []
    with Hub(SETS["vsi-bench"].hub_id, files, others) as hub:
        monkeypatch.setattr("vsr_kit.data.fetching.fetch", partial(fetch, endpoint=hub.url))
        for kind, block in re.findall(r"^```(python|bash)\n(.*?)^```", read(DOCS / "real_data.md"), re.S | re.M):
            if kind == "python":
                exec(compile(block, "docs/real_data.md", "exec"), names)
                continue
            for line in block.splitlines():
                done = CliRunner().invoke(app, line.removeprefix("vsr ").split())
                assert done.exit_code == 0, (line, done.output, done.exception)
                shown.append(done.output)
    assert "10 answers" in shown[1] and "10 answers" in shown[2] and "4 answers" in shown[3]
    assert "left out 4 of 16 questions" in shown[5] and "steps: 1" in shown[5]


@pytest.mark.slow  # test_readme.py holds the same numbers, block by block
def test_the_computed_parts_of_the_pages_are_fresh():
    pages = made("make_pages")
    found = {path.name: set(re.findall(r"computed: ([a-z-]+)", read(path))) for path in pages.pages()}
    assert set.union(*found.values()) == pages.BLOCKS.keys()
    for path in pages.pages():
        assert pages.filled(read(path)) == read(path), f"{path.name} is stale: python docs/make_pages.py"


def test_the_tree_has_a_line_for_each_module_and_no_other():
    tree = made("make_tree")
    assert tree.modules() == tree.named()
    assert tree.tree() in read(TOP / "README.md")


@pytest.mark.parametrize(
    "wanted, word",
    [
        ("vision", "clip is encoded"),
        ("losses", "advantages"),
        ("terms", "reward"),
        ("rules", "verdict's rule"),
        ("plots/", "figures of the notebooks"),
    ],
)
def test_the_tree_answers_a_newcomers_questions(wanted, word):
    assert re.search(rf"^ *{wanted} .*{word}", made("make_tree").tree(), re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor:
            heads = {slug(head) for head in re.findall(r"^#+ (.+)$", read(target), re.M)}
            assert anchor in heads, link


def slug(head: str) -> str:
    """A heading's anchor, as GitHub writes it."""
    return re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-")


def test_the_picture_is_small_and_described():
    assert (DOCS / "picture.png").stat().st_size < 300_000
    assert re.search(r"!\[[^]]{80,}\]\(docs/picture\.png\)", read(TOP / "README.md"))


def exists(name: str) -> bool:
    """Whether a dotted name is a module of the package, or something in one."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_names_of_the_package_exist(page):
    """`vsr_kit.a.b` and `vsr_kit/a/b.py` in a page; of the changelog, what stands in the columns of new names."""
    text = read(page)
    if page.name == "CHANGELOG.md":
        rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
        text = "\n".join(row[1] for row in rows)
    names = set(re.findall(r"`(vsr_kit(?:\.\w+)+)", text))
    assert all(exists(name) for name in names), [name for name in names if not exists(name)]
    files = set(re.findall(r"`((?:vsr_kit|tests|docs|data_samples|benchmarks)/[\w./-]*\w/?)`", text))
    assert all((TOP / file).exists() for file in files), [file for file in files if not (TOP / file).exists()]


def test_the_glossary_is_in_order_short_and_has_an_anchor_for_each_term():
    entries = re.findall(r"^### (.+)\n\n(.+)$", read(GLOSSARY), re.M)
    terms = [term for term, _ in entries]
    assert len(terms) == read(GLOSSARY).count("\n### ") and len(terms) >= 40
    assert terms == sorted(terms, key=str.casefold) and len({slug(term) for term in terms}) == len(terms)
    for term, text in entries:
        assert 1 <= len(re.findall(r"[.?!](?= |$)", text)) <= 2, term


def test_notebooks_link_to_terms_that_are_there():
    """Each to the glossary and to some of its terms."""
    heads = {slug(head) for head in re.findall(r"^### (.+)$", read(GLOSSARY), re.M)}
    for path in sorted((TOP / "notebooks").glob("*.ipynb")):
        cells = json.loads(read(path))["cells"]
        text = "".join("".join(cell["source"]) for cell in cells)
        terms = set(re.findall(r"\(glossary\.md#([\w-]+)\)", text))
        assert "](glossary.md)" in text and len(terms) >= 2 and terms <= heads, (path.name, terms - heads)


@pytest.mark.slow
def test_the_picture_can_be_made_anew(tmp_path, monkeypatch):
    picture = made("make_picture")
    monkeypatch.setattr(picture, "PICTURE", tmp_path / "picture.png")
    picture.main()
    from PIL import Image, ImageChops

    shipped, again = (Image.open(path).convert("RGB") for path in (DOCS / "picture.png", tmp_path / "picture.png"))
    assert shipped.size == again.size
    assert (
        sum(ImageChops.difference(shipped, again).convert("L").histogram()[32:]) < 0.02 * shipped.width * shipped.height
    )


def test_screenshots_are_small_described_and_each_is_made_and_shown():
    """Every .webp of docs/ is one that make_screenshots.py makes, and stands in a page with words."""
    screenshots = made("make_screenshots")
    pages = "".join(read(path) for path in DOCS.glob("*.md"))
    assert {path.stem for path in DOCS.glob("*.webp")} == screenshots.MADE.keys()
    for name in screenshots.MADE:
        assert (DOCS / f"{name}.webp").stat().st_size <= screenshots.MOST_BYTES
        assert re.search(rf"!\[[^]]{{80,}}\]\({name}\.webp\)", pages), name
        assert f"    {name} " in screenshots.__doc__


def test_a_screenshot_that_nobody_knows_is_refused_by_name():
    words = [sys.executable, DOCS / "make_screenshots.py", "castle"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "no screenshot is called 'castle': choose from rollouts, gallery, playground" in done.stderr


def test_the_scripts_of_docs_say_what_they_do():
    scripts = {"make_gif", "make_pages", "make_picture", "make_screenshots", "make_tree"}
    assert {path.stem for path in DOCS.glob("*.py")} == scripts
    done = subprocess.run([sys.executable, DOCS / "make_tree.py"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("```\nvsr_kit/\n")
