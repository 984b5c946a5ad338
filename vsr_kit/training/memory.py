"""What a training step holds in memory, predicted from a profile and a model's sizes before anything is loaded.

Written D hidden width, I the MLP's inner width, Q width of a token's queries (D in most models), K width of its keys
(grouped heads), N layers, W vocabulary, L tokens of a packed pass, e bytes of a number (2 in bf16, 4 in fp32). What
stays for the whole run:

    weights      linears of the language model: e each, or in nf4 half a byte, a byte for every 64 weights (their scale,
                 quantised again) and 4 for every 16,384; embeddings, head, norms, biases and vision tower: e each
    adapter      4 a parameter, whatever e is, and in the update as much again for the gradient
    optimiser    8 a parameter of the adapter: AdamW's two moments
    clips        features of clips that were encoded: D e a video token, of each depth of the tower that the language
                 model is fed from (four in Qwen3-VL), up to the store's bound

Beside it stands one phase at a time; the largest is the peak.

    clip         pixels of one clip, 4 + e a value (4 if e is 4), and one block of the tower, of width V and inner width
                 M: the wider of its attention, 9 V e (32 V + 2 in bf16: rotation computes in fp32), and 2 V e + 3 M e
    rollouts     prompts packed, a shared clip once: keys and values 2 K N e a token, twice while they are laid out for
                 decoding, or once beside a layer's 4 I e + 4 D e a token; then 2 K N e for every sampled token, and
                 rows x W logits in fp32, five times through transformers' warpers
    update       a pass over groups_per_pass questions: L = prompts + completions, G of them a question. What a layer
                 keeps for its gradient, a token: 8 D (norms in fp32), Q e (queries), 2 K e, 3 I e, and the inputs of
                 LoRA's products: 2 D, Q and I in its precision, 5 D, Q and I where each product casts its own copy;
                 with norms of queries and keys (Qwen3-VL) 4 (Q + K) besides. All layers keep that, or with gradient
                 checkpointing D e each, and one layer all. Then 2 I e + 3 D e a token of gradients in the layer under
                 work, and the small masks of parts of 256 tokens, T (P + T) e.
    logits       in the update, 2^24 numbers at once (a chunk of scored tokens x W), in four fp32 buffers; never all
                 tokens x W

`tests/test_memory_plan.py` holds the sum to 15 % of the live tensors of real steps at three shapes on a CPU. On a CPU
the kit keeps small 4-bit models dequantized, and merges the adapter for rollouts (models/dequantized.py); both count.

Left out: what is no tensor (`OUTSIDE_BYTES` of CUDA context and libraries, and an allocator's gaps, are guessed),
kernels' own scratch, the transient of loading, and several GPUs: each holds all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vsr_kit.training.profiles import Profile
from vsr_kit.training.shapes import Shape
from vsr_kit.validation import one_of, whole

TEXT_TOKENS = {"vanilla": 100, "think": 200, "observe": 200}  # of a prompt beside its clip, about
OUTSIDE_BYTES = 700 * 2**20  # a CUDA context with cuBLAS and bitsandbytes: guessed, not measured
GAPS = 1.05  # what an allocator reserves for what it hands out: guessed, not measured
HELD_BYTES = 2**30  # models.dequantized's bound; a test compares
LOGITS_AT_ONCE = 2**24  # sharing.scoring's; a test compares
TOKENS_A_PART = 256  # sharing.packing's; a test compares
ROWS_A_QUESTION = {"grpo": None, "sft": 1, "dpo": 2}  # completions scored; GRPO's are num_generations
METHODS = tuple(ROWS_A_QUESTION)


@dataclass(frozen=True)
class Work:
    """What is planned: a profile on a model and a device, with the sizes that only rows and clips decide.

    Attributes:
        profile: model, precision, sizes of a step.
        shape: of its model.
        method: grpo, sft or dpo.
        mode: decides the cap of a completion.
        frame_px: height and width of a frame; the profile's square if None.
        text_tokens: of a prompt beside its clip; by the mode if None.
        num_clips: of the run, whose features are kept.
        device: cuda or cpu.
        number_bytes: e; 2 or 4, by the profile's dtype, else 2 on a GPU with bf16.
        has_bf16: whether the device computes bf16 fast enough to be told to.
        processes: that share the questions of a step.
        card_bytes: of the GPU; what is kept of clips goes by it.
    """

    profile: Profile
    shape: Shape
    method: str = "grpo"
    mode: str = "vanilla"
    frame_px: tuple[int, int] | None = None
    text_tokens: int | None = None
    num_clips: int = 400
    device: str = "cuda"
    number_bytes: int = 2
    has_bf16: bool = True
    processes: int = 1
    card_bytes: int = 16 * 10**9

    def __post_init__(self) -> None:
        """Refuse what cannot be planned.

        Raises:
            ValueError: naming the setting, its value and the rule.
        """
        one_of("method", self.method, METHODS)
        one_of("device", self.device, ("cuda", "cpu"))
        one_of("number_bytes", self.number_bytes, (2, 4))
        one_of("mode", self.mode, TEXT_TOKENS)
        for name in ("num_clips", "processes"):
            whole(name, getattr(self, name))
        if self.text_tokens is not None:
            whole("text_tokens", self.text_tokens)

    @property
    def autocast(self) -> bool:
        """Whether products of fp32 numbers, LoRA's, are computed in bf16."""
        return self.device == "cuda" and self.number_bytes == 2

    @property
    def lora_bytes(self) -> int:
        """Bytes of a number where LoRA computes."""
        return 2 if self.autocast else 4

    @property
    def rows(self) -> int:
        """Completions of a question that are scored."""
        return ROWS_A_QUESTION[self.method] or self.profile.num_generations

    @property
    def cap(self) -> int:
        """Most tokens of a completion."""
        return self.profile.max_completion_length(self.mode)

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width of a frame as the processor gets it."""
        return self.frame_px or (self.profile.size_px, self.profile.size_px)

    @property
    def video_tokens(self) -> int:
        """Of a clip."""
        return self.shape.video_tokens(self.profile.num_frames, *self.size_px)

    @property
    def clip_tokens(self) -> int:
        """Of a clip with the times that Qwen3-VL writes before each pair of its frames."""
        return self.video_tokens + self.shape.stamp_tokens(self.profile.num_frames)

    @property
    def own_tokens(self) -> int:
        """Of a prompt beside its clip."""
        return self.text_tokens or TEXT_TOKENS[self.mode]

    def prompt_tokens(self, questions: int) -> int:
        """Packed tokens of so many prompts, those of a clip behind one copy of it."""
        clips = -(-questions // self.profile.questions_per_clip)
        return clips * self.clip_tokens + questions * self.own_tokens


@dataclass(frozen=True)
class Plan:
    """Bytes by part. standing: for the whole run; phases: beside it, one at a time.

    Attributes:
        standing: name to bytes.
        phases: phase to its parts, name to bytes.
        on_gpu: whether there is something beside tensors to reckon with.
    """

    standing: Mapping[str, int]
    phases: Mapping[str, Mapping[str, int]]
    on_gpu: bool = True

    def at(self, phase: str) -> int:
        """Bytes of a phase with all that stands beside it."""
        return sum(self.standing.values()) + sum(self.phases[phase].values())

    @property
    def largest(self) -> str:
        """The phase that needs most."""
        return max(self.phases, key=self.at)

    @property
    def peak(self) -> int:
        """Bytes of live tensors at the worst moment."""
        return self.at(self.largest)

    @property
    def needed(self) -> int:
        """Bytes of GPU memory: the peak, an allocator's gaps, and what is no tensor; on a CPU the peak alone."""
        return int(self.peak * GAPS) + OUTSIDE_BYTES if self.on_gpu else self.peak


def plan(work: Work) -> Plan:
    """The memory of a training step, by the formulas at the head of this module."""
    phases = {"clip": _clip(work), "update": _update(work)}
    if work.method == "grpo":
        phases["rollouts"] = _rollouts(work)
    return Plan(_standing(work), phases, work.device == "cuda")


# -- what stays --------------------------------------------------------------------------------------------------------


def _standing(work: Work) -> dict[str, int]:
    adapter = work.shape.adapter_weights(work.profile.lora_rank)
    found = weights(work.shape, work.profile.quantize, work.number_bytes)
    if _kept_dequantized(work):
        found["linears, dequantized"] = 4 * work.shape.linear_weights
    found |= {"adapter": 4 * adapter, "optimiser": 8 * adapter}
    if work.device == "cpu":  # the last good weights, of two steps (training/callbacks.py): in main memory always
        found["copies of the adapter"] = 8 * adapter
    found["clips' features"] = min(
        _store_bytes(work), work.num_clips * work.video_tokens * work.shape.features_width * _e(work)
    )
    return found


def weights(shape: Shape, quantize: str | None, number_bytes: int) -> dict[str, int]:
    """Bytes of a model's weights by part; nf4 packs the decoder's linears and nothing else."""
    packed = shape.nf4_bytes() if quantize == "nf4" else number_bytes * shape.linear_weights
    return {
        "linears" + (", nf4" if quantize == "nf4" else ""): packed,
        "embedding and head": number_bytes * shape.embedding_weights,
        "vision tower": number_bytes * shape.tower_weights,
        "norms and biases": number_bytes * shape.small_weights,
    }


def _kept_dequantized(work: Work) -> bool:
    small = 4 * work.shape.linear_weights <= HELD_BYTES
    return work.device == "cpu" and work.number_bytes == 4 and work.profile.quantize == "nf4" and small


def _store_bytes(work: Work) -> int:
    """The feature store's bound (models/feature_cache.py): 4 GiB, on a GPU a twentieth of its memory at most."""
    return 4 * 2**30 if work.device == "cpu" else min(4 * 2**30, work.card_bytes // 20)


# -- phases ------------------------------------------------------------------------------------------------------------


def _clip(work: Work) -> dict[str, int]:
    """One clip through the tower, without gradients."""
    time, height, width = work.shape.grid(work.profile.num_frames, *work.size_px)
    return clip_bytes(work.shape, time * height * width, _e(work))


def clip_bytes(shape: Shape, patches: int, number_bytes: int) -> dict[str, int]:
    """Bytes of so many patches on their way through the tower, without gradients."""
    e, v, inner = number_bytes, shape.vision_width, shape.vision_width * shape.vision_ratio
    attention = 36 * v if e == 4 else 34 * v
    rotation = 8 * v // shape.vision_heads
    block = max(attention, e * (2 * v + 3 * inner)) + rotation
    pixels = shape.patch_values * (4 if e == 4 else 4 + e)
    return {"pixels": patches * pixels, "a block of the tower": int(patches * block)}


def _rollouts(work: Work) -> dict[str, int]:
    """All completions of a step, sampled together."""
    shape, e = work.shape, _e(work)
    questions = max(1, work.profile.questions_per_step // work.processes)
    tokens, rows = work.prompt_tokens(questions), questions * work.rows
    cache_a_token = 2 * shape.kv_width * shape.layers * e
    longest = work.clip_tokens + work.own_tokens
    prompts = questions * longest * cache_a_token  # laid out for decoding, each question has a clip of its own
    reading = tokens * cache_a_token + max(prompts, tokens * _layer_without_gradients(work))
    found = {
        "cache of prompts": prompts,
        "cache of completions": rows * work.cap * cache_a_token,
        "logits": rows * 5 * 4 * shape.vocab,
        "attention weights in a layer": rows * shape.heads * (longest + work.cap) * (2 * e + 8),
    }
    if work.device == "cpu" and e == 4 and 4 * shape.linear_weights <= HELD_BYTES:
        found["linears with the adapter merged in"] = 4 * shape.linear_weights
    return found if sum(found.values()) >= reading else {"prompts being read": reading}


def _update(work: Work) -> dict[str, int]:
    """One pass with gradients and its way back."""
    shape, e, profile = work.shape, _e(work), work.profile
    scored = profile.groups_per_pass * work.rows * work.cap
    tokens = work.prompt_tokens(profile.groups_per_pass) + scored
    layer = tokens * kept_a_token(work)
    if profile.gradient_checkpointing:
        kept = {"layers' inputs": shape.layers * tokens * shape.hidden * e, "a layer that is computed again": layer}
    else:
        kept = {"what layers keep for gradients": shape.layers * layer}
    way_back = tokens * (2 * shape.intermediate + 3 * shape.hidden) * e
    chunk = min(scored, max(1, LOGITS_AT_ONCE // shape.vocab)) * shape.vocab
    logits = 4 * 4 * chunk
    # logits have had their gradients before the last layer is computed again
    again = kept.get("a layer that is computed again", 0)
    if logits > again + way_back:
        kept.pop("a layer that is computed again", None)
        working = {"logits": logits}
    else:
        working = {"gradients in a layer": way_back}
    adapter = shape.adapter_weights(profile.lora_rank)
    found = {"gradients of the adapter": 4 * adapter, **kept, **working, "masks": _masks(work)}
    if work.autocast:
        found["adapter in bf16"] = 2 * adapter
    if profile.quantize == "nf4" and not _kept_dequantized(work):
        found["a linear, dequantized"] = e * shape.hidden * shape.intermediate
    return found


def kept_a_token(work: Work) -> int:
    """Bytes that a decoder layer keeps of a token for its gradients, by the formula at the head of this module."""
    shape, e, lora = work.shape, _e(work), work.lora_bytes
    casts = e != lora or (work.autocast and work.profile.quantize is None)  # bitsandbytes' LoRA layers cast nothing
    inputs = (5 if casts else 2) * shape.hidden * lora + (shape.query_width + shape.intermediate) * lora
    ranks = len(shape.linears) * work.profile.lora_rank * lora
    own = 8 * shape.hidden + e * shape.query_width + 2 * shape.kv_width * e + 3 * shape.intermediate * e
    if shape.kind == "qwen3_vl":  # norms of queries and keys, in fp32 as the others
        own += 4 * (shape.query_width + shape.kv_width)
    return own + inputs + ranks


def _layer_without_gradients(work: Work) -> int:
    """Bytes of a token in a layer under work, where nothing is kept."""
    return (4 * work.shape.intermediate + 4 * work.shape.hidden) * _e(work)


def _masks(work: Work) -> int:
    """Of a pass: parts of at most 256 tokens against their ancestors, one mask for each shape of a part."""
    in_a_part = max(1, TOKENS_A_PART // work.cap)
    part = min(work.rows, in_a_part) * work.cap
    parts = work.profile.groups_per_pass * -(-work.rows // in_a_part)
    return parts * part * (work.clip_tokens + work.own_tokens + part) * _e(work)


def _e(work: Work) -> int:
    return work.number_bytes
