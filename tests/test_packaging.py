"""Installing: one set of ranges, pins within them, torch left alone, and a wheel that carries the samples along."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from importlib.metadata import version as installed
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vsr_kit import __version__

TOP = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"pytorch": "torch"}


def declared() -> dict[str, Requirement]:
    lines = [*PROJECT["dependencies"], *sum(PROJECT["optional-dependencies"].values(), [])]
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}


def pins() -> dict[str, str]:
    lines = [line for line in (TOP / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def test_torch_is_a_range_and_trl_one_minor():
    torch, trl = declared()["torch"], declared()["trl"]
    assert all(torch.specifier.contains(v) for v in ("2.6.0", "2.9.1", "2.13.0"))
    assert trl.specifier.contains("1.16.3")
    assert not trl.specifier.contains("1.17.0")


def test_every_declared_package_is_pinned_within_its_range():
    for name, requirement in declared().items():
        assert requirement.specifier.contains(pins()[name]), f"constraints.txt pins {name}=={pins()[name]}"


def test_environment_yml_asks_for_the_same_packages_and_ranges():
    lines = yaml.safe_load((TOP / "environment.yml").read_text())["dependencies"]
    (pip_lines,) = [line["pip"] for line in lines if isinstance(line, dict)]
    conda = [Requirement(line) for line in lines if isinstance(line, str)]
    wanted = {CONDA_NAMES.get(r.name, canonicalize_name(r.name)): r for r in conda}
    python = wanted.pop("python")
    wanted.pop("pip")
    for line in pip_lines:
        if not line.startswith("-e"):
            assert canonicalize_name(Requirement(line).name) not in wanted, f"{line} is asked for twice"
            wanted[canonicalize_name(Requirement(line).name)] = Requirement(line)
    assert {n: (r.specifier, str(r.marker)) for n, r in wanted.items()} == {
        n: (r.specifier, str(r.marker)) for n, r in declared().items()
    }
    assert "-e .[lab,test]" in pip_lines
    assert set(PROJECT["optional-dependencies"]) == {"endpoint", "lab", "mathematics", "test"}
    assert [python.specifier.contains(v) for v in ("3.10", "3.11", "3.13", "3.14")] == [False, True, True, False]


def test_environment_yml_says_that_it_is_not_run_here():
    assert "Not run here" in (TOP / "environment.yml").read_text()


def test_every_command_has_a_make_target_and_every_target_a_command():
    from vsr_kit.cli import app

    commands = {c.name or c.callback.__name__ for c in app.registered_commands}
    makefile = (TOP / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY:(.*)$", makefile, re.M)[1].split())
    assert commands == targets - {"help", "env", "lint", "check", "clean", "wheel", "bench", "real"}


def test_the_makefile_pins_and_ci_runs_it():
    assert "-c constraints.txt" in (TOP / "Makefile").read_text()
    assert (TOP / ".ci" / "run").read_text().splitlines()[-1] == "make test"
    assert os.access(TOP / ".ci" / "run", os.X_OK)


def test_the_licence_is_apache_2_in_full():
    text = (TOP / "LICENSE").read_text()
    assert PROJECT["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this checkout, built without the network: hatchling is in the test extra."""
    folder = tmp_path_factory.mktemp("wheel")
    words = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(TOP)]
    subprocess.run([sys.executable, "-m", *words], check=True, env=quiet_pip())
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def away(wheel, tmp_path_factory) -> dict:
    """Keyword arguments for subprocess: a folder outside the checkout, with the unpacked wheel first on the path."""
    site, cwd = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("cwd")
    words = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site), str(wheel)]
    subprocess.run([sys.executable, "-m", *words], check=True, env=quiet_pip())
    env = {**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1", "HF_HUB_OFFLINE": "1"}
    return {"cwd": cwd, "env": env, "capture_output": True, "text": True, "encoding": "utf-8"}


def quiet_pip() -> dict:
    return {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}


@pytest.mark.slow
def test_the_wheel_carries_code_samples_notebooks_and_no_litter(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tracked = [
        path.relative_to(TOP).as_posix()
        for folder in ("vsr_kit", "data_samples", "notebooks")
        for path in (TOP / folder).rglob("*")
        if path.is_file() and not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts)
    ]
    tracked += ["docs/walk.gif", "docs/picture.png"]  # what the site's index shows
    expected = {name if name.startswith("vsr_kit/") else f"vsr_kit/{name}" for name in tracked}
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert any(name.startswith("vsr_kit/data_samples/") for name in names)
    assert any(name.endswith(".ipynb") for name in names)
    metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
    fields = Parser().parsestr(zipfile.ZipFile(wheel).read(metadata).decode())
    assert (fields["Version"], fields["License-Expression"]) == (__version__, "Apache-2.0")


def would_install(wheel: Path, *path: Path) -> set[str]:
    """Names pip would install for the wheel, by its dry-run report, with `path` in front of what is installed.

    --no-index: whatever is not there already cannot be got, so that a replacement shows as a failure, too.
    """
    report = wheel.parent / "report.json"
    words = ["pip", "install", "--quiet", "--dry-run", "--no-index", "--report", str(report)]
    # No settings of the machine's: they might name places where pip finds packages all the same.
    env = {name: value for name, value in quiet_pip().items() if name != "PIP_FIND_LINKS"}
    env |= {"PYTHONPATH": os.pathsep.join(map(str, path)), "PIP_CONFIG_FILE": os.devnull}
    subprocess.run([sys.executable, "-m", *words, str(wheel)], check=True, env=env, capture_output=True, text=True)
    return {canonicalize_name(item["metadata"]["name"]) for item in json.loads(report.read_text())["install"]}


def pretend_torch(folder: Path, version: str) -> Path:
    """A folder in which pip sees torch of this version installed."""
    info = folder / f"torch-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
    (info / "INSTALLER").write_text("pip\n")
    (info / "RECORD").write_text("")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("torch", [None, "2.6.0", "2.9.0+cu126"])
def test_installing_where_torch_is_present_leaves_it_alone(wheel, tmp_path, torch):
    path = [] if torch is None else [pretend_torch(tmp_path, torch)]
    assert would_install(wheel, *path) == {"vsr-kit"}


@pytest.mark.slow
def test_pip_would_replace_a_torch_that_is_too_old(wheel, tmp_path):
    """The proof above can fail: below the range, pip looks for another torch (and here finds none)."""
    with pytest.raises(subprocess.CalledProcessError) as caught:
        would_install(wheel, pretend_torch(tmp_path, "2.3.0"))
    assert "torch" in caught.value.stderr


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(away):
    code = (
        "import vsr_kit; from vsr_kit.paths import checkout; from vsr_kit.data import sample_clips;"
        "from vsr_kit.pages.site import course_notebooks;"
        "from pathlib import Path; from vsr_kit.pages.landing import copy_pictures;"
        "print(vsr_kit.__file__); print(checkout()); print(len(sample_clips(2))); print(len(course_notebooks()));"
        "print(len(copy_pictures(Path('.'))['alt']))"
    )
    done = subprocess.run([sys.executable, "-c", code], **away)
    assert done.returncode == 0, done.stderr
    where, checkout, clips, notebooks, words = done.stdout.splitlines()
    assert where.startswith(away["env"]["PYTHONPATH"])
    assert (checkout, int(clips) > 0, int(notebooks) > 0) == ("None", True, True)
    assert int(words) > 100 and (away["cwd"] / "walk.gif").stat().st_size > 100_000


@pytest.mark.slow
def test_the_wheel_scores_predictions_outside_the_checkout(away):
    row = {
        "id": 0,
        "dataset": "made",
        "scene_name": "a",
        "question_type": "object_counting",
        "question": "How many chair(s) are in this room?",
        "options": None,
        "ground_truth": "4",
        "prediction": "4",
    }
    (away["cwd"] / "predictions.jsonl").write_text(json.dumps(row) + "\n")
    words = [sys.executable, "-m", "vsr_kit.cli", "score", "predictions.jsonl", "--json"]
    done = subprocess.run(words, **away)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["object_counting"] == 100.0


@pytest.mark.slow
def test_the_wheels_miniature_loads_outside_the_checkout(away):
    code = (
        "from vsr_kit.models import load_model;"
        "print(sum(weight.numel() for weight in load_model('mini').model.parameters()))"
    )
    done = subprocess.run([sys.executable, "-c", code], **away)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 1_000_000


def test_this_environment_is_the_tested_one_where_make_made_it():
    if not (Path(sys.prefix) / ".ready").exists():
        pytest.skip("not the Makefile's environment")
    assert installed("torch").split("+")[0] == pins()["torch"]
