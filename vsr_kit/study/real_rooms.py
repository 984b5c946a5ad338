"""Real rooms: base and GRPO on the geometry that VSI-Bench's authors released, compared with the kit's own test rooms.

A gain on rooms that the kit generated says nothing yet about others. Each set of real rooms is a row: scores with own
and with other clips, what training added, what constants earn without looking, and how many questions name a thing that
the base was never taught. Only the boxes are real; walls, colours and camera are the kit's.
Left out: why sets differ (travel.py), and data sets whose geometry is not released or was not asked about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsr_kit.claims import Claim
from vsr_kit.claims.recipe import BENCH_SET, Condition
from vsr_kit.evaluation import Interval, best_constant, intervals
from vsr_kit.questions import task_of
from vsr_kit.rooms import CATEGORIES
from vsr_kit.study.answers import (
    Bands,
    BeforeAfter,
    answered,
    asked_runs,
    condition_answers,
    drop_repeated_mean,
    grpo_table,
    training_answers,
)
from vsr_kit.study.conditions import pairs_path
from vsr_kit.study.evidence import REAL_SETS, Evidence
from vsr_kit.study.reach import rooms_in_words

# Reported to this kit by whoever asked the shipped adapter of seed 1 there; the geometry is not in this repository, was
# not used while it was made, and nothing here recomputes it. Points, 95 % interval.
ELSEWHERE = {"rooms": 88, "gain": -6.9, "low": -9.4, "high": -4.3}


@dataclass(frozen=True)
class RealRooms:
    """What was asked about one set of rooms, and what came of it.

    Attributes:
        questions: the set's name.
        rooms: how many and whose, in words.
        table: base against GRPO with vanilla prompts, with own and other clips; its `frequent` is the most frequent
            training answer.
        constants: by task, what the best constant of each type earns: `training` chosen on training rooms, `oracle` on
            the set itself, as nobody could beforehand.
        untaught: by task and `overall`, per cent of questions that name a category no lesson of the base has.
    """

    questions: str
    rooms: str
    table: BeforeAfter
    constants: dict[str, Bands]
    untaught: dict[str, float]


def real_rooms(folder: Path | str | None = None, sets: Sequence[str] = (BENCH_SET, *REAL_SETS)) -> dict[str, RealRooms]:
    """Sets of rooms that the base and runs were asked about, by name; our own test rooms come first, for comparison."""
    return {name: _asked_about(name, folder) for name in sets if _runs(name, folder)}


def _runs(questions: str, folder: Path | str | None) -> tuple[str, ...]:
    """Runs that were asked a set with own and other clips; none where the base was not."""
    conditions = [Condition(questions, clip=clip) for clip in ("own", "wrong")]
    return asked_runs(conditions, folder) if all(answered(c, folder) for c in conditions) else ()


def _asked_about(questions: str, folder: Path | str | None) -> RealRooms:
    rows = condition_answers(Condition(questions), folder)
    learnt_on = {"training": training_answers("vsi-bench", folder), "oracle": rows}
    constants = {name: drop_repeated_mean(intervals(best_constant(seen, rows))) for name, seen in learnt_on.items()}
    table = grpo_table(folder, questions, _runs(questions, folder))
    return RealRooms(questions, rooms_in_words([table.change["overall"]]), table, constants, untaught_percent(rows))


def untaught_percent(rows: Sequence[Mapping]) -> dict[str, float]:
    """Per cent of the questions of each task, and of all, that name a category no lesson of the base has."""
    found: dict[str, list[bool]] = {"overall": []}
    for row in rows:
        unknown = not set(row["objects"]) <= set(CATEGORIES)
        for name in ("overall", task_of(row["question_type"])):
            found.setdefault(name, []).append(unknown)
    return {name: 100 * sum(flags) / len(flags) for name, flags in found.items()}


def real_rooms_summary(folder: Path | str | None = None, found: Mapping[str, RealRooms] | None = None) -> str:
    """Markdown: a row for each set of rooms, as the README shows it; a test holds the README to it.

    found: of `real_rooms`, where it was asked already.
    """
    lines = [
        "| rooms | questions | base | GRPO | seeds | gain | own clip minus another's: base | GRPO | best constant: of "
        "training answers | of the set itself | names a thing never taught |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in (real_rooms(folder) if found is None else found).values():
        table = one.table
        cells = [
            one.rooms,
            str(table.before["overall"].n),
            *(f"{bands['overall'].mean:.1f}" for bands in (table.before, table.after)),
            str(len(table.runs)),
            in_full(table.change["overall"]),
            *(_points(bands["overall"]) for bands in (table.gap_before, table.gap_after)),
            *(f"{one.constants[name]['overall'].mean:.1f}" for name in ("training", "oracle")),
            f"{one.untaught['overall']:.0f} %",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def travels(folder: Path | str | None = None, found: Mapping[str, RealRooms] | None = None) -> list[str]:
    """Whether GRPO's gain was found on other rooms than ours, one sentence a set; the one from elsewhere comes last.

    A gain is found where the interval is above zero, a loss where it is below; else the rooms cannot tell. `found` as
    in `real_rooms_summary`.
    """
    found = real_rooms(folder, REAL_SETS) if found is None else found
    told = [_told(one) for name, one in found.items() if name in REAL_SETS]
    told += [f"{name}: not asked yet." for name in REAL_SETS if name not in found]
    elsewhere = (
        "On a third set, {rooms} other real rooms whose geometry is not in this repository and was not used while it "
        "was made, the shipped adapter of seed 1 was asked elsewhere: {gain:+.1f} points (95 % {low:+.1f} to "
        "{high:+.1f}), a loss that nothing here recomputes."
    )
    return [*told, elsewhere.format(**ELSEWHERE)]


def _told(one: RealRooms) -> str:
    change, growth = one.table.change["overall"], one.table.gap_growth["overall"]
    unseen = "shows neither gain nor loss beyond its interval"
    word = "gains" if change.low > 0 else "loses" if change.high < 0 else unseen
    look = "looks more than before" if growth.low > 0 else "does not look more than before beyond the interval"
    return (
        f"On {one.rooms} the miniature after GRPO {word}: {in_full(change)} points, {len(one.table.runs)} seeds. It "
        f"{look} (own minus another's clip {_points(growth)}). Of these questions {one.untaught['overall']:.0f} % name "
        "a thing that was never taught."
    )


def gain_travels(folder: Path | str | None = None) -> bool:
    """Whether a gain was found on every set of real rooms there is, the one from elsewhere included (it was not)."""
    found = real_rooms(folder, REAL_SETS)
    everywhere = all(one.table.change["overall"].low > 0 for one in found.values())
    return len(found) == len(REAL_SETS) and everywhere and ELSEWHERE["low"] > 0


def in_full(band: Interval) -> str:
    """A difference with both its intervals: `+5.9 (+3.3 to +8.1; Student's +3.6 to +8.2)`."""
    student = "" if band.student is None else "; Student's {:+.1f} to {:+.1f}".format(*band.student)
    return f"{band.mean:+.1f} ({band.low:+.1f} to {band.high:+.1f}{student})"


def _points(band: Interval) -> str:
    return f"{band.mean:+.1f} ({band.low:+.1f} to {band.high:+.1f})"


# -- beside a claim's verdict ------------------------------------------------------------------------------------------


def elsewhere(known: Claim, folder: Path | str | None = None) -> list[str]:
    """What a claim's findings are on real rooms, one line a set that was asked; no rule looks at them."""
    if not known.elsewhere:
        return []
    if known.geometry_only:
        return [
            f"on {rooms_in_words([band])}: {band.mean:.1f} % ({band.low:.1f} to {band.high:.1f}; {band.n} pairs)"
            for dataset, band in ceilings(folder).items()
            if dataset != Evidence(folder).dataset
        ]
    lines = []
    for name in REAL_SETS:
        about = Evidence(folder).about(name)
        if about.only and known.measure:
            bands = [band for band in known.measure(about).values() if isinstance(band, Interval)]
            lines += [f"on {rooms_in_words([b])}: {in_full(b)} points, {len(about.only)} seeds" for b in bands]
    return lines


def ceilings(folder: Path | str | None = None) -> dict[str, Interval]:
    """By data set, what perfect centre-to-centre distances earn where closest points are asked, MRA in per cent."""
    evidence = Evidence(folder)
    measured = [name for name in ("arkitscenes", "scannetpp") if pairs_path(evidence.folder, name).exists()]
    return {name: evidence.centre_answers(name) for name in measured}
