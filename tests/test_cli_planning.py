"""`vsr plan`, and the flags of `vsr train` and `vsr eval` that hold what a profile holds."""

import json
import re
import sys

import pytest
from typer.testing import CliRunner

from tests.test_cli_models import SMALL, runs, stub, trainer, vsr  # noqa: F401  fixtures
from vsr_kit.cli import app, main
from vsr_kit.cli.flags import OF_A_PROFILE
from vsr_kit.cli.planning import bytes_of, size_of
from vsr_kit.runs import RunFolder
from vsr_kit.training.knobs import knobs, remedy, sentence
from vsr_kit.training.memory import Work, plan
from vsr_kit.training.profiles import PROFILES, Profile
from vsr_kit.training.shapes import SHAPES

QWEN_2B = SHAPES["Qwen/Qwen2-VL-2B-Instruct"]
T4 = Work(PROFILES["t4"], QWEN_2B, number_bytes=4, has_bf16=False)


def test_a_plan_names_every_part_what_it_sums_to_and_whether_it_fits():
    done = vsr("plan", "--profile", "t4", "--memory", "15GB", "--device", "cuda", "--dtype", "float32")
    assert done.exit_code == 0, done.output
    assert "2,208,985,600 parameters, nf4 weights, float32" in done.output and "is 256 tokens" in done.output
    for part in (
        "linears, nf4",
        "vision tower",
        "optimiser",
        "logits",
        "layers' inputs",
        "--pixels 12544",
        "--frames 4",
    ):
        assert part in done.output
    assert re.search(r"needs 6\.\d+ GB and fits 15\.0 GB", done.output)
    sizes = re.findall(r"│ *(?:all the time|update) *│.*│ *([\d.]+) ([MG])B │", done.output)
    total = sum(float(size) * {"M": 1e6, "G": 1e9}[unit] for size, unit in sizes)
    assert total == pytest.approx(plan(T4).peak, rel=0.01)


def test_a_plan_that_does_not_fit_says_what_to_turn_down():
    film = ["--frames", 32, "--pixels", 401408, "--film", "640x480", "--text-tokens", 100, "--dtype", "float32"]
    film += ["--device", "cuda"]
    done = vsr("plan", *film, "--memory", "9GB")
    assert "is 6,256 tokens" in done.output
    advice = done.output.split("turn it down by ")[1]
    assert "--questions-per-step 2" in advice
    flags = advice.split(";")[0].split()
    names = dict(zip(flags[::2], flags[1::2], strict=True))
    asked = {"--frames": 32, "--pixels": 401408} | names
    again = vsr("plan", *film[4:], "--memory", "9GB", *(word for pair in asked.items() for word in pair))
    assert again.exit_code == 0 and "and fits 9.00 GB" in again.output  # whoever does as told has a run that fits


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--memory", "much"], "memory is 'much'"),
        (["--memory", "0GB"], "memory is '0GB'"),
        (["--film", "9by9"], "film is '9by9'"),
        (["--pixels", "9"], "pixels is 9"),
        (["--model", "no/such"], "no sizes are known of 'no/such'"),
        (["--method", "ppo"], "method is 'ppo'"),
        (["--device", "tpu"], "device is 'tpu'"),
        (["--dtype", "float16"], "a quarter of the gradients"),
    ],
)
def test_what_cannot_be_planned_is_refused_in_a_line(monkeypatch, capsys, flags, told):
    monkeypatch.setattr(sys, "argv", ["vsr", "plan", *flags])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2 and told in capsys.readouterr().err


def test_sizes_are_read_as_people_write_them():
    assert [bytes_of(text) for text in ("15GB", "15", "16GiB", "800 mb")] == [15 * 10**9, 15 * 10**9, 2**34, 8 * 10**8]
    assert size_of("640x480") == (480, 640)


def test_a_knob_saves_what_the_plan_says_without_it():
    found = {knob.flag: knob for knob in knobs(T4)}
    for flag, knob in found.items():
        assert plan(T4).peak - plan(knob.work).peak == knob.saved, flag
    assert found["--frames 4"].saved > 0 > found["--no-gradient-checkpointing"].saved
    assert found["--quantize none"].saved < -4e9  # 1.3e9 weights of four bytes against half a byte
    assert "--dtype bfloat16" not in found  # a T4 has none
    assert "--num-generations 8" in {knob.flag for knob in knobs(Work(PROFILES["a100"], QWEN_2B))}


def test_a_remedy_stops_as_soon_as_the_work_fits_and_admits_when_it_never_does():
    needed = plan(T4).needed
    assert remedy(T4, needed)[0] == [] and "fits" in sentence(T4, needed)
    chosen, after = remedy(T4, needed - 10**8)
    assert len(chosen) == 1 and after.needed <= needed - 10**8
    assert "take a smaller model or a larger GPU" in sentence(T4, 10**9)


# -- flags -------------------------------------------------------------------------------------------------------------


def test_every_flag_of_a_profile_changes_its_field(trainer, runs):  # noqa: F811
    given = {"questions_per_step": 4, "groups_per_pass": 2, "max_vanilla_tokens": 12, "max_chain_tokens": 40}
    given |= {"quantize": "none", "dtype": "float32", "lora_rank": 4, "lora_alpha": 8}
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    done = vsr("train", "--rooms", 2, "--steps", 3, *words, "--gradient-checkpointing")
    assert done.exit_code == 0, done.output
    profile = trainer[0]["profile"]
    expected = given | {"quantize": None, "gradient_checkpointing": True}
    assert {name: getattr(profile, name) for name in expected} == expected
    assert set(OF_A_PROFILE) <= set(Profile.__dataclass_fields__)


def test_a_run_goes_on_with_the_same_flags_and_refuses_others(trainer, runs):  # noqa: F811
    begun = ["--rooms", 2, "--mode", "think", "--steps", 4, "--quantize", "none", "--lora-rank", 4]
    assert vsr("train", *begun).exit_code == 130
    (run,) = runs()
    refused = vsr("train", "--resume", run.path, "--quantize", "nf4", "--lora-rank", 8)
    assert "--quantize nf4 (the run has none)" in str(refused.exception) and "--lora-rank 8" in str(refused.exception)
    assert vsr("train", "--resume", run.path, "--quantize", "none", "--lora-rank", 4).exit_code == 0
    assert trainer[1]["profile"].quantize is None


def test_train_refuses_what_no_run_can_have_before_there_is_a_folder(trainer, runs):  # noqa: F811
    for words in (["--lora-rank", 0], ["--dtype", "float16"], ["--quantize", "int8"], ["--groups-per-pass", 3]):
        assert isinstance(vsr("train", "--rooms", 2, *words).exception, ValueError)
    assert runs() == [] and not trainer


def test_the_help_of_train_has_panels_and_an_example_of_the_real_model():
    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "150"}).output
    panels = ("Questions and clips", "Updates", "Precision and memory", "Recipes", "The run")
    places = [shown.index(f"─ {panel}") for panel in panels]
    assert "vsr train --profile t4 --rooms 400" in shown[: min(places)]
    memory = shown[shown.index("─ Precision") :].split("╰")[0]
    for flag in ("--quantize", "--lora-rank", "--dtype", "--groups-per-pass", "--gradient-checkpointing"):
        assert flag in memory
    plain = CliRunner().invoke(app, ["eval", "--help"], env={"COLUMNS": "150"}).output
    assert "─ Questions and clips" not in plain and "─ The run" not in plain  # options that both have are shared


# -- one default of precision ------------------------------------------------------------------------------------------


def test_a_model_is_asked_in_the_precision_that_its_run_trained_in(stub, runs):  # noqa: F811
    loads = []
    for quantize in (None, "nf4"):
        trained = RunFolder.create("grpo", {"profile": {"quantize": quantize}})
        trained.adapter.mkdir()
        assert vsr("eval", *SMALL, "--adapter", trained.path).exit_code == 0
        assert vsr("eval", *SMALL, "--adapter", trained.adapter).exit_code == 0
        loads += [quantize] * 2
    assert vsr("eval", *SMALL).exit_code == 0
    assert vsr("eval", *SMALL, "--quantize", "none").exit_code == 0
    assert [load[1] for load in stub["loads"]] == [*loads, "nf4", None]


def test_an_evaluation_of_an_earlier_version_goes_on_as_it_was_begun(stub, runs):  # noqa: F811
    """Its record has no dtype, and full precision, which was the default then."""
    assert vsr("eval", *SMALL, "--quantize", "none").exit_code == 0
    (run,) = runs()
    path = run.path / "config.json"
    record = json.loads(path.read_text())
    del record["config"]["dtype"]
    path.write_text(json.dumps(record))
    for name in ("predictions.jsonl", "sha256.json", "summary.json"):
        (run.path / name).unlink(missing_ok=True)
    done = vsr("eval", "--resume", run.path, "--batch-size", 7)
    assert done.exit_code == 0, done.output
    assert [load[1] for load in stub["loads"]] == [None, None] and len(runs()) == 1
    assert stub["settings"][-1][-1] == 7  # which changes no answer, and may be another


def test_dtype_and_batch_size_reach_the_model(stub, runs, monkeypatch):  # noqa: F811
    import torch

    seen = []
    monkeypatch.setattr("vsr_kit.models.loading.load_model", lambda *given, **how: seen.append(how))
    assert vsr("eval", *SMALL, "--dtype", "float16", "--batch-size", 3).exit_code == 0
    assert seen[0]["dtype"] is torch.float16 and stub["settings"][0][-1] == 3
    assert isinstance(vsr("eval", *SMALL, "--dtype", "float8").exception, ValueError)
    assert isinstance(vsr("eval", *SMALL, "--batch-size", 0).exception, ValueError)
