"""Runs that break: they end by themselves, with the weights they had while their numbers were in order."""

import math
from pathlib import Path

import pytest
import torch
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer_callback import TrainerControl, TrainerState

from tests.test_trainers import CLIPS, config, random_lora, rows, vowels_reward
from vsr_kit.models import load_model
from vsr_kit.training.callbacks import StopWhenBroken, WarnOfCollapse
from vsr_kit.training.grpo_trainer import VideoGRPOTrainer
from vsr_kit.training.video_mixin import MetricsRecorder, training_rows

STEPS = 6


class Weights(TrainerCallback):
    """The trained weights after each step, as the optimiser left them: it has to come before the watch."""

    def __init__(self):
        self.after = {}

    def on_step_end(self, args, state, control, model=None, **kwargs):
        self.after[state.global_step] = trained(model)


class Rate(TrainerCallback):
    """Gives one step a learning rate of its own."""

    def __init__(self, step, rate):
        self.step, self.rate = step, rate

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        if state.global_step + 1 == self.step:
            for group in optimizer.param_groups:
                group["lr"] = self.rate


class Spoiled(VideoGRPOTrainer):
    """Spoils what one step computes: its loss, or the reference's log-probabilities and so its KL."""

    step, loss_factor, further = 0, 1.0, 0.0

    def _compute_loss(self, model, inputs):
        if self.state.global_step + 1 != self.step:
            return super()._compute_loss(model, inputs)
        inputs["ref_per_token_logps"] = inputs["ref_per_token_logps"] + self.further
        return super()._compute_loss(model, inputs) * self.loss_factor


def trained(model) -> torch.Tensor:
    return torch.cat([p.detach().flatten().clone() for p in model.parameters() if p.requires_grad])


@pytest.fixture
def run(tiny_path, tmp_path):
    """run(watch, callbacks, what is spoiled, config fields…) -> (trainer, weights after each step, log lines)."""

    def go(watch, *callbacks, spoil=None, **changes):
        loaded = load_model(tiny_path, device="cpu", dtype=torch.float32, quiet=True)
        seen, lines = Weights(), []
        trainer = Spoiled(
            model=loaded.model,
            reward_funcs=[vowels_reward],
            args=config(tmp_path, max_steps=STEPS, **changes),
            train_dataset=training_rows(rows(), "vanilla"),
            processing_class=loaded.processor,
            peft_config=random_lora(alpha=32),
            clips=CLIPS,
            callbacks=[*callbacks, seen, MetricsRecorder(lines.append), watch],
        )
        trainer.remove_callback(PrinterCallback)
        for name, value in (spoil or {}).items():
            setattr(trainer, name, value)
        try:
            trainer.train()
        except RuntimeError as error:
            if not watch.caught(error, trainer):
                raise
        return trainer, seen.after, lines

    return go


def stopped_with_weights_of(step, watch, trainer, after):
    assert watch.good_step == step
    weights = trained(trainer.model)
    assert weights.isfinite().all() and torch.equal(weights, after[step])
    return True


def test_a_healthy_run_is_left_alone(run):
    watch = StopWhenBroken()
    trainer, after, _ = run(watch)
    assert not watch.caught(RuntimeError("out of memory"), trainer), "another error is not its business"
    assert watch.reason is None and trainer.state.global_step == STEPS
    assert torch.equal(trained(trainer.model), after[STEPS]) and not torch.equal(after[STEPS], after[STEPS - 1])


@pytest.mark.parametrize("max_grad_norm", [1e9, 0.0])
@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_a_loss_that_is_no_number_costs_two_steps_and_no_more(run, factor, max_grad_norm):
    """Its gradient makes every weight NaN, before any callback sees the log line."""
    watch = StopWhenBroken()
    spoil = {"step": 4, "loss_factor": factor}
    trainer, after, lines = run(watch, spoil=spoil, max_grad_norm=max_grad_norm, save_strategy="steps", save_steps=2)
    assert trainer.state.global_step == 4 and not after[4].isfinite().all()
    assert stopped_with_weights_of(2, watch, trainer, after)
    assert "of 13312 trained weights are not finite at step 4" in watch.reason
    assert "the weights it had after step 2; lower the learning rate" in watch.reason
    assert "grad_norm nan" in watch.reason and "kl" in watch.reason
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]
    saved = [path.name for path in Path(trainer.args.output_dir).glob("checkpoint-*")]
    assert saved == ["checkpoint-2"], "none of the step that broke"


def test_it_is_seen_between_log_lines_too(run):
    """The last line before it, of step 2, showed weights of steps 0 and 1."""
    watch = StopWhenBroken()
    trainer, after, _ = run(watch, spoil={"step": 3, "loss_factor": math.nan}, logging_steps=2)
    assert trainer.state.global_step == 3 and "at step 3" in watch.reason
    assert stopped_with_weights_of(1, watch, trainer, after)


def test_weights_that_exploded_are_not_taken_for_the_last_good_ones(run):
    """Step 3 leaves finite weights of size 100, with which step 4 has no gradient: step 2's are the good ones."""
    watch = StopWhenBroken()
    trainer, after, _ = run(watch, Rate(3, 100.0))
    assert after[3].isfinite().all() and after[3].abs().max() > 50
    assert trainer.state.global_step == 4 and "at step 4" in watch.reason
    assert stopped_with_weights_of(2, watch, trainer, after)


def test_weights_that_cannot_be_sampled_from_end_the_run_as_well(run):
    watch = StopWhenBroken()
    trainer, after, _ = run(watch, Rate(3, 1e20))
    assert watch.reason.startswith("the next token's probabilities are not finite at step 4: training ended with")
    assert stopped_with_weights_of(2, watch, trainer, after)


def test_an_infinite_kl_ends_the_run(run):
    """A reference 100 nats above the policy: k3 overflows in float32, and so does the gradient."""
    watch = StopWhenBroken()
    trainer, after, lines = run(watch, spoil={"step": 4, "further": 100.0})
    assert trainer.state.global_step == 4 and lines[3]["kl"] == math.inf
    assert stopped_with_weights_of(2, watch, trainer, after)


def test_a_kl_above_its_limit_is_not_trusted_and_breaks_the_run_when_it_stays(run):
    watch = StopWhenBroken(kl_limit=0.1, patience=3)  # this random adapter begins at 3 nats
    trainer, after, _ = run(watch)
    assert trainer.state.global_step == 3 and watch.good_step == 0
    assert " nats a token, for 3 lines in a row above 0.1 at step 3: training ended with" in watch.reason
    assert "raise beta" in watch.reason and not torch.equal(trained(trainer.model), after[1])


def test_copies_can_be_rarer(run):
    watch = StopWhenBroken(every=2)
    trainer, after, _ = run(watch, spoil={"step": 5, "loss_factor": math.nan})
    assert stopped_with_weights_of(2, watch, trainer, after), "that of step 4 was not tried before it broke"


class Lines:
    """A watch that reads log lines by hand; the model is one weight, its number of steps."""

    def __init__(self, **settings):
        self.watch, self.state = StopWhenBroken(**settings), TrainerState()
        self.model = torch.nn.Linear(1, 1, bias=False)
        self.model.weight.data.fill_(0)

    def step(self, skipped=False, **logs) -> TrainerControl:
        control = TrainerControl(should_save=True)
        optimizer = type("Optimizer", (), {"step_was_skipped": skipped})()
        self.watch.on_step_begin(None, self.state, control, model=self.model)
        self.state.global_step += 1
        self.model.weight.data.fill_(self.state.global_step)
        self.watch.on_step_end(None, self.state, control, model=self.model)
        return self.watch.on_log(None, self.state, control, logs=logs, model=self.model, optimizer=optimizer)


def test_one_high_line_is_forgiven_and_its_weights_are_not_kept():
    lines = Lines(patience=2)
    for kl in (0.1, 0.2, 500.0):
        assert not lines.step(loss=0.0, grad_norm=1.0, kl=kl).should_training_stop
    assert lines.watch.good_step == 1, "line 2 showed the weights after step 1; line 3 those after step 2"
    lines.step(loss=0.0, grad_norm=1.0, kl=0.2)
    assert lines.watch.good_step == 3
    lines.step(loss=0.0, grad_norm=1.0, kl=500.0)
    control = lines.step(loss=0.0, grad_norm=1.0, kl=600.0)
    assert control.should_training_stop and not control.should_save
    assert lines.model.weight.item() == 3 and "kl is 600 nats a token, for 2 lines in a row" in lines.watch.reason


@pytest.mark.parametrize(
    "logs, said",
    [
        ({"loss": math.nan, "grad_norm": 1.0}, "loss is nan, not finite"),
        ({"loss": 0.0, "grad_norm": math.inf}, "grad_norm is inf, not finite"),
        ({"loss": 0.0, "grad_norm": 1.0, "kl": None}, "kl is NaN throughout, not finite"),
        ({"loss": 0.0, "grad_norm": 1.0, "kl": math.inf}, "kl is inf, not finite"),
    ],
)
def test_a_line_that_is_no_number_stops_at_once(logs, said):
    lines = Lines()
    lines.step(loss=0.0, grad_norm=1.0, kl=0.1)
    assert lines.step(**logs).should_training_stop and said in lines.watch.reason
    assert lines.model.weight.item() == 0 and "after step 0" in lines.watch.reason


def test_a_step_that_a_gradient_scaler_skipped_is_none():
    lines = Lines()
    assert not lines.step(skipped=True, loss=0.0, grad_norm=math.inf).should_training_stop
    assert lines.step(skipped=False, loss=0.0, grad_norm=math.inf).should_training_stop


def test_other_lines_say_nothing():
    lines = Lines()
    assert not lines.step(eval_loss=math.nan).should_training_stop
    assert not lines.step(train_runtime=1.0, train_loss=math.nan).should_training_stop


def test_an_evaluation_in_between_does_not_calm_a_high_kl():
    lines = Lines(patience=2)
    lines.step(loss=0.0, kl=500.0)
    lines.watch.on_log(None, lines.state, TrainerControl(), logs={"eval_kl": 0.1}, model=lines.model)
    assert lines.step(loss=0.0, kl=500.0).should_training_stop


def test_a_gradient_far_above_the_usual_breaks_a_run_where_that_is_asked_for():
    for limit, stops in ((None, False), (50.0, True)):
        lines = Lines(grad_limit=limit)
        for norm in (2.0, 2.0, 1e6):
            assert not lines.step(loss=0.0, grad_norm=norm).should_training_stop, "there is nothing usual yet"
        for _ in range(12):
            assert not lines.step(loss=0.0, grad_norm=2.0).should_training_stop
        assert not lines.step(loss=0.0, grad_norm=99.0).should_training_stop
        assert lines.step(loss=0.0, grad_norm=101.0).should_training_stop is stops
    assert "grad_norm is 101, above 50 times its usual size" in lines.watch.reason


def test_a_resumed_run_begins_with_a_copy_wherever_it_begins():
    lines = Lines(every=5)
    lines.state.global_step = 3
    lines.model.weight.data.fill_(3)
    assert lines.step(loss=math.nan).should_training_stop
    assert lines.model.weight.item() == 3 and lines.watch.good_step == 3


@pytest.mark.parametrize("settings", [{"kl_limit": 0}, {"patience": 0}, {"every": 0}, {"grad_limit": 1.0}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match="kl_limit .* must be above 0, patience"):
        StopWhenBroken(**settings)


def warned(lines, window=3, **state) -> tuple[WarnOfCollapse, TrainerState]:
    """A run of the given log lines, each in the history before the callback sees it, as transformers does it."""
    watch, state = WarnOfCollapse(window), TrainerState(**state)
    for step, line in enumerate(lines, 1):
        state.global_step = step
        state.log_history.append({**line, "step": step})
        control = watch.on_log(None, state, TrainerControl(), logs=line)
        assert not control.should_training_stop
    return watch, state


def test_a_reward_below_half_of_its_best_is_told_once(capsys):
    lines = [{"reward": value} for value in (0.6, 0.6, 0.6, 0.6, 0.2, 0.0, 0.0, 0.0)]
    watch, _ = warned(lines)
    assert set(watch.warnings) == {"collapsed"}
    assert "mean of the last 3 lines, 0.267, is below half of its best" in watch.warnings["collapsed"]
    assert watch.warnings["collapsed"].endswith("seen at step 6")
    assert capsys.readouterr().err == f"warning: {watch.warnings['collapsed']}\n"
    assert not warned(lines[:5])[0].warnings, "0.467 is above 0.3"


def test_groups_that_all_earn_the_same_are_told_once_they_stay_so(capsys):
    equal, mixed = ({"reward": 1.0, "frac_reward_zero_std": share} for share in (1.0, 0.9))
    assert not warned([equal, equal, mixed, equal, equal])[0].warnings
    watch, _ = warned([mixed, equal, equal, equal, equal])
    assert set(watch.warnings) == {"silent"} and watch.warnings["silent"].endswith("seen at step 4")
    assert "for 3 lines every group's rollouts earned the same, last 1:" in watch.warnings["silent"]
    assert capsys.readouterr().err.count("warning: ") == 1


def test_other_processes_keep_quiet_and_other_lines_do_not_count(capsys):
    falls = [{"reward": value} for value in (0.6, 0.6, 0.6, 0.0, 0.0, 0.0)]
    watch, _ = warned(falls, is_world_process_zero=False)
    assert watch.warnings and not capsys.readouterr().err
    assert not warned([{"eval_loss": 1.0}, {"train_runtime": 1.0}, {"loss": 0.5}])[0].warnings


def test_negative_rewards_have_no_half_of_their_best():
    assert not warned([{"reward": value} for value in (0.6, 0.6, 0.6, -0.2, 0.0, 0.0, 0.0)])[0].warnings


def test_a_resumed_run_knows_what_it_earned_before():
    _, state = warned([{"reward": 0.8}] * 4)
    watch = WarnOfCollapse(3)
    state.log_history += [{"reward": 0.1}] * 2
    watch.on_log(None, state, TrainerControl(), logs=state.log_history[-1])
    assert "collapsed" in watch.warnings


def test_a_window_of_nothing_is_refused():
    with pytest.raises(ValueError, match="window is 0"):
        WarnOfCollapse(0)
