"""A model that writes as a model that embeds: the last hidden state at the end token of a text, or of a clip's prompt.

A query is a user's turn of text alone; what the model thinks follows as its own turn, and the end token closes it:

    query      <user> Find the room. {facts} <assistant> {thought} <end>
                                                                  ^ embedding
    document   <user> {clip} These are frames of a video. Which room is this? <assistant> <end>
                                                                                          ^ embedding

Without a thought the end token follows at once. Embeddings have length 1, and a query's nearest document is the one
with the largest product.
Left out: pooling over tokens, and an embedding token of its own, which would need new weights in the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from vsr_kit.models.vision import core_model
from vsr_kit.sharing import EncodedPrompt
from vsr_kit.sharing.packing import embed, inputs_of

_AT_ONCE = 32  # texts or clips that are read together
DOCUMENT = [
    {
        "role": "user",
        "content": [{"type": "video"}, {"type": "text", "text": "These are frames of a video.\nWhich room is this?"}],
    }
]


def query_messages(text: str) -> list[dict]:
    """The turn that asks for a room, without a clip."""
    return [{"role": "user", "content": [{"type": "text", "text": f"Find the room. {text}"}]}]


def continued(prompt: EncodedPrompt, ids_T: torch.Tensor) -> EncodedPrompt:
    """A prompt with more text after it."""
    ids_T = ids_T.to(prompt.ids_P.device)
    steps_T = prompt.next_position + torch.arange(len(ids_T), device=ids_T.device)
    positions_3T = torch.cat([prompt.positions_3P, steps_T.expand(3, -1).to(prompt.positions_3P.dtype)], 1)
    following = prompt.next_position + len(ids_T)
    return EncodedPrompt(torch.cat([prompt.ids_P, ids_T]), positions_3T, following, prompt.features_VD)


def hidden_states(model, prompts: Sequence[EncodedPrompt]) -> list[torch.Tensor]:
    """The last hidden states (P, D) of each prompt, all read in one pass; shorter ones are padded behind their end."""
    core = core_model(model)
    lengths = [len(prompt.ids_P) for prompt in prompts]
    embeds_NTD = pad_sequence([embed(model, prompt) for prompt in prompts], batch_first=True)
    positions = pad_sequence([prompt.positions_3P.T for prompt in prompts], batch_first=True).permute(2, 0, 1)
    real_NT = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    out = core.model.language_model(
        **inputs_of(core, embeds_NTD),
        attention_mask=real_NT.long().to(embeds_NTD.device),
        position_ids=positions,
        use_cache=False,
    )
    return [states_TD[:length] for states_TD, length in zip(out.last_hidden_state, lengths, strict=True)]


def at_the_end(states: Sequence[torch.Tensor]) -> torch.Tensor:
    """Embeddings (N, D) of length 1 from hidden states: each text's last."""
    return F.normalize(torch.stack([states_TD[-1].float() for states_TD in states]), dim=-1)


@torch.no_grad()
def embeddings(model, prompts: Sequence[EncodedPrompt]) -> torch.Tensor:
    """Embeddings (N, D) of prompts that end in the end token."""
    parts = [prompts[i : i + _AT_ONCE] for i in range(0, len(prompts), _AT_ONCE)]
    return torch.cat([at_the_end(hidden_states(model, part)) for part in parts])


def contrastive_loss(
    queries_ND: torch.Tensor, documents_ND: torch.Tensor, scenes: Sequence[str], temperature: float
) -> torch.Tensor:
    """InfoNCE over a batch: each query against the batch's documents, of which the one at its own place is right.

    Another document of the same scene is neither right nor wrong and is left out.
    """
    logits_NN = queries_ND @ documents_ND.T / temperature
    same_NN = torch.tensor([[a == b for b in scenes] for a in scenes], device=logits_NN.device)
    own_NN = torch.eye(len(scenes), dtype=torch.bool, device=logits_NN.device)
    return F.cross_entropy(logits_NN.masked_fill(same_NN & ~own_NN, -torch.inf), own_NN.long().argmax(1))


def recall_at_1(queries_ND: torch.Tensor, documents_MD: torch.Tensor, right_N: Sequence[int]) -> float:
    """The share of queries whose nearest document is the right one, 0 to 1; right_N are its places."""
    nearest_N = (queries_ND @ documents_MD.T).argmax(1).tolist()
    return sum(found == right for found, right in zip(nearest_N, right_N, strict=True)) / len(nearest_N)
