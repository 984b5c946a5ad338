"""Curves of a training run's log, and one GRPO group with its rewards and advantages.

`training_curves` takes a trainer's log dictionaries as they are, one list per seed, and draws small multiples over the
steps: the mean over seeds as a line, the spread of the seeds as a band that the heading names. `group_figure` shows the
answers sampled for one question. An advantage is a reward relative to its group's mean, in units of the group's own
spread; drawn side by side, the two show why a group of equal rewards teaches nothing.
Left out: smoothing that was not asked for, curves over wall time, metrics that were not logged (their panels say so),
tokens, and groups of several questions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean, stdev

import plotly.graph_objects as go
from scipy.special import stdtrit

from vsr_kit.plots.canvas import BASELINE, Figure, axis, band, canvas, decades, head, label
from vsr_kit.plots.style import (
    BLUE,
    GREEN,
    INK,
    LINE,
    ORANGE,
    PURPLE,
    SKY,
    SOFT,
    color_of,
    padded,
    plain,
    text_width,
    tidy,
)
from vsr_kit.rewards.detectors import DETECTORS, reward_columns, reward_of_key

# What a panel is called, and whether its axis is logarithmic. Names are TRL's log keys. A reward that is not named here
# is called as its function is: `metric_name`.
METRICS: dict[str, tuple[str, bool]] = {
    "reward": ("reward, mean of a step", False),
    "rewards/empty_thought/mean": ("empty thoughts, share", False),
    "rewards/repeated_tags/mean": ("tags repeated, share", False),
    "rewards/repeated_words/mean": ("words repeated, share", False),
    "rewards/thinking_words/mean": ("thinking words in a rollout", False),
    "reward_std": ("spread of rewards in a group", False),
    "kl": ("KL to the base, nats a token, log", True),
    "completions/mean_length": ("completion length, tokens", False),
    "completions/clipped_ratio": ("cut off by the cap, share", False),
    "entropy": ("entropy, nats a token", False),
    "frac_reward_zero_std": ("groups of equal rewards, share", False),
    "grad_norm": ("gradient norm", False),
    "loss": ("loss", False),
    "rewards/margins": ("β × margin of the pairs", False),
    "rewards/accuracies": ("pairs the right way round, share", False),
    "logps/chosen": ("log p of the chosen", False),
    "logps/rejected": ("log p of the rejected", False),
    "mean_token_accuracy": ("tokens guessed right, share", False),
    "step_time": ("seconds a step", False),
}
DEFAULT_KEYS = ("reward", "kl", "completions/mean_length", "entropy", "frac_reward_zero_std", "grad_norm")
_SHARES = (
    "completions/clipped_ratio",
    "frac_reward_zero_std",
    "rewards/format_reward/mean",
    "rewards/thought_reward/mean",
    "rewards/hard_format_result_reward/mean",
    *(f"rewards/{name}/mean" for name in DETECTORS),
    "rewards/accuracies",
    "mean_token_accuracy",
)
_PANEL_PX, _GAP_PX, _COLUMNS, _MOST_POINTS = 150, 66, 3, 240

Log = Sequence[Mapping]  # one run's log dictionaries
Runs = Log | Sequence[Log]  # one run, or one for each seed


def training_curves(
    metrics: Runs | Mapping[str, Runs],
    keys: Sequence[str] = DEFAULT_KEYS,
    *,
    source: str,
    shade: str = "range",
    smooth: int = 1,
    title: str = "What training did",
    borders: Sequence[int] = (),
) -> Figure:
    """Draw small multiples of logged metrics over steps.

    Args:
        metrics: TRL's log dictionaries of one run; or a list of such lists, one for each seed; or a mapping from a name
            to either, to compare settings.
        keys: the metrics, one panel each (`METRICS` has their names; others are shown by their key).
        source: `measured now` or `shipped`.
        shade: what the seeds' band spans: `range` (lowest to highest seed) or `interval` (95 % t interval of the mean).
        smooth: trailing mean over so many logged steps; the heading says so.
        title: the figure's.
        borders: numbers of steps after which a new stage begins, a `Stage`'s `from_step`: a line through every panel,
            half a step further; 0, a run's beginning, has none.

    Raises:
        ValueError: if a run logged no step, or its seeds have no step in common.
    """
    if shade not in ("range", "interval"):
        raise ValueError(f"shade is {shade!r}: choose 'range' (of the seeds) or 'interval' (95 % of their mean)")
    groups = {name: _seeds(runs) for name, runs in (metrics if isinstance(metrics, Mapping) else {"": metrics}).items()}
    steps = {name: _common_steps(name, seeds) for name, seeds in groups.items()}
    colors = {name: color_of(name, i) for i, name in enumerate(groups)}
    borders = [step for step in borders if step > 0]
    last = max(s[-1] for s in steps.values())
    rows = -(-len(keys) // _COLUMNS)
    fig = canvas(
        title,
        source,
        _alt(groups, steps, keys, borders),
        note=_note([len(seeds) for seeds in groups.values()], shade, smooth),
        keys=[("━", colors[name], name) for name in groups if name] + [("┆", INK, "a new stage")] * bool(borders),
        height_px=18 + rows * _PANEL_PX + (rows - 1) * _GAP_PX,
    )
    for i, key in enumerate(keys):
        panel = "" if i == 0 else str(i + 1)
        curves = {name: _curve(groups[name], steps[name], key, shade, smooth) for name in groups}
        _panel(fig, panel, key, curves, colors, last)
        fig.update_layout({f"xaxis{panel}": _x_place(i, rows, len(keys)), f"yaxis{panel}": _y_place(i, rows)})
        for step in borders:
            line = {
                "x0": step + 0.5,
                "x1": step + 0.5,
                "xref": f"x{panel}",
                "y0": 0,
                "y1": 1,
                "yref": f"y{panel} domain",
            }
            fig.add_shape(type="line", **line, line={"color": INK, "width": 1.2, "dash": "dash"})
    return fig


def metric_name(key: str) -> str:
    """What a figure calls a log's key: its name in `METRICS`, a reward's own name, or the key."""
    reward = reward_of_key(key)
    return METRICS[key][0] if key in METRICS else key if reward is None else reward.replace("_", " ")


def _seeds(runs: Runs) -> list[list[Mapping]]:
    """One list of step rows for each seed; rows without a step (TRL's closing summary) fall away."""
    runs = list(runs)
    seeds = [runs] if all(isinstance(row, Mapping) for row in runs) else [list(run) for run in runs]
    return [[row for row in run if row.get("step") is not None] for run in seeds]


def _common_steps(name: str, seeds: list[list[Mapping]]) -> list[int]:
    steps = sorted(set.intersection(*({row["step"] for row in run} for run in seeds))) if seeds else []
    if not steps:
        raise ValueError(f"run {name!r} has no step that all its {len(seeds)} seeds logged; give rows with a 'step'")
    return steps


def _curve(seeds: list, steps: list[int], key: str, shade: str, smooth: int) -> tuple[list, list, list, list]:
    """Steps, and mean, low and high over seeds at each; steps at which some seed lacks the metric fall away."""
    logged = [{row["step"]: float(row[key]) for row in run if _is_number(row.get(key))} for run in seeds]
    steps = [s for s in steps if all(s in run for run in logged)]
    smoothed = [_trailing([run[s] for s in steps], smooth) for run in logged]
    columns = list(zip(*smoothed, strict=True))
    middle = [mean(c) for c in columns]
    if shade == "range" or len(seeds) == 1:
        low, high = [min(c) for c in columns], [max(c) for c in columns]
    else:
        reach = stdtrit(len(seeds) - 1, 0.975) / math.sqrt(len(seeds))  # Student's t, since seeds are few
        half = [reach * stdev(c) for c in columns]
        low = [m - h for m, h in zip(middle, half, strict=True)]
        high = [m + h for m, h in zip(middle, half, strict=True)]
    # a trailing mean moves slowly: four points for its width carry it
    apart = max(1, -(-len(steps) // _MOST_POINTS), smooth // 4)
    keep = sorted({*range(0, len(steps), apart), *range(len(steps))[-1:]})
    return tuple([values[i] for i in keep] for values in (steps, middle, low, high))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _trailing(values: list[float], width: int) -> list[float]:
    return [mean(values[max(0, i + 1 - width) : i + 1]) for i in range(len(values))]


def _panel(fig: Figure, panel: str, key: str, curves: dict, colors: dict[str, str], last: int) -> None:
    name, logarithmic = metric_name(key), METRICS.get(key, ("", False))[1]
    shown = [v for _, *lines in curves.values() for line in lines for v in line if v > 0 or not logarithmic]
    xaxis = axis(0, last * 1.02 or 1, **BASELINE)
    if logarithmic:
        yaxis = decades(min(shown, default=0.1), max(shown, default=1))
    else:
        yaxis = axis(*_value_range(key, shown))
    fig.update_layout({f"xaxis{panel}": xaxis, f"yaxis{panel}": yaxis})
    for group, (steps, middle, low, high) in curves.items():
        _draw(fig, panel, group, steps, [middle, low, high], colors[group], logarithmic)
    head(fig, name, panel)
    if not shown:
        middle = sum(yaxis["range"]) / 2
        said = "zero at every step" if any(steps for steps, *_ in curves.values()) else "not logged"
        label(fig, said, last / 2, middle, axes=panel, color=SOFT, anchor="center")


def _value_range(key: str, values: list[float]) -> tuple[float, float]:
    if key in _SHARES:
        return -0.04, 1.04
    low, high = padded(values, 0.1, 0.02)
    return (min(0.0, low) if low > 0 and low < 0.35 * high else low), high


def _draw(fig: Figure, panel: str, name: str, steps: list, lines: list, color: str, logarithmic: bool) -> None:
    """The band and the mean of one group in one panel; zero has no place on a logarithmic axis."""
    middle, low, high = ([None if logarithmic and v <= 0 else v for v in line] for line in lines)
    spans = zip(low, high, strict=True)
    wide = [i for i, (a, b) in enumerate(spans) if a is not None and b is not None and a != b]
    if wide:
        band(fig, *([v[i] for i in wide] for v in (steps, low, high)), color, axes=panel)
    look = {"mode": "lines", "line": {"color": color, "width": 1.8}, "hovertemplate": "step %{x}: %{y}"}
    panel_axes = {"xaxis": f"x{panel}", "yaxis": f"y{panel}"}
    fig.add_trace(go.Scatter(x=list(steps), y=tidy(middle), name=plain(name), **look, **panel_axes))


def _x_place(index: int, rows: int, panels: int) -> dict:
    column = index % _COLUMNS
    gap = 0.075
    wide = (1 - gap * (_COLUMNS - 1)) / _COLUMNS
    start = column * (wide + gap)
    place = {"domain": [start, start + wide], "anchor": f"y{index + 1 if index else ''}"}
    return place | ({"title_text": "step"} if index + _COLUMNS >= panels else {})


def _y_place(index: int, rows: int) -> dict:
    total = 18 + rows * _PANEL_PX + (rows - 1) * _GAP_PX
    top = 18 + (index // _COLUMNS) * (_PANEL_PX + _GAP_PX)
    return {"domain": [1 - (top + _PANEL_PX) / total, 1 - top / total], "anchor": f"x{index + 1 if index else ''}"}


def _note(counts: Sequence[int], shade: str, smooth: int) -> str:
    seeds = " or ".join(map(str, sorted(set(counts))))
    span = {"range": "lowest to highest seed", "interval": "95 % interval of the mean"}[shade]
    alone = "one seed" if len(counts) == 1 else "one seed each"
    said = alone if set(counts) == {1} else f"{seeds} seeds: line = mean, band = {span}"
    return said + (f" · trailing mean of {smooth} logged steps" if smooth > 1 else "")


def _alt(groups: dict, steps: dict, keys: Sequence[str], borders: Sequence[int]) -> str:
    parts = []
    for name, seeds in groups.items():
        for key in keys:
            at, middle, *_ = _curve(seeds, steps[name], key, "range", 1)
            if at:
                what = f"{name} {metric_name(key)}".strip()
                parts.append(f"{what} from {middle[0]:.3g} at step {at[0]} to {middle[-1]:.3g} at step {at[-1]}")
    stages = f"; a new stage after step {', '.join(map(str, borders))}" if borders else ""
    return f"Training curves: {'; '.join(parts)}{stages}."


_BAR_PX = 30
_TERM_COLORS = {"accuracy_reward": BLUE, "format_reward": "#9cc3de"}
_MORE_COLORS = (GREEN, PURPLE, SKY)


def reward_terms(row: Mapping) -> dict[str, float]:
    """A rollout's reward terms: its `rewards` mapping, or else its reward columns, or its `reward`."""
    if isinstance(row.get("rewards"), Mapping):
        return {name: float(value) for name, value in row["rewards"].items() if value is not None}
    columns = reward_columns({k: v for k, v in row.items() if k != "reward"})
    return columns or ({"reward": float(row["reward"])} if row.get("reward") is not None else {})


def term_name(term: str) -> str:
    """A reward function's name as figures show it."""
    return term.removesuffix("_reward").replace("_", " ") or term


def group_figure(
    rollouts: Sequence[Mapping], *, source: str, question: str = "", truth: str = "", title: str = "One group"
) -> Figure:
    """Draw the rewards of one group's rollouts beside their advantages.

    Args:
        rollouts: G rows with `rewards` (or reward columns), `advantage`, and `answer` or `completion`.
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
