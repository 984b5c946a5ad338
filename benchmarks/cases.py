"""The benchmark of sharing as data: model shapes with their clips, the cases to measure, and the target ratios.

A shape is a model with random weights and the size of the clip it sees. A case is the work of one step and the sides
that do it: all sides read the same tokens and take one optimiser step on the same questions and rollouts. A target is a
ratio, stock TRL over the shared trainer.
Left out: DPO. A new `kind` of case needs a function of that name in worker.KINDS and no change here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

STOCK, COLD, WARM, SHARED = "stock", "shared cold", "shared warm", "shared"


@dataclass(frozen=True)
class Shape:
    """A model and its clip.

    Attributes:
        name: of the shape, or the checkpoint it stands for.
        text, vision: as `new_checkpoint.build_config` takes them; None where the checkpoint exists already.
        num_frames, height_px, width_px: of a clip, in multiples of 2 and 28.
        question_tokens: after the clip, up to the first token of the answer.
        vocab_size: of the tokenizer.
        spread: standard deviation of the random weights; with a small one the model ignores what it reads.
        dtype: of the saved weights.
        limits: largest values of a case's sizes, for small shapes.
    """

    name: str
    text: dict | None
    vision: dict | None
    num_frames: int = 16
    height_px: int = 224
    width_px: int = 448
    question_tokens: int = 60
    vocab_size: int = 1024
    spread: float = 0.1
    dtype: str = "float32"
    limits: dict[str, int] = field(default_factory=dict)

    @property
    def clip_tokens(self) -> int:
        """Merged tokens of a clip: two frames and 28 x 28 pixels each."""
        return self.num_frames // 2 * (self.height_px // 28) * (self.width_px // 28)


SHAPES = {
    shape.name: shape
    for shape in (
        Shape(
            "paper-shape",
            text={
                "hidden_size": 384,
                "intermediate_size": 1536,
                "num_hidden_layers": 10,
                "num_attention_heads": 6,
                "num_key_value_heads": 2,
            },
            vision={"depth": 4, "embed_dim": 192, "num_heads": 4, "mlp_ratio": 4},
        ),
        Shape(
            "tiny",
            text={
                "hidden_size": 128,
                "intermediate_size": 128,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
            },
            vision={"depth": 2, "embed_dim": 64, "num_heads": 2, "mlp_ratio": 2},
            num_frames=4,
            height_px=84,
            width_px=84,
            question_tokens=90,
            vocab_size=400,
            spread=0.2,
            limits={"num_generations": 3, "answer_tokens": 4, "questions": 4, "questions_per_clip": 4},
        ),
        Shape(
            "qwen2-vl-2b",
            text={
                "hidden_size": 1536,
                "intermediate_size": 8960,
                "num_hidden_layers": 28,
                "num_attention_heads": 12,
                "num_key_value_heads": 2,
                "vocab_size": 151_936,
                "max_position_embeddings": 32_768,
            },
            vision={"depth": 32, "embed_dim": 1280, "num_heads": 16, "mlp_ratio": 4},
            spread=0.04,
            dtype="bfloat16",
        ),
    )
}


@dataclass(frozen=True)
class Target:
    """`measure` of the stock side over that of `side` is to be at least `at_least`."""

    measure: str
    side: str
    at_least: float


@dataclass(frozen=True)
class Case:
    """The work of one repeat.

    Attributes:
        name: what the command line calls it.
        kind: `grpo` or `sft`, one optimiser step; or `evaluation`, greedy answers.
        sides: who does it; each in a process of its own.
        questions: of one repeat.
        questions_per_clip: how many of them are about one clip.
        num_generations: rollouts of each question.
        answer_tokens: exactly so many a rollout; at most so many an answer in an evaluation.
        targets: ratios to reach.
    """

    name: str
    kind: str
    sides: tuple[str, ...]
    questions: int
    questions_per_clip: int
    num_generations: int
    answer_tokens: int
    targets: tuple[Target, ...] = ()

    def describe(self) -> str:
        """The work in one line."""
        clips = self.questions // self.questions_per_clip
        work = f"{self.questions} questions about {clips} clip{'s' * (clips > 1)}"
        if self.kind == "sft":
            return f"{work}, answers of {self.answer_tokens} tokens"
        if self.kind == "grpo":
            return f"{work}, {self.num_generations} rollouts of {self.answer_tokens} tokens each"
        return f"{work}, answers of at most {self.answer_tokens} tokens"

    def within(self, shape: Shape) -> Case:
        """The case with its sizes cut to the shape's limits."""
        return replace(self, **{name: min(most, getattr(self, name)) for name, most in shape.limits.items()})


GRPO_SIDES = (STOCK, COLD, WARM)
CASES = {
    case.name: case
    for case in (
        Case(
            "four-questions",
            "grpo",
            GRPO_SIDES,
            questions=4,
            questions_per_clip=4,
            num_generations=14,
            answer_tokens=16,
            targets=(
                Target("seconds", WARM, 25),
                Target("seconds", COLD, 20),
                Target("trunk tokens", WARM, 25),
            ),
        ),
        Case(
            "one-question",
            "grpo",
            GRPO_SIDES,
            questions=4,
            questions_per_clip=1,
            num_generations=14,
            answer_tokens=16,
            targets=(
                Target("seconds", WARM, 12),
                Target("seconds", COLD, 12),
                Target("peak memory", COLD, 6),
            ),
        ),
        Case(
            "long-answers",
            "grpo",
            GRPO_SIDES,
            questions=4,
            questions_per_clip=4,
            num_generations=8,
            answer_tokens=256,
            targets=(Target("seconds", WARM, 3), Target("seconds", COLD, 3)),
        ),
        Case(
            "sft",
            "sft",
            GRPO_SIDES,
            questions=4,
            questions_per_clip=4,
            num_generations=1,
            answer_tokens=16,
            targets=(Target("seconds", WARM, 2.5), Target("seconds", COLD, 2.5)),
        ),
        Case(
            "evaluation",
            "evaluation",
            (STOCK, SHARED),
            questions=30,
            questions_per_clip=10,
            num_generations=1,
            answer_tokens=16,
            targets=(Target("seconds", SHARED, 5),),
        ),
    )
}


def find_shape(model: str) -> Shape:
    """A named shape, or any checkpoint with the paper's clip (its processor may resize it) and question."""
    return SHAPES.get(model) or replace(SHAPES["paper-shape"], name=str(model), text=None, vision=None)


def find_cases(names: tuple[str, ...] | list[str] | None) -> list[Case]:
    """The named cases, all of them for none. ValueError on an unknown name."""
    if unknown := [name for name in names or () if name not in CASES]:
        raise ValueError(f"no case is called {unknown[0]!r}: choose from {', '.join(CASES)}")
    return [CASES[name] for name in names or CASES]
