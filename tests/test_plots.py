"""Figures show the numbers they are given, where they belong, with their source; no text of a model becomes markup."""

import io
import itertools
import json
import math
import re
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vsr_kit import plots
from vsr_kit.plots.canvas import canvas, decades, spread
from vsr_kit.plots.sharing import KINDS
from vsr_kit.plots.style import nice_ticks, text_width, wrap
from vsr_kit.plots.tables import marked
from vsr_kit.rooms import Box, Room, make_room
from vsr_kit.sharing import Part
from vsr_kit.videos import camera_walk, render

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
TASKS = ("overall", "object_counting", "object_rel_direction")
SVG = "{http://www.w3.org/2000/svg}"


def log(steps=10, shift=0.0, **more):
    return [{"step": s, "reward": s / 10 + shift, "kl": (s - 1) * 1e-4, **more} for s in range(1, steps + 1)]


def scores(value=50.0, half=3.0, n=20):
    return {task: (value + i, value + i - half, value + i + half, n) for i, task in enumerate(TASKS)}


def small_room():
    boxes = (Box("sofa", (1.0, 1.0, 0.4), (1.6, 0.8, 0.8)), Box("tv", (3.0, 1.5, 0.5), (0.2, 1.0, 0.6)))
    chairs = tuple(Box("chair", (x, 2.5, 0.4), (0.5, 0.5, 0.8)) for x in (0.5, 1.5))
    return Room("small", "procedural", boxes + chairs, Box("room", (2, 1.5, 1.3), (4, 3, 2.6)), 12.0)


ROLLOUTS = [
    {"rewards": {"accuracy_reward": a, "format_reward": f}, "advantage": v, "answer": t}
    for a, f, v, t in ((1.0, 1.0, 1.2, "4"), (0.5, 1.0, 0.1, HOSTILE), (0.0, 0.0, -1.3, None))
]
ROW = {
    "id": "r/1",
    "dataset": "procedural",
    "scene_name": "small",
    "question_type": "object_counting",
    "question": "How many chair(s) are in this room?",
    "options": None,
    "ground_truth": "2",
}


def small_tree():
    """A clip of 6 tokens; a question of 3 with completions of 2 and 1, and one of 2 with a completion of 4."""
    clip, first, second = slice(0, 6), slice(6, 9), slice(12, 14)
    parts = (
        Part(clip, (), (6,)),
        Part(first, (clip,), (3,)),
        Part(slice(9, 12), (clip, first), (2, 1)),
        Part(second, (clip,), (2,)),
        Part(slice(14, 18), (clip, second), (4,)),
    )
    return SimpleNamespace(parts=parts, prompt_places=((clip, first), (clip, second)))


def linear(predicted, truth):
    return max(0.0, 1 - abs(predicted - truth) / truth)


def every_figure():
    """One of each kind, with hostile names wherever a name is taken."""
    room = small_room()
    path = camera_walk(room, 4, 0)
    named = {HOSTILE: scores(), "think": scores(44)}
    return {
        "training_curves": plots.training_curves({HOSTILE: [log(), log(shift=0.2)]}, source="shipped"),
        "score_dots": plots.score_dots(named, source="shipped", frequent=scores(40), no_video=scores(30)),
        "before_after": plots.before_after(scores(40), scores(50), source="shipped", names=(HOSTILE, "after")),
        "pass_at_k": plots.pass_at_k(
            {HOSTILE: {1: (5, 4, 6), 2: (7, 6, 8)}}, source="shipped", reference={"luck": {1: 4}}
        ),
        "parse_failures": plots.parse_failures({HOSTILE: (5, 3, 2)}, source="shipped"),
        "floor_plan": plots.floor_plan(room, path, ["sofa"], source="shipped", title=HOSTILE, links=[("sofa", "tv")]),
        "tree_mask": plots.tree_mask(small_tree(), source="shipped", title=HOSTILE),
        "sharing_gain": plots.sharing_gain({HOSTILE: {10: 2.0, 20: 3.0}}, {HOSTILE: {10: 1.5}}, source="shipped"),
        "gain_by_cost": plots.gain_by_cost({HOSTILE: (5, 4, 6)}, {HOSTILE: {"tokens": 9e5}}, source="shipped"),
        "by_setting": plots.by_setting(
            {0: (-5, -6, -4), 50: (1, 0, 2), 100: (5, 4, 6)}, source="shipped", chosen=50, knob=HOSTILE, unit=HOSTILE
        ),
        "group_figure": plots.group_figure(ROLLOUTS, source="shipped", question=HOSTILE, truth="2"),
        "reward_shapes": plots.reward_shapes({HOSTILE: linear, "never": lambda p, g: 0.0}, source="shipped"),
    }


@pytest.fixture(scope="module")
def figures():
    return every_figure()


def texts(svg):
    return ["".join(e.itertext()) for e in ET.fromstring(svg).iter(f"{SVG}text")]


def circles(svg):
    return [(float(e.get("cx")), float(e.get("cy"))) for e in ET.fromstring(svg).iter(f"{SVG}circle")]


# -- what every figure keeps -------------------------------------------------------------------------------------------


def test_every_figure_says_its_source_and_what_it_shows(figures):
    for name, figure in figures.items():
        shown = texts(figure.to_svg())
        assert any(line.startswith("shipped") for line in shown), name
        root = ET.fromstring(figure.to_svg())
        assert figure.source == "shipped"
        assert len(figure.alt) > 40, name
        assert figure.alt.endswith("(shipped)"), name
        assert root.get("aria-label") == root.find(f"{SVG}title").text == figure.alt, name
        assert root.get("role") == "img"


def test_a_figure_without_a_known_source_is_refused():
    for source in ("", "measured", "today"):
        with pytest.raises(ValueError, match="'measured now' or 'shipped'"):
            plots.training_curves(log(), source=source)
    with pytest.raises(TypeError):
        plots.training_curves(log())


def test_svg_has_nothing_a_sanitiser_would_take_away(figures):
    allowed = {"svg", "title", "rect", "line", "polyline", "polygon", "circle", "text", "tspan"}
    for name, figure in figures.items():
        svg = figure.to_svg()
        assert {e.tag.removeprefix(SVG) for e in ET.fromstring(svg).iter()} <= allowed, name
        attributes = {a for e in ET.fromstring(svg).iter() for a in e.attrib}
        assert not attributes & {"style", "class", "id", "href", "clip-path"}, name
        assert "url(" not in svg, name


def test_hostile_names_stay_text_in_both_forms(figures):
    for name, figure in figures.items():
        svg, live = figure.to_svg(), figure.to_json()
        assert "<script" not in svg.lower(), name
        assert "<img" not in svg.lower(), name
        # plotly makes markup of tags in what it draws; the alternative text is drawn by nobody
        drawn = json.loads(live)
        drawn["layout"].pop("meta")
        assert "<script" not in json.dumps(drawn), name
        assert "<img" not in json.dumps(drawn), name


def test_hostile_names_are_shown_as_they_are(figures):
    for name in ("training_curves", "score_dots", "before_after", "parse_failures", "floor_plan"):
        assert any("<script>alert(1)</script>" in line for line in texts(figures[name].to_svg())), name


def test_the_bundle_carries_a_live_and_a_still_form_and_no_script(figures):
    for name, figure in figures.items():
        bundle = figure._repr_mimebundle_()
        assert set(bundle) == {"application/vnd.plotly.v1+json", "image/svg+xml", "text/plain"}, name
        assert bundle["application/vnd.plotly.v1+json"]["data"], name
        assert bundle["text/plain"] == figure.alt
        assert len(json.dumps(bundle)) < 60_000, name
    assert figures["score_dots"]._repr_html_() is None


def test_ipython_shows_the_bundle_and_not_plotlys_own_output(figures):
    from IPython.core.formatters import DisplayFormatter

    data, _ = DisplayFormatter().format(figures["parse_failures"])
    assert "image/svg+xml" in data
    assert "text/html" not in data


# -- the SVG writer ----------------------------------------------------------------------------------------------------


def bare_figure(*traces, **layout):
    size = {"width": 300, "height": 200, "margin": {"l": 50, "r": 50, "t": 20, "b": 30}}
    return go.Figure(list(traces), {**size, "template": "none", **layout})


def svg_of(figure):
    return plots.show(figure, alt="a test figure").to_svg()


def test_points_lie_where_their_values_say():
    marks = go.Scatter(x=[0, 5, 10], y=[0, 1, 4], mode="markers")
    svg = svg_of(bare_figure(marks, xaxis={"range": [0, 10]}, yaxis={"range": [0, 4]}))
    assert circles(svg) == [(50, 170), (150, 132.5), (250, 20)]


def test_logarithmic_axes_place_decades_evenly_and_leave_zero_out():
    marks = go.Scatter(x=[0, 1, 2, 3], y=[0.0, 0.01, 0.1, 1.0], mode="markers")
    svg = svg_of(bare_figure(marks, xaxis={"range": [0, 4]}, yaxis={"range": [-2, 0], "type": "log"}))
    assert [y for _, y in circles(svg)] == [170, 95, 20]


def test_axes_without_a_range_hold_all_points():
    svg = svg_of(bare_figure(go.Scatter(x=[-3, 40], y=[7, 9], mode="markers")))
    for x, y in circles(svg):
        assert 50 <= x <= 250
        assert 20 <= y <= 170


def test_a_gap_cuts_a_line():
    line = go.Scatter(x=[0, 1, 2, 3, 4], y=[1, 1, None, 1, 1], mode="lines")
    svg = svg_of(bare_figure(line, xaxis={"range": [0, 4]}, yaxis={"range": [0, 2]}))
    assert len(list(ET.fromstring(svg).iter(f"{SVG}polyline"))) == 2


def test_error_bars_reach_from_low_to_high():
    error = {"type": "data", "symmetric": False, "array": [3], "arrayminus": [1], "color": "#123456"}
    svg = svg_of(
        bare_figure(
            go.Scatter(x=[5], y=[1], mode="markers", error_x=error), xaxis={"range": [0, 10]}, yaxis={"range": [0, 2]}
        )
    )
    bar = next(e for e in ET.fromstring(svg).iter(f"{SVG}line") if e.get("stroke") == "#123456")
    assert (float(bar.get("x1")), float(bar.get("x2"))) == (130, 210)
    assert bar.get("y1") == bar.get("y2") == "95"


@pytest.mark.parametrize("flat", [True, False])
def test_bars_stand_on_their_base(flat):
    lengths, places = ([4], [1]) if flat else ([1], [4])
    bar = go.Bar(x=lengths, y=places, base=[2], width=1, orientation="h" if flat else "v", marker={"color": "#123456"})
    svg = svg_of(bare_figure(bar, xaxis={"range": [0, 10]}, yaxis={"range": [0, 10]}))
    box = next(e for e in ET.fromstring(svg).iter(f"{SVG}rect") if e.get("fill") == "#123456")
    found = tuple(float(box.get(k)) for k in ("x", "y", "width", "height"))
    assert found == ((90, 147.5, 80, 15) if flat else (60, 80, 20, 60))


def test_annotations_take_logarithms_and_shapes_take_values_as_plotly_does():
    figure = bare_figure(go.Scatter(x=[0], y=[1]), xaxis={"range": [0, 1]}, yaxis={"range": [-2, 0], "type": "log"})
    figure.add_annotation(x=0, y=-1, text="here", showarrow=False, yanchor="middle")
    figure.add_shape(type="line", x0=0, x1=1, y0=0.1, y1=0.1, line={"color": "#123456"})
    root = ET.fromstring(svg_of(figure))
    line = next(e for e in root.iter(f"{SVG}line") if e.get("stroke") == "#123456")
    text = next(e for e in root.iter(f"{SVG}text") if e.text == "here")
    assert float(line.get("y1")) == 95
    assert float(text.get("y")) == pytest.approx(95, abs=6)


@pytest.mark.parametrize(
    "figure, complaint",
    [
        (go.Figure(go.Pie(values=[1])), "trace type 'pie'"),
        (go.Figure(go.Scatter(x=[1], y=[1], fill="tonexty")), "fill='tonexty'"),
        (go.Figure(go.Scatter(x=[1, 2], y=[1, 2], line={"shape": "hv"})), "line shape 'hv'"),
        (go.Figure(go.Scatter(x=[1], y=[1], mode="markers", marker={"symbol": "star"})), "symbol 'star'"),
        (go.Figure(go.Scatter(x=["a"], y=[1])), "axis 'x' holds 'a'"),
        (go.Figure(go.Scatter(x=[1], y=[1]), {"xaxis": {"type": "category"}}), "type 'category'"),
        (go.Figure(layout={"annotations": [{"text": "look", "x": 0, "y": 0}]}), "'look' has an arrow"),
        (go.Figure(layout={"shapes": [{"type": "circle", "x0": 0, "x1": 1, "y0": 0, "y1": 1}]}), "shape type 'circle'"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(figure, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        plots.show(figure, alt="something")


def test_show_wants_alternative_text():
    with pytest.raises(ValueError, match="alternative text"):
        plots.show(go.Figure(go.Scatter(x=[1], y=[1])))


def test_text_knows_bold_and_lines_and_nothing_else():
    figure = bare_figure(go.Scatter(x=[0], y=[0], mode="markers"))
    figure.add_annotation(x=0, y=0, text="<b>one</b><br>two &lt;b&gt; <u>three</u>", showarrow=False)
    root = ET.fromstring(svg_of(figure))
    lines = ["".join(e.itertext()) for e in root.iter(f"{SVG}text")]
    assert "one" in lines
    assert "two <b> <u>three</u>" in lines
    assert [e.text for e in root.iter(f"{SVG}tspan")] == ["one"]


# -- layout arithmetic -------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8), st.floats(0.1, 20))
def test_spread_keeps_order_and_distance_and_balance(wished, least):
    placed = spread(wished, least)
    order = sorted(range(len(wished)), key=lambda i: wished[i])
    gaps = [placed[b] - placed[a] for a, b in itertools.pairwise(order)]
    assert all(gap >= least - 1e-6 for gap in gaps)
    assert sum(placed) == pytest.approx(sum(wished), abs=1e-6)


@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4))
def test_ticks_are_few_even_and_inside(low, span):
    ticks = nice_ticks(low, low + span)
    slack = 1e-6 * span
    assert 2 <= len(ticks) <= 7
    assert low - slack <= ticks[0]
    assert ticks[-1] <= low + span + slack
    steps = np.diff(ticks)
    assert np.allclose(steps, steps[0], rtol=1e-3)


def test_wrapped_lines_fit_and_lose_no_word():
    text = "measured now · " + "a fairly long sentence about seeds and intervals " * 5
    lines = wrap(text, 300, 13)
    assert " ".join(lines) == " ".join(text.split())
    assert len(lines) > 3
    assert all(text_width(line, 13) <= 300 for line in lines)


def test_decades_cover_their_values_and_name_them():
    axis = decades(3e-5, 0.02)
    assert axis["range"] == [-5, -1]
    assert axis["ticktext"] == ["10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹"]
    assert decades(1, 1)["ticktext"] == ["1", "10"]


def test_a_long_heading_grows_the_margin_and_not_into_the_plot():
    one = canvas("t", "shipped", "alt", height_px=100, note="short")
    many = canvas("t", "shipped", "alt", height_px=100, note="many words " * 60)
    assert many.layout.margin.t > one.layout.margin.t + 50
    assert many.layout.height - many.layout.margin.t == one.layout.height - one.layout.margin.t


# -- training curves ---------------------------------------------------------------------------------------------------


def test_curves_show_the_seeds_mean_and_range():
    figure = plots.training_curves([log(), log(shift=0.4)], keys=("reward",), source="measured now")
    band, line = figure.data
    assert list(line.x) == list(range(1, 11))
    assert list(line.y) == pytest.approx([s / 10 + 0.2 for s in range(1, 11)])
    assert list(band.y) == pytest.approx([s / 10 for s in range(1, 11)] + [s / 10 + 0.4 for s in range(10, 0, -1)])
    assert any("2 seeds: line = mean, band = lowest to highest seed" in line for line in texts(figure.to_svg()))


def test_the_interval_band_is_students():
    runs = [log(1, shift) for shift in (0.0, 0.1, 0.2)]
    figure = plots.training_curves(runs, keys=("reward",), source="measured now", shade="interval")
    low, high = figure.data[0].y
    half = 4.302653 * 0.1 / math.sqrt(3)  # Student's t at 97.5 %, two degrees of freedom
    assert (low, high) == pytest.approx((0.2 - half, 0.2 + half), rel=1e-3)


def test_zero_kl_is_a_gap_on_the_log_axis_and_one_seed_has_no_band():
    figure = plots.training_curves(log(), keys=("kl",), source="measured now")
    (line,) = figure.data
    assert line.y[0] is None
    assert line.y[1] == pytest.approx(1e-4)
    assert figure.layout.yaxis.type == "log"
    low, high = figure.layout.yaxis.range
    assert low <= math.log10(1e-4)
    assert math.log10(9e-4) <= high


def test_steps_that_a_seed_lacks_and_closing_summaries_fall_away():
    runs = [[*log(10), {"train_runtime": 3.0}], log(6)]
    figure = plots.training_curves(runs, keys=("reward",), source="measured now")
    assert list(figure.data[-1].x) == [1, 2, 3, 4, 5, 6]


def test_a_metric_that_was_not_logged_is_said_to_be_missing():
    figure = plots.training_curves(log(kl=0.0), keys=("reward", "kl", "entropy"), source="measured now")
    shown = texts(figure.to_svg())
    assert "not logged" in shown
    assert "zero at every step" in shown
    assert "entropy, nats a token" in shown


def test_smoothing_is_a_trailing_mean_and_is_announced():
    figure = plots.training_curves(log(), keys=("reward",), source="measured now", smooth=3)
    assert figure.data[0].y[0] == pytest.approx(0.1)
    assert figure.data[0].y[4] == pytest.approx((0.3 + 0.4 + 0.5) / 3, rel=1e-3)
    assert any("trailing mean of 3" in line for line in texts(figure.to_svg()))


def test_borders_of_stages_are_drawn_between_two_steps_in_every_panel():
    figure = plots.training_curves(log(), keys=("reward", "kl"), source="measured now", borders=(0, 4))
    assert [(line.xref, line.x0, line.x1) for line in figure.layout.shapes] == [("x", 4.5, 4.5), ("x2", 4.5, 4.5)]
    assert "a new stage after step 4." in figure.alt and "a new stage" in texts(figure.to_svg())
    assert ET.fromstring(figure.to_svg()).findall(f".//{SVG}line[@stroke-dasharray]")
    plain = plots.training_curves(log(), keys=("reward",), source="measured now", borders=(0,))
    assert not plain.layout.shapes and "stage" not in plain.alt


def test_modes_keep_their_colours_and_names_are_keys():
    figure = plots.training_curves({"think": log(), "vanilla": log()}, keys=("reward",), source="measured now")
    assert any(line.endswith("one seed each") for line in texts(figure.to_svg()))
    alone = plots.training_curves({"think": log()}, keys=("reward",), source="measured now")
    assert any(line.endswith("one seed") for line in texts(alone.to_svg()))
    assert {t.name: t.line.color for t in figure.data} == {"think": "#c94f00", "vanilla": "#0067a5"}
    assert {"think", "vanilla"} <= set(texts(figure.to_svg()))


def test_long_runs_are_thinned():
    figure = plots.training_curves(log(5000), keys=("reward",), source="measured now")
    assert 100 <= len(figure.data[0].x) <= 240
    assert figure.data[0].x[-1] == 5000
    smoothed = plots.training_curves(log(100), keys=("reward",), source="measured now", smooth=20)
    assert list(smoothed.data[0].x) == [*range(1, 100, 5), 100]


def test_runs_without_a_common_step_are_refused():
    with pytest.raises(ValueError, match="no step that all its 2 seeds"):
        plots.training_curves([log(3), [{"step": 9, "reward": 1.0}]], source="measured now")
    with pytest.raises(ValueError, match="no step"):
        plots.training_curves([{"train_runtime": 3.0}], source="measured now")
    with pytest.raises(ValueError, match="shade is 'std'"):
        plots.training_curves(log(), source="measured now", shade="std")


# -- scores ------------------------------------------------------------------------------------------------------------


def test_score_dots_place_values_intervals_and_lines_to_beat():
    wrong = dict.fromkeys(TASKS, 33.0)
    frequent = dict.fromkeys(TASKS, 41.0)
    figure = plots.score_dots({"a": scores(60, 4)}, source="shipped", frequent=frequent, wrong_clip=wrong)
    by_symbol = {t.marker.symbol: t for t in figure.data}
    assert set(by_symbol) == {None, "line-ns", "x-thin"}
    assert list(by_symbol["line-ns"].x) == [41.0] * 3
    assert list(by_symbol["x-thin"].x) == [33.0] * 3
    dots = by_symbol[None]
    assert list(dots.x) == [60, 61, 62]
    assert list(dots.error_x.array) == list(dots.error_x.arrayminus) == [4, 4, 4]
    shown = texts(figure.to_svg())
    assert "most frequent answer" in shown
    assert "another room's clip" in shown
    assert "no video" not in shown
    assert "Relative direction, n = 20" in shown
    assert "most frequent answer 41.0" in figure.alt


def test_dots_lie_inside_the_plot_at_their_per_cent():
    figure = plots.score_dots({"a": {"object_counting": 100.0, "overall": 0.0}}, source="shipped")
    xs = sorted(x for x, _ in circles(figure.to_svg()))
    margin, width = figure.layout.margin, figure.layout.width
    assert xs == pytest.approx([margin.l, width - margin.r], abs=0.2)


@pytest.mark.parametrize("bad", [(50, 60, 70), (50, 40, 45)])
def test_an_interval_that_misses_its_value_is_refused(bad):
    with pytest.raises(ValueError, match="low ≤ value ≤ high"):
        plots.score_dots({"a": {"overall": bad}}, source="shipped")


def test_before_after_writes_changes_and_greys_those_that_may_be_none():
    difference = {
        "overall": (10.0, 4.0, 16.0),
        "object_counting": (2.0, -3.0, 7.0),
        "object_rel_direction": (-9.0, -12.0, -6.0),
    }
    figure = plots.before_after(scores(40), scores(50), source="shipped", difference=difference)
    changes = {a.text: a.font.color for a in figure.layout.annotations if a.text.startswith(("<b>+", "<b>−"))}
    assert list(changes) == [
        "<b>+10.0</b> (+4.0 to +16.0)",
        "<b>+2.0</b> (−3.0 to +7.0)",
        "<b>−9.0</b> (−12.0 to −6.0)",
    ]
    assert len(set(changes.values())) == 3


def test_before_after_without_a_difference_subtracts():
    figure = plots.before_after({"overall": 40.0}, {"overall": 35.5, "object_counting": 1.0}, source="shipped")
    assert "−4.5" in texts(figure.to_svg())
    assert "Object count" not in texts(figure.to_svg())
    with pytest.raises(ValueError, match="share a task"):
        plots.before_after({"overall": 1.0}, {"object_counting": 1.0}, source="shipped")


def test_shares_stack_to_a_hundred_and_unreadable_is_not_wrong():
    figure = plots.parse_failures({"think": (40, 40, 15, 5), "vanilla": (30, 18, 2, 0)}, source="shipped")
    assert [list(t.x) for t in figure.data] == [[40, 60], [40, 36], [15, 4], [5, 0]]
    assert [list(t.base) for t in figure.data] == [[0, 0], [40, 60], [80, 96], [95, 100]]
    shown = texts(figure.to_svg())
    assert {"right", "wrong", "could not be read", "cut off by the cap", "n = 100", "n = 50"} <= set(shown)
    assert len({t.marker.color for t in figure.data}) == 4
    without = plots.parse_failures({"vanilla": (30, 18, 2, 0)}, source="shipped")
    assert "cut off by the cap" not in texts(without.to_svg())


def test_partly_right_is_a_part_of_its_own_where_it_occurs():
    from vsr_kit.evaluation import score

    rows = [ROW | {"id": i, "prediction": text} for i, text in enumerate(("2", "3", "90", "many, I think"))]
    table = score(rows, "lenient")
    kind = table.types["object_counting"]
    assert (kind.right, kind.partly, kind.wrong, kind.unparsed) == (1, 1, 1, 1)
    figure = plots.parse_failures({"ours": kind, "theirs": {"right": 3, "wrong": 1}}, source="shipped")
    assert [list(t.x) for t in figure.data] == [[25, 75], [25, 0], [25, 25], [25, 0]]
    assert "partly right" in texts(figure.to_svg())


def test_intervals_of_the_evaluation_are_scores():
    from vsr_kit.evaluation import Interval

    row = {"trained": Interval(50.0, 45.0, 55.0, 120, 30, 3), "object_counting": 20.0}
    table = plots.score_table({"a": row}, source="shipped").markup
    assert "45.0 to 55.0" in table
    assert table.index("Trained") < table.index("Object")
    assert list(plots.score_dots({"a": row}, source="shipped").data[0].error_x.array) == [5, 0]


@pytest.mark.parametrize("bad", [(1, 2), (1, -1, 0), (0, 0, 0), {"good": 1}, {}])
def test_counts_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match="row 'a' holds"):
        plots.parse_failures({"a": bad}, source="shipped")


def test_tries_stand_at_their_logarithm_and_luck_is_dashed():
    figure = plots.pass_at_k(
        {"think": {8: 70.0, 1: 50.0, 2: 60.0}}, source="shipped", reference={"luck": {1: 30.0, 8: 60.0}}
    )
    think, luck = figure.data
    assert list(think.x) == [0, 1, 3]
    assert list(think.y) == [50, 60, 70]
    assert (think.line.dash, luck.line.dash) == ("solid", "dash")
    assert list(figure.layout.xaxis.ticktext) == ["1", "2", "8"]
    with pytest.raises(ValueError, match="curve and a reference"):
        plots.pass_at_k({"a": {1: 1.0}}, source="shipped", reference={"a": {1: 1.0}})
    with pytest.raises(ValueError, match="has no k"):
        plots.pass_at_k({"a": {}}, source="shipped")


# -- tables and traces -------------------------------------------------------------------------------------------------

PAPER = {
    "think": {"overall": 22.9, "object_counting": 18.4, "object_rel_direction": 22.9},
    "vanilla": {"overall": 24.6, "object_counting": 21.4, "object_rel_direction": 27.7},
}


def test_score_table_has_values_intervals_counts_and_bold_bests():
    table = plots.score_table({"a": scores(50), HOSTILE: scores(48)}, source="shipped", references={"luck": scores(60)})
    assert "<b>50.0</b>" in table.markup
    assert "<b>48.0</b>" not in table.markup
    assert "<b>60.0</b>" not in table.markup
    assert "47.0 to 53.0" in table.markup
    assert "<script" not in table.markup
    assert "&lt;script&gt;" in table.markup
    assert "<b>shipped</b>" in table.markup
    assert re.search(r"questions</i></td>(<td [^>]*>20</td>){3}", table.markup)


def test_a_task_that_only_a_line_to_beat_has_is_a_gap_in_the_others():
    rows = {"a": {"overall": 50.0}, "b": {"overall": 40.0}}
    table = plots.score_table(rows, source="shipped", references={"luck": {"route_planning": 30.0}}).markup
    assert table.count("<td") == 3 * 3  # three rows of a name and two cells
    assert table.count(">–</td>") == 3


def test_the_papers_printed_average_stands_beside_its_columns_mean():
    table = plots.paper_table(PAPER, {"think": scores(40), "vanilla": scores(44)}, source="measured now").markup
    assert "(columns: 20.6)" in table
    assert table.count("columns:") == 1
    assert table.index("paper") < table.index("22.9") < table.index("ours") < table.index("<b>44.0</b>")
    with pytest.raises(ValueError, match=r"lack \['think'\]"):
        plots.paper_table(PAPER, {"vanilla": scores()}, source="measured now")


def read(text, row):
    found = re.search(r"\d+", text)
    return (found.group(), None) if found else (None, "no <number> in it")


def test_traces_escape_mark_and_say_why():
    rows = [
        ROW | {"label": "before", "completion": HOSTILE},
        ROW
        | {
            "label": "after",
            "completion": "there are 2 <b>chairs</b>",
            "rewards": {"accuracy_reward": 1.0},
            "advantage": -0.5,
        },
    ]
    html = plots.traces(rows, source="measured now", read=read).markup
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;img src=x onerror=alert(" in html
    assert "there are <b style" in html
    assert ">2</b> &lt;b&gt;chairs&lt;/b&gt;" in html
    assert html.count("How many chair(s)") == 1
    assert "accuracy 1.00" in html
    assert "advantage −0.50" in html


def test_an_unread_answer_shows_its_reason_and_an_empty_one_that_it_is():
    html = plots.traces(
        [ROW | {"prediction": "none <at> all"}, ROW | {"prediction": " "}], source="shipped", read=read
    ).markup
    assert html.count("could not be read: no &lt;number&gt; in it") == 2
    assert "none &lt;at&gt; all" in html
    assert "(nothing)" in html
    alone = plots.traces([ROW], source="shipped", read=read).markup
    assert "How many chair(s)" in alone
    assert "could not be read" not in alone


def test_what_predict_adds_to_a_row_is_no_reward():
    row = ROW | {"mode": "vanilla", "sample": 0, "prediction": "4", "num_tokens": 2, "truncated": False}
    html = plots.traces([row], source="measured now").markup
    assert "sample" not in html and "tokens" not in html and html.count(">–</td>") == 1


def test_the_kits_own_parser_reads_by_default():
    rows = [ROW | {"completion": "<think>two</think> <answer> four </answer>"}, ROW | {"completion": "no idea"}]
    html = plots.traces(rows, source="shipped").markup
    assert re.search(r"<b>4</b>", html)
    assert "> four </b>&lt;/answer&gt;" in html
    assert html.count("could not be read: ") == 1


def test_options_may_come_as_an_array():
    row = ROW | {"options": np.array(["A. left", "B. <right>"]), "completion": "1"}
    assert "A. left · B. &lt;right&gt;" in plots.traces([row], source="shipped", read=read).markup


@pytest.mark.parametrize(
    "text, answer, shown",
    [
        ("<answer>1</answer> or <answer>2</answer>", "2", "&lt;answer&gt;<b>2</b>&lt;/answer&gt;"),
        ("3 chairs by 13 windows", "3", "<b>3</b> chairs by 13 windows"),
        ("A lamp. The answer is a", "A", "The answer is <b>a</b>"),
        ("three & four", "9", "three &amp; four"),
    ],
)
def test_the_answer_that_was_read_is_marked(text, answer, shown):
    assert shown in re.sub(r"<b [^>]*>", "<b>", marked(text, answer))


def test_very_long_answers_are_cut_in_the_middle_and_say_so():
    html = plots.traces([ROW | {"completion": "x" * 9000 + "7"}], source="shipped", read=read).markup
    assert "5001 characters left out" in html
    assert len(html) < 7000


# -- rooms, clips, groups ----------------------------------------------------------------------------------------------


def polygons(figure):
    """Pixel outlines of all filled shapes of the SVG."""
    found = ET.fromstring(figure.to_svg()).iter(f"{SVG}polygon")
    return [np.array([[float(v) for v in pair.split(",")] for pair in e.get("points").split()]) for e in found]


def names_on(figure):
    """Names written on a plan, with their place in metres."""
    trace = next(t for t in figure.data if t.name == "names")
    return list(zip(trace.text, trace.x, trace.y, strict=True))


def test_a_plan_is_to_scale_in_both_directions():
    figure = plots.floor_plan(small_room(), source="shipped")
    shell, *boxes = polygons(figure)
    wide, tall = np.ptp(shell, axis=0)
    assert wide / 4 == pytest.approx(tall / 3, rel=0.01)
    sofa = next(b for b in boxes if np.ptp(b, axis=0)[0] / np.ptp(b, axis=0)[1] == pytest.approx(2, rel=0.02))
    assert np.ptp(sofa, axis=0)[0] == pytest.approx(1.6 * wide / 4, rel=0.02)


def test_north_is_up_and_east_is_right():
    figure = plots.floor_plan(small_room(), source="shipped")
    at = {text: (x, y) for text, x, y in names_on(figure)}
    low_x, high_x = figure.layout.xaxis.range
    assert low_x < high_x
    assert figure.layout.yaxis.range[0] < figure.layout.yaxis.range[1]
    assert at["sofa"][0] < at["tv"][0]


def test_what_is_asked_about_is_outlined_and_named_in_bold():
    plain = plots.floor_plan(small_room(), source="shipped")
    asked = plots.floor_plan(small_room(), highlight=["chair"], source="shipped")
    outlined = [t for t in asked.data if t.line.width == 2.4]
    assert len(outlined) == 2
    assert not [t for t in plain.data if t.line.width == 2.4]
    assert "Asked about: chair." in asked.alt
    assert {text for text, *_ in names_on(asked)} == {"<b>chair</b>", "sofa", "tv"}


def test_the_walk_goes_through_the_cameras_places_and_opens_one_view():
    room = small_room()
    path = camera_walk(room, 5, 1)
    figure = plots.floor_plan(room, path, source="shipped", frame=2)
    walk = next(t for t in figure.data if "markers" in (t.mode or ""))
    assert np.allclose(np.column_stack([walk.x, walk.y]), path.positions_m_F3[:, :2], atol=1e-3)
    assert list(walk.text) == ["1", "", "3", "", "5"]
    wedge = next(t for t in figure.data if t.fillcolor == "rgba(27,31,36,0.16)")
    middle = np.array([wedge.x[5], wedge.y[5]]) - path.positions_m_F3[2, :2]
    assert math.degrees(math.atan2(middle[1], middle[0])) == pytest.approx(path.yaw_deg_F[2], abs=0.5)


def test_links_join_the_centres_of_what_occurs_once():
    figure = plots.floor_plan(small_room(), source="shipped", links=[("sofa", "tv")])
    line = next(t for t in figure.data if t.line.dash == "dash")
    assert (list(line.x), list(line.y)) == ([1.0, 3.0], [1.0, 1.5])


def test_plans_refuse_what_is_not_there():
    room = small_room()
    with pytest.raises(ValueError, match=r"'piano' is not in room small: .* chair, sofa, tv"):
        plots.floor_plan(room, highlight=["piano"], source="shipped")
    with pytest.raises(ValueError, match="'chair' occurs 2 times"):
        plots.floor_plan(room, links=[("chair", "tv")], source="shipped")
    with pytest.raises(ValueError, match="frames 0 to 3"):
        plots.floor_plan(room, camera_walk(room, 4, 0), frame=4, source="shipped")


def test_plans_of_many_rooms_draw_without_overlapping_names():
    for seed in range(6):
        room = make_room(seed)
        figure = plots.floor_plan(room, camera_walk(room, 8, seed), source="shipped")
        scale = (figure.layout.width - figure.layout.margin.l - figure.layout.margin.r) / np.ptp(
            figure.layout.xaxis.range
        )
        names = names_on(figure)
        assert len(names) > len(room.boxes) / 2
        boxes = [(x * scale, y * scale, text_width(text, 12) / 2) for text, x, y in names]
        for i, (x, y, half) in enumerate(boxes):
            assert all(abs(x - u) >= half + w or abs(y - v) >= 12 for u, v, w in boxes[:i]), (seed, names[i])


def test_a_tilted_box_has_a_plan():
    c, s = math.cos(0.5), math.sin(0.5)
    tilted = Box("lamp", (2, 1.5, 0.7), (0.4, 0.4, 1.2), ((c, 0, s), (0, 1, 0), (-s, 0, c)))
    room = Room("tilted", "x", (tilted,), small_room().shell, 12.0)
    wide, tall = np.ptp(polygons(plots.floor_plan(room, source="shipped"))[1], axis=0)
    assert wide / tall == pytest.approx((0.4 * c + 1.2 * s) / 0.4, rel=0.02)


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 4, (5, 16, 20, 3)).astype(np.uint8) * 60


def test_a_contact_sheet_shows_every_frame_unscaled_in_order():
    frames = picture()
    sheet = plots.clip_strip(frames, source="shipped", columns=3, scale=2)
    image = np.asarray(Image.open(io.BytesIO(sheet.png)).convert("RGB"))
    for i, frame in enumerate(frames):
        x, y = (i % 3) * 46, 26 + (i // 3) * 56
        assert np.array_equal(image[y : y + 32 : 2, x : x + 40 : 2], frame), i
    assert sheet.width_px == image.shape[1] == 138
    assert plots.clip_strip(frames[:2], source="shipped", scale=2).width_px == 92
    assert sheet.alt.endswith("(shipped)")


def test_a_picture_travels_as_png_with_alternative_text():
    data, metadata = plots.clip_strip(picture(), source="shipped", alt="a walk")._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain"}
    assert metadata["image/png"]["alt"] == "a walk (shipped)"
    assert 'alt="a walk (shipped)"' in plots.clip_strip(picture(), source="shipped", alt="a walk").__html__()


def test_a_clip_of_eight_frames_stays_small():
    room = make_room(5)
    sheet = plots.clip_strip(render(room, camera_walk(room, 8, 5), 112).frames_FHW3, source="shipped")
    assert len(sheet.png) < 30_000


def test_frames_of_another_kind_are_refused():
    for bad in (picture()[0], picture().astype(float), picture()[:0]):
        with pytest.raises(ValueError, match=r"give uint8 of shape \(F, H, W, 3\)"):
            plots.clip_strip(bad, source="shipped")


def test_a_group_stacks_its_terms_and_sets_advantages_apart():
    figure = plots.group_figure(ROLLOUTS, source="measured now", question="How many?", truth="4")
    accuracy, formats, advantage = figure.data
    assert list(accuracy.x) == [1.0, 0.5, 0.0]
    assert list(formats.base) == [1.0, 0.5, 0.0]
    assert list(formats.x) == [1.0, 1.0, 0.0]
    assert list(advantage.x) == [1.2, 0.1, -1.3]
    assert advantage.marker.color[0] != advantage.marker.color[2]
    mean_line = figure.layout.shapes[0]
    assert mean_line.x0 == mean_line.x1 == pytest.approx(3.5 / 3)
    shown = texts(figure.to_svg())
    assert {"(could not be read)", "+1.20", "−1.30", "4"} <= set(shown)
    assert any("right answer: 4" in line for line in shown)


def test_a_group_needs_two_rollouts_rewards_and_advantages():
    with pytest.raises(ValueError, match="at least 2 rollouts, got 1"):
        plots.group_figure(ROLLOUTS[:1], source="shipped")
    with pytest.raises(ValueError, match="rollout 1 holds"):
        plots.group_figure([ROLLOUTS[0], {"rewards": {"a": 1.0}}], source="shipped")
    with pytest.raises(ValueError, match="rollout 0 holds"):
        plots.group_figure([{"advantage": 1.0}, ROLLOUTS[0]], source="shipped")


def test_rewards_may_be_columns():
    rows = [
        {"accuracy_reward": a, "format_reward": 1.0, "reward": a + 1, "advantage": a, "completion": "x"}
        for a in (0.0, 1.0)
    ]
    figure = plots.group_figure(rows, source="shipped")
    assert [list(t.x) for t in figure.data] == [[0, 1], [1, 1], [0, 1]]  # two terms, then the advantages


# -- inside a template -------------------------------------------------------------------------------------------------


def test_our_objects_pass_a_template_engine_unescaped():
    from markupsafe import escape

    table = plots.score_table({"a": scores()}, source="shipped")
    assert str(escape(table)) == table.markup


# -- sharing -----------------------------------------------------------------------------------------------------------


def cells(figure, color):
    """Cells (row, column) whose middles lie in areas of a colour, areas drawn later covering earlier ones."""
    found = {}
    for trace in figure.data:
        corners = list(zip(trace.x, trace.y, strict=True))
        for row, column in np.ndindex(18, 18):
            x, y = column + 0.5, row + 0.5
            crossed = [(b, d) for b, d in itertools.pairwise(corners) if (b[1] > y) != (d[1] > y)]
            if sum(b[0] + (y - b[1]) * (d[0] - b[0]) / (d[1] - b[1]) > x for b, d in crossed) % 2:
                found[row, column] = trace.fillcolor
    return {cell for cell, fill in found.items() if fill == color}


def test_a_tree_mask_colours_what_is_seen_and_nothing_else():
    """Against the mask written out by hand: rows read, columns are read."""
    figure = plots.tree_mask(small_tree(), source="measured now")

    def causal(start, stop):
        return {(i, j) for i in range(start, stop) for j in range(start, i + 1)}

    def all_of(rows, columns):
        return {(i, j) for i in range(*rows) for j in range(*columns)}

    assert cells(figure, KINDS["clip"]) == causal(0, 6) | all_of((6, 18), (0, 6))
    assert cells(figure, KINDS["question"]) == (
        causal(6, 9) | all_of((9, 12), (6, 9)) | causal(12, 14) | all_of((14, 18), (12, 14))
    )
    assert cells(figure, KINDS["completions"]) == causal(9, 11) | causal(11, 12) | causal(14, 18)
    assert cells(figure, "#dfe3e7") == {(9, 10), (9, 11), (10, 11), (11, 9), (11, 10)}


def test_a_tree_mask_names_its_parts_and_counts_its_cells():
    figure = plots.tree_mask(small_tree(), source="measured now")
    shown = texts(figure.to_svg())
    for part in ("clip · 6 tokens", "q1 · 3 tokens", "c1 · 2 completions, 3 tokens", "c2 · 1 completion, 4 tokens"):
        assert part in shown
    seen = 21 + (18 + 6) + (27 + 4) + (12 + 3) + (32 + 10)
    assert any(f"{seen} of 18 × 18 cells are seen ({seen / 324:.0%})" in line for line in shown)


def test_a_tree_mask_is_that_of_a_packed_tree(tiny_path):
    from tests.test_prefill import CLIPS
    from tests.tiny import tiny_messages
    from vsr_kit.models import load_model
    from vsr_kit.models.vision import encode_clip
    from vsr_kit.sharing import encode_prompt, pack

    loaded = load_model(tiny_path, device="cpu", quiet=True)
    features = encode_clip(loaded.model, loaded.processor, CLIPS[0])
    prompts = [encode_prompt(loaded.model, loaded.processor, tiny_messages(t), features) for t in ("left ?", "3 A")]
    tree = pack(loaded.model, prompts, [[features.features_VD.new_ones(2).long()] * 3] * 2)
    shown = texts(plots.tree_mask(tree, source="measured now").to_svg())
    assert [name.split(" ")[0] for name in shown if " · " in name and "tokens" in name] == [
        "clip",
        "q1",
        "c1",
        "q2",
        "c2",
    ]


def test_gains_are_lines_and_measurements_dots_of_the_same_colour():
    figure = plots.sharing_gain({"a": {0: 1.0, 100: 5.0}, "b": {0: 1.0, 100: 9.0}}, {"b": {50: 4.0}}, source="shipped")
    first, second, dots = figure.data
    assert (list(second.x), list(second.y), list(dots.x), list(dots.y)) == ([0, 100], [1, 9], [50], [4])
    assert dots.marker.color == second.line.color != first.line.color
    with pytest.raises(ValueError, match="'c'.*choose among a, b"):
        plots.sharing_gain({"a": {0: 1.0}, "b": {0: 1.0}}, {"c": {0: 1.0}}, source="shipped")


# -- costs -------------------------------------------------------------------------------------------------------------

GAINS = {"grpo": (6.0, 4.0, 8.0), "sft": 3.0, "sft, longer": 5.0}
COSTS = {
    "grpo": {"questions": 2000, "seconds": 120},
    "sft": {"questions": 2000, "seconds": 30},
    "sft, longer": {"questions": 8000, "seconds": 120},
}


def test_each_currency_has_its_panel_and_a_method_its_colour():
    groups = {"sft": "SFT", "sft, longer": "SFT"}
    figure = plots.gain_by_cost(GAINS, COSTS, groups=groups, source="shipped")
    found = {(t.xaxis, len(t.x)): (t.x, list(t.y), t.line.color) for t in figure.data}
    assert {key: value[1] for key, value in found.items()} == {key: [6.0] for key in (("x", 1), ("x2", 1))} | (
        {key: [3.0, 5.0] for key in (("x", 2), ("x2", 2))}
    )
    for key, wanted in {("x", 1): [2000], ("x", 2): [2000, 8000], ("x2", 1): [120], ("x2", 2): [30, 120]}.items():
        assert found[key][0] == pytest.approx(wanted, rel=0.1)
    assert found["x", 1][0][0] != found["x", 2][0][0], "two dots of one cost hide each other"
    assert "grpo: +6.0 points for 2,000" in [text for t in figure.data for text in t.text]
    assert found["x", 1][2] == found["x2", 1][2] != found["x", 2][2] == found["x2", 2][2]
    assert (figure.data[0].error_y.array[0], figure.data[0].error_y.arrayminus[0]) == (2.0, 2.0)
    assert {"questions", "seconds", "grpo", "SFT"} <= set(texts(figure.to_svg()))
    assert "sft, longer +5.0 points for 8,000 questions, 120 seconds" in figure.alt


def test_a_gain_lies_where_the_logarithm_of_its_cost_says():
    names = ["a", "b", "c"]
    figure = plots.gain_by_cost(
        dict.fromkeys(names, 1.0), {n: {"tokens": 10.0**i} for i, n in enumerate(names, 3)}, source="shipped"
    )
    (a, _), (b, _), (c, _) = circles(figure.to_svg())
    assert b - a == pytest.approx(c - b, abs=0.2) and b - a > 50
    assert {"1k", "10k", "100k"} <= set(texts(figure.to_svg()))


def test_gains_without_their_cost_are_refused():
    with pytest.raises(ValueError, match="both need the same runs"):
        plots.gain_by_cost(GAINS, {"grpo": {"questions": 1}}, source="shipped")
    with pytest.raises(ValueError, match="both need the same runs, at least one"):
        plots.gain_by_cost({}, {}, source="shipped")
    with pytest.raises(ValueError, match="the cost of 'b' in tokens must be above zero"):
        plots.gain_by_cost({"a": 1, "b": 1}, {"a": {"tokens": 3}, "b": {"tokens": 0}}, source="shipped")


# -- rewards for numbers -----------------------------------------------------------------------------------------------


def test_reward_shapes_are_the_functions_own_values_with_the_first_behind_the_others():
    fig = plots.reward_shapes(
        {"linear": linear, "high": lambda p, g: float(p > 110)}, source="measured now", farthest=2
    )
    by_panel = {axes: [t for t in fig.data if t.xaxis == axes] for axes in ("x", "x2")}
    assert [len(found) for found in by_panel.values()] == [1, 2]
    (first,), (behind, own) = by_panel.values()
    paid = dict(zip(first.x, first.y, strict=True))
    assert (paid[0], paid[0.5], paid[1], paid[1.25], paid[2]) == (0, 0.5, 1, 0.75, 0)
    assert (behind.name, list(behind.y)) == ("linear", list(first.y))
    steps = dict(zip(own.x, own.y, strict=True))
    assert (steps[1.1], steps[1.11]) == (0, 1)  # a step stands where it is: 1.1 * 100 is a little more than 110
    assert "linear 0.50 for 0.5, 0.80 for 0.8, 0.75 for 1.25, 0.00 for 2; high 0.00 for 0.5" in fig.alt


def test_no_reward_is_no_figure():
    with pytest.raises(ValueError, match="no reward to draw"):
        plots.reward_shapes({}, source="measured now")


# -- a knob ------------------------------------------------------------------------------------------------------------

KNOB = {100: (5.0, 4.0, 6.5), 0: (-5.0, -6.0, -4.0), 50: (1.0, -0.5, 2.0)}


def test_settings_stand_in_their_order_and_the_chosen_one_is_written_out():
    figure = plots.by_setting(KNOB, source="shipped", runs={0: [-7, -4]}, knob="share", unit=" %", chosen=100)
    shown = texts(figure.to_svg())
    assert {"0 %", "50 %", "100 %"} <= set(shown)
    assert [line for line in shown if "to" in line and "+5.0" in line] == ["100 %: +5.0 (+4.0 to +6.5)"]
    (line,) = (trace for trace in figure.data if trace.mode == "lines+markers")
    assert (list(line.x), list(line.y)) == ([0, 50, 100], [-5, 1, 5])
    (rings,) = (trace for trace in figure.data if trace.hovertemplate and "one run" in trace.hovertemplate)
    assert list(rings.y) == [-7, -4] and set(rings.x) == {0}
    low, high = figure.layout.yaxis.range
    assert low < -7 and high > 6.5, "a ring or a bar is outside"
    assert "0 %: -5.0 (-6.0 to -4.0); 50 %: +1.0" in figure.alt


def test_a_knob_needs_two_settings_and_a_choice_among_them():
    with pytest.raises(ValueError, match="1 setting is no line"):
        plots.by_setting({0: (1, 0, 2)}, source="shipped")
    with pytest.raises(ValueError, match="setting 25 was not run: choose one of 100, 0, 50"):
        plots.by_setting(KNOB, source="shipped", chosen=25)
