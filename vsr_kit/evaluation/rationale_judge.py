"""A model as the judge of a rationale: does it make its own answer likelier than no rationale does?

MAmmoTH-VL (arXiv 2412.05237) lets the model that wrote rationales also throw out those that do not hold, since a
rewriter invents things. Its judge is asked in words and says yes or no. A miniature cannot be asked that; what it can
say is how likely an answer is. So a rationale is judged by two log-probabilities of the answer it ends in, both with
the clip and the question before it: after the rationale, and after an empty one. A rationale about another room leads
to another answer, and takes probability from the true one.
Left out: rationales in tags of several kinds, and judges that are another model than a Qwen2-VL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from vsr_kit.models.dequantized import keep_dequantized
from vsr_kit.models.feature_cache import FeatureStore
from vsr_kit.models.loading import Loaded
from vsr_kit.prompts import chat_messages, target_completion
from vsr_kit.sharing import encode_prompt, give_scores, score


@torch.no_grad()
def nats_added(
    loaded: Loaded,
    rows: Sequence[Mapping],
    clips: Mapping[str, np.ndarray],
    chains: Sequence[str],
    mode: str = "think",
) -> list[float]:
    """How many nats a rationale adds to the log-probability of the true answer; below 0 it takes some away.

    Args:
        loaded: the judge, from `load_model`.
        rows: with VSI-Bench's fields.
        clips: scene_name to uint8 frames (F, H, W, 3).
        chains: a rationale for each row, without its tags.
        mode: think or observe, whose training prompt is asked.

    Returns:
        For each row log p(answer | clip, question, rationale) - log p(answer | clip, question, empty rationale).

    Raises:
        ValueError: another number of chains than of rows, or a scene without a clip.
    """
    if len(chains) != len(rows):
        raise ValueError(f"{len(chains)} chains for {len(rows)} rows: give one for each row")
    processor: Any = loaded.processor
    give_scores(loaded.model)
    features, found = FeatureStore(), []
    with keep_dequantized(loaded.model):
        for row, chain in zip(rows, chains, strict=True):
            if row["scene_name"] not in clips:
                raise ValueError(f"no clip for scene {row['scene_name']!r}: `clips` must hold its frames")
            (encoded,) = features.encode(loaded.model, processor, [clips[row["scene_name"]]])
            prompt = encode_prompt(loaded.model, processor, chat_messages(row, mode, "train"), encoded)
            texts = [answer_places(processor.tokenizer, mode, own, row["ground_truth"]) for own in (chain, "")]
            ids = [torch.tensor(ids, device=prompt.ids_P.device) for ids, _ in texts]
            (scored,) = score(loaded.model, [prompt], [ids])
            after, without = (
                float(one.logps_T[places].double().sum()) for one, (_, places) in zip(scored, texts, strict=True)
            )
            found.append(after - without)
    return found


def answer_places(tokenizer, mode: str, chain: str, answer: str) -> tuple[list[int], list[int]]:
    """The tokens of a whole completion, and the places among them of those that hold a part of the answer."""
    text = target_completion(mode, "train", chain, answer)
    start = text.rindex("<answer>") + len("<answer>")
    told = tokenizer(text, return_offsets_mapping=True)
    spans = told["offset_mapping"]
    places = [i for i, (a, b) in enumerate(spans) if b > start and a < start + len(answer)]
    return list(told["input_ids"]), places
