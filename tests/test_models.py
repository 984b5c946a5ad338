"""Loading: what is quantised, what is trainable, what is printed, and what the errors say."""

import json
import logging
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig
from transformers.utils import logging as progress

from tests.tiny import tiny_clip, tiny_messages
from vsr_kit.models import SHIPPED, Loaded, choose_threads, load_model, lora_config, mini_path, pick_dtype
from vsr_kit.models.vision import chat_inputs, core_model
from vsr_kit.paths import checkpoint_of, data_samples
from vsr_kit.runs.provenance import checkpoint_hash
from vsr_kit.training.methods import GRPO
from vsr_kit.training.profiles import get_profile
from vsr_kit.training.resuming import identity_of

LINEARS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.fixture
def inputs(tiny_path):
    processor = load_model(tiny_path, device="cpu", quiet=True).processor
    return chat_inputs(processor, tiny_messages("How many?"), tiny_clip(0))


def logits(loaded: Loaded, inputs):
    with torch.no_grad():
        return loaded.model(**inputs).logits


def test_a_folder_loads_frozen_in_fp32_on_cpu_and_says_so(tiny_path, capsys):
    loaded = load_model(tiny_path, device="cpu")
    said = capsys.readouterr().out.strip()
    assert said == loaded.description
    count = sum(p.numel() for p in loaded.model.parameters())
    assert f"{count / 1e6:.1f}M parameters" in said
    assert "float32" in said
    assert f"cpu ({torch.get_num_threads()} thread" in said
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in loaded.model.parameters())
    assert not loaded.model.training


@pytest.mark.parametrize("quantize", [None, "nf4"])
def test_loading_says_nothing_else_and_leaves_bars_as_they_were(tiny_path, tmp_path, capsys, quantize):
    bars = []

    def own(bar, args, settings):
        bars.append(settings)
        return bar(*args, **settings)

    before = progress.set_tqdm_hook(own)
    try:
        load_model(tiny_path, quantize, device="cpu", quiet=True)
        (tmp_path / "config.json").write_bytes((tiny_path / "config.json").read_bytes())
        with pytest.raises(OSError, match="model.safetensors"):  # a checkpoint without weights
            load_model(tmp_path, quantize, device="cpu", quiet=True)
        assert bars == []
        list(progress.tqdm(range(2), desc="after", disable=True))
    finally:
        assert progress.set_tqdm_hook(before) is own
    assert bars == [{"desc": "after", "disable": True}]
    assert "".join(capsys.readouterr()) == ""


def test_only_the_advice_about_a_kernel_is_kept_back(caplog):
    log = logging.getLogger("bitsandbytes.backends.cpu.ops")
    source = Path(find_spec("bitsandbytes").origin).parent / "backends" / "cpu" / "ops.py"
    (advice,) = re.findall(r'logger\.warning\(\s*"(Failed to load CPU .*)"', source.read_text())  # else: needed no more
    log.warning(advice, "no module")
    log.warning("the library cannot be loaded")
    assert [record.getMessage() for record in caplog.records] == ["the library cannot be loaded"]


@pytest.mark.slow
@pytest.mark.parametrize("module", ["models", "sharing", "training.run", "training.joint_trainer", "miniature"])
def test_importing_gives_no_advice(module):
    done = subprocess.run([sys.executable, "-c", f"import vsr_kit.{module}"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert "kernels-community" not in done.stderr


def test_another_precision_is_taken(tiny_path):
    loaded = load_model(tiny_path, device="cpu", dtype=torch.bfloat16, quiet=True)
    assert {p.dtype for p in loaded.model.parameters()} == {torch.bfloat16}
    assert "bfloat16" in loaded.description


def test_lora_sits_on_every_linear_of_the_language_model_and_nowhere_else(tiny_path, inputs):
    loaded = load_model(tiny_path, lora=True, device="cpu", quiet=True)
    trainable = [name for name, p in loaded.model.named_parameters() if p.requires_grad]
    assert all(".language_model." in name and ".lora_" in name for name in trainable)
    assert {name.split(".")[-4] for name in trainable} == LINEARS
    assert len(trainable) == 2 * len(LINEARS) * loaded.model.config.text_config.num_hidden_layers
    assert f"LoRA with {sum(p.numel() for p in loaded.model.parameters() if p.requires_grad) / 1e6:.2f}M" in (
        loaded.description
    )
    plain = load_model(tiny_path, device="cpu", quiet=True)
    torch.testing.assert_close(logits(loaded, inputs), logits(plain, inputs))  # a fresh adapter changes nothing


def test_a_fresh_adapter_follows_from_its_seed_and_can_be_ones_own(tiny_path):
    def first(seed):
        torch.rand(1)  # whatever was drawn before does not matter
        model = load_model(tiny_path, lora=LoraConfig(r=3, target_modules=["q_proj"]), seed=seed, quiet=True).model
        return next(p for p in model.parameters() if p.requires_grad)

    assert first(1).shape[0] == 3
    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_an_adapter_loads_frozen_on_top(tiny_path, tmp_path, inputs):
    trained = load_model(tiny_path, lora=True, device="cpu", quiet=True)
    with torch.no_grad():
        for name, p in trained.model.named_parameters():
            if "lora_B" in name:
                p.normal_(std=0.1)
    trained.model.save_pretrained(tmp_path / "adapter")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what PEFT has still to rename is none of the reader's business
        again = load_model(tiny_path, adapter=tmp_path / "adapter", device="cpu", quiet=True)
    torch.testing.assert_close(logits(again, inputs), logits(trained, inputs))
    assert not torch.allclose(logits(again, inputs), logits(load_model(tiny_path, quiet=True), inputs), atol=1e-2)
    assert not any(p.requires_grad for p in again.model.parameters())
    assert "adapter" in again.description


def test_nf4_packs_the_language_models_linears_and_nothing_else(tiny_path):
    bnb = pytest.importorskip("bitsandbytes")
    loaded = load_model(tiny_path, quantize="nf4", device="cpu", quiet=True)
    packed = {name for name, m in loaded.model.named_modules() if isinstance(m, bnb.nn.Linear4bit)}
    assert {name.split(".")[-1] for name in packed} == LINEARS
    assert all("language_model" in name for name in packed)
    plain = load_model(tiny_path, device="cpu", quiet=True)
    assert loaded.model.get_memory_footprint() < plain.model.get_memory_footprint()
    assert loaded.description.split(",")[0] == plain.description.split(",")[0]  # as many parameters, packed or not
    assert "nf4" in loaded.description


def test_nf4_is_near_the_weights_it_was_made_from(tiny_path, inputs):
    pytest.importorskip("bitsandbytes")
    exact, packed = (logits(load_model(tiny_path, quantize=q, quiet=True), inputs) for q in (None, "nf4"))
    assert 0 < (exact - packed).norm() / exact.norm() < 0.6


def test_nf4_still_trains_after_it_has_been_asked(tiny_path, inputs):
    """On CPUs with AVX512-BF16 one forward without gradient would repack the weights and break the next backward."""
    bnb = pytest.importorskip("bitsandbytes")
    loaded = load_model(tiny_path, quantize="nf4", lora=True, device="cpu", quiet=True)
    linears = [m for m in loaded.model.modules() if isinstance(m, bnb.nn.Linear4bit)]
    assert linears
    assert not any(m.support_avx512bf16_for_cpu for m in linears)
    logits(loaded, inputs)
    loaded.model.train()
    loaded.model(**inputs).logits.square().mean().backward()
    grads = {n: p.grad for n, p in loaded.model.named_parameters() if "lora_B" in n}
    assert all(g is not None and g.abs().max() > 0 for g in grads.values())


def test_the_number_of_threads_follows_the_environment_or_half_the_cores(monkeypatch):
    before = torch.get_num_threads()
    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        assert choose_threads() == torch.get_num_threads() == 2
        monkeypatch.delenv("OMP_NUM_THREADS")
        for cores, threads in ((1, 1), (2, 1), (6, 3), (64, 8)):
            monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: set(range(cores)), raising=False)
            assert choose_threads() == torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_gpus_without_bf16_compute_in_fp32(monkeypatch):
    """fp16 overflows in Qwen2-VL, and the answer is a row of exclamation marks."""
    for has_it, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, has_it=has_it: has_it)
        assert pick_dtype(torch.device("cuda")) == dtype
    assert pick_dtype(torch.device("cpu")) == pick_dtype(torch.device("mps")) == torch.float32


def test_a_missing_model_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="hf download nobody/nothing") as caught:
        load_model("nobody/nothing", quiet=True)
    assert "'mini'" in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"holds no config\.json"):
        load_model(tmp_path, quiet=True)


def test_a_missing_adapter_says_what_is_there(tiny_path, tmp_path):
    (tmp_path / "adapter_model.bin").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"only adapter_model\.bin"):
        load_model(tiny_path, adapter=tmp_path, quiet=True)
    with pytest.raises(FileNotFoundError, match="hf download nobody/adapter"):
        load_model(tiny_path, adapter="nobody/adapter", quiet=True)


def test_another_kind_of_model_is_refused(tiny_path, tmp_path):
    config = json.loads((tiny_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "llava"}))
    with pytest.raises(ValueError, match="is a llava checkpoint: this kit reads qwen2_vl"):
        load_model(tmp_path, quiet=True)


@pytest.mark.parametrize(
    "how, message",
    [
        ({"quantize": "int8"}, "'int8'"),
        ({"quantize": "nf4", "device": "mps"}, "not mps"),
        ({"lora": True, "adapter": "x"}, "not both"),
    ],
)
def test_bad_arguments_are_named(tiny_path, how, message):
    with pytest.raises(ValueError, match=message):
        load_model(tiny_path, quiet=True, **how)


def test_weights_are_read_from_safetensors_only(tiny_path, tmp_path):
    for path in tiny_path.iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        load_model(tmp_path, quiet=True)


def test_the_miniature_is_found_where_samples_are_shipped(monkeypatch, tiny_path):
    assert mini_path() == data_samples("mini-qwen2-vl")
    monkeypatch.setitem(SHIPPED, "mini", str(tiny_path))
    loaded = load_model("mini", device="cpu", quiet=True)
    assert loaded.name == "mini"
    assert loaded.description.startswith("mini: ")


def test_every_shipped_checkpoint_is_loaded_by_its_name_and_a_missing_one_is_named(monkeypatch, tiny_path, tmp_path):
    assert list(SHIPPED) == ["mini", "mini-cold-start"]
    monkeypatch.setitem(SHIPPED, "mini-cold-start", str(tiny_path))
    loaded = load_model("mini-cold-start", device="cpu", quiet=True)
    assert loaded.name == "mini-cold-start" and loaded.description.startswith("mini-cold-start: ")
    assert checkpoint_of("mini-cold-start") == tiny_path and checkpoint_of("Qwen/some") == "Qwen/some"
    monkeypatch.setitem(SHIPPED, "mini-cold-start", "nothing-there")
    for call in (load_model, checkpoint_of):
        with pytest.raises(FileNotFoundError, match="'mini-cold-start' is not in this copy of the kit: .*'mini'"):
            call("mini-cold-start")


def test_a_training_starts_from_a_shipped_checkpoint_by_its_name(monkeypatch, tiny_path):
    monkeypatch.setitem(SHIPPED, "mini-cold-start", str(tiny_path))
    profile = replace(get_profile("mini"), model="mini-cold-start")
    made_of = identity_of(profile, GRPO(), [], {}, 0, None, {})
    assert made_of["base sha256"] == checkpoint_hash(tiny_path) != checkpoint_hash(mini_path())


def test_the_default_lora_covers_the_language_model_only(tiny_path):
    config = lora_config(rank=4, alpha=8)
    assert (config.r, config.lora_alpha, config.bias) == (4, 8, "none")
    core = core_model(load_model(tiny_path, lora=config, quiet=True).model)
    assert np.all(["lora" not in name for name, _ in core.model.visual.named_parameters()])


def test_adding_lora_gives_no_advice_about_names(tiny_path, recwarn):
    load_model(tiny_path, lora=True, device="cpu", quiet=True)
    assert [str(w.message) for w in recwarn if "gradient_checkpointing" in str(w.message)] == []


def test_float16_is_refused_without_4_bits_and_then_keeps_what_overflows_in_float32(tiny_path):
    with pytest.raises(ValueError, match="float16 without 4-bit"):
        load_model(tiny_path, device="cpu", dtype=torch.float16, quiet=True)
    loaded = load_model(tiny_path, "nf4", device="cpu", dtype=torch.float16, quiet=True)
    kinds = {}
    for name, module in loaded.model.named_modules():
        if type(module).__name__ == "Linear4bit":
            kinds.setdefault(module.compute_dtype, set()).add(name.split(".")[-1])
    assert kinds[torch.float32] == {"down_proj"} and len(kinds[torch.float16]) == 6
    kept = {weight.dtype for weight in loaded.model.parameters() if weight.dtype.is_floating_point}
    assert kept == {torch.float32} and "nf4 weights, float16 products, float32" in loaded.description


def test_a_gated_product_above_float16s_range_stays_finite(tiny_path):
    """70,000 at the gate's output: in fp16 it would be infinite."""
    loaded = load_model(tiny_path, "nf4", device="cpu", dtype=torch.float16, quiet=True)
    layer = loaded.model.model.language_model.layers[0].mlp.down_proj
    large = torch.full((1, layer.in_features), 7e4)
    assert layer(large).isfinite().all()
    layer.compute_dtype = torch.float16
    assert not layer(large).isfinite().all()
