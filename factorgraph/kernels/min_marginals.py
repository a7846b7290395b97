"""Least energy of every state of every variable (min-marginals): marginals in the min-plus semiring.

Forests, for an edge between a parent (state j) and its children (joint states x):

    c(j, x)    = table(j, x) + Σ α_child(x_child)
    m(j)       = min_x c(j, x),     α_parent(j) += m(j)                                            on the way up
    μ_child(i) = min over j and the x that have i of c(j, x) + (μ_parent(j) − m(j)),  μ_root = α_root       and down

Where m(j) is +inf, nothing below goes with j and the bracket is +inf: inf − inf never appears. Lattices: the best way
to an arc plus the best way on from it. All in float64 (Dawid 1992; Wainwright, Jaakkola, Jordan 2004).
"""

from __future__ import annotations

import numpy as np

from .draw import write_beliefs
from .forest_sum import add_children, children_of, read_table, start_free
from .jit import inner, kernel
from .schedule import CHILD, EDGE, END, FIRST, NODES, PARENT, SLOT, START, STATES


@inner
def _least(values, start, count):
    least = values[start]
    for i in range(1, count):
        least = min(least, values[start + i])
    return least


@inner
def _bring_down(e, schedule, n, m, table, bracket, belief):
    """Turn the children's α into μ, given μ of the parent; table = c."""
    position = schedule.position
    parent = position[schedule.edge[e, PARENT], SLOT]
    child = schedule.edge[e, CHILD]
    children = children_of(e, schedule)
    for j in range(n):
        message = _least(table, j * m, m)
        bracket[j] = belief[parent + j] - message if message < np.inf else np.inf
    for p in range(child, child + children):
        for i in range(position[p, STATES]):
            belief[position[p, SLOT] + i] = np.inf
    for x in range(m):
        value = np.inf
        for j in range(n):
            value = min(value, table[j * m + x] + bracket[j])
        y = x
        for p in range(child + children - 1, child - 1, -1):
            i = position[p, SLOT] + y % position[p, STATES]
            belief[i] = min(belief[i], value)
            y //= position[p, STATES]


@kernel
def forest_min_marginals(components, schedule, energies, bias, work, out, minimum):
    """out = min-marginals of components' variable states; minimum[i] belongs to components[i].

    work = (belief, scratch, –, table), float64.
    """
    belief, bracket, _, table = work
    position = schedule.position
    for i in range(components.size):
        c = components[i]
        start_free(c, schedule, energies, bias, 1.0, belief)
        for e in range(schedule.component[c + 1, EDGE] - 1, schedule.component[c, EDGE] - 1, -1):
            n, m = read_table(e, schedule, energies, 1.0, table)
            add_children(e, schedule, n, m, belief, table)
            parent = position[schedule.edge[e, PARENT], SLOT]
            for j in range(n):
                belief[parent + j] += _least(table, j * m, m)
        root = schedule.component[c, FIRST]
        minimum[i] = _least(belief, position[root, SLOT], position[root, STATES])
        for e in range(schedule.component[c, EDGE], schedule.component[c + 1, EDGE]):
            n, m = read_table(e, schedule, energies, 1.0, table)
            add_children(e, schedule, n, m, belief, table)
            _bring_down(e, schedule, n, m, table, bracket, belief)
        write_beliefs(c, schedule, belief, out)


@inner
def _through_arcs(c, schedule, belief, node, ahead):
    """Best path through every (arc, state) where arcs do not depend on each other; returns the best of all."""
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
        own = _least(belief, position[p, SLOT], position[p, STATES])
        node[arc[p, END]] = min(node[arc[p, END]], node[arc[p, START]] + own)
    for p in range(last - 1, first - 1, -1):
        own = _least(belief, position[p, SLOT], position[p, STATES])
        ahead[arc[p, START]] = min(ahead[arc[p, START]], own + ahead[arc[p, END]])
    for p in range(first, last):
        for j in range(position[p, STATES]):
            belief[position[p, SLOT] + j] += node[arc[p, START]] + ahead[arc[p, END]]
    return node[nodes - 1]


@inner
def _through_transitions(c, schedule, energies, work):
    """The same where consecutive arcs interact: before and ahead of every (arc, state)."""
    belief, before, ahead, table = work
    arc = schedule.arc
    position = schedule.position
    edge = schedule.edge
    sink = schedule.component[c, NODES] - 1
    e = schedule.component[c, EDGE]
    for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
        slot = position[p, SLOT]
        for j in range(position[p, STATES]):
            before[slot + j] = 0.0 if arc[p, START] == 0 else np.inf
            ahead[slot + j] = 0.0 if arc[p, END] == sink else np.inf
        while e < schedule.component[c + 1, EDGE] and edge[e, CHILD] == p:
            of = position[edge[e, PARENT], SLOT]
            n, m = read_table(e, schedule, energies, 1.0, table)
            for i in range(n):
                way = before[of + i] + belief[of + i]
                for j in range(m):
                    before[slot + j] = min(before[slot + j], way + table[i * m + j])
            e += 1
    for e in range(schedule.component[c + 1, EDGE] - 1, schedule.component[c, EDGE] - 1, -1):
        of = position[edge[e, PARENT], SLOT]
        to = position[edge[e, CHILD], SLOT]
        n, m = read_table(e, schedule, energies, 1.0, table)
        for i in range(n):
            for j in range(m):
                ahead[of + i] = min(ahead[of + i], table[i * m + j] + (belief[to + j] + ahead[to + j]))
    least = np.inf
    for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
        for j in range(position[p, SLOT], position[p, SLOT] + position[p, STATES]):
            belief[j] += before[j] + ahead[j]
            least = min(least, belief[j])
    return least


@kernel
def lattice_min_marginals(components, schedule, energies, bias, work, out, minimum):
    """out = least energy of a path through every (arc, state); otherwise as `forest_min_marginals`.

    work = (belief, node, ahead, table), float64.
    """
    belief, node, ahead, _ = work
    for i in range(components.size):
        c = components[i]
        start_free(c, schedule, energies, bias, 1.0, belief)
        if schedule.component[c, EDGE] == schedule.component[c + 1, EDGE]:
            minimum[i] = _through_arcs(c, schedule, belief, node, ahead)
        else:
            minimum[i] = _through_transitions(c, schedule, energies, work)
        write_beliefs(c, schedule, belief, out)
