"""`vsr doctor` on runs: each broken on purpose in one way is named, and the shipped study's give no alarm."""

import dataclasses
import json
import shutil

import pytest
from transformers import TrainerCallback

from tests.test_mismatch import blind_policy
from tests.test_trainers import CLIPS, G, rows
from vsr_kit.diagnosis import RULES, check_run
from vsr_kit.diagnosis.rules import WINDOW
from vsr_kit.paths import data_samples
from vsr_kit.recipes import recipes
from vsr_kit.runs import RunFolder
from vsr_kit.training import grpo_trainer
from vsr_kit.training.joints import Start
from vsr_kit.training.profiles import PROFILES
from vsr_kit.training.run import train
from vsr_kit.validation import one_line

ALWAYS = {"clipped", "unread"}  # a random model's completions never end, and say nothing


@pytest.fixture
def trained(tiny_path, tmp_path, rewards_that_differ):
    """trained(profile's fields…, train's arguments…) -> the folder of three steps on the tiny checkpoint."""

    def make(callbacks=(), start=None, name="broken", **changes):
        fields = {field.name for field in dataclasses.fields(PROFILES["mini"])}
        sizes = {"lora_rank": 4, "num_generations": G, "questions_per_step": 2, "groups_per_pass": 2}
        sizes |= {"model": str(tiny_path), "max_vanilla_tokens": 4} | {k: v for k, v in changes.items() if k in fields}
        profile = dataclasses.replace(PROFILES["mini"], **sizes)
        run = RunFolder.create(name, {"profile": dataclasses.asdict(profile), "mode": "vanilla"}, root=tmp_path)
        more = {k: v for k, v in changes.items() if k not in fields}
        how = {"steps": 3, "quiet": True, "callbacks": callbacks, "start": start}
        train(profile, "vanilla", rows(), clips=CLIPS, run=run, **(how | more))
        run.finish()
        return run

    return make


def problems(run) -> set[str]:
    return {finding.check for finding in check_run(run.path).at("problem")}


def test_a_whole_run_shows_only_what_a_random_model_shows(trained):
    run = trained()
    assert problems(run) == ALWAYS
    found = {finding.check: finding for finding in check_run(run.path).findings}
    assert found["mismatch"].numbers["value"] < 1e-5
    assert found["adapter"].evidence == "14 of 14 B matrices are not zero"
    assert found["steps"].evidence == "3 log lines, last step 3, finished"


class NoRate(TrainerCallback):
    """A schedule whose rate is zero throughout."""

    def on_train_begin(self, args, state, control, optimizer=None, lr_scheduler=None, **kwargs):
        lr_scheduler.base_lrs = lr_scheduler._last_lr = [0.0] * len(lr_scheduler.base_lrs)
        for group in optimizer.param_groups:
            group["lr"] = 0.0


def test_a_learning_rate_of_zero(trained):
    assert problems(trained([NoRate()])) == ALWAYS | {"learning rate", "adapter"}


def test_a_constant_reward(trained, monkeypatch):
    monkeypatch.setattr(
        "vsr_kit.training.methods.make_reward_funcs",
        lambda mode, numeric, extra: [lambda completions, **columns: [0.5] * len(completions)],
    )
    run = trained()
    assert problems(run) == ALWAYS | {"equal rewards", "gradient", "adapter"}, "one cause, and what follows from it"


class Frozen(TrainerCallback):
    """The adapter never leaves its start: an optimiser that was given other weights."""

    def on_step_end(self, args, state, control, model=None, **kwargs):
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.data.zero_()


def test_an_adapter_that_does_not_move_though_it_has_a_gradient(trained):
    assert problems(trained([Frozen()])) == ALWAYS | {"adapter"}


class AsItBegan(TrainerCallback):
    """Weights are put back after every step."""

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        self.kept = [weight.detach().clone() for weight in model.parameters() if weight.requires_grad]

    def on_step_end(self, args, state, control, model=None, **kwargs):
        for weight, own in zip((w for w in model.parameters() if w.requires_grad), self.kept, strict=True):
            weight.data.copy_(own)


def test_an_adapter_that_is_still_the_one_it_started_from(trained):
    start = Start(trained(name="first", steps=1).adapter)
    assert "adapter" not in problems(trained(start=start, name="moved", steps=1))
    assert "adapter" in problems(trained([AsItBegan()], start=start, name="stays", steps=1))


def test_a_cap_of_one_token(trained):
    run = trained(max_vanilla_tokens=1)
    (found,) = [finding for finding in check_run(run.path).findings if finding.check == "clipped"]
    assert (
        found.level == "problem" and "mean length 1 tokens" in found.evidence and "max_vanilla_tokens" in found.remedy
    )


def test_truncated_completions_that_are_all_masked(trained):
    run = trained(mask_truncated_completions=True, max_vanilla_tokens=1)
    assert problems(run) == ALWAYS | {"masked", "gradient", "adapter"}


def test_a_clip_that_the_policy_pass_does_not_see(trained, monkeypatch):
    monkeypatch.setattr(grpo_trainer.VideoGRPOTrainer, "_compute_loss", blind_policy)
    run = trained()
    assert problems(run) == ALWAYS | {"mismatch"}
    (found,) = [finding for finding in check_run(run.path).findings if finding.check == "mismatch"]
    assert found.numbers["value"] > RULES["mismatch"].problem


# -- what takes longer than a test: lines as such runs write them ------------------------------------------------------

COUNT = 3 * WINDOW


def lines_of(name: str) -> list[dict]:
    return RunFolder.open(data_samples("reference_runs", name)).read_metrics()[:COUNT]


def rising(start: float, end: float) -> list[float]:
    return [start + (end - start) * i / (COUNT - 1) for i in range(COUNT)]


@pytest.fixture
def altered(tmp_path):
    """altered(column=values…) -> a folder with a shipped run's lines in which columns are others."""

    def make(**columns):
        run = RunFolder.create("altered", {"mode": "think"}, root=tmp_path)
        for i, line in enumerate(lines_of("grpo-think-seed1")):
            line.pop("attempt", None)
            run.metrics(line | {name.replace("__", "/"): values[i] for name, values in columns.items()})
        return run

    return make


@pytest.mark.parametrize(
    "columns, check, level",
    [
        ({}, None, None),
        ({"rewards__format_reward__mean": rising(0.3, 1), "rewards__accuracy_reward__mean": [0.4] * COUNT},
         "format without accuracy", "warning"),
        ({"rewards__accuracy_reward__mean": [0.5] * WINDOW + [0.1] * (COUNT - WINDOW)}, "collapse", "problem"),
        ({"kl": [0.1] * WINDOW + [6.0] * (COUNT - WINDOW)}, "kl", "warning"),
        ({"kl": [0.1] * WINDOW + [21.0] * (COUNT - WINDOW)}, "kl", "problem"),
        ({"kl": [0.1] * (COUNT // 2) + [1.5] * (COUNT - COUNT // 2)}, "kl rises", "warning"),
        ({"entropy": rising(1.0, 0.01)}, "entropy", "warning"),
        ({"entropy": [1.0] * WINDOW + [0.01] * (COUNT - WINDOW)}, "entropy", "problem"),
        ({"grad_norm": [0.1] * (COUNT - 1) + [None]}, "numbers", "problem"),
        ({"frac_reward_zero_std": [0.85] * COUNT}, "equal rewards", "warning"),
        ({"sampling__sampling_logp_difference__mean": [0.1] * COUNT}, "mismatch", "warning"),
    ],
)  # fmt: skip
def test_curves_that_go_wrong(altered, columns, check, level):
    found = check_run(altered(**columns).path).at("warning", "problem")
    assert [(one.check, one.level) for one in found] == ([(check, level)] if check else [])
    for one in found:
        assert one.remedy and one.evidence and one_line(one.finding) == one.finding


def test_one_rare_token_is_no_kl_alarm(altered):
    kls = [0.1] * COUNT
    kls[-3] = 5000.0
    assert check_run(altered(kl=kls).path).at("warning", "problem") == []


def test_thoughts_that_are_empty(altered):
    run = altered()
    row = {"id": "1", "question_type": "object_counting", "question": "?", "options": None, "ground_truth": "3"}
    texts = ["<think> </think><answer>3</answer>"] * 3 + ["<think>a chair</think><answer>3</answer>"]
    run.rollouts([row | {"step": COUNT, "completion": text} for text in texts])
    found = {finding.check: finding for finding in check_run(run.path).findings}
    assert found["hacking"].level == "warning" and found["hacking"].numbers["shares"]["empty_thought"] == 0.75
    assert found["unread"].level == "fine"
    run.rollouts([row | {"step": COUNT, "completion": "chairs, I think"} for _ in range(100)])
    found = {finding.check: finding for finding in check_run(run.path).findings}
    assert found["unread"].level == "problem" and found["unread"].numbers["value"] == 100 / 104


def test_a_run_that_broke_says_why_and_one_without_steps_too(tmp_path):
    run = RunFolder.create("broke", {"mode": "vanilla"}, root=tmp_path)
    assert [(f.check, f.level) for f in check_run(run.path).findings] == [("steps", "problem")]
    run.metrics({"step": 1, "loss": 0.1, "grad_norm": 1.0})
    run.finish(stopped="loss is NaN throughout")
    (found,) = check_run(run.path).at("problem")
    assert (found.check, found.evidence) == ("numbers", "loss is NaN throughout")
    assert [one.check for one in check_run(run.path).at("warning")] == ["steps"]


def test_an_evaluation_is_no_training(tmp_path):
    run = RunFolder.create("asked", {"split": "test"}, root=tmp_path)
    with pytest.raises(ValueError, match="is an evaluation: the doctor looks at trainings"):
        check_run(run.path)


def test_a_damaged_adapter_is_named(tmp_path):
    from vsr_kit.diagnosis.adapter_files import moved

    shutil.copytree(data_samples("reference_runs", "grpo-think-seed1", "adapter"), tmp_path / "adapter")
    assert moved(tmp_path / "adapter").share == 1 and moved(tmp_path) is None
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="adapter_model.safetensors"):
        moved(tmp_path / "adapter")


# -- the shipped study -------------------------------------------------------------------------------------------------

SHIPPED_RUNS = sorted(path.parent for path in data_samples("reference_runs").glob("*-seed*/metrics.jsonl*"))
PAPERS = ("vsgrpo", "kit-questions", "vision-r1")  # whose runs the thresholds were set by
OF_THE_PAPERS = {v.run_name(seed) for r in recipes() if r.name in PAPERS for v in r.variants for seed in v.seeds}
ALARMS = {
    # a puzzle has one right order of three names: exact matches rarely differ within a group, and constants win
    "lr2-exact": {"equal rewards", "entropy"},
    "lr2-partial": {"entropy"},
    "crossthink-choice": {"unread"},  # the base names no offered number until it is taught to
    "roads-order-grpo": {"entropy", "kl"},  # the reference is the base, and the run begins at SFT's adapter
    "roads-word-grpo": {"equal rewards"},  # one word of four, right or wrong
    # only what is too hard is asked in the end: rewards fall by themselves, and some runs lose their form over it
    "srpo-resampled": {"collapse", "unread", "equal rewards", "clipped"},
}
LOW_IS_BAD = {"learning rate", "gradient", "adapter", "entropy"}


@pytest.fixture(scope="module")
def shipped():
    return {folder.name: check_run(folder) for folder in SHIPPED_RUNS}


@pytest.mark.slow
def test_no_run_of_the_two_papers_gives_an_alarm_and_of_the_others_only_these_do(shipped):
    """The study's own claims say so, too: its collapse rule finds none, without a KL term and in 720 steps either."""
    alarms = {name: {f.check for f in own.at("warning", "problem")} for name, own in shipped.items()}
    assert len(alarms) > 90
    found = {name: own for name, own in alarms.items() if own}
    assert not [name for name in found if name in OF_THE_PAPERS]
    by_variant: dict[str, set[str]] = {}
    for name, own in found.items():
        by_variant.setdefault(name.rpartition("-seed")[0], set()).update(own)
    assert by_variant == ALARMS


@pytest.mark.slow
def test_the_table_says_how_near_the_shipped_runs_came(shipped):
    values: dict[str, list[float]] = {}
    for name, own in shipped.items():
        for finding in own.findings if name in OF_THE_PAPERS else ():
            if "value" in finding.numbers:
                values.setdefault(finding.check, []).append(finding.numbers["value"])
    for name, rule in RULES.items():
        if rule.shipped is not None:
            worst = min(values[name]) if name in LOW_IS_BAD else max(values[name])
            assert worst == pytest.approx(rule.shipped, rel=0.01, abs=1e-3), name
    assert json.dumps([own.as_dict() for own in shipped.values()], allow_nan=False)
