"""The miniature's model card: recipe, what is built in, what acceptance measured. Written from the recipe itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from jinja2 import Template

from vsr_kit.pretrain.recipe import Recipe, Stage


def model_card(recipe: Recipe, millions: float, rules: Sequence[object], history: str) -> str:
    """Markdown of the card.

    Args:
        recipe: the numbers it was trained by.
        millions: of parameters.
        rules: what acceptance measured, one printable line each.
        history: how this very checkpoint was made, in sentences: hours, hardware, discarded attempts.
    """
    stages = {f.name: getattr(recipe, f.name) for f in fields(recipe) if isinstance(getattr(recipe, f.name), Stage)}
    teaching = recipe.diffuse.teaching
    return _template().render(
        millions=millions,
        frames=recipe.num_frames,
        size=recipe.size_px,
        resampled=teaching.resampled_share,
        cot=teaching.cot_share,
        grounded=teaching.grounded_share,
        stages="\n".join(_stage_row(name, stage) for name, stage in stages.items()),
        rooms=recipe.num_rooms,
        seed=recipe.rooms_seed,
        decay=recipe.clean.weight_decay,
        text=_widths(recipe.text),
        vision=_widths(recipe.vision),
        history=history,
        rules="\n".join(f"- {rule}" for rule in rules),
    )


def _stage_row(name: str, stage: Stage) -> str:
    cells = (
        name,
        stage.steps,
        stage.learning_rate,
        stage.clips_per_step,
        stage.looks_per_clip,
        stage.questions_per_clip,
    )
    return "| " + " | ".join(str(c) for c in (*cells, stage.grounding)) + " |"


def _widths(sizes: dict) -> str:
    return ", ".join(f"{key} {value}" for key, value in sizes.items())


def _template() -> Template:
    path = Path(__file__).resolve().parent.parent / "templates" / "model_card.md.j2"
    return Template(path.read_text(encoding="utf-8"), keep_trailing_newline=True)
