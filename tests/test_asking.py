"""Ways of asking that are not the study's own: training prompts, another cap, other shipped checkpoints, untrained."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.stats import t

from tests.test_reproduce import QUESTIONS, complete, stub, train_some  # noqa: F401 (stub is a fixture)
from tests.test_study_answers import ROOMS, rows, say
from vsr_kit import recipes
from vsr_kit.claims import Claim, rules
from vsr_kit.claims.measures import minus, prompts_minus
from vsr_kit.claims.recipe import BENCH_SET, UNTRAINED, Condition, Recipe, Variant
from vsr_kit.files import append_lines, read_json, write_json
from vsr_kit.generation import Generation
from vsr_kit.paths import SHIPPED
from vsr_kit.recipes import base_conditions, kit_questions, model_of, variant, vsgrpo
from vsr_kit.study import QuestionSet, Study, answers_path, conditions, questions_path, training_runs, write_lines
from vsr_kit.study import runner as module
from vsr_kit.study.comparisons import clip_gaps, variant_scores
from vsr_kit.study.conditions import base_identity, manifest_entries, read_answers, save_questions, why_stale
from vsr_kit.study.evidence import COLUMNS, Evidence
from vsr_kit.study.runner import UNFINISHED, check_plan, conditions_of, plan
from vsr_kit.study.staleness import settings_of

COLD = "mini-cold-start"
CAP = {"cap": 512, "prompt_set": "train"}


@pytest.fixture(autouse=True)
def cold_start(monkeypatch, tmp_path_factory):
    """A folder in the place of the cold start's, with weights of its own, that nothing loads."""
    folder = tmp_path_factory.mktemp("shipped") / "mini-cold-start"
    folder.mkdir()
    save_file({"w": np.zeros(3, np.float32)}, folder / "model.safetensors")
    monkeypatch.setitem(SHIPPED, COLD, str(folder))
    return folder


@pytest.fixture
def recipe():
    """A variant trained from the cold start and asked as it was trained, and one that is asked as the study asks."""
    long = Variant(
        "long",
        "long",
        mode="think",
        changes={"model": COLD, "steps": 60},
        asked=((BENCH_SET, "think", "own"), (BENCH_SET, "think", "wrong")),
        seeds=(1, 2, 3),
        **CAP,
    )
    own = replace(long, name="plain", cap=None, prompt_set="eval")
    base = (
        Condition(BENCH_SET),
        Condition(BENCH_SET, COLD, "think", **CAP),
        Condition(BENCH_SET, mode="think", **CAP),
        Condition(BENCH_SET, COLD, "think"),
        Condition(BENCH_SET, COLD),
    )
    known = recipes.add(Recipe("long", "for tests", variants=(long, own), base=base))
    yield known
    recipes.remove(known)


# -- conditions --------------------------------------------------------------------------------------------------------


def test_names_end_with_what_is_asked_otherwise_and_else_are_what_they_were():
    assert Condition("q", "a-seed1", "think").name == "q--a-seed1--think--greedy--own"
    assert Condition("q", prompt_set="eval", cap=None) == Condition("q")
    assert Condition("q", mode="think", cap=512).name == "q--base--think--greedy--own--cap512"
    assert Condition("q", COLD, "think", 8, "wrong", **CAP).name == f"q--{COLD}--think--sampled8--wrong--train--cap512"
    variants = (*vsgrpo.VARIANTS, *kit_questions.VARIANTS)  # whose answers were shipped before there was more to name
    shipped = [c for v in variants for seed in v.seeds for c in v.conditions(seed)]
    shipped += base_conditions(["vsgrpo", "kit-questions"])
    assert all(c.name.endswith(("--own", "--wrong", "--none")) for c in shipped)


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"cap": 0}, "the cap of .* is 0: must be a whole number of at least 1; leave it out for the study's own"),
        ({"cap": 9.5}, "must be a whole number"),
        ({"prompt_set": "test"}, "the prompt_set of .* is 'test': choose one of eval, train"),
    ],
)
def test_no_pass_can_be_asked_so(wrong, told):
    for make in (lambda: Condition("q", **wrong), lambda: Variant("v", "g", **wrong)):
        with pytest.raises(ValueError, match=told):
            make()


def test_a_variants_passes_are_asked_as_it_says(recipe):
    long, own = recipe.variants
    assert [c.name for c in long.conditions(2)] == [
        f"{BENCH_SET}--long-seed2--think--greedy--{clip}--train--cap512" for clip in ("own", "wrong")
    ]
    assert own.conditions(2)[0] == Condition(BENCH_SET, "plain-seed2", "think")
    assert long.condition("long-seed2", "q") == Condition("q", "long-seed2", "think", **CAP)
    assert long.condition("long-seed2", "q", "vanilla", "none").name.endswith("--vanilla--greedy--none--train--cap512")


@pytest.mark.parametrize("name", UNTRAINED)
def test_no_variant_is_called_as_an_untrained_model(name):
    with pytest.raises(ValueError, match="`base` is the untrained model's, as are mini, mini-cold-start"):
        Variant(name, "g")


def test_the_checkpoint_behind_a_model_is_known_by_its_name(recipe):
    assert [model_of(name) for name in ("base", "mini", COLD)] == ["mini", "mini", COLD]
    assert [model_of(name) for name in ("sft-seed3", "long-seed1", "nobodys-seed1")] == ["mini", COLD, "mini"]
    assert model_of("tuning-sft-0.001-seed0") == "mini"
    assert base_identity() == base_identity("mini") != base_identity(COLD)
    assert base_identity(COLD)["name"] == COLD


# -- asking ------------------------------------------------------------------------------------------------------------

ASKED = [{**row, "id": str(i)} for i, row in enumerate(rows("vsi-bench")[:6])]


@pytest.fixture
def ask(monkeypatch, tmp_path):
    """ask(condition) -> what generate was given; every answer is 4."""
    given = []

    def generate(loaded, asked, clips, **how):
        given.append({"loaded": loaded, **how})
        return [[Generation("4", 1, False)] for _ in asked]

    monkeypatch.setattr("vsr_kit.generation.generate", generate)
    monkeypatch.setattr(conditions, "hardware", dict)
    questions = QuestionSet("q", ASKED, {})
    save_questions(questions, tmp_path)

    def run(condition):
        loaded = SimpleNamespace(description=condition.model)
        conditions.answer(condition, questions, loaded, tmp_path, log=lambda line: None)
        return given[-1]

    return run


def test_a_pass_has_its_cap_and_prompts_and_the_manifest_says_so(ask, tmp_path):
    own, other = Condition("q", mode="think"), Condition("q", COLD, "think", **CAP)
    assert (ask(own)["max_new_tokens"], ask(own)["prompt_set"]) == (conditions.TOKEN_CAP, "eval")
    given = ask(other)
    assert (given["max_new_tokens"], given["prompt_set"], given["mode"]) == (512, "train", "think")
    entries = manifest_entries(tmp_path)
    assert [entries[c.name]["token_cap"] for c in (own, other)] == [conditions.TOKEN_CAP, 512]
    told = {name: entries[other.name][name] for name in ("model", "mode", "cap", "prompt_set")}
    assert told == {"model": COLD, "mode": "think", **CAP}
    assert (entries[own.name]["base"], entries[other.name]["base"]) == (base_identity(), base_identity(COLD))
    assert [why_stale(c, tmp_path, entries) for c in (own, other)] == [None, None]
    assert [row["prediction"] for row in read_answers(other, tmp_path)] == ["4"] * len(ASKED)
    with pytest.raises(FileNotFoundError, match="--train--cap512"):
        read_answers(replace(other, cap=96), tmp_path)


def test_a_run_from_another_checkpoint_records_that_one(ask, recipe, tmp_path):
    (first, *_), of_mini = recipe.variants[0].conditions(1), Condition("q", "sft-seed1")
    for condition in (replace(first, questions="q"), of_mini):
        ask(condition)
    bases = [entry["base"] for entry in manifest_entries(tmp_path).values()]
    assert bases == [base_identity(COLD), base_identity()]


@pytest.mark.parametrize(
    "changed, told",
    [
        ({"token_cap": 96}, "token_cap was 96 and is 512 today; give another --out"),
        ({"base": {"sha256": "abc"}}, "base sha256 was abc and is "),
        ({"base": None}, "base sha256 was not recorded and is "),
    ],
)
def test_answers_of_another_cap_or_checkpoint_are_stale(ask, tmp_path, changed, told):
    condition = Condition("q", COLD, **CAP)
    ask(condition)
    append_lines(tmp_path / "manifest.jsonl", [manifest_entries(tmp_path)[condition.name] | changed])
    assert told in why_stale(condition, tmp_path, manifest_entries(tmp_path))
    with pytest.raises(ValueError, match=told):
        ask(condition)


def test_the_minis_answers_are_not_those_of_the_cold_start(ask, tmp_path):
    condition = Condition("q", COLD)
    ask(condition)
    append_lines(
        tmp_path / "manifest.jsonl", [manifest_entries(tmp_path)[condition.name] | {"base": base_identity("mini")}]
    )
    assert f"and is {base_identity(COLD)['sha256']} today" in why_stale(condition, tmp_path, manifest_entries(tmp_path))


# -- running -----------------------------------------------------------------------------------------------------------


def test_the_base_unit_asks_every_untrained_model_once_loaded(monkeypatch, recipe, tmp_path):
    told, loads = [], []
    monkeypatch.setattr(module, "_set", lambda name, geometry: QuestionSet(name, [{"id": name}], {}))
    monkeypatch.setattr(module, "answer", lambda c, q, loaded, folder: told.append((c, loaded)))

    def load(name, **how):
        loads.append((name, how.get("adapter"), how["quantize"]))
        return name

    monkeypatch.setattr("vsr_kit.models.loading.load_model", load)
    base, run, *_ = plan(["long"])
    module.run_unit(base, tmp_path, tmp_path / UNFINISHED)
    assert loads == [("mini", None, "nf4"), (COLD, None, "nf4")]
    assert {c for c, _ in told} == set(recipe.base)
    assert all(loaded == model_of(c.model) for c, loaded in told)
    loads.clear()
    complete(run, tmp_path)
    for condition in conditions_of(run):
        answers_path(condition, tmp_path).unlink()
    module.run_unit(run, tmp_path, tmp_path / UNFINISHED)
    assert loads == [(COLD, tmp_path / "long-seed1" / "adapter", "nf4")]


def test_a_long_pass_is_planned_to_take_longer(recipe):
    long, own = (next(u for u in plan(["long"]) if u.variant == name) for name in ("long", "plain"))
    assert long.seconds > own.seconds


def test_a_run_is_trained_from_its_variants_checkpoint_and_another_one_makes_it_stale(stub, recipe, tmp_path):  # noqa: F811
    kept = train_some(tmp_path, seed=1, of="long")
    assert stub.calls[0][0].model == COLD
    assert read_json(kept / "versions.json")["checkpoint"] == base_identity(COLD)
    assert read_json(kept / "config.json")["config"]["model"] == COLD
    assert train_some(tmp_path, seed=1, of="long") == kept and len(stub.calls) == 1
    versions = read_json(kept / "versions.json")
    write_json(kept / "versions.json", versions | {"checkpoint": base_identity()})
    with pytest.raises(
        ValueError, match=f"the checkpoint's sha256 was .* and is {base_identity(COLD)['sha256']} today"
    ):
        train_some(tmp_path, seed=1, of="long")


def test_a_run_is_loaded_with_the_checkpoint_it_recorded(monkeypatch, tmp_path):
    monkeypatch.setattr("vsr_kit.models.loading.load_model", lambda name, **how: (name, how["adapter"]))
    for name, config in (("a-seed1", {"model": COLD}), ("b-seed1", {})):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "config.json", {"config": config})
    assert training_runs.load_run("a-seed1", tmp_path) == (COLD, tmp_path / "a-seed1" / "adapter")
    assert training_runs.load_run("b-seed1", tmp_path)[0] == "mini"


def test_a_checkpoint_that_is_not_there_is_told_before_anything_runs(monkeypatch, recipe, tmp_path):
    units = plan(["long"])
    check_plan(units, tmp_path)
    monkeypatch.setitem(SHIPPED, COLD, "nothing-there")
    with pytest.raises(FileNotFoundError, match=f"the checkpoint '{COLD}' is not in this copy of the kit"):
        check_plan(units, tmp_path)
    check_plan(plan(["sft"]), tmp_path)


# -- evidence ----------------------------------------------------------------------------------------------------------

ALONE = 100 / ROOMS  # points of a room


def first(count):
    """Right about the first rooms."""
    return lambda i: i < 4 * count


@pytest.fixture
def study(recipe, tmp_path):
    """Base 3 rooms right in vanilla, 1 and 2 as the variants are asked; the cold start 5, 6, 4; runs 8, 9, 10 of 12."""
    write_lines(questions_path(BENCH_SET, tmp_path), rows("vsi-bench"))
    for condition, right in zip(recipe.base, (3, 5, 1, 6, 4), strict=True):
        say(tmp_path, condition, first(right))
    for known, more in zip(recipe.variants, (0, -2), strict=True):
        for seed in known.seeds:
            for condition in known.conditions(seed):
                say(tmp_path, condition, first(7 + seed + more if condition.clip == "own" else 2))
    return tmp_path


def points(measure, folder):
    (found,) = measure(Evidence(folder)).values()
    return found.mean / ALONE, found


@pytest.mark.parametrize(
    "sides, how, wanted",
    [
        (("long", COLD), {}, 9 - 5),  # asked as the variant is
        (("plain", COLD), {}, 7 - 6),
        (("long", "base"), {}, 9 - 1),
        (("plain", "base"), {}, 7 - 3),  # vanilla, whatever the variant's mode: as ever
        (("long", "plain"), {}, 9 - 7),
        ((COLD, "long"), {}, 5 - 9),
        ((COLD, "base"), {}, 4 - 3),  # two untrained: vanilla
        ((COLD, "base"), {"mode": "think", **CAP}, 5 - 1),
        (("plain", "base"), {"mode": "think", **CAP}, 7 - 1),
    ],
)
def test_an_untrained_model_is_asked_as_the_other_side_is(study, sides, how, wanted):
    found, interval = points(minus("x", *sides, **how), study)
    assert found == pytest.approx(wanted)
    assert interval.seeds == tuple(1 if of in UNTRAINED else 3 for of in sides)
    if not how:
        assert Study(study).difference(*sides) == interval


@pytest.mark.parametrize("sides", [("apart", COLD), (COLD, "apart"), ("apart", "base"), ("long", "apart")])
def test_both_sides_are_asked_the_questions_by_which_the_first_trained_one_is_judged(sides, recipe, monkeypatch):
    apart = replace(recipe.variants[0], name="apart", asked=(("own-test", "think", "own"),))
    known = recipes.add(Recipe("apart", "for tests", variants=(apart,)))
    told = []
    monkeypatch.setattr(Evidence, "base", lambda self, *, questions, **how: told.append(questions))
    monkeypatch.setattr(Evidence, "trained", lambda self, of, clip, questions: told.append(questions))
    try:
        Evidence().sides(*sides)
        assert told == [BENCH_SET if sides[0] == "long" else "own-test"] * 2
        Evidence().sides(*sides, questions="q")
        assert told[2:] == ["q"] * 2
    finally:
        recipes.remove(known)


def test_against_a_model_without_seeds_students_interval_is_of_the_other_sides_seeds(study):
    """Rooms right or wrong as a whole for every seed: the variance between seeds is known, that of rooms is added."""
    _, found = points(minus("x", "long", COLD), study)
    gains = np.array([[right <= room < 7 + seed for room in range(ROOMS)] for right in (5,) for seed in (1, 2, 3)])
    seeds, rooms = gains.mean(1).var(ddof=1) / 3, gains.mean(0).var() / ROOMS
    freedom = (seeds + rooms) ** 2 / (seeds**2 / 2 + rooms**2 / (ROOMS - 1))
    reach = 100 * t.ppf(0.975, freedom) * (seeds + rooms) ** 0.5
    low, high = found.student
    assert (low + high) / 2 == pytest.approx(found.mean) and (high - low) / 2 == pytest.approx(reach, rel=0.06)
    assert points(minus("x", COLD, "base"), study)[1].student is None  # rooms alone: the bootstrap is enough


def test_prompts_are_compared_of_any_untrained_model(study):
    evidence = Evidence(study)
    assert evidence.base().trained == Evidence(study).base("vanilla", "own").trained == pytest.approx(3 / ROOMS)
    assert evidence.base("think", model=COLD, **CAP).trained == pytest.approx(5 / ROOMS)
    found = prompts_minus("vanilla", "think", model=COLD)(evidence)["think"]
    assert found.mean == pytest.approx(2 * ALONE)
    with pytest.raises(FileNotFoundError, match=f"no answers {BENCH_SET}--{COLD}--vanilla--greedy--own--train"):
        prompts_minus("vanilla", "think", model=COLD, **CAP)(evidence)


def test_a_variants_answers_are_found_however_they_were_asked(study):
    own, seen = Study(study), variant_scores(["long", "plain"], study)
    assert {name: bands["overall"].mean / ALONE for name, bands in seen.items()} == pytest.approx(
        {"long": 9, "plain": 7}
    )
    assert own.runs("long") == ("long-seed1", "long-seed2", "long-seed3")
    say(study, Condition(BENCH_SET, clip="wrong"), first(1))
    gap, _ = clip_gaps(["long"], study)["long"]
    assert gap["overall"].mean == pytest.approx((9 - 2) * ALONE)
    assert [row["label"] for row in own.pairs("long")] == ["base", "long-seed1"]
    assert own.has(COLD) and not Study(study, questions="test-order").has(COLD)
    scores = own.scores([COLD, "long"], mode="think", **CAP)
    assert {name: bands["overall"].mean / ALONE for name, bands in scores.items()} == pytest.approx(
        {COLD: 5, "long": 9}
    )


def test_the_table_of_all_answers_keeps_ways_of_asking_apart(study):
    everything = [*variant("long").conditions(1), *recipes.base_conditions(["long"])]
    old = {"questions", "model", "mode", "samples", "clip"}
    for condition in everything:
        entry = {**condition.__dict__, "name": condition.name}
        if not condition.asked_otherwise:  # as manifests were written before
            entry = {k: v for k, v in entry.items() if k in old | {"name"}}
        append_lines(study / "manifest.jsonl", [json.loads(json.dumps(entry))])
    frame = Study(study).answers
    assert tuple(frame.columns) == COLUMNS
    assert set(zip(frame["variant"], frame["seed"], frame["mode"], frame["clip"], strict=True)) == {
        ("base", 0, "vanilla", "own"),
        ("base", 0, "think--train--cap512", "own"),
        (COLD, 0, "think--train--cap512", "own"),
        (COLD, 0, "think", "own"),
        (COLD, 0, "vanilla", "own"),
        ("long", 1, "think--train--cap512", "own"),
        ("long", 1, "think--train--cap512", "wrong"),
    }
    assert len(frame) == len(everything) * 48
    of_long = frame.query("variant == 'long' and clip == 'own'")
    assert of_long["score"].mean() == pytest.approx(8 / ROOMS)


def test_a_claim_about_an_untrained_checkpoint_says_whose_it_is(study, recipe):
    claim = Claim(
        name="chains-pay",
        says="Chains pay.",
        source="a test",
        measured="Think minus vanilla.",
        rule=rules.GAIN_BY_STUDENT,
        decide=rules.gain("think", by="student"),
        measure=prompts_minus("vanilla", "think", model=COLD),
        caveat="None.",
        untrained=(COLD,),
    )
    recipes.remove(recipe)
    known = recipes.add(replace(recipe, claims=(claim,)))
    try:
        told = Study(study).verdict("chains-pay")
        assert told.reach.model == "the miniature after its cold start (3.3M parameters)"
        assert [unit.variant for unit in plan(["chains-pay"])] == [None]
    finally:
        recipes.remove(known)
        recipes.add(recipe)


def test_settings_of_a_run_do_not_hang_on_how_it_is_asked(recipe):
    long, own = recipe.variants
    assert settings_of(long) == settings_of(own) and settings_of(long)["model"] == COLD
    assert settings_of(variant("sft")).keys() == settings_of(long).keys()
