"""What users index and pass to `add`: arrays of variables, and lattices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FactorGraphError
from ..plan import consecutive_arcs

#: Labels are int32; tables are bounded by memory long before.
MOST_STATES = 2**31 - 1
#: Work space grows with the nodes of a lattice, so their numbers may have gaps, but not arbitrary ones.
MOST_NODES, NODES_PER_ARC = 2**20, 16

if TYPE_CHECKING:
    from .graph import FactorGraph


class Variables:
    """An array of variables of a graph: slices and fancy indices give arrays of some of them, as in numpy."""

    __slots__ = ("graph", "ids", "name", "part_of", "states")

    def __init__(
        self,
        graph: FactorGraph,
        name: str,
        ids: np.ndarray,
        states: int | None,
        part_of: tuple[Variables, Any] | None = None,
    ):
        self.graph, self.name, self.ids, self.states, self.part_of = graph, name, ids, states, part_of

    def __getitem__(self, index: Any) -> Variables:
        try:
            ids = self.ids[index]
        except IndexError as error:
            raise FactorGraphError(f"{self.name}: {error}; the array has shape {self.shape}") from None
        return Variables(self.graph, self.name, np.asarray(ids, np.int32), self.states, (self, index))

    @property
    def label(self) -> str:
        """How the user wrote it, for messages: x[:, 1:]."""
        if self.part_of is None:
            return self.name
        whole, index = self.part_of
        items = index if isinstance(index, tuple) else (index,)
        return f"{whole.label}[{', '.join(map(_written, items))}]"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.ids.shape

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"{self.name} is a single variable")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Variables]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        states = "ragged" if self.states is None else self.states
        return f"Variables({self.name!r}, shape={self.shape}, states={states})"


def _written(item: Any) -> str:
    """One index as it stands in the brackets; arrays are not spelled out."""
    if isinstance(item, slice):
        parts = ["" if x is None else str(x) for x in (item.start, item.stop)]
        return ":".join(parts + ([] if item.step is None else [str(item.step)]))
    return str(item) if isinstance(item, int | np.integer) or item is None or item is Ellipsis else "…"


class Lattice:
    """A segmentation graph: nodes 0 … n, arcs (start[a], end[a]) with start < end, every arc emits one of `states`.

    A path from node 0 to node n spells a string: the answer is the string, the path is latent.
    """

    __slots__ = ("end", "graph", "ids", "name", "start", "states")

    def __init__(self, graph: FactorGraph, name: str, ids: np.ndarray, start: np.ndarray, end: np.ndarray, states: int):
        self.graph, self.name, self.ids = graph, name, ids
        self.start, self.end, self.states = start, end, states

    @property
    def shape(self) -> tuple[int, ...]:
        """(arcs,)."""
        return self.ids.shape

    @property
    def label(self) -> str:
        """Its name."""
        return self.name

    @property
    def pairs(self) -> np.ndarray:
        """int64 (pairs, 2): consecutive arcs, in the order in which `add(factor, lattice, lattice)` scores them."""
        return consecutive_arcs(np.zeros(self.start.size, np.int64), self.start, self.end)

    def __len__(self) -> int:
        return int(self.ids.size)

    def __repr__(self) -> str:
        return f"Lattice({self.name!r}, arcs={self.ids.size}, states={self.states})"


def read_shape(shape: Any, where: str) -> tuple[int, ...]:
    """The shape as a tuple of ints."""
    sizes = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    for n in sizes:
        if not isinstance(n, (int, np.integer)) or n < 0:
            raise FactorGraphError(f"{where}: expected a shape of non-negative ints; got {shape!r}")
    return tuple(map(int, sizes))


def read_states(
    states: int | Sequence[str] | np.ndarray, shape: tuple[int, ...], where: str
) -> tuple[int | np.ndarray, tuple[str, ...] | None]:
    """States of the variables (one number, or int32 one per variable), and their names if they have some."""
    if isinstance(states, str):
        raise FactorGraphError(f"{where}: expected a number of states or a list of names; got the string {states!r}")
    sizes: int | np.ndarray
    names: tuple[str, ...] | None = None
    if type(states) is int and 1 <= states <= MOST_STATES:
        return states, None
    if isinstance(states, (int, np.integer)) and not isinstance(states, bool):
        sizes = int(states)
    elif isinstance(states, np.ndarray) and states.dtype.kind in "iu":
        if states.shape != shape:
            raise FactorGraphError(
                f"{where}: expected states as an array of the declared shape {shape}; got {states.shape}"
            )
        sizes = states.ravel()
        if sizes.size and (sizes == sizes[0]).all():
            sizes = int(sizes[0])
    else:
        if isinstance(states, (np.ndarray, float, Set)) or not isinstance(states, Iterable):
            raise FactorGraphError(
                f"{where}: expected states as an int, a list of names or an int array; got {states!r}"
            )
        names = tuple(states)
        if not all(isinstance(s, str) for s in names):
            raise FactorGraphError(
                f"{where}: expected states as a list of names (str), or as an int array of numbers; got {states!r}"
            )
        if len(set(names)) != len(names):
            twice = next(s for i, s in enumerate(names) if s in names[:i])
            raise FactorGraphError(f"{where}: expected different state names; got {twice!r} twice")
        sizes = len(names)
    if np.min(sizes, initial=1) < 1 or np.max(sizes, initial=1) > MOST_STATES:
        raise FactorGraphError(
            f"{where}: expected from 1 to {MOST_STATES} states per variable; got {np.min(sizes)} to {np.max(sizes)}"
        )
    return sizes if isinstance(sizes, int) else sizes.astype(np.int32), names


def read_arcs(arcs: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
    """int64 nodes where arcs start and end: 0 ≤ start < end."""
    try:
        start, end = (np.asarray(a) for a in arcs)
    except (TypeError, ValueError):
        raise FactorGraphError(f"{where}: expected arcs=(start, end), two int arrays; got {arcs!r}") from None
    ints = start.dtype.kind in "iu" and end.dtype.kind in "iu"
    if start.ndim != 1 or start.shape != end.shape or not start.size or not ints:
        raise FactorGraphError(
            f"{where}: expected two non-empty int arrays of equal length; got {start.dtype} {start.shape} and "
            f"{end.dtype} {end.shape}"
        )
    start, end = start.astype(np.int64), end.astype(np.int64)
    wrong = np.flatnonzero((start < 0) | (start >= end))
    if wrong.size:
        a = wrong[0]
        raise FactorGraphError(f"{where}: expected 0 ≤ start < end; arc {a} goes from {start[a]} to {end[a]}")
    most = max(MOST_NODES, NODES_PER_ARC * start.size)
    if end.max() > most:
        raise FactorGraphError(
            f"{where}: expected nodes numbered 0 … n without large gaps, up to {most} for {start.size} arcs; got "
            f"{end.max()}. Renumber them: np.unique(nodes, return_inverse=True)"
        )
    return start, end
