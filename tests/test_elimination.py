"""Variable elimination against enumeration, dynamic programming and other libraries; its orders, budgets and limits."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import INF
from strategies import Case, DrawnChoices, explained, random_case, random_evidence

import factorgraph as fg
from factorgraph.infer import buckets as buckets_module
from factorgraph.infer.buckets import Tables, allowed_states, arrange
from factorgraph.infer.order import _start, _try, find_orders, width_of
from factorgraph.kernels.buckets import AXES, MESSAGE, STATES
from factorgraph.kernels.order import BY_FILL, BY_WEIGHT
from factorgraph.kernels.order_heap import DEGREE, LIMIT, SCALE, WHEN
from factorgraph.plan import Asked, Question, read_evidence

Elimination = fg.Elimination
pytestmark = pytest.mark.filterwarnings("error:invalid value:RuntimeWarning")  # inf − inf nowhere

HALF = settings(max_examples=settings.default.max_examples // 2)
EXACT = {"rtol": 1e-11, "atol": 1e-11}


@st.composite
def questions(draw: Any) -> tuple[Case, Any]:
    """A small graph, loopy or not, and evidence (none in every third)."""
    choices = DrawnChoices(draw)
    case = random_case(choices, forest=choices.integer(0, 3) == 0, lattices=False)
    return case, random_evidence(case, choices) if choices.integer(0, 2) else ({}, None, ())


def asked_of(graph: fg.FactorGraph, evidence: Any = None, bias: Any = None) -> Asked:
    plan, energies = graph.compile(), graph.energies()
    if bias is not None:
        return Question(bias).of(plan, energies)
    return read_evidence(plan, graph.named(evidence or {})).question(energies.dtype).of(plan, energies)


def joint_of(case: Case, allowed: Any) -> np.ndarray:
    return case.spec.joint() if allowed is None else oracle.restrict(case.spec.joint(), allowed)


def by_number(case: Case, flat: np.ndarray) -> list[np.ndarray]:
    """Values over variable states, split by the Spec's variables."""
    return np.split(flat, np.cumsum(case.spec.states)[:-1])


@given(questions())
@pytest.mark.filterwarnings("error")
def test_minima_and_min_marginals(question: tuple[Case, Any]) -> None:
    case, (evidence, allowed, _) = question
    with explained(case, evidence=evidence):
        best = oracle.minimum(case.spec, allowed)
        solution = fg.solve(case.graph, evidence=evidence, method="elimination")
        assert solution.energy == solution.minimum == solution.bound == best
        assert solution.status == (fg.Status.OPTIMAL if best < INF else fg.Status.INFEASIBLE)
        if best < INF:
            labels = case.flat(solution.labels)
            assert case.spec.energy(labels) == best
            assert allowed is None or all(mask[label] for mask, label in zip(allowed, labels, strict=True))
        found = fg.min_marginals(case.graph, evidence=evidence, method="elimination")
        for name, declared in case.arrays.items():
            for index, number in np.ndenumerate(declared.numbers):
                given_ = np.asarray(found.variables[name])[index][: case.spec.states[number]]
                np.testing.assert_array_equal(given_, oracle.min_marginals(joint_of(case, allowed))[number])


@given(questions(), st.sampled_from([1.0, 0.25, 7.0]))
def test_sums(question: tuple[Case, Any], temperature: float) -> None:
    case, (evidence, allowed, _) = question
    asked = asked_of(case.graph, evidence)
    joint = joint_of(case, allowed)
    if case.spec.constant() == INF:
        return
    with explained(case, evidence=evidence, temperature=temperature):
        free = oracle.free_energy(case.spec, allowed, (), temperature) - case.spec.constant()
        marginals, gradient = np.full(asked.plan.variable_states, np.nan), asked.plan.zeros(asked.energies.dtype)
        solver = Elimination()
        np.testing.assert_allclose(solver.integrate(asked, temperature).sum(), free, **EXACT)
        found = solver.integrate(asked, temperature, marginals, gradient, 2.0)
        np.testing.assert_allclose(found.sum(), free, **EXACT)
        if free == INF:
            return
        for given_, expected in zip(by_number(case, marginals), oracle.marginals(joint, temperature), strict=True):
            np.testing.assert_allclose(given_, expected, **EXACT)
        again = asked.plan.zeros(asked.energies.dtype)
        fg.BruteForce().integrate(asked, temperature, None, again, 2.0)
        np.testing.assert_allclose(gradient, again, **(EXACT if again.itemsize == 8 else {"rtol": 1e-5, "atol": 1e-5}))


@given(questions(), st.integers(1, 12))
def test_ranking(question: tuple[Case, Any], k: int) -> None:
    case, (evidence, allowed, _) = question
    asked = asked_of(case.graph, evidence)
    with explained(case, evidence=evidence, k=k):
        ranking, referee = Elimination().rank(asked, k), fg.BruteForce().rank(asked, k)
        np.testing.assert_array_equal(ranking.energies, referee.energies)
        for c in range(asked.plan.n_components):
            inside = asked.plan.variables_of(c)
            listed = [tuple(labels) for labels in ranking.labels[:, inside].tolist()]
            exist = int((ranking.energies[c] < INF).sum())
            assert len(set(listed[:exist])) == exist and set(listed[exist:]) <= {(-1,) * inside.size}
            part = case.spec.part(inside.tolist())
            assert [part.energy(labels) for labels in listed[:exist]] == ranking.energies[c, :exist].tolist()


@given(questions(), st.integers(0, 1000))
@HALF
def test_draws(question: tuple[Case, Any], seed: int) -> None:
    case, (evidence, allowed, _) = question
    options: dict[str, Any] = {"evidence": evidence, "method": "elimination"}
    with explained(case, evidence=evidence, seed=seed):
        if oracle.minimum(case.spec, allowed) == INF:
            with pytest.raises(fg.FactorGraphError, match="sample: .* forbid"):
                fg.sample(case.graph, 3, seed, **options)
            return
        few, more = (fg.sample(case.graph, n, seed, **options).flat for n in (4, 9))
        assert few.tobytes() == more[:4].tobytes()
        for labels in more.tolist():
            assert case.spec.energy(labels) < INF
            assert allowed is None or all(mask[label] for mask, label in zip(allowed, labels, strict=True))


def test_draws_have_the_right_distribution() -> None:
    rng = np.random.default_rng(0)
    g, joint = fg.FactorGraph(), np.zeros((2, 3, 2))
    x = g.variables("x", shape=(3,), states=np.array([2, 3, 2]))
    for a, b in ((0, 1), (1, 2), (0, 2)):
        table = rng.normal(size=(joint.shape[a], joint.shape[b]))
        g.add(fg.Table(table), x[a], x[b])
        joint += np.expand_dims(table, ({0, 1, 2} - {a, b}).pop())
    n = 20_000
    flat = fg.sample(g, n, 1, method="elimination", temperature=2.0).flat
    found = np.bincount(np.ravel_multi_index(flat.T, joint.shape), minlength=joint.size) / n
    expected = oracle.gibbs(joint, 2.0).ravel()
    assert (np.abs(found - expected) < 5 * np.sqrt(expected / n)).all()


# Larger graphs, against other exact methods


def strip(
    height: int, length: int, states: int, seed: int, dtype: Any = np.float64, forbid: float = 0
) -> tuple[fg.FactorGraph, list[np.ndarray]]:
    """A grid with long rows and its tables of every variable, down and right: integers, some of them +inf."""
    rng = np.random.default_rng(seed)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(height, length), states=states)
    tables = [rng.integers(-9, 10, (height, length, states)).astype(dtype)]
    for shape in ((height - 1, length), (height, length - 1)):
        tables.append(rng.integers(-9, 10, (*shape, states, states)).astype(dtype))
        tables[-1][rng.random(tables[-1].shape) < forbid] = INF
    for table, scope in zip(tables, [(x,), (x[:-1], x[1:]), (x[:, :-1], x[:, 1:])], strict=True):
        g.add(fg.Table(table), *scope)
    return g, tables


def columns(tables: list[np.ndarray]) -> fg.FactorGraph:
    """The same strip as a chain of its columns."""
    own, down, right = (table.astype(float) for table in tables)
    height, length, states = own.shape
    index = np.array(list(np.ndindex((states,) * height)))
    unary = sum(own[h][:, index[:, h]] for h in range(height))
    unary = unary + sum(down[h][:, index[:, h], index[:, h + 1]] for h in range(height - 1))
    pair = sum(right[h][:, index[:, h][:, None], index[:, h][None]] for h in range(height))
    g = fg.FactorGraph()
    y = g.variables("y", shape=(length,), states=len(index))
    g.add(fg.Table(unary), y)
    g.add(fg.Table(pair), y[:-1], y[1:])
    return g


@pytest.mark.parametrize("dtype, forbid", [(np.float64, 0.0), (np.float32, 0.0), (np.float64, 0.05)])
def test_long_strips_are_chains_of_columns(dtype: Any, forbid: float) -> None:
    height, length, states = 3, 2000, 2
    g, tables = strip(height, length, states, 1, dtype, forbid)
    chain = columns(tables)
    solution, referee = fg.solve(g, method="elimination"), fg.solve(chain)
    assert solution.energy == referee.energy and solution.status == referee.status
    if referee.status == fg.Status.INFEASIBLE:
        return
    for temperature in (1.0, 20.0):
        found = fg.marginals(g, temperature=temperature, method="elimination")
        wanted = fg.marginals(chain, temperature=temperature)
        assert found.log_partition == pytest.approx(wanted.log_partition, rel=1e-12)
        columns_ = wanted.variables["y"].reshape(length, *(states,) * height)
        for h in range(height):
            axes = tuple(1 + a for a in range(height) if a != h)
            np.testing.assert_allclose(found.variables["x"][h], columns_.sum(axes), atol=1e-9)


def test_min_marginals_of_a_strip_agree_with_clamping() -> None:
    g, _ = strip(3, 12, 3, 5)
    found = fg.min_marginals(g, method="elimination").variables["x"]
    for h, t, k in [(0, 0, 0), (1, 5, 2), (2, 11, 1), (2, 6, 0)]:
        labels = np.full((3, 12), -1)
        labels[h, t] = k
        assert found[h, t, k] == fg.solve(g, evidence={"x": labels}, method="elimination").energy


def test_trees_agree_with_dynamic_programming() -> None:
    rng = np.random.default_rng(3)
    count, states = 3000, 5
    g = fg.FactorGraph()
    x = g.variables("x", shape=(count,), states=states)
    child = np.arange(1, count)
    parent = (rng.random(child.size) * child).astype(int)
    parent[::3] = 0  # a hub of very many neighbours
    g.add(fg.Table(rng.normal(size=(count, states))), x)
    g.add(fg.Table(rng.normal(size=(states, states))), x[child], x[parent])
    assert fg.solve(g, method="elimination").energy == fg.solve(g).energy
    found, wanted = (fg.marginals(g, factors=True, method=m) for m in ("elimination", "dynamic"))
    assert found.log_partition == pytest.approx(wanted.log_partition, rel=1e-12)
    np.testing.assert_allclose(found.flat, wanted.flat, atol=1e-10)
    for mine, theirs in zip(found.factors, wanted.factors, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-9)
    np.testing.assert_allclose(fg.min_marginals(g, method="elimination").flat, fg.min_marginals(g).flat, rtol=1e-12)
    few, referee = (fg.k_best(g, 5, method=m) for m in ("elimination", "dynamic"))
    assert [s.energy for s in few] == pytest.approx([s.energy for s in referee], rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_sums_agree_with_pgmpy(seed: int) -> None:
    models = pytest.importorskip("pgmpy.models")
    inference = pytest.importorskip("pgmpy.inference")
    discrete = pytest.importorskip("pgmpy.factors.discrete")
    rng = np.random.default_rng(seed)
    states = rng.integers(2, 4, 9)
    scopes = [(i, (i + 1) % 9) for i in range(9)] + [(0, 3, 6), (1, 5), (2, 7)]
    g, network = fg.FactorGraph(), models.DiscreteMarkovNetwork()
    x = g.variables("x", shape=(9,), states=states)
    for scope in scopes:
        table = rng.normal(size=states[list(scope)])
        g.add(fg.Table(table), *(x[v] for v in scope))
        network.add_edges_from([(str(a), str(b)) for a, b in itertools.combinations(scope, 2)])
        names = [str(v) for v in scope]
        network.add_factors(discrete.DiscreteFactor(names, states[list(scope)], np.exp(-table).ravel()))
    found = fg.marginals(g, method="elimination")
    assert found.log_partition == pytest.approx(np.log(network.get_partition_function()), rel=1e-9)
    propagation = inference.BeliefPropagation(network)
    for v in range(9):
        wanted = propagation.query([str(v)], show_progress=False).values
        np.testing.assert_allclose(found.variables["x"][v][: states[v]], wanted, atol=1e-9)


# Cliques of many rows, tables of every kind


def dense_case(seed: int) -> tuple[fg.FactorGraph, Asked]:
    """A dozen variables of few states, factors of arity up to 5 enough to make cliques wide; a bias on some states."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(9, 13))
    states = rng.integers(1, 4, count)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(count,), states=states)
    dtype = (np.float64, np.float32)[seed % 2]
    for arity in rng.choice([1, 2, 2, 2, 3, 3, 4, 5], 18):
        scope = rng.permutation(count)[:arity]
        if arity == 2 and states[scope[0]] == states[scope[1]] and rng.random() < 0.4:
            g.add(fg.Potts(dtype(rng.integers(-3, 4))), *(x[v] for v in scope))
            continue
        table = rng.integers(-9, 10, states[scope]).astype(dtype)
        table[rng.random(table.shape) < (0, 0.1)[seed % 3 == 0]] = INF
        g.add(fg.Table(table), *(x[v] for v in scope))
        if arity > 1 and rng.random() < 0.3:  # once more, the other way round, and part of it
            g.add(fg.Table(table.T), *(x[v] for v in scope[::-1]))
            g.add(fg.Table(table[..., 0]), *(x[v] for v in scope[:-1]))
    bias = rng.integers(0, 4, g.compile().variable_states).astype(dtype)
    bias[rng.random(bias.size) < 0.15] = INF
    return g, asked_of(g, bias=bias)


def agree(asked: Asked, solver: fg.Solver, referee: fg.Solver, single: bool) -> None:
    """All answers of two exact solvers."""
    plan = asked.plan
    mine, theirs = np.zeros((2, plan.variable_states))
    least = solver.min_marginals(asked, mine)
    np.testing.assert_array_equal(least, referee.min_marginals(asked, theirs))
    np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(solver.rank(asked, 6).energies, referee.rank(asked, 6).energies)
    feasible = asked.part(least < INF)
    mine[:], theirs[:] = 0, 0
    slopes = [plan.zeros(asked.energies.dtype) for _ in range(2)]
    free = solver.integrate(feasible, 2.0, mine, slopes[0], 0.5)
    np.testing.assert_allclose(free, referee.integrate(feasible, 2.0, theirs, slopes[1], 0.5), **EXACT)
    np.testing.assert_allclose(mine, theirs, **EXACT)
    np.testing.assert_allclose(*slopes, **({"rtol": 1e-5, "atol": 1e-5} if single else EXACT))
    np.testing.assert_array_equal(solver.integrate(feasible, 2.0), free)


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(s, marks=pytest.mark.check) for s in range(12, 100))])
def test_wide_cliques_agree_with_enumeration(seed: int) -> None:
    g, asked = dense_case(seed)
    agree(asked, Elimination(), fg.BruteForce(), seed % 2 == 1)
    solution = Elimination()(asked.plan, asked.energies, Question(asked.bias))
    referee = fg.BruteForce()(asked.plan, asked.energies, Question(asked.bias))
    assert solution.minimum == referee.minimum and solution.status == referee.status


@pytest.mark.jitoff
def test_a_small_graph_of_every_kind_of_table() -> None:
    rng = np.random.default_rng(4)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(6,), states=np.array([2, 3, 1, 2, 4, 2]))
    table = rng.integers(-3, 4, (2, 3, 4)).astype(float)
    table[0, 1] = INF
    g.add(fg.Table(table), x[0], x[1], x[4])
    g.add(fg.Table(rng.integers(-3, 4, (2, 2)).astype(float)), x[5], x[3])
    g.add(fg.Table(rng.integers(-3, 4, (4, 1, 2)).astype(float)), x[4], x[2], x[5])
    g.add(fg.Potts(2.0), x[0], x[3])
    agree(asked_of(g), Elimination(), fg.BruteForce(), False)
    g.add(fg.Table(np.array([[0.0, INF], [INF, INF]])), x[0], x[5])
    g.add(fg.Table(np.array([[INF, 0.0], [0.0, 0.0]])), x[0], x[5])
    solution = fg.solve(g, method="elimination")
    assert solution.status == fg.Status.INFEASIBLE and solution.bound == INF
    with pytest.raises(fg.FactorGraphError, match="sample: every labelling"):
        fg.sample(g, 1, method="elimination")
    asked = asked_of(g, {"x": np.array([-1, 2, 0, 1, -1, -1])})
    marginals, gradient = np.ones(asked.plan.variable_states), asked.plan.zeros(np.float64)
    with np.errstate(invalid="ignore"):  # without the compiler numpy sees lanes past a row, which may hold anything
        free = Elimination().integrate(asked, 1.0, marginals, gradient)
    assert free[0] == INF and not gradient.any() and not np.isnan(marginals).any()


def test_slices_and_threads_change_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [dense_case(seed) for seed in (2, 4)] + [(g := strip(4, 8, 3, 1)[0], asked_of(g))]
    for _, asked in cases:
        monkeypatch.setattr(buckets_module, "SLICE", 1 << 23)
        whole = [_all_bytes(asked, 1)]
        monkeypatch.setattr(buckets_module, "SLICE", 1 << 6)
        whole += [_all_bytes(asked, threads) for threads in (1, 2, 3)]
        assert whole[0] == whole[1] == whole[2] == whole[3]


def _all_bytes(asked: Asked, threads: int) -> list[bytes]:
    solver, plan = Elimination(threads), asked.plan
    question = Question(asked.bias if asked.bias.size else None)
    mins, sums, slope = np.zeros(plan.variable_states), np.zeros(plan.variable_states), plan.zeros(asked.energies.dtype)
    least, free = solver.min_marginals(asked, mins), solver.integrate(asked, 1.5, sums, slope)
    labels = solver(plan, asked.energies, question).flat
    return [array.tobytes() for array in (least, free, mins, sums, slope, labels)]


def test_only_the_components_asked_for_are_answered() -> None:
    g = fg.FactorGraph()
    rng = np.random.default_rng(0)
    for name in "abc":
        x = g.variables(name, shape=(4,), states=3)
        for u, v in itertools.combinations(range(4), 2):
            g.add(fg.Table(rng.normal(size=(3, 3))), x[u], x[v])
    asked = asked_of(g).part(np.array([2, 0]))
    mine, theirs = np.full((2, asked.plan.variable_states), -7.0)
    free = Elimination().integrate(asked, 1.0, mine)
    np.testing.assert_allclose(free, fg.BruteForce().integrate(asked, 1.0, theirs), **EXACT)
    np.testing.assert_allclose(mine, theirs, **EXACT)
    assert (mine[12:24] == -7).all()
    solution = Elimination()(asked.plan, asked.energies, components=np.array([2, 0]))
    referee = fg.BruteForce()(asked.plan, asked.energies, components=np.array([2, 0]))
    np.testing.assert_array_equal(solution.flat, referee.flat)
    assert (solution.flat[4:8] == -1).all()


def test_energies_far_apart_neither_overflow_nor_vanish() -> None:
    rng = np.random.default_rng(1)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(7,), states=3)
    for u, v in itertools.combinations(range(7), 2):
        g.add(fg.Table(rng.normal(size=(3, 3)) * 10.0 ** rng.integers(-3, 7)), x[u], x[v])
    asked = asked_of(g)
    for temperature in (1e-3, 1.0, 1e9):
        mine, theirs = np.zeros((2, asked.plan.variable_states))
        free = Elimination().integrate(asked, temperature, mine)
        np.testing.assert_allclose(free, fg.BruteForce().integrate(asked, temperature, theirs), rtol=1e-12)
        np.testing.assert_allclose(mine, theirs, atol=1e-5 if temperature < 1 else 1e-8)


# Orders


def neighbours_of(case: Case) -> dict[int, set[int]]:
    """The graph of variables of more than one state."""
    found: dict[int, set[int]] = {v: set() for v, states in enumerate(case.spec.states) if states > 1}
    for scope, _ in case.spec.factors:
        free = [v for v in scope if v in found]
        for v in free:
            found[v] |= set(free) - {v}
    return found


def cells_of(graph: dict[int, set[int]], v: int, states: list[int]) -> int:
    return int(np.prod([states[u] for u in graph[v] | {v}]))


def fill_of(graph: dict[int, set[int]], v: int) -> int:
    return sum(b not in graph[a] for a, b in itertools.combinations(graph[v], 2))


@given(questions())
@HALF
def test_orders_are_greedy_and_counted_right(question: tuple[Case, Any]) -> None:
    case, _ = question
    plan, states = case.graph.compile(), case.spec.states
    components = np.arange(plan.n_components)
    free = np.flatnonzero(plan.states > 1)
    blank = _start(plan, components, free, plan.states, plan.component[free].astype(np.int32))
    blank.value[:, SCALE] = 1
    blank.budget[:, LIMIT] = INF
    with explained(case):
        for rule in (BY_WEIGHT, BY_FILL):
            cells, g = _try(blank, rule, 1 << 30, None)
            graph, total = neighbours_of(case), np.zeros(components.size)
            for v in free[np.argsort(g.node[:, WHEN])]:
                value = {u: cells_of(graph, u, states) if rule == BY_WEIGHT else fill_of(graph, u) for u in graph}
                assert value[v] == min(value.values())
                total[plan.component[v]] += cells_of(graph, v, states)
                assert g.node[np.searchsorted(free, v), DEGREE] == len(graph[v])
                around = graph.pop(v)
                for a in around:
                    graph[a] = (graph[a] | around) - {a, v}
            np.testing.assert_allclose(cells, total, rtol=1e-9)


@given(questions())
@HALF
def test_buckets_have_the_cells_of_their_order(question: tuple[Case, Any]) -> None:
    case, (evidence, _, _) = question
    asked = asked_of(case.graph, evidence)
    allowed = allowed_states(asked)
    empty = np.bincount(asked.plan.component[allowed.left == 0], minlength=asked.plan.n_components) > 0
    asked = asked.part(~empty)
    known = find_orders(asked.plan, asked.components, allowed.left, 1 << 30, 4)
    b, owner, _ = arrange(asked.plan, asked.components, allowed, known)
    cells = np.bincount(owner, b.row[:-1, MESSAGE] * b.row[:-1, STATES], asked.components.size)
    np.testing.assert_allclose(cells, known.cells[asked.components], rtol=1e-9)
    for i in range(len(b.row) - 1):
        inside = slice(b.row[i, AXES], b.row[i + 1, AXES])
        assert sorted(b.sep[inside]) == sorted(b.layout[inside]) and (b.sep[inside] > i).all()
        assert len(set(b.sep[inside])) == b.sep[inside].size


def test_width_of_known_graphs() -> None:
    for height, length, states in ((1, 50, 4), (4, 30, 2), (6, 6, 2)):
        g = fg.FactorGraph()
        x = g.variables("x", shape=(height, length), states=states)
        g.add(fg.Potts(1.0), x[:-1], x[1:])
        g.add(fg.Potts(1.0), x[:, :-1], x[:, 1:])
        width, cells = width_of(g.compile())
        assert height <= width <= height + 1 and cells <= height * length * states ** (height + 2)


def grid(height: int, length: int, states: int = 2) -> fg.FactorGraph:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(height, length), states=states)
    g.add(fg.Table(np.random.default_rng(0).normal(size=(height, length, states))), x)
    g.add(fg.Potts(0.5), x[:-1], x[1:])
    g.add(fg.Potts(0.5), x[:, :-1], x[:, 1:])
    return g


def test_what_is_observed_or_forbidden_costs_nothing() -> None:
    g = grid(40, 40)
    labels = np.full((40, 40), -1)
    labels[:, ::6] = 1
    assert not Elimination().exact_on(g.compile(), 0)
    assert not Elimination().fits(asked_of(g)).any() and Elimination().fits(asked_of(g, {"x": labels})).all()
    solution = fg.solve(g, evidence={"x": labels}, method="elimination")
    assert solution.status == fg.Status.OPTIMAL and (solution.labels["x"][:, ::6] == 1).all()
    full = fg.FactorGraph()
    x = full.variables("x", shape=(14,), states=9)
    own = np.full((14, 9), INF)
    own[:, [2, 7]] = 0
    full.add(fg.Table(own), x)
    for u, v in itertools.combinations(range(14), 2):
        full.add(fg.Potts(1.0), x[u], x[v])
    assert not Elimination().exact_on(full.compile(), 0) and Elimination().fits(asked_of(full)).all()
    assert fg.solve(full, method="elimination").energy == 0


# Refusals and limits


def test_too_many_cells_are_refused() -> None:
    g = grid(40, 40)
    with pytest.raises(
        fg.FactorGraphError,
        match=r"Elimination: component 0 of 1600 variables: expected at most 268435456 table cells; no order of "
        r"8 tries fits. Raise cells .* observe more variables, or use method='min-sum'",
    ):
        fg.solve(g, method="elimination")
    with pytest.raises(fg.FactorGraphError, match="at most 100 table cells"):
        fg.marginals(grid(4, 4), method=Elimination(cells=100))
    with pytest.raises(fg.FactorGraphError, match="expected 1 ≤ cells ≤ 2\\^60 and tries ≥ 1; got 0, 8"):
        Elimination(cells=0)


def test_a_lattice_is_refused() -> None:
    g = fg.FactorGraph()
    g.add(fg.Table(np.zeros(2)), g.lattice("line", arcs=(np.array([0]), np.array([1])), states=2))
    with pytest.raises(fg.FactorGraphError, match="component 0 is a lattice; .* Use method='auto'"):
        fg.solve(g, method="elimination")
    assert not Elimination().fits(asked_of(g)).any() and not Elimination().exact_on(g.compile(), 0)


def test_memory_is_refused_before_it_is_allocated() -> None:
    asked = asked_of(grid(15, 15))
    assert Elimination().fits(asked).all() and not Elimination(memory_limit="2 MiB").fits(asked).any()
    tracemalloc.start()
    try:
        with pytest.raises(
            fg.FactorGraphError,
            match=r"tables between cliques need [\d.]+ MiB, the memory_limit is 2 MiB. Raise memory_limit",
        ):
            Elimination(memory_limit="2 MiB").integrate(asked)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_memory_is_about_the_messages() -> None:
    asked = asked_of(grid(15, 15))
    allowed = allowed_states(asked)
    known = find_orders(asked.plan, asked.components, allowed.left, 1 << 28, 8)
    tables = Tables(asked, allowed, known, 1, None)
    messages = int(tables.buckets.row[:, MESSAGE].sum())
    assert 8 * messages > 2**22
    tracemalloc.start()
    try:
        Elimination(threads=1).integrate(asked)
        assert tracemalloc.get_traced_memory()[1] < 8 * messages * 1.1 + 2**20
    finally:
        tracemalloc.stop()


def test_a_time_limit_leaves_first_states_and_an_honest_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets_module, "SLICE", 1 << 10)  # slow enough on any machine
    g = grid(12, 200)
    allowed = np.ones((12, 200, 2), bool)
    allowed[3, 5] = [False, True]
    expected = np.zeros((12, 200))
    expected[3, 5] = 1
    for limit in (0.0, 0.02):  # while an order is sought; while messages are sent, once it is known
        solution = fg.solve(g, evidence={"x": allowed}, method="elimination", time_limit=limit)
        assert solution.status == fg.Status.APPROXIMATE and solution.bound == -INF
        np.testing.assert_array_equal(solution.labels["x"], expected)
        assert Elimination().fits(asked_of(g, {"x": allowed})).all()
    begin = time.perf_counter()
    small = fg.solve(grid(4, 50), method="elimination", time_limit=100)
    assert small.status == fg.Status.OPTIMAL and time.perf_counter() - begin < 50


@pytest.mark.check
def test_a_million_variables_are_refused_at_once() -> None:
    for states in (2, 8):
        asked = asked_of(grid(1000, 1000, states))
        begin = time.perf_counter()
        assert not Elimination().fits(asked).any()
        assert time.perf_counter() - begin < 20
        begin = time.perf_counter()
        assert not Elimination().fits(asked).any()
        assert time.perf_counter() - begin < 2


# Real instances


def read_uai(path: Path) -> fg.FactorGraph:
    """A MARKOV network whose factors have energies −log."""
    tokens = iter(path.read_text().split())
    assert next(tokens) == "MARKOV"
    states = np.array([int(next(tokens)) for _ in range(int(next(tokens)))])
    scopes = [[int(next(tokens)) for _ in range(int(next(tokens)))] for _ in range(int(next(tokens)))]
    g = fg.FactorGraph()
    x = g.variables("x", shape=states.shape, states=states)
    for scope in scopes:
        values = np.array([float(next(tokens)) for _ in range(int(next(tokens)))])
        with np.errstate(divide="ignore"):
            g.add(fg.Table(-np.log(values).reshape(states[scope])), *(x[v] for v in scope))
    return g


@pytest.mark.data
@pytest.mark.parametrize(
    "name, energy",
    [
        ("prot_pdb1etl", 6.723008525356792),
        ("prot_pdb2erl", 48.66456565100857),
        ("Alchemy_11", -1343.999990393676),
        ("seg_2_17_s", 56.03678852652905),
        ("seg_7_11_s", 82.66950782515609),
        pytest.param("rbm_20", -133.4641948065413, marks=pytest.mark.check),
        pytest.param("ObjectDetection_11", 241.3590366603233, marks=pytest.mark.check),
        pytest.param("grid10x10.f10.wrap", -766.5482603461224, marks=pytest.mark.check),
    ],
)
def test_known_optima(data_dir: Path, name: str, energy: float) -> None:
    solution = fg.solve(read_uai(data_dir / "instances" / f"{name}.uai"), method="elimination")
    assert solution.status == fg.Status.OPTIMAL
    assert solution.energy == pytest.approx(energy, abs=1e-4)
