"""The command `vsr bridge`: chains of thought for rooms of the training split, by rules, an endpoint or a local model.

Whoever is named sees the clips and writes; who is not named is replaced by rules, as far as rules can: they describe
any room, and read no description but their own. What paid writers may cost is shown and has to be agreed to first.
Left out: prices that differ between the two models of one endpoint (give the dearer's), and two endpoints in one run;
`vsr_kit.bridging.bridge` takes both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vsr_kit.cli.data import Phrasing
from vsr_kit.cli.terminal import bars
from vsr_kit.validation import one_of, whole

STOPPED = 3  # exit status of a run that ended before all rows were through

_Chance = Annotated[float, typer.Option(help="Rules' style: chance from 0 to 1; see bridging.reasoner.Style.")]
_Price = Annotated[float | None, typer.Option(help="Money per million tokens of the dearer model.")]


def bridge(
    out: Annotated[Path, typer.Option(help="Folder to fill, or to go on with.")],
    rooms: Annotated[
        str, typer.Option(help="A number of procedural rooms, a geometry file, or a built folder.")
    ] = "20",
    split: Annotated[str, typer.Option(help="train, val or test; `all` of a geometry file.")] = "train",
    phrasing: Annotated[Phrasing, typer.Option(help="VSI-100k's wording is vsGRPO's.")] = Phrasing.vsi_100k,
    per_room: Annotated[int, typer.Option(help="Most questions of one type about one room.")] = 2,
    frames: Annotated[int, typer.Option(help="Frames of a clip.")] = 8,
    size: Annotated[int, typer.Option(help="Width and height of filmed frames in pixels.")] = 112,
    seed: Annotated[int, typer.Option(help="Fixes rooms, questions and draws.")] = 0,
    endpoint: Annotated[str | None, typer.Option(help="Address of an OpenAI-compatible server, with /v1.")] = None,
    model: Annotated[str | None, typer.Option(help="Its model that sees clips; rules describe if left out.")] = None,
    reasoner: Annotated[str | None, typer.Option(help="Its model that reasons from text; else --model.")] = None,
    key_env: Annotated[str | None, typer.Option(help="Environment variable that holds the key.")] = None,
    price_in: _Price = None,
    price_out: _Price = None,
    budget: Annotated[float | None, typer.Option(help="Most money that this folder may ever cost.")] = None,
    calls: Annotated[int | None, typer.Option(help="Most requests that this folder may ever send.")] = None,
    concurrency: Annotated[int, typer.Option(help="Requests under way at once.")] = 8,
    max_tokens: Annotated[int, typer.Option(help="Cap of a text.")] = 1024,
    local: Annotated[str | None, typer.Option(help="A Qwen2-VL on this machine that sees clips: id or folder.")] = None,
    local_reasoner: Annotated[str | None, typer.Option(help="A language model that reasons; else --local.")] = None,
    tolerance: Annotated[float, typer.Option(help="How far a number may be off, as a share of the truth.")] = 0.1,
    checks: _Chance = 0.0,
    detours: _Chance = 0.0,
    restarts: _Chance = 0.0,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether the cost is agreed to.")] = False,
) -> None:
    """Write chains of thought (pseudo-CoT, description, reasoning, filter) and leave every stage in a folder.

    Killed anywhere, the same command goes on.
    """
    from vsr_kit.bridging import Budget
    from vsr_kit.runs.interrupts import say_on_full_disk, say_on_stop

    for name, value in (("--per-room", per_room), ("--frames", frames), ("--size", size), ("--max-tokens", max_tokens)):
        whole(name, value)
    named = {"endpoint": endpoint, "model": model, "reasoner": reasoner, "key_env": key_env}
    paid = {"price_in": price_in, "price_out": price_out, "concurrency": concurrency, "max_tokens": max_tokens}
    style = {"checks": checks, "detours": detours, "restarts": restarts}
    writers = _writers({**named, **paid, "local": local, "local_reasoner": local_reasoner, "seed": seed}, style)
    with say_on_stop("go on with the same command") as stop, say_on_full_disk(out, stop):
        material = material_of(rooms, split, phrasing.value, per_room, frames, size, seed)
        _run(material, out, writers, Budget(budget, calls), tolerance, yes)


def _writers(given: dict, style: dict) -> tuple:
    """(describer, reasoner) of the options."""
    from vsr_kit.bridging import Endpoint, LocalModel, Price, Rules, Style

    rules = Rules(Style(**style), given["seed"])
    if given["endpoint"] and (given["local"] or given["local_reasoner"]):
        raise ValueError("--endpoint and --local say both who writes: give one of them, or call bridging.bridge")
    if given["endpoint"]:
        seeing, reasoning = given["model"], given["reasoner"] or given["model"]
        if not reasoning:
            raise ValueError("--endpoint needs a model: --model one that sees clips, or --reasoner one that reads text")
        prices = given["price_in"], given["price_out"]
        if (prices[0] is None) != (prices[1] is None):
            raise ValueError("a price needs both parts: give --price-in and --price-out, 0 for what is free")
        how: dict[str, Any] = {name: given[name] for name in ("concurrency", "max_tokens")}
        how["price"] = None if prices[0] is None else Price(*prices)
        asked = {
            name: Endpoint(given["endpoint"], name, given["key_env"], **how) for name in {seeing, reasoning} - {None}
        }
        return asked[seeing] if seeing else rules, asked[reasoning]
    if odd := [name for name in ("model", "reasoner", "key_env", "price_in", "price_out") if given[name] is not None]:
        raise ValueError(f"--{odd[0].replace('_', '-')} belongs to an endpoint: give --endpoint, too")
    if given["local"] or given["local_reasoner"]:
        seen = given["local"]
        names = {seen, given["local_reasoner"] or seen} - {None}
        models = {name: LocalModel(name, max_tokens=given["max_tokens"], seed=given["seed"]) for name in names}
        return models[seen] if seen else rules, models[given["local_reasoner"] or seen]
    return rules, rules


def material_of(
    rooms: str,
    split: str,
    phrasing: str,
    per_room: int,
    frames: int,
    size: int,
    seed: int,
    pixels: int | None = None,
) -> dict:
    """Rows, clips, rooms, and what each clip shows of its room; `pixels` bounds a frame instead of the size squared."""
    from vsr_kit.data import SPLITS, assign_splits, make_rows, split_rooms
    from vsr_kit.data.sources import find_source
    from vsr_kit.questions import TRAINED_TYPES, get_rules
    from vsr_kit.rooms import read_rooms
    from vsr_kit.videos import film, visible_objects
    from vsr_kit.videos.frame_limits import filmed_side

    if find_source(rooms) is not None:
        raise ValueError(
            f"{rooms}: has questions and no geometry, from which chains are written; give a number of rooms, a "
            "geometry file, or a folder of vsr build --video"
        )
    if Path(rooms).is_dir():
        return _built(Path(rooms), per_room, (frames, size, pixels), seed)
    if rooms.isdigit():
        picked = split_rooms(int(rooms), split, seed)
    else:
        one_of("--split", split, (*SPLITS, "all"))
        geometry = read_rooms(rooms)
        for line in geometry.skipped:
            typer.echo(f"skipped {line}", err=True)
        picked = list(geometry.rooms) if split == "all" else assign_splits(geometry.rooms)[split]
    size = filmed_side(size, pixels)
    filmed = {room.name: film(room, frames, size, clear=get_rules(None, room.dataset).clear_walk) for room in picked}
    return {
        "rows": make_rows(picked, phrasing, seed, types=TRAINED_TYPES, clips=filmed, max_per_type=per_room),
        "clips": {name: clip.frames_FHW3 for name, clip in filmed.items()},
        "rooms": {room.name: room for room in picked},
        "seen": {name: visible_objects(clip) for name, clip in filmed.items()},
    }


def _built(folder: Path, per_room: int, shown: tuple[int, int, int | None], seed: int) -> dict:
    """The same of a folder that `vsr build --video` wrote; its own wording, at most `per_room` of a type and room."""
    from vsr_kit.data import clip_path
    from vsr_kit.evaluation import load_questions
    from vsr_kit.evaluation.evaluate import frame_limits
    from vsr_kit.questions import TRAINED_TYPES
    from vsr_kit.rooms import load_rooms
    from vsr_kit.videos.filming import VISIBILITY, read_visibility
    from vsr_kit.videos.rendering import LEAST_PIXELS

    frames, size, pixels = shown
    asked = load_questions(folder, types=TRAINED_TYPES, num_frames=frames, size_px=size, max_pixels=pixels, seed=seed)
    for line in asked.told():
        typer.echo(line, err=True)
    counts: dict[tuple, int] = {}
    rows = []
    for row in asked.rows:
        key = row["dataset"], row["scene_name"], row["question_type"]
        counts[key] = counts.get(key, 0) + 1
        rows += [row] * (counts[key] <= per_room)
    seen: dict[str, tuple[int, ...]] = {}
    if (folder / VISIBILITY).is_file():
        limits = frame_limits(*shown)
        for (dataset, scene), record in read_visibility(folder / VISIBILITY).items():
            most_B = record.limited(clip_path(folder, dataset, scene), limits).pixels_BF.max(axis=1)
            seen[scene] = tuple(i for i, pixels in enumerate(most_B) if pixels >= LEAST_PIXELS)
    rooms = {room.name: room for room in load_rooms(folder / "rooms.json")}
    return {"rows": rows, "clips": asked.clips, "rooms": rooms, "seen": seen}


def _run(material: dict, out: Path, writers: tuple, budget, tolerance: float, yes: bool) -> None:
    from vsr_kit.bridging import bridge as start

    def agreed(cost) -> bool:
        typer.echo(cost.told())
        return cost.most_money == 0 or yes or typer.confirm("ask?")

    rows, clips = material.pop("rows"), material.pop("clips")
    how: dict[str, Any] = {"describer": writers[0], "reasoner": writers[1], "budget": budget, "tolerance": tolerance}
    done = start(rows, clips, out, **material, **how, confirm=agreed, progress=bars())
    for line in done.told():
        typer.echo(line)
    typer.echo(f"look at {done.folder}: kept.jsonl, dropped.jsonl, and a file for each stage")
    if done.unfinished:
        raise typer.Exit(STOPPED)
