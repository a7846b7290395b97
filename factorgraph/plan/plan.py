"""The frozen plan of a graph: index arrays only, never an energy."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..kernels.configurations import clear_rows
from ..kernels.minsum import Loops
from ..kernels.schedule import Schedule
from ..kernels.simd import buffer
from ..kernels.structure import (
    CHAIN,
    ISOLATED,
    LATTICE,
    LOOPY,
    SCOPE,
    TREE,
    Factors,
    fold_parallel,
    place_factors,
    unite,
)
from .block import Block, Group, Lattices
from .counters import Counters, counted
from .grids import Grid, find_grid
from .loops import Passes, make_loops, make_passes
from .schedule import Extent, make_schedule
from .summary import summary
from .sweeps import Sweeper

NONE = np.zeros(0, np.int64)


def frozen(array: np.ndarray) -> np.ndarray:
    """The array, made read-only: all index arrays are, so that kernels see one type."""
    array.flags.writeable = False
    return array


class Plan:
    """Which variables, how many states, which factors over which, which components, which sweep order.

    Attributes: `states` int32 (V,), `offsets` int64 (V + 1,) of the variable states, `component` int32 (V,),
    `kinds` uint8 (C,) the class of each component, `blocks`, `groups`, `lattices`, `factors` (sorted by component),
    `same` int64 (F,) the first factor over the same variables (empty where none are parallel), `work` float64 (C,)
    the configurations of each component's factors, `size` the number of energies, `digest` the structure's hash,
    `counters` the derived plan that is solved instead of one with factors that count, None where nothing counts.
    """

    def __init__(
        self,
        states: np.ndarray,
        groups: tuple[Group, ...],
        blocks: tuple[Block, ...],
        lattices: Lattices,
        component: np.ndarray | None = None,
        components: int = 0,
        digest: bytes = b"",
    ):
        self.states = frozen(np.ascontiguousarray(states, np.int32))
        self.offsets = np.zeros(states.size + 1, np.int64)
        np.cumsum(states, out=self.offsets[1:])
        frozen(self.offsets)
        self.groups = groups
        self.blocks = blocks
        self.lattices = lattices
        self.size = sum(b.tables * b.size for b in blocks)
        self.digest = digest
        self._last_rows: tuple[Any, dict[int, np.ndarray]] = (None, {})
        if component is None:
            component, components = self._connect()
        self.component = frozen(component)
        self.n_components = components
        if lattices.nodes.size and not lattices.component.size:
            first = lattices.var[lattices.ptr[:-1]]
            self.lattices = lattices._replace(component=self.component[first].astype(np.int64))
        self.kinds: np.ndarray
        self.factors, variables = self._place()
        self._classify(variables)
        self.counters = Counters(self) if counted(self) else None
        if self.counters is not None:  # those are what is solved
            self.kinds = self.counters.plan.kinds

    def _connect(self) -> tuple[np.ndarray, int]:
        parent = np.arange(self.states.size, dtype=np.int32)
        for block in self.blocks:
            if len(block.states) > 1 and not block.lattice:
                unite(block.scopes, parent)
        ptr, var = self.lattices.ptr, self.lattices.var
        if var.size > 1:
            inside = np.ones(var.size - 1, bool)
            inside[ptr[1:-1] - 1] = False
            unite(np.stack([var[:-1], var[1:]], 1)[inside].astype(np.int32), parent)
        while (parent[parent] != parent).any():
            parent = parent[parent]
        roots = np.cumsum(parent == np.arange(parent.size), dtype=np.int32) - 1
        return roots[parent], int(roots[-1]) + 1 if roots.size else 0

    def _place(self) -> tuple[Factors, np.ndarray]:
        first = np.zeros(self.n_components + 1, np.int64)
        entries = np.zeros(self.n_components + 1, np.int64)
        work = np.zeros(self.n_components)
        wide = [b for b in self.blocks if b.states]
        for block in wide:
            count = np.bincount(self.component[block.scopes[:, 0]], minlength=self.n_components)
            first[1:] += count
            entries[1:] += count * len(block.states)
            work += count * block.work
        np.cumsum(first, out=first)
        np.cumsum(entries, out=entries)
        row = np.empty((int(first[-1]) + 1, 3), np.int64)
        row[-1] = 0, 0, entries[-1]
        var = np.empty(int(entries[-1]), np.int32)
        cursor, entry = first[:-1].copy(), entries[:-1].copy()
        for block in wide:
            table = NONE if block.table is None else block.table
            about = (block.start, block.size, block.kind)
            place_factors(block.scopes, table, about, self.component, cursor, entry, row, var)
        self.work = frozen(work)
        variables = np.bincount(self.component, minlength=self.n_components).astype(np.int64)
        return Factors(frozen(first), frozen(row), frozen(var)), variables

    def _classify(self, variables: np.ndarray) -> None:
        """`kinds`, `degree` (distinct edges of each variable) and `same`."""
        lattice = np.zeros(self.n_components, bool)
        lattice[self.lattices.component] = True
        self.same = frozen(NONE.copy())
        self.degree, self.kinds = self._kinds(variables, lattice)
        if (self.kinds >= LATTICE).any():  # a cycle may be nothing but factors over the same variables
            same, following = np.empty((2, len(self.factors.row) - 1), np.int64)
            following.fill(-1)
            head = np.full(self.states.size, -1, np.int64)
            fold_parallel(self.factors, self.kinds >= LATTICE, self.degree, head, following, same)
            if (same != np.arange(same.size)).any():
                self.same = frozen(same)
                self.degree, self.kinds = self._kinds(variables, lattice)

    def _kinds(self, variables: np.ndarray, lattice: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        factors = self.factors
        arity = np.diff(factors.row[:, SCOPE])
        edges = arity > 1
        if self.same.size:
            edges &= self.same == np.arange(self.same.size)
        ends = np.add.accumulate(np.concatenate([[0], np.where(edges, arity - 1, 0)]))
        cycles = np.diff(ends[factors.first]) - (variables - 1)
        var = factors.var if edges.all() else factors.var[np.repeat(edges, arity)]
        degree = np.bincount(var, minlength=self.states.size).astype(np.int32)
        kinds = np.where(variables == 1, ISOLATED, CHAIN).astype(np.uint8)
        kinds[self.component[degree > 2]] = TREE
        kinds[self.component[factors.var[factors.row[:-1, SCOPE][arity > 2]]]] = TREE
        kinds[cycles > 0] = LOOPY
        kinds[lattice] = LATTICE
        return frozen(degree), frozen(kinds)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and (self is other or (bool(self.digest) and self.digest == other.digest))

    def __repr__(self) -> str:
        return (
            f"Plan({self.states.size} variables, {len(self.factors.row) - 1} factors, "
            f"{self.n_components} components, {self.size} energies)"
        )

    def _repr_html_(self) -> str:
        return summary(self)

    @property
    def variable_states(self) -> int:
        """Entries of a bias: Σ states."""
        return int(self.offsets[-1])

    @cached_property
    def _scheduled(self) -> tuple[Schedule, Extent]:
        return make_schedule(self)

    @property
    def schedule(self) -> Schedule:
        """Sweep order of forest and lattice components."""
        return self._scheduled[0]

    @property
    def extent(self) -> Extent:
        """How much work space a sweep needs."""
        return self._scheduled[1]

    @cached_property
    def tied(self) -> bool:
        """Whether a table without copies may be read by several components."""
        copied = {index for index, _ in self.extent.copies}
        return any(b.table is not None and b.states and i not in copied for i, b in enumerate(self.blocks))

    @cached_property
    def sweeps(self) -> Sweeper:
        """How components are swept that are not loopy."""
        return Sweeper(self)

    @cached_property
    def loops(self) -> tuple[Loops, int]:
        """Message storage of loopy components, and how many message entries there are."""
        return make_loops(self)

    @cached_property
    def passes(self) -> Passes:
        """Sweep order of loopy components for message passing with a bound."""
        return make_passes(self)

    @cached_property
    def grids(self) -> dict[int, Grid]:
        """The loopy components that are grids of four neighbours."""
        found = {int(c): find_grid(self, int(c)) for c in np.flatnonzero(self.kinds == LOOPY)}
        return {c: grid for c, grid in found.items() if grid is not None}

    @cached_property
    def members(self) -> tuple[np.ndarray, np.ndarray]:
        """Variables by component: int64 pointers (C + 1,) into int64 variables (V,)."""
        order = np.argsort(self.component, kind="stable")
        return np.searchsorted(self.component[order], np.arange(self.n_components + 1)), order

    def inside(self, components: np.ndarray) -> np.ndarray:
        """bool (V,): the variables of the listed components."""
        chosen = np.zeros(self.n_components, bool)
        chosen[components] = True
        return np.asarray(chosen[self.component])

    @cached_property
    def labellings(self) -> np.ndarray:
        """float64 (C,): how many labellings each component has, +inf where that is beyond float64."""
        with np.errstate(over="ignore"):
            return frozen(np.exp2(np.bincount(self.component, np.log2(self.states), self.n_components)))

    def variables_of(self, component: int) -> np.ndarray:
        """int64: the variables of one component, ascending."""
        ptr, order = self.members
        return order[ptr[component] : ptr[component + 1]]

    @cached_property
    def _block_order(self) -> dict[int, tuple[np.ndarray, np.ndarray | None]]:
        return {}

    def block_factors(self, index: int, components: np.ndarray) -> np.ndarray:
        """int64: the factors of block `index` that lie in `components`, component by component."""
        if index not in self._block_order:
            of = self.component[self.blocks[index].scopes[:, 0]]
            order = None if (of[1:] >= of[:-1]).all() else np.argsort(of, kind="stable")
            ptr = np.searchsorted(of if order is None else of[order], np.arange(self.n_components + 1))
            self._block_order[index] = ptr, order
        ptr, order = self._block_order[index]
        start, stop = ptr[components], ptr[components + 1]
        length = stop - start
        ends = np.cumsum(length)
        rows = np.arange(ends[-1] if ends.size else 0) + np.repeat(start - ends + length, length)
        return rows if order is None else order[rows]

    def rows(self, index: int, components: np.ndarray | None) -> np.ndarray | None:
        """int64 tables of block `index` that `components` read; None stands for all of them."""
        block = self.blocks[index]
        if components is None or block.tables == 1 or not block.states:
            return None
        asked, known = self._last_rows
        if asked is None or not np.array_equal(asked, components):  # a mini-batch asks for its rows several times
            known = {}
            self._last_rows = components.copy(), known
        if index not in known:
            chosen = self.block_factors(index, components)
            known[index] = chosen if block.table is None else np.unique(block.table[chosen])
        return known[index]

    def components_or_all(self, components: Any) -> np.ndarray:
        """int64 indices of the components meant: all of them for None.

        Errors: FactorGraphError for anything but different ints from 0 to below the number of components.
        """
        if components is None:
            return np.arange(self.n_components)
        listed = np.asarray(components)
        fine = listed.ndim == 1 and (listed.dtype.kind in "iu" or not listed.size)
        if fine and listed.size:
            fine = 0 <= listed.min() and listed.max() < self.n_components and np.unique(listed).size == listed.size
        if not fine:
            raise FactorGraphError(
                f"components: expected different ints, 0 … {self.n_components - 1}; got {components!r}. "
                "Turn a mask into indices by np.flatnonzero"
            )
        return np.ascontiguousarray(listed, np.int64)

    def zeros(self, dtype: Any) -> np.ndarray:
        """A flat array in the energies' layout."""
        return buffer(self.size, dtype)

    def clear(self, flat: np.ndarray, components: np.ndarray | None) -> None:
        """Zero the part of a flat array in the energies' layout that `components` read."""
        if components is None:
            flat[:] = 0
            return
        for i, block in enumerate(self.blocks):
            rows = self.rows(i, components)
            if rows is None:
                block.view(flat)[:] = 0
            else:
                clear_rows(flat, block.start, block.size, rows)

    def constant(self, energies: np.ndarray) -> float:
        """Σ of the factors without variables."""
        total = 0.0
        for block in self.blocks:
            if not block.states:
                values = np.asarray(block.view(energies), np.float64)
                total += float(values.sum() if block.table is None else values[block.table].sum())
        return total
