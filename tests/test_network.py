"""The kit asks no network for anything: every way out is refused and noted, and nothing tries."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

GUARD = Path(__file__).parent / "no_network"
TOP = Path(__file__).parent.parent
TELLING = (
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_HUB_DISABLE_TELEMETRY",
    "DISABLE_TELEMETRY",
    "DO_NOT_TRACK",
    "CI",
)


def run(
    words: list[str], folder: Path, local: bool = False, **settings
) -> tuple[subprocess.CompletedProcess, list[str]]:
    """Run a command as a user without any setting would, with every way out refused; what it tried comes second.

    local: sockets between processes of this machine stay open, for notebooks.
    """
    log = folder / "network.log"
    environment = {name: value for name, value in os.environ.items() if name not in TELLING}
    environment |= {"NETWORK_LOG": str(log), "PYTHONPATH": os.pathsep.join([str(GUARD), str(TOP)]), **settings}
    environment |= {"NETWORK_LOCAL": "1"} if local else {}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
    return done, log.read_text().splitlines() if log.exists() else []


def vsr(words: str, folder: Path, **how) -> tuple[subprocess.CompletedProcess, list[str]]:
    return run(["-m", "vsr_kit.cli", *words.split()], folder, **how)


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('192.0.2.1', 80), 1)",
        "import urllib.request; urllib.request.urlopen('http://example.invalid')",
        "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "from huggingface_hub.utils import send_telemetry; import time; send_telemetry('vsr/test'); time.sleep(1)",
        "import socket; socket.create_connection(('127.0.0.1', 9), 1)",
    ],
)
def test_the_guard_notes_every_try(tmp_path, code):
    assert run(["-c", code], tmp_path)[1]


def test_the_guard_reaches_processes_of_the_process(tmp_path):
    code = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import socket; socket.gethostbyname(\"a.b\")'])"
    )
    assert run(["-c", code], tmp_path)[1]


SETTING = "import vsr_kit, huggingface_hub.constants as c; print(c.HF_HUB_DISABLE_TELEMETRY)"


@pytest.mark.parametrize(
    "settings, code, off",
    [
        ({}, SETTING, "True"),
        ({}, "import huggingface_hub.constants; " + SETTING, "True"),
        ({"HF_HUB_DISABLE_TELEMETRY": "0"}, SETTING, "False"),
        ({"HF_HUB_DISABLE_TELEMETRY": "0"}, "import huggingface_hub.constants; " + SETTING, "False"),
        ({"DISABLE_TELEMETRY": "0"}, SETTING, "False"),
        ({"DO_NOT_TRACK": "1"}, SETTING, "True"),
    ],
)
def test_telemetry_is_off_unless_somebody_chose(tmp_path, settings, code, off):
    done, _ = run(["-c", code], tmp_path, **settings)
    assert done.stdout == f"{off}\n"


def test_native_code_from_the_hub_is_not_loaded(tmp_path):
    """Where the package `kernels` is installed, bitsandbytes would fetch one at import on some processors."""
    (tmp_path / "kernels.py").write_text("print('loaded')")
    code = "import sys; sys.path.insert(0, '.'); import vsr_kit\n"
    code += "try: import kernels\nexcept ImportError: print('kept out')"
    assert run(["-c", code], tmp_path)[0].stdout == "kept out\n"
    code = "import sys; sys.path.insert(0, '.'); import kernels, vsr_kit; import kernels"
    assert run(["-c", code], tmp_path)[0].stdout == "loaded\n"


@pytest.mark.slow
def test_train_eval_and_report_ask_nothing(tmp_path):
    small = "--rooms 3 --per-room 1 --steps 1 --num-generations 2"
    trained, tried = vsr(f"train {small} --name t", tmp_path)
    assert (trained.returncode, tried) == (0, []), trained.stderr
    assert "kernels" not in trained.stdout + trained.stderr
    (folder,) = (tmp_path / "runs").glob("*-t")
    assert json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])["step"] == 1
    for words in (f"eval --rooms 1 --per-type 1 --adapter {folder}", f"report {folder}"):
        done, tried = vsr(words, tmp_path)
        assert (done.returncode, tried) == (0, []), done.stderr
        assert "kernels" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sft", "dpo-corrupted"])
def test_the_other_methods_ask_nothing(tmp_path, method):
    done, tried = vsr(f"train --rooms 6 --per-room 2 --steps 1 --num-generations 2 --method {method}", tmp_path)
    assert (done.returncode, tried) == (0, []), done.stderr
    assert "kernels" not in done.stdout + done.stderr


@pytest.mark.slow
def test_a_notebook_asks_nothing(tmp_path):
    done, tried = vsr("run 00 --smoke --out site", tmp_path, local=True)
    assert (done.returncode, tried) == (0, []), done.stdout
    assert (tmp_path / "site" / "index.html").is_file()
