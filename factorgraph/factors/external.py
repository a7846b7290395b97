"""Energies that come from outside at the time of the question: from a network, a sensor, another program.

tables = inputs[name];   ∂/∂inputs[name] of Σ_t ⟨gradient[t], tables[t]⟩ = gradient
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..kernels.tables import DENSE
from .base import Arrays, Factor, Given, Layout, Shape, float_type, real_array, size_of


class External(Factor):
    """One table for each scope, read from `inputs[name]`, an array of shape (scopes, *states) or `shape + states`.

    Where one name is added several times over scopes of the same states, `inputs[name]` holds the scopes of all of
    them, in the order of declaration, as (scopes, *states). dtype is that of the energies.

    An empty name is refused. Energies raise FactorGraphError where the input is missing, misshaped, NaN or −inf.
    """

    def __init__(self, name: str, dtype: Any = np.float64):
        if not isinstance(name, str) or not name:
            raise FactorGraphError(f"External: expected a name, a non-empty str; got {name!r}. Inputs go by this name.")
        self.name = name
        self.dtype = float_type(dtype, f"External('{name}')")

    def bind(self, count: int, shape: Shape, states: Shape) -> Layout:
        return Layout(count, states, DENSE, self.dtype, shared=False)

    def key(self) -> Hashable:
        return "External", self.name, self.dtype.char

    @classmethod
    def merge(cls, parts: Sequence[Factor], tables: Sequence[int]) -> Factor:
        return parts[0]

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.name,)

    def energies(self, parameters: Arrays, inputs: Arrays, out: np.ndarray, rows: np.ndarray | None = None) -> None:
        where, name = f"External('{self.name}')", f"inputs['{self.name}']"
        if inputs is None or self.name not in inputs:
            given = ", ".join(map(repr, inputs)) if inputs else "none"
            raise FactorGraphError(
                f"{where}: expected {name} of shape {out.shape}; it is missing, got {given}. "
                "Pass inputs={name: array} with the question."
            )
        array = real_array(inputs[self.name], where, name)
        lead = array.ndim - (out.ndim - 1)
        if lead < 0 or array.shape[lead:] != out.shape[1:] or size_of(array.shape[:lead]) != len(out):
            raise FactorGraphError(
                f"{where}: expected {name} of shape {out.shape} (scopes, *states); got {array.shape}. "
                "One table for each scope, in the order of declaration, the states last."
            )
        Given((array,)).fill(out, rows, where, name)

    def input_gradient(self, gradient: np.ndarray) -> dict[str, np.ndarray]:
        """{name: gradient by the input}, (scopes, *states): the gradient by the energies itself, not a copy."""
        return {self.name: gradient}

    @classmethod
    def example(cls, rng: np.random.Generator) -> tuple[Factor, Shape, Shape, dict[str, np.ndarray]]:
        shape: Shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 3)))
        states: Shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(1, 3)))
        lead = shape if rng.random() < 0.5 else (size_of(shape),)
        return cls("scores"), shape, states, {"scores": rng.normal(size=lead + states)}
