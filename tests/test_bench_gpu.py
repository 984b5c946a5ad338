"""`python -m benchmarks gpu` and `evaluation` at a tiny shape: all of their code, the numbers of which are small."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from benchmarks import gpu, gpu_cell
from benchmarks.__main__ import bench
from benchmarks.cases import SHAPES, STOCK
from benchmarks.evaluation import COPIES, SHARED, bench_evaluation
from benchmarks.gpu import Clock, bench_gpu, line_of
from benchmarks.gpu_cell import ONE, SIDES, TWO, Cell
from benchmarks.workload import make_checkpoint
from vsr_kit.models import load_model
from vsr_kit.sharing import attention

TINY = SHAPES["tiny"]
SMALL = {"questions": 2, "num_generations": 2}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """All cells and two steps of t4 through the command line: what it wrote, and what it told."""
    out = tmp_path_factory.mktemp("gpu") / "new" / "result.json"
    words = ["gpu", "--model", "tiny", "--steps", "2", "--seconds", "500", "--out", str(out)]
    done = CliRunner().invoke(bench, words)
    assert done.exit_code == 0, done.output
    return json.loads(out.read_text()), done


@pytest.mark.slow
def test_all_sides_do_the_same_step(measured):
    """One after the other on weights that are loaded once: nothing of a trainer is left for the next."""
    cells = measured[0]["cells"]
    assert [(c["precision"], c["side"]) for c in cells] == [(p, s) for p in ("not quantized", "nf4") for s in SIDES]
    for precision in ("not quantized", "nf4"):
        own = {c["side"]: c for c in cells if c["precision"] == precision}
        assert all(abs(own[side]["loss"] - own[STOCK]["loss"]) < 1e-6 for side in SIDES)
        assert all(abs(own[side]["grad_norm"] / own[STOCK]["grad_norm"] - 1) < 2e-3 for side in SIDES)
        read = {side: sum(own[side]["trunk_tokens"].values()) for side in SIDES}
        assert read[TWO] < read[ONE] < read[STOCK]
        for cell in own.values():
            assert cell["seconds"] > 0 and cell["peak_bytes"] > 1e8 and cell["grad_norm"] > 0.1
            assert cell["mismatch"]["tokens"] == 8 and 0 < cell["mismatch"]["most"] < 1e-4
            assert (cell["clip_tokens"], cell["prompt_tokens"], cell["answer_tokens"]) == (18, 144, 4)


@pytest.mark.slow
def test_the_result_says_what_made_it(measured):
    result, done = measured
    assert result["versions"]["hardware"]["processor"] and result["versions"]["packages"]["torch"]
    assert result["command"].startswith("python -m benchmarks") and result["cards"] == []
    assert (result["seed"], result["seconds"], result["shape"]["name"]) == (0, 500.0, "tiny")
    assert [(r["precision"], r["side"]) for r in result["ratios"]] == [
        (p, s) for p in ("not quantized", "nf4") for s in (TWO, ONE)
    ]
    assert "nf4, clip 18, answers 4, two levels:" in done.output and "as fast as stock TRL" in done.output


@pytest.mark.slow
def test_steps_of_t4_are_those_of_the_profile(measured):
    t4 = measured[0]["t4"]
    assert (t4["steps"], t4["of"], t4["stopped"]) == (2, 2, None)
    assert t4["completion_tokens"] == [3, 3] and t4["seconds"] > 0 and len(t4["loss"]) == 2


def test_when_time_is_up_all_is_left_out_with_the_reason(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "_forget", lambda: None)
    told = []
    result = bench_gpu("tiny", 1e-3, 1, out=tmp_path / "r.json", tell=told.append)
    assert len(result["cells"]) == 6 and all("time is up" in cell["skipped"] for cell in result["cells"])
    assert "time is up" in result["t4"]["skipped"] and result["ratios"] == []
    assert json.loads((tmp_path / "r.json").read_text())["t4"] == result["t4"]
    assert "not quantized, clip 18, answers 4, two levels: skipped: time is up" in told[1]


def test_a_cell_that_would_not_be_done_does_not_begin():
    clock = Clock(100, began=-10)
    clock.took["stock"] = (20.0, 1000)
    clock.__class__ = type("Stopped", (Clock,), {"now": 30.0})
    assert clock.reason_to_skip("stock", 1000, 0.6) is None
    assert clock.reason_to_skip("stock", 2000, 0.6) == "would take about 40 s, and 30 s are left"
    assert clock.reason_to_skip("another", 2000, 0.6) is None
    assert "time is up: 30 s of the 20 s" in clock.reason_to_skip("another", 2000, 0.2)


def test_what_fails_is_a_reason_and_the_others_are_measured(monkeypatch, tmp_path):
    def full(cell, *given, **how):
        if cell.side == STOCK:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")
        return {"seconds": 1.0, "peak_bytes": 2, "loss": 0.0, "grad_norm": 1.0, "clip_tokens": 18}

    monkeypatch.setattr(gpu, "measure", full)
    monkeypatch.setattr(gpu, "_forget", lambda: None)  # which takes its time
    monkeypatch.setattr(gpu, "_t4", lambda *given: {"skipped": "in this test"})
    monkeypatch.setattr(gpu, "load_model", lambda *given, **how: "weights" if given[1] is None else 1 / 0)
    cells = bench_gpu("tiny", 500, 1)["cells"]
    assert [cell.get("failed") for cell in cells[:3]] == [None, None, "OutOfMemoryError: CUDA out of memory."]
    assert all(cell["failed"] == "ZeroDivisionError: division by zero" for cell in cells[3:])
    assert line_of(cells[2]).endswith("stock: failed: OutOfMemoryError: CUDA out of memory.")


@pytest.mark.parametrize("side", [TWO, STOCK])
def test_a_mismatch_is_seen(monkeypatch, tmp_path, side):
    """A training pass that is off by a tenth of a nat; and the next cell finds the model as this one did."""
    loaded = load_model(make_checkpoint(tmp_path / "c", TINY, 0), quiet=True)
    plain, scored = gpu_cell.plain_logps, gpu_cell.score

    def off(*given):
        groups = scored(*given)
        return [[type(one)(one.logps_T + 0.1, None) for one in own] for own in groups]

    monkeypatch.setattr(gpu_cell, "plain_logps", lambda *given: [own - 0.1 for own in plain(*given)])
    monkeypatch.setattr(gpu_cell, "score", off)
    cell = Cell(side, 2, 56, 56, 2, **SMALL)
    found = gpu_cell.measure(cell, loaded, TINY, checkpoint=str(tmp_path / "c"), seed=0)["mismatch"]
    assert found["mean"] == pytest.approx(0.1, abs=1e-4) and found["tokens"] == 4
    names = [name for name, _ in loaded.model.named_parameters()]
    assert not any("lora_" in name for name in names), "the adapter is off again"
    assert "forward" not in vars(loaded.model), "and what a trainer puts on the forward pass"


@pytest.mark.parametrize(
    "given, told",
    [
        (("tiny", 0.0), "seconds is 0.0: must be a finite number above 0"),
        (("tiny", 5.0, 0), "steps is 0"),
        (("a/checkpoint",), "makes its weights, name a shape"),
        (("qwen2-vl-2b",), "would take hours.*--model tiny"),
    ],
)
def test_what_cannot_be_measured_is_refused(given, told):
    if torch.cuda.is_available() and given == ("qwen2-vl-2b",):
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match=told):
        bench_gpu(*given)


def test_the_cells_are_those_of_the_question():
    """Tokens of a clip, and of an answer; and the script is one call that takes options."""
    shapes = [Cell(TWO, *size).shape(SHAPES["qwen2-vl-2b"]).clip_tokens for size in gpu.CELLS]
    assert list(zip(shapes, [size[3] for size in gpu.CELLS], strict=True)) == [
        (160, 16),
        (1024, 16),
        (1024, 256),
        (3128, 16),
    ]
    script = Path(gpu.__file__).with_name("gpu.sh")
    words = ["bash", script, "--help"]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHON": sys.executable})
    assert done.returncode == 0 and "--seconds" in done.stdout, done.stderr


def test_an_evaluation_holds_a_clip_once(monkeypatch):
    """Of two layers, the one that is read would hide what the other holds: a row at a time."""
    monkeypatch.setattr(attention, "EXPANDED_BYTES", 0)
    done = CliRunner().invoke(bench, ["evaluation", "--model", "tiny", "--questions", "3", "--repeats", "1"])
    assert done.exit_code == 0, done.output
    assert "3 questions about one clip of 18 tokens" in done.output
    assert "100 % of the answers are the same" in done.output
    costs = bench_evaluation("tiny", 24, 80, 1)
    assert costs.cache_bytes == 360 * 2 * 2 * 2 * 32 * 4
    assert costs.peak_bytes[COPIES] > costs.peak_bytes[SHARED] + 12 * costs.cache_bytes
    assert costs.ratios["memory"] == costs.peak_bytes[COPIES] / costs.peak_bytes[SHARED]
    with pytest.raises(ValueError, match="frames is 3: the tower merges frames in pairs"):
        bench_evaluation("tiny", frames=3)
    with pytest.raises(ValueError, match="questions is 0"):
        bench_evaluation("tiny", 0)
