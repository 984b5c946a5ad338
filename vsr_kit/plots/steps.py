"""One measure over the steps of which there are rollouts, with the chosen step written out, for the rollout browser.

Unlike `training_curves`, which draws what a trainer logged, this draws what is left of the recorded rollouts by a
filter, so a curve of wrong answers or of a search is drawn like any other.
Left out: bands over seeds.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from vsr_kit.inspection.columns import CHARACTERS
from vsr_kit.plots.canvas import Figure, axis, canvas
from vsr_kit.plots.style import BLUE, FAINT, ORANGE, padded, plain, tidy

_HEIGHT_PX, _MARKED, _MOST_POINTS = 120, 40, 200


def step_curve(
    means: Mapping[int, tuple[float, int]],
    chosen: int | None = None,
    *,
    measure: str,
    source: str,
    note: str = "",
    title: str = "Rollouts by step",
) -> Figure:
    """Draw the mean of a measure by step.

    Args:
        means: a step to its mean and to how many rollouts it rests on.
        chosen: the step to write out, whether or not it has any; none by default.
        measure: a column of the rollouts: a reward, `advantage`, `length`.
        source: `measured now` or `shipped`.
        note: what the rollouts are.
        title: the figure's.

    Raises:
        ValueError: no step.
    """
    if not means:
        raise ValueError("no step has rollouts here: loosen the filter")
    name, places = measure_name(measure), _thinned(means)
    values = [mean for _, mean in places]
    keys, chosen_mean = [], None if chosen is None else means.get(chosen)
    if chosen is not None:
        told = "none" if chosen_mean is None else f"{chosen_mean[0]:.2f}, {_rollouts(chosen_mean[1])}"
        keys = [("●", ORANGE, f"step {chosen}: {told}")]
    ends = f"{values[0]:.3g} at the beginning, step {min(means)}, to {values[-1]:.3g} at the end, step {max(means)}"
    few = "" if len(places) == len(means) else f", every point the mean of about {len(means) / len(places):.0f} steps"
    fig = canvas(
        title,
        source,
        f"Mean {name} by step: {ends}.",
        note=note or f"mean {name}{few}",
        keys=keys,
        height_px=_HEIGHT_PX,
        left_px=66,
        width_px=620,
    )
    span = padded([*values, *(chosen_mean or ())[:1]], 0.12, 0.05)
    fig.update_layout(
        xaxis=axis(0, max([*means, chosen or 0]) * 1.02 + 1, title_text="step", showgrid=False),
        yaxis=axis(*span, title_text=plain(name)),
    )
    mode = "lines+markers" if len(places) <= _MARKED else "lines"
    look = {"mode": mode, "line": {"color": BLUE, "width": 2}, "marker": {"color": BLUE, "size": 7}}
    hover = {"hovertemplate": "step %{x}: %{y}<extra></extra>"}
    fig.add_trace(go.Scatter(x=[step for step, _ in places], y=tidy(values), **look, **hover))
    if chosen is not None:
        line = {"x": [chosen, chosen], "y": tidy(span), "mode": "lines", "line": {"color": FAINT, "width": 1}}
        fig.add_trace(go.Scatter(**line, hoverinfo="skip"))
    if chosen_mean is not None:
        dot = {"x": [chosen], "y": tidy(chosen_mean[:1]), "mode": "markers", "marker": {"color": ORANGE, "size": 11}}
        fig.add_trace(go.Scatter(**dot, hoverinfo="skip"))
    return fig


def _thinned(means: Mapping[int, tuple[float, int]]) -> list[tuple[float, float]]:
    """Steps and means in order; of many steps, neighbours together, each weighed by its rollouts."""
    steps = np.asarray(sorted(means))
    parts = np.array_split(steps, min(len(steps), _MOST_POINTS))
    return [
        (float(np.mean(part)), float(np.average([means[s][0] for s in part], weights=[means[s][1] for s in part])))
        for part in parts
    ]


def _rollouts(count: int) -> str:
    return f"{count} rollout{'s' * (count != 1)}"


def measure_name(measure: str) -> str:
    """What a figure calls a column of rollouts."""
    named = {CHARACTERS: "length, characters", "advantage": "advantage"}
    return named.get(measure) or measure.replace("_", " ")
