"""Rule sets: what is asked of a room, and what is too ambiguous or too close to ask, each number with its source.

Two sets, because the study that ships with the kit was asked before the benchmark's own rules were all known. It keeps
its rules, so that its questions, ids and answers stay what they are; everything new is asked by the benchmark's.

What the benchmark does was read from its released geometry and questions, and from public code that makes questions
like its own: the nearest instance of a category counts (51 of 56 transcribed rows of relative distance name a category
that occurs several times); a question is dropped where two options are within 15 cm of each other, 30 cm in rooms above
40 m², or where the nearest option is under 15 cm away, points being sampled 5 cm apart (the least of its rows by exact
boxes is 0.13 m); the least absolute distance of 187 rows is 0.4 m.
Left out: what no source states, and both sets therefore share: a direction is dropped within 12 degrees of a border,
and two of its objects stand at least 40 cm apart in plan.
"""

from __future__ import annotations

from dataclasses import dataclass

from vsr_kit.rooms import Room


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
            walk (`vsr_kit.data.film`); otherwise it takes the first.
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
