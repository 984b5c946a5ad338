"""Inspection: what models wrote, as one table that is filtered, sorted and grouped.

table.py has `RolloutTable`, the data behind the rollout browser; sources.py reads run folders, TRL's logged
completions, and samples of lmms-eval and VLMEvalKit into it; tokens.py finds what a training recorded of tokens.
Left out: drawing, which is in `vsr_kit.widgets` and `vsr_kit.pages`.
"""

from vsr_kit.inspection.outcomes import CHANGES, OUTCOMES, change_of
from vsr_kit.inspection.sources import read_rollout_table
from vsr_kit.inspection.table import SIGNS, Filter, Group, RolloutTable

__all__ = ["CHANGES", "OUTCOMES", "SIGNS", "Filter", "Group", "RolloutTable", "change_of", "read_rollout_table"]
