"""`vsr score`, `eval`, `train`, `pretrain`: what they do around the model, and once with the model itself."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vsr_kit.cli import app, main
from vsr_kit.paths import SHIPPED
from vsr_kit.questions import MULTI_STEP_TYPES
from vsr_kit.runs import RunFolder, run_folders
from vsr_kit.runs.provenance import checkpoint_hash
from vsr_kit.training.run import Cost, Trained

ROW = {"dataset": "made", "scene_name": "a", "options": None, "question": "?"}
PREDICTIONS = [
    {**ROW, "id": 0, "question_type": "object_counting", "ground_truth": "4", "prediction": "4"},
    {**ROW, "id": 1, "question_type": "object_counting", "ground_truth": "4", "prediction": "Answer: 4"},
    {**ROW, "id": 2, "question_type": "object_rel_direction_easy", "ground_truth": "A", "prediction": "b"}
    | {"options": ["A. left", "B. right"]},
]


def vsr(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def predictions(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in PREDICTIONS))
    return path


@pytest.fixture
def runs(monkeypatch, tmp_path):
    monkeypatch.setenv("VSR_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return lambda: run_folders(tmp_path / "runs")


def test_score_prints_per_cent_of_overall_and_every_task(predictions):
    done = vsr("score", predictions, "--json")
    assert json.loads(done.stdout) == {"overall": 25.0, "object_counting": 50.0, "object_rel_direction": 0.0}
    lenient = json.loads(vsr("score", predictions, "--harness", "lenient", "--json").stdout)
    assert lenient["object_counting"] == 100.0


def test_score_counts_what_could_not_be_read_apart_from_what_is_wrong(predictions):
    done = vsr("score", predictions)
    (line,) = [line for line in done.stdout.splitlines() if "object_counting" in line]
    assert [part.strip() for part in line.strip("│ ").split("│")][1:] == ["50.0", "2", "1", "0", "0", "1"]


def test_score_names_a_malformed_row_by_its_line(monkeypatch, capsys, predictions):
    with predictions.open("a") as stream:
        stream.write(json.dumps({**PREDICTIONS[0], "id": 9, "prediction": None}) + "\n")
    monkeypatch.setattr(sys, "argv", ["vsr", "score", str(predictions)])
    with pytest.raises(SystemExit):
        main()
    assert "line 4" in capsys.readouterr().err


class Said:
    """What generation.generate returns one of."""

    def __init__(self, text):
        self.text, self.num_tokens, self.truncated = text, 2, False


@pytest.fixture
def stub(monkeypatch):
    """No model: every answer is 2; what load_model and generate were given is kept."""
    seen = {"loads": [], "rows": [], "settings": []}

    def load(*args, **kwargs):
        seen["loads"].append((*args, kwargs.get("adapter")))

    def generate(loaded, rows, clips, **how):
        settings = tuple(how.values())
        seen["rows"] += [row["id"] for row in rows]
        shown = clips and {row["scene_name"]: clips[row["scene_name"]] for row in rows}
        seen["settings"].append((shown, *settings))
        return [[Said("2") for _ in range(settings[4])] for _ in rows]

    monkeypatch.setattr("vsr_kit.models.loading.load_model", load)
    monkeypatch.setattr("vsr_kit.generation.generate", generate)
    return seen


SMALL = ["--rooms", 3, "--per-type", 2, "--frames", 2, "--size", 28]


def test_eval_asks_scores_and_leaves_a_run_folder(stub, runs):
    done = vsr("eval", *SMALL, "--mode", "think", "--temperature", 0.5, "--samples", 2, "--seed", 3)
    assert done.exit_code == 0, done.output
    (run,) = runs()
    assert (run.name, run.seed, run.status) == ("eval", 3, "finished")
    assert run.config["config"]["mode"] == "think"
    assert run.versions["checkpoint"]["name"] == "mini-qwen2-vl"
    assert len(run.read_predictions()) == 2 * len(stub["rows"])
    assert stub["settings"][0][1:] == ("think", "eval", 64, 0.5, 2, 3, 64)
    (label,) = run.summary["scores"]
    assert "overall" in run.summary["scores"][label]
    assert str(run.path.name) in done.output


def test_what_eval_left_is_what_score_reads(stub, runs):
    vsr("eval", *SMALL, "--samples", 2, "--temperature", 1)
    (run,) = runs()
    scored = json.loads(vsr("score", run.path / "predictions.jsonl", "--harness", "lenient", "--json").stdout)
    assert scored == run.summary["scores"]["vanilla, own clip, lenient"]


def test_eval_resumes_with_the_settings_of_its_folder(stub, runs):
    vsr("eval", *SMALL, "--mode", "observe")
    (run,) = runs()
    journal = run.path / "predictions.jsonl"
    before = journal.read_text()
    last = json.loads(before.splitlines()[-1])["scene_name"]
    kept = [line for line in before.splitlines() if json.loads(line)["scene_name"] != last]
    journal.write_text("\n".join(kept) + "\n")
    stub["rows"].clear()
    done = vsr("eval", "--resume", run.path)
    assert done.exit_code == 0, done.output
    assert len(runs()) == 1
    assert sorted(journal.read_text().splitlines()) == sorted(before.splitlines())


def test_eval_shows_another_rooms_clip_or_none(stub, runs):
    for clip in ("own", "wrong", "none"):
        done = vsr("eval", *SMALL, "--clip", clip)
        assert done.exit_code == 0, done.output
    own, wrong, none = (settings[0] for settings in stub["settings"])
    assert own.keys() == wrong.keys()
    assert all((own[scene] != wrong[scene]).any() for scene in own)
    assert none is None


def test_eval_takes_the_adapter_out_of_a_run_folder(stub, runs):
    trained = RunFolder.create("grpo")
    trained.adapter.mkdir()
    assert vsr("eval", *SMALL, "--adapter", trained.path, "--quantize", "nf4").exit_code == 0
    assert stub["loads"] == [("mini", "nf4", trained.adapter)]


def test_a_model_that_cannot_be_loaded_leaves_no_run_folder(stub, runs, monkeypatch):
    def fail(*args, **kwargs):
        raise FileNotFoundError("use 'mini'")

    monkeypatch.setattr("vsr_kit.models.loading.load_model", fail)
    assert vsr("eval", *SMALL, "--model", "no/such").exit_code == 1
    assert runs() == []


@pytest.fixture
def trainer(monkeypatch):
    """No training: three logged steps, a checkpoint at step 2; what train was given is kept."""
    seen = []

    def train(profile, method, questions, *, run, seed, **how):
        asked = {"rows": questions.rows, "clips": questions.clips}
        seen.append({"profile": profile, "method": tuple(method.settings().values()), "seed": seed, **asked, **how})
        for step in (1, 2, 3):
            row = {"step": step, "reward": 0.1 * step, "kl": 0.0}
            run.metrics(row)
            how["on_log"](row)
        saved = run.checkpoints / "checkpoint-2"
        saved.mkdir(parents=True, exist_ok=True)
        (saved / "trainer_state.json").write_text("{}")
        if len(seen) == 1 and method.mode == "think":
            raise KeyboardInterrupt
        return Trained(None, run.adapter, [], 3, 6.0, 1.5, Cost(3, 2.0, 5000.0, 3 * 10**9, 0.25))

    monkeypatch.setattr("vsr_kit.training.run.train", train)
    monkeypatch.setattr(
        "vsr_kit.runs.checkpoints.check_trainer_checkpoint", lambda path: None
    )  # test_damage.py tries it
    return seen


def test_eval_asks_the_types_that_are_named(stub, runs):
    done = vsr("eval", "--rooms", 4, "--frames", 2, "--size", 28, "--types", "multi-step")
    assert done.exit_code == 0, done.output
    (run,) = runs()
    assert {row["question_type"] for row in run.read_predictions()} == set(MULTI_STEP_TYPES)
    assert run.config["config"]["types"] == ["multi-step"]
    (scores,) = run.summary["scores"].values()
    assert set(scores) == {"multi_step", *MULTI_STEP_TYPES}
    assert [name for name in run.summary["headline"] if name.startswith("multi_step, per cent")]
    assert not [name for name in run.summary["headline"] if name.startswith("overall")]


def test_train_takes_the_types_that_are_named_in_open_words_and_resumes_with_them(trainer, runs):
    vsr("train", "--rooms", 4, "--steps", 3, "--mode", "think", "--types", "multi-step")
    (run,) = runs()
    assert vsr("train", "--resume", run.path).exit_code == 0
    begun, resumed = (given["rows"] for given in trainer)
    assert begun == resumed and {row["question_type"] for row in begun} == set(MULTI_STEP_TYPES)
    assert {row["phrasing"] for row in begun} == {"vsi-100k"}


def test_train_takes_the_profile_its_changes_and_rooms_of_the_training_split(trainer, runs):
    done = vsr("train", "--rooms", 2, "--steps", 3, "--beta", 0, "--seconds", 9, "--seed", 5, "--questions-per-clip", 4)
    assert done.exit_code == 0, done.output
    (given,) = trainer
    assert (given["profile"].name, given["profile"].steps, given["profile"].beta) == ("mini", 3, 0.0)
    assert given["profile"].questions_per_clip == 4
    assert (given["seed"], given["seconds"], given["resume"]) == (5, 9.0, False)
    assert given["method"] == ("grpo", "vanilla", (), ())
    assert all(scene.startswith("train-5-") for scene in given["clips"])
    assert {row["phrasing"] for row in given["rows"]} == {"vsi-100k"}
    (run,) = runs()
    assert run.status == "finished"
    assert run.config["config"]["profile"]["num_generations"] == given["profile"].num_generations
    assert run.summary["headline"]["steps"] == 3
    assert "mean of the last 3 steps: 0.2" in done.output
    assert (
        "seconds a step: 2\ntokens a second: 5e+03\npeak memory, GB: 3\ngroups of equal rewards, %: 25" in done.output
    )


def test_a_shipped_checkpoint_is_asked_and_trained_by_its_name(stub, trainer, runs, monkeypatch, tiny_path):
    monkeypatch.setitem(SHIPPED, "mini-cold-start", str(tiny_path))
    assert vsr("eval", *SMALL, "--model", "mini-cold-start").exit_code == 0
    assert vsr("train", "--rooms", 2, "--model", "mini-cold-start").exit_code == 0
    assert stub["loads"] == [("mini-cold-start", "nf4", None)] and trainer[0]["profile"].model == "mini-cold-start"
    asked, trained = runs()
    for run in (asked, trained):
        assert run.versions["checkpoint"]["sha256"] == checkpoint_hash(tiny_path)
    monkeypatch.setitem(SHIPPED, "mini-cold-start", "nothing-there")
    refused = vsr("train", "--rooms", 2, "--model", "mini-cold-start")
    assert isinstance(refused.exception, FileNotFoundError) and len(runs()) == 2  # before there is a folder


def test_train_takes_a_method_extra_rewards_and_detectors(trainer, runs):
    many = ["--extra-reward", "length", "--extra-reward", "thought", "--detector", "empty_thought"]
    done = vsr("train", "--rooms", 2, "--mode", "observe", *many)
    assert done.exit_code == 0, done.output
    assert trainer[0]["method"] == ("grpo", "observe", ("length", "thought"), ("empty_thought",))
    done = vsr("train", "--rooms", 2, "--method", "dpo-corrupted")
    assert done.exit_code == 0, done.output
    assert trainer[1]["method"] == ("dpo-corrupted", "vanilla", (), ())
    config = [run.config["config"] for run in runs()]
    assert (config[0]["method"], config[0]["extra_rewards"]) == ("grpo", ["length", "thought"])
    assert (config[1]["method"], config[1]["detectors"]) == ("dpo-corrupted", [])


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--method", "ppo"], "method is 'ppo': choose one of grpo, sft, dpo-corrupted, dpo-rollouts"),
        (["--method", "sft", "--detector", "empty_thought"], "sft has no rewards"),
        (["--mode", "think", "--detector", "empty"], "unknown detector 'empty'"),
        (["--extra-reward", "length"], "extra reward 'length' in vanilla mode"),
    ],
)
def test_a_method_that_cannot_be_leaves_no_run_folder(trainer, runs, monkeypatch, capsys, flags, words):
    monkeypatch.setattr(sys, "argv", ["vsr", "train", "--rooms", "2", *flags])
    with pytest.raises(SystemExit):
        main()
    assert words in capsys.readouterr().err
    assert runs() == [] and not trainer


def test_a_run_without_rewards_says_what_it_cost(trainer, runs, monkeypatch):

    def train(profile, method, questions, *, run, seed, **how):
        run.metrics({"step": 1, "loss": 0.5})
        how["on_log"]({"step": 1, "loss": 0.5})
        return Trained(None, run.adapter, [], 1, 6.0, 1.5, None)

    monkeypatch.setattr("vsr_kit.training.run.train", train)
    done = vsr("train", "--rooms", 2, "--method", "sft", "--steps", 1)
    assert done.exit_code == 0, done.output
    assert "steps: 1" in done.output and "sampled reward" not in done.output
    (run,) = runs()
    assert run.summary["headline"].keys() == {"steps", "minutes of this attempt"}


def test_train_never_sees_the_held_out_types(trainer, runs):
    vsr("train", "--rooms", 4, "--phrasing", "vsi-bench", "--per-room", 1)
    kinds = [row["question_type"] for row in trainer[0]["rows"]]
    assert "object_rel_distance" in kinds
    assert not {"route_planning", "obj_appearance_order"} & set(kinds)


def test_a_stopped_training_says_how_to_go_on_and_goes_on_with_its_own_settings(trainer, runs):
    more = ["--extra-reward", "length", "--detector", "repeated_tags"]
    done = vsr("train", "--rooms", 2, "--mode", "think", "--steps", 4, "--seed", 6, *more)
    assert done.exit_code == 130
    (run,) = runs()
    assert f"vsr train --resume {run.path}" in done.output
    done = vsr("train", "--resume", run.path)
    assert done.exit_code == 0, done.output
    assert len(runs()) == 1
    assert trainer[1]["method"] == trainer[0]["method"] == ("grpo", "think", ("length",), ("repeated_tags",))
    assert (trainer[1]["resume"], trainer[1]["profile"], trainer[1]["seed"]) == (True, trainer[0]["profile"], 6)
    assert [row["id"] for row in trainer[1]["rows"]] == [row["id"] for row in trainer[0]["rows"]]
    assert run.attempts()[1]["from_step"] == 2  # the whole checkpoint's


def test_pretrain_scales_the_recipe_and_refuses_a_share_that_is_none(monkeypatch, capsys, tmp_path):
    pretraining = pytest.importorskip("vsr_kit.miniature")
    seen = []
    monkeypatch.setattr(pretraining, "pretrain", lambda *given: seen.append(given) or Path("made"))
    done = vsr("pretrain", "--out", tmp_path / "made", "--share", 0.01, "--seed", 2, "--no-fuse")
    assert done.exit_code == 0, done.output
    ((out, recipe, work, fuse),) = seen
    whole = pretraining.Recipe()
    assert (out, work, fuse, recipe.seed) == (tmp_path / "made", None, False, 2)
    assert recipe.num_rooms == whole.num_rooms // 100
    for name in ("sight", "look", "clean", "diffuse"):
        assert getattr(recipe, name).steps == max(2, round(getattr(whole, name).steps / 100))
    monkeypatch.setattr(sys, "argv", ["vsr", "pretrain", "--out", str(tmp_path), "--share", "2"])
    with pytest.raises(SystemExit):
        main()
    assert "share must be above 0 and at most 1, got 2.0" in capsys.readouterr().err


@pytest.mark.slow
def test_the_miniature_trains_and_is_asked_through_the_command_line(runs):
    trained = vsr("train", "--rooms", 2, "--steps", 1, "--num-generations", 2)
    assert trained.exit_code == 0, trained.output
    (run,) = runs()
    assert (run.adapter / "adapter_model.safetensors").exists()
    assert len(run.read_metrics()) == 1
    asked = vsr("eval", "--rooms", 2, "--per-type", 1, "--adapter", run.path, "--quantize", "nf4")
    assert asked.exit_code == 0, asked.output
    assert vsr("report", *(folder.path for folder in runs())).exit_code == 0
