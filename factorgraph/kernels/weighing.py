"""What passes over loopy factors go by: an order of the variables, tables of costs, the labellings of a scope."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .configurations import entry
from .jit import inner, kernel
from .minsum import Loops
from .structure import OFFSET, SCOPE, Factors


class Index(NamedTuple):
    """Arrays of the plan; `loops` holds the components asked only."""

    factors: Factors
    loops: Loops
    states: np.ndarray
    offsets: np.ndarray
    component: np.ndarray


class Weighing(NamedTuple):
    """Factors of arity ≥ 2 as messages see them, those over one set of variables as one; by row of Factors.

    order int64: their rows in the order of a pass forwards. last int64 (F,): entry of the last variable in Factors.var.
    table int64 (F,): start of the table among the costs. potts int64 (F,): 1 where it is (cost of equal labels, of
    different ones). rho float64 (F,), 0 where another row stands for this one. least float64 (F,): least cost.
    """

    order: np.ndarray
    last: np.ndarray
    table: np.ndarray
    potts: np.ndarray
    rho: np.ndarray
    least: np.ndarray


@kernel
def order_breadth_first(variables, index, rank, queue):
    """rank int64 (V,), −1 before: of any component the last variable comes last, then its neighbours before it, …

    Every variable but one of a component has a neighbour behind it. queue int64 (V,).
    """
    count = 0
    done = 0
    behind = variables.size
    for i in range(variables.size - 1, -1, -1):
        if rank[variables[i]] >= 0:
            continue
        behind -= 1
        rank[variables[i]] = behind
        queue[count] = variables[i]
        count += 1
        while done < count:
            v = queue[done]
            done += 1
            for j in range(index.loops.ptr[v], index.loops.ptr[v + 1]):
                f = index.loops.owner[j]
                for e in range(index.factors.row[f, SCOPE], index.factors.row[f + 1, SCOPE]):
                    u = index.factors.var[e]
                    if rank[u] < 0:
                        behind -= 1
                        rank[u] = behind
                        queue[count] = u
                        count += 1


@inner
def advance(f, index, labels):
    """The next labels of f's scope, the last variable fastest; after the last ones all are 0."""
    for e in range(index.factors.row[f + 1, SCOPE] - 1, index.factors.row[f, SCOPE] - 1, -1):
        v = index.factors.var[e]
        labels[v] += 1
        if labels[v] < index.states[v]:
            return
        labels[v] = 0


@inner
def table_size(f, index):
    """Labellings of f's scope."""
    size = np.int64(1)
    for e in range(index.factors.row[f, SCOPE], index.factors.row[f + 1, SCOPE]):
        size *= index.states[index.factors.var[e]]
    return size


@kernel
def tabulate(units, members, first, index, weighing, energies, slopes, tables, labels):
    """Fill tables = (costs, weights) of the factors units[i]: costs = slopes[i] · Σ of the energies of the factors
    members[first[i] : first[i + 1]], over the same variables in any order; weights = exp(least − costs).

    labels int32 (V,), 0.
    """
    costs, weights = tables
    for i in range(units.size):
        f = units[i]
        at = weighing.table[f]
        size = np.int64(2) if weighing.potts[f] == 1 else table_size(f, index)
        least = np.inf
        for x in range(size):
            value = 0.0
            if weighing.potts[f] == 1:
                value = energies[index.factors.row[f, OFFSET]] if x > 0 else 0.0
            else:
                for m in range(first[i], first[i + 1]):
                    y = entry(index.factors, index.states, members[m], labels)
                    if y >= 0:
                        value += energies[index.factors.row[members[m], OFFSET] + y]
                advance(f, index, labels)
            costs[at + x] = slopes[i] * value
            least = min(least, costs[at + x])
        weighing.least[f] = least
        for x in range(size):
            weights[at + x] = math.exp(least - costs[at + x]) if costs[at + x] < np.inf else 0.0
