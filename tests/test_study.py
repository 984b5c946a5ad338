"""The study: what is shown and asked, answers that come back as written, and variants fixed before they ran."""

import gzip
import json
from collections import Counter
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from vsr_kit.claims.recipe import (
    BENCH_SET,
    HELD_OUT_SET,
    ORDER_SET,
    SAMPLES,
    SEEDS,
    THREE_SEEDS,
    TUNING_SEED,
    WATCHED,
    WORDS_SET,
    Condition,
)
from vsr_kit.evaluation import wrong_clip_pairing
from vsr_kit.evaluation.predictions import CLIPS, mismatched_clips, shown_clips
from vsr_kit.files import append_lines
from vsr_kit.generation import Generation
from vsr_kit.questions import NUMERIC_TYPES, TRAINED_TYPES
from vsr_kit.recipes import (
    CLAIMS,
    LEARNING_RATES,
    RECIPES,
    VARIANTS,
    base_conditions,
    kit_questions,
    tuning_variants,
    untrained_pass,
    variant,
    vsgrpo,
)
from vsr_kit.recipes.vsgrpo import TUNED
from vsr_kit.study import (
    QuestionSet,
    answers_path,
    conditions,
    question_sets,
    read_answers,
    read_lines,
    reference_runs,
    save_questions,
    write_lines,
)
from vsr_kit.training.methods import GRPO, make_method
from vsr_kit.training.profiles import PROFILES


def filmed(*names) -> QuestionSet:
    return QuestionSet("q", [], {name: np.full((1, 2, 2, 3), i, np.uint8) for i, name in enumerate(names)})


def test_a_condition_shows_its_own_clip_another_rooms_or_none():
    questions = filmed("x", "a", "m", "b")
    assert shown_clips(questions.clips, "own") is questions.clips
    assert shown_clips(questions.clips, "none") is None
    shown, pairs = shown_clips(questions.clips, "wrong"), wrong_clip_pairing("abmx")
    assert {scene: clip.max() for scene, clip in shown.items()} == {
        scene: questions.clips[other].max() for scene, other in pairs.items()
    }
    for scene, clip in mismatched_clips(questions.clips).items():  # what `vsr eval` shows
        assert np.array_equal(clip, shown[scene])
    assert Condition("q").clip in CLIPS


@pytest.mark.parametrize(
    "names, which, words", [("ab", "others", "'others': choose one of own, wrong, none"), ("a", "wrong", "got 1")]
)
def test_a_clip_that_cannot_be_shown_is_an_error(names, which, words):
    with pytest.raises(ValueError, match=words):
        shown_clips(filmed(*names).clips, which)


def test_answers_with_any_line_break_come_back(tmp_path):
    said = ["3\u2028or\u20294", "\x85\x0b\x0c", "a\r\nb"]
    rows = [{"id": str(i), "question": "How many\u2028chairs?"} for i in range(len(said))]
    save_questions(QuestionSet("q", rows, {}), tmp_path)
    lines = [{"id": row["id"], "said": [text], "cut": [False]} for row, text in zip(rows, said, strict=True)]
    write_lines(answers_path(Condition("q"), tmp_path), lines)
    read = read_answers(Condition("q"), tmp_path)
    assert [row["prediction"] for row in read] == said
    assert read[0]["question"] == "How many\u2028chairs?"


def test_the_manifest_names_no_place_on_the_machine_that_ran_it(tmp_path):
    loaded = SimpleNamespace(description=f"mini, adapter {tmp_path}/grpo-vanilla-seed1/adapter")
    conditions._note(tmp_path, {"questions": "some"}, loaded)
    (line,) = (tmp_path / "manifest.jsonl").read_text().splitlines()
    assert json.loads(line)["loaded"] == "mini, adapter grpo-vanilla-seed1/adapter"
    assert str(tmp_path) not in line


def test_the_same_lines_are_the_same_bytes(tmp_path, monkeypatch):
    lines = [{"id": "a", "said": ["3\u2028m"], "cut": [False]}, {"id": "b", "said": ["ä"], "cut": [True]}]
    for name, now in (("one", 1e9), ("two", 1.7e9)):
        monkeypatch.setattr("time.time", lambda now=now: now)  # what gzip would write into a header
        write_lines(tmp_path / name / "x.jsonl.gz", lines)
    one, two = (tmp_path / name / "x.jsonl.gz" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert gzip.decompress(one.read_bytes()).decode().count("\n") == 2
    assert read_lines(one) == lines
    assert [path.name for path in one.parent.iterdir()] == ["x.jsonl.gz"]  # nothing is left beside it


def test_answers_that_are_not_there_are_named_with_what_is(tmp_path):
    write_lines(answers_path(Condition("q"), tmp_path), [])
    with pytest.raises(FileNotFoundError, match="no answers r--base.* holds q--base--vanilla--greedy--own$"):
        read_answers(Condition("r"), tmp_path)


def test_a_condition_is_asked_once_as_it_says(tmp_path, monkeypatch):
    given, told = [], []

    def generate(loaded, rows, clips, mode, prompt_set, **how):
        given.append((loaded, [row["id"] for row in rows], clips, mode, prompt_set, how))
        return [[Generation(f"{row['id']}!", 2, False)] * how["num_samples"] for row in rows]

    monkeypatch.setattr("vsr_kit.generation.generate", generate)
    made = {"token_cap": conditions.TOKEN_CAP, "base": conditions.base_identity()}

    def note(folder, entry, loaded):
        told.append(entry["name"])
        append_lines(folder / "manifest.jsonl", [entry | made])

    monkeypatch.setattr(conditions, "_note", note)
    rows = [{"id": str(i), "question_type": "ab"[i % 2]} for i in range(2 * conditions.SAMPLED_PER_TYPE + 4)]
    questions = QuestionSet("q", rows, {"room": np.zeros((1, 2, 2, 3), np.uint8)})
    save_questions(questions, tmp_path)
    greedy, sampled = Condition("q", "a-seed1", "think"), Condition("q", mode="think", samples=3, clip="none")
    for condition in (greedy, sampled, greedy, sampled):
        path = conditions.answer(condition, questions, "a model", tmp_path, log=lambda line: None)
        assert path == answers_path(condition, tmp_path) and path.exists()
    assert told == ["q--a-seed1--think--greedy--own", "q--base--think--sampled3--none"]  # each once
    how = {"max_new_tokens": conditions.TOKEN_CAP, "seed": 17}
    all_ids, fewer = [row["id"] for row in rows], [row["id"] for row in conditions.sampled_subset(rows)]
    assert len(fewer) == 2 * conditions.SAMPLED_PER_TYPE < len(all_ids)
    assert given == [
        ("a model", all_ids, questions.clips, "think", "eval", how | {"temperature": 0.0, "num_samples": 1}),
        ("a model", fewer, None, "think", "eval", how | {"temperature": 1.0, "num_samples": 3}),
    ]
    assert [row["prediction"] for row in read_answers(greedy, tmp_path)] == [f"{i}!" for i in all_ids]


# -- question sets -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made():
    """made(name) -> the question set of a few rooms, filmed once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(question_sets, "ROOMS", {"train": 4, "val": 3, "test": 3})
        patch.setattr(question_sets, "TIMES_THE_ROOMS", {"order": 2})
        yield cache(question_sets.make_set)


@pytest.mark.parametrize("kind", question_sets.KINDS)
def test_every_kind_of_set_asks_its_types_about_its_splits_rooms(made, kind):
    phrasing, types, _ = question_sets.KINDS[kind]
    split = "train" if kind in ("closest", "letters", "vsi-100k", "multi-step-words") else "test"
    questions = made(f"{split}-{kind}")
    assert questions.name == f"{split}-{kind}" and questions.rows
    kinds = {row["question_type"] for row in questions.rows}
    assert kinds <= set(types) and {row["scene_name"] for row in questions.rows} <= questions.clips.keys()
    least = set(types) if kind.startswith(("multi-step", "puzzles")) else {"object_counting", "object_abs_distance"}
    assert kinds >= least or kind in ("held-out", "order")
    assert all(scene.startswith(f"{split}-0-") for scene in questions.clips)
    assert {row["phrasing"] for row in questions.rows} == {phrasing} or kind == "letters"
    most = Counter((row["scene_name"], row["question_type"]) for row in questions.rows)
    assert max(most.values()) == question_sets.PER_TYPE_AND_ROOM


def test_held_out_types_are_those_that_nobody_trains(made):
    assert set(question_sets.HELD_OUT_TYPES) == {"route_planning", "obj_appearance_order"}
    assert "route_planning" in {row["question_type"] for row in made("test-held-out").rows}


def test_appearance_order_is_asked_about_more_rooms_of_which_only_those_it_asks_about_are_kept(made):
    questions = made("test-order")
    assert {row["question_type"] for row in questions.rows} == {"obj_appearance_order"}
    assert {row["scene_name"] for row in questions.rows} == questions.clips.keys()
    assert max(questions.clips) > max(made("test-vsi-bench").clips)


def test_letters_offer_options_for_words_and_change_nothing_else(made):
    words, letters = made("train-vsi-100k").rows, made("train-letters").rows
    assert [row["question"] for row in words] == [row["question"] for row in letters]
    lettered = 0
    for word, letter in zip(words, letters, strict=True):
        if word["question_type"] in NUMERIC_TYPES:
            assert letter == word
        else:
            lettered += 1
            (right,) = [option for option in letter["options"] if option.startswith(letter["ground_truth"] + ". ")]
            assert right.partition(". ")[2] == word["ground_truth"] and len(letter["options"]) >= 2
    assert lettered > 4


def test_closest_asks_the_same_questions_with_other_distances(made):
    centre, closest = made("train-vsi-100k").rows, made("train-closest").rows

    def truths(rows, kinds):
        return {(r["scene_name"], r["question"]): r["ground_truth"] for r in rows if r["question_type"] in kinds}

    asked = {"object_abs_distance"}
    by_centre, by_closest = truths(centre, asked), truths(closest, asked)
    both = by_centre.keys() & by_closest.keys()
    assert len(both) > len(by_centre) / 2
    assert all(float(by_closest[key]) <= float(by_centre[key]) for key in both)
    assert sum(float(by_closest[key]) < float(by_centre[key]) for key in both) > len(both) / 2
    others = set(TRAINED_TYPES) - asked - {"object_rel_distance"}
    assert truths(centre, others) == truths(closest, others)


@pytest.mark.parametrize("name", ["test-nothing", "every-vsi-bench", "test", "", question_sets.ARKITSCENES])
def test_a_set_that_is_not_there_is_an_error_that_names_what_is(name):
    with pytest.raises(ValueError) as error:
        question_sets.make_set(name)
    words = str(error.value)
    assert f"no question set {name!r}" in words and question_sets.ARKITSCENES in words
    assert all(each in words for each in (*question_sets.ROOMS, *question_sets.KINDS))


def test_a_named_geometry_is_asked_about(monkeypatch):
    read = []
    rooms = [replace(room, dataset="arkitscenes") for room in question_sets.split_rooms(1, "test")]
    monkeypatch.setattr(
        question_sets, "read_geometry", lambda *given: read.append(given) or SimpleNamespace(rooms=rooms)
    )
    questions = question_sets.make_set(question_sets.ARKITSCENES, "some.json")
    assert (questions.name, read) == (question_sets.ARKITSCENES, [("some.json", "roomy")])
    assert {row["scene_name"] for row in questions.rows} == {rooms[0].name}
    assert all("rules" not in row for row in questions.rows)  # the study's rows are older than the field
    new = question_sets.make_set("arkitscenes-benchmark", "some.json")
    assert read[1:] == [("some.json", "labelled")] and {row["rules"] for row in new.rows} == {"benchmark"}
    with pytest.raises(ValueError, match="some.json holds rooms of 'arkitscenes'.*another data set"):
        question_sets.make_set("scannetpp-benchmark", "some.json")


# -- variants ----------------------------------------------------------------------------------------------------------

STUDY = (*vsgrpo.VARIANTS, *kit_questions.VARIANTS)  # about vsGRPO; other recipes' tests are beside their recipes
GRIDS = {name: rate for recipe in RECIPES for name, rate in recipe.tuned.items()}


def test_variants_have_names_groups_and_seeds():
    names = [v.name for v in (*VARIANTS, *tuning_variants())]
    assert len(set(names)) == len(names)
    assert [variant(name).name for name in names] == names
    with pytest.raises(ValueError, match="no variant is called 'nonsense': there are grpo-vanilla, sft, "):
        variant("nonsense")
    for known in STUDY:
        assert known.seeds == (SEEDS if known.group == "headline" else THREE_SEEDS)
    for known in VARIANTS:
        first = 11 if known.group == "kl-elsewhere" else 1  # which are none of the seeds that were seen before its rule
        assert known.seeds == tuple(range(first, first + len(known.seeds))) and len(known.seeds) >= 3
    assert (len(SEEDS), len(THREE_SEEDS)) == (5, 3) and set(THREE_SEEDS) < set(SEEDS)
    runs = [v.run_name(seed) for v in (*VARIANTS, *tuning_variants()) for seed in v.seeds]
    assert not any(a != b and a.endswith(f"-{b}") for a in runs for b in runs)  # run folders are found by `*-name`


def test_every_claims_evidence_is_a_variant():
    known = {v.name for v in VARIANTS}
    assert {name for claim in CLAIMS for name in claim.needs} <= known
    unused = known - {name for claim in CLAIMS for name in claim.needs}
    assert unused == {
        "dpo-lower-rate",
        "reward-relative",
        "reward-exact",
        "kl-1e-3",
        "kl-1e-2",
        "kl-1e-1",
        "sft-seconds",
        "sft-tokens",
        "dpo-seconds",
        "dpo-tokens",
        "vr1-three-stages",
        "vr1-long-many",
        "chains-places-only",
        "mammoth-30",
        "mammoth-50",
    }  # drawn beside the claims, part of no rule


def tuning(discarded=False) -> list[dict]:
    rows = json.loads((reference_runs() / "tuning.json").read_text())
    return [row for row in rows if ("discarded" in row) == discarded]


def test_the_whole_grid_was_tried_and_the_best_was_taken():
    tried = {(row["method"], row["learning_rate"]): row["trained_tasks_percent"] for row in tuning()}
    assert len(tuning()) == len(tried) == 21
    assert tried.keys() == {(method, rate) for method in GRIDS for rate in LEARNING_RATES}
    for method, rate in GRIDS.items():
        assert tried[method, rate] == max(tried[method, other] for other in LEARNING_RATES), method
    assert {row["seed"] for row in tuning()} == {TUNING_SEED} and {row["steps"] for row in tuning()} == {120}
    assert {v.tuned_as for v in VARIANTS} == GRIDS.keys()
    assert PROFILES["mini"].learning_rate == TUNED["grpo-vanilla"]


def test_budgets_cost_what_grpo_costs():
    rows = {row["method"]: row for row in tuning() if row["learning_rate"] == TUNED.get(row["method"])}
    (first,) = (row for row in tuning(discarded=True) if row["learning_rate"] == 2.5e-4)
    assert first["tokens"] == rows["dpo-corrupted"]["tokens"] and first["method"] == "dpo-corrupted"
    rows["dpo-corrupted"] = first  # seconds compare within one sitting alone
    steps = PROFILES["mini"].steps / 120

    def seconds(method, steps):
        return rows[method]["preparation_seconds"] + rows[method]["training_seconds"] * steps

    for name, method in (("sft", "sft"), ("dpo", "dpo-corrupted")):
        budget = variant(f"{name}-seconds").profile.steps / 120
        assert seconds(method, budget) == pytest.approx(seconds("grpo-vanilla", steps), rel=0.01)
        budget = variant(f"{name}-tokens").profile.steps / 120
        assert rows[method]["tokens"] * budget == pytest.approx(rows["grpo-vanilla"]["tokens"] * steps, rel=0.01)
        assert variant(f"{name}-tokens").trained_by == variant(f"{name}-seconds").trained_by == make_method(method)


def test_a_variants_profile_has_the_tuned_rate_and_its_own_changes():
    mini = PROFILES["mini"]
    for known in STUDY:
        assert known.profile == replace(mini, **({"learning_rate": TUNED[known.tuned_as]} | known.changes))
    assert variant("grpo-observe").profile.learning_rate == 2.5e-4 != mini.learning_rate
    assert variant("kl-1e-1").profile.beta == 0.1 and variant("grpo-think").profile.beta == mini.beta
    assert 0 < variant("kl-0").profile.beta <= 1e-12
    assert variant("kl-0-long").profile == replace(variant("kl-0").profile, steps=3 * mini.steps)
    assert variant("dpo-lower-rate").profile.learning_rate == sorted(LEARNING_RATES)[-2] < TUNED["dpo-corrupted"]
    changed = replace(variant("sft"), changes={"learning_rate": 0.5})
    assert changed.profile.learning_rate == 0.5


def test_what_has_tags_is_watched():
    assert variant("length").trained_by == GRPO("think", ("length",), WATCHED)
    assert variant("grpo-observe").trained_by == GRPO("observe", (), WATCHED)
    assert variant("grpo-vanilla").trained_by == GRPO("vanilla")
    for known in VARIANTS:
        if known.trained_by.name == "grpo":
            assert known.trained_by.reward_funcs(known.profile.numeric)  # every name is known
        own = {name for recipe in RECIPES for name in recipe.question_sets}
        assert known.questions in {"train-vsi-100k", "train-closest", "train-letters", "train-puzzles"} | own


def test_tuning_has_a_seed_and_rooms_of_its_own():
    tuned = tuning_variants()
    assert len(tuned) == len(GRIDS) * len(LEARNING_RATES)
    asked = {name: recipe.tuned_on for recipe in RECIPES for name in recipe.tuned}
    assert not {seed for v in VARIANTS for seed in v.seeds} & {TUNING_SEED}
    for known in tuned:
        assert known.seeds == (TUNING_SEED,) and known.group == "tuning"
        assert f"tuning-{known.tuned_as}-{known.profile.learning_rate:g}" == known.name
        assert known.profile.steps == PROFILES["mini"].steps / 2
        assert [c.questions for c in known.conditions(TUNING_SEED)] == [asked[known.tuned_as]]
        first = next(v for v in VARIANTS if v.tuned_as == known.tuned_as)
        assert known.trained_by == first.trained_by and known.asked[0][1] == known.mode == first.mode


def test_no_two_conditions_share_a_file():
    runs = [c for v in (*VARIANTS, *tuning_variants()) for seed in v.seeds for c in v.conditions(seed)]
    names = [c.name for c in (*base_conditions(), *runs)]
    assert len(set(names)) == len(names)
    validation = {"val-vsi-bench", "val-vsi-100k"}
    own = {name for recipe in RECIPES for name in recipe.question_sets} | {"test-multi-step", "test-puzzles"}
    own -= {known.questions for known in VARIANTS}  # which are trained on
    assert {c.questions for c in runs} == {BENCH_SET, WORDS_SET, HELD_OUT_SET, ORDER_SET} | validation | own


def test_every_model_is_asked_the_test_questions_in_its_own_mode():
    for known in STUDY:
        assert known.asked[0] == (BENCH_SET, known.mode, "own")
    assert all(known.asked[0] == (known.test_set, known.mode, "own") for known in VARIANTS)
    recipes = ("vsgrpo", "kit-questions")
    greedy = [c for c in base_conditions(recipes) if c.questions == BENCH_SET and not c.samples]
    assert {(c.mode, c.clip) for c in greedy} == {
        ("vanilla", "own"),
        ("think", "own"),
        ("observe", "own"),
        ("vanilla", "wrong"),
        ("vanilla", "none"),
    }
    assert {(c.mode, c.samples) for c in base_conditions() if c.samples} == {
        (mode, SAMPLES) for mode in ("vanilla", "think", "observe")
    }


def test_a_gain_is_counted_from_the_untrained_model_that_a_variant_begins_with():
    assert {untrained_pass(known.name) for known in STUDY} == {Condition(BENCH_SET)}
    thinks = {"cap": variant("vr1-full").cap, "prompt_set": "train"}
    assert untrained_pass("vr1-full") == Condition(WORDS_SET, "mini-cold-start", **thinks)
    assert untrained_pass("vr1-zero") == Condition(WORDS_SET, **thinks)
    assert untrained_pass("chains-50") == Condition("test-places", "mini-cold-start", **thinks)
    asked = {c for recipe in RECIPES for c in recipe.base}
    assert all(untrained_pass(known.name) in asked for known in VARIANTS)
