"""The Potts model: E(a, b) = weight · [a ≠ b] (R. B. Potts, "Some generalized order-disorder transformations", 1952).

Only the weight is stored, so a message costs O(states) instead of O(states²).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels.tables import POTTS
from .base import Arrays, Factor, Given, Layout, Shape, float_type, real_array, refuse_nan, size_of


class Potts(Factor):
    """An energy for every pair of variables whose labels differ.

    weight: a number (shared by all scopes) or an array of the scopes' shape (one each), real; a negative one prefers
    different labels, +inf forbids them. An array is kept and read whenever energies are computed.

    Raises FactorGraphError for NaN, −inf, and what is not real; `add` raises it for a wrong shape, for scopes that are
    not pairs, and for pairs with unequal numbers of states.

    >>> Potts(0.5).bind(3, (3,), (4, 4)).shared
    True
    """

    arity: ClassVar[int | None] = 2

    def __init__(self, weight: Any):
        array = real_array(weight, "Potts", "weight")
        refuse_nan(array, "Potts", "weight")
        self.dtype = float_type(array.dtype, "Potts")
        self._given = Given((array,))
        self._identity: Hashable = ("array", id(array)) if array is weight else ("number", float(array.flat[0]))

    def bind(self, count: int, shape: Shape, states: Shape) -> Layout:
        if len(states) != 2:
            raise FactorGraphError(
                f"add(Potts): expected scopes of two variables; got {len(states)}. Add each pair, or use Table."
            )
        if states[0] != states[1]:
            raise FactorGraphError(
                f"add(Potts): expected two variables of equally many states; got {states[0]} and {states[1]} states. "
                "Say which labels agree by a Table."
            )
        (array,) = self._given.arrays
        if array.shape == ():
            return Layout(1, (), POTTS, self.dtype, shared=True, identity=self._identity)
        if array.shape == shape:
            return Layout(count, (), POTTS, self.dtype, shared=False)
        raise FactorGraphError(
            f"add(Potts): expected a weight of shape () (shared) or {shape} (one each); got {array.shape}. "
            "An array of weights has the shape of the scopes it is added over."
        )

    def take(self, shape: Shape, most: Shape, chosen: np.ndarray, states: Shape) -> Potts:
        """A weight for each scope is copied: later changes are not seen."""
        (array,) = self._given.arrays
        self.bind(size_of(shape), shape, (2, 2))  # raises where there is no weight for each
        return self if array.shape == () else Potts(array.ravel()[chosen])

    def key(self) -> Hashable:
        return "Potts", self.dtype.char

    @classmethod
    def merge(cls, parts: Sequence[Factor], tables: Sequence[int]) -> Potts:
        merged = cls.__new__(cls)
        merged.dtype = parts[0].dtype
        merged._given = Given.merge([part._given for part in parts if isinstance(part, Potts)], tables)
        return merged

    def energies(self, parameters: Arrays, inputs: Arrays, out: np.ndarray, rows: np.ndarray | None = None) -> None:
        self._given.fill(out, rows, "Potts", "weight")

    @classmethod
    def example(cls, rng: np.random.Generator) -> tuple[Factor, Shape, Shape, dict[str, np.ndarray]]:
        shape: Shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 3)))
        states = int(rng.integers(1, 5))
        return cls(rng.normal(size=() if rng.random() < 0.5 else shape)), shape, (states, states), {}
