"""The store of clip features: what comes back is what the tower gives, and only what is the same is shared."""

import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen2VLForConditionalGeneration

from tests.tiny import tiny_clip
from vsr_kit.models import feature_cache
from vsr_kit.models.feature_cache import FeatureStore
from vsr_kit.models.vision import ClipFeatures, Qwen2VLVideoProcessor, encode_clip, load_processor

FP32, BF16 = torch.float32, torch.bfloat16


def tiny_model(path, dtype=FP32):
    return Qwen2VLForConditionalGeneration.from_pretrained(path, dtype=dtype).eval()


@pytest.fixture
def model(tiny_path):
    return tiny_model(tiny_path)


@pytest.fixture
def processor(tiny_path):
    return load_processor(tiny_path)


def clips(number: int) -> list[np.ndarray]:
    """Clips of two sizes in turn."""
    return [tiny_clip(seed, 4, *((56, 84) if seed % 2 else (84, 56))) for seed in range(number)]


def counted(store: FeatureStore) -> tuple[int, int, int]:
    return store.encoded, store.from_memory, store.from_disk


def assert_same(got: list[ClipFeatures], expected: list[ClipFeatures]) -> None:
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        assert one.grid_thw == other.grid_thw and all(type(n) is int for n in one.grid_thw)
        assert one.features_VD.dtype == other.features_VD.dtype
        assert torch.equal(one.features_VD, other.features_VD)
        assert not one.features_VD.requires_grad


# -- exact -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [FP32, BF16])
def test_features_are_those_of_the_tower_bit_for_bit_cold_and_warm(tiny_path, processor, tmp_path, dtype):
    """In bf16, too, where a clip's features depend in their last bits on the clips it shares a batch with."""
    model, some = tiny_model(tiny_path, dtype), clips(9)
    expected = [encode_clip(model, processor, clip) for clip in some]
    store = FeatureStore(folder=tmp_path)
    assert_same(store.encode(model, processor, some), expected)
    assert_same(store.encode(model, processor, some[::-1]), expected[::-1])
    assert counted(store) == (9, 9, 0)
    later = FeatureStore(folder=tmp_path)
    assert_same(later.encode(model, processor, some[3:]), expected[3:])
    assert counted(later) == (0, 0, 6)
    assert_same(later.encode(model, processor, some), expected)
    assert counted(later) == (0, 6, 9)


def test_a_clip_named_several_times_is_encoded_once(model, processor):
    store = FeatureStore()
    first, second, again = store.encode(model, processor, [tiny_clip(0), tiny_clip(1), tiny_clip(0).copy()])
    assert first.features_VD is again.features_VD and not torch.equal(first.features_VD, second.features_VD)
    assert counted(store) == (2, 0, 0)


def test_no_clip_no_work(model, processor):
    assert FeatureStore().encode(model, processor, []) == []


def test_features_made_in_inference_mode_can_meet_a_gradient_later(model, processor):
    store = FeatureStore()
    with torch.inference_mode():
        store.encode(model, processor, [tiny_clip(0)])
    (clip,) = store.encode(model, processor, [tiny_clip(0)])
    weight = torch.ones(1, requires_grad=True)
    (clip.features_VD * weight).sum().backward()
    assert store.from_memory == 1 and weight.grad is not None


def test_a_store_shares_the_tower_of_a_lora_model(model, processor):
    store = FeatureStore()
    (plain,) = store.encode(model, processor, [tiny_clip(0)])
    wrapped = get_peft_model(model, LoraConfig(target_modules=r".*language_model.*q_proj"))
    assert store.encode(wrapped, processor, [tiny_clip(0)])[0].features_VD is plain.features_VD


# -- what must not be shared -------------------------------------------------------------------------------------------


def test_other_pixels_or_another_shape_of_the_same_bytes_are_another_clip(model, processor):
    clip = tiny_clip(0, 4, 56, 84)
    nearly, turned = clip.copy(), clip.reshape(4, 84, 56, 3)
    nearly[-1, -1, -1, -1] ^= 1
    store = FeatureStore()
    got = store.encode(model, processor, [clip, nearly, turned])
    assert store.encoded == 3 and got[2].grid_thw == (2, 6, 4)


class OtherImplementation(Qwen2VLVideoProcessor):
    pass


def other_class(processor, model):
    processor.video_processor.__class__ = OtherImplementation


def setting(name, value):
    def change(processor, model):
        setattr(processor.video_processor, name, value)

    change.__name__ = name
    return change


def one_weight_in_place(processor, model):
    with torch.no_grad():
        model.model.visual.merger.mlp[2].bias[-1] += 1


def one_weight_replaced(processor, model):
    bias = model.model.visual.merger.mlp[2].bias
    bias.data = bias.data + 1


def unsaved_buffer(processor, model):
    model.model.visual.rotary_pos_emb.inv_freq.mul_(2)


def half_precision(processor, model):
    model.to(BF16)


def attention(processor, model):
    model.model.visual.set_attn_implementation("eager")


def configuration(processor, model):
    model.model.visual.config.hidden_act = "gelu"


CHANGES = [setting("size", {"shortest_edge": 28 * 28, "longest_edge": 28 * 56}), setting("image_mean", [0, 0, 0])]
CHANGES += [setting("image_std", [1, 1, 1]), setting("resample", 0), setting("rescale_factor", 1.0), other_class]
CHANGES += [one_weight_in_place, one_weight_replaced, unsaved_buffer, half_precision, attention, configuration]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_decides_the_features_decides_the_key(model, processor, tmp_path, change):
    store = FeatureStore(folder=tmp_path)
    store.encode(model, processor, [tiny_clip(0)])
    change(processor, model)
    got = store.encode(model, processor, [tiny_clip(0)])
    assert counted(store) == (2, 0, 0)
    assert_same(got, [encode_clip(model, processor, tiny_clip(0))])


def test_autocast_has_features_of_its_own(model, processor):
    store = FeatureStore()
    (full,) = store.encode(model, processor, [tiny_clip(0)])
    with torch.autocast("cpu", BF16):
        (half,) = store.encode(model, processor, [tiny_clip(0)])
        assert_same([half], [encode_clip(model, processor, tiny_clip(0))])
    assert store.encoded == 2 and not torch.equal(full.features_VD, half.features_VD)
    assert store.encode(model, processor, [tiny_clip(0)])[0].features_VD is full.features_VD


def test_an_adapter_on_the_tower_switched_off_has_other_features(model, processor):
    config = LoraConfig(target_modules=r".*visual.*qkv", init_lora_weights=False)
    wrapped, store = get_peft_model(model, config).eval(), FeatureStore()
    (on,) = store.encode(wrapped, processor, [tiny_clip(0)])
    with wrapped.disable_adapter():
        (off,) = store.encode(wrapped, processor, [tiny_clip(0)])
    assert store.encoded == 2 and not torch.equal(on.features_VD, off.features_VD)


def test_rounding_of_fp32_products_is_part_of_the_key(model, processor):
    store, before = FeatureStore(), torch.get_float32_matmul_precision()
    store.encode(model, processor, [tiny_clip(0)])
    torch.set_float32_matmul_precision("high")
    try:
        store.encode(model, processor, [tiny_clip(0)])
    finally:
        torch.set_float32_matmul_precision(before)
    store.encode(model, processor, [tiny_clip(0)])
    assert counted(store) == (2, 1, 0)


def test_the_weights_are_hashed_once_a_tower(model, processor, monkeypatch):
    hashed = []
    monkeypatch.setattr(feature_cache, "_hash_of", lambda tensors: hashed.append(1) or "0" * 64)
    for store in (FeatureStore(), FeatureStore()):
        for seed in (0, 1):
            store.encode(model, processor, [tiny_clip(seed)])
    assert len(hashed) == 1


# -- memory ------------------------------------------------------------------------------------------------------------


def test_the_longest_unused_go_first_and_the_bound_holds(model, processor):
    store = FeatureStore(memory_bytes=2 * 12 * 128 * 4)  # two clips of 12 tokens, 128 wide, fp32
    a, b, c = clips(3)
    for clip in (a, b, a, c):
        store.encode(model, processor, [clip])
    assert store.bytes_in_memory == store.memory_bytes and counted(store) == (3, 1, 0)
    store.encode(model, processor, [a, c])
    assert counted(store) == (3, 3, 0)
    store.encode(model, processor, [b])
    assert counted(store) == (4, 3, 0)


def test_a_call_larger_than_memory_loses_nothing_it_found_there(model, processor):
    store = FeatureStore(memory_bytes=12 * 128 * 4)
    store.encode(model, processor, clips(1))
    assert_same(
        store.encode(model, processor, clips(4)[::-1]), [encode_clip(model, processor, c) for c in clips(4)[::-1]]
    )
    assert counted(store) == (4, 1, 0) and store.bytes_in_memory == store.memory_bytes


def test_a_kept_clip_holds_no_more_than_its_own_features(model, processor):
    for clip in FeatureStore().encode(model, processor, clips(3)):
        assert clip.features_VD.untyped_storage().nbytes() == clip.features_VD.nbytes


@pytest.mark.parametrize("name", ["memory_bytes", "disk_bytes"])
def test_a_negative_bound_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} is -1"):
        FeatureStore(**{name: -1})


@pytest.mark.parametrize("bad", [np.zeros((4, 56, 56, 3)), np.zeros((4, 56, 56), np.uint8), [["a", None]]])
def test_a_bad_clip_is_refused_by_name_and_costs_nothing_done_before_it(model, processor, bad):
    store = FeatureStore()
    with pytest.raises(ValueError, match="uint8 frames of shape"):
        store.encode(model, processor, [tiny_clip(0), bad])
    store.encode(model, processor, [tiny_clip(0)])
    assert counted(store) == (1, 1, 0)


# -- the folder --------------------------------------------------------------------------------------------------------


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns)


def cut(path, other):
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path, other):
    path.write_bytes(b"")


def one_bit_flipped(path, other):
    data = bytearray(path.read_bytes())
    data[data.index(safetensors.torch.load(bytes(data))["features_VD"].numpy().tobytes())] ^= 1
    path.write_bytes(data)


def of_another_clip(path, other):
    path.write_bytes(other.read_bytes())


def foreign_tensors(path, other):
    safetensors.torch.save_file({"weight": torch.ones(3)}, path)


def noise(path, other):
    path.write_bytes(np.random.default_rng(0).bytes(5000))


@pytest.mark.parametrize("harm", [cut, emptied, one_bit_flipped, of_another_clip, foreign_tensors, noise])
def test_a_file_that_is_not_as_it_should_be_is_a_miss_and_mended(model, processor, tmp_path, harm):
    FeatureStore(folder=tmp_path).encode(model, processor, [tiny_clip(0)])
    (path,) = files(tmp_path)
    FeatureStore(folder=tmp_path).encode(model, processor, [tiny_clip(1)])
    whole = path.read_bytes()
    harm(path, next(other for other in files(tmp_path) if other != path))
    store = FeatureStore(folder=tmp_path)
    assert_same(store.encode(model, processor, [tiny_clip(0)]), [encode_clip(model, processor, tiny_clip(0))])
    assert counted(store) == (1, 0, 0) and path.read_bytes() == whole


def test_a_kill_while_writing_leaves_no_file_under_the_key(model, processor, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", killed)
        FeatureStore(folder=tmp_path).encode(model, processor, [tiny_clip(0)])
    (part,) = tmp_path.iterdir()
    assert part.suffix == ".part"
    FeatureStore(folder=tmp_path).encode(model, processor, [tiny_clip(0)])
    assert part.exists()  # it may be another process's, still being written
    os.utime(part, (time.time() - 7200,) * 2)
    FeatureStore(folder=tmp_path).encode(model, processor, [tiny_clip(1)])
    assert not part.exists() and len(files(tmp_path)) == 2


def test_the_folder_keeps_its_bound_and_what_was_used_last(model, processor, tmp_path):
    a, b, c = clips(3)
    FeatureStore(folder=tmp_path).encode(model, processor, [a])
    (of_a,) = files(tmp_path)
    FeatureStore(folder=tmp_path).encode(model, processor, [b])
    (of_b,) = set(files(tmp_path)) - {of_a}
    for age_s, path in ((50, of_a), (40, of_b)):
        os.utime(path, (time.time() - age_s,) * 2)
    (tmp_path / "notes.txt").write_text("x" * 10**6)
    FeatureStore(folder=tmp_path).encode(model, processor, [a])  # read: used last
    bound = of_a.stat().st_size + of_b.stat().st_size
    FeatureStore(folder=tmp_path, disk_bytes=bound).encode(model, processor, [c])
    assert of_a.exists() and not of_b.exists() and len(files(tmp_path)) == 2
    assert (tmp_path / "notes.txt").exists()


def test_a_folder_of_no_bytes_keeps_nothing(model, processor, tmp_path):
    FeatureStore(folder=tmp_path, disk_bytes=0).encode(model, processor, clips(2))
    assert not list(tmp_path.iterdir())


def test_a_clip_that_another_process_evicts_while_it_is_read_is_whole_or_a_miss(
    model, processor, tmp_path, monkeypatch
):
    FeatureStore(folder=tmp_path).encode(model, processor, [tiny_clip(0)])
    expected = [encode_clip(model, processor, tiny_clip(0))]
    real = Path.read_bytes

    def after(self):
        data = real(self)
        self.unlink()
        return data

    def before(self):
        self.unlink()
        return real(self)

    for read, count in ((after, (0, 0, 1)), (before, (1, 0, 0))):
        store = FeatureStore(folder=tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", read)
            assert_same(store.encode(model, processor, [tiny_clip(0)]), expected)
        assert counted(store) == count
        FeatureStore(folder=tmp_path).encode(model, processor, [tiny_clip(0)])


def test_a_file_that_vanishes_while_room_is_made_does_no_harm(model, processor, tmp_path, monkeypatch):
    FeatureStore(folder=tmp_path).encode(model, processor, clips(2))
    real = feature_cache._Folder._files

    def raced(self):
        found = real(self)
        for _, path, _ in found:
            path.unlink()
        return found

    monkeypatch.setattr(feature_cache._Folder, "_files", raced)
    store = FeatureStore(folder=tmp_path, disk_bytes=0)
    with warnings.catch_warnings(action="error"):
        store.encode(model, processor, [tiny_clip(5)])
    assert store.encoded == 1


def test_a_folder_that_takes_no_more_is_said_once_and_the_run_goes_on(model, processor, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    store = FeatureStore(folder=tmp_path)
    with pytest.warns(UserWarning, match="No space left") as said:
        store.encode(model, processor, clips(3))
    assert len(said) == 1 and counted(store) == (3, 0, 0) and not list(tmp_path.iterdir())


def test_a_folder_larger_than_its_bound_is_cut_when_it_is_opened(model, processor, tmp_path):
    FeatureStore(folder=tmp_path).encode(model, processor, clips(3))
    FeatureStore(folder=tmp_path, disk_bytes=2 * files(tmp_path)[0].stat().st_size)
    assert len(files(tmp_path)) == 2


def test_what_other_processes_write_is_seen_now_and_then(model, processor, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_cache, "_WRITES_BETWEEN_LOOKS", 2)
    FeatureStore(folder=tmp_path / "one").encode(model, processor, clips(1))
    room = 3 * files(tmp_path / "one")[0].stat().st_size
    ours, other = (FeatureStore(folder=tmp_path / "both", disk_bytes=room) for _ in range(2))
    other.encode(model, processor, clips(3))
    ours.encode(model, processor, clips(5)[3:])
    assert len(files(tmp_path / "both")) == 3


OTHER_PROCESS = """
import sys
import torch
torch.set_num_threads(1)
from transformers import Qwen2VLForConditionalGeneration
from tests.tiny import tiny_clip
from vsr_kit.models.feature_cache import FeatureStore
from vsr_kit.models.vision import load_processor
path, folder, room = sys.argv[1], sys.argv[2], int(sys.argv[3])
model = Qwen2VLForConditionalGeneration.from_pretrained(path, dtype=torch.bfloat16).eval()
processor, clips = load_processor(path), [tiny_clip(seed, 4, 56, 84) for seed in range(5)]
for disk_bytes, rounds in ((10**9, 1), (room, 30)):
    for _ in range(rounds):
        store = FeatureStore(folder=folder, disk_bytes=disk_bytes)
        got = store.encode(model, processor, clips)
    print(store.encoded, store.from_disk, *(bytes(c.features_VD.view(torch.uint8).numpy()).hex() for c in got))
    sys.stdout.flush()
"""


@pytest.mark.slow
def test_two_processes_share_a_folder(tiny_path, processor, tmp_path):
    """The other finds it warm and reads the same bits; then each removes, all the time, what the other reads."""
    model, some = tiny_model(tiny_path, BF16), [tiny_clip(seed, 4, 56, 84) for seed in range(5)]
    expected = FeatureStore(folder=tmp_path).encode(model, processor, some)
    bits = [bytes(clip.features_VD.view(torch.uint8).numpy()).hex() for clip in expected]
    room = 2 * max(path.stat().st_size for path in files(tmp_path))  # for two clips of five
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-c", OTHER_PROCESS, str(tiny_path), str(tmp_path), str(room)]
    environment = os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env=environment) as other:
        assert other.stdout.readline().split() == ["0", "5", *bits]
        rounds = 0
        while other.poll() is None or not rounds:
            assert_same(FeatureStore(folder=tmp_path, disk_bytes=room).encode(model, processor, some), expected)
            rounds += 1
        assert other.stdout.readline().split()[2:] == bits and other.returncode == 0
    FeatureStore(folder=tmp_path, disk_bytes=room)  # each saw the other's last writes only now and then
    assert len(files(tmp_path)) == len(list(tmp_path.iterdir())) == 2
