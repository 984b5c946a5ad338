"""One GRPO group: the answers sampled for one question, their rewards, and what the group makes of them.

The story: an advantage is a reward seen from the group's mean, in the group's own spread; drawn side by side, they show
why a group of equal rewards teaches nothing. Left out: tokens, and groups of several questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean

import plotly.graph_objects as go

from vsr_kit.plots.canvas import BASELINE, axis, canvas, head, label
from vsr_kit.plots.display import Figure
from vsr_kit.plots.style import BLUE, GREEN, INK, LINE, ORANGE, PURPLE, SKY, SOFT, padded, plain, text_width

_BAR_PX = 30
_TERM_COLORS = {"accuracy_reward": BLUE, "format_reward": "#9cc3de"}
_MORE_COLORS = (GREEN, PURPLE, SKY)


def reward_terms(row: Mapping) -> dict[str, float]:
    """A rollout's reward terms: its `rewards` mapping, or else its columns that end in `_reward`, or its `reward`."""
    if isinstance(row.get("rewards"), Mapping):
        return {name: float(value) for name, value in row["rewards"].items() if value is not None}
    columns = {k: float(v) for k, v in row.items() if k.endswith("_reward") and isinstance(v, (int, float))}
    return columns or ({"reward": float(row["reward"])} if row.get("reward") is not None else {})


def term_name(term: str) -> str:
    """A reward function's name as figures show it."""
    return term.removesuffix("_reward").replace("_", " ") or term


def group_figure(
    rollouts: Sequence[Mapping], *, source: str, question: str = "", truth: str = "", title: str = "One group"
) -> Figure:
    """Draw the rewards of one group's rollouts beside their advantages.

    Args:
        rollouts: G rows with `rewards` (or `…_reward` columns), `advantage`, and `answer` or `completion`.
        source: `measured now` or `shipped`.
        question: what was asked.
        truth: the right answer.
        title: the figure's.

    Raises:
        ValueError: for fewer than two rollouts, or one without rewards or advantage.
    """
    if len(rollouts) < 2:
        raise ValueError(f"a group has at least 2 rollouts, got {len(rollouts)}: one alone has no mean to beat")
    terms = [reward_terms(row) for row in rollouts]
    for i, row in enumerate(rollouts):
        if not terms[i] or row.get("advantage") is None:
            raise ValueError(f"rollout {i} holds {sorted(row)}: it needs 'rewards' and 'advantage'")
    advantages = [float(row["advantage"]) for row in rollouts]
    totals = [sum(t.values()) for t in terms]
    names = list(dict.fromkeys(name for t in terms for name in t))
    colors = {n: _TERM_COLORS.get(n, _MORE_COLORS[i % len(_MORE_COLORS)]) for i, n in enumerate(names)}
    fig = _open(rollouts, totals, advantages, colors, source, _heading(question, truth), title)
    for name in names:
        _stack(fig, name, [t.get(name, 0.0) for t in terms], _before(terms, names, name), colors[name])
    _mean_line(fig, mean(totals), len(rollouts))
    _advantages(fig, advantages)
    return fig


def _heading(question: str, truth: str) -> str:
    return " · ".join(filter(None, [question, f"right answer: {truth}" if truth else ""]))


def _open(rollouts, totals, advantages, colors, source: str, note: str, title: str) -> Figure:
    shown = [_answer(row) for row in rollouts]
    parts = zip(shown, totals, advantages, strict=True)
    told = "; ".join(f"{a}: reward {t:.2f}, advantage {v:+.2f}" for a, t, v in parts)
    keys = [("■", color, f"{term_name(n)} reward") for n, color in colors.items()]
    left = min(300, 30 + max(text_width(a, 12) for a in shown))
    fig = canvas(
        f"{title}: {len(rollouts)} answers to one question",
        source,
        f"{len(rollouts)} rollouts of one question. {told}.",
        note=note,
        keys=[*keys, ("┃", INK, "mean of the group")],
        height_px=_BAR_PX * len(rollouts) + 20,
        left_px=left,
        right_px=40,
    )
    down = axis(len(rollouts) - 0.5, -0.5, ticks=list(range(len(rollouts))), ticktext=[plain(a) for a in shown])
    place = {"domain": [0, 1 - 20 / (_BAR_PX * len(rollouts) + 20)], "showgrid": False}
    low, high = padded([0, *totals], 0.05)
    reach = max(padded([abs(a) for a in advantages], 0.25)[1], 0.5)
    left_end = low if min(totals) < 0 else 0
    fig.update_layout(
        xaxis=axis(left_end, max(high, 1), **BASELINE, domain=[0, 0.52], title_text="reward"),
        yaxis=down | place | {"tickfont": {"size": 12, "color": INK}},
        xaxis2=axis(-reach, reach, **BASELINE, domain=[0.6, 1], anchor="y2")
        | {"title_text": "advantage, in the group's spreads"},
        yaxis2=down | place | {"anchor": "x2", "showticklabels": False},
    )
    head(fig, "what it earned")
    head(fig, "how far from the mean that is", "2")
    return fig


def _answer(row: Mapping) -> str:
    """What stands at a rollout's bar: its answer, or the end of its text, or that it could not be read."""
    if "answer" in row:
        return " ".join(str(row["answer"]).split())[:36] if row["answer"] is not None else "(could not be read)"
    text = " ".join(str(row.get("completion", "")).split())
    return "…" + text[-34:] if len(text) > 35 else text or "(nothing)"


def _before(terms: Sequence[Mapping], names: Sequence[str], name: str) -> list[float]:
    """Where a term's bar starts: behind the terms before it."""
    return [sum(t.get(n, 0.0) for n in names[: names.index(name)]) for t in terms]


def _stack(fig: Figure, name: str, values: list[float], base: list[float], color: str) -> None:
    hover = f"{plain(term_name(name))} reward %{{x:.3g}}<extra></extra>"
    look = {"orientation": "h", "width": 0.62, "marker": {"color": color, "line": {"width": 0}}, "hovertemplate": hover}
    places = list(range(len(values)))
    fig.add_trace(go.Bar(x=[round(v, 4) for v in values], y=places, base=[round(b, 4) for b in base], **look))


def _mean_line(fig: Figure, value: float, count: int) -> None:
    line = {"x0": value, "x1": value, "y0": -0.5, "y1": count - 0.5, "line": {"color": INK, "width": 1.6}}
    fig.add_shape(type="line", **line)


def _advantages(fig: Figure, advantages: list[float]) -> None:
    places = list(range(len(advantages)))
    colors = [BLUE if a > 0 else ORANGE for a in advantages]
    look = {"orientation": "h", "width": 0.62, "marker": {"color": colors, "line": {"width": 0}}}
    hover = "advantage %{x:+.2f}<extra></extra>"
    values = [round(a, 4) for a in advantages]
    fig.add_trace(go.Bar(x=values, y=places, xaxis="x2", yaxis="y2", hovertemplate=hover, **look))
    zero = {"x0": 0, "x1": 0, "y0": -0.5, "y1": len(advantages) - 0.5, "xref": "x2", "yref": "y2"}
    fig.add_shape(type="line", **zero, line={"color": LINE, "width": 1.5}, layer="below")
    for place, value in zip(places, advantages, strict=True):
        said = f"{value:+.2f}".replace("-", "−") if value else "0"
        side = {"anchor": "left", "right_px": 5} if value >= 0 else {"anchor": "right", "right_px": -5}
        label(fig, said, value, place, axes="2", size=12, color=SOFT, **side)
