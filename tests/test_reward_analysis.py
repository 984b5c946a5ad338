"""What rewards pay: groups paid anew, constants, repeated answers, longer halves; all small enough to count by hand."""

import pytest

from vsr_kit.study.reward_analysis import best_constants, length_reward_gap, modal_answers, zero_variance_shares


def rollout(completion, kind="object_counting", truth="4", run="a", step=1, ident="q", **more):
    row = {"run": run, "step": step, "id": ident, "question_type": kind, "question": "?", "options": None}
    return {**row, "ground_truth": truth, "completion": completion, **more}


def test_a_group_is_silent_where_all_its_answers_earn_the_same():
    near = [rollout(text) for text in ("3", "5", "3")]  # 2/3, 3/4 by the paper, nothing by exact match
    far = [rollout(text, step=2) for text in ("9", "no idea", "1")]
    word = [rollout(text, "object_rel_direction_easy", "left", ident="r") for text in ("left", "right")]
    found = zero_variance_shares([*near, *far, *word], ("paper", "exact"))
    assert found["object_counting"] == {"paper": 50, "exact": 100, "groups": 2}
    assert found["object_rel_direction_easy"] == {"paper": 0, "exact": 0, "groups": 1}


def test_runs_steps_and_questions_keep_their_groups_apart():
    apart = [{"run": "b"}, {"step": 2}, {"ident": "r"}]
    rows = [rollout("4"), *(rollout("2", **own) for own in apart)]  # one answer each
    assert zero_variance_shares(rows, ("exact",))["object_counting"] == {"exact": 100, "groups": 4}


def test_the_best_constant_depends_on_the_reward():
    rows = [rollout("", truth=truth) for truth in ("2", "2", "4", "5", "6")]
    rows.append(rollout("", "object_rel_direction_easy", "left"))
    near = {"exact": lambda p, g: float(p == g), "near": lambda p, g: float(abs(p - g) <= 1)}
    assert best_constants(rows, near) == {
        "object_counting": {"exact": (2.0, pytest.approx(0.4)), "near": (5.0, pytest.approx(0.6))}
    }
    assert best_constants(rows[:1] + rows[2:3], near)["object_counting"]["exact"] == (
        2.0,
        0.5,
    )  # of equals the smallest


def test_an_answer_written_over_and_over_is_found_with_its_share():
    said = {"object_counting": ["2", " 2", "3", "2"], "room_size_estimation": ["9", "10"]}
    rows = [{"question_type": kind, "prediction": text} for kind, texts in said.items() for text in texts]
    assert modal_answers(rows) == {"object_counting": ("2", 75.0), "room_size_estimation": ("9", 50.0)}


def test_the_longer_half_is_held_against_the_shorter_inside_each_group():
    paid = {"a": 0.0, "bb": 0.5, "ccc": 1.0, "dddd": 0.5}  # 0.75 - 0.25
    group = [rollout(text, accuracy_reward=reward) for text, reward in paid.items()]
    other = [rollout(text, step=2, accuracy_reward=1.0 - len(text)) for text in ("longer by far", "short")]
    assert length_reward_gap(group[::-1], len) == 0.5
    assert length_reward_gap([*group, *other], len) == (0.5 - 8) / 2
    odd = [rollout(text, accuracy_reward=reward) for text, reward in (("a", 0.0), ("bb", 7.0), ("ccc", 1.0))]
    assert length_reward_gap(odd, len) == 1.0  # the one in the middle belongs to neither half
