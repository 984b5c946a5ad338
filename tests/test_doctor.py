"""`vsr doctor`: the installation, what its argument is, what it prints, and its exit status."""

import inspect
import json
import sys
import types

import pytest
from typer.testing import CliRunner

from tests.test_cli import fails
from vsr_kit.cli import app
from vsr_kit.cli.doctor import _kind
from vsr_kit.diagnosis import RULES, Diagnosis, Finding, check_environment, environment
from vsr_kit.diagnosis.rules import level_of
from vsr_kit.paths import data_samples
from vsr_kit.runs import RunFolder


def doctor(*words):
    return CliRunner().invoke(app, ["doctor", *map(str, words)])


@pytest.fixture
def installed(monkeypatch):
    """installed(name=version…) -> findings by check, of an installation where these packages are of other versions."""
    real = environment._version

    def look(**others):
        monkeypatch.setattr(environment, "_version", lambda name: others.get(name.replace("-", "_"), real(name)))
        return {finding.check: finding for finding in check_environment().findings}

    return look


def test_this_installation_is_in_its_ranges(installed):
    found = installed()
    assert found["packages"].level == "fine" and "transformers" in found["packages"].evidence
    assert {"python", "torchvision", "threads", "disk for runs", "disk for models"} <= found.keys()
    assert found["gpu"].level == "note" if "gpu" in found else found["gpu 0"].numbers["bf16"] in (True, False)
    assert [f for f in found.values() if f.level == "problem"] == []


def test_packages_out_of_their_ranges_are_named_with_the_command_that_mends_it(installed):
    found = installed(trl="1.20.0", peft=None)
    assert (found["trl"].level, found["trl"].remedy) == ("problem", "pip install 'trl<1.17,>=1.16'")
    assert found["trl"].finding.startswith("1.20.0 is outside the range")
    assert found["peft"].finding == "is not installed"


def test_a_torchao_that_peft_refuses(installed):
    assert "torchao" not in installed(torchao=None)
    assert installed(torchao="0.16.0")["torchao"].level == "fine"
    found = installed(torchao="0.10.0")["torchao"]  # as on Colab
    assert found.level == "problem" and "pip uninstall -y torchao" in found.remedy


def test_the_least_torchao_is_pefts_own():
    from peft import import_utils

    assert f'"{environment.TORCHAO}"' in inspect.getsource(import_utils.is_torchao_available)


def test_a_torchvision_that_does_not_import(installed, monkeypatch):
    def broken(name):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(environment, "import_module", broken)
    found = installed(torchvision="0.20.0")["torchvision"]
    assert found.level == "problem" and "nms does not exist" in found.evidence
    monkeypatch.setattr(environment, "import_module", lambda name: types.ModuleType(name))
    assert installed(torchvision="0.29.1")["torchvision"].level == "fine"


def test_a_full_disk_and_too_many_threads(installed, monkeypatch):
    usage = types.SimpleNamespace(free=1e9)
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: usage)
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    found = installed()
    assert found["disk for runs"].level == found["disk for models"].level == "problem"
    assert found["threads"].level == "warning"
    usage.free = 5e9
    assert installed()["disk for runs"].level == "warning"


def test_an_installed_wheel_reads_its_own_metadata(installed, monkeypatch):
    monkeypatch.setattr(environment, "checkout", lambda: None)
    wanted = ["torch>=99", "numpy>=1.26,<3", "openai>=2; extra == 'endpoint'", "numpy<1; platform_system == 'Nowhere'"]
    monkeypatch.setattr(environment, "requires", lambda name: wanted)
    monkeypatch.setattr(environment, "metadata", lambda name: {"Requires-Python": ">=3.99"})
    found = installed()
    assert found["python"].level == found["torch"].level == "problem"
    assert found["packages"].finding == "1 packages are in their ranges" and "openai" not in found
    assert "tested versions" not in found


def test_the_argument_tells_what_is_looked_at(tmp_path):
    runs = data_samples("reference_runs")
    assert _kind(None) == "installation"
    assert _kind(str(runs / "grpo-think-seed1")) == "run"
    assert _kind(str(runs / "grpo-think-seed1" / "adapter")) == "adapter"
    assert _kind(str(data_samples("mini-qwen2-vl"))) == _kind("mini") == _kind("owner/name") == "model"


def test_the_exit_status_is_of_problems_alone(tmp_path):
    whole = doctor(data_samples("reference_runs", "grpo-think-seed1"))
    assert whole.exit_code == 0 and whole.stdout.splitlines()[-1].endswith("grpo-think-seed1: 0 problems, 0 warnings")
    run = RunFolder.create("still", {"mode": "vanilla"}, root=tmp_path)
    for step in (1, 2, 3):
        run.metrics({"step": step, "loss": 0.0, "grad_norm": 0.0, "learning_rate": 0.0})
    done = doctor(run.path)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    place = lines.index(next(line for line in lines if line.startswith("problem  learning rate:")))
    assert (
        "largest 0 of 3 steps" in lines[place]
        and lines[place + 1].strip() == "remedy: " + RULES["learning rate"].remedy
    )
    told = json.loads(doctor(run.path, "--json").stdout)
    assert told["kind"] == "run" and told["status"] == 1
    problems = [own["check"] for own in told["findings"] if own["level"] == "problem"]
    assert problems == ["learning rate", "gradient"]


def test_a_warning_changes_no_status():
    assert Diagnosis("a", "run", (Finding("kl", "warning", "high"),)).status == 0
    assert Diagnosis("a", "run", (Finding("kl", "problem", "high"),)).status == 1


def test_what_a_run_wrote_cannot_command_a_terminal():
    (line, remedy, _) = Diagnosis("a", "run", (Finding("x", "problem", "a\x1b[2J", "b\nc", "\x07d"),)).lines()
    assert "\x1b" not in line and "\n" not in line and "\x07" not in remedy


def test_mistakes_are_one_line(monkeypatch, capsys, tmp_path):
    assert "no folder" in fails(monkeypatch, capsys, "doctor", "nothing-of-this-name")
    told = fails(monkeypatch, capsys, "doctor", "mini", "--model", "other")
    assert "it names an adapter's model; leave it out" in told
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "does not say which model it is of" in fails(monkeypatch, capsys, "doctor", tmp_path)
    assert sys.argv[1] == "doctor"


@pytest.mark.parametrize("name", RULES)
def test_every_rule_has_its_reasons(name):
    rule = RULES[name]
    assert rule.asks.endswith("?") and len(rule.reason.split()) > 4 and len(rule.remedy.split()) > 3
    if rule.warning is not None and rule.problem is not None:
        below = rule.problem < rule.warning
        assert [level_of(name, value, below) for value in (rule.warning, rule.problem)] == ["warning", "problem"]


@pytest.mark.slow
def test_the_shipped_miniature_is_healthy(capsys):
    done = doctor("mini", "--questions", 4, "--n", 4, "--rooms", 3, "--json")
    told = json.loads(done.stdout[done.stdout.index("{") :])
    found = {own["check"]: own for own in told["findings"]}
    assert done.exit_code == 0 and [own for own in found.values() if own["level"] in ("warning", "problem")] == []
    assert found["parity"]["numbers"]["value"] < 1e-5 and found["clip in policy"]["numbers"]["value"] > 0.05
