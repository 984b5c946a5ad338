"""How the best answer improves with the number of tries.

The story: a model that cannot answer still wins by luck when it may try often enough, so every curve stands beside one
that draws its answers without looking. Left out: estimating best-of-k from samples, see `vsr_kit.evaluation`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import plotly.graph_objects as go

from vsr_kit.plots.canvas import BASELINE, axis, band, canvas, label, spread
from vsr_kit.plots.display import Figure
from vsr_kit.plots.style import SOFT, color_of, padded, plain, text_width, tidy

Score = float | tuple[float, float, float]
_HEIGHT_PX = 300


def pass_at_k(
    curves: Mapping[str, Mapping[int, Score]],
    *,
    source: str,
    reference: Mapping[str, Mapping[int, Score]] | None = None,
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
    fig, (low, high) = _open(tables, title, source)
    last = math.log2(max(k for table in tables.values() for k in table))
    heights = spread([-t[max(t)][0] for t in tables.values()], (high - low) * 17 / _HEIGHT_PX)
    for (name, table), height in zip(tables.items(), heights, strict=True):
        _draw(fig, name, table, colors[name], "dash" if name in reference else "solid")
        label(fig, plain(name, 40), last, -height, color=colors[name], right_px=14)
    return fig


def _by_k(name: str, table: Mapping[int, Score]) -> dict[int, tuple[float, float, float]]:
    if not table:
        raise ValueError(f"curve {name!r} has no k: give {{k: score}} or {{k: (score, low, high)}}")
    rows = sorted((int(k), v) for k, v in table.items())
    return {k: (v, v, v) if isinstance(v, (int, float)) else tuple(v)[:3] for k, v in rows}


def _open(tables: dict, title: str, source: str) -> tuple[Figure, tuple[float, float]]:
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


def _draw(fig: Figure, name: str, table: dict, color: str, dash: str) -> None:
    powers = [math.log2(k) for k in table]
    middle, low, high = (list(column) for column in zip(*table.values(), strict=True))
    if low != high:
        band(fig, powers, low, high, color)
    hover = {"text": [f"{plain(name)}, k = {k}" for k in table], "hovertemplate": "%{text}: %{y} %<extra></extra>"}
    look = {"line": {"color": color, "width": 2, "dash": dash}, "marker": {"color": color, "size": 6}}
    fig.add_trace(go.Scatter(x=powers, y=tidy(middle), mode="lines+markers", **look, **hover))
