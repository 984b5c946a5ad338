"""MAmmoTH-VL (arXiv 2412.05237): short answers rewritten into rationales, judged by a model, mixed with plain answers.

The paper holds that data sets of phrase-level answers teach no reasoning. It lets an open model rewrite them into
rationales, lets the same model throw out those that do not hold, and trains on 70 % rewritten and 30 % original
answers, by SFT alone. Here rules rewrite, and the model that is trained next judges. This is written from the paper.

| | paper | here |
|---|---|---|
| rewriter | an open model, from question, answer and picture | the rule reasoner, from a description of the room |
| what it invents | unknown | a fifth of the rationales are about a room that is not there, and end in the truth |
| judge | the rewriter, asked whether the answer holds | mini-cold-start: does the rationale make the answer likelier? |
| mixture | 70 % rewritten, 30 % original | 0, 30, 50, 70 and 100 % rewritten, the same questions in all |
| training | three stages, 12 million pairs | 100 steps of 8 questions, from mini-cold-start, LoRA |

The judge read every rationale once; what it said is in `data_samples/mammoth_vl/judged.json`, by `judge`. All questions
have a rationale that it kept, so that arms differ in the share alone. An original answer is said under the same prompt,
with empty tags. Not the same as the runs `chains-0` to `chains-100` of Vision-R1's recipe: there every question has a
chain, and the share is that of chains that speak of the room shown. `vsr train --recipe mammoth-vl` mixes the chains
that it is given: no judge leaves any out, and none is invented.
Left out: equal tokens. Rationales are longer than answers, so arms have equal questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from vsr_kit.bridging.rationales import in_share, mixed, rationale
from vsr_kit.claims.measures import Evidence, all_of, minus
from vsr_kit.claims.recipe import Asked, Condition, Recipe, System, Variant
from vsr_kit.claims.rules import GAIN_BY_STUDENT, Claim, Measure, gain
from vsr_kit.data import split_rooms
from vsr_kit.evaluation import difference
from vsr_kit.files import read_json, write_json
from vsr_kit.paths import data_samples
from vsr_kit.prompts import target_completion
from vsr_kit.questions import TRAINED_TYPES
from vsr_kit.recipes.filmed import asked_about
from vsr_kit.recipes.vision_r1 import CHAINS_RATE, COLD, PLACES_TYPES
from vsr_kit.rooms import Room
from vsr_kit.training.methods import SFT
from vsr_kit.training.phases import Given, Phase

PAPER = "MAmmoTH-VL (arXiv 2412.05237)"
SHARES, PAPER_SHARE = (0, 30, 50, 70, 100), 0.7
TRAIN_ROOMS, TEST_ROOMS = 150, 60
TRAIN_SET, TEST_SET = "train-rationales", "test-few-places"
HOW: dict[str, Any] = {"cap": 272, "prompt_set": "train"}  # Vision-R1's second cap: chains here are terse


@cache
def _rooms() -> dict[str, Room]:
    return {room.name: room for room in split_rooms(TRAIN_ROOMS, "train")}


@dataclass(frozen=True)
class Mixed:
    """Targets for SFT: f(row) -> a rationale and the true answer for a share of the questions, else that answer."""

    share: float

    def __call__(self, row: Mapping) -> str | None:
        found = rationale(row, _rooms()[row["scene_name"]])
        chain = found[0] if found is not None and in_share(row["id"], self.share) else ""
        return target_completion("think", "train", chain, row["ground_truth"])


def candidates() -> Asked:
    """The study's training questions about the first rooms, before anything is judged."""
    return asked_about(TRAIN_SET, split_rooms(TRAIN_ROOMS, "train"), types=TRAINED_TYPES, max_per_type=2)


def judged() -> dict[str, dict]:
    """What the judge said of every rationale, by the question's id: `nats` added, and whether it was `invented`."""
    return read_json(data_samples("mammoth_vl", "judged.json"), {"rationales": dict})["rationales"]


def judge(path) -> None:
    """Let the cold start judge all rationales, once, and write what it says to a JSON file. Takes minutes."""
    from vsr_kit.evaluation.rationale_judge import nats_added
    from vsr_kit.models import load_model

    made = candidates()
    written = [(row, rationale(row, _rooms()[row["scene_name"]])) for row in made.rows]
    found = [(row, *told) for row, told in written if told is not None]
    loaded = load_model(COLD, quantize="nf4")
    nats = nats_added(loaded, [row for row, _, _ in found], made.clips, [chain for _, chain, _ in found])
    pairs = zip(found, nats, strict=True)
    said = {row["id"]: {"nats": round(value, 3), "invented": invented} for (row, _, invented), value in pairs}
    write_json(path, {"judge": COLD, "rationales": said})


def kept(rows: Iterable[dict], said: Mapping[str, Mapping]) -> list[dict]:
    """The rows whose rationale makes its answer likelier to the judge; `said` as `judged` reads it."""
    return [row for row in rows if row["id"] in said and said[row["id"]]["nats"] > 0]


def kept_questions() -> Asked:
    """The training questions that the judge leaves."""
    made = candidates()
    return replace(made, rows=kept(made.rows, judged()))


def _arm(share: int) -> Variant:
    more: dict[str, Any] = {
        "mode": "think",
        "questions": TRAIN_SET,
        "changes": {"model": COLD, "steps": 100, "max_chain_tokens": HOW["cap"]},
        "how": SFT("think", targets=Mixed(share / 100)),
        "asked": tuple((TEST_SET, mode, "own") for mode in ("think", "vanilla")),
        "learning_rate": CHAINS_RATE,
    }
    return Variant(f"mammoth-{share}", "mammoth-vl", "sft", **more, **HOW)


VARIANTS: tuple[Variant, ...] = tuple(_arm(share) for share in SHARES)
BASE: tuple[Condition, ...] = tuple(Condition(TEST_SET, COLD, mode, **HOW) for mode in ("think", "vanilla"))


def _minus(after: int, before: int) -> Measure:
    """The difference with the prompt for thinking, which decides, and beside it that with the prompt for one glance."""
    name, one, other = f"{after}_minus_{before}", f"mammoth-{after}", f"mammoth-{before}"

    def glances(evidence: Evidence) -> dict:
        own, others = (evidence.trained(of, questions=TEST_SET, mode="vanilla") for of in (one, other))
        return {f"{name}_at_a_glance": difference(own, others, task="overall")}

    return all_of(minus(name, one, other, "overall", TEST_SET), glances)


_MEASURED = (
    f"Distance, relative distance and direction in {TEST_ROOMS} held-out procedural rooms, mean of the three tasks, "
    f"VSI-100k's words, the training prompt for thinking, greedy, a cap of {HOW['cap']} tokens, lenient parser; paired "
    "by question, three seeds each, equal questions. "
)
_CAVEAT = (
    "All begin with the shipped cold start, which has learnt chains and glances already: the sweep shows what 100 "
    "steps keep or spoil, not what 12 million pairs teach. A fifth of the rationales was invented on purpose, and the "
    "judge kept 69 % of these beside 88 % of the others: it finds invented distances and sizes, and nothing else."
)
CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="rationales-beat-answers",
        says="Answers rewritten into rationales teach more than the answers alone.",
        source=f"{PAPER}, its main claim",
        measured=f"{_MEASURED}SFT on rationales alone minus SFT on answers alone.",
        rule=GAIN_BY_STUDENT,
        decide=gain("100_minus_0", by="student"),
        measure=_minus(100, 0),
        caveat=_CAVEAT,
        needs=("mammoth-0", "mammoth-100"),
    ),
    Claim(
        name="mixture-beats-either-end",
        says="A mixture of 70 % rationales and 30 % answers is better than either alone.",
        source=f"{PAPER}, on its mixture",
        measured=f"{_MEASURED}SFT on 70 % rationales minus SFT on none, and minus SFT on nothing else.",
        rule=(
            "Reproduced if both differences have Student's interval above zero, not reproduced if one of them is at or "
            "below, else undecided."
        ),
        decide=gain("70_minus_0", "70_minus_100", by="student"),
        measure=all_of(_minus(70, 0), _minus(70, 100)),
        caveat=_CAVEAT,
        needs=("mammoth-0", "mammoth-70", "mammoth-100"),
    ),
)


def _sft(given: Given) -> tuple[SFT, dict]:
    return SFT("think", targets=mixed(given.chains, PAPER_SHARE)), {"steps": given.steps}


RECIPE = Recipe(
    "mammoth-vl",
    "Short answers rewritten into rationales, judged by the model itself, and mixed",
    VARIANTS,
    CLAIMS,
    BASE,
    question_sets={
        TRAIN_SET: kept_questions,
        TEST_SET: lambda: asked_about(TEST_SET, split_rooms(TEST_ROOMS, "test"), types=PLACES_TYPES, max_per_type=4),
    },
    phases=(
        Phase("mixed", "Supervised fine-tuning on 70 % chains, which nobody judged, and 30 % answers alone.", _sft),
    ),
    system=System(
        "MAmmoTH-VL",
        "arXiv 2412.05237",
        "answers rewritten into rationales, judged by the model itself, mixed with plain answers",
        "16_recipes_around_it",
        "vsr train --recipe mammoth-vl",
        drawn="mixture-beats-either-end",
        trained="mammoth-70",
    ),
)
