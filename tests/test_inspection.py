"""The table of rollouts: facets, filters and groups by hand, and every source that it reads."""

import json

import numpy as np
import pandas as pd
import pytest

from vsr_kit.inspection import CHANGES, OUTCOMES, SIGNS, Filter, RolloutTable, read_rollout_table
from vsr_kit.inspection.table import ORDERS, without
from vsr_kit.paths import data_samples
from vsr_kit.rewards import accuracy_reward
from vsr_kit.runs import RunFolder

COUNT = {"question_type": "object_counting", "options": None, "ground_truth": "4", "scene_name": "train-0-00000"}
SIDE = {"question_type": "object_rel_direction_easy", "options": None, "ground_truth": "left"}


def rollouts():
    """Two steps; at each a group of four about a count, and at the second one of two about a side."""
    rows = []
    for step in (1, 2):
        for text in ("<think>two beds</think> <answer>4</answer>", "3", "9", "I see <b>none</b> of them"):
            row = {"id": "count", "question": "How many beds?", **COUNT, "step": step, "completion": text}
            rows.append(row | {"accuracy_reward": accuracy_reward(text, row), "advantage": len(rows) / 10})
    for text in ("left", "right"):
        row = {"id": "side", "question": "Left or right of the bed?", **SIDE, "step": 2, "completion": text}
        rows.append(row | {"accuracy_reward": accuracy_reward(text, row), "advantage": 0.0})
    return rows


@pytest.fixture
def table():
    return RolloutTable(rollouts(), "by hand")


def test_a_completion_has_an_outcome_by_what_was_earned_or_else_by_its_text(table):
    assert list(table.outcomes[:4]) == ["right", "partly right", "wrong", "unread"]
    bare = RolloutTable([{k: v for k, v in row.items() if not k.endswith("reward")} for row in rollouts()])
    assert list(bare.outcomes) == list(table.outcomes) and set(table.outcomes) <= set(OUTCOMES)
    strange = RolloutTable([{"completion": "3", "question_type": "mine", "ground_truth": "3"}, {"completion": "4"}])
    assert list(strange.outcomes) == ["", ""]


def test_facets_are_counted_among_the_rows_that_are_left(table):
    everything = table.select(Filter())
    assert table.facet("outcome", everything) == {"partly right": 2, "right": 3, "unread": 2, "wrong": 3}
    first = table.select(Filter(step=1))
    assert table.facet("outcome", first) == {"partly right": 1, "right": 1, "unread": 1, "wrong": 1}
    assert table.facet("question_type", first) == {"object_counting": 4}
    assert table.facet("label", first) == {} and table.facet("change", first) == {}
    with pytest.raises(ValueError, match="facet is 'room'"):
        table.facet("room", first)


@pytest.mark.parametrize(
    "chosen, wanted",
    [
        (Filter(), range(10)),
        (Filter(step=2), range(4, 10)),
        (Filter(search="TWO beds"), (0, 4)),
        (Filter(search="the bed?"), (8, 9)),
        (Filter(search="b.d"), ()),  # words and no pattern
        (Filter(search="left"), (8, 9)),
        (Filter(question_type="object_counting", outcome="right"), (0, 4)),
        (Filter(measure="advantage", low=0.2, high=0.4), (2, 3, 4)),
        (Filter(measure="advantage", low=0.7), (7,)),
        (Filter(measure="advantage", high=0.0, step=2), (8, 9)),
        (Filter(outcome="unread", step=1, search="none"), (3,)),
    ],
)
def test_a_filter_narrows_by_each_of_its_parts(table, chosen, wanted):
    assert list(table.select(chosen)) == list(wanted)
    assert list(table.select(chosen)) == list(wanted)  # what was kept of it is the same


def test_what_is_kept_of_filters_is_bounded_and_right(table):
    for step in range(1, 200):
        assert len(table.select(Filter(step=step))) == {1: 4, 2: 6}.get(step, 0)
    assert len(table._kept) <= 32
    assert without(Filter(search="a", step=3, low=1.0), "search", "low") == Filter(step=3)


@pytest.mark.parametrize("part", ["outcome", "sign", "change", "measure"])
def test_a_value_that_there_is_not_is_refused(table, part):
    with pytest.raises(ValueError, match=f"{part} is 'nonsense'"):
        table.select(Filter(**{part: "nonsense", "low": 0.0}))


def test_signs_are_those_recorded_or_looked_for():
    texts = ["<think></think> <answer>4</answer>", "<think>a</think><think>b</think> <answer>4</answer>", "4"]
    texts.append(f"<think>{'bed ' * 9}</think> <answer>4</answer>")
    table = RolloutTable([{"completion": text, **COUNT} for text in texts])
    assert table.known_signs == [] and table.facet("sign", table.select(Filter())) == {}
    shown = {sign: list(np.flatnonzero(table.sign(sign))) for sign in SIGNS}
    assert shown == {SIGNS[0]: [0], SIGNS[1]: [1], SIGNS[2]: [3], SIGNS[3]: []}
    assert table.known_signs == list(SIGNS) and table.facet("sign", np.arange(4)) == dict.fromkeys(sorted(SIGNS[:3]), 1)
    recorded = RolloutTable([{"completion": "", "empty_thought": 1.0}, {"completion": "", "empty_thought": 0.0}])
    assert recorded.known_signs == ["empty thought"] and list(recorded.sign("empty thought")) == [True, False]
    assert list(RolloutTable([{"completion": texts[0]}], mode="observe").sign("empty thought")) == [False]


def test_an_answer_that_contradicts_its_chain_is_found():
    chain = "<think>bed west 1.0, bed south 1.0. count 2.</think> <answer>{}</answer>"
    table = RolloutTable([{"completion": chain.format(said), **COUNT} for said in (2, 3)] + [{"completion": "3"}])
    assert list(table.sign("answer contradicts chain")) == [False, True, False]


def test_what_a_training_changed_is_told_question_by_question():
    said = {"before": ["9", "4", "none", "4", "9", "3"], "after": ["4", "9", "4", "four or five?", "8", "3"]}
    rows = [
        {"id": i, "label": label, "prediction": text, "question": "How many?", **COUNT}
        for label, texts in said.items()
        for i, text in enumerate(texts)
    ]
    table = RolloutTable([*rows, {"id": 99, "label": "after", "prediction": "4", **COUNT}])
    after = [CHANGES[0], CHANGES[1], CHANGES[0], CHANGES[1], CHANGES[4], CHANGES[4], ""]  # right comes before readable
    assert list(table.changes) == [""] * 6 + after
    assert list(table.select(Filter(change="no longer right"))) == [7, 9]
    less = [{"id": 1, "label": label, "prediction": text, **COUNT} for label, text in (("a", "none"), ("b", "9"))]
    assert list(RolloutTable(less).changes) == ["", "became readable"]
    assert list(RolloutTable(less[::-1]).changes) == ["", "no longer readable"]
    assert table.labels == ["before", "after"] and table.facet("label", np.arange(13)) == {"after": 7, "before": 6}
    assert table.steps == [] and len(table.groups(np.arange(13), "characters")) == 7


def test_a_group_is_a_question_at_a_step_and_keeps_its_own_mean(table):
    left = table.select(Filter(step=2, outcome="wrong"))
    count, side = table.groups(left, "accuracy_reward")
    assert (count.id, count.rows, count.size) == ("count", (6,), 4)
    paid = [row["accuracy_reward"] for row in rollouts()[4:8]]
    assert count.mean == pytest.approx(np.mean(paid))  # of all four, as the advantage is
    assert (side.id, side.rows, side.size, side.mean) == ("side", (9,), 2, 0.5)


@pytest.mark.parametrize(
    "order, wanted",
    [(ORDERS[0], (4, 5, 6, 7)), (ORDERS[1], (4, 5, 6, 7)), (ORDERS[2], (6, 7, 5, 4)), (ORDERS[3], (4, 7, 5, 6))],
)
def test_rollouts_of_a_group_come_in_the_order_asked_for(table, order, wanted):
    (group, _) = table.groups(table.select(Filter(step=2)), "accuracy_reward", order)
    assert group.rows == wanted
    with pytest.raises(ValueError, match="order is 'by luck'"):
        table.groups(np.arange(3), "characters", "by luck")


def test_what_was_not_measured_comes_last():
    rows = [{"id": "a", "completion": "x", "own_reward": value} for value in (None, 0.2, 0.9)]
    table = RolloutTable(rows)
    assert [table.groups(np.arange(3), "own_reward", order)[0].rows for order in ORDERS[1:3]] == [(2, 1, 0), (1, 2, 0)]
    assert table.measures == ["own_reward", "characters"] and "own_reward" not in table.row(0)


def test_bins_cover_everything_once(table):
    few = table.histogram(table.select(Filter(step=1)), "accuracy_reward")
    assert [(low, high) for low, high, _ in few] == [(v, v) for v in sorted({r["accuracy_reward"] for r in rollouts()})]
    assert sum(count for *_, count in few) == 4
    many = RolloutTable([{"completion": "x" * n} for n in range(101)]).histogram(np.arange(101), "characters")
    assert len(many) == 10 and [count for *_, count in many] == [10] * 9 + [11]
    assert many[0][0] == 0.0 and many[0][1] == pytest.approx(10) and many[0][1] < many[1][0] == 10.0
    bare = RolloutTable([{"completion": "x", "advantage": float("nan")}])
    assert bare.histogram(np.arange(1), "advantage") == []


def test_a_measure_is_averaged_by_step(table):
    paid = [row["accuracy_reward"] for row in rollouts()]
    found = table.by_step(table.select(Filter()), "accuracy_reward")
    assert found == {1: (pytest.approx(np.mean(paid[:4])), 4), 2: (pytest.approx(np.mean(paid[4:])), 6)}
    assert table.by_step(table.select(Filter(search="left")), "advantage") == {2: (0.0, 2)}


def test_a_table_needs_rows_with_text():
    with pytest.raises(ValueError, match="by hand has no completions"):
        RolloutTable([], "by hand")
    with pytest.raises(ValueError, match="`completion` is missing"):
        RolloutTable([{"id": "a", "said": "x"}])


# -- sources -----------------------------------------------------------------------------------------------------------


def test_a_run_folder_is_read_with_its_mode(tmp_path):
    run = RunFolder.create("some", {"mode": "observe"}, root=tmp_path)
    run.rollouts(rollouts())
    run.metrics({"step": 1})
    for table in (read_rollout_table(run), read_rollout_table(run.path), read_rollout_table(str(run.path))):
        assert len(table) == 10 and table.mode == "observe" and table.name == run.path.name
        assert table.steps == [1, 2] and table.measures == ["accuracy_reward", "advantage", "characters"]
    shipped = read_rollout_table(data_samples("reference_runs") / "grpo-vanilla-seed1")
    assert shipped.mode == "vanilla" and len(shipped.steps) > 10 and shipped.known_signs == []


def test_an_evaluations_predictions_are_read(tmp_path):
    run = RunFolder.create("asked", {}, root=tmp_path)
    run.predictions([{"id": "a", "prediction": "4", "question": "How many?", **COUNT}])
    table = read_rollout_table(run)
    assert list(table.outcomes) == ["right"] and table.steps == []
    with pytest.raises(ValueError, match="has no completions"):
        read_rollout_table(RunFolder.create("nothing", {}, root=tmp_path))


def test_what_trl_logs_is_read(tmp_path):
    """As GRPOTrainer writes it with log_completions: prompts and completions as text or as turns."""
    turns = [{"role": "system", "content": [{"type": "text", "text": "Be short."}]}]
    asked = [*turns, {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "How far?"}]}]
    for step, prompt, completion in ((10, asked, [{"role": "assistant", "content": "2.0"}]), (20, "How far?", "3.0")):
        frame = {"step": [step] * 2, "prompt": [prompt] * 2, "completion": [completion] * 2}
        frame |= {"accuracy_reward": [1.0, 0.5], "advantage": [0.7, -0.7]}
        (tmp_path / "completions").mkdir(exist_ok=True)
        pd.DataFrame(frame).to_parquet(tmp_path / "completions" / f"completions_{step:05d}.parquet")
    for folder in (tmp_path, tmp_path / "completions"):
        table = read_rollout_table(folder, "logged")
        assert list(table.frame["completion"]) == ["2.0", "2.0", "3.0", "3.0"] and table.steps == [10, 20]
        assert set(table.frame["question"]) == {"How far?"} and table.measures[0] == "accuracy_reward"
        assert [group.size for group in table.groups(np.arange(4), "advantage")] == [2, 2]
    pd.DataFrame({"step": [1]}).to_parquet(tmp_path / "completions" / "completions_00001.parquet")
    with pytest.raises(ValueError, match="completions_00001.parquet has no column 'prompt'"):
        read_rollout_table(tmp_path / "completions")


def test_lmms_evals_samples_are_read(tmp_path):
    path = tmp_path / "20260101_samples_vsibench.jsonl"
    doc = {"id": 7, "dataset": "arkitscenes", "question": "How many?", **COUNT}
    lines = [{"doc_id": 0, "doc": doc, "target": "4", "resps": [["It is 4."]], "filtered_resps": ["4."]}]
    lines.append({"doc_id": 1, "doc": {"question": "How many?"}, "target": "4", "filtered_resps": ["5"]})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = read_rollout_table(path)
    assert list(table.frame["completion"]) == ["It is 4.", "5"] and list(table.frame["id"]) == ["7", "1"]
    assert list(table.outcomes) == ["right", ""] and table.name == path.name
    path.write_text(json.dumps({"doc": doc, "resps": []}) + "\n")
    with pytest.raises(ValueError, match="line 1 is no sample of lmms-eval: it needs"):
        read_rollout_table(path)


@pytest.mark.parametrize("ending, sep", [("csv", ","), ("tsv", "\t")])
def test_vlmevalkits_tables_are_read(tmp_path, ending, sep):
    path = tmp_path / f"model_VSI-Bench.{ending}"
    frame = pd.DataFrame(
        {
            "index": [1, 2, 3],
            "question": ["How many?", "Which?", "Which?"],
            "category": ["object_counting", "object_rel_distance", "object_rel_distance"],
            "answer": ["4", "B", "B"],
            "candidates": [None, "['A. bed', 'B. tv']", "not a list"],
            "prediction": ["4", "B", None],
        }
    )
    frame.to_csv(path, sep=sep, index=False)
    table = read_rollout_table(path)
    assert list(table.outcomes[:2]) == ["right", "right"] and list(table.frame["id"]) == ["1", "2", "3"]
    assert table.row(1)["options"] == ["A. bed", "B. tv"] and table.frame["completion"].iat[2] == ""
    frame.drop(columns="prediction").to_csv(path, sep=sep, index=False)
    with pytest.raises(ValueError, match="`prediction` is missing"):
        read_rollout_table(path)


def test_rows_and_files_of_rows_are_read(tmp_path):
    row = {"id": "a", "dataset": "procedural", "question": "How many?", **COUNT, "prediction": "4"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    assert len(read_rollout_table([row])) == len(read_rollout_table(tmp_path / "rows.jsonl")) == 1
    with pytest.raises(FileNotFoundError, match="nothing.jsonl is not there"):
        read_rollout_table(tmp_path / "nothing.jsonl")
    with pytest.raises(ValueError, match="neither a run folder nor a folder of completions"):
        read_rollout_table(tmp_path)


# -- what others' rows are like ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", ["advantage", "accuracy_reward", "characters"])
def test_a_bin_holds_what_its_bounds_leave(measure):
    """Values on edges belong to one bin: what a bar says is what a filter with its bounds gives."""
    rng = np.random.default_rng(0)
    values = rng.integers(-8, 9, 300) / 8
    rows = [{"completion": "x" * (10 + int(8 * v)), "advantage": v, "accuracy_reward": abs(v)} for v in values]
    table = RolloutTable(rows)
    for bins in (3, 7, 10):
        made = table.histogram(np.arange(300), measure, bins)
        assert sum(count for *_, count in made) == 300
        for low, high, count in made:
            assert len(table.select(Filter(measure=measure, low=low, high=high))) == count


def test_what_was_not_recorded_of_a_row_is_read_from_its_text():
    rows = [{**COUNT, "completion": "4", "accuracy_reward": paid} for paid in (1.0, None, True, float("nan"))]
    assert list(RolloutTable(rows).outcomes) == ["right"] * 4
    assert list(RolloutTable(pd.DataFrame(rows).convert_dtypes()).outcomes) == ["right"] * 4
    empty = "<think></think> <answer>4</answer>"
    signs = RolloutTable([{"completion": empty, "empty_thought": shown} for shown in (0.0, None, 1.0)])
    assert list(signs.sign("empty thought")) == [False, True, True]


@pytest.mark.parametrize("truth", ["four", "NA", " ", "nan", ""])
def test_a_number_that_is_none_is_no_truth(truth):
    table = RolloutTable([{**COUNT, "ground_truth": truth, "completion": "4"}, {**COUNT, "completion": "4"}])
    assert list(table.outcomes) == ["", "right"]


def test_lists_come_back_from_parquet_as_lists(tmp_path):
    chain = "<think>from bed to tv: bed west 1.0 to tv east 1.0 is east 2.0, distance 2.0.</think> <answer>B</answer>"
    row = {"question_type": "object_rel_distance", "question": "?", "options": ["A. tv", "B. bin"], "ground_truth": "A"}
    path = tmp_path / "rows.parquet"
    pd.DataFrame([row | {"objects": ["bed", "tv", "bin"], "completion": chain}]).to_parquet(path)
    table = RolloutTable(pd.read_parquet(path))
    assert table.row(0)["options"] == ["A. tv", "B. bin"] and table.row(0)["objects"] == ["bed", "tv", "bin"]
    assert list(table.sign("answer contradicts chain")) == [False]


def test_questions_are_told_apart_by_data_set_id_and_else_by_their_words():
    rows = [{"id": i, "dataset": d, "question": q, "completion": "x"} for i, d, q in ((1, "a", "p"), (1, "b", "q"))]
    assert [group.size for group in RolloutTable(rows).groups(np.arange(2), "characters")] == [1, 1]
    nameless = [
        {"id": i, "question": q, "completion": "x"} for i, q in ((None, "p"), (None, "q"), (7, "r"), (None, "p"))
    ]
    found = RolloutTable(nameless).groups(np.arange(4), "characters")
    assert [(group.id, group.size) for group in found] == [("p", 2), ("q", 1), ("7", 1)]


@pytest.mark.parametrize(
    "rows, told",
    [
        ([{"completion": "x", "advantage": "high"}], "row 0: advantage is 'high', must be a number"),
        ([{"completion": "x", "step": 3}, {"completion": "x", "step": "last"}], "row 1: step is 'last'"),
        ([{"completion": "x", "step": 1.5}], "a step is 1.5, must be a whole number"),
        ([{"completion": "x", "step": float("inf")}], "a step is inf"),
        ([{"completion": "x", "step": -2}], "a step is -2"),
        (pd.DataFrame([["x", "y"]], columns=["completion", "completion"]), "the field 'completion' more than once"),
    ],
)
def test_what_is_no_number_and_what_is_there_twice_is_refused(rows, told):
    with pytest.raises(ValueError, match=told):
        RolloutTable(rows)


def test_odd_columns_are_taken_as_they_are():
    rows = [{"completion": None, "prediction": "b", 3: "x", "length": 7.0, "cut": True}, {"completion": "a\ud800"}]
    table = RolloutTable(rows)
    assert list(table.frame["completion"]) == ["b", "a?"] and "length" in table.measures and "cut" not in table.measures
    assert table.row(0)["length"] == 7.0 and table.row(0)["3"] == "x" and "label" not in table.row(0)
    named = pd.DataFrame({"completion": ["x", "y"], "label": pd.Categorical(["a", None])})
    assert RolloutTable(named).labels == ["a", ""]
    mixed = RolloutTable([{"completion": "x", "step": 3}, {"completion": "y", "step": None}])
    assert mixed.row(0)["step"] == 3 and "step" not in mixed.row(1) and mixed.steps == [3]
    assert list(RolloutTable([{"completion": "İx"}]).select(Filter(search="İX"))) == [0]


@pytest.mark.parametrize("source", [None, 3])
def test_what_is_no_source_is_refused(source, table):
    with pytest.raises(ValueError, match="source is .*: give a run folder"):
        read_rollout_table(source)
    assert read_rollout_table(table) is table


def test_every_text_of_a_sample_is_a_row_and_a_last_line_needs_no_end(tmp_path):
    path = tmp_path / "samples.jsonl"
    doc = {"id": 7, "dataset": "a", "question": "How many?", **COUNT}
    lines = [{"doc": doc, "resps": [["4", "5"]]}, {"doc": doc | {"id": 8}, "resps": [["4"]]}]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    table = read_rollout_table(path)
    assert list(table.frame["completion"]) == ["4", "5", "4"] and list(table.frame["id"]) == ["7", "7", "8"]


def test_a_tables_text_is_what_the_model_wrote(tmp_path):
    path = tmp_path / "said.csv"
    wrote = ["NA", "null", "4.50", "007", "4"]
    options = ["[\"A. chef's table\", 'B. tv']", '["A. chef\'s table", "B. tv"]', "", "{}", "no list"]
    frame = pd.DataFrame({"index": range(5), "category": "object_counting", "type": "x", "prediction": wrote})
    frame.assign(candidates=options).to_csv(path, index=False)
    table = read_rollout_table(path)
    assert list(table.frame["completion"]) == wrote and set(table.frame["question_type"]) == {"object_counting"}
    assert [table.row(at).get("options") for at in range(5)] == [["A. chef's table", "B. tv"]] * 2 + [None] * 3
    path.write_text("")
    with pytest.raises(ValueError, match="said.csv"):
        read_rollout_table(path)


def test_a_call_of_a_tool_says_nothing(tmp_path):
    turns = [[{"role": "assistant", "content": None}, {"role": "assistant", "content": "4"}], None]
    frame = pd.DataFrame({"step": [1, 1], "prompt": ["a", "a"], "completion": turns, "advantage": [0.0, 0.0]})
    frame.to_parquet(tmp_path / "completions_00001.parquet")
    assert list(read_rollout_table(tmp_path).frame["completion"]) == ["\n4", ""]
    (tmp_path / "completions_00002.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ValueError, match="completions_00002.parquet"):
        read_rollout_table(tmp_path)
