"""Damage: files of every kind, broken in every way, are named in one line or change nothing; never another number."""

import gzip
import json
from types import SimpleNamespace

import pytest
import torch

from tests.harm import FOREIGN, copied, harm, refused
from vsr_kit import cli
from vsr_kit.claims.recipe import Condition
from vsr_kit.files import (
    SEAL,
    Damaged,
    append_lines,
    check_folder,
    expect,
    in_a_line,
    read_gzip_lines,
    read_json,
    read_lines,
    read_parquet,
    reading,
    seal,
)
from vsr_kit.models import load_model
from vsr_kit.pages.report import write_report
from vsr_kit.paths import data_samples
from vsr_kit.runs import RunFolder
from vsr_kit.runs.checkpoints import check_trainer_checkpoint, newest
from vsr_kit.study import answers_path, questions_path, read_answers, write_lines
from vsr_kit.study.labels import DistancePair, read_pairs, write_pairs

WHOLE_FILES = ("cut", "short", "empty", "garbled", "zeros", "bit", "missing", "folder")
JSON_FILES = ("cut", "empty", "garbled", "zeros", "missing", *FOREIGN)


CHECKPOINT = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "processor_config.json",
)


@pytest.mark.parametrize("how", WHOLE_FILES)
@pytest.mark.parametrize("name", ["model.safetensors", "chat_template.jinja", *CHECKPOINT])
def test_a_sealed_checkpoint_is_refused_for_any_damage(made, tmp_path, name, how):
    root = copied(made, tmp_path)
    harm(root / "model" / name, how)
    refused(root / "model" / name, lambda: load_model(root / "model", device="cpu", quiet=True))


@pytest.mark.parametrize("how", JSON_FILES)
@pytest.mark.parametrize("name", CHECKPOINT)
def test_a_checkpoint_without_a_seal_is_refused_for_broken_json(made, tmp_path, name, how):
    root = copied(made, tmp_path, sealed=False)
    harm(root / "model" / name, how)
    refused(root / "model" / name, lambda: load_model(root / "model", device="cpu", quiet=True))


@pytest.mark.parametrize("quantize", [None, "nf4"])
@pytest.mark.parametrize("how", ["cut", "short", "empty", "garbled", "zeros", "missing", "folder", "words"])
def test_a_checkpoint_without_a_seal_is_refused_for_broken_weights_and_templates(made, tmp_path, how, quantize):
    for name in ("model.safetensors", "chat_template.jinja"):
        root = copied(made, tmp_path / name, sealed=False)
        harm(root / "model" / name, how)
        refused(root / "model" / name, lambda root=root: load_model(root / "model", quantize, device="cpu", quiet=True))


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("how", [*WHOLE_FILES, *FOREIGN])
@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_an_adapter_is_refused_for_damage(made, tmp_path, name, how, sealed):
    if how == "bit" and not sealed:
        return  # a weight more or less: only a hash tells
    root = copied(made, tmp_path, sealed)
    harm(root / "adapter" / name, how)
    refused(root / "adapter" / name, lambda: load_model(root / "model", adapter=root / "adapter", quiet=True))


STATES = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json")


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("how", [*WHOLE_FILES, "list", "words"])
@pytest.mark.parametrize("name", [*STATES, "adapter_model.safetensors", "adapter_config.json"])
def test_a_trainers_checkpoint_is_refused_for_damage(made, tmp_path, name, how, sealed):
    if how == "bit" and not sealed:
        return
    path = copied(made, tmp_path, sealed) / "run" / "checkpoint-2"
    harm(path / name, how)
    said = refused(path / name, lambda: check_trainer_checkpoint(path))
    assert name in said and ("remove" in said or "restore" in said)


def test_a_checkpoint_of_another_step_or_training_is_refused(made, tmp_path):
    def broken(change):
        path = copied(made, tmp_path / change.__name__, sealed=False) / "run" / "checkpoint-2"
        change(path)
        return refused(path / "x", lambda: check_trainer_checkpoint(path))

    def edited(name, change):
        def on(path):
            state = torch.load(path / name, weights_only=True)
            change(state)
            torch.save(state, path / name)

        on.__name__ = f"{name}-{change.__name__}"
        return on

    def fewer(state):
        state["state"].popitem()

    def none(state):
        state["state"].clear()

    def not_finite(state):
        next(iter(state["state"].values()))["exp_avg"][0] = float("nan")

    def narrower(state):
        memory = next(iter(state["state"].values()))
        memory["exp_avg"] = memory["exp_avg"][:1]

    def earlier(state):
        state["last_epoch"] = 1

    for change in (fewer, none, narrower):
        assert "is not of the" in broken(edited("optimizer.pt", change))
    assert "no finite numbers" in broken(edited("optimizer.pt", not_finite))
    assert "is of step 1, not 2" in broken(edited("scheduler.pt", earlier))

    def other_step(path):
        text = (path / "trainer_state.json").read_text()
        (path / "trainer_state.json").write_text(text.replace('"global_step": 2', '"global_step": 4'))

    def two_processes(path):
        (path / "rng_state.pth").rename(path / "rng_state_0.pth")
        (path / "rng_state_1.pth").write_bytes((path / "rng_state_0.pth").read_bytes())

    assert "is of step 4, the folder of step 2" in broken(other_step)
    assert "saved by 2 processes" in broken(two_processes)
    path = copied(made, tmp_path / "two", sealed=False) / "run" / "checkpoint-2"
    two_processes(path)
    check_trainer_checkpoint(path, processes=2)
    check_trainer_checkpoint(made / "run" / "checkpoint-2")


def test_a_save_that_was_cut_short_is_passed_over_aloud(made, tmp_path, capsys):
    root = copied(made, tmp_path) / "run"
    (root / "checkpoint-4").mkdir()
    (root / "checkpoint-4" / "adapter_model.safetensors").write_bytes(b"")
    assert newest(root) == root / "checkpoint-2"
    said = capsys.readouterr().err
    assert "checkpoint-4 was not saved to its end" in said and "going on from checkpoint-2" in said
    (root / "checkpoint-4" / "trainer_state.json").write_text("")
    assert newest(root) == root / "checkpoint-2"
    assert "trainer_state.json is not JSON" in capsys.readouterr().err
    (root / "checkpoint-2" / "trainer_state.json").unlink()  # sealed: it was there
    for path in (root / "checkpoint-4").iterdir():
        path.unlink()
    refused(root / "checkpoint-2" / "x", lambda: newest(root))
    (root / "checkpoint-2" / SEAL).unlink()
    assert newest(root) is None and "going on from the beginning" in capsys.readouterr().err
    (root / "checkpoint-2" / "trainer_state.json").write_text("")
    assert "remove" in refused(root / "checkpoint-2" / "x", lambda: newest(root))  # no older one: not in silence


# -- run folders and studies -------------------------------------------------------------------------------------------


def write_run(root):
    """A finished run with every file there is."""
    run = RunFolder.create("x", {"mode": "vanilla"}, root=root)
    for step in (1, 2, 3):
        run.metrics({"step": step, "reward": 0.5, "rewards/accuracy_reward/mean": 0.25})
        run.rollouts([{"step": step, "id": "q", "completion": "3", "accuracy_reward": 1.0}])
    run.predictions([{"id": "q", "scene_name": "room", "prediction": "3"}])
    run.summarise(scores={"all": {"overall": 50.0}}, headline={"steps": 3, "stopped": None})
    run.finish()
    (run.path / SEAL).unlink()  # what is seen without one
    return run.path


RUN_FILES = ("config.json", "versions.json", "summary.json", "attempts.jsonl", "metrics.jsonl", "rollouts.parquet")
BAD_FIELDS = {
    "config.json": ["name", "seed", "config", "started"],
    "versions.json": ["hardware", "git", "checkpoint"],
    "summary.json": ["scores", "headline"],
    "attempts.jsonl": ["event", "attempt"],
    "metrics.jsonl": ["step", "elapsed_s", "attempt", "reward", "rewards/accuracy_reward/mean"],
    "predictions.jsonl": ["scene_name", "prediction"],
}


@pytest.mark.parametrize("how", ["garbled", "zeros", "list", "number", "null", "text", "words", "folder", "deep"])
@pytest.mark.parametrize("name", [*RUN_FILES, "predictions.jsonl"])
def test_a_report_names_the_damaged_file(tmp_path, name, how):
    path = write_run(tmp_path)
    harm(path / name, how)
    if name.endswith(".jsonl") and how not in ("folder", "words", "zeros"):
        with (path / name).open("ab") as stream:
            stream.write(b"\n{}\n")  # else it is one torn last line, which a kill leaves

    def read():
        if name == "predictions.jsonl":
            RunFolder.open(path).read_predictions()
        else:
            write_report([RunFolder.open(path)])

    if how == "zeros" and name.endswith(".jsonl"):
        read()  # no line break: as after a kill
    else:
        assert name in refused(path / name, read)


@pytest.mark.parametrize("name, field", [(name, field) for name, fields in BAD_FIELDS.items() for field in fields])
def test_a_field_of_another_kind_is_named(tmp_path, name, field):
    path = write_run(tmp_path)
    harm(path / name, f"field:{field}")
    run = RunFolder.open(path)
    said = refused(path / name, run.read_predictions if name == "predictions.jsonl" else lambda: write_report([run]))
    assert name in said and repr(field) in said


def test_a_torn_last_line_is_a_kill_and_a_broken_one_before_it_is_damage(tmp_path):
    path = tmp_path / "journal.jsonl"
    append_lines(path, [{"a": 1}, {"a": 2}])
    whole = path.read_bytes()
    for cut in range(len(whole) // 2, len(whole)):
        path.write_bytes(whole[:cut])
        assert read_lines(path) == [{"a": 1}]
    for odd in ("{", "7", "[]", "null", '"x"', "\udcff".encode("utf-8", "surrogateescape").decode("latin-1")):
        path.write_text(odd + "\n" + json.dumps({"a": 2}) + "\n", encoding="latin-1")
        assert ", line 1" in refused(path, lambda: read_lines(path))


QUESTIONS = [{"id": f"q{i}", "question_type": "object_counting", "scene_name": "room"} for i in range(4)]
ANSWERS = [{"id": row["id"], "said": ["3"], "cut": [False]} for row in QUESTIONS]
ASKED = Condition("q", "grpo-vanilla-seed1")


def write_small_study(folder):
    write_lines(questions_path("q", folder), QUESTIONS)
    write_lines(answers_path(ASKED, folder), ANSWERS)
    return questions_path("q", folder), answers_path(ASKED, folder)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("how", ["cut", "short", "empty", "garbled", "zeros", "bit", "words", "folder"])
def test_broken_gzip_is_named(tmp_path, which, how):
    for seed in range(8):
        path = write_small_study(tmp_path / str(seed))[which]
        kept = path.read_bytes()
        harm(path, how, seed)
        if how == "bit" and gzip_says(path) == gzip.decompress(kept):
            continue  # a bit of its header that means nothing
        assert path.name in refused(path, lambda seed=seed: read_answers(ASKED, tmp_path / str(seed)))


def gzip_says(path):
    try:
        return gzip.decompress(path.read_bytes())
    except Exception:
        return None


CHANGED = {
    "an answer is missing": (QUESTIONS, ANSWERS[:3]),
    "all are": (QUESTIONS, []),
    "one is there twice": (QUESTIONS, [*ANSWERS[:3], ANSWERS[0]]),
    "one too many": (QUESTIONS, [*ANSWERS, ANSWERS[0]]),
    "one of another question": (QUESTIONS, [*ANSWERS[:3], ANSWERS[3] | {"id": "z"}]),
    "a question is missing": (QUESTIONS[1:], ANSWERS),
    "no id": (QUESTIONS, [*ANSWERS[:3], {"said": ["3"], "cut": [False]}]),
    "no text": (QUESTIONS, [*ANSWERS[:3], ANSWERS[3] | {"said": []}]),
    "a number for text": (QUESTIONS, [*ANSWERS[:3], ANSWERS[3] | {"said": [3]}]),
    "text for a list": (QUESTIONS, [*ANSWERS[:3], ANSWERS[3] | {"said": "3"}]),
    "a line that is a list": (QUESTIONS, [*ANSWERS[:3], ["q3"]]),
    "a question without id": ([*QUESTIONS[:3], {"scene_name": "room"}], ANSWERS),
}


@pytest.mark.parametrize("what", CHANGED)
def test_answers_are_to_each_question_once_or_are_not_scored(tmp_path, what):
    write_small_study(tmp_path)
    assert len(read_answers(ASKED, tmp_path)) == 4
    asked, said = CHANGED[what]
    write_lines(questions_path("q", tmp_path), asked)
    write_lines(answers_path(ASKED, tmp_path), said)
    with pytest.raises(Damaged, match=r"q.*\.jsonl\.gz"):
        read_answers(ASKED, tmp_path)


def test_answers_without_their_questions_are_damage(tmp_path):
    asked, _ = write_small_study(tmp_path)
    asked.unlink()
    refused(asked, lambda: read_answers(ASKED, tmp_path))


@pytest.mark.parametrize("how", ["garbled", "zeros", "empty", "list", "words", "deep", "missing"])
def test_broken_distances_are_named(tmp_path, how):
    path = tmp_path / "pairs.jsonl"
    write_pairs(path, [DistancePair("room", "bed", "lamp", 1.0, 2.0)] * 3)
    seal(tmp_path)
    assert len(read_pairs(path)) == 3
    for sealed in (True, False):
        harm(path, how) if sealed else (tmp_path / SEAL).unlink()
        refused(path, lambda: read_pairs(path))


def test_a_sealed_folder_shows_a_changed_digit_and_a_missing_file(tmp_path):
    path = write_run(tmp_path)
    seal(path)
    check_folder(path)
    for name in RUN_FILES:
        kept = (path / name).read_bytes()
        (path / name).write_bytes(kept.replace(b"3", b"4", 1).replace(b"1", b"2", 1))
        refused(path / name, lambda: check_folder(path))
        refused(path / name, lambda: write_report([RunFolder.open(path)]))
        (path / name).unlink()
        refused(path / name, lambda: check_folder(path))
        (path / name).write_bytes(kept)
    write_report([RunFolder.open(path)])
    for broken in ("", "[]", '{"config.json": 5}'):
        (path / SEAL).write_text(broken)
        refused(path / SEAL, lambda: check_folder(path))


# -- the readers themselves, and the last line of defence --------------------------------------------------------------


class Strange(Exception):
    """As safetensors, zlib and pyarrow raise: of no family that means a bad file."""


ODD = [Strange("two\nlines"), EOFError(), RuntimeError("x" * 5000), KeyError("id"), RecursionError("deep"), OSError(5)]


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
def test_whatever_a_library_raises_names_the_file_in_one_line(tmp_path, error):
    def read():
        with reading(tmp_path / "file", "do this"):
            raise error

    said = refused(tmp_path / "file", read)
    assert said.endswith("; do this") and len(said) < 500


class OutOfMemoryError(RuntimeError):
    """Torch's, of a full device."""


@pytest.mark.parametrize("error", [OutOfMemoryError("CUDA"), MemoryError(), ImportError("bitsandbytes")])
def test_what_is_no_fault_of_the_file_is_not_called_damage(tmp_path, error):
    with pytest.raises(type(error)), reading(tmp_path / "file"):
        raise error


def test_what_is_shipped_is_what_was_sealed():
    seals = [path.parent for path in data_samples().rglob(SEAL)]
    assert data_samples("mini-qwen2-vl") in seals and len(seals) > 78
    for folder in seals:
        check_folder(folder)


def test_a_file_that_is_not_there_keeps_its_own_error(tmp_path):
    for read in (read_json, read_gzip_lines):
        with pytest.raises(FileNotFoundError, match="nothing"):
            read(tmp_path / "nothing")
    assert read_lines(tmp_path / "nothing") == read_parquet(tmp_path / "nothing") == []


def test_fields_are_of_their_kinds():
    kinds = {"a": int, "b?": (int, float), "c": (str, dict)}
    assert expect({"a": 1, "c": "x"}, "f", kinds) == {"a": 1, "c": "x"}
    expect({"a": 1, "b": None, "c": {}, "d": []}, "f", kinds)
    for record in ([], None, 1, "x", {"c": ""}, {"a": True, "c": ""}, {"a": 1.0, "c": ""}, {"a": None, "c": ""}):
        with pytest.raises(Damaged, match="^f: "):
            expect(record, "f", kinds)
    assert in_a_line(KeyError("x")) == "there is no 'x'" and in_a_line(EOFError()) == "EOFError"


@pytest.mark.parametrize("error", [*ODD, OverflowError("too large")], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("debug", [False, True])
def test_no_error_of_a_command_is_a_traceback_or_a_bare_word(monkeypatch, capsys, error, debug):
    def fail(*args, **more):
        raise error

    monkeypatch.setattr("vsr_kit.pages.report.write_report", fail)
    monkeypatch.setattr("vsr_kit.runs.folder.RunFolder.open", lambda path: SimpleNamespace(path=path))
    monkeypatch.setattr("sys.argv", ["vsr", *["--debug"] * debug, "report", "x"])
    if debug:
        with pytest.raises((type(error), Damaged)):
            cli.main()
        return
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.err.startswith("error: ") and said.err.count("\n") == 1 and "Aborted" not in said.err
