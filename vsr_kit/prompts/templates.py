"""The six prompts of vsGRPO in VSI-Bench's layout, and the completions that they ask for.

`user_text` writes what is asked; `target_completion` writes a reply in the form that a prompt asks for. Training and
evaluation ask for different forms (tags in training, a plain sentence in evaluation); both are the paper's choice.

Rows of mathematics have the same prompts, since neither Vision-R1's paper nor its repository words one: its inference
script gives the picture and the question, its cold start asks for no tags, and its training of the second stage was
not released. Their picture is not announced as a video, unless it is one.
Left out: reading answers, which parsing.py does, and MathVista's hints of the form an answer has.
"""

from __future__ import annotations

from collections.abc import Mapping

from vsr_kit.questions.types import PICTURE_TYPES
from vsr_kit.validation import CONTROL_TOKEN, shown

MODES = ("vanilla", "think", "observe")
USES = ("eval", "train")

# arXiv 2504.00883, verbatim
PROMPTS = {
    ("eval", "think"): "Let's think step by step and then answer the question using a single word or phrase.",
    ("eval", "observe"): "Please observe the video first and then answer the question using a single word or phrase.",
    ("eval", "vanilla"): "Please answer the question using a single word or phrase.",
    ("train", "think"): (
        "Please think step by step and enclose your thinking process in <think> </think> tags and then provide the "
        "short answer with one or two words or a number in <answer> </answer>."
    ),
    ("train", "observe"): (
        "Please observe carefully and analyze what you see that helps you to solve the question in the video and "
        "enclose it in <observe> </observe> tag, and then provide the short answer with one or two words or a number "
        "in <answer> </answer>."
    ),
    ("train", "vanilla"): "Please provide the short answer with one or two words or a number.",
}

# VSI-Bench's own prompts, as in its public harness (vision-x-nyu/thinking-in-space, lmms_eval/tasks/vsibench/utils.py)
VSI_BENCH_MODE = "vsi-bench"
VSI_BENCH_NUMBER_PROMPT = "Please answer the question using a single word or phrase."
VSI_BENCH_CHOICE_PROMPT = "Answer with the option's letter from the given choices directly."

_OPENING = "These are frames of a video."


def user_text(row: Mapping, mode: str = "vanilla", prompt_set: str = "eval") -> str:
    """Write the text of the user's turn: opening, question, options where the row has them, prompt.

    Args:
        row: a row with `question`, `question_type` and `options`; one about a picture also with `data_type`.
        mode: one of `MODES`, or `vsi-bench` for the benchmark's own two prompts (evaluation only).
        prompt_set: `eval` or `train`; the paper words the prompts differently.

    With the paper's prompts, the prompt of the mode takes the place of the benchmark's, for choices and numbers alike.

    Raises:
        ValueError: question or options hold a control token, which would end the user's turn or ask for a picture.
    """
    options = ["Options:", *row["options"]] if has_options(row) else []
    if token := CONTROL_TOKEN.search("\n".join([row["question"], *options])):
        rule = "which chat models read as a command and not as text; take it out"
        raise ValueError(f"row {row.get('id')!r}: question or options hold {token[0]!r}, {rule}")
    still = row.get("question_type") in PICTURE_TYPES and row.get("data_type") != "video"
    opening = [] if still else [_OPENING]
    return "\n".join([*opening, row["question"], *options, _prompt(row, mode, prompt_set)])


def has_options(row: Mapping) -> bool:
    """Whether a row offers lettered options; None and any empty sequence mean that it does not.

    Raises:
        ValueError: for anything that is no sequence of options, such as NaN or a text (`data.check_row` mends some).
    """
    options = row.get("options")
    if options is not None and (isinstance(options, (str, bytes, Mapping)) or not hasattr(options, "__len__")):
        raise ValueError(f"row {row.get('id')!r}: options are {shown(options)}, must be a list of texts, or None")
    return options is not None and len(options) > 0


def chat_messages(row: Mapping, mode: str = "vanilla", prompt_set: str = "eval") -> list[dict]:
    """Write a chat of one user turn, the video before the text, in the form chat templates take.

    A row with `frame_tags` (`prompts.frame_tags`) has the video in as many pieces, each behind its tag.
    """
    text = {"type": "text", "text": user_text(row, mode, prompt_set)}
    tags = row.get("frame_tags")
    if tags is None or len(tags) == 0:
        return [{"role": "user", "content": [{"type": "video"}, text]}]
    pieces = [block for tag in tags for block in ({"type": "text", "text": tag}, {"type": "video"})]
    return [{"role": "user", "content": [*pieces, text]}]


def target_completion(mode: str, prompt_set: str, chain: str, answer: str) -> str:
    """Write the completion a prompt asks for: the target of supervised training, and what `format_reward` pays.

    Vanilla gives the bare answer. Think and observe give `<think>chain</think> <answer>answer</answer>` in training
    (`<observe>` for observe) and `chain The answer is answer.` in evaluation, whose prompts ask for no tags.
    """
    _check(mode, prompt_set)
    if mode == "vanilla":
        return answer
    if prompt_set == "train":
        return f"<{mode}>{chain}</{mode}> <answer>{answer}</answer>"
    return f"{chain} The answer is {answer}." if chain else f"The answer is {answer}."


def _prompt(row: Mapping, mode: str, prompt_set: str) -> str:
    if mode == VSI_BENCH_MODE and prompt_set == "eval":
        return VSI_BENCH_CHOICE_PROMPT if has_options(row) else VSI_BENCH_NUMBER_PROMPT
    _check(mode, prompt_set)
    return PROMPTS[prompt_set, mode]


def _check(mode: str, prompt_set: str) -> None:
    if (prompt_set, mode) not in PROMPTS:
        rule = f"mode must be one of {', '.join(MODES)}, prompt_set one of {', '.join(USES)}"
        raise ValueError(
            f"no prompt for mode {mode!r}, prompt_set {prompt_set!r}: {rule}; {VSI_BENCH_MODE!r} is for evaluation only"
        )
