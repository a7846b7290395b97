"""Sweep orders of forest and lattice components, and the columns in which kernels read them.

In a forest, positions run breadth-first from a root and edges in the order in which the sweep away from the root
meets them; the other variables of an edge's scope are neighbours: positions CHILD, CHILD + 1, …. In a lattice,
positions are arcs sorted by (start, end), and edges are consecutive arcs (PARENT the earlier) sorted by the later.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .jit import inner, kernel
from .structure import KIND, LATTICE, OFFSET, SCOPE
from .tables import POTTS

#: Columns of Schedule.component: first position, first edge, nodes of a lattice.
FIRST, EDGE, NODES = range(3)

#: Columns of Schedule.position: variable, its states, start of its belief (local to the component, padded to 16),
#: its first variable state, start of its unary tables in `unary`.
VAR, STATES, SLOT, STATE, UNARY = range(5)

#: Columns of Schedule.arc: nodes where the arc at a position starts and ends.
START, END = range(2)

#: Columns of Schedule.edge: two positions; how its message is computed (see messages.py); where its table starts in the
#: energies; its blocked copies with rows of child and of parent states (SHARED_*); start of its message to the parent
#: (local to the component, padded to 16). For GENERAL edges TABLE points into `entries`, UP to a dense table among the
#: copies. What sweeps want to know of a copy is written in the HEAD entries before it.
PARENT, CHILD, FORM, TABLE, UP, DOWN, SIDE = range(7)
HEAD = 16


#: Columns of Schedule.run: the root's unary table and the step from each position's to the next (0: no run), copies of
#: the one table of all edges, step between the positions' variable states.
RUN_UNARY, RUN_STEP, RUN_UP, RUN_DOWN, RUN_TURN = range(5)


class Schedule(NamedTuple):
    """int64 arrays: component (C + 1, 3), position (P + 1, 5), edge (E, 7), unary (starts of unary tables in the
    energies), entries, arc (P + 1, 2), run (C, 5).

    A GENERAL edge has at entries[TABLE − 2] the number of its children (positions CHILD, CHILD + 1, …), at
    entries[TABLE − 1] that of its folded factors, and from TABLE on, per entry (parent first, last child fastest) and
    factor, an index of the energies (−1: the constant 0). arc has no rows where there is no lattice.
    """

    component: np.ndarray
    position: np.ndarray
    edge: np.ndarray
    unary: np.ndarray
    entries: np.ndarray
    arc: np.ndarray
    run: np.ndarray


@kernel
def incidence(factors, same, swept, cursor, out):
    """Distinct edges of each variable in swept components, written from out[cursor[v]] on (cursor moves)."""
    row = factors.row
    for c in range(swept.size):
        if not swept[c]:
            continue
        for f in range(factors.first[c], factors.first[c + 1]):
            if row[f + 1, SCOPE] - row[f, SCOPE] < 2 or (same.size > 0 and same[f] != f):
                continue
            for e in range(row[f, SCOPE], row[f + 1, SCOPE]):
                v = factors.var[e]
                out[cursor[v]] = f
                cursor[v] += 1


@kernel
def sweep_forests(factors, kinds, roots, incident, schedule, place, edge, via):
    """Breadth-first order of all forest components from their roots.

    incident = (pointers, factors) of each variable. Fills VAR, PARENT, CHILD; place[v] = position of v, edge[e] = row
    of Factors, via[p] (given as −1) = the factor that led to position p.
    """
    row = factors.row
    vptr, vfac = incident
    for c in range(kinds.size):
        if kinds[c] >= LATTICE:
            continue
        head = schedule.component[c, FIRST]
        e = schedule.component[c, EDGE]
        schedule.position[head, VAR] = roots[c]
        place[roots[c]] = head
        tail = head + 1
        while head < tail:
            v = schedule.position[head, VAR]
            for i in range(vptr[v], vptr[v + 1]):
                f = vfac[i]
                if f == via[head]:
                    continue
                edge[e] = f
                schedule.edge[e, PARENT] = head
                schedule.edge[e, CHILD] = tail
                e += 1
                for k in range(row[f, SCOPE], row[f + 1, SCOPE]):
                    u = factors.var[k]
                    if u != v:
                        schedule.position[tail, VAR] = u
                        place[u] = tail
                        via[tail] = f
                        tail += 1
            head += 1


@kernel
def sweep_lattices(factors, same, kinds, arcs, schedule, place, edge, cursor):
    """Positions and edges of lattice components; `arcs` are their variables sorted by (component, start, end).

    cursor int64: work space, one entry more than the largest component has positions.
    """
    row = factors.row
    i = 0
    for c in range(kinds.size):
        if kinds[c] != LATTICE:
            continue
        base = schedule.component[c, FIRST]
        for p in range(base, schedule.component[c + 1, FIRST]):
            schedule.position[p, VAR] = arcs[i]
            place[arcs[i]] = p
            i += 1
        size = schedule.component[c + 1, FIRST] - base + 1
        cursor[:size] = 0
        cursor[0] = schedule.component[c, EDGE]
        for write in range(2):
            for f in range(factors.first[c], factors.first[c + 1]):
                if row[f + 1, SCOPE] - row[f, SCOPE] != 2 or (same.size > 0 and same[f] != f):
                    continue
                b = place[factors.var[row[f, SCOPE] + 1]]
                if write == 0:
                    cursor[b - base + 1] += 1
                    continue
                e = cursor[b - base]
                cursor[b - base] += 1
                edge[e] = f
                schedule.edge[e, PARENT] = place[factors.var[row[f, SCOPE]]]
                schedule.edge[e, CHILD] = b
            if write == 0:
                for p in range(1, size):
                    cursor[p] += cursor[p - 1]


@inner
def _entry_index(factors, place, schedule, e, children, f, x):
    """Index in the energies of entry x (parent first, last child fastest) of edge e, as factor f stores it."""
    row = factors.row
    first = row[f, SCOPE]
    last = row[f + 1, SCOPE]
    q = row[f, OFFSET]
    parent = schedule.edge[e, PARENT]
    child = schedule.edge[e, CHILD]
    before = np.int64(0)
    for k in range(first, last):
        p = place[factors.var[k]]
        digit = x
        i = children - 1
        while i >= 0 and child + i != p:
            digit //= schedule.position[child + i, STATES]
            i -= 1
        if p != parent:
            digit %= schedule.position[p, STATES]
        if row[f, KIND] == POTTS:
            if k > first and before == digit:
                return -1
            before = digit
        else:
            step = np.int64(1)
            for j in range(k + 1, last):
                step *= schedule.position[place[factors.var[j]], STATES]
            q += step * digit
    return q


@kernel
def place_general(factors, place, schedule, general, edge, following, index):
    """Write `entries` for the listed general edges; following[f] is the next factor folded into the same edge, or −1.

    entries[TABLE − 2] and entries[TABLE − 1] of each are there already.
    """
    for e in general:
        at = schedule.edge[e, TABLE]
        children = index[at - 2]
        size = schedule.position[schedule.edge[e, PARENT], STATES]
        for i in range(children):
            size *= schedule.position[schedule.edge[e, CHILD] + i, STATES]
        for x in range(size):
            f = edge[e]
            while f >= 0:
                index[at] = _entry_index(factors, place, schedule, e, children, f, x)
                at += 1
                f = following[f]
