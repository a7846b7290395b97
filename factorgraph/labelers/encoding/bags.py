"""Named attributes of tokens, as files have them: what `Features` also takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Bags:
    """Attributes of all tokens, one sequence after the other.

    indptr:  int64 (N + 1,), token t has entries indptr[t] … indptr[t + 1] − 1.
    ids:     int32 (entries,), numbers of names in the vocabulary.
    values:  float32 (entries,), or None where all are 1.
    lengths: int64 (sequences,), tokens of each.
    """

    indptr: np.ndarray
    ids: np.ndarray
    values: np.ndarray | None
    lengths: np.ndarray
    vocabulary: Vocabulary

    def __len__(self) -> int:
        return self.lengths.size

    def items(self, token: int) -> list[tuple[str, float]]:
        """Names and values of one token."""
        span = slice(*self.indptr[token : token + 2].tolist())
        names = [self.vocabulary.string(number) for number in self.ids[span].tolist()]
        return list(zip(names, [1.0] * len(names) if self.values is None else self.values[span].tolist()))
