"""A clip's keys and values are held once for its rows: the numbers of copies, in the memory of one."""

import sys

import pytest
import torch

from benchmarks.live import LiveBytes
from tests.tiny import tiny_checkpoint, tiny_clip
from vsr_kit.generation import generate
from vsr_kit.models import load_model
from vsr_kit.sharing import attention, prefill, prefill_next, shared_cache
from vsr_kit.sharing.attention import grouped_attention, groups_fall_to_the_slow_kernel
from vsr_kit.sharing.shared_cache import Level, SharedCache

PREFILL = sys.modules["vsr_kit.sharing.prefill"]  # its name inside the package is the function
LONG = tiny_clip(3, num_frames=40, height_px=112, width_px=112)  # 320 merged tokens


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A tiny model whose keys and values weigh more than its other activations."""
    wide = {"num_hidden_layers": 4, "num_key_value_heads": 4}
    return load_model(tiny_checkpoint(tmp_path_factory.mktemp("wide"), text=wide), device="cpu", quiet=True)


def rows(count, scenes=("a",)):
    return [
        {
            "id": str(i),
            "dataset": "test",
            "scene_name": scenes[i % len(scenes)],
            "question_type": "object_counting",
            "question": f"How many chair(s) {'and tables ' * (i % 3)}are in room {i}?",
            "options": None,
            "ground_truth": "3",
            "phrasing": "vsi-bench",
        }
        for i in range(count)
    ]


def never_copied(monkeypatch):
    monkeypatch.setattr(shared_cache, "COPIED_BYTES", 0)
    monkeypatch.setattr(attention, "EXPANDED_BYTES", 0)


# -- which row goes on from which beginning ----------------------------------------------------------------------------


@pytest.mark.parametrize("owner", [[0, 0, 1, 1], [2, 0, 2, 2, 1], [1], [0, 2, 0]])
def test_rows_meet_their_own_beginning(owner):
    """One product for all rows of a beginning gives what a product for each row gives."""
    beginnings, x = torch.randn(3, 2, 5, 4), torch.randn(len(owner), 2, 3, 4)
    level = Level(torch.tensor(owner), 3)
    found = level.back(level.together(x) @ beginnings.transpose(-1, -2))
    torch.testing.assert_close(found, x @ beginnings[level.owner_N].transpose(-1, -2))


def test_rows_side_by_side_are_a_case_of_it():
    x, even = torch.randn(6, 2, 3, 4), Level.each(2, 3)
    odd = Level(even.owner_N, 2)
    assert even.owner_N.tolist() == [0, 0, 0, 1, 1, 1]
    assert torch.equal(even.together(x), odd.together(x))
    assert torch.equal(even.back(even.together(x)), x) and torch.equal(odd.back(odd.together(x)), x)


@pytest.mark.parametrize("copied", [0, 2**30])
def test_rows_may_leave_and_the_others_keep_their_beginnings(monkeypatch, copied):
    monkeypatch.setattr(shared_cache, "COPIED_BYTES", copied)
    keys = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 1, 3, 4)
    cache = SharedCache([(keys, keys)], Level.each(2, 3))
    cache.batch_select_indices(torch.tensor([5, 0, 4]))
    (level,), ((held, _),) = cache.levels, cache.layers[0].beginnings
    assert held[level.owner_N][:, 0, 0, 0].tolist() == [1, 0, 1]
    assert len(held) == (3 if copied else 2)


# -- the same numbers --------------------------------------------------------------------------------------------------

SCENES = {"a": LONG, "b": tiny_clip(1, 2, 84, 56), "c": tiny_clip(2)}


@pytest.mark.parametrize("how", [{"max_new_tokens": 12}, {"max_new_tokens": 8, "temperature": 1.0, "num_samples": 3}])
@pytest.mark.parametrize("batch_size", [4, 64])
def test_answers_are_those_of_copies(loaded, monkeypatch, how, batch_size):
    """Clips of several lengths, rows without one, ends at different steps; all passes as small as can be."""
    monkeypatch.setattr(loaded.model.generation_config, "eos_token_id", list(range(3, 350, 9)))
    asked = rows(9, ("a", "b", "c", "unseen"))
    copied = generate(loaded, asked, SCENES, batch_size=batch_size, **how)
    never_copied(monkeypatch)
    monkeypatch.setattr(PREFILL, "READ_AT_ONCE", 1)
    monkeypatch.setattr("vsr_kit.generation._PIXELS_AT_ONCE", 1)
    monkeypatch.setattr("vsr_kit.generation._LOGITS_AT_ONCE", 1)
    assert generate(loaded, asked, SCENES, batch_size=batch_size, **how) == copied
    monkeypatch.setattr(PREFILL, "HELD_AT_ONCE", 1)
    assert generate(loaded, asked, SCENES, batch_size=batch_size, **how) == copied
    assert len({own.num_tokens for group in copied for own in group}) > 2


def logits_of(loaded, asked, then):
    """Logits of all rows after the prompt and after each further token, and of some rows after others have left."""
    from vsr_kit.generation import _prompts

    prompts = _prompts(loaded, asked, SCENES, ["think"] * len(asked), "eval")
    ((_, reading),) = prefill(loaded.model, prompts, 99, num_samples=2)
    found = [reading.logits_NW.log_softmax(-1)]
    for token in then:
        reading = prefill_next(loaded.model, reading, torch.full((len(reading.logits_NW),), token))
        found.append(reading.logits_NW.log_softmax(-1))
    reading = prefill_next(loaded.model, reading.take(torch.tensor([7, 1, 4])), torch.tensor([3, 4, 5]))
    return torch.cat([*found, reading.logits_NW.log_softmax(-1)])


def test_log_probabilities_are_those_of_copies(loaded, monkeypatch):
    asked = rows(5, ("a", "b"))
    copied = logits_of(loaded, asked, [5, 17, 9])
    never_copied(monkeypatch)
    torch.testing.assert_close(logits_of(loaded, asked, [5, 17, 9]), copied, rtol=1e-5, atol=1e-5)


# -- the memory of one -------------------------------------------------------------------------------------------------


def peak(loaded, count):
    with LiveBytes(given=False) as live:
        generate(loaded, rows(count), {"a": LONG}, max_new_tokens=6)
    return live.peak


def test_memory_grows_with_the_clip_once(loaded, monkeypatch):
    """24 questions more cost less than what their rows read themselves and one more clip; copies cost 24 clips."""
    config = loaded.model.config.text_config
    of_a_token = 2 * 4 * config.num_hidden_layers * config.num_key_value_heads * (128 // config.num_attention_heads)
    clip = 320 * of_a_token
    copies = peak(loaded, 32) - peak(loaded, 8)
    assert copies > 24 * clip
    never_copied(monkeypatch)
    shared = peak(loaded, 32) - peak(loaded, 8)
    assert shared < min(copies - 23 * clip, 12 * clip)


def test_what_is_alive_is_counted_until_it_is_let_go():
    before = torch.zeros(50)
    with LiveBytes(given=False) as live:
        a = torch.zeros(1000)
        views = [a.view(10, 100), a[3:], before[:2]]
        assert live.now == 4000
        b = a + 1
        del a, views
        assert (live.now, live.peak) == (4000, 8000)
        del b
        assert live.now == 0


# -- cards without bf16 ------------------------------------------------------------------------------------------------


class OnCard:
    """What the choice of a kernel asks a tensor."""

    is_cuda, device = True, "cuda:0"

    def __init__(self, dtype):
        self.dtype = dtype


@pytest.mark.parametrize(
    "capability, dtype, masked, slow",
    [
        ((7, 5), torch.float32, False, True),
        ((7, 5), torch.float16, False, True),
        ((8, 0), torch.bfloat16, False, False),
        ((9, 0), torch.float32, False, True),
        ((9, 0), torch.bfloat16, True, True),
    ],
)
def test_where_grouped_heads_are_slow(monkeypatch, capability, dtype, masked, slow):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert groups_fall_to_the_slow_kernel(OnCard(dtype), torch.zeros(1) if masked else None) is slow
    assert not groups_fall_to_the_slow_kernel(torch.zeros(1), None)


@pytest.mark.parametrize("masked", [False, True])
def test_repeated_heads_give_the_same(monkeypatch, masked):
    query, key, value = torch.randn(2, 6, 5, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    bias = torch.full((5, 5), -1e9).triu(1) if masked else None
    grouped = grouped_attention(query, key, value, bias, causal=not masked)
    heads = []
    plain = attention.F.scaled_dot_product_attention
    monkeypatch.setattr(attention, "groups_fall_to_the_slow_kernel", lambda query, bias: True)
    monkeypatch.setattr(
        attention.F,
        "scaled_dot_product_attention",
        lambda q, k, v, *a, **how: (
            heads.append((k.shape[1], v.shape[1], how["enable_gqa"])) or plain(q, k, v, *a, **how)
        ),
    )
    torch.testing.assert_close(grouped_attention(query, key, value, bias, causal=not masked), grouped)
    assert heads == [(6, 6, False)]


def test_on_such_a_card_no_pass_has_grouped_heads(tiny_path, monkeypatch):
    """All passes that answer a question, and the same answers."""
    asked, narrow = rows(3), load_model(tiny_path, device="cpu", quiet=True)
    want = generate(narrow, asked, {"a": LONG}, max_new_tokens=5)
    plain, grouped = torch.nn.functional.scaled_dot_product_attention, []

    def spy(query, key, *args, **how):
        if query.shape[2] > 1 and query.shape[1] != key.shape[1]:
            grouped.append(query.shape)
        return plain(query, key, *args, **how)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    assert generate(narrow, asked, {"a": LONG}, max_new_tokens=5) == want
    assert grouped, "this card's passes have grouped heads"
    grouped.clear()
    monkeypatch.setattr(attention, "groups_fall_to_the_slow_kernel", lambda query, bias: True)
    assert generate(narrow, asked, {"a": LONG}, max_new_tokens=5) == want
    assert not grouped
