"""`--resume`, refusals and broken runs on the command line: one line, the right status, no folder and no mark."""

import json
import sys

import pytest

from tests.test_cli_models import SMALL, runs, stub, trainer, vsr  # noqa: F401 - fixtures
from vsr_kit.cli import main
from vsr_kit.runs import RunFolder

TRAIN = ["--rooms", 2, "--steps", 3]


def refused(monkeypatch, capsys, *words) -> str:
    """The last line on stderr of a command that must fail with exit code 2."""
    monkeypatch.setattr(sys, "argv", ["vsr", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def snapshot(run) -> dict:
    return {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}


@pytest.fixture
def unfinished(trainer, runs):  # noqa: F811
    vsr("train", *TRAIN, "--mode", "think")  # the stub of a trainer stops the first of these
    (run,) = runs()
    assert run.status == "unfinished"
    return run


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--steps", 4], "leave out --steps 4 (the run has 3)"),
        (["--mode", "vanilla"], "leave out --mode vanilla (the run has think)"),  # typed, though the default
        (["--seed", 1, "--rooms", 9], "--rooms 9 (the run has 2)"),
        (["--profile", "t4"], "--profile t4 (the run has mini)"),
        (["--detector", "empty_thought"], "--detector empty_thought"),
        (["--seconds", 5], "--seconds 5.0 (the run has 0)"),
        (["--types", "multi-step"], "leave out --types multi-step"),
    ],
)
def test_flags_beside_resume_that_say_otherwise_are_refused(unfinished, monkeypatch, capsys, flags, told):
    before = snapshot(unfinished)
    line = refused(monkeypatch, capsys, "train", "--resume", unfinished.path, *flags)
    assert told in line and "goes on with the settings it recorded" in line
    assert snapshot(unfinished) == before


def test_flags_that_say_the_same_are_taken(unfinished, trainer):  # noqa: F811
    done = vsr("train", "--resume", unfinished.path, *TRAIN, "--mode", "think", "--seed", 0, "--profile", "mini")
    assert done.exit_code == 0, done.output
    assert len(trainer) == 2


def test_a_finished_run_says_so_and_is_left_as_it_is(unfinished, trainer):  # noqa: F811
    vsr("train", "--resume", unfinished.path)
    before = snapshot(unfinished)
    done = vsr("train", "--resume", unfinished.path)
    assert done.exit_code == 0 and f"{unfinished.path} is finished and is left as it is" in done.output
    assert len(trainer) == 2 and snapshot(unfinished) == before


def test_a_folder_of_another_command_or_version_is_one_line(unfinished, stub, runs, monkeypatch, capsys):  # noqa: F811
    vsr("eval", *SMALL)
    evaluated = next(run for run in runs() if run.name == "eval")
    before = snapshot(evaluated)
    assert f"by vsr eval --resume {evaluated.path}" in refused(monkeypatch, capsys, "train", "--resume", evaluated.path)
    assert snapshot(evaluated) == before
    assert f"by vsr train --resume {unfinished.path}" in refused(
        monkeypatch, capsys, "eval", "--resume", unfinished.path
    )
    other = RunFolder.create("own", {"x": 1})
    other.close()
    assert "is no run of vsr train" in refused(monkeypatch, capsys, "train", "--resume", other.path)
    record = unfinished.config
    for change, words in (
        ({"colour": 1}, "its profile has colour, which this version does not know"),
        ({"num_generations": None}, "its profile cannot be: num_generations is None"),
        ({"beta": ...}, "lacks beta: another version"),
    ):
        profile = {key: value for key, value in {**record["config"]["profile"], **change}.items() if value is not ...}
        text = json.dumps(record | {"config": record["config"] | {"profile": profile}})
        (unfinished.path / "config.json").write_text(text)
        line = refused(monkeypatch, capsys, "train", "--resume", unfinished.path)
        assert words in line and "config.json" in line
    (unfinished.path / "config.json").write_text("[]")
    assert "is [], must be an object" in refused(monkeypatch, capsys, "train", "--resume", unfinished.path)
    assert unfinished.status == "unfinished" and len(unfinished.attempts()) == 1


@pytest.mark.parametrize(
    "words",
    [
        *(["train", *TRAIN[:2], flag, value] for flag, value in (
            ("--num-generations", 1), ("--num-generations", 0), ("--learning-rate", "nan"), ("--learning-rate", -1),
            ("--learning-rate", 0), ("--questions-per-clip", 3), ("--beta", "nan"), ("--beta", -1), ("--steps", 0),
            ("--steps", -1), ("--seconds", "nan"), ("--seconds", -1), ("--seed", -1), ("--per-room", 0),
            ("--per-room", -1), ("--numeric", "papr"), ("--name", "../up"), ("--profile", "h100"), ("--method", "ppo"),
        )),
        *(["eval", *SMALL[:2], flag, value] for flag, value in (
            ("--samples", 2), ("--samples", 0), ("--samples", -1), ("--temperature", "nan"), ("--temperature", "inf"),
            ("--temperature", -1), ("--max-new-tokens", 0), ("--per-type", -1), ("--seed", -1), ("--frames", 0),
            ("--size", 0), ("--name", "a b"), ("--split", "dev"),
        )),
    ],
    ids=lambda words: " ".join(map(str, (words[0], *words[3:]))),
)  # fmt: skip
def test_a_setting_that_cannot_be_leaves_no_folder(stub, trainer, runs, monkeypatch, capsys, words):  # noqa: F811
    line = refused(monkeypatch, capsys, *words)
    assert line.startswith("error: ") and str(words[-1]).removesuffix(".0").strip("-") in line
    assert runs() == [] and not trainer and not stub["loads"]


def test_too_few_questions_leave_no_folder(stub, trainer, runs, monkeypatch, capsys, tmp_path):  # noqa: F811
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "questions.jsonl").write_text("")
    for method in ("grpo", "sft", "dpo-corrupted", "dpo-rollouts"):
        line = refused(monkeypatch, capsys, "train", "--rooms", tmp_path / "none", "--method", method)
        assert "0 questions to train on, a step needs 8" in line
    assert "0 questions" in refused(monkeypatch, capsys, "eval", "--rooms", tmp_path / "none")
    assert runs() == [] and not trainer and not stub["loads"]


def test_a_training_that_broke_is_told_by_status_line_and_folder(trainer, runs, monkeypatch, stub, capsys):  # noqa: F811
    from vsr_kit.training.run import Trained

    def train(profile, method, questions, *, run, seed, **how):
        run.metrics({"step": 1, "reward": 0.5, "loss": 0.0})
        run.adapter.mkdir()
        return Trained(None, run.adapter, [], 2, 6.0, 1.5, None, "loss is nan at step 2", good_step=0)

    monkeypatch.setattr("vsr_kit.training.run.train", train)
    done = vsr("train", *TRAIN)
    assert done.exit_code == 3
    assert done.output.strip().splitlines()[-1] == "the training broke: loss is nan at step 2"
    (run,) = runs()
    assert (run.status, run.stopped, run.summary["stopped"]) == ("broken", *["loss is nan at step 2"] * 2)
    before = snapshot(run)
    again = vsr("train", "--resume", run.path)
    assert again.exit_code == 3 and "broke and is left as it is" in again.output and snapshot(run) == before
    for adapter in (run.path, run.adapter):
        line = refused(monkeypatch, capsys, "eval", *SMALL, "--adapter", adapter)
        assert "has an untrained adapter: its training broke in its first steps" in line
    run = RunFolder.resume(run.path)
    run.summarise(**{"good step": 5})
    run.close()
    done = vsr("eval", *SMALL, "--adapter", run.path)
    assert done.exit_code == 0 and "warning: the training of" in done.output


def test_answers_are_known_not_counted(stub, runs, monkeypatch, capsys):  # noqa: F811
    vsr("eval", *SMALL)
    (run,) = runs()
    journal = run.path / "predictions.jsonl"
    whole = journal.read_text()
    lines = whole.splitlines()
    before = snapshot(run)
    assert "is finished and is left as it is" in vsr("eval", "--resume", run.path).output
    assert snapshot(run) == before
    journal.write_text("\n".join([lines[0], lines[0], *lines[2:]]) + "\n")  # as many lines as there should be
    assert vsr("eval", "--resume", run.path).exit_code == 0
    assert journal.read_text() == whole
    journal.write_text("\n".join(lines[:-1]).replace('"ground_truth": "', '"ground_truth": "9') + "\n")
    assert "which has changed since" in refused(monkeypatch, capsys, "eval", "--resume", run.path)
    journal.write_text("\n".join(lines[:-1]).replace('"id": "', '"id": "77') + "\n")
    assert "which is not asked" in refused(monkeypatch, capsys, "eval", "--resume", run.path)
