"""O1 Embedder (arXiv 2502.07555): think, then retrieve. Which room does a description mean?

A retriever that can write first writes what else the document may say, and embeds the query with that thought. One
model learns both: behaviour cloning of thoughts, and contrastive learning of embeddings. The authors' code is public;
this is written anew on the seams of this kit, with rooms as documents: a query states three facts of a room, the
documents are clips, and a thought states two more facts (`vsr_kit.retrieval`).

    setting          the paper, its public code              here
    thoughts         a large model's, kept by a committee     the room's other facts, kept by bags of words
    losses           0.8 InfoNCE + 0.2 behaviour cloning      the same
    embedding        last token's hidden state                the same, of length 1; temperature 0.05
    negatives        hard ones and the batch's                the batch's 15
    thoughts used    several, embeddings averaged             one, greedy
    trained          LoRA on language models of billions      LoRA on the miniature, 120 steps of 16 queries

Recall@1 is over 120 new rooms, of which those with five facts count, four queries each. Beside it stand chance, bags
of words that know every room's objects, the same network without its thought and with a true one.
Built in: procedural rooms draw their furniture with little regard to each other, so a query hardly tells what else is
there, and a thought from text alone can hardly be better than a guess; a true thought says what could be gained.
Left out: text encoders as a control (no package registry ships one with its weights), and several thoughts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from vsr_kit.claims.measures import Log, all_of
from vsr_kit.claims.recipe import BENCH_SET, Condition, Recipe, System, Variant
from vsr_kit.claims.rules import GAIN_BY_STUDENT, Claim, gain
from vsr_kit.claims.training_measures import log_mean, log_minus, values_of
from vsr_kit.evaluation import load_questions
from vsr_kit.questions import TRAINED_TYPES
from vsr_kit.recipes.vsgrpo import TUNED
from vsr_kit.retrieval import Retrieval
from vsr_kit.training.methods import SFT
from vsr_kit.training.phases import Given, Phase

TEST_ROOMS = 120
STEPS = 120
QUERIES_A_STEP = 16  # each has the others' clips as negatives
FIVE_SEEDS = (1, 2, 3, 4, 5)


@cache
def new_rooms():
    """The study's test rooms in VSI-100k's words, as the training rooms are asked about."""
    return load_questions(TEST_ROOMS, split="test", phrasing="vsi-100k", types=TRAINED_TYPES, per_room=2)


def _variant(name: str, thinks: bool) -> Variant:
    return Variant(
        name,
        "o1-embedder",
        tuned_as="sft",
        learning_rate=TUNED["sft"],
        changes={"steps": STEPS, "questions_per_step": QUERIES_A_STEP, "groups_per_pass": QUERIES_A_STEP},
        seeds=FIVE_SEEDS,
        how=Retrieval(thinks=thinks, measured_on=new_rooms),
    )


VARIANTS = (_variant("o1-plain", thinks=False), _variant("o1-thinks", thinks=True))


def recall(kind: str = "", minus: str | None = None) -> Callable[[Log], float]:
    """Reads recall@1 in per cent from a run's log: of a kind, or minus another kind of the same run.

    Args:
        kind: empty for the way in which the run was trained; `no_thought`, `own_thought`, `true_thought`, `words` or
            `chance`.
        minus: another kind.
    """

    def read(log: Log) -> float:
        def last(of: str) -> float:
            return values_of(log, f"retrieval/recall_at_1{of and '_'}{of}")[-1]

        return last(kind) - (0.0 if minus is None else last(minus))

    return read


_MEASURED = (
    "Recall@1 in per cent of queries of three facts about 120 new procedural rooms, four queries a room, all rooms' "
    "clips as candidates, five seeds each, the same steps of 16 queries"
)
CLAIMS = (
    Claim(
        name="thinking-finds-rooms",
        says="A retriever that thinks before it embeds finds more than one that does not.",
        source="O1 Embedder (arXiv 2502.07555)",
        measured=(
            f"{_MEASURED}: trained and asked with its own greedy thought, minus trained and asked without thoughts. "
            "Beside it, and no part of the rule: what the network that embeds without thoughts has over chance, and "
            "over bags of words that know every room's objects."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("thought_minus_plain", by="student"),
        measure=all_of(
            log_minus("thought_minus_plain", "o1-thinks", "o1-plain", recall()),
            log_mean("plain_minus_chance", "o1-plain", recall(minus="chance")),
            log_mean("plain_minus_words", "o1-plain", recall(minus="words")),
        ),
        caveat=(
            "Queries and steps are equal, tokens are not: thoughts are read as well. A thought cannot know the room: "
            "procedural rooms draw their furniture with little regard to each other."
        ),
        needs=("o1-plain", "o1-thinks"),
    ),
    Claim(
        name="own-thoughts-are-used",
        says="Of one network that was taught to think, the thought before embedding is what helps.",
        source="O1 Embedder (arXiv 2502.07555), on thoughts left out",
        measured=(
            f"{_MEASURED}: the network trained with thoughts asked with its own greedy thought minus the same network "
            "asked without. Beside it, and no part of the rule: a true thought of two further facts minus its own."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("own_minus_none", by="student"),
        measure=all_of(
            log_mean("own_minus_none", "o1-thinks", recall("own_thought", minus="no_thought")),
            log_mean("true_minus_own", "o1-thinks", recall("true_thought", minus="own_thought")),
        ),
        caveat=(
            "The network never embedded a query without a thought in training, so a part of the difference is habit: "
            "this is about the network as it is, the other claim about what training it takes."
        ),
        needs=("o1-thinks",),
    ),
)


def _train_both(given: Given) -> tuple[SFT, dict]:
    return Retrieval(), {"steps": given.steps}


RECIPE = Recipe(
    "o1-embedder",
    "Think, then retrieve: rooms found by descriptions",
    VARIANTS,
    CLAIMS,
    (Condition(BENCH_SET),),
    phases=(
        Phase(
            "think-and-embed",
            "InfoNCE between descriptions and clips, and behaviour cloning of thoughts.",
            _train_both,
            needs_chains=False,
        ),
    ),
    system=System(
        title="O1 Embedder",
        source="arXiv 2502.07555",
        mechanism="a generated thought before a query is embedded; contrastive loss plus behaviour cloning",
        section="16_recipes_around_it",
        try_it="vsr train --recipe o1-embedder",
        trained="o1-thinks",
    ),
)
