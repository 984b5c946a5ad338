"""Making the miniature: a genuine Qwen2-VL of three million parameters, taught by our rooms alone.

`vsr pretrain` films rooms, teaches the vision tower to see, teaches the whole model to answer, then makes its answers
diffuse; recipe.py holds every number and says what is built in. `vsr_kit.study.acceptance` measures a candidate.
Left out: any text from outside the kit.
"""

from vsr_kit.miniature.recipe import Recipe, Stage
from vsr_kit.miniature.training import pretrain

__all__ = ["Recipe", "Stage", "pretrain"]
