"""The checks of the course's exercises, one function each; their expected answers are plain numbers and words.

They cover losses (REINFORCE, GRPO, KL, DPO), entropy and shared tokens, rewards (numbers, format, thought, all or
nothing), a schedule (PTST), rooms and clips (sides, first appearance) and scores (best of k, means of resamples,
Student's interval, a verdict rule).
cases.py runs the cases.
Left out: as in `vsr_kit.exercises`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from vsr_kit.exercises.cases import Case, run_cases
from vsr_kit.videos import CameraPath, Clip


def group_advantages(function: Callable) -> None:
    """Notebook 04: `(rewards_BG) -> advantages_BG`, tensors; (r - mean) / (std + 1e-4) in each row."""
    import torch

    spread = "the standard deviation is the sample's, over G - 1: torch's own `std`"
    rows = "every row is a group of its own: mean and std along dim=1, with keepdim=True"
    epsilon = "1e-4 is added to the standard deviation itself: (r - mean) / (std + 1e-4)"
    likely = ((0.5, epsilon), (0.5 + 1e-6, epsilon), (0.5 + 1e-5, epsilon), (0.1875**0.5 + 1e-4, spread))
    given = [
        ([[1.0, 0.0, 0.0, 0.0]], [[0.75 / 0.5001, *[-0.25 / 0.5001] * 3]], spread),
        ([[0.5, 0.5, 0.5]], [[0.0, 0.0, 0.0]], "equal rewards have no spread: the 1e-4 keeps 0 / 0 away"),
        ([[1.0, 0.0], [0.6, 0.6]], [[0.5 / 0.7072067811865475, -0.5 / 0.7072067811865475], [0.0, 0.0]], rows),
    ]
    cases = [Case((torch.tensor(r, dtype=torch.float64),), a, hint, shown=f"tensor({r})") for r, a, hint in given]
    mistakes = tuple(([[0.75 / std, *[-0.25 / std] * 3]], hint) for std, hint in likely)
    cases[0] = replace(cases[0], mistakes=mistakes)
    run_cases("group_advantages", function, cases)


def reinforce_loss(function: Callable) -> None:
    """Notebook 03: `(logps_N, advantages_N) -> loss`, minus the mean of advantage times log-probability."""
    import torch

    sign = "training goes down the loss, and a good answer should become more likely: mind the sign"
    mean = "the mean over the answers, not their sum"
    given = [
        ([0.5], [1.0], 0.6931471805599453, f"log 0.5 is -0.693; {sign}"),
        ([0.5], [-1.0], -0.6931471805599453, sign),
        ([0.5, 0.5], [1.0, 1.0], 0.6931471805599453, mean),
        ([0.5, 0.25], [1.0, 0.0], 0.34657359027997264, "an answer whose advantage is 0 adds nothing"),
    ]
    cases = [
        Case(
            (torch.tensor(p, dtype=torch.float64).log(), torch.tensor(a, dtype=torch.float64)),
            loss,
            hint,
            shown=f"log{p}, {a}",
        )
        for p, a, loss, hint in given
    ]
    run_cases("reinforce_loss", function, cases)


def entropy(function: Callable) -> None:
    """Notebook 03: `(probabilities) -> nats`, minus the sum of p log p; what never happens adds nothing."""
    import torch

    bits = ((1.0, "these are bits: take the natural logarithm"),)
    given = [
        ([0.5, 0.5], 0.6931471805599453, "a fair coin: -log 0.5, in nats", bits),
        ([0.25, 0.75], 0.5623351446188083, "each outcome's surprise, -log p, counts with its probability p", ()),
        ([1.0, 0.0], 0.0, "0 log 0 counts as 0, though the logarithm alone is infinite", ()),
    ]
    cases = [
        Case((torch.tensor(p, dtype=torch.float64),), nats, hint, shown=f"tensor({p})", mistakes=mistakes)
        for p, nats, hint, mistakes in given
    ]
    run_cases("entropy", function, cases)


def resampled_means(function: Callable) -> None:
    """Notebook 03: `(values_N, picks_RN) -> means_R`; a row of picks says which values are in a resample."""
    values = [10.0, 20.0, 60.0]
    given = [
        ([[0, 1, 2]], [30.0], "every value once: the sample itself"),
        ([[0, 0, 2]], [80 / 3], "a value that is picked twice counts twice"),
        ([[1, 1, 1], [2, 2, 0]], [20.0, 130 / 3], "one mean for each row of picks"),
    ]
    cases = [Case((values, np.array(picks)), means, hint) for picks, means, hint in given]
    run_cases("resampled_means", function, cases)


def kl_k3(function: Callable) -> None:
    """Notebook 04: `(logps, ref_logps) -> q/p - log(q/p) - 1` of each token, p the policy, q the reference."""
    import torch

    ratio = "q / p is exp(ref_logps - logps): the reference on top"
    first, second = 0.6931471805599453, 0.5 * 0.6931471805599453**2  # of p = 0.5 and q = 0.25
    others = (([first], "this is k1, -log(q / p), which can be negative; k3 is q / p - log(q / p) - 1"),)
    others += (([second], "this is k2, half the square of log(q / p); k3 is q / p - log(q / p) - 1"),)
    given = [
        ([0.5, 0.1], [0.5, 0.1], [0.0, 0.0], "where both agree, the estimate is 0"),
        ([0.5], [0.25], [0.5 + 0.6931471805599453 - 1], ratio),
        ([0.25], [0.5], [2 - 0.6931471805599453 - 1], f"{ratio}; it is never negative"),
    ]
    cases = [
        Case(
            tuple(torch.tensor(x, dtype=torch.float64).log() for x in pair),
            found,
            hint,
            shown=f"log{pair[0]}, log{pair[1]}",
            mistakes=others if pair == [[0.5], [0.25]] else (),
        )
        for *pair, found, hint in given
    ]
    run_cases("kl_k3", function, cases)


def grpo_loss(function: Callable) -> None:
    """Notebook 06: `(logps_NT, old_logps_NT, ref_logps_NT, advantages_N, mask_NT, beta=…) -> loss`, epsilon 0.2."""
    import torch

    clip = "the ratio p / p_old may count as 0.8 to 1.2, no more; take the smaller of clipped gain and plain gain"
    lengths = "the mean over each completion's own tokens first, then over completions"
    masked = "a token whose mask is 0 counts in no sum and in no length"
    one = [[1]]
    given = [  # p, p_old, q, advantages, mask, beta, loss, hint
        ([[0.5]], [[0.5]], [[0.5]], [1.0], one, 0.1, -1.0, "nothing has moved yet: minus the advantage"),
        ([[0.4]], [[0.2]], [[0.4]], [1.0], one, 0.0, -1.2, clip),
        ([[0.4]], [[0.2]], [[0.4]], [-1.0], one, 0.0, 2.0, clip),
        ([[0.2]], [[0.4]], [[0.2]], [1.0], one, 0.0, -0.5, clip),
        ([[0.2]], [[0.4]], [[0.2]], [-1.0], one, 0.0, 0.8, clip),
        ([[0.5]], [[0.5]], [[0.25]], [0.0], one, 0.1, 0.1 * (0.5 + 0.6931471805599453 - 1), "beta times k3"),
        ([[0.5, 0.5]] * 2, [[0.5, 0.5]] * 2, [[0.5, 0.5]] * 2, [1.0, 0.5], [[1, 0], [1, 1]], 0.1, -0.75, lengths),
        ([[0.5, 0.9]], [[0.5, 0.1]], [[0.5, 0.1]], [1.0], [[1, 0]], 0.1, -1.0, masked),
    ]

    def case(p, p_old, q, advantages, mask, beta, loss, hint):
        logps = [torch.tensor(x, dtype=torch.float64).log() for x in (p, p_old, q)]
        shown = f"log{p}, log{p_old}, log{q}, {advantages}, {mask}, beta={beta}"
        values = torch.tensor(advantages, dtype=torch.float64), torch.tensor(mask)
        return Case((*logps, *values), loss, hint, {"beta": beta}, shown)

    def slope(function, advantage):
        logps = torch.tensor([[0.5, 0.5]], dtype=torch.float64).log().requires_grad_()
        function(logps, logps, logps.detach(), torch.tensor([advantage]), torch.ones(1, 2), beta=0.1).backward()
        return logps.grad[0]

    still = "p_old is a number, not a way for the gradient: detach it, or its gradient cancels that of p"
    pulls = [
        Case((a,), [-a / 2] * 2, still, shown=f"two tokens, advantage {a}), its gradient in logps (", of=slope)
        for a in (2.0, -2.0)
    ]
    run_cases("grpo_loss", function, [*(case(*row) for row in given), *pulls])


def shared_tokens(function: Callable[..., int]) -> None:
    """Notebook 05: tokens of one pass, `(clip, question, answer, num_generations, questions=1) -> int`, all shared."""
    last = "all of a question but its last token is read once; the last one comes again with every completion"
    once = "the clip is read once, however many questions are asked about it"
    all_of_them = "every completion is read, of every question: questions * num_generations * answer"
    cases = [
        Case((10, 1, 3, 1), 13, "clip, no token of the question by itself, one completion: 10 + 0 + 3"),
        Case((10, 5, 3, 1), 17, last),
        Case((10, 5, 3, 2), 20, f"the clip and the question are read once for both completions; {last}"),
        Case((10, 5, 3, 2), 30, f"{once}; {all_of_them}", {"questions": 2}),
        Case((1024, 60, 16, 14), 2156, f"{once}; {all_of_them}", {"questions": 4}),
    ]
    run_cases("shared_tokens", function, cases)


def dpo_loss(function: Callable) -> None:
    """Notebook 09: `(chosen_B, rejected_B, ref_chosen_B, ref_rejected_B, beta=0.1) -> loss` of log-probabilities."""
    import torch

    margin = "margin = (chosen - ref_chosen) - (rejected - ref_rejected), and a pair costs -log sigmoid(beta * margin)"
    given = [
        ([[-1.0], [-7.0], [-1.0], [-7.0]], 0.1, 0.6931471805599453, "a policy that is its reference has margin 0"),
        ([[-1.0], [-3.0], [-2.0], [-2.0]], 1.0, 0.1269280110429725, f"{margin}; 2 here"),
        ([[-3.0], [-1.0], [-2.0], [-2.0]], 1.0, 2.1269280110429727, f"{margin}; -2 here"),
        ([[-1.0], [-3.0], [-2.0], [-2.0]], 0.1, 0.5981388693815919, "beta multiplies the margin, inside the sigmoid"),
        ([[-1.0, -3.0], [-3.0, -1.0], [-2.0] * 2, [-2.0] * 2], 1.0, 1.1269280110429725, "the mean over pairs, last"),
    ]
    cases = [
        Case(tuple(torch.tensor(x, dtype=torch.float64) for x in pair), loss, hint, {"beta": beta}, f"{pair}, {beta}")
        for pair, beta, loss, hint in given
    ]
    run_cases("dpo_loss", function, cases)


def paper_numeric(function: Callable[[float, float], float]) -> None:
    """Notebook 00: the reward of a number, `(predicted, truth) -> 0 to 1`."""
    smaller = "divide |p - g| by the smaller of the two, not by the truth"
    floor = "a reward is never below 0: max(0, …)"
    cases = [
        Case((4.0, 4.0), 1.0, "no error earns 1"),
        Case((3.0, 4.0), 2 / 3, smaller),
        Case((5.0, 4.0), 0.75, smaller),
        Case((8.0, 4.0), 0.0, "twice the truth is an error of 1: 1 - 1 = 0"),
        Case((1.0, 4.0), 0.0, floor),
        Case((0.0, 4.0), 0.0, "the smaller of the two may be 0: nothing can be divided by it, and it earns nothing"),
        Case((-2.0, 4.0), 0.0, "a negative answer must not turn the sign of the error: it earns nothing"),
    ]
    run_cases("paper_numeric", function, cases)


def format_reward(function: Callable[[str, str], float | None]) -> None:
    """Notebook 10: `(text, mode) -> 1.0 or 0.0` for the strict format; None in vanilla mode."""
    whole = "the whole text must match (re.fullmatch): nothing before, between or after the two blocks but white space"
    lines = "a thought may run over several lines: in a pattern '.' stops at a line break without re.DOTALL"
    empty = "the shape is paid, not what is in it: empty blocks earn it, too, and that is the way to cheat"
    cases = [
        Case(("<think>Two beds.</think> <answer>2</answer>", "think"), 1.0, "this is what the prompt asks for"),
        Case(("<think>Two\nbeds.</think>\n<answer>2</answer>", "think"), 1.0, lines),
        Case(("Sure! <think>Two beds.</think> <answer>2</answer>", "think"), 0.0, whole),
        Case(("<think>Two beds.</think> <answer>2</answer>, I think", "think"), 0.0, whole),
        Case(("<think>Two beds.</think> so <answer>2</answer>", "think"), 0.0, whole),
        Case(("<answer>2</answer> <think>Two beds.</think>", "think"), 0.0, "first the thought, then the answer"),
        Case(("<think>Two beds.</think> <answer>2</answer>", "observe"), 0.0, "each mode has a tag of its own"),
        Case(("<observe>Two beds.</observe> <answer>2</answer>", "observe"), 1.0, "each mode has a tag of its own"),
        Case(("<think></think> <answer></answer>", "think"), 1.0, empty),
        Case(("2", "vanilla"), None, "vanilla asks for no tags: there is no such reward, so None"),
    ]
    run_cases("format_reward", function, cases)


def mra(function: Callable[[float, float], float]) -> None:
    """Notebook 07: `(predicted, truth) -> 0 to 1`, the share of ten bounds that a number's relative error keeps to."""
    share = "of the ten bounds 0.5, 0.45, … 0.05 count those that the error does not exceed, and divide by ten"
    smaller = ((0.5, "the error is divided by the truth, whichever of the two is smaller"),)
    cases = [
        Case((4.0, 4.0), 1.0, "an exact answer passes all ten"),
        Case((8.0, 4.0), 0.0, "an error as large as the truth passes none"),
        Case((3.1, 4.0), 0.6, f"an error of 0.225: {share}", mistakes=smaller),
        Case((4.9, 4.0), 0.6, "too large by as much as 3.1 is too small: the error has no sign"),
        Case((5.5, 4.0), 0.3, f"an error of 0.375: {share}"),
    ]
    run_cases("mra", function, cases)


def thought_reward(function: Callable[[str, str], float | None]) -> None:
    """Notebook 08: `(text, mode) -> 0 to 1`, for six different words in one strict pair of tags; None in vanilla."""
    end, six = " <answer>2</answer>", "one two three four five six"
    share = "different words / 6, at most 1; a word said twice, or in capitals, is one word (`words` takes case away)"
    once = "each of the four tags once: `tag_names` lists them, however sloppily spelled"
    cases = [
        Case((f"<think>{six}, seven</think>{end}", "think"), 1.0, share),
        Case((f"<think>Two beds.</think>{end}", "think"), 1 / 3, share),
        Case((f"<think>chair Chair chair chair chair chair</think>{end}", "think"), 1 / 6, share),
        Case((f"<think> </think>{end}", "think"), 0.0, "no word, no pay"),
        Case((f"<think></think><think>{six}</think>{end}", "think"), 0.0, once),
        Case((f"<think>{six} < Think ></think>{end}", "think"), 0.0, once),
        Case((f"{six} <think>lamp</think>{end}", "think"), 0.0, "nothing but the two blocks, as for the format"),
        Case((f"<think>{six}</think> <answer> </answer>", "think"), 0.0, "an answer block that holds no answer"),
        Case((f"<think>{six}</think>{end}", "observe"), 0.0, "each mode has a tag of its own"),
        Case((f"<observe>{six}</observe>{end}", "observe"), 1.0, "each mode has a tag of its own"),
        Case(("2", "vanilla"), None, "vanilla asks for no thought: there is no such reward, so None"),
    ]
    run_cases("thought_reward", function, cases)


def all_or_nothing(function: Callable[[str, dict], float]) -> None:
    """Notebook 12: `(text, row) -> 1.0 or 0.0`: think format and a right answer, a measure within a quarter."""
    far = {"question_type": "object_abs_distance", "question": "How far?", "options": None, "ground_truth": "2.0"}
    count = {"question_type": "object_counting", "question": "How many?", "options": None, "ground_truth": "4"}
    side = {"question_type": "object_rel_direction_easy", "question": "?", "options": None, "ground_truth": "left"}

    def case(answer: str, row: dict, paid: float, hint: str, text: str = "<think>So.</think> <answer>{}</answer>"):
        told = text.format(answer)
        return Case((told, row), paid, hint, shown=f"{told!r}, a {row['question_type']} of {row['ground_truth']}")

    quarter = "a measure may be off by a quarter of the truth: abs(p - g) / g <= 0.25, divided by the truth"
    both = "the format alone, or the answer alone, earns nothing"
    exact = "a count has no unit (it is not in `questions.types.ANSWER_UNITS`) and must be the count itself"
    cases = [
        case("2.0", far, 1.0, "format and answer are right"),
        case("2.0", far, 0.0, both, text="{}"),
        case("2.0", far, 0.0, f"{both}; `format_reward` wants the whole text", text="Sure! <answer>{}</answer>"),
        case("2.5", far, 1.0, quarter),
        case("2.6", far, 0.0, quarter),
        case("1.5", far, 1.0, quarter),
        case("1.4", far, 0.0, f"{quarter}; nothing in between is paid, as `accuracy_reward` would"),
        case("250 cm", far, 1.0, "`parse_answer(text, row).value` has the unit converted: do not read digits yourself"),
        case("far away", far, 0.0, "what cannot be read has the value None, and earns nothing"),
        case("4", count, 1.0, exact),
        case("5", count, 0.0, exact),
        case("left", side, 1.0, "words are right or wrong: compare them with the truth"),
        case("right", side, 0.0, "words are right or wrong: compare them with the truth"),
        case("2.0", far, 1.0, "no term pays for what a thought holds", text="<think></think> <answer>{}</answer>"),
    ]
    run_cases("all_or_nothing", function, cases)


def ptst_stages(function: Callable[..., Sequence]) -> None:
    """Notebook 12: `(tokens, groups, steps) -> Stages` of as many steps each, with a cap x G of at most `tokens`."""

    def read(function, *asked):
        return [(stage.from_step, stage.num_generations, stage.max_completion_length) for stage in function(*asked)]

    share = "the tokens are shared by the completions of a question: cap = tokens // G"
    begins = "a stage is told by its first step: the i-th one, from 0, begins after i * steps"
    cases = [
        Case((2560, (16,), 60), [(0, 16, 160)], f"{share}; the first begins at 0", of=read),
        Case(
            (2560, (16, 8), 60), [(0, 16, 160), (60, 8, 320)], f"{begins}; fewer completions leave longer ones", of=read
        ),
        Case((65536, (16, 8, 4), 100), [(0, 16, 4096), (100, 8, 8192), (200, 4, 16384)], begins, of=read),
        Case((1000, (16, 3), 5), [(0, 16, 62), (5, 3, 333)], f"{share}, rounded down: a cap x G above it", of=read),
    ]
    run_cases("ptst_stages", function, cases)


def side_of(function: Callable[[str, float], str]) -> None:
    """Notebook 01: the answer to a direction question, `(question_type, turn_deg) -> side`."""
    easy, medium, hard = (f"object_rel_direction_{level}" for level in ("easy", "medium", "hard"))
    sign = "turns are counter-clockwise: above 0 is to the left"
    back = "medium knows three answers, and 'back' starts at a turn of 135 degrees to either side"
    quadrant = "hard names a quadrant, 'front-left' and so on; beyond 90 degrees it is behind you"
    cases = [
        Case((easy, 30.0), "left", sign),
        Case((easy, -170.0), "right", f"{sign}; easy has no 'back'"),
        Case((medium, 100.0), "left", back),
        Case((medium, -100.0), "right", back),
        Case((medium, 135.0), "back", back),
        Case((medium, -160.0), "back", back),
        Case((hard, 45.0), "front-left", quadrant),
        Case((hard, 100.0), "back-left", quadrant),
        Case((hard, -89.0), "front-right", quadrant),
        Case((hard, -179.0), "back-right", quadrant),
    ]
    run_cases("side_of", function, cases)


def first_appearance(function: Callable[..., int | None]) -> None:
    """Notebook 01: the first frame that shows a box, `(clip, index, min_pixels=12) -> frame or None`."""
    clip = _clip_of_counts([{2: 20}, {0: 3, 2: 20}, {0: 12, 1: 11}, {0: 25}])
    told = "`clip.object_ids_FHW == index` is True where box `index` is seen; count by frame"
    shown = "clip in which box 0 covers 0, 3, 12, 25 pixels, box 1 at most 11, box 2 20 in frames 0 and 1"
    cases = [
        Case((clip, 2), 0, told, shown=f"{shown}; 2"),
        Case((clip, 0), 2, f"{told}; three pixels are not enough, twelve are", shown=f"{shown}; 0"),
        Case((clip, 0), 1, "`min_pixels` decides", {"min_pixels": 3}, f"{shown}; 0, min_pixels=3"),
        Case((clip, 1), None, "never seen well enough: return None", shown=f"{shown}; 1"),
    ]
    run_cases("first_appearance", function, cases)


def _clip_of_counts(counts: Sequence[dict[int, int]]) -> Clip:
    """A clip of 8 x 8 pixels whose frames show so many pixels of each box."""
    ids_FHW = np.full((len(counts), 64), -1, np.int16)
    for frame, seen in zip(ids_FHW, counts, strict=True):
        frame[: sum(seen.values())] = np.repeat(list(seen), list(seen.values()))
    ids_FHW = ids_FHW.reshape(-1, 8, 8)
    path = CameraPath(np.zeros((len(counts), 3)), np.zeros(len(counts)))
    return Clip(np.zeros((*ids_FHW.shape, 3), np.uint8), ids_FHW, np.zeros(ids_FHW.shape, np.float32), path)


def best_of_k(function: Callable[[Sequence[float], int], float]) -> None:
    """Notebook 02: the mean best of k of n scores, `(scores_n, k) -> mean over all choices of k`."""
    choices = "take every choice of k scores (itertools.combinations), the best of each, and the mean of those"
    cases = [
        Case(([0.0, 1.0], 1), 0.5, "the best of one is that one: with k = 1 this is the plain mean"),
        Case(([0.0, 1.0], 2), 1.0, "with k = n there is one choice, and its best is the highest score"),
        Case(([1.0, 0.0, 0.0, 0.0], 2), 0.5, f"{choices}: 3 of the 6 pairs hold the 1.0"),
        Case(([0.4, 0.9, 0.2], 2), 2.2 / 3, f"{choices}: 0.9, 0.4 and 0.9 here"),
        Case(([0.5, 0.5, 0.5], 2), 0.5, "equal scores are different answers: do not merge them"),
    ]
    run_cases("best_of_k", function, cases)


def student_interval(function: Callable[[Sequence[float]], Sequence[float]]) -> None:
    """Notebook 13: `(values) -> (low, high)`: Student's 95 % interval of the mean of one value a seed."""
    spread = "the spread is the sample's, over n - 1: `np.std(values, ddof=1)`"
    root = "a mean of n values spreads less than one value does: divide by the square root of n"
    freedom = "t depends on the number of values: 4.302653 for three (two degrees of freedom), 2.776445 for five"
    reach = 4.3026527297 * 7**0.5 / 3**0.5  # of 1, 2 and 6: variance (4 + 1 + 9) / 2
    cases = [
        Case(([1.0, 2.0, 6.0],), (3.0 - reach, 3.0 + reach), f"{spread}; {root}"),
        Case(([-1.0, 0.0, 0.0, 0.0, 1.0],), (-0.877989033, 0.877989033), freedom),
        Case(([2.0, 2.0, 2.0],), (2.0, 2.0), "equal seeds have no spread, and the interval no width"),
    ]
    run_cases("student_interval", function, cases)


def gain_rule(function: Callable[[float, float], str]) -> None:
    """Notebook 11: `(low, high) -> "reproduced", "not reproduced" or "undecided"`, of a difference's interval."""
    cases = [
        Case((1.0, 3.0), "reproduced", "the whole interval is above zero"),
        Case((-3.0, -1.0), "not reproduced", "the whole interval is below zero"),
        Case((-1.0, 3.0), "undecided", "zero is inside: a positive mean alone decides nothing"),
        Case((0.0, 3.0), "undecided", "above zero means above: an interval that begins at zero holds it"),
        Case((-3.0, 0.0), "not reproduced", "at or below zero: no gain is left inside"),
    ]
    run_cases("gain_rule", function, cases)
