"""The miniature: a genuine Qwen2-VL of three million parameters, trained from nothing on the kit's rooms alone.

`vsr pretrain` films rooms, trains the vision tower to see, trains the whole model to answer, then makes its answers
diffuse. recipe.py holds every number and says what is built in; training.py runs the stages, stages.py has their loop,
batches.py the loss of many lessons about one clip, lessons.py the texts, sight.py the films and the vision tower's
labels, folder.py the work folder. `vsr_kit.study.acceptance` measures a candidate.
Left out: any text from outside the kit.
"""

from vsr_kit.miniature.recipe import Recipe, Stage
from vsr_kit.miniature.training import pretrain

__all__ = ["Recipe", "Stage", "pretrain"]
