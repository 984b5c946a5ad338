"""Options that several commands share, and the panels in which `vsr train --help` shows its many.

Each option of a profile has its type here once: `vsr train` changes the profile by it, `vsr plan` plans with it. A
command's function names its options in the order of its story; `in_panels` only decides under which heading help
prints each.
Left out: what single commands have for themselves, and the options' defaults, which profiles have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Annotated, get_type_hints

import typer
from typer.models import OptionInfo

NumGenerations = Annotated[int | None, typer.Option(help="Rollouts of a question; else the profile's.")]
QuestionsPerStep = Annotated[int | None, typer.Option(help="Questions of an update; else the profile's.")]
QuestionsPerClip = Annotated[int | None, typer.Option(help="Questions of a clip that meet in a step.")]
GroupsPerPass = Annotated[int | None, typer.Option(help="Questions scored at once; fewer take less memory.")]
VanillaTokens = Annotated[int | None, typer.Option(help="Cap of an answer at once, in tokens.")]
ChainTokens = Annotated[int | None, typer.Option(help="Cap of a chain of thought with its answer, in tokens.")]
Frames = Annotated[int | None, typer.Option(help="Frames of a clip; else the profile's.")]
ProfileQuantize = Annotated[
    str | None, typer.Option(help="`nf4` packs weights in 4 bits, `none` does not; else the profile's.")
]
LoraRank = Annotated[int | None, typer.Option(help="Of the adapter; else the profile's.")]
LoraAlpha = Annotated[int | None, typer.Option(help="Of the adapter: updates are scaled by alpha / rank.")]
Dtype = Annotated[str | None, typer.Option(help="`float32` or `bfloat16`; else what the device computes best.")]
Checkpointing = Annotated[
    bool | None,
    typer.Option(
        "--gradient-checkpointing/--no-gradient-checkpointing",
        help="Compute layers again for gradients: less memory, slower.",
    ),
]
# These change fields of a profile that have their names.
OF_A_PROFILE = (
    "model steps beta learning_rate numeric num_generations questions_per_clip questions_per_step groups_per_pass "
    "max_vanilla_tokens max_chain_tokens quantize lora_rank lora_alpha dtype gradient_checkpointing"
).split()

MEMORY = "Precision and memory (vsr plan says what each costs)"
PANELS = {
    "Questions and clips": "rooms videos benchmark train_on_test_set phrasing per_room types skip_broken_clips frames "
    "pixels fps size",
    "Updates": "steps seconds beta learning_rate num_generations questions_per_step questions_per_clip numeric",
    MEMORY: "model quantize dtype lora_rank lora_alpha groups_per_pass gradient_checkpointing max_vanilla_tokens "
    "max_chain_tokens",
    "Recipes": "recipe chains rows",
    "The run": "seed name resume record_tokens detector extra_reward divide",
}


def changes_of(given: Mapping) -> dict:
    """The fields of a profile that options change, by name: those that are not None; `--quantize none` is None."""
    changes = {name: given[name] for name in OF_A_PROFILE if given.get(name) is not None}
    changes |= {} if given.get("frames") is None else {"num_frames": given["frames"]}
    return changes | ({"quantize": quantization_of(changes["quantize"])} if "quantize" in changes else {})


def quantization_of(quantize: str) -> str | None:
    """None for `none`, as it is typed and recorded."""
    return None if quantize == "none" else quantize


def in_panels(command: Callable) -> Callable:
    """The command, with its options under the headings of `PANELS` in its help; any others stay under Options."""
    panel_of = {name: panel for panel, names in PANELS.items() for name in names.split()}
    hints = get_type_hints(command, include_extras=True)
    for name, hint in hints.items():
        if name in panel_of:
            hints[name] = _in_panel(hint, panel_of[name])
    command.__annotations__ = hints
    return command


def _in_panel(hint, panel: str):
    """An annotated type whose option stands under a heading."""
    told: list = []
    for each in hint.__metadata__:
        if isinstance(each, OptionInfo):
            each = copy(each)  # it may be another command's, too
            each.rich_help_panel = panel
        told.append(each)
    return Annotated[(hint.__origin__, *told)]
