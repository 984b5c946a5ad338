"""Widgets for notebooks: clips with their floor plan, answers with their rewards, and curves that grow during training.

player.py plays a clip, browser.py finds its way through a run's rollouts, inspector.py compares answers (which
answer_sources.py reads), playground.py asks questions of one's own (about rooms that room_choice.py finds), knob.py
turns a knob over results that are there, live.py draws training curves, view.py keeps a notebook's shortcuts out of
them.
They use core ipywidgets only; every control works by keyboard, and every redraw is a plain observer that a test can
trigger without a browser. A plan or a figure is SVG in an HTML widget, so it follows the slider without the flicker of
an output area and without an extension. Where no kernel runs (a saved notebook, GitHub, a page) each widget shows its
still form: pictures, plan and text of the choice at the time of display.
Left out: training from a widget, and widget state in saved notebooks.
"""

from vsr_kit.widgets.browser import RolloutBrowser
from vsr_kit.widgets.inspector import AnswerInspector
from vsr_kit.widgets.knob import Knob
from vsr_kit.widgets.live import LiveCurves, TimeLeft
from vsr_kit.widgets.player import ClipPlayer
from vsr_kit.widgets.playground import Playground

__all__ = ["AnswerInspector", "ClipPlayer", "Knob", "LiveCurves", "Playground", "RolloutBrowser", "TimeLeft"]
