"""What has run of Vision-R1's study is what it says: whole passes, seeds in order, clean commits, own checkpoints."""

import json
from dataclasses import asdict

import pytest

from vsr_kit import recipes
from vsr_kit.claims.recipe import Condition
from vsr_kit.evaluation import score
from vsr_kit.files import read_lines as read_journal
from vsr_kit.paths import data_samples
from vsr_kit.recipes import vision_r1
from vsr_kit.runs import RunFolder
from vsr_kit.runs.provenance import checkpoint_hash
from vsr_kit.study import Study, answers_path, questions_path, read_lines

FOLDER = data_samples("vision_r1_runs")
MADE = {entry["name"]: entry for entry in read_journal(FOLDER / "manifest.jsonl")}
THERE = {path.name for path in FOLDER.iterdir() if "-seed" in path.name}
RUNS = {v.run_name(seed): v for v in vision_r1.VARIANTS for seed in v.seeds}
BEGUN = [v for v in vision_r1.VARIANTS if any(v.run_name(seed) in THERE for seed in v.seeds)]
TRIED = json.loads((FOLDER / "tuning.json").read_text(encoding="utf-8"))
CHECKPOINTS = {"mini": "mini-qwen2-vl", "mini-cold-start": "mini-cold-start"}


@pytest.fixture
def known():
    recipe = recipes.add(vision_r1.__file__)
    yield recipe
    recipes.remove(recipe)


def test_seeds_are_there_in_their_order_and_nothing_else():
    """A bad seed cannot be left out: a variant has its first seeds, up to all of them."""
    for variant in BEGUN:
        seeds = [seed for seed in variant.seeds if variant.run_name(seed) in THERE]
        assert tuple(seeds) == variant.seeds[: len(seeds)], variant.name
    assert RUNS.keys() >= THERE and BEGUN


def test_every_pass_of_what_is_there_was_made_once_and_nothing_else():
    asked = {c.name for name in THERE for c in RUNS[name].conditions(int(name.rpartition("-seed")[2]))}
    asked |= {c.name for c in vision_r1.BASE}
    assert asked == set(MADE) and len(read_journal(FOLDER / "manifest.jsonl")) == len(MADE)
    assert {path.name.removesuffix(".jsonl.gz") for path in (FOLDER / "answers").iterdir()} == asked


@pytest.mark.parametrize("name", MADE)
def test_every_question_was_answered_once_from_a_clean_commit(name):
    made = MADE[name]
    asked = read_lines(FOLDER / "questions" / f"{made['questions']}.jsonl.gz")
    lines = read_lines(FOLDER / "answers" / f"{name}.jsonl.gz")
    assert [line["id"] for line in lines] == [row["id"] for row in asked] and len(asked) == made["rows"]
    assert {(len(line["said"]), len(line["cut"])) for line in lines} == {(1, 1)}
    assert made["git"]["dirty"] is False
    of = RUNS[made["model"]].profile.model if made["model"] in RUNS else made["model"].replace("base", "mini")
    assert made["base"]["sha256"] == checkpoint_hash(data_samples(CHECKPOINTS[of]))


@pytest.mark.parametrize("name", sorted(THERE))
def test_a_run_has_its_variants_settings_and_went_to_its_last_step(name):
    run, variant = RunFolder.open(FOLDER / name), RUNS[name]
    wanted = {**asdict(variant.profile), **variant.trained_by.settings(), "questions": variant.questions}
    settings = run.config["config"]
    assert {key: settings[key] for key in wanted} == {
        k: list(v) if isinstance(v, tuple) else v for k, v in wanted.items()
    }
    assert run.versions["git"]["dirty"] is False and name.endswith(f"-seed{run.seed}")
    assert not any(event.get("git", {}).get("dirty") for event in run.versions.get("attempts", []))
    assert run.versions["checkpoint"]["sha256"] == checkpoint_hash(data_samples(CHECKPOINTS[variant.profile.model]))
    assert run.summary["headline"]["steps"] == variant.profile.steps and run.summary["headline"]["stopped"] is None
    assert [row["step"] for row in run.read_metrics()] == list(range(1, variant.profile.steps + 1))


def test_verdicts_speak_of_what_has_run_and_of_nothing_else(known):
    found = {name: one for name, one in Study(FOLDER).verdicts().items() if name in {c.name for c in known.claims}}
    whole = {v.name for v in BEGUN if all(v.run_name(seed) in THERE for seed in v.seeds)}
    testable = {c.name for c in known.claims if c.measure is not None and set(c.needs) <= whole}
    assert testable and testable == {name for name, one in found.items() if one.claim.measure and not one.missing}


def test_the_whole_grid_was_tried_on_validation_rooms_and_the_best_rate_was_taken():
    assert [row["learning_rate"] for row in TRIED] == list(recipes.LEARNING_RATES)
    assert {(row["method"], row["seed"], row["steps"]) for row in TRIED} == {("vr1-full", 0, recipes.TUNING_STEPS)}
    best = max(TRIED, key=lambda row: row["trained_tasks_percent"])
    assert {"vr1-full": best["learning_rate"]} == vision_r1.TUNED
    manifest = read_journal(FOLDER / "tuning" / "manifest.jsonl")
    assert len(manifest) == len(TRIED) and not any(entry["git"]["dirty"] for entry in manifest)


@pytest.mark.parametrize("rate", recipes.LEARNING_RATES)
def test_a_tuning_score_is_that_of_its_answers(rate):
    (row,) = (row for row in TRIED if row["learning_rate"] == rate)
    tuned = Condition("val-vsi-100k", f"tuning-vr1-full-{rate:g}-seed0", "think", **vision_r1.ASKED)
    questions = {own["id"]: own for own in read_lines(questions_path(tuned.questions, FOLDER / "tuning"))}
    lines = read_lines(answers_path(tuned, FOLDER / "tuning"))
    table = score([{**questions[line["id"]], "prediction": line["said"][0]} for line in lines], "lenient")
    assert table.n == len(questions) == row["questions"]
    assert 100 * table.trained == pytest.approx(row["trained_tasks_percent"], abs=0.005)
    assert 100 * table.parse_rate == pytest.approx(row["readable_percent"], abs=0.05)
    assert not {own["scene_name"] for own in questions.values()} & {
        own["scene_name"] for own in read_lines(questions_path(vision_r1.WORDS_SET, FOLDER))
    }
