"""Questions meet by clip, every question once an epoch, whole cuts in every batch."""

import pytest
from trl.trainer.utils import RepeatSampler

from vsr_kit.training.video_mixin import ClipSampler, EpochSampler

SCENES = [f"room-{i // 7}" for i in range(7 * 6)]  # 7 questions of each of 6 clips: one cut of 4, a rest of 3


def sampler(many=4, batch=8, **how):
    return ClipSampler(SCENES, many, batch, **({"mini_repeat_count": 3, "repeat_count": 2} | how))


def batches(drawn: list[int], size: int) -> list[list[int]]:
    return [drawn[i : i + size] for i in range(0, len(drawn), size)]


def test_each_question_stands_side_by_side_and_a_batch_comes_again():
    drawn = list(sampler())
    assert len(drawn) == len(sampler()) == 5 * 8 * 3 * 2
    for first, again in zip(*[iter(batches(drawn, 8 * 3))] * 2, strict=True):
        assert first == again
        assert all(len(set(group)) == 1 for group in batches(first, 3))


def test_a_batch_holds_whole_cuts_of_clips_while_there_are_any():
    questions = list(sampler(mini_repeat_count=1, repeat_count=1))
    for batch in batches(questions, 8)[:3]:
        for cut in batches(batch, 4):
            assert len({SCENES[i] for i in cut}) == 1
    assert len(set(questions)) == len(questions) == 40


def test_order_is_the_seeds_and_changes_from_epoch_to_epoch():
    first, second, other = sampler(seed=1), sampler(seed=1), sampler(seed=2)
    epochs = [list(first), list(first)]
    assert epochs == [list(second), list(second)]
    assert epochs[0] != epochs[1] and epochs[0] != list(other)
    resumed = sampler(seed=1)
    resumed.set_epoch(1)
    assert list(resumed) == epochs[1]


@pytest.mark.parametrize("many, batch", [(3, 8), (0, 8), (16, 8)])
def test_a_batch_that_cannot_hold_whole_cuts_is_refused(many, batch):
    with pytest.raises(ValueError, match=f"questions_per_clip is {many} and a batch holds {batch}"):
        sampler(many, batch)


def test_an_epoch_can_be_entered_at_its_number_in_trls_own_order():
    how = {"mini_repeat_count": 3, "batch_size": 4, "repeat_count": 2, "seed": 9}
    stock, ours = RepeatSampler(SCENES, **how), EpochSampler(SCENES, **how)
    epochs = [list(stock) for _ in range(4)]
    assert len({tuple(order) for order in epochs}) == 4
    assert [list(ours) for _ in range(4)] == epochs
    entered = EpochSampler(SCENES, **how)
    entered.set_epoch(2)
    assert [list(entered), list(entered)] == epochs[2:]
    assert list(EpochSampler(SCENES, **how, shuffle=False)) == list(RepeatSampler(SCENES, **how, shuffle=False))
