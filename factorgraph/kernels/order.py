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
from .order_heap import ALIVE, DONE, END, HEAP, MOST, STAMP, WORK, move, pop, sift_down

BY_WEIGHT, BY_FILL = range(2)

#: What `grow_order` returns: all ordered (or given up), stopped at the work allowed, lists need more room.
FINISHED, PAUSED, FULL = range(3)

#: Keys of variables whose clique is larger than anything that may be spent start here.
HOPELESS = 1e100


@inner
def _compact(g, v):
    """Drop eliminated neighbours from the list of v."""
    kept = g.start[v]
    for x in range(g.start[v], g.start[v] + g.size[v]):
        if g.place[g.lists[x]] >= 0:
            g.lists[kept] = g.lists[x]
            kept += 1
    g.state[WORK] += g.size[v]
    g.size[v] = kept - g.start[v]


@inner
def _fill(g, v):
    """Σ scale · scale over the pairs of neighbours of v that are not neighbours of each other."""
    if g.live[v] < 2:
        return 0.0
    _compact(g, v)
    g.state[STAMP] += 1
    mark = g.state[STAMP]
    longest = g.lists[g.start[v]]
    total = 0.0
    squares = 0.0
    for x in range(g.start[v], g.start[v] + g.size[v]):
        u = g.lists[x]
        g.stamp[u] = mark
        total += g.scale[u]
        squares += g.scale[u] * g.scale[u]
        if g.size[u] > g.size[longest]:
            longest = u
    twice = 0.0
    for x in range(g.start[v], g.start[v] + g.size[v]):
        u = g.lists[x]
        if u == longest:
            continue
        _compact(g, u)
        for y in range(g.start[u], g.start[u] + g.size[u]):
            w = g.lists[y]
            if g.stamp[w] == mark:
                twice += g.scale[u] * g.scale[w] * (2.0 if w == longest else 1.0)
    return 0.5 * (total * total - squares - twice)


@inner
def _key(g, v, rule):
    if 2.0 ** g.weight[v] > g.limit[g.component[v]]:
        return HOPELESS * (1.0 + g.weight[v])
    if rule == BY_WEIGHT:
        return g.weight[v] + g.noise[v]
    return _fill(g, v) + g.noise[v]


@inner
def _append(g, v, u):
    """Add u to the list of v, which moves to the end of all lists, with twice the room, when it is full."""
    if g.size[v] == g.room[v]:
        end = g.state[END]
        for x in range(g.size[v]):
            g.lists[end + x] = g.lists[g.start[v] + x]
        g.start[v] = end
        g.room[v] = 2 * g.room[v] + 4
        g.state[END] = end + g.room[v]
        g.state[WORK] += g.size[v]
    g.lists[g.start[v] + g.size[v]] = u
    g.size[v] += 1
    g.live[v] += 1
    g.weight[v] += g.log2[u]


@inner
def _join(g, a, b, rule):
    """Make a and b neighbours. By fill, whoever knows both has one pair less to join."""
    if rule == BY_FILL:
        g.state[STAMP] += 1
        if g.size[b] < g.size[a]:
            a, b = b, a
        for x in range(g.start[a], g.start[a] + g.size[a]):
            g.stamp[g.lists[x]] = g.state[STAMP]
        for x in range(g.start[b], g.start[b] + g.size[b]):
            u = g.lists[x]
            if g.stamp[u] == g.state[STAMP] and g.place[u] >= 0 and g.key[u] < HOPELESS:
                move(g, u, g.key[u] - g.scale[a] * g.scale[b])
        g.state[WORK] += g.size[a] + g.size[b]
    _append(g, a, b)
    _append(g, b, a)


@inner
def _eliminate(g, v, rule):
    """Join the neighbours of v, which has left the heap, and give them new keys. The shortest list goes first."""
    _compact(g, v)
    first = g.start[v]
    count = g.size[v]
    for x in range(first + 1, first + count):
        u = g.lists[x]
        y = x
        while y > first and g.size[g.lists[y - 1]] > g.size[u]:
            g.lists[y] = g.lists[y - 1]
            y -= 1
        g.lists[y] = u
    for x in range(first, first + count):
        u = g.lists[x]
        g.live[u] -= 1
        g.weight[u] -= g.log2[v]
    for x in range(first, first + count - 1):
        a = g.lists[x]
        _compact(g, a)
        absent = 0
        g.state[STAMP] += 1
        for y in range(g.start[a], g.start[a] + g.size[a]):
            g.stamp[g.lists[y]] = g.state[STAMP]
        for y in range(x + 1, count + first):
            b = g.lists[y]
            if g.stamp[b] != g.state[STAMP]:
                g.local[absent] = b
                absent += 1
        for y in range(absent):
            _join(g, a, g.local[y], rule)
    for x in range(first, first + count):
        u = g.lists[x]
        move(g, u, _key(g, u, rule))
    g.state[WORK] += count * count + 16


@kernel
def start_order(g, rule):
    """Weights, keys and the heap; `lists` is complete, `when` comes in as −1, state as zeros but END, MOST, ALIVE."""
    for v in range(g.start.size):
        g.live[v] = g.size[v]
        g.place[v] = v
        g.heap[v] = v
        g.weight[v] = g.log2[v]
        for x in range(g.start[v], g.start[v] + g.size[v]):
            g.weight[v] += g.log2[g.lists[x]]
    for v in range(g.start.size):
        g.key[v] = _key(g, v, rule)
    g.state[HEAP] = g.start.size
    for x in range(g.start.size // 2 - 1, -1, -1):
        sift_down(g, x)


@kernel
def grow_order(g, rule, steps):
    """Eliminate variables for about so many steps of work; see FINISHED."""
    until = g.state[WORK] + steps
    while g.state[HEAP] > 0 and g.state[ALIVE] > 0:
        if g.state[WORK] >= min(until, g.state[MOST]):
            return PAUSED
        v = g.heap[0]
        c = g.component[v]
        spent = g.spent[c] + 2.0 ** g.weight[v]
        fits = g.spent[c] < np.inf and spent <= g.limit[c]
        if fits:
            need = np.int64(0)
            for x in range(g.start[v], g.start[v] + g.size[v]):
                if g.place[g.lists[x]] >= 0:
                    need += 4 * (g.size[g.lists[x]] + g.live[v]) + 8
            if g.state[END] + need > g.lists.size:
                return FULL
        pop(g)
        g.state[WORK] += 8
        if fits:
            g.spent[c] = spent
            g.when[v] = g.state[DONE]
            g.degree[v] = g.live[v]
            g.state[DONE] += 1
            _eliminate(g, v, rule)
        elif g.spent[c] < np.inf:
            g.spent[c] = np.inf
            g.state[ALIVE] -= 1
    return FINISHED
