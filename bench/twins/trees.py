"""Min-sum on trees in breadth-first order: trees.cpp."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from .build import function, slack, workspace


class Ordered(NamedTuple):
    """A tree renumbered breadth first: node n was `name[n]`, the edge to its parent `edge[n]` (int64, edge[0] = -1);
    its parent is `parent[n]` int32, its children are first[n] to first[n + 1], int64."""

    name: np.ndarray
    edge: np.ndarray
    parent: np.ndarray
    first: np.ndarray


def breadth_first(parent: np.ndarray, child: np.ndarray) -> Ordered:
    """The order from the root, for edges parent[e] -> child[e] of a tree of len(child) + 1 nodes."""
    count = len(child) + 1
    above = np.full(count, -1)
    above[child] = np.arange(len(child))
    root = int(np.flatnonzero(above < 0)[0])
    graph = sparse.csr_matrix((np.ones(len(child), np.int8), (parent, child)), (count, count))
    name, before = csgraph.breadth_first_order(graph, root)
    place = np.empty(count, np.int64)
    place[name] = np.arange(count)
    up = place[before[name[1:]]]
    first = 1 + np.searchsorted(up, np.arange(count + 1))
    return Ordered(name, above[name], np.concatenate([[0], up]).astype(np.int32), first)


def solver(order: Ordered, unary: np.ndarray, table: np.ndarray) -> Callable[[], np.ndarray]:
    """A call that gives the labels int32 (V,), in breadth-first order.

    unary float32 (V, S) and table float32 (S, S), shared, or (V - 1, S, S), one per edge, both in that order;
    tables are [parent state, child state].
    """
    count, states = unary.shape
    stride = 8 * int(2 ** np.ceil(np.log2(-(-states // 8))))
    run = function("trees", "shared" if table.ndim == 2 else "unique")
    work = workspace(2 * states * stride, unary.dtype)
    labels = np.empty(count, np.int32)
    back = np.zeros(count * stride, np.int8)
    memory = (work, workspace(count * stride, unary.dtype), back, labels)
    given = (slack(unary), slack(table), order.first, order.parent, count, states)

    def call() -> np.ndarray:
        run(*given, *memory)
        return labels

    return call
