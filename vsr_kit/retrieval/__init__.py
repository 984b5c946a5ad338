"""Retrieval: find the room that a description is about, by embeddings of text and of clips from one model.

queries.py writes partial descriptions of rooms and longer thoughts about them out of rows, so that any rows with
VSI-Bench's fields will do; embedding.py makes a model that writes into one that embeds; retrieval_trainer.py trains
both at once and measures recall on rooms that were not trained on; method.py is what `training.train` takes.
Left out: an index for many rooms, for which a plain product of matrices is enough here, and re-ranking.
"""

from vsr_kit.retrieval.method import Retrieval
from vsr_kit.retrieval.queries import Query, words_recall, write_queries

__all__ = ["Query", "Retrieval", "words_recall", "write_queries"]
