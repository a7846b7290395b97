"""TRW-S on pairwise graphs: trws.cpp."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .build import function, slack, workspace

POTTS, LINEAR, DENSE = range(3)


def passes(
    unary: np.ndarray,
    edges: np.ndarray,
    kind: int,
    slope: float = 0.0,
    cap: float = 0.0,
    tables: np.ndarray | None = None,
    table: np.ndarray | None = None,
) -> Callable[[int], float]:
    """A call that makes so many passes there and back, going on from where it was, and gives the bound of the last.

    unary float32 (V, S); edges int (E, 2); for DENSE tables float32 (T, S, S), smaller node first, and table int (E,).
    """
    count, states = unary.shape
    low, high = edges.min(1), edges.max(1)
    node = np.concatenate([low, high])
    other = np.concatenate([high, low])
    edge = np.concatenate([np.arange(len(edges))] * 2)
    order = np.lexsort((other, node))
    first = np.searchsorted(node[order], np.arange(count + 1)).astype(np.int64)
    arrays = other[order].astype(np.int32), edge[order].astype(np.int32)
    rows = np.zeros(1, np.int32) if table is None else table.astype(np.int32)
    dense = slack(np.zeros(1, np.float32) if tables is None else tables)
    messages = workspace(len(edges) * states, np.dtype(np.float32))
    costs = slack(unary)
    run = function("trws", "passes")
    return lambda number: run(
        costs, messages, first, *arrays, rows, dense, count, states, kind, float(slope), float(cap), number
    )
