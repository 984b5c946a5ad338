"""What the study found: tables, differences and verdicts, computed anew from the answers in a study folder.

The story: `vsr_kit.study` keeps answers and never scores them; here they are read, scored and compared, the same way
for the course's notebooks, a report page and anyone who asks. Every function takes the study's folder, the shipped one
by default; every figure is in per cent with its 95 % interval. A verdict is never written down: `verdict` computes it
from the differences its claim names, by the claim's own rule.
Left out: drawing (`vsr_kit.plots`) and running (`vsr_kit.study`).
"""

from vsr_kit.results.answers import Bands, in_points, one_mean, provenance, training_answers
from vsr_kit.results.paper import PAPER_2B
from vsr_kit.results.prompting import (
    MODES,
    answer_shares,
    cot_table,
    lines_to_beat,
    mode_answers,
    tries_table,
    truncated_percent,
)
from vsr_kit.results.summary import ledger, study_summary
from vsr_kit.results.trained import (
    BeforeAfter,
    answer_pairs,
    first_and_last_groups,
    grpo_table,
    rollouts,
    run_curves,
    run_summaries,
    trained_answers,
    trained_runs,
    variant_answers,
)
from vsr_kit.results.verdicts import Verdict, stated, verdict, verdicts
from vsr_kit.study import BENCH, WORDS

__all__ = [
    "BENCH",
    "MODES",
    "PAPER_2B",
    "WORDS",
    "Bands",
    "BeforeAfter",
    "Verdict",
    "answer_pairs",
    "answer_shares",
    "cot_table",
    "first_and_last_groups",
    "grpo_table",
    "in_points",
    "ledger",
    "lines_to_beat",
    "mode_answers",
    "one_mean",
    "provenance",
    "rollouts",
    "run_curves",
    "run_summaries",
    "stated",
    "study_summary",
    "trained_answers",
    "trained_runs",
    "training_answers",
    "tries_table",
    "truncated_percent",
    "variant_answers",
    "verdict",
    "verdicts",
]
