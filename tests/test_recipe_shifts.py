"""Claims about shifts: what they name is there, what they measure is what they say, and the rules can fail."""

from __future__ import annotations

import pytest

from vsr_kit import recipes
from vsr_kit.claims import NOT_REPRODUCED, REPRODUCED, UNDECIDED
from vsr_kit.evaluation import Interval, score
from vsr_kit.recipes import shifts
from vsr_kit.recipes.levels import IN_WORDS, NEW_ROOMS_SET, NEW_TASKS_SET, SEEN_SET
from vsr_kit.study.staleness import settings_of


def rooms_of(right, n=10):
    """Rooms whose size is told rightly in `right` of `n` questions, and far from it in the others."""
    return [
        {
            **{"dataset": "procedural", "id": i, "scene_name": f"room {i}", "objects": []},
            **{"question_type": "room_size_estimation", "question": "How large?", "options": None},
            **{"ground_truth": "20", "prediction": "20" if i < right else "400"},
        }
        for i in range(n)
    ]


class Told:
    """Evidence in which SFT has everything right at home, and GRPO keeps more of its score elsewhere."""

    def right(self, of, questions):
        at_home, away = (8, 6) if of == "levels-grpo" else (10, 4)
        return at_home if questions == SEEN_SET else away

    def trained(self, of, clip="own", questions=None, mode=None):
        return [score(rooms_of(self.right(of, questions) - seed), "lenient") for seed in (0, 1, 1)]

    def sides(self, after, before, questions=None, **how):
        assert questions == NEW_ROOMS_SET
        base = score(rooms_of(2), "lenient")
        return tuple(base if of == "base" else self.trained(of, questions=questions) for of in (after, before))


def test_what_each_claim_measures_on_answers_made_up():
    added, kept = (claim.measure(Told()) for claim in shifts.CLAIMS)
    assert added["rl_minus_sft"].mean == 0 and added["grpo_minus_base"].mean == pytest.approx(100 * (16 / 3 - 2) / 10)
    assert kept["grpo_keeps_more"].mean == pytest.approx(40.0)  # -20 against -60
    first, second = shifts.CLAIMS
    assert first.decide(added) == REPRODUCED and second.decide(kept) == REPRODUCED


def test_the_rules_can_come_out_otherwise():
    def finding(name, low, high):
        return {name: Interval(0.0, -9.0, 9.0, 1, 1, (3, 3), (low, high))}

    first, second = shifts.CLAIMS
    assert first.decide(finding("rl_minus_sft", 0.5, 2.0)) == NOT_REPRODUCED
    assert first.decide(finding("rl_minus_sft", -0.5, 2.0)) == REPRODUCED
    assert second.decide(finding("grpo_keeps_more", -2.0, -0.5)) == NOT_REPRODUCED
    assert second.decide(finding("grpo_keeps_more", -0.5, 2.0)) == UNDECIDED


def test_the_runs_go_on_with_sft_and_are_asked_about_every_shift():
    after, sft = (recipes.variant(name) for name in ("levels-then-grpo", "levels-supervised"))
    assert settings_of(after)["starts_from"] == "levels-supervised"
    assert (after.profile.steps, sft.profile.steps) == (120, 240)
    assert after.seeds == sft.seeds and after.asked == sft.asked
    assert {SEEN_SET, NEW_TASKS_SET, *shifts.AWAY} == set(IN_WORDS)
    assert (shifts.VST_3B["SFT"], shifts.VST_3B["SFT, then RL"]) == (57.9, 57.7)
    caveat = shifts.CLAIMS[0].caveat
    assert after.trained_by.reference == "base" and "the untrained base" in caveat
    assert after.profile.learning_rate == 1e-3 and "a fresh adapter's" in caveat
    assert "from 60.6 to 61.2" in caveat and "57.9 before, 57.7 after" in shifts.CLAIMS[0].says
    known = {v.name for v in recipes.VARIANTS}
    assert all(set(claim.needs) <= known for claim in shifts.CLAIMS) and not shifts.RECIPE.variants
