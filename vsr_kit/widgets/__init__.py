"""Widgets for notebooks: look at clips, answers and rollouts, ask by hand, and watch, stop and compare trainings.

See: player.py plays a clip, inspector.py compares answers that answer_sources.py reads, browser.py finds its way
through a run's rollouts and token_colours.py colours their tokens, knob.py turns a knob over results that are there.
Train: live.py draws training curves, monitor.py watches a run from its folder, stop.py has the button that ends one,
compare.py lays runs over each other.
Ask: playground.py asks questions of one's own, about rooms that room_choice.py finds.
Learn: guesses.py asks for a guess before a result is shown.
view.py keeps a notebook's shortcuts out of all of them.

They use core ipywidgets only; every control works by keyboard, and every redraw is a plain observer that a test can
trigger without a browser. A plan or a figure is SVG in an HTML widget, so it follows the slider without the flicker of
an output area and without an extension. Where no kernel runs (a saved notebook, GitHub, a page) each widget shows its
still form: pictures, plan and text of the choice at the time of display.
Left out: training from a widget, and widget state in saved notebooks.
"""

from vsr_kit.widgets.browser import RolloutBrowser
from vsr_kit.widgets.compare import RunCompare
from vsr_kit.widgets.guesses import Guesses
from vsr_kit.widgets.inspector import AnswerInspector
from vsr_kit.widgets.knob import Knob
from vsr_kit.widgets.live import LiveCurves, TimeLeft
from vsr_kit.widgets.monitor import RunMonitor
from vsr_kit.widgets.player import ClipPlayer
from vsr_kit.widgets.playground import Playground

__all__ = [
    "AnswerInspector",
    "ClipPlayer",
    "Guesses",
    "Knob",
    "LiveCurves",
    "Playground",
    "RolloutBrowser",
    "RunCompare",
    "RunMonitor",
    "TimeLeft",
]
