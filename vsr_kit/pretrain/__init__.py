"""Making the miniature: a genuine Qwen2-VL of three million parameters, taught by our rooms alone.

`vsr pretrain` films rooms, teaches the vision tower to see, teaches the whole model to answer, then makes its answers
diffuse; `recipe.py` holds every number and says what is built in. Acceptance is measured on validation rooms only.
Left out: distributed training, and any text from outside the kit.
"""

from vsr_kit.pretrain.recipe import Recipe, Stage
from vsr_kit.pretrain.run import pretrain

__all__ = ["Recipe", "Stage", "pretrain"]
