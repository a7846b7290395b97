"""What encoders make of tokens: sparse rows of features, and the contract of everything that makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

#: Arrays by name, as they are saved.
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Encoded:
    """Features of all tokens of some sequences, one sequence after the other.

    indptr:  int64 (N + 1,), token t has entries indptr[t] … indptr[t + 1] − 1.
    indices: int32 (entries,), features.
    values:  float32 (entries,), or None where all are 1.
    lengths: int64 (sequences,), tokens of each.
    unknown: entries that were dropped because their feature is not known, or too rare.
    """

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray | None
    lengths: np.ndarray
    unknown: int = 0

    @property
    def tokens(self) -> int:
        """N."""
        return self.indptr.size - 1

    def matrix(self, features: int, dtype: Any = np.float32) -> Any:
        """As a scipy CSR array (tokens, features), which `fg.Linear` takes."""
        from scipy.sparse import csr_array

        values = np.ones(self.indices.size, dtype) if self.values is None else self.values.astype(dtype, copy=False)
        return csr_array((values, self.indices, self.indptr), shape=(self.tokens, features), copy=False)


class Encoder(Protocol):
    """Learns which features there are, then finds them: for X that `fit` has seen, `transform` gives the same."""

    #: Stands for the class in saved arrays.
    kind: ClassVar[str]

    @property
    def n_features(self) -> int:
        """Features are numbered 0 … n_features − 1."""

    def fit(self, X: Any, lengths: Any = None) -> Encoded:
        """Learn the features of sequences X, and encode them. `lengths` cuts arrays into sequences."""

    def transform(self, X: Any, lengths: Any = None) -> Encoded:
        """Encode; features that `fit` has not seen are dropped and counted."""

    def name(self, feature: int) -> str:
        """A feature for people."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that `from_arrays` needs, as arrays of numbers."""

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Encoder:
        """The encoder that was saved. Errors: FactorGraphError for arrays that are none."""
