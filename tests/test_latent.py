"""Latents eliminated by one operation, answers by another: sums inside minima, minima inside sums, by enumeration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import oracle
import pytest
from oracle import INF
from strategies import Case, ContinuousChoices, RandomChoices, explained, random_case, random_evidence

import factorgraph as fg
from factorgraph.plan import latent as latent_plan

pytestmark = pytest.mark.filterwarnings("error:invalid value:RuntimeWarning")

TEMPERATURES = [1.0, 0.5, 3.0, 0.1]
close = {"rtol": 1e-9, "atol": 1e-9}


def eliminated(case: Case, temperature: float | None, allowed: Any) -> np.ndarray:
    """Energies of all answers, latent axes kept with length 1: minima, or free energies with a temperature."""
    joint = case.spec.joint() if allowed is None else oracle.restrict(case.spec.joint(), allowed)
    return oracle.eliminate(joint, case.spec.latent_axes(), temperature)


def spelled(case: Case, temperature: float | None, strings: Any) -> list[float]:
    """The energy of each lattice's known string, its paths eliminated."""
    return [
        lattice.strings(temperature).get(tuple(string), INF)
        for lattice, string in zip(case.spec.lattices, strings, strict=True)
    ]


def answer_of(case: Case, solution: Any) -> tuple[int, ...]:
    """Labels of a solution as an index into `eliminated`: latents have none."""
    labels = case.flat(solution.labels)
    for v, latent in enumerate(case.spec.latent):
        if latent:
            assert labels[v] == -1
            labels[v] = 0
    return tuple(labels)


def check_components(case: Case, solution: Any, allowed: Any, temperature: float, lattices: list[float]) -> None:
    """Each component is right on its own; one that is infeasible leaves the labels of the others."""
    labels, parts = case.flat(solution.labels), solution.components
    for i, part in enumerate(case.spec.components()):
        spec = case.spec.part(part)
        joint = spec.joint() if allowed is None else oracle.restrict(spec.joint(), [allowed[v] for v in part])
        free = oracle.eliminate(joint, spec.latent_axes(), temperature)
        np.testing.assert_allclose(parts.energy[i], free.min(), **close)
        assert parts.status[i] == (fg.Status.INFEASIBLE if free.min() == INF else fg.Status.OPTIMAL)
        chosen = [labels[v] for v, latent in zip(part, spec.latent, strict=True) if not latent]
        if case.spec.constant() < INF:
            assert all((label == -1) == (free.min() == INF) for label in chosen)
    np.testing.assert_allclose(parts.energy[len(case.spec.components()) :], lattices, **close)


def law_sum(case: Case, temperature: float, evidence: Any = None, allowed: Any = None, strings: Any = ()) -> None:
    """min over Y of the free energy of Z, and the k best Y by it."""
    lattices = spelled(case, temperature, strings)
    free = eliminated(case, temperature, allowed)
    best = float(free.min()) + sum(lattices)
    solution = fg.solve(case.graph, evidence=evidence, latent="sum", temperature=temperature)
    np.testing.assert_allclose([solution.energy, solution.minimum, solution.bound], best, **close)
    assert solution.status == (fg.Status.OPTIMAL if best < INF else fg.Status.INFEASIBLE)
    check_components(case, solution, allowed, temperature, lattices)
    ranked = fg.k_best(case.graph, 6, evidence=evidence, latent="sum", temperature=temperature)
    if best == INF:
        assert ranked == []
        return
    np.testing.assert_allclose(free[answer_of(case, solution)] + sum(lattices), best, **close)
    assert all((solution.labels[name] == -1).all() for name in case.lattices)
    values = np.sort(free.ravel())[:6]
    np.testing.assert_allclose([s.energy for s in ranked], values[values < INF] + sum(lattices), **close)
    answers = [answer_of(case, s) for s in ranked]
    assert len(set(answers)) == len(answers)
    np.testing.assert_allclose([free[a] + sum(lattices) for a in answers], [s.energy for s in ranked], **close)
    for s in ranked:
        np.testing.assert_allclose(s.components.energy.sum() + case.spec.constant(), s.energy, **close)
    minimised = fg.solve(case.graph, evidence=evidence)
    assert solution.energy <= minimised.energy + 1e-9  # F_b ≤ F_inf


def law_min(case: Case, temperature: float, evidence: Any = None, allowed: Any = None, strings: Any = ()) -> None:
    """The distribution of Y under the minimum over Z."""
    lattices = spelled(case, None, strings)
    energies = eliminated(case, None, allowed)
    total = oracle.soft_minimum(energies, temperature) + sum(lattices)
    result = fg.marginals(case.graph, temperature, evidence, latent="min")
    np.testing.assert_allclose(result.log_partition, -total / temperature, **close)
    answers = {name: array for name, array in case.arrays.items() if not latent_array(case, name)}
    hidden = bool(case.lattices) or any(case.spec.latent)
    assert set(result.variables) == (set(answers) if hidden else {*case.arrays, *case.lattices})
    if total == INF:
        return
    expected = oracle.marginals(energies, temperature)
    for name, declared in answers.items():
        given = np.asarray(result.variables[name])
        for index, number in np.ndenumerate(declared.numbers):
            np.testing.assert_allclose(given[index][: case.spec.states[number]], expected[number], **close)


def latent_array(case: Case, name: str) -> bool:
    numbers = case.arrays[name].numbers
    return bool(numbers.size) and case.spec.latent[numbers.flat[0]]


def graphs(low: int, high: int) -> Iterator[tuple[Case, RandomChoices]]:
    for seed in range(low, high):
        choices = (RandomChoices if seed % 2 else ContinuousChoices)(seed)
        case = random_case(choices, forest=seed % 3 > 0)
        if any(case.spec.latent) or case.lattices:
            yield case, choices


def check_laws(case: Case, choices: RandomChoices) -> None:
    temperature = TEMPERATURES[choices.integer(0, 3)]
    evidence, allowed, strings = random_evidence(case, choices)
    if None in strings:
        with explained(case, evidence=evidence):
            for ask in (fg.solve, lambda g, **more: fg.k_best(g, 2, **more)):
                with pytest.raises(fg.FactorGraphError, match=r"latent='sum'\): the string of '(line|other)' is not"):
                    ask(case.graph, evidence=evidence, latent="sum")
            with pytest.raises(fg.FactorGraphError, match=r"marginals\(latent='min'\): the string of"):
                fg.marginals(case.graph, evidence=evidence, latent="min")
        return
    with explained(case, temperature=temperature, evidence=evidence):
        law_sum(case, temperature, evidence, allowed, strings)
        law_min(case, temperature, evidence, allowed, strings)
    if not case.lattices:
        with explained(case, temperature=temperature):
            law_sum(case, temperature)
            law_min(case, temperature)


def test_random_graphs_against_enumeration() -> None:
    seen: dict[str, int] = {}
    for case, choices in graphs(0, 900):
        check_laws(case, choices)
        spec = case.spec
        touching = [scope for scope, _ in spec.factors if any(spec.latent[v] for v in scope)]
        for key, present in {
            "no answers beside latents": all(spec.latent),
            "three and more with two answers": any(
                len(scope) > 2 and sum(not spec.latent[v] for v in scope) > 1 for scope in touching
            ),
            "latents joined": any(sum(spec.latent[v] for v in scope) > 1 for scope in touching),
            "parallel": len({frozenset(scope) for scope in touching}) < len(touching),
            "infeasible": spec.joint().min() == INF,
            "string": bool(case.lattices),
            "one-state latent": any(k == 1 and z for k, z in zip(spec.states, spec.latent, strict=True)),
            "loopy": not spec.is_forest(),
        }.items():
            seen[key] = seen.get(key, 0) + bool(present)
    assert min(seen.values()) >= 5 and len(seen) == 8, seen


@pytest.mark.check
def test_many_random_graphs_against_enumeration() -> None:
    for case, choices in graphs(1_000, 10_000):
        check_laws(case, choices)


@pytest.mark.jitoff
def test_a_small_slice_of_random_graphs() -> None:
    for case, choices in graphs(900, 930):
        check_laws(case, choices)


def test_clamped_regions_in_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded by taking regions a few at a time; the answer does not change."""
    monkeypatch.setattr(latent_plan, "CHUNK", 4)
    for case, choices in graphs(0, 60):
        check_laws(case, choices)


# The textbook cases


def test_the_best_answer_and_the_best_labelling_differ() -> None:
    """Answer 0 has the best configuration, answer 1 the greater mass, until the temperature falls."""
    table = np.array([[0.0, 9.0, 9.0], [0.5, 0.5, 0.5]])
    g = fg.FactorGraph()
    y, z = g.variables("y", states=["cat", "dog"]), g.variables("z", states=3, latent=True)
    g.add(fg.Table(table), y, z)
    free = -np.log(np.exp(-table).sum(axis=1))
    summed, minimised = fg.solve(g, latent="sum"), fg.solve(g)
    assert (summed.states["y"], minimised.states["y"]) == ("dog", "cat")
    assert summed.energy == pytest.approx(free[1], abs=1e-12) and summed.labels["z"] == -1
    assert [s.states["y"] for s in fg.k_best(g, 9, latent="sum")] == ["dog", "cat"]
    assert [s.states["y"] for s in fg.k_best(g, 9)] == ["cat", "dog"]
    assert fg.k_best(g, 9, latent="sum", temperature=0.01)[0].states["y"] == "cat"
    for temperature in (1.0, 0.1, 0.01, 1e-4):  # F_b → F_inf from below
        cold = fg.solve(g, latent="sum", temperature=temperature)
        assert -temperature * np.log(3) <= cold.energy <= minimised.energy
    assert cold.energy == pytest.approx(0, abs=1e-9) and cold.labels["y"] == 0
    least = fg.marginals(g, latent="min")
    np.testing.assert_allclose(least.variables["y"], np.exp([0, -0.5]) / np.exp([0, -0.5]).sum(), rtol=1e-12)
    assert least.latent == "min" and np.isnan(least.flat[2:]).all()
    with pytest.raises(fg.FactorGraphError, match="'z' has no marginals; expected 'y'"):
        least.variables["z"]
    mass = fg.marginals(g).variables["y"]
    np.testing.assert_allclose(mass, np.exp(-free) / np.exp(-free).sum(), rtol=1e-12)


def hidden_chain(rng: Any, length: int) -> tuple[Case, Any, Any]:
    """Every observation hangs on its own state of a hidden chain."""
    case = Case()
    y, z = case.variables("y", (length,), 3), case.variables("z", (length,), 2, latent=True)
    case.add_table(rng.normal(size=(2, 2)), z[:-1], z[1:])
    case.add_table(rng.normal(size=(2, 3)), z, y)
    case.add_table(rng.normal(size=(length, 3)), y)
    return case, y, z


def test_a_hidden_chain_joins_all_its_observations() -> None:
    case, *_ = hidden_chain(np.random.default_rng(0), 30)
    expected = (
        r"solve\(latent='sum'\): eliminating the latents around 'z' joins 30 unobserved answers of 'y', 2\.06e\+14 "
        r"joint states; expected at most 4096\..*Observe more of them, or .*latent='min' in solve"
    )
    with pytest.raises(fg.FactorGraphError, match=expected):
        fg.solve(case.graph, latent="sum")
    with pytest.raises(fg.FactorGraphError, match=r"k_best\(latent='sum'\): eliminating"):
        fg.k_best(case.graph, 2, latent="sum")
    with pytest.raises(fg.FactorGraphError, match=r"marginals\(latent='min'\): .*latent='sum' in marginals"):
        fg.marginals(case.graph, latent="min")
    assert fg.solve(case.graph).status == fg.Status.OPTIMAL


def test_a_hidden_chain_with_most_observations_known() -> None:
    """Seven of 200 readings are missing: 3⁷ joint states; each of them asked again as evidence."""
    rng = np.random.default_rng(1)
    case, *_ = hidden_chain(rng, 200)
    labels = rng.integers(3, size=200)
    labels[[0, 5, 6, 50, 51, 120, 199]] = -1
    solution = fg.solve(case.graph, evidence={"y": labels}, latent="sum")
    assert solution.status == fg.Status.OPTIMAL
    found = solution.labels["y"].copy()
    assert (found[labels >= 0] == labels[labels >= 0]).all()
    assert fg.solve(case.graph, evidence={"y": found}, latent="sum").energy == pytest.approx(solution.energy, abs=1e-9)
    assert len(set(found[labels < 0].tolist())) > 1
    for v in np.flatnonzero(labels < 0):  # no better neighbour
        for k in range(3):
            other = np.where(np.arange(200) == v, k, found)
            assert fg.solve(case.graph, evidence={"y": other}, latent="sum").energy >= solution.energy - 1e-9
    ranked = fg.k_best(case.graph, 3, evidence={"y": labels}, latent="sum")
    assert ranked[0].energy == pytest.approx(solution.energy) and ranked[1].energy >= ranked[0].energy


@pytest.mark.jitoff
def test_latents_between_answers_become_pairs() -> None:
    """Y − Z − Y − Z − Y: every latent is a table over its two neighbours, and the answers are a chain."""
    rng = np.random.default_rng(2)
    case = Case()
    y, z = case.variables("y", (4,), 3), case.variables("z", (3,), 2, latent=True)
    case.add_table(rng.normal(size=(3, 3, 2)), y[:-1], z)
    case.add_table(rng.normal(size=(2, 3)), z, y[1:])
    parts = latent_plan.Elimination(case.graph.compile())
    assert parts.joint.tolist() == [9, 9, 9] and parts.answers.plan.kinds.tolist() == [1]  # a chain
    for temperature in TEMPERATURES:
        law_sum(case, temperature)
        law_min(case, temperature)


def test_a_chain_of_latents_below_one_answer() -> None:
    """A hidden conditional random field: cycles as a whole, chains once the answer is given (Quattoni et al. 2007)."""
    rng = np.random.default_rng(3)
    count, length, classes, states = 20, 12, 4, 5
    g = fg.FactorGraph()
    y = g.variables("y", shape=(count,), states=classes)
    z = g.variables("z", shape=(count, length), states=states, latent=True)
    unary, joined = rng.normal(size=(count, length, states)), rng.normal(size=(classes, states, states))
    g.add(fg.Table(unary), z)
    g.add(fg.Table(joined.astype(np.float32)), y[:, None], z[:, :-1], z[:, 1:])
    joined = joined.astype(np.float32).astype(float)
    summed, least = np.empty((2, count, classes))
    for temperature, out in ((1.0, summed), (None, least)):
        message = np.broadcast_to(unary[:, 0, None, :], (count, classes, states))
        for t in range(1, length):
            table = message[..., None] + joined
            message = oracle.eliminate(table, (2,), temperature)[:, :, 0] + unary[:, t, None]
        out[:] = oracle.eliminate(message, (2,), temperature)[:, :, 0]
    solution = fg.solve(g, latent="sum")
    assert solution.status == fg.Status.OPTIMAL
    assert solution.labels["y"].tolist() == summed.argmin(1).tolist()
    np.testing.assert_allclose(solution.components.energy, summed.min(1), rtol=1e-9)
    weights = np.exp(least.min(1, keepdims=True) - least)
    given = fg.marginals(g, latent="min").variables["y"]
    np.testing.assert_allclose(given, weights / weights.sum(1, keepdims=True), rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_components_with_a_latent_on_each_answer(dtype: Any) -> None:
    """The same as the chains whose latents are eliminated by hand; every third answer is known."""
    rng = np.random.default_rng(4)
    shape, states, hidden = (300, 7), 4, 3
    unary, emission = rng.normal(size=(*shape, hidden)).astype(dtype), rng.normal(size=(states, hidden)).astype(dtype)
    unary[rng.random(unary.shape) < 0.1] = INF
    g, h = fg.FactorGraph(), fg.FactorGraph()
    y, x = g.variables("y", shape=shape, states=states), h.variables("y", shape=shape, states=states)
    z = g.variables("z", shape=shape, states=hidden, latent=True)
    g.add(fg.Table(unary), z)
    g.add(fg.Table(emission), y, z)
    whole = unary[:, :, None, :].astype(float) + emission
    h.add(fg.Table(oracle.eliminate(whole, (3,), 0.5)[..., 0]), x)
    for graph, v in ((g, y), (h, x)):
        graph.add(fg.Potts(dtype(0.5)), v[:, :-1], v[:, 1:])
    evidence = {"y": np.where(np.arange(7) % 3 == 1, rng.integers(states, size=shape), -1)}
    for given in (None, evidence):
        ours = fg.solve(g, evidence=given, latent="sum", temperature=0.5)
        by_hand = fg.solve(h, evidence=given)
        np.testing.assert_allclose(ours.components.energy, by_hand.components.energy, rtol=1e-12)
        assert (ours.components.status == by_hand.components.status).all()
        assert (ours.labels["y"] == by_hand.labels["y"]).all() and (ours.labels["z"] == -1).all()
        assert (ours.components.status == fg.Status.OPTIMAL).any()


# Answers and latents with cycles


def grid(rng: Any, side: int, hidden: bool) -> Any:
    """A grid of variables, each with a companion on a leaf; the grid or the leaves are latent."""
    g = fg.FactorGraph()
    inner = g.variables("inner", shape=(side, side), states=3, latent=hidden)
    leaf = g.variables("leaf", shape=(side, side), states=2, latent=not hidden)
    g.add(fg.Table(rng.normal(size=(side, side, 3, 2))), inner, leaf)
    for pair in ((inner[:, :-1], inner[:, 1:]), (inner[:-1], inner[1:])):
        g.add(fg.Table(rng.normal(size=(3, 3))), *pair)
    return g


WIDE = fg.Auto(cells=1)  # as if no elimination were narrow enough


def test_a_wide_grid_of_answers_is_bounded() -> None:
    """Sums are exact, the minimum over answers is not: the energy is that of the labels, and the bound is below all."""
    g = grid(np.random.default_rng(5), 6, hidden=False)
    best = fg.solve(g, latent="sum")
    assert best.status == fg.Status.OPTIMAL
    solution = fg.solve(g, latent="sum", method=WIDE)
    assert solution.status in (fg.Status.BOUNDED, fg.Status.OPTIMAL)
    assert -INF < solution.bound <= best.energy + 1e-9 and solution.energy >= best.energy - 1e-9
    again = fg.solve(g, evidence={"inner": solution.labels["inner"]}, latent="sum")
    assert again.energy == pytest.approx(solution.energy, abs=1e-9) and again.status == fg.Status.OPTIMAL
    start = fg.solve(g, latent="sum", initial={"inner": best.labels["inner"]}, method=WIDE)
    assert start.energy <= best.energy + 1e-9
    partly = np.where(np.eye(6, dtype=bool), best.labels["inner"], -1)
    begun = fg.solve(g, evidence={"inner": partly}, latent="sum", initial={"inner": best.labels["inner"]}, method=WIDE)
    assert begun.energy <= best.energy + 1e-9
    with pytest.raises(fg.FactorGraphError, match="not solved exactly"):
        fg.k_best(g, 2, latent="sum", method=WIDE)
    with pytest.raises(fg.FactorGraphError, match="cycles"):
        fg.marginals(g, latent="min", method=WIDE)


def test_a_wide_grid_of_latents_is_refused() -> None:
    g = grid(np.random.default_rng(6), 6, hidden=True)
    leaves = {"leaf": np.zeros((6, 6), int)}
    expected = r"solve\(latent='sum'\): 36 latents around 'inner' have cycles that Auto does not eliminate exactly"
    with pytest.raises(fg.FactorGraphError, match=expected):
        fg.solve(g, evidence=leaves, latent="sum", method=WIDE)
    with pytest.raises(fg.FactorGraphError, match=r"marginals\(latent='min'\): 36 latents around"):
        fg.marginals(g, evidence=leaves, latent="min", method=WIDE)


# Other questions


def test_options_are_checked() -> None:
    case, *_ = hidden_chain(np.random.default_rng(7), 2)
    for ask in (fg.solve, fg.marginals, lambda g, **more: fg.k_best(g, 1, **more)):
        with pytest.raises(fg.FactorGraphError, match="latent: expected 'min' or 'sum'; got 'max'"):
            ask(case.graph, latent="max")
    with pytest.raises(fg.FactorGraphError, match="temperature"):
        fg.k_best(case.graph, 1, latent="sum", temperature=0.0)
    with pytest.raises(fg.FactorGraphError, match="computes minima only"):
        fg.solve(case.graph, latent="sum", method="min-sum")
    for method in ("brute", "dynamic"):
        expected = fg.solve(case.graph, latent="sum").energy
        assert fg.solve(case.graph, latent="sum", method=method).energy == pytest.approx(expected, abs=1e-12)


def test_contradictory_evidence_is_infeasible_in_its_component() -> None:
    g = fg.FactorGraph()
    y, z = g.variables("y", shape=(2,), states=2), g.variables("z", shape=(2,), states=2, latent=True)
    g.add(fg.Table([[1.0, 2.0], [3.0, 4.0]]), y, z)
    evidence = {"y": [0, 1], (-1, "y"): [1, 1]}  # two names of one array
    solution = fg.solve(g, evidence=evidence, latent="sum")
    assert solution.status == fg.solve(g, evidence=evidence).status == fg.Status.INFEASIBLE
    assert solution.labels["y"].tolist() == [-1, 1] and solution.components.energy[0] == INF
    assert fg.k_best(g, 2, evidence=evidence, latent="sum") == []
    least = fg.marginals(g, evidence=evidence, latent="min")
    assert least.log_partition == -INF and least.variables["y"].tolist() == [[0, 0], [0, 1]]


def test_arrays_without_variables() -> None:
    g = fg.FactorGraph()
    g.variables("z", shape=(0,), states=2, latent=True)
    assert fg.solve(g, latent="sum").energy == 0 and fg.marginals(g, latent="min").log_partition == 0
    assert len(fg.k_best(g, 2, latent="sum")) == 1


def test_without_latents_both_eliminations_are_the_same() -> None:
    g = fg.FactorGraph()
    y = g.variables("y", shape=(3,), states=2)
    g.add(fg.Table(np.arange(4.0).reshape(2, 2)), y[:-1], y[1:])
    assert fg.solve(g, latent="sum").energy == fg.solve(g).energy == 0
    assert (fg.marginals(g, latent="min").flat == fg.marginals(g).flat).all()
    assert len(fg.k_best(g, 3, latent="sum")) == 3


def test_training_sums_latents_of_trees() -> None:
    """Two clusters of inputs per answer, told apart by a latent: not separable without it."""
    rng = np.random.default_rng(8)
    centres = np.array([[2.0, 2.0], [-2.0, -2.0], [2.0, -2.0], [-2.0, 2.0]])
    of = rng.integers(4, size=200)
    X, Y = list(centres[of] + rng.normal(size=(200, 2)) * 0.3), [int(k) for k in of // 2]

    def build(g: Any, x: np.ndarray) -> None:
        y, z = g.variables("y", states=2), g.variables("z", states=8, latent=True)
        g.add(fg.Linear(np.append(x, 1.0), "input"), z)
        g.add(fg.Linear(None, "belongs"), y, z)

    begin = {"input": rng.normal(size=(3, 8)), "belongs": rng.normal(size=(1, 2, 8))}
    loss = fg.losses.NLL(latent="sum")
    run = fg.train(fg.Model(build), X, Y, loss=loss, optimizer=fg.optim.Adam(0.1), epochs=40, initial=begin)
    declared = fg.Model(build).declare(X)
    solution = fg.solve(declared.graph, parameters=run.parameters, latent="sum")
    found = [int(solution.labels[i, "y"]) for i in range(200)]
    assert np.mean(np.array(found) == Y) > 0.98
    assert solution.status == fg.Status.OPTIMAL and solution.components.energy.size == 200
