"""The shipped study is what it says: clean commits, one checkpoint, the settings of its variants, whole answers."""

import gzip
import json
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import pytest

from vsr_kit.claims.recipe import SEEDS
from vsr_kit.evaluation import score
from vsr_kit.files import read_lines as read_journal
from vsr_kit.paths import data_samples
from vsr_kit.recipes import RECIPES, base_conditions, model_of, tuning_variants
from vsr_kit.rooms import read_geometry
from vsr_kit.runs import RunFolder
from vsr_kit.runs.provenance import checkpoint_hash
from vsr_kit.study import (
    answers_path,
    pairs_path,
    question_sets,
    questions_path,
    read_lines,
    reference_runs,
    sampled_subset,
)
from vsr_kit.study.controls import ASKED_CONTROLS, real_conditions, real_set
from vsr_kit.study.labels import distance_pairs, read_pairs
from vsr_kit.study.real_rooms import REAL_SETS

GEOMETRY = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "arkitscenes_meta_info_val.json"
FOLDER = reference_runs()
ANSWERS = sorted((FOLDER / "answers").glob("*.gz"))
MADE = {entry["name"]: entry for entry in read_journal(FOLDER / "manifest.jsonl")}
# Recipes whose runs are here; of the others nothing has run yet.
RUN = {
    "vsgrpo",
    "kit-questions",
    "vision-r1",
    "openvlthinker-v2",
    "lr2bench",
    "sparc",
    "mm-eureka",
    "o1-embedder",
    "srpo",
    "crossthink",
    "all-roads",
    "nvlm",
}
# By variant: seeds whose runs are still to be made, always its last ones.
NOT_YET: dict[str, tuple[int, ...]] = {}
STARTED = [recipe for recipe in RECIPES if recipe.name in RUN]
VARIANTS = [v for recipe in STARTED for v in recipe.variants]
MADE_SEEDS = [(v, seed) for v in VARIANTS for seed in v.seeds if seed not in NOT_YET.get(v.name, ())]
RUNS = {v.run_name(seed): v for v, seed in MADE_SEEDS}  # all of them: a bad seed cannot be left out
CHECKPOINTS = {"mini": "mini-qwen2-vl", "mini-cold-start": "mini-cold-start"}
TUNING = [
    {**row, "folder": "discarded" if "discarded" in row else ""}
    for row in json.loads((FOLDER / "tuning.json").read_text(encoding="utf-8"))
]
FOLDERS = {"answers", "questions", "labels", "tuning"}
GRIDS = tuning_variants()


def test_what_is_still_to_run_is_the_last_seeds_of_a_variant():
    seeds = {v.name: v.seeds for v in VARIANTS}
    for name, still in NOT_YET.items():
        assert still and still == seeds[name][-len(still) :], name


def test_a_recipe_of_which_nothing_has_run_has_nothing_here():
    assert len(STARTED) == len(RUN)
    waiting = {v.run_name(seed) for r in RECIPES if r not in STARTED for v in r.variants for seed in v.seeds}
    assert not waiting & {path.name for path in FOLDER.iterdir()}


def test_every_file_of_answers_is_in_the_manifest_once_and_the_other_way_round():
    assert {path.name.removesuffix(".jsonl.gz") for path in ANSWERS} == set(MADE)
    assert len(read_journal(FOLDER / "manifest.jsonl")) == len(MADE)


def test_every_variant_and_seed_was_asked_everything():
    asked = {condition.name for v, seed in MADE_SEEDS for condition in v.conditions(seed)}
    asked |= {condition.name for condition in base_conditions(recipe.name for recipe in STARTED)}
    assert asked <= set(MADE)
    real = {question_sets.ARKITSCENES, *REAL_SETS, *(known.name for known in ASKED_CONTROLS)}
    untrained = {condition.name for condition in base_conditions()}  # asked before a recipe's runs are made
    assert {name.split("--")[0] for name in set(MADE) - asked - untrained} <= real


def test_whoever_was_asked_about_a_real_room_was_asked_everything_and_no_seed_was_picked():
    """Every set that is there was asked of the base and of the same first seeds, with every clip it is asked with."""
    asked = {
        c: name
        for dataset in ("arkitscenes", "scannetpp")
        for name in ("base", *(f"grpo-vanilla-seed{seed}" for seed in SEEDS))
        for c in real_conditions(dataset, name)
        if c.questions != question_sets.ARKITSCENES
    }
    there = {c: model for c, model in asked.items() if c.name in MADE}
    models = list(dict.fromkeys(asked.values()))
    whole = {(c.questions, c.clip): [m for m in models if replace(c, model=m) in there] for c in there}
    assert all(found == models[: len(found)] for found in whole.values())
    assert len({len(found) for found in whole.values()}) <= 1 and min(map(len, whole.values()), default=4) >= 4
    assert len({MADE[c.name]["git"]["commit"] for c in there}) <= 1  # controls and rule were written down there already


def test_controls_ask_the_questions_that_they_change():
    kept = {path.name.removesuffix(".jsonl.gz") for path in (FOLDER / "questions").iterdir()}
    assert kept <= {entry["questions"] for entry in MADE.values()}
    for name in kept & set(REAL_SETS):
        assert {row["rules"] for row in read_lines(questions_path(name, FOLDER))} == {"benchmark"}
    for known in (known for known in ASKED_CONTROLS if known.name in kept):
        rows = {row["id"]: row for row in read_lines(questions_path(known.of, FOLDER))}
        changed = read_lines(questions_path(known.name, FOLDER))
        assert {row["id"] for row in changed} <= rows.keys()
        assert all(row["question_type"] == rows[row["id"]]["question_type"] for row in changed)


def test_answers_come_from_a_clean_commit_and_the_shipped_checkpoint():
    for name, entry in MADE.items():
        assert entry["git"]["dirty"] is False, name
        assert entry["base"]["sha256"] == shipped_hash(model_of(entry["model"])), name


@cache
def shipped_hash(model):
    return checkpoint_hash(data_samples(CHECKPOINTS[model]))


@pytest.mark.parametrize("path", ANSWERS, ids=lambda p: p.name.removesuffix(".jsonl.gz"))
def test_every_question_is_answered_once(path):
    name = path.name.removesuffix(".jsonl.gz")
    asked = read_lines(FOLDER / "questions" / f"{MADE[name]['questions']}.jsonl.gz")
    if MADE[name]["samples"]:
        asked = sampled_subset(asked)
    lines = read_lines(path)
    assert [line["id"] for line in lines] == [row["id"] for row in asked]
    assert {(len(line["said"]), len(line["cut"])) for line in lines} == {(MADE[name]["samples"] or 1,) * 2}


def test_every_model_that_answered_is_the_base_or_a_shipped_run():
    assert {entry["model"] for entry in MADE.values()} == {"base", "mini-cold-start", *RUNS}
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} - FOLDERS == set(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_has_the_settings_that_its_variant_names_and_went_to_its_last_step(name):
    run, variant = RunFolder.open(FOLDER / name), RUNS[name]
    wanted = {**asdict(variant.profile), **variant.trained_by.settings(), "questions": variant.questions}
    settings = run.config["config"]
    assert {key: settings[key] for key in wanted} == {
        k: list(v) if isinstance(v, tuple) else v for k, v in wanted.items()
    }
    assert run.name == name and name.endswith(f"-seed{run.seed}")
    assert run.versions["git"]["dirty"] is False
    assert not any(event.get("git", {}).get("dirty") for event in run.versions.get("attempts", []))
    assert run.versions["checkpoint"]["sha256"] == shipped_hash(variant.profile.model)
    headline = run.summary["headline"]
    assert headline["steps"] == variant.profile.steps and headline["stopped"] is None
    assert [row["step"] for row in run.read_metrics()] == list(range(1, variant.profile.steps + 1))


@pytest.mark.parametrize("tried", TUNING, ids=lambda row: f"{row['method']}-{row['learning_rate']}{row['folder']}")
def test_a_tuning_score_is_that_of_its_answers(tried):
    (tuned,) = (v for v in GRIDS if (v.tuned_as, v.profile.learning_rate) == (tried["method"], tried["learning_rate"]))
    (condition,) = tuned.conditions(tried["seed"])
    assert condition.mode == tried["mode"]
    folder = FOLDER / "tuning" / tried["folder"]
    questions = {row["id"]: row for row in read_lines(questions_path(condition.questions, FOLDER / "tuning"))}
    lines = read_lines(answers_path(condition, folder))
    table = score([{**questions[line["id"]], "prediction": line["said"][0]} for line in lines], "lenient")
    assert table.n == len(questions) == tried["questions"]
    assert 100 * table.trained == pytest.approx(tried["trained_tasks_percent"], abs=0.005)
    assert 100 * table.parse_rate == pytest.approx(tried["readable_percent"], abs=0.05)


def test_every_answer_of_the_tuning_is_scored_and_from_the_shipped_checkpoint():
    for folder in ("", "discarded"):
        made = read_journal(FOLDER / "tuning" / folder / "manifest.jsonl")
        names = [path.name for path in (FOLDER / "tuning" / folder / "answers").iterdir()]
        assert sorted(names) == sorted(f"{entry['name']}.jsonl.gz" for entry in made)
        assert len(names) == sum(row["folder"] == folder for row in TUNING)
        assert all(entry["base"]["sha256"] == shipped_hash(model_of(entry["model"])) for entry in made)
    test = {row["scene_name"] for row in read_lines(questions_path("test-vsi-bench", FOLDER))}
    for name in {recipe.tuned_on for recipe in RECIPES if recipe.tuned}:
        validation = {row["scene_name"] for row in read_lines(questions_path(name, FOLDER / "tuning"))}
        assert len(validation) > 100 and not validation & test


@pytest.mark.parametrize("dataset", ["arkitscenes", "scannetpp"])
def test_the_pairs_are_those_of_the_released_geometry(dataset):
    geometry = GEOMETRY.with_name(f"{dataset}_meta_info_val.json")
    if not geometry.exists():
        pytest.skip("the released geometry is not in this checkout")
    assert read_pairs(pairs_path(FOLDER, dataset)) == distance_pairs(read_geometry(geometry).rooms, touching="keep")


@pytest.fixture(scope="module")
def few_rooms():
    """The study's sets with the first 24 rooms of a split, each filmed once; more rooms only add to the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(question_sets, "ROOMS", dict.fromkeys(question_sets.ROOMS, 24))
        patch.setattr(question_sets, "TIMES_THE_ROOMS", {"order": 2})
        patch.setattr(question_sets, "film", cache(question_sets.film))
        yield


@pytest.mark.parametrize("name", ["test-vsi-bench", "test-vsi-100k", "test-held-out", "test-order"])
def test_the_kit_still_asks_the_study_its_questions_byte_for_byte(few_rooms, name):
    """Whatever rules are added: questions, truths, options, ids, and through what is seen the clips."""
    made = [json.dumps(row, ensure_ascii=False) for row in question_sets.make_set(name).rows]
    rooms = {room.name for room in question_sets.split_rooms(48 if name == "test-order" else 24, "test")}
    with gzip.open(questions_path(name, FOLDER), "rt", encoding="utf-8", newline="") as stream:
        shipped = [line for line in stream.read().split("\n") if line and json.loads(line)["scene_name"] in rooms]
    assert made == shipped
    assert len(shipped) > (0 if name == "test-order" else 40)


@pytest.mark.slow
def test_the_kit_still_asks_the_study_about_its_real_rooms_byte_for_byte():
    if not GEOMETRY.exists():
        pytest.skip("the released geometry is not in this checkout")
    made = question_sets.make_set(question_sets.ARKITSCENES, GEOMETRY).rows
    with gzip.open(questions_path(question_sets.ARKITSCENES, FOLDER), "rt", encoding="utf-8", newline="") as stream:
        assert "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made) == stream.read()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*REAL_SETS, "scannetpp-on-the-floor", "scannetpp-known-words"])
def test_questions_about_real_rooms_are_asked_again_byte_for_byte(name):
    geometry = tuple(GEOMETRY.with_name(f"{dataset}_meta_info_val.json") for dataset in ("arkitscenes", "scannetpp"))
    if not all(path.exists() for path in geometry):
        pytest.skip("the released geometry is not in this checkout")
    if not questions_path(name, FOLDER).exists():
        pytest.skip("it was not asked yet")
    with gzip.open(questions_path(name, FOLDER), "rt", encoding="utf-8", newline="") as stream:
        shipped = stream.read()
    made = real_set(name, geometry)
    assert "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made.rows) == shipped
