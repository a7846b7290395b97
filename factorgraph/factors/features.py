"""Feature matrices X of linear maps, (tables, features): none (one constant feature), dense, or sparse rows (CSR).

    product:  E = X W            (tables, width) from weights (features, width)
    adjoint:  ∂/∂W ⟨G, X W⟩ = Xᵀ G

Features are read once, when a factor is made; do not change them afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..kernels import linear as kernels
from ..kernels.simd import VECTOR_BYTES
from ..optim import Rows
from .base import Shape, float_type, real_array, size_of

#: Multiplications in one kernel call: below 100 ms, so that ctrl-C is obeyed.
SLICE = 1 << 27
NO_ROWS = np.zeros(0, np.int64)


class Constant:
    """One feature that is 1, one table for all scopes."""

    kind, tied = "constant", True
    count = 1

    def __init__(self, dtype: np.dtype):
        self.dtype = dtype

    def tables(self, count: int, shape: Shape, where: str) -> int:
        """Tables over `count` scopes arranged in `shape`; raises where they do not fit."""
        return 1

    @classmethod
    def merge(cls, parts: Sequence[Constant]) -> Constant:
        """All read the same table."""
        return parts[0]

    def product(self, weights: np.ndarray, out: np.ndarray, rows: np.ndarray | None) -> bool:
        """out[rows] = X[rows] W, two-dimensional and of one dtype. False where an entry may be NaN or −inf."""
        if rows is None or rows.size:
            out[:] = weights
        return bool(weights.size == 0 or weights.min() > -np.inf)

    def adjoint(self, gradient: np.ndarray, rows: np.ndarray | None) -> np.ndarray | Rows:
        """Xᵀ G of the tables `rows`."""
        return gradient.copy() if rows is None or rows.size else np.zeros_like(gradient)


class Dense:
    """X as an array of `shape + (features,)`, or (scopes, features)."""

    kind, tied = "dense", False

    def __init__(self, array: np.ndarray, dtype: np.dtype, where: str):
        if array.ndim == 0:
            raise FactorGraphError(
                f"{where}: expected features of shape (scopes, features) or shape + (features,); got a number. "
                "None stands for one constant feature."
            )
        self.shape, self.dtype, self.count = array.shape[:-1], dtype, array.shape[-1]
        self.matrix = np.asarray(array, dtype).reshape(size_of(self.shape), self.count)
        if array.size and not (array.min() > -np.inf and array.max() < np.inf):
            finite = np.isfinite(array)
            place = np.unravel_index(int(np.argmin(finite)), array.shape)
            raise _not_finite(where, ", ".join(map(str, place)), array[place])

    def tables(self, count: int, shape: Shape, where: str) -> int:
        if self.shape != shape and self.shape != (count,):
            alike = f" or {(count, self.count)}" if shape != (count,) else ""
            raise FactorGraphError(
                f"{where}: expected features of shape {(*shape, self.count)}{alike}; got {(*self.shape, self.count)}. "
                "One row for each scope, the features last."
            )
        return count

    @classmethod
    def merge(cls, parts: Sequence[Dense]) -> Dense:
        merged = cls.__new__(cls)
        merged.dtype, merged.count = parts[0].dtype, parts[0].count
        merged.matrix = np.concatenate([part.matrix for part in parts])
        merged.shape = merged.matrix.shape[:1]
        return merged

    def product(self, weights: np.ndarray, out: np.ndarray, rows: np.ndarray | None) -> bool:
        if rows is None:
            result = np.matmul(self.matrix, weights, out=out) if out.dtype == self.dtype else self.matrix @ weights
            if result is not out:
                out[:] = result
        else:
            out[rows] = result = self.matrix[rows] @ weights
        return bool(result.size == 0 or result.min() > -np.inf)

    def adjoint(self, gradient: np.ndarray, rows: np.ndarray | None) -> np.ndarray | Rows:
        chosen = active(gradient, rows)
        if chosen.size == len(gradient):
            found: np.ndarray = self.matrix.T @ gradient
        else:
            found = self.matrix[chosen].T @ gradient[chosen]
        return found.astype(gradient.dtype, copy=False)


class Sparse:
    """X as CSR rows, (scopes, features); the gradient has the rows of features that are active where it is not 0."""

    kind, tied = "sparse", False

    def __init__(self, matrix: Any, dtype: np.dtype, where: str):
        matrix = matrix.tocsr()
        if len(matrix.shape) != 2:
            raise FactorGraphError(
                f"{where}: expected sparse features of shape (scopes, features); got {matrix.shape}. Make it a matrix."
            )
        if matrix.data.dtype.kind not in "biuf":
            raise FactorGraphError(
                f"{where}: expected features to be real numbers; got {matrix.data.dtype}. Convert them to float."
            )
        self.rows, self.count = map(int, matrix.shape)
        self.dtype = dtype
        self.indptr = np.ascontiguousarray(matrix.indptr, np.int64)
        self.indices = np.ascontiguousarray(matrix.indices, np.int32 if self.count < 2**31 else np.int64)
        data = np.ascontiguousarray(matrix.data, dtype)
        fault, place, ones = kernels.check_rows(self.indptr, self.indices, data, self.count)
        if fault == kernels.NOT_FINITE:
            row = int(np.searchsorted(self.indptr, place, "right")) - 1
            raise _not_finite(where, f"{row}, {self.indices[place]}", data[place])
        if fault != kernels.FINE:
            name = "indptr" if fault == kernels.BAD_INDPTR else "indices"
            raise FactorGraphError(
                f"{where}: expected CSR features with column indices in 0..{self.count - 1} and indptr rising from 0; "
                f"got {name}[{place}] = {getattr(matrix, name)[place]}. Was the matrix made by hand?"
            )
        self.indices = self.indices[: self.indptr[-1]]
        self.data = data[:0] if ones else data[: self.indptr[-1]]

    def tables(self, count: int, shape: Shape, where: str) -> int:
        if self.rows != count:
            raise FactorGraphError(
                f"{where}: expected features of shape {(count, self.count)}; got {(self.rows, self.count)}. "
                "One row for each scope, in the order of the scopes."
            )
        return count

    @classmethod
    def merge(cls, parts: Sequence[Sparse]) -> Sparse:
        merged = cls.__new__(cls)
        merged.dtype, merged.count = parts[0].dtype, parts[0].count
        merged.rows = sum(part.rows for part in parts)
        merged.indices = np.concatenate([part.indices for part in parts])
        merged.indptr = np.zeros(merged.rows + 1, np.int64)
        np.concatenate([part.indptr[1:] for part in parts], out=merged.indptr[1:])
        sizes = np.array([part.indices.size for part in parts])
        merged.indptr[1:] += np.repeat(np.cumsum(sizes) - sizes, [part.rows for part in parts])
        merged.data = parts[0].data[:0]
        if any(part.data.size for part in parts):
            merged.data = np.concatenate([p.data if p.data.size else np.ones(p.indices.size, p.dtype) for p in parts])
        return merged

    def product(self, weights: np.ndarray, out: np.ndarray, rows: np.ndarray | None) -> bool:
        width = out.shape[1]
        flat, target, fine = weights.reshape(-1), out.reshape(-1), True
        chosen = NO_ROWS if rows is None else np.ascontiguousarray(rows, np.int64)
        total = len(out) if rows is None else chosen.size
        for first, last in self._slices(total, width):
            fine &= kernels.score_rows(self.indptr, self.indices, self.data, flat, width, chosen, first, last, target)
        return fine

    def adjoint(self, gradient: np.ndarray, rows: np.ndarray | None) -> np.ndarray | Rows:
        width, tables = gradient.shape[1], active(gradient, rows)
        features = np.empty(kernels.count_features(self.indptr, tables), self.indices.dtype)
        kernels.list_features(self.indptr, self.indices, tables, features)
        found, places = self._distinct(features)
        lanes = VECTOR_BYTES // gradient.itemsize
        stride = -(-width // lanes) * lanes
        values = np.zeros((found.size, stride), gradient.dtype)
        k, flat, padded = 0, gradient.reshape(-1), values.reshape(-1)
        for first, last in self._slices(tables.size, width):
            k = kernels.add_gradients(self.indptr, self.data, tables, places, flat, width, first, last, k, padded)
        return Rows(found, np.ascontiguousarray(values[:, :width]), (self.count, width))

    def _distinct(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The distinct features, int64 ascending, and the place of each among them: by sorting, or by counting where
        they are so many that a pass over all features is cheaper. Overwrites its argument."""
        found = np.empty(min(self.count, features.size), np.int64)
        if 16 * features.size < self.count < 2**31:
            keys = (features.astype(np.int64) << 32) | np.arange(features.size)
            keys.sort()
            count = kernels.rank_sorted(keys, features, found)
        else:
            count = kernels.rank_features(features, np.zeros(self.count, features.dtype), found)
        return found[:count], features

    def _slices(self, rows: int, width: int) -> Iterator[tuple[int, int]]:
        """Ranges of rows, each a short piece of work."""
        step = max(1, SLICE * self.rows // max(1, self.indices.size * width))
        return ((first, min(first + step, rows)) for first in range(0, rows, step))


Features = Constant | Dense | Sparse


def make_features(features: Any, dtype: Any, where: str) -> Features:
    """None, an array or a scipy sparse matrix as features; dtype None: that of the features, float64 for integers."""
    if hasattr(features, "tocsr"):
        return Sparse(features, float_type(features.dtype if dtype is None else dtype, where), where)
    if features is None:
        return Constant(float_type(np.float64 if dtype is None else dtype, where))
    array = real_array(features, where, "features")
    return Dense(array, float_type(array.dtype if dtype is None else dtype, where), where)


def active(gradient: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
    """int64: those of the tables `rows` (None: all) whose gradient, a row of (tables, width), is not all 0."""
    chosen = NO_ROWS if rows is None else np.ascontiguousarray(rows, np.int64)
    total = len(gradient) if rows is None else chosen.size
    found = np.empty(total, np.int64)
    bits = gradient.reshape(-1).view(np.int32 if gradient.itemsize == 4 else np.int64)
    return found[: kernels.active_rows(bits, gradient.shape[1], chosen, 0, total, found)]


def _not_finite(where: str, index: str, value: Any) -> FactorGraphError:
    return FactorGraphError(
        f"{where}: expected finite features; got features[{index}] = {value}. "
        "Clean the data, or mark missing values by a feature of their own."
    )
