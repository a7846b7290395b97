"""Parameters by name, and row-sparse gradients of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

#: What is learned: arrays by name.
Parameters = dict[str, np.ndarray]
#: Plain arrays, floats and ints by name: what a checkpoint stores besides the parameters.
State = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """A gradient that is zero but for some rows.

    rows: int64 (R,), sorted, each once. values: (R, *shape[1:]), [i] is row rows[i]. shape: of the whole parameter.
    """

    rows: np.ndarray
    values: np.ndarray
    shape: tuple[int, ...]

    #: Arrays leave sums with rows to `__radd__`.
    __array_ufunc__ = None

    @staticmethod
    def of(gradient: np.ndarray | Rows) -> Rows:
        """The same; of an array (one axis or more) the rows that are not all 0."""
        if isinstance(gradient, Rows):
            return gradient
        rows = np.flatnonzero(gradient.reshape(len(gradient), -1).any(1))
        return Rows(rows, gradient[rows], gradient.shape)

    def dense(self) -> np.ndarray:
        """The whole gradient, an array of `shape`."""
        out = np.zeros(self.shape, self.values.dtype)
        out[self.rows] = self.values
        return out

    def __mul__(self, factor: float) -> Rows:
        """Every entry times a number."""
        return Rows(self.rows, self.values * factor, self.shape)

    __rmul__ = __mul__

    def __add__(self, other: Any) -> Any:
        """The sum of two gradients of one parameter: rows where both are sparse, else an array."""
        if not isinstance(other, Rows):
            total: np.ndarray = other + self.dense()
            return total
        rows, place = np.unique(np.concatenate([self.rows, other.rows]), return_inverse=True)
        values = np.zeros((rows.size, *self.shape[1:]), np.result_type(self.values, other.values))
        values[place[: self.rows.size]] = self.values
        values[place[self.rows.size :]] += other.values
        return Rows(rows, values, self.shape)

    __radd__ = __add__

    def dot(self, array: np.ndarray) -> float:
        """⟨self, array⟩, summed in float64."""
        values = self.values.astype(np.float64, copy=False)
        return float(np.vdot(values, array.take(self.rows, axis=0)))

    def square(self) -> float:
        """‖self‖², summed in float64."""
        values = self.values.astype(np.float64, copy=False)
        return float(np.vdot(values, values))


#: Of one parameter: an array, or some of its rows.
Gradient = np.ndarray | Rows
#: The same by name; a name left out is zero.
Gradients = Mapping[str, Gradient]


def add_to(array: np.ndarray, gradient: Gradient, factor: float) -> None:
    """array += factor · gradient, in the array's dtype, on the gradient's rows only where it is sparse."""
    if isinstance(gradient, Rows):
        touched = array.take(gradient.rows, axis=0)
        touched += np.multiply(gradient.values, factor, dtype=array.dtype)
        array[gradient.rows] = touched
    else:
        array += np.multiply(gradient, factor, dtype=array.dtype)
