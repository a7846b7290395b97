"""Free energy, marginals and expected configurations of forest components (sum-product).

    up:    α[parent, j] −= T log Σ_i exp(−(α[child, i] + table(i, j)) / T)
    down:  P(child | parent) ∝ exp(−(α[child] + table) / T),  P(child) = Σ P(parent) P(child | parent)

in float64 and log space throughout; energies are divided by the temperature as they are read. The downward sweep
only multiplies probabilities, so an impossible parent state never makes inf − inf.
"""

from __future__ import annotations

import math

import numpy as np

from .jit import inner, kernel
from .messages import COLUMNS, GENERAL, POTTS, SHARED_COLUMNS
from .schedule import (
    CHILD,
    EDGE,
    FIRST,
    FORM,
    PARENT,
    SLOT,
    STATE,
    STATES,
    TABLE,
    UNARY,
)


@inner
def soft_minimum(values, start, count):
    """−log Σ exp(−values[start : start + count]); +inf where all are."""
    least = values[start]
    for i in range(1, count):
        least = min(least, values[start + i])
    if least == np.inf:
        return least
    total = 0.0
    for i in range(count):
        total += math.exp(least - values[start + i])
    return least - math.log(total)


@inner
def start_free(c, schedule, energies, bias, beta, alpha):
    """alpha = beta · (bias + unary tables)."""
    position = schedule.position
    for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
        for i in range(position[p, STATES]):
            value = 0.0
            if bias.size > 0:
                value += bias[position[p, STATE] + i]
            for u in range(position[p, UNARY], position[p + 1, UNARY]):
                value += energies[schedule.unary[u] + i]
            alpha[position[p, SLOT] + i] = beta * value


@inner
def children_of(e, schedule):
    """How many variables an edge has besides its parent."""
    return schedule.entries[schedule.edge[e, TABLE] - 2] if schedule.edge[e, FORM] == GENERAL else np.int64(1)


@inner
def _steps(e, n, m, edge):
    """Distances of neighbouring parent and child states in a pair's table."""
    if edge[e, FORM] == COLUMNS or edge[e, FORM] == SHARED_COLUMNS:
        return m, np.int64(1)
    return np.int64(1), n


@inner
def read_table(e, schedule, energies, beta, table):
    """table = beta · the edge's energies, dense, parent first; returns (parent states, entries per parent state)."""
    edge = schedule.edge
    n = schedule.position[edge[e, PARENT], STATES]
    m = schedule.position[edge[e, CHILD], STATES]
    at = edge[e, TABLE]
    if edge[e, FORM] == GENERAL:
        for p in range(edge[e, CHILD] + 1, edge[e, CHILD] + schedule.entries[at - 2]):
            m *= schedule.position[p, STATES]
        folds = schedule.entries[at - 1]
        for x in range(n * m):
            value = 0.0
            for _ in range(folds):
                if schedule.entries[at] >= 0:
                    value += energies[schedule.entries[at]]
                at += 1
            table[x] = beta * value
        return n, m
    down, across = _steps(e, n, m, edge)
    for i in range(n):
        for j in range(m):
            if edge[e, FORM] == POTTS:
                table[i * m + j] = 0.0 if i == j else beta * energies[at]
            else:
                table[i * m + j] = beta * energies[at + i * down + j * across]
    return n, m


@inner
def add_table(e, schedule, n, m, table, weight, gradient):
    """gradient += weight · table, spread over the edge's factors as `read_table` reads them."""
    edge = schedule.edge
    at = edge[e, TABLE]
    if edge[e, FORM] == GENERAL:
        folds = schedule.entries[at - 1]
        for x in range(n * m):
            for _ in range(folds):
                if schedule.entries[at] >= 0:
                    gradient[schedule.entries[at]] += weight * table[x]
                at += 1
        return
    down, across = _steps(e, n, m, edge)
    unequal = 0.0
    for i in range(n):
        for j in range(m):
            if edge[e, FORM] != POTTS:
                gradient[at + i * down + j * across] += weight * table[i * m + j]
            elif i != j:
                unequal += weight * table[i * m + j]
    if edge[e, FORM] == POTTS:
        gradient[at] += unequal


@inner
def add_children(e, schedule, n, m, alpha, table):
    """table += Σ α of the children."""
    child = schedule.edge[e, CHILD]
    children = children_of(e, schedule)
    for x in range(m):
        add = 0.0
        y = x
        for p in range(child + children - 1, child - 1, -1):
            add += alpha[schedule.position[p, SLOT] + y % schedule.position[p, STATES]]
            y //= schedule.position[p, STATES]
        for j in range(n):
            table[j * m + x] += add


@inner
def _share_children(e, schedule, n, m, table, probability):
    """Turn a table of costs into joint probabilities given those of the parent, and add up the children's."""
    parent = schedule.position[schedule.edge[e, PARENT], SLOT]
    child = schedule.edge[e, CHILD]
    children = children_of(e, schedule)
    for p in range(child, child + children):
        for i in range(schedule.position[p, STATES]):
            probability[schedule.position[p, SLOT] + i] = 0.0
    for j in range(n):
        share = probability[parent + j]
        norm = soft_minimum(table, j * m, m) if share > 0.0 else np.inf
        for x in range(m):
            value = share * math.exp(norm - table[j * m + x]) if norm < np.inf else 0.0
            table[j * m + x] = value
            y = x
            for p in range(child + children - 1, child - 1, -1):
                probability[schedule.position[p, SLOT] + y % schedule.position[p, STATES]] += value
                y //= schedule.position[p, STATES]


@inner
def write_marginals(c, schedule, probability, marginals, gradient, weight):
    """Copy the probabilities of single variables to the marginals, and weighted to the unary tables' gradients."""
    position = schedule.position
    for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
        for i in range(position[p, STATES]):
            value = probability[position[p, SLOT] + i]
            if marginals.size > 0:
                marginals[position[p, STATE] + i] = value
            if gradient.size > 0:
                for u in range(position[p, UNARY], position[p + 1, UNARY]):
                    gradient[schedule.unary[u] + i] += weight * value


@kernel
def sum_forests(components, schedule, energies, bias, beta, work, marginals, gradient, weight, free):
    """free[i] = free energy · beta of components[i].

    Fills marginals (variable states) and adds weight · P(configuration) to `gradient` where those have entries.
    work = (alpha, probability, table), float64.
    """
    alpha, probability, table = work
    position = schedule.position
    for i in range(components.size):
        c = components[i]
        start_free(c, schedule, energies, bias, beta, alpha)
        for e in range(schedule.component[c + 1, EDGE] - 1, schedule.component[c, EDGE] - 1, -1):
            n, m = read_table(e, schedule, energies, beta, table)
            add_children(e, schedule, n, m, alpha, table)
            parent = position[schedule.edge[e, PARENT], SLOT]
            for j in range(n):
                alpha[parent + j] += soft_minimum(table, j * m, m)
        root = schedule.component[c, FIRST]
        slot = position[root, SLOT]
        total = soft_minimum(alpha, slot, position[root, STATES])
        free[i] = total
        if total == np.inf or (marginals.size == 0 and gradient.size == 0):
            continue
        for k in range(position[root, STATES]):
            probability[slot + k] = math.exp(total - alpha[slot + k])
        for e in range(schedule.component[c, EDGE], schedule.component[c + 1, EDGE]):
            n, m = read_table(e, schedule, energies, beta, table)
            add_children(e, schedule, n, m, alpha, table)
            _share_children(e, schedule, n, m, table, probability)
            if gradient.size > 0:
                add_table(e, schedule, n, m, table, weight, gradient)
        write_marginals(c, schedule, probability, marginals, gradient, weight)
