"""What a training recorded of its rollouts' tokens, found for the rows of a table.

A run's `tokens.jsonl` names a rollout by its step and its place among the rollouts of that step. A line that does not
fit the rollout there (another question, another text) is none of it and is left out.
Left out: measuring tokens, which takes the model (`evaluation.token_measures`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from vsr_kit.evaluation.token_texts import MEASURES, TokenMeasures


def recorded_tokens(lines: Sequence[Mapping], rollouts: Sequence[Mapping]) -> dict[int, TokenMeasures]:
    """Token measures by the place of a rollout in its run.

    Args:
        lines: of tokens.jsonl, as `RunFolder.read_tokens` gives them.
        rollouts: of the same run, all of them, in their order.
    """
    by_place = {(line["step"], line["rollout"]): line for line in lines}
    if not by_place:
        return {}
    found: dict[int, TokenMeasures] = {}
    so_far: Counter = Counter()
    for at, row in enumerate(rollouts):
        step = row.get("step")
        line = by_place.get((step, so_far[step]))
        so_far[step] += 1
        if line is not None and (line["id"], line["completion"]) == (row.get("id"), row.get("completion")):
            values = {name: tuple(line[name]) for name in MEASURES if name in line}
            found[at] = TokenMeasures(tuple(line["tokens"]), tuple(line["specials"]), values, line["other_scene"])
    return found
