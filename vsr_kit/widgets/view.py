"""What every widget's view has: keys that are pressed in it stay in it, and pictures are no wider than it.

JupyterLab and Notebook 7 give single keys a meaning wherever no text is being written: `b` inserts a cell, `r` turns
the cell into raw text, with which its widget is gone, an arrow leaves it. Both pass over a focused element that has
Lumino's attribute `data-lm-suppress-shortcuts`. ipywidgets cannot set an attribute, so a few lines of JavaScript set it
on what is focused within a view. They travel in the state of an Output widget, so a saved notebook has none of them.
Escape gives the keys back to the notebook until something else in the view is focused.
Left out: front ends that run no JavaScript from a widget; there the keys are what they were.
"""

from __future__ import annotations

from contextlib import contextmanager

import ipywidgets as ipw

VIEW = "vsr-view"
_SCRIPT = f"""
if (!window.vsrKeys) {{
  window.vsrKeys = true;
  const own = node => node instanceof Element && node.closest('.{VIEW}');
  document.addEventListener('focusin', event => {{
    if (own(event.target)) event.target.setAttribute('data-lm-suppress-shortcuts', 'true');
  }}, true);
  window.addEventListener('keydown', event => {{
    if (event.key === 'Escape' && own(event.target)) event.target.removeAttribute('data-lm-suppress-shortcuts');
  }}, true);
}}
"""
_STYLE = f"<style>.{VIEW} svg, .{VIEW} img {{ max-width: 100%; height: auto; }}</style>"


class Quietly:
    """A widget whose controls may be set together: what observes them looks at `_quiet` first."""

    _quiet = False

    @contextmanager
    def _quietly(self):
        """Set controls without their observers reacting to each value in between."""
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False


def as_view(view: ipw.Box) -> ipw.Box:
    """Give a view its keys and its look; returns the view, which may be given again."""
    if VIEW in view._dom_classes:
        return view
    hidden = {"layout": ipw.Layout(display="none")}
    script = {"output_type": "display_data", "data": {"application/javascript": _SCRIPT}, "metadata": {}}
    view.add_class(VIEW)
    view.children = (*view.children, ipw.Output(outputs=(script,), **hidden), ipw.HTML(_STYLE, **hidden))
    return view
