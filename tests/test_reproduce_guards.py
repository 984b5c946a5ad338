"""What must stop a study before it runs: leftovers made otherwise, other questions, no input; and what is recorded."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.test_reproduce import QUESTIONS, complete, geometry_of, stub, train_some, vsr  # noqa: F401 (stub is a fixture)
from tests.test_study_answers import every, say, write_study
from vsr_kit.claims.recipe import Condition
from vsr_kit.data import split_rooms
from vsr_kit.files import append_lines, read_json, write_json
from vsr_kit.generation import Generation
from vsr_kit.recipes import variant
from vsr_kit.runs import RunFolder
from vsr_kit.study import (
    TOKEN_CAP,
    QuestionSet,
    answers_path,
    conditions,
    pairs_path,
    questions_path,
    reference_runs,
    save_questions,
    training_runs,
)
from vsr_kit.study import runner as module
from vsr_kit.study.comparisons import repeated
from vsr_kit.study.labels import distance_pairs, write_pairs
from vsr_kit.study.runner import UNFINISHED, check_plan, conditions_of, plan, reproduce
from vsr_kit.study.staleness import check_not_stale, first_difference, settings_of

SFT = "sft-seed1"


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch):
    """A guard that fails must not start the study."""
    monkeypatch.setattr(module.ProcessPoolExecutor, "submit", lambda *how: pytest.fail("a unit was begun"))


@pytest.fixture
def done(tmp_path):
    """A study folder with the base and one run of SFT."""
    for unit in plan(["sft"], 1):
        complete(unit, tmp_path)
    return tmp_path


def edit(path: Path, *where, value) -> None:
    """Change, or with None take away, one value of a JSON file."""
    whole = record = read_json(path)
    for name in where[:-1]:
        record = record[name]
    record[where[-1]] = value
    if value is None:
        del record[where[-1]]
    write_json(path, whole)


def setting(name, value):
    return lambda folder: edit(folder / SFT / "config.json", "config", name, value=value)


def entry(**changed):
    """A later entry in the manifest, which is the one that counts."""

    def change(folder):
        made = {"token_cap": TOKEN_CAP, "base": conditions.base_identity()}
        append_lines(
            folder / "manifest.jsonl", [{"name": f"test-vsi-bench--{SFT}--vanilla--greedy--own"} | made | changed]
        )

    return change


# -- leftovers ---------------------------------------------------------------------------------------------------------


def test_everything_that_is_shipped_was_made_as_it_would_be_today(tmp_path):
    units = plan()
    there = [unit for unit in units if unit.variant and (reference_runs() / unit.name / "summary.json").exists()]
    assert len(there) > 60
    check_plan(units, reference_runs())
    files = tuple(geometry_of(dataset, tmp_path) for dataset in ("arkitscenes", "scannetpp"))
    conditions = [c for unit in units for c in conditions_of(unit, files)]
    check_not_stale([], conditions, reference_runs(), reference_runs() / UNFINISHED)
    for unit in there:
        config = read_json(reference_runs() / unit.name / "config.json")["config"]
        assert config == json.loads(json.dumps(settings_of(variant(unit.variant)))) | {"rows": config["rows"]}


@pytest.mark.parametrize(
    "change, told",
    [
        (setting("learning_rate", 0.5), f"{SFT}/config.json: learning_rate was 0.5 and is 0.001 today; give another"),
        (setting("method", "grpo"), "method was 'grpo' and is 'sft' today"),
        (setting("questions", "train-closest"), "questions was 'train-closest' and is 'train-vsi-100k' today"),
        (setting("steps", None), "steps was 1000 and is 240 today"),  # the profile's default
        (setting("model", None), "model was 'Qwen/Qwen2-VL-2B-Instruct' and is 'mini' today"),
        (setting("questions", None), "questions was 'not recorded' and is"),
        (setting("momentum", 0.9), "momentum was 0.9 and is 'no setting any more' today"),
        (lambda f: edit(f / SFT / "config.json", "seed", value=7), "seed was 7 and is 1 today"),
        (
            lambda f: edit(f / SFT / "versions.json", "checkpoint", "sha256", value="abc"),
            f"{SFT}/versions.json: the checkpoint's sha256 was abc and is {conditions.base_identity()['sha256']} today",
        ),
        (lambda f: (f / SFT / "config.json").unlink(), f"{SFT}/config.json is missing, so how the run was made is not"),
        (lambda f: (f / SFT / "summary.json").unlink(), f"has answers of a run that is not in .*/{SFT} any more"),
        (entry(token_cap=64), f"--{SFT}--vanilla--greedy--own.jsonl.gz: token_cap was 64 and is {TOKEN_CAP} today"),
        (entry(base={"sha256": "abc"}), "base sha256 was abc and is "),
        (lambda f: (f / "manifest.jsonl").unlink(), r"has no entry in .*manifest.jsonl.* \(18 more files of "),
    ],
)
def test_what_was_made_otherwise_is_refused_before_anything_runs(done, change, told):
    units = plan(["sft"], 1)
    check_plan(units, done)
    change(done)
    with pytest.raises(ValueError, match=told) as refused:
        reproduce(units, done, 1, progress=False)
    assert "give another --out, or remove " in str(refused.value) and not (done / UNFINISHED).exists()
    check_plan(plan(["pairs"])[1:], done)  # nothing of these is there


def test_a_dry_run_tells_what_was_made_otherwise(done):
    setting("learning_rate", 0.5)(done)
    told = vsr("reproduce", "--dry-run", "--only", "sft", "--seeds", 1, "--out", done)
    assert told.exit_code == 1 and "learning_rate was 0.5 and is 0.001 today" in str(told.exception)


def test_labels_and_what_came_up_later_with_its_default_are_no_difference(done):
    for name, value in (("about", "old words"), ("group", "pairs"), ("name", "tiny"), ("questions_per_clip", None)):
        setting(name, value)(done)
    setting("detectors", None)(done)
    check_plan(plan(["sft"], 1), done)
    today = settings_of(variant("grpo-think"))
    recorded = json.loads(json.dumps(today))
    assert first_difference(recorded, today) is None
    assert first_difference({**recorded, "detectors": []}, today).startswith(
        "detectors was [] and is ['empty_thought', "
    )


def test_an_unfinished_run_goes_on_only_with_its_settings(stub, tmp_path):  # noqa: F811
    stub.killed = True
    with pytest.raises(KeyboardInterrupt):
        train_some(tmp_path)
    (left,) = (tmp_path / UNFINISHED).iterdir()
    edit(left / "config.json", "config", "beta", value=0.04)
    stub.killed = False
    units = plan(["dpo-corrupted"], 2)[2:]
    for ask in (partial(check_plan, units, tmp_path), partial(train_some, tmp_path)):
        with pytest.raises(ValueError, match=f"{left.name}/config.json: beta was 0.04 and is 0.0001 today") as refused:
            ask()
        assert str(refused.value).endswith(f"give another --out, or remove {left}")
    assert len(stub.calls) == 1


def test_no_run_is_trained_beside_one_on_another_number_of_questions(stub, monkeypatch, tmp_path):  # noqa: F811
    train_some(tmp_path)
    more = replace(QUESTIONS, rows=[{"id": "q"}, {"id": "r"}])
    for seed in (2, 3):
        with pytest.raises(ValueError, match="dpo-corrupted-seed2/config.json: rows was 1 of train-vsi-100k and is 2"):
            training_runs.train_variant(variant("sft"), seed, more, tmp_path, tmp_path / UNFINISHED)
    training_runs.train_variant(variant("sft"), 1, replace(more, name="others"), tmp_path, tmp_path / UNFINISHED)
    assert len(stub.calls) == 2


def test_another_geometry_file_shows_in_its_distances(monkeypatch, tmp_path):
    rooms = split_rooms(3, "test")
    geometry = (geometry_of("arkitscenes", tmp_path),)
    monkeypatch.setattr(module, "read_geometry", lambda path: SimpleNamespace(rooms=rooms))
    pairs_path(tmp_path).parent.mkdir()
    pairs = distance_pairs(rooms, touching="keep")
    base = plan(["sft"])[:1]
    for kept in (pairs, [replace(pairs[0], closest_m=round(pairs[0].closest_m + 0.001, 3)), *pairs[1:]]):
        write_pairs(pairs_path(tmp_path), kept)
        check_plan(base, tmp_path, geometry=geometry)
    for kept in (pairs[:-1], [replace(pairs[0], centre_m=9.0), *pairs[1:]], [*pairs[:-1], replace(pairs[-1], a="?")]):
        write_pairs(pairs_path(tmp_path), kept)
        with pytest.raises(ValueError, match="arkitscenes.jsonl: made from another geometry file: it has "):
            check_plan(base, tmp_path, geometry=geometry)
        check_plan(base, tmp_path)


# -- questions and answers ---------------------------------------------------------------------------------------------

ROWS = [{"id": "a", "ground_truth": "2", "pair": (1.5, 2.25)}, {"id": "b", "ground_truth": "3"}]


@pytest.mark.parametrize(
    "rows, told",
    [
        ([ROWS[0], {"id": "b", "ground_truth": "4"}], "row b differs .* ground_truth is '3' there, '4' today"),
        (ROWS[:1], "row b differs"),
        ([*ROWS, {"id": "c"}], "row c differs .* id is 'nothing' there, 'c' today"),
        ([ROWS[0] | {"options": None}], "row a differs .* options is 'nothing' there, None today"),
        (ROWS[::-1], "row b differs"),
    ],
)
def test_questions_that_differ_from_those_kept_are_refused(tmp_path, rows, told):
    for _ in range(2):
        save_questions(QuestionSet("q", ROWS, {}), tmp_path)
    before = questions_path("q", tmp_path).read_bytes()
    with pytest.raises(ValueError, match=f"questions/q.jsonl.gz: {told}.*give another --out"):
        save_questions(QuestionSet("q", rows, {}), tmp_path)
    assert questions_path("q", tmp_path).read_bytes() == before


def test_questions_are_compared_before_a_run_is_trained(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_set", lambda name, geometry: QuestionSet(name, ROWS, {}))
    monkeypatch.setattr(module, "train_variant", lambda *how: pytest.fail("trained"))
    save_questions(QuestionSet("test-vsi-bench", ROWS[:1], {}), tmp_path)
    with pytest.raises(ValueError, match="test-vsi-bench.jsonl.gz: row b differs"):
        module.run_unit(plan(["sft"], 1)[1], tmp_path, tmp_path / UNFINISHED)


@pytest.fixture
def ask(monkeypatch, tmp_path):
    """ask() -> the answers' file of one condition, of a model that always says 4."""
    monkeypatch.setattr(
        "vsr_kit.generation.generate", lambda _, rows, *how, **more: [[Generation("4", 1, False)] for _ in rows]
    )
    monkeypatch.setattr(conditions, "hardware", dict)
    loaded = SimpleNamespace(description="mini")
    return lambda: conditions.answer(
        Condition("q"), QuestionSet("q", ROWS, {}), loaded, tmp_path, log=lambda line: None
    )


def test_no_answers_are_there_without_their_entry(monkeypatch, tmp_path, ask):
    with monkeypatch.context() as patch:
        patch.setattr(conditions, "write_lines", lambda *how: 1 / 0)  # a kill between the entry and the answers
        with pytest.raises(ZeroDivisionError):
            ask()
    assert list(conditions.manifest_entries(tmp_path)) == [Condition("q").name]
    monkeypatch.setattr(conditions, "git_at_start", lambda: {"commit": "later", "dirty": False})
    assert ask() == ask() == answers_path(Condition("q"), tmp_path)
    lines = (tmp_path / "manifest.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert conditions.manifest_entries(tmp_path)[Condition("q").name]["git"]["commit"] == "later"  # the last one counts


def test_answers_with_another_cap_are_not_taken_for_todays(monkeypatch, ask):
    ask()
    monkeypatch.setattr(conditions, "TOKEN_CAP", 7)
    with pytest.raises(
        ValueError, match=f"token_cap was {TOKEN_CAP} and is 7 today; give another --out, or remove .*asked"
    ):
        ask()


def test_a_torn_entry_is_dropped_before_more_are_written(done):
    with (done / "manifest.jsonl").open("a") as manifest:
        manifest.write('{"name": "te')
    assert reproduce(plan(["sft"], 1), done, 1, progress=False) == []
    assert (done / "manifest.jsonl").read_bytes().endswith(b"}\n")


# -- provenance --------------------------------------------------------------------------------------------------------


def test_a_run_that_was_resumed_keeps_its_attempts_with_their_commits(stub, monkeypatch, tmp_path):  # noqa: F811
    once = train_some(tmp_path, seed=1)
    assert "attempts" not in read_json(once / "versions.json")
    monkeypatch.setattr("vsr_kit.runs.folder.git_at_start", lambda: {"commit": "first", "dirty": False})
    stub.killed = True
    with pytest.raises(KeyboardInterrupt):
        train_some(tmp_path)
    monkeypatch.setattr("vsr_kit.runs.folder.git_at_start", lambda: {"commit": "second", "dirty": True})
    stub.killed = False
    kept = RunFolder.open(train_some(tmp_path))
    assert kept.versions["git"]["commit"] == "first"
    told = [(row["event"], row.get("git", {}).get("commit")) for row in kept.versions["attempts"]]
    assert told == [("start", "first"), ("resume", "second"), ("finish", None)]
    assert [row["step"] for row in kept.read_metrics()] == list(range(1, 61))  # readers find nothing superseded


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    "more, told",
    [
        (("--workers", 0), "workers is 0: must be at least 1"),
        (("--workers", -2), "workers is -2: must be at least 1"),
        (("--geometry", "/nope.json"), "no file /nope.json: give VSI-Bench's arkitscenes_meta_info_val.json"),
        (("--geometry", Path(__file__)), "not readable as JSON"),
        (("--only", "small-model-beats-gpt-4o"), "small-model-beats-gpt-4o cannot be tested here"),
        (("--only", "tuning", "--only", "nonsense"), "no part of the study is called 'nonsense'"),
    ],
)
def test_input_that_cannot_be_meant_is_refused_at_once(tmp_path, words, more, told):
    refused = vsr("reproduce", "--out", tmp_path, *words, *more)
    assert refused.exit_code == 1 and isinstance(refused.exception, ValueError) and told in str(refused.exception)
    assert list(tmp_path.iterdir()) == []


def test_units_that_failed_are_told_whatever_else_cannot_be(monkeypatch, tmp_path):
    write_study(tmp_path)
    for path in (tmp_path / "answers").glob("*--base--*"):
        path.unlink()
    assert repeated(tmp_path) == {} == repeated(reference_runs(), tmp_path)  # the base's answers are missing
    monkeypatch.setattr(module, "reproduce", lambda *how: ["base: RuntimeError: no"])
    failed = vsr("reproduce", "--only", "sft", "--seeds", 1, "--out", tmp_path)
    assert "1 of 2 units failed, the first: base: RuntimeError: no" in str(failed.exception)
    monkeypatch.setattr("vsr_kit.study.comparisons.repeated", lambda folder: read_json(tmp_path / "nothing.json"))
    failed = vsr("reproduce", "--only", "sft", "--seeds", 1, "--out", tmp_path)
    assert "1 of 2 units failed" in str(failed.exception)


def test_every_variant_with_runs_on_both_sides_is_compared(tmp_path):
    own, shipped = write_study(tmp_path / "own"), write_study(tmp_path / "shipped")
    for folder, name, seeds in (
        (own, "reward-mra", (1, 2)),
        (shipped, "reward-mra", (1, 2, 3)),
        (own, "length", (1, 2)),
    ):
        for seed in seeds:
            say(folder, Condition("test-vsi-bench", f"{name}-seed{seed}", variant(name).mode), every(2))
    found = repeated(own, shipped)
    assert list(found) == ["grpo-vanilla", "reward-mra"]
    gain, expected = found["reward-mra"]
    assert gain == pytest.approx(25) and (expected.runs, expected.new_runs) == (3, 2)
