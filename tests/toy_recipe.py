"""A recipe outside the package: its own questions, reward, training run, claim and curve, in one file.

Nothing in vsr_kit knows of it. tests/test_recipes.py trains it, asks it and reads its verdict.
"""

from types import SimpleNamespace

from vsr_kit.claims.measures import all_of, minus, reward_curve, runs_that
from vsr_kit.claims.recipe import Condition, Recipe, Variant
from vsr_kit.claims.rules import Claim, most_runs
from vsr_kit.data import make_rows, split_rooms
from vsr_kit.questions import STUDY_RULES, TRAINED_TYPES
from vsr_kit.rewards import EXTRA_REWARDS, NUMERIC_REWARDS
from vsr_kit.videos import film


def brevity(text: str, mode: str) -> float:
    """1 for an empty completion, 0 for one of 400 characters or more; its name has no `_reward`, and need not."""
    return max(0.0, 1 - len(text) / 400)


def within_half(predicted: float, truth: float) -> float:
    """1 where a number is at most half of the truth away from it."""
    return float(abs(predicted - truth) <= 0.5 * abs(truth))


EXTRA_REWARDS["brevity"] = brevity
NUMERIC_REWARDS["within_half"] = within_half


def _questions(name: str, split: str):
    """Two questions of each type about each of four rooms."""
    rooms = split_rooms(4, split)
    filmed = {room.name: film(room) for room in rooms}
    rows = make_rows(
        rooms, "vsi-bench", 0, types=TRAINED_TYPES, clips=filmed, max_per_type=2, labels=None, rules=STUDY_RULES
    )
    return SimpleNamespace(name=name, rows=rows, clips={scene: clip.frames_FHW3 for scene, clip in filmed.items()})


TOY = Variant(
    name="toy-brevity",
    group="toy",
    mode="think",
    extra_rewards=("brevity",),
    questions="toy-train",
    changes={"steps": 2, "numeric": "within_half", "num_generations": 2, "max_chain_tokens": 24},
    asked=(("toy-test", "think", "own"),),
    seeds=(1,),
)
CLAIM = Claim(
    name="brevity-is-logged",
    says="A reward for brevity is paid and logged.",
    source="a test",
    measured="One run of two steps: whether its log has the reward in every step; and the answers, minus the base's.",
    rule="Reproduced if the run shows it, not reproduced if it does not.",
    decide=most_runs("runs_that_log_it"),
    measure=all_of(
        runs_that("runs_that_log_it", lambda rows: len(reward_curve(rows, "brevity")) == 2, "toy-brevity"),
        minus("toy_minus_base", "toy-brevity", "base", "trained", "toy-test"),
    ),
    caveat="Two steps teach nothing.",
    needs=("toy-brevity",),
)
RECIPE = Recipe(
    name="toy",
    about="A recipe for tests",
    variants=(TOY,),
    claims=(CLAIM,),
    base=(Condition("toy-test"),),
    question_sets={
        f"toy-{split}": lambda split=split: _questions(f"toy-{split}", split) for split in ("train", "test")
    },
)
