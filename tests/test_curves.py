"""From logs to curves: over steps, tokens and seconds, through resumes, gaps and NaN; seeds as one line; sketches."""

import math
from xml.etree import ElementTree

import pytest

from vsr_kit.evaluation.run_scores import recorded_scores, scores_of_seeds
from vsr_kit.pages.report import write_report
from vsr_kit.paths import data_samples
from vsr_kit.plots.curves import curve, measured, places, thinned, trailing
from vsr_kit.plots.overlay import overlay
from vsr_kit.plots.sketch import sketch
from vsr_kit.runs import RunFolder
from vsr_kit.runs.seeds import by_seeds, is_shipped, name_without_seed

HOSTILE = "<script>alert(1)</script>"


def log(steps, attempt=1, **columns):
    """Rows of some steps; a column is a list, or what it is at every step."""
    rows = []
    for i, step in enumerate(steps):
        own = {name: value[i] if isinstance(value, list) else value for name, value in columns.items()}
        rows.append({"attempt": attempt, "step": step, **own})
    return rows


def test_a_resumed_run_goes_on_over_seconds_and_tokens_where_it_had_got_to():
    first = log([1, 2], elapsed_s=[10.0, 20.0], num_tokens=[100, 200])
    kept = log([3, 4], attempt=3, elapsed_s=[5.0, 9.0], num_tokens=[300, 400])
    anew = log([3, 4], attempt=3, elapsed_s=[5.0, 9.0], num_tokens=[50, 150])
    assert places(first + kept, "seconds") == {1: 10, 2: 20, 3: 25, 4: 29}
    assert places(first + kept, "tokens") == {1: 100, 2: 200, 3: 300, 4: 400}, "counted on"
    assert places(first + anew, "tokens") == {1: 100, 2: 200, 3: 250, 4: 350}, "counted from 0 again"
    assert places(first + kept) == {1: 1, 2: 2, 3: 3, 4: 4}
    with pytest.raises(ValueError, match="axis is 'hours': choose one of step, tokens, seconds"):
        places(first, "hours")


def test_what_is_no_number_or_has_no_place_is_no_point():
    rows = log([1, 2, 3, 4, 5], reward=[0.1, math.nan, None, True, 0.5], elapsed_s=[1.0, 2.0, 3.0, 4.0, math.inf])
    assert measured(rows, "reward") == [(1, 1, 0.1), (5, 5, 0.5)]
    assert measured(rows, "reward", "seconds") == [(1, 1.0, 0.1)]
    assert measured([{"step": None, "reward": 1.0}, {"train_runtime": 3}], "reward") == []


def test_seeds_are_averaged_at_the_steps_that_all_of_them_logged():
    one = log([1, 2, 3], reward=[0.0, 1.0, 2.0], elapsed_s=[1.0, 2.0, 3.0])
    two = log([2, 3], reward=[3.0, 6.0], elapsed_s=[4.0, 6.0])
    found = curve([one, two], "reward", "seconds")
    assert (found.xs, found.middle) == ([3.0, 4.5], [2.0, 4.0])
    assert (found.low, found.high) == ([1.0, 2.0], [3.0, 6.0])
    assert curve([one, []], "reward").xs == [] and curve([], "reward").xs == []


def test_a_trailing_mean_is_of_each_seeds_own_steps_before_they_are_joined():
    one, two = log([1, 2, 3], reward=[0.0, 1.0, 2.0]), log([2, 3], reward=[10.0, 20.0])
    assert trailing([0.0, 1.0, 2.0], 2) == [0.0, 0.5, 1.5]
    assert curve([one, two], "reward", smooth=2).middle == [(0.5 + 10) / 2, (1.5 + 15) / 2]


def test_long_runs_are_thinned_and_keep_their_end():
    assert thinned(list(range(10)), 5) == [0, 2, 4, 6, 8, 9] and thinned([1, 2], 5) == [1, 2] and thinned([]) == []
    assert curve([log(range(1, 5001), reward=0.5)], "reward").xs[-1] == 5000


def words(figure) -> str:
    return " ".join(ElementTree.fromstring(figure.to_svg()).itertext())


def test_the_overlay_says_what_its_band_smoothing_and_axis_are():
    seeds = [log([1, 2], reward=[0.0, 1.0], num_tokens=[5, 10]), log([1, 2], reward=[1.0, 2.0], num_tokens=[7, 12])]
    told = " ".join(words(overlay({"a": seeds, "b": seeds[:1]}, source="shipped", over="tokens", smooth=2)).split())
    for said in (
        "band = lowest to highest seed",
        "mean of the seeds at the steps that all of them logged",
        "trailing mean of 2 logged steps",
        "tokens = mean over the seeds at each step",
        "faint points = logged steps",
        "a (2 seeds)",
    ):
        assert said in told
    plain = words(overlay({"b": seeds[:1]}, source="measured now"))
    assert "band" not in plain and "trailing" not in plain and "faint" not in plain


def test_the_band_is_from_the_lowest_to_the_highest_seed_and_the_line_their_mean():
    seeds = [log([1, 2], reward=[0.0, 1.0]), log([1, 2], reward=[1.0, 3.0])]
    figure = overlay({"a": seeds}, source="shipped")
    band, line = (trace for trace in figure.data if trace.mode == "lines")
    assert list(line.y) == [0.5, 2.0] and list(band.y) == [0.0, 1.0, 3.0, 1.0]


def test_one_step_is_a_point_and_nothing_logged_is_said():
    single = overlay({"a": [log([7], reward=0.5)], "b": [log([1, 2], loss=0.1)]}, source="measured now")
    point, *_ = single.data
    assert point.mode == "markers" and list(point.x) == [7]
    assert "a (one step)" in words(single) and "b (not logged)" in words(single)
    assert "not logged" in words(overlay({"b": [log([1], loss=0.1)]}, source="measured now"))
    zero = overlay({"a": [log([1, 2], kl=0.0)]}, "kl", source="measured now")
    assert "zero at every step" in words(zero)


def test_seeds_without_a_common_step_have_points_and_no_line():
    figure = overlay({"a": [log([1, 2], reward=0.5), log([3, 4], reward=0.6)]}, source="measured now")
    assert [len(trace.x) for trace in figure.data] == [4, 0] and "a has no line" in figure.alt


def test_names_stay_text_in_overlay_and_sketch():
    rows = log([1, 2], **{HOSTILE: [0.5, 0.6]})
    for svg in (
        overlay({HOSTILE: [rows]}, HOSTILE, source="shipped").to_svg(),
        sketch({HOSTILE: rows, "b": rows}, [HOSTILE], source="shipped", title=HOSTILE).markup,
    ):
        assert "<script" not in svg and "&lt;script&gt;" in svg
        ElementTree.fromstring(svg)


def test_a_sketch_has_the_curves_of_the_figure_that_stays():
    rows = log(range(1, 6), reward=[0.1, 0.2, 0.3, 0.4, 0.5], kl=[0.0, 1e-4, 1e-3, math.nan, 1e-2])
    drawn = sketch({"": rows}, ["reward", "kl", "entropy"], source="measured now", smooth=2, borders=[0, 2])
    tree = ElementTree.fromstring(drawn.markup)
    lines = [node for node in tree.iter() if node.tag.endswith("polyline")]
    assert [len(line.get("points").split()) for line in lines] == [5, 3], "no NaN, and no zero on a logarithmic axis"
    told = " ".join(tree.itertext())
    assert "not logged" in told and "trailing mean of 2 logged steps" in told and "measured now" in told
    dashed = [node for node in tree.iter() if node.get("stroke-dasharray")]
    assert len(dashed) == 3, "a new stage is marked in every panel"
    first, last = (tuple(map(float, lines[0].get("points").split()[i].split(","))) for i in (0, -1))
    assert first[0] < last[0] and first[1] > last[1], "to the right and up"
    assert len(sketch({"": log([1], reward=0.5)}, ["reward"], source="shipped").markup) > 0


# -- seeds and scores of folders ---------------------------------------------------------------------------------------


def run_of(tmp_path, name, seed=0, rate=0.1, steps=2, **summary):
    run = RunFolder.create(name, {"learning_rate": rate}, seed=seed, root=tmp_path)
    for step in range(1, steps + 1):
        run.metrics({"step": step, "reward": seed + step})
    if summary:
        run.summarise(**summary)
    return run


def test_runs_of_one_name_and_settings_are_seeds_whether_or_not_the_name_says_which(tmp_path):
    runs = [run_of(tmp_path, "grpo-seed1", 1), run_of(tmp_path, "grpo-seed2", 2), run_of(tmp_path, "grpo", 3)]
    other = run_of(tmp_path, "grpo", 4, rate=0.2)
    assert name_without_seed(runs[0]) == "grpo" and name_without_seed(run_of(tmp_path, "x-seed5", 1)) == "x-seed5"
    groups = by_seeds([*runs, other])
    assert [len(seeds) for seeds in groups.values()] == [3, 1]
    assert list(groups) == [runs[0].path.name, other.path.name], "a name of two settings is told apart by folders"
    assert list(by_seeds(runs)) == ["grpo"]
    copies = by_seeds([run_of(tmp_path / "a", "twice"), run_of(tmp_path / "b", "twice", rate=0.3)])
    assert len(copies) == 2


def test_the_shipped_seeds_are_found_and_known_as_shipped(tmp_path):
    runs = [RunFolder.open(data_samples("reference_runs", f"grpo-vanilla-seed{i}")) for i in (1, 2, 3)]
    assert {name: len(seeds) for name, seeds in by_seeds(runs).items()} == {"grpo-vanilla": 3}
    assert is_shipped(runs[0]) and not is_shipped(run_of(tmp_path, "own"))


def test_a_report_draws_seeds_as_one_curve(tmp_path):
    runs = [run_of(tmp_path, f"grpo-seed{i}", i) for i in (1, 2)]
    page = write_report(runs).read_text()
    assert "2 seeds: line = mean" in page


def test_scores_of_one_run_have_its_interval_and_of_several_students(tmp_path):
    label = "vanilla, own clip, lenient"
    single = run_of(
        tmp_path, "a", 1, scores={label: {"overall": 50.0}}, intervals={label: {"overall": [50, 40, 60, 9]}}
    )
    assert recorded_scores(single) == {label: {"overall": (50.0, 40.0, 60.0, 9)}}
    others = [run_of(tmp_path, "a", i, scores={label: {"overall": value}}) for i, value in ((2, 52.0), (3, 54.0))]
    assert recorded_scores(others[0]) == {label: {"overall": (52.0, 52.0, 52.0, 0)}}
    mean, low, high, n = scores_of_seeds([single, *others])[label]["overall"]
    assert (mean, n) == (52.0, 9) and low == pytest.approx(52 - 4.303 * 2 / 3**0.5, abs=1e-3) and high > 56
    assert scores_of_seeds([run_of(tmp_path, "none")]) == {}
