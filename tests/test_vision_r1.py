"""Vision-R1's recipe: its schedule, its chains, its claims with rule and measure, and what it needs of the study."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vsr_kit import recipes
from vsr_kit.bridging import chain_quality, check_chain
from vsr_kit.claims import NOT_REPRODUCED, REPRODUCED
from vsr_kit.claims.chain_measures import halves_by_length, over_seeds, share_slope, shorter_minus_longer
from vsr_kit.claims.rules import UNDECIDED, no_loss
from vsr_kit.data import make_rows, split_rooms
from vsr_kit.evaluation import Interval, score, unpaired_difference
from vsr_kit.recipes import vision_r1
from vsr_kit.recipes.ptst import first_cap, ptst_stages, stages
from vsr_kit.recipes.vision_r1 import CLAIMS, RECIPE, STAGE_STEPS, STEPS, VARIANTS, RoomChains
from vsr_kit.study.staleness import settings_of


def test_every_stage_may_write_as_many_tokens_of_a_question():
    assert {own.num_generations * own.max_completion_length for own in stages(16, 8, 4)} == {2176}
    assert [own.max_completion_length for own in stages(16, 8, 4)] == [136, 272, 544]
    full = next(v for v in VARIANTS if v.name == "vr1-full")
    first, second = full.trained_by.stages
    assert (first.from_step, second.from_step, full.profile.steps) == (0, STAGE_STEPS, STEPS)
    assert first.num_generations * first.max_completion_length == second.num_generations * second.max_completion_length
    assert first.max_completion_length < second.max_completion_length  # held short first, relaxed later


def test_the_first_cap_is_as_far_above_the_mean_length_as_the_papers():
    assert first_cap(3566) == 4096
    assert [first_cap(tokens) for tokens in (114.5, 118, 119, 7)] == [136, 136, 144, 16]


def test_the_papers_schedule_and_caps_that_are_rounded_down():
    papers = ptst_stages(2**16, (16, 8, 4), 100, {"accuracy_reward": 0.0})
    assert [(s.from_step, s.num_generations, s.max_completion_length) for s in papers] == [
        (0, 16, 4096),
        (100, 8, 8192),
        (200, 4, 16384),
    ]
    assert all(stage.rewards == {"accuracy_reward": 0.0} for stage in papers)
    assert [stage.max_completion_length for stage in ptst_stages(100, (16, 3), 1)] == [6, 33]
    assert all(stage.rewards is None for stage in ptst_stages(100, (16, 3), 1))


@pytest.mark.parametrize(
    "asked, told",
    [
        ((2560, (16, 1), 60), "num_generations is 1"),
        ((2560, (16, 0), 60), "num_generations is 0"),
        ((10, (16,), 60), "max_completion_length is 0"),
        ((0, (16,), 60), "tokens is 0"),
        ((2560, (16,), 0), "steps is 0"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(asked, told):
    with pytest.raises(ValueError, match=told):
        ptst_stages(*asked)


def test_the_arms_differ_in_what_they_are_called_after_and_nothing_else():
    def profile_of(name):
        own = next(v for v in VARIANTS if v.name == name)
        return replace(own.profile, max_chain_tokens=1, num_generations=2, learning_rate=1e-3)

    assert profile_of("vr1-full") == profile_of("vr1-long") == profile_of("vr1-short") == profile_of("vr1-sum")
    assert replace(profile_of("vr1-zero-ptst"), model="mini-cold-start") == profile_of("vr1-full")
    assert replace(profile_of("vr1-stage-one"), steps=STEPS) == profile_of("vr1-full")
    rewards = {v.name: v.trained_by.reward_funcs("paper") for v in VARIANTS if v.name.startswith("vr1")}
    paid = {name: [f.__name__ for f, w in zip(*own, strict=True) if w] for name, own in rewards.items()}
    assert paid["vr1-sum"] == ["accuracy_reward", "format_reward"]
    assert all("hard_format_result_reward" in own for name, own in paid.items() if name != "vr1-sum")
    for variant in VARIANTS:
        if variant.name.startswith("vr1") and variant.name != "vr1-sum":
            assert all(stage.rewards == {"accuracy_reward": 0, "format_reward": 0} for stage in variant.how.stages)


def test_the_recipe_is_planned_and_recorded_like_any_other():
    from vsr_kit.study.runner import plan

    units = plan(["vision-r1"])
    assert len(units) == 1 + sum(len(v.seeds) for v in VARIANTS)
    tuning = [v for v in recipes.tuning_variants() if v.tuned_as == "vr1-full"]
    assert [v.profile.learning_rate for v in tuning] == list(recipes.LEARNING_RATES)
    assert {(v.profile.model, v.profile.steps, v.asked[0][0]) for v in tuning} == {
        ("mini-cold-start", recipes.TUNING_STEPS, "val-vsi-100k")
    }
    assert settings_of(recipes.variant("vr1-sft-ptst"))["starts_from"] == "sft"
    assert "starts_from" not in settings_of(recipes.variant("vr1-zero-ptst"))
    assert all(needed in {v.name for v in VARIANTS} for claim in RECIPE.claims for needed in claim.needs)


def test_a_recipes_file_may_have_dataclasses(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "from vsr_kit.claims.recipe import Recipe\n\n@dataclass\nclass Knob:\n    share: float\n\n"
        "RECIPE = Recipe('mine', 'one with a dataclass')\n"
    )
    recipe = recipes.add(path)
    recipes.remove(recipe)
    assert recipe.name == "mine"


def test_chains_for_the_knob_are_grounded_in_a_share():
    rooms = {room.name: room for room in split_rooms(400, "train")}
    rows = make_rows(list(rooms.values())[:30], "vsi-100k", max_per_type=2)

    def taught(chains):
        return [{**row, "prediction": text} for row in rows if (text := chains(row)) is not None]

    grounded, none, half = (taught(RoomChains(share)) for share in (1.0, 0.0, 0.5))
    assert chain_quality(grounded, rooms).places_percent == 100
    assert chain_quality(none, rooms).places_percent < 50
    right = [all(off < 0.2 for off in check_chain(r["prediction"], r, rooms[r["scene_name"]]).off_m) for r in half]
    assert 0.35 < np.mean(right) < 0.8  # a chain without places counts as right
    assert score(none, "lenient").overall > 0.99  # the answer is the truth, which the chain does not lead to
    assert [RoomChains(0.5)(row) for row in rows] == [RoomChains(0.5)(row) for row in rows]
    places = taught(RoomChains(1.0, steps=False))
    assert chain_quality(places, rooms).steps == 0 and chain_quality(grounded, rooms).steps > 20


def test_a_chain_that_misses_the_truth_is_left_out():
    room = split_rooms(400, "train")[0]
    row = next(r for r in make_rows([room], "vsi-100k") if r["question_type"] == "object_abs_distance")
    assert RoomChains(1.0)(row) is not None
    assert RoomChains(1.0)({**row, "ground_truth": "40.0"}) is None


# -- measures and rules ------------------------------------------------------------------------------------------------


def answers(texts, right, kind="object_counting"):
    """Counting questions, five a room, answered with these texts; the truth is 2."""
    return [
        {
            "dataset": "procedural",
            "id": f"{kind}/{i}",
            "scene_name": f"room {i // 5}",
            "question_type": kind,
            "question": "How many?",
            "options": None,
            "ground_truth": "2",
            "objects": ["tv"],
            "prediction": f"<think>{text}</think> <answer>{2 if ok else 9}</answer>",
        }
        for i, (text, ok) in enumerate(zip(texts, right, strict=True))
    ]


class Told:
    """Evidence that says what it was given."""

    def __init__(self, rows=(), trained=None):
        self.rows, self.sets = rows, trained or {}

    def texts(self, mode, questions, model="base", **how):
        assert (mode, model, how) == ("think", "mini-cold-start", {"cap": 640, "prompt_set": "train"})
        return self.rows

    def trained(self, of, clip="own", questions=None, mode=None):
        return [score(rows, "lenient") for rows in self.sets[of, mode or "think"]]


def test_longer_answers_are_held_against_shorter_ones_of_the_same_type():
    texts = ["short " * (1 + i % 2 * 9) for i in range(40)]
    rows = answers(texts, [i % 2 == 0 for i in range(40)])  # every long one is wrong
    shorter, longer = halves_by_length(rows)
    assert len(shorter) == len(longer) == 20 and all(len(r["prediction"]) < 80 for r in shorter)
    measure = shorter_minus_longer("found", "mini-cold-start", "test-vsi-100k", {"cap": 640, "prompt_set": "train"})
    found = measure(Told(rows))["found"]
    assert found.mean == 100 and found.low > 0
    backwards = measure(Told(answers(texts, [i % 2 == 1 for i in range(40)])))["found"]
    assert backwards.mean == -100


def test_a_type_whose_answers_are_equally_long_has_no_halves():
    alike = [row | {"question_type": "object_counting"} for row in answers(["same"] * 6, [True] * 6)]
    mixed = [row | {"question_type": "room_size_estimation"} for row in answers(["a", "longer"] * 3, [True] * 6)]
    shorter, longer = halves_by_length(alike + mixed)
    assert {row["question_type"] for row in (*shorter, *longer)} == {"room_size_estimation"}
    assert len(shorter) == len(longer) == 3
    measure = shorter_minus_longer("found", "mini-cold-start", "test-vsi-100k", {"cap": 640, "prompt_set": "train"})
    with pytest.raises(ValueError, match="no question type has a shorter half"):
        measure(Told(alike))


def test_halves_of_different_questions_are_compared_without_pairs():
    few, many = answers(["a"] * 10, [True] * 10), answers(["b"] * 20, [i < 10 for i in range(20)])
    found = unpaired_difference(score(few, "lenient"), score(many, "lenient"), task="overall")
    assert found.mean == 50 and found.n == 10 and found.low <= 50 <= found.high


def test_the_knobs_slope_is_one_line_a_seed():
    def run(share, seed, mode):
        good = share // 10 + 5 * seed if mode == "think" else 10  # of forty: 10 points more right from 0 to 40
        return answers(["x"] * 40, [i < good for i in range(40)])

    shares = (0, 50, 100)
    sets = {
        (f"chains-{share}", mode): [run(share, seed, mode) for seed in range(3)]
        for share in shares
        for mode in ("think", "vanilla")
    }
    found = share_slope("slope", {share: f"chains-{share}" for share in shares}, "test-places")(Told(trained=sets))
    assert found["slope"].mean == pytest.approx(25.0)  # ten of forty
    assert found["slope"].seeds == (3,) and found["slope"].rooms == 8
    assert found["slope"].datasets == ("procedural",)  # a verdict's reach is read from it


def test_students_interval_over_seeds_by_hand():
    found = over_seeds([1.0, 2.0, 6.0], 10, 5)
    reach = 4.302653 * np.std([1, 2, 6], ddof=1) / 3**0.5  # t at 0.975, two degrees of freedom
    assert (found.mean, found.high - found.mean) == (3.0, pytest.approx(reach, abs=1e-4))
    assert found.student == (found.low, found.high)
    with pytest.raises(ValueError, match="no spread"):
        over_seeds([1.0], 10, 5)


@pytest.mark.parametrize(
    "low, high, student, verdict",
    [(-3, -1, (-3, 1), REPRODUCED), (-3, -1, (-3, -1), NOT_REPRODUCED), (-3, 1, (-9, 9), REPRODUCED)],
)
def test_a_loss_must_be_clear(low, high, student, verdict):
    band = Interval((low + high) / 2, low, high, 10, 5, (3, 3), student)
    assert no_loss("loss", by="student")({"loss": band}) == verdict
    bootstrap = no_loss("loss")({"loss": band})
    assert bootstrap == (NOT_REPRODUCED if high < 0 else REPRODUCED)


def test_each_claim_can_come_out_every_way():
    outcomes = {claim.name: set() for claim in CLAIMS if claim.measure is not None}
    for claim in CLAIMS:
        if claim.measure is None or claim.name == "thinking-words-return":
            continue
        for low, high in ((1, 3), (-3, -1), (-1, 1)):
            band = Interval((low + high) / 2, low, high, 10, 5, (3, 3), (low, high))
            outcomes[claim.name].add(claim.decide(dict.fromkeys(_names(claim), band)))
    for name, seen in outcomes.items():
        if name == "relaxing-the-cap-keeps-the-gain":
            assert seen == {REPRODUCED, NOT_REPRODUCED}
        elif name != "thinking-words-return":
            assert seen == {REPRODUCED, NOT_REPRODUCED, UNDECIDED}, name


def _names(claim):
    """Names of findings, as the claim's own rule asks for them."""

    class Asked(dict):
        def __missing__(self, key):
            names.append(key)
            return Interval(1, 0.5, 2, 10, 5, (3, 3), (0.5, 2))

    names = []
    claim.decide(Asked())
    return names


def test_thinking_words_are_counted_at_the_end_of_each_stage():
    def log(first, second):
        words = [first if step <= STAGE_STEPS else second for step in range(1, STEPS + 1)]
        return [{"step": i + 1, "rewards/thinking_words/mean": float(w)} for i, w in enumerate(words)]

    assert vision_r1._more_words(log(0.1, 0.4)) and not vision_r1._more_words(log(0.4, 0.1))
    claim = next(c for c in CLAIMS if c.name == "thinking-words-return")

    class Curves:
        def curves(self, of):
            return [log(0.1, 0.4)] * 4 + [log(0.4, 0.1)]

    assert claim.decide(claim.measure(Curves())) == REPRODUCED


def test_the_papers_tables_are_as_printed():
    assert vision_r1.PAPER_VARIANTS["Vision-R1"] == (2057, 55.4) and vision_r1.PAPER_VARIANTS["CI"] == (3566, 44.5)
    first_cap, ci_length = 4096, vision_r1.PAPER_VARIANTS["CI"][0]
    assert first_cap / ci_length == pytest.approx(1.15, abs=0.01)  # as the recipe's text says
    assert vision_r1.PAPER_CAPS["4K x 16, 8K x 8"] == vision_r1.PAPER_VARIANTS["Vision-R1"][1]
