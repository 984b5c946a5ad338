"""The button that stops a training after the step it is in, as live curves and the monitor of a run show it.

A click is a message to the kernel. Where it is read while a cell runs, and what to use elsewhere, is said in
training/background.py; the button's own hint names the notebook's interrupt button, which does the same everywhere.
Left out: asking whether one is sure. Nothing is lost: a stopped training has its weights and can be gone on with.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import ipywidgets as ipw

READY, PRESSED = "Stop after this step", "Stopping after this step"
_HINT = "The run ends with a checkpoint and its adapter. The notebook's interrupt button does the same."


class StopButton:
    """A button, and the words beside it where stopping is refused.

    Attributes:
        view: the widget.
        button: `click()` presses it.
        said: why nothing was stopped.
    """

    def __init__(self, act: Callable[[], None]) -> None:
        """Make it; `act` asks the training to stop, and a ValueError of it is shown."""
        self._act = act
        look = {"button_style": "", "icon": "stop", "layout": ipw.Layout(width="auto")}
        self.button = ipw.Button(description=READY, tooltip=_HINT, **look)
        self.said = ipw.HTML()
        self.button.on_click(lambda button: self._press())
        self.view = ipw.HBox([self.button, self.said], layout=ipw.Layout(flex_flow="row wrap"))

    def show(self, can_stop: bool, asked: bool) -> None:
        """Follow the run: a button to press, one that was pressed, or none."""
        self.button.disabled = asked or not can_stop
        self.button.description = PRESSED if asked and can_stop else READY
        self.button.layout.display = "" if can_stop else "none"
        hear_while_busy(self.button)

    def _press(self) -> None:
        try:
            self._act()
        except (ValueError, OSError) as error:
            self.said.value = f"<i>{escape(str(error))}</i>"
        else:
            self.said.value = ""
            self.show(can_stop=True, asked=True)


def hear_while_busy(*widgets: ipw.Widget) -> None:
    """Let a front end's messages to these widgets be read while a cell runs, where there are subshells.

    JupyterLab sends widgets' messages to a subshell, a thread beside the cell's. From ipykernel 7.4 on the kernel sends
    them on to wherever the widget was last spoken to, which for a widget made or changed by a cell is the cell's own,
    busy thread. Without its note of that, a message stays where the front end sent it. A kernel that keeps no such note
    is left as it is; call this again after a cell or a thread has changed the widget.
    """
    for widget in widgets:
        vars(widget.comm or widget).pop("_reply_subshell_id", None)
