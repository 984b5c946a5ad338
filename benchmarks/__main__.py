"""`python -m benchmarks`: the commands that measure the kit's speed; `make bench ARGS="rooms"` runs the same.

`rooms` takes seconds, `weights` and `tokens` minutes. `sharing` takes as long as stock TRL needs, because both sides do
the same work; it can be killed and run again, and then continues. Progress goes to stderr, so that the output of
`--json` can be piped.
Left out: plots; the result is data.
"""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

bench = typer.Typer(help="Measure how fast the kit is on this machine.", no_args_is_help=True)


class Quantization(StrEnum):
    """Precision of the language model's weights."""

    none = "none"
    nf4 = "nf4"


@bench.callback()
def _bench() -> None:
    """Benchmarks."""


@bench.command("rooms")
def bench_rooms(
    seconds: Annotated[float, typer.Option(help="How long to measure each.")] = 3.0,
    frames: Annotated[int, typer.Option(help="Frames of a clip.")] = 8,
    size: Annotated[int, typer.Option(help="Width and height of a frame in pixels.")] = 84,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Clips and questions a second, on one core."""
    from dataclasses import asdict

    from benchmarks.rooms import bench_rooms as measure

    speeds = measure(seconds, frames, size)
    if as_json:
        typer.echo(json.dumps(asdict(speeds)))
        return
    typer.echo(f"{speeds.clips_per_s:.1f} clips/s of {frames} frames at {size} px ({speeds.clips} filmed)")
    typer.echo(f"{speeds.questions_per_s:.0f} questions/s from geometry alone ({speeds.questions} asked)")


@bench.command("weights")
def bench_weights(
    model: Annotated[str, typer.Option(help="A checkpoint, loaded in nf4.")] = "mini-cold-start",
    questions: Annotated[int, typer.Option(help="That are asked, and trained on.")] = 48,
    steps: Annotated[int, typer.Option(help="Of GRPO.")] = 2,
    repeats: Annotated[int, typer.Option(help="Of each side.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Four-bit weights on a CPU: dequantized in every pass against once; minutes."""
    from dataclasses import asdict

    from benchmarks.weights import bench_weights as measure

    speeds = measure(model, questions, steps, repeats)
    if as_json:
        typer.echo(json.dumps(asdict(speeds)))
        return
    done = {"asking": f"{speeds.questions} questions", "training": f"{speeds.steps} steps"}
    for what, own in speeds.seconds.items():
        told = ", ".join(f"{side} {seconds:.1f} s" for side, seconds in own.items())
        typer.echo(f"{what} {done[what]}, weights dequantized: {told}; ratio {speeds.ratios[what]:.2f}")


@bench.command("tokens")
def bench_tokens(
    model: Annotated[str, typer.Option(help="A checkpoint, trained as the miniature is.")] = "mini",
    mode: Annotated[str, typer.Option(help="vanilla, think or observe.")] = "vanilla",
    steps: Annotated[int, typer.Option(help="Of GRPO, each of them recorded.")] = 6,
    repeats: Annotated[int, typer.Option(help="Of each side.")] = 2,
    questions: Annotated[int, typer.Option(help="Of a step, whose rollouts are recorded.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """GRPO that records the tokens of some rollouts against GRPO that does not; minutes."""
    from dataclasses import asdict

    from benchmarks.tokens import bench_tokens as measure

    costs = measure(model, mode, steps, repeats, questions)
    if as_json:
        typer.echo(json.dumps(asdict(costs)))
        return
    told = ", ".join(f"{side} {seconds:.1f} s" for side, seconds in costs.seconds.items())
    typer.echo(f"{costs.mode}, {costs.repeats} x {costs.steps} steps: {told}; ratio {costs.ratio:.3f}")
    typer.echo(f"recorded every 20th step it would be {costs.ratio_of(20):.4f}")
    typer.echo(f"{costs.rollouts} rollouts recorded, {costs.bytes_a_rollout / 1000:.1f} kB each")


@bench.command("evaluation")
def bench_evaluation(
    model: Annotated[str, typer.Option(help="A shape as for `sharing`, or a checkpoint.")] = "paper-shape",
    questions: Annotated[int, typer.Option(help="About one clip.")] = 64,
    frames: Annotated[int | None, typer.Option(help="Of the clip, an even number; the shape's by default.")] = None,
    repeats: Annotated[int, typer.Option(help="Of each side.")] = 2,
    seed: Annotated[int, typer.Option(help="Of weights, clip and questions.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """An evaluation that holds a clip's keys and values once, against a copy for each question; minutes."""
    from dataclasses import asdict

    from benchmarks.evaluation import bench_evaluation as measure

    costs = measure(model, questions, frames, repeats, seed)
    if as_json:
        typer.echo(json.dumps(asdict(costs)))
        return
    cache = f"{costs.cache_bytes / 1e6:.1f} MB of keys and values"
    typer.echo(f"{costs.questions} questions about one clip of {costs.clip_tokens:,} tokens ({cache}), {costs.device}")
    for side, seconds in costs.seconds.items():
        typer.echo(f"  {side}: {seconds:.2f} s, peak {costs.peak_bytes[side] / 1e6:,.0f} MB")
    ratios, same = costs.ratios, f"{100 * costs.same_answers:.0f} % of the answers are the same"
    typer.echo(f"ratio {ratios['seconds']:.2f} in seconds, {ratios['memory']:.2f} in memory; {same}")


@bench.command("sharing")
def bench_sharing(
    model: Annotated[
        str, typer.Option(help="paper-shape, tiny, qwen2-vl-2b (random weights), or a checkpoint.")
    ] = "paper-shape",
    quantize: Annotated[
        Quantization, typer.Option(help="`nf4` loads the language model in 4 bits.")
    ] = Quantization.none,
    case: Annotated[list[str] | None, typer.Option(help="Measure this case only; may be given several times.")] = None,
    repeats: Annotated[int, typer.Option(help="Measured steps of every side and case.")] = 2,
    seed: Annotated[int, typer.Option(help="Of weights, clips, questions and sampling.")] = 0,
    folder: Annotated[
        Path | None, typer.Option(help="Where it goes on from; bench-sharing-MODEL among the runs by default.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the JSON here, too; FOLDER/result.json has it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Stock TRL against the shared trainer: the same weights, questions and rollouts, each in a process of its own.

    Every finished repeat is kept: run again what was killed, and it goes on.
    """
    from benchmarks.sharing import bench_sharing as measure
    from vsr_kit.files import write_json

    precision = None if quantize is Quantization.none else quantize.value
    result = measure(model, precision, case or (), repeats, seed, folder, tell=partial(typer.echo, err=True))
    if out is not None:
        write_json(out, result)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        show_sharing(result)


@bench.command("gpu")
def bench_gpu(
    model: Annotated[
        str, typer.Option(help="A shape of random weights: qwen2-vl-2b, or tiny to try it.")
    ] = "qwen2-vl-2b",
    seconds: Annotated[float, typer.Option(help="For all of it; what would not be done in time is left out.")] = 450.0,
    steps: Annotated[int, typer.Option(help="Of profile t4, at the end.")] = 20,
    repeats: Annotated[int, typer.Option(help="Measured steps of every cell; the fastest counts.")] = 1,
    seed: Annotated[int, typer.Option(help="Of weights, clips, questions and sampling.")] = 0,
    out: Annotated[Path, typer.Option(help="The result, written after every cell.")] = Path("bench-gpu.json"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Stock TRL, one and two levels of sharing on a GPU, in bf16 and nf4; then steps of profile t4."""
    from benchmarks.gpu import bench_gpu as measure

    tell = partial(typer.echo, err=True)
    result = measure(model, seconds, steps, repeats=repeats, seed=seed, out=out, tell=tell)
    if as_json:
        typer.echo(json.dumps(result))
        return
    for ratio in result["ratios"]:
        size = f"{ratio['precision']}, clip {ratio['clip_tokens']}, answers {ratio['answer_tokens']}"
        how = f"{ratio['seconds']:.1f} times as fast as stock TRL in 1/{ratio['peak_bytes']:.1f} of its memory"
        typer.echo(f"{size}, {ratio['side']}: {how}")
    typer.echo(f"written to {out}")


def show_sharing(result: dict) -> None:
    """Print a result of bench_sharing: a table a case, then its targets."""
    from rich.console import Console
    from rich.markup import escape

    from vsr_kit.validation import printable

    console = Console()
    where = f"{', '.join(result['devices'])}, {result['quantize'] or '/'.join(result['dtypes'])}"
    console.print(escape(printable(f"{result['shape']['name']} on {where}, threads: {result['threads'][0]}")))
    for name, case in result["cases"].items():
        console.print(_table(f"{name}: {case['about']}", case))
        for target in case["targets"]:
            console.print(_verdict(target))
        for side, agrees in case["agree"].items():
            console.print(_agreement(side, agrees))


def _table(title: str, case: dict):
    """Measures down, sides across: narrow enough for any terminal."""
    from rich.table import Table

    grid = Table(title=title)
    grid.add_column("")
    for side in case["sides"]:
        grid.add_column(side, justify="right", no_wrap=True)
    sides, ratios = list(case["sides"].values()), [case["ratios"].get(side) for side in case["sides"]]
    grid.add_row("seconds a step", *(f"{side['seconds']:.2f}" for side in sides))
    for phase in sides[0]["phases"]:
        grid.add_row(f"  {phase}", *(f"{side['phases'][phase]:.2f}" for side in sides))
    grid.add_row("seconds of processor", *(f"{side['cpu_seconds']:.2f}" for side in sides))
    grid.add_row("trunk tokens", *(f"{side['trunk_tokens']:,}" for side in sides))
    grid.add_row("GFLOP/s (floor)", *(f"{side['gflop_per_s']:.1f}" for side in sides))
    grid.add_row("peak GB", *(f"{side['peak_bytes'] / 1e9:.2f}" for side in sides))
    grid.add_section()
    for measure, digits in (("seconds", 1), ("trunk tokens", 1), ("flop floor", 1), ("peak memory", 2)):
        grid.add_row(f"stock's {measure}, x", *("" if r is None else f"{r[measure]:.{digits}f}" for r in ratios))
    return grid


def _verdict(target: dict) -> str:
    what = f"{target['measure']}, stock over {target['side']}: {target['measured']:.1f}"
    wanted = f"target {target['at_least']:g} {'met' if target['met'] else 'missed'}"
    share = f"{100 * target['share_of_largest_phase']:.0f} % of the time left is {target['largest_phase']}"
    return f"{what}, {wanted}; {target['at_the_flop_floor']:.1f} at the FLOP floor, {share}"


def _agreement(side: str, agrees: dict) -> str:
    parts = [f"{100 * agrees['completions']:.0f} % of the completions identical"]
    if agrees["prompts"] is not None:
        parts.append("same prompts" if agrees["prompts"] else "OTHER PROMPTS")
        parts.append(f"loss within {agrees['loss']:.1e}, gradient norm within {agrees['grad_norm']:.1e}")
    return f"{side} against stock: " + ", ".join(parts)


if __name__ == "__main__":
    try:
        bench()
    except (ValueError, OSError) as error:  # with a remedy
        sys.exit(f"error: {error}")
