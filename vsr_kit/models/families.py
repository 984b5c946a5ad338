"""The families of models that the kit reads, and what is different about each: one record a family.

Qwen2-VL, Qwen2.5-VL and Qwen3-VL read a clip in the same way: a tower makes tokens of it, they take the place of video
pads in a chat, and a language model goes on from there. Sharing (vsr_kit/sharing) needs three things of a model: that
a token's keys and values depend on the tokens before it alone, that its positions are known beforehand, and that all it
is told of a clip is in the clip's features. Each holds in all three families; tests/test_families.py compares shared
passes, rollouts and gradients of each with the plain ones of transformers. What differs:

- Qwen2.5-VL places a clip's frames by seconds. A clip here is frames without a rate, so that two are taken to be half a
  second apart (`FRAMES_A_SECOND`), the rate at which the family's own processor samples films.
- Qwen3-VL writes the seconds into the prompt as text, and feeds features of several depths of its tower into the first
  layers of the language model (DeepStack, arXiv 2406.04334). `ClipFeatures` holds all of them side by side.

Left out: mixtures of experts and models of other makers, which `family_of` refuses by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FRAMES_A_SECOND = 2.0  # of a clip, as Qwen2.5-VL's and Qwen3-VL's processors sample films by themselves


@dataclass(frozen=True)
class Family:
    """What the loader has to know of a family.

    Attributes:
        kind: `model_type` of its config.json.
        example: a hub id.
        model: transformers' class of the model.
        processor: transformers' class of the processor, and the name under which a checkpoint records it.
        timed: whether it is told when a frame was taken.
    """

    kind: str
    example: str
    model: str
    processor: str
    timed: bool = False

    @property
    def notice(self) -> str | None:
        """What a user should know before the first clip; None where there is nothing."""
        if not self.timed:
            return None
        return (
            f"{self.kind}: this model is told when a frame was taken, and clips here state no rate; frames are taken "
            f"to be {1 / FRAMES_A_SECOND:g} s apart"
        )


FAMILIES = {
    family.kind: family
    for family in (
        Family("qwen2_vl", "Qwen/Qwen2-VL-2B-Instruct", "Qwen2VLForConditionalGeneration", "Qwen2VLProcessor"),
        Family(
            "qwen2_5_vl",
            "Qwen/Qwen2.5-VL-3B-Instruct",
            "Qwen2_5_VLForConditionalGeneration",
            "Qwen2_5_VLProcessor",
            timed=True,
        ),
        Family(
            "qwen3_vl",
            "Qwen/Qwen3-VL-2B-Instruct",
            "Qwen3VLForConditionalGeneration",
            "Qwen3VLProcessor",
            timed=True,
        ),
    )
}


def family_of(config: Mapping, where: object) -> Family:
    """The family of a checkpoint's config.json.

    Args:
        config: as it was parsed.
        where: the folder, for the message.

    Raises:
        ValueError: a model of another family, or one whose layers do not see all tokens before them.
    """
    kind = config["model_type"]
    if kind not in FAMILIES:  # transformers would only warn, and fill in random weights
        known = ", ".join(f"{family.kind} ({family.example})" for family in FAMILIES.values())
        raise ValueError(f"{where} is a {kind} checkpoint: this kit reads {known}; name a model of one of them")
    text = config.get("text_config") or config
    if text.get("use_sliding_window"):
        raise ValueError(
            f"{where}: use_sliding_window is true in config.json: layers that see only near tokens are not computed "
            "here; set it to false if the model was trained so, or choose another model"
        )
    return FAMILIES[kind]
