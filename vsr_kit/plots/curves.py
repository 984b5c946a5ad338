"""What a training run logged, as small multiples over its steps.

The story: a trainer's log dictionaries go in as they are, one list for each seed; out come the mean over seeds as a
line and the seeds' spread as a band that the heading names. Left out: smoothing nobody asked for, curves over wall
time, and any metric that was not logged (its panel says so).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean, stdev

import plotly.graph_objects as go
from scipy.special import stdtrit

from vsr_kit.plots.canvas import BASELINE, axis, band, canvas, decades, head, label
from vsr_kit.plots.display import Figure
from vsr_kit.plots.style import SOFT, color_of, padded, plain, tidy

# What a panel is called, and whether its axis is logarithmic. Names are TRL's log keys.
METRICS: dict[str, tuple[str, bool]] = {
    "reward": ("reward, mean of a step", False),
    "rewards/accuracy_reward/mean": ("accuracy reward", False),
    "rewards/format_reward/mean": ("format reward", False),
    "rewards/length_reward/mean": ("length reward", False),
    "rewards/thought_reward/mean": ("thought reward", False),
    "rewards/empty_thought/mean": ("empty thoughts, share", False),
    "rewards/repeated_tags/mean": ("tags repeated, share", False),
    "rewards/repeated_words/mean": ("words repeated, share", False),
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
    "rewards/empty_thought/mean",
    "rewards/repeated_tags/mean",
    "rewards/repeated_words/mean",
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

    Raises:
        ValueError: if a run logged no step, or its seeds have no step in common.
    """
    if shade not in ("range", "interval"):
        raise ValueError(f"shade is {shade!r}: choose 'range' (of the seeds) or 'interval' (95 % of their mean)")
    groups = {name: _seeds(runs) for name, runs in (metrics if isinstance(metrics, Mapping) else {"": metrics}).items()}
    steps = {name: _common_steps(name, seeds) for name, seeds in groups.items()}
    colors = {name: color_of(name, i) for i, name in enumerate(groups)}
    last = max(s[-1] for s in steps.values())
    rows = -(-len(keys) // _COLUMNS)
    fig = canvas(
        title,
        source,
        _alt(groups, steps, keys),
        note=_note([len(seeds) for seeds in groups.values()], shade, smooth),
        keys=[("━", colors[name], name) for name in groups if name],
        height_px=18 + rows * _PANEL_PX + (rows - 1) * _GAP_PX,
    )
    for i, key in enumerate(keys):
        panel = "" if i == 0 else str(i + 1)
        curves = {name: _curve(groups[name], steps[name], key, shade, smooth) for name in groups}
        _panel(fig, panel, key, curves, colors, last)
        fig.update_layout({f"xaxis{panel}": _x_place(i, rows, len(keys)), f"yaxis{panel}": _y_place(i, rows)})
    return fig


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
    name, logarithmic = METRICS.get(key, (key, False))
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


def _alt(groups: dict, steps: dict, keys: Sequence[str]) -> str:
    parts = []
    for name, seeds in groups.items():
        for key in keys:
            at, middle, *_ = _curve(seeds, steps[name], key, "range", 1)
            if at:
                what = f"{name} {METRICS.get(key, (key, False))[0]}".strip()
                parts.append(f"{what} from {middle[0]:.3g} at step {at[0]} to {middle[-1]:.3g} at step {at[-1]}")
    return f"Training curves: {'; '.join(parts)}."
