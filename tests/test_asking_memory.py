"""The plan of an evaluation is what real ones hold, and its bounds are those of the code that it describes."""

import re

import pytest

from benchmarks.live import LiveBytes
from tests.test_cli_models import vsr
from tests.test_memory_plan import DEEP, rows_about
from tests.tiny import VISION, tiny_checkpoint, tiny_clip, tiny_of_family
from vsr_kit import generation
from vsr_kit.models import load_model
from vsr_kit.sharing import attention, shared_cache
from vsr_kit.sharing.prefill import HELD_AT_ONCE, READ_AT_ONCE
from vsr_kit.training import asking_memory
from vsr_kit.training.asking_memory import Asking, plan_asking, turned_down
from vsr_kit.training.shapes import SHAPES, STAMP_TOKENS, shape_of

# (sizes of the model, of the evaluation, the phase that is the largest)
CASES = {
    "clip": (
        {"vision": VISION | {"embed_dim": 256, "num_heads": 4, "mlp_ratio": 4}},
        {"num_frames": 16, "num_clips": 2, "questions": 2, "max_new_tokens": 4},
    ),
    "answers, the cache": (
        {"text": DEEP | {"num_hidden_layers": 8, "hidden_size": 256}},
        {"num_frames": 16, "num_clips": 2, "questions": 16, "max_new_tokens": 16},
    ),
    "answers, logits": (
        {"text": DEEP | {"vocab_size": 50048, "num_hidden_layers": 2}},
        {"num_frames": 4, "num_clips": 4, "questions": 8, "max_new_tokens": 4},
    ),
    "answers of qwen2_5_vl": (
        {"text": DEEP | {"num_hidden_layers": 8, "hidden_size": 256}},
        {"num_frames": 16, "num_clips": 2, "questions": 16, "max_new_tokens": 16},
    ),
    "clip of qwen3_vl": (
        {"hidden_size": 256, "intermediate_size": 1024, "num_heads": 4},
        {"num_frames": 16, "num_clips": 2, "questions": 2, "max_new_tokens": 4},
    ),
    "reading": (
        {"text": DEEP | {"intermediate_size": 2048, "num_hidden_layers": 2}},
        {"num_frames": 16, "num_clips": 4, "questions": 1, "max_new_tokens": 4},
    ),
}
SIDE = 112
TEXT_TOKENS = {"text_tokens": 55, "own_tokens": 26}  # what the tiny tokenizer makes of the question


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_plan_is_within_15_per_cent_of_the_live_tensors_of_real_evaluations(tmp_path, case, monkeypatch):
    (sizes, how), kind = CASES[case], case.partition(" of ")[2]
    made = tiny_of_family(tmp_path / "model", kind, **sizes) if kind else tiny_checkpoint(tmp_path / "model", **sizes)
    path = str(made)
    loaded = load_model(path, device="cpu", quiet=True)
    monkeypatch.setattr(generation, "end_token_ids", lambda loaded: {-1})  # every answer goes on to the cap
    clips = {f"room-{i}": tiny_clip(i, how["num_frames"], SIDE, SIDE) for i in range(how["num_clips"])}
    rows = [
        row | {"id": f"{row['id']}-{k}", "question": f"How many {'ABCDEFGHIJKLMNOPQ'[k]} are in this room?"}
        for row in rows_about(clips)
        for k in range(how["questions"])
    ]
    live = LiveBytes()
    live.hold(loaded.model.parameters())
    with live:
        generation.generate(loaded, rows, clips, max_new_tokens=how["max_new_tokens"])
    text = TEXT_TOKENS["text_tokens"] - (12 if kind == "qwen3_vl" else 0)  # no marks around the whole clip
    text += (14 - STAMP_TOKENS) * how["num_frames"] // 2 if kind == "qwen3_vl" else 0  # 14 a time, of that tokenizer
    asked = TEXT_TOKENS | {"text_tokens": text}
    asking = Asking(shape_of(path), frame_px=(SIDE, SIDE), device="cpu", number_bytes=4, **asked, **how)
    planned = plan_asking(asking)
    assert planned.largest == case.split(",")[0].split(" of ")[0]
    assert planned.peak == pytest.approx(live.peak, rel=0.15)


def test_vsr_plan_plans_an_evaluation():
    how = ["--for", "eval", "--frames", 4, "--batch-size", 256, "--per-clip", 32, "--device", "cuda"]
    done = vsr("plan", *how, "--memory", "2GB")
    assert done.exit_code == 0, done.output
    for part in (
        "linears, nf4",
        "vision tower",
        "clips' features",
        "cache of beginnings",
        "cache of questions",
        "--batch-size 64",
    ):
        assert part in done.output, part
    needed = re.search(r"it needs ([\d.]+) GB and does not fit 2\.00 GB", done.output)
    assert needed and "256 answers at once" in done.output
    enough = vsr("plan", *how, "--memory", f"{float(needed[1]) + 0.1:.2f}GB")
    assert "and fits" in enough.output and "optimiser" not in enough.output


def test_what_is_turned_down_takes_less():
    asking = Asking(SHAPES["Qwen/Qwen2-VL-2B-Instruct"], num_frames=32, frame_px=(476, 644))
    settings = turned_down(asking)
    assert [flag.split()[0] for flag, *_ in settings] == ["--batch-size", "--quantize", "--frames", "--pixels"]
    whole = plan_asking(asking).at("answers")
    assert all(plan_asking(then).at("answers") < whole for _, then, _ in settings)


def test_the_plans_bounds_are_those_of_the_code_it_describes():
    ours = asking_memory
    assert (ours.CLIPS_AT_ONCE, ours.PIXELS_AT_ONCE) == (generation._CLIPS_AT_ONCE, generation._PIXELS_AT_ONCE)
    assert (ours.READ_AT_ONCE, ours.HELD_AT_ONCE) == (READ_AT_ONCE, HELD_AT_ONCE)
    assert (ours.COPIED_BYTES, ours.EXPANDED_BYTES) == (shared_cache.COPIED_BYTES, attention.EXPANDED_BYTES)
    assert ours.DRAWN_AT_ONCE == generation._LOGITS_AT_ONCE
