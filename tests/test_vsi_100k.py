"""VSI-100k's annotations: every name that is in use for a field, and what is refused."""

import json

import pytest

from tests.real_files import plain_frames, write_lines, write_parquet, write_sens
from vsr_kit.data import load_vsi_100k, read_rows, write_rows
from vsr_kit.data.vsi_100k import KINDS
from vsr_kit.evaluation import load_questions

# The paper's Fig. 2, letter for letter but for the names.
ASKED = {
    "object_counting": ("How many trash can(s)in the room?", "3"),
    "object_abs_distance": ("What is the distance between the sink and the tv (in meters)?", 2.35),
    "object_rel_distance": ("Which of these objects (bed, sofa, stove, tv)is the closest to the chair?", "sofa"),
    "object_rel_direction_easy": (
        "If I am standing by the shelf and facing the shower is the bicycle to the left or the right of the shower?",
        "left",
    ),
    "object_size_estimation": (
        "What is the length of the longest dimension (length,width, or height) of the coffee table, measured in "
        "centimeters?",
        112,
    ),
    "room_size_estimation": ("What is the size of this room (in square meters)?", "18.4"),
}
SCENE = "scene0012_01"


def records(**names):
    """A record of each type under other names of the fields."""
    field = {"question": "question", "answer": "answer", "scene": "scene_id", **names}
    return [{field["question"]: q, field["answer"]: a, field["scene"]: SCENE} for q, a in ASKED.values()]


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1))
    return path


def conversation(question, answer):
    turns = [{"from": "human", "value": f"Image-1: <image>\n{question}"}, {"from": "gpt", "value": str(answer)}]
    return {"image": [f"scannet/{SCENE}/0.jpg", f"scannet/{SCENE}/9.jpg"], "conversations": turns}


def messages(question, answer):
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]
    return {"video": f"{SCENE}.mp4", "messages": [*turns, {"role": "assistant", "content": str(answer)}]}


FORMS = {
    "question, answer, scene_id": records(),
    "as R1-V's": [{**r, "solution": f"<answer> {r['solution']} </answer>"} for r in records(question="problem",
        answer="solution", scene="video_filename")],
    "vsi-bench's names": records(answer="ground_truth", scene="scene_name"),
    "a path": [{**r, "path": f"scans/{SCENE}/{SCENE}.sens"} for r in records(scene="unused")],
    "conversations": [conversation(q, a) for q, a in ASKED.values()],
    "messages": [messages(q, a) for q, a in ASKED.values()],
}  # fmt: skip


def check(rows):
    assert {row["question_type"]: row["ground_truth"] for row in rows} == {k: str(a) for k, (_, a) in ASKED.items()}
    assert {row["question_type"]: row["question"] for row in rows} == {kind: q for kind, (q, _) in ASKED.items()}
    assert {(r["dataset"], r["scene_name"], r["phrasing"], r["options"]) for r in rows} == {
        ("scannet", SCENE, "vsi-100k", None)
    }
    assert len({row["id"] for row in rows}) == len(rows)


def test_the_six_wordings_are_the_papers():
    assert ASKED.keys() == set(KINDS)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_the_same_rows(tmp_path, form):
    check(load_vsi_100k(write_json(tmp_path / "all.json", FORMS[form])).rows)
    check(load_vsi_100k(write_lines(tmp_path / "all.jsonl", FORMS[form])).rows)


def test_parquet_and_objects_of_scenes_are_read(tmp_path):
    check(load_vsi_100k(write_parquet(tmp_path / "all.parquet", FORMS["as R1-V's"])).rows)
    without = [{name: value for name, value in record.items() if name != "scene_id"} for record in records()]
    check(load_vsi_100k(write_json(tmp_path / "scenes.json", {SCENE: without})).rows)
    one = load_vsi_100k(write_json(tmp_path / "one.json", {SCENE: without[0], "scene0700_00": without[0]})).rows
    assert [row["scene_name"] for row in one] == [SCENE, "scene0700_00"] and len({row["id"] for row in one}) == 2


def test_a_folder_of_a_file_a_type_is_read_whole_with_ids_that_differ(tmp_path):
    """As released: object_counting.json and five more; each may count its ids from 0."""
    for (kind, _), record in zip(ASKED.items(), records(), strict=True):
        write_json(tmp_path / f"{kind}.json", [{"id": 0, **record}])
    (tmp_path / "README.md").write_text("a card")
    write_json(tmp_path / "dataset_infos.json", {})
    read = load_vsi_100k(tmp_path)
    check(read.rows)
    assert {row["id"] for row in read.rows} == {f"{kind}-0" for kind in ASKED}


def test_spaces_and_commas_do_not_matter(tmp_path):
    loose = (
        "If I am standing by the shelf, and facing the shower , is the bicycle to the left or the right of the shower?"
    )
    count = "How many trash can(s) in the room?"
    made = [{"question": loose, "answer": "Left.", "scene": SCENE}, {"question": count, "answer": 2, "scene": SCENE}]
    rows = load_vsi_100k(write_json(tmp_path / "a.json", made)).rows
    assert [row["question_type"] for row in rows] == ["object_rel_direction_easy", "object_counting"]


@pytest.mark.parametrize(
    "change, told",
    [
        (
            {"question": None},
            r"record 1: the question is in none of the fields question, problem or .*has question, ans",
        ),
        ({"answer": None}, "record 1: the answer is in none of the fields ground_truth, answer, solution"),
        ({"scene_id": "room 4"}, "record 1: names no scene; one such as scene0000_00 must stand in one of scene_name"),
        ({"video": "scene0001_00.mp4"}, r"record 1: names 2 scenes \(scene0001_00, scene0012_01\)"),
        ({"question": "Where is the cat?"}, "has none of VSI-100k's six wordings"),
        ({"type": "room_size"}, "is called 'room_size', and the question is one of object_counting"),
        ({"answer": "several"}, "field 'ground_truth' is 'several', must be a number"),
        ({"answer": 0}, "must be above 0"),
    ],
)
def test_a_record_that_cannot_be_used_is_named_with_rule_and_remedy(tmp_path, change, told):
    bad = [{**records()[0], **change}, *records()[1:]]
    path = write_json(tmp_path / "a.json", bad)
    with pytest.raises(ValueError, match=rf"1 of 6 rows cannot be used: .*{told}"):
        load_vsi_100k(path)
    read = load_vsi_100k(path, skip_broken=True)
    assert len(read.rows) == 5 and len(read.left_out) == 1


def test_a_stated_type_that_agrees_is_fine(tmp_path):
    names = ["object_count", "absolute distance", "rel_distance", "relative_direction", "object_size", "room-size"]
    made = [{**record, "problem_type": name} for record, name in zip(records(), names, strict=True)]
    check(load_vsi_100k(write_json(tmp_path / "a.json", made)).rows)


def test_other_files_are_told(tmp_path):
    with pytest.raises(ValueError, match=r"there is no \.json.*vsr fetch vsi-100k brings \(OPPOer/VSI-100k\)"):
        load_vsi_100k(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"holds no \.json"):
        load_vsi_100k(tmp_path)
    with pytest.raises(ValueError, match="is a str, must be an object with a question"):
        load_vsi_100k(write_json(tmp_path / "a.json", ["x"]))


def test_rows_and_scans_train_together_as_they_come(tmp_path):
    """`--rooms FOLDER --videos SCANNET`, and the rows written once as a questions file of one's own."""
    write_json(tmp_path / "vsi-100k" / "object_counting.json", records())
    write_sens(tmp_path / "scans" / SCENE / f"{SCENE}.sens", plain_frames(9))
    asked = load_questions(tmp_path / "vsi-100k", split="train", videos=tmp_path, num_frames=4)
    check(asked.rows)
    assert asked.clips[SCENE].shape == (4, 24, 32, 3)
    one = load_questions(tmp_path / "vsi-100k" / "object_counting.json", videos=tmp_path, num_frames=4)
    assert one.rows == asked.rows
    write_rows(tmp_path / "rows.jsonl", asked.rows)
    assert read_rows(tmp_path / "rows.jsonl") == asked.rows
