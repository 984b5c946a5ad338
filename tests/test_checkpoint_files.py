"""Checkpoints and adapters are used whole or refused, whatever they lack, hold too much of, or belong to."""

import json
import shutil
import socket
import subprocess
import sys

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from transformers import Qwen2VLForConditionalGeneration

from tests.harm import copied, refused
from tests.tiny import tiny_checkpoint
from vsr_kit.files import Damaged
from vsr_kit.models import checkpoint_files, load_model
from vsr_kit.models.adapters import check_fits
from vsr_kit.runs.provenance import checkpoint_identity, identity_differs

EMBEDDING = "model.embed_tokens.weight"  # in the files, as in the hub's; the model says model.language_model


def rewrite(path, change):
    """Weights of a file, changed by a function from dict to dict."""
    save_file({name: tensor.contiguous() for name, tensor in change(load_file(path)).items()}, path, {"format": "pt"})


def edit(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def without(part):
    return lambda weights: {name: w for name, w in weights.items() if part not in name}


def renamed(old, new):
    return lambda weights: {name.replace(old, new): w for name, w in weights.items()}


def with_value(part, value):
    def change(weights):
        name = next(name for name in sorted(weights) if part in name)
        weights[name].view(-1)[-1] = value
        return weights

    return change


BROKEN_WEIGHTS = {
    "a layer is missing": (without("model.layers.1."), "are not in the files"),
    "one weight is missing": (without("layers.0.self_attn.q_proj.bias"), "are not in the files"),
    "the tied embedding is missing": (without(EMBEDDING), "are not in the files"),
    "the tower is missing": (without("visual."), "are not in the files"),
    "all are renamed": (renamed("model.", "language."), "weights of the model|weights in the files"),
    "one is foreign": (lambda w: w | {"foreign": torch.zeros(2)}, "fit no part"),
    "a layer too many": (
        lambda w: w | {k: v.clone() for k, v in renamed("layers.1.", "layers.7.")(w).items()},
        "fit no part",
    ),
    "one is narrower": (lambda w: w | {EMBEDDING: w[EMBEDDING][:, :64].clone()}, "another shape"),
    "one has fewer rows": (lambda w: w | {EMBEDDING: w[EMBEDDING][:-8].clone()}, "another shape"),
    "one is NaN": (with_value("layers.1.mlp.up_proj", float("nan")), "no finite numbers"),
    "one is infinite": (with_value("visual.blocks.0.attn.qkv.weight", float("inf")), "no finite numbers"),
    "none is left": (lambda w: {"x": torch.zeros(1)}, "weights of the model|weights in the files"),
}


@pytest.mark.parametrize("quantize", [None, "nf4"])
@pytest.mark.parametrize("what", BROKEN_WEIGHTS)
def test_weights_that_do_not_fill_the_model_are_refused(made, tmp_path, capsys, what, quantize):
    root = copied(made, tmp_path, sealed=False)
    change, words = BROKEN_WEIGHTS[what]
    rewrite(root / "model" / "model.safetensors", change)
    with pytest.raises(Damaged, match=words) as caught:
        load_model(root / "model", quantize, device="cpu", quiet=True)
    assert "\n" not in str(caught.value) and "".join(capsys.readouterr()) == ""


def test_two_tensors_for_one_weight_are_refused(made, tmp_path):
    """The files call the tower `visual` and may call it `model.visual`; of both names, one would go unused."""
    root = copied(made, tmp_path, sealed=False)
    own = "visual.patch_embed.proj.weight"
    rewrite(root / "model" / "model.safetensors", lambda w: w | {f"model.{own}": w[own] + 1})
    with pytest.raises(Damaged):
        load_model(root / "model", device="cpu", quiet=True)


def sharded(made, tmp_path):
    root = copied(made, tmp_path, sealed=False)
    model = Qwen2VLForConditionalGeneration.from_pretrained(root / "model")
    (root / "model" / "model.safetensors").unlink()
    model.save_pretrained(root / "model", max_shard_size="600KB")
    shards = sorted((root / "model").glob("model-*.safetensors"))
    assert len(shards) > 2
    return root / "model", shards


def test_a_sharded_checkpoint_loads_whole_and_not_without_a_shard(made, tmp_path):
    folder, shards = sharded(made, tmp_path)
    whole, same = (load_model(path, device="cpu", quiet=True).model for path in (made / "model", folder))
    for (name, a), (_, b) in zip(whole.named_parameters(), same.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    kept = shards[1].read_bytes()
    for broken in (None, kept[:500], kept[:-9], b""):
        shards[1].unlink() if broken is None else shards[1].write_bytes(broken)
        refused(shards[1], lambda: load_model(folder, device="cpu", quiet=True))
        shards[1].write_bytes(kept)
    shutil.copy(shards[0], shards[1])  # a shard twice
    refused(shards[1], lambda: load_model(folder, device="cpu", quiet=True))
    shards[1].write_bytes(kept)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    for place in ({}, dict.fromkeys(index["weight_map"], "../x.safetensors"), [], None, dict.fromkeys("ab", 5)):
        (folder / "model.safetensors.index.json").write_text(json.dumps(index | {"weight_map": place}))
        refused(shards[0], lambda: load_model(folder, device="cpu", quiet=True))


def test_an_untied_head_must_be_there_and_a_tied_one_need_not(made, tmp_path):
    root = copied(made, tmp_path, sealed=False)
    path = root / "model"
    rewrite(path / "model.safetensors", lambda w: w | {"lm_head.weight": w[EMBEDDING].clone()})
    load_model(path, device="cpu", quiet=True)  # written twice
    rewrite(path / "model.safetensors", without("lm_head"))
    load_model(path, device="cpu", quiet=True)
    config = json.loads((path / "config.json").read_text())
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = False
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(Damaged, match=r"are not in the files, the first lm_head\.weight"):
        load_model(path, device="cpu", quiet=True)


def test_a_tokenizer_of_another_model_is_refused(made, tmp_path):
    for size in (270, 380, 448, 600):
        other = tiny_checkpoint(tmp_path / f"other-{size}", vocab_size=size) / "tokenizer.json"
        root = copied(made, tmp_path / f"copy-{size}", sealed=False)
        shutil.copy(other, root / "model" / "tokenizer.json")
        if (root / "model" / "tokenizer.json").read_bytes() == (made / "model" / "tokenizer.json").read_bytes():
            continue
        refused(root / "model" / "tokenizer.json", lambda root=root: load_model(root / "model", quiet=True))


def _drop(vocabulary, merges, added):
    vocabulary.pop(max(vocabulary, key=vocabulary.get))


def _fewer_merges(vocabulary, merges, added):
    del merges[-3:]


def _no_pad(vocabulary, merges, added):
    added[:] = [token for token in added if token["content"] != "<|image_pad|>"]


def _swapped(vocabulary, merges, added):
    added[-1]["content"], added[-2]["content"] = added[-2]["content"], added[-1]["content"]


def _renamed_pad(vocabulary, merges, added):
    added[-1]["content"] = "<|movie_pad|>"


@pytest.mark.parametrize("change", [_drop, _fewer_merges, _no_pad, _swapped, _renamed_pad])
def test_a_tokenizer_with_a_part_missing_is_refused(made, tmp_path, change):
    root = copied(made, tmp_path, sealed=False)
    path = root / "model" / "tokenizer.json"
    parts = json.loads(path.read_text())
    change(parts["model"]["vocab"], parts["model"]["merges"], parts["added_tokens"])
    path.write_text(json.dumps(parts))
    refused(path, lambda: load_model(root / "model", device="cpu", quiet=True))


@pytest.mark.parametrize(
    "name, values",
    [
        ("config.json", {"video_token_id": 3}),
        ("config.json", {"vision_start_token_id": 100_000}),
        ("generation_config.json", {"eos_token_id": None}),
        ("generation_config.json", {"eos_token_id": [3]}),
        ("generation_config.json", {"eos_token_id": 999_999}),
        ("chat_template.jinja", "{{ messages[0]['content'] }}"),
        ("chat_template.jinja", "{% for m in messages %}{{ m['role'] }}{% endfor %}"),
        ("chat_template.jinja", "{% for m in messages %}"),
        ("processor_config.json", {"video_processor": {"patch_size": 16}}),
        ("processor_config.json", {"video_processor": {"image_mean": [None, "x", 2]}}),
    ],
)
def test_parts_that_are_of_another_model_are_refused(made, tmp_path, name, values):
    root = copied(made, tmp_path, sealed=False)
    path = root / "model" / name
    if isinstance(values, str):
        path.write_text(values)
    else:
        was = json.loads(path.read_text())
        values = {k: was[k] | v if isinstance(v, dict) else v for k, v in values.items()}
        edit(path, **values)
    refused(path, lambda: load_model(root / "model", device="cpu", quiet=True))


# -- adapters ----------------------------------------------------------------------------------------------------------


BROKEN_ADAPTERS = {
    "an old prefix": renamed("model.language_model.layers", "model.layers"),
    "no prefix": renamed("base_model.model.", ""),
    "foreign and empty": lambda w: {"foreign": torch.zeros(3)},
    "half of it": lambda w: dict(sorted(w.items())[: len(w) // 2]),
    "one layer of it": without("layers.1."),
    "only one factor": without("lora_B"),
    "one weight less": without("layers.1.mlp.up_proj.lora_A"),
    "one weight more": lambda w: w | {"base_model.model.model.visual.merger.mlp.0.lora_A.weight": torch.zeros(16, 4)},
    "another adapter's name": renamed(".lora_A.", ".lora_A.other."),
    "another rank": lambda w: {k: (v[:8] if "lora_A" in k else v[:, :8]).clone() for k, v in w.items()},
    "transposed": lambda w: {k: v.T.clone() for k, v in w.items()},
    "NaN": with_value("layers.0.mlp.gate_proj.lora_B", float("nan")),
    "infinite": with_value("layers.0.mlp.gate_proj.lora_A", -float("inf")),
    "whole numbers": lambda w: {k: v.to(torch.int8) for k, v in w.items()},
}


@pytest.mark.parametrize("quantize", [None, "nf4"])
@pytest.mark.parametrize("what", BROKEN_ADAPTERS)
def test_an_adapter_that_does_not_fill_the_model_is_refused(made, tmp_path, recwarn, what, quantize):
    root = copied(made, tmp_path, sealed=False)
    path = root / "adapter" / "adapter_model.safetensors"
    rewrite(path, BROKEN_ADAPTERS[what])
    refused(path, lambda: load_model(root / "model", quantize, adapter=root / "adapter", device="cpu", quiet=True))
    assert not [w for w in recwarn if "missing adapter keys" in str(w.message)]


OTHERS = {
    "wider": {"text": {"hidden_size": 256, "num_attention_heads": 4}},
    "narrower inside": {"text": {"intermediate_size": 64}},
    "deeper": {"text": {"num_hidden_layers": 3}},
    "shallower": {"text": {"num_hidden_layers": 1}},
}


@pytest.mark.parametrize("what", OTHERS)
def test_an_adapter_of_another_model_is_refused(made, tmp_path, what):
    other = tiny_checkpoint(tmp_path / "other", **OTHERS[what])
    load_model(other, lora=True, device="cpu", quiet=True).model.save_pretrained(tmp_path / "adapter")
    said = refused(
        tmp_path / "adapter" / "x", lambda: load_model(made / "model", adapter=tmp_path / "adapter", quiet=True)
    )
    assert "this model" in said


@pytest.mark.parametrize("targets", [["q_proj"], r".*visual.*\.qkv", ["q_proj", "v_proj"]])
def test_an_adapter_on_other_layers_loads_whole_or_is_refused(made, tmp_path, targets):
    lora = LoraConfig(r=4, target_modules=targets)
    load_model(made / "model", lora=lora, device="cpu", quiet=True).model.save_pretrained(tmp_path / "adapter")
    load_model(made / "model", adapter=tmp_path / "adapter", quiet=True)  # it is whole, on the layers it names
    edit(tmp_path / "adapter" / "adapter_config.json", target_modules=["k_proj"])
    refused(tmp_path / "adapter" / "x", lambda: load_model(made / "model", adapter=tmp_path / "adapter", quiet=True))


@pytest.mark.parametrize(
    "values",
    [
        {"peft_type": "IA3"},
        {"peft_type": None},
        {"peft_type": "LORA2"},
        {"r": 0},
        {"r": "16"},
        {"r": 4.5},
        {"r": True},
        {"r": 8},
        {"lora_alpha": float("nan")},
        {"lora_alpha": "much"},
        {"target_modules": None},
        {"target_modules": 7},
        {"target_modules": ["nowhere"]},
        {"target_modules": "("},
        {"rank_pattern": 3},
        {"a_setting_of_tomorrow": {"on": 1}},
        {"use_dora": True},
        {"modules_to_save": ["embed_tokens"]},
    ],
    ids=str,
)
def test_a_configuration_that_is_no_lora_of_these_weights_is_refused(made, tmp_path, values):
    root = copied(made, tmp_path, sealed=False)
    edit(root / "adapter" / "adapter_config.json", **values)
    refused(root / "adapter" / "x", lambda: load_model(root / "model", adapter=root / "adapter", quiet=True))


def test_an_adapter_is_held_against_the_model_it_goes_on_training(made, tmp_path):
    root = copied(made, tmp_path, sealed=False)
    model = load_model(root / "model", lora=True, device="cpu", quiet=True).model
    check_fits(model, root / "adapter")
    for what in ("half of it", "another rank", "an old prefix", "NaN"):
        shutil.copy(made / "adapter" / "adapter_model.safetensors", root / "adapter" / "adapter_model.safetensors")
        rewrite(root / "adapter" / "adapter_model.safetensors", BROKEN_ADAPTERS[what])
        refused(root / "adapter" / "x", lambda: check_fits(model, root / "adapter"))


# -- names, code, identity ---------------------------------------------------------------------------------------------


NO_HUB = [
    "./typo",
    "~/typo",
    "/no/such/place",
    "a/b/c",
    "typo",
    "mnii",
    "here/typo",
    "a b/c",
    "a/b/",
    "x\\y",
    "a//b",
]


@pytest.mark.parametrize("name", NO_HUB)
def test_a_name_that_can_only_be_a_path_is_refused_without_asking_the_hub(made, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(checkpoint_files, "_from_hub", lambda *asked: pytest.fail(f"the hub was asked for {asked}"))
    for how in ({"name": name}, {"name": made / "model", "adapter": name}):
        with pytest.raises((FileNotFoundError, ValueError), match="no folder|holds no") as caught:
            load_model(**how, quiet=True)
        assert repr(name) in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_without_a_checkpoint_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"^\.\. holds no config\.json: name a checkpoint folder"):
        load_model("..", quiet=True)


def test_a_file_is_no_folder(made):
    with pytest.raises(ValueError, match=r"config\.json is a file: name the checkpoint's folder"):
        load_model(made / "model" / "config.json", quiet=True)


def test_a_hub_out_of_reach_is_not_waited_for(monkeypatch):
    def nowhere(*args, **more):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    asked = {}

    def snapshot(name, **how):
        asked[name] = how
        raise OSError("not in the cache")

    monkeypatch.setattr(checkpoint_files, "getproxies", dict)
    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    with pytest.raises(FileNotFoundError, match="hf download owner/name"):
        load_model("owner/name", quiet=True)
    assert asked["owner/name"]["local_files_only"] is True
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: [])
    with pytest.raises(FileNotFoundError):
        load_model("owner/name", quiet=True)
    assert asked["owner/name"]["local_files_only"] is False


def test_what_the_hub_gave_is_checked_like_a_folder(made, tmp_path, monkeypatch):
    root = copied(made, tmp_path, sealed=False)
    places = {"owner/model": root / "model", "owner/adapter": root / "adapter"}
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **how: str(places[name]))
    loaded = load_model("owner/model", adapter="owner/adapter", device="cpu", quiet=True)
    assert loaded.name == "owner/model" and "adapter owner/adapter" in loaded.description
    rewrite(root / "adapter" / "adapter_model.safetensors", BROKEN_ADAPTERS["an old prefix"])
    with pytest.raises(Damaged, match="fit no place"):
        load_model("owner/model", adapter="owner/adapter", device="cpu", quiet=True)
    (root / "model" / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no tokenizer\.json"):
        load_model("owner/model", device="cpu", quiet=True)


CODE = "from pathlib import Path\nPath({canary!r}).write_text('ran')\nclass Own: pass\n"
CALLS = {
    "config.json": {"model_type": "of_my_own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Own"}},
    "tokenizer_config.json": {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}},
    "processor_config.json": {"processor_class": "Mine", "auto_map": {"AutoProcessor": "own.Own"}},
    "preprocessor_config.json": {"image_processor_type": "Mine", "auto_map": {"AutoImageProcessor": "own.Own"}},
    "video_preprocessor_config.json": {"video_processor_type": "M", "auto_map": {"AutoVideoProcessor": "own.Own"}},
    "generation_config.json": {"auto_map": {"x": "own.Own"}},
}


@pytest.mark.slow
def test_code_of_a_checkpoint_never_runs_and_nobody_is_asked(made, tmp_path):
    """In a process of its own, whose standard input answers y to everything."""
    folders = []
    for name, values in [*CALLS.items(), (None, {})]:
        root = copied(made, tmp_path / str(name), sealed=False) / "model"
        (root / "own.py").write_text(CODE.format(canary=str(tmp_path / "canary")))
        (root / "custom_generate").mkdir()
        (root / "custom_generate" / "generate.py").write_text(CODE.format(canary=str(tmp_path / "canary")))
        for each in [name] if name else CALLS:
            path = root / each
            path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | values | CALLS[each]))
        folders.append(str(root))
    code = (
        "import sys\nfrom vsr_kit.models import load_model\n"
        "for folder in sys.argv[1:]:\n"
        "    try:\n        load_model(folder, quiet=True)\n        print('loaded')\n"
        "    except (ValueError, OSError) as error:\n        print('refused', str(error).count(chr(10)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *folders], input="y\n" * 50, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "canary").exists()
    assert "[y/N]" not in done.stdout + done.stderr
    assert set(done.stdout.split("\n")) <= {"loaded", "refused 0", ""}
    assert done.stdout.split("\n")[0] == done.stdout.split("\n")[len(CALLS)] == "refused 0"


def test_the_tokenizer_and_the_template_are_part_of_a_checkpoints_identity(made, tmp_path):
    now = checkpoint_identity(made / "model")
    for name in ("tokenizer.json", "chat_template.jinja", "processor_config.json", "tokenizer_config.json"):
        root = copied(made, tmp_path / name)
        path = root / "model" / name
        path.write_bytes(path.read_bytes() + b" ")
        then = checkpoint_identity(root / "model")
        assert then["text_sha256"] != now["text_sha256"]
        assert identity_differs(then, now)
    old = {key: value for key, value in now.items() if key != "text_sha256"}
    assert identity_differs(old, now) is identity_differs(now, old) is identity_differs(now, now) is None
    assert "sha256 was not recorded" in identity_differs(None, now)
    assert "sha256 was abc" in identity_differs(now | {"sha256": "abc"}, now)


def test_weights_saved_in_4_bits_load_and_are_described_as_such(made, tmp_path):
    pytest.importorskip("bitsandbytes")
    root = copied(made, tmp_path, sealed=False)
    packed = load_model(root / "model", quantize="nf4", device="cpu", quiet=True)
    (root / "model" / "model.safetensors").unlink()
    packed.model.save_pretrained(root / "model")
    again = load_model(root / "model", device="cpu", quiet=True)
    assert "nf4 weights" in again.description
    linears = [m for m in again.model.modules() if type(m).__name__ == "Linear4bit"]
    assert linears and not any(m.support_avx512bf16_for_cpu for m in linears)
    rewrite(root / "model" / "model.safetensors", without("layers.1.mlp.up_proj"))
    with pytest.raises(Damaged):
        load_model(root / "model", device="cpu", quiet=True)
