"""`vsr push`: what is laid out, what the card says and does not guess, and what a hub is sent; no network."""

import json
import re
import shlex
from dataclasses import asdict, replace

import pytest
from huggingface_hub import ModelCard, constants
from safetensors.torch import load_file
from typer.testing import CliRunner

from tests.fake_hub import TOKEN, FakeHub, serving
from tests.shared_runs import finished
from tests.terminal import command as vsr
from vsr_kit import cli
from vsr_kit.cli.publishing import command_of
from vsr_kit.evaluation import score
from vsr_kit.evaluation.evaluate import ask, load_questions
from vsr_kit.files import check_folder
from vsr_kit.models import load_model
from vsr_kit.models.adapters import with_adapter
from vsr_kit.paths import data_samples
from vsr_kit.publishing import origin_of
from vsr_kit.publishing.card import adapter_card, evaluations_of, loading_lines
from vsr_kit.publishing.hub import gather, push
from vsr_kit.runs import RunFolder
from vsr_kit.training.profiles import get_profile

SHIPPED = data_samples("reference_runs") / "grpo-vanilla-seed1"


@pytest.fixture
def run(made, tmp_path):
    return finished(tmp_path / "runs", made / "model", made / "adapter", "nf4")


def evaluated(made, run, root, adapter=True, name="eval"):
    """A run folder of two rooms' questions asked for real, as `vsr eval` leaves it."""
    loaded = load_model(made / "model", adapter=origin_of(run).adapter if adapter else None, device="cpu", quiet=True)
    asked = load_questions(2, per_type=1, num_frames=2, size_px=56)
    settings = {"split": "test", "rooms": "2", "mode": "vanilla", "frames": 2, "harness": "lenient", "quantize": "none"}
    folder = RunFolder.create(name, settings, seed=1, root=root)
    answered = ask(loaded, asked.rows, asked.clips, folder, max_new_tokens=2)
    folder.summarise(scores={"vanilla, own clip, lenient": score(answered, "lenient").percent()})
    folder.finish()
    return folder


def test_a_dry_run_lays_out_adapter_card_and_answers(made, run, tmp_path, monkeypatch, capsys):
    own = evaluated(made, run, tmp_path / "runs")
    evaluated(made, run, tmp_path / "runs", adapter=False, name="base")
    out = tmp_path / "dry"
    code, said, told = vsr(monkeypatch, capsys, "push", run, "me/tiny-grpo", "--dry-run", out)
    assert code == 0 and "nothing was pushed" in said and "no --license" in told
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    answers = f"predictions/{own.path.name}.jsonl"
    assert names == {"README.md", "adapter_config.json", "adapter_model.safetensors", "sha256.json", answers}
    check_folder(out)
    lines = (out / answers).read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == own.read_predictions()
    pushed = load_file(out / "adapter_model.safetensors")
    assert pushed.keys() == load_file(run / "adapter" / "adapter_model.safetensors").keys()
    with_adapter(load_model(made / "model", device="cpu", quiet=True).model, out)  # as load_model takes it


def test_the_card_says_what_was_recorded(made, run, tmp_path, monkeypatch, capsys):
    own = evaluated(made, run, tmp_path / "runs")
    out = tmp_path / "dry"
    vsr(monkeypatch, capsys, "push", run, "me/tiny", "--dry-run", out, "--license", "apache-2.0", "--base", "a/b")
    card = ModelCard.load(out / "README.md")
    head = card.data.to_dict()
    assert (head["license"], head["base_model"], head["library_name"]) == ("apache-2.0", "a/b", "peft")
    scores = next(iter(own.summary["scores"].values()))
    for task, value in scores.items():
        (line,) = [line for line in card.text.splitlines() if f"| `{task}` |" in line]
        assert f"| {value:.1f} | " in line and re.search(r"\| [\d.]+ to [\d.]+ \| \d+ \||\| unknown \|", line), line
    assert "with seed 5" in card.text and "for 3 steps" in card.text and "2 scenes" in card.text
    assert f"`{run_sha(run)}`" in card.text and "| `beta` | `0.01` |" in card.text
    assert "- command: `vsr train --profile mini" in card.text
    assert loading_lines("a/b", "me/tiny", origin_of(run)) in card.text
    assert str(tmp_path) not in card.text and str(made) not in card.text  # no path of this machine
    assert json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"] == "a/b"


def run_sha(run):
    return RunFolder.open(run).versions["checkpoint"]["sha256"]


def test_what_is_not_recorded_is_called_unknown():
    card = adapter_card(origin_of(SHIPPED), "me/mini-grpo")
    assert "its scores are unknown" in card and "- command: unknown" in card and "Unknown: whoever published" in card
    assert "SHA-256 of the rows: unknown" in card and "base_model" not in card.split("---")[1]
    assert "license" not in card.split("---")[1]
    assert "miniature of a few million parameters" in card and "procedural rooms" in card


def test_only_evaluations_of_exactly_this_adapter_are_found_and_taken(made, run, tmp_path):
    own = evaluated(made, run, tmp_path / "runs")
    base = evaluated(made, run, tmp_path / "runs", adapter=False, name="base")
    assert [found.path for found in evaluations_of(origin_of(run))] == [own.path]
    with pytest.raises(ValueError, match="asked no adapter, not that of"):
        gather(origin_of(run), "me/x", tmp_path / "out", evaluations=[base])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["`|<b>x</b>|`", "[a](javascript:x)", "a\nb\x1b[31m", "``", "|"])
def test_no_setting_can_become_markup(made, tmp_path, name):
    run = finished(tmp_path / "runs", made / "model", made / "adapter")
    path = run / "config.json"
    config = json.loads(path.read_text())
    config["config"]["rooms"] = config["config"]["method"] = name
    path.write_text(json.dumps(config))
    (run / "sha256.json").unlink()
    card = adapter_card(origin_of(run), "me/x")
    (line,) = [line for line in card.splitlines() if line.startswith("| `rooms` |")]
    ticks = re.fullmatch(r"\| `rooms` \| (`+)( ?)(.*)\2\1 \|", line)
    assert ticks and "|" not in ticks[3] and ticks[1] not in re.findall(r"`+", ticks[3]) and "\x1b" not in card


# -- the command that made it ------------------------------------------------------------------------------------------


def test_the_command_in_the_card_makes_the_same_settings(made, run, monkeypatch, tmp_path):
    words = shlex.split(command_of(RunFolder.open(run)))
    assert words[:4] == ["vsr", "train", "--profile", "mini"] and "--extra-reward" in words
    given = []
    monkeypatch.setattr("vsr_kit.cli.training.train", lambda *how: given.append(how))
    words = [str(made / "model") if word == f"…/{(made / 'model').name}" else word for word in words[1:]]
    words = words[: words.index("#")] if "#" in words else words
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    profile, changes, settings, seed, *_ = given[0]
    recorded = RunFolder.open(run).config["config"]
    remade = asdict(replace(get_profile(profile), **changes))
    assert remade == recorded["profile"]
    asked, wanted = ({k: v for k, v in own.items() if v and k != "profile"} for own in (settings, recorded))
    assert asked == wanted and seed == 5  # what was not asked for is None, False or empty, and may not be recorded


def test_what_has_no_flag_is_told_behind_the_command(made, tmp_path):
    changed = {"size_px": 56, "num_frames": 4, "gradient_checkpointing": False}
    run = finished(tmp_path / "runs", made / "model", made / "adapter", None, **changed)
    told, _, behind = command_of(RunFolder.open(run)).partition("#")
    assert "size_px=56" in behind and "num_frames" not in behind
    assert "--quantize none" in told and "--frames 4" in told
    assert command_of(RunFolder.open(SHIPPED)) is None


# -- the hub -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch):
    """A hub on this machine, with whoever pushes logged in."""
    fake = FakeHub()
    with serving(fake) as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield fake


def test_a_push_sends_what_the_dry_run_wrote_in_one_commit(run, hub, tmp_path, monkeypatch, capsys):
    code, said, told = vsr(monkeypatch, capsys, "push", run, "me/tiny-grpo", "--private", "--license", "mit")
    assert code == 0 and f"pushed: {hub.address}/me/tiny-grpo/commit/" in said, told
    assert hub.repos == {"me/tiny-grpo": "private"} and len(hub.commits) == 1
    vsr(monkeypatch, capsys, "push", run, "me/tiny-grpo", "--license", "mit", "--dry-run", tmp_path / "dry")
    dry = {path.relative_to(tmp_path / "dry").as_posix(): path.read_bytes() for path in (tmp_path / "dry").rglob("*.*")}
    assert {path: data for (_, path), data in hub.files.items()} == dry
    assert TOKEN not in said + told and TOKEN.encode() not in b"".join(hub.files.values())


@pytest.mark.parametrize(
    "status, told",
    [(403, "may not write to me's repositories"), (404, "finds no me/x"), (500, "the hub refused me/x \\(500\\)")],
)
def test_what_a_hub_refuses_is_one_sentence(run, hub, monkeypatch, capsys, status, told):
    hub.status = status
    code, _, said = vsr(monkeypatch, capsys, "push", run, "me/x")
    assert code == 2 and re.search(told, said) and len(said.strip().splitlines()) == 2  # and the note on the license
    assert not hub.files


def test_whoever_is_not_known_is_told_to_log_in(run, hub, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    code, _, said = vsr(monkeypatch, capsys, "push", run, "me/x", "--license", "mit")
    assert code == 2 and "the hub does not know who asks (401): hf auth login" in said and "hf_wrong" not in said
    monkeypatch.delenv("HF_TOKEN")
    code, _, said = vsr(monkeypatch, capsys, "push", run, "me/x", "--license", "mit")
    assert code == 2 and "hf auth login" in said and not hub.files


def test_without_a_network_a_push_says_so(run, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    code, _, said = vsr(monkeypatch, capsys, "push", run, "me/x", "--license", "mit")
    assert code == 2 and "HF_HUB_OFFLINE is set" in said and "--dry-run FOLDER" in said
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    code, _, said = vsr(monkeypatch, capsys, "push", run, "me/x", "--license", "mit")
    assert code == 2 and "the hub cannot be reached" in said and len(said.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["tiny", "a/b/c", "me/ x", "me/..", "https://huggingface.co/me/x", "-me/x--y"])
def test_a_name_that_no_repository_can_have_is_refused_before_anything(run, name, tmp_path, monkeypatch, capsys):
    code, _, said = vsr(monkeypatch, capsys, "push", "--dry-run", tmp_path / "dry", "--", run, name)
    assert code == 2 and "must be owner/name" in said and not (tmp_path / "dry").exists()
    with pytest.raises(ValueError, match="must be owner/name"):
        push(tmp_path, name)


def test_a_dry_run_writes_over_nothing(run, tmp_path, monkeypatch, capsys):
    (tmp_path / "dry").mkdir()
    code, _, said = vsr(monkeypatch, capsys, "push", run, "me/x", "--dry-run", tmp_path / "dry")
    assert code == 2 and "dry exists" in said and not list((tmp_path / "dry").iterdir())
