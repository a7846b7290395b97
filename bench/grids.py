"""TRW-S on grids and sparse graphs: passes against a scalar C++ twin, seconds to bounds and proofs, memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import factorgraph as fg
from bench import ours, peers, workloads
from bench.harness import Measure, Options, Row, alternate, compare, fresh, peak_megabytes
from bench.twins import machine, trws
from bench.twins.build import COMPILER
from factorgraph.infer.grids import grid_messages
from factorgraph.infer.passes import General
from factorgraph.kernels.structure import LOOPY
from factorgraph.plan import Asked

NO_COMPILER = "no g++"
WEIGHT, SLOPE, CAP = 0.7, 20.0, 40.0


def potts(options: Options) -> np.ndarray:
    """Unaries float32 (200, 200, 8), uniform in [0, 2)."""
    side = options.size(200, 40)
    return workloads.potts_grid(side, side).astype(np.float32)


def edges(height: int, width: int) -> np.ndarray:
    """int32 (E, 2): neighbours to the right, then below."""
    i = np.arange(height * width, dtype=np.int32).reshape(height, width)
    right = np.stack([i[:, :-1].ravel(), i[:, 1:].ravel()], 1)
    return np.concatenate([right, np.stack([i[:-1].ravel(), i[1:].ravel()], 1)])


def asked(g: fg.FactorGraph) -> Asked:
    """The plain question about all components."""
    plan = g.compile()
    return fg.Question().of(plan, g.energies())


def passes(options: Options) -> Iterator[Row]:
    """One pass there and back on a grid, float32; the stream bound reads and writes five arrays of 4 bytes twice."""
    side = options.size(1000, 60)
    truncated = fg.TruncatedLinear(np.float32(SLOPE), np.float32(CAP))
    large = np.random.default_rng(0).uniform(0, 20, (side, side, 16)).astype(np.float32)
    work = {
        "200x200x8, Potts": (potts(options), fg.Potts(np.float32(WEIGHT)), (trws.POTTS, 0.0, WEIGHT), 0.45),
        "288x384x16, truncated linear": (workloads.stereo(), truncated, (trws.LINEAR, SLOPE, CAP), None),
        f"{side}x{side}x16, truncated linear": (large, truncated, (trws.LINEAR, SLOPE, CAP), None),
    }
    for name, (unary, factor, twin, bar) in work.items():
        question = asked(ours.grid(unary, factor))
        engine = grid_messages(question.plan, question)
        assert engine is not None
        calls: dict[str, Callable[[], Any]] = {"ours": partial(engine.iterate, np.ones(1, bool), np.inf, False)}
        if COMPILER:
            scalar = trws.passes(unary.reshape(-1, unary.shape[2]), edges(*unary.shape[:2]), *twin)
            calls["C++"] = partial(scalar, 1)
        times = alternate(calls, options.repeat)
        yield compare(times, name, "C++", bar=0.35, note="" if COMPILER else NO_COMPILER)
        if bar is not None:
            yield Row(f"{name}, absolute", "ms", Measure.of([1e3 * t for t in times["ours"]]), bar=bar)
        if COMPILER and unary is large:
            stream = 2 * 20 * unary.size / machine.peak().read
            yield Row(f"{name}, over the stream bound", "x", Measure.of([t / stream for t in times["ours"]]), bar=2.0)


def bounds(options: Options) -> Iterator[Row]:
    """Seconds of `fg.solve` to bounds and to a proof, one thread, after a first call."""
    g = ours.grid(potts(options), fg.Potts(np.float32(WEIGHT)))
    for iterations, bound, bar in ((105, 37443, 0.06), (480, 37454, 0.2)):
        solver = fg.TRWS(iterations=iterations, kicks=0)
        solution = fg.solve(g, method=solver)
        times = alternate({"ours": partial(fg.solve, g, method=solver)}, options.repeat)
        note = f"bound {solution.bound:.1f}, energy {solution.energy:.1f}"
        yield Row(f"200x200x8 to a bound of {bound}", "s", Measure.of(times["ours"]), bar=bar, note=note)
    g = ours.grid(workloads.stereo(), fg.TruncatedLinear(np.float32(SLOPE), np.float32(CAP)))
    solution = fg.solve(g, method="trw-s")
    times = alternate({"ours": partial(fg.solve, g, method="trw-s")}, min(3, options.repeat))
    note = f"{solution.status.name} at {solution.energy:.0f}"
    yield Row("288x384x16 to a proof", "s", Measure.of(times["ours"]), bar=2.0, note=note)


def labels(options: Options) -> Iterator[Row]:
    """Energies after some iterations, against alpha-expansion (gco) where it is installed."""
    unary = potts(options)
    g = ours.grid(unary, fg.Potts(np.float32(WEIGHT)))
    peer = peers.adapter("gco")
    if peer:
        expand = peer.expand(unary, WEIGHT * (1 - np.eye(8)))
        begin = time.perf_counter()
        found = expand()
        seconds = time.perf_counter() - begin
        energy = fg.energy(g, {"x": found})
    for iterations in (20, 100, 500):
        begin = time.perf_counter()
        solution = fg.solve(g, method=fg.TRWS(iterations=iterations, kicks=0))
        note = f"in {time.perf_counter() - begin:.2f} s"
        referee = Measure.of([energy]) if peer else None
        note += f"; gco in {seconds:.2f} s" if peer else "; gco is not installed"
        yield Row(f"200x200x8, energy, {iterations} iterations", "", Measure.of([solution.energy]), referee, None, note)


def sparse(options: Options) -> Iterator[Row]:
    """One pass there and back on random sparse graphs, shared dense tables, float32."""
    nodes = options.size(300_000, 3000)
    rng = np.random.default_rng(0)
    for states in (4, 8, 32):
        drawn = np.unique(np.sort(rng.integers(0, nodes, (10 * nodes // 3, 2)), 1), axis=0)
        pairs = drawn[drawn[:, 0] != drawn[:, 1]].astype(np.int32)
        unary = rng.normal(size=(nodes, states)).astype(np.float32)
        table = rng.normal(size=(states, states)).astype(np.float32)
        g = fg.FactorGraph()
        x = g.variables("x", shape=(nodes,), states=states)
        g.add(fg.Table(unary), x)
        g.add(fg.Table(table), x[pairs[:, 0]], x[pairs[:, 1]])
        question = asked(g)
        question = question.part(question.plan.kinds[question.components] == LOOPY)
        engine = General(question)
        active = np.ones(question.components.size, bool)
        calls: dict[str, Callable[[], Any]] = {"ours": partial(engine.iterate, active, np.inf, False)}
        if COMPILER:
            tables = (table[None], np.zeros(len(pairs), np.int32))
            calls["C++"] = partial(trws.passes(unary, pairs, trws.DENSE, 0.0, 0.0, *tables), 1)
        times = alternate(calls, min(3, options.repeat))
        note = "" if COMPILER else NO_COMPILER
        yield compare(times, f"{len(pairs)} random pairs of {states} labels", "C++", bar=1.0, note=note)


def memory(options: Options) -> Iterator[Row]:
    """Growth of peak memory from declaration to solution, in a fresh process."""
    side = options.size(1000, 60)
    yield Row("288x384x16 solved", "MB", Measure.of([fresh(stereo_peak, 0)]), bar=200)
    yield Row(f"{side}x{side}x16, 5 iterations", "MB", Measure.of([fresh(stereo_peak, side)]), bar=500)


def stereo_peak(side: int) -> float:
    """Megabytes that a stereo pair adds, or a square of this side."""
    factor = fg.TruncatedLinear(np.float32(SLOPE), np.float32(CAP))
    fg.solve(ours.grid(np.ones((33, 33, 16), np.float32), factor), method=fg.TRWS(iterations=3))

    def work() -> fg.Solution:
        unary = np.random.default_rng(0).random((side, side, 16), np.float32) if side else workloads.stereo()
        return fg.solve(ours.grid(unary, factor), method=fg.TRWS(iterations=5, kicks=0) if side else "trw-s")

    return peak_megabytes(work)


SECTIONS = (passes, bounds, labels, sparse, memory)
