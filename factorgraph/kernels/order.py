"""Greedy orders of elimination of graphs of variables.

Eliminating a variable v leaves one table over its neighbours N(v), so that they become neighbours of each other. The
work of an order is the number of table cells in all, Σ_v Π of the states of {v} ∪ N(v). Two greedy rules choose the
next variable (Kjærulff 1990; Koller and Friedman 2009, section 9.4.3):

    BY_WEIGHT   least cells of {v} ∪ N(v)
    BY_FILL     least Σ scale(a) scale(b) over the pairs a, b of N(v) that are not yet neighbours

both with noise added, so that several tries differ. Cells are counted as logarithms to base 2. A variable whose clique
exceeds what its component may still spend is never eliminated, so that lists that are walked are short: of a variable
with very many neighbours only the list itself is long, and of several lists the longest is never walked.
"""

from __future__ import annotations

import numpy as np

from .jit import inner, kernel
from .order_heap import (
    ALIVE,
    COMPONENT,
    DEGREE,
    DONE,
    END,
    HEAP,
    KEY,
    LIMIT,
    LIVE,
    LOG2,
    MARK,
    MOST,
    NOISE,
    PLACE,
    ROOM,
    SCALE,
    SIZE,
    SPENT,
    STAMP,
    START,
    WEIGHT,
    WHEN,
    WORK,
    move,
    pop,
    sift_down,
)

BY_WEIGHT, BY_FILL = range(2)

#: What `grow_order` returns: all ordered (or given up), stopped at the work allowed, lists need more room.
FINISHED, PAUSED, FULL = range(3)

#: Keys of variables whose clique is larger than anything that may be spent start here.
HOPELESS = 1e100


@inner
def _compact(g, v):
    """Drop eliminated neighbours from the list of v."""
    kept = g.node[v, START]
    for x in range(g.node[v, START], g.node[v, START] + g.node[v, SIZE]):
        if g.node[g.lists[x], PLACE] >= 0:
            g.lists[kept] = g.lists[x]
            kept += 1
    g.state[WORK] += g.node[v, SIZE]
    g.node[v, SIZE] = kept - g.node[v, START]


@inner
def _fill(g, v):
    """Σ scale · scale over the pairs of neighbours of v that are not neighbours of each other."""
    if g.node[v, LIVE] < 2:
        return 0.0
    _compact(g, v)
    g.state[STAMP] += 1
    mark = g.state[STAMP]
    longest = g.lists[g.node[v, START]]
    total = 0.0
    squares = 0.0
    for x in range(g.node[v, START], g.node[v, START] + g.node[v, SIZE]):
        u = np.int64(g.lists[x])
        g.node[u, MARK] = mark
        total += g.value[u, SCALE]
        squares += g.value[u, SCALE] * g.value[u, SCALE]
        if g.node[u, SIZE] > g.node[longest, SIZE]:
            longest = u
    twice = 0.0
    for x in range(g.node[v, START], g.node[v, START] + g.node[v, SIZE]):
        u = np.int64(g.lists[x])
        if u == longest:
            continue
        _compact(g, u)
        for y in range(g.node[u, START], g.node[u, START] + g.node[u, SIZE]):
            w = g.lists[y]
            if g.node[w, MARK] == mark:
                twice += g.value[u, SCALE] * g.value[w, SCALE] * (2.0 if w == longest else 1.0)
    return 0.5 * (total * total - squares - twice)


@inner
def _key(g, v, rule):
    if 2.0 ** g.value[v, WEIGHT] > g.budget[g.node[v, COMPONENT], LIMIT]:
        return HOPELESS * (1.0 + g.value[v, WEIGHT])
    if rule == BY_WEIGHT:
        return g.value[v, WEIGHT] + g.value[v, NOISE]
    return _fill(g, v) + g.value[v, NOISE]


@inner
def _append(g, v, u):
    """Add u to the list of v, which moves to the end of all lists, with twice the room, when it is full."""
    if g.node[v, SIZE] == g.node[v, ROOM]:
        end = g.state[END]
        for x in range(g.node[v, SIZE]):
            g.lists[end + x] = g.lists[g.node[v, START] + x]
        g.node[v, START] = end
        g.node[v, ROOM] = 2 * g.node[v, ROOM] + 4
        g.state[END] = end + g.node[v, ROOM]
        g.state[WORK] += g.node[v, SIZE]
    g.lists[g.node[v, START] + g.node[v, SIZE]] = u
    g.node[v, SIZE] += 1
    g.node[v, LIVE] += 1
    g.value[v, WEIGHT] += g.value[u, LOG2]


@inner
def _join(g, a, b, rule):
    """Make a and b neighbours. By fill, whoever knows both has one pair less to join."""
    if rule == BY_FILL:
        g.state[STAMP] += 1
        if g.node[b, SIZE] < g.node[a, SIZE]:
            a, b = b, a
        for x in range(g.node[a, START], g.node[a, START] + g.node[a, SIZE]):
            g.node[g.lists[x], MARK] = g.state[STAMP]
        for x in range(g.node[b, START], g.node[b, START] + g.node[b, SIZE]):
            u = np.int64(g.lists[x])
            if g.node[u, MARK] == g.state[STAMP] and g.node[u, PLACE] >= 0 and g.value[u, KEY] < HOPELESS:
                move(g, u, g.value[u, KEY] - g.value[a, SCALE] * g.value[b, SCALE])
        g.state[WORK] += g.node[a, SIZE] + g.node[b, SIZE]
    _append(g, a, b)
    _append(g, b, a)


@inner
def _eliminate(g, v, rule):
    """Join the neighbours of v, which has left the heap, and give them new keys. The shortest list goes first."""
    _compact(g, v)
    first = g.node[v, START]
    count = g.node[v, SIZE]
    for x in range(first + 1, first + count):
        u = np.int64(g.lists[x])
        y = x
        while y > first and g.node[g.lists[y - 1], SIZE] > g.node[u, SIZE]:
            g.lists[y] = g.lists[y - 1]
            y -= 1
        g.lists[y] = u
    for x in range(first, first + count):
        u = np.int64(g.lists[x])
        g.node[u, LIVE] -= 1
        g.value[u, WEIGHT] -= g.value[v, LOG2]
    for x in range(first, first + count - 1):
        a = np.int64(g.lists[x])
        _compact(g, a)
        absent = 0
        g.state[STAMP] += 1
        for y in range(g.node[a, START], g.node[a, START] + g.node[a, SIZE]):
            g.node[g.lists[y], MARK] = g.state[STAMP]
        for y in range(x + 1, count + first):
            b = np.int64(g.lists[y])
            if g.node[b, MARK] != g.state[STAMP]:
                g.heap[1, absent] = b
                absent += 1
        for y in range(absent):
            _join(g, a, g.heap[1, y], rule)
    for x in range(first, first + count):
        u = np.int64(g.lists[x])
        move(g, u, _key(g, u, rule))
    g.state[WORK] += count * count + 16


@kernel
def start_order(g, rule):
    """Weights, keys and the heap; `lists` is complete, `when` comes in as −1, state as zeros but END, MOST, ALIVE."""
    for v in range(len(g.node)):
        g.node[v, LIVE] = g.node[v, SIZE]
        g.node[v, PLACE] = v
        g.heap[0, v] = v
        g.value[v, WEIGHT] = g.value[v, LOG2]
        for x in range(g.node[v, START], g.node[v, START] + g.node[v, SIZE]):
            g.value[v, WEIGHT] += g.value[g.lists[x], LOG2]
    for v in range(len(g.node)):
        g.value[v, KEY] = _key(g, v, rule)
    g.state[HEAP] = len(g.node)
    for x in range(len(g.node) // 2 - 1, -1, -1):
        sift_down(g, x)


@kernel
def grow_order(g, rule, steps):
    """Eliminate variables for about so many steps of work; see FINISHED."""
    until = g.state[WORK] + steps
    while g.state[HEAP] > 0 and g.state[ALIVE] > 0:
        if g.state[WORK] >= min(until, g.state[MOST]):
            return PAUSED
        v = g.heap[0, 0]
        c = g.node[v, COMPONENT]
        spent = g.budget[c, SPENT] + 2.0 ** g.value[v, WEIGHT]
        fits = g.budget[c, SPENT] < np.inf and spent <= g.budget[c, LIMIT]
        if fits:
            need = np.int64(0)
            for x in range(g.node[v, START], g.node[v, START] + g.node[v, SIZE]):
                if g.node[g.lists[x], PLACE] >= 0:
                    need += 4 * (g.node[g.lists[x], SIZE] + g.node[v, LIVE]) + 8
            if g.state[END] + need > g.lists.size:
                return FULL
        pop(g)
        g.state[WORK] += 8
        if fits:
            g.budget[c, SPENT] = spent
            g.node[v, WHEN] = g.state[DONE]
            g.node[v, DEGREE] = g.node[v, LIVE]
            g.state[DONE] += 1
            _eliminate(g, v, rule)
        elif g.budget[c, SPENT] < np.inf:
            g.budget[c, SPENT] = np.inf
            g.state[ALIVE] -= 1
    return FINISHED
