"""Recipes: the kit's own in one list, and one from outside that trains, is asked, judged and drawn."""

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from vsr_kit import recipes
from vsr_kit.claims import Count
from vsr_kit.claims.recipe import Recipe, Variant
from vsr_kit.cli import app
from vsr_kit.pages.report import write_report
from vsr_kit.plots import training_curves
from vsr_kit.recipes import kit_questions, kl_elsewhere, vision_r1, vsgrpo
from vsr_kit.rewards import EXTRA_REWARDS, NUMERIC_REWARDS
from vsr_kit.runs import RunFolder
from vsr_kit.study import Study, runner, verdicts
from vsr_kit.study.question_sets import make_set
from vsr_kit.study.staleness import check_rows
from vsr_kit.training.methods import GRPO

TOY = Path(__file__).with_name("toy_recipe.py")


@contextmanager
def added():
    """The toy recipe, known as long as this lasts; it adds two rewards, which are forgotten with it."""
    before = dict(EXTRA_REWARDS), dict(NUMERIC_REWARDS)
    known = recipes.add(TOY)
    try:
        yield known
    finally:
        recipes.remove(known)
        for registry, names in zip((EXTRA_REWARDS, NUMERIC_REWARDS), before, strict=True):
            registry.clear()
            registry.update(names)


@pytest.fixture
def toy():
    with added() as known:
        yield known


def vsr(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_kits_recipes_are_a_list_of_files_and_nothing_else_names_them():
    names = [recipe.name for recipe in recipes.RECIPES]
    assert names[:4] == ["vsgrpo", "kit-questions", "vision-r1", "kl-elsewhere"] and len(set(names)) == len(names)
    assert recipes.recipes() == recipes.RECIPES
    first = tuple(module.RECIPE for module in (vsgrpo, kit_questions, vision_r1, kl_elsewhere))
    assert first == recipes.RECIPES[:4]
    files = {
        path.stem for path in Path(recipes.__file__).parent.glob("*.py") if "\nRECIPE = " in path.read_text("utf-8")
    }
    assert files == {name.replace("-", "_") for name in names}  # no recipe's file is left out
    for recipe in recipes.RECIPES:
        assert all(known.measure is None if known.scale else known.measure for known in recipe.claims)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A study of the toy alone, by the command that a stranger would give."""
    folder = tmp_path_factory.mktemp("toy") / "study"
    with added():
        vsr("reproduce", "--recipe", TOY, "--only", "toy", "--out", folder, "--workers", 1)
    return folder


@pytest.mark.slow
def test_a_recipe_from_outside_trains_is_asked_and_gets_a_verdict(toy, trained):
    made = sorted(path.name.removesuffix(".jsonl.gz") for path in (trained / "answers").iterdir())
    assert made == ["toy-test--base--vanilla--greedy--own", "toy-test--toy-brevity-seed1--think--greedy--own"]
    config = json.loads((trained / "toy-brevity-seed1" / "config.json").read_text())["config"]
    assert (config["extra_rewards"], config["numeric"], config["questions"]) == (
        ["brevity"],
        "within_half",
        "toy-train",
    )
    told = json.loads(vsr("claims", "--study", trained, "--recipe", TOY, "--json"))["brevity-is-logged"]
    assert told["verdict"] == "reproduced" and told["found"]["runs_that_log_it"] == {"k": 1, "of": 1}
    assert told["found"]["toy_minus_base"]["rooms"] == 4 and told["runs"] == {"toy-brevity": [1, 1]}
    lines = vsr("claims", "--study", trained, "--recipe", TOY)
    assert "brevity-is-logged: REPRODUCED on the miniature" in lines and "grpo-lifts: NOT RUN YET" in lines


@pytest.mark.slow
def test_its_reward_is_drawn_and_told_though_nobody_registered_its_name(toy, trained):
    study = Study(trained)
    (rows,) = study.curves("toy-brevity")
    figure = training_curves(rows, ["rewards/brevity/mean"], source="measured now")
    assert "brevity from " in figure.layout.meta["alt"]
    run = RunFolder.open(trained / "toy-brevity-seed1")
    assert {"brevity", "accuracy_reward", "format_reward"} <= run.read_rollouts()[0].keys()
    page = write_report([run], trained / "report.html").read_text()
    assert "brevity " in page and "rewards/brevity/mean" in page
    assert set(study.answers["variant"]) == {"base", "toy-brevity"}


def test_a_recipes_questions_are_asked_of_the_base_only_where_it_is_wanted(toy):
    base = runner.plan(["toy"])[0]
    assert [c.questions for c in runner.conditions_of(base)] == ["toy-test"]
    assert "toy-test" not in {c.questions for c in runner.conditions_of(runner.plan(["headline"])[0])}
    assert "toy-test" in {c.questions for c in runner.conditions_of(runner.plan()[0])}


def test_names_are_taken_once_and_claims_need_runs_that_exist(toy, tmp_path):
    assert recipes.add(TOY) is toy  # the same file again is the same recipe
    with pytest.raises(ValueError, match="recipe 'toy' is there already"):
        recipes.add(Recipe("toy", "again"))
    with pytest.raises(ValueError, match="variant 'toy-brevity' of recipe 'other' is there already"):
        recipes.add(Recipe("other", "same variant", variants=toy.variants))
    with pytest.raises(ValueError, match="claim 'brevity-is-logged' of recipe 'other' is there already"):
        recipes.add(Recipe("other", "same claim", claims=toy.claims))
    recipes.remove(toy)
    try:
        with pytest.raises(ValueError, match="needs 'toy-brevity', which is no variant"):
            recipes.add(Recipe("other", "no variant", claims=toy.claims))
    finally:
        recipes.add(TOY)


def test_a_file_without_a_recipe_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="--recipe takes a Python file with a RECIPE in it"):
        recipes.add(tmp_path / "none.py")
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match="has no RECIPE: give it one"):
        recipes.add(tmp_path / "empty.py")
    (tmp_path / "recipe.txt").write_text("x = 1\n")
    with pytest.raises(ValueError, match="is no Python file"):
        recipes.add(tmp_path / "recipe.txt")


def test_workers_can_only_be_told_of_recipes_that_are_files(toy):
    assert recipes.added_files() == [str(TOY.resolve())]
    extra = recipes.add(Recipe("homeless", "made in a notebook"))
    try:
        with pytest.raises(ValueError, match="'homeless' came from no file"):
            recipes.added_files()
    finally:
        recipes.remove(extra)


# -- mistakes of a recipe are told with their name, the rule and what to do --------------------------------------------


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"changes": {"stepz": 3}}, "variant 'v' changes 'stepz', which is no field of a profile: choose from name, "),
        (
            {"asked": (("toy-test", "vanilla"),)},
            "variant 'v' is asked .*give .question set, vanilla or think or observe",
        ),
        ({"asked": (("toy-test", "vanilla", "ownn"),)}, "own or wrong or none"),
        ({"seeds": ()}, "has the seeds .*give at least one, each once"),
        ({"seeds": (1, 1)}, "has the seeds .*give at least one, each once"),
        ({"how": GRPO(), "extra_rewards": ("length",)}, "has a method object and names beside it"),
        ({"how": GRPO(), "mode": "think"}, "has mode 'think', its method 'vanilla': make them one"),
        ({"name": "../x"}, "a name has letters, digits, dots and dashes"),
        ({"name": "base"}, "`base` is the untrained model's"),
    ],
)
def test_a_variant_says_what_is_wrong_with_it(wrong, told):
    with pytest.raises(ValueError, match=told):
        Variant(**({"name": "v", "group": "g"} | wrong))


def test_seeds_are_those_of_the_variant_unless_others_are_asked_for(toy):
    extra = recipes.add(Recipe("far", "", variants=(Variant("far", "far", seeds=(42, 43)),)))
    try:
        assert [unit.seed for unit in runner.plan(["far"])[1:]] == [42, 43]
        assert [unit.seed for unit in runner.plan(["far"], first_seed=6)[1:]] == [6, 7]
    finally:
        recipes.remove(extra)


@pytest.mark.parametrize(
    "made, told",
    [
        (None, "is None: its maker must return something with rows and clips"),
        (SimpleNamespace(rows=[], clips={}), "has no rows: give it more rooms"),
        (SimpleNamespace(rows=[{"scene_name": "a"}], clips={}), "has no clip of scene 'a': film every room"),
    ],
)
def test_a_question_set_that_would_be_answered_blindly_is_refused(made, told):
    extra = recipes.add(Recipe("sets", "", question_sets={"own-set": lambda: made}))
    try:
        with pytest.raises(ValueError, match=f"question set 'own-set' {told}"):
            make_set("own-set")
        with pytest.raises(ValueError, match="no question set 'own-sat'.*recipes have .*, own-set"):
            make_set("own-sat")
        for name in ("own-set", "train-vsi-100k"):
            with pytest.raises(ValueError, match=f"question set '{name}' of recipe 'twice' is there already"):
                recipes.add(Recipe("twice", "", question_sets={name: lambda: made}))
    finally:
        recipes.remove(extra)


def raising(evidence):
    raise RuntimeError("no luck")


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"measure": raising}, "claim 'brevity-is-logged': its measure failed with RuntimeError: no luck"),
        ({"measure": lambda evidence: None}, "claim 'brevity-is-logged': its measure gave None, not findings by name"),
        (
            {"decide": lambda found: "great"},
            "claim 'brevity-is-logged': its rule gave 'great', no verdict: choose from",
        ),
        ({"decide": lambda found: found["other"]}, "its rule looks for 'other', measured were x"),
    ],
)
def test_a_claim_whose_code_fails_is_not_judged_and_the_others_are(toy, changes, told):
    recipes.remove(toy)
    fine = {"measure": lambda evidence: {"x": Count(1, 1)}}
    known = recipes.add(replace(toy, claims=(replace(toy.claims[0], **(fine | changes)),)))
    try:
        with pytest.raises(ValueError, match=told):
            Study().verdict("brevity-is-logged")
        unjudged = {}
        assert "grpo-lifts" in verdicts(None, unjudged) and list(unjudged) == ["brevity-is-logged"]
    finally:
        recipes.remove(known)
        recipes.add(TOY)


def test_a_mistake_in_the_file_is_told_with_its_line(tmp_path, monkeypatch):
    (tmp_path / "bad.py").write_text("x = 1\n1 / 0\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"bad.py, line 2: ZeroDivisionError"):
        recipes.add("bad.py")
    with pytest.raises(ValueError, match=r"bad.py, line 2: ZeroDivisionError: division by zero; mend the recipe"):
        recipes.add(tmp_path / "bad.py")
    (tmp_path / "bad.py").write_text("x = (\n")
    with pytest.raises(ValueError, match=r"bad.py, line 1: SyntaxError"):
        recipes.add(tmp_path / "bad.py")


@pytest.mark.slow
def test_without_the_recipe_a_study_is_read_and_its_strange_runs_are_named(trained):
    done = CliRunner().invoke(app, ["claims", "--study", str(trained)])
    assert "holds toy-brevity-seed1, which no known recipe has: add its file with --recipe" in done.output
    assert set(Study(trained).answers["seed"]) == {0, 1}
    with added():
        assert "vsr reproduce --only grpo-lifts --recipe" in vsr("claims", "--study", trained, "--recipe", TOY)
        study = Study(trained)
        assert study.difference("toy-brevity").n == study.difference("toy-brevity", "base").n > 0
        assert RunFolder.open(trained / "toy-brevity-seed1").status == "finished"
    with pytest.raises(FileNotFoundError, match="give a study's folder"):
        Study(trained / "none")


@pytest.mark.slow
def test_a_run_on_other_rows_of_the_same_number_is_not_mixed_in(toy, trained):
    own = make_set("toy-train")
    check_rows(own, trained, trained / "unfinished")
    other = replace(own, rows=[{**row, "ground_truth": "1"} for row in own.rows])
    with pytest.raises(ValueError, match="the rows of toy-train were others than they are today, though as many; give"):
        check_rows(other, trained, trained / "unfinished")
