"""Sums on graphs with cycles: beliefs, bounds of log Z from both sides, chains and draws, against enumeration."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import INF
from scipy.optimize import minimize
from strategies import Case, ContinuousChoices, RandomChoices, cases_with_evidence, explained, random_case

import factorgraph as fg
from factorgraph import losses
from factorgraph.infer.reweighting import Reweighted
from factorgraph.infer.sum_product import tree_weights
from factorgraph.kernels.structure import ISOLATED, LOOPY
from factorgraph.plan import Question

pytestmark = pytest.mark.filterwarnings("error:invalid value:RuntimeWarning")  # inf − inf nowhere

METHODS = {
    "sum-product": (fg.SumProduct, "estimate"),
    "tree-reweighted": (fg.TreeReweighted, "upper"),
    "mean-field": (fg.MeanField, "lower"),
    "gibbs": (fg.Gibbs, "estimate"),
    "perturb-and-map": (fg.PerturbAndMAP, "estimate"),
}
#: The same solvers, quick where a test does not look at how well they do.
QUICK = {
    "sum-product": fg.SumProduct(),
    "tree-reweighted": fg.TreeReweighted(),
    "mean-field": fg.MeanField(),
    "gibbs": fg.Gibbs(burn_in=2, sweeps=5, thin=2),
    "perturb-and-map": fg.PerturbAndMAP(draws=3),
}
by_name = pytest.mark.parametrize("name", METHODS)


def grid(rng: np.random.Generator, size: int, states: int, scale: float, potts: bool = False) -> fg.FactorGraph:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(size, size), states=states)
    g.add(fg.Table(rng.normal(size=(size, size, states))), x)
    for a, b in (x[:, :-1], x[:, 1:]), (x[:-1], x[1:]):
        if potts:
            g.add(fg.Potts(scale), a, b)
        else:
            g.add(fg.Table(scale * rng.normal(size=(*a.shape, states, states))), a, b)
    return g


def loopy_cases(count: int, first: int = 0, dtype: Any = np.float64) -> list[Case]:
    """Random graphs that have a component with cycles, and a labelling."""
    found = []
    for seed in itertools.count(first):
        case = random_case(ContinuousChoices(seed), forest=False, lattices=seed % 3 == 0, dtype=dtype)
        if (case.graph.compile().kinds == LOOPY).any() and oracle.free_energy(case.spec) < INF:
            found.append(case)
        if len(found) == count:
            return found
    raise AssertionError


def tree_with_idle_cycles(seed: int) -> Case:
    """A random tree of factors of arity 2 and 3, and factors of constant energy that close cycles."""
    rng, case = np.random.default_rng(seed), Case()
    count = int(rng.integers(4, 8))
    x = case.variables("x", (count,), rng.integers(2, 4, count))
    states = np.array(case.spec.states)
    joined = 1
    while joined < count:
        more = int(rng.integers(1, min(3, count - joined + 1)))
        scope = rng.permutation([int(rng.integers(joined)), *range(joined, joined + more)])
        table = rng.normal(scale=2, size=states[scope])
        table[rng.random(table.shape) < 0.15] = INF
        table.flat[rng.integers(table.size)] = 0.0
        case.add_table(table, *(x[int(v)] for v in scope))
        joined += more
    case.add_table(rng.normal(size=states[count - 1]), x[count - 1])
    for _ in range(2):
        a, b = rng.permutation(count)[:2]
        case.add_table(np.full((states[a], states[b]), rng.normal()), x[int(a)], x[int(b)])
    return case


# What each method is


@by_name
def test_forests_and_lattices_are_exact_by_every_method(name: str) -> None:
    for seed in range(10):
        case = random_case(RandomChoices(seed))
        if oracle.free_energy(case.spec) == INF:
            continue
        exact, found = fg.marginals(case.graph), fg.marginals(case.graph, method=QUICK[name])
        assert found.kind == "exact" and found.log_partition == exact.log_partition
        assert found.flat.tobytes() == exact.flat.tobytes()
    solver = QUICK[name]
    case = random_case(RandomChoices(3))
    assert all(solver.exact_on(case.graph.compile(), c) for c in range(case.graph.compile().n_components))


@by_name
def test_names_and_kinds(name: str) -> None:
    g = grid(np.random.default_rng(0), 3, 2, 0.5)
    kind, sums = METHODS[name]
    found = fg.marginals(g, method=name)
    assert found.kind == sums == kind.sums and not kind().exact_on(g.compile(), 0)
    same = fg.marginals(g, method=kind())
    assert same.flat.tobytes() == found.flat.tobytes()
    np.testing.assert_allclose(found.variables["x"].sum(-1), 1.0, rtol=1e-12)
    with pytest.raises(fg.FactorGraphError, match="entropy: expected a solver that sums exactly"):
        fg.entropy(g, method=name)
    with pytest.raises(fg.FactorGraphError, match=f"{kind.__name__}: .* expected a solver that minimises"):
        fg.solve(g, method=name)


def test_auto_names_the_methods_that_take_any_graph() -> None:
    g = grid(np.random.default_rng(0), 40, 2, 0.5)
    for ask, method in (fg.marginals, "tree-reweighted"), (lambda g: fg.sample(g, 1), "gibbs"):
        with pytest.raises(fg.FactorGraphError, match=f"too wide to eliminate.*{method}"):
            ask(g)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: fg.SumProduct(damping=1.0), "SumProduct: expected iterations ≥ 1"),
        (lambda: fg.TreeReweighted(iterations=0), "TreeReweighted: expected iterations ≥ 1"),
        (lambda: fg.MeanField(tolerance=-1.0), "MeanField: expected iterations ≥ 1"),
        (lambda: fg.Gibbs(thin=0), "Gibbs: expected burn_in ≥ 0"),
        (lambda: fg.Annealing(cold=0.0), "Annealing: expected sweeps ≥ 1"),
        (lambda: fg.PerturbAndMAP(draws=0), "PerturbAndMAP: expected draws ≥ 1"),
    ],
)
def test_settings_that_make_no_sense(make: Any, words: str) -> None:
    with pytest.raises(fg.FactorGraphError, match=words):
        make()


# Beliefs


@pytest.mark.jitoff
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_sum_product_is_exact_where_cycles_carry_nothing(temperature: float) -> None:
    for seed in range(20):
        case = tree_with_idle_cycles(seed)
        free = oracle.free_energy(case.spec, temperature=temperature)
        found = fg.marginals(case.graph, temperature, method=fg.SumProduct(damping=0.0, tolerance=1e-12), factors=True)
        assert found.log_partition == pytest.approx(-free / temperature, rel=1e-9, abs=1e-9)
        if free == INF:
            continue
        joint = case.spec.joint()
        np.testing.assert_allclose(found.flat, np.concatenate(oracle.marginals(joint, temperature)), atol=1e-9)
        assert found.kind == ("estimate" if (case.graph.compile().kinds == LOOPY).any() else "exact")
        exact = fg.marginals(case.graph, temperature, factors=True)
        for block, one, two in zip(case.graph.compile().blocks, found.factors, exact.factors):
            said = np.ptp(block.view(case.graph.energies()).reshape(block.tables, -1), axis=1) > 0
            np.testing.assert_allclose(one[said], two[said], atol=1e-9)


def test_evidence_cuts_cycles() -> None:
    """A cycle with one observed variable is a chain."""
    rng = np.random.default_rng(0)
    for states in (2, 9):
        g = fg.FactorGraph()
        x = g.variables("x", shape=(6,), states=states)
        g.add(fg.Table(2 * rng.normal(size=(6, states, states))), x, x[[1, 2, 3, 4, 5, 0]])
        known = [-1, -1, 1, -1, -1, -1]
        exact = fg.marginals(g, evidence={"x": known}, factors=True)
        found = fg.marginals(g, evidence={"x": known}, factors=True, method="sum-product")
        np.testing.assert_allclose(found.flat, exact.flat, atol=1e-6)
        np.testing.assert_allclose(found.configurations, exact.configurations, atol=1e-6)
        assert found.log_partition == pytest.approx(exact.log_partition, abs=1e-6)


def flooding(states: int, pairs: list[tuple[int, int]], unary: np.ndarray, tables: list[np.ndarray]) -> Any:
    """Loopy belief propagation as in the books, all messages at once in probabilities: (beliefs, Bethe free energy)."""
    message = {(a, b): np.ones(states) / states for a, b in pairs + [(b, a) for a, b in pairs]}
    table = dict(zip(pairs, tables)) | {(b, a): t.T for (a, b), t in zip(pairs, tables)}
    local = np.exp(-unary)

    def product(v: int, without: int = -1) -> np.ndarray:
        return local[v] * np.prod([m for (a, b), m in message.items() if b == v and a != without], axis=0)

    for _ in range(2000):
        new = {(a, b): product(a, b) @ np.exp(-table[a, b]) for a, b in message}
        message = {key: 0.5 * m / m.sum() + 0.5 * message[key] for key, m in new.items()}
    beliefs = np.array([product(v) / product(v).sum() for v in range(len(unary))])
    degree = np.bincount(np.array(pairs).ravel())
    free = float((beliefs * unary).sum() + ((1 - degree)[:, None] * beliefs * np.log(beliefs)).sum())
    for a, b in pairs:
        joint = product(a, b)[:, None] * np.exp(-table[a, b]) * product(b, a)
        joint /= joint.sum()
        free += float((joint * (table[a, b] + np.log(joint))).sum())
    return beliefs, free


def test_sum_product_against_a_naive_twin() -> None:
    rng = np.random.default_rng(1)
    for states, count in (2, 5), (3, 4), (11, 3):
        pairs = list(itertools.combinations(range(count), 2))
        unary, tables = rng.normal(size=(count, states)), [0.5 * rng.normal(size=(states, states)) for _ in pairs]
        g = fg.FactorGraph()
        x = g.variables("x", shape=(count,), states=states)
        g.add(fg.Table(unary), x)
        g.add(fg.Table(np.array(tables)), x[[a for a, _ in pairs]], x[[b for _, b in pairs]])
        beliefs, free = flooding(states, pairs, unary, tables)
        for damping in (0.0, 0.4):
            found = fg.marginals(g, method=fg.SumProduct(tolerance=1e-13, iterations=2000, damping=damping))
            np.testing.assert_allclose(found.variables["x"], beliefs, atol=1e-9)
            assert found.log_partition == pytest.approx(-free, abs=1e-9)


def test_potts_factors_send_what_their_tables_send() -> None:
    for weight in (0.7, -1.5, 40.0, -60.0, 900.0, -900.0, INF):
        found = []
        for potts in (True, False):
            g = fg.FactorGraph()
            x = g.variables("x", shape=(4,), states=5)
            g.add(fg.Table(np.random.default_rng(3).normal(size=(4, 5))), x)
            factor = fg.Potts(weight) if potts else fg.Table(np.where(np.eye(5, dtype=bool), 0.0, weight))
            g.add(factor, x[[0, 1, 2, 0, 1]], x[[1, 2, 3, 3, 3]])
            for method in ("sum-product", "tree-reweighted", "mean-field"):
                each = fg.marginals(g, method=method, factors=True)
                last = each.factors[-1]
                share = last if potts else last[~np.eye(5, dtype=bool)[None].repeat(len(last), 0)].sum(keepdims=True)
                found.append((each.flat, each.log_partition, share.ravel()))
        for (a, p, s), (b, q, t) in zip(found[:3], found[3:]):
            np.testing.assert_allclose(a, b, atol=1e-9)
            assert p == pytest.approx(q, rel=1e-9)
            np.testing.assert_allclose(s, t, atol=1e-9)


def test_factors_over_the_same_variables_are_one_factor() -> None:
    rng = np.random.default_rng(4)
    tables = rng.normal(size=(3, 2, 3, 3))
    found = []
    for split in (True, False):
        g = fg.FactorGraph()
        x = g.variables("x", shape=(3,), states=3)
        for (a, b), (one, two) in zip([(0, 1), (1, 2), (2, 0)], tables):
            if split:
                g.add(fg.Table(one), x[a], x[b])
                g.add(fg.Table(two.T), x[b], x[a])
                g.add(fg.Potts(0.5), x[a], x[b])
            else:
                g.add(fg.Table(one + two + np.where(np.eye(3, dtype=bool), 0, 0.5)), x[a], x[b])
        for method in ("sum-product", "tree-reweighted"):
            each = fg.marginals(g, method=method, factors=True)
            found.append((each.flat, each.log_partition, each.configurations @ g.energies()))
    for one, two in zip(found[:2], found[2:]):
        for a, b in zip(one, two):
            np.testing.assert_allclose(a, b, atol=1e-9)


# Bounds


@pytest.mark.jitoff
def test_every_pass_brackets_log_partition() -> None:
    for case in loopy_cases(8):
        exact = -oracle.free_energy(case.spec)
        with explained(case):
            upper, lower = INF, -INF
            for iterations in (1, 2, 5, 20):
                above = fg.marginals(case.graph, method=fg.TreeReweighted(iterations=iterations)).log_partition
                below = fg.marginals(case.graph, method=fg.MeanField(iterations=iterations)).log_partition
                assert below <= exact + 1e-9 * abs(exact) + 1e-9
                assert above >= exact - 1e-9 * abs(exact) - 1e-9
                assert above <= upper and below >= lower - 1e-9
                upper, lower = above, below


def test_any_messages_back_prove_an_upper_bound() -> None:
    for seed, case in enumerate(loopy_cases(30, first=1000)):
        plan, rng = case.graph.compile(), np.random.default_rng(seed)
        asked = Question().of(plan, case.graph.energies(), np.flatnonzero(plan.kinds == LOOPY))
        exact = fg.Auto().integrate(asked)
        for scale in (0.3, 3.0, 30.0):
            messages = Reweighted(asked, 1.0, tree_weights(plan))
            messages.state.messages[:] = scale * rng.normal(size=messages.state.messages.size)
            found = messages.run(1, 0.0, 0.0)
            with explained(case, scale=scale):
                assert (found <= exact + 1e-9 * np.abs(exact) + 1e-9).all()


def test_the_upper_bound_is_the_best_one_of_its_trees() -> None:
    """On a cycle, min over (θ_1 + θ_2) / 2 = θ of (log Z(θ_1) + log Z(θ_2)) / 2, by a general optimiser."""

    def check(rng: np.random.Generator) -> None:
        unary, table = rng.normal(size=(3, 2)), 1.5 * rng.normal(size=(3, 2, 2))
        pairs = [(0, 1), (1, 2), (0, 2)]
        g = fg.FactorGraph()
        x = g.variables("x", shape=(3,), states=2)
        g.add(fg.Table(unary), x)
        g.add(fg.Table(table), x[[0, 1, 0]], x[[1, 2, 2]])
        plan = g.compile()
        rho = tree_weights(plan)[np.diff(plan.factors.row[:, 2]) == 2]
        assert sorted(rho) == [0.5, 0.5, 1.0]
        half = np.flatnonzero(rho == 0.5)

        def dual(free: np.ndarray) -> float:
            total = 0.0
            for tree, sign in zip(half, (1.0, -1.0)):
                joint = np.zeros((2, 2, 2))
                for v in range(3):
                    shape = [1] * 3
                    shape[v] = 2
                    joint = joint + (unary[v] + sign * free[4 + 2 * v : 6 + 2 * v]).reshape(shape)
                for f, (a, b) in enumerate(pairs):
                    if f in half and f != tree:
                        continue
                    each = table[f] * (2.0 if f in half else 1.0)
                    each = each + (0.0 if f in half else sign * free[:4].reshape(2, 2))
                    joint = joint + np.expand_dims(each, 3 - a - b)
                total -= 0.5 * oracle.soft_minimum(joint, 1.0)
            return total

        best = minimize(dual, np.zeros(10), method="BFGS", options={"gtol": 1e-9}).fun
        found = fg.marginals(g, method=fg.TreeReweighted(tolerance=1e-12, iterations=5000))
        assert found.log_partition == pytest.approx(best, abs=1e-6)

    for seed in range(4):
        check(np.random.default_rng(seed))


def test_passes_that_would_oscillate_are_damped() -> None:
    """On dense graphs with strong factors messages swing; the optimum of the bound does not depend on the damping."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        pairs = np.array([(a, b) for a in range(30) for b in range(a) if rng.random() < 0.2])
        g = fg.FactorGraph()
        x = g.variables("x", shape=(30,), states=3)
        g.add(fg.Table(2 * rng.normal(size=(len(pairs), 3, 3))), x[pairs[:, 0]], x[pairs[:, 1]])
        found = [
            fg.marginals(g, method=fg.TreeReweighted(damping=damping, iterations=2000, tolerance=1e-9))
            for damping in (0.0, 0.5)
        ]
        assert found[0].log_partition == pytest.approx(found[1].log_partition, rel=1e-6)
        np.testing.assert_allclose(found[0].flat, found[1].flat, atol=1e-3)


def test_mean_field_is_above_its_labelling_and_at_rest() -> None:
    seen = 0
    for case in loopy_cases(20, first=2000):
        found = fg.marginals(case.graph, method=fg.MeanField(tolerance=1e-12, iterations=2000))
        assert found.log_partition >= -fg.solve(case.graph, method="trw-s").energy - 1e-9
        if not np.isin(case.graph.compile().kinds, [LOOPY, ISOLATED]).all():
            continue
        seen += 1
        q = [found.flat[a:b] for a, b in itertools.pairwise(case.graph.compile().offsets)]
        joint = case.spec.joint()
        product = np.ones(())
        for each in q:
            product = np.multiply.outer(product, each)
        positive = product > 0
        free = float((product[positive] * (joint[positive] + np.log(product[positive]))).sum())
        assert found.log_partition == pytest.approx(-free, rel=1e-9, abs=1e-9)  # the bound is that of these marginals
        for v in range(len(q)):
            cost = joint
            for u in range(len(q) - 1, -1, -1):
                if u != v:
                    weighed = np.where(q[u] > 0, q[u], 0).reshape([-1 if i == u else 1 for i in range(joint.ndim)])
                    cost = np.where(weighed > 0, cost, 0.0) * weighed
                    cost = cost.sum(u, keepdims=True)
            cost = cost.ravel()
            if (cost < INF).all() and found.flat.min() > 1e-9:
                np.testing.assert_allclose(oracle.gibbs(cost), q[v], atol=1e-6)
    assert seen >= 5


@settings(max_examples=settings.default.max_examples // 5)
@given(cases_with_evidence(forest=False), st.sampled_from([1.0, 0.25, 4.0]))
def test_bounds_of_drawn_graphs(drawn: Any, temperature: float) -> None:
    case, (evidence, allowed, strings) = drawn
    exact = -oracle.free_energy(case.spec, allowed, strings, temperature) / temperature
    near = 1e-5 if case.graph.energies().dtype == np.float32 else 1e-9
    room = near * (1 + abs(exact)) if abs(exact) < INF else 0.0
    with explained(case, evidence=evidence, temperature=temperature):
        options = {"evidence": evidence, "temperature": temperature}
        upper = fg.marginals(case.graph, method="tree-reweighted", **options)
        lower = fg.marginals(case.graph, method="mean-field", **options)
        middle = fg.marginals(case.graph, method="sum-product", **options)
        assert lower.log_partition - room <= exact <= upper.log_partition + room
        if exact == -INF:
            assert lower.log_partition == -INF
        else:
            for found in (upper, lower, middle):
                sums = np.add.reduceat(found.flat, found.plan.offsets[:-1])
                ordinary = [
                    v
                    for group in found.plan.groups
                    if group.lattice < 0
                    for v in range(group.start, group.start + group.count)
                ]
                np.testing.assert_allclose(sums[ordinary], 1.0, rtol=1e-5)
                if allowed is not None:
                    for v, mask in zip(ordinary, allowed):
                        span = slice(found.plan.offsets[v], found.plan.offsets[v + 1])
                        assert not found.flat[span][~mask].any()


@pytest.mark.parametrize("potts", [False, True])
@pytest.mark.parametrize("scale", [0.2, 1.0])
def test_grids_against_elimination(potts: bool, scale: float) -> None:
    for size, states in (14, 2), (6, 4):
        g = grid(np.random.default_rng(5), size, states, scale, potts)
        exact = fg.marginals(g)
        found = {name: fg.marginals(g, method=name) for name in ("sum-product", "tree-reweighted", "mean-field")}
        assert found["mean-field"].log_partition <= exact.log_partition <= found["tree-reweighted"].log_partition
        width = found["tree-reweighted"].log_partition - found["mean-field"].log_partition
        assert width <= 0.3 * size * size * scale
        assert abs(found["sum-product"].log_partition - exact.log_partition) <= 0.3 * width
        if scale < 1:
            assert np.abs(found["sum-product"].flat - exact.flat).max() < 0.01


@pytest.mark.check
def test_a_large_grid_against_elimination() -> None:
    g = grid(np.random.default_rng(6), 16, 2, 0.5)
    exact = fg.marginals(g)
    upper, lower = (fg.marginals(g, method=name) for name in ("tree-reweighted", "mean-field"))
    assert lower.log_partition <= exact.log_partition <= upper.log_partition
    chain = fg.marginals(g, method=fg.Gibbs(sweeps=20_000))
    assert np.abs(chain.flat - exact.flat).max() < 0.05


# Energies of all sizes


@by_name
def test_temperature_scales_energies(name: str) -> None:
    rng = np.random.default_rng(7)
    tables, unary = rng.normal(size=(4, 3, 3)), rng.normal(size=(4, 3))
    found = []
    for temperature in (1.0, 8.0):
        g = fg.FactorGraph()
        x = g.variables("x", shape=(4,), states=3)
        g.add(fg.Table(temperature * unary), x)
        g.add(fg.Table(temperature * tables), x, x[[1, 2, 3, 0]])
        found.append(fg.marginals(g, temperature, method=QUICK[name]))
    np.testing.assert_allclose(found[0].flat, found[1].flat, atol=1e-9)
    np.testing.assert_allclose(found[0].log_partition, found[1].log_partition, rtol=1e-9)


@by_name
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_enormous_energies(name: str, dtype: Any) -> None:
    """Where one labelling has all the mass, every method says so."""
    g = fg.FactorGraph()
    x = g.variables("x", shape=(4,), states=3)
    unary = np.zeros((4, 3), dtype)
    unary[:, 1] = -1e30
    g.add(fg.Table(unary), x)
    table = np.full((3, 3), 1e29, dtype)
    table[1, 1] = -1e30
    g.add(fg.Table(table), x, x[[1, 2, 3, 0]])
    found = fg.marginals(g, method=QUICK[name])
    np.testing.assert_allclose(found.variables["x"], np.broadcast_to([0.0, 1.0, 0.0], (4, 3)), atol=1e-12)
    if name != "gibbs":
        assert found.log_partition == pytest.approx(8e30, rel=1e-6)


@by_name
def test_no_labelling_at_all(name: str) -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(4,), states=2)
    y = g.variables("y", shape=(3,), states=2)
    g.add(fg.Table(np.array([[INF, 0.0], [0.0, INF]])), x[[0, 1, 2]], x[[1, 2, 0]])  # an odd cycle in two colours
    g.add(fg.Potts(0.3), x[2], x[3])
    g.add(fg.Potts(0.3), y[[0, 1, 2]], y[[1, 2, 0]])
    solver = QUICK[name]
    if name in ("sum-product", "tree-reweighted"):  # beliefs do not see it: they are what they are
        found = fg.marginals(g, method=solver)
        assert np.isfinite(found.flat).all() and (name == "sum-product" or found.log_partition > -INF)
    else:
        found = fg.marginals(g, method=solver)
        assert found.log_partition == -INF and found.free_energies[0] == INF and not found.variables["x"].any()
        np.testing.assert_allclose(found.variables["y"].sum(-1), 1.0, rtol=1e-12)
    if name in ("gibbs", "perturb-and-map"):
        with pytest.raises(fg.FactorGraphError, match="sample: every labelling of component 0 is forbidden"):
            fg.sample(g, 2, method=solver)
    blocked = fg.marginals(g, evidence={"y": [0, -1, -1]}, method=solver)
    assert blocked.variables["y"][0].tolist() == [1.0, 0.0]
    g.add(fg.Table(np.array([INF, INF])), y[1])
    found = fg.marginals(g, method=solver)
    assert found.log_partition == -INF and not found.variables["y"].any()


def test_colourings_leave_what_they_leave() -> None:
    """Three colours on a triangle with one corner observed: hard factors in every method."""
    g = fg.FactorGraph()
    x = g.variables("x", shape=(3,), states=3)
    g.add(fg.Table(np.where(np.eye(3, dtype=bool), INF, 0.0)), x, x[[1, 2, 0]])
    for name, solver in QUICK.items():
        found = fg.marginals(g, evidence={"x": [2, -1, -1]}, method=solver)
        assert found.variables["x"][0].tolist() == [0.0, 0.0, 1.0] and not found.variables["x"][1:, 2].any()
        if name in ("sum-product", "tree-reweighted"):
            np.testing.assert_allclose(found.variables["x"][1:, :2], 0.5, atol=1e-9)
            np.testing.assert_allclose(found.log_partition, np.log(2), atol=1e-9)
        if name == "mean-field":
            assert found.log_partition == 0.0  # of two labellings independent variables have but one


# One plan of many components


@by_name
def test_a_component_is_answered_as_if_alone(name: str) -> None:
    rng = np.random.default_rng(8)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(3, 4), states=2)
    g.add(fg.Table(rng.normal(size=(3, 4, 2))), x)
    scale = np.array([0.2, 1.0, 4.0])[:, None, None, None]
    g.add(fg.Table(scale * rng.normal(size=(3, 4, 2, 2))), x, x[:, [1, 2, 3, 0]])
    plan, energies = g.compile(), g.energies()
    whole = fg.marginals(g, method=QUICK[name])
    if name in ("gibbs", "perturb-and-map"):
        return  # their random numbers go over all variables asked
    for c in range(3):
        flat = np.full(plan.variable_states, 7.0)
        free = QUICK[name].integrate(Question().of(plan, energies, np.array([c])), marginals=flat)
        assert free[0] == whole.free_energies[c]
        np.testing.assert_array_equal(flat[8 * c : 8 * c + 8], whole.flat[8 * c : 8 * c + 8])
        assert (np.delete(flat, np.arange(8 * c, 8 * c + 8)) == 7.0).all()


# Chains and draws


def test_gibbs_marginals_within_four_standard_errors() -> None:
    """Chains of different seeds are independent: their spread is the standard error of their mean."""
    for case in loopy_cases(12, first=3000):
        if any(np.isinf(table).any() for _, table in case.spec.factors):
            continue
        exact = fg.marginals(case.graph, factors=True)
        solvers = [fg.Gibbs(burn_in=50, sweeps=400, seed=seed) for seed in range(12)]
        chains = [fg.marginals(case.graph, method=solver, factors=True) for solver in solvers]
        for values, truth in (
            (np.array([chain.flat for chain in chains]), exact.flat),
            (np.array([chain.configurations for chain in chains]), exact.configurations),
        ):
            error = values.std(0, ddof=1) / np.sqrt(len(values))
            with explained(case):
                assert (np.abs(values.mean(0) - truth) <= 6 * error + 2e-3).all()


@pytest.mark.jitoff
@pytest.mark.parametrize("name", ["gibbs", "perturb-and-map"])
def test_draws(name: str) -> None:
    solver = QUICK[name]
    for case in loopy_cases(6, first=4000):
        one, two, more = (fg.sample(case.graph, n, seed=3, method=solver) for n in (4, 4, 6))
        assert one.kind == "estimate" and fg.sample(case.graph, 1, method="auto").kind == "exact"
        assert one.flat.tobytes() == two.flat.tobytes() == more.flat[:4].tobytes()
        for d in range(4):
            assert case.spec.energy(case.flat({key: one.labels[key][d] for key in case.arrays})) < INF
    assert fg.sample(grid(np.random.default_rng(0), 3, 2, 0.1), 20, seed=4, method=solver).flat.std(0).any()


def test_gibbs_draws_follow_the_distribution() -> None:
    rng = np.random.default_rng(9)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(3,), states=2)
    g.add(fg.Table(rng.normal(size=(3, 2, 2))), x, x[[1, 2, 0]])
    drawn = fg.sample(g, 4000, seed=1, method=fg.Gibbs(thin=5)).flat
    joint = np.array([fg.energy(g, {"x": np.array(labels)}) for labels in itertools.product(range(2), repeat=3)])
    truth = oracle.gibbs(joint)
    counts = np.bincount(drawn @ [4, 2, 1], minlength=8) / 4000
    assert (np.abs(counts - truth) <= 4 * np.sqrt(truth * (1 - truth) / 4000)).all()


def test_perturbed_minima_of_independent_variables_are_exact() -> None:
    """Where factors say nothing a minimum under Gumbel noise is a draw, and its mean is −log Z."""
    rng = np.random.default_rng(10)
    unary = rng.normal(size=(4, 3))
    g = fg.FactorGraph()
    x = g.variables("x", shape=(4,), states=3)
    g.add(fg.Table(unary), x)
    g.add(fg.Table(np.full((3, 3), 0.5)), x, x[[1, 2, 3, 0]])
    found = fg.marginals(g, method=fg.PerturbAndMAP(draws=1500, seed=2), temperature=2.0, factors=True)
    truth = np.array([oracle.gibbs(row, 2.0) for row in unary])
    assert (np.abs(found.variables["x"] - truth) <= 4.5 * np.sqrt(truth * (1 - truth) / 1500)).all()
    exact = fg.marginals(g, temperature=2.0).log_partition
    assert abs(found.log_partition - exact) <= 4 * np.sqrt(4 * np.pi**2 / 6 / 1500)
    np.testing.assert_allclose(found.factors[0], found.variables["x"], atol=1e-12)


def test_perturbed_minima_are_above_log_partition_in_the_mean() -> None:
    g = grid(np.random.default_rng(11), 3, 2, 1.5)
    found = fg.marginals(g, method=fg.PerturbAndMAP(draws=400))
    assert found.log_partition >= fg.marginals(g).log_partition - 4 * np.sqrt(9 * np.pi**2 / 6 / 400)


@pytest.mark.jitoff
def test_annealing() -> None:
    best = 0
    for seed, case in enumerate(loopy_cases(20, first=5000)):
        optimum = fg.solve(case.graph)
        found = fg.solve(case.graph, method=fg.Annealing(sweeps=60, seed=seed))
        assert found.energy >= optimum.energy - 1e-9
        if found.energy < INF:
            labels = case.flat(found.labels)
            energy = case.spec.energy(labels) + sum(min(lattice.strings().values()) for lattice in case.spec.lattices)
            assert found.energy == pytest.approx(energy, rel=1e-9, abs=1e-9)
        assert found.status.name in ("APPROXIMATE", "OPTIMAL")
        again = fg.solve(case.graph, method=fg.Annealing(sweeps=60, seed=seed))
        assert again.flat.tobytes() == found.flat.tobytes()
        exact = found.energy <= optimum.energy + 1e-9
        best += exact or any(np.isinf(table).any() for _, table in case.spec.factors)
        start = {name: optimum.labels[name] for name in case.arrays}
        kept = fg.solve(case.graph, initial=start, method=fg.Annealing(sweeps=1))
        assert kept.energy <= optimum.energy + 1e-9
    assert best >= 19


def test_annealing_is_better_than_single_labels_on_a_grid() -> None:
    g = grid(np.random.default_rng(12), 20, 5, 1.0, potts=True)
    cold = fg.solve(g, method=fg.Annealing(sweeps=1, hot=0.001, cold=0.001)).energy
    cooled, bounded = fg.solve(g, method="annealing"), fg.solve(g, method="trw-s")
    assert bounded.bound <= cooled.energy < cold
    assert fg.solve(g, method="annealing", time_limit=0.0).status.name == "APPROXIMATE"


# Learning


@pytest.mark.parametrize("name", ["sum-product", "tree-reweighted", "mean-field"])
def test_gradients_of_what_has_converged(name: str) -> None:
    """The derivative of the free energy by the energies is what `configurations` says."""
    solver = {
        "sum-product": fg.SumProduct(tolerance=1e-13, iterations=3000),
        "tree-reweighted": fg.TreeReweighted(tolerance=1e-13, iterations=3000),
        "mean-field": fg.MeanField(tolerance=1e-13, iterations=3000),
    }[name]
    rng = np.random.default_rng(13)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(5,), states=3)
    g.add(fg.Table(rng.normal(size=(5, 3))), x)
    g.add(fg.Table(0.4 * rng.normal(size=(3, 3))), x, x[[1, 2, 3, 4, 0]])
    g.add(fg.Potts(0.3), x[[0, 1]], x[[2, 3]])
    g.add(fg.Table(0.3 * rng.normal(size=(3, 3, 3))), x[0], x[3], x[1])
    plan, energies = g.compile(), g.energies()
    slope = plan.zeros(np.float64)
    solver.integrate(Question().of(plan, energies), 0.7, gradient=slope, weight=2.0)
    for i in range(energies.size):
        moved = []
        for step in (-1e-5, 1e-5):
            other = plan.zeros(np.float64)
            other[:] = energies
            other[i] += step
            moved.append(solver.integrate(Question().of(plan, other), 0.7).sum())
        assert slope[i] == pytest.approx(2 * (moved[1] - moved[0]) / 2e-5, abs=2e-6)


def build(g: fg.FactorGraph, image: np.ndarray) -> None:
    """A loopy model: a pixel's value makes its energy, neighbours have a learned table."""
    x = g.variables("x", shape=image.shape, states=2)
    g.add(fg.Linear(np.stack([image, np.ones(image.shape)], -1), param="pixel"), x)
    g.add(fg.Linear(None, param="pair"), x[:, :-1], x[:, 1:])
    g.add(fg.Linear(None, param="pair"), x[:-1], x[1:])


@pytest.mark.parametrize("solver", [fg.SumProduct(), fg.TreeReweighted()], ids=lambda solver: solver.name)
def test_likelihoods_on_grids_are_learned_from_beliefs(solver: Any) -> None:
    rng = np.random.default_rng(14)
    truth = [np.kron(rng.integers(2, size=(3, 3)), np.ones((2, 2), int)) for _ in range(10)]
    images = [2 * y + rng.normal(scale=0.8, size=y.shape) for y in truth]
    model = fg.Model(build)
    with pytest.raises(fg.FactorGraphError, match="NLL: asks for sums over all answers"):
        fg.train(model, images, truth, losses.NLL(), epochs=1, solver=solver)
    options = {"loss": losses.NLL(), "optimizer": fg.optim.SGD(0.02), "epochs": 15, "batch": 5}
    run = fg.train(model, images, truth, solver=solver, approximate=True, **options)
    assert run.history["loss"][-1] < 0.3 * run.history["loss"][0]
    assert (run.history["exact"] == 0.0).all()
    exact = fg.train(model, images, truth, solver=fg.Auto(), **options)
    assert (exact.history["exact"] == 1.0).all()
    for name in exact.parameters:
        assert np.abs(run.parameters[name] - exact.parameters[name]).max() < 0.25 * np.abs(exact.parameters[name]).max()
    guesses = model.predict(run.parameters, images)
    assert np.mean([np.mean(g == y) for g, y in zip(guesses, truth)]) > 0.9


def test_the_lower_bound_is_that_of_the_marginals() -> None:
    """−log Z ≥ ⟨E⟩ + Σ q log q of the very q that is told, whichever start it came from."""
    for seed in range(12):
        g = grid(np.random.default_rng(seed), 5, 3, 1.2, potts=bool(seed % 2))
        found = fg.marginals(g, method="mean-field", factors=True)
        q = found.flat[found.flat > 0]
        assert found.log_partition == pytest.approx(-float(found.configurations @ g.energies() + q @ np.log(q)))


def test_gibbs_and_annealing_read_factors_that_count() -> None:
    """One label changes at a time, which counters would not let it: they are asked about the factors themselves."""
    rng, g = np.random.default_rng(0), fg.FactorGraph()
    x = g.variables("x", shape=(6,), states=2)
    g.add(fg.Table(rng.normal(size=(6, 2))), x)
    g.add(fg.Potts(0.5), x, x[np.r_[1:6, 0]])
    g.add(fg.Cardinality([2.0, 1.0, 0.0, 0.0, 1.0, 2.0, 4.0]), *x)
    exact = fg.marginals(g, method="brute").variables["x"]
    found = fg.marginals(g, method=fg.Gibbs(sweeps=20_000)).variables["x"]
    np.testing.assert_allclose(found, exact, atol=0.02)
    draws = fg.sample(g, 4000, method=fg.Gibbs(thin=2)).labels["x"]
    np.testing.assert_allclose(draws.mean(0), exact[:, 1], atol=0.05)
    assert fg.solve(g, method="annealing").energy == pytest.approx(fg.solve(g, method="brute").energy)
