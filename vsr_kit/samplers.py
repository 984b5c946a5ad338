"""Which questions meet in a step: TRL's order, or one in which several questions of a clip come together.

The story: all that is shared about a clip is shared within a batch, so it pays to ask several questions of it at once.
With one question a clip the order is TRL's own, a shuffle of all questions; with more, each clip's questions are
shuffled and cut into so many at a time, and these are shuffled. A clip's remaining questions, too few for another cut,
come at the end of the epoch, so that no cut straddles two batches. Both know an epoch's order by its number alone, so
that a run resumed in its third epoch goes on in the third order; TRL's own sampler would begin with the first again.
Left out: weighting questions by difficulty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler
from trl.trainer.utils import RepeatSampler


class EpochSampler(RepeatSampler):
    """TRL's RepeatSampler, order for order, that can begin at any epoch.

    Args:
        args, kwargs: RepeatSampler's, with a seed.
    """

    def __init__(self, *args, seed: int, **kwargs) -> None:
        super().__init__(*args, seed=seed, **kwargs)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes next, counted from 0; trainers say it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if self.shuffle:  # an order is the next draw of one stream: the earlier ones are drawn and put aside
            self.generator.manual_seed(self.seed)
            for _ in range(self.epoch):
                torch.randperm(self.num_samples, generator=self.generator)
        self.epoch += 1
        return super().__iter__()


class ClipSampler(Sampler):
    """Yields row indices as `trl.trainer.utils.RepeatSampler` does, with several questions of a clip side by side.

    Args:
        scenes: scene_name of every row.
        questions_per_clip: how many of a clip's questions come together, at least 1.
        batch_size: questions of a batch; a multiple of `questions_per_clip`.
        mini_repeat_count, repeat_count, seed: RepeatSampler's.

    Raises:
        ValueError: a batch that cannot hold whole cuts.
    """

    def __init__(
        self,
        scenes: Sequence[str],
        questions_per_clip: int,
        batch_size: int,
        mini_repeat_count: int,
        repeat_count: int = 1,
        seed: int = 0,
    ) -> None:
        if questions_per_clip < 1 or batch_size % questions_per_clip:
            raise ValueError(
                f"questions_per_clip is {questions_per_clip} and a batch holds {batch_size} questions: choose a "
                f"divisor of {batch_size}, or change the questions of a step"
            )
        self.scenes, self.questions_per_clip = list(scenes), questions_per_clip
        self.repeats = RepeatSampler(self.scenes, mini_repeat_count, batch_size, repeat_count, shuffle=False)
        self.seed, self.epoch = seed, 0

    def __len__(self) -> int:
        return len(self.repeats)

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes next, counted from 0; trainers say it, so that a resumed run goes on in its own order."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = self._order()
        self.epoch += 1
        return (order[place] for place in self.repeats)

    def _order(self) -> list[int]:
        self.generator = torch.Generator().manual_seed(self.seed + self.epoch)
        by_scene: dict[str, list[int]] = {}
        for row in self._shuffled(range(len(self.scenes))):
            by_scene.setdefault(self.scenes[row], []).append(row)
        many = self.questions_per_clip
        cuts = [rows[i : i + many] for rows in by_scene.values() for i in range(0, len(rows), many)]
        whole, rest = [c for c in cuts if len(c) == many], [c for c in cuts if len(c) < many]
        return sum(self._shuffled(whole) + self._shuffled(rest), [])

    def _shuffled(self, items: Sequence) -> list:
        return [items[i] for i in torch.randperm(len(items), generator=self.generator).tolist()]
