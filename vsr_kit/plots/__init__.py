"""Plots: figures, tables and traces, which functions return and never show by themselves.

Every function takes plain numbers or the kit's records, and a `source`, *measured now* or *shipped*, that the figure
states visibly. A figure is an interactive plotly figure that brings its own SVG for viewers without scripts (GitHub,
nbviewer, the report page), and it carries alternative text. Written as the last line of a cell it is displayed; `show`
gives any other plotly figure the same two forms.

    training_curves  pass_at_k                       what a run logged; the best of k answers
    overlay                                          one metric of several trainings, their seeds as bands
    score_dots  before_after  parse_failures         scores with intervals and baselines; right, wrong, unreadable
    score_table  paper_table  traces                 the same as tables; answers as they were written
    floor_plan  clip_strip  group_figure             a room from above, its clip, one GRPO group
    named_frame  beside                              frames for people, and the model's next to them
    difference_forest                                differences around a line at zero, with their verdicts
    tree_mask  sharing_gain                          attention in a packed tree; what sharing saves
    gain_by_cost                                     what a gain cost, in each currency
    by_setting                                       differences along the settings of a knob
    reward_shapes                                    what rewards for numbers pay, near and far
    token_text                                       a completion, its tokens coloured by a number of each

style.py has colours and names, canvas.py the empty figure and the forms of display, svg.py and marks.py the SVG writer;
sketch.py draws curves that grow in milliseconds. The functions above are in rooms.py, large_frames.py, scores.py,
sharing.py, training.py, overlay.py, comparisons.py, knobs.py, tables.py and token_colours.py; draws.py
shows many answers to one question.
Left out: choosing what to plot, and statistics; both come before.
"""

from vsr_kit.plots.canvas import Figure, Html, Picture, show
from vsr_kit.plots.comparisons import difference_forest, gain_by_cost, pass_at_k, reward_shapes
from vsr_kit.plots.knobs import by_setting
from vsr_kit.plots.large_frames import beside, named_frame
from vsr_kit.plots.overlay import overlay
from vsr_kit.plots.rooms import clip_strip, floor_plan, frame_png
from vsr_kit.plots.scores import before_after, parse_failures, score_dots
from vsr_kit.plots.sharing import sharing_gain, tree_mask
from vsr_kit.plots.tables import paper_table, score_table, traces
from vsr_kit.plots.token_colours import token_text
from vsr_kit.plots.training import METRICS, group_figure, training_curves

__all__ = [
    "METRICS",
    "Figure",
    "Html",
    "Picture",
    "before_after",
    "beside",
    "by_setting",
    "clip_strip",
    "difference_forest",
    "floor_plan",
    "frame_png",
    "gain_by_cost",
    "group_figure",
    "named_frame",
    "overlay",
    "paper_table",
    "parse_failures",
    "pass_at_k",
    "reward_shapes",
    "score_dots",
    "score_table",
    "sharing_gain",
    "show",
    "token_text",
    "traces",
    "training_curves",
    "tree_mask",
]
