"""Features that are numbers already: dense arrays and sparse matrices, as sparse rows without their zeros."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ...errors import FactorGraphError
from .encoded import Arrays, Encoded
from .vocabulary import to_text


class Numbers:
    """Arrays (tokens, features): one for each sequence, or one of all sequences with their `lengths`; dense, or sparse
    matrices of scipy.

    >>> encoded = Numbers().fit([[[1, 0, 2]], [[0, 0, 3], [0, 4, 0]]])
    >>> encoded.indices.tolist(), encoded.values.tolist(), encoded.lengths.tolist()
    ([0, 2, 2, 1], [1.0, 2.0, 3.0, 4.0], [1, 2])
    """

    kind: ClassVar[str] = "numbers"

    def __init__(self) -> None:
        self._count = 0

    @property
    def n_features(self) -> int:
        """Columns of the arrays."""
        return self._count

    def fit(self, X: Any, lengths: Any = None) -> Encoded:
        """Remember the number of columns. Errors: as transform."""
        return self._encode(X, lengths, True)

    def transform(self, X: Any, lengths: Any = None) -> Encoded:
        """The entries that are not 0. Errors: FactorGraphError for another number of columns, lengths that do not add
        up, and what is no finite number of float32, with its place."""
        return self._encode(X, lengths, False)

    def name(self, feature: int) -> str:
        """Such as `column 3`."""
        if not 0 <= feature < self._count:
            raise FactorGraphError(f"Numbers: expected a feature 0 … {self._count - 1}; got {feature}")
        return f"column {feature}"

    def arrays(self) -> dict[str, np.ndarray]:
        """The number of columns."""
        return {"kind": to_text(self.kind), "count": np.array(self._count, np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Numbers:
        """The encoder that was saved."""
        made = cls()
        made._count = int(arrays["count"])
        return made

    def _encode(self, X: Any, lengths: Any, learn: bool) -> Encoded:
        whole = lengths is not None
        parts = [_matrix(each, s, whole) for s, each in enumerate([X] if whole else X)]
        if learn:
            self._count = parts[0].shape[1] if parts else 0
        sizes = np.array([part.shape[0] for part in parts], np.int64)
        for s, part in enumerate(parts):
            if part.shape[1] != self._count:
                raise FactorGraphError(
                    f"Numbers: expected {self._count} columns, as {'the first sequence has' if learn else 'in fit'}; "
                    f"got {part.shape[1]}{_of(s, whole)}"
                )
        if whole:
            sizes = np.asarray(lengths, np.int64)
            if sizes.ndim != 1 or sizes.min(initial=0) < 0 or sizes.sum() != parts[0].shape[0]:
                raise FactorGraphError(
                    f"Numbers: expected lengths of sequences that add up to the {parts[0].shape[0]} rows of X; got "
                    f"{sizes.sum()}"
                )
        entries = np.concatenate([np.zeros(1, np.int64), *(np.diff(part.indptr) for part in parts)])
        indices = [part.indices for part in parts] or [np.zeros(0)]
        values = [part.data for part in parts] or [np.zeros(0)]
        return Encoded(
            np.cumsum(entries, dtype=np.int64),
            np.concatenate(indices).astype(np.int32, copy=False),
            np.concatenate(values).astype(np.float32, copy=False),
            sizes,
        )


def _of(sequence: int, whole: bool) -> str:
    return "" if whole else f" in sequence {sequence}"


def _matrix(X: Any, s: int, whole: bool) -> Any:
    """A CSR matrix of float32 without zeros, checked."""
    from scipy.sparse import csr_array, issparse

    if not issparse(X):
        X = np.asarray(X)
    if X.ndim != 2 or X.dtype.kind not in "biuf":
        raise FactorGraphError(
            f"Numbers: expected an array of numbers, (tokens, features); got {X.dtype} {X.shape}{_of(s, whole)}"
        )
    matrix = csr_array(X)
    with np.errstate(over="ignore"):
        values = matrix.data.astype(np.float32)
    fine = np.isfinite(values)
    if not fine.all():
        e = int(np.argmin(fine))
        row = int(np.searchsorted(matrix.indptr, e, "right")) - 1
        raise FactorGraphError(
            f"Numbers: expected finite numbers of float32; got {matrix.data[e]} in row {row}, "
            f"column {matrix.indices[e]}{_of(s, whole)}"
        )
    made = csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape, copy=True)
    made.eliminate_zeros()
    return made
