"""Linear energies of which only some pairs of a feature and a labelling have a weight; all others are 0.

    E_i(k) = Σ_{(f, k) ∈ pairs} x_i[f] θ[f, k]

With the pairs that are seen in training data, the usual choice for conditional random fields over words, a parameter
has a few entries per feature instead of one for each label (N. Okazaki, "CRFsuite", 2007).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from hashlib import sha256
from typing import Any, ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels import pairs as kernels
from ..kernels.tables import DENSE
from ..optim import Rows
from .base import Arrays, Factor, Layout, Shape, check_name, check_parameter, refuse_nan, size_of
from .features import NO_ROWS, Dense, active, make_features

#: Weights that are looked at in one kernel call: below 100 ms.
SLICE = 1 << 24


class SparseLinear(Factor):
    """Energies = features · parameter, the parameter a vector with one weight for each of `pairs`, by name.

    features: a scipy sparse matrix (scopes, features), or None, one constant feature that all scopes share.
    pairs: a scipy sparse matrix (features, product of the states) whose entries say which weights there are; column
    k_1 · states_2 + k_2 is the labelling (k_1, k_2). Weights are numbered row by row, columns ascending.
    param, dtype: as of Linear.

    >>> from scipy.sparse import csr_array
    >>> SparseLinear(csr_array(np.eye(2)), csr_array([[0, 1, 0], [1, 0, 1]]), "w").parameters((3,))
    {'w': (3,)}
    """

    affine: ClassVar[bool] = True

    def __init__(self, features: Any, pairs: Any, param: str, dtype: Any = None):
        self.param = check_name(param, "SparseLinear")
        where = f"SparseLinear('{param}')"
        x = make_features(features, dtype, where)
        if isinstance(x, Dense):
            raise FactorGraphError(f"{where}: expected features as a scipy sparse matrix, or None; got an array")
        if not hasattr(pairs, "tocsr") or pairs.shape[0] != x.count:
            got = pairs.shape if hasattr(pairs, "tocsr") else type(pairs).__name__
            raise FactorGraphError(f"{where}: expected pairs as a scipy sparse matrix of {x.count} rows; got {got}")
        self._features, self.dtype = x, x.dtype
        csr = pairs.tocsr()
        if not csr.has_canonical_format:
            csr = csr.copy()
            csr.sum_duplicates()
        self.columns = csr.shape[1]
        self._pairs = csr.indptr.astype(np.int64), csr.indices.astype(np.int32)
        self._digest = sha256(self._pairs[0].tobytes() + self._pairs[1].tobytes()).digest()
        self._x = _rows(x)

    @property
    def size(self) -> int:
        """Weights."""
        return self._pairs[1].size

    def bind(self, count: int, shape: Shape, states: Shape) -> Layout:
        x, where = self._features, f"add(SparseLinear '{self.param}')"
        if size_of(states) != self.columns:
            raise FactorGraphError(
                f"{where}: expected pairs with {size_of(states)} columns, one for each labelling of states {states}; "
                f"got {self.columns}"
            )
        tables = x.tables(count, shape, where)
        identity = (self.param, self._digest) if x.tied else None
        return Layout(tables, states, DENSE, self.dtype, shared=x.tied, tied=x.tied, identity=identity)

    def key(self) -> Hashable:
        return "SparseLinear", self.param, self._features.kind, self._digest, self.dtype.char

    @classmethod
    def merge(cls, parts: Sequence[Factor], tables: Sequence[int]) -> SparseLinear:
        of = [part for part in parts if isinstance(part, SparseLinear)]
        merged = cls.__new__(cls)
        merged.__dict__.update(of[0].__dict__)
        features: list[Any] = [part._features for part in of]
        merged._features = type(features[0]).merge(features)
        merged._x = _rows(merged._features)
        return merged

    def energies(self, parameters: Arrays, inputs: Arrays, out: np.ndarray, rows: np.ndarray | None = None) -> None:
        where = f"SparseLinear('{self.param}')"
        weights = check_parameter(parameters, self.param, (self.size,), out.dtype, where)
        assert out.flags.c_contiguous  # otherwise target were a copy
        target, fine = out.reshape(len(out), self.columns), True
        chosen = NO_ROWS if rows is None else np.ascontiguousarray(rows, np.int64)
        for first, last in self._slices(len(out) if rows is None else chosen.size):
            fine &= kernels.score_pairs(self._x, *self._pairs, weights, chosen, first, last, target)
        if not fine:
            refuse_nan(weights, where, f"parameters['{self.param}']")
            refuse_nan(out if rows is None else out[rows], where, "energies")

    def backward(
        self, gradient: np.ndarray, parameters: Arrays, rows: np.ndarray | None = None
    ) -> dict[str, np.ndarray | Rows]:
        """{param: gradient}; `Rows` where few weights are concerned."""
        flat = gradient.reshape(len(gradient), self.columns)
        tables = active(flat, rows)
        about = self._x, *self._pairs, flat, tables
        most = kernels.list_pairs(*about, np.zeros(0, np.int64), np.zeros(0))
        if 4 * most < self.size:
            pairs, values = np.empty(max(most, 1), np.int64), np.empty(max(most, 1))
            count = kernels.list_pairs(*about, pairs, values)
            found, place = np.unique(pairs[:count], return_inverse=True)
            each = np.bincount(place, values[:count], found.size).astype(gradient.dtype)
            return {self.param: Rows(found, each, (self.size,))}
        out = np.zeros(self.size)
        for first, last in self._slices(tables.size):
            kernels.add_pairs(*about, first, last, out)
        return {self.param: out.astype(gradient.dtype, copy=False)}

    def parameters(self, states: Shape) -> dict[str, Shape]:
        return {self.param: (self.size,)}

    def initial(self, states: Shape, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Zeros, as of Linear."""
        return {self.param: np.zeros(self.size, self.dtype)}

    def _slices(self, rows: int) -> Iterator[tuple[int, int]]:
        """Ranges of rows, each a short piece of work."""
        work = self._x[1].size * (1 + self.size // max(1, self._features.count))
        step = max(1, SLICE * max(1, self._x[0].size - 1) // max(1, work))
        return ((first, min(first + step, rows)) for first in range(0, rows, step))

    @classmethod
    def example(cls, rng: np.random.Generator) -> tuple[Factor, Shape, Shape, dict[str, np.ndarray]]:
        from scipy.sparse import random_array

        shape: Shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 3)))
        states: Shape = tuple(int(n) for n in rng.integers(1, 5, rng.integers(1, 3)))
        features = None
        if rng.random() < 0.7:
            features = random_array((size_of(shape), 20), density=0.3, format="csr", rng=rng)
            features = features if rng.random() < 0.5 else features != 0
        size = 1 if features is None else 20, size_of(states)
        pairs = random_array(size, density=0.5, format="csr", rng=np.random.default_rng(size))
        return cls(features, pairs, "weights"), shape, states, {}


def _rows(x: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features as CSR rows: (indptr, indices, data)."""
    if x.tied:
        return np.array([0, 1]), np.zeros(1, np.int32), np.zeros(0, x.dtype)
    return x.indptr, x.indices, x.data
