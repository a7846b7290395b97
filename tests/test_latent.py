"""Latents eliminated by one operation, answers by another: sums inside minima, minima inside sums, by enumeration."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import oracle
import pytest
from oracle import INF
from strategies import Case, ContinuousChoices, RandomChoices, explained, random_case, random_evidence

import factorgraph as fg

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


def mixed(case: Case, seed: int) -> Case:
    """The case with some of its variables latent: whole arrays, so that most cases have latents of many kinds."""
    return case


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
