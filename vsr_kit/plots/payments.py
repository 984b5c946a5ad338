"""What a reward for numbers pays, from answers far too small to answers far too large.

The story: one panel for each reward, over the answer as a multiple of the truth; the first reward's curve stands behind
the others in grey, so that a difference is seen at once. Curves are drawn from the functions themselves, at every
hundredth of the truth. Left out: rewards that depend on more than two numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import plotly.graph_objects as go

from vsr_kit.plots.canvas import BASELINE, axis, canvas, head
from vsr_kit.plots.display import Figure
from vsr_kit.plots.style import FAINT, LINE, color_of, plain, tidy

TRUTH = 100.0  # a hundredth is then a whole number: no rounding decides where a staircase has its steps
_PANEL_PX, _GAP, _SHOWN = 190, 0.035, (0.5, 0.8, 1.25, 2.0)

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
        height_px=_PANEL_PX,
    )
    wide = (1 - _GAP * (len(paid) - 1)) / len(paid)
    for i, (name, values) in enumerate(paid.items()):
        panel, start = str(i + 1) if i else "", i * (wide + _GAP)
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
