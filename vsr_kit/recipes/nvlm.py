"""NVLM's tile tags (arXiv 2409.11402) for a clip: `<frame_k>` before the k-th pair of frames, as plain text.

NVLM cuts a large picture into tiles and writes `<tile_1>`, `<tile_2>`, ... before their tokens, so that a language
model knows which tile it reads; its authors report that this lifts reading and reasoning about pictures. Its
training scripts are published in Megatron-LM and were not read; this is written from the paper. A clip has moments
instead of tiles, and Qwen2-VL merges two frames into one, so a tag stands before each pair (`prompts.frame_tags`).

    setting            the paper                          here
    what is tagged     up to 6 tiles and a thumbnail      the 4 moments of a clip of 8 frames
    the tag            <tile_k>, text                     <frame_k>, text
    positions          the language model's own           Qwen2-VL's of that many videos (mRoPE)
    trained            all stages of a 72B model          480 steps of SFT, LoRA, on 3.3 M parameters

Order of appearance asks for what a tag says, a moment; relative direction does not. A tagged clip is in pieces, and
pieces alone move rotary positions: the next pair begins where the text before it ends. So there are two controls: no
tags, which is the ordinary prompt, and shuffled tags, which have the pieces and the tokens and say nothing.
Built in: the miniature never saw a tag, nor a question about order, before these runs; SFT is what teaches both.
Left out: tags of space (tiles, which a miniature of 112 px has not), 2-D tags, and GRPO with tags, which the trainer
takes as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

from vsr_kit.claims.measures import Compared, all_of, comparing
from vsr_kit.claims.recipe import Asked, Condition, Recipe, System, Variant
from vsr_kit.claims.rules import Claim, Measure, gain
from vsr_kit.data import make_rows, split_rooms
from vsr_kit.evaluation import difference
from vsr_kit.prompts import TAGGINGS, tagged
from vsr_kit.questions import STUDY_RULES
from vsr_kit.recipes.vsgrpo import TUNED
from vsr_kit.training.methods import SFT
from vsr_kit.training.phases import Given, Phase
from vsr_kit.validation import one_of
from vsr_kit.videos import film

ORDER = "obj_appearance_order"
DIRECTIONS = tuple(f"object_rel_direction_{level}" for level in ("easy", "medium", "hard"))
# In one clip of twenty do four objects first appear in four different frames: rooms that are looked through for it.
ORDER_ROOMS = {"train": 2000, "test": 1200}
DIRECTION_ROOMS = {"train": 100, "test": 120}
ORDER_PER_ROOM, DIRECTION_PER_ROOM = 4, 2
STEPS = 480  # of SFT, twice the study's: order is a new task for the miniature
TEST = {"none": "test-nvlm", "right": "test-nvlm-right", "shuffled": "test-nvlm-shuffled"}


@dataclass(frozen=True)
class TaggedSFT(SFT):
    """SFT on rows whose clips are tagged.

    Attributes:
        tags: one of `prompts.TAGGINGS`.
    """

    tags: str = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("tags", self.tags, TAGGINGS)

    def trainer(self, profile, config, loaded, rows, clips, features=None, recorder=None):
        return super().trainer(profile, config, loaded, tagged(rows, clips, self.tags), clips, features, recorder)


@cache
def _asked(split: str) -> tuple[list[dict], dict]:
    """Rows about order and direction in VSI-Bench's words, and the clips of the rooms that are asked about."""
    rows: list[dict] = []
    clips: dict = {}
    for types, count, most in (
        ((ORDER,), ORDER_ROOMS[split], ORDER_PER_ROOM),
        (DIRECTIONS, DIRECTION_ROOMS[split], DIRECTION_PER_ROOM),
    ):
        for room in split_rooms(count, split):  # one after another: most clips are not asked about and go
            seen = {room.name: film(room, clear=STUDY_RULES.clear_walk)}
            own = make_rows([room], "vsi-bench", 0, types=types, clips=seen, max_per_type=most, rules=STUDY_RULES)
            rows += own
            clips |= {room.name: seen[room.name].frames_FHW3} if own else {}
    return rows, clips


def questions(split: str, tagging: str = "none") -> Asked:
    """Questions about order and direction, with their clips; training rows are tagged by the method."""
    rows, clips = _asked(split)
    name = TEST[tagging] if split == "test" else f"{split}-nvlm"
    return Asked(name, tagged(rows, clips, tagging), clips)


def _variant(name: str, tags: str, asked: Sequence[str]) -> Variant:
    return Variant(
        name,
        "nvlm",
        tuned_as="sft",
        learning_rate=TUNED["sft"],
        questions="train-nvlm",
        changes={"steps": STEPS},
        asked=tuple((TEST[tagging], "vanilla", "own") for tagging in asked),
        how=TaggedSFT(tags=tags),
    )


VARIANTS = (
    _variant("nvlm-none", "none", ("none",)),
    _variant("nvlm-right", "right", ("right", "shuffled")),
    _variant("nvlm-shuffled", "shuffled", ("shuffled",)),
)
BASE = tuple(Condition(name) for name in TEST.values())


def tags_minus(name: str, task: str, after: tuple[str, str], before: tuple[str, str]) -> Measure:
    """A difference of one task in points, paired by question, where the two sides are asked with their own tags.

    Args:
        name: of the finding.
        task: VSI-Bench's, such as `obj_appearance_order`.
        after, before: (variant or `base`, the tags it is asked with).
    """

    def answers(evidence, of: str, tagging: str):
        return evidence.base(questions=TEST[tagging]) if of == "base" else evidence.trained(of, questions=TEST[tagging])

    def measure(evidence) -> dict:
        return {name: difference(answers(evidence, *after), answers(evidence, *before), task=task)}

    return comparing(measure, Compared(task=task))


def _claim(name: str, task: str, says: str, about: str, caveat: str) -> Claim:
    right = "nvlm-right", "right"
    return Claim(
        name=name,
        says=says,
        source="NVLM (arXiv 2409.11402), on tile tags of pictures; carried over to the moments of a clip by this kit",
        measured=(
            f"{about} alone, held-out procedural rooms, VSI-Bench's phrasing, vanilla prompt, greedy, lenient parser, "
            "paired by question, three seeds each, the same rows and steps: SFT with right tags minus SFT without "
            "tags, and minus SFT with shuffled tags, each asked with the tags it was trained with. Beside them, and no "
            "part of the rule: the run with right tags asked with right minus shuffled ones, and the untrained base "
            "asked with right tags minus without."
        ),
        rule=(
            "Reproduced if both differences have Student's interval above zero, not reproduced if one of them lies at "
            "or below, else undecided."
        ),
        decide=gain("right_minus_none", "right_minus_shuffled", by="student"),
        measure=all_of(
            tags_minus("right_minus_none", task, right, ("nvlm-none", "none")),
            tags_minus("right_minus_shuffled", task, right, ("nvlm-shuffled", "shuffled")),
            tags_minus("asked_right_minus_asked_shuffled", task, right, ("nvlm-right", "shuffled")),
            tags_minus("base_right_minus_none", task, ("base", "right"), ("base", "none")),
        ),
        caveat=caveat,
        needs=tuple(variant.name for variant in VARIANTS),
    )


CLAIMS = (
    _claim(
        "frame-tags-help-order",
        ORDER,
        "A text tag before each pair of frames helps to say in which order things appear.",
        "Order of appearance",
        "Few clips show four things for the first time in four frames, so few questions decide, and a pair of frames "
        "can hold two of them. The base seldom names an option before it is trained.",
    ),
    _claim(
        "frame-tags-help-direction",
        "object_rel_direction",
        "A text tag before each pair of frames helps to say where things are.",
        "Relative direction",
        "Nothing in such a question is about time; what could help is to know which views belong together.",
    ),
)


def _train_tagged(given: Given) -> tuple[SFT, dict]:
    return TaggedSFT(tags="right"), {"steps": given.steps}


RECIPE = Recipe(
    "nvlm",
    "Text tags before a clip's frames, as NVLM tags tiles",
    VARIANTS,
    CLAIMS,
    BASE,
    question_sets={
        "train-nvlm": partial(questions, "train"),
        **{name: partial(questions, "test", tagging) for tagging, name in TEST.items()},
    },
    phases=(Phase("frame-tags", "SFT on clips whose pairs of frames are tagged.", _train_tagged, needs_chains=False),),
    system=System(
        title="NVLM",
        source="arXiv 2409.11402",
        mechanism="a text tag before each pair of frames; shuffled tags and none as controls",
        section="16_recipes_around_it",
        try_it="vsr train --recipe nvlm",
        trained="nvlm-right",
    ),
)
