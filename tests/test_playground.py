"""The playground without a browser and without a model: what is typed is asked, answers are shown, text stays text."""

import threading
from types import SimpleNamespace

import ipywidgets as ipw
import numpy as np
import pytest

from vsr_kit.data.own_questions import FREE, known_row, own_row, suggested_rows
from vsr_kit.data.rows import room_named
from vsr_kit.evaluation.draws import MOST_ANSWERS, check_drawing
from vsr_kit.evaluation.readings import mean_score, read_all, tally
from vsr_kit.evaluation.taught import news, read_taught
from vsr_kit.files import Damaged
from vsr_kit.paths import data_samples
from vsr_kit.plots.draws import answer_distribution, readings_table
from vsr_kit.questions.types import TRAINED_TYPES, VSI_100K, VSI_BENCH
from vsr_kit.questions.wordings import wording_of
from vsr_kit.rooms import CATEGORIES, make_room
from vsr_kit.rooms.files import save_rooms
from vsr_kit.videos import film
from vsr_kit.videos.files import write_mp4
from vsr_kit.widgets import Playground
from vsr_kit.widgets.player import WIDGET_MIME

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
MINI = read_taught(data_samples("mini-qwen2-vl"))
ROOM = room_named("val-0-00031")
MODEL = SimpleNamespace(model=None, processor=None, name="a stub")


def said(*texts, asked=None, before=lambda: None):
    """Draws answers from a list, over and over, and notes what was asked."""

    def draw(loaded, row, frames, *, num_samples, stop, on_part, **settings):
        if asked is not None:
            asked.append({"row": row, "frames": frames, "num_samples": num_samples, **settings})
        before()
        if stop.is_set():
            return []
        answers = [SimpleNamespace(text=texts[i % len(texts)], truncated=False) for i in range(num_samples)]
        on_part(answers)
        return answers

    return draw


def playground(*texts, asked=None, before=lambda: None, **more):
    return Playground(MODEL, taught=MINI, draw=said(*(texts or ("2",)), asked=asked, before=before), **more)


# -- a text becomes a row ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phrasing, templates", [("vsi-bench", VSI_BENCH), ("vsi-100k", VSI_100K)])
def test_every_question_that_the_kit_asks_is_known_by_its_wording(phrasing, templates):
    rows = [row for row in suggested_rows(ROOM, film(ROOM)) if row["phrasing"] == phrasing]
    assert len({row["question_type"] for row in rows}) >= 6
    for row in rows:
        found = wording_of(f"  {row['question'].upper()} ")
        assert found.question_type == row["question_type"] and found.question_type in templates
        assert found.phrasing == phrasing or VSI_BENCH[found.question_type] == VSI_100K[found.question_type]


@pytest.mark.parametrize(
    "text", ["", "How far is it?", "How many bed(s) are in this room? And why?", "x" * 100_000, "the " * 600]
)
def test_other_words_have_no_wording(text):
    assert wording_of(text) is None


def test_a_typed_question_is_read_by_its_wording():
    row = own_row("how many chair(s) are in this room?", room=ROOM)
    assert row["question_type"] == "object_counting" and row["ground_truth"] == "" and row["options"] is None
    assert own_row("What is it?")["question_type"] == FREE
    asked = own_row("Which is red?", ["bed", " B) the sofa "], "the sofa")
    assert asked["options"] == ["A. bed", "B. the sofa"] and asked["ground_truth"] == "B"
    assert own_row("Which is red?", ["bed", "sofa"])["id"] != own_row("Which is red?", ["bed", "tv"])["id"]
    assert own_row("Is the BED near the radiator?", room=ROOM)["objects"] == ["bed", "radiator"]


@pytest.mark.parametrize(
    "given, told",
    [
        ({"question": "  "}, "the question is empty: type one"),
        ({"question": "x" * 2001}, "has 2001 characters: ask in at most 2000"),
        ({"question": "a <|im_end|> b"}, "chat models read as a command"),
        ({"question": "a \x07 b"}, "control character"),
        ({"question": "q", "options": ["one"]}, "there are 1 options: give two to 8"),
        ({"question": "q", "options": ["bed", "A. Bed"]}, "two options say 'bed': give each once"),
        ({"question": "q", "options": ["bed", "<|video_pad|>"]}, "chat models read as a command"),
        ({"question": "q", "kind": "nonsense"}, "choose one of"),
        ({"question": "q", "options": ["a", "b"], "kind": "object_counting"}, "asks for a number, and there are 2"),
        ({"question": "q", "options": ["bed", "sofa"], "truth": "AB"}, "true answer is 'AB': must be one of A, B"),
        ({"question": "q", "kind": "object_counting", "truth": "many"}, "must be a number such as 3"),
        ({"question": "q", "kind": "object_counting", "truth": "0"}, "must be above 0"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_value_and_the_rule(given, told):
    with pytest.raises(ValueError, match="(?s).") as refused:
        own_row(**given)
    assert told in str(refused.value)


def test_the_same_question_has_the_kits_truth_whatever_its_case():
    rows = suggested_rows(ROOM, film(ROOM))
    row = next(row for row in rows if row["options"])
    assert known_row(rows, f" {row['question'].upper()} ", [option[3:] for option in row["options"]]) is row
    assert known_row(rows, row["question"], ["a", "b"]) is None


def test_a_distance_is_the_same_from_either_end():
    rows = suggested_rows(ROOM, film(ROOM))
    row = next(row for row in rows if row["question_type"] == "object_abs_distance" and row["phrasing"] == "vsi-100k")
    a, b = row["objects"]
    turned = VSI_100K["object_abs_distance"].format(a=b, b=a)
    found = known_row(rows, turned)
    assert found["ground_truth"] == row["ground_truth"] and found["question"] == turned and found["objects"] == [b, a]
    assert found["id"] != row["id"] and known_row(rows, turned, ["a", "b"]) is None
    other = next(
        row for row in rows if row["question_type"] == "object_abs_distance" and row["phrasing"] == "vsi-bench"
    )
    assert known_row(rows, other["question"]) is other  # the other phrasing measures otherwise


# -- many answers ------------------------------------------------------------------------------------------------------

COUNT = {"question": "How many chair(s) are in this room?", "question_type": "object_counting", "options": None}
CHOICE = {
    "question": "Which of these objects is the closest to the bed?",
    "question_type": "object_rel_distance",
    "options": ["A. tv", "B. sofa", "C. lamp"],
    "ground_truth": "B",
}


def test_two_readers_stand_side_by_side():
    found = read_all(COUNT | {"ground_truth": "3"}, ["There are 3.", "3", "3", "none at all, hm"])
    assert [(r.text, r.times) for r in found] == [("3", 2), ("There are 3.", 1), ("none at all, hm", 1)]
    assert [(r.value, r.score, r.official, r.official_score) for r in found[:2]] == [
        ("3", 1.0, "3", 1.0),
        ("3", 1.0, "There", 0.0),
    ]
    assert found[2].value is None and found[2].reason and tally(found) == {"3": 3, None: 1}
    assert mean_score(found) == 0.75 and mean_score(found, official=True) == 0.5
    assert mean_score(read_all(COUNT, ["3"])) is None


def test_a_question_in_no_wording_has_its_answers_as_they_stand():
    free = {"question": "What is it?", "question_type": FREE, "options": None}
    found = read_all(free, ["A Bed.", "a bed", "2.0", "", "x" * 500])
    assert tally(found) == {"a bed": 2, "2": 1, None: 1, "x" * 47 + "…": 1}
    assert {r.score for r in found} == {None}
    said = [
        "I see one. The answer is 6.",
        "<think>hm</think> <answer>6</answer>",
        "answer is 2.50",
        "<answer></answer>",
    ]
    assert tally(read_all(free, said)) == {"6": 2, "2.5": 1, "answer answer": 1}
    lettered = read_all(free | {"options": CHOICE["options"], "ground_truth": "B"}, ["sofa", "C"])
    assert [(r.value, r.score) for r in lettered] == [("B", 1.0), ("C", 0.0)]


def test_numbers_stand_on_an_axis_with_the_truth():
    row = COUNT | {"question_type": "object_abs_distance", "ground_truth": "2.5"}
    figure = answer_distribution(row, read_all(row, ["2"] * 3 + ["2.5", "9000", "no"]), source="measured now")
    assert "2: 3; 2.5: 1; 9000: 1; unread: 1" in figure.alt and "The truth is 2.5" in figure.alt
    svg = figure.to_svg()
    assert "true: 2.5" in svg and "metres" in svg and "1 beyond the axis: 9000" in svg and "1 could not be read" in svg
    assert max(figure.layout.xaxis.range) < 4 and list(figure.data[-1].x) == [2.0, 2.5]
    unknown = answer_distribution(row | {"ground_truth": ""}, read_all(row, ["2"]), source="shipped")
    assert "The truth is not known" in unknown.alt and "true:" not in unknown.to_svg()


def test_many_different_numbers_are_drawn_together():
    row = COUNT | {"question_type": "room_size_estimation", "ground_truth": "20"}
    texts = [str(10 + i / 100) for i in range(2000)]
    figure = answer_distribution(row, read_all(row, texts), source="measured now")
    assert len(figure.data[-1].x) <= 61 and sum(figure.data[-1].y) == 2000 and len(figure.alt) < 600


@pytest.mark.parametrize("text", ["0", "-3", "1e300", "0.0000001", "12345678901234567890"])
def test_odd_numbers_have_a_figure(text):
    for truth in ("", "3"):
        row = COUNT | {"question_type": "object_abs_distance", "ground_truth": truth}
        assert "<svg" in answer_distribution(row, read_all(row, [text, "2", "2"]), source="shipped").to_svg()
        assert "<svg" in answer_distribution(row, read_all(row, [text]), source="shipped").to_svg()


def test_letters_are_bars_beside_their_options_and_words_beside_themselves():
    figure = answer_distribution(CHOICE, read_all(CHOICE, ["A", "A", "B", "hm"]), source="measured now")
    labels = list(figure.layout.yaxis.ticktext)
    assert labels == ["A. tv", "B. sofa ✓ true", "C. lamp", "could not be read"]
    assert list(figure.data[0].x) == [2, 1, 0, 1]
    free = {"question": "What?", "question_type": FREE, "options": None}
    many = answer_distribution(free, read_all(free, [f"word {i}" for i in range(30)] + [HOSTILE]), source="shipped")
    assert "21 other answers" in many.layout.yaxis.ticktext and "<script" not in many.to_svg()
    with pytest.raises(ValueError, match="no answer to draw"):
        answer_distribution(free, [], source="shipped")


def test_texts_beyond_the_first_few_are_folded_and_none_becomes_markup():
    found = read_all(COUNT | {"question": HOSTILE}, [HOSTILE, "3", "4", "", "5", "6 " * 10_000])
    markup = readings_table(found, source="measured now").__html__()
    before, _, after = markup.partition("<details>")
    assert before.count("<tr>") == 1 + 4 and after.count("<tr>") == 1 + 2 and "2 more texts" in after
    assert "<script" not in markup and "<img src=x" not in markup and "(nothing)" in markup
    assert "<details>" not in readings_table(found[:2], source="measured now").markup


# -- what the model has never seen -------------------------------------------------------------------------------------


def test_the_shipped_cards_say_what_the_lessons_teach():
    for name in ("mini-qwen2-vl", "mini-cold-start"):
        card = read_taught(data_samples(name))
        assert card.objects == CATEGORIES and card.rooms == ("procedural",) and (card.frames, card.size_px) == (8, 112)
        assert set(card.question_types["vsi-bench"]) == set(TRAINED_TYPES)
        assert set(card.question_types["vsi-100k"]) == set(TRAINED_TYPES) & set(VSI_100K)


def test_nothing_is_new_in_what_was_taught():
    clip = film(ROOM)
    for row in suggested_rows(ROOM, clip):
        if row["question_type"] in TRAINED_TYPES:
            assert news(MINI, row, dataset="procedural", frames_shape=clip.frames_FHW3.shape) == []


def test_new_words_objects_types_wordings_rooms_and_clips_are_named():
    def told(question, **more):
        return " ".join(news(MINI, own_row(question, **more), **{}))

    assert "the word 'hamster'" in told("How many hamster(s) are in this room?")
    assert "none of the 14 wordings" in told("How large is the bed?") and "never seen" not in told(
        "How large is the bed?"
    )
    assert "no question of this type (obj_appearance_order)" in told("What?", kind="obj_appearance_order")
    robot = VSI_BENCH["route_planning"].format(a="bed", b="tv", c="sofa", actions="1. go 2. turn")
    assert "no question of this type (route_planning)" in told(robot)
    odd = own_row("How many table tv(s) are in this room?") | {"objects": ["table tv"]}
    assert news(MINI, odd) == ["It was taught no object called 'table tv'."]
    words = news(MINI, own_row("zig zag zog zug zeg zyg zeb zob?"))[0]
    assert "'zig', 'zag', 'zog', 'zug', 'zeg', 'zyg' and 2 more" in words
    row = own_row("How many bed(s) are in this room?")
    assert news(MINI, row, dataset="video") == ["This is a video file; it was shown rooms of procedural only."]
    assert "12 frames" in news(MINI, row, dataset="procedural", frames_shape=(12, 9, 9, 3))[0]


def test_a_checkpoint_without_a_card_tells_nothing_and_a_broken_entry_is_named(tmp_path):
    assert read_taught(tmp_path) is None and read_taught(None) is None
    card = tmp_path / "README.md"
    card.write_text("# no head")
    assert read_taught(tmp_path) is None
    card.write_text("---\nlicense: mit\n---\n")
    assert read_taught(tmp_path) is None
    card.write_text("---\ntaught: {objects: [bed], question_types: {vsi-bench: [object_counting]}}\n---\n")
    own = read_taught(tmp_path)
    assert own.objects == ("bed",) and "the word 'tv'" in news(own, own_row("How many tv(s) are in this room?"))[0]
    for entry, rule in (
        ("[1, 2]", "must have `objects` and `question_types`"),
        ("{objects: bed, question_types: {}}", "`objects` is 'bed', must be a list of texts"),
        ("{objects: [bed], question_types: [1]}", "must have lists by vsi-bench and vsi-100k"),
        ("{objects: [bed], question_types: {vsi-bench: [x]}}", "must be among object_counting"),
        ("{objects: [bed], question_types: {}, clips: {frames: many}}", "must have whole numbers"),
    ):
        card.write_text(f"---\ntaught: {entry}\n---\n")
        with pytest.raises(Damaged, match="README.md") as refused:
            read_taught(tmp_path)
        assert rule in str(refused.value)
    card.write_text("---\ntaught: [}\n---\n")
    with pytest.raises(Damaged, match="not YAML"):
        read_taught(tmp_path)


# -- the widget --------------------------------------------------------------------------------------------------------


def test_a_suggested_question_is_asked_with_its_truth():
    asked = []
    view = playground("0.3", "2", asked=asked)
    at = next(i for i, row in enumerate(view._picked) if row["question_type"] == "object_abs_distance")
    view.suggestion.value = at
    row = view._picked[at]
    assert (view.question.value, view.truth.value) == (row["question"], row["ground_truth"])
    view.n.value, view.seed.value, view.mode.value = 4, 7, "think"
    view.ask_now()
    (call,) = asked
    assert call["row"] is view.asked and call["row"]["id"] == row["id"]
    assert (call["num_samples"], call["seed"], call["mode"], call["temperature"]) == (4, 7, "think", 1.0)
    assert np.array_equal(call["frames"], film(ROOM).frames_FHW3)
    assert "0.3: 2; 2: 2" in view.figure().alt and "lenient reader" in view.texts.value
    assert f"the truth is {row['ground_truth']}" in view.heading.value and "mean score" in view.heading.value
    assert "true " in view.player.plan.value and "2 m ×2" in view.player.plan.value
    assert view.player.highlight == tuple(row["objects"])
    assert "Please think" not in view.heading.value and "step by step" in view.heading.value


def test_it_opens_with_a_question_that_can_be_asked_at_once():
    view = playground("1.5")
    assert view.row()["question_type"] == "object_abs_distance" and view.truth.value
    assert all(control.value not in (None, "") for control in (view.suggestion, view.kind, view.question))
    view.ask_now()
    assert view.figure() is not None and "1.5 m" in view.player.plan.value


def test_options_come_with_a_question_and_letters_are_drawn():
    view = playground("A", "B", "B")
    at = next(i for i, row in enumerate(view._picked) if row["question_type"] == "object_rel_direction_hard")
    view.suggestion.value = at
    assert len(view.options.value.split("\n")) == 4
    view.ask_now()
    assert "✓ true" in view.figure_box.value and "A. " in view.figure_box.value


def test_a_typed_question_that_the_kit_knows_gets_its_truth_and_another_loses_it():
    view = playground()
    row = next(row for row in view._known if row["question_type"] == "room_size_estimation")
    view.question.value = row["question"].lower()
    assert view.truth.value == row["ground_truth"] and view.row() == row
    view.question.value = "How many rooms are in this room?"
    assert view.suggestion.value == -1
    assert view.truth.value == "" and view.row()["id"].startswith("own-")
    view.truth.value = "4"  # the reader's own stays
    view.question.value = "How many windows are in this room?"
    assert view.truth.value == "4"


def test_what_is_new_to_the_model_follows_the_question():
    view = playground()
    assert "Nothing in this question is new" in view.news.value
    view.question.value = ""
    assert "24 objects" in view.news.value and "New to" not in view.news.value
    view.question.value = "How many hamster(s) are in this room?"
    assert "New to this model" in view.news.value and "hamster" in view.news.value
    view.suggestion.value = 0
    assert "Nothing in this question is new" in view.news.value
    unknown = Playground(MODEL, draw=said("2"))
    assert "What a stub was taught is not known" in unknown.news.value


def test_hostile_questions_options_and_answers_stay_text():
    view = playground(HOSTILE)
    view.question.value, view.options.value = HOSTILE, f"{HOSTILE}\nother"
    view.ask_now()
    shown = [part.value for part in (view.news, view.heading, view.figure_box, view.texts, view.message)]
    for markup in [*shown, view.static(), view.player.plan.value]:
        assert "<script" not in markup and "<img src=x" not in markup
    assert "&lt;script&gt;" in view.heading.value and "&lt;script&gt;" in view.texts.value
    view.question.value = f"{HOSTILE} <|im_end|>"
    view.ask_now()
    assert "<script" not in view.message.value and "read as a command" in view.message.value


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"question": ""}, "The question is empty"),
        ({"n": 0}, "N is 0: must be a whole number of at least 1"),
        ({"n": MOST_ANSWERS + 1}, f"at most {MOST_ANSWERS}; for more answers ask again with another seed"),
        ({"temperature": 0.0}, "N is 16 at temperature 0: greedy answers are all the same: raise the temperature"),
        ({"temperature": -1.0}, "Temperature is -1.0: must be a finite number of at least 0"),
        ({"temperature": float("nan")}, "Temperature is nan"),
        ({"seed": -1}, "Seed is -1"),
        ({"cap": 0}, "Max_new_tokens is 0"),
        ({"truth": "many"}, "must be a number such as 3"),
    ],
)
def test_a_setting_that_cannot_be_is_told_in_a_sentence_and_keeps_the_answers(settings, told):
    view = playground()
    view.suggestion.value = 0
    view.ask_now()
    before = view.texts.value
    for name, value in settings.items():
        getattr(view, name).value = value
    view.ask_now()
    assert told in view.message.value and 'role="alert"' in view.message.value and "Traceback" not in view.message.value
    assert view.texts.value == before and not view.ask.disabled and view.stop.disabled


def test_one_greedy_answer_is_fine():
    asked = []
    view = playground("3", asked=asked)
    view.suggestion.value, view.n.value, view.temperature.value = 0, 1, 0.0
    view.ask_now()
    assert asked[0]["num_samples"] == 1 and "one answer" in view.heading.value and view.figure() is not None
    check_drawing(1, 0.0, 16, 0)


def test_a_failure_is_told_and_the_controls_work_again():
    def fails():
        raise RuntimeError(f"broken {HOSTILE}\nsecond line")

    view = playground(before=fails)
    view.suggestion.value = 0
    view.ask_now()
    assert "Asking failed: RuntimeError: broken &lt;script&gt;" in view.message.value
    assert not any(control.disabled for control in view._switched) and view.asked is None


def test_controls_are_off_while_it_asks_and_stop_ends_it():
    begun, go = threading.Event(), threading.Event()

    def wait():
        begun.set()
        assert go.wait(20)

    view = playground(before=wait)
    view.suggestion.value = 0
    view.ask.click()
    assert begun.wait(20)
    assert all(control.disabled for control in view._switched) and not view.stop.disabled
    assert "16 answers" in view.message.value
    view.ask.click()  # a second press, before the first is seen to be off
    view.stop.click()
    go.set()
    view.wait(20)
    assert "Stopped before an answer was there" in view.message.value and view.asked is None
    assert not any(control.disabled for control in view._switched) and view.stop.disabled
    view.ask.click()
    view.wait(20)
    assert view.asked is not None and view.message.value == ""


def test_another_room_takes_the_answers_away():
    view = playground()
    view.suggestion.value = 0
    view.ask_now()
    plan = view.player.plan.value
    view.choice.number.value = 19
    assert view.choice.name.value == "val-0-00019" and view.choice.room.name == "val-0-00019"
    assert view.asked is None and view.texts.value == "" and "about another room and are gone" in view.message.value
    assert view.player.plan.value != plan and all(row["scene_name"] == "val-0-00019" for row in view._picked)
    assert view.row()["scene_name"] == "val-0-00019" and view.row()["question_type"] == view._picked[0]["question_type"]
    view.question.value = "Is there a hamster?"
    view.choice.number.value = 17
    assert view.question.value == "Is there a hamster?" and view.truth.value == ""  # one of the reader's own stays
    view.ask_now()
    assert view.asked["scene_name"] == "val-0-00017"
    view.clear.click()
    assert view.asked is None and view.texts.value == "" and view.figure() is None


def test_a_room_is_chosen_by_name_number_list_and_file(tmp_path):
    view = playground()
    view.choice.name.value = "train-4-00017"
    assert view.choice.room.name == "train-4-00017" and (view.choice.split.value, view.choice.number.value) == (
        "train",
        17,
    )
    view.choice.name.value = "nowhere"
    assert "there is no room &#x27;nowhere&#x27;" in view.choice.message.value
    assert view.choice.room.name == "train-4-00017"
    view.choice.split.value = "test"
    assert view.choice.room.name == "test-0-00017" and view.choice.message.value == ""
    rooms = [make_room(3, "mine"), make_room(4, "yours")]
    given = playground(rooms=rooms)
    assert given.choice.room is rooms[0] and given.choice.given.options == ("mine", "yours")
    given.choice.given.value = "yours"
    assert given.choice.room is rooms[1] and given.choice.split.layout.display == "none"
    save_rooms(tmp_path / "rooms.json", rooms)
    assert playground(rooms=tmp_path / "rooms.json").choice.room.name == "mine"
    assert playground(rooms=rooms[1]).choice.room.name == "yours"
    view.choice.choose(rooms[0])
    assert view.choice.room is rooms[0]
    view.choice.choose("val-0-00001")
    assert view.choice.room.name == "val-0-00001"
    with pytest.raises(ValueError, match="rooms is empty"):
        playground(rooms=[])


def test_a_video_of_ones_own_is_asked_about(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3)).astype(np.uint8)
    write_mp4(tmp_path / "my.mp4", frames)
    asked = []
    view = playground("2", asked=asked, video=tmp_path / "my.mp4")
    assert view.choice.room is None and view.suggestion.options[0][0].startswith("nothing is suggested")
    assert "This is a video file" not in view.news.value
    view.question.value = "How many chair(s) are in this room?"
    assert "This is a video file; it was shown rooms of procedural only" in view.news.value
    view.ask_now()
    assert asked[0]["frames"].shape == (8, 48, 64, 3) and asked[0]["row"]["scene_name"] == "my.mp4"
    assert view.figure() is not None and view.asked["objects"] == ["chair"]
    view.truth.value = "2"
    view.ask_now()
    assert "mean score 1.00" in view.heading.value
    view.choice.source.value = "a room by number"
    assert view.choice.room is not None and view.asked is None


@pytest.mark.parametrize("name", ["broken.mp4", "not there.mp4", "<script>.mp4"])
def test_a_video_that_cannot_be_read_is_told(tmp_path, name):
    if name == "broken.mp4":
        (tmp_path / name).write_bytes(b"no film " * 1000)
    view = playground(video=tmp_path / name)
    assert "not readable as video" in view.choice.message.value and 'role="alert"' in view.choice.message.value
    assert "<script>" not in view.choice.message.value
    view.question.value = "How many chair(s) are in this room?"
    view.ask_now()
    assert "No clip is chosen" in view.message.value
    view.choice.video.value = ""
    assert "Type the path" in view.choice.message.value


def test_every_control_has_a_name_and_the_still_form_has_everything(monkeypatch):
    view = playground()
    view.suggestion.value = 0
    view.ask_now()

    def controls(widget):
        children = getattr(widget, "children", ())
        return [w for child in children for w in controls(child)] if children else [widget]

    named = [w for w in controls(view.view) if hasattr(w, "disabled")]
    assert len(named) > 20 and all(w.description for w in named)
    assert {type(w) for w in named} <= {
        ipw.Dropdown,
        ipw.Text,
        ipw.Textarea,
        ipw.IntText,
        ipw.FloatText,
        ipw.BoundedIntText,
        ipw.Button,
        ipw.Play,
        ipw.IntSlider,
        ipw.ToggleButtons,
    }
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, metadata=None, raw=False: shown.append(data))
    view._ipython_display_()
    kinds = [set(data) - {WIDGET_MIME, "text/plain"} for data in shown]
    assert {"image/svg+xml"} in kinds and {"text/html"} in kinds and {"image/png"} in kinds
    assert shown[0][WIDGET_MIME]["model_id"] == view.view.model_id
