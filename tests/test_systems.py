"""The tables of published systems: what a recipe says of its system, and what the study knows of it."""

import re

import pytest

from vsr_kit import recipes
from vsr_kit.claims.recipe import Recipe, System
from vsr_kit.pages.site import course_notebooks
from vsr_kit.study import systems
from vsr_kit.study.evidence import Evidence
from vsr_kit.study.judge import NOT_RUN
from vsr_kit.study.systems import kl_table, system_differences, system_rows, system_table

WITH_SYSTEM = [recipe for recipe in recipes.RECIPES if recipe.system is not None]


@pytest.mark.parametrize("recipe", WITH_SYSTEM, ids=lambda recipe: recipe.name)
def test_what_a_recipe_says_of_its_system_leads_somewhere(recipe):
    system = recipe.system
    assert re.fullmatch(r"arXiv \d{4}\.\d{5}", system.source)
    assert system.section in {path.stem for path in course_notebooks()}
    assert system.try_it.startswith("vsr ")
    if system.drawn:
        assert system.drawn in {claim.name for claim in recipe.claims}
    if named := re.search(r"--recipe (\S+)", system.try_it):
        assert recipes.trainable(named[1]) is recipe
    if named := re.search(r"--only (\S+)", system.try_it):
        assert named[1] in {variant.group for variant in recipe.variants}


def test_no_two_recipes_are_about_one_system():
    sources = [recipe.system.source for recipe in WITH_SYSTEM]
    assert len(set(sources)) == len(sources)


def test_the_tables_have_a_row_for_each_system():
    lines = system_table().splitlines()
    assert len(lines) == len(kl_table().splitlines()) == 2 + len(WITH_SYSTEM)
    assert all(line.count(" | ") == lines[0].count(" | ") for line in lines[2:])
    (row,) = [line for line in lines if "vsGRPO" in line]
    assert "[vsGRPO](https://arxiv.org/abs/2504.00883)" in row and "(notebooks/04_qlora_grpo.ipynb)" in row


def test_a_row_counts_runs_and_verdicts():
    known = {row.recipe.name: row for row in system_rows()}["vision-r1"]
    runs = sum(len(variant.seeds) for variant in known.recipe.variants)
    assert known.status == f"{runs} runs" and known.runs == (runs, runs)
    assert sum(int(number) for number in re.findall(r"\d+", known.outcome)) == known.claims == len(known.verdicts)


def test_what_has_not_run_says_so(tmp_path, monkeypatch):
    claimed = next(recipe for recipe in WITH_SYSTEM if recipe.name == "vision-r1")
    monkeypatch.setattr(systems, "verdicts", lambda folder: {})
    monkeypatch.setattr(systems, "recipes", lambda: (claimed, Recipe("none", "about no system")))
    (row,) = system_rows(tmp_path)
    asked = sum(len(variant.seeds) for variant in claimed.variants)
    assert row.status == f"0 of {asked} runs" and row.outcome == f"{len(claimed.claims)} {NOT_RUN}"
    assert system_differences(tmp_path) == []


def test_differences_are_those_of_the_named_claims_and_sorted():
    found = system_differences()
    assert [own.interval.mean for own in found] == sorted((own.interval.mean for own in found), reverse=True)
    first = {own.recipe: own for own in found}["vsgrpo"]
    assert (first.claim, first.finding) == ("grpo-lifts", "grpo_minus_base")
    assert first.interval.low < first.interval.mean < first.interval.high and first.tokens > 1e6
    assert all(own.interval.unit == "points" for own in found)


def test_a_mechanism_is_short():
    with pytest.raises(ValueError, match="the mechanism of 'X' has 15 words: give at most 14"):
        System("X", "arXiv 0000.00000", "word " * 15, "04_qlora_grpo", "vsr train")


@pytest.mark.parametrize("claim", recipes.CLAIMS, ids=lambda claim: claim.name)
def test_a_study_without_runs_is_told_so_of_every_claim_and_none_fails(claim, tmp_path):
    """A measure that finds nothing says that files are missing, which is not the recipe's mistake."""
    if claim.measure is None:
        return
    with pytest.raises(FileNotFoundError):
        claim.measure(Evidence(tmp_path))
