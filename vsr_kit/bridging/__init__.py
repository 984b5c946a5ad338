"""Modality bridging: chains of thought for rows, written by rules or models, as Vision-R1 makes its cold-start data.

The pipeline is the paper's (arXiv 2503.06749): a model that sees the clip, and is told the answer, writes a pseudo-CoT;
with that in hand it writes a description; a text-only reasoner that sees neither clip nor answer writes a chain; it is
kept if its answer is right and it is consistent.

By rule, which is the default: chains.py is the language of chains that compute, description.py says what is in a room,
reasoner.py writes chains from that, and quality.py checks chains by computation. By anybody: stage_prompts.py words the
three requests, asking.py and writers.py say what a writer is, endpoint.py asks any OpenAI-compatible server and
local.py a model on this machine, answer_cache.py keeps answers, costs.py estimates and limits what they cost,
filters.py has the rules by which chains are dropped, stage_files.py the journals, and pipeline.py runs it all.
stated.py says what any chain that can be read concludes, and whether its answer agrees. `vsr bridge` is the command.
Left out: training on what was written (`training.SFT(targets=chains_of(folder))`, `miniature.cold_start`), and chains
judged by a model.
"""

from vsr_kit.bridging.answer_cache import AnswerCache
from vsr_kit.bridging.asking import Prompt, Written
from vsr_kit.bridging.chains import Chain, Step, read_chain
from vsr_kit.bridging.costs import Budget, Estimate, Ledger, Price
from vsr_kit.bridging.description import Described, Description, describe
from vsr_kit.bridging.endpoint import Endpoint
from vsr_kit.bridging.filters import RULES, faults
from vsr_kit.bridging.local import LocalModel
from vsr_kit.bridging.pipeline import Bridged, bridge, chains_of
from vsr_kit.bridging.quality import Checked, Quality, chain_quality, check_chain, check_steps
from vsr_kit.bridging.reasoner import Reasoned, Style, reason
from vsr_kit.bridging.stage_prompts import STAGES, stage_messages
from vsr_kit.bridging.writers import Rules, Writer

__all__ = [
    "RULES",
    "STAGES",
    "AnswerCache",
    "Bridged",
    "Budget",
    "Chain",
    "Checked",
    "Described",
    "Description",
    "Endpoint",
    "Estimate",
    "Ledger",
    "LocalModel",
    "Price",
    "Prompt",
    "Quality",
    "Reasoned",
    "Rules",
    "Step",
    "Style",
    "Writer",
    "Written",
    "bridge",
    "chain_quality",
    "chains_of",
    "check_chain",
    "check_steps",
    "describe",
    "faults",
    "read_chain",
    "reason",
    "stage_messages",
]
