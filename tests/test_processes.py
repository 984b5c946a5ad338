"""Two processes on one machine: the same gradients as the textbook's, one set of weights, one writer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_two_processes_train_one_model(tiny_path, tmp_path):
    (tmp_path / "tiny").symlink_to(tiny_path)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*launch, "-m", "tests.two_processes", str(tmp_path)],
        cwd=CHECKOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"found-{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    assert first["error"] < 1e-4 and first["apart"] > 0.1
    assert first["groups"] == [2]
    assert first["same weights"] and first["metrics"] == [1, 2]
    assert first["adapter"] == "checkpoint-2"
    assert first["rollouts"] == 2 * 4, "the main process's own completions"
    assert first["stopped"] == ["interrupted", 1, "interrupt"], "all processes stop at the step at which one was asked"
