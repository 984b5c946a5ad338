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
    assert first["mismatch"] < 1e-5, "rollouts and training agree in both processes"
    assert set(first["problems"]) <= {"clipped", "unread"}, "the doctor finds what a random model shows"
    for rank, recorded in ((0, "; its completions are recorded"), (1, "")):
        line = f"process {rank} of 2 (0 to 1): 1 of 2 questions a step, 4 completions, in 1 passes{recorded}"
        assert done.stderr.count(line) == 2, "each process says its share of each run's steps"
    assert first["stopped"] == ["interrupted", 1, "interrupt"], "all processes stop at the step at which one was asked"
