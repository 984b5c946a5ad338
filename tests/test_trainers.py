"""The trainer sees the video: its numbers are those of plain forwards with the clip, and TRL is as we left it."""

import inspect
from itertools import permutations

import pytest
import torch
import transformers
import trl
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from tests.plain import plain_logps
from tests.tiny import random_lora, tiny_clip
from vsr_kit.models import load_model, lora_config
from vsr_kit.models.feature_cache import FeatureStore
from vsr_kit.sharing import EncodedPrompt, encode_prompt
from vsr_kit.training.grpo_trainer import VideoGRPOTrainer, _whole_clips_shuffled
from vsr_kit.training.joint_trainer import JointGRPOTrainer
from vsr_kit.training.video_mixin import MetricsRecorder, training_rows

CLIPS = {"room-0": tiny_clip(0), "room-1": tiny_clip(1, 3, 56, 84)}
G = 4
BETA, EPSILON = 0.1, 0.2
OVERRIDDEN = {
    "_get_train_sampler": ["self", "dataset"],
    "_generate_and_score_completions": ["self", "inputs"],
    "_tokenize_prompts": ["self", "prompts"],
    "_generate_single_turn": [
        "self", "prompt_ids", "images", "multimodal_fields", "num_generations", "has_tool_images",
    ],
    "_calculate_rewards": ["self", "inputs", "prompts", "completions", "completion_ids_list"],
    "_prepare_inputs": ["self", "generation_batch"],
    "_compute_loss": ["self", "model", "inputs"],
    "log": ["self", "logs", "start_time"],
    "_save_checkpoint": ["self", "model", "trial"],
    "_load_from_checkpoint": ["self", "resume_from_checkpoint", "model"],
    "_get_per_token_logps_and_entropies": [
        "self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size", "compute_entropy",
        "compute_aux_loss", "pixel_values", "image_grid_thw", "num_images", "pixel_attention_mask", "spatial_shapes",
        "num_tiles", "image_sizes", "token_type_ids", "mm_token_type_ids", "image_position_ids",
    ],
}  # fmt: skip


def rows(count=4):
    questions = [
        "How many chair(s) are in this room?",
        "How long is the sofa, in metres, from end to end?",
        "Is the bed wider than the table?",
        "How far?",
    ]
    return [
        {
            "id": str(i),
            "scene_name": f"room-{i % 2}",
            "question_type": "object_counting",
            "question": questions[i],
            "options": None if i % 2 else ["A. 3", "B. 4"],
            "ground_truth": str(i),
        }
        for i in range(count)
    ]


def vowels_reward(completions, **columns):
    """Any reward that differs within a group will do."""
    return [sum(letter in "aeiou" for letter in c[0]["content"]) / 4 + len(c[0]["content"]) % 3 for c in completions]


def common(folder, **changes) -> dict:
    """What the tests of every trainer set."""
    return {
        "output_dir": str(folder),
        "max_steps": 1,
        "learning_rate": 1e-2,
        "max_grad_norm": 1e9,
        "logging_steps": 1,
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": True,
        "bf16": False,
        "activation_checkpointing": False,
        "disable_tqdm": True,
        "seed": 3,
    } | changes


def config(folder, **changes) -> GRPOConfig:
    settings = {
        "per_device_train_batch_size": 2 * G,
        "num_generations": G,
        "max_completion_length": 6,
        "beta": BETA,
        "epsilon": EPSILON,
        "loss_type": "grpo",
        "use_bias_correction_kl": False,
    }
    return GRPOConfig(**common(folder, **(settings | changes)))


class Spy(VideoGRPOTrainer):
    """Keeps every scored batch."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.batches = []

    def _compute_loss(self, model, inputs):
        self.batches.append(inputs)
        return super()._compute_loss(model, inputs)


@pytest.fixture
def make(tiny_path, tmp_path):
    """make(quantize=…, trainer arguments…, config fields…) -> a Spy on the tiny checkpoint."""

    def build(quantize=None, clips=CLIPS, peft_config=None, trainer=Spy, extra=None, rewards=(), **changes):
        loaded = load_model(tiny_path, quantize=quantize, device="cpu", dtype=torch.float32, quiet=True)
        return trainer(
            model=loaded.model,
            reward_funcs=[vowels_reward, *rewards],
            args=config(tmp_path, **changes),
            train_dataset=training_rows(rows(), "vanilla"),
            processing_class=loaded.processor,
            peft_config=peft_config or random_lora(alpha=32),
            clips=clips,
            **(extra or {}),
        )

    return build


def scored_rows(batch) -> list[tuple[list[int], int]]:
    """(completion ids, place in the batch) of every row, padding cut."""
    lengths = batch["completion_mask"].sum(1).tolist()
    return [(ids[:n].tolist(), i) for i, (ids, n) in enumerate(zip(batch["completion_ids"], lengths, strict=True))]


def row_of(trainer, batch, place) -> dict:
    """The data set's row that a row of a batch came from, found by its prompt's text."""
    length = batch["prompt_mask"][place].sum()
    text = trainer.processing_class.tokenizer.decode(batch["prompt_ids"][place][-length:])
    return next(row for row in trainer.train_dataset if row["question"] in text)


def plain(trainer, batch, place, ids, clips=CLIPS):
    row = row_of(trainer, batch, place)
    return plain_logps(trainer.model, trainer.processing_class, row["prompt"], clips[row["scene_name"]], ids)


def textbook_loss(trainer, batches, old_logps=None, changed=None) -> torch.Tensor:
    """The GRPO paper's loss (arXiv 2402.03300, eq. 3) of whole groups, one plain forward a completion.

    Mean over completions of the mean over tokens of -(min(r A, clip(r, 1 ± eps) A) - beta (q/p - log q/p - 1)).
    """
    losses = []
    for batch in batches:
        for ids, place in scored_rows(batch):
            logps, _ = plain(trainer, batch, place, ids)
            with torch.no_grad(), trainer.model.disable_adapter():
                reference, _ = plain(trainer, batch, place, ids)
            old = logps.detach() if old_logps is None else old_logps[place]
            ratio, advantage = (logps - old).exp(), batch["advantages"][place]
            clipped = ratio.clamp(1 - EPSILON, 1 + EPSILON)
            kl = (reference - logps).exp() - (reference - logps) - 1
            losses.append(-(torch.minimum(ratio * advantage, clipped * advantage) - BETA * kl).mean())
    return torch.stack(losses).mean()


class Gradients(TrainerCallback):
    """Keeps a step's gradients, and the textbook's from the same weights and completions."""

    def __init__(self, textbook=textbook_loss):
        self.textbook, self.ours, self.theirs = textbook, [], []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.ours.append({name: p.grad.clone() for name, p in weights.items()})
        loss = self.textbook(self.trainer)
        self.theirs.append(dict(zip(weights, torch.autograd.grad(loss, weights.values()), strict=True)))

    def errors(self, step) -> dict[str, float]:
        ours, theirs = self.ours[step], self.theirs[step]
        return {name: float((ours[name] - theirs[name]).norm() / theirs[name].norm()) for name in theirs}


def watch(trainer, textbook) -> Gradients:
    watcher = Gradients(textbook)
    watcher.trainer = trainer
    trainer.add_callback(watcher)
    return watcher


# -- the oracle --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantize", [None, "nf4"])
def test_log_probabilities_are_those_of_a_plain_forward_with_the_clip(make, quantize):
    trainer = make(quantize, learning_rate=0.0, num_iterations=2)  # the second iteration makes TRL keep the old ones
    trainer.train()
    batch = trainer.batches[0]
    other = {"room-0": CLIPS["room-1"], "room-1": CLIPS["room-0"]}
    for ids, place in scored_rows(batch):
        with torch.no_grad():
            policy, _ = plain(trainer, batch, place, ids)
            elsewhere, _ = plain(trainer, batch, place, ids, other)
            with trainer.model.disable_adapter():
                reference, _ = plain(trainer, batch, place, ids)
        ours = batch["old_per_token_logps"][place, : len(ids)]
        theirs = batch["ref_per_token_logps"][place, : len(ids)]
        torch.testing.assert_close(ours, policy, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(theirs, reference, atol=1e-4, rtol=1e-4)
        assert (policy - reference).abs().max() > 1e-2, "the adapter does nothing: the test proves nothing"
        assert (policy - elsewhere).abs().max() > 1e-2, "the clip does nothing: the test proves nothing"


def test_another_clip_changes_what_the_trainer_scores(make):
    first = make(learning_rate=0.0, num_iterations=2)
    first.train()
    batch = first.batches[0]
    second = make(clips={"room-0": tiny_clip(7), "room-1": tiny_clip(8, 3, 56, 84)}, learning_rate=0.0)
    second.train()
    completions = {place: ids for ids, place in scored_rows(batch)}
    scenes = [row_of(first, batch, place)["scene_name"] for place in completions]
    features = second.features.encode(second.model, second.processing_class, [second.clips[s] for s in CLIPS])
    clip_of = dict(zip(CLIPS, features, strict=True))
    prompts = [row_of(first, batch, place)["prompt"] for place in completions]
    second._prompts = [
        encode_prompt(second.model, second.processing_class, prompt, clip_of[scene])
        for prompt, scene in zip(prompts, scenes, strict=True)
    ]
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    with torch.no_grad():
        longest = batch["completion_ids"].shape[1]
        logps, _, _ = second._get_per_token_logps_and_entropies(second.model, ids, mask, longest)
    assert ((logps - batch["old_per_token_logps"]).abs().amax(1) > 1e-2).all()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"per_device_train_batch_size": G, "gradient_accumulation_steps": 2},
        {"per_device_train_batch_size": G // 2, "gradient_accumulation_steps": 4},
        {"activation_checkpointing": True},
        {"extra": {"questions_per_clip": 2}},
    ],
    ids=[
        "whole batch",
        "a group at a time",
        "half a group at a time",
        "gradient checkpointing",
        "two questions of a clip",
    ],
)
def test_step_one_gradients_are_the_textbooks(make, changes):
    trainer = make(**changes)
    watcher = watch(trainer, lambda t: textbook_loss(t, t.batches))
    trainer.train()
    errors = watcher.errors(0)
    assert len(errors) == 2 * 2 * 7, "two factors in each of two layers' seven linears"
    assert min(float(g.norm()) for g in watcher.theirs[0].values()) > 1e-6
    assert max(errors.values()) < 1e-4
    assert all(len(batch["completion_ids"]) == trainer.args.per_device_train_batch_size for batch in trainer.batches)


def test_second_iteration_uses_the_old_log_probabilities(make):
    trainer = make(num_iterations=2, max_steps=2)

    def textbook(t):
        batch = t.batches[-1]
        old = [batch["old_per_token_logps"][i, : len(ids)] for ids, i in scored_rows(batch)]
        return textbook_loss(t, [batch], old)

    watcher = watch(trainer, textbook)
    trainer.train()
    assert trainer.batches[1]["completion_ids"] is trainer.batches[0]["completion_ids"]
    assert max(watcher.errors(1).values()) < 1e-4


def test_advantages_are_the_rewards_in_standard_units_of_their_group(make):
    def id_reward(completions, id, **columns):
        """Equal within a group: it moves no advantage, and tells whose row a completion is recorded with."""
        return [float(own) for own in id]

    kept = []
    trainer = make(
        rewards=[id_reward],
        extra={"recorder": type("Recorder", (), {"rollouts": lambda self, rows: kept.extend(rows)})()},
    )
    trainer.train()
    for group in (kept[:G], kept[G:]):
        assert len({row["id"] for row in group}) == 1
        rewards = torch.tensor([row["vowels_reward"] for row in group])
        expected = (rewards - rewards.mean()) / (rewards.std() + 1e-4)
        torch.testing.assert_close(torch.tensor([row["advantage"] for row in group]), expected, atol=1e-4, rtol=1e-4)
    assert {row["step"] for row in kept} == {1} and len(kept) == 2 * G
    assert torch.tensor([row["vowels_reward"] for row in kept]).std() > 0
    assert [row["id_reward"] for row in kept] == [float(row["id"]) for row in kept]
    assert [row["vowels_reward"] for row in kept] == vowels_reward([[{"content": row["completion"]}] for row in kept])


def test_what_shares_a_clip_is_shuffled_together():
    """Rows of a clip are scored in one pass; stock TRL's order would tear them apart."""
    clips = [torch.zeros(1), torch.zeros(1), torch.zeros(1)]
    prompts = [EncodedPrompt(None, None, 0, clip) for clip in (clips[0], clips[0], clips[1], clips[2])]
    rows = [prompt for prompt in prompts for _ in range(G)]
    torch.manual_seed(0)
    orders = [_whole_clips_shuffled(rows).tolist() for _ in range(10)]
    runs = [list(range(2 * G)), list(range(2 * G, 3 * G)), list(range(3 * G, 4 * G))]
    assert {tuple(order) for order in orders} <= {tuple(sum(order, [])) for order in permutations(runs)}
    assert len({tuple(order) for order in orders}) > 1


def test_questions_of_a_clip_meet(make):
    trainer = make(extra={"questions_per_clip": 2})
    trainer.train()
    prompts = trainer.batches[0]["encoded_prompts"]
    assert len({id(prompt) for prompt in prompts}) == 2
    assert len({id(prompt.features_VD) for prompt in prompts}) == 1


def test_questions_per_clip_needs_a_batch_it_divides(make):
    with pytest.raises(ValueError, match="questions_per_clip is 3, but a process scores 2 questions at once"):
        make(extra={"questions_per_clip": 3}).train()
    with pytest.raises(ValueError, match="questions_per_clip is 2, but a process scores 1 questions at once"):
        a_group_at_a_time = {"per_device_train_batch_size": G, "gradient_accumulation_steps": 2}
        make(extra={"questions_per_clip": 2}, **a_group_at_a_time).train()
    with pytest.raises(ValueError, match="leave shuffle_dataset on"):
        make(extra={"questions_per_clip": 2}, shuffle_dataset=False).train()


def test_an_evaluation_in_between_changes_nothing(make, tiny_path):
    def weights(**changes):
        evaluation = training_rows([row | {"scene_name": "room-1"} for row in rows(2)], "vanilla")
        extra = {"eval_dataset": evaluation} if changes else {}
        trainer = make(num_iterations=2, max_steps=2, extra=extra, **changes)
        trainer.train()
        evaluations = [log for log in trainer.state.log_history if "eval_reward" in log]
        trained = {name: p.detach().clone() for name, p in trainer.model.named_parameters() if p.requires_grad}
        return trained, evaluations

    plain_run, none = weights()
    with_evaluation, some = weights(eval_strategy="steps", eval_steps=1, per_device_eval_batch_size=2 * G)
    assert not none and len(some) == 2
    for name, weight in plain_run.items():
        torch.testing.assert_close(weight, with_evaluation[name], atol=0, rtol=0)


@pytest.mark.parametrize("quantize", [None, "nf4"])
def test_every_lora_layer_learns(make, quantize):
    trainer = make(quantize, max_steps=2, peft_config=lora_config(rank=4), learning_rate=1e-5)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters() if p.requires_grad}
    trainer.train()
    after = dict(trainer.model.named_parameters())
    assert len(before) == 28
    # both factors, although the second moves by less than bf16 can hold: TRL would have put a 4-bit model's into bf16
    unmoved = [name for name, weight in before.items() if torch.equal(weight, after[name])]
    assert unmoved == []
    assert {after[name].dtype for name in before} == {torch.float32}


def test_whole_truncated_groups_cost_nothing_and_break_nothing(make):
    trainer = make(mask_truncated_completions=True, max_completion_length=1, beta=0.0)
    trainer.train()
    log = trainer.state.log_history[0]
    assert log["completions/clipped_ratio"] == 1 and log["loss"] == 0 and log["grad_norm"] == 0


def test_the_reference_is_the_model_without_its_adapter(tiny_path, tmp_path):
    """Even where the model came with one (random here): TRL would make a frozen copy of it the reference."""
    loaded = load_model(tiny_path, lora=random_lora(alpha=32), device="cpu", quiet=True)
    data, processor = training_rows(rows(), "vanilla"), loaded.processor
    trainer = Spy(loaded.model, vowels_reward, config(tmp_path), data, processing_class=processor, clips=CLIPS)
    trainer.train()
    assert trainer.ref_model is None and set(trainer.model.peft_config) == {"default"}
    batch = trainer.batches[0]
    with torch.no_grad(), trainer.model.disable_adapter():
        for ids, place in scored_rows(batch):
            ours = batch["ref_per_token_logps"][place, : len(ids)]
            torch.testing.assert_close(ours, plain(trainer, batch, place, ids)[0], atol=1e-4, rtol=1e-4)


def test_metrics_go_to_every_sink(make):
    first, second = [], []
    trainer = make(extra={"callbacks": [MetricsRecorder(first.append, second.append)]})
    trainer.train()
    assert first == second and first[0]["step"] == 1
    assert {"loss", "kl", "reward", "entropy", "frac_reward_zero_std", "completions/mean_length"} <= first[0].keys()
    assert first[0]["kl"] > 0


# -- vision pads, refusals ---------------------------------------------------------------------------------------------


def test_vision_pads_are_never_sampled(make):
    trainer = make(generation_kwargs={"suppress_tokens": [300]})
    core = trainer.model.get_base_model().config
    assert trainer.generation_config.suppress_tokens == sorted([300, core.image_token_id, core.video_token_id])
    assert trainer.generation_kwargs["suppress_tokens"] == trainer.generation_config.suppress_tokens


def test_clips_are_encoded_once_a_run(make):
    store = FeatureStore()
    trainer = make(extra={"features": store}, max_steps=3, per_device_train_batch_size=G)
    trainer.train()
    assert store.encoded == len({row["scene_name"] for row in trainer.train_dataset}) == 2
    assert store.from_memory == 1


def test_a_missing_clip_is_named(make):
    with pytest.raises(ValueError, match="no clip for scene 'room-[01]'"):
        make(clips={}).train()


def test_a_row_without_a_scene_is_named():
    with pytest.raises(ValueError, match="row '1' lacks scene_name"):
        training_rows([rows()[0], {"id": "1", "ground_truth": "3"}], "vanilla")


def test_split_groups_are_refused(make):
    trainer = make()
    with pytest.raises(ValueError, match="3 rows a process and step do not hold whole groups of 4"):
        trainer._generate_and_score_completions([{**row, "prompt": []} for row in rows(3)])


@pytest.mark.parametrize(
    "changes, extra, name",
    [
        ({}, {"tools": [len]}, "tools"),
        ({}, {"rollout_func": len}, "rollout_func"),
        ({}, {"environment_factory": dict}, "environment_factory"),
        ({"use_vllm": True}, {}, "use_vllm"),
        ({"use_transformers_continuous_batching": True}, {}, "use_transformers_continuous_batching"),
    ],
)
def test_what_would_not_see_the_video_is_refused(make, changes, extra, name):
    with pytest.raises(ValueError, match=f"^{name} is not supported"):
        make(extra=extra, **changes)


def test_a_trainable_tower_is_refused(tiny_path, tmp_path):
    loaded = load_model(tiny_path, device="cpu", quiet=True)
    loaded.model.model.visual.requires_grad_(True)
    data = training_rows(rows(), "vanilla")
    with pytest.raises(ValueError, match="the vision tower has trainable weights"):
        # given by position, as TRL allows
        settings = config(tmp_path, beta=0.0)
        VideoGRPOTrainer(loaded.model, [vowels_reward], settings, data, processing_class=loaded.processor, clips=CLIPS)


def test_settings_that_are_none_are_refused(tiny_path):
    loaded = load_model(tiny_path, device="cpu", quiet=True)
    with pytest.raises(ValueError, match="args is NoneType: give a trl.GRPOConfig"):
        VideoGRPOTrainer(loaded.model, [vowels_reward], train_dataset=training_rows(rows(), "vanilla"), clips=CLIPS)


# -- TRL is as we left it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, parameters", OVERRIDDEN.items())
def test_private_methods_have_the_signatures_we_override(name, parameters):
    assert list(inspect.signature(getattr(GRPOTrainer, name)).parameters) == parameters


def test_what_is_overridden_is_what_is_listed():
    ours = [kind for kind in JointGRPOTrainer.__mro__ if kind.__module__.startswith("vsr_kit")]
    names = {name for kind in ours for name in vars(kind) if hasattr(GRPOTrainer, name) and not name.startswith("__")}
    assert names == set(OVERRIDDEN)


def test_versions_are_the_ones_this_was_written_for():
    assert trl.__version__.split(".")[:2] == ["1", "16"]
    assert transformers.__version__.split(".")[0] == "5"
