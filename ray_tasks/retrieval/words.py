"""Candidate source `words`: items that share telling words with the user's history (TF-IDF)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from ray_tasks.interactions.rows import Ints, Rows, Scores, decay, steady

MOST_TERMS = 30_000


def word_rows(documents: Sequence[str]) -> "csr_matrix[Any]":
    """Unit rows of TF-IDF weights over words and pairs of words that two documents share: (documents, terms).

    Names of brands, series and people are what an encoder of a few million weights loses, and words keep.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        min_df=2,
        max_features=MOST_TERMS,
        ngram_range=(1, 2),
        sublinear_tf=True,
        stop_words="english",
        token_pattern=r"(?u)\b\w+\b",  # noqa: S106 - a pattern of words, no password
        dtype=np.float32,
    )
    try:
        return vectorizer.fit_transform(documents).tocsr()
    except ValueError:  # scikit-learn's word for documents that share no term at all
        return csr_matrix((len(documents), 1), dtype=np.float32)


@dataclass(frozen=True)
class WordSimilarity:
    """Cosine between an item's words and the recency-weighted mean of the history's words."""

    words: "csr_matrix[Any]"
    half_life: float

    def score(self, history: Rows) -> Scores:
        """See CandidateSource: NaN for users without a word in their history and for items without words."""
        means: Any = history.weighted(self.words.shape[0], self.half_life) @ self.words
        lengths = np.sqrt(np.asarray(means.multiply(means).sum(axis=1)).ravel())
        scale: Any = diags(np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0).astype(np.float32))
        scores = steady((scale @ means @ self.words.T).toarray())
        scores[lengths == 0] = np.nan
        scores[:, np.diff(self.words.indptr) == 0] = np.nan
        return scores

    def contributions(self, history: Ints, items: Ints) -> NDArray[np.float32]:
        """See ItemBasedSource; up to the user's length, which all share."""
        weights = decay(np.arange(len(history)), self.half_life)
        alike: Any = self.words[history] @ self.words[items].T
        return np.asarray(weights[:, None] * alike.toarray(), dtype=np.float32)
