"""Truncated distances: E(a, b) = min(cap, slope · |a − b|) or min(cap, slope · (a − b)²).

A block keeps their dense tables: gradients are counts of table entries, and a minimum of two numbers is not linear in
them, as it is for Potts. One table serves all scopes that share a slope and a cap; solvers that know a faster message
for such a table recognise it by its numbers.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels.tables import DENSE
from .base import Arrays, Factor, Given, Layout, Shape, float_type, real_array, size_of


def TruncatedLinear(slope: Any, cap: Any = np.inf) -> Truncated:
    """E(a, b) = min(cap, slope · |a − b|); see Truncated.

    >>> TruncatedLinear(20, 40).bind(3, (3,), (4, 4)).shared
    True
    """
    return Truncated("TruncatedLinear", slope, cap, 1)


def TruncatedQuadratic(slope: Any, cap: Any = np.inf) -> Truncated:
    """E(a, b) = min(cap, slope · (a − b)²); see Truncated."""
    return Truncated("TruncatedQuadratic", slope, cap, 2)


class Truncated(Factor):
    """An energy for every pair of variables whose labels lie apart, growing with their distance up to a cap.

    slope: finite, ≥ 0; cap: ≥ 0, +inf for none; each a number or an array of the scopes' shape (one each: then every
    scope has a table). Arrays are kept and read whenever energies are computed.

    Raises FactorGraphError for other slopes and caps; `add` raises it for a wrong shape and for scopes that are not
    pairs.
    """

    arity: ClassVar[int | None] = 2

    def __init__(self, name: str, slope: Any, cap: Any, power: int):
        arrays = real_array(slope, name, "slope"), real_array(cap, name, "cap")
        try:
            np.broadcast_shapes(arrays[0].shape, arrays[1].shape)
        except ValueError:
            raise FactorGraphError(
                f"{name}: expected slope and cap of one shape, or a number for either; got {arrays[0].shape} and "
                f"{arrays[1].shape}. Both have the shape of the scopes they are added over."
            ) from None
        self._name, self._power = name, power
        self._check(*arrays)
        weak = (x if isinstance(x, int | float) else array for x, array in zip((slope, cap), arrays, strict=True))
        self.dtype = float_type(np.result_type(*weak), name)
        self._identity: Hashable = (
            name,
            *(("array", id(x)) if array is x else float(array.flat[0]) for x, array in zip((slope, cap), arrays)),
        )
        self._given = tuple(Given((array,)) for array in np.broadcast_arrays(*arrays))

    def bind(self, count: int, shape: Shape, states: Shape) -> Layout:
        if len(states) != 2:
            raise FactorGraphError(
                f"add({self._name}): expected scopes of two variables; got {len(states)}. Add each pair, or use Table."
            )
        array = self._given[0].arrays[0]
        if array.shape not in {(), shape}:
            raise FactorGraphError(
                f"add({self._name}): expected slope and cap of shape () (shared) or {shape} (one each); got "
                f"{array.shape}. An array of them has the shape of the scopes it is added over."
            )
        if array.shape == ():
            return Layout(1, states, DENSE, self.dtype, shared=True, identity=self._identity)
        return Layout(count, states, DENSE, self.dtype, shared=False)

    def take(self, shape: Shape, most: Shape, chosen: np.ndarray, states: Shape) -> Truncated:
        """A slope and a cap for each scope are copied: later changes are not seen."""
        self.bind(size_of(shape), shape, (2, 2))  # raises where there is none for each
        slope, cap = (given.arrays[0] for given in self._given)
        if slope.shape == ():
            return self
        return Truncated(self._name, slope.ravel()[chosen], cap.ravel()[chosen], self._power)

    def key(self) -> Hashable:
        return self._name, self.dtype.char

    @classmethod
    def merge(cls, parts: Sequence[Factor], tables: Sequence[int]) -> Truncated:
        merged = cls.__new__(cls)
        truncated = [part for part in parts if isinstance(part, Truncated)]
        merged.dtype, merged._name, merged._power = parts[0].dtype, truncated[0]._name, truncated[0]._power
        merged._given = tuple(Given.merge([part._given[i] for part in truncated], tables) for i in (0, 1))
        return merged

    def energies(self, parameters: Arrays, inputs: Arrays, out: np.ndarray, rows: np.ndarray | None = None) -> None:
        slope, cap = np.zeros((2, len(out)))
        for given, flat, name in zip(self._given, (slope, cap), ("slope", "cap"), strict=True):
            given.fill(flat, rows, self._name, name)
        chosen = slice(None) if rows is None else rows
        self._check(slope[chosen], cap[chosen])
        distance = np.abs(np.subtract.outer(*(np.arange(float(n)) for n in out.shape[1:]))) ** self._power
        out[chosen] = np.minimum(cap[chosen, None, None], slope[chosen, None, None] * distance)

    def _check(self, slope: np.ndarray, cap: np.ndarray) -> None:
        if not (np.isfinite(slope) & (slope >= 0)).all() or not (cap >= 0).all():
            raise FactorGraphError(
                f"{self._name}: expected finite slopes ≥ 0 and caps ≥ 0; got slopes from {slope.min():g} to "
                f"{slope.max():g} and caps from {cap.min():g} to {cap.max():g}. Use Table for other energies."
            )

    @classmethod
    def example(cls, rng: np.random.Generator) -> tuple[Factor, Shape, Shape, dict[str, np.ndarray]]:
        shape: Shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 3)))
        states: Shape = tuple(int(n) for n in rng.integers(1, 5, 2))
        make = TruncatedLinear if rng.random() < 0.5 else TruncatedQuadratic
        slope, cap = (rng.exponential(size=() if rng.random() < 0.5 else shape) for _ in range(2))
        return make(slope, cap if rng.random() < 0.7 else np.inf), shape, states, {}
