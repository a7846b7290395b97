"""Exact answers on lattices: the best path, or the sum over all of them, through an acyclic graph of arcs.

    without transitions   N[end] = min over arcs of N[start] + min_k arc energy(k)
    with transitions      α[b, j] = arc energy(b, j) + min over a → b, i of α[a, i] + table(i, j)

(for the sum, min is −log Σ exp −). Node 0 is where every path starts and the last node where it ends. Beliefs are
float64. A lattice component without any arc has no path: its minimum is +inf.
"""

from __future__ import annotations

import math

import numpy as np

from .forest_sum import add_table, read_table, soft_minimum, start_free, write_marginals
from .jit import inner, kernel
from .schedule import CHILD, EDGE, END, FIRST, NODES, PARENT, SLOT, START, STATES, VAR


@inner
def _soft_add(a, b):
    """−log(exp(−a) + exp(−b))."""
    if a == np.inf:
        return b
    if b == np.inf:
        return a
    if a < b:
        return a - math.log1p(math.exp(a - b))
    return b - math.log1p(math.exp(b - a))


@inner
def _least(values, start, count):
    at = 0
    for i in range(1, count):
        if values[start + i] < values[start + at]:
            at = i
    return at


@inner
def _minimise_arcs(c, schedule, alpha, node, back, labels):
    """Best path where arcs do not depend on each other."""
    arc = schedule.arc
    position = schedule.position
    sink = schedule.component[c, NODES] - 1
    for n in range(sink + 1):
        node[n] = np.inf
    node[0] = 0.0
    for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
        slot = position[p, SLOT]
        value = node[arc[p, START]] + alpha[slot + _least(alpha, slot, position[p, STATES])]
        if value < node[arc[p, END]]:
            node[arc[p, END]] = value
            back[arc[p, END]] = p
    n = sink
    while node[sink] < np.inf and n > 0:
        p = back[n]
        labels[position[p, VAR]] = _least(alpha, position[p, SLOT], position[p, STATES])
        n = arc[p, START]
    return node[sink]


@inner
def _minimise_transitions(c, schedule, energies, alpha, node, back, table, labels):
    """Best path where consecutive arcs interact; back[2x], back[2x + 1] = position and label before belief x."""
    arc = schedule.arc
    position = schedule.position
    edge = schedule.edge
    sink = schedule.component[c, NODES] - 1
    best = np.inf
    at = np.int64(-1)
    label = np.int64(-1)
    e = schedule.component[c, EDGE]
    for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
        slot = position[p, SLOT]
        states = position[p, STATES]
        for j in range(states):
            node[slot + j] = 0.0 if arc[p, START] == 0 else np.inf
            back[2 * (slot + j)] = -1
        while e < schedule.component[c + 1, EDGE] and edge[e, CHILD] == p:
            q = edge[e, PARENT]
            read_table(e, schedule, energies, 1.0, table)
            for i in range(position[q, STATES]):
                before = alpha[position[q, SLOT] + i]
                for j in range(states):
                    value = before + table[i * states + j]
                    if value < node[slot + j]:
                        node[slot + j] = value
                        back[2 * (slot + j)] = q
                        back[2 * (slot + j) + 1] = i
            e += 1
        for j in range(states):
            alpha[slot + j] += node[slot + j]
            if arc[p, END] == sink and alpha[slot + j] < best:
                best = alpha[slot + j]
                at = p
                label = j
    while at >= 0:
        labels[position[at, VAR]] = label
        b = 2 * (position[at, SLOT] + label)
        at = back[b]
        label = back[b + 1]
    return best


@kernel
def minimise_lattices(components, schedule, energies, bias, work, labels, minimum):
    """Minimum of every listed component; labels of arcs on the best path, −1 elsewhere.

    work = (alpha, node, back, table): beliefs, node values, back-pointers (int64, two per belief), one edge's table.
    """
    alpha, node, back, table = work
    for i in range(components.size):
        c = components[i]
        for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
            labels[schedule.position[p, VAR]] = -1
        start_free(c, schedule, energies, bias, 1.0, alpha)
        if schedule.component[c, EDGE] == schedule.component[c + 1, EDGE]:
            minimum[i] = _minimise_arcs(c, schedule, alpha, node, back, labels)
        else:
            minimum[i] = _minimise_transitions(c, schedule, energies, alpha, node, back, table, labels)


@inner
def _sum_arcs(c, schedule, alpha, node, ahead):
    """Free energy where arcs do not depend on each other; alpha becomes the cost of all paths through (arc, state)."""
    arc = schedule.arc
    position = schedule.position
    first = schedule.component[c, FIRST]
    last = schedule.component[c + 1, FIRST]
    nodes = schedule.component[c, NODES]
    for n in range(nodes):
        node[n] = np.inf
        ahead[n] = np.inf
    node[0] = 0.0
    ahead[nodes - 1] = 0.0
    for p in range(first, last):
        own = soft_minimum(alpha, position[p, SLOT], position[p, STATES])
        node[arc[p, END]] = _soft_add(node[arc[p, END]], node[arc[p, START]] + own)
    for p in range(last - 1, first - 1, -1):
        own = soft_minimum(alpha, position[p, SLOT], position[p, STATES])
        ahead[arc[p, START]] = _soft_add(ahead[arc[p, START]], ahead[arc[p, END]] + own)
    for p in range(first, last):
        for j in range(position[p, STATES]):
            alpha[position[p, SLOT] + j] += node[arc[p, START]] + ahead[arc[p, END]]
    return node[nodes - 1]


@inner
def _sum_transitions(c, schedule, energies, beta, work):
    """Free energy where consecutive arcs interact.

    Leaves alpha = cost of all paths up to and including (arc, state), node = the arc's own energy, ahead = cost of
    all ways on from it.
    """
    alpha, node, ahead, table = work
    arc = schedule.arc
    position = schedule.position
    edge = schedule.edge
    sink = schedule.component[c, NODES] - 1
    free = np.inf
    e = schedule.component[c, EDGE]
    for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
        slot = position[p, SLOT]
        states = position[p, STATES]
        for j in range(states):
            node[slot + j] = 0.0 if arc[p, START] == 0 else np.inf
            ahead[slot + j] = 0.0 if arc[p, END] == sink else np.inf
        while e < schedule.component[c + 1, EDGE] and edge[e, CHILD] == p:
            q = edge[e, PARENT]
            read_table(e, schedule, energies, beta, table)
            for i in range(position[q, STATES]):
                for j in range(states):
                    through = alpha[position[q, SLOT] + i] + table[i * states + j]
                    node[slot + j] = _soft_add(node[slot + j], through)
            e += 1
        for j in range(states):
            own = alpha[slot + j]
            alpha[slot + j] = own + node[slot + j]
            node[slot + j] = own
        if arc[p, END] == sink:
            free = _soft_add(free, soft_minimum(alpha, slot, states))
    for e in range(schedule.component[c + 1, EDGE] - 1, schedule.component[c, EDGE] - 1, -1):
        before = position[edge[e, PARENT], SLOT]
        after = position[edge[e, CHILD], SLOT]
        n, m = read_table(e, schedule, energies, beta, table)
        for i in range(n):
            for j in range(m):
                way = table[i * m + j] + node[after + j] + ahead[after + j]
                ahead[before + i] = _soft_add(ahead[before + i], way)
    return free


@inner
def _share_transitions(c, schedule, energies, beta, free, work, gradient, weight):
    """gradient += weight · P(consecutive arcs, their states)."""
    alpha, node, ahead, table = work
    position = schedule.position
    for e in range(schedule.component[c, EDGE], schedule.component[c + 1, EDGE]):
        before = position[schedule.edge[e, PARENT], SLOT]
        after = position[schedule.edge[e, CHILD], SLOT]
        n, m = read_table(e, schedule, energies, beta, table)
        for i in range(n):
            for j in range(m):
                x = i * m + j
                table[x] = math.exp(free - alpha[before + i] - table[x] - node[after + j] - ahead[after + j])
        add_table(e, schedule, n, m, table, weight, gradient)


@kernel
def sum_lattices(components, schedule, energies, bias, beta, work, marginals, gradient, weight, free):
    """free[i] = free energy · beta over all paths; posteriors of arcs and consecutive arcs as in `sum_forests`.

    work = (alpha, node, ahead, table), float64.
    """
    alpha, node, ahead, table = work
    position = schedule.position
    for i in range(components.size):
        c = components[i]
        start_free(c, schedule, energies, bias, beta, alpha)
        paired = schedule.component[c, EDGE] < schedule.component[c + 1, EDGE]
        if paired:
            total = _sum_transitions(c, schedule, energies, beta, work)
        else:
            total = _sum_arcs(c, schedule, alpha, node, ahead)
        free[i] = total
        if total == np.inf or (marginals.size == 0 and gradient.size == 0):
            continue
        if paired and gradient.size > 0:
            _share_transitions(c, schedule, energies, beta, total, work, gradient, weight)
        for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
            slot = position[p, SLOT]
            for j in range(position[p, STATES]):
                through = alpha[slot + j] + (ahead[slot + j] if paired else 0.0)
                alpha[slot + j] = math.exp(total - through)
        write_marginals(c, schedule, alpha, marginals, gradient, weight)
