"""The plain computations that shared and cached ones are held to: one row, one forward, pixels in, nothing reused."""

import torch

from vsr_kit.models.vision import chat_inputs


def plain_inputs(processor, messages, frames, completion_ids) -> dict[str, torch.Tensor]:
    """What the processor makes of one question about one clip, with the completion's tokens after it."""
    inputs = chat_inputs(processor, messages, frames)
    extra = torch.tensor([list(completion_ids)], dtype=torch.long)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], extra], 1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    types = inputs["mm_token_type_ids"]
    inputs["mm_token_type_ids"] = torch.cat([types, torch.zeros_like(extra).to(types.dtype)], 1)
    return inputs


def plain_logps(model, processor, messages, frames, completion_ids) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and entropies (T,) of one completion by `model(**inputs)`; positions are the model's own."""
    logits = model(**plain_inputs(processor, messages, frames, completion_ids), use_cache=False).logits[0]
    logps = logits[-len(completion_ids) - 1 : -1].log_softmax(-1)
    picked = logps.gather(1, torch.tensor(list(completion_ids))[:, None])[:, 0]
    return picked, -(logps.exp() * logps).sum(-1)


def plain_generate(model, processor, messages, frames, generation_config, num_samples=1) -> list[list[int]]:
    """`model.generate(**inputs)` for one question, each sample cut after its first end token."""
    inputs = chat_inputs(processor, messages, frames)
    if num_samples > 1:
        inputs = {name: torch.cat([value] * num_samples) for name, value in inputs.items()}
    full = model.generate(**inputs, generation_config=generation_config)
    ends = generation_config.eos_token_id
    made = []
    for row in full[:, inputs["input_ids"].shape[1] :].tolist():
        stop = next((i + 1 for i, token in enumerate(row) if token in ends), len(row))
        made.append(row[:stop])
    return made
