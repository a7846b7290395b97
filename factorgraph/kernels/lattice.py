"""Exact answers on lattices: the best path, or the sum over all of them, through an acyclic graph of arcs.

    without transitions   N[end] = min over arcs of N[start] + min_k arc energy(k)           (lattice_arcs.py)
    with transitions      α[b, j] = arc energy(b, j) + min over a → b, i of α[a, i] + table(i, j)

(for the sum, min is −log Σ exp −). Node 0 is where every path starts and the last node where it ends. Beliefs are
float64. A lattice component without any arc has no path: its minimum is +inf.
"""

from __future__ import annotations

import math

import numpy as np

from .forest_sum import add_table, read_table, soft_minimum, start_free, write_marginals
from .jit import inner, kernel
from .lattice_arcs import add_labels, best_path, reads_tables, soft_add, sum_paths, write_labels
from .schedule import CHILD, EDGE, END, FIRST, NODES, PARENT, SLOT, START, STATES, VAR


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
def minimise_lattices(components, schedule, energies, bias, masks, work, labels, minimum):
    """Minimum of every listed component; labels of arcs on the best path, −1 elsewhere.

    masks as by `padding_mask`, of the energies' dtype and of float64. work = (alpha, own, node, back, table): beliefs
    (with slack), arcs', nodes' or beliefs' values, back-pointers (int64, two per belief), one edge's table.
    """
    alpha, own, node, back, table = work
    mask, wide = masks
    for i in range(components.size):
        c = components[i]
        for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
            labels[schedule.position[p, VAR]] = -1
        if schedule.component[c, EDGE] < schedule.component[c + 1, EDGE]:
            start_free(c, schedule, energies, bias, 1.0, alpha)
            minimum[i] = _minimise_transitions(c, schedule, energies, alpha, node, back, table, labels)
        elif reads_tables(c, schedule, bias):
            minimum[i] = best_path(c, schedule, energies, True, mask, own, node, labels)
        else:
            start_free(c, schedule, energies, bias, 1.0, alpha)
            minimum[i] = best_path(c, schedule, alpha, False, wide, own, node, labels)


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
                    node[slot + j] = soft_add(node[slot + j], through)
            e += 1
        for j in range(states):
            own = alpha[slot + j]
            alpha[slot + j] = own + node[slot + j]
            node[slot + j] = own
        if arc[p, END] == sink:
            free = soft_add(free, soft_minimum(alpha, slot, states))
    for e in range(schedule.component[c + 1, EDGE] - 1, schedule.component[c, EDGE] - 1, -1):
        before = position[edge[e, PARENT], SLOT]
        after = position[edge[e, CHILD], SLOT]
        n, m = read_table(e, schedule, energies, beta, table)
        for i in range(n):
            for j in range(m):
                way = table[i * m + j] + node[after + j] + ahead[after + j]
                ahead[before + i] = soft_add(ahead[before + i], way)
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


@inner
def _write_transitions(c, schedule, energies, beta, free, work, gradient, weight):
    """alpha = P(arc, state); posteriors of consecutive arcs are added to the gradient, where that has entries."""
    alpha, _, ahead, _ = work
    if gradient.size > 0:
        _share_transitions(c, schedule, energies, beta, free, work, gradient, weight)
    for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
        slot = schedule.position[p, SLOT]
        for x in range(slot, slot + schedule.position[p, STATES]):
            alpha[x] = math.exp(free - (alpha[x] + ahead[x]))


@kernel
def sum_lattices(components, schedule, energies, bias, beta, masks, work, into, weight, free):
    """free[i] = free energy · beta over all paths; posteriors of arcs and consecutive arcs as in `sum_forests`.

    masks as in `minimise_lattices`; into = (marginals, gradient). work = (alpha, node, ahead, table), float64, alpha
    with slack; (own, total, weight) per arc with slack; share, the same as float64: beliefs with slack.
    """
    (alpha, node, ahead, table), (own, total, chance), share, broad = work
    marginals, gradient = into
    mask, wide = masks
    single = 1e-6 < beta < 1e6  # elsewhere beta has no place in the vectors of float32
    for i in range(components.size):
        c = components[i]
        paired = schedule.component[c, EDGE] < schedule.component[c + 1, EDGE]
        direct = not paired and single and reads_tables(c, schedule, bias)
        if direct:
            free[i] = sum_paths(c, schedule, energies, True, beta, mask, (own, total, chance, node, share))
        else:
            start_free(c, schedule, energies, bias, beta if paired else 1.0, alpha)
            if paired:
                free[i] = _sum_transitions(c, schedule, energies, beta, (alpha, node, ahead, table))
            else:
                free[i] = sum_paths(c, schedule, alpha, False, beta, wide, (own, total, chance, node, broad))
        if free[i] == np.inf or (marginals.size == 0 and gradient.size == 0):
            continue
        if direct and marginals.size == 0:
            add_labels(c, schedule, share, chance, weight, gradient)
            continue
        if paired:
            _write_transitions(c, schedule, energies, beta, free[i], (alpha, node, ahead, table), gradient, weight)
        elif direct:
            write_labels(c, schedule, share, chance, alpha)
        else:
            write_labels(c, schedule, broad, chance, alpha)
        write_marginals(c, schedule, alpha, marginals, gradient, weight)
