"""Energies linear in a parameter: E_i(k) = Σ_f x_i[f] θ[f, k] for scope i, features x_i and states k = (k_1, …, k_n).

    ∂/∂θ[f, k] of Σ_i ⟨g_i, E_i⟩ = Σ_i x_i[f] g_i[k]

Structured perceptrons, conditional random fields and structured SVMs are made of these (Lafferty, McCallum and
Pereira, "Conditional random fields", 2001).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..kernels.tables import DENSE
from ..optim import Rows
from .base import Arrays, Factor, Layout, Shape, check_name, check_parameter, refuse_nan, size_of
from .features import Features, make_features


class Linear(Factor):
    """Energies = features · parameter; the parameter has shape (features, *states), by name.

    features: an array of the scopes' shape + (features,), or (scopes, features); a scipy sparse matrix (scopes,
    features), whose gradient touches only the rows of active features; or None, one constant feature: the table
    parameter[0] is tied over all scopes. They are read once and must be finite.
    param: the parameter's name; factors that name the same one share it, over scopes of the same states.
    dtype: of energies and parameter: float32 or float64; None takes it from the features.

    >>> Linear(np.eye(2), param="w").parameters((3,))
    {'w': (2, 3)}
    """

    affine: ClassVar[bool] = True

    def __init__(self, features: Any, param: str, dtype: Any = None):
        self.param = check_name(param, "Linear")
        self._features = make_features(features, dtype, f"Linear('{param}')")
        self.dtype = self._features.dtype

    @property
    def features(self) -> Features:
        """As they were read."""
        return self._features

    def bind(self, count: int, shape: Shape, states: Shape) -> Layout:
        x = self._features
        tables = x.tables(count, shape, f"add(Linear '{self.param}')")
        identity = self.param if x.tied else None
        return Layout(tables, states, DENSE, self.dtype, shared=x.tied, tied=x.tied, identity=identity)

    def key(self) -> Hashable:
        return "Linear", self.param, self._features.kind, self._features.count, self.dtype.char

    @classmethod
    def merge(cls, parts: Sequence[Factor], tables: Sequence[int]) -> Linear:
        linear = [part for part in parts if isinstance(part, Linear)]
        merged = cls.__new__(cls)
        merged.param, merged.dtype = linear[0].param, linear[0].dtype
        features: list[Any] = [part._features for part in linear]
        merged._features = type(features[0]).merge(features)
        return merged

    def energies(self, parameters: Arrays, inputs: Arrays, out: np.ndarray, rows: np.ndarray | None = None) -> None:
        states = out.shape[1:]
        where, width = f"Linear('{self.param}')", size_of(states)
        weights = check_parameter(parameters, self.param, self._shape(states), out.dtype, where)
        assert out.flags.c_contiguous  # otherwise target were a copy
        target = out.reshape(len(out), width)
        if not self._features.product(weights.reshape(-1, width), target, rows):
            refuse_nan(weights, where, f"parameters['{self.param}']")
            refuse_nan(out if rows is None else out[rows], where, "energies")

    def backward(
        self, gradient: np.ndarray, parameters: Arrays, rows: np.ndarray | None = None
    ) -> dict[str, np.ndarray | Rows]:
        """{param: gradient}, dense, or `Rows` where the features are sparse."""
        states = gradient.shape[1:]
        found = self._features.adjoint(gradient.reshape(len(gradient), size_of(states)), rows)
        if isinstance(found, Rows):
            return {self.param: Rows(found.rows, found.values.reshape(-1, *states), self._shape(states))}
        return {self.param: found.reshape(self._shape(states))}

    def parameters(self, states: Shape) -> dict[str, Shape]:
        return {self.param: self._shape(states)}

    def initial(self, states: Shape, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Zeros: the problem is convex, every loss starts where all labellings cost the same."""
        return {self.param: np.zeros(self._shape(states), self.dtype)}

    def _shape(self, states: Shape) -> Shape:
        return (self._features.count, *states)

    @classmethod
    def example(cls, rng: np.random.Generator) -> tuple[Factor, Shape, Shape, dict[str, np.ndarray]]:
        from scipy.sparse import random_array

        shape: Shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 3)))
        states: Shape = tuple(int(n) for n in rng.integers(1, 5, rng.integers(1, 3)))
        dense = rng.normal(size=(*shape, 3))
        sparse = random_array((size_of(shape), 50), density=0.2, format="csr", rng=rng)
        choices: list[Any] = [None, dense, dense.reshape(-1, 3), sparse, sparse != 0]
        return cls(choices[rng.integers(len(choices))], "weights"), shape, states, {}
