"""A writer on this machine: a checkpoint by hub id or folder, asked without a server.

A Qwen2-VL is loaded by `vsr_kit.models.load_model` and sees clips; asked without frames it reasons from text. Any other
language model that transformers knows (AutoModelForCausalLM) is text-only and writes chains. Weights are safetensors,
and no code that comes with a checkpoint runs. It is loaded when the first text is wanted that the cache lacks.

One text at a time is the default: padding changes the last bits of a number, so that larger batches could word a text
differently after a kill, when other rows share a batch.
Left out: adapters on text-only models, 4 bits for them, and tools.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vsr_kit import validation
from vsr_kit.bridging.answer_cache import AnswerCache
from vsr_kit.bridging.asking import LENGTH, REFUSED, STOP, Prompt, Written, safe_text
from vsr_kit.bridging.costs import Ledger
from vsr_kit.bridging.writers import prompt_key
from vsr_kit.files import read_json
from vsr_kit.validation import shown

_SEES = "qwen2_vl"


class LocalModel:
    """A model on this machine.

    Args:
        name: a hub id, a checkpoint folder, or `mini`.
        max_tokens: cap of a text.
        temperature: 0 is greedy.
        seed: of sampling; a text's draws follow from the seed and the prompt.
        quantize: `nf4`, for models that see clips.
        batch_size: texts written together.
        device: as `load_model` takes it.
    """

    paid = False

    def __init__(
        self,
        name: str | Path,
        *,
        max_tokens: int = 512,
        temperature: float = 0.0,
        seed: int = 0,
        quantize: str | None = None,
        batch_size: int = 1,
        device: str | None = None,
    ) -> None:
        validation.drawing(max_tokens, temperature, 1, seed)
        validation.whole("batch_size", batch_size)
        self.name, self.max_tokens, self.temperature, self.seed = str(name), max_tokens, temperature, seed
        self.quantize, self.batch_size, self.device = quantize, batch_size, device
        self._model: Any = None
        self._identity: dict | None = None

    def identity(self) -> dict:
        """The checkpoint, with the hash of its files where it is a folder, and what its texts hang on."""
        if self._identity is None:
            from vsr_kit.models.loading import MINI, mini_path
            from vsr_kit.runs.provenance import checkpoint_identity

            files = checkpoint_identity(mini_path() if self.name == MINI else self.name)
            names = ("max_tokens", "temperature", "seed", "quantize", "batch_size")
            own = {name: getattr(self, name) for name in names}
            self._identity = {"writer": "local", "model": files["name"], "sha256": files["sha256"]} | own
        return self._identity

    def write(self, messages: list[dict], images: np.ndarray | None = None) -> str:
        """The text for one chat; images are uint8 frames (F, H, W, 3).

        Raises:
            ValueError: frames for a text-only model, or a message that holds a special token.
        """
        written = next(self.write_many([Prompt(messages, images)]))
        if written.finish == REFUSED:
            raise ValueError(f"{self.name} cannot be asked this: {written.detail}")
        return written.text

    def write_many(
        self, prompts: Sequence[Prompt], cache: AnswerCache | None = None, ledger: Ledger | None = None
    ) -> Generator[Written]:
        """The texts of many prompts, in their order, `batch_size` at a time; errors as `write`."""
        for start in range(0, len(prompts), self.batch_size):
            yield from self._batch(prompts[start : start + self.batch_size], cache)

    def _batch(self, prompts: Sequence[Prompt], cache: AnswerCache | None) -> list[Written]:
        keys = [prompt_key(self, prompt) for prompt in prompts]
        found = [cache.get(key) if cache else None for key in keys]
        if None in found:  # all of a batch anew: a text may hang on its neighbours' padding
            found = list(self._write(prompts, keys))
            for key, written in zip(keys, found, strict=True):
                if cache and written:
                    cache.put(key, written)
        return [written for written in found if written is not None]

    def _write(self, prompts: Sequence[Prompt], keys: Sequence[str]) -> list[Written]:
        if self._model is None:
            self._model = self._load()
        seeds = [zlib.crc32(key.encode()) for key in keys]  # a key knows the seed, by `identity`
        held = [_special(prompt, self._model.special) for prompt in prompts]
        asked = [i for i, token in enumerate(held) if token is None]
        texts = self._model.write([prompts[i] for i in asked], [seeds[i] for i in asked]) if asked else []
        made = dict(zip(asked, texts, strict=True))
        return [
            made[i] if token is None else Written("", REFUSED, f"a message holds the special token {shown(token)}")
            for i, token in enumerate(held)
        ]

    def _load(self) -> Any:
        from vsr_kit.models.checkpoint_files import folder_of
        from vsr_kit.models.loading import MINI, load_model

        if self.name != MINI:
            folder = folder_of(self.name)
            kind = read_json(folder / "config.json").get("model_type")
            if kind != _SEES:
                return _TextModel(folder, self)
        return _SeeingModel(load_model(self.name, self.quantize, device=self.device), self)


class _SeeingModel:
    """A Qwen2-VL: prompts with or without a clip, by the kit's own reading of clips."""

    def __init__(self, loaded, how: LocalModel) -> None:
        self.loaded, self.how = loaded, how
        known = loaded.processor.tokenizer.added_tokens_decoder.values()
        self.special = {token.content for token in known if token.special}

    def write(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Written]:
        import torch

        from vsr_kit.generation import decode, end_token_ids, greedy, sampler
        from vsr_kit.models.vision import encode_clip
        from vsr_kit.sharing import encode_prompt, prefill

        loaded, how = self.loaded, self.how
        encoded = []
        for prompt in prompts:
            frames = prompt.frames_FHW3
            clip = None if frames is None else encode_clip(loaded.model, loaded.processor, frames)
            encoded.append(encode_prompt(loaded.model, loaded.processor, prompt.messages, clip))
        pick: Any = greedy
        if how.temperature > 0:
            known = [{"dataset": "bridging", "id": seed} for seed in seeds]
            pick = sampler(known, 1, how.seed, how.temperature, how.max_tokens)
        ends, found = end_token_ids(loaded), {}
        for batch, reading in prefill(loaded.model, encoded, len(encoded)):
            ids = decode(loaded, reading, torch.tensor(batch), how.max_tokens, pick)
            texts = loaded.processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
            for i, text, own in zip(batch, texts, ids, strict=True):
                found[i] = Written(safe_text(text.strip()), STOP if own[-1] in ends else LENGTH)
        return [found[i] for i in range(len(prompts))]


class _TextModel:
    """Any causal language model of transformers, for prompts without frames."""

    def __init__(self, folder: Path, how: LocalModel) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from vsr_kit.files import reading
        from vsr_kit.models.checkpoint_files import AGAIN, NO_CODE
        from vsr_kit.models.loading import pick_device, pick_dtype

        place = pick_device(how.device)
        with reading(folder, AGAIN):
            settings: dict[str, Any] = {"dtype": pick_dtype(place), "use_safetensors": True, **NO_CODE}
            self.model: Any = AutoModelForCausalLM.from_pretrained(folder, **settings).eval()
            self.model.to(place)
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left", **NO_CODE)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.how, self.special = how, set(self.tokenizer.all_special_tokens)

    def write(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Written]:
        import torch

        texts = [self._chat(prompt) for prompt in prompts]
        batch = self.tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        batch = batch.to(self.model.device)
        drawn: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if self.how.temperature > 0:
            drawn = {"do_sample": True, "temperature": self.how.temperature, "top_p": 1.0, "top_k": 0}
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(seeds[0])
            ids = self.model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=self.how.max_tokens,
                pad_token_id=self.tokenizer.pad_token_id,
                **drawn,
            )
        return [self._written(own) for own in ids[:, batch["input_ids"].shape[1] :].tolist()]

    def _written(self, ids: list[int]) -> Written:
        ends = self.model.generation_config.eos_token_id
        known = set(ends) if isinstance(ends, list) else {ends}
        finish = STOP if known & set(ids) or len(ids) < self.how.max_tokens else LENGTH
        return Written(safe_text(self.tokenizer.decode(ids, skip_special_tokens=True).strip()), finish)

    def _chat(self, prompt: Prompt) -> str:
        if prompt.frames_FHW3 is not None:
            raise ValueError(
                f"{self.how.name} reads text only, and a prompt holds a clip: let it write chains, and give a "
                "checkpoint that sees clips, such as Qwen/Qwen2-VL-2B-Instruct, for the other stages"
            )
        messages = [{"role": m["role"], "content": _text(m["content"])} for m in prompt.messages]
        if self.tokenizer.chat_template is None:
            return "\n".join(message["content"] for message in messages) + "\n"
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _special(prompt: Prompt, special: set[str]) -> str | None:
    """A token that only the chat template may write, in a message: it would be taken for a command."""
    text = "\n".join(_text(message["content"]) for message in prompt.messages)
    return next((token for token in sorted(special) if token in text), None)


def _text(content) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block["type"] == "text")
