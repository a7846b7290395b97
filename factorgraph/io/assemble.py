"""From the factors of a file to a graph: one array of variables "x", and one `add` per tuple of state counts."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from ..errors import FormatError
from ..factors import Table
from ..graph import FactorGraph, Variables
from ..plan.derive import groups_of
from ..plan.memory import readable

#: Entries that are gathered at once.
_CHUNK = 1 << 20


class Group(NamedTuple):
    """Factors over scopes of one tuple of state counts; a variable that stands twice in a scope has one axis.

    factors: int64 (T,), whose tables these are, in order; one for all scopes where the table is shared.
    scopes: int32 (n, arity). axis[k]: the position in the file's scope at which its k-th variable stands first;
    whole[k]: the states there. begin: of the tables among all entries.
    """

    factors: np.ndarray
    scopes: np.ndarray
    axis: tuple[int, ...]
    whole: tuple[int, ...]
    begin: int

    @property
    def states(self) -> tuple[int, ...]:
        """Of the axes that are left."""
        return tuple(n for k, n in enumerate(self.whole) if self.axis[k] == k)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all tables."""
        return (self.factors.size, *self.states)

    def steps(self) -> np.ndarray | None:
        """int64: where each entry of a table is in the file's, the diagonal of it; None: all in their places."""
        if self.states == self.whole:
            return None
        steps = np.zeros((1,) * len(self.whole), np.int64)
        for k, first in enumerate(self.axis):
            along = np.arange(self.whole[k]).reshape([-1 if j == first else 1 for j in range(len(self.whole))])
            steps = steps + prod(self.whole[k + 1 :]) * along
        return steps.ravel()


class Layout:
    """Where the tables of factors go. `first`, `var`: scopes as in kernels/text_models.py; states: int32 (V,).

    source: int64 (F,), the factor whose table each factor has (None: its own). Attributes: groups; size, all entries.
    """

    def __init__(self, states: np.ndarray, first: np.ndarray, var: np.ndarray, source: np.ndarray | None = None):
        self.states = states
        self.groups: list[Group] = []
        self.size = 0
        arities = np.diff(first)
        times = None if source is None else np.bincount(source, minlength=source.size)
        for arity in np.unique(arities).tolist():
            factors = np.flatnonzero(arities == arity)
            scopes = var[first[factors][:, None] + np.arange(arity)]
            axis, sizes = _axes(scopes), states[scopes].astype(np.int64)
            shared = np.zeros(factors.size, np.int64)
            if source is not None and times is not None:
                owner = source[factors]
                shared = np.where(times[owner] > 1, owner + 1, 0)
            key = np.column_stack([sizes, axis, shared])
            for same in [np.arange(len(key))] if (key == key[0]).all() else groups_of(key):
                mine = factors[same] if source is None or not shared[same[0]] else source[factors[same[:1]]]
                one = same[0]
                kept = np.flatnonzero(axis[one] == np.arange(arity))
                about = tuple(axis[one].tolist()), tuple(sizes[one].tolist())
                group = Group(mine, scopes[same][:, kept], *about, self.size)
                self.groups.append(group)
                self.size += prod(group.shape)

    def check(self, path: str, limit: int) -> None:
        """Refuse tables and variable states beyond the limit. Errors: FormatError."""
        need = 8 * max(self.size, int(self.states.sum(dtype=np.int64)))
        if need <= limit:
            return
        largest = max(self.groups, key=lambda g: prod(g.states), default=None)
        about = f"; the largest is over {largest.states} states" if largest else ""
        raise FormatError(
            f"{path}: its tables and variables need {readable(need)}, the memory_limit is {readable(limit)}{about}. "
            "Raise memory_limit",
            path,
        )

    def places(self, factors: int) -> tuple[np.ndarray, np.ndarray]:
        """(start, size) int64 of each factor's table among all entries; size 0 for those that have another's."""
        start, size = np.zeros((2, factors), np.int64)
        for group in self.groups:
            entries = prod(group.states)
            size[group.factors] = entries
            start[group.factors] = group.begin + entries * np.arange(group.factors.size)
        return start, size

    def split(self, entries: np.ndarray) -> list[np.ndarray]:
        """Tables of each group, from all entries in the order of the groups."""
        return [entries[g.begin : g.begin + prod(g.shape)].reshape(g.shape) for g in self.groups]

    def gather(self, flat: np.ndarray, start: np.ndarray) -> list[np.ndarray]:
        """Tables of each group, from the file's tables: that of factor f begins at flat[start[f]]."""
        return [_gather(group, flat, start[group.factors]) for group in self.groups]

    def graph(self, tables: list[np.ndarray]) -> FactorGraph:
        """The graph of these tables. Factors without variables are summed into one."""
        graph = FactorGraph()
        graph.variables("x", shape=self.states.shape, states=self.states)
        for group, table in zip(self.groups, tables, strict=True):
            if not group.states:
                constants = np.broadcast_to(table, len(group.scopes))
                graph.add(Table(constants.sum()))
                continue
            columns = zip(np.ascontiguousarray(group.scopes.T), group.states, strict=True)
            scopes = [Variables(graph, "x", ids, states) for ids, states in columns]
            graph.add(Table(table if len(table) == len(group.scopes) else table[0]), *scopes)
        return graph


def _axes(scopes: np.ndarray) -> np.ndarray:
    """int64, shape of the scopes (n, arity): the first position of the variable that stands at each."""
    axis = np.tile(np.arange(scopes.shape[1]), (len(scopes), 1))
    for k in range(scopes.shape[1]):
        for j in range(k):
            axis[:, k] = np.where((scopes[:, j] == scopes[:, k]) & (axis[:, k] == k), j, axis[:, k])
    return axis


def _gather(group: Group, flat: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Tables that begin at `start`; a view where they follow one another."""
    entries, steps = prod(group.states), group.steps()
    if steps is None and (np.diff(start) == entries).all():
        return flat[start[0] : start[0] + start.size * entries].reshape(group.shape)
    steps = np.arange(entries) if steps is None else steps
    out = np.empty((start.size, entries))
    rows = max(1, _CHUNK // entries)
    for begin in range(0, start.size, rows):
        out[begin : begin + rows] = flat[start[begin : begin + rows, None] + steps]
    return out.reshape(group.shape)
