"""Every claim is measured on what it names, from a small study with every variant; and the tables beside it."""

import json
import math
import re
from dataclasses import replace

import pytest
import torch
from transformers import TrainerControl, TrainerState
from typer.testing import CliRunner

from tests.test_study_answers import NOT_HERE, PER_ROOM, ROOMS, write_study
from vsr_kit import claims, recipes
from vsr_kit import study as results
from vsr_kit.claims.measures import number_broke
from vsr_kit.claims.recipe import SEEDS, WATCHED, Condition
from vsr_kit.cli import app
from vsr_kit.files import append_lines
from vsr_kit.recipes import base_conditions, variant
from vsr_kit.study import (
    answers,
    answers_path,
    comparisons,
    pairs_path,
    questions_path,
    read_lines,
    summary,
    write_lines,
)
from vsr_kit.study.evidence import Evidence
from vsr_kit.study.labels import DistancePair, write_pairs
from vsr_kit.study.reach import Reach
from vsr_kit.training.callbacks import StopWhenBroken

# by set, the type of each of a room's questions
FOUR = ["object_counting", "object_abs_distance", "object_rel_distance", "object_rel_direction_easy"]
TYPES = {"test-held-out": ["route_planning"] * 4, "test-order": ["obj_appearance_order"] * 4}


def rows(name):
    types = TYPES.get(name, FOUR)
    numeric = [kind in ("object_counting", "object_abs_distance") for kind in types]
    return [
        {
            "id": f"{name}/{room}/{i}",
            "dataset": "procedural",
            "scene_name": f"room-{room}",
            "question_type": types[i],
            "question": f"What about room {room}?",
            "options": None if numeric[i] else ["A. 1", "B. 2", "C. 3"],
            "ground_truth": str(2 + (room + i) % 3) if numeric[i] else "ABC"[(room + i) % 3],
            "phrasing": name.removeprefix("test-"),
        }
        for room in range(ROOMS)
        for i in range(PER_ROOM)
    ]


def say(folder, condition, right):
    """Write answers of which every row with `right(index)` is the truth and all others are far off."""
    asked = read_lines(questions_path(condition.questions, folder))
    truths = [row["ground_truth"] if condition.mode == "vanilla" else f"It is {row['ground_truth']}." for row in asked]
    far_off = ["9" if condition.mode == "vanilla" else "Well. " * (i % 3) + "9" for i in range(len(truths))]
    said = [truth if right(i) else far_off[i] for i, truth in enumerate(truths)]
    lines = [{"id": row["id"], "said": [text], "cut": [False]} for row, text in zip(asked, said, strict=True)]
    write_lines(answers_path(condition, folder), lines)


# rooms of twelve about which all answers are right; every other answer is wrong
RIGHT = {"grpo-vanilla": 9, "sft": 6, "dpo-corrupted": 4, "dpo-rollouts": 8, "grpo-think": 7, "grpo-observe": 5}
RIGHT |= {"labels-closest": 10, "labels-letters": 11, "reward-mra": 12}
RIGHT_OTHERWISE = 6
A_ROOM = 100 / ROOMS


def first_rooms(count):
    return lambda i: i // PER_ROOM < count


def write_run(folder, of, seed, logs=None, **headline):
    """A run's folder: its log, 40 steps of no interest unless given, and its summary."""
    run = folder / variant(of).run_name(seed)
    run.mkdir(exist_ok=True)
    for path in run.glob("*"):
        path.unlink()
    (run / "config.json").write_text(json.dumps({"name": run.name, "seed": seed, "started": "", "config": {}}))
    append_lines(run / "metrics.jsonl", logs or steps([1.0] * 40))
    told = {"questions": 1920, "tokens": 1000.0, "training seconds": 50.0, "preparation seconds": 5.0}
    (run / "summary.json").write_text(json.dumps({"headline": {**told, "stopped": None, **headline}}))


def steps(form, accuracy=None, **detectors):
    """Rows of a log: format and accuracy, and detectors' shares, step by step."""
    curves = {"format_reward": form, "accuracy_reward": accuracy or [0.5] * len(form)}
    curves |= {name: [0.0] * len(form) for name in WATCHED} | detectors
    named = {f"rewards/{name}/mean": values for name, values in curves.items()}
    return [{"step": i + 1, **{name: values[i] for name, values in named.items()}} for i in range(len(form))]


# The study that is made up here answers and logs what the claims of these recipes look at.
KNOWN = recipes.RECIPES[:4]
CLAIMS = tuple(known for recipe in KNOWN for known in recipe.claims)
VARIANTS = tuple(known for recipe in KNOWN for known in recipe.variants)


@pytest.fixture(scope="module", autouse=True)
def known_recipes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes, "RECIPES", KNOWN)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study folder with the answers and the logs of everything."""
    folder = tmp_path_factory.mktemp("whole")
    runs = [c for known in VARIANTS for seed in known.seeds for c in known.conditions(seed)]
    for name in sorted({c.questions for c in (*base_conditions(), *runs)}):
        write_lines(questions_path(name, folder), rows(name))
        write_lines(questions_path(name.replace("test", "train"), folder), rows(name))
    for condition in base_conditions():
        if not condition.samples:
            count = {"vanilla": 3, "think": 2, "observe": 1}[condition.mode] if condition.clip == "own" else 2
            say(folder, condition, first_rooms(count))
    for known in VARIANTS:
        for seed in known.seeds:
            words = [0.0] * 60 + [1.0] * 60  # a completion, step by step: none in a first stage of 60 steps, then one
            logs = steps([1.0] * 120, thinking_words=words) if known.name == "vr1-full" else None
            write_run(folder, known.name, seed, logs)
            for condition in known.conditions(seed):
                right = RIGHT.get(known.name, RIGHT_OTHERWISE) if condition.clip == "own" else 4
                say(folder, condition, first_rooms(right))
    pairs = [DistancePair(f"room-{i}", "bed", "lamp", 1.0, 2.0) for i in range(5)]
    (folder / "labels").mkdir()
    write_pairs(pairs_path(folder), [*pairs, DistancePair("room-0", "bed", "rug", 0.0, 0.0)])
    return folder


@pytest.fixture
def study(tmp_path):
    """The base, asked in three modes, and GRPO's runs; nothing else."""
    return write_study(tmp_path)


def test_every_claim_is_measured_and_judged_by_its_own_names(whole):
    assert {known.name for known in CLAIMS if known.measure is None} == set(NOT_HERE)
    found = results.verdicts(whole)
    assert list(found) == [known.name for known in CLAIMS]
    for name, verdict in found.items():
        assert verdict.verdict == recipes.claim(name).decide(verdict.found)
    assert {verdict.verdict for verdict in found.values()} <= set(claims.VERDICTS)


@pytest.mark.parametrize(
    "name, wanted",
    [
        ("cot-prompts-do-not-help", {"think": -1, "observe": -2}),
        ("grpo-lifts", {"grpo_minus_base": 6}),
        ("grpo-teaches-looking", {"gap_growth": (9 - 4) - (3 - 2)}),
        ("grpo-beats-sft", {"grpo_minus_sft": 3}),
        ("sft-beats-dpo", {"sft_minus_dpo": 2}),
        ("corrupted-answers-hold-dpo-back", {"rollout_pairs_minus_corrupted": 4}),
        ("vanilla-beats-chains", {"vanilla_minus_think": 2, "vanilla_minus_observe": 4}),
        ("chains-win-on-direction", {"think_minus_vanilla": -2, "observe_minus_vanilla": -4}),
        ("route-planning-improves", {"route_planning": 6}),
        ("appearance-order-does-not", {"appearance_order": 6}),
        ("closest-labels-help", {"closest_minus_centre": 1}),
        ("words-or-letters", {"letters_minus_words": 2}),
        ("metric-as-reward-helps", {"mra_minus_paper": 3}),
    ],
)
def test_a_difference_is_of_the_answers_that_its_claim_names(whole, name, wanted):
    found = recipes.claim(name).measure(Evidence(whole))
    assert {key: band.mean for key, band in found.items()} == {k: pytest.approx(v * A_ROOM) for k, v in wanted.items()}
    asked = {"route-planning-improves": 48, "appearance-order-does-not": 48}
    one_task = {"chains-win-on-direction", "closest-labels-help", "words-or-letters"}
    assert {band.n for band in found.values()} == {12 if name in one_task else asked.get(name, 48)}


@pytest.mark.parametrize(
    "name, of", [(known.name, of) for known in CLAIMS for of in known.needs], ids=lambda value: value
)
def test_a_claim_without_its_runs_is_not_judged(whole, monkeypatch, name, of):
    real = answers.answered
    monkeypatch.setattr(
        "vsr_kit.study.answers.answered", lambda c, folder: not c.model.startswith(f"{of}-seed") and real(c, folder)
    )
    finished = answers.finished_runs
    monkeypatch.setattr(
        "vsr_kit.study.answers.finished_runs", lambda folder, which: which != of and finished(folder, which)
    )
    with pytest.raises(FileNotFoundError, match=f"holds no (answers|runs) of {of}; vsr reproduce makes them"):
        results.verdict(name, whole)


def test_claims_that_cannot_be_judged_are_left_out(whole, monkeypatch):
    monkeypatch.setattr("vsr_kit.study.answers.answered", lambda condition, folder: False)
    monkeypatch.setattr("vsr_kit.study.answers.finished_runs", lambda folder, of: ())
    named = {known.name for known in CLAIMS if known.needs}
    assert named and not named & results.verdicts(whole).keys()


def test_perfect_centre_answers_are_scored_on_pairs_that_do_not_touch(whole):
    band = results.verdict("centre-labels-cap-distance", whole).found["perfect_centre_answers"]
    assert (band.n, band.rooms, band.mean) == (5, 5, 0.0)  # 2 m for 1 m; the touching pair would have earned
    assert str(results.verdict("centre-labels-cap-distance", whole)).startswith(
        "perfect centre answers: 0.0 % (0.0 to 0.0; 5 pairs,"
    )


# -- counts of runs ----------------------------------------------------------------------------------------------------

UP, FALLEN = [1.0] * 60, [1.0] * 30 + [0.1] * 30
DIPPED = [1.0] * 25 + [0.0] * 15 + [1.0] * 20


@pytest.fixture
def some(whole, monkeypatch):
    """some(variant, {seed: (logs, headline)}) writes other logs for a while."""
    touched = []

    def write(of, logs, **headline):
        for seed, own in logs.items():
            touched.append((of, seed))
            write_run(whole, of, seed, own, **headline)
        return whole

    yield write
    for of, seed in touched:
        write_run(whole, of, seed)


@pytest.mark.parametrize(
    "at_0, at_1e_4, wanted",
    [
        ([steps(FALLEN), steps(UP, FALLEN), steps(DIPPED)], [steps(UP)] * 3, (2, 0, claims.REPRODUCED)),
        ([steps(FALLEN)] * 3, [steps(UP, FALLEN)] * 3, (3, 3, claims.NOT_REPRODUCED)),
        ([steps(FALLEN), steps(UP), steps(UP)], [steps(UP)] * 3, (1, 0, claims.SOME_RUNS)),
        ([steps(DIPPED)] * 3, [steps(FALLEN)] * 3, (0, 3, claims.NOT_REPRODUCED)),
    ],
)
def test_collapses_are_counted(some, at_0, at_1e_4, wanted):
    some("kl-0", dict(enumerate(at_0, 1)))
    folder = some("grpo-think", dict(enumerate(at_1e_4, 1)))
    verdict = results.verdict("kl-prevents-collapse", folder)
    counts = verdict.found["collapsed_at_0"], verdict.found["collapsed_at_1e-4"]
    assert (*(count.k for count in counts), verdict.verdict) == wanted
    assert {count.of for count in counts} == {3}
    assert f"collapsed at 0: {wanted[0]} of 3 runs\ncollapsed at 1e-4: {wanted[1]} of 3 runs\n" in str(verdict)


def test_a_run_that_stopped_collapsed_and_counts_once(some):
    some("kl-0", {1: steps(UP[:5])}, stopped="loss is nan, not finite at step 5")
    folder = some("kl-0", {2: steps(FALLEN)})
    assert recipes.claim("kl-prevents-collapse").measure(Evidence(folder))["collapsed_at_0"] == claims.Count(2, 3)
    folder = some("kl-0", {1: steps(FALLEN)}, stopped="loss is nan, not finite at step 60")
    assert recipes.claim("kl-prevents-collapse").measure(Evidence(folder))["collapsed_at_0"] == claims.Count(2, 3)


def test_what_counts_as_stopped_by_a_broken_number_is_what_the_watch_says():
    """A KL that is finite and stays high ends a run as well; its rule does not call that a collapse."""
    said = []
    for logs in ({"loss": math.nan}, {"loss": 0.0, "kl": math.inf}, {"loss": 0.0, "kl": 30.0}):
        watch, state, model = StopWhenBroken(patience=1), TrainerState(), torch.nn.Linear(1, 1)
        watch.on_step_begin(None, state, TrainerControl(), model=model)
        watch.on_log(None, state, TrainerControl(), logs=logs, model=model)
        said.append(watch.reason)
    assert all(said) and [number_broke({"stopped": reason}) for reason in said] == [True, True, False]
    assert not number_broke({"stopped": None})


def test_a_run_that_was_stopped_for_a_high_kl_is_judged_by_its_curves(some):
    folder = some("kl-0", {1: steps(UP)}, stopped="kl is 25 nats a token, for 3 lines in a row above 20 at step 60")
    assert recipes.claim("kl-prevents-collapse").measure(Evidence(folder))["collapsed_at_0"] == claims.Count(0, 3)


def test_longer_runs_are_judged_by_themselves(some):
    some("kl-0", {1: steps(FALLEN), 2: steps(FALLEN), 3: steps(FALLEN)})
    folder = some("kl-0-long", {1: steps(UP), 2: steps(DIPPED), 3: steps(FALLEN)})
    verdict = results.verdict("longer-without-kl-collapses", folder)
    assert (verdict.found["collapsed_at_0_in_720_steps"], verdict.verdict) == (claims.Count(1, 3), claims.SOME_RUNS)


def late(share, before=0.0):
    """A detector that marks that share of the rollouts of the last 20 of 40 steps."""
    return [before] * 20 + [share] * 20


@pytest.mark.parametrize(
    "name, of, detector, finding, other",
    [
        ("thoughts-become-empty", "grpo-think", "empty_thought", "runs_with_empty_thoughts", "repeated_tags"),
        ("length-reward-is-gamed", "length", "repeated_tags", "runs_with_repeated_tags", "empty_thought"),
    ],
)
def test_a_habit_is_a_runs_if_half_its_last_rollouts_show_it(some, name, of, detector, finding, other):
    shares = {1: late(0.5), 2: late(0.49, before=1.0), 3: late(0.0)}
    folder = some(of, {seed: steps([1.0] * 40, **{detector: own}) for seed, own in shares.items()})
    verdict = results.verdict(name, folder)
    assert (verdict.found[finding], verdict.verdict) == (claims.Count(1, 3), claims.SOME_RUNS)
    folder = some(of, {2: steps([1.0] * 40, **{other: late(1.0)}), 3: steps([1.0] * 40, **{detector: late(0.9)})})
    verdict = results.verdict(name, folder)
    assert (verdict.found[finding], verdict.verdict) == (claims.Count(2, 3), claims.REPRODUCED)


def test_padding_with_words_is_counted_beside_repeated_tags(some):
    folder = some("length", {2: steps([1.0] * 40, repeated_words=late(0.6))})
    found = recipes.claim("length-reward-is-gamed").measure(Evidence(folder))
    assert found == {"runs_with_repeated_tags": claims.Count(0, 3), "runs_padded_with_words": claims.Count(1, 3)}


@pytest.mark.parametrize("detector", ["empty_thought", "repeated_tags", "repeated_words"])
def test_thoughts_are_kept_where_less_than_a_tenth_is_spoilt(some, detector):
    shares = {1: late(0.1), 2: late(0.09, before=1.0), 3: late(0.0)}
    folder = some("thought", {seed: steps([1.0] * 40, **{detector: own}) for seed, own in shares.items()})
    verdict = results.verdict("thought-reward-is-not-gamed", folder)
    assert (verdict.found["runs_that_keep_thoughts"], verdict.verdict) == (claims.Count(2, 3), claims.REPRODUCED)


@pytest.mark.parametrize("logs", [steps([1.0] * 19), [{"step": i} for i in range(40)]], ids=["short", "no detector"])
def test_a_log_that_lacks_its_detectors_is_no_evidence(some, logs):
    folder = some("thought", {2: logs})
    with pytest.raises(ValueError, match="empty_thought/mean and the claim looks at the last 20: train with it"):
        results.verdict("thought-reward-is-not-gamed", folder)


# -- what limits a verdict ---------------------------------------------------------------------------------------------


def test_fewer_runs_than_asked_for_make_a_verdict_preliminary(whole, monkeypatch):
    full = results.verdict("grpo-beats-sft", whole)
    assert full.runs == {"grpo-vanilla": (5, 5), "sft": (5, 5)} and not full.missing
    assert "preliminary" not in full.words
    real = answers.answered
    monkeypatch.setattr(
        "vsr_kit.study.answers.answered",
        lambda c, folder: not c.model.endswith(("-seed2", "-seed5")) and real(c, folder),
    )
    part = results.verdict("grpo-beats-sft", whole)
    assert part.missing == "3 of 5 runs of grpo-vanilla, 3 of 5 runs of sft"
    assert f": {part.verdict.upper()} on the miniature" in str(part)
    assert str(part).endswith(f", 12 procedural rooms, 3 seeds; {part.limits}")
    assert part.limits == f"asked was {part.claim.only}; preliminary: {part.missing}"
    assert f", 12 procedural rooms, 3 seeds; {part.limits} |" in summary.ledger(whole)
    finished = answers.finished_runs
    monkeypatch.setattr("vsr_kit.study.judge.finished_runs", lambda folder, of: finished(folder, of)[:2])
    other = results.verdict("thoughts-become-empty", whole)  # judged by logs: its runs count once they are trained
    assert (other.runs, other.missing) == ({"grpo-think": (2, 3)}, "2 of 3 runs of grpo-think")


def test_runs_are_found_whatever_their_seeds_and_counted_in_order(whole):
    others = [c for seed in (10, 9) for c in variant("sft").conditions(seed)]
    for condition in others:
        say(whole, condition, first_rooms(6))
    found = answers.trained_runs(whole, "sft")
    verdict = results.verdict("grpo-beats-sft", whole)
    for condition in others:
        answers_path(condition, whole).unlink()
    assert found == (*(f"sft-seed{seed}" for seed in SEEDS), "sft-seed9", "sft-seed10")
    assert verdict.runs["sft"] == (7, 5) and not verdict.missing and "5 and 7 seeds)" in str(verdict)
    assert answers.trained_runs(whole, "sft") == found[:5]


def test_seeds_that_disagree_make_students_interval_say_otherwise(whole):
    """One of three seeds far above the others: the bootstrap never falls below zero, Student's interval does."""
    on = [Condition("test-vsi-bench", f"dpo-rollouts-seed{seed}") for seed in (1, 2, 3)]
    for condition, right in zip(on, (6, 7, 12), strict=True):
        say(whole, condition, first_rooms(right))
    found = results.verdict("corrupted-answers-hold-dpo-back", whole)
    for condition in on:
        say(whole, condition, first_rooms(RIGHT["dpo-rollouts"]))
    band = found.found["rollout_pairs_minus_corrupted"]
    assert band.student[0] < 0 < band.low and found.by_student == claims.UNDECIDED
    assert f"; Student's {band.student[0]:+.1f} to" in str(found)
    assert found.limits == "by Student's intervals undecided" and found.words.endswith(f"; {found.limits}")


def test_a_rule_made_for_students_interval_says_where_the_bootstraps_would_differ(whole):
    """The same three seeds, judged by either interval: each verdict tells what the other one would say."""
    on = [Condition("test-vsi-bench", f"dpo-rollouts-seed{seed}") for seed in (1, 2, 3)]
    for condition, right in zip(on, (6, 7, 12), strict=True):
        say(whole, condition, first_rooms(right))
    known = recipes.claim("corrupted-answers-hold-dpo-back")
    found = known.measure(Evidence(whole))
    for condition in on:
        say(whole, condition, first_rooms(RIGHT["dpo-rollouts"]))
    new = replace(known, decide=claims.gain(*found, by="student"), rule=claims.GAIN_BY_STUDENT)
    old, told = (results.Verdict(claim, found, claim.decide(found)) for claim in (known, new))
    assert (old.verdict, old.by_student, old.by_bootstrap) == (claims.REPRODUCED, claims.UNDECIDED, claims.REPRODUCED)
    assert (told.verdict, told.by_student, told.by_bootstrap) == (
        claims.UNDECIDED,
        claims.UNDECIDED,
        claims.REPRODUCED,
    )
    assert told.limits == "by the bootstrap's intervals reproduced"
    assert old.limits == "by Student's intervals undecided"


def test_the_line_of_a_difference_names_the_seeds_of_both_sides(whole):
    assert "3 and 5 seeds)" in str(results.verdict("corrupted-answers-hold-dpo-back", whole))
    assert "48 questions, 12 procedural rooms, 5 seeds)" in str(results.verdict("grpo-beats-sft", whole))
    assert "48 questions, 12 procedural rooms)" in str(results.verdict("cot-prompts-do-not-help", whole))


def rising(at, of=100):
    """From 0 to 1 within a few steps after step `at`."""
    return [0.0] * at + [1.0] * (of - at)


def test_format_is_built_in_learnt_first_or_not(some):
    chains = ("grpo-think", "grpo-observe")
    at_once = steps([0.96] * 100, rising(50))
    for of in chains:
        folder = some(of, dict.fromkeys((1, 2, 3), at_once))
    found = results.verdict("format-first", folder)
    assert (found.found["format_from_the_start"], found.verdict) == (claims.Count(6, 6), claims.BUILT_IN)
    first = steps(rising(20), rising(80))
    together = steps(rising(40), rising(50))
    never = steps([0.0] * 100, rising(50))
    folder = some("grpo-think", {1: first, 2: first, 3: together})
    folder = some("grpo-observe", {1: first, 2: first, 3: never})
    found = results.verdict("format-first", folder)
    assert (found.found["format_first"], found.verdict) == (claims.Count(4, 6), claims.REPRODUCED)
    assert found.found["format_from_the_start"] == claims.Count(0, 6)
    folder = some("grpo-think", dict.fromkeys((1, 2, 3), together))
    assert results.verdict("format-first", folder).verdict == claims.SOME_RUNS


# -- variants side by side ---------------------------------------------------------------------------------------------


def test_variants_are_compared_in_the_order_asked_for(whole, monkeypatch):
    names = ("sft", "grpo-think", "grpo-vanilla")
    found = comparisons.variant_scores(names, whole)
    assert list(found) == list(names)
    assert {name: band["overall"].mean for name, band in found.items()} == {
        name: pytest.approx(RIGHT[name] * A_ROOM) for name in names
    }
    assert found["sft"]["overall"].seeds == (5,) and found["grpo-think"]["overall"].seeds == (3,)
    gains = comparisons.gains(names, whole)
    assert {name: band["overall"].mean for name, band in gains.items()} == {
        name: pytest.approx((RIGHT[name] - 3) * A_ROOM) for name in names
    }
    real = answers.answered
    monkeypatch.setattr("vsr_kit.study.answers.answered", lambda c, folder: "sft" not in c.model and real(c, folder))
    assert list(comparisons.variant_scores(names, whole)) == list(names[1:])
    assert list(comparisons.gains(names, whole)) == list(comparisons.run_costs(names, whole)) == list(names[1:])


def test_a_mode_of_their_own_or_the_one_asked_for(whole):
    own = comparisons.variant_scores(["grpo-think"], whole)["grpo-think"]["overall"]
    say(whole, Condition("test-vsi-bench", "grpo-think-seed1", "vanilla"), first_rooms(1))
    found = comparisons.variant_scores(["grpo-think"], whole, mode="vanilla")["grpo-think"]["overall"]
    say(whole, Condition("test-vsi-bench", "grpo-think-seed1", "vanilla"), first_rooms(7))
    assert own.mean == pytest.approx(7 * A_ROOM) and found.mean == pytest.approx((1 + 7 + 7) / 3 * A_ROOM)
    order = comparisons.variant_scores(["grpo-vanilla"], whole, questions="test-order")["grpo-vanilla"]
    assert order["obj_appearance_order"].mean == pytest.approx(9 * A_ROOM)


def test_a_variants_cost_is_the_mean_of_its_runs(some):
    for seed in (1, 2, 3):
        numbers = {"questions": 100 * seed, "tokens": 10.0 * seed, "training seconds": 1.0 * seed}
        folder = some("dpo-rollouts", {seed: None}, **numbers, **{"preparation seconds": 30.0})
    (found,) = comparisons.run_costs(["dpo-rollouts"], folder).values()
    assert found == comparisons.RunCost(questions=200, tokens=20, seconds=32)
    assert comparisons.run_costs([], folder) == {}


def test_each_run_has_a_gain_and_a_repetition_is_held_against_them(tmp_path, whole):
    write_study(tmp_path, trained=first_rooms(5))  # the base has a quarter: three rooms' worth
    assert comparisons.seed_gains("grpo-vanilla", tmp_path) == pytest.approx([2 * A_ROOM] * 5)
    for seed, right in zip(SEEDS, (8, 9, 10, 9, 9), strict=True):
        say(tmp_path, Condition("test-vsi-bench", f"grpo-vanilla-seed{seed}"), first_rooms(right))
    assert comparisons.seed_gains("grpo-vanilla", tmp_path) == pytest.approx([r * A_ROOM for r in (5, 6, 7, 6, 6)])
    assert comparisons.repeated(whole, tmp_path).keys() == {"grpo-vanilla"}  # there is nothing else to hold it against
    own, expected = comparisons.repeated(whole, tmp_path)["grpo-vanilla"]
    assert own == pytest.approx(6 * A_ROOM) and expected.holds(own)
    assert (expected.mean, expected.runs, expected.new_runs) == (pytest.approx(6 * A_ROOM), 5, 5)
    spread = A_ROOM * 0.5**0.5
    assert expected.high - expected.mean == pytest.approx(2.776445 * spread * (2 / 5) ** 0.5, rel=1e-5)
    for path in (tmp_path / "answers").glob("*grpo-vanilla-seed[2-5]--*"):
        path.unlink()
    assert comparisons.repeated(whole, tmp_path) == {}  # one run has no spread
    own, expected = comparisons.repeated(tmp_path, whole)["grpo-vanilla"]
    assert expected.new_runs == 1 and own == pytest.approx(5 * A_ROOM) and not expected.holds(own)


# -- told --------------------------------------------------------------------------------------------------------------


def test_the_summary_is_a_table_of_what_is_there(whole, study):
    lines = summary.study_summary(whole).split("\n")
    assert lines[0].startswith("| the miniature (3.3M parameters), 12 procedural rooms | six trained tasks, % |")
    assert lines[2] == "| base, vanilla prompt | 25.0 | " + lines[2].split(" | ")[2]
    names = [line.split(" | ")[0].strip("| ") for line in lines[2:]]
    assert names[3:6] == [
        "**GRPO, vanilla prompt**, 5 seeds",
        "SFT on the answers, 5 seeds",
        "DPO, corrupted answers, 5 seeds",
    ]
    assert names[6:9] == [
        "DPO, the base's best and worst rollouts, 3 seeds",
        "GRPO, think prompt, 3 seeds",
        "GRPO, observe prompt, 3 seeds",
    ]
    assert "| SFT on the answers, 5 seeds | 50.0 | " in "\n".join(lines) and len(lines) == 2 + 3 + 6 + 3
    fewer = summary.study_summary(study)
    assert "GRPO, vanilla prompt" in fewer and "SFT" not in fewer and len(fewer.split("\n")) == 2 + 3 + 1 + 3


def test_the_ledger_has_every_claim_run_or_not(whole, study):
    lines = summary.ledger(whole).split("\n")
    assert len(lines) == 2 + len(CLAIMS) and all(line.count(" | ") == 2 for line in lines[2:])
    assert lines[3].startswith("| `grpo-lifts`: GRPO with vanilla prompts lifts")
    assert "| grpo minus base: +50.0 points (" in lines[3] and "| **reproduced on the miniature (3.3M" in lines[3]
    assert lines[3].endswith("**, 12 procedural rooms, 5 seeds; asked was whether it gains at all, not by how much |")
    assert "think: -8.3 points" in lines[2] and "; observe: -16.7 points" in lines[2]
    assert sum("it takes " in line and "**not testable here on the miniature" in line for line in lines) == 3
    assert not any("not run yet" in line for line in lines)
    missing = [line for line in summary.ledger(study).split("\n") if "|  | not run yet on " in line]
    assert len(missing) == len(CLAIMS) - 3 - 3 and any("`grpo-beats-sft`" in line for line in missing)


def test_claims_without_runs_are_listed_with_what_would_make_them(study):
    done = CliRunner().invoke(app, ["claims", "--study", str(study)])
    assert done.exit_code == 0, done.output
    said = done.output
    assert "grpo-lifts: REPRODUCED on the miniature" in said and "grpo minus base: +75.0 points" in said
    assert "grpo-beats-sft: NOT RUN YET on the miniature (3.3M parameters), procedural rooms\n" in said
    assert "    run it with: vsr reproduce --only grpo-beats-sft\n" in said
    assert "small-model-beats-gpt-4o: NOT TESTABLE HERE on the miniature" in said
    assert "    it takes: Qwen2-VL-2B" in said
    assert said.count("NOT RUN YET") == len(CLAIMS) - 6
    assert said.count("run it with: vsr reproduce --only") == len(CLAIMS) - 6
    told = json.loads(CliRunner().invoke(app, ["claims", "--study", str(study), "--json"]).output)
    assert told["grpo-lifts"]["verdict"] == "reproduced" and told["grpo-lifts"]["preliminary"] is False
    assert told["grpo-lifts"]["by_student"] == "reproduced" and told["grpo-lifts"]["runs"] == {"grpo-vanilla": [5, 5]}
    assert (told["grpo-beats-sft"]["verdict"], told["grpo-beats-sft"]["found"]) == ("not run yet", {})
    assert told.keys() == {known.name for known in CLAIMS}
    assert told["grpo-lifts"]["found"]["grpo_minus_base"]["mean"] == pytest.approx(75)
    assert told["grpo-lifts"]["needs"] == ["grpo-vanilla"]


# -- how far a verdict reaches -----------------------------------------------------------------------------------------

MODEL = r"on (the miniature( after its cold start)? \(3\.3M parameters\)|geometry alone)"
ROOMS_OF = r"\d* ?(procedural|ARKitScenes) rooms"


COLD = "the miniature after its cold start (3.3M parameters)"
BOTH = f"the miniature (3.3M parameters) and {COLD}"


def names_both(text):
    """Whether a text says which model and which rooms a verdict speaks of, the model first."""
    return re.search(f"{MODEL}.*{ROOMS_OF}", text) is not None


def test_no_verdict_is_told_without_its_model_and_rooms(whole, study):
    for folder in (whole, study):
        found = results.verdicts(folder)
        for line in summary.ledger(folder).split("\n")[2:]:
            assert names_both(line.replace("**", "").split(" | ")[-1]), line
        for verdict in found.values():
            assert names_both(verdict.words) and names_both(str(verdict).split("\n")[-1])
            assert verdict.words.startswith(verdict.verdict)
        said = CliRunner().invoke(app, ["claims", "--study", str(folder)]).output.split("\n")
        heads = [line for line in said if line.partition(":")[0] in {known.name for known in CLAIMS}]
        assert len(heads) == len(CLAIMS) and all(map(names_both, heads))
        told = json.loads(CliRunner().invoke(app, ["claims", "--study", str(folder), "--json"]).output)
        for name, record in told.items():
            assert names_both("on " + record["words"].partition(" on ")[2])
            assert record["words"].startswith(record["verdict"])
            assert record["reach"].keys() == {"model", "rooms", "runs"} and all(list(record["reach"].values())[:2])
            assert record["only"] == recipes.claim(name).only


@pytest.mark.parametrize(
    "name, reach",
    [
        ("cot-prompts-do-not-help", ("the miniature (3.3M parameters)", "12 procedural rooms", "")),
        ("grpo-lifts", ("the miniature (3.3M parameters)", "12 procedural rooms", "5 seeds")),
        ("vanilla-beats-chains", ("the miniature (3.3M parameters)", "12 procedural rooms", "5 and 3 seeds")),
        ("kl-prevents-collapse", ("the miniature (3.3M parameters)", "trained on 400 procedural rooms", "3 runs each")),
        ("thoughts-become-empty", ("the miniature (3.3M parameters)", "trained on 400 procedural rooms", "3 runs")),
        ("centre-labels-cap-distance", ("geometry alone", "5 ARKitScenes rooms", "")),
        ("hard-reward-beats-sum", (COLD, "12 procedural rooms", "5 and 3 seeds")),
        ("cold-start-is-needed", (BOTH, "12 procedural rooms", "5 and 3 seeds")),
        ("grounding-decides", (COLD, "12 procedural rooms", "3 seeds")),
        ("seven-billion-near-72b", ("the miniature (3.3M parameters)", "procedural rooms", "")),
    ],
)
def test_the_reach_is_what_was_measured(whole, name, reach):
    assert results.verdict(name, whole).reach == Reach(*reach)


def test_rooms_of_other_sets_are_called_by_their_sets_names(study):
    path = questions_path("test-vsi-bench", study)
    write_lines(path, [row | {"dataset": "scannetpp"} for row in read_lines(path)])
    found = results.verdict("grpo-lifts", study)
    assert found.words.startswith("reproduced on the miniature (3.3M parameters), 12 ScanNet++ rooms, 5 seeds;")
    assert "12 ScanNet++ rooms, 5 seeds)" in str(found)


def test_where_a_claim_says_more_than_its_rule_asks_the_verdict_says_what_was_asked(whole):
    sized = {known.name for known in recipes.vsgrpo.VSGRPO if re.search(r"\d\.\d", known.says) and not known.scale}
    assert sized and sized <= {known.name for known in CLAIMS if known.only}
    for known in CLAIMS:
        if known.only:
            assert f"; asked was {known.only}" in results.verdict(known.name, whole).words
