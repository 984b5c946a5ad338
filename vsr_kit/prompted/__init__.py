"""Prompts as the language model reads them, and what a batch of them generates or scores.

The story: a clip is encoded once (vision.encode_clips), a question about it becomes an `EncodedPrompt`, and everything
downstream shares that. `read_prompts` reads a clip once for all its questions and a question once for all its answers
(evaluation); `generate_ids` decodes any number of rollouts of any number of questions from one reading, with
transformers' own `generate` (training); `score` scores all completions of all questions in one packed sequence, a tree
of clips, questions and completions (reference and policy). Tests hold all three equal to plain forwards.

What others call prefix, prefill and a shared KV cache are here a beginning, reading it, and `SharedCache`. Evaluation
reads by itself (`read_prompts`: logits, rows that come and go), training for `generate` (`rollouts`).
To read in order: prompt.py, packing.py (what stands where), attention.py (what sees what), scoring.py, rollouts.py.
Left out: sequence parallelism, and a vision tower that learns: its features could not be shared between steps.
"""

from vsr_kit.prompted.attention import TreeMask, share_attention
from vsr_kit.prompted.packing import PackedTree, Part, pack
from vsr_kit.prompted.prompt import EncodedPrompt, embed, encode_prompt, shared_beginnings
from vsr_kit.prompted.reading import Reading, read_next, read_prompts
from vsr_kit.prompted.rollouts import generate_ids
from vsr_kit.prompted.scoring import Scored, SharedRows, give_scores, score

__all__ = [
    "EncodedPrompt",
    "PackedTree",
    "Part",
    "Reading",
    "Scored",
    "SharedRows",
    "TreeMask",
    "embed",
    "encode_prompt",
    "generate_ids",
    "give_scores",
    "pack",
    "read_next",
    "read_prompts",
    "score",
    "share_attention",
    "shared_beginnings",
]
