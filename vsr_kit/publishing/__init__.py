"""Publishing: what a finished run becomes for others, who do not have this kit.

origin.py says what a run's adapter was trained on; merging.py makes one ordinary checkpoint of both; card.py writes the
model card out of run folders and hub.py pushes adapter and card; formats.py writes answers as lmms-eval and VLMEvalKit
keep theirs; gap.py accounts for the difference between two scores of one model, whose sides.py reads.
Left out: Spaces, data sets, GGUF and other formats of weights.
"""

from vsr_kit.publishing.formats import FORMATS, export_answers
from vsr_kit.publishing.gap import Gap, explain_gap
from vsr_kit.publishing.origin import Origin, origin_of
from vsr_kit.publishing.sides import Side, read_side

__all__ = ["FORMATS", "Gap", "Origin", "Side", "explain_gap", "export_answers", "origin_of", "read_side"]
