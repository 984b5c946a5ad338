"""The numbers behind the miniature, in one place; its model card quotes them.

There are four stages. *sight* trains the vision tower alone. *look* trains the language model on places and sizes, with
the grounding loss. *clean* adds questions with true labels and grounded chains; its result is the headroom reference, a
network of the same size trained on the truth. *diffuse* is a short tuning on questions of which a stated share of
labels is replaced by a random one of the same type, and a stated share of chains describes another room. The result
sees but is badly calibrated, as a web-pretrained model is on these questions; both properties are built in, and
wherever a result follows from them the course says so.
Left out: any knowledge of how prompting or reinforcement learning turn out on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vsr_kit.miniature.lessons import Teaching


@dataclass(frozen=True)
class Stage:
    """One stage of training: AdamW, linear warm-up, cosine down to a fiftieth."""

    steps: int
    learning_rate: float
    clips_per_step: int
    looks_per_clip: int = 0
    questions_per_clip: int = 0
    teaching: Teaching | None = None
    train_vision: bool = False
    grounding: float = 0.0
    weight_decay: float = 0.05
    warmup: int = 100


@dataclass(frozen=True)
class Recipe:
    """Everything `vsr pretrain` needs to know."""

    seed: int = 0
    num_rooms: int = 16_000
    rooms_seed: int = 1001
    num_frames: int = 8
    size_px: int = 112
    vocab_size: int = 1024
    text: dict = field(
        default_factory=lambda: {
            "hidden_size": 192,
            "intermediate_size": 512,
            "num_hidden_layers": 5,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
        }
    )
    vision: dict = field(default_factory=lambda: {"depth": 4, "embed_dim": 128, "num_heads": 4, "mlp_ratio": 3})
    sight: Stage = Stage(steps=2600, learning_rate=1.2e-3, clips_per_step=32)
    look: Stage = Stage(
        steps=2000, learning_rate=1.2e-3, clips_per_step=16, looks_per_clip=10, grounding=0.5, warmup=50
    )
    clean: Stage = Stage(
        steps=1200,
        learning_rate=1.2e-3,
        clips_per_step=16,
        looks_per_clip=4,
        questions_per_clip=12,
        teaching=Teaching(cot_share=0.2, resampled_share=0.0, grounded_share=1.0),
        grounding=0.1,
    )
    diffuse: Stage = Stage(
        steps=160,
        learning_rate=3e-4,
        clips_per_step=16,
        questions_per_clip=12,
        teaching=Teaching(cot_share=0.45, resampled_share=0.65, grounded_share=0.5),
    )

    @property
    def grid_thw(self) -> tuple[int, int, int]:
        """The clip's patches: frames in pairs, 14 pixels a side."""
        return self.num_frames // 2, self.size_px // 14, self.size_px // 14
