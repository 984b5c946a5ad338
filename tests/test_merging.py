"""Adapters merged into their bases, and loaded by plain PEFT: the same network, by logits and by answers."""

import errno
import json
import re
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from tests.harm import make_all
from tests.shared_runs import finished
from tests.tiny import tiny_clip, tiny_messages
from vsr_kit.cli import app, main
from vsr_kit.evaluation import load_questions, predict
from vsr_kit.models import load_model
from vsr_kit.models.loading import packed
from vsr_kit.models.vision import chat_inputs, core_model
from vsr_kit.paths import data_samples
from vsr_kit.publishing import origin_of
from vsr_kit.publishing.card import loading_lines
from vsr_kit.publishing.merging import merge, whole_weight
from vsr_kit.runs import RunFolder

SHIPPED = data_samples("reference_runs") / "grpo-vanilla-seed1"


@torch.no_grad()
def logits(loaded):
    inputs = chat_inputs(loaded.processor, tiny_messages("How many chair(s) are in this room?"), tiny_clip(3))
    return loaded.model(**inputs, use_cache=False).logits


@pytest.fixture(params=[None, "nf4"], ids=["plain", "nf4"])
def run(request, made, tmp_path):
    return finished(tmp_path / "runs", made / "model", made / "adapter", request.param)


def test_a_merged_checkpoint_is_the_network_that_was_trained(run, tmp_path):
    origin = origin_of(run)
    merged = merge(origin, tmp_path / "merged", dtype="float32")
    asked = logits(load_model(origin.base, origin.quantize, adapter=origin.adapter, device="cpu", quiet=True))
    base = logits(load_model(origin.base, origin.quantize, device="cpu", quiet=True))
    got = load_model(merged.folder, device="cpu", quiet=True)
    scale = asked.abs().max()
    assert (logits(got) - asked).abs().max() < 1e-5 * scale < 1e-2 * (base - asked).abs().max()
    assert merged.layers == 14 and merged.lost == 0.0 and not packed(got.model)
    rounded = merge(origin, tmp_path / "rounded", dtype="bfloat16")
    assert 0 < rounded.lost < 1
    assert (logits(load_model(rounded.folder, device="cpu", quiet=True)) - asked).abs().max() < 0.1 * scale


def test_an_adapter_of_four_bits_may_be_merged_into_the_stored_weights_which_is_another_network(made, tmp_path):
    origin = origin_of(finished(tmp_path / "runs", made / "model", made / "adapter", "nf4"))
    plain = origin_of(finished(tmp_path / "runs", made / "model", made / "adapter", None))
    stored = merge(origin, tmp_path / "stored", dtype="float32", weights="original")
    seen = merge(origin, tmp_path / "seen", dtype="float32")
    wanted = merge(plain, tmp_path / "plain", dtype="float32")
    stored, seen, wanted = (logits(load_model(m.folder, device="cpu", quiet=True)) for m in (stored, seen, wanted))
    assert torch.equal(stored, wanted) and (seen - stored).abs().max() > 1e-3 * stored.abs().max()
    assert "scores of the run are not this model's" in (tmp_path / "stored" / "README.md").read_text()
    assert "saw in training" in (tmp_path / "seen" / "README.md").read_text()


def test_four_bits_are_turned_back_into_what_passes_multiply_by(made):
    model = load_model(made / "model", "nf4", device="cpu", quiet=True).model
    layer = core_model(model).model.language_model.layers[0].mlp.up_proj
    rows = torch.randn(5, layer.in_features, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(layer(rows), rows @ whole_weight(layer).T, atol=1e-5)


def test_a_merged_checkpoint_keeps_the_bases_precision_and_everything_else_to_the_bit(made, tmp_path):
    origin = origin_of(finished(tmp_path / "runs", made / "model", made / "adapter", "nf4"))
    merged = merge(origin, tmp_path / "merged")
    assert merged.dtype == "float32" == json.loads((made / "model" / "config.json").read_text())["dtype"]
    with (
        safe_open(made / "model" / "model.safetensors", "pt") as was,
        safe_open(merged.folder / "model.safetensors", "pt") as now,
    ):
        assert set(was.keys()) == set(now.keys())
        same = {name for name in was.keys() if torch.equal(was.get_tensor(name), now.get_tensor(name))}  # noqa: SIM118
    assert not [name for name in same if ".layers." in name and "proj.weight" in name]
    assert [name for name in same if "visual" in name] and [name for name in same if "embed_tokens" in name]
    for name in ("tokenizer.json", "chat_template.jinja", "processor_config.json", "generation_config.json"):
        assert (merged.folder / name).is_file()
    assert "quantization_config" not in json.loads((merged.folder / "config.json").read_text())


@pytest.mark.slow
def test_the_shipped_model_answers_the_same_merged_and_with_its_adapter(tmp_path):
    origin = origin_of(SHIPPED)
    asked = load_questions(6, per_type=5, seed=5)
    with_adapter = predict(load_model("mini", "nf4", adapter=origin.adapter, quiet=True), asked, max_new_tokens=16)
    said = [row["prediction"] for row in with_adapter]
    base = [row["prediction"] for row in predict(load_model("mini", "nf4", quiet=True), asked, max_new_tokens=16)]
    exact = load_model(merge(origin, tmp_path / "exact", dtype="float32").folder, quiet=True)
    assert [row["prediction"] for row in predict(exact, asked, max_new_tokens=16)] == said
    stored = merge(origin, tmp_path / "stored")
    assert stored.dtype == "bfloat16"  # as the miniature is
    in_half = predict(load_model(stored.folder, quiet=True), asked, max_new_tokens=16)
    same = sum(row["prediction"] == text for row, text in zip(in_half, said, strict=True))
    assert len(said) >= 40 and same >= 0.95 * len(said) > sum(a == b for a, b in zip(base, said, strict=True))


PLAIN = """
import sys
from safetensors.torch import load_file, save_file
from transformers import Qwen2VLForConditionalGeneration
{lines}
# there is no dropout; in eval mode bitsandbytes computes in bfloat16 on processors with AVX512-BF16
model.train()
merged = Qwen2VLForConditionalGeneration.from_pretrained({merged!r}).eval()
inputs = load_file("inputs.safetensors")
found = {{name: each(**inputs, use_cache=False).logits for name, each in (("adapter", model), ("merged", merged))}}
save_file({{name: logits.detach().contiguous() for name, logits in found.items()}}, "plain.safetensors")
assert not [name for name in sys.modules if name.split(".")[0] in ("vsr_kit", "trl")]
"""


@pytest.mark.slow
def test_three_lines_of_plain_peft_and_a_merged_folder_give_the_same_logits_without_the_kit(run, tmp_path):
    origin, folder = origin_of(run), tmp_path / "elsewhere"
    folder.mkdir()
    loaded = load_model(origin.base, origin.quantize, adapter=origin.adapter, device="cpu", quiet=True)
    inputs = chat_inputs(loaded.processor, tiny_messages("How many chair(s) are in this room?"), tiny_clip(3))
    save_file({name: value.contiguous() for name, value in inputs.items()}, folder / "inputs.safetensors")
    lines = loading_lines(origin.base, str(origin.adapter), origin)
    assert len([line for line in lines.split("\n") if line and not line.startswith("from ")]) <= 3
    merged = merge(origin, tmp_path / "merged", dtype="float32").folder
    code = PLAIN.format(lines=lines, merged=str(merged))
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    wanted, plain = logits(loaded), load_file(folder / "plain.safetensors")
    for name in ("adapter", "merged"):
        assert (plain[name] - wanted).abs().max() < 1e-5 * wanted.abs().max(), name


# -- what cannot be merged ---------------------------------------------------------------------------------------------


def vsr(monkeypatch, capsys, *words):
    """Exit code and stderr of a command, as a terminal gets them."""
    monkeypatch.setattr("sys.argv", ["vsr", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0, capsys.readouterr().err


def broken_cases(made, root):
    adapter = made / "adapter"
    asked = RunFolder.create("asked", {"model": "mini", "split": "test"}, root=root)
    asked.finish()
    whole = finished(root, made / "model", None, name="whole")
    (whole / "model").mkdir()
    gone = finished(root, made / "model", adapter, name="gone")
    config = json.loads((gone / "config.json").read_text())
    config["config"]["profile"]["model"] = str(root / "no-such-model")
    (gone / "config.json").write_text(json.dumps(config))
    (gone / "sha256.json").unlink()
    return {
        "is not finished: go on with it first": finished(root, made / "model", adapter, finish=False, name="begun"),
        "is an evaluation and has no weights": asked.path,
        "has no adapter/": finished(root, made / "model", None, name="bare"),
        "trained all weights": whole,
        "the base of .* is gone: there is no folder": gone,
        "is no run folder": root / "nothing",
    }


def test_what_is_no_finished_run_or_has_no_base_is_refused_in_one_line(made, tmp_path, monkeypatch, capsys):
    for told, path in broken_cases(made, tmp_path / "runs").items():
        code, said = vsr(monkeypatch, capsys, "merge", path, "--out", tmp_path / "merged")
        assert code == 2 and re.search(told, said) and len(said.strip().splitlines()) == 1, said
        assert not (tmp_path / "merged").exists()


def test_another_base_of_the_same_shape_is_told_by_its_hash(made, tmp_path):
    again = make_all(tmp_path / "again")
    run = finished(tmp_path / "runs", again / "model", again / "adapter")
    weights = again / "model" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-3] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(ValueError, match="is not the base that .* was trained on .*sha256 was"):
        merge(origin_of(run), tmp_path / "merged")


def test_a_folder_that_is_there_and_words_that_are_none_are_refused(made, tmp_path):
    origin = origin_of(finished(tmp_path / "runs", made / "model", made / "adapter"))
    (tmp_path / "there").mkdir()
    for how, told in (
        ({"out": tmp_path / "there"}, "there exists"),
        ({"out": tmp_path / "x", "dtype": "float16"}, "dtype is 'float16'"),
        ({"out": tmp_path / "x", "weights": "mine"}, "weights is 'mine'"),
    ):
        with pytest.raises(ValueError, match=told):
            merge(origin, **how)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        merge(origin, tmp_path / "no" / "where")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "there"]


def test_a_full_disk_is_told_before_and_while_it_fills_and_nothing_is_left(made, tmp_path, monkeypatch, capsys):
    run = finished(tmp_path / "runs", made / "model", made / "adapter")
    free = namedtuple("usage", "total used free")(10**9, 10**9, 10**6)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: free)
        code, said = vsr(patch, capsys, "merge", run, "--out", tmp_path / "merged")
    assert code == 2 and "is full (1.0 MB free): free some space, then merge again" in said

    def fill(model, folder, **how):
        folder.mkdir()
        (folder / "part").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("transformers.Qwen2VLForConditionalGeneration.save_pretrained", fill)
    code, said = vsr(monkeypatch, capsys, "merge", run, "--out", tmp_path / "merged")
    assert code == 2 and "is full" in said
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_the_command_merges_and_says_what_rounding_cost(made, tmp_path):
    run = finished(tmp_path / "runs", made / "model", made / "adapter", "nf4")
    done = CliRunner().invoke(app, ["merge", str(run), "--out", str(tmp_path / "m"), "--dtype", "bfloat16"])
    assert done.exit_code == 0, done.output
    assert "14 layers merged in bfloat16" in done.output and f"vsr eval --model {tmp_path / 'm'}" in done.output
