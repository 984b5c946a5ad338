"""Shared reading, rollouts and packed scoring, each against plain forwards of one prompt and one completion."""

import pytest
import torch
from transformers import GenerationConfig, Qwen2VLForConditionalGeneration

from tests.tiny import tiny_clip, tiny_messages
from vsr_kit.models.vision import chat_inputs, encode_clip, load_processor
from vsr_kit.sharing import (
    EncodedPrompt,
    embed,
    encode_prompt,
    generate_ids,
    give_scores,
    pack,
    prefill,
    prefill_next,
    score,
    shared_prefixes,
)

QUESTIONS = [
    (0, "How many?"),
    (0, "How many chair(s) are in this room?"),
    (0, "x"),
    (1, "How many?"),
    (None, "y"),
    (2, "z"),
]
CLIPS = {0: tiny_clip(0), 1: tiny_clip(1, 2, 84, 56), 2: tiny_clip(2)}


@pytest.fixture(scope="module")
def model(tiny_path):
    return Qwen2VLForConditionalGeneration.from_pretrained(tiny_path).eval()


@pytest.fixture(scope="module")
def scorer(tiny_path):
    """The same weights with the forward that scores."""
    model = Qwen2VLForConditionalGeneration.from_pretrained(tiny_path).eval()
    give_scores(model)
    return model


@pytest.fixture(scope="module")
def processor(tiny_path):
    return load_processor(tiny_path)


@pytest.fixture(scope="module")
def prompts(model, processor):
    encoded = {None: None} | {k: encode_clip(model, processor, clip) for k, clip in CLIPS.items()}
    return [encode_prompt(model, processor, tiny_messages(text), encoded[clip]) for clip, text in QUESTIONS]


def inputs_of(processor, index):
    clip, text = QUESTIONS[index]
    return chat_inputs(processor, tiny_messages(text), CLIPS.get(clip))


@torch.no_grad()
def plain_logits(model, processor, index, completion):
    """Logits before each token of the completion and after its last, from one ordinary forward with the pixels."""
    inputs = inputs_of(processor, index)
    added = torch.tensor([completion], dtype=torch.long)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], added], 1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    inputs["mm_token_type_ids"] = torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(added)], 1)
    return model(**inputs).logits[0, -len(completion) - 1 :]


def test_prompts_about_one_clip_share_their_beginning(prompts, processor):
    runs = shared_prefixes(prompts)
    assert [rows for rows, _ in runs] == [[0, 1, 2], [3], [4], [5]]
    rows, common = runs[0]
    head = prompts[0].ids_P[:common].tolist()
    assert head.count(processor.video_token_id) == 8
    assert all(prompts[i].ids_P[:common].tolist() == head for i in rows)
    assert all(common < len(prompts[i].ids_P) for rows, common in runs for i in rows)


def test_a_part_of_a_prompt_is_embedded_as_in_the_whole(model, prompts):
    """Cut before, inside and behind the clip."""
    whole, length = embed(model, prompts[0]), len(prompts[0].ids_P)
    pads = (prompts[0].ids_P == model.config.video_token_id).nonzero()[:, 0]
    for cut in (0, int(pads[0]), int(pads[3]), int(pads[-1]) + 1, length - 1):
        assert torch.equal(embed(model, prompts[0], 0, cut), whole[:cut])
        assert torch.equal(embed(model, prompts[0], cut), whole[cut:])
        assert torch.equal(embed(model, prompts[0], cut, -1), whole[cut:-1])


def test_equal_prompts_still_leave_a_token_to_read(prompts):
    assert shared_prefixes([prompts[0]] * 3) == [([0, 1, 2], len(prompts[0].ids_P) - 1)]


@pytest.mark.parametrize("asked, batch_size", [(range(6), 1), (range(6), 4), (range(6), 99), ([0, 3, 4], 1)])
def test_shared_reading_predicts_what_a_plain_forward_predicts(model, processor, prompts, asked, batch_size):
    """After the prompt, and after two more tokens; in batches of clips, sizes and lengths that are mixed."""
    then = [5, 17]
    seen = []
    for batch, reading in prefill(model, [prompts[i] for i in asked], batch_size):
        assert len(batch) <= batch_size
        after = [reading.logits_NW]
        for token in then:
            reading = prefill_next(model, reading, torch.full((len(batch),), token))
            after.append(reading.logits_NW)
        for row, i in enumerate(batch):
            plain = plain_logits(model, processor, asked[i], then)
            torch.testing.assert_close(torch.stack([x[row] for x in after]), plain, rtol=1e-4, atol=1e-4)
        seen += batch
    assert sorted(seen) == list(range(len(asked)))


def test_a_reading_can_be_repeated_and_thinned_out(model, processor, prompts):
    ((batch, reading),) = prefill(model, prompts, 99, num_samples=3)
    assert len(reading.logits_NW) == 3 * len(prompts)
    kept = torch.tensor([16, 4, 0])
    reading = prefill_next(model, reading.take(kept), torch.tensor([7, 8, 9]))
    for row, (sequence, token) in enumerate(zip(kept.tolist(), [7, 8, 9], strict=True)):
        plain = plain_logits(model, processor, batch[sequence // 3], [token])[-1]
        torch.testing.assert_close(reading.logits_NW[row], plain, rtol=1e-4, atol=1e-4)


def settings(processor, **how):
    pads = [processor.image_token_id, processor.video_token_id]
    end = processor.tokenizer.eos_token_id
    return GenerationConfig(
        max_new_tokens=8, eos_token_id=[end], pad_token_id=processor.tokenizer.pad_token_id, suppress_tokens=pads, **how
    )


def test_greedy_rollouts_are_those_of_transformers_alone(model, processor, prompts):
    config = settings(processor, do_sample=False)
    ours = generate_ids(model, prompts, 1, config, processor.tokenizer.pad_token_id)
    for i, ids in enumerate(ours):
        inputs = inputs_of(processor, i)
        plain = model.generate(**inputs, generation_config=config)[0, inputs["input_ids"].shape[1] :].tolist()
        assert ids == plain[: len(ids)]
        assert ids[-1] in config.eos_token_id or len(ids) == 8


def test_sampled_rollouts_are_those_of_transformers_with_the_clip_repeated(model, processor, prompts):
    """Same random state, same tokens: what stock TRL would have sampled, at a fraction of the reading."""
    config = settings(processor, do_sample=True, top_k=0)
    torch.manual_seed(3)
    ours = generate_ids(model, prompts[:1], 4, config, processor.tokenizer.pad_token_id)
    inputs = {k: v.repeat_interleave(4, 0) for k, v in inputs_of(processor, 0).items() if not k.startswith("pixel")}
    inputs["pixel_values_videos"] = inputs_of(processor, 0)["pixel_values_videos"].repeat(4, 1)
    torch.manual_seed(3)
    plain = model.generate(**inputs, generation_config=config)[:, inputs["input_ids"].shape[1] :].tolist()
    assert len({tuple(ids) for ids in ours}) > 1
    assert all(ids == other[: len(ids)] for ids, other in zip(ours, plain, strict=True))


def test_rollouts_leave_no_positions_behind(model, processor, prompts):
    generate_ids(model, prompts, 1, settings(processor, do_sample=False), processor.tokenizer.pad_token_id)
    assert model.model.rope_deltas is None


COMPLETIONS = [[5, 9, 2], [3], [7, 7, 7, 1, 4]]


@pytest.mark.parametrize("asked", [[0], [3], [4], [0, 1, 2], range(6)])
def test_packed_scores_are_those_of_plain_forwards(model, scorer, processor, prompts, asked):
    said = [torch.tensor(c) for c in COMPLETIONS]
    scored = score(scorer, [prompts[i] for i in asked], [said] * len(asked), with_entropy=True)
    for index, own in zip(asked, scored, strict=True):
        for completion, one in zip(COMPLETIONS, own, strict=True):
            plain = plain_logits(model, processor, index, completion)[:-1].log_softmax(-1)
            picked = plain[torch.arange(len(completion)), completion]
            torch.testing.assert_close(one.logps_T, picked, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(one.entropies_T, -(plain.exp() * plain).sum(-1), rtol=1e-4, atol=1e-4)


def test_a_temperature_divides_the_logits(model, scorer, processor, prompts):
    ((one,),) = score(scorer, [prompts[0]], [[torch.tensor([5, 9])]], temperature=0.7)
    plain = (plain_logits(model, processor, 0, [5, 9])[:-1] / 0.7).log_softmax(-1)
    torch.testing.assert_close(one.logps_T, plain[[0, 1], [5, 9]], rtol=1e-4, atol=1e-4)
    assert one.entropies_T is None


def test_a_completion_that_says_a_video_pad_takes_no_features(scorer, processor, prompts):
    """The prompt's clip stays where it is, and the pad is read as the word it is."""
    said = torch.tensor([processor.video_token_id, 5, 6])
    ((with_pad, other),) = score(scorer, [prompts[0]], [[said, torch.tensor([5, 6])]])
    ((alone,),) = score(scorer, [prompts[0]], [[torch.tensor([5, 6])]])
    torch.testing.assert_close(other.logps_T, alone.logps_T, rtol=1e-5, atol=1e-5)
    assert torch.isfinite(with_pad.logps_T).all()


def test_what_the_parts_of_a_tree_see(model, prompts):
    """A clip's beginning once, each question's rest once, its completions beside each other."""
    said = [torch.tensor([1, 2]), torch.tensor([3])]
    tree = pack(model, prompts[:2], [said, said[:1]])
    (_, common), lengths = shared_prefixes(prompts[:2])[0], [len(p.ids_P) for p in prompts]
    first, second = lengths[0] - 1 - common, lengths[1] - 1 - common
    assert [(part.own.stop - part.own.start, part.num_seen, part.pieces) for part in tree.parts] == [
        (common, 0, (common,)),
        *[(first, common, (first,))] * bool(first),
        (3, common + first, (2, 1)),
        (second, common, (second,)),
        (2, common + second, (2,)),
    ]
    assert tree.labels_S.tolist() == [1, 2, 3, 1, 2]
    assert tree.scored_S.tolist() == [
        *range(lengths[0] - 1, lengths[0] + 2),
        *range(len(tree.embeds_LD) - 2, len(tree.embeds_LD)),
    ]
    assert len(tree.embeds_LD) == common + first + 3 + second + 2


def test_an_empty_completion_is_refused(model, prompts):
    with pytest.raises(ValueError, match="no token"):
        pack(model, prompts[:1], [[torch.tensor([1]), torch.tensor([], dtype=torch.long)]])


def test_there_must_be_something_to_pack(model, prompts):
    with pytest.raises(ValueError, match="nothing to pack: 0 prompts"):
        pack(model, [])
    nothing = EncodedPrompt(prompts[0].ids_P[:0], prompts[0].positions_3P[:, :0], 0, None)
    with pytest.raises(ValueError, match="nothing to pack: 1 prompts"):
        pack(model, [nothing], [[torch.tensor([1])]])
