"""The forest of differences: every row is where its numbers are, and says what was concluded."""

import pytest

from vsr_kit.plots import difference_forest
from vsr_kit.plots.style import BLUE, GREEN, ORANGE, PURPLE

ROWS = {"up <b>": (2.0, 1.0, 3.0), "none": (0.5, -1.0, 2.0), "down": (-2.0, -3.0, -1.0)}


def test_dots_and_bars_are_the_numbers_from_top_to_bottom():
    fig = difference_forest(ROWS, source="shipped")
    dots = [(t.x[0], t.y[0]) for t in fig.data if t.mode == "markers"]
    assert dots == [(2.0, 0), (0.5, 1), (-2.0, 2)]
    bars = [tuple(t.x) for t in fig.data if t.mode == "lines" and t.y[0] == t.y[1]]
    assert bars == [(1.0, 3.0), (-1.0, 2.0), (-3.0, -1.0)]
    low, high = fig.layout.yaxis.range
    assert low > high  # the first row on top


def test_colours_say_on_which_side_of_zero_the_interval_lies():
    fig = difference_forest(ROWS | {"edge": (1.0, 0.0, 2.0)}, source="shipped")
    colors = [t.marker.color for t in fig.data if t.mode == "markers"]
    assert len(set(colors)) == 3 and colors[3] == colors[1]


def test_what_was_concluded_stands_beside_its_row_and_is_escaped():
    fig = difference_forest(ROWS, source="measured now", conclusions={"up <b>": "yes & <i>so</i>"})
    assert "yes &amp; &lt;i&gt;so" in fig.to_svg() and "<i>so" not in fig.to_svg()
    texts = [note.text for note in fig.layout.annotations]  # plotly reads tags there
    assert "yes &amp; &lt;i&gt;so&lt;/i&gt;" in texts
    assert "up <b> +2.0 (+1.0 to +3.0) yes" in fig.layout.meta["alt"]


def test_nothing_to_draw_is_an_error():
    with pytest.raises(ValueError, match="there is no difference to draw"):
        difference_forest({}, source="shipped")


@pytest.mark.parametrize(
    "conclusion, color",
    [("reproduced, 120 rooms", GREEN), ("not reproduced", PURPLE), ("undecided", ORANGE), ("reproducedly", ORANGE)],
)
def test_a_verdict_has_a_colour_of_its_own_whatever_the_sign(conclusion, color):
    """A claim that something does not help is reproduced where the interval is below zero."""
    fig = difference_forest({"down": (-2.0, -3.0, -1.0)}, source="shipped", conclusions={"down": conclusion})
    (drawn,) = [note for note in fig.layout.annotations if note.text == conclusion]
    assert drawn.font.color == color
    assert len({GREEN, PURPLE, BLUE, ORANGE}) == 4
