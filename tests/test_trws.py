"""TRW-S against enumeration, linear programming and its own theorems, on graphs of any kind."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import oracle
import pytest
from scipy import optimize, sparse
from strategies import Case, RandomChoices, random_case, random_evidence
from test_laws import check_solution

import factorgraph as fg
from factorgraph.infer.moves import fuse
from factorgraph.infer.passes import General
from factorgraph.infer.solver import check_flat, evaluate
from factorgraph.kernels.structure import LOOPY
from factorgraph.plan import Asked, Question

INF = np.inf
pytestmark = pytest.mark.filterwarnings("error")

chunks = pytest.mark.parametrize(
    "chunk", [*range(3), *(pytest.param(c, marks=pytest.mark.check) for c in range(3, 60))]
)


def loopy_cases(chunk: int, count: int = 100) -> Iterator[tuple[Case, RandomChoices]]:
    for seed in range(count * chunk, count * chunk + count):
        choices = RandomChoices(seed)
        case = random_case(choices, False)
        if (case.graph.compile().kinds == LOOPY).any():
            yield case, choices


def asked_of(graph: fg.FactorGraph) -> Asked:
    plan = graph.compile()
    return Question().of(plan, check_flat(plan, graph.energies()))


def trajectory(asked: Asked, passes: int) -> np.ndarray:
    """Bounds (passes, components) after each pass there and back, float64."""
    engine = General(asked)
    active = np.ones(asked.components.size, bool)
    return np.array([engine.iterate(active, INF, True) for _ in range(passes)])


def random_graph(rng: np.random.Generator, variables: int, factors: int, dtype: Any = np.float64) -> fg.FactorGraph:
    """Unaries and random factors of two or three variables, tables of normal numbers; one cycle at least."""
    g = fg.FactorGraph()
    states = rng.integers(2, 5, variables)
    x = g.variables("x", shape=(variables,), states=states)
    for v in range(variables):
        g.add(fg.Table(rng.normal(size=states[v]).astype(dtype)), x[v])
        g.add(fg.Table(rng.normal(size=states[[v, v - 1]]).astype(dtype)), x[v], x[v - 1])
    for _ in range(factors):
        scope = rng.permutation(variables)[: rng.integers(2, 4)]
        g.add(fg.Table(rng.normal(size=states[scope]).astype(dtype)), *(x[int(v)] for v in scope))
    return g


def relaxed(plan: fg.Plan, energies: np.ndarray) -> float:
    """Minimum of the local polytope: factor marginals that agree on single variables, by HiGHS."""
    cost, rows, columns, values, right = [np.zeros(plan.variable_states)], [], [], [], []
    row = 0
    for v in range(plan.states.size):
        rows += [row] * int(plan.states[v])
        columns += range(plan.offsets[v], plan.offsets[v + 1])
        values += [1.0] * int(plan.states[v])
        right.append(1.0)
        row += 1
    at = plan.variable_states
    for block in plan.blocks:
        for f, scope in enumerate(block.scopes.tolist()):
            table = block.view(energies)[f if block.table is None else block.table[f]]
            if not block.shape:
                table = np.where(np.eye(block.states[0], dtype=bool), 0, float(table))
            if len(scope) == 1:
                cost[0][plan.offsets[scope[0]] : plan.offsets[scope[0] + 1]] += table
                continue
            cost.append(np.asarray(table, float).ravel())
            numbers = at + np.arange(table.size).reshape(table.shape)
            at += table.size
            for axis, v in enumerate(scope):
                for k, part in enumerate(np.moveaxis(numbers, axis, 0)):
                    rows += [row] * (part.size + 1)
                    columns += [*part.ravel(), plan.offsets[v] + k]
                    values += [1.0] * part.size + [-1.0]
                    right.append(0.0)
                    row += 1
    matrix = sparse.csr_array((values, (rows, columns)), (row, at))
    return float(optimize.linprog(np.concatenate(cost), A_eq=matrix, b_eq=right, method="highs").fun)


@chunks
def test_random_graphs(chunk: int) -> None:
    """Valid labels, honest bounds and statuses, with hard constraints and ties, also under evidence."""
    for case, choices in loopy_cases(chunk):
        solver = fg.TRWS(iterations=30)
        try:
            check_solution(case, fg.solve(case.graph, method=solver), oracle.minimum(case.spec))
            if chunk % 3 == 0:
                evidence, allowed, strings = random_evidence(case, choices)
                best = oracle.minimum(case.spec, allowed, strings)
                solution = fg.solve(case.graph, evidence=evidence, method=solver)
                check_solution(case, solution, best, allowed, strings)
        except AssertionError:
            print("\n".join(case.lines))
            raise


def test_most_small_graphs_are_solved_and_proven() -> None:
    found, best, proven = 0, 0, 0
    for case, _ in loopy_cases(0, 200):
        solution = fg.solve(case.graph, method="trw-s")
        found += 1
        best += solution.energy == oracle.minimum(case.spec)
        proven += solution.status in (fg.Status.OPTIMAL, fg.Status.INFEASIBLE)
    assert best > 0.9 * found and proven > 0.6 * found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bound_never_falls_and_stays_below_the_relaxation(dtype: Any) -> None:
    """In exact arithmetic; in float32 it may fall by the rounding of messages."""
    rng = np.random.default_rng(3)
    for _ in range(12):
        asked = asked_of(random_graph(rng, 6, 4, dtype))
        bounds = trajectory(asked, 60)[:, 0]
        least = relaxed(asked.plan, asked.energies)
        size = 1 + abs(least)
        assert np.diff(bounds).min() >= -size * (1e-5 if dtype is np.float32 else 1e-13)
        assert bounds.max() <= least + 1e-9 * size
        assert bounds[-1] > least - 0.05 * size


def test_the_bound_is_the_relaxation_where_two_labels_meet_in_pairs() -> None:
    """Fixed points are optimal for pairs of binary variables (Kolmogorov and Wainwright 2005)."""
    rng = np.random.default_rng(5)
    for _ in range(6):
        g = fg.FactorGraph()
        x = g.variables("x", shape=(3, 3), states=2)
        g.add(fg.Table(rng.normal(size=(3, 3, 2))), x)
        g.add(fg.Table(rng.normal(size=(2, 3, 2, 2))), x[1:], x[:-1])
        g.add(fg.Table(rng.normal(size=(3, 2, 2, 2))), x[:, :-1], x[:, 1:])
        asked = asked_of(g)
        least = relaxed(asked.plan, asked.energies)
        assert trajectory(asked, 3000)[-1, 0] == pytest.approx(least, rel=1e-6, abs=1e-6)


def test_trees_are_exact() -> None:
    """A cycle that costs nothing makes them loopy for us; the bound is the optimum all the same."""
    rng = np.random.default_rng(7)
    for size in (3, 8, 12):
        g = fg.FactorGraph()
        x = g.variables("x", shape=(size,), states=3)
        g.add(fg.Table(rng.normal(size=(size, 3))), x)
        parent = np.array([rng.integers(0, v) for v in range(1, size)])
        g.add(fg.Table(rng.normal(size=(size - 1, 3, 3))), x[parent], x[1:])
        exact = fg.solve(g)
        assert exact.status == fg.Status.OPTIMAL
        leaves = np.setdiff1d(np.arange(size), parent)
        g.add(fg.Table(np.zeros((3, 3, 3))), x[0], x[int(leaves[-1])], x[int(leaves[0] if len(leaves) > 1 else 1)])
        solution = fg.solve(g, method=fg.TRWS(iterations=500))
        assert solution.energy == pytest.approx(exact.energy) and solution.bound == pytest.approx(
            exact.energy, abs=1e-6
        )


@pytest.mark.jitoff
def test_frustrated_triangle() -> None:
    """One of three equal pairs must stay, and no relaxation by pairs knows: minimum 1, bound 0. A shared table, too."""
    for factor in (fg.Potts(-1.0), fg.Table([[0.0, -1.0], [-1.0, 0.0]]), fg.Table(np.float32([[0, -1], [-1, 0]]))):
        g = fg.FactorGraph()
        x = g.variables("x", shape=(3,), states=2)
        g.add(factor, x[[0, 1, 2]], x[[1, 2, 0]])
        g.add(fg.Table(3.5))
        solution = fg.solve(g, method=fg.TRWS(iterations=60))
        assert solution.energy == 1.5 and 0.5 - 1e-9 < solution.bound <= 0.5 or solution.bound == 1.5
        assert solution.status == (fg.Status.BOUNDED if solution.bound < 1.5 else fg.Status.OPTIMAL)


def test_integers_close_the_gap_below_one() -> None:
    """On a pentagon of equal pairs the relaxation is −5, the minimum −4: not proven. With a third label it is."""
    for states, status in ((2, fg.Status.BOUNDED), (3, fg.Status.OPTIMAL)):
        g = fg.FactorGraph()
        x = g.variables("x", shape=(5,), states=states)
        g.add(fg.Potts(-1), x, x[[1, 2, 3, 4, 0]])
        solution = fg.solve(g, method="trw-s")
        assert solution.status == status and solution.energy == (-4 if states == 2 else -5) and solution.bound == -5


@pytest.mark.jitoff
def test_infeasible_graphs() -> None:
    """Proven where a variable runs out of states; an odd cycle of two colours has none, which pairs do not show."""
    g = fg.FactorGraph()
    x = g.variables("x", shape=(3,), states=2)
    g.add(fg.Table([[INF, 0], [0, INF]]), x, x[[1, 2, 0]])
    open_ = fg.solve(g, method=fg.TRWS(iterations=5))
    assert open_.status == fg.Status.BOUNDED and open_.energy == INF and open_.bound == 0
    g.add(fg.Table([0, INF]), x[0])
    closed = fg.solve(g, method=fg.TRWS(iterations=5))
    assert closed.status == fg.Status.INFEASIBLE and closed.energy == closed.bound == INF and closed.gap == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-320, 1e-45, 1e-38, 1e30, 3e38, 1e300, 1.7e308])
@pytest.mark.parametrize("low", [-1.0, 0.5])
def test_energies_of_any_size(dtype: Any, size: float, low: float) -> None:
    """Sums that would overflow, numbers without digits: nothing is proven wrongly."""
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        warnings.simplefilter("ignore")
        rng = np.random.default_rng(11)
        unary, pair = rng.uniform(low, 1, (4, 3)), rng.uniform(low, 1, (4, 3, 3))
        unary, pair = (
            np.clip(t * size, -np.finfo(dtype).max, np.finfo(dtype).max).astype(dtype) for t in (unary, pair)
        )
        g = fg.FactorGraph()
        x = g.variables("x", shape=(4,), states=3)
        g.add(fg.Table(unary), x)
        g.add(fg.Table(pair), x, x[[1, 2, 3, 0]])
        solution = fg.solve(g, method=fg.TRWS(iterations=50))
        labellings = itertools.product(range(3), repeat=4)
        energy = [  # scaled, so that the referee has no overflow
            sum(float(unary[v, y[v]]) / 16 for v in range(4))
            + sum(float(pair[v, y[v], y[v - 3]]) / 16 for v in range(4))
            for y in labellings
        ]
    assert solution.status != fg.Status.INFEASIBLE
    assert solution.bound / 16 <= min(energy)
    if solution.status == fg.Status.OPTIMAL and size < 1e300:
        assert solution.energy / 16 == pytest.approx(min(energy), rel=1e-6, abs=1e-7)


def test_many_components_are_as_each_alone() -> None:
    rng = np.random.default_rng(13)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(30, 4), states=3)
    g.add(fg.Table(rng.integers(-3, 4, (30, 4, 3)).astype(float)), x)
    g.add(fg.Table(rng.integers(-3, 4, (30, 4, 3, 3)).astype(float)), x, x[:, [1, 2, 3, 0]])
    plan, energies = g.compile(), g.energies()
    for solver in (fg.TRWS(iterations=20), fg.MinSum(sweeps=20)):
        whole = solver(plan, energies)
        for c in (0, 7, 29):
            alone = solver(plan, energies, components=np.array([c]))
            assert (alone.flat[4 * c : 4 * c + 4] == whole.flat[4 * c : 4 * c + 4]).all()
            assert alone.components.bound[c] == whole.components.bound[c]
            assert (np.delete(alone.flat, range(4 * c, 4 * c + 4)) == -1).all()


def test_initial_labels_and_time_limits() -> None:
    rng = np.random.default_rng(17)
    g = random_graph(rng, 40, 80)
    best = fg.solve(g, method=fg.TRWS(iterations=300))
    again = fg.solve(g, method=fg.TRWS(iterations=1), initial={"x": best.labels["x"]})
    assert again.energy <= best.energy
    hasty = fg.solve(g, method="trw-s", time_limit=0.0)
    assert hasty.energy < INF and hasty.bound <= hasty.energy and hasty.status != fg.Status.OPTIMAL
    with pytest.raises(
        fg.FactorGraphError, match="TRWS: expected iterations ≥ 1, kicks ≥ 0, patience ≥ 1 and .* got 0, 20"
    ):
        fg.TRWS(iterations=0)


def test_colourings_are_found() -> None:
    """A planted colouring of 300 variables: rounding alone leaves violated pairs, repair does not."""
    rng = np.random.default_rng(19)
    colour = rng.integers(0, 4, 300)
    edges = rng.integers(0, 300, (900, 2))
    edges = np.unique(np.sort(edges[colour[edges[:, 0]] != colour[edges[:, 1]]], 1), axis=0)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(300,), states=4)
    g.add(fg.Table(np.where(np.eye(4) > 0, INF, 0)), x[edges[:, 0]], x[edges[:, 1]])
    solution = fg.solve(g, method=fg.TRWS(iterations=20))
    assert solution.status == fg.Status.OPTIMAL and solution.energy == 0


def test_bounds_agree_with_a_plain_evaluation() -> None:
    """The reported bound is Σ_v min θ_v + Σ_f min θ_f of the messages, written out."""
    for case, _ in loopy_cases(1, 60):
        asked = asked_of(case.graph)
        asked = asked.part(asked.plan.kinds[asked.components] == LOOPY)
        engine = General(asked)
        for _ in range(2):
            found = engine.iterate(np.ones(asked.components.size, bool), INF, True)
        plan, energies = asked.plan, asked.energies
        expected = np.zeros(plan.n_components)
        message = engine.passes.message
        factors = plan.factors
        theta = engine.exact.copy()
        for c in asked.components:
            for f in range(factors.first[c], factors.first[c + 1]):
                scope = range(factors.row[f, 2], factors.row[f + 1, 2])
                if len(scope) == 1:
                    continue
                states = [int(plan.states[factors.var[e]]) for e in scope]
                at = factors.row[f, 0]
                size = int(np.prod(states))
                if factors.row[f, 1] == 1:
                    table = np.where(np.eye(states[0], dtype=bool), 0.0, float(energies[at]))
                else:
                    table = energies[at : at + size].astype(float).reshape(states)
                for axis, e in enumerate(scope):
                    v = factors.var[e]
                    m = engine.messages[message[e] : message[e] + plan.states[v]].astype(float)
                    theta[plan.offsets[v] : plan.offsets[v + 1]] += m
                    shape = [1] * len(states)
                    shape[axis] = -1
                    table = table + np.where(m < INF, -m, INF).reshape(shape)
                expected[c] += table.min()
            expected[c] += sum(theta[plan.offsets[v] : plan.offsets[v + 1]].min() for v in plan.variables_of(int(c)))
        np.testing.assert_allclose(found, expected[asked.components], rtol=1e-12, atol=1e-12)


def test_fusion_is_the_best_of_all_combinations() -> None:
    """Against every combination of the components of the difference; +inf included."""
    rng = np.random.default_rng(23)
    for case, _ in loopy_cases(2, 150):
        asked = asked_of(case.graph)
        asked = asked.part(asked.plan.kinds[asked.components] == LOOPY)
        inside = np.isin(asked.plan.component, asked.components)
        a, b = (np.where(inside, rng.integers(0, asked.plan.states), 0).astype(np.int32) for _ in range(2))
        fused = fuse(asked, a, b)
        assert ((fused == a) | (fused == b)).all()
        costs = [evaluate(asked, y)[1] for y in (fused, a, b)]
        assert (costs[0] <= costs[1] + 1e-9).all() and (costs[0] <= costs[2] + 1e-9).all()


def test_fusion_takes_each_difference_on_its_own() -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(7,), states=2)
    g.add(fg.Table(np.array([[0, -1.0], [0, 0], [0, 1], [0, 0], [0, -2], [0, 0], [0, 5]])), x)
    g.add(fg.Potts(0.25), x, x[[1, 2, 3, 4, 5, 6, 0]])
    asked = asked_of(g)
    a, b = np.zeros(7, np.int32), np.array([1, 0, 1, 0, 1, 0, 0], np.int32)
    assert fuse(asked, a, b).tolist() == [1, 0, 0, 0, 1, 0, 0]


def test_forest_moves_are_exact() -> None:
    """No labels of the forest's variables, the others as they are, cost less; every variable is in some forest."""
    rng = np.random.default_rng(29)
    for case, _ in loopy_cases(3, 60):
        asked = asked_of(case.graph)
        asked = asked.part(asked.plan.kinds[asked.components] == LOOPY)
        improver = General(asked).improver
        improver.forests(np.zeros(asked.plan.states.size, np.int32))
        seen = np.concatenate([forest for forest, _, _ in improver._forests])
        assert set(seen) == set(improver.loops.var)
        for forest, via, parent in improver._forests:
            labels = rng.integers(0, asked.plan.states).astype(np.int32)
            improver._forests = [(forest, via, parent)]
            moved = labels.copy()
            improver.forests(moved)
            best = INF
            for chosen in itertools.product(*(range(asked.plan.states[v]) for v in forest)):
                labels[forest] = chosen
                best = min(best, evaluate(asked, labels)[1].sum())
            if best < INF:
                assert evaluate(asked, moved)[1].sum() == best
