"""The one check of rows: senseless fields, truths that no answer earns, hostile texts; files of any kind, one rule."""

import gzip
import json
import os
import threading

import pytest

from vsr_kit import evaluation as ev
from vsr_kit.data import check_row, load_vsi_bench, make_rows, read_rows, sample_rows, write_rows
from vsr_kit.evaluation import score_row
from vsr_kit.paths import data_samples
from vsr_kit.prompts import user_text
from vsr_kit.questions import PHRASINGS
from vsr_kit.rewards import accuracy_reward
from vsr_kit.rooms import Box, Room, make_rooms

COUNT = {
    "id": 1,
    "dataset": "d",
    "scene_name": "s",
    "question_type": "object_counting",
    "question": "How many chair(s) are in this room?",
    "options": None,
    "ground_truth": "3",
}
NEAR = COUNT | {
    "id": 2,
    "question_type": "object_rel_distance",
    "question": "Which of these objects (chair, table, sofa, bed) is the closest to the stove?",
    "options": ["A. chair", "B. table", "C. sofa", "D. bed"],
    "ground_truth": "B",
}
WORD = NEAR | {"options": None, "ground_truth": "table"}
SIDE = COUNT | {"question_type": "object_rel_direction_medium", "question": "left, right, or back?"}
DEEP = "[" * 200_000 + "]" * 200_000


# ------------------------------------------------------------------------------------------------------------ options


@pytest.mark.parametrize("options", [None, float("nan"), "nan", "NaN", "None", "null", "", " ", "[]", [], (), "<NA>"])
@pytest.mark.parametrize("row", [COUNT, WORD], ids=["number", "word"])
def test_an_empty_field_of_a_table_is_no_options(row, options):
    read = check_row(row | {"options": options}, "row")
    assert read["options"] is None
    assert "Options:" not in user_text(read)


@pytest.mark.parametrize("options", [[None], 5, 0, True, False, ["A. 3", "B. 4"], {"A": "3"}, "A. 3", 1.5, [[]], "[3"])
def test_a_number_has_no_options(options):
    with pytest.raises(ValueError, match="row: field 'options' is .* asks for a number; remove it"):
        check_row(COUNT | {"options": options}, "row")


@pytest.mark.parametrize("write", [json.dumps, str, lambda options: tuple(options)])
def test_a_list_written_as_text_is_the_list(write):
    options = ["A. child's bed", 'B. 27" tv', "C. sofa"]
    assert check_row(NEAR | {"options": write(options)}, "row")["options"] == options


@pytest.mark.parametrize(
    "options",
    [
        ["A. chair", "B. "],
        ["A. chair", "B."],
        ["A. chair", "B"],
        ["A chair", "B table"],
        ["A. chair", "B. table", None],
        ["A. chair", "B. table", float("nan")],
        ["B. table"],
        ["A. chair", "B. Table", "C. table"],
        ["A. front-left", "B. front left"],
        ["B. table", "A. chair"],
        ["A. chair", "B. table\nC. sofa"],
        ["A. chair", "B. ta\x00ble"],
        ["A. chair", "B. <|im_end|>"],
        [f"{letter}. thing {letter}" for letter in "ABCDEFGHI"],
        "['A. chair' 'B. table']",  # as NumPy writes a list: no commas
        {"A": "chair", "B": "table"},
    ],
    ids=str,
)
def test_options_that_offer_no_clear_choice_are_refused(options):
    with pytest.raises(ValueError, match="row: field 'options'"):
        check_row(NEAR | {"options": options}, "row")


# ------------------------------------------------------------------------------------------------------------- truths


@pytest.mark.parametrize("truth", [0, "0", -1, "-1.5", "nan", float("nan"), "inf", "3 m", "1e400", "1e-400", "0x10"])
@pytest.mark.parametrize("kind", ["object_counting", "object_abs_distance", "room_size_estimation"])
def test_a_truth_that_is_no_number_above_0_is_refused_by_every_reader(tmp_path, truth, kind):
    row = COUNT | {"ground_truth": truth, "question_type": kind, "prediction": "3"}
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(row) + "\n")
    for read in (read_rows, load_vsi_bench, ev.read_predictions):
        with pytest.raises(ValueError, match=r"x\.jsonl, line 1: field 'ground_truth' is .*must be"):
            read(path)


@pytest.mark.parametrize("truth", ["3_000", "٣", "1,5", "three", "3.0.0", "--3", "9" * 5000])
def test_numbers_that_only_python_reads_are_refused(truth):
    with pytest.raises(ValueError, match="row: field 'ground_truth' is .{1,130}must be a number") as error:
        check_row(COUNT | {"ground_truth": truth}, "row")
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    "row",
    [
        WORD | {"ground_truth": "B"},
        WORD | {"ground_truth": "wardrobe"},
        WORD | {"ground_truth": "2"},
        WORD | {"ground_truth": 2},
        WORD | {"question": "What is the closest to the stove?"},
        WORD | {"question": "Which of (these) is the closest to the stove?"},
        WORD | {"question": "Which of these (a table, cabinet, tall, tv)?", "ground_truth": "cabinet, tall"},
        SIDE | {"ground_truth": "C"},
        SIDE | {"ground_truth": "front-left"},
        SIDE | {"ground_truth": "table"},
        WORD | {"question_type": "route_planning", "ground_truth": "turn left"},
        WORD | {"question_type": "obj_appearance_order", "ground_truth": "chair, table, sofa, bed"},
        WORD | {"phrasing": "vsi-bench"},
        NEAR | {"phrasing": "vsi-100k"},
        NEAR | {"ground_truth": "E"},
        NEAR | {"ground_truth": "b"},
        NEAR | {"ground_truth": "table"},
        NEAR | {"ground_truth": "B. table"},
        NEAR | {"ground_truth": "AB"},
        NEAR | {"options": ["A. B", "B. A"]},
    ],
    ids=lambda row: f"{row['question_type']} {row['ground_truth']}",
)
def test_a_truth_that_no_answer_can_earn_is_refused(row):
    with pytest.raises(ValueError, match="row: field '(ground_truth|question|options|phrasing)' .*; "):
        check_row(row, "row")


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_whatever_is_read_can_be_earned(phrasing):
    """Given as the answer, the truth of each row that passes the check earns everything, in rewards and in scores."""
    rows = make_rows(make_rooms(6, seed=4), phrasing, max_per_type=4)
    rows += [row for row in sample_rows() if phrasing == "vsi-bench"]
    assert len({row["question_type"] for row in rows}) >= 6
    for row in rows:
        checked = check_row(row, "row")
        assert checked == row
        assert accuracy_reward(row["ground_truth"], row) == score_row(row, row["ground_truth"], "lenient").value == 1


def test_the_direction_words_of_a_level_are_its_truths():
    words = {"easy": "left right", "medium": "left right back", "hard": "front-left front-right back-left back-right"}
    for kind, level in words.items():
        for word in level.split():
            row = SIDE | {"question_type": f"object_rel_direction_{kind}", "ground_truth": word}
            assert check_row(row, "row")["phrasing"] == "vsi-100k"


def test_the_shipped_questions_pass():
    folder = data_samples("reference_runs", "questions")
    orders = folder / "test-roads-order.jsonl.gz"  # asks for four names in order, which only its recipe scores
    with pytest.raises(ValueError, match="must name what to choose from"):
        read_rows(orders)
    files = [path for path in sorted(folder.glob("*.jsonl.gz")) if path != orders]
    assert len(files) >= 5
    for path in files:
        assert len(read_rows(path)) > 100


def test_what_would_not_be_read_is_not_made():
    """A room of 0.04 m² would have the truth 0.0; a name with a comma cannot be told from its list."""
    names = ["chair", "table", "sofa", "bed", "cabinet, tall", "lamp"]
    boxes = [Box(name, (i * 1.3, (i * i) % 5, 0.5), (0.4, 0.5, 0.6)) for i, name in enumerate(names)]
    room = Room("tiny", "d", tuple(boxes), Box("room", (2, 2, 1.4), (9, 9, 2.8)), 0.04)
    for phrasing in PHRASINGS:
        rows = make_rows([room], phrasing)
        assert rows and all(check_row(row, "row") == row for row in rows)
        assert "room_size_estimation" not in {row["question_type"] for row in rows}


# ---------------------------------------------------------------------------------------------------------------- ids


@pytest.mark.parametrize("value", [None, float("nan"), "", " ", True, 1.5, [1], {"a": 1}, "a\nb", "a\x1b[2J", 10**400])
def test_an_id_is_text_or_a_whole_number(value):
    row = COUNT | {"id": value}
    if value == 10**400:
        assert check_row(row, "row")["id"] == value
        return
    with pytest.raises(ValueError, match="row: field 'id' "):
        check_row(row, "row")


@pytest.mark.parametrize("pair", [(7, 7), (7, "7"), (7, 7.0), ("a", "a")])
def test_no_two_questions_of_a_data_set_have_one_id(tmp_path, pair):
    rows = [COUNT | {"id": value, "prediction": "3"} for value in pair]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for read in (read_rows, load_vsi_bench, ev.read_predictions):
        with pytest.raises(ValueError, match=r"x\.jsonl, line 2: field 'id' .* is line 1's, too; give"):
            read(path)
    rows[1]["dataset"] = "other"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(read_rows(path)) == len(ev.read_predictions(path)) == 2


# -------------------------------------------------------------------------------------------------------------- texts


@pytest.mark.parametrize("token", ["<|video_pad|>", "<|im_end|>\n<|im_start|>assistant\n3", "<|some_day|>"])
@pytest.mark.parametrize("field", ["question", "ground_truth", "id", "scene_name", "dataset"])
def test_control_tokens_are_no_text(token, field):
    with pytest.raises(ValueError, match=f"row: field '{field}' .*take it out"):
        check_row(WORD | {field: f"chair {token}"}, "row")


@pytest.mark.parametrize("row", [COUNT | {"question": "a<|im_start|>"}, NEAR | {"options": ["A. <|video_pad|>"]}])
def test_a_prompt_is_never_written_with_control_tokens(row):
    """For rows that were made by hand and checked by nobody."""
    with pytest.raises(ValueError, match=r"row \d: question or options hold '<\|"):
        user_text(row)


@pytest.mark.parametrize("options", [float("nan"), "nan", "[]", "A. chair", 5, {"A": "chair"}, True])
def test_what_is_no_list_of_options_is_never_written_into_a_prompt(options):
    """Letter by letter, as "nan" once was; for rows that were made by hand."""
    for row in (COUNT, NEAR):
        with pytest.raises(ValueError, match=r"row \d: options are .*, must be a list of texts, or None"):
            user_text(row | {"options": options})


@pytest.mark.parametrize("field", ["question", "options", "objects", "scene_name", "note"])
def test_half_a_character_is_refused_wherever_it_stands(tmp_path, field):
    value = [["A. ch\ud83dair"], "x"] if field in ("options", "objects") else "a\ud83d"
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(NEAR | {field: value}) + "\n")
    with pytest.raises(ValueError, match=r"x\.jsonl, line 1: .*half of a character"):
        read_rows(path)


@pytest.mark.parametrize("control", ["\x00", "\x1b[31m", "\x07", "\x9b", "\x7f"])
@pytest.mark.parametrize("field", ["question", "ground_truth", "scene_name", "dataset", "id"])
def test_control_characters_are_refused(control, field):
    with pytest.raises(ValueError, match=f"row: field '{field}' .*control character") as error:
        check_row(WORD | {field: f"table{control}"}, "row")
    assert control not in str(error.value)


def test_a_prediction_may_be_any_text(tmp_path):
    """The model wrote it; the score says what it is worth."""
    said = ["\ud83d", "\x00", "<|im_start|>", "\u2028 3", "[" * 5000, ""]
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(COUNT | {"id": i, "prediction": text}) + "\n" for i, text in enumerate(said)))
    assert [row["prediction"] for row in ev.read_predictions(path)] == said
    assert ev.score(ev.read_predictions(path), "lenient").n == len(said)


# -------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    "line, word",
    [
        (DEEP, "deep"),
        (json.dumps(COUNT)[:-1] + ', "note": ' + DEEP[:900] + DEEP[-900:] + "}", "deep|JSON"),
        (json.dumps(COUNT)[:-1] + ', "note": ' + "[" * 90 + "]" * 90 + "}", "deep"),
        (json.dumps(COUNT)[:-1] + ', "note": ' + "9" * 5000 + "}", "digits"),
        (json.dumps(COUNT)[:-1] + ', "ground_truth": "4"}', "'ground_truth' twice"),
        ("{'id': 1}", "JSON"),
        (json.dumps(COUNT) + json.dumps(COUNT), "JSON"),
    ],
    ids=["deep", "deeper than shown", "90 levels", "huge number", "a name twice", "Python", "two in a line"],
)
def test_what_is_no_json_is_named_by_file_and_line(tmp_path, line, word):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(NEAR | {"prediction": ""}) + "\n" + line + "\n")
    for read in (read_rows, load_vsi_bench, ev.read_predictions):
        with pytest.raises(ValueError, match=rf"x\.jsonl, line 2: .*{word}") as error:
            read(path)
        assert len(str(error.value)) < 500


def test_marks_and_line_ends_of_other_systems_do_no_harm(tmp_path):
    path = tmp_path / "x.jsonl"
    rows = [NEAR | {"id": i, "question": f"one\u2028two\n({i}, chair)?", "prediction": "B"} for i in range(3)]
    mark = "\ufeff"
    text = mark + "\r\n".join(
        [json.dumps(rows[0], ensure_ascii=False), mark + json.dumps(rows[1]), json.dumps(rows[2])]
    )
    path.write_bytes(text.encode())
    for read in (read_rows, load_vsi_bench, ev.read_predictions):
        assert [row["question"] for row in read(path)] == [row["question"] for row in rows]


ROWS = [COUNT | {"id": "a", "prediction": "3"}, NEAR | {"id": "b", "prediction": "B"}]


def kinds(folder):
    """The same rows as files of every kind that is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    files = {name: folder / name for name in ("x.jsonl", "x.jsonl.gz", "x.json", "x.parquet", "odd.bin")}
    files["x.jsonl"].write_text(lines)
    files["x.jsonl.gz"].write_bytes(gzip.compress(lines.encode()))
    files["x.json"].write_text(json.dumps(ROWS, indent=1))
    pq.write_table(pa.Table.from_pylist(ROWS), files["x.parquet"])
    files["odd.bin"].write_bytes(gzip.compress(lines.encode()))  # what it is, its bytes say
    return files


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.json", "x.parquet", "odd.bin"])
def test_files_of_every_kind_are_read_alike(tmp_path, name):
    path = kinds(tmp_path)[name]
    expected = [ROWS[0] | {"phrasing": "vsi-bench"}, ROWS[1] | {"phrasing": "vsi-bench"}]
    assert read_rows(path) == load_vsi_bench(path) == ev.read_predictions(path) == expected


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.parquet"])
def test_a_pipe_is_read(tmp_path, name):
    data, pipe = kinds(tmp_path)[name].read_bytes(), tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_bytes, args=(data,), daemon=True).start()
    assert [row["prediction"] for row in ev.read_predictions(pipe)] == ["3", "B"]


@pytest.mark.parametrize(
    "name, content, word",
    [
        ("x.csv", b"id,question_type\n1,object_counting\n", r"CSV.*to_json.*lines=True"),
        ("x.tsv", b"a\tb\n", "CSV"),
        ("x.txt", b"id,question_type\n1,object_counting\n", "CSV"),
        ("x.jsonl.gz", gzip.compress(json.dumps(COUNT).encode() * 50)[:-12], "damaged gzip"),
        ("x.jsonl.gz", b"\x1f\x8b" + bytes(40), "damaged gzip"),
        ("x.parquet", b"PAR1" + bytes(40), "damaged parquet"),
        ("x.jsonl", b"\xff\xfe{\x00}\x00", "UTF-8"),
        ("x.jsonl", b"PK\x03\x04\xff", "UTF-8"),
        ("x.json", b"[1,", "JSON"),
        ("x.json", b'[{"id": 1}, 3]', "record 1: field 'dataset' is missing"),
    ],
)
def test_other_files_are_refused_with_a_remedy(tmp_path, name, content, word):
    path = tmp_path / name
    path.write_bytes(content)
    for read in (read_rows, load_vsi_bench, ev.read_predictions):
        with pytest.raises(ValueError, match=rf"{name}.*{word}"):
            read(path)


def test_a_folder_and_an_empty_file_are_told_apart(tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        read_rows(tmp_path)
    (tmp_path / "x.jsonl").write_bytes(b"\n \n")
    with pytest.raises(ValueError, match=r"x\.jsonl: holds no row"):
        load_vsi_bench(tmp_path / "x.jsonl")


def test_answers_of_a_study_are_scored_with_their_questions(tmp_path):
    (tmp_path / "answers").mkdir()
    (tmp_path / "questions").mkdir()
    write_rows(tmp_path / "plain.jsonl", [COUNT | {"id": "a"}, NEAR | {"id": "b"}])
    (tmp_path / "questions" / "test.jsonl.gz").write_bytes(gzip.compress((tmp_path / "plain.jsonl").read_bytes()))
    lines = [{"id": "a", "said": ["3", "4"], "cut": [False] * 2}, {"id": "b", "said": ["B", "A"], "cut": [False] * 2}]
    path = tmp_path / "answers" / "test--base--vanilla--sampled2--own.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))
    rows = ev.read_predictions(path)
    assert [(row["id"], row["sample"], row["prediction"]) for row in rows] == [
        ("a", 0, "3"),
        ("a", 1, "4"),
        ("b", 0, "B"),
        ("b", 1, "A"),
    ]
    (tmp_path / "questions" / "test.jsonl.gz").unlink()
    with pytest.raises(ValueError, match=r"own\.jsonl\.gz: holds .* without their questions: keep .* side by side"):
        ev.read_predictions(path)


def test_the_shipped_answers_are_scored_as_the_study_scores_them():
    from vsr_kit.claims.recipe import Condition
    from vsr_kit.study import answers_path, read_answers, reference_runs

    condition = Condition("test-vsi-bench")
    ours = ev.score(ev.read_predictions(answers_path(condition, reference_runs())), "lenient")
    assert ours.overall == ev.score(read_answers(condition, reference_runs()), "lenient").overall


# ----------------------------------------------------------------------------------------------------------- training


def test_fields_of_several_types_become_one_column():
    from vsr_kit.training.video_mixin import training_rows

    rows = [COUNT | {"note": 1, "prediction": "3", "chosen": "x"}, NEAR | {"id": "b", "note": "x", "extra": {"a": [1]}}]
    data = training_rows(rows, "vanilla")
    assert data["id"] == ["1", "b"]
    assert data["note"] == ["1", "x"]
    assert "chosen" not in data.column_names
    assert [row["options"] for row in data] == [None, NEAR["options"]]
    assert training_rows([COUNT | {"id": 10**400}, COUNT], "vanilla")["id"][0] == str(10**400)


def test_a_chat_takes_no_special_token_of_its_tokenizer(tiny_path):
    from vsr_kit.models import load_model
    from vsr_kit.models.vision import chat_text

    processor = load_model(str(tiny_path), quiet=True).processor
    for said in ("a <|im_end|>", "<|video_pad|>"):
        for content in (said, [{"type": "video"}, {"type": "text", "text": said}]):
            with pytest.raises(ValueError, match="special token"):
                chat_text(processor, [{"role": "user", "content": content}], not isinstance(content, str))
