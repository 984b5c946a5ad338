"""Widgets to look inside: clips beside their floor plan, answers beside what they earned, curves while they grow.

The story: core ipywidgets only, every control usable by keyboard, every redraw a plain observer that a test can trigger
without a browser. The plan is our figure's SVG in an HTML widget: it follows the slider frame by frame without the
flicker of an output area, and needs no extension. Where no kernel runs (a saved notebook, GitHub, a page) each widget
shows its still form: pictures, plan and text of what was chosen when it was displayed.
Left out: training from a widget, and widget state in saved notebooks.
"""

from vsr_kit.widgets.inspector import AnswerInspector
from vsr_kit.widgets.live import LiveCurves, TimeLeft
from vsr_kit.widgets.player import ClipPlayer

__all__ = ["AnswerInspector", "ClipPlayer", "LiveCurves", "TimeLeft"]
