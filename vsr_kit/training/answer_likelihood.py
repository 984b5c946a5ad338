"""The reference's log-probability of the answer alone, given the chain that was written before it.

`JointGRPOTrainer` can hand a reward the log-probability of a whole completion under the reference. How likely an answer
is after its chain follows from two of them: log p(chain, answer) - log p(chain) = log p(answer | chain). So the
completion up to the end of its answer is scored, and the same up to where the answer begins, and both are subtracted;
nothing else of the trainer changes.
Left out: saving the second pass, whose numbers the first one holds as well.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence

from vsr_kit.training.joint_trainer import JointGRPOTrainer

OPENS, CLOSES = "<answer>", "</"


def answer_span(ids: Sequence[int], decode: Callable[[Sequence[int]], str]) -> tuple[int, int] | None:
    """Which tokens of a completion are its answer: the first, and the one after the last; None where there is none.

    Args:
        ids: of the completion.
        decode: token ids to text, special tokens left out.

    An answer stands after the first `<answer>` and ends before its closing tag, or with the text. A token that holds
    the end of the tag and the beginning of the answer counts as the tag's.
    """

    text = decode(ids)
    opened = text.find(OPENS)
    closed = text.find(CLOSES, opened)

    def tokens_of(characters: int) -> int:
        """How many tokens the shortest beginning has whose text is that long."""
        return bisect_left(range(len(ids)), characters, key=lambda count: len(decode(ids[:count])))

    if opened < 0:
        return None
    begin = tokens_of(opened + len(OPENS))
    end = len(ids) if closed < 0 else tokens_of(closed + 1) - 1
    while end > begin and not decode(ids[end - 1 : end]):  # what ends the text is no part of the answer
        end -= 1
    return (begin, end) if end > begin else None


class AnswerLikelihoodTrainer(JointGRPOTrainer):
    """`JointGRPOTrainer` whose rewards are given the answer's likelihood instead of the whole completion's.

    `reference_logps` are then the mean log-probabilities of a token of the answer, given question, clip and chain, in
    nats; -inf for a completion without an answer.
    """

    def _reference_logps(self, completion_ids_list: list[list[int]]) -> list[float]:
        def decode(ids):
            return self._tokenizer.decode(ids, skip_special_tokens=True)

        spans = [answer_span(own, decode) for own in completion_ids_list]
        # one token stands in for completions without an answer, so that groups stay whole
        ends, begins = ([own[side] if own else 1 for own in spans] for side in (1, 0))
        whole = super()._reference_logps([own[:n] for own, n in zip(completion_ids_list, ends, strict=True)])
        chains = super()._reference_logps([own[:n] for own, n in zip(completion_ids_list, begins, strict=True)])
        return [
            (both - chain) / (span[1] - span[0]) if span else -math.inf
            for span, both, chain in zip(spans, whole, chains, strict=True)
        ]
