"""Energies written out: E(k_1, …, k_n) = table[k_1, …, k_n], one table for all scopes or one for each."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..kernels.tables import DENSE
from .base import Arrays, Factor, Given, Layout, Shape, float_type, real_array, refuse_nan, size_of


class Table(Factor):
    """Tables of energies over scopes of any number of variables, from none (a constant) up.

    energies: shape `states` (one table, shared by all scopes) or `shape + states` (one for each scope), of real
    numbers; +inf forbids. float16 and float32 make float32 energies, everything else float64. The array is kept and
    read whenever energies are computed: change its numbers in place and solve again.

    Raises FactorGraphError for NaN, −inf, and what is no array of real numbers; `add` raises it for a wrong shape.

    >>> Table([[0, 1], [1, 0]]).bind(3, (3,), (2, 2)).tables
    1
    """

    def __init__(self, energies: Any):
        array = real_array(energies, "Table", "energies")
        refuse_nan(array, "Table", "energies")
        self.dtype = float_type(array.dtype, "Table")
        self._given = Given((array,))

    def bind(self, count: int, shape: Shape, states: Shape) -> Layout:
        (array,) = self._given.arrays
        if array.shape == states:
            return Layout(1, states, DENSE, self.dtype, shared=True, identity=id(array))
        if array.shape == shape + states:
            return Layout(count, states, DENSE, self.dtype, shared=False)
        each = f" (shared) or {shape + states} (one each)" if shape else ""
        raise FactorGraphError(
            f"add(Table): expected energies of shape {states}{each}; got {array.shape}. {_remedy(array, shape, states)}"
        )

    def take(self, shape: Shape, most: Shape, chosen: np.ndarray, states: Shape) -> Table:
        """Entries beyond the states are left out. A table for each scope is copied: later changes are not seen."""
        most = tuple(map(int, most))
        self.bind(size_of(shape), shape, most)  # raises where the padded shape is wrong
        (array,) = self._given.arrays
        inside: tuple[Any, ...] = tuple(slice(int(k)) for k in states)
        if array.shape == most:
            return Table(array[inside])
        return Table(array.reshape(-1, *most)[(chosen, *inside)])

    def key(self) -> Hashable:
        return "Table", self.dtype.char

    @classmethod
    def merge(cls, parts: Sequence[Factor], tables: Sequence[int]) -> Table:
        merged = cls.__new__(cls)
        merged.dtype = parts[0].dtype
        merged._given = Given.merge([part._given for part in parts if isinstance(part, Table)], tables)
        return merged

    def energies(self, parameters: Arrays, inputs: Arrays, out: np.ndarray, rows: np.ndarray | None = None) -> None:
        self._given.fill(out, rows, "Table", "energies")

    @classmethod
    def example(cls, rng: np.random.Generator) -> tuple[Factor, Shape, Shape, dict[str, np.ndarray]]:
        shape: Shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 3)))
        states: Shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(1, 4)))
        if rng.random() < 0.1:
            shape = states = ()
        return cls(rng.normal(size=states if rng.random() < 0.5 else shape + states)), shape, states, {}


def _remedy(array: np.ndarray, shape: Shape, states: Shape) -> str:
    if array.shape == states + shape:
        return "The axes of the states come last, behind those of the scopes."
    if sorted(array.shape) == sorted(states):
        return "Axes come in the order of the scopes: transpose the table or swap the scopes."
    return "An axis for each variable of a scope, in the order given to add, as long as that variable has states."
