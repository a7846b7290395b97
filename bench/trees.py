"""Labels of lowest energy on a large random tree: against copies of its arrays and hand-written C++."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from bench import ours, workloads
from bench.harness import Options, Row, alternate, compare
from bench.twins import machine, trees
from bench.twins.build import COMPILER, function

STATES = 8


def shared(options: Options) -> Iterator[Row]:
    """One table for all edges: the floor is about three passes over the unaries (V x 8 x 4 bytes, unpadded)."""
    for renamed in (False, True):
        data = workloads.tree(options.size(1_000_000, 20_000), STATES, renamed)
        copies = np.ones((3, *data.unary.shape), np.float32)
        calls: dict[str, Callable[[], Any]] = {
            "ours": ours.minima(ours.tree(data)),
            "copies": partial(np.copyto, copies, data.unary),
        }
        if COMPILER:
            order = trees.breadth_first(data.parent, data.child)
            calls["C++"] = trees.solver(order, data.unary[order.name], data.pairwise)
        times = alternate(calls, options.repeat)
        peak = copies.nbytes / min(times["ours"]) / machine.peak().copied if COMPILER else None
        what = f"tree {'renamed' if renamed else 'as grown'}, one table"
        yield compare(times, f"{what}, against three copies", "copies", bar=1.3, peak=peak)
        yield compare(times, f"{what}, against C++", "C++", note="C++ has it in breadth-first order")


def unique(options: Options) -> Iterator[Row]:
    """A table for every edge: the floor is reading all of them twice, up and down."""
    data = workloads.tree(options.size(1_000_000, 20_000), STATES, False)
    data = data._replace(pairwise=workloads.edge_tables(len(data.child), STATES))
    calls: dict[str, Callable[[], Any]] = {"ours": ours.minima(ours.tree(data))}
    if COMPILER:
        order = trees.breadth_first(data.parent, data.child)
        tables = data.pairwise[order.edge[1:]]
        calls["C++"] = trees.solver(order, data.unary[order.name], tables)
        read, count = function("machine", "read"), tables.size // 128 * 128
        calls["reads"] = lambda: (read(tables, count), read(tables, count))
    times = alternate(calls, options.repeat)
    what = "tree as grown, a table each"
    peak = 2 * data.pairwise.nbytes / min(times["ours"]) / machine.peak().read if COMPILER else None
    yield compare(times, f"{what}, against two reads", "reads", bar=1.3, peak=peak)
    yield compare(times, f"{what}, against C++", "C++", note="C++ has it in breadth-first order, reads each table once")


SECTIONS = (shared, unique)
