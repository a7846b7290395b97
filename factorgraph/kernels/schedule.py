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
#: its first variable state, start of its unary tables in `unary`, nodes of an arc.
VAR, STATES, SLOT, STATE, UNARY, START, END = range(7)

#: Columns of Schedule.edge: positions; how its message is computed (see messages.py); where its table starts in the
#: energies (in `index` if GENERAL); distance of neighbouring parent and child states there; its padded copies with
#: rows of child and of parent states (forms SHARED and GENERAL); other variables in scope; folded factors.
PARENT, CHILD, FORM, TABLE, PSTEP, CSTEP, UP, DOWN, CHILDREN, FOLDS = range(10)


class Schedule(NamedTuple):
    """int64 arrays: component (C + 1, 3), position (P + 1, 7), edge (E, 10), unary (starts of unary tables in the
    energies), index (of GENERAL edges: energies of each entry, parent first, one per folded factor; −1 is the constant
    0)."""

    component: np.ndarray
    position: np.ndarray
    edge: np.ndarray
    unary: np.ndarray
    index: np.ndarray


@kernel
def incidence(factors, same, swept, ptr, out):
    """Distinct edges of each variable in swept components: out[ptr[v] : ptr[v + 1]] are factors; ptr holds counts."""
    row = factors.row
    cursor = ptr[:-1].copy()
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
def sweep_forests(factors, kinds, roots, vptr, vfac, schedule, place, edge):
    """Breadth-first order of all forest components from their roots.

    Fills VAR, PARENT, CHILD, CHILDREN; place[v] = position of v, edge[e] = row of Factors.
    """
    row = factors.row
    seen = np.zeros(row.shape[0], np.uint8)
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
                if seen[f]:
                    continue
                seen[f] = 1
                edge[e] = f
                schedule.edge[e, PARENT] = head
                schedule.edge[e, CHILD] = tail
                schedule.edge[e, CHILDREN] = row[f + 1, SCOPE] - row[f, SCOPE] - 1
                e += 1
                for k in range(row[f, SCOPE], row[f + 1, SCOPE]):
                    u = factors.var[k]
                    if u != v:
                        schedule.position[tail, VAR] = u
                        place[u] = tail
                        tail += 1
            head += 1


@kernel
def sweep_lattices(factors, same, kinds, arcs, schedule, place, edge):
    """Positions and edges of lattice components; `arcs` are their variables sorted by (component, start, end)."""
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
        cursor = np.zeros(schedule.component[c + 1, FIRST] - base + 1, np.int64)
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
                schedule.edge[e, CHILDREN] = 1
            if write == 0:
                for p in range(1, cursor.size):
                    cursor[p] += cursor[p - 1]


@kernel
def place_slots(schedule, states, offsets, padding):
    """STATES, STATE and SLOT of all positions; returns the widest component's belief entries."""
    widest = 0
    for c in range(schedule.component.shape[0] - 1):
        slot = 0
        for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
            v = schedule.position[p, VAR]
            schedule.position[p, STATES] = states[v]
            schedule.position[p, STATE] = offsets[v]
            schedule.position[p, SLOT] = slot
            slot += (states[v] + padding - 1) // padding * padding
        widest = max(widest, slot)
    return widest


@kernel
def place_unaries(factors, place, schedule):
    """UNARY of all positions and the unary tables themselves, in the order of declaration."""
    row = factors.row
    count = schedule.position.shape[0]
    for f in range(row.shape[0] - 1):
        if row[f + 1, SCOPE] - row[f, SCOPE] == 1 and place[factors.var[row[f, SCOPE]]] >= 0:
            schedule.position[place[factors.var[row[f, SCOPE]]] + 1, UNARY] += 1
    for p in range(1, count):
        schedule.position[p, UNARY] += schedule.position[p - 1, UNARY]
    cursor = schedule.position[:, UNARY].copy()
    for f in range(row.shape[0] - 1):
        if row[f + 1, SCOPE] - row[f, SCOPE] == 1 and place[factors.var[row[f, SCOPE]]] >= 0:
            p = place[factors.var[row[f, SCOPE]]]
            schedule.unary[cursor[p]] = row[f, OFFSET]
            cursor[p] += 1


@kernel
def place_steps(factors, schedule, edge):
    """TABLE, PSTEP and CSTEP of pair edges with one factor; returns nothing for the others."""
    row = factors.row
    for e in range(edge.size):
        f = edge[e]
        schedule.edge[e, TABLE] = row[f, OFFSET]
        if schedule.edge[e, CHILDREN] != 1:
            continue
        p = schedule.edge[e, PARENT]
        q = schedule.edge[e, CHILD]
        if factors.var[row[f, SCOPE]] == schedule.position[p, VAR]:
            schedule.edge[e, PSTEP] = schedule.position[q, STATES]
            schedule.edge[e, CSTEP] = 1
        else:
            schedule.edge[e, PSTEP] = 1
            schedule.edge[e, CSTEP] = schedule.position[p, STATES]


@inner
def _entry_index(factors, place, schedule, e, f, x):
    """Index in the energies of entry x (parent first, last child fastest) of edge e, as factor f stores it."""
    row = factors.row
    first = row[f, SCOPE]
    last = row[f + 1, SCOPE]
    q = row[f, OFFSET]
    parent = schedule.edge[e, PARENT]
    child = schedule.edge[e, CHILD]
    digits = np.int64(0)
    for k in range(first, last):
        p = place[factors.var[k]]
        y = x
        i = schedule.edge[e, CHILDREN] - 1
        while i >= 0 and child + i != p:
            y //= schedule.position[child + i, STATES]
            i -= 1
        digit = y % schedule.position[p, STATES] if p != parent else y
        if row[f, KIND] == POTTS:
            if k > first and digits == digit:
                return -1
            digits = digit
        else:
            step = np.int64(1)
            for j in range(k + 1, last):
                step *= schedule.position[place[factors.var[j]], STATES]
            q += step * digit
    return q


@kernel
def place_general(factors, place, schedule, general, edge, folds, index):
    """Write `index` for the listed general edges; folds[e] are chained as (first, next): next[f] or −1."""
    at = 0
    for e in general:
        size = schedule.position[schedule.edge[e, PARENT], STATES]
        for i in range(schedule.edge[e, CHILDREN]):
            size *= schedule.position[schedule.edge[e, CHILD] + i, STATES]
        schedule.edge[e, TABLE] = at
        for x in range(size):
            f = edge[e]
            while f >= 0:
                index[at] = _entry_index(factors, place, schedule, e, f, x)
                at += 1
                f = folds[f]
