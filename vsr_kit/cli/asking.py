"""`vsr ask`: one question of one's own, asked as often as wanted, and what was answered how often.

It is the playground without its pictures: the same rows, draws and readers, and the same sentences about what of the
question the model was never taught. Where the kit asks the same question about the room, its truth and the scores are
printed, too.
Left out: many questions (`vsr eval`), and anything kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vsr_kit.cli.flags import quantization_of
from vsr_kit.cli.loading import adapter_folder, default_quantize
from vsr_kit.cli.models import Mode, Model, Quantize

_BAR = 24  # characters of the longest bar


def ask(
    question: Annotated[str, typer.Argument(help="The question, without options and prompt.")],
    room: Annotated[str, typer.Option(help="A room of the kit, such as val-0-00031.")] = "val-0-00031",
    video: Annotated[Path | None, typer.Option(help="A video file to ask about instead of a room.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="An option to choose from; repeat for each.")] = None,
    truth: Annotated[str, typer.Option(help="The right answer, where you know it.")] = "",
    n: Annotated[int, typer.Option("--n", help="How many answers; one is greedy, unless there is a temperature.")] = 1,
    temperature: Annotated[
        float | None, typer.Option(help="Of drawing; 1 for several answers, 0 (greedy) for one.")
    ] = None,
    mode: Annotated[Mode, typer.Option(help="How the model is asked.")] = Mode.vanilla,
    model: Model = "mini",
    adapter: Annotated[str | None, typer.Option(help="A trained adapter, or the run folder it is in.")] = None,
    quantize: Quantize = None,
    max_new_tokens: Annotated[int, typer.Option(help="Cap of an answer.")] = 96,
    frames: Annotated[int, typer.Option(help="Frames of the clip.")] = 8,
    seed: Annotated[int, typer.Option(help="Of drawing.")] = 0,
) -> None:
    """Ask a question of your own about a room or a video, and see what is answered how often."""
    from vsr_kit.data.own_questions import known_row, own_row, suggested_rows
    from vsr_kit.evaluation.draws import check_drawing, draw_answers
    from vsr_kit.evaluation.readings import read_all
    from vsr_kit.models.loading import load_model

    heat = temperature if temperature is not None else float(n > 1)
    check_drawing(n, heat, max_new_tokens, seed)
    place, frames_FHW3, clip = _shown(room, video, frames)
    suggested = [] if place is None else suggested_rows(place, clip)
    row = known_row(suggested, question, option or [])
    if row is None or (truth and truth != row["ground_truth"]):
        where = (video.name, "video") if video is not None else (place.name, place.dataset)
        row = own_row(question, option or [], truth, scene=where[0], dataset=where[1], room=place)
    kept = quantization_of(quantize or default_quantize(model, adapter))
    loaded = load_model(model, kept, adapter=adapter_folder(adapter))
    how = {"mode": mode.value, "temperature": heat, "num_samples": n, "seed": seed}
    answers = draw_answers(loaded, row, frames_FHW3, max_new_tokens=max_new_tokens, **how)  # type: ignore[arg-type]
    for sentence in _news(loaded, row, frames_FHW3):
        typer.echo(sentence)
    _print(row, read_all(row, [own.text for own in answers], [own.truncated for own in answers]))


def _shown(room: str, video: Path | None, frames: int):
    """The room, its frames and its clip; of a video the frames alone."""
    from vsr_kit.data.rows import room_named
    from vsr_kit.questions.types import rules_for
    from vsr_kit.videos import film
    from vsr_kit.videos.files import read_mp4

    if video is not None:
        return None, read_mp4(video, frames, 448), None
    place = room_named(room)
    if place is None:
        raise ValueError(f"there is no room {room!r}: a room of the kit is called val-0-00031; or give --video")
    clip = film(place, frames, clear=rules_for(place.dataset).clear_walk)
    return place, clip.frames_FHW3, clip


def _news(loaded, row: dict, frames_FHW3) -> list[str]:
    """What of the question is new to the model, as its card tells."""
    from vsr_kit.evaluation.taught import folder_of_model, news, read_taught

    taught = read_taught(folder_of_model(loaded.model))
    if taught is None:
        return [f"what {loaded.name} was taught is not known: its model card has no entry `taught`"]
    tokenizer = loaded.processor.tokenizer
    return news(taught, row, tokenizer, dataset=row["dataset"], frames_shape=frames_FHW3.shape)


def _print(row: dict, readings: list) -> None:
    from vsr_kit.evaluation.readings import mean_score, tally

    counts = tally(readings)
    most, wide = max(counts.values()), max(len(value or "not read") for value in counts)
    for value, times in counts.items():
        told = "not read" if value is None else value
        right = "  true" if value is not None and value == row["ground_truth"] else ""
        typer.echo(f"{told:<{wide}}  {times:>4}  {'#' * max(1, round(_BAR * times / most))}{right}")
    score, official = mean_score(readings), mean_score(readings, official=True)
    if score is not None and official is not None:
        told = f"mean score {score:.2f} by the lenient reader, {official:.2f} by VSI-Bench's"
        typer.echo(f"the truth is {row['ground_truth']}; {told}")
