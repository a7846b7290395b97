"""Exact draws from P = exp(−E / T) / Z: weigh once, then draw top-down as often as asked.

Forests: α of one sweep up (see forest_sum.py) is the −log weight of everything below a state, so that

    root ~ exp(−α_root),     children | parent = j  ~  exp(−(table(j, ·) + Σ α_child) / T)

(forward filtering, backward sampling: Carter and Kohn 1994; Frühwirth-Schnatter 1994). Randomness comes in as uniforms
in [0, 1), one per draw and variable: a draw is a function of its own row only.
"""

from __future__ import annotations

import math

import numpy as np

from .forest_sum import add_children, children_of, read_table, soft_minimum, start_free
from .jit import inner, kernel
from .messages import COLUMNS, GENERAL, POTTS, SHARED_COLUMNS
from .schedule import CHILD, EDGE, FIRST, FORM, PARENT, SLOT, STATE, STATES, TABLE, VAR


@inner
def pick(costs, count, uniform):
    """x < count with probability ∝ exp(−costs[x]); costs become weights. Never one of weight 0, if any has more."""
    least = costs[0]
    for x in range(1, count):
        least = min(least, costs[x])
    total = 0.0
    at = 0
    for x in range(count):
        costs[x] = math.exp(least - costs[x]) if costs[x] < np.inf else 0.0
        total += costs[x]
        if costs[x] > 0.0:
            at = x
    below = 0.0
    for x in range(count):
        below += costs[x]
        if uniform * total < below:
            return x
    return at


@inner
def entry_of(e, schedule, energies, n, m, j, x):
    """The edge's energy at parent state j and joint state x of its children, the last fastest."""
    at = schedule.edge[e, TABLE]
    form = schedule.edge[e, FORM]
    value = 0.0
    if form == GENERAL:
        folds = schedule.entries[at - 1]
        for k in range(at + (j * m + x) * folds, at + (j * m + x + 1) * folds):
            if schedule.entries[k] >= 0:
                value += energies[schedule.entries[k]]
    elif form == POTTS:
        if j != x:
            value += energies[at]
    elif form == COLUMNS or form == SHARED_COLUMNS:
        value += energies[at + j * m + x]
    else:
        value += energies[at + x * n + j]
    return value


@inner
def write_beliefs(c, schedule, alpha, inward):
    """Copy beliefs to the variable states."""
    position = schedule.position
    for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
        for i in range(position[p, STATES]):
            inward[position[p, STATE] + i] = alpha[position[p, SLOT] + i]


@kernel
def weigh_forests(components, schedule, energies, bias, work, beta, inward, free):
    """inward (variable states) = α of the listed components; free[i] = free energy · beta of components[i].

    work = (alpha, –, –, table), float64.
    """
    alpha, _, _, table = work
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
        free[i] = soft_minimum(alpha, position[root, SLOT], position[root, STATES])
        write_beliefs(c, schedule, alpha, inward)


@inner
def _draw_children(e, schedule, energies, beta, inward, uniforms, row, labels):
    """Label the children of an edge whose parent has its label."""
    position = schedule.position
    parent = schedule.edge[e, PARENT]
    child = schedule.edge[e, CHILD]
    last = child + children_of(e, schedule) - 1
    m = np.int64(1)
    for p in range(child, last + 1):
        m *= position[p, STATES]
    j = np.int64(labels[position[parent, VAR]])
    n = position[parent, STATES]
    form = schedule.edge[e, FORM]
    if form == GENERAL or form == POTTS:
        for x in range(m):
            row[x] = beta * entry_of(e, schedule, energies, n, m, j, x)
    else:  # `entry_of` with its branches taken once: three times as fast
        rows = form == COLUMNS or form == SHARED_COLUMNS
        at = schedule.edge[e, TABLE] + (j * m if rows else j)
        stride = np.int64(1) if rows else n
        for x in range(m):
            row[x] = beta * energies[at + x * stride]
    step = np.int64(1)  # between joint states that differ by one in the state of p
    for p in range(last, child - 1, -1):
        x = 0
        while x < m:
            for i in range(position[p, STATES]):
                for _ in range(step):
                    row[x] += inward[position[p, STATE] + i]
                    x += 1
        step *= position[p, STATES]
    x = np.int64(pick(row, m, uniforms[position[child, VAR]]))
    for p in range(last, child - 1, -1):
        labels[position[p, VAR]] = x % position[p, STATES]
        x //= position[p, STATES]


@kernel
def draw_forests(components, schedule, energies, beta, inward, uniforms, row, labels):
    """labels[d] (V,) of the listed components, from uniforms[d] (V,) and `inward` as `weigh_forests` leaves it."""
    position = schedule.position
    for c in components:
        root = schedule.component[c, FIRST]
        v = position[root, VAR]
        for d in range(uniforms.shape[0]):
            for i in range(position[root, STATES]):
                row[i] = inward[position[root, STATE] + i]
            one = uniforms[d]
            drawn = labels[d]
            drawn[v] = pick(row, position[root, STATES], one[v])
            for e in range(schedule.component[c, EDGE], schedule.component[c + 1, EDGE]):
                _draw_children(e, schedule, energies, beta, inward, one, row, drawn)
