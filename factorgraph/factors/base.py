"""What a factor family is: energies from parameters and inputs, and the gradient back.

One `graph.add(factor, *scopes)` declares `count` factors, arranged in `shape`, each over variables with `states`:

    scope i reads table τ(i):  τ(i) = 0 (shared)  or  τ(i) = i (one table each)
    tables = factor.energies(parameters θ, inputs x)               (tables, *entries)
    backward: ∂/∂θ of Σ_t ⟨gradient[t], tables[t]⟩                  the chain rule's last step

A factor is a description and never changes: it keeps what the user gave, and everything it must know of the graph
(count, shape, states) is an argument.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..errors import FactorGraphError
from ..optim import Rows

Shape = tuple[int, ...]
Arrays = Mapping[str, Any] | None


class Layout(NamedTuple):
    """The tables that one declaration brings.

    When declarations are merged, the tables of the parts follow each other: part p's scope i reads table
    offset(p) + τ(i), where the offset counts the tables of the parts before it. Two exceptions:
    `tied`: all parts read one and the same table, the merged factor has one table;
    equal `identity` (not None, shared tables only): the parts read the same numbers, so a graph may store that table
    once and leave the repeated parts out of the merge. To ignore it is correct, only larger.
    """

    tables: int
    shape: Shape  # entries of one table
    kind: int  # kernels.tables.DENSE or POTTS
    dtype: np.dtype  # float32 or float64
    shared: bool  # all scopes read table 0; otherwise scope i reads table i
    tied: bool = False
    identity: Hashable | None = None


class Factor(ABC):
    """A family of factors; the docstrings of the methods are the contract, tests/test_contract_factor.py holds it."""

    #: float32 or float64: of the energies, and of parameters as `initial` makes them.
    dtype: np.dtype

    #: How many variables a scope has; None: any number.
    arity: ClassVar[int | None] = None

    #: Whether energies are affine in the parameters, if there are any.
    affine: ClassVar[bool] = False

    @abstractmethod
    def bind(self, count: int, shape: Shape, states: Shape) -> Layout:
        """Validate against `count` scopes arranged in `shape`, each with `states`. Changes nothing.

        Raises FactorGraphError "add(Family): expected …; got …. remedy".
        """

    @abstractmethod
    def energies(self, parameters: Arrays, inputs: Arrays, out: np.ndarray, rows: np.ndarray | None = None) -> None:
        """Fill out[rows], or all of out for None; nothing else is written.

        out: (tables, *entries) of the layout, C-contiguous, float32 or float64. rows: int64, distinct.
        Raises FactorGraphError for parameters or inputs that are missing, misshaped, or make an energy NaN or −inf.
        """

    def key(self) -> Hashable | None:
        """Declarations with equal key and equal states may be merged; None: never."""
        return None

    @classmethod
    def merge(cls, parts: Sequence[Factor], tables: Sequence[int]) -> Factor:
        """One factor that stands for `parts` in order; tables[p] is what the layout of part p says."""
        raise NotImplementedError(f"{cls.__name__} has no key: its declarations are never merged")

    def take(self, shape: Shape, most: Shape, chosen: np.ndarray, states: Shape) -> Factor:
        """Its part over some scopes, where the scopes of one `add` have unequal states.

        shape: of all scopes. most: the largest number of states at each position of a scope; arrays of energies are
        padded to it. chosen: int64, flat indices of the scopes meant, which all have `states`. The part is bound to
        shape (chosen.size,). Raises FactorGraphError where a family needs equal states.
        """
        name = type(self).__name__
        raise FactorGraphError(
            f"add({name}): expected scopes that all have the same states; got states {_plain(states)} and others up to "
            f"{_plain(most)}. Add the scopes of each number of states separately."
        )

    def backward(
        self, gradient: np.ndarray, parameters: Arrays, rows: np.ndarray | None = None
    ) -> dict[str, np.ndarray | Rows]:
        """Gradient of Σ energies · gradient by each parameter, in the parameter's shape and the gradient's dtype.

        gradient: in the layout of the energies, C-contiguous; only its `rows` (all for None) count and are finite.
        """
        return {}

    def parameters(self, states: Shape) -> dict[str, Shape]:
        """Name and shape of each parameter over scopes with `states`. One name has one shape in all of a graph."""
        return {}

    def initial(self, states: Shape, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Values to start training from, one array for each of `parameters(states)`, of the factor's dtype."""
        return {}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs it reads."""
        return ()

    @classmethod
    @abstractmethod
    def example(cls, rng: np.random.Generator) -> tuple[Factor, Shape, Shape, dict[str, np.ndarray]]:
        """A random small case for the contract test: factor, shape, states, inputs."""


def _plain(states: Shape) -> Shape:
    """Python ints, which print as such."""
    return tuple(map(int, states))


def size_of(shape: Shape) -> int:
    """Entries of an array of this shape; 1 for ()."""
    size = 1
    for length in shape:
        size *= int(length)
    return size


def real_array(values: Any, where: str, name: str) -> np.ndarray:
    """`values` as an array of bools, integers or floats, without a copy where they are one."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise FactorGraphError(
            f"{where}: expected {name} to be an array of numbers; got nested sequences of unequal lengths. "
            "Pad them with +inf, or add scopes of different shapes separately."
        ) from None
    if array.dtype.kind not in "biuf":
        raise FactorGraphError(
            f"{where}: expected {name} to be real numbers; got an array of {array.dtype}. "
            "Convert it with np.asarray(…, dtype=float)."
        )
    return array


def float_type(dtype: Any, where: str) -> np.dtype:
    """float32 for float16 and float32, float64 for integers and longer floats; anything else is refused."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "biuf":
        raise FactorGraphError(f"{where}: expected a dtype of real numbers; got {dtype}. Use float32 or float64.")
    return np.dtype(np.float32 if dtype.kind == "f" and dtype.itemsize <= 4 else np.float64)


def refuse_nan(array: np.ndarray, where: str, name: str) -> None:
    """Raise for the first entry that is NaN or −inf; one pass, and none over the repeats of a broadcast array."""
    array = array[tuple(slice(None) if stride else slice(0, 1) for stride in array.strides)]
    if array.dtype.kind != "f" or array.size == 0 or array.min() > -np.inf:  # the minimum is NaN where an entry is
        return
    place = np.unravel_index(int(np.argmin(array > -np.inf)), array.shape)
    index = f"[{', '.join(map(str, place))}]" if place else ""
    raise FactorGraphError(
        f"{where}: expected {name} to be finite or +inf; got {name}{index} = {array[place]}. "
        "Lower energies are better and +inf forbids; bound −inf from below, and clean NaN from the data."
    )


def check_energies(values: Any, where: str, name: str = "energies") -> np.ndarray:
    """Energies as float32 or float64, without a copy where they are; not NaN, not −inf, real.

    Integers become float64 and float16 becomes float32. Raises FactorGraphError with the first index at fault.
    """
    array = real_array(values, where, name)
    refuse_nan(array, where, name)
    return array.astype(float_type(array.dtype, where), copy=False)


def check_name(param: Any, where: str) -> str:
    """The name of a parameter: a str, not empty."""
    if not isinstance(param, str) or not param:
        raise FactorGraphError(
            f"{where}: expected param to be a name, a non-empty str; got {param!r}. "
            "Factors of one name share one parameter."
        )
    return param


def check_parameter(parameters: Arrays, name: str, shape: Shape, dtype: np.dtype, where: str) -> np.ndarray:
    """parameters[name], contiguous and of this shape and dtype (copied only where it is not)."""
    if parameters is None or name not in parameters:
        given = ", ".join(map(repr, parameters)) if parameters else "none"
        raise FactorGraphError(
            f"{where}: expected parameters['{name}'] of shape {shape}; it is missing, got {given}. "
            "Pass parameters={name: array} or train a Model."
        )
    array = real_array(parameters[name], where, f"parameters['{name}']")
    if array.shape != shape:
        raise FactorGraphError(
            f"{where}: expected parameters['{name}'] of shape {shape} (features, *states); got {array.shape}. "
            "Parameters belong to the graph they were made for."
        )
    return np.ascontiguousarray(array, dtype)


class Given:
    """Arrays that a user gave, standing for tables one array after the other. They are read anew at every fill, so
    that a user may change the numbers in place.

    arrays[p] is one table (shape == entries) or has the entries as its last axes and stands for tables[p] tables.
    """

    def __init__(self, arrays: tuple[np.ndarray, ...], tables: tuple[int, ...] | None = None):
        self.arrays = arrays
        self.tables = tables
        self.ends = np.cumsum(tables) if tables else None

    @staticmethod
    def merge(parts: Sequence[Given], tables: Sequence[int]) -> Given:
        """The arrays of all parts in order."""
        arrays = [array for part in parts for array in part.arrays]
        counts = [n for part, count in zip(parts, tables) for n in part.tables or (count,)]
        return Given(tuple(arrays), tuple(counts))

    def fill(self, out: np.ndarray, rows: np.ndarray | None, where: str, name: str) -> None:
        """out[rows] = the tables; checked for NaN and −inf."""
        assert out.flags.c_contiguous  # otherwise the reshaped were a copy
        if rows is not None:
            filled = out[rows] = self._rows(rows, out)
        else:
            filled = out
            if len(self.arrays) == 1:
                out.reshape(self.arrays[0].shape)[...] = self.arrays[0]
            else:
                shape = out.shape[1:]
                assert self.tables is not None
                np.concatenate([a.reshape(n, *shape) for a, n in zip(self.arrays, self.tables)], out=out)
        if filled.size and not filled.min() > -np.inf:
            for array in self.arrays:
                refuse_nan(array, where, name)

    def _rows(self, rows: np.ndarray, out: np.ndarray) -> np.ndarray:
        """The tables `rows`, in their order."""
        if self.ends is None or len(self.arrays) == 1:
            return _some(self.arrays[0], rows, out.ndim - 1)
        owner = np.searchsorted(self.ends, rows, "right")
        order = np.argsort(owner, kind="stable")
        found = np.empty((rows.size, *out.shape[1:]), out.dtype)
        parts, starts = np.unique(owner[order], return_index=True)
        for part, mine in zip(parts, np.split(order, starts[1:])):
            first = self.ends[part] - self.tables[part] if self.tables else 0
            found[mine] = _some(self.arrays[part], rows[mine] - first, out.ndim - 1)
        return found


def _some(array: np.ndarray, rows: np.ndarray, arity: int) -> np.ndarray:
    """Tables `rows` of one array, gathered without copying the others."""
    lead = array.shape[: array.ndim - arity]
    if lead:
        return array[np.unravel_index(rows, lead)]
    return np.broadcast_to(array, (rows.size, *array.shape))
