"""What a question is, and VSI-Bench's names for its types and tasks."""

from __future__ import annotations

from dataclasses import asdict, dataclass

NUMERIC_TYPES = ("object_counting", "object_abs_distance", "object_size_estimation", "room_size_estimation")
DIRECTION_TYPES = ("object_rel_direction_easy", "object_rel_direction_medium", "object_rel_direction_hard")
HELD_OUT_TYPES = ("route_planning", "obj_appearance_order")
CHOICE_TYPES = ("object_rel_distance", *DIRECTION_TYPES, *HELD_OUT_TYPES)
QUESTION_TYPES = (*NUMERIC_TYPES, *CHOICE_TYPES)
TRAINED_TYPES = (*NUMERIC_TYPES, "object_rel_distance", *DIRECTION_TYPES)
TRAINED_TASKS = (*NUMERIC_TYPES, "object_rel_distance", "object_rel_direction")
TASKS = (*TRAINED_TASKS, *HELD_OUT_TYPES)
PHRASINGS = ("vsi-bench", "vsi-100k")
LABELS = ("closest", "centre")  # what the distance types measure: VSI-Bench's labels, and VSI-100k's


def task_of(question_type: str) -> str:
    """The task a type belongs to: the three direction levels are one task, every other type is its own."""
    if question_type not in QUESTION_TYPES:
        raise ValueError(f"unknown question_type {question_type!r}: VSI-Bench has {', '.join(QUESTION_TYPES)}")
    return "object_rel_direction" if question_type in DIRECTION_TYPES else question_type


@dataclass(frozen=True)
class Question:
    """One question about one room.

    Attributes:
        id: unique within a data set.
        dataset, scene_name: the room.
        question_type: one of `QUESTION_TYPES`.
        question: the text, without options and prompt.
        options: `("A. …", "B. …")`, or None for numbers and for VSI-100k's open words.
        ground_truth: a number as text, an option's letter, or an open word.
        phrasing: `vsi-bench` or `vsi-100k`.
        objects: the categories asked about, in the order of the question.
        rules: the name of the rule set it was asked by.
    """

    id: str
    dataset: str
    scene_name: str
    question_type: str
    question: str
    options: tuple[str, ...] | None
    ground_truth: str
    phrasing: str
    objects: tuple[str, ...]
    rules: str = "study"

    def to_row(self) -> dict:
        """VSI-Bench's fields, plus `phrasing` and `objects`; lists instead of tuples, so that JSON keeps them.

        `rules` stands there too, but not where they are the study's: its rows are older than the field.
        """
        row = asdict(self)
        row["options"] = list(self.options) if self.options else None
        row["objects"] = list(self.objects)
        if self.rules == "study":
            del row["rules"]
        return row
