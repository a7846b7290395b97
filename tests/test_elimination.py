"""Variable elimination against enumeration, dynamic programming and other libraries; its orders, budgets and limits."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import INF
from strategies import Case, DrawnChoices, explained, random_case, random_evidence

import factorgraph as fg
from factorgraph.infer.buckets import Tables, allowed_states, arrange
from factorgraph.infer.elimination import Elimination
from factorgraph.infer.order import find_orders, width_of
from factorgraph.plan import Asked, Question, read_evidence

pytestmark = pytest.mark.filterwarnings("error:invalid value:RuntimeWarning")  # inf − inf nowhere

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
    np.testing.assert_allclose(
        fg.min_marginals(g, method="elimination").flat, fg.min_marginals(g).flat, rtol=1e-12
    )
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
