"""What greedy orders of elimination are made of: lists of neighbours, and a heap of variables by their keys."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .jit import inner, kernel
from .structure import SCOPE

#: Entries of Greedy.state: variables ordered, heap entries, end of used lists, last stamp, steps of work done, steps
#: allowed, components that still have something to spend.
DONE, HEAP, END, STAMP, WORK, MOST, ALIVE = range(7)


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
def sift_up(g, x):
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
def sift_down(g, x):
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
def pop(g):
    v = g.heap[0]
    g.state[HEAP] -= 1
    last = g.heap[g.state[HEAP]]
    if last != v:
        g.heap[0] = last
        sift_down(g, 0)
    g.place[v] = -1
    return v


@inner
def move(g, v, key):
    before = g.key[v]
    g.key[v] = key
    if key < before:
        sift_up(g, g.place[v])
    elif key > before:
        sift_down(g, g.place[v])
