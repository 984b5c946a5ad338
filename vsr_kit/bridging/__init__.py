"""Modality bridging: chains of thought written by a reasoner that reads a description and never sees the clip.

Vision-R1 (arXiv 2503.06749) makes its cold start so. chains.py is the language of chains that compute, description.py
says what is in a room, reasoner.py writes chains by rule, and quality.py checks chains by computation.
Left out: training on what was written (`vsr_kit.training.SFT`, `vsr_kit.miniature.cold_start`).
"""

from vsr_kit.bridging.chains import Chain, Step, read_chain
from vsr_kit.bridging.description import Described, Description, describe
from vsr_kit.bridging.quality import Checked, Quality, chain_quality, check_chain, check_steps
from vsr_kit.bridging.reasoner import Reasoned, Style, reason

__all__ = [
    "Chain",
    "Checked",
    "Described",
    "Description",
    "Quality",
    "Reasoned",
    "Step",
    "Style",
    "chain_quality",
    "check_chain",
    "check_steps",
    "describe",
    "read_chain",
    "reason",
]
