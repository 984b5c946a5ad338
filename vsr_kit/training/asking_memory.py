"""What an evaluation holds in memory, predicted as memory.py predicts a training step; letters as there.

What stays: the weights, an adapter, and the features of at most 16 clips whose questions are asked together. Beside it
stands one phase at a time:

    clip         clips that go through the tower together, at most 2^24 pixels of all frames, or one clip
    reading      beginnings that questions share, at most 2^15 tokens of them: embeddings D e a token, keys and values
                 2 K N e; of those that are read in one pass, at most 2^13 tokens or one, 3 I e + 4 D e in a layer
    answers      the beginnings; a copy of its beginning for every answer of the batch, where all copies take at most
                 512 MB; keys and values of each question's own tokens and of the answer; logits of a batch, W each in
                 fp32, three times; and in a layer the scores of a token against all before it, four times in fp32

`tests/test_asking_memory.py` holds the sum to 15 % of the live tensors of real evaluations at three shapes on a CPU.
Left out: as in memory.py, and clips of several sizes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vsr_kit.training.memory import HELD_BYTES, Plan, clip_bytes, weights
from vsr_kit.training.shapes import Shape
from vsr_kit.validation import one_of, whole
from vsr_kit.videos.frame_limits import SIDE_PX, shrunk_size

# generation's, prefill's and shared_cache's bounds; a test compares
CLIPS_AT_ONCE, PIXELS_AT_ONCE = 16, 2**24
READ_AT_ONCE, HELD_AT_ONCE = 2**13, 2**15
COPIED_BYTES, EXPANDED_BYTES = 2**29, 2**26
DRAWN_AT_ONCE = 2**22
QUESTION_TOKENS = 40  # of a prompt, those that are its own and not its neighbours', about


@dataclass(frozen=True)
class Asking:
    """What is planned: an evaluation on a model and a device.

    Attributes:
        shape: of the model.
        quantize: None or nf4.
        num_frames, frame_px: of a clip; height and width.
        num_clips, questions: how many clips, and how many questions are asked about each.
        text_tokens, own_tokens: of a prompt beside its clip, and of these what is not its neighbours', too.
        batch_size: answers written at once.
        max_new_tokens: cap of an answer.
        sampled: whether answers are drawn; greedy if not.
        adapter_rank: of the adapter that is asked; None without one.
        device, number_bytes: cuda or cpu; bytes of a number, 2 or 4.
    """

    shape: Shape
    quantize: str | None = None
    num_frames: int = 8
    frame_px: tuple[int, int] = (112, 112)
    num_clips: int = 20
    questions: int = 8
    text_tokens: int = 100
    own_tokens: int = QUESTION_TOKENS
    batch_size: int = 64
    max_new_tokens: int = 64
    sampled: bool = False
    adapter_rank: int | None = None
    device: str = "cuda"
    number_bytes: int = 2

    def __post_init__(self) -> None:
        """Refuse what cannot be planned.

        Raises:
            ValueError: naming the setting, its value and the rule.
        """
        one_of("device", self.device, ("cuda", "cpu"))
        one_of("number_bytes", self.number_bytes, (2, 4))
        for name in ("num_frames", "num_clips", "questions", "text_tokens", "own_tokens", "batch_size"):
            whole(name, getattr(self, name))
        whole("max_new_tokens", self.max_new_tokens)

    @property
    def video_tokens(self) -> int:
        """Of a clip."""
        return self.shape.video_tokens(self.num_frames, *self.frame_px)

    @property
    def clip_tokens(self) -> int:
        """Of a clip with the times that Qwen3-VL writes before each pair of its frames."""
        return self.video_tokens + self.shape.stamp_tokens(self.num_frames)

    @property
    def together(self) -> int:
        """Clips whose questions are asked together."""
        return min(CLIPS_AT_ONCE, self.num_clips)

    @property
    def tail(self) -> int:
        """Tokens of a prompt that are read for it alone; without a neighbour all but the last are a beginning."""
        return 1 if self.questions == 1 else min(self.own_tokens, self.text_tokens)

    @property
    def beginning(self) -> int:
        """Tokens that the prompts about a clip share."""
        return self.clip_tokens + self.text_tokens - self.tail

    @property
    def cache_a_token(self) -> int:
        """Bytes of a token's keys and values, of all layers."""
        return 2 * self.shape.kv_width * self.shape.layers * self.number_bytes


def plan_asking(asking: Asking) -> Plan:
    """The memory of an evaluation, by the formulas at the head of this module."""
    phases = {"clip": _clip(asking), "reading": _reading(asking), "answers": _answers(asking)}
    return Plan(_standing(asking), phases, asking.device == "cuda")


def _standing(asking: Asking) -> dict[str, int]:
    shape, e = asking.shape, asking.number_bytes
    found = weights(shape, asking.quantize, e)
    if asking.device == "cpu" and e == 4 and asking.quantize == "nf4" and 4 * shape.linear_weights <= HELD_BYTES:
        found["linears, dequantized"] = 4 * shape.linear_weights
    if asking.adapter_rank is not None:
        found["adapter"] = 4 * shape.adapter_weights(asking.adapter_rank)
    found["clips' features"] = asking.together * asking.video_tokens * shape.features_width * e
    return found


def _clip(asking: Asking) -> dict[str, int]:
    pixels = asking.num_frames * asking.frame_px[0] * asking.frame_px[1]
    at_once = max(1, min(asking.together, PIXELS_AT_ONCE // pixels))
    patches = at_once * _patches(asking)
    found = clip_bytes(asking.shape, patches, asking.number_bytes)
    waiting = -at_once * asking.video_tokens * asking.shape.features_width * asking.number_bytes
    return found | {"features not made yet": waiting}


def _patches(asking: Asking) -> int:
    time, height, width = asking.shape.grid(asking.num_frames, *asking.frame_px)
    return time * height * width


def _held(asking: Asking) -> int:
    """Clips whose beginnings are there at the same time."""
    return max(1, min(asking.together, HELD_AT_ONCE // asking.beginning))


def _layer(asking: Asking) -> int:
    """Bytes of a token in a layer under work."""
    return (3 * asking.shape.intermediate + 4 * asking.shape.hidden) * asking.number_bytes


def _beginnings(asking: Asking) -> dict[str, int]:
    tokens = _held(asking) * asking.beginning
    embeddings = tokens * (asking.shape.hidden * asking.number_bytes + 24)  # three positions beside them
    return {"embeddings of beginnings": embeddings, "cache of beginnings": tokens * asking.cache_a_token}


def _reading(asking: Asking) -> dict[str, int]:
    at_once = max(1, min(_held(asking), READ_AT_ONCE // asking.beginning)) * asking.beginning
    padded = at_once * asking.shape.hidden * asking.number_bytes
    return _beginnings(asking) | {"a layer at work": at_once * _layer(asking) + padded}


def _answers(asking: Asking) -> dict[str, int]:
    shape, rows = asking.shape, min(asking.batch_size, _held(asking) * asking.questions)
    begun = asking.beginning * asking.cache_a_token
    read = asking.beginning + asking.tail
    found = _beginnings(asking)
    found["cache of questions"] = rows * asking.tail * asking.cache_a_token
    reading = rows * asking.tail * (_layer(asking) + shape.hidden * asking.number_bytes)
    reading += min(EXPANDED_BYTES, rows * (read * 2 * shape.kv_width * asking.number_bytes))
    writing = {"copies of beginnings": rows * begun} if begun * rows <= COPIED_BYTES else {}
    writing["cache of answers"] = rows * asking.max_new_tokens * asking.cache_a_token
    writing["logits"] = rows * 3 * 4 * shape.vocab  # after the prompts, which are held, the last ones and the next
    if asking.sampled:
        writing["draws"] = 4 * 8 * min(rows * shape.vocab, DRAWN_AT_ONCE)
    writing["scores in a layer"] = rows * shape.heads * (read + asking.max_new_tokens) * 4 * 4
    if reading > sum(writing.values()):
        return found | {"questions being read": reading}
    return found | writing


def turned_down(asking: Asking) -> list[tuple[str, Asking, str]]:
    """Settings of `vsr eval` that take less memory: the flag, what is then planned, and the price."""
    (height, width), found = asking.frame_px, []
    if asking.batch_size > 4:
        fewer = asking.batch_size // 4
        found.append((f"--batch-size {fewer}", replace(asking, batch_size=fewer), "the same answers, more slowly"))
    if asking.quantize is None:
        found.append(("--quantize nf4", replace(asking, quantize="nf4"), "weights are rounded to 4 bits"))
    if asking.num_frames > 2:
        frames = asking.num_frames // 2
        found.append((f"--frames {frames}", replace(asking, num_frames=frames), "less of a clip is seen"))
    if min(height, width) >= 2 * SIDE_PX:
        pixels = height * width // 4
        smaller = replace(asking, frame_px=shrunk_size(height, width, pixels))
        found.append((f"--pixels {pixels}", smaller, "small objects are no longer seen"))
    return found
