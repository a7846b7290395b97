"""Improving labellings of any graph: fusion of two, exact moves along forests, single labels, repair."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from ..kernels.minsum import Loops, improve_labels
from ..kernels.moves import grow_forest, join_difference, move_forest, repair_labels, weigh_difference
from ..kernels.structure import LOOPY, SCOPE
from ..plan import Asked

#: Forests of a family that between them hold most variables.
FORESTS = 4


def fuse(asked: Asked, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """int32 (V,): `a`, with the labels of `b` on every connected component of their difference where that is better.

    Never worse than `a` on any component asked, nor than `b` where it is feasible there. a, b: int32 (V,), with labels
    for all variables of the components asked.
    """
    plan, energies, bias, components = asked
    parent = np.arange(plan.states.size, dtype=np.int32)
    join_difference(plan.factors, components, a, b, parent)
    forbidden = np.zeros(plan.states.size, np.int32)
    change = np.zeros(plan.states.size)
    weigh_difference(plan.factors, components, plan.states, energies, a, b, parent, forbidden, change)
    differ = np.flatnonzero(a != b)
    while (parent[parent[differ]] != parent[differ]).any():
        parent[differ] = parent[parent[differ]]
    root = parent[differ]
    if bias.size:
        old, new = (bias[plan.offsets[differ] + labels[differ]].astype(np.float64) for labels in (a, b))
        np.add.at(forbidden, root, (new == np.inf) * 1 - (old == np.inf))
        np.add.at(change, root, np.where(new < np.inf, new, 0) - np.where(old < np.inf, old, 0))
    better = (forbidden[root] < 0) | ((forbidden[root] == 0) & (change[root] < 0))
    fused = a.copy()
    fused[differ[better]] = b[differ[better]]
    return fused


class Improver:
    """Moves over the loopy components asked; unary float64 (variable states) holds their unary tables and the bias.

    loops: the part of `plan.loops` that lies in these components.
    """

    def __init__(self, asked: Asked, unary: np.ndarray, loops: Loops):
        self.asked, self.unary, self.loops = asked, unary, loops
        plan = asked.plan
        widest = int(plan.states.max(initial=1))
        self._index = (plan.factors, loops, plan.states, plan.offsets)
        self.cost, self._part, self._conflicts = np.zeros((3, widest))
        self._belief = np.zeros(plan.variable_states)
        self._forests: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._weight = np.ones(len(plan.factors.row))

    def single(self, labels: np.ndarray, rounds: int = 20) -> None:
        """Iterated conditional modes, in place."""
        for _ in range(rounds):
            if not improve_labels(*self._index, self.asked.energies, self.unary, labels, self.cost):
                return

    def forests(self, labels: np.ndarray, deadline: float = np.inf, order: np.ndarray | None = None) -> None:
        """One exact move along each forest of a family, in place; `order` (V,) ranks variables for a family of two."""
        family = self._forests
        if order is not None:
            family = self._grow(order, 2)
        elif not family:
            family = self._forests = self._grow(np.zeros(self.asked.plan.states.size), FORESTS)
        costs = (self.asked.energies, self.unary)
        for forest, via, parent in family:
            move_forest(forest, via, parent, *self._index, costs, labels, (self._belief, self.cost))
            if perf_counter() > deadline:
                return

    def _grow(self, order: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Each forest starts with the variables that the ones before it left out, in turn the last of them first."""
        plan, family = self.asked.plan, []
        covered = np.zeros(plan.states.size, np.int64)
        for number in range(count):
            var = self.loops.var if number % 2 == 0 else self.loops.var[::-1]
            via = np.full(plan.states.size, -2, np.int64)
            parent, forest = np.zeros((2, plan.states.size), np.int64)
            ranked = var[np.lexsort((order[var], covered[var]))]
            size = grow_forest(ranked, plan.factors, self.loops, via, parent, forest)
            covered[forest[:size]] += 1
            family.append((forest[:size].copy(), via, parent))
        return family

    def repair(self, labels: np.ndarray, loops: Loops, sweeps: int, deadline: float) -> None:
        """Look for labels of the variables of `loops` that violate no factor, in place."""
        plan = self.asked.plan
        index = (plan.factors, loops, plan.states, plan.offsets, self.asked.energies, self.unary)
        space = (self.cost, self._part, self._conflicts)
        for _ in range(sweeps):
            if not repair_labels(*index, labels, self._weight, space) or perf_counter() > deadline:
                return


def loops_of(asked: Asked) -> Loops:
    """The part of the plan's loops that lies in the components asked."""
    plan, loops = asked.plan, asked.plan.loops[0]
    if asked.components.size == np.count_nonzero(plan.kinds == LOOPY):
        return loops
    inside = plan.inside(asked.components)
    var = loops.var[inside[loops.var]]
    factor = loops.factor[inside[plan.factors.var[plan.factors.row[loops.factor, SCOPE]]]]
    for array in (var, factor):
        array.flags.writeable = False
    return loops._replace(var=var, factor=factor)
