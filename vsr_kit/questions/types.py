"""Question types: VSI-Bench's names for them, their wordings, and the rules for what may be asked.

Wordings are verbatim from VSI-Bench (arXiv 2412.14171) and VSI-100k (vsGRPO, Fig. 2); VSI-100k's missing spaces
("(s)in", ")is", ",width") are the paper's own. VSI-Bench's released rows differ a little from its paper in places
("what is the distance" for "what is the direct distance", "The directions refer …" for "Directions refer …"); rows that
are loaded keep their own text.

There are two rule sets, because the study that ships with the kit was asked before all of the benchmark's rules were
known. STUDY_RULES keep that study's questions, ids and answers as they are; everything new uses BENCHMARK_RULES. The
latter were read from the benchmark's released geometry and questions, and from public code that makes questions like
its own: the nearest instance of a category counts (51 of 56 transcribed rows of relative distance name a category that
occurs several times); a question is dropped if two options are within 15 cm of each other, 30 cm in rooms above 40 m²,
or if the nearest option is under 15 cm away, with points sampled 5 cm apart (the smallest distance of its rows by exact
boxes is 0.13 m); the smallest absolute distance of 187 rows is 0.4 m.

Left out: rules that no source states. Both sets share the kit's own: a direction within 12 degrees of a border is
dropped, and two of its objects stand at least 40 cm apart in plan.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from vsr_kit.rooms import Room

# Lists, to which own_types.add_type appends; the tuples are the papers' and stay as they are.
NUMERIC_TYPES = ["object_counting", "object_abs_distance", "object_size_estimation", "room_size_estimation"]
DIRECTION_TYPES = ("object_rel_direction_easy", "object_rel_direction_medium", "object_rel_direction_hard")
HELD_OUT_TYPES = ("route_planning", "obj_appearance_order")
CHOICE_TYPES = ["object_rel_distance", *DIRECTION_TYPES, *HELD_OUT_TYPES]
# Questions about pictures from files (data/picture_rows.py), with options or without, and choices about one picture
# (SAT, CV-Bench): no room is asked them, and no mean of VSI-Bench counts them.
MATHEMATICS, PICTURE_CHOICE = "mathematics", "picture_choice"
PICTURE_TYPES = (MATHEMATICS, PICTURE_CHOICE)
QUESTION_TYPES = [*NUMERIC_TYPES, *CHOICE_TYPES, *PICTURE_TYPES]
TRAINED_TYPES = (*NUMERIC_TYPES, "object_rel_distance", *DIRECTION_TYPES)
# The kit's own, added by multi_step.py: asked where they are named, never by default, and in no mean of VSI-Bench's.
MULTI_STEP_TYPES = (
    "object_compare_distances",
    "object_nearest_size",
    "object_walk_length",
    "object_count_within",
)
TRAINED_TASKS = (*NUMERIC_TYPES, "object_rel_distance", "object_rel_direction")
TASKS = [*TRAINED_TASKS, *HELD_OUT_TYPES, *PICTURE_TYPES]
PUZZLE_TYPES = ("furniture_order",)  # the kit's own, added by puzzles.py: asked where they are named, too
BESIDE_TYPES = (*MULTI_STEP_TYPES, *PUZZLE_TYPES, *PICTURE_TYPES)  # in no mean of VSI-Bench's
# What the numbers of a type are in: the dimension, and the unit's size in metres or square metres. Counts have none.
ANSWER_UNITS = {
    "object_abs_distance": ("length", 1.0),
    "object_size_estimation": ("length", 0.01),
    "room_size_estimation": ("area", 1.0),
}
PHRASINGS = ("vsi-bench", "vsi-100k")
LABELS = ("closest", "centre")  # what the distance types measure: VSI-Bench's labels, and VSI-100k's


def task_of(question_type: str) -> str:
    """The task a type belongs to: the three direction levels are one task, every other type is its own."""
    if question_type not in QUESTION_TYPES:
        raise ValueError(f"unknown question_type {question_type!r}: choose one of {', '.join(QUESTION_TYPES)}")
    return "object_rel_direction" if question_type in DIRECTION_TYPES else question_type


# Names for several types at once, as the command line takes them.
TYPE_GROUPS = {
    "trained": TRAINED_TYPES,
    "held-out": HELD_OUT_TYPES,
    "multi-step": MULTI_STEP_TYPES,
    "puzzles": PUZZLE_TYPES,
}


def named_types(names: Iterable[str]) -> tuple[str, ...] | None:
    """The types that some names stand for, each once: a type by its own name, several by one of `TYPE_GROUPS`.

    Returns:
        None where there is no name, which asks the default types wherever types are asked.

    Raises:
        ValueError: for a name that is neither.
    """
    found: list[str] = []
    for name in names:
        if name not in TYPE_GROUPS and name not in QUESTION_TYPES:
            known = ", ".join((*TYPE_GROUPS, *QUESTION_TYPES))
            raise ValueError(f"types has {name!r}, which is neither a question type nor a group: choose from {known}")
        found += TYPE_GROUPS.get(name, (name,))
    return tuple(dict.fromkeys(found)) or None


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


VSI_BENCH = {
    "object_counting": "How many {category}(s) are in this room?",
    "object_abs_distance": (
        "Measuring from the closest point of each object, what is the direct distance between the {a} and the {b} "
        "(in meters)?"
    ),
    "object_size_estimation": (
        "What is the length of the longest dimension (length, width, or height) of the {category}, "
        "measured in centimeters?"
    ),
    "room_size_estimation": (
        "What is the size of this room (in square meters)? If multiple rooms are shown, estimate the size of the "
        "combined space."
    ),
    "object_rel_distance": (
        "Measuring from the closest point of each object, which of these objects ({options}) is the closest to the "
        "{category}?"
    ),
    "object_rel_direction_easy": (
        "If I am standing by the {a} and facing the {b}, is the {c} to the left or the right of the {b}?"
    ),
    "object_rel_direction_medium": (
        "If I am standing by the {a} and facing the {b}, is the {c} to my left, right, or back? An object is to my "
        "back if I would have to turn at least 135 degrees in order to face it."
    ),
    "object_rel_direction_hard": (
        "If I am standing by the {a} and facing the {b}, is the {c} to my front-left, front-right, back-left, or "
        "back-right? Directions refer to the quadrants of a Cartesian plane (assuming I am at the origin and facing "
        "the positive y-axis)."
    ),
    "obj_appearance_order": (
        "What will be the first-time appearance order of the following categories in the video: {options}?"
    ),
    "route_planning": (
        "You are a robot beginning at the {a} facing the {b}. You want to navigate to the {c}. You will perform the "
        "following actions (Note: for each [please fill in], choose either 'turn back,' 'turn left,' or 'turn "
        "right.'): {actions} You have reached the final destination."
    ),
}

VSI_100K = {
    "object_counting": "How many {category}(s)in the room?",
    "object_abs_distance": "What is the distance between the {a} and the {b} (in meters)?",
    "object_size_estimation": (
        "What is the length of the longest dimension (length,width, or height) of the {category}, "
        "measured in centimeters?"
    ),
    "room_size_estimation": "What is the size of this room (in square meters)?",
    "object_rel_distance": "Which of these objects ({options})is the closest to the {category}?",
    "object_rel_direction_easy": (
        "If I am standing by the {a} and facing the {b} is the {c} to the left or the right of the {b}?"
    ),
}


@dataclass(frozen=True)
class Rules:
    """A set of rules. VSI-Bench's phrasing is asked by all of them.

    VSI-100k's phrasing keeps to the paper whatever the set: distance from centre to centre between objects that occur
    once, which share `STUDY_RULES`' margins. Only what the set says about the picture (room size) holds for it, too.

    Attributes:
        name: written into rows and shown in tables.
        nearest_instance: relative distance compares categories, each by its instance nearest to the target, which
            itself occurs once; otherwise it compares objects that occur once.
        least_distance_m: a pair closer than this has no absolute distance question.
        least_nearest_m: nor is a relative distance asked whose nearest option is closer than this.
        close_call_m: options of relative distance nearer to each other than this are not compared, …
        close_call_large_room_m: … in rooms above `large_room_m2` this.
        large_room_m2: by the room's label.
        border_deg: a direction this near to the border between two answers is not asked.
        standing_room_m: nor one of which two objects are nearer to each other than this, in plan.
        room_size_tolerance: room size is asked where the floor that a clip shows differs from the label by no more
            than this share; None asks it always.
        walls: how `read_geometry` draws the walls of released rooms that are asked by these rules.
        clear_walk: the camera walks where it passes through nothing and nothing fills its view, if there is such a
            walk (`vsr_kit.videos.film`); otherwise it takes the first.
    """

    name: str
    nearest_instance: bool
    least_distance_m: float
    least_nearest_m: float
    close_call_m: float = 0.15
    close_call_large_room_m: float = 0.30
    large_room_m2: float = 40.0
    border_deg: float = 12.0
    standing_room_m: float = 0.4
    room_size_tolerance: float | None = None
    walls: str = "labelled"
    clear_walk: bool = True

    def margin_m(self, room: Room) -> float:
        """How far apart options of relative distance must be in this room."""
        return self.close_call_large_room_m if room.floor_area_m2 > self.large_room_m2 else self.close_call_m

    def shows_its_size(self, room: Room) -> bool:
        """Whether the floor that a clip of the room shows is as large as its label says."""
        if self.room_size_tolerance is None:
            return True
        return abs(room.drawn_area_m2 / room.floor_area_m2 - 1) <= self.room_size_tolerance


BENCHMARK_RULES = Rules(
    name="benchmark",
    nearest_instance=True,
    least_distance_m=0.4,
    least_nearest_m=0.15,
    room_size_tolerance=0.10,  # an exact reader of a floor at this limit still gets an MRA of 90
)
STUDY_RULES = Rules(
    name="study",
    nearest_instance=False,
    least_distance_m=0.1,
    least_nearest_m=0.0,
    walls="roomy",
    clear_walk=False,
)
RULES = {rules.name: rules for rules in (BENCHMARK_RULES, STUDY_RULES)}


def rules_for(dataset: str) -> Rules:
    """The rules that hold where none are named: the study's for procedural rooms, the benchmark's for all others.

    Procedural rooms are the study's own, by split and number. Asked by its rules, their questions are those that the
    shipped runs were trained on and asked, and a live result can be held against a shipped one.
    """
    return STUDY_RULES if dataset == "procedural" else BENCHMARK_RULES


def get_rules(rules: Rules | str | None, dataset: str) -> Rules:
    """Rules by name, as they are, or those of the data set where there are none.

    Raises:
        ValueError: for a name that no set has.
    """
    if rules is None:
        return rules_for(dataset)
    if isinstance(rules, Rules):
        return rules
    if rules not in RULES:
        raise ValueError(f"unknown rules {rules!r}: choose one of {', '.join(RULES)}")
    return RULES[rules]
