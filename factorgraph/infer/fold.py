"""Eliminating variables while no table grows (bucket elimination; Dechter 1999).

A variable v goes where the table over its neighbours y is no larger than v's tables together:

    E'(y) = min_v  u(v) + Σ_f∋v E_f(v, y)

Leaves of trees and variables between two others always do. What is gone is labelled again from its neighbours, the
last one first.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import prod
from time import perf_counter

import numpy as np

from ..kernels.network import Network
from ..plan import Asked
from .network import asked_of, network_of

#: Variables of a problem that is folded, one by one.
MOST = 20_000
#: Factors of a variable that is looked at; entries of one elimination, and of all that are kept for the way back.
DEGREE, ENTRIES, KEPT = 50, 1 << 20, 1 << 24

#: (smaller question, its variables' numbers in the plan before, constant per component, a variable without states per
#: component or −1, labels of the plan before from the smaller one's).
Step = tuple[Asked, np.ndarray, np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]


def fold(asked: Asked, deadline: float = np.inf) -> Step:
    """Eliminate variables as long as no table grows, and there is time. The components asked are all of the plan's.

    Problems of more than MOST variables stay as they are.
    """
    count = asked.plan.n_components
    lost = np.full(count, -1, np.int64)
    if asked.plan.states.size > MOST:
        return asked, np.arange(asked.plan.states.size), np.zeros(count), lost, lambda labels: labels
    scene = network_of(asked)
    network = scene.network
    folding = _Folding(network)
    folding.run(deadline)
    loose, kept = folding.network()
    gone = folding.gone
    constant = np.zeros(count)
    for v, value in folding.closed:
        c = asked.plan.component[scene.variables[v]]
        if value == np.inf:
            lost[c] = scene.variables[v]
        else:
            constant[c] += value
    total = asked.plan.states.size

    def lift(labels: np.ndarray) -> np.ndarray:
        mine = np.full(network.states.size, -1, np.int32)
        mine[kept] = labels
        for v, others, costs in reversed(gone):
            around = tuple(mine[u] for u in others)
            mine[v] = -1 if -1 in around else int(np.argmin(costs[around]))
        out = np.full(total, -1, np.int32)
        out[scene.variables] = mine
        return out

    return asked_of(loose), scene.variables[kept], constant, lost, lift


class _Folding:
    """Factors by scope, one variable less at a time. `gone`: (v, neighbours, costs (*neighbours, v)) in order;
    `closed`: (v, minimum) of variables that had no neighbour left."""

    def __init__(self, network: Network):
        self.base = network
        self.gone: list[tuple[int, tuple[int, ...], np.ndarray]] = []
        self.closed: list[tuple[int, float]] = []
        bounds = zip(network.first[:-1], network.first[1:])
        self.unary = [network.unary[low:high] for low, high in bounds]
        self.factors: dict[tuple[int, ...], np.ndarray] = {}
        self.of: list[set[tuple[int, ...]]] = [set() for _ in self.unary]
        states = network.states.tolist()
        for f in range(network.ptr.size - 1):
            scope = network.var[network.ptr[f] : network.ptr[f + 1]].tolist()
            table = network.tables[network.start[f] : network.start[f + 1]].reshape([states[v] for v in scope])
            order = sorted(range(len(scope)), key=scope.__getitem__)
            self._add(tuple(scope[i] for i in order), table.transpose(order))

    def _add(self, scope: tuple[int, ...], table: np.ndarray) -> None:
        known = self.factors.get(scope)
        self.factors[scope] = table if known is None else known + table
        for v in scope:
            self.of[v].add(scope)

    def _around(self, v: int) -> tuple[int, ...]:
        return tuple(sorted({u for scope in self.of[v] for u in scope} - {v}))

    def _growth(self, v: int) -> int:
        """Entries of the table over the neighbours of v, less those of v's tables; a large number forbids it."""
        if len(self.of[v]) > DEGREE:
            return 1 << 60
        around = self._around(v)
        if len(around) > max(2, max((len(scope) for scope in self.of[v]), default=0)):
            return 1 << 60
        size = prod(self.unary[u].size for u in around)
        if size * self.unary[v].size > ENTRIES:
            return 1 << 60
        return size - sum(self.factors[scope].size for scope in self.of[v])

    def run(self, deadline: float) -> None:
        """Eliminate while it does not grow, the most profitable first."""
        kept = 0
        heap = [(self._growth(v), v) for v in range(len(self.of))]
        heapify(heap)
        done = [False] * len(self.of)
        while heap and heap[0][0] <= 1 and kept <= KEPT and perf_counter() < deadline:
            growth, v = heappop(heap)
            if done[v] or growth != self._growth(v):
                continue
            done[v] = True
            around = self._eliminate(v)
            kept += self.gone[-1][2].size
            for u in around:
                heappush(heap, (self._growth(u), u))

    def _eliminate(self, v: int) -> tuple[int, ...]:
        around = self._around(v)
        axis = {u: i for i, u in enumerate((*around, v))}
        costs = np.broadcast_to(self.unary[v], (*(self.unary[u].size for u in around), self.unary[v].size)).copy()
        for scope in self.of[v]:
            table = self.factors.pop(scope)
            order = sorted(range(len(scope)), key=lambda i: axis[scope[i]])
            shape = [1] * costs.ndim
            for u, size in zip(scope, table.shape):
                shape[axis[u]] = size
            costs += table.transpose(order).reshape(shape)
            for u in scope:
                if u != v:
                    self.of[u].discard(scope)
        self.of[v] = set()
        self.gone.append((v, around, costs))
        least = costs.min(-1)
        if not around:
            self.closed.append((v, float(least)))
        elif len(around) == 1:
            self.unary[around[0]] = self.unary[around[0]] + least
        else:
            self._add(around, least)
        return around

    def network(self) -> tuple[Network, np.ndarray]:
        """What is left, and its variables."""
        kept = np.setdiff1d(np.arange(len(self.of)), [v for v, _, _ in self.gone])
        local = np.full(len(self.of), -1, np.int64)
        local[kept] = np.arange(kept.size)
        states = self.base.states[kept]
        scopes, tables = list(self.factors), list(self.factors.values())
        none = np.zeros(0)
        return Network(
            states,
            np.append(0, np.cumsum(states)),
            np.concatenate([self.unary[v] for v in kept]) if kept.size else none,
            np.append(0, np.cumsum([len(scope) for scope in scopes], dtype=np.int64)),
            local[np.array([v for scope in scopes for v in scope], np.int64)],
            np.append(0, np.cumsum([table.size for table in tables], dtype=np.int64)),
            np.concatenate([table.ravel() for table in tables]) if tables else none,
        ), kept
