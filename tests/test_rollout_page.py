"""The rollout browser as a file: what it holds agrees with the table, it stays small, and hostile text stays text."""

import re

import numpy as np
import pytest

from vsr_kit.data.own_questions import objects_named
from vsr_kit.data.rows import room_named
from vsr_kit.evaluation.token_texts import TokenMeasures
from vsr_kit.inspection import OUTCOMES, SIGNS, Filter, RolloutTable, read_rollout_table
from vsr_kit.inspection.columns import KEY
from vsr_kit.pages.browser import Shown, link_to, sampled, write_browser
from vsr_kit.pages.packing import Shared, embedded, pack, unpacked
from vsr_kit.pages.rooms import RoomPictures
from vsr_kit.plots.answer_marks import answer_marks
from vsr_kit.study.conditions import reference_runs

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028<b>bold</b> \U0001f600 <answer>2</answer>"


def held(path):
    """The data of a page."""
    return unpacked(re.search(r'id="data">([A-Za-z0-9+/=]+)</script>', path.read_text())[1])


def rows(steps=3, questions=4, group=4, scene="train-0-00013"):
    """Rollouts about one room: distances and counts, paid by what was answered."""
    made = []
    for step in range(1, steps + 1):
        for at in range(questions):
            for g in range(group):
                text = HOSTILE if (step, at, g) == (2, 1, 1) else f"<think>{'so ' * g}</think> <answer>{g}</answer>"
                asked = {"question": f"How many chair(s) are in this room? {at}", "question_type": "object_counting"}
                paid = {"accuracy_reward": g / 4, "advantage": (g - 0.5) / 1.3}
                own = {"id": f"q{at}", "scene_name": scene, "ground_truth": "2", "completion": text, "step": step}
                made.append(asked | paid | own)
    return made


@pytest.fixture(scope="module")
def table():
    return read_rollout_table(reference_runs() / "grpo-think-seed1")


@pytest.fixture(scope="module")
def packed(table):
    shared = Shared(RoomPictures(lambda scene: None))
    return pack(table, shared), shared.questions


def test_every_row_of_the_page_is_the_table_s(table, packed):
    run, questions = packed
    frame, columns, lists = table.frame, run["rows"], run["lists"]
    assert [lists["text"][at] for at in columns["text"]] == frame["completion"].tolist()
    assert [questions[at]["id"] for at in columns["question"]] == frame["id"].tolist()
    assert [questions[at]["key"] for at in columns["question"]] == frame[KEY].tolist()
    assert columns["step"] == frame["step"].astype(int).tolist()
    assert [lists["outcome"][at] for at in columns["outcome"]] == table.outcomes.tolist()
    for at, sign in enumerate(SIGNS):
        assert [bool(bits >> at & 1) for bits in columns["signs"]] == table.sign(sign).tolist(), sign
    assert run["steps"] == table.steps and [m["name"] for m in run["measures"]] == table.measures


def test_measures_are_kept_to_the_last_digit_and_bins_are_the_histogram_s(table, packed):
    everywhere = np.arange(len(table))
    for measure in packed[0]["measures"]:
        values = [measure["values"][at] for at in measure["numbers"]]
        assert values == table.values(measure["name"]).tolist()
        counts = [sum(low <= value <= high for value in values) for low, high in measure["bins"]]
        assert counts == [count for *_, count in table.histogram(everywhere, measure["name"])]


def test_facets_counted_from_the_page_are_the_table_s(table, packed):
    run, questions = packed
    some = table.select(Filter(step=table.steps[-1], search="bed"))
    of = {
        "question_type": [questions[at]["type"] for at in run["rows"]["question"]],
        "outcome": [run["lists"]["outcome"][at] for at in run["rows"]["outcome"]],
    }
    for name, values in of.items():
        found = [values[at] for at in some]
        assert {value: found.count(value) for value in sorted(set(found))} == table.facet(name, some)


def test_answers_of_two_models_say_what_training_changed():
    asked = [row | {"step": None} for row in rows(steps=1, group=1)]
    before = [row | {"label": "base", "completion": "1"} for row in asked]
    after = [row | {"label": "after", "completion": "2"} for row in asked]
    for row in [*before, *after]:
        del row["accuracy_reward"], row["advantage"], row["step"]
    table = RolloutTable([*before, *after], "both")
    run = pack(table, Shared(RoomPictures(lambda scene: None)))
    changed = [run["lists"]["change"][at] for at in run["rows"]["change"]]
    assert changed == [""] * 4 + ["became right"] * 4 == table.changes.tolist()
    assert run["kind"] == "answers" and run["steps"] == []


def test_where_the_answer_stands_is_counted_as_a_script_counts():
    run = pack(RolloutTable(rows(), "r"), Shared(RoomPictures(lambda scene: None)))
    text = run["lists"]["text"].index(HOSTILE)
    answer, _, start, end = run["lists"]["read"][run["rows"]["read"][run["rows"]["text"].index(text)]]
    in_script = HOSTILE.encode("utf-16-le")
    assert answer == "2" and in_script[2 * start : 2 * end].decode("utf-16-le") == "2"


def test_what_a_model_wrote_is_nowhere_in_the_page_as_markup(tmp_path):
    spoilt = [row | {"id": HOSTILE, "question": row["question"] + HOSTILE} for row in rows()]
    page = write_browser([Shown(RolloutTable(spoilt, HOSTILE))], tmp_path / "p.html", title=HOSTILE).read_text()
    assert "<img src=x" not in page and "\u2028" not in page[page.index("<script") :]
    assert page.count("</script>") == 2
    assert HOSTILE in held(tmp_path / "p.html")["runs"][0]["lists"]["text"]


def test_the_page_asks_nobody_and_says_so_to_the_browser(tmp_path):
    page = write_browser([rows()], tmp_path / "p.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1]
    assert policy.startswith("default-src 'none'") and "http" not in policy and "connect-src" not in policy
    assert not re.findall(r'(?:src|href)="(?!data:)[^"]*//', page)
    assert ".innerHTML" not in page and "insertAdjacentHTML" not in page and "document.write" not in page


def test_the_same_rollouts_give_the_same_page(tmp_path):
    first, second = (write_browser([rows()], tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert first == second


def test_rooms_are_drawn_once_with_plan_frames_and_lines(tmp_path):
    about = {"question": "What is the distance between the washer and the bed (in meters)?"}
    about |= {"question_type": "object_abs_distance", "objects": ["washer", "bed"], "ground_truth": "2.0"}
    found = held(write_browser([[row | about for row in rows()]], tmp_path / "p.html"))
    assert list(found["rooms"]) == ["train-0-00013"]
    room = found["rooms"]["train-0-00013"]
    assert room["plan"].startswith("<svg") and len(room["strip"]) > 3000
    for question in found["questions"]:
        for corners in question["asked"]:
            assert all(0 <= x <= room["wide"] and 0 <= y <= room["tall"] for x, y in corners)
    assert found["runs"][0]["marks"] or not any(len(q["asked"]) == 2 for q in found["questions"])


def test_marks_are_the_table_s_groups_own(table):
    pictures = RoomPictures()
    about = next(row for row in table.frame.to_dict("records") if row["question_type"] == "object_abs_distance")
    lines = pictures.lines(about, [])["truth"]
    assert [line[5] for line in lines][:1] == ["truth"] and lines[0][4] == f"true {about['ground_truth']} m"
    room = pictures.shown[about["scene_name"]]
    ends = [line[at : at + 2] for line in lines[:1] for at in (0, 2)]
    assert all(46 <= x <= room["wide"] and 72 <= y <= room["tall"] for x, y in ends)  # inside of the plan's margins


def test_answers_lines_are_those_of_the_widget_s_plan_in_pixels(table):
    """Put at their places as the page's script does it, they are the marks of `answer_marks`, within a pixel."""
    pictures = RoomPictures()
    about = next(row for row in table.frame.to_dict("records") if row["question_type"] == "object_abs_distance")
    texts = ["1.5", "2.5", "1.5", "77", "0.5", "9.1", "nothing"]
    lines = pictures.lines(about, ["1.5", "2.5", "77", "0.5", "9.1"])
    room = room_named(about["scene_name"])
    marks = answer_marks(about | {"objects": objects_named(about, room)}, room, texts)
    place = pictures._of(about["scene_name"])[1]
    read = ["1.5", "2.5", "77", "0.5"]
    assert len(marks) == 1 + len(read) and marks[1].text == "1.5 m ×2" and marks[3].text.endswith("(cut off)")
    for at, (value, mark) in enumerate(zip(read, marks[1:], strict=True), 1):
        x1, y1, x2, y2, right, down, told, note = lines["answers"][value]
        shown = [x1 + at * right, y1 + at * down, x2 + at * right, y2 + at * down]
        assert np.abs(np.array(shown) - [*place.of(mark.start), *place.of(mark.end)]).max() <= 1.2
        assert mark.text == told + (" ×2" if at == 1 else "") + note
        assert abs(right) + abs(down) > 3


def tokens_of(text, at=0):
    """A text's characters in threes as its tokens, with numbers; the last has none."""
    parts = [text[i : i + 3] for i in range(0, len(text), 3)] + [""]
    values = [0.5 * (i % 5) - 1 + at / 10 for i in range(len(parts))]
    values[-1] = float("nan")
    measured = {"grounding": tuple(values), "entropy": tuple(abs(v) for v in values)}
    return TokenMeasures(tuple(parts), (*[""] * (len(parts) - 1), "<|im_end|>"), measured, "train-0-00300")


def with_tokens(table, places):
    table.token_measures = {at: tokens_of(table.row(at)["completion"], at) for at in places}
    return table


def test_tokens_that_training_recorded_are_kept_row_by_row_and_their_measures_named():
    table = with_tokens(RolloutTable(rows(), "r"), [0, 1, 21])
    held = pack(table, Shared(RoomPictures(lambda scene: None)))["tokens"]
    assert held["measures"] == ["entropy", "grounding"] and list(held["rows"]) == [0, 1, 21]
    for at, one in held["rows"].items():
        known = table.token_measures[at]
        assert tuple(held["texts"][place] for place in one["tokens"]) == known.tokens
        assert one["specials"] == {len(known.tokens) - 1: "<|im_end|>"} and one["other"] == "train-0-00300"
        for name in held["measures"]:
            assert one["values"][name] == [*known.values[name][:-1], None]
    assert held["texts"].count("<th") == 1  # a text is kept once
    none = pack(RolloutTable(rows(), "r"), Shared(RoomPictures(lambda scene: None)))["tokens"]
    assert none == {"texts": [], "rows": {}, "measures": []}


def test_tokens_follow_their_rollouts_where_questions_are_left_out():
    table = with_tokens(RolloutTable(rows(3, 4, 4), "r"), range(48))
    kept = sampled(table, 2, 2)
    assert len(kept) == 16 and sorted(kept.token_measures) == list(range(16))
    for at, one in kept.token_measures.items():
        assert "".join(one.tokens) == kept.row(at)["completion"]


def test_plans_of_ones_own_runs_do_not_say_shipped(table):
    about = next(row for row in table.frame.to_dict("records") if row["question_type"] == "object_abs_distance")
    for pictures, said in ((RoomPictures(), "measured now"), (RoomPictures(source="shipped"), "shipped")):
        assert pictures.has(about["scene_name"])
        plan = pictures.shown[about["scene_name"]]["plan"]
        assert [word for word in ("measured now", "shipped") if word in plan] == [said]


def test_a_room_of_another_make_has_no_picture_and_no_lines():
    pictures = RoomPictures()
    about = {"scene_name": "41069021", "question_type": "object_abs_distance", "question": "?", "ground_truth": "1"}
    assert (pictures.asked(about), pictures.lines(about, ["1"]), pictures.shown) == ([], {}, {})


@pytest.mark.parametrize("guess", [0, None])
def test_a_page_that_grows_too_large_leaves_out_whole_questions_and_says_which(tmp_path, monkeypatch, guess):
    if guess is not None:  # the estimate spares work and decides nothing
        monkeypatch.setattr("vsr_kit.pages.browser._estimate", lambda runs: guess)
    random = np.random.default_rng(1)
    long = [row | {"completion": random.bytes(400).hex(), "scene_name": ""} for row in rows(4, 32, 8)]
    path = write_browser([RolloutTable(long, "long")], tmp_path / "p.html", most_bytes=200_000)
    assert path.stat().st_size <= 200_000
    said = re.search(r'id="left-out">([^<]+)<', path.read_text())[1]
    run = held(path)["runs"][0]
    kept = len(run["rows"]["text"])
    assert said.startswith(f"{kept:,} of 1,024 completions are shown") and "questions of each step" in said
    assert kept % 8 == 0 and run["steps"] == [1, 2, 3, 4]  # whole groups, of every step
    assert (
        "left-out"
        not in write_browser([rows()], tmp_path / "small.html").read_text().split("</style>")[1].split("<noscript>")[0]
    )


def test_steps_are_left_out_last_and_the_last_step_stays(tmp_path):
    random = np.random.default_rng(1)
    long = [row | {"completion": random.bytes(4000).hex(), "scene_name": ""} for row in rows(30, 1, 4)]
    path = write_browser([RolloutTable(long, "long")], tmp_path / "p.html", most_bytes=300_000)
    steps = held(path)["runs"][0]["steps"]
    assert steps[-1] == 30 and len(steps) < 30
    assert "recorded step, counted from the last" in path.read_text()


def test_sampling_keeps_the_first_questions_in_recorded_order():
    table = RolloutTable(rows(3, 4, 4), "r")
    kept = sampled(table, 2, 2)
    assert kept.steps == [1, 3] and set(kept.frame["id"]) == {"q0", "q1"} and len(kept) == 16
    assert sampled(table, None) is table
    assert kept.outcomes.tolist() == [table.outcomes[at] for at in np.flatnonzero(_kept(table))]


def _kept(table):
    return table.frame["step"].isin([1, 3]).to_numpy() & table.frame["id"].isin(["q0", "q1"]).to_numpy()


def test_runs_need_a_name_of_their_own_and_there_must_be_one(tmp_path):
    with pytest.raises(ValueError, match="runs are none: give at least one"):
        write_browser([], tmp_path / "p.html")
    with pytest.raises(ValueError, match="runs are same, same"):
        write_browser([RolloutTable(rows(), "same")] * 2, tmp_path / "p.html")
    with pytest.raises(ValueError, match="most_bytes is 5"):
        write_browser([rows()], tmp_path / "p.html", most_bytes=5)


def test_outcomes_are_in_the_table_s_words(tmp_path):
    assert held(write_browser([rows()], tmp_path / "p.html"))["words"]["outcomes"] == list(OUTCOMES)


def test_links_survive_names_with_any_character():
    assert link_to("p.html", "a b&c", "x/y#z", 3, search="é") == "p.html#run=a+b%26c&step=3&id=x%2Fy%23z&search=%C3%A9"


def test_embedded_data_comes_back_and_has_no_sign_that_means_something_in_html():
    text = embedded({"a": [HOSTILE, None, 0.1]})
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", text) and unpacked(text) == {"a": [HOSTILE, None, 0.1]}
