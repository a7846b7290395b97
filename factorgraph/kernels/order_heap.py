"""What greedy orders of elimination are made of: lists of neighbours, and a heap of variables by their keys."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .jit import inner, kernel
from .structure import SCOPE

#: Columns of Greedy.node: the list's first entry, entries (dead ones among them), room; neighbours that are not
#: eliminated; place in the heap, −1 once eliminated; component; number in the order; neighbours when eliminated; mark.
START, SIZE, ROOM, LIVE, PLACE, COMPONENT, WHEN, DEGREE, MARK = range(9)

#: Columns of Greedy.value: log2 of the cells of the clique, of the states; weight in fills, noise, key.
WEIGHT, LOG2, SCALE, NOISE, KEY = range(5)

#: Columns of Greedy.budget: cells so far (+inf: given up), and at most.
SPENT, LIMIT = range(2)

#: Entries of Greedy.state: variables ordered, heap entries, end of used lists, last mark, steps of work done, steps
#: allowed, components that still have something to spend.
DONE, HEAP, END, STAMP, WORK, MOST, ALIVE = range(7)


class Greedy(NamedTuple):
    """One try at an order of variables 0 … n − 1.

    node int64 (n, 9) and value float64 (n, 5) by variable; lists int32, the neighbours; heap int64 (2, n): the heap,
    and a scratch; budget float64 (components, 2); state int64 (7,).
    """

    node: np.ndarray
    value: np.ndarray
    lists: np.ndarray
    heap: np.ndarray
    budget: np.ndarray
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
def sift_up(g, x):
    v = g.heap[0, x]
    while x > 0:
        above = (x - 1) // 2
        u = g.heap[0, above]
        if g.value[u, KEY] <= g.value[v, KEY]:
            break
        g.heap[0, x] = u
        g.node[u, PLACE] = x
        x = above
    g.heap[0, x] = v
    g.node[v, PLACE] = x


@inner
def sift_down(g, x):
    v = g.heap[0, x]
    count = g.state[HEAP]
    while 2 * x + 1 < count:
        below = 2 * x + 1
        if below + 1 < count and g.value[g.heap[0, below + 1], KEY] < g.value[g.heap[0, below], KEY]:
            below += 1
        u = g.heap[0, below]
        if g.value[v, KEY] <= g.value[u, KEY]:
            break
        g.heap[0, x] = u
        g.node[u, PLACE] = x
        x = below
    g.heap[0, x] = v
    g.node[v, PLACE] = x


@inner
def pop(g):
    v = g.heap[0, 0]
    g.state[HEAP] -= 1
    last = g.heap[0, g.state[HEAP]]
    if last != v:
        g.heap[0, 0] = last
        sift_down(g, 0)
    g.node[v, PLACE] = -1
    return v


@inner
def move(g, v, key):
    before = g.value[v, KEY]
    g.value[v, KEY] = key
    if key < before:
        sift_up(g, g.node[v, PLACE])
    elif key > before:
        sift_down(g, g.node[v, PLACE])
