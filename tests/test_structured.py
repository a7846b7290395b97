"""Factors that count against their enumerated tables: every question, every solver, every loss, files, sizes."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import INF
from scipy.optimize import linear_sum_assignment
from strategies import Case, ContinuousChoices, DrawnChoices, RandomChoices, explained, random_case, random_evidence
from test_gradients import LOSSES, differences, given_answers, random_answer
from test_laws import (
    check_solution,
    law_configurations,
    law_entropy,
    law_evidence,
    law_k_best,
    law_marginals,
    law_min_marginals,
    law_min_sum,
    law_samples,
    law_solve,
)

import factorgraph as fg
from factorgraph.infer.solver import Solver
from factorgraph.kernels.jit import kernel
from factorgraph.kernels.minsum import conditional, unary_costs
from factorgraph.kernels.structure import SCOPE
from factorgraph.kernels.tables import COUNT
from factorgraph.plan import Asked

pytestmark = pytest.mark.filterwarnings("error:invalid value:RuntimeWarning")  # inf − inf nowhere

#: `make check` looks at ten times as many graphs.
MORE = settings.default.max_examples // 200


def graphs(count: int, first: int = 0) -> Iterator[tuple[Case, RandomChoices, bool]]:
    """Forests and, as often, small graphs at will, with up to three factors that count among tables and lattices."""
    for seed in range(first, first + count * max(1, MORE)):
        choices = RandomChoices(seed)
        yield random_case(choices, forest=seed % 2 > 0, counts=choices.integer(1, 3)), choices, seed % 2 > 0


def twin(case: Case) -> fg.FactorGraph:
    """The same graph, every factor written out as a table."""
    g, spec = fg.FactorGraph(), case.spec
    variables: dict[int, Any] = {}
    for name, declared in case.arrays.items():
        numbers = declared.numbers
        states = np.array([spec.states[v] for v in numbers.ravel()], int).reshape(numbers.shape)
        latent = bool(numbers.size) and spec.latent[numbers.flat[0]]
        x = g.variables(name, numbers.shape, states if numbers.ndim else int(states), latent=latent)
        variables |= {int(numbers[i]): x[i] if i else x for i in np.ndindex(numbers.shape)}
    for scope, table in spec.factors:
        g.add(fg.Table(table), *(variables[v] for v in scope))
    return g


# Every question


def all_laws(case: Case, choices: Any, forest: bool) -> None:
    evidence, allowed, strings = random_evidence(case, choices)
    with explained(case, evidence=evidence):
        law_evidence(case, evidence, allowed, strings, law_solve(case))
        law_min_sum(case, evidence, allowed, strings)
        if forest:
            law_marginals(case, 0.5, evidence, allowed, strings)
            law_k_best(case, 4, evidence, allowed, strings)
        law_min_marginals(case, evidence, allowed, strings)
        law_entropy(case, 1.0, evidence, allowed, strings)
        law_configurations(case, 2.0, evidence, allowed, strings)
        law_samples(case, choices, evidence, allowed, strings)


def test_the_laws_of_every_question() -> None:
    assert sum(case.graph.compile().counters is not None for case, *_ in graphs(40)) > 30
    for case, choices, forest in graphs(25):
        all_laws(case, choices, forest)


@pytest.mark.jitoff
def test_a_small_slice_of_the_laws() -> None:
    with warnings.catch_warnings():  # plain vectors warn of inf − inf in lanes that elimination does not use
        warnings.filterwarnings("ignore", "invalid value", RuntimeWarning)
        for case, choices, forest in graphs(6, first=500):
            all_laws(case, choices, forest)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_the_laws_shrinking(data: Any) -> None:
    choices = DrawnChoices(data.draw)
    forest = bool(choices.integer(0, 1))
    case = random_case(choices, forest, counts=2)
    all_laws(case, choices, forest)


def test_latents_by_the_other_operation_than_answers() -> None:
    seen = 0
    for seed in range(40 * max(1, MORE)):
        choices = RandomChoices(2000 + seed)
        case = random_case(choices, forest=seed % 2 > 0, lattices=False, counts=2)
        if not any(case.spec.latent) or oracle.minimum(case.spec) == INF:
            continue
        seen += 1
        evidence, allowed, _ = random_evidence(case, choices)
        with explained(case, evidence=evidence):
            one, two = (fg.solve(g, evidence, latent="sum") for g in (case.graph, twin(case)))
            np.testing.assert_allclose(one.energy, two.energy, rtol=1e-5, atol=1e-5)
            one, two = (fg.marginals(g, evidence=evidence, latent="min") for g in (case.graph, twin(case)))
            np.testing.assert_allclose(one.log_partition, two.log_partition, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(one.flat, two.flat, rtol=1e-5, atol=1e-5)
    assert seen > 10


# Every solver


class Spy(Solver):
    """Sees no factors that count."""

    def minimise(self, asked: Asked, answer: Any) -> None:
        assert all(block.kind < COUNT for block in asked.plan.blocks)
        fg.Auto().minimise(asked, answer)


REFUSALS = {
    "dynamic": "DynamicProgramming: component .* has cycles",
    "min-cut": "MinCut: ",
    "expansion": "Expansion: ",
}
METHODS = ["brute", "dynamic", "elimination", "exact", "expansion", "min-cut", "min-sum", "toulbar2", "trw-s", Spy()]


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_solver_is_right_or_refuses(method: Any) -> None:
    if method == "toulbar2":
        pytest.importorskip("pytoulbar2")
    answered = 0
    for seed in range(12 * max(1, MORE)):
        case = random_case(RandomChoices(3000 + seed), forest=seed % 2 > 0, lattices=False, counts=2)
        with explained(case):
            try:
                solution = fg.solve(case.graph, method=method)
            except fg.FactorGraphError as error:
                assert re.match(REFUSALS.get(method, "nothing else"), str(error)), error
                continue
            answered += 1
            check_solution(case, solution, oracle.minimum(case.spec))
    assert answered >= (12 if method not in REFUSALS else 0 if method == "min-cut" else 3)


def test_assignments_are_solved_and_proven_by_messages() -> None:
    """Rows and columns with exactly one: the linear program is integral, so bound and labels meet."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        n = 4 + 3 * seed
        costs = rng.normal(size=(n, n)) if seed % 2 else rng.integers(0, 50, (n, n)).astype(float)
        g = fg.FactorGraph()
        x = g.variables("x", shape=(n, n))
        g.add(fg.Table(np.stack([np.zeros((n, n)), costs], -1)), x)
        g.add(fg.ExactlyOne(), *x)
        g.add(fg.ExactlyOne(), *(x[:, j] for j in range(n)))
        best = costs[linear_sum_assignment(costs)].sum()
        solution = fg.solve(g, method=fg.TRWS(iterations=200))
        assert solution.status == fg.Status.OPTIMAL
        assert solution.energy == pytest.approx(best, abs=1e-6) and solution.bound <= best + 1e-9
        labels = solution.labels["x"]
        assert (labels.sum(0) == 1).all() and (labels.sum(1) == 1).all()
        begun = fg.solve(g, method=fg.TRWS(iterations=1, kicks=0), initial={"x": labels})
        assert begun.energy == solution.energy


def test_conditionals_and_unaries_of_factors_that_count() -> None:
    """What kernels read of such a factor itself: energies by one label, the others as they are or unknown."""
    for seed in range(30):
        choices = RandomChoices(4000 + seed)
        case = random_case(choices, forest=False, lattices=False, dtype=np.float64, counts=3)
        plan, other, energies = case.graph.compile(), twin(case).compile(), case.graph.energies()
        labels = np.array([choices.integer(0, k - 1) for k in case.spec.states], np.int32)
        costs, unary = [], []
        for p, tables in ((plan, energies), (other, twin(case).energies())):
            every, cost = np.arange(p.n_components), np.zeros(p.variable_states)
            unary_costs(p.factors, every, p.states, p.offsets, tables, np.zeros(0), cost)
            unary.append(cost)
            costs.append(conditionals(p, tables, labels))
        np.testing.assert_array_equal(*unary)
        np.testing.assert_array_equal(*costs)


def conditionals(plan: fg.Plan, energies: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """By variable state: the energies of all factors of two variables or more, the other variables as they are."""
    out = np.zeros(plan.variable_states)
    row, var = plan.factors.row, plan.factors.var
    for f in range(len(row) - 1):
        for e in range(row[f, SCOPE], row[f + 1, SCOPE]):
            cost = np.zeros(int(plan.states[var[e]]))
            if row[f + 1, SCOPE] - row[f, SCOPE] > 1:
                assert one_conditional(var[e], e, f, plan.factors, plan.states, energies, labels, cost)
                unknown = np.full_like(labels, -1)
                assert not one_conditional(var[e], e, f, plan.factors, plan.states, energies, unknown, cost.copy())
            out[plan.offsets[var[e]] : plan.offsets[var[e] + 1]] += cost
    return out


@kernel
def one_conditional(v, e, f, factors, states, energies, labels, cost):  # type: ignore[no-untyped-def]
    return conditional(v, e, f, factors, states, energies, labels, cost)


def test_single_labels_repair_what_messages_leave_infeasible() -> None:
    """Exactly two of each row and column, by sweeps too few to agree."""
    rng = np.random.default_rng(1)
    g, n = fg.FactorGraph(), 6
    x = g.variables("x", shape=(n, n))
    g.add(fg.Table(rng.normal(size=(n, n, 2))), x)
    two = fg.Cardinality([INF, INF, 0, INF], most=3)
    g.add(two, *x)
    g.add(two, *(x[:, j] for j in range(n)))
    solution = fg.solve(g, method=fg.MinSum(sweeps=1))
    labels = solution.labels["x"]
    assert solution.energy < INF and (labels.sum(0) == 2).all() and (labels.sum(1) == 2).all()


def test_parallel_factors_that_count() -> None:
    """Between one and two ones, as two factors over the same variables in other orders; and beside their table."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        g, n = fg.FactorGraph(), 4
        unary = rng.normal(size=(n, 2))
        x = g.variables("x", shape=(n,))
        g.add(fg.Table(unary), x)
        g.add(fg.AtLeastOne(), *x)
        g.add(fg.Cardinality([0, 0, 0, INF], most=3), *x[::-1])
        g.add(fg.Table(table := rng.normal(size=(2,) * n)), *x)
        joint = np.array(table)
        for labels in np.ndindex(joint.shape):
            joint[labels] += unary[range(n), labels].sum() if 1 <= sum(labels) <= 2 else INF
        assert fg.solve(g).energy == pytest.approx(joint.min()) == fg.solve(g, method="brute").energy
        assert fg.marginals(g).log_partition == pytest.approx(-oracle.soft_minimum(joint, 1.0))


def test_infeasible_and_which_variable() -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(5,))
    g.add(fg.ExactlyOne(), *x)
    solution = fg.solve(g, evidence={"x": [0, 1, -1, 1, -1]})
    assert solution.status == fg.Status.INFEASIBLE and (solution.labels["x"] == -1).all()
    assert solution.conflict is None or solution.conflict.startswith("x[")
    assert fg.solve(g, evidence={"x": [0, 0, 0, -1, 0]}).labels["x"].tolist() == [0, 0, 0, 1, 0]


def test_some_components_only_and_their_gradient() -> None:
    """One example has no factor that counts, and stays as it is."""
    g = fg.FactorGraph()
    x, y = g.variables("x", shape=(3,)), g.variables("y", shape=(3,))
    g.add(fg.Table([[1, 0]] * 3), x)
    g.add(fg.Table([[1, 0]] * 3), y)
    g.add(fg.AtMostOne(), *y)
    plan, energies = g.compile(), g.energies()
    count = plan.component[3:].max() + 1
    assert count == plan.n_components == 4
    solution = fg.Auto()(plan, energies, components=np.array([3]))
    assert solution.energy == 2 and solution.labels["x"].tolist() == [-1] * 3 and sum(solution.labels["y"]) == 1
    asked = fg.Question().of(plan, energies, np.array([3]))
    marginals, gradient = np.full(plan.variable_states, 7.0), plan.zeros(np.float64)
    fg.Auto().integrate(asked, 1.0, marginals, gradient, 2.0)
    assert (marginals[:6] == 7).all() and (marginals[6:] < 1).all()
    assert gradient.sum() == pytest.approx(2.0 * 4) and not gradient[:6].any()


# Learning


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients_by_the_energies_of_counts(name: str) -> None:
    make, expected = LOSSES[name]
    found = 0
    for seed in range(7 * max(1, MORE)):
        choices = ContinuousChoices(seed)
        case = random_case(choices, forest=seed % 2 > 0, dtype=np.float64, counts=2)
        for x in case.arrays.values():  # constraints cost nothing: without these there are ties
            for index in np.ndindex(x.numbers.shape):
                case.add_table(choices.values(case.spec.states[int(x.numbers[index])]), x[index] if index else x)
        answer = random_answer(case, choices)
        if answer is None:
            continue
        found += 1
        answers, plan, energies = given_answers(case, answer), case.graph.compile(), case.graph.energies()
        with explained(case, answers=answers):
            value, gradient = make()(plan, energies, answers)
            assert value == pytest.approx(expected(case.spec, *answer), rel=1e-9, abs=1e-9)
            near = differences(make(), plan, energies, answers)
            known = ~np.isnan(near)
            np.testing.assert_allclose(gradient[known], near[known], rtol=1e-5, atol=1e-6)
    assert found > 3


def value(family: Any, g: fg.FactorGraph, answers: Any) -> float | str:
    """Of a loss, or why it has none."""
    try:
        return float(family()(g.compile(), g.energies(), answers)[0])
    except fg.FactorGraphError as error:
        return str(error)


def test_every_loss_is_that_of_the_tables() -> None:
    from test_losses import FAMILIES

    for seed in range(10 * max(1, MORE)):
        choices = ContinuousChoices(seed)
        case = random_case(choices, forest=True, lattices=False, dtype=np.float64, counts=2)
        answer = random_answer(case, choices)
        if answer is None:
            continue
        answers = given_answers(case, answer)
        for family in FAMILIES:
            if family is fg.losses.PerturbAndMAP:
                continue  # its noise is by energies, of which there are others
            with explained(case, answers=answers, loss=family.__name__):
                one, two = (value(family, g, answers) for g in (case.graph, twin(case)))
                assert one == two if isinstance(two, str) else one == pytest.approx(two, rel=1e-6, abs=1e-6)


def test_the_energies_of_counts_are_learned() -> None:
    """Two of five are 1, whatever the features say: the likelihood learns that from the counts."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(5, 1)) for _ in range(40)]
    Y = [{"y": (x[:, 0] >= np.sort(x[:, 0])[3]).astype(int)} for x in X]

    def build(g: fg.FactorGraph, x: np.ndarray) -> None:
        y = g.variables("y", shape=(5,))
        g.add(fg.Linear(x, "u"), y)
        g.add(fg.Cardinality(fg.Linear(None, "count")), *y)

    model = fg.Model(build)
    run = fg.train(model, X, Y, loss=fg.losses.NLL(), optimizer=fg.optim.Adam(0.2), epochs=60, progress=False)
    assert run.parameters["count"].shape == (1, 6) and run.parameters["count"].argmin() == 2
    found = model.predict(run.parameters, X)
    assert np.mean([(given["y"] == labels).all() for given, labels in zip(Y, found, strict=True)]) > 0.95


# Files and sizes


@pytest.mark.parametrize("name", ["a.uai", "a.LG", "a.wcsp"])
def test_files_hold_their_tables(name: str, tmp_path: Any) -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(5,))
    g.add(fg.Table([[0, 2], [3, 1], [0, 1], [1, 0], [2, 0]]), x)
    g.add(fg.Or(), *x[1:4])
    g.add(fg.And(), *x[2:])
    g.add(fg.Cardinality([2, 0, 1, 4], most=3), *x[1:])
    g.add(fg.AtMostOne(), x[0], x[4])
    fg.write(g, tmp_path / name)
    again = fg.read(tmp_path / name)
    (group,) = again.compile().groups
    for labels in np.ndindex((2,) * 5):
        energies = fg.energy(again, {group.name: labels}), fg.energy(g, {"x": labels})
        assert energies[0] == pytest.approx(energies[1], rel=1e-9, abs=1e-9)
    x = g.variables("many", shape=(17,))
    g.add(fg.AtMostOne(), *x)
    with pytest.raises(
        fg.FormatError, match=re.escape("a factor counts 17 variables, many[0] … many[16], and")
    ):
        fg.write(g, tmp_path / name)


def test_thousands_of_variables() -> None:
    rng = np.random.default_rng(0)
    n = 3000
    unary = rng.normal(size=(n, 2))
    gain = unary[:, 1] - unary[:, 0]
    for factor, expected in [
        (fg.AtMostOne(), min(0.0, gain.min())),
        (fg.ExactlyOne(), gain.min()),
        (fg.AtLeastOne(), np.minimum(gain, 0).sum()),
        (fg.Cardinality([0, 0, 0, 0, INF], most=4), np.sort(gain)[:3].sum()),
    ]:
        g = fg.FactorGraph()
        x = g.variables("x", shape=(n,))
        g.add(fg.Table(unary), x)
        g.add(factor, *x)
        solution = fg.solve(g)
        assert solution.status == fg.Status.OPTIMAL
        assert solution.energy == pytest.approx(unary[:, 0].sum() + expected, rel=1e-12)


def test_any_penalty_of_the_count_against_sorting() -> None:
    """The best labelling with k ones has the k least differences: n + 1 candidates."""
    rng = np.random.default_rng(1)
    n = 60
    unary, penalty = rng.normal(size=(n, 2)), 3 * rng.normal(size=n + 1)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(n,))
    g.add(fg.Table(unary), x)
    g.add(fg.Cardinality(penalty), *x)
    gains = np.sort(unary[:, 1] - unary[:, 0])
    best = (unary[:, 0].sum() + np.concatenate([[0], np.cumsum(gains)]) + penalty).min()
    assert fg.solve(g).energy == pytest.approx(best, rel=1e-12)
    sizes = np.array([1.0])  # Σ exp(−E) by number of ones
    for a, b in np.exp(-unary):
        sizes = np.convolve(sizes, [a, b])
    assert fg.marginals(g).log_partition == pytest.approx(np.log((sizes * np.exp(-penalty)).sum()), rel=1e-9)
    drawn = fg.sample(g, 400, seed=2).labels["x"].sum(1)
    expected = sizes * np.exp(-penalty)
    expected /= expected.sum()
    mean = (expected * np.arange(n + 1)).sum()
    deviation = np.sqrt((expected * (np.arange(n + 1) - mean) ** 2).sum())
    assert abs(drawn.mean() - mean) < 5 * deviation / 20


def test_counters_beyond_the_memory_limit_are_refused_before_they_are_made() -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(2000,))
    g.add(fg.Cardinality(np.zeros(2001)), *x)
    with pytest.raises(
        fg.FactorGraphError, match=r"factors that count need 39\.\S+ GiB, the memory_limit is 2"
    ):
        fg.solve(g)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(2000,))
    g.add(fg.Cardinality(np.zeros(4), most=3), *x)
    assert fg.solve(g).energy == 0
