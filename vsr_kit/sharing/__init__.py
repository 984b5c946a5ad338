"""Sharing: each shared token of a batch is read once, whatever is sampled, scored or trained after it.

packing.py lays clips, questions and completions out as one sequence, a tree in which every shared prefix stands once;
attention.py lets each token see its own ancestors in that tree; scoring.py computes log-probabilities, rollouts.py
samples a step's completions, prefill.py reads the prompts of an evaluation with a shared KV cache. reference.py is the
plain computation that tests compare with, compare.py and meter.py put both side by side.

There are two prefills on purpose: an evaluation's answers must not depend on which questions share a batch, so
prefill.py pads; a training step's samples must be those of transformers, so rollouts.py hands it a packed tree.
Left out: pages of KV memory and continuous batching (vLLM has them).
"""

from vsr_kit.sharing.attention import TreeMask, share_attention
from vsr_kit.sharing.packing import EncodedPrompt, PackedTree, Part, embed, encode_prompt, pack, shared_prefixes
from vsr_kit.sharing.prefill import Prefill, prefill, prefill_next
from vsr_kit.sharing.rollouts import generate_ids
from vsr_kit.sharing.scoring import Scored, SharedRows, give_scores, score

__all__ = [
    "EncodedPrompt",
    "PackedTree",
    "Part",
    "Prefill",
    "Scored",
    "SharedRows",
    "TreeMask",
    "embed",
    "encode_prompt",
    "generate_ids",
    "give_scores",
    "pack",
    "prefill",
    "prefill_next",
    "score",
    "share_attention",
    "shared_prefixes",
]
