"""The library as the benchmarks call it: declared graphs, and its bare kernels on arrays that are there already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import factorgraph as fg
from bench import workloads
from factorgraph.infer import DynamicProgramming
from factorgraph.plan import Asked, read_evidence


def chains(data: workloads.Ragged) -> fg.FactorGraph:
    """Ragged chains as one array of variables "y" (T,)."""
    g = fg.FactorGraph()
    y = g.variables("y", shape=(len(data.unary),), states=len(data.table))
    left = workloads.followed(data.offsets)
    g.add(fg.Table(data.unary), y)
    g.add(fg.Table(data.table), y[left], y[left + 1])
    return g


def equal_chains(unary: np.ndarray, table: np.ndarray) -> fg.FactorGraph:
    """Chains of one length: unaries (N, T, K), variables "y" (N, T)."""
    g = fg.FactorGraph()
    y = g.variables("y", shape=unary.shape[:2], states=len(table))
    g.add(fg.Table(unary), y)
    g.add(fg.Table(table), y[:, :-1], y[:, 1:])
    return g


def grid(unary: np.ndarray, factor: fg.Factor) -> fg.FactorGraph:
    """Unaries (H, W, K), variables "x" (H, W), one factor for all neighbours."""
    g = fg.FactorGraph()
    x = g.variables("x", shape=unary.shape[:2], states=unary.shape[2])
    g.add(fg.Table(unary), x)
    g.add(factor, x[:, :-1], x[:, 1:])
    g.add(factor, x[:-1], x[1:])
    return g


def tree(data: workloads.Tree) -> fg.FactorGraph:
    """Variables "x" (V,); one table, shared, or (V - 1, K, K), one per edge."""
    g = fg.FactorGraph()
    x = g.variables("x", shape=(len(data.unary),), states=data.unary.shape[1])
    g.add(fg.Table(data.unary), x)
    g.add(fg.Table(data.pairwise), x[data.parent], x[data.child])
    return g


def lines(data: workloads.Lines) -> fg.FactorGraph:
    """One lattice per line, all of the name "line"."""
    g = fg.FactorGraph()
    for a, b in zip(data.ptr[:-1].tolist(), data.ptr[1:].tolist()):
        g.begin_example()
        line = g.lattice("line", arcs=(data.start[a:b], data.end[a:b]), states=data.energies.shape[1])
        g.add(fg.Table(data.energies[a:b]), line)
    return g


def known(data: workloads.Lines) -> dict[tuple[int, str], np.ndarray]:
    """The string of every line, as evidence."""
    spans = zip(data.spelled[:-1].tolist(), data.spelled[1:].tolist())
    return {(n, "line"): data.letters[a:b] for n, (a, b) in enumerate(spans)}


def minima(
    g: fg.FactorGraph, threads: int = 1, evidence: Mapping[Any, Any] | None = None
) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """The kernel of `fg.solve` alone: (labels int32 (V,), minimum float64 of each component)."""
    asked = _asked(g, evidence)
    labels, energy = np.empty(asked.plan.states.size, np.int32), np.empty(asked.plan.n_components)
    solver = DynamicProgramming(threads)
    return lambda: (labels, solver.minima(asked, labels, energy))


def sums(
    g: fg.FactorGraph, threads: int = 1, evidence: Mapping[Any, Any] | None = None
) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """The kernel of `fg.marginals` alone: (marginals float64, flat over states; free energy of each component)."""
    asked = _asked(g, evidence)
    marginals = np.zeros(asked.plan.variable_states)
    solver = DynamicProgramming(threads)
    return lambda: (marginals, solver.integrate(asked, marginals=marginals))


def _asked(g: fg.FactorGraph, evidence: Mapping[Any, Any] | None) -> Asked:
    plan, energies = g.compile(), g.energies()
    return read_evidence(plan, g.named(evidence)).question(energies.dtype).of(plan, energies)
