"""Variable elimination: time per cell of wide cliques, narrow graphs against other solvers, what asking costs."""

from __future__ import annotations

import csv
import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import factorgraph as fg
from bench.harness import Measure, Options, Row, alternate, compare
from factorgraph.infer.buckets import Tables, allowed_states
from factorgraph.infer.order import find_orders
from factorgraph.plan import Asked, Question


def strip(height: int, length: int, states: int) -> tuple[fg.FactorGraph, list[np.ndarray]]:
    """A grid of integer tables of its own everywhere: variables "x", tables of each, down, right."""
    rng = np.random.default_rng(0)
    shapes = [(height, length, states), (height - 1, length, states, states), (height, length - 1, states, states)]
    tables = [rng.integers(0, 20, shape).astype(float) for shape in shapes]
    g = fg.FactorGraph()
    x = g.variables("x", shape=(height, length), states=states)
    for table, scope in zip(tables, ((x,), (x[:-1], x[1:]), (x[:, :-1], x[:, 1:]))):
        g.add(fg.Table(table), *scope)
    return g, tables


def complete(count: int, states: int) -> fg.FactorGraph:
    """Every pair of variables has a table."""
    rng = np.random.default_rng(0)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(count,), states=states)
    left, right = np.triu_indices(count, 1)
    g.add(fg.Table(rng.normal(size=(left.size, states, states))), x[left], x[right])
    return g


def _asked(g: fg.FactorGraph) -> Asked:
    return Question().of(g.compile(), g.energies())


def _tables(g: fg.FactorGraph, below: bool = False) -> tuple[Tables, float]:
    """The buckets of a graph, ready, and their cells."""
    asked = _asked(g)
    allowed = allowed_states(asked)
    known = find_orders(asked.plan, asked.components, allowed.left, 2.0**30, 8)
    tables = Tables(asked, allowed, known, 1, None)
    tables.place(1 << 33, below)
    return tables, float(tables.cells.sum())


def cells(options: Options) -> Iterator[Row]:
    """Messages alone, one thread: ns per table cell, minima and sums; 2 ns is half a billion cells a second."""
    quick = options.quick
    graphs = (
        ("complete graph, 81 states", complete(4, 9 if quick else 81)),
        ("complete graph, 8 states", complete(5 if quick else 8, 8)),
        ("complete graph, 2 states", complete(10 if quick else 22, 2)),
        ("grid 12x40, 2 states", strip(4 if quick else 12, 40, 2)[0]),
        ("grid 5x40, 6 states", strip(3 if quick else 5, 40, 6)[0]),
    )
    for what, g in graphs:
        tables, count = _tables(g)
        calls: dict[str, Callable[[], Any]] = {
            "minima": partial(tables.up, 0, 1, 0.0),
            "sums": partial(tables.up, 0, 1, 1.0),
        }
        times = alternate(calls, options.repeat)
        bars = {"minima": 2.0, "sums": None}
        for name, bar in bars.items():
            note = f"{count:.3g} cells"
            yield compare(times, f"{what}, {name}", ours=name, unit="ns", scale=1e9 / count, bar=bar, note=note)


def _toulbar2(tables: list[np.ndarray]) -> float:
    """The same minimum by toulbar2, which is given the problem factor by factor."""
    import pytoulbar2

    own, down, right = tables
    height, length, states = own.shape
    names = [[f"x{h}_{t}" for t in range(length)] for h in range(height)]
    problem = pytoulbar2.CFN(1e6, vac=1)
    for row in names:
        for name in row:
            problem.AddVariable(name, range(states))
    for h, t in np.ndindex(height, length):
        problem.AddFunction([names[h][t]], own[h, t].tolist())
        if h + 1 < height:
            problem.AddFunction([names[h][t], names[h + 1][t]], down[h, t].ravel().tolist())
        if t + 1 < length:
            problem.AddFunction([names[h][t], names[h][t + 1]], right[h, t].ravel().tolist())
    return float(problem.Solve(showSolutions=0)[1])


def _pgmpy(tables: list[np.ndarray]) -> Any:
    """log Z of the same network by pgmpy's variable elimination, prepared."""
    from pgmpy.factors.discrete import DiscreteFactor
    from pgmpy.inference import VariableElimination
    from pgmpy.models import DiscreteMarkovNetwork

    own, down, right = tables
    height, length, states = own.shape
    network = DiscreteMarkovNetwork()
    for h, t in np.ndindex(height, length):
        parts = [([(h, t)], own[h, t])]
        parts += [([(h, t), (h + 1, t)], down[h, t])] if h + 1 < height else []
        parts += [([(h, t), (h, t + 1)], right[h, t])] if t + 1 < length else []
        for scope, table in parts:
            names = [f"x{a}_{b}" for a, b in scope]
            network.add_nodes_from(names)
            if len(names) > 1:
                network.add_edge(*names)
            network.add_factors(DiscreteFactor(names, [states] * len(names), np.exp(-table).ravel()))
    engine = VariableElimination(network)
    return partial(engine.query, ["x0_0"], elimination_order="MinFill", show_progress=False)


def narrow(options: Options) -> Iterator[Row]:
    """`fg.solve` and `fg.marginals` of narrow grids, order and all, against toulbar2 and pgmpy; one thread."""
    for height, length, states in ((3, options.size(200, 20), 4), (8, options.size(100, 10), 2)):
        g, tables = strip(height, length, states)
        what = f"{height}x{length}, {states} states"
        calls: dict[str, Callable[[], Any]] = {"ours": partial(fg.solve, g, method=fg.Elimination(1))}
        note = "not installed"
        if importlib.util.find_spec("pytoulbar2"):
            calls["toulbar2"], note = partial(_toulbar2, tables), "building included"
            best, theirs = fg.solve(g, method=fg.Elimination(1)).energy, _toulbar2(tables)
            assert abs(best - theirs) < 1e-6 * abs(best), (best, theirs)
        yield compare(alternate(calls, min(3, options.repeat)), f"minimum, {what}", "toulbar2", bar=1, note=note)
    g, tables = strip(3, options.size(40, 8), 3)
    calls = {"ours": partial(fg.marginals, g, method=fg.Elimination(1))}
    note = "not installed"
    if importlib.util.find_spec("pgmpy"):
        calls["pgmpy"], note = _pgmpy(tables), "pgmpy: one variable's marginal only"
    what = f"all marginals, 3x{options.size(40, 8)}, 3 states"
    yield compare(alternate(calls, min(3, options.repeat)), what, "pgmpy", bar=1, note=note)


def asking(options: Options) -> Iterator[Row]:
    """What it costs to learn whether a component is narrow: the first time, and once the answer is remembered."""
    side = options.size(1000, 30)
    for what, g in (
        (f"grid {side}x{side}, 2 states", strip(side, side, 2)[0]),
        (f"grid 3x{side * side // 3}, 2 states", strip(3, side * side // 3, 2)[0]),
    ):
        asked, solver = _asked(g), fg.Elimination(1)
        seconds = []
        for _ in range(2):
            begin = time.perf_counter()
            fits = bool(solver.fits(asked).all())
            seconds.append(time.perf_counter() - begin)
        note = "fits" if fits else "does not fit"
        for when, value in zip(("first", "again"), seconds):
            yield Row(f"{what}, {when}", "ms", Measure.of([1e3 * value]), note=note)


def instances(options: Options) -> Iterator[Row]:
    """Real instances in the folder FACTORGRAPH_DATA that fit: seconds of `fg.solve` by elimination, order and all."""
    folder, read = os.environ.get("FACTORGRAPH_DATA"), getattr(fg, "read", None)
    if folder is None or read is None:
        why = "FACTORGRAPH_DATA is not set" if folder is None else "this version reads no files"
        yield Row("real instances", "s", Measure.of([float("nan")]), note=why)
        return
    with open(Path(folder) / "instances" / "index.tsv") as index:
        for entry in csv.DictReader(index, delimiter="\t"):
            path = Path(folder) / "instances"
            evidence = {"evidence": path / entry["evidence"]} if entry["evidence"] else {}
            g = read(path / entry["file"], **evidence)
            if not fg.Elimination().fits(_asked(g)).all():
                continue
            calls = {"ours": partial(fg.solve, g, method=fg.Elimination(1))}
            energy = fg.solve(g, method=fg.Elimination(1)).energy
            note = f"energy {energy:.8g}, known {float(entry['best_energy']):.8g}"
            yield compare(alternate(calls, 1), entry["name"], unit="s", scale=1.0, note=note)


SECTIONS = (cells, narrow, asking, instances)
