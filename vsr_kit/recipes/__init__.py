"""Recipes: a paper's method, or this kit's own questions, each in one file; here they are in one list.

A recipe's file has its training runs, its claims with rule and measure, what the untrained model is asked for it, and
the paper's table. Nothing else in the package names a recipe. A recipe of your own is a file with a `RECIPE` in it:
`add` it, or name the file on the command line, `vsr reproduce --recipe my.py` and `vsr claims --recipe my.py`.
Left out: data. Nothing here has seen a result.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from vsr_kit.claims import Claim
from vsr_kit.claims.recipe import TUNING_SEED, Condition, Recipe, Variant
from vsr_kit.paths import SHIPPED
from vsr_kit.recipes import (
    all_roads,
    crossthink,
    kit_questions,
    kl_elsewhere,
    lr2bench,
    mammoth_vl,
    mm_eureka,
    nvlm,
    o1_embedder,
    openvlthinker,
    openvlthinker_v2,
    seed_bench_r1,
    shifts,
    sparc,
    srpo,
    t1,
    vision_r1,
    vlaa,
    vsgrpo,
)

_MODULES = (
    vsgrpo,
    kit_questions,
    vision_r1,
    kl_elsewhere,
    mm_eureka,
    srpo,
    openvlthinker_v2,
    t1,
    openvlthinker,
    all_roads,
    vlaa,
    seed_bench_r1,
    shifts,
    crossthink,
    mammoth_vl,
    lr2bench,
    sparc,
    o1_embedder,
    nvlm,
)
RECIPES: tuple[Recipe, ...] = tuple(module.RECIPE for module in _MODULES)
CLAIMS: tuple[Claim, ...] = tuple(claim for recipe in RECIPES for claim in recipe.claims)
VARIANTS: tuple[Variant, ...] = tuple(variant for recipe in RECIPES for variant in recipe.variants)
MINI = "mini"  # the base of every study
LEARNING_RATES = (6.25e-5, 2.5e-4, 1e-3)  # the grid of the tuning
TUNING_STEPS = 120
_added: dict[str, tuple[Recipe, str | None]] = {}  # by name, with the file it came from


def add(recipe: Recipe | str | Path) -> Recipe:
    """Make a recipe known to everything that trains, asks and judges in this process.

    Args:
        recipe: the record, or a Python file with a `RECIPE` in it, which is run: give only files you trust.

    Raises:
        FileNotFoundError, ValueError: no such file, none with a `RECIPE`, or names that another recipe has already.
    """
    if isinstance(recipe, Recipe):
        known, path = recipe, None
    else:
        path = str(Path(recipe).resolve())
        if same := [own for own, file in _added.values() if file == path]:
            return same[0]
        known = _from_file(Path(path))
    for what, own, others in (
        ("recipe", [known.name], [other.name for other in recipes()]),
        ("variant", [v.name for v in known.variants], [v.name for v in all_variants()]),
        ("claim", [c.name for c in known.claims], [c.name for c in all_claims()]),
        ("question set", list(known.question_sets), [name for r in recipes() for name in (*r.question_sets, *r.sets)]),
    ):
        if twice := [name for name in own if name in others or own.count(name) > 1]:
            whose = f"{what} {twice[0]!r}" + ("" if what == "recipe" else f" of recipe {known.name!r}")
            raise ValueError(f"{whose} is there already{'' if path is None else f' ({path})'}: choose another name")
    names = [v.name for v in (*all_variants(), *known.variants)]
    if missing := [of for claim in known.claims for of in claim.needs if of not in names]:
        raise ValueError(
            f"a claim of recipe {known.name!r} needs {missing[0]!r}, which is no variant: add it, or mend it"
        )
    _added[known.name] = known, path
    return known


def remove(recipe: Recipe) -> None:
    """Forget a recipe that was added."""
    del _added[recipe.name]


def _from_file(path: Path) -> Recipe:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}: --recipe takes a Python file with a RECIPE in it")
    spec = importlib.util.spec_from_file_location(f"vsr_recipe_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is no Python file: --recipe takes one with a RECIPE in it")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses of the file look themselves up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f"{path}, line {lines[-1] if lines else getattr(error, 'lineno', None) or 1}"
        raise ValueError(f"{where}: {type(error).__name__}: {error}; mend the recipe") from error
    if not isinstance(found := getattr(module, "RECIPE", None), Recipe):
        raise ValueError(f"{path} has no RECIPE: give it one, RECIPE = vsr_kit.claims.recipe.Recipe(...)")
    return found


def recipes() -> tuple[Recipe, ...]:
    """The kit's recipes and those that were added."""
    return (*RECIPES, *(recipe for recipe, _ in _added.values()))


def trainable(recipe: str) -> Recipe:
    """A recipe that has phases to train, by its name or by the file that it is in, which is then added.

    Raises:
        ValueError: there is none of that name, or it has no phases.
        FileNotFoundError: no such file.
    """
    if recipe.endswith(".py"):
        known: Recipe | None = add(recipe)
    else:
        known = next((own for own in recipes() if own.name == recipe), None)
    if known is None or not known.phases:
        there = ", ".join(dict.fromkeys(own.name for own in recipes() if own.phases))
        what = "is no recipe" if known is None else "has no phases to train"
        raise ValueError(f"{recipe!r} {what}: give one of {there}, or a Python file with a RECIPE that has phases")
    return known


def added_files() -> list[str]:
    """The files of the recipes that were added, for the processes that train and ask them.

    Raises:
        ValueError: for a recipe that came from no file: another process could not find it.
    """
    if homeless := [recipe.name for recipe, file in _added.values() if file is None]:
        raise ValueError(f"recipe {homeless[0]!r} came from no file: add the path of a file that has it")
    return [file for _, file in _added.values() if file]


def all_claims() -> tuple[Claim, ...]:
    """Every claim of every recipe."""
    return tuple(claim for recipe in recipes() for claim in recipe.claims)


def all_variants() -> tuple[Variant, ...]:
    """Every training run of every recipe, but for the tuning's."""
    return tuple(variant for recipe in recipes() for variant in recipe.variants)


def question_set_maker(name: str) -> Callable[[], Any] | None:
    """What makes a recipe's own question set; None for the study's sets."""
    return next((recipe.question_sets[name] for recipe in recipes() if name in recipe.question_sets), None)


def base_conditions(names: Iterable[str] = ()) -> list[Condition]:
    """What is asked of the untrained model, each pass once: for the recipes named, or for all."""
    wanted = set(names) or {recipe.name for recipe in recipes()}
    return list(dict.fromkeys(c for recipe in recipes() if recipe.name in wanted for c in recipe.base))


def tuning_variants() -> tuple[Variant, ...]:
    """Every method at every learning rate of the grid, for half as many steps, judged on validation rooms."""
    methods = {
        v.tuned_as: (v, recipe.tuned_on)
        for recipe in recipes()
        for v in reversed(recipe.variants)
        if v.tuned_as in recipe.tuned
    }
    return tuple(_tuning(*methods[name], rate) for name in methods for rate in LEARNING_RATES)


def _tuning(first: Variant, questions: str, rate: float) -> Variant:
    return replace(
        first,
        name=f"tuning-{first.tuned_as}-{rate:g}",
        group="tuning",
        changes={**first.changes, "learning_rate": rate, "steps": TUNING_STEPS},
        asked=((questions, first.mode, "own"),),
        seeds=(TUNING_SEED,),
    )


def claim(name: str) -> Claim:
    """Look a claim up by name."""
    return _found("claim", name, all_claims(), all_claims())


def variant(name: str) -> Variant:
    """Look a variant up by name, of a recipe or of the tuning."""
    return _found("variant", name, (*all_variants(), *tuning_variants()), all_variants())


def model_of(name: str) -> str:
    """The checkpoint behind what a condition calls its model: of the base, a shipped checkpoint, or a training run.

    A run that no known recipe has is taken for one of the miniature.
    """
    if name in SHIPPED:
        return name
    of = name.rpartition("-seed")[0]
    own = next((known for known in (*all_variants(), *tuning_variants()) if known.name == of), None)
    return MINI if own is None else own.profile.model


def untrained_pass(name: str) -> Condition:
    """What a variant's gain is counted from: its untrained model's answers to its test questions, in vanilla mode.

    It is the first such pass with the room's own clip that a recipe of the variant asks of that model.
    """
    known = variant(name)
    model = "base" if known.profile.model == MINI else known.profile.model
    own = (recipe for recipe in recipes() if known in recipe.variants)
    asked = (c for recipe in own for c in recipe.base if (c.mode, c.samples, c.clip) == ("vanilla", 0, "own"))
    plain = Condition(known.test_set, model)
    return next((c for c in asked if (c.questions, c.model) == (plain.questions, plain.model)), plain)


def _found(what: str, name: str, among: Iterable, shown: Iterable):
    for known in among:
        if known.name == name:
            return known
    told = ", ".join(known.name for known in shown)
    raise ValueError(f"no {what} is called {name!r}: there are {told}")
