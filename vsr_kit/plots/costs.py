"""What a gain cost: the same gains against questions, tokens and seconds, side by side.

The story: which method is better depends on what is counted. Each panel has one currency on a logarithmic axis, since
methods differ by powers of ten, and the same gains on the other; runs of one method at several budgets are joined.
Dots that would hide each other stand a little apart.
Left out: choosing budgets, and how a gain grows within a run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from vsr_kit.plots.canvas import BASELINE, axis, canvas, head, spread
from vsr_kit.plots.display import Figure
from vsr_kit.plots.scores import Score, read_score
from vsr_kit.plots.style import FAINT, color_of, padded, plain, tick_label, tidy

_PANEL_PX, _HEAD_PX, _GAP = 300, 24, 0.05
_APART = 0.035  # of a panel's width: dots nearer than this are moved aside


def gain_by_cost(
    gains: Mapping[str, Score],
    costs: Mapping[str, Mapping[str, float]],
    *,
    source: str,
    groups: Mapping[str, str] | None = None,
    title: str = "Gain against what it cost",
) -> Figure:
    """Draw each run's gain against its cost, one panel a currency.

    Args:
        gains: a run's name to points, with or without an interval.
        costs: the same names to `{currency: amount}`, each above zero.
        source: `measured now` or `shipped`.
        groups: a run's name to its method; runs of one method share colour and are joined. Each its own by default.
        title: the figure's.

    Raises:
        ValueError: names that differ, no run at all, or a cost that is not above zero.
    """
    if not gains or set(gains) != set(costs):
        raise ValueError(
            f"gains are of {sorted(gains)}, costs of {sorted(costs)}: both need the same runs, at least one"
        )
    currencies = list(dict.fromkeys(c for own in costs.values() for c in own))
    if wrong := [(n, c) for n in costs for c in currencies if not costs[n].get(c, 0) > 0]:
        raise ValueError(f"the cost of {wrong[0][0]!r} in {wrong[0][1]} must be above zero")
    group_of = {name: (groups or {}).get(name, name) for name in gains}
    colors = {group: color_of(group, i) for i, group in enumerate(dict.fromkeys(group_of.values()))}
    bands = {name: read_score(gain) for name, gain in gains.items()}
    fig = _open(bands, costs, currencies, colors, source, title)
    for place, currency in enumerate(currencies):
        panel = str(place + 1) if place else ""
        spent = {name: costs[name][currency] for name in gains}
        low, high = fig.layout[f"xaxis{panel}"].range
        wished = [math.log10(x) for x in spent.values()]
        at = dict(zip(spent, (10**x for x in spread(wished, _APART * (high - low))), strict=True))
        for group, color in colors.items():
            own = sorted((n for n in gains if group_of[n] == group), key=spent.get)
            _draw(fig, panel, own, [at[n] for n in own], [spent[n] for n in own], [bands[n] for n in own], color)
        head(fig, currency, panel)
    return fig


def _open(
    bands: Mapping, costs: Mapping, currencies: Sequence[str], colors: Mapping, source: str, title: str
) -> Figure:
    ends = padded([0.0, *(v for band in bands.values() for v in band[:3])])
    bars = "bars = 95 % intervals" if any(b[1] != b[2] for b in bands.values()) else ""
    told = "; ".join(
        f"{n} {b[0]:+.1f} points for " + ", ".join(f"{costs[n][c]:,.0f} {c}" for c in currencies)
        for n, b in bands.items()
    )
    fig = canvas(
        title,
        source,
        f"Gains by cost: {told}.",
        note=" · ".join(filter(None, ["points on the trained tasks; logarithmic axes; near dots stand apart", bars])),
        keys=[("●", color, group) for group, color in colors.items()],
        height_px=_PANEL_PX + _HEAD_PX,
        bottom_px=40,
    )
    height = fig.layout.height - fig.layout.margin.t - fig.layout.margin.b
    wide = (1 - _GAP * (len(currencies) - 1)) / len(currencies)
    for i, currency in enumerate(currencies):
        start, panel = i * (wide + _GAP), str(i + 1) if i else ""
        across = _across([own[currency] for own in costs.values()])
        down = axis(*ends, **({"title_text": "gain, points"} if not i else {"showticklabels": False}))
        place = {"domain": [start, start + wide], "anchor": f"y{panel}"}
        fig.update_layout(
            {
                f"xaxis{panel}": across | place,
                f"yaxis{panel}": down | {"anchor": f"x{panel}", "domain": [0, 1 - _HEAD_PX / height]},
            }
        )
        line = {"x0": 0, "x1": 1, "xref": f"x{panel} domain", "y0": 0, "y1": 0, "yref": f"y{panel}"}
        fig.add_shape(type="line", **line, line={"color": FAINT, "width": 1}, layer="below")
    return fig


def _across(values: Sequence[float]) -> dict:
    """A logarithmic axis that ends near its values, with a few ticks at round numbers."""
    low, high = math.log10(min(values)), math.log10(max(values))
    room = max(0.12 * (high - low), 0.15)
    low, high = low - room, high + room
    for steps in ((1, 2, 5), (1, 3), (1,)):
        every = [m * 10.0**p for p in range(math.floor(low), math.ceil(high)) for m in steps]
        ticks = [v for v in every if low <= math.log10(v) <= high]
        if len(ticks) <= 5:
            break
    return axis(low, high, ticks=ticks, ticktext=[_short(v) for v in ticks], type="log", **BASELINE)


def _short(value: float) -> str:
    for power, letter in ((6, "M"), (3, "k")):
        if value >= 10**power:
            return f"{tick_label(value / 10**power)}{letter}"
    return tick_label(value)


def _draw(fig: Figure, panel: str, names: Sequence[str], xs, spent: Sequence[float], bands: Sequence, color) -> None:
    """Dots of one method at `xs`, told with what they really cost."""
    ys = [round(b[0], 2) for b in bands]
    error = {"type": "data", "symmetric": False, "color": color, "thickness": 1.6, "width": 0}
    error |= {"array": [b[2] - b[0] for b in bands], "arrayminus": [b[0] - b[1] for b in bands]}
    text = [f"{plain(n)}: {y:+.1f} points for {x:,.0f}" for n, x, y in zip(names, spent, ys, strict=True)]
    look = {"mode": "lines+markers", "line": {"color": color, "width": 1.5, "dash": "dot"}, "error_y": error}
    look["marker"] = {"size": 10, "color": color, "line": {"width": 1, "color": "white"}}
    axes = {"xaxis": f"x{panel}", "yaxis": f"y{panel}"}
    fig.add_trace(go.Scatter(x=tidy(xs), y=ys, **look, **axes, text=text, hovertemplate="%{text}<extra></extra>"))
