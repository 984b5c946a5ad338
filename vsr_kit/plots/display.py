"""What a cell shows: one object with an interactive form for a live notebook and a still one for everywhere else.

The story: a saved notebook is read on GitHub and nbviewer, which run no script, so a figure hands over plotly's JSON
*and* an SVG drawn from the same figure; the viewer takes what it can. Pictures are PNG, tables and traces are HTML
whose sense survives when a site strips its styles. Each carries alternative text.
Left out: PDF, and figures of kinds that `svg.py` cannot draw (it says so).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from vsr_kit.characters import drawable

PLOTLY_MIME = "application/vnd.plotly.v1+json"
_CONFIG = {"displaylogo": False, "displayModeBar": False, "responsive": False}


class Figure(go.Figure):
    """A plotly figure that brings its own still picture; everything plotly does with a figure works on it."""

    _ipython_display_ = None  # plotly's own would put its script into the notebook

    @property
    def alt(self) -> str:
        """What the figure shows, for readers who cannot see it."""
        return (self.layout.meta or {}).get("alt", "")

    @property
    def source(self) -> str:
        """`measured now` or `shipped`."""
        return (self.layout.meta or {}).get("source", "")

    def to_svg(self) -> str:
        """The figure as an SVG document without scripts, styles or outside references."""
        from vsr_kit.plots.svg import figure_svg

        return figure_svg(self, self.alt)

    def _repr_mimebundle_(self, include=None, exclude=None, **_) -> dict:
        live = json.loads(drawable(json.dumps(json.loads(self.to_json()), ensure_ascii=False))) | {"config": _CONFIG}
        return {PLOTLY_MIME: live, "image/svg+xml": self.to_svg(), "text/plain": drawable(self.alt)}

    def _repr_html_(self) -> None:  # plotly's would carry its script
        return None

    def __html__(self) -> str:
        return f"<figure>{self.to_svg()}</figure>"


@dataclass(frozen=True)
class Picture:
    """A PNG with alternative text and the width in pixels it is shown at."""

    png: bytes
    alt: str
    width_px: int

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        data = {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.alt}
        return data, {"image/png": {"width": self.width_px, "alt": self.alt}}

    def __html__(self) -> str:
        image = base64.b64encode(self.png).decode()
        return f'<img src="data:image/png;base64,{image}" alt="{escape(self.alt)}" width="{self.width_px}">'


@dataclass(frozen=True)
class Html:
    """Markup we made ourselves, all foreign text in it escaped already; `alt` says it in one line."""

    markup: str
    alt: str = ""

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"text/html": self.__html__(), "text/plain": drawable(self.alt or "a table")}

    def __html__(self) -> str:
        return drawable(self.markup)


def show(fig: go.Figure, alt: str | None = None) -> Figure:
    """Make any plotly figure displayable where no script runs; the last expression of a cell shows it.

    Args:
        fig: a figure of scatter and bar traces, see `svg.py`.
        alt: alternative text; needed unless the figure is one of ours and has it.

    Raises:
        ValueError: without alternative text, or where the SVG writer cannot draw the figure.
    """
    alt = alt or (fig.layout.meta or {}).get("alt")
    if not alt:
        raise ValueError("a figure needs alternative text: show(fig, alt='what it shows')")
    shown = Figure(fig)
    shown.update_layout(meta={**(fig.layout.meta or {}), "alt": alt})
    shown.to_svg()  # fail here, with a message, rather than inside the notebook's display
    return shown
