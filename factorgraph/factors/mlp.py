"""Energies from one hidden layer, not normalised: scope i with features x_i has

    h_i = tanh(x_i A + a),   E_i(k) = h_i · B[:, k] + b[k]

    backward, from G_i = ∂/∂E_i:  ∂B = Σ h_iᵀ G_i,  ∂b = Σ G_i,
                                  D_i = (G_i Bᵀ)(1 − h_i²),  ∂A = Σ x_iᵀ D_i,  ∂a = Σ D_i

(Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", 1986.) The backward pass
computes h again rather than remember it: a factor has no state, and only rows with G_i ≠ 0 are computed.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..kernels.tables import DENSE
from ..optim import Rows
from .base import Arrays, Factor, Layout, Shape, check_name, check_parameter, refuse_nan, size_of
from .features import Dense, active, make_features


class MLP(Factor):
    """A small network from dense features to the energies of a scope.

    features: an array of the scopes' shape + (features,), or (scopes, features), finite; float32 features make a
    float32 network. param: prefix of the names of its four parameters. hidden: units of the hidden layer.
    """

    def __init__(self, features: Any, param: str, hidden: int = 96):
        self.param = check_name(param, "MLP")
        where = f"MLP('{param}')"
        made = make_features(features, None, where)
        if not isinstance(made, Dense):
            raise FactorGraphError(
                f"{where}: expected dense features; got {type(features).__name__}. "
                "Pass features.toarray(), or use Linear for sparse features."
            )
        if hidden != int(hidden) or hidden < 1:
            raise FactorGraphError(f"{where}: expected hidden to be a positive int; got {hidden!r}. Try 96.")
        self._features, self.dtype, self.hidden = made, made.dtype, int(hidden)

    def bind(self, count: int, shape: Shape, states: Shape) -> Layout:
        tables = self._features.tables(count, shape, f"add(MLP '{self.param}')")
        return Layout(tables, states, DENSE, self.dtype, shared=False)

    def key(self) -> Hashable:
        return "MLP", self.param, self._features.count, self.hidden, self.dtype.char

    @classmethod
    def merge(cls, parts: Sequence[Factor], tables: Sequence[int]) -> MLP:
        networks = [part for part in parts if isinstance(part, MLP)]
        merged = cls.__new__(cls)
        merged.param, merged.hidden, merged.dtype = networks[0].param, networks[0].hidden, networks[0].dtype
        merged._features = Dense.merge([part._features for part in networks])
        return merged

    def energies(self, parameters: Arrays, inputs: Arrays, out: np.ndarray, rows: np.ndarray | None = None) -> None:
        weights = self._weights(parameters, out.shape[1:], out.dtype)
        x = self._features.matrix if rows is None else self._features.matrix[rows]
        found = self._hidden(x, weights) @ weights[2]
        found += weights[3]
        out[slice(None) if rows is None else rows] = found.reshape(-1, *out.shape[1:])
        if found.size and not found.min() > -np.inf:
            where = f"MLP('{self.param}')"
            for name, values in zip(self.parameters(out.shape[1:]), weights):
                refuse_nan(values, where, f"parameters['{name}']")
            refuse_nan(found, where, "energies")

    def backward(
        self, gradient: np.ndarray, parameters: Arrays, rows: np.ndarray | None = None
    ) -> dict[str, np.ndarray | Rows]:
        """Dense gradients of all four parameters."""
        states = gradient.shape[1:]
        g = gradient.reshape(len(gradient), size_of(states))
        chosen = active(g, rows)
        x = self._features.matrix
        if chosen.size < len(g):
            x, g = x[chosen], g[chosen]
        weights = self._weights(parameters, states, gradient.dtype)
        h = self._hidden(x, weights)
        output = h.T @ g
        back = g @ weights[2].T
        h *= h
        back *= np.subtract(1, h, out=h)
        found = (x.T @ back, back.sum(axis=0), output, g.sum(axis=0))
        return {name: d.reshape(shape) for (name, shape), d in zip(self.parameters(states).items(), found)}

    def parameters(self, states: Shape) -> dict[str, Shape]:
        return {
            f"{self.param}.hidden.weight": (self._features.count, self.hidden),
            f"{self.param}.hidden.bias": (self.hidden,),
            f"{self.param}.output.weight": (self.hidden, *states),
            f"{self.param}.output.bias": states,
        }

    def initial(self, states: Shape, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Normal: deviation 1.5 / √features in the hidden layer (most units curved, few saturated), 0.1 / √hidden in
        the output layer (all labellings cost nearly the same); biases 0."""
        scales = (1.5 / max(1, self._features.count) ** 0.5, 0.0, 0.1 / self.hidden**0.5, 0.0)
        return {
            name: (rng.normal(0.0, scale, shape) if scale else np.zeros(shape)).astype(self.dtype)
            for (name, shape), scale in zip(self.parameters(states).items(), scales)
        }

    def _weights(self, parameters: Arrays, states: Shape, dtype: np.dtype) -> list[np.ndarray]:
        """A, a, B, b with the states flattened."""
        where, width = f"MLP('{self.param}')", size_of(states)
        a, c, b, d = (check_parameter(parameters, *each, dtype, where) for each in self.parameters(states).items())
        return [a, c, b.reshape(self.hidden, width), d.reshape(width)]

    @staticmethod
    def _hidden(x: np.ndarray, weights: Sequence[np.ndarray]) -> np.ndarray:
        h: np.ndarray = x @ weights[0]
        h += weights[1]
        np.tanh(h, out=h)
        return h

    @classmethod
    def example(cls, rng: np.random.Generator) -> tuple[Factor, Shape, Shape, dict[str, np.ndarray]]:
        shape: Shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 3)))
        states: Shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(1, 3)))
        return cls(rng.normal(size=(*shape, 3)), "net", hidden=int(rng.integers(1, 6))), shape, states, {}
