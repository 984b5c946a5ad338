"""Which share of the answers was right, wrong, or could not be read at all.

The story: a chain of thought that ends in something no parser understands scores like a wrong answer; only when both
are counted apart does a comparison of prompts mean anything. Left out: why reading failed (`Parsed.reason` has it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from vsr_kit.plots.canvas import axis, canvas, label
from vsr_kit.plots.display import Figure
from vsr_kit.plots.style import BLUE, INK, SOFT, plain, text_width

PARTS = {  # key: name, colour, colour of the number in it
    "right": ("right", BLUE, "white"),
    "partly": ("partly right", "#86b6d8", INK),
    "wrong": ("wrong", "#e6a57a", INK),
    "unparsed": ("could not be read", "#4b535c", "white"),
    "cut": ("cut off by the cap", "#aeb6be", INK),
}
_SHORT = (("right", "wrong", "unparsed"), ("right", "wrong", "unparsed", "cut"))
_BAR_PX = 34


def parse_failures(counts: Mapping[str, object], *, source: str, title: str = "Wrong, or not readable?") -> Figure:
    """Draw one bar for each row of answers, split into right, wrong, and what could not be read.

    Args:
        counts: a row's name to its numbers of answers: a mapping with keys of `PARTS`, an evaluation `TypeScore`, or
            three or four numbers (right, wrong, not readable, cut off by the token cap).
        source: `measured now` or `shipped`.
        title: the figure's.

    Raises:
        ValueError: for a row of another form, a negative number, or none above zero.
    """
    rows = {name: _parts(name, row) for name, row in counts.items()}
    used = [k for k in PARTS if k in _SHORT[0] or any(row.get(k) for row in rows.values())]
    shares = {name: [100 * row.get(k, 0) / sum(row.values()) for k in used] for name, row in rows.items()}
    names = [plain(name) for name in rows]
    fig = canvas(
        title,
        source,
        _alt(shares, [PARTS[k][0] for k in used]),
        note="share of all answers",
        keys=[("■", PARTS[k][1], PARTS[k][0]) for k in used],
        height_px=_BAR_PX * len(rows),
        left_px=36 + max(text_width(name, 13) for name in names),
        right_px=90,
    )
    down = axis(len(rows) - 0.5, -0.5, ticks=list(range(len(rows))), ticktext=names, showgrid=False)
    across = axis(0, 100, ticks=[0, 25, 50, 75, 100], title_text="answers, %")
    fig.update_layout(xaxis=across, yaxis=down | {"tickfont": {"size": 13, "color": INK}})
    for column, key in enumerate(used):
        _segments(fig, shares, column, *PARTS[key])
    for place, row in enumerate(rows.values()):
        label(fig, f"n = {sum(row.values()):g}", 100, place, color=SOFT, right_px=10)
    return fig


def _parts(name: str, row: object) -> dict[str, float]:
    """A row's numbers of answers by the keys of `PARTS`."""
    given = row
    if not isinstance(row, Mapping):
        if hasattr(row, "unparsed"):
            row = {key: getattr(row, key) for key in PARTS if hasattr(row, key)}
        else:
            row = dict(zip(_SHORT[len(row) == 4], row, strict=False)) if len(row) in (3, 4) else {}
    if not row or set(row) - set(PARTS) or min(row.values()) < 0 or sum(row.values()) <= 0:
        wanted = "right, wrong and unreadable answers"
        raise ValueError(f"row {name!r} holds {given}: give numbers of {wanted}, keys of {', '.join(PARTS)}")
    return dict(row)


def _segments(fig: Figure, shares: Mapping[str, Sequence[float]], column: int, part: str, color: str, ink: str) -> None:
    values = [round(row[column], 2) for row in shares.values()]
    fig.add_trace(
        go.Bar(
            x=values,
            y=list(range(len(values))),
            base=[round(sum(row[:column]), 2) for row in shares.values()],
            width=0.66,
            orientation="h",
            marker={"color": color, "line": {"width": 0}},
            text=[f"{v:.0f}" if v >= 4 else "" for v in values],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            insidetextfont={"size": 12, "color": ink},
            hovertemplate=f"{part}: %{{x:.1f}} %<extra></extra>",
        )
    )


def _alt(shares: Mapping[str, Sequence[float]], parts: Sequence[str]) -> str:
    rows = []
    for name, row in shares.items():
        rows.append(f"{name}: " + ", ".join(f"{p} {v:.0f} %" for p, v in zip(parts, row, strict=True)))
    return f"Shares of answers. {'; '.join(rows)}."
