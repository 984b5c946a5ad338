"""The making of the miniature: labels, lessons, the shared-clip loss, resuming, and what the recipe promises."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vsr_kit.data import split_rooms
from vsr_kit.miniature import Recipe, Stage, pretrain, stages, training
from vsr_kit.miniature.batches import Grounding, LessonEncoder, lesson_loss
from vsr_kit.miniature.lessons import (
    AnswerPool,
    Lesson,
    Teaching,
    chain_text,
    draw_rows,
    imagined,
    question_lesson,
    sight_lessons,
)
from vsr_kit.miniature.sight import ClipStore, SightHeads, room_position, sight_labels, token_cover
from vsr_kit.models import load_model
from vsr_kit.models.vision import chat_inputs, encode_clip
from vsr_kit.prompts import parse_answer
from vsr_kit.questions import HELD_OUT_TYPES
from vsr_kit.rooms import CATEGORIES, make_rooms
from vsr_kit.videos import film

ROOMS = make_rooms(6, 1001, "pretrain")
TRUE_LABELS = Teaching(cot_share=0.0, resampled_share=0.0, grounded_share=1.0)


def small_recipe(**changes) -> Recipe:
    stage = Stage(steps=2, learning_rate=1e-3, clips_per_step=2, looks_per_clip=1, questions_per_clip=2, warmup=1)
    taught = replace(stage, teaching=replace(TRUE_LABELS, cot_share=0.5))
    small = Recipe(
        num_rooms=6,
        text={
            "hidden_size": 64,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
        },
        vision={"depth": 1, "embed_dim": 32, "num_heads": 2, "mlp_ratio": 1},
        sight=stage,
        look=replace(stage, questions_per_clip=0, grounding=0.3),
        clean=taught,
        diffuse=taught,
    )
    return replace(small, **changes)


@pytest.fixture(scope="module")
def tiny(tiny_path):
    loaded = load_model(tiny_path, quiet=True)
    return loaded.model, loaded.processor


def test_rooms_of_the_miniature_are_in_no_split():
    mine = {room.boxes for room in make_rooms(40, 1001, "pretrain")}
    for split in ("train", "val", "test"):
        assert not mine & {room.boxes for room in split_rooms(40, split)}


def test_token_cover_counts_each_tokens_own_pixels():
    ids = np.full((4, 56, 84), -1, np.int16)
    ids[0, :10, :7] = 3  # first frame pair, top-left token
    ids[3, 30, 80] = 5  # second pair, bottom-right token
    cover = token_cover(ids)
    assert cover.shape == (2 * 2 * 3, 32)
    assert cover[0, 3] == 70 and cover[11, 5] == 1 and cover.sum() == 71


def test_labels_name_the_largest_box_and_its_place(tmp_path):
    store = ClipStore(tmp_path, ROOMS)
    store.film_all()
    labels = sight_labels(store, [2])
    clip, room = film(ROOMS[2]), ROOMS[2]
    ids = clip.object_ids_FHW[2:4, 28:56, 56:84]  # second frame pair, second row, third column: token 16 + 4 + 2
    seen, counts = np.unique(ids[ids >= 0], return_counts=True)
    box = room.boxes[int(seen[counts.argmax()])]
    assert CATEGORIES[int(labels.main_BV[0, 22])] == box.category
    east, north = room_position(room, box.center)
    assert torch.allclose(labels.place_BV3[0, 22], torch.tensor([east / 3, north / 3, box.longest_m]), atol=1e-6)
    loss, read = SightHeads(8).loss(torch.zeros(1, 64, 8), labels)
    assert torch.isfinite(loss) and 0 <= read["main_accuracy"] <= 1


def test_filming_goes_on_where_it_stopped(tmp_path):
    store = ClipStore(tmp_path, ROOMS)
    store.film_all()
    store.frames_NFHW3[0] = 0
    ClipStore(tmp_path, ROOMS).film_all()
    assert ClipStore(tmp_path, ROOMS).filmed == len(ROOMS)
    assert not store.frames_NFHW3[0].any(), "a filmed room was filmed again"
    assert np.array_equal(store.frames_NFHW3[5], film(ROOMS[5]).frames_FHW3)
    with pytest.raises(ValueError, match="another folder"):
        ClipStore(tmp_path, ROOMS[:3])


def test_lessons_hold_no_task_kept_out_and_true_labels_read_back():
    rng, pool = np.random.default_rng(0), None
    for room in ROOMS:
        rows = draw_rows(room, range(len(room.boxes)), rng, 20)
        assert not {row["question_type"] for row in rows} & set(HELD_OUT_TYPES)
        for row in rows:
            for share in (0.0, 1.0):
                lesson = question_lesson(room, row, replace(TRUE_LABELS, cot_share=share), pool, rng)
                read, truth = parse_answer(lesson.reply, row).value, row["ground_truth"]
                assert read == truth or float(read) == float(truth), (lesson, row)


def test_either_phrasing_is_drawn_as_often_where_that_is_asked():
    both = shares = 0.0
    for seed, room in enumerate(ROOMS):
        asked = {}
        for alike in (False, True):
            rows = draw_rows(room, range(len(room.boxes)), np.random.default_rng(seed), 240, alike)
            turns = [row["phrasing"] for row in rows if "direction" in row["question_type"]]
            asked[alike] = turns.count("vsi-100k") / len(turns) if turns else 0.0
        if 0 < asked[False] < 1:  # this room has such a question in either phrasing
            both, shares = both + 1, shares + asked[True]
            assert asked[False] < 0.45, "VSI-Bench has three types of direction, VSI-100k one"
    assert both and 0.4 < shares / both < 0.6


def test_resampled_labels_stay_within_their_type():
    rng = np.random.default_rng(0)
    rows = [row for room in ROOMS for row in draw_rows(room, range(len(room.boxes)), rng, 24)]
    pool = AnswerPool(rows)
    resample = replace(TRUE_LABELS, resampled_share=1.0)
    changed = 0
    for row in rows:
        reply = question_lesson(ROOMS[0], row, resample, pool, rng).reply
        changed += reply != row["ground_truth"]
        if row["options"]:
            assert reply in "ABCD"[: len(row["options"])]
        elif row["question_type"] == "object_rel_distance":
            assert reply in row["objects"][1:]
        else:
            assert reply in pool.by_kind[row["phrasing"], row["question_type"]]
    assert changed > len(rows) / 3


def test_chains_state_facts_and_imagined_rooms_state_others():
    room = next(r for r in ROOMS if len(r.unique) >= 2)
    first, second = sorted(room.unique)[:2]
    row = {"question_type": "object_abs_distance", "objects": [first, second]}
    east, _ = room_position(room, room.unique[first].center)
    chain = chain_text(room, row)
    assert chain.startswith(f"{first} {'east' if east >= 0 else 'west'} {abs(east):.1f}")
    elsewhere = imagined(room, np.random.default_rng(1))
    assert [b.category for b in elsewhere.boxes] == [b.category for b in room.boxes]
    assert chain_text(elsewhere, row) != chain


def test_shared_clip_loss_equals_one_plain_forward_each(tiny):
    model, processor = tiny
    clips = [film(room, num_frames=4, size_px=56).frames_FHW3 for room in ROOMS[:2]]
    encoder = LessonEncoder(model, processor, (2, 4, 4))
    lessons = [
        Lesson("Where is each tv?", "1.2 east 0.5 south"),
        Lesson("Describe the video.", "no"),
        Lesson("x y z", "3"),
    ]
    owner = [0, 1, 1]
    features = torch.stack([encode_clip(model, processor, clip).features_VD for clip in clips])
    shared, _ = lesson_loss(model, encoder.prefix, features, encoder(lessons), owner, chunks=2)

    total, weight = 0.0, 0.0
    for lesson, i in zip(lessons, owner, strict=True):
        messages = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": lesson.user}]}]
        asked = chat_inputs(processor, messages, clips[i])
        reply = torch.tensor(processor.tokenizer(lesson.reply + "<|im_end|>")["input_ids"])[None]
        ids = torch.cat([asked["input_ids"], reply], 1)
        kinds = torch.cat([asked["mm_token_type_ids"], torch.zeros_like(reply)], 1)
        inputs = asked | {"input_ids": ids, "attention_mask": torch.ones_like(ids), "mm_token_type_ids": kinds}
        logits = model(**inputs).logits[0, -reply.shape[1] - 1 : -1]
        root = reply.shape[1] ** 0.5
        total, weight = total + F.cross_entropy(logits, reply[0], reduction="sum") / root, weight + root
    assert shared.item() == pytest.approx((total / weight).item(), rel=1e-5)


def test_sight_lessons_ask_only_about_what_is_seen():
    rng = np.random.default_rng(0)
    room = ROOMS[0]
    text = " ".join(f"{x.user} {x.reply}" for x in sight_lessons(room, [0], rng, 50))
    others = {b.category for b in room.boxes} - {room.boxes[0].category}
    assert room.boxes[0].category in text and not any(f" {name}" in text for name in others)


class Killed(Exception):
    """Stands for a kill."""


def killed_in(monkeypatch, stage=None, at=None):
    """Die in the middle of the `at`th step of a stage from here on; return a list of the stage of every step begun."""
    began = []

    def run_stage(name, plan, folder, model, parameters, step_loss, seed):
        def step(rng):
            began.append(name)
            loss = step_loss(rng)
            if name == stage and began.count(name) == at:
                raise Killed
            return loss

        stages.run_stage(name, plan, folder, model, parameters, step, seed)

    monkeypatch.setattr(training, "run_stage", run_stage)
    return began


def test_a_run_killed_in_mid_stage_ends_where_an_unbroken_one_does(tmp_path, monkeypatch):
    small = small_recipe()
    recipe = replace(small, sight=replace(small.sight, steps=5), diffuse=replace(small.diffuse, steps=5))
    monkeypatch.setattr(stages, "SAVE_EVERY", 2)
    whole, parts = tmp_path / "whole" / "mini", tmp_path / "parts" / "mini"
    pretrain(whole, recipe, fuse=False)

    began = killed_in(monkeypatch, "sight", at=4)  # three steps done, of which two were saved
    with pytest.raises(Killed):
        pretrain(parts, recipe, fuse=False)
    assert Counter(began) == {"sight": 4}
    began = killed_in(monkeypatch)
    with monkeypatch.context() as patch, pytest.raises(Killed):  # between two stages
        patch.setattr(training.MiniatureTrainer, "save", lambda *_: (_ for _ in ()).throw(Killed()))
        pretrain(parts, recipe, fuse=False)
    assert Counter(began) == {"sight": 3, "look": 2, "clean": 2}
    began = killed_in(monkeypatch, "diffuse", at=4)
    with pytest.raises(Killed):
        pretrain(parts, recipe, fuse=False)
    assert Counter(began) == {"diffuse": 4}
    began = killed_in(monkeypatch)
    pretrain(parts, recipe, fuse=False)
    assert Counter(began) == {"diffuse": 3}

    for name in ("model.safetensors", "tokenizer.json"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()
    for stage in ("sight", "diffuse"):  # in fp32: the checkpoint is rounded to bf16
        one, other = (torch.load(at.parent / "mini-work" / f"{stage}.pt")["model"] for at in (whole, parts))
        assert all(torch.equal(one[name], other[name]) for name in one.keys() | other.keys())
    clean = whole.with_name("mini-clean") / "model.safetensors"
    assert clean.read_bytes() != (whole / "model.safetensors").read_bytes()


def test_saving_leaves_the_model_under_training_as_it_was(tmp_path):
    school = training.MiniatureTrainer(small_recipe(), tmp_path, fuse=False)
    prefix, name = school.encoder.prefix, school.rooms[0].boxes[0].category
    tokens = int((prefix.ids_P == school.model.config.video_token_id).sum())
    features = torch.randn(1, tokens, school.model.config.text_config.hidden_size, generator=torch.manual_seed(0))
    grounding = Grounding(school.category_of_token, torch.ones(1, tokens, len(CATEGORIES)), 0.3)
    grounding.shown_BVC[:, 1:] = 0  # the first token shows everything
    lessons = school.encoder([Lesson(f"Where is each {name}?", f"{name} east 1.0")])

    def taught() -> tuple:
        """How it attends, and how far attention is from what the lesson names: nan where nothing was recorded."""
        parts = school.model.config.text_config, school.model.model.language_model.config, school.model.config
        _, read = lesson_loss(school.model, prefix, features, lessons, [0], grounding=grounding)
        return [part._attn_implementation for part in parts], read["astray"]

    before = taught()
    assert set(before[0]) == {"sdpa_fp32"} and before[1] > 0
    school.save(tmp_path / "mini")
    assert taught() == before
