"""The exercises: the kit's own functions pass, the mistakes a learner makes are told with their hint."""

import re
from itertools import combinations
from statistics import NormalDist

import numpy as np
import pytest
import torch
from scipy.stats import t

from vsr_kit import exercises
from vsr_kit.claims import gain_rule
from vsr_kit.evaluation import best_of_k, resampled_means, student_interval
from vsr_kit.losses import dpo_loss, entropy, group_advantages, grpo_loss, kl_k3, reinforce_loss
from vsr_kit.prompts import parse_answer, same_answer
from vsr_kit.questions.geometric import side_of
from vsr_kit.questions.types import ANSWER_UNITS
from vsr_kit.recipes.mm_eureka import useful
from vsr_kit.recipes.vision_r1 import ptst_stages
from vsr_kit.rewards import (
    accuracy_reward,
    all_or_nothing,
    format_reward,
    mra,
    normal_scores,
    paper_numeric,
    tag_names,
    thought_reward,
    words,
)
from vsr_kit.sharing.reference import plain_tokens, shared_tokens
from vsr_kit.training.joints import Stage
from vsr_kit.videos import first_appearance


def by_the_truth(p, g):
    return max(0.0, 1 - abs(p - g) / g)


def no_floor(p, g):
    return 1 - abs(p - g) / min(p, g) if min(p, g) > 0 else 0.0


def no_zero(p, g):
    return max(0.0, 1 - abs(p - g) / min(p, g))


def sign_turned(p, g):
    return min(1.0, max(0.0, 1 - abs(p - g) / min(p, g))) if min(p, g) != 0 else 0.0


def mirrored(kind, turn):
    return side_of(kind, -turn)


def back_from_90(kind, turn):
    return "back" if kind.endswith("medium") and abs(turn) >= 90 else side_of(kind, turn)


def back_above_135(kind, turn):
    return side_of(kind, turn - 0.001 if turn > 0 else turn)


def no_quadrants(kind, turn):
    return side_of("object_rel_direction_easy", turn)


def any_pixel(clip, index, min_pixels=12):
    seen = (clip.object_ids_FHW == index).any(axis=(1, 2))
    return int(seen.argmax()) if seen.any() else None


def never_none(clip, index, min_pixels=12):
    return int(((clip.object_ids_FHW == index).sum(axis=(1, 2)) >= min_pixels).argmax())


def fixed_threshold(clip, index, min_pixels=12):
    return first_appearance(clip, index)


def more_than(clip, index, min_pixels=12):
    return first_appearance(clip, index, min_pixels + 1)


def distinct_only(scores, k):
    best = [max(chosen) for chosen in combinations(sorted(set(scores)), k)]
    return sum(best) / len(best)


def scaled(rewards, spread):
    return (rewards - rewards.mean(1, keepdim=True)) / (spread + 1e-4)


def last_token_twice(clip, question, answer, num_generations, questions=1):
    return shared_tokens(clip, question + 1, answer, num_generations, questions)


def clip_each_time(clip, question, answer, num_generations, questions=1):
    return questions * shared_tokens(clip, question, answer, num_generations)


def question_each_time(clip, question, answer, num_generations, questions=1):
    return clip + questions * num_generations * (question - 1 + answer)


def searched(how=re.fullmatch, flags=re.DOTALL, mode=None, inside=".*?", vanilla=None, between=r"\s*"):
    """A format reward with one mistake."""

    def format_reward(text, asked):
        if asked == "vanilla":
            return vanilla
        tag = mode or asked
        return float(how(rf"<{tag}>{inside}</{tag}>{between}<answer>{inside}</answer>", text, flags) is not None)

    return format_reward


def paid_thought(
    count=lambda said: len(set(said)), once=len, tagged=tag_names, strict=format_reward, held=True, most=1.0
):
    """A thought reward with one mistake."""

    def thought_reward(text, mode):
        if mode == "vanilla":
            return None
        thought, answer = re.search(rf"<{mode}>(.*)</{mode}>.*<answer>(.*)</answer>|$", text).groups()
        if not strict(text, mode) or once(tagged(text)) != 4 or (held and not answer.strip()):
            return 0.0
        return min(most, count(words(thought)) / 6)

    return thought_reward


def any_tags(text, mode):
    return paid_thought()(text, "think") or paid_thought()(text, "observe") if mode != "vanilla" else None


def think_tags(text, mode):
    return paid_thought()(text, mode) if mode != "observe" else 0.0


def own_hard_reward(
    both=lambda shape, right: shape and right,
    strict=format_reward,
    off=lambda p, g: abs(p - g) / g,
    units=ANSWER_UNITS,
    value=lambda text, row: parse_answer(text, row).value,
    words=lambda said, truth: same_answer(said, truth, "word"),
):
    """The reward of Vision-R1, written by hand, with one mistake."""

    def all_or_nothing(text, row):
        said, truth = value(text, row), row["ground_truth"]
        if said is None:
            return 0.0
        if row["question_type"] == "object_rel_direction_easy":
            right = words(said, truth)
        elif row["question_type"] in units:
            right = off(float(said), float(truth)) <= 0.25
        else:
            right = float(said) == float(truth)
        return float(bool(both(strict(text, "think") == 1, right)))

    return all_or_nothing


def digits(text, row):
    """An answer as one might read it without the parser."""
    found = re.search(r"[\d.]+|left|right", text.replace("So.", ""))
    return found and found[0]


def own_advantages(epsilon):
    """Group advantages as a reader may write them, with another epsilon or none."""

    def group_advantages(rewards_BG):
        spread = rewards_BG.std(dim=1, keepdim=True)
        return (rewards_BG - rewards_BG.mean(dim=1, keepdim=True)) / (spread + epsilon)

    return group_advantages


def own_scores(at=lambda i, n: (i + 0.5) / n, shared=True, back=True):
    """Advantages by rank as a reader may write them, or with a mistake."""

    def normal_scores(values):
        n, order = len(values), sorted(values)
        quantiles = [NormalDist().inv_cdf(at(i, n)) for i in range(n)]
        if not back:
            return quantiles
        if not shared:
            return [quantiles[sorted(range(n), key=values.__getitem__).index(i)] for i in range(n)]
        ties = {value: [quantiles[i] for i in range(n) if order[i] == value] for value in values}
        return [sum(ties[value]) / len(ties[value]) for value in values]

    return normal_scores


def own_filter(right=lambda reward: reward >= 1, among=lambda share: 0.1 <= share <= 0.9):
    """The online filter as a reader may write it, or with a mistake."""

    def useful(rewards):
        return among(sum(map(right, rewards)) / len(rewards))

    return useful


def own_interval(ddof=1, root=0.5, freedom=lambda n: n - 1):
    """Student's interval as a reader may write it, or with a mistake."""

    def student_interval(values):
        reach = t.ppf(0.975, freedom(len(values))) * np.std(values, ddof=ddof) / len(values) ** root
        return np.mean(values) - reach, np.mean(values) + reach

    return student_interval


def own_stages(begin=lambda i, steps: i * steps, cap=lambda tokens, group: tokens // group, order=tuple):
    """A schedule, written by hand, with one mistake."""

    def ptst_stages(tokens, groups, steps):
        own = enumerate(order(groups))
        return [Stage(begin(i, steps), max_completion_length=cap(tokens, g), num_generations=g) for i, g in own]

    return ptst_stages


def own_grpo_loss(
    clip=lambda ratio: ratio.clamp(0.8, 1.2),
    worse=torch.minimum,
    kl=kl_k3,
    old=torch.Tensor.detach,
    mean=lambda cost, mask: ((cost * mask).sum(1) / mask.sum(1)).mean(),
):
    """The loss, written by hand, with one mistake."""

    def grpo_loss(p, p_old, q, advantages, mask, beta):
        ratio, gain = (p - old(p_old)).exp(), advantages[:, None]
        return mean(beta * kl(p, q) - worse(ratio * gain, clip(ratio) * gain), mask)

    return grpo_loss


@pytest.mark.parametrize(
    "check, reference",
    [
        (exercises.paper_numeric, paper_numeric),
        (exercises.side_of, side_of),
        (exercises.first_appearance, first_appearance),
        (exercises.best_of_k, best_of_k),
        (exercises.reinforce_loss, reinforce_loss),
        (exercises.entropy, entropy),
        (exercises.resampled_means, resampled_means),
        (exercises.group_advantages, group_advantages),
        (exercises.normal_scores, normal_scores),
        (exercises.normal_scores, own_scores()),
        (exercises.useful, useful),
        (exercises.useful, own_filter()),
        (exercises.kl_k3, kl_k3),
        (exercises.grpo_loss, grpo_loss),
        (exercises.grpo_loss, own_grpo_loss()),
        (exercises.shared_tokens, shared_tokens),
        (exercises.format_reward, format_reward),
        (exercises.mra, mra),
        (exercises.thought_reward, thought_reward),
        (exercises.thought_reward, paid_thought()),
        (exercises.all_or_nothing, all_or_nothing),
        (exercises.all_or_nothing, own_hard_reward()),
        (exercises.ptst_stages, ptst_stages),
        (exercises.ptst_stages, own_stages()),
        (exercises.dpo_loss, dpo_loss),
        (exercises.gain_rule, gain_rule),
        (exercises.student_interval, student_interval),
        (exercises.student_interval, own_interval()),
    ],
)
def test_the_kits_own_function_passes_with_one_line(check, reference, capsys):
    check(reference)
    said = capsys.readouterr().out
    assert said.startswith(f"✓ {reference.__name__}: all ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "check, wrong, told",
    [
        (
            exercises.normal_scores,
            own_scores(at=lambda i, n: (i + 1) / (n + 1)),
            r"normal_scores\(\[0.2, 0.9\]\) gave .*counted from 1, sits at \(i - 1/2\) / G",
        ),
        (
            exercises.normal_scores,
            own_scores(back=False),
            r"normal_scores\(\[0.9, 0.1, 0.5\]\) gave .*sort places, not rewards",
        ),
        (
            exercises.normal_scores,
            own_scores(shared=False),
            r"normal_scores\(\[0.0, 0.5, 0.5, 1.0\]\) gave .*the order of equal rewards decides nothing",
        ),
        (
            exercises.normal_scores,
            lambda values: [(v - np.mean(values)) / (np.std(values, ddof=1) + 1e-4) for v in values],
            r"normal_scores\(\[0.2, 0.9\]\) gave .*NormalDist",
        ),
        (exercises.useful, lambda rewards: True, r"useful\(\[0.0, 0.0.*gave True.*no rollout is better"),
        (
            exercises.useful,
            own_filter(right=lambda reward: reward > 0),
            r"useful\(\[0.5, 0.0.*gave .*True.*0.5 is the format alone",
        ),
        (
            exercises.useful,
            lambda rewards: min(rewards) < max(rewards),
            r"useful\(\[0.5, 0.0.*gave .*True.*a reward above 0 is not enough",
        ),
        (
            exercises.useful,
            own_filter(among=lambda share: 0 < share < 1),
            r"useful\(\[1.0(, 0.0){10}\]\) gave .*both included",
        ),
        (
            exercises.useful,
            own_filter(among=lambda share: 0.1 < share < 0.9),
            r"useful\(\[1.0(, 0.0){9}\]\) gave .*both included",
        ),
        *(
            (exercises.useful, own_filter(among=wrong), r"useful\(\[[01].0(, [01].0){7,10}\]\) gave .*both included")
            for wrong in (
                lambda share: 0.1 <= share <= 0.85,
                lambda share: 0.1 <= share < 0.9,
                lambda share: 0.1 <= share <= 0.91,
                lambda share: 0.09 <= share <= 0.9,
            )
        ),
        (
            exercises.paper_numeric,
            by_the_truth,
            r"paper_numeric\(3.0, 4.0\) gave 0.75, expected 0.66.*smaller of the two",
        ),
        (exercises.paper_numeric, no_floor, r"paper_numeric\(1.0, 4.0\) gave -2.0, expected 0.0.*never below 0"),
        (exercises.paper_numeric, no_zero, r"raised ZeroDivisionError.*may be 0"),
        (exercises.paper_numeric, sign_turned, r"paper_numeric\(-2.0, 4.0\) gave 1.0.*negative"),
        (exercises.paper_numeric, lambda p, g: None, "gave None.*return"),
        (exercises.paper_numeric, lambda p, g: True, "gave True"),
        (exercises.paper_numeric, 3, "not a function"),
        (exercises.side_of, mirrored, "counter-clockwise"),
        (exercises.side_of, back_from_90, "100.0.*gave 'back', expected 'left'.*135"),
        (exercises.side_of, back_above_135, "135.0.*gave 'left', expected 'back'"),
        (exercises.side_of, no_quadrants, "135"),
        (exercises.first_appearance, any_pixel, "12.*gave 1, expected 2"),
        (exercises.first_appearance, never_none, "gave 0, expected None"),
        (exercises.first_appearance, fixed_threshold, "gave 2, expected 1.*min_pixels"),
        (exercises.first_appearance, more_than, "gave 3, expected 2"),
        (exercises.best_of_k, lambda scores, k: max(scores), "gave 1.0, expected 0.5.*plain mean"),
        (exercises.best_of_k, lambda scores, k: sum(scores) / len(scores), "gave 0.5, expected 1.0.*highest score"),
        (exercises.best_of_k, distinct_only, "gave 1.0, expected 0.5.*3 of the 6 pairs"),
        (exercises.reinforce_loss, lambda logps, a: (a * logps).mean(), "gave -0.69.*mind the sign"),
        (exercises.reinforce_loss, lambda logps, a: -(a * logps).sum(), "gave 1.38.*not their sum"),
        (exercises.reinforce_loss, lambda logps, a: -logps.mean(), "gave 0.69.*expected -0.69"),
        (exercises.mra, lambda p, g: max(0.0, 1 - abs(p - g) / g), "gave 0.775, expected 0.6.*ten bounds"),
        (
            exercises.mra,
            lambda p, g: mra(p, g) if p > g else mra(g + (g - p) * g / p, g),
            "gave 0.5.*divided by the truth",
        ),
        (exercises.mra, lambda p, g: sum((g - p) / g <= t / 20 for t in range(1, 11)) / 10, "gave 1.0, expected 0.0"),
        (exercises.entropy, lambda p: -(p * p.log2()).sum(), "gave 1.0.*these are bits"),
        (exercises.entropy, lambda p: -p.log().mean(), "gave 0.83.*counts with its probability"),
        (exercises.entropy, lambda p: -(p * p.log()).sum(), "gave nan, expected 0.0.*0 log 0"),
        (exercises.resampled_means, lambda v, picks: [float(np.mean(v))] * len(picks), "gave .*30.*counts twice"),
        (exercises.resampled_means, lambda v, picks: np.array(v)[picks].mean(0), "gave .*10.0, 20.0, 60.0"),
        (exercises.group_advantages, lambda r: r - r.mean(1, keepdim=True), "expected .*over G - 1"),
        (exercises.group_advantages, lambda r: scaled(r, r.std(1, keepdim=True, correction=0)), "over G - 1"),
        (exercises.group_advantages, lambda r: (r - r.mean()) / (r.std() + 1e-4), "a group of its own"),
        (exercises.kl_k3, lambda p, q: (p - q).exp() - (p - q) - 1, "the reference on top"),
        (
            exercises.grpo_loss,
            own_grpo_loss(clip=lambda ratio: ratio),
            r"log\[\[0.4.*gave -2.0, expected -1.2.*0.8 to 1.2",
        ),
        (
            exercises.grpo_loss,
            own_grpo_loss(worse=lambda plain, clipped: clipped),
            "gave 1.2, expected 2.0.*the smaller",
        ),
        (exercises.grpo_loss, own_grpo_loss(kl=lambda p, q: 0), "gave 0.0, expected 0.019.*beta times k3"),
        (exercises.grpo_loss, own_grpo_loss(mean=lambda c, m: (c * m).sum() / m.sum()), "gave -0.66.*own tokens first"),
        (exercises.grpo_loss, own_grpo_loss(mean=lambda c, m: c.mean()), "mask is 0 counts in no sum"),
        (exercises.grpo_loss, own_grpo_loss(old=lambda logps: logps), "two tokens.*gradient in logps.*detach it"),
        (exercises.shared_tokens, plain_tokens, r"10, 1, 3, 1\) gave 14, expected 13"),
        (exercises.shared_tokens, last_token_twice, r"gave 14, expected 13"),
        (exercises.shared_tokens, clip_each_time, r"questions=2\) gave 40, expected 30.*however many questions"),
        (
            exercises.group_advantages,
            own_advantages(epsilon=0.0),
            "gave .*1.5.*1e-4 is added to the standard deviation",
        ),
        (exercises.group_advantages, own_advantages(epsilon=1e-6), "1e-4 is added to the standard deviation"),
        (exercises.kl_k3, lambda logps, ref: logps - ref, "gave .*0.693.*this is k1"),
        (exercises.kl_k3, lambda logps, ref: (logps - ref) ** 2 / 2, "gave .*0.24.*this is k2"),
        (exercises.student_interval, own_interval(ddof=0), r"\[1\.0, 2\.0, 6\.0\]\) gave .*over n - 1"),
        (exercises.student_interval, own_interval(root=0), r"\[1\.0, 2\.0, 6\.0\]\) gave .*square root of n"),
        (exercises.student_interval, own_interval(freedom=lambda n: 2), r"0\.0, 1\.0\]\) gave .*2\.776445 for five"),
        (
            exercises.gain_rule,
            lambda low, high: "reproduced" if low >= 0 else "not reproduced" if high <= 0 else "undecided",
            r"0\.0, 3\.0\) gave 'reproduced', expected 'undecided'.*holds it",
        ),
        (
            exercises.gain_rule,
            lambda low, high: "reproduced" if low + high > 0 else "not reproduced",
            r"expected 'undecided'.*a positive mean alone decides nothing",
        ),
        (
            exercises.dpo_loss,
            lambda c, r, ref_c, ref_r, beta: -(beta * (c - r)).sigmoid().log().mean(),
            "policy that is its",
        ),
        (
            exercises.dpo_loss,
            lambda c, r, ref_c, ref_r, beta: dpo_loss(r, c, ref_r, ref_c, beta),
            "expected 0.126.*2 here",
        ),
        (exercises.dpo_loss, lambda c, r, ref_c, ref_r, beta: dpo_loss(c, r, ref_c, ref_r, 1.0), "inside the sigmoid"),
        (exercises.dpo_loss, lambda *pair, beta: dpo_loss(*pair, beta) * len(pair[0]), "mean over pairs"),
        (
            exercises.thought_reward,
            lambda text, mode: format_reward(text, mode),
            "gave 1.0, expected 0.33.*different words",
        ),
        (exercises.thought_reward, paid_thought(count=len), "chair.*gave 1.0, expected 0.16.*one word"),
        (
            exercises.thought_reward,
            lambda text, mode: paid_thought()(text, mode) or 0.1,
            "> .*gave 0.1, expected 0.0.*no w",
        ),
        (
            exercises.thought_reward,
            paid_thought(once=lambda tags: 4),
            "<think></think><think>.*gave 1.0, .*`tag_names`",
        ),
        (
            exercises.thought_reward,
            paid_thought(once=lambda tags: len(set(tags))),
            "<think></think><think>.*each of the",
        ),
        (
            exercises.thought_reward,
            paid_thought(tagged=lambda text: re.findall("</?(?:think|observe|answer)>", text)),
            "< Think >.*gave 1.0, expected 0.0.*sloppily",
        ),
        (exercises.thought_reward, paid_thought(strict=lambda text, mode: 1), "six <think>lamp.*nothing but"),
        (exercises.thought_reward, paid_thought(held=False), "<answer> </answer>.*gave 1.0, expected 0.0.*no answer"),
        (exercises.thought_reward, paid_thought(most=9.0), "seven.*gave 1.16.*at most 1"),
        (exercises.thought_reward, any_tags, "<think>.*'observe'.*gave 1.0, expected 0.0.*tag of its own"),
        (exercises.thought_reward, think_tags, "<observe>.*'observe'.*gave 0.0, expected 1.0.*tag of its own"),
        (exercises.thought_reward, lambda text, mode: paid_thought()(text, mode) or 0.0, "'vanilla'.*expected None"),
        (
            exercises.all_or_nothing,
            own_hard_reward(both=lambda shape, right: right),
            r"\('2.0'.*gave 1.0.*alone, earns",
        ),
        (
            exercises.all_or_nothing,
            own_hard_reward(both=lambda shape, right: shape),
            "2.6.*gave 1.0, expected 0.0.*quarter",
        ),
        (
            exercises.all_or_nothing,
            own_hard_reward(strict=lambda text, mode: "<answer>" in text),
            "Sure.*gave 1.0, expected 0.0.*whole text",
        ),
        (
            exercises.all_or_nothing,
            own_hard_reward(off=lambda p, g: abs(p - g) / min(p, g)),
            "1.5.*gave 0.0, expected 1.0.*divided by the truth",
        ),
        (exercises.all_or_nothing, own_hard_reward(units=("object_counting", *ANSWER_UNITS)), "5<.*gave 1.0.*itself"),
        (exercises.all_or_nothing, own_hard_reward(units=()), "2.5.*gave 0.0, expected 1.0.*quarter"),
        (exercises.all_or_nothing, own_hard_reward(value=digits), "250 cm.*gave 0.0, expected 1.0.*unit converted"),
        (exercises.all_or_nothing, own_hard_reward(words=lambda said, truth: True), "right<.*gave 1.0.*right or wrong"),
        (
            exercises.all_or_nothing,
            own_hard_reward(strict=lambda text, mode: format_reward(text, mode) and "<think></" not in text),
            "<think></think>.*gave 0.0, expected 1.0.*what a thought holds",
        ),
        (
            exercises.all_or_nothing,
            lambda text, row: accuracy_reward(text, row) * format_reward(text, "think"),
            r"2.5.*gave 0.75, expected 1.0",
        ),
        (
            exercises.all_or_nothing,
            lambda text, row: own_hard_reward()(text, row) if "far away" not in text else float(text),
            "far away.*raised ValueError.*value None",
        ),
        (exercises.ptst_stages, own_stages(cap=lambda tokens, group: tokens), "160.*cap = tokens // G"),
        (exercises.ptst_stages, own_stages(cap=lambda tokens, group: round(tokens / group + 0.5)), "62.*rounded down"),
        (exercises.ptst_stages, own_stages(begin=lambda i, steps: steps), "60, 16, 160.*the first begins at 0"),
        (exercises.ptst_stages, own_stages(begin=lambda i, steps: 60 * i), "16384.*i \\* steps"),
        (exercises.ptst_stages, own_stages(order=lambda groups: sorted(groups)), "fewer completions leave longer ones"),
        (exercises.shared_tokens, question_each_time, r"10, 5, 3, 2\) gave 24, expected 20.*once for both"),
        (exercises.format_reward, searched(re.search), "Sure.*gave 1.0, expected 0.0.*whole text"),
        (exercises.format_reward, searched(re.match), "I think.*gave 1.0, expected 0.0.*whole text"),
        (exercises.format_reward, searched(flags=0), "gave 0.0, expected 1.0.*DOTALL"),
        (exercises.format_reward, searched(mode="think"), "'observe'.*gave 1.0, expected 0.0.*tag of its own"),
        (exercises.format_reward, searched(inside=".+?"), "gave 0.0, expected 1.0.*empty blocks"),
        (exercises.format_reward, searched(vanilla=0.0), "expected None.*vanilla"),
        (exercises.format_reward, searched(between=".*?"), " so .*gave 1.0, expected 0.0.*whole text"),
    ],
)
def test_a_mistake_is_told_with_its_hint(check, wrong, told):
    with pytest.raises(exercises.NotYet, match=told):
        check(wrong)


def test_arrays_and_numpy_numbers_count_as_what_they_hold(capsys):
    case = exercises.Case((), [0.5, -0.5], "two numbers")
    exercises.run_cases("f", lambda: np.array([0.5, -0.5]), [case])
    assert "all 1 cases" in capsys.readouterr().out
    with pytest.raises(exercises.NotYet, match="two numbers"):
        exercises.run_cases("f", lambda: np.array([0.5]), [case])


@pytest.mark.parametrize("got", [True, "1.0", [1.0]])
def test_what_is_no_number_is_not_taken_for_one(got):
    with pytest.raises(exercises.NotYet, match="one"):
        exercises.run_cases("f", lambda: got, [exercises.Case((), 1.0, "one")])


def test_a_notebook_shows_the_hint_alone_and_the_readers_own_line():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shown = []
    shell._showtraceback = lambda kind, value, lines: shown.append("\n".join(lines))
    try:
        shell.run_cell("from vsr_kit import exercises\nexercises.gain_rule(lambda low, high: 'yes')")
    finally:
        InteractiveShell.clear_instance()
    (text,) = shown
    assert text.startswith("Not yet: gain_rule(1.0, 3.0) gave 'yes'") and "Hint: " in text and text.count("\n") == 0


def test_where_a_readers_function_raised_is_said():
    code = compile("def gain_rule(low, high):\n    return {}['x']\n", "ipykernel_1/2.py", "exec")
    names = {}
    exec(code, names)
    with pytest.raises(exercises.NotYet, match=r"raised KeyError: 'x', in line 2 of your cell\. Hint"):
        exercises.gain_rule(names["gain_rule"])
