"""Prefix sharing: tokens that prompts and completions have in common are read once, in rollouts, scoring, training.

packing.py lays prompts and completions out as one packed sequence, a tree in which every shared prefix occurs once;
attention.py lets each token attend to its own ancestors in that tree, or to those in the KV cache of shared_cache.py,
which holds a clip once for its prompts, and a prompt once for its samples. rollouts.py samples a training step's
completions after one prefill of the packed prompts; scoring.py computes log-probabilities of completions, and
sampled_logps.py takes them while they are sampled; prefill.py is the prefill of an evaluation. reference.py is the
plain computation without sharing with which tests compare; compare.py runs both in a notebook, and meter.py counts the
tokens and seconds of each.

There are two prefills on purpose. An evaluation's answers must not depend on which questions share a batch, so
prefill.py pads; a training step's samples must be those of transformers' `generate`, so rollouts.py hands it the cache
of a packed tree.
Left out: paged KV memory and continuous batching (vLLM has them).
"""

from vsr_kit.sharing.attention import TreeMask, share_attention
from vsr_kit.sharing.packing import EncodedPrompt, PackedTree, Part, embed, encode_prompt, pack, shared_prefixes
from vsr_kit.sharing.prefill import Prefill, prefill, prefill_next
from vsr_kit.sharing.rollouts import generate_ids
from vsr_kit.sharing.sampled_logps import SampledLogps
from vsr_kit.sharing.scoring import Scored, SharedRows, give_scores, score

__all__ = [
    "EncodedPrompt",
    "PackedTree",
    "Part",
    "Prefill",
    "SampledLogps",
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
