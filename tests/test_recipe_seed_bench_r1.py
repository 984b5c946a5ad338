"""SEED-Bench-R1's recipe: levels, agreement of answers with chains, and GRPO-CARE's bonus with what it is paid by."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from vsr_kit import recipes
from vsr_kit.bridging.stated import agreement, agrees, concluded
from vsr_kit.claims import NOT_REPRODUCED, REPRODUCED, UNDECIDED
from vsr_kit.claims.level_measures import agree_more, keeps_more, two_sides
from vsr_kit.claims.recipe import BENCH_SET, Recipe, Variant
from vsr_kit.cli import app
from vsr_kit.data import make_rows, split_rooms
from vsr_kit.evaluation import Interval, score
from vsr_kit.evaluation.evaluate import load_questions
from vsr_kit.questions import STUDY_RULES, TRAINED_TYPES
from vsr_kit.recipes import seed_bench_r1
from vsr_kit.recipes.levels import FRAMES, IN_WORDS, MAKERS, SEEN_SET, TRAIN_SET, halves, shorter_walk
from vsr_kit.rewards import group_reward
from vsr_kit.rewards.consistency import bonus_of, consistency_bonus
from vsr_kit.rooms.generator import crowded
from vsr_kit.runs import RunFolder
from vsr_kit.sharing import score as score_tokens
from vsr_kit.study.runner import plan
from vsr_kit.study.staleness import settings_of
from vsr_kit.training.answer_likelihood import AnswerLikelihoodTrainer, answer_span
from vsr_kit.training.care import DECAY, CareGRPO, care
from vsr_kit.training.joints import Ema, described
from vsr_kit.training.phases import Given
from vsr_kit.training.profiles import PROFILES
from vsr_kit.training.run import train
from vsr_kit.videos import film

ABS = "object_abs_distance"
SIZE = {"question_type": "object_size_estimation", "question": "How long?", "options": None, "ground_truth": "80"}


def given(numeric):
    return Given(replace(PROFILES["mini"], numeric=numeric), 2, {}, 0.0)


# -- the bonus ---------------------------------------------------------------------------------------------------------


def test_the_bonus_goes_to_right_answers_that_their_chains_make_likely():
    # mean accuracy 0.45: the first, second and fifth count as right; their mean likelihood is (0.9 + 0.3 + 0.6) / 3
    assert bonus_of([1.0, 0.6, 0.2, 0.0, 0.5, 0.4], [0.9, 0.3, 0.99, 0.99, 0.6, 0.99]) == [
        0.5,
        0.0,
        0.0,
        0.0,
        0.25,
        0.0,
    ]
    assert bonus_of([1.0, 1.0], [0.950, 0.999]) == [0.5, 0.5]  # both are as sure as the ceiling
    assert bonus_of([1.0, 1.0], [0.61, 0.60]) == [0.5, 0.5]  # within the margin of their mean
    assert bonus_of([1.0, 1.0], [0.70, 0.60]) == [0.5, 0.0]
    assert bonus_of([0.0, 0.1, 0.05], [0.9, 0.9, 0.9]) == [0.0, 0.0, 0.0]  # nothing is right
    with pytest.raises(ValueError, match="1 likelihoods for 2 accuracies"):
        bonus_of([1.0, 1.0], [0.5])


def test_the_reward_reads_its_groups_answers_and_takes_none_without_a_likelihood():
    texts = ["<think>a</think> <answer>80</answer>", "<think>b</think> <answer>80</answer>", "80"]
    assert consistency_bonus(texts, SIZE, [math.log(0.9), math.log(0.2), -math.inf]) == [0.5, 0.0, 0.0]
    count = {**SIZE, "question_type": "object_counting", "ground_truth": "4"}
    logps = [math.log(0.9)] * 2
    near = ["<think>a</think> <answer>3</answer>"] * 2
    graded, strict = (consistency_bonus(near, count, logps, numeric) for numeric in ("paper", "exact"))
    assert min(graded) > 0 and strict == [0.0, 0.0]  # 3 is nearly right, and not right
    columns = {name: [value] * 2 for name, value in count.items()} | {"group": [0, 0], "reference_logps": logps}
    (paid,) = seed_bench_r1.RECIPE.phases[0].plan(given("exact"))[0].rewards
    assert paid(near, **columns) == strict and care().rewards[0](near, **columns) == graded
    assert described(paid) == described(care().rewards[0])
    with pytest.raises(ValueError, match="unknown reward for numbers 'about'"):
        care(numeric="about")
    with pytest.raises(ValueError, match="reference_logps"):
        group_reward(consistency_bonus, reference=True)(texts, group=[0] * 3, question_type=["object_size"] * 3)


# -- which tokens are the answer, and how likely they are --------------------------------------------------------


def test_the_answers_tokens_stand_between_its_tags():
    text = "<think>a < b</think> <answer>80</answer>!"

    def letters(ids):
        return "".join(text[i] for i in ids)

    begin, end = answer_span(range(len(text)), letters)
    assert text[begin:end] == "80"
    cut = text[: text.index("0</") + 1]
    assert answer_span(range(len(cut)), letters) == (begin, end)  # never closed: to the end of the text
    assert answer_span(range(text.index("<answer>") + 5), letters) is None
    empty = "<answer></answer>"
    assert answer_span(range(len(empty)), lambda ids: "".join(empty[i] for i in ids)) is None
    words = ["<think>", "a", "</think>", " ", "<answer>", "80", "</answer>", ""]  # the last one ends the text
    assert answer_span(range(8), lambda ids: "".join(words[i] for i in ids)) == (5, 6)
    unclosed = [*words[:6], ""]
    assert answer_span(range(7), lambda ids: "".join(unclosed[i] for i in ids)) == (5, 6)


@pytest.fixture(scope="module")
def watched():
    """One step of GRPO with the bonus on the miniature: what the reward was told, and the same token by token."""
    told, seen = [], []

    class Watched(AnswerLikelihoodTrainer):
        def _reference_logps(self, completion_ids_list):
            given = super()._reference_logps(completion_ids_list)
            with torch.no_grad(), self._reference() as reference:
                for prompt, ids, own in zip(self._prompts, completion_ids_list, given, strict=True):
                    ((one,),) = score_tokens(reference, [prompt], [[torch.tensor(ids)]], self.temperature)
                    span = answer_span(ids, lambda part: self._tokenizer.decode(part, skip_special_tokens=True))
                    told.append((own, float(one.logps_T[slice(*span)].mean()) if span else -math.inf))
            return given

    class Method(CareGRPO):
        joint_trainer = Watched

    def watch(completions_G, row, reference_logps):
        seen.append((list(completions_G), list(reference_logps)))
        return consistency_bonus(completions_G, row, reference_logps)

    sizes = {"num_generations": 4, "questions_per_step": 2, "groups_per_pass": 2, "steps": 1, "beta": 1e-12}
    rows = load_questions(1, split="train", types=("object_size_estimation",), per_room=2)
    how = Method("think", rewards=(group_reward(watch, reference=True),), reference=Ema(DECAY))
    done = train(replace(PROFILES["mini"], **sizes), how, rows.rows, clips=rows.clips, seed=3, quiet=True)
    return SimpleNamespace(told=told, seen=seen, logs=done.logs)


def test_likelihoods_are_the_answers_own_given_the_chain(watched):
    assert len(watched.told) == 8 and any(math.isfinite(own) for own, _ in watched.told)
    for own, token_by_token in watched.told:
        assert own == pytest.approx(token_by_token, abs=1e-4)
    assert [own for own, _ in watched.told] == [own for _, logps in watched.seen for own in logps]


def test_the_bonus_is_paid_and_logged_beside_the_other_rewards(watched):
    (log,) = [log for log in watched.logs if "loss" in log]
    rows = load_questions(1, split="train", types=("object_size_estimation",), per_room=2).rows
    by_hand = [own for texts, logps in watched.seen for own in consistency_bonus(texts, rows[0], logps)]
    assert len(by_hand) == 8 and "rewards/watch/mean" in log
    total = sum(log[f"rewards/{name}/mean"] for name in ("accuracy_reward", "format_reward", "watch"))
    assert log["reward"] == pytest.approx(total, abs=1e-5)


def test_a_method_without_chains_is_refused():
    with pytest.raises(ValueError, match="mode is 'vanilla'"):
        care("vanilla").check(PROFILES["mini"], load_questions(1, split="train", per_room=1).rows)


# -- do answers agree with chains? -------------------------------------------------------------------------------------


def row_of(kind, truth="1", objects=(), options=None, question="?"):
    return {
        "question_type": kind,
        "question": question,
        "options": options,
        "ground_truth": truth,
        "objects": list(objects),
    }


@pytest.mark.parametrize(
    "kind, text, own, agreed",
    [
        ("object_size_estimation", "The bin is 0.8 by 0.5 by 0.4 meters. The answer is 80.", "80", True),
        ("object_size_estimation", "The bin is 0.8 by 0.5 by 0.4 meters. The answer is 99.", "80", True),  # within 1/4
        ("object_size_estimation", "The bin is 0.8 by 0.5 by 0.4 meters. The answer is 101.", "80", False),
        ("object_counting", "I see one in the north-west, one in the south-east. The answer is 2.", "2", True),
        ("object_counting", "I see one in the north-west, one in the south-east. The answer is 3.", "2", False),
        ("object_counting", "<think>bed west 1.3, bed south 0.4. count 1.</think> <answer>4</answer>", "1", False),
        ("room_size_estimation", "<think>The room is 6.0 by 5.0 meters.</think> <answer>31</answer>", "30.0", True),
        (
            "object_abs_distance",
            "tv west 3.0, tv north 0.0. bed east 0.0, bed south 4.0. The answer is 5.1",
            "5.0",
            True,
        ),
        ("object_abs_distance", "<think></think> <answer>5</answer>", None, None),
        ("object_counting", "The answer is 2.", None, None),
    ],
)
def test_an_answer_agrees_with_what_its_chain_concludes(kind, text, own, agreed):
    row = row_of(kind, truth="77")  # the truth about the room does not matter
    assert (concluded(text, row), agrees(text, row)) == (own, agreed)


def test_letters_and_words_agree_only_exactly():
    options = ["A. bed", "B. tv"]
    lettered = row_of("object_rel_distance", "A", ("bin", "bed", "tv"), options)
    chain = "From the bin, the bed is 4.2 away, the tv is 3.3 away."
    assert agrees(f"{chain} The answer is B.", lettered) and not agrees(f"{chain} The answer is A.", lettered)


def test_agreement_is_a_share_of_chains_that_conclude_something():
    chain = "<think>The bin is 0.8 by 0.5 by 0.4 meters.</think>"
    texts = [f"{chain} <answer>80</answer>", f"{chain} <answer>300</answer>", "<think>x</think> <answer>80</answer>"]
    rows = [{**SIZE, "prediction": text} for text in texts]
    assert agreement([*rows, rows[0]]) == (75.0, pytest.approx(200 / 3))
    assert math.isnan(agreement(rows[2:])[1]) and agreement(rows[2:])[0] == 0
    with pytest.raises(ValueError, match="no rows"):
        agreement([])


# -- levels ------------------------------------------------------------------------------------------------------------


def test_questions_are_dealt_in_turn_and_single_ones_to_every_other_room():
    rows = [
        {"scene_name": scene, "question_type": kind, "id": f"{scene}{kind}{i}"}
        for scene in "abc"
        for kind, count in (("size", 1), ("distance", 4))
        for i in range(count)
    ]
    first, second = halves(rows)
    assert [row["id"] for row in first if row["question_type"] == "size"] == ["asize0", "csize0"]
    assert [row["id"] for row in second if row["question_type"] == "size"] == ["bsize0"]
    assert [row["id"] for row in first if row["scene_name"] == "a"] == ["asize0", "adistance0", "adistance2"]
    assert sorted(row["id"] for row in (*first, *second)) == sorted(row["id"] for row in rows)


@pytest.fixture
def few_rooms(monkeypatch):
    from vsr_kit.recipes import levels

    monkeypatch.setattr(levels, "ROOMS", 3)
    monkeypatch.setattr(levels, "SHIFTED_ROOMS", 2)
    levels._filmed.cache_clear()
    yield levels
    levels._filmed.cache_clear()


def test_the_sets_change_one_thing_each(few_rooms):
    sets = {name: make() for name, make in MAKERS.items()}
    for name, made in sets.items():
        assert made.name == name and made.rows and {r["scene_name"] for r in made.rows} <= set(made.clips)
    trained, seen = ({(r["scene_name"], r["question"]) for r in sets[name].rows} for name in (TRAIN_SET, SEEN_SET))
    assert not trained & seen and {room for room, _ in seen} <= {room for room, _ in trained}
    assert {r["phrasing"] for r in sets["shift-wording"].rows} == {"vsi-bench"}
    assert all({r["phrasing"] for r in own.rows} == {"vsi-100k"} for n, own in sets.items() if n != "shift-wording")
    rooms = split_rooms(2, "test")
    plain = make_rows(rooms, "vsi-100k", types=TRAINED_TYPES, max_per_type=1, rules=STUDY_RULES)
    apart = [
        {(r["scene_name"], *r["objects"]): float(r["ground_truth"]) for r in rows if r["question_type"] == ABS}
        for rows in (plain, sets["shift-closest"].rows, sets["shift-wording"].rows)
    ]
    pairs = set.intersection(*map(set, apart))
    assert pairs and all(apart[1][pair] < apart[0][pair] == apart[2][pair] for pair in pairs)
    assert {len(clip) for clip in sets["shift-sweep"].clips.values()} == {FRAMES}
    own = film(rooms[0], clear=False).frames_FHW3
    assert np.array_equal(sets["shift-wording"].clips[rooms[0].name], own)
    assert not np.array_equal(sets["shift-crowded"].clips[rooms[0].name], own)


def test_a_crowded_room_keeps_what_stood_there_and_nothing_meets():
    for room in split_rooms(6, "test"):
        fuller = crowded(room, 6)
        assert fuller.boxes[: len(room.boxes)] == room.boxes and fuller == crowded(room, 6)
        more = [box.category for box in fuller.boxes[len(room.boxes) :]]
        assert len(set(more)) == len(more) <= 6 and not set(more) & set(room.counts)
        around = [(*box.plan().min(0), *box.plan().max(0)) for box in fuller.boxes]
        for i, a in enumerate(around):
            assert all(a[0] > b[2] or b[0] > a[2] or a[1] > b[3] or b[1] > a[3] for b in around[:i])
    assert any(len(crowded(room, 6).boxes) == len(room.boxes) + 6 for room in split_rooms(6, "test"))
    with pytest.raises(ValueError, match="only procedural rooms are filled further"):
        crowded(replace(room, dataset="scannet"), 6)


def test_the_shorter_walk_is_the_first_half_of_the_whole():
    room = split_rooms(1, "test")[0]
    whole, half = film(room, 15, clear=False).path, shorter_walk(room).path
    assert np.allclose(half.positions_m_F3, whole.positions_m_F3[:8]) and np.allclose(
        half.yaw_deg_F, whole.yaw_deg_F[:8]
    )
    assert np.array_equal(shorter_walk(room).frames_FHW3[0], film(room, clear=False).frames_FHW3[0])


# -- measures ----------------------------------------------------------------------------------------------------------


def counted(right, n=10):
    """Counting questions of which the first `right` are answered rightly."""
    return [
        {
            **{"dataset": "procedural", "id": i, "scene_name": f"room {i // 2}", "objects": ["tv"]},
            **{"question_type": "object_counting", "question": "How many?", "options": None, "ground_truth": "20"},
            "prediction": f"I see one in the north. The answer is {20 if i < right else 1}.",
        }
        for i in range(n)
    ]


class Told:
    """Evidence of made-up runs: by variant and question set, how many of ten questions each run has right."""

    def __init__(self, right):
        self.right = right

    def trained(self, of, clip="own", questions=None, mode=None):
        return [score(counted(own), "lenient") for own in self.right[of, questions]]

    def trained_texts(self, of, questions=None, mode=None):
        assert mode == "think"
        return [counted(own) for own in self.right[of, questions]]

    def texts(self, mode, questions, model="base", **how):
        assert mode == "think"
        return counted(self.right[model, questions][0])


def test_what_a_variant_keeps_away_from_home_is_held_against_another():
    right = {("g", "home"): [8, 9], ("g", "far"): [7, 8], ("g", "farther"): [7, 6]}
    right |= {("s", "home"): [9, 9], ("s", "far"): [6, 5], ("s", "farther"): [4, 3]}
    found = keeps_more("more", "g", "s", "home", ("far", "farther"))(Told(right))["more"]
    # changes of g: -1, -2 of ten; of s: -4, -5; mean difference 3 of ten
    assert found.mean == pytest.approx(30.0) and found.seeds == (2, 2) and (found.n, found.rooms) == (20, 5)
    reach = 4.303 * 10 * (0.5 / 2 + 0.5 / 2) ** 0.5  # two degrees of freedom, variances of 0.5 from two runs a side
    assert found.student == pytest.approx((30 - reach, 30 + reach), abs=0.01)
    assert (found.low, found.high) == found.student


def test_two_sides_are_compared_as_welch_does():
    scipy = pytest.importorskip("scipy.stats")
    a, b = [3.0, 5.0, 7.0, 4.0], [1.0, 1.5, 2.5]
    band = scipy.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    found = two_sides(a, b, 7, {("procedural", "x")})
    assert found.student == pytest.approx((band.low, band.high)) and found.mean == pytest.approx(4.75 - 5 / 3)
    one = two_sides([2.0], a, 7, {("procedural", "x")})
    own = scipy.ttest_1samp(a, 2.0).confidence_interval(0.95)
    away = (own.high - own.low) / 2  # of the mean of a from 2, whose own side has no variance
    assert one.mean == -2.75 and one.student == pytest.approx((-2.75 - away, -2.75 + away))
    assert two_sides([1.0, 1.0], [0.0], 1, {("procedural", "x")}).student == (1.0, 1.0)
    with pytest.raises(ValueError, match="1 value has no spread"):
        two_sides([1.0], [0.0], 1, set())
    with pytest.raises(ValueError, match="every run must have a finite number"):
        two_sides([1.0, math.nan], [0.0], 1, set())


def test_agreement_is_compared_between_runs_and_with_the_base():
    # the chain lists one: an answer of 1 agrees with it, and those are the wrong ones
    told = Told({("care", BENCH_SET): [2, 4], ("none", BENCH_SET): [7, 7], ("base", BENCH_SET): [5]})
    found = agree_more("more", "care", "none")(told)
    assert found["more"].mean == pytest.approx(40.0) and found["more_concluding"].mean == 0
    against_base = agree_more("more", "base", "none")(told)["more"]
    assert against_base.mean == pytest.approx(20.0) and against_base.seeds == (1, 2)


@pytest.mark.parametrize("claim", seed_bench_r1.CLAIMS, ids=lambda claim: claim.name)
def test_every_rule_can_come_out_three_ways(claim):
    name = {"care-raises-agreement": "care_minus_none", "grpo-leads-more-farther-off": "lead_growth"}.get(claim.name)
    name = name or ("base_minus_grpo" if "loosens" in claim.name else "grpo_minus_sft")

    def finding(low, high):
        return {name: Interval(0.0, -9.0, 9.0, 1, 1, (3, 3), (low, high))}

    assert claim.decide(finding(1.0, 2.0)) == REPRODUCED
    assert claim.decide(finding(-2.0, -1.0)) == NOT_REPRODUCED
    assert claim.decide(finding(-1.0, 1.0)) == UNDECIDED


# -- the file ----------------------------------------------------------------------------------------------------------


def test_the_recipe_says_what_was_published_and_changes_one_thing():
    assert seed_bench_r1.PAPER_LEVEL_3 == {"base": 31.6, "SFT": 38.2, "GRPO": 44.9}
    agree = seed_bench_r1.PAPER_CONSISTENCY
    assert (agree["GRPO"], agree["GRPO-CARE"]) == (57.9, pytest.approx(82.4))
    variants = {v.name: v for v in seed_bench_r1.VARIANTS}
    assert {v.group for v in variants.values()} == {seed_bench_r1.RECIPE.name} and list(variants) == [
        "levels-grpo",
        "levels-supervised",
        "levels-then-grpo",
        "care",
    ]
    own, control = settings_of(variants["care"]), settings_of(recipes.variant("kl-0"))
    assert {name for name in own.keys() | control.keys() if own.get(name) != control.get(name)} == {
        "group",
        "rewards",
        "reference",
    }
    grpo, sft = (settings_of(variants[name]) for name in ("levels-grpo", "levels-supervised"))
    assert {name for name in grpo if grpo[name] != sft[name]} == {"method"}
    assert [questions for questions, *_ in variants["levels-grpo"].asked] == list(IN_WORDS)
    assert set(MAKERS) - set(IN_WORDS) == {TRAIN_SET}


def test_a_run_that_goes_on_with_another_comes_after_it():
    first, after = Variant("first", "g"), Variant("aaa-after", "g", starts_from="first")
    extra = recipes.add(Recipe("order", "", variants=(after, first)))
    try:
        names = [unit.name for unit in plan(["g"])[1:]]
        assert names == [*(f"first-seed{i}" for i in (1, 2, 3)), *(f"aaa-after-seed{i}" for i in (1, 2, 3))]
    finally:
        recipes.remove(extra)


@pytest.mark.slow
def test_the_command_trains_it(tmp_path, monkeypatch):
    monkeypatch.setenv("VSR_RUNS", str(tmp_path))
    words = ["train", "--recipe", "seed-bench-r1", "--rooms", "2", "--per-room", "1", "--steps", "2"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (config,) = tmp_path.rglob("*-care/config.json")
    told = json.loads(config.read_text())["config"]
    assert told["reference"]["decay"] == DECAY and "consistency_bonus" in str(told["rewards"])
    assert all(
        "rewards/consistency_bonus/mean" in r for r in RunFolder.open(config.parent).read_metrics() if "loss" in r
    )
