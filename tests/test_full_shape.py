"""The full shape in the hub's layout: at its widths by names and sizes; at a twentieth it loads, answers and trains."""

import json
import math

import pytest

from tests.full_shape import FULL, TOKENS, VOCABULARY, flat_config, main, make_checkpoint, old_names
from vsr_kit.models.checkpoint_files import check_files
from vsr_kit.models.vision import load_processor
from vsr_kit.paths import data_samples


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A work folder with the small checkpoint made."""
    folder = tmp_path_factory.mktemp("full-shape")
    make_checkpoint(folder / "checkpoint-20", 20)
    return folder


def test_the_full_shape_has_the_hubs_parameters_under_the_hubs_names(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(flat_config()))
    shapes = old_names(tmp_path)
    assert sum(math.prod(shape) for shape in shapes.values()) == FULL == 2_208_985_600
    assert shapes["model.embed_tokens.weight"] == (VOCABULARY, 1536)
    assert shapes["model.layers.27.mlp.down_proj.weight"] == (1536, 8960)
    assert shapes["visual.patch_embed.proj.weight"] == (1280, 3, 2, 14, 14)
    assert shapes["visual.blocks.31.attn.qkv.weight"] == (3840, 1280) and shapes["visual.merger.mlp.2.bias"] == (1536,)
    assert {name.split(".")[0] for name in shapes} == {"model", "visual"}  # the head is the embedding


def test_the_layout_is_the_hubs(place):
    folder = place / "checkpoint-20"
    names = {path.name for path in folder.iterdir() if path.suffix != ".safetensors"}
    assert names == {
        *("config.json", "generation_config.json", "preprocessor_config.json", "chat_template.json", "merges.txt"),
        *("tokenizer.json", "tokenizer_config.json", "vocab.json", "model.safetensors.index.json"),
    }
    config = json.loads((folder / "config.json").read_text())
    assert "text_config" not in config and config["hidden_size"] == 128 and config["num_hidden_layers"] == 28
    assert sum(map(len, check_files(folder).values())) == len(old_names(folder))


def test_text_is_cut_as_the_miniature_cuts_it_and_special_tokens_have_the_hubs_numbers(place):
    long, mini = (load_processor(path).tokenizer for path in (place / "checkpoint-20", data_samples("mini-qwen2-vl")))
    for text in ("How many chair(s) are in this room?", "1.5 m, naïve 房间 🙂", "<think>two beds</think>"):
        assert long.convert_ids_to_tokens(long(text)["input_ids"]) == mini.convert_ids_to_tokens(
            mini(text)["input_ids"]
        )
        assert long.decode(long(text)["input_ids"]) == text
    ids = {name: long.convert_tokens_to_ids(name) for name in ("<|endoftext|>", "<|im_end|>", "<|video_pad|>")}
    assert ids == {"<|endoftext|>": 151643, "<|im_end|>": 151645, "<|video_pad|>": 151656}
    assert len(long) == TOKENS + 14


@pytest.mark.slow
def test_the_small_one_loads_answers_and_takes_a_step(place, capsys):
    used = main(["--folder", str(place), "--divisor", "20", "--generations", "2", "--frames", "2", "--most-gb", "99"])
    assert used.answered == 10 and 20e6 < used.parameters < 40e6
    assert used.step["grad_norm"] > 0 and math.isfinite(used.step["loss"])
    assert [stage.split()[0] for stage, *_ in used.stages] == ["making", "loading", "asking", "one"]
    assert "nf4 weights" in capsys.readouterr().out
