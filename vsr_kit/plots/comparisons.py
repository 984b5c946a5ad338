"""Figures that compare: differences with intervals, the best of k answers, gains by cost, and shapes of rewards.

`difference_forest` lists differences around a line at zero; the words at the right are the verdict of each claim's own
rule. `pass_at_k` shows how the best answer improves with the number of tries; a model that cannot answer still wins by
luck if it may try often enough, so every curve is drawn with one that answers without looking. `gain_by_cost` draws the
same gains against questions, tokens and seconds, one panel per currency with a logarithmic axis, since methods differ
by powers of ten; runs of one method at several budgets are joined, and dots that would hide each other are set apart.
`reward_shapes` draws what rewards pay for an answer as a multiple of the truth, one panel per reward with the first
reward's curve in grey behind; curves are computed from the reward functions at every hundredth of the truth.

Left out: differences of different units in one figure, sorting by size, estimating best-of-k (`vsr_kit.evaluation`),
choosing budgets, gains within a run, and rewards that depend on more than two numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

import plotly.graph_objects as go

from vsr_kit.plots.canvas import BASELINE, Figure, axis, band, canvas, head, label, spread
from vsr_kit.plots.scores import Score, read_score
from vsr_kit.plots.style import (
    BLUE,
    FAINT,
    GREEN,
    LINE,
    ORANGE,
    PURPLE,
    SOFT,
    color_of,
    padded,
    plain,
    text_width,
    tick_label,
    tidy,
)

Band = tuple[float, float, float]
_BAND_PX = 30
_NAME = 72  # letters of a row's name; the longest claim with its longest finding has 63


def difference_forest(
    differences: Mapping[str, Band],
    *,
    source: str,
    conclusions: Mapping[str, str] | None = None,
    note: str = "points, bars = 95 % intervals",
    title: str = "Differences",
) -> Figure:
    """Draw paired differences as dots with bars around a line at zero.

    Args:
        differences: a row's name to (mean, low, high), in points, from top to bottom.
        source: `measured now` or `shipped`.
        conclusions: a row's name to what stands at its right, such as a verdict, which has a colour of its own.
        note: what the numbers are.
        title: the figure's.

    Raises:
        ValueError: without any row.
    """
    if not differences:
        raise ValueError("there is no difference to draw: give {name: (mean, low, high)}")
    conclusions, names = conclusions or {}, list(differences)
    low, high = padded([0.0, *(v for band in differences.values() for v in band)], 0.05)
    rows = [f"{name} {signed(band)} {conclusions.get(name, '')}" for name, band in differences.items()]
    fig = canvas(
        title,
        source,
        f"Differences in points: {'; '.join(rows)}.",
        note=note,
        keys=[("●", BLUE, "above zero"), ("●", ORANGE, "below zero"), ("●", FAINT, "the interval holds zero")],
        height_px=_BAND_PX * len(names),
        left_px=24 + max(text_width(plain(n, _NAME), 13) for n in names),
        right_px=24 + max((text_width(text, 13) for text in conclusions.values()), default=0),
    )
    fig.update_layout(
        xaxis=axis(low, high, title_text="difference, points"),
        yaxis=axis(
            len(names) - 0.5, -0.5, ticks=range(len(names)), ticktext=[plain(n, _NAME) for n in names], showgrid=False
        ),
    )
    ends = {"x": [0, 0], "y": [-0.5, len(names) - 0.5]}
    fig.add_trace(go.Scatter(**ends, mode="lines", line={"color": SOFT, "width": 1.5}, hoverinfo="skip"))
    for place, (name, interval) in enumerate(differences.items()):
        _row(fig, place, name, interval)
        color = _conclusion_color(conclusions.get(name, ""), interval)
        label(fig, plain(conclusions.get(name, "")), high, place, color=color, right_px=10)
    return fig


def signed(band: Band) -> str:
    """A difference in words: `+1.2 (-0.3 to +2.7)`."""
    mean, low, high = band
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def _color(band: Band) -> str:
    _, low, high = band
    return BLUE if low > 0 else ORANGE if high < 0 else SOFT


def _conclusion_color(text: str, band: Band) -> str:
    """A verdict's own colour, since a claim that something does not help is reproduced below zero; else the band's."""
    word = re.match(r"(not )?reproduced\b", text)
    return _color(band) if word is None else PURPLE if word[1] else GREEN


def _row(fig: Figure, place: int, name: str, band: Band) -> None:
    mean, low, high = (round(v, 2) for v in band)
    color = FAINT if _color(band) == SOFT else _color(band)
    line = {"x": [low, high], "y": [place, place], "mode": "lines", "line": {"color": color, "width": 3}}
    fig.add_trace(go.Scatter(**line, hoverinfo="skip"))
    hover = {"text": [plain(name)], "hovertemplate": f"%{{text}}: %{{x}} ({low} to {high})<extra></extra>"}
    fig.add_trace(go.Scatter(x=[mean], y=[place], mode="markers", marker={"color": color, "size": 9}, **hover))


BestOfK = float | tuple[float, float, float]
_HEIGHT_PX = 300


def pass_at_k(
    curves: Mapping[str, Mapping[int, BestOfK]],
    *,
    source: str,
    reference: Mapping[str, Mapping[int, BestOfK]] | None = None,
    title: str = "Best of k answers",
) -> Figure:
    """Draw the mean best score of k sampled answers over k.

    Args:
        curves: a mode's or checkpoint's name to `{k: score}` or `{k: (score, low, high)}`, in per cent.
        source: `measured now` or `shipped`.
        reference: the same for what never looks, such as k draws from the training answers; dashed and grey.
        title: the figure's.

    Raises:
        ValueError: for a curve without any k, or a name that is both a curve and a reference.
    """
    reference = dict(reference or {})
    if both := set(curves) & set(reference):
        raise ValueError(f"{sorted(both)} name a curve and a reference: give each its own name")
    tables = {name: _by_k(name, table) for name, table in (dict(curves) | reference).items()}
    colors = {n: SOFT if n in reference else color_of(n, i) for i, n in enumerate(tables)}
    fig, (low, high) = _tries_open(tables, title, source)
    last = math.log2(max(k for table in tables.values() for k in table))
    heights = spread([-t[max(t)][0] for t in tables.values()], (high - low) * 17 / _HEIGHT_PX)
    for (name, table), height in zip(tables.items(), heights, strict=True):
        _tries_draw(fig, name, table, colors[name], "dash" if name in reference else "solid")
        label(fig, plain(name, 40), last, -height, color=colors[name], right_px=14)
    return fig


def _by_k(name: str, table: Mapping[int, BestOfK]) -> dict[int, tuple[float, float, float]]:
    if not table:
        raise ValueError(f"curve {name!r} has no k: give {{k: score}} or {{k: (score, low, high)}}")
    rows = sorted((int(k), v) for k, v in table.items())
    return {k: (v, v, v) if isinstance(v, (int, float)) else tuple(v)[:3] for k, v in rows}


def _tries_open(tables: dict, title: str, source: str) -> tuple[Figure, tuple[float, float]]:
    ks = sorted({k for table in tables.values() for k in table})
    rows = [row for table in tables.values() for row in table.values()]
    low, high = padded([v for row in rows for v in row], 0.08)
    bands = ", bands = 95 % intervals" if any(row[1] != row[2] for row in rows) else ""
    ends = [(n, *min(t.items()), *max(t.items())) for n, t in tables.items()]
    told = "; ".join(f"{n} from {v[0]:.1f} at k = {k} to {w[0]:.1f} at k = {m}" for n, k, v, m, w in ends)
    space = max(text_width(plain(n, 40), 13) for n in tables) + 34
    fig = canvas(
        title,
        source,
        f"Mean best score of k answers, per cent: {told}.",
        note="mean over questions of the best of k sampled answers" + bands,
        height_px=_HEIGHT_PX,
        left_px=66,
        right_px=space,
    )
    powers = [math.log2(k) for k in ks]
    edges = powers[0] - 0.1, powers[-1] + 0.1
    fig.update_layout(
        xaxis=axis(*edges, ticks=powers, ticktext=[str(k) for k in ks], title_text="k, answers a question", **BASELINE),
        yaxis=axis(max(0, low), min(100, high), title_text="best score, %"),
    )
    return fig, (low, high)


def _tries_draw(fig: Figure, name: str, table: dict, color: str, dash: str) -> None:
    powers = [math.log2(k) for k in table]
    middle, low, high = (list(column) for column in zip(*table.values(), strict=True))
    if low != high:
        band(fig, powers, low, high, color)
    hover = {"text": [f"{plain(name)}, k = {k}" for k in table], "hovertemplate": "%{text}: %{y} %<extra></extra>"}
    look = {"line": {"color": color, "width": 2, "dash": dash}, "marker": {"color": color, "size": 6}}
    fig.add_trace(go.Scatter(x=powers, y=tidy(middle), mode="lines+markers", **look, **hover))


_COSTS_PANEL_PX, _HEAD_PX, _COSTS_GAP = 300, 24, 0.05
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
    fig = _costs_open(bands, costs, currencies, colors, source, title)
    for place, currency in enumerate(currencies):
        panel = str(place + 1) if place else ""
        spent = {name: costs[name][currency] for name in gains}
        low, high = fig.layout[f"xaxis{panel}"].range
        wished = [math.log10(x) for x in spent.values()]
        at = dict(zip(spent, (10**x for x in spread(wished, _APART * (high - low))), strict=True))
        for group, color in colors.items():
            own = sorted((n for n in gains if group_of[n] == group), key=spent.get)
            _costs_draw(fig, panel, own, [at[n] for n in own], [spent[n] for n in own], [bands[n] for n in own], color)
        head(fig, currency, panel)
    return fig


def _costs_open(
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
        height_px=_COSTS_PANEL_PX + _HEAD_PX,
        bottom_px=40,
    )
    height = fig.layout.height - fig.layout.margin.t - fig.layout.margin.b
    wide = (1 - _COSTS_GAP * (len(currencies) - 1)) / len(currencies)
    for i, currency in enumerate(currencies):
        start, panel = i * (wide + _COSTS_GAP), str(i + 1) if i else ""
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


def _costs_draw(
    fig: Figure, panel: str, names: Sequence[str], xs, spent: Sequence[float], bands: Sequence, color
) -> None:
    """Dots of one method at `xs`, told with what they really cost."""
    ys = [round(b[0], 2) for b in bands]
    error = {"type": "data", "symmetric": False, "color": color, "thickness": 1.6, "width": 0}
    error |= {"array": [b[2] - b[0] for b in bands], "arrayminus": [b[0] - b[1] for b in bands]}
    text = [f"{plain(n)}: {y:+.1f} points for {x:,.0f}" for n, x, y in zip(names, spent, ys, strict=True)]
    look = {"mode": "lines+markers", "line": {"color": color, "width": 1.5, "dash": "dot"}, "error_y": error}
    look["marker"] = {"size": 10, "color": color, "line": {"width": 1, "color": "white"}}
    axes = {"xaxis": f"x{panel}", "yaxis": f"y{panel}"}
    fig.add_trace(go.Scatter(x=tidy(xs), y=ys, **look, **axes, text=text, hovertemplate="%{text}<extra></extra>"))


TRUTH = 100.0  # a hundredth is then a whole number: no rounding decides where a staircase has its steps
_PAYMENTS_PANEL_PX, _PAYMENTS_GAP, _SHOWN = 190, 0.035, (0.5, 0.8, 1.25, 2.0)

Reward = Callable[[float, float], float]


def reward_shapes(
    rewards: Mapping[str, Reward], *, source: str, farthest: float = 2.5, title: str = "What a number is paid"
) -> Figure:
    """Draw what rewards for numbers pay an answer, over answer / truth.

    Args:
        rewards: a name to a function (predicted, truth) -> share from 0 to 1, one panel each; the first is drawn in
            grey behind all others.
        source: `measured now` or `shipped`.
        farthest: the largest answer, in truths.
        title: the figure's.

    Raises:
        ValueError: without any reward.
    """
    if not rewards:
        raise ValueError("there is no reward to draw: give {name: function of (predicted, truth)}")
    ratios = [i / 100 for i in range(round(100 * farthest) + 1)]
    paid = {name: [float(reward(round(100 * r), TRUTH)) for r in ratios] for name, reward in rewards.items()}
    first, *others = paid
    fig = canvas(
        title,
        source,
        _alt(rewards),
        note="over the answer as a multiple of the truth" + (f"; grey: {first}" if others else ""),
        height_px=_PAYMENTS_PANEL_PX,
    )
    wide = (1 - _PAYMENTS_GAP * (len(paid) - 1)) / len(paid)
    for i, (name, values) in enumerate(paid.items()):
        panel, start = str(i + 1) if i else "", i * (wide + _PAYMENTS_GAP)
        across = axis(0, farthest, **BASELINE, domain=[start, start + wide], anchor=f"y{panel}")
        down = axis(-0.04, 1.06, ticks=[0, 0.5, 1], anchor=f"x{panel}", domain=[0, 0.88])
        names = {"title_text": "answer / truth"}, {"title_text": "paid"} if not i else {"showticklabels": False}
        fig.update_layout({f"xaxis{panel}": across | names[0], f"yaxis{panel}": down | names[1]})
        _truth(fig, panel)
        if i:
            _curve(fig, panel, first, ratios, paid[first], FAINT, 1.5)
        _curve(fig, panel, name, ratios, values, color_of(name, i), 2.2)
        head(fig, name, panel)
    return fig


def _alt(rewards: Mapping[str, Reward]) -> str:
    told = []
    for name, reward in rewards.items():
        paid = ", ".join(f"{float(reward(round(100 * r), TRUTH)):.2f} for {r:g}" for r in _SHOWN)
        told.append(f"{name} {paid}")
    return f"Rewards paid for answers that are so many times the truth: {'; '.join(told)}."


def _truth(fig: Figure, panel: str) -> None:
    line = {"x0": 1, "x1": 1, "y0": 0, "y1": 1, "xref": f"x{panel}", "yref": f"y{panel}"}
    fig.add_shape(type="line", **line, line={"color": LINE, "width": 1.5}, layer="below")


def _curve(fig: Figure, panel: str, name: str, xs: list[float], ys: list[float], color: str, width: float) -> None:
    look = {"mode": "lines", "line": {"color": color, "width": width}}
    hover = f"{plain(name)}: %{{y}} for %{{x}} truths<extra></extra>"
    axes = {"xaxis": f"x{panel}", "yaxis": f"y{panel}"}
    fig.add_trace(go.Scatter(x=xs, y=tidy(ys), **look, **axes, name=plain(name), hovertemplate=hover))
