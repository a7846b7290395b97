"""Exact draws of paths from P = exp(−E / T) / Z.

Without transitions a path is drawn from node 0 on, by the weight of all ways to the end that begin with an arc and a
state; with transitions from the end back, by that of all ways from the start that end with them: so are arcs, and
edges, sorted. Otherwise as draw.py.
"""

from __future__ import annotations

import math

import numpy as np

from .draw import entry_of, pick, write_beliefs
from .forest_sum import read_table, start_free
from .jit import inner, kernel
from .schedule import CHILD, EDGE, END, FIRST, NODES, PARENT, SLOT, START, STATE, STATES, VAR


@inner
def _weigh_arcs(c, schedule, alpha, node):
    """alpha = cost of all ways to the end that begin with (arc, state); returns that of all paths."""
    arc = schedule.arc
    position = schedule.position
    first = schedule.component[c, FIRST]
    last = schedule.component[c + 1, FIRST]
    nodes = schedule.component[c, NODES]
    for n in range(nodes):
        node[n] = np.inf
    node[nodes - 1] = 0.0
    while last > first:  # arcs that start at one node stand together, behind them those that start later
        n = arc[last - 1, START]
        begin = last
        least = np.inf
        while begin > first and arc[begin - 1, START] == n:
            begin -= 1
            for k in range(position[begin, SLOT], position[begin, SLOT] + position[begin, STATES]):
                alpha[k] += node[arc[begin, END]]
                least = min(least, alpha[k])
        if least < np.inf:
            total = 0.0
            for p in range(begin, last):
                for k in range(position[p, SLOT], position[p, SLOT] + position[p, STATES]):
                    total += math.exp(least - alpha[k])
            node[n] = least - math.log(total)
        last = begin
    return node[0]


@inner
def _weigh_transitions(c, schedule, energies, beta, work):
    """alpha = cost of all ways from the start that end with (arc, state); returns that of all paths."""
    alpha, least, total, table = work
    arc = schedule.arc
    position = schedule.position
    edge = schedule.edge
    sink = schedule.component[c, NODES] - 1
    last = schedule.component[c, EDGE]
    lowest = np.inf
    for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
        slot = position[p, SLOT]
        first = last
        while last < schedule.component[c + 1, EDGE] and edge[last, CHILD] == p:
            last += 1
        for j in range(position[p, STATES]):
            least[j] = 0.0 if arc[p, START] == 0 else np.inf
            total[j] = 1.0 if arc[p, START] == 0 else 0.0
        for again in range(2):
            for e in range(first, last):
                of = position[edge[e, PARENT], SLOT]
                n, m = read_table(e, schedule, energies, beta, table)
                for i in range(n):
                    for j in range(m):
                        way = alpha[of + i] + table[i * m + j]
                        if again == 0:
                            least[j] = min(least[j], way)
                        elif way < np.inf:
                            total[j] += math.exp(least[j] - way)
        for j in range(position[p, STATES]):
            alpha[slot + j] += least[j] - math.log(total[j]) if least[j] < np.inf else np.inf
            if arc[p, END] == sink:
                lowest = min(lowest, alpha[slot + j])
    if lowest == np.inf:
        return lowest
    mass = 0.0
    for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
        if arc[p, END] == sink:
            for j in range(position[p, STATES]):
                mass += math.exp(lowest - alpha[position[p, SLOT] + j])
    return lowest - math.log(mass)


@kernel
def weigh_lattices(components, schedule, energies, bias, work, beta, inward, free):
    """As `weigh_forests`; inward = α of `_weigh_arcs` or `_weigh_transitions`. work = (alpha, –, –, table), float64."""
    alpha, node, _, _ = work
    for i in range(components.size):
        c = components[i]
        start_free(c, schedule, energies, bias, beta, alpha)
        if schedule.component[c, EDGE] == schedule.component[c + 1, EDGE]:
            free[i] = _weigh_arcs(c, schedule, alpha, node)
        else:
            free[i] = _weigh_transitions(c, schedule, energies, beta, work)
        write_beliefs(c, schedule, alpha, inward)


@inner
def _draw_arcs(c, schedule, inward, uniforms, row, labels):
    """A path from node 0 on; its k-th arc takes the uniform of the k-th position."""
    arc = schedule.arc
    position = schedule.position
    turn = schedule.component[c, FIRST]
    p = turn
    n = np.int64(0)
    while n < schedule.component[c, NODES] - 1:
        while arc[p, START] < n:
            p += 1
        count = 0
        q = p
        while q < schedule.component[c + 1, FIRST] and arc[q, START] == n:
            for i in range(position[q, STATES]):
                row[count] = inward[position[q, STATE] + i]
                count += 1
            q += 1
        x = np.int64(pick(row, count, uniforms[position[turn, VAR]]))
        while x >= position[p, STATES]:
            x -= position[p, STATES]
            p += 1
        labels[position[p, VAR]] = x
        n = arc[p, END]
        turn += 1


@inner
def _first_edge(c, schedule, p):
    """First edge of component c whose later arc is at position p or behind it."""
    low = schedule.component[c, EDGE]
    high = schedule.component[c + 1, EDGE]
    while low < high:
        middle = (low + high) // 2
        if schedule.edge[middle, CHILD] < p:
            low = middle + 1
        else:
            high = middle
    return low


@inner
def _draw_back(c, schedule, energies, beta, inward, uniforms, row, labels):
    """A path from the end back; its k-th arc from the end takes the uniform of the k-th position."""
    arc = schedule.arc
    position = schedule.position
    edge = schedule.edge
    turn = schedule.component[c, FIRST]
    count = 0
    for q in range(turn, schedule.component[c + 1, FIRST]):
        if arc[q, END] == schedule.component[c, NODES] - 1:
            for i in range(position[q, STATES]):
                row[count] = inward[position[q, STATE] + i]
                count += 1
    j = np.int64(pick(row, count, uniforms[position[turn, VAR]]))
    p = turn
    while arc[p, END] != schedule.component[c, NODES] - 1 or j >= position[p, STATES]:
        if arc[p, END] == schedule.component[c, NODES] - 1:
            j -= position[p, STATES]
        p += 1
    labels[position[p, VAR]] = j
    while arc[p, START] > 0:
        turn += 1
        first = _first_edge(c, schedule, p)
        e = first
        count = 0
        m = position[p, STATES]
        while e < schedule.component[c + 1, EDGE] and edge[e, CHILD] == p:
            q = edge[e, PARENT]
            for i in range(position[q, STATES]):
                cost = beta * entry_of(e, schedule, energies, position[q, STATES], m, i, j)
                row[count] = inward[position[q, STATE] + i] + cost
                count += 1
            e += 1
        j = np.int64(pick(row, count, uniforms[position[turn, VAR]]))
        while j >= position[edge[first, PARENT], STATES]:
            j -= position[edge[first, PARENT], STATES]
            first += 1
        p = edge[first, PARENT]
        labels[position[p, VAR]] = j


@kernel
def draw_lattices(components, schedule, energies, beta, inward, uniforms, row, labels):
    """As `draw_forests`: labels of the arcs on one path per draw, −1 on the others."""
    for c in components:
        for d in range(uniforms.shape[0]):
            for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
                labels[d, schedule.position[p, VAR]] = -1
            if schedule.component[c, EDGE] == schedule.component[c + 1, EDGE]:
                _draw_arcs(c, schedule, inward, uniforms[d], row, labels[d])
            else:
                _draw_back(c, schedule, energies, beta, inward, uniforms[d], row, labels[d])
