"""Networks: which arcs a vertex has, where they lead, which arc leads back; stored, or computed on a grid.

The functions `begin`, `end`, `head` and `sister` are all that tells the two apart: algorithms are written once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .jit import inlined, kernel
from .simd import get


class Sparse(NamedTuple):
    """Arcs of v are first[v] : first[v + 1]; head int32 (A,) where they lead, sister int32 (A,) the arc back."""

    first: np.ndarray
    head: np.ndarray
    sister: np.ndarray


class Grid(NamedTuple):
    """Vertex v has the arcs 4v … 4v + 3: right, left, down, up. delta int32 (4,): how far they lead.

    Vertices lie row by row with one more behind each row, and a row above and below, which no capacity leads to.
    """

    delta: np.ndarray


class Pairs(NamedTuple):
    """Pairs of variables that some factor joins.

    u, v int32 (P,) variables. Pair p sums the factors factor[first[p] : first[p + 1]] (int64), maybe none; where
    `first` is empty, it is factor[p] alone. arc int32 (P,): the arc from u's vertex to v's.
    """

    u: np.ndarray
    v: np.ndarray
    first: np.ndarray
    factor: np.ndarray
    arc: np.ndarray


@inlined
def begin(network, v):
    """First arc of v."""
    if len(network) == 1:
        return 4 * v
    return network.first[v]


@inlined
def end(network, v):
    """One past the last arc of v."""
    if len(network) == 1:
        return 4 * v + 4
    return network.first[v + 1]


@inlined
def head(network, v, arc):
    """Where an arc of v leads."""
    if len(network) == 1:
        return v + get(network.delta, arc & 3)
    return get(network.head, arc)


@inlined
def sister(network, v, arc):
    """The arc back along an arc of v."""
    if len(network) == 1:
        return 4 * (v + get(network.delta, arc & 3)) + ((arc & 3) ^ 1)
    return get(network.sister, arc)


@kernel
def count_arcs(pairs, node, first):
    """first[i + 1] = arcs of all vertices up to i."""
    first[:] = 0
    for p in range(pairs.u.size):
        first[node[pairs.u[p]] + 1] += 1
        first[node[pairs.v[p]] + 1] += 1
    for i in range(first.size - 1):
        first[i + 1] += first[i]


@kernel
def place_arcs(pairs, node, cursor, head, back):
    """Write the arcs of a sparse network behind their vertices' cursors (a copy of its `first`)."""
    for p in range(pairs.u.size):
        i = node[pairs.u[p]]
        j = node[pairs.v[p]]
        there = cursor[i]
        here = cursor[j]
        cursor[i] = there + 1
        cursor[j] = here + 1
        head[there] = j
        head[here] = i
        back[there] = here
        back[here] = there
        pairs.arc[p] = there


@kernel
def grid_width(pairs, origin, count):
    """Width of the grid that `count` variables from `origin` on and their pairs are, 0 where they are none."""
    width = 0
    for p in range(pairs.u.size):
        u = min(pairs.u[p], pairs.v[p]) - origin
        step = abs(pairs.u[p] - pairs.v[p])
        if step != 1:
            if width == 0:
                if step > count // 2 or count % step != 0:
                    return 0
                width = step
            if step != width:
                return 0
    if width > 0:
        for p in range(pairs.u.size):
            u = min(pairs.u[p], pairs.v[p]) - origin
            if abs(pairs.u[p] - pairs.v[p]) == 1 and u % width == width - 1:
                return 0
    return width


@kernel
def set_grid_arcs(pairs, node, width):
    """The arcs of pairs of a grid whose rows of vertices are `width` apart."""
    for p in range(pairs.u.size):
        i = node[pairs.u[p]]
        step = node[pairs.v[p]] - i
        pairs.arc[p] = 4 * i + ((0 if step > 0 else 1) if abs(step) == 1 else (2 if step == width else 3))
