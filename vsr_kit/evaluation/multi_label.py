"""SPARC's arithmetic (arXiv 2502.16911): which of many names are true of a clip, from scores of prompts that hold them.

A score says how well a prompt fits a clip; nothing else is known of the model. Scores have two biases: some clips score
high with every prompt, some prompts with every clip. And a compound prompt, which names several objects, may score high
for any one of them. SPARC does four things, without labels and without training:

1. *Debias.* From each clip's scores take the mean of its single-name prompts and divide by their spread; then do the
   same for each prompt over the clips. Dividing over clips alone keeps the order of clips by any one prompt, so it
   cannot change a name's average precision; it makes prompts comparable, which the next step needs.
2. *Compound prompts.* Each name is asked for in company, too.
3. *Rank.* A name's compound scores are sorted within each clip. The highest is often a false hit, high because of the
   company; the paper finds the second-highest to tell more.
4. *Fuse.* The first principal component over clips of the ranked scores and the single one weighs them, with positive
   sign and weights that add up to one; the mean of that and the single score is the result.

The paper has a language model choose the company, objects that are found together. Rooms of this kit are furnished at
random, so nothing is found together, and `compounds` gives every name the same number of partners by turns.
Average precision is the mean, over the clips that show an object, of the precision down to that clip's rank.
Left out: the paper's ensemble of 80 templates for a single name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vsr_kit.evaluation.intervals import Interval

PAIR_STEPS, TRIPLE_STEPS = (1, 2, 3), ((4, 9),)  # of the names in a circle: six pairs and three triples hold a name
FEWEST_NAMES = 10  # from which on all of these are different prompts
RESAMPLES = 1000
Prompt = tuple[int, ...]  # the names that it holds, by number


def single_and_compound(names: int) -> list[Prompt]:
    """The prompts about so many names: one for each alone, then pairs and triples that hold each equally often.

    Raises:
        ValueError: fewer than FEWEST_NAMES.
    """
    if names < FEWEST_NAMES:
        raise ValueError(f"{names} names make too few different compounds: give at least {FEWEST_NAMES}")
    steps = [(0, step) for step in PAIR_STEPS] + [(0, *step) for step in TRIPLE_STEPS]
    together = [tuple((i + step) % names for step in own) for own in steps for i in range(names)]
    return [(i,) for i in range(names)] + together


def standardised(scores_CP: np.ndarray, names: int) -> np.ndarray:
    """Scores (C clips, P prompts) without the biases of clips, then of prompts.

    names: how many prompts, the first ones, name one object; their mean and spread are a clip's.

    Raises:
        ValueError: fewer than two clips or names.
    """
    if min(len(scores_CP), names) < 2:
        raise ValueError(f"{len(scores_CP)} clips and {names} names have no spread: give at least two of each")
    single_CN = scores_CP[:, :names]
    by_clip = (scores_CP - single_CN.mean(1, keepdims=True)) / single_CN.std(1, ddof=1, keepdims=True)
    return (by_clip - by_clip.mean(0)) / by_clip.std(0, ddof=1)


def ranked(scores_CP: np.ndarray, prompts: Sequence[Prompt], name: int) -> np.ndarray:
    """A name's compound scores in each clip from the highest on, (C, K)."""
    own = [i for i, prompt in enumerate(prompts) if len(prompt) > 1 and name in prompt]
    return -np.sort(-scores_CP[:, own], axis=1)


def first_component(scores_CK: np.ndarray) -> np.ndarray:
    """Weights (K,) of the first principal component over clips: mean not negative, sizes that add up to one."""
    _, _, axes = np.linalg.svd(scores_CK - scores_CK.mean(0), full_matrices=False)
    weights = axes[0] if axes[0].mean() >= 0 else -axes[0]
    return weights / np.abs(weights).sum()


def fused(single_C: np.ndarray, ranked_CK: np.ndarray) -> np.ndarray:
    """SPARC's score of a name in each clip, (C,), from its debiased single score and its ranked compound ones."""
    together = np.column_stack([ranked_CK, single_C])
    return (together @ first_component(together) + single_C) / 2


METHODS = ("plain", "standardised", "highest", "second", "fused")


def name_scores(scores_CP: np.ndarray, prompts: Sequence[Prompt]) -> dict[str, np.ndarray]:
    """The scores (C, N) of every name in every clip, by each of METHODS.

    `plain` are the single prompts as they are, `standardised` the same debiased; `highest` and `second` are the highest
    and the second-highest of a name's debiased compound scores; `fused` is SPARC's.
    """
    names = sum(len(prompt) == 1 for prompt in prompts)
    debiased_CP = standardised(scores_CP, names)
    orders = [ranked(debiased_CP, prompts, name) for name in range(names)]
    return {
        "plain": scores_CP[:, :names],
        "standardised": debiased_CP[:, :names],
        "highest": np.column_stack([own[:, 0] for own in orders]),
        "second": np.column_stack([own[:, 1] for own in orders]),
        "fused": np.column_stack([fused(debiased_CP[:, name], own) for name, own in enumerate(orders)]),
    }


def average_precision(scores: Sequence[float], present: Sequence, times_RC: np.ndarray | None = None):
    """Mean precision at the ranks of what is present, 0 to 1; nan where nothing is. Equal scores keep their order.

    Args:
        scores: C of them, higher is surer.
        present: C truth values.
        times_RC: how often each of C clips counts in each of R draws, all of them once by default. A clip drawn twice
            ties with itself, and both get the precision behind the two.

    Returns:
        A number, or (R,) of them.
    """
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    times = np.ones((1, len(order))) if times_RC is None else times_RC[:, order].astype(float)
    hits = times * np.asarray(present, bool)[order]
    with np.errstate(invalid="ignore"):
        precision = hits.cumsum(1) / np.maximum(times.cumsum(1), 1)
        found = (hits * precision).sum(1) / hits.sum(1)
    return float(found[0]) if times_RC is None else found


def mean_average_precision(scores_CN: np.ndarray, labels_CN: np.ndarray, times_RC: np.ndarray | None = None):
    """The mean of the names' average precisions, 0 to 1, over the names that some clip shows.

    Args:
        scores_CN: from `name_scores`.
        labels_CN: 1 where the clip shows an object of that name, 0 where the room has none, -1 where the room has one
            that the clip does not show: such a clip is left out of that name's ranking.
        times_RC: as `average_precision` takes it.

    Returns:
        A number, or (R,) of them.
    """
    found = []
    for scores_C, labels_C in zip(scores_CN.T, labels_CN.T, strict=True):
        told = labels_C >= 0
        if (labels_C == 1).any():
            times = None if times_RC is None else times_RC[:, told]
            found.append(average_precision(scores_C[told], labels_C[told] == 1, times))
    return float(np.mean(found)) if times_RC is None else np.nanmean(found, axis=0)


def map_difference(
    scores: Mapping[str, np.ndarray], labels_CN: np.ndarray, after: str, before: str, seed: int = 0
) -> Interval:
    """The difference of two methods' mean average precision in points, with the 95 % bootstrap interval over rooms.

    Args:
        scores: from `name_scores`; they stay as they are while rooms are drawn.
        labels_CN: as `mean_average_precision` takes them; each clip is another room's.
        after, before: of METHODS.
        seed: of the draws.
    """
    rooms = len(labels_CN)
    times_RC = np.random.default_rng(seed).multinomial(rooms, [1 / rooms] * rooms, size=RESAMPLES)
    own, other = (scores[of] for of in (after, before))
    mean = 100 * (mean_average_precision(own, labels_CN) - mean_average_precision(other, labels_CN))
    apart = [mean_average_precision(of, labels_CN, times_RC) for of in (own, other)]
    low, high = np.percentile(100 * (apart[0] - apart[1]), [2.5, 97.5])
    asked = int((labels_CN >= 0).sum())
    return Interval(mean, min(float(low), mean), max(float(high), mean), asked, rooms, (1, 1), None, ("procedural",))
