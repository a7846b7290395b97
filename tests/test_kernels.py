"""Sweeps over forests against naive dynamic programming, at the edges of vectors, of number ranges and of memory.

The twin reads the blocks of a plan, sweeps in plain numpy float64, and knows no forms, copies, runs or scaling.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import factorgraph as fg
from factorgraph.infer import dynamic, forward_backward, spread
from factorgraph.infer.dynamic import DynamicProgramming
from factorgraph.infer.forward_backward import _logarithmic as in_logarithms
from factorgraph.infer.forward_backward import _sort as sort_sums
from factorgraph.infer.forward_backward import integrate_forests
from factorgraph.infer.solver import Answer
from factorgraph.infer.tables import weighed_tables
from factorgraph.kernels.forest_min import padding_mask
from factorgraph.kernels.jit import JIT_DISABLED
from factorgraph.kernels.schedule import RUN_STEP
from factorgraph.kernels.simd import buffer, vload, vstore, with_slack
from factorgraph.kernels.simd_sum import EXP_LOWEST, vexp, vlog
from factorgraph.plan import Asked

INF = np.inf
EDGES = [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 130]
LANES = [1, 2, 3, 7, 8, 9, 15, 16, 17, 26, 31, 32, 33]
small = pytest.mark.jitoff
sizes = pytest.mark.parametrize("states", [pytest.param(s, marks=[small] if s in (1, 2, 7, 9) else []) for s in EDGES])
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


# The twin


class Twin:
    """Minimum and labels, or free energy, marginals and pair probabilities, of every component."""

    def __init__(self, plan: Any, energies: np.ndarray, bias: np.ndarray, temperature: float | None = None):
        self.plan, self.temperature = plan, temperature
        self.own = [np.zeros(s) for s in plan.states]
        self.pair: dict[tuple[int, int], np.ndarray] = {}
        for v in range(plan.states.size if bias.size else 0):
            self.own[v] += bias[plan.offsets[v] : plan.offsets[v + 1]]
        for block in plan.blocks:
            view = block.view(energies).astype(np.float64)
            for f, scope in enumerate(block.scopes.tolist()):
                table = view[f if block.table is None else block.table[f]]
                if len(scope) == 1:
                    self.own[scope[0]] += table
                    continue
                if not block.shape:
                    table = np.where(np.eye(block.states[0], dtype=bool), 0.0, table)
                for (u, v), way in (scope, table), (scope[::-1], table.T):
                    self.pair[u, v] = self.pair.get((u, v), 0.0) + way
        self.base = np.zeros(plan.n_components)
        for v, own in enumerate(self.own if temperature is not None else []):  # what is constant rounds nothing
            if own.min() < INF:
                self.base[plan.component[v]] += own.min()
                self.own[v] = own - own.min()
        for (u, v), table in list(self.pair.items() if temperature is not None else []):
            if table.min() < INF:
                self.base[plan.component[v]] += table.min() / 2  # stored both ways round
                self.pair[u, v] = table - table.min()
        self.near: list[list[int]] = [[] for _ in self.own]
        for u, v in self.pair:
            self.near[u].append(v)
        self.value = np.empty(plan.n_components)
        self.labels = np.full(plan.states.size, -1)
        self.marginal = [np.zeros(s) for s in plan.states]
        self.joint: dict[tuple[int, int], np.ndarray] = {}
        for c in range(plan.n_components):
            self.sweep(c)

    def reduce(self, table: np.ndarray) -> np.ndarray:
        """Over the first axis."""
        least = table.min(0)
        if self.temperature is None:
            return least
        base = np.where(np.isfinite(least), least, 0.0)
        with np.errstate(divide="ignore"):
            return base - self.temperature * np.log(np.exp((base - table) / self.temperature).sum(0))

    def sweep(self, c: int) -> None:
        variables = np.flatnonzero(self.plan.component == c)
        leaves = [v for v in variables if len(self.near[v]) <= 1]
        order, parent = [leaves[-1]], {leaves[-1]: -1}
        for v in order:
            for u in self.near[v]:
                if u not in parent:
                    parent[u] = v
                    order.append(u)
        message, least = {}, self.base[c]
        for v in order[:0:-1]:
            message[v] = self.reduce(self.own[v][:, None] + self.pair[v, parent[v]])
            if self.temperature is not None and message[v].min() < INF:  # long sums are rounded less
                least += message[v].min()
                message[v] = message[v] - message[v].min()
            self.own[parent[v]] = self.own[parent[v]] + message[v]
        root = order[0]
        self.value[c] = free = self.reduce(self.own[root][:, None])[0]
        self.value[c] += least
        if self.temperature is None:
            self.labels[root] = self.own[root].argmin()
            for v in order[1:]:
                self.labels[v] = (self.own[v] + self.pair[v, parent[v]][:, self.labels[parent[v]]]).argmin()
            return
        if self.value[c] == INF:
            return
        self.marginal[root] = np.exp((free - self.own[root]) / self.temperature)
        for v in order[1:]:
            p = parent[v]
            given = self.own[v][:, None] + self.pair[v, p]
            norm = np.where(np.isfinite(message[v]), self.reduce(given), 0.0)
            given = np.exp((norm - given) / self.temperature)
            self.joint[v, p] = given * self.marginal[p]
            self.joint[p, v] = self.joint[v, p].T
            self.marginal[v] = self.joint[v, p].sum(1)

    def gradient(self) -> np.ndarray:
        """Expected configurations in the energies' layout."""
        out = self.plan.zeros(np.float64)
        for block in self.plan.blocks:
            view = block.view(out)
            for f, scope in enumerate(block.scopes.tolist()):
                t = f if block.table is None else block.table[f]
                joint = self.marginal[scope[0]] if len(scope) == 1 else self.joint.get(tuple(scope), np.zeros(()))
                if joint.ndim == 2 and not block.shape:
                    joint = joint.sum() - joint.trace()
                view[t] += joint
        return out


# Asking


def question(graph: Any, bias: np.ndarray | None = None, components: Any = None) -> Asked:
    plan = graph.compile()
    energies = with_slack(graph.energies())
    bias = np.zeros(0) if bias is None else bias
    listed = np.arange(plan.n_components) if components is None else np.asarray(components)
    return Asked(plan, energies, with_slack(bias.astype(energies.dtype)), listed)


def check_minima(asked: Asked) -> np.ndarray:
    """Labels and minima as the twin's, for any number of threads; returns the labels."""
    plan = asked.plan
    twin = Twin(plan, asked.energies, asked.bias)
    for threads in 1, 2:
        answer = Answer.empty(plan)
        least = DynamicProgramming(threads).minima(asked, answer.labels, answer.energy)
        np.testing.assert_array_equal(least, twin.value[asked.components])
        inside = np.isin(plan.component, asked.components[np.isfinite(least)])
        np.testing.assert_array_equal(answer.labels[inside], twin.labels[inside])
    return answer.labels


def check_sums(asked: Asked, temperature: float = 1.0, scale: float = 1.0) -> None:
    """Free energies, marginals and expected configurations as the twin's."""
    plan, dtype = asked.plan, asked.energies.dtype
    close = (1e-5 if dtype == np.float32 else 1e-9) * scale
    twin = Twin(plan, asked.energies, asked.bias, temperature)
    marginals, gradient = np.zeros(plan.variable_states), plan.zeros(dtype)
    free = DynamicProgramming(1).integrate(asked, temperature, marginals, gradient, 1.0)
    size = np.maximum(1.0, np.abs(np.where(np.isfinite(twin.value), twin.value, 0.0)) / temperature)
    np.testing.assert_allclose(free / temperature / size, twin.value / temperature / size, rtol=0, atol=close)
    np.testing.assert_allclose(marginals, np.concatenate(twin.marginal), rtol=0, atol=close)
    np.testing.assert_allclose(gradient, twin.gradient(), rtol=close, atol=close)


# Graphs


def integers(rng: Any, *shape: int, forbid: float = 0.0) -> np.ndarray:
    """Small integers: exact in float32, ties are common."""
    out = rng.integers(-2, 3, shape).astype(float)
    return np.where(rng.random(shape) < forbid, INF, out)


def add_chain(graph: Any, name: str, length: int, states: int, table: Any, unary: np.ndarray, way: int) -> None:
    """way: bit 0 pairs declared backwards, bit 1 unaries declared backwards, bit 2 unaries shuffled (no run)."""
    x = graph.variables(name, shape=(length,), states=states)
    order = np.arange(length)[:: -1 if way & 2 else 1]
    if way & 4:
        order = np.roll(order, 1)
    graph.add(fg.Table(np.ascontiguousarray(unary[order])), x[order])
    if length > 1:
        graph.add(table, *((x[1:], x[:-1]) if way & 1 else (x[:-1], x[1:])))


def chains(states: Any, dtype: Any, seed: int = 0, forbid: float = 0.0, extra: int = 0) -> Any:
    """Ragged chains of three shared tables, in groups of 1 … 9."""
    rng, graph = np.random.default_rng(seed), fg.FactorGraph()
    counts = [states] if np.ndim(states) == 0 else states
    for i, count in enumerate(counts):
        tables = [fg.Table(integers(rng, count, count, forbid=forbid).astype(dtype)) for _ in range(3)]
        for k, batch in enumerate((9, 4, 1 + seed % 5)):
            for j in range(batch):
                length = int(rng.integers(1, 7))
                unary = integers(rng, length, count, forbid=forbid).astype(dtype)
                add_chain(graph, f"x{i}{k}{j}", length, count, tables[k], unary, int(rng.integers(4)) + extra)
    return graph


def side_by_side(states: int, dtype: Any, seed: int = 0, forbid: float = 0.0, count: int = 60) -> Any:
    """Chains of 1 … 50 variables of two shared tables, which fill the lanes of vectors; a few step the other way."""
    rng, graph = np.random.default_rng(seed), fg.FactorGraph()
    tables = [fg.Table(integers(rng, states, states, forbid=forbid).astype(dtype)) for _ in range(2)]
    for i in range(count):
        length = 1 + int(50 * np.sqrt(rng.random()))
        unary = integers(rng, length, states, forbid=forbid).astype(dtype)
        if i % 9 == 8:
            unary[length // 2] = INF
        add_chain(graph, f"s{i}", length, states, tables[i % 5 // 4], unary, (i % 7 == 3) + 2 * (i % 11 == 0))
    return graph


def trees(states: Any, dtype: Any, seed: int = 0, forbid: float = 0.0, folded: bool = True) -> Any:
    """Random trees of 1 … 9 variables: own, shared and Potts edges, both ways round, some folded."""
    rng, graph = np.random.default_rng(seed), fg.FactorGraph()
    counts = np.atleast_1d(states)
    shared: dict[tuple[int, int], Any] = {}
    for i in range(4):
        n = int(rng.integers(1, 10))
        of = rng.choice(counts, n)
        x = graph.variables(f"t{i}", shape=(n,), states=of)
        for v in range(n):
            for _ in range(int(rng.integers(0, 3))):
                graph.add(fg.Table(integers(rng, of[v], forbid=forbid).astype(dtype)), x[v])
        names = rng.permutation(n)
        for k in range(1, n):
            u, v = int(names[k]), int(names[rng.integers(k)])
            for _ in range(1 + (folded and rng.integers(6) == 0)):
                kind, shape = rng.integers(3), (int(of[u]), int(of[v]))
                if kind == 0 and of[u] == of[v]:
                    graph.add(fg.Potts(dtype(rng.integers(-2, 3))), x[u], x[v])
                elif kind == 1:
                    if shape not in shared:
                        shared[shape] = fg.Table(integers(rng, *shape, forbid=forbid).astype(dtype))
                    graph.add(shared[shape], x[u : u + 1], x[v : v + 1])
                else:
                    graph.add(fg.Table(integers(rng, 1, *shape, forbid=forbid).astype(dtype)), x[[u]], x[[v]])
    return graph


def evidence(graph: Any, seed: int) -> np.ndarray:
    """Integers, a fifth of them +inf."""
    return integers(np.random.default_rng(seed), graph.compile().variable_states, forbid=0.2)


# 1. Edges of vectors


@sizes
@dtypes
def test_runs_and_forests_agree_with_the_twin(states: int, dtype: Any) -> None:
    for seed in range(2 if states < 64 else 1):
        run, forest = chains(states, dtype, seed), chains(states, dtype, seed, extra=4)
        plan = run.compile()
        even = plan.schedule.run[:, RUN_STEP] != 0
        assert even.sum() > 5 and not (forest.compile().schedule.run[:, RUN_STEP] != 0)[even].all()
        for bias in None, evidence(run, seed):
            labels = check_minima(question(run, bias))
            check_minima(question(run, bias, np.flatnonzero(even)[1::2][::-1]))
            if bias is None:
                np.testing.assert_array_equal(check_minima(question(forest)), labels)


@sizes
@dtypes
def test_trees_agree_with_the_twin(states: int, dtype: Any) -> None:
    for seed in range(4 if states < 64 else 1):
        for forbid in 0.0, 0.2:
            for alphabets in states, [1, 3, states]:
                graph = trees(alphabets, dtype, seed, forbid)
                for bias in None, evidence(graph, seed):
                    check_minima(question(graph, bias))


@small
@dtypes
def test_mixed_runs_and_forbidden_pairs(dtype: Any) -> None:
    for seed in range(3):
        graph = chains([1, 3, 17], dtype, seed, forbid=0.3)
        check_minima(question(graph))
        check_minima(question(graph, evidence(graph, seed)))


@pytest.mark.parametrize("states", [pytest.param(s, marks=[small] if s in (2, 9) else []) for s in LANES])
@dtypes
def test_runs_in_lanes_agree_with_the_twin(states: int, dtype: Any) -> None:
    for seed, forbid in (0, 0.0), (1, 0.2):
        graph = side_by_side(states, dtype, seed, forbid)
        plan = graph.compile()
        width = 64 // np.dtype(dtype).itemsize
        everything = np.arange(plan.n_components)
        sweeps = plan.sweeps(everything, width)
        assert (sweeps.lanes.size >= width) == (states <= 2 * width)
        found = np.sort(np.concatenate(sweeps[:-1]))
        assert np.array_equal(found, everything)
        for bias in None, evidence(graph, seed):
            check_minima(question(graph, bias))
        check_minima(question(graph, None, everything[::-1]))
        check_minima(question(graph, None, everything[3:-2:2]))


@pytest.mark.parametrize("states", [pytest.param(s, marks=[small] if s == 2 else []) for s in (1, 2, 5, 9, 17, 31)])
@dtypes
def test_sums_in_lanes_agree_with_logarithms(states: int, dtype: Any) -> None:
    """Marginals, configurations and free energies; runs without a labelling, and those past their end, touch no other.

    A table with a forbidden pair, or whose entries span too much, is left to sweeps that check every step.
    """
    for seed, temperature in (0, 1.0), (1, 0.5):
        graph = side_by_side(states, dtype, seed)
        for bias in None, evidence(graph, seed):
            for asked in (question(graph, bias), question(graph, bias).part(np.arange(7, 47)[::-1])):
                lanes, others, _ = sort_sums(asked, weigh(asked, 1 / temperature))
                assert lanes.size >= 16 and lanes.size + others.size == asked.components.size
                found, expected = (sums(asked, temperature, way) for way in (integrate_forests, logarithms))
                for one, other in zip(found, expected):
                    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 if dtype is np.float32 else 1e-11)
    wide = side_by_side(states, dtype, 0, forbid=0.3)
    assert states == 1 or not sort_sums(question(wide), weigh(question(wide), 1.0))[0].size
    cold = question(side_by_side(states, dtype))
    assert states == 1 or not sort_sums(cold, weigh(cold, 300.0))[0].size


def weigh(asked: Any, beta: float) -> np.ndarray:
    return weighed_tables(asked.plan, asked.energies, beta, padding_mask(asked.energies.dtype))


def logarithms(asked: Any, temperature: float, *about: Any) -> np.ndarray:
    return temperature * in_logarithms(asked, 1 / temperature, *about)


def sums(asked: Any, temperature: float, way: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Free energies, marginals and 0.5 · P(configuration), of the components asked."""
    plan = asked.plan
    marginals, gradient = np.full(plan.variable_states, 7.0), plan.zeros(asked.energies.dtype)
    free = way(asked, temperature, marginals, gradient, 0.5, 1)
    marginals[~np.repeat(plan.inside(asked.components[free < INF]), plan.states)] = 0
    return free, marginals, gradient


@small
@dtypes
@pytest.mark.parametrize("scale", [1e30, 1e-40])
def test_lanes_of_large_and_tiny_numbers(scale: float, dtype: Any) -> None:
    """Powers of two: exact. Beliefs beyond the range of float32 go on in float64; lanes do not touch each other."""
    scale = 2.0 ** np.round(np.log2(scale))
    rng, graph = np.random.default_rng(0), fg.FactorGraph()
    table = fg.Table((scale * integers(rng, 5, 5)).astype(dtype))
    for i in range(32):
        unary = scale * integers(rng, 20 + i, 5)
        if i == 7:
            unary[:] = 3e38 if scale > 1 else 0
        add_chain(graph, f"x{i}", 20 + i, 5, table, unary.astype(dtype), 0)
    asked = question(graph)
    assert asked.plan.sweeps(asked.components, 64 // np.dtype(dtype).itemsize).lanes.size == 32
    answer = Answer.empty(asked.plan)
    least = DynamicProgramming(1).minima(asked, answer.labels, answer.energy)
    twin = Twin(asked.plan, asked.energies, asked.bias)
    fine = np.arange(32) != 7
    np.testing.assert_array_equal(least[fine], twin.value[fine])
    np.testing.assert_allclose(least, twin.value, rtol=1e-6)
    np.testing.assert_array_equal(answer.labels[fine[asked.plan.component]], twin.labels[fine[asked.plan.component]])
    np.testing.assert_allclose(answer.energy, least, rtol=1e-6)


# 2. Edges of numbers


@small
@dtypes
@pytest.mark.parametrize("states", [1, 3, 17])
@pytest.mark.parametrize("value", [0.0, 1e30, -1e30, 1e-40, INF])
def test_equal_energies(states: int, value: float, dtype: Any) -> None:
    graph = fg.FactorGraph()
    table = fg.Table(np.full((states, states), min(value, 1e30), dtype))
    for i in range(5):
        add_chain(graph, f"x{i}", 4, states, table, np.full((4, states), value, dtype), 0)
    x, wide = graph.variables("x", shape=(2,), states=1), graph.variables("wide", states=40)
    graph.add(fg.Table(np.full((2, 1), min(value, 1e30), dtype)), x)
    graph.add(fg.Table(np.full(40, min(value, 1e30), dtype)), wide)
    asked = question(graph)
    answer = Answer.empty(asked.plan)
    least = DynamicProgramming(1).minima(asked, answer.labels, answer.energy)
    np.testing.assert_allclose(least, Twin(asked.plan, asked.energies, asked.bias).value, rtol=1e-6)
    assert not answer.labels.any()


@small
@dtypes
def test_forbidden_rows_and_columns(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    for states in 3, 17:
        for row, column in (0, 1), (2, 2), (states - 1, 0):
            table = integers(rng, states, states)
            table[row], table[:, column] = INF, INF
            graph = fg.FactorGraph()
            shared = fg.Table(table.astype(dtype))
            for i in range(6):
                unary = integers(rng, 4, states, forbid=0.5).astype(dtype)
                add_chain(graph, f"x{i}", 4, states, shared, unary, i % 4 + 4 * (i == 5))
            check_minima(question(graph))
            check_sums(question(graph))


@small
def test_what_lies_behind_a_view_never_wins() -> None:
    for value in -INF, np.nan, INF, -1e30:
        whole = np.full(200, value)
        whole[:5] = [3, 1, 2, 5, 4]
        slack = with_slack(whole[:5])
        assert (slack[:5] == whole[:5]).all()
        tail = np.lib.stride_tricks.as_strided(slack, (5 + 64,), (8,))[5:]
        assert (tail > -INF).all()
    graph = fg.FactorGraph()
    graph.add(fg.Table(np.array([3.0, 1.0, 2.0])), graph.variables("x", states=3))
    plan, whole = graph.compile(), np.full(100, -INF)
    whole[:3] = 3, 1, 2
    assert DynamicProgramming()(plan, whole[:3]).energy == 1


# 3. Sums


@sizes
@dtypes
def test_sums_agree_with_the_twin(states: int, dtype: Any) -> None:
    graph = chains(states, dtype, states)
    check_sums(question(graph))
    check_sums(question(graph, evidence(graph, 1)), 0.5)
    for folded in False, True:
        graph = trees([3, states], dtype, states, 0.2 * folded, folded)
        check_sums(question(graph), 2.0)
        check_sums(question(graph, evidence(graph, 1)))


def chain(unary: Any, tables: Any, dtype: Any = np.float32) -> Any:
    """One chain: one table (S, S) or one for each pair."""
    unary = np.asarray(unary, dtype)
    graph = fg.FactorGraph()
    x = graph.variables("x", shape=(len(unary),), states=unary.shape[1])
    graph.add(fg.Table(unary), x)
    graph.add(fg.Table(np.asarray(tables, dtype)), x[:-1], x[1:])
    return graph


def lost_states(dtype: Any, spare: float) -> Any:
    """State 1 of the second variable is unlikely on its own, and by far the likeliest way on."""
    tables = [[[spare, 0], [spare, 0]], [[spare, 0], [0, 0]]]
    top = 90.0 if dtype == np.float32 else 720.0
    return chain([[0, 0], [0, top], [0, top - 10]], tables, dtype)


def lost_in_a_star(dtype: Any, spare: float) -> Any:
    """Two children prefer the state that the centre's own energies make too unlikely for a probability."""
    graph = fg.FactorGraph()
    x = graph.variables("x", shape=(4,), states=2)
    own = np.zeros((4, 2), dtype)
    own[0, 1] = 95 if dtype == np.float32 else 740
    graph.add(fg.Table(own), x)
    graph.add(fg.Table(np.array([[spare, 0], [spare, 0]], dtype)), x[1:3], x[[0, 0]])
    graph.add(fg.Table(np.zeros((2, 2), dtype)), x[0], x[3])
    return graph


def corridors(dtype: Any, steps: int) -> Any:
    """Two states without transitions between them: one decays by e^−10 a step, and wins by its last energy."""
    unary = np.zeros((steps + 1, 2))
    unary[:-1, 1] = 10
    unary[-1, 0] = 10 * steps + 1
    return chain(unary, [[0, INF], [INF, 0]], dtype)


def banded(dtype: Any, states: int, length: int, sharp: float) -> Any:
    """Left to right: stay or go one on; starts in the first state, ends in the last."""
    rng = np.random.default_rng(states)
    table = np.full((states, states), INF)
    for i in range(states):
        table[i, i : i + 2] = rng.normal(size=len(table[i, i : i + 2]))
    unary = sharp * rng.normal(size=(length, states))
    unary[0, 1:], unary[-1, :-1] = INF, INF
    return chain(unary, table, dtype)


def star(dtype: Any, sharp: float, forbid: bool = False) -> Any:
    rng, graph = np.random.default_rng(7), fg.FactorGraph()
    x = graph.variables("x", shape=(1001,), states=3)
    graph.add(fg.Table((sharp * rng.normal(size=(1001, 3))).astype(dtype)), x)
    table = rng.normal(size=(3, 3))
    if forbid:
        table[0, 1] = INF
    graph.add(fg.Table(table.astype(dtype)), x[np.zeros(1000, int)], x[1:])
    return graph


def wide_steps(dtype: Any, span: float, whole: bool) -> Any:
    rng = np.random.default_rng(3)
    table = rng.normal(size=(3, 3))
    if not whole:
        table[0, 2] = INF
    return chain(span * rng.random((9, 3)), table, dtype)


def wide_tables(dtype: Any, span: float) -> Any:
    rng = np.random.default_rng(4)
    return chain(rng.normal(size=(9, 3)), span * rng.random((8, 3, 3)), dtype)


def negative_potts(dtype: Any, weight: float) -> Any:
    rng, graph = np.random.default_rng(5), fg.FactorGraph()
    x = graph.variables("x", shape=(40,), states=3)
    graph.add(fg.Table(rng.normal(size=(40, 3)).astype(dtype)), x)
    graph.add(fg.Potts(dtype(-weight)), x[:20], x[1:21])
    graph.add(fg.Potts(dtype(weight)), x[20:-1], x[21:])
    return graph


ADVERSARIES: dict[str, Any] = {
    **{f"lost states {s}": lambda d, s=s: lost_states(d, s) for s in (30, 60, 66, 600, 660)},
    **{f"lost in a star {s}": lambda d, s=s: lost_in_a_star(d, s) for s in (30, 48, 60, 370, 600)},
    **{f"corridors {n}": lambda d, n=n: corridors(d, n) for n in (3, 9, 12, 70, 100)},
    **{f"banded {s}": lambda d, s=s: banded(d, s, 30, 1) for s in (3, 17)},
    "banded sharply": lambda d: banded(d, 9, 20, 30),
    "banded too short": lambda d: banded(d, 9, 5, 1),
    **{f"star {s}": lambda d, s=s: star(d, s) for s in (0.1, 1, 60)},
    "star with forbidden pairs": lambda d: star(d, 1, True),
    **{f"steps of {n}": lambda d, n=n: wide_steps(d, n, True) for n in (100, 700, 2000)},
    **{f"forbidden steps of {n}": lambda d, n=n: wide_steps(d, n, False) for n in (100, 700, 2000)},
    **{f"tables of {n}": lambda d, n=n: wide_tables(d, n) for n in (100, 700, 2000)},
    **{f"potts {n}": lambda d, n=n: negative_potts(d, n) for n in (0.5, 100, 800)},
    "huge sums": lambda d: chain(np.full((3, 2), 2e38), np.full((2, 2), 2e38), d),
    "huge negative sums": lambda d: chain(np.full((3, 2), -2e38), np.full((2, 2), -2e38), d),
}


@dtypes
@pytest.mark.parametrize("name", [pytest.param(n, marks=[small] if "star " not in n else []) for n in ADVERSARIES])
def test_sums_where_probabilities_are_not_safe(name: str, dtype: Any) -> None:
    check_sums(question(ADVERSARIES[name](dtype)))


@small
@dtypes
@pytest.mark.parametrize("temperature", [1e-8, 1e-3, 1e3, 1e8])
def test_temperatures(temperature: float, dtype: Any) -> None:
    rng = np.random.default_rng(1)
    check_sums(question(chain(rng.normal(size=(9, 3)), rng.normal(size=(3, 3)), dtype)), temperature)
    check_sums(question(trees(3, dtype, 5, folded=False)), temperature, max(1, 1e-6 / temperature))


@small
@dtypes
def test_offsets_cancel(dtype: Any) -> None:
    rng = np.random.default_rng(2)
    check_sums(question(chain(1e6 + rng.integers(0, 4, (9, 3)), 1e6 + rng.integers(0, 4, (3, 3)), dtype)))


@pytest.mark.parametrize("dtype, step", [(np.float32, 0.0), (np.float32, 0.1), (np.float64, 0.1)])
def test_long_chains(dtype: Any, step: float) -> None:
    """Expected configurations are sums of 20,000 probabilities."""
    check_sums(question(chain(np.zeros((20_000, 3)), step * np.arange(9.0).reshape(3, 3), dtype)))


@small
@dtypes
def test_bytes_for_any_threads(dtype: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(forward_backward, "SLICE", 50.0)
    monkeypatch.setattr(spread, "SLICE", 50.0)
    monkeypatch.setattr(spread, "THREAD_WORK", 1.0)
    monkeypatch.setattr(dynamic, "RUN_SLICE", 5000.0)
    for graph in chains(5, dtype, 1), chains(5, dtype, 1, forbid=0.2), trees(5, dtype, 3), side_by_side(5, dtype):
        asked, found = question(graph, evidence(graph, 2)), set()
        plan = asked.plan
        for threads in 1, 2, 3:
            marginals, gradient = np.zeros(plan.variable_states), plan.zeros(dtype)
            free = DynamicProgramming(threads).integrate(asked, 1.0, marginals, gradient, -0.3)
            answer = Answer.empty(plan)
            least = DynamicProgramming(threads).minima(asked, answer.labels, answer.energy)
            found.add(tuple(x.tobytes() for x in (free, marginals, gradient, least, answer.labels, answer.energy)))
        assert len(found) == 1


@small
@dtypes
@pytest.mark.parametrize("states", [3, 20])
def test_a_run_has_the_same_bytes_in_any_company(states: int, dtype: Any) -> None:
    """Alone, one of four side by side, or in a lane, on any number of threads."""
    rng, graph = np.random.default_rng(0), fg.FactorGraph()
    table = fg.Table(rng.normal(size=(states, states)).astype(dtype))
    for i in range(20):
        add_chain(graph, f"x{i}", 30 + i, states, table, rng.normal(size=(30 + i, states)).astype(dtype), 0)
    bias = rng.normal(size=graph.compile().variable_states)
    everything, found = np.arange(20), set()
    for parts in [everything], everything[:, None], np.split(everything, [3, 8]), [everything[::-1]]:
        asked = question(graph, bias)
        answer, least = Answer.empty(asked.plan), np.empty(20)
        for part in parts:
            least[part] = DynamicProgramming(1).minima(asked.part(part), answer.labels, answer.energy)
        found.add((least.tobytes(), answer.labels.tobytes(), answer.energy.tobytes()))
    assert len(found) == 1


# 4. Memory


@small
@dtypes
def test_components_that_are_not_asked_stay_as_they_are(dtype: Any) -> None:
    for graph in chains(9, dtype, 1), trees(9, dtype, 3), trees([1, 17], dtype, 4):
        plan = graph.compile()
        asked = question(graph, None, np.arange(1, plan.n_components, 2))
        other = np.isin(plan.component, asked.components, invert=True)
        labels, energy = np.full(plan.states.size, -7, np.int32), np.full(plan.n_components, -7.0)
        DynamicProgramming(1).minima(asked, labels, energy)
        assert (labels[other] == -7).all() and (labels[~other] >= 0).all() and (energy[::2] == -7).all()
        marginals, gradient = np.full(plan.variable_states, -7.0), plan.zeros(dtype)
        DynamicProgramming(1).integrate(asked, 1.0, marginals, gradient, 1.0)
        owner = np.repeat(other, plan.states)
        assert (marginals[owner] == -7).all() and (marginals[~owner] >= 0).all()
        for block in plan.blocks:
            if block.table is None:
                assert not block.view(gradient)[other[block.scopes[:, 0]]].any()


GUARDED = """
import ctypes, mmap, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import factorgraph as fg
import test_kernels as t
from factorgraph.infer import dynamic, forward_backward, tables
from factorgraph.kernels import run_lanes, run_scaled, simd

PAGE, KEPT, libc = mmap.PAGESIZE, [], ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int

def guarded(shape, dtype=float, slack=0, fill=0, behind=0.0):
    # An array that ends, with its slack, where memory ends; before it lie canaries.
    dtype = np.dtype(dtype)
    size = int(np.prod(shape))
    count = (size + slack) * dtype.itemsize
    pages = -(-(count + 64) // PAGE) + 1
    memory = mmap.mmap(-1, pages * PAGE)
    raw = np.frombuffer(memory, np.uint8)
    raw[:] = 85
    assert libc.mprotect(raw.ctypes.data + (pages - 1) * PAGE, PAGE, 0) == 0  # PROT_NONE
    start = (pages - 1) * PAGE - count
    whole = raw[start : start + count].view(dtype)
    whole[:size], whole[size:] = fill, behind
    KEPT.append((raw, start))
    return whole[:size].reshape(shape)

class Numpy:
    def __getattr__(self, name):
        return getattr(np, name)
    empty = staticmethod(lambda shape, dtype=float: guarded(shape, dtype, fill=-3))
    full = staticmethod(lambda shape, fill, dtype=float: guarded(shape, dtype, fill=fill))
    zeros = staticmethod(lambda shape, dtype=float: guarded(shape, dtype))

def copy(array, slack=0, behind=0.0):
    out = guarded(array.shape, array.dtype, slack, behind=behind)
    out[...] = array
    return out

mask = forward_backward.padding_mask
for module in dynamic, forward_backward, tables, run_lanes, run_scaled:
    if hasattr(module, "buffer"):
        module.buffer = lambda size, dtype, fill=0.0: guarded(size, dtype, simd.SLACK, fill)
    if module in (dynamic, forward_backward):
        module.np = Numpy()
        module.padding_mask = lambda dtype: copy(mask(dtype))

def lattice(dtype):
    graph, rng = fg.FactorGraph(), np.random.default_rng(0)
    for name, way in ("a", 0), ("b", 1):
        line = graph.lattice(name, arcs=(np.array([0, 0, 1, 1, 2]), np.array([1, 2, 2, 3, 3])), states=5)
        graph.add(fg.Table(rng.normal(size=(5, 5)).astype(dtype)), line)
        if way:
            graph.add(fg.Table(rng.normal(size=(5, 5)).astype(dtype)), line, line)
    return graph

for dtype in np.float32, np.float64:
    graphs = [lattice(dtype)]
    for s in (1, 2, 7, 8, 9, 16, 17, 33):
        graphs += [t.chains(s, dtype, s), t.trees([3, s], dtype, s), t.trees(s, dtype, s, 0.2, False)]
    graphs += [t.side_by_side(s, dtype, s, 0.1, 50) for s in (1, 2, 8, 9, 16, 17, 32)]
    graphs += [t.side_by_side(s, dtype, s, 0.0, 34) for s in (2, 9, 33)]
    graphs += [t.ADVERSARIES[name](dtype) for name in ("lost states 66", "steps of 2000")]
    for graph in graphs:
        for bias in None, t.evidence(graph, 1):
            for behind in 0.0, -1e30, np.inf:
                asked = t.question(graph, bias)
                plan = asked.plan
                asked = asked._replace(energies=copy(asked.energies, simd.SLACK, behind),
                                       bias=copy(asked.bias, simd.SLACK, behind))
                labels = guarded(plan.states.size, np.int32, fill=-1)
                solver = dynamic.DynamicProgramming(1)
                least = solver.minima(asked, labels, guarded(plan.n_components, fill=np.nan))
                marginals, gradient = guarded(plan.variable_states), guarded(plan.size, dtype)
                free = solver.integrate(asked, 1.0, marginals, gradient, 1.0)
                if not plan.lattices.nodes.size:
                    twin = t.Twin(plan, asked.energies, asked.bias)
                    assert np.allclose(least, twin.value, 1e-5) and not np.isnan(free).any()
                assert all((raw[start - 64 : start] == 85).all() for raw, start in KEPT), "canary"
                del KEPT[:]
print("fine")
"""


def test_no_kernel_leaves_its_memory() -> None:
    """Every array ends where a page begins that may not be touched; a segmentation fault ends the process."""
    if JIT_DISABLED:
        pytest.skip("numpy checks bounds")
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", GUARDED, here], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "fine\n", f"{done.returncode}\n{done.stderr[-3000:]}"


# 5. Exponentials


@numba.njit
def exponentials(values: np.ndarray, out: np.ndarray) -> None:
    for i in range(0, values.size, 64 // values.itemsize):
        vstore(out, i, vexp(vload(values, i)))


@small
@dtypes
def test_vexp(dtype: Any) -> None:
    lowest = dtype(EXP_LOWEST[np.dtype(dtype).itemsize])
    fine = np.concatenate([np.linspace(lowest, 88, 4000), -np.geomspace(1e-30, -lowest, 2000), [lowest, 0.0]])
    values, out = buffer(6016, dtype), buffer(6016, dtype)
    values[: fine.size] = np.clip(fine.astype(dtype), lowest, None)
    exponentials(values, out)
    true = np.exp(values.astype(np.longdouble))
    assert (np.abs(out / true - 1) < 2 * np.finfo(dtype).eps).all() and out[6001] == 1
    values[:] = np.resize(np.array([-INF, np.nextafter(lowest, dtype(-INF)), 2 * lowest, -1e30], dtype), 6016)
    exponentials(values, out)
    assert not out.any()


@numba.njit
def logarithms_of(values: np.ndarray, out: np.ndarray) -> None:
    for i in range(0, values.size, 64 // values.itemsize):
        vstore(out, i, vlog(vload(values, i)))


@small
@dtypes
def test_vlog(dtype: Any) -> None:
    about = np.finfo(dtype)
    fine = np.concatenate([np.geomspace(about.tiny, about.max / 2, 3000), np.geomspace(0.4, 3, 3000), [1, 2, 0.5]])
    values, out = buffer(6016, dtype, 1.0), buffer(6016, dtype)
    values[: fine.size] = np.clip(fine.astype(dtype), about.tiny, about.max)
    logarithms_of(values, out)
    true = np.log(values.astype(np.longdouble))
    assert (np.abs(out - true) <= 2 * about.eps * np.maximum(1, np.abs(true))).all() and (out[values == 1] == 0).all()


# 6. Slices


class Stop(Exception):
    pass


@small
@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
@pytest.mark.parametrize("threads", [1, 3])
def test_exceptions_stop_what_has_not_begun(threads: int, error: Any) -> None:
    begun, lock = [], threading.Lock()

    def task(part: np.ndarray) -> None:
        with lock:
            begun.append(int(part[0]))
        if part[0] == 0:
            raise error
        threading.Event().wait(0.01)

    with pytest.raises(error):
        spread.spread(np.arange(1000), np.ones(1000), task, threads, 1.0)
    assert len(begun) < 20


@small
def test_slices_cover_everything_in_order(monkeypatch: Any) -> None:
    for count, work, size in (1, 0.0, None), (10, 0.0, 1.0), (1000, 1.0, 7.0), (9, 1e9, None):
        for threads in 1, 2, None:
            parts = spread.spread(np.arange(count), np.full(count, work), lambda part: part, threads, size)
            assert np.array_equal(np.concatenate(parts), np.arange(count)) and all(part.size for part in parts)
    assert spread.spread(np.arange(0), np.zeros(0), lambda part: part, 2) == []
    cuts = [[p.tolist() for p in spread.spread(np.arange(99), np.ones(99), lambda p: p, n, 10.0)] for n in (1, 2, 3)]
    assert cuts[0] == cuts[1] == cuts[2]
