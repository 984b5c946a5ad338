"""Prompts as the language model reads them, and what a batch of them generates or scores.

The story: a clip is encoded once (vision.encode_clips), a question about it becomes an `EncodedPrompt`, and everything
downstream shares that. `read_prompts` reads a clip once for all its questions and a question once for all its answers
(evaluation); `generate_ids` decodes any number of rollouts from a prompt's repeated cache, with transformers' own
`generate` (training); `score_group` scores all completions of a prompt in one packed sequence, the prompt first, then
the completions side by side under a mask that lets each see the prompt and itself (reference and policy). Tests hold
all three equal to plain forwards.

Left out: sharing a clip between several questions in training, and sequence parallelism.
"""

from vsr_kit.prompted.packing import PackedGroup, pack_group, score_group
from vsr_kit.prompted.prompt import EncodedPrompt, embed, encode_prompt
from vsr_kit.prompted.reading import Reading, read_next, read_prompts, shared_beginnings
from vsr_kit.prompted.rollouts import generate_ids

__all__ = [
    "EncodedPrompt",
    "PackedGroup",
    "Reading",
    "embed",
    "encode_prompt",
    "generate_ids",
    "pack_group",
    "read_next",
    "read_prompts",
    "score_group",
    "shared_beginnings",
]
