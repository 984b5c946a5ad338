"""TRL's SFT trainer with another loss: queries find their clips, thoughts are learnt, recall is measured at the end.

One pass reads the batch's queries, each with its thought, and gives both losses, as O1 Embedder's joint training does:
the end token's hidden state is the embedding, the hidden states before the thought's tokens predict them. A second
pass reads the batch's clips. All else, from checkpoints to logs, is the trainer's own.
Left out: packed sharing of clips (a clip is read once a batch as it is), and several processes, which are refused: the
loss reads the model beneath the wrapper that would bring their gradients together.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import torch
from datasets import Dataset
from torch.nn.utils.rnn import pad_sequence
from transformers import TrainerCallback

from vsr_kit.generation import decode, greedy
from vsr_kit.models.vision import core_model
from vsr_kit.retrieval.embedding import (
    DOCUMENT,
    at_the_end,
    continued,
    contrastive_loss,
    embeddings,
    hidden_states,
    query_messages,
    recall_at_1,
)
from vsr_kit.retrieval.queries import Query, words_recall, write_queries
from vsr_kit.sharing import EncodedPrompt, encode_prompt, prefill
from vsr_kit.sharing.scoring import token_scores
from vsr_kit.training.methods import trainer_arguments
from vsr_kit.training.supervised_trainers import VideoSFTTrainer

TEST_SEED = 17  # of the queries that recall is measured with
_THOUGHTS_AT_ONCE = 32


def retrieval_trainer(how, profile, config, loaded, rows, clips, features=None) -> RetrievalTrainer:
    """The trainer of a `method.Retrieval`, which holds scenes back or asks about others; arguments as methods take."""
    own, back = how.split(rows)
    asked = how.measured_on() if how.measured_on is not None else SimpleNamespace(rows=back, clips=clips)
    queries = write_queries(own, how.draws, config.seed)
    data = Dataset.from_dict(
        {
            "scene_name": [query.scene for query in queries],
            "prompt": [query_messages(query.text) for query in queries],
            "completion": [query.thought for query in queries],
        }
    )
    common = trainer_arguments(profile, config, loaded, ChainMap(cast(Any, clips), cast(Any, asked.clips)), features)
    return RetrievalTrainer(how=how, asked=asked, train_dataset=data, **common)


class RetrievalTrainer(VideoSFTTrainer):
    """`VideoSFTTrainer` whose loss is InfoNCE between queries and clips, and behaviour cloning of thoughts.

    Args:
        how: a `method.Retrieval`.
        asked: rows and clips that recall is measured on.
        args, kwargs: VideoSFTTrainer's; the rows' `completion` is the thought.

    Raises:
        ValueError: several processes.
    """

    def __init__(self, *args, how, asked, **kwargs) -> None:
        self.how, self.asked = how, asked
        super().__init__(*args, **kwargs)
        if (count := self.accelerator.num_processes) > 1:
            raise ValueError(
                f"{count} processes would each train an adapter of their own on their own rooms: launch one"
            )
        self.add_callback(_MeasureAtTheEnd(self))

    @property
    def _own_tokenizer(self) -> Any:
        return cast(Any, self.processing_class).tokenizer

    def _ids(self, text: str) -> torch.Tensor:
        """Token ids of a model's turn, its end token with it."""
        tokenizer = self._own_tokenizer
        return torch.tensor([*tokenizer(text)["input_ids"], tokenizer.convert_tokens_to_ids("<|im_end|>")])

    def _asked(self, messages: Sequence[dict]) -> EncodedPrompt:
        return encode_prompt(self.accelerator.unwrap_model(self.model), self.processing_class, list(messages), None)

    def _documents(self, scenes: Sequence[str]) -> list[EncodedPrompt]:
        prompts = self.encoded_prompts([{"scene_name": scene, "prompt": DOCUMENT} for scene in scenes])
        return [continued(prompt, self._ids("")) for prompt in prompts]

    def _collate(self, rows: list[Mapping]) -> dict:
        prompts = [self._asked(row["prompt"]) for row in rows]
        said = [self._ids(row["completion"] if self.how.thinks else "") for row in rows]
        queries = [continued(prompt, own) for prompt, own in zip(prompts, said, strict=True)]
        ids_BT = pad_sequence([query.ids_P.cpu() for query in queries], True, self._own_tokenizer.pad_token_id)
        scenes = [row["scene_name"] for row in rows]
        batch = {"queries": queries, "thoughts": said, "documents": self._documents(scenes), "scenes": scenes}
        return batch | {"input_ids": ids_BT}

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The weighted sum of both losses; arguments as the trainer's."""
        states = hidden_states(model, inputs["queries"])
        documents_ND = at_the_end(hidden_states(model, inputs["documents"]))
        found = contrastive_loss(at_the_end(states), documents_ND, inputs["scenes"], self.how.temperature)
        told = {"retrieval/contrastive_loss": found}
        if self.how.thinks:
            told["retrieval/thought_loss"] = self._thought_loss(model, states, inputs["thoughts"])
            weight = self.how.thought_weight
            loss = (1 - weight) * found + weight * told["retrieval/thought_loss"]
        else:
            loss = found
        tokens = sum(len(prompt.ids_P) for prompt in (*inputs["queries"], *inputs["documents"]))
        self._total_train_tokens += tokens
        for name, value in told.items():
            self._metrics["train"][name].append(float(value.detach()))
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        return (loss, None) if return_outputs else loss

    def _thought_loss(self, model, states: Sequence[torch.Tensor], thoughts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Mean negative log-probability of the thoughts' tokens, each predicted from the hidden state before it."""
        before = [own[-len(ids) - 1 : -1] for own, ids in zip(states, thoughts, strict=True)]
        labels_S = torch.cat(list(thoughts)).to(before[0].device)
        (logps_S,) = token_scores(core_model(model).get_output_embeddings(), torch.cat(before), labels_S)
        return -logps_S.mean()

    @torch.no_grad()
    def think(self, prompts: Sequence[EncodedPrompt]) -> list[torch.Tensor]:
        """What the model says after each query, greedily, up to its end token; a cut thought is closed by one."""
        loaded: Any = SimpleNamespace(model=self.accelerator.unwrap_model(self.model), processor=self.processing_class)
        end, found = int(self._ids("")[0]), dict[int, torch.Tensor]()
        for batch, reading in prefill(loaded.model, prompts, _THOUGHTS_AT_ONCE):
            made = decode(loaded, reading, torch.arange(len(batch)), self.how.longest_thought, greedy)
            found |= {
                i: torch.tensor(ids if ids[-1] == end else [*ids, end]) for i, ids in zip(batch, made, strict=True)
            }
        return [found[i] for i in range(len(prompts))]

    @torch.no_grad()
    def measured(self) -> dict[str, float]:
        """Recall@1 in per cent on the rooms asked about: with each kind of thought, by words alone, and by chance."""
        model = self.accelerator.unwrap_model(self.model)
        training = model.training
        model.eval()
        queries = write_queries(self.asked.rows, self.how.draws, TEST_SEED)
        scenes = list(dict.fromkeys(query.scene for query in queries))
        right = [scenes.index(query.scene) for query in queries]
        with self.accelerator.autocast():
            documents_MD = embeddings(model, self._documents(scenes))
            prompts = [self._asked(query_messages(query.text)) for query in queries]
            thoughts = {
                "no_thought": [self._ids("")] * len(queries),
                "true_thought": [self._ids(query.thought) for query in queries],
            }
            if self.how.thinks:
                thoughts["own_thought"] = self.think(prompts)
            found = {
                kind: recall_at_1(embeddings(model, list(map(continued, prompts, own))), documents_MD, right)
                for kind, own in thoughts.items()
            }
        model.train(training)
        return self._in_per_cent(found, queries, len(scenes))

    def _in_per_cent(self, found: Mapping[str, float], queries: Sequence[Query], scenes: int) -> dict[str, float]:
        own = found["own_thought" if self.how.thinks else "no_thought"]
        told = {"recall_at_1": own} | {f"recall_at_1_{kind}": value for kind, value in found.items()}
        told |= {"recall_at_1_words": words_recall(queries, self.asked.rows), "recall_at_1_chance": 1 / scenes}
        return {f"retrieval/{name}": 100 * value for name, value in told.items()}


class _MeasureAtTheEnd(TrainerCallback):
    """Logs recall after the last step, before its own line is written."""

    def __init__(self, trainer: RetrievalTrainer) -> None:
        self.trainer = trainer

    def on_step_end(self, args, state, control, **kwargs):
        """Part of transformers' callback interface."""
        if state.global_step >= state.max_steps and state.is_world_process_zero:
            for name, value in self.trainer.measured().items():
                self.trainer._metrics["train"][name].append(value)
