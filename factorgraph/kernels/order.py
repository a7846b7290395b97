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

from typing import NamedTuple

import numpy as np

from .jit import inner, kernel
from .structure import SCOPE

BY_WEIGHT, BY_FILL = range(2)

#: Entries of Greedy.state: variables ordered, heap entries, end of used lists, last stamp, steps of work done, steps
#: allowed, components that still have something to spend.
DONE, HEAP, END, STAMP, WORK, MOST, ALIVE = range(7)

#: What `grow_order` returns: all ordered (or given up), stopped at the work allowed, lists need more room.
FINISHED, PAUSED, FULL = range(3)

#: Keys of variables whose clique is larger than anything that may be spent start here.
HOPELESS = 1e100


class Greedy(NamedTuple):
    """One try at an order of variables 0 … n − 1; neighbours of v are lists[start[v] : start[v] + size[v]], dead ones
    among them (place[v] < 0: eliminated).

    start, size, room int64 (n,); lists int32; live int32 (n,) neighbours not eliminated; weight float64 (n,) log2 of
    the cells of the clique; log2 float64 (n,) of the states; scale, noise, key float64 (n,); heap, place int32 (n,);
    component int32 (n,); spent, limit float64 (components,): cells so far (+inf: given up) and at most; when int64 (n,)
    and degree int32 (n,): the result, number in the order and neighbours at elimination; stamp int64 (n,) and local
    int32 (n,) are scratch; state int64 (7,).
    """

    start: np.ndarray
    size: np.ndarray
    room: np.ndarray
    lists: np.ndarray
    live: np.ndarray
    weight: np.ndarray
    log2: np.ndarray
    scale: np.ndarray
    noise: np.ndarray
    key: np.ndarray
    heap: np.ndarray
    place: np.ndarray
    component: np.ndarray
    spent: np.ndarray
    limit: np.ndarray
    when: np.ndarray
    degree: np.ndarray
    stamp: np.ndarray
    local: np.ndarray
    state: np.ndarray


@kernel
def count_pairs(components, factors, number, room):
    """room[v] += entries of v's list at most: the other free variables of its factors (number −1: not free)."""
    for c in components:
        for f in range(factors.first[c], factors.first[c + 1]):
            free = 0
            for e in range(factors.row[f, SCOPE], factors.row[f + 1, SCOPE]):
                free += number[factors.var[e]] >= 0
            for e in range(factors.row[f, SCOPE], factors.row[f + 1, SCOPE]):
                if number[factors.var[e]] >= 0:
                    room[number[factors.var[e]]] += free - 1


@kernel
def list_neighbours(components, factors, number, start, lists, size, stamp):
    """Fill the lists, each neighbour once; size and stamp come in as 0 and −1."""
    for c in components:
        for f in range(factors.first[c], factors.first[c + 1]):
            for e in range(factors.row[f, SCOPE], factors.row[f + 1, SCOPE]):
                v = number[factors.var[e]]
                if v < 0:
                    continue
                for d in range(factors.row[f, SCOPE], factors.row[f + 1, SCOPE]):
                    u = number[factors.var[d]]
                    if u >= 0 and d != e:
                        lists[start[v] + size[v]] = u
                        size[v] += 1
    for v in range(size.size):
        kept = start[v]
        for x in range(start[v], start[v] + size[v]):
            if stamp[lists[x]] != v:
                stamp[lists[x]] = v
                lists[kept] = lists[x]
                kept += 1
        size[v] = kept - start[v]


@inner
def _sift_up(g, x):
    v = g.heap[x]
    while x > 0:
        above = (x - 1) // 2
        u = g.heap[above]
        if g.key[u] <= g.key[v]:
            break
        g.heap[x] = u
        g.place[u] = x
        x = above
    g.heap[x] = v
    g.place[v] = x


@inner
def _sift_down(g, x):
    v = g.heap[x]
    count = g.state[HEAP]
    while 2 * x + 1 < count:
        below = 2 * x + 1
        if below + 1 < count and g.key[g.heap[below + 1]] < g.key[g.heap[below]]:
            below += 1
        u = g.heap[below]
        if g.key[v] <= g.key[u]:
            break
        g.heap[x] = u
        g.place[u] = x
        x = below
    g.heap[x] = v
    g.place[v] = x


@inner
def _pop(g):
    v = g.heap[0]
    g.state[HEAP] -= 1
    last = g.heap[g.state[HEAP]]
    if last != v:
        g.heap[0] = last
        _sift_down(g, 0)
    g.place[v] = -1
    return v


@inner
def _move(g, v, key):
    before = g.key[v]
    g.key[v] = key
    if key < before:
        _sift_up(g, g.place[v])
    elif key > before:
        _sift_down(g, g.place[v])


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
                _move(g, u, g.key[u] - g.scale[a] * g.scale[b])
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
        _move(g, u, _key(g, u, rule))
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
        _sift_down(g, x)


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
        _pop(g)
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
