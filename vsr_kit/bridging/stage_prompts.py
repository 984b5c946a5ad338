"""What the writers of the three stages are asked.

Vision-R1 (arXiv 2503.06749, section on modality bridging) states what each stage is given and what it is to write, not
the words for clips of rooms. So the order of the stages and what each of them sees are the paper's, and the wording
below is ours:

    stage         sees                                    writes
    pseudo_cot    clip, question, true answer             a caption and a reasoning
    description   clip, question, pseudo-CoT              a description that holds all the question needs
    chain         question, description; never the clip   the chain of thought and the answer

The last prompt asks for a chain that reads as if its writer saw the clip, because it will be learnt behind the clip.
Left out: examples in the prompt, and prompts that differ by question type.
"""

from __future__ import annotations

from collections.abc import Mapping

from vsr_kit.prompts import has_options

STAGES = ("pseudo_cot", "description", "chain")

# ours, after the paper's stages
PROMPTS = {
    "pseudo_cot": (
        "These are frames of a video of a room. A question about it and the right answer are given below. First write "
        "a caption of what the video shows. Then reason step by step from what is seen to the answer.\n\n"
        "Question: {question}\nAnswer: {given}"
    ),
    "description": (
        "These are frames of a video of a room. Below are a question about it and notes that were made while it was "
        "answered. Describe the video for somebody who cannot see it, with every detail that is needed to answer the "
        "question: which objects there are and how many of each, how large they are, where each stands, in metres as "
        "far as can be told, and how large the room is. Do not answer the question, and do not mention the notes.\n\n"
        "Question: {question}\nNotes: {given}"
    ),
    "chain": (
        "Below is what can be seen in a video of a room, and a question about it. Think step by step as if you saw the "
        "video yourself, and do not mention that you were given a text. Write your thinking between <think> and "
        "</think>, end it with what follows for the question, and then give the answer once, as one or two words, an "
        "option's letter, or a number in the unit asked for, between <answer> and </answer>.\n\n"
        "{given}\n\nQuestion: {question}"
    ),
}
_SEES = {"pseudo_cot": True, "description": True, "chain": False}


def sees_clip(stage: str) -> bool:
    """Whether the writer of a stage is shown the clip."""
    return _SEES[stage]


def question_text(row: Mapping) -> str:
    """The question, with its options a line each where it has them."""
    options = ["Options:", *map(str, row["options"])] if has_options(row) else []
    return "\n".join([row["question"], *options])


def stage_messages(stage: str, row: Mapping, given: str) -> list[dict]:
    """The chat that a stage's writer is asked with: one user turn, the clip's place before the text where it sees it.

    Args:
        stage: one of STAGES.
        row: with `question` and `options`.
        given: the true answer, the pseudo-CoT or the description, by stage.
    """
    text = PROMPTS[stage].format(question=question_text(row), given=given)
    clip: list[dict] = [{"type": "video"}] if sees_clip(stage) else []
    return [{"role": "user", "content": [*clip, {"type": "text", "text": text}]}]
