"""A completion's tokens as text: what each one adds, and how text that was recorded becomes tokens again.

A token is no piece of text. It may be some bytes of a character, and a special token, such as the one that ends a
completion, adds no text at all. `token_texts` gives every token the text that is there after it and was not before, so
that the texts of all tokens together are the completion, letter by letter: a character that several tokens make stands
with the last of them, and the tokens before it add nothing.

A run records texts and no ids. `retokenized` makes ids again and refuses where they cannot be those of the text. Even
where they reproduce the text, they may differ from the ids that were sampled:

    - a model may sample "ch", "air" where the tokenizer makes "chair" of it;
    - special tokens left no trace in the text, the end token among them;
    - `generate` removes spaces and line breaks at either end of a text.

So whoever has the ids should give them. `TokenMeasures` is the record of one completion's tokens and their numbers.
Left out: the numbers themselves (token_measures.py), and tokens of prompts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

MEASURES = ("advantage", "entropy", "policy_minus_reference", "grounding")
NO_CHARACTER = "\ufffd"  # what a decoder writes for bytes that make no character


@dataclass(frozen=True)
class TokenMeasures:
    """One completion of T tokens.

    Attributes:
        tokens: T texts; together they are the completion.
        specials: T names: of a special token its own, such as `<|im_end|>`, of every other one nothing.
        values: T numbers of each measure that was taken, a name of `MEASURES`.
        other_scene: whose clip the grounding is measured against; nothing where it is not.
        reason: why there are no tokens; nothing where there are, or where the completion is empty.
    """

    tokens: tuple[str, ...] = ()
    specials: tuple[str, ...] = ()
    values: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: MappingProxyType({}))
    other_scene: str = ""
    reason: str = ""


def special_tokens(tokenizer) -> dict[int, str]:
    """Ids of the tokens that a decoder leaves out of a text, with their names."""
    return {i: token.content for i, token in tokenizer.added_tokens_decoder.items() if token.special}


def token_texts(tokenizer, ids: Sequence[int]) -> tuple[list[str], list[str]]:
    """What each token adds to the text, and the names of special tokens, both (T,); see `TokenMeasures`.

    Bytes that make no character are U+FFFD, as in the text that a run records.
    """
    ids, named = list(ids), special_tokens(tokenizer)
    specials = [named.get(i, "") for i in ids]
    text = tokenizer.decode(ids, skip_special_tokens=True)
    alone = [tokenizer.decode([i], skip_special_tokens=True) for i in ids]
    if "".join(alone) == text:  # as nearly always: no character is made by several tokens
        return alone, specials
    # How much of the text is there after each token. The last character of a beginning may be a U+FFFD that the next
    # token makes whole, which is why beginnings are compared with the whole text and not with each other.
    ends = [0]
    for count in range(1, len(ids) + 1):
        there = tokenizer.decode(ids[:count], skip_special_tokens=True)
        ends.append(max(ends[-1], len(os.path.commonprefix([there, text]))))
    return [text[start:end] for start, end in pairwise(ends)], specials


def retokenized(tokenizer, text: str) -> list[int]:
    """Ids that reproduce a text; what they may have in common with those that were sampled, the module's story says.

    A special token's name in a text is taken for the letters that it is: the token itself would have left none.

    Raises:
        ValueError: no ids give this text.
    """
    if NO_CHARACTER in text:
        raise ValueError("its text holds U+FFFD, which stands for bytes that make no character: which ones is not said")
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    made = tokenizer.decode(ids, skip_special_tokens=True)
    if made != text:
        shared = len(os.path.commonprefix([made, text]))
        raise ValueError(
            f"its tokens do not give its text again: at character {shared} they write {made[shared : shared + 12]!r} "
            f"for {text[shared : shared + 12]!r}; give the ids that were sampled"
        )
    return ids
