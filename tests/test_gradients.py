"""Losses on random forests and lattices: values against enumeration, gradients against central differences.

Energies are continuous, so that minima are unique and losses of the min kind are differentiable where we stand.
A gradient has the layout of the energies: entry i is the derivative with respect to energies[i].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import oracle
import pytest
from oracle import INF
from strategies import Case, ContinuousChoices, explained, random_case

import factorgraph as fg

pytestmark = pytest.mark.filterwarnings("error:invalid value:RuntimeWarning")

Answer = tuple[list[int], list[tuple[int, ...]]]  # labels of all variables (latent ones count for nothing), strings


LOSSES = {
    "Perceptron": (lambda: fg.losses.Perceptron(), oracle.perceptron),
    "Margin": (lambda: fg.losses.Margin(), oracle.margin),
    "NLL": (lambda: fg.losses.NLL(), oracle.nll),
    "NLL at temperature 1/2": (
        lambda: fg.losses.NLL(temperature=0.5),
        lambda spec, labels, strings: oracle.nll(spec, labels, strings, 0.5),
    ),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def random_answer(case: Case, choices: ContinuousChoices) -> Answer | None:
    """A reachable answer, or None where a few tries find none."""
    spec = case.spec
    for _ in range(20):
        labels = [choices.integer(0, states - 1) for states in spec.states]
        strings = []
        for lattice in spec.lattices:
            spelled = sorted(string for string, energy in lattice.strings().items() if energy < INF)
            if not spelled:
                return None
            strings.append(spelled[choices.integer(0, len(spelled) - 1)])
        if oracle.correct(spec, labels, strings) < INF:
            return labels, strings
    return None


def given_answers(case: Case, answer: Answer) -> dict[str, Any]:
    labels, strings = answer
    answers = {
        name: value
        for name, value in case.named(labels).items()
        if not case.spec.latent[case.arrays[name].numbers.flat[0]]
    }
    return answers | {name: list(string) for name, string in zip(case.lattices, strings, strict=True)}


def trials(count: int, first: int = 0, dtype: Any = np.float64) -> Iterator[tuple[Case, Answer]]:
    """Forests and lattices, every fourth time a small graph with cycles, each with a reachable answer."""
    found, seed = 0, first
    while found < count:
        choices = ContinuousChoices(seed)
        case = random_case(choices, forest=seed % 4 > 0, dtype=dtype)
        answer = random_answer(case, choices)
        if answer is not None:
            found += 1
            yield case, answer
        seed += 1


def differences(loss: Any, plan: Any, energies: np.ndarray, answers: Any, step: float = 1e-5) -> np.ndarray:
    """Central differences of the value along the finite energies (every seventh or so of large tables), others NaN."""
    result = np.full(energies.size, np.nan)
    for i in np.flatnonzero(np.isfinite(energies))[:: 1 if energies.size < 80 else 7]:
        values = []
        for sign in (1, -1):
            moved = energies.copy()
            moved[i] += sign * step
            values.append(loss(plan, moved, answers)[0])
        result[i] = (values[0] - values[1]) / (2 * step)
    return result


@every_loss
def test_values_against_enumeration(name: str) -> None:
    make, expected = LOSSES[name]
    for case, answer in trials(60):
        answers = given_answers(case, answer)
        with explained(case, answers=answers):
            value, gradient = make()(case.graph.compile(), case.graph.energies(), answers)
            assert isinstance(value, float)
            assert value == pytest.approx(expected(case.spec, *answer), rel=1e-9, abs=1e-9)
            assert value >= -1e-9
            assert np.isfinite(gradient).all()


@every_loss
def test_values_of_single_precision_energies(name: str) -> None:
    make, expected = LOSSES[name]
    for case, answer in trials(20, first=3000, dtype=np.float32):
        answers = given_answers(case, answer)
        with explained(case, answers=answers):
            energies = case.graph.energies()
            value, gradient = make()(case.graph.compile(), energies, answers)
            assert gradient.dtype == energies.dtype
            assert value == pytest.approx(expected(case.spec, *answer), rel=1e-5, abs=1e-5)


@every_loss
def test_answers_known_in_part(name: str) -> None:
    """A variable without an answer (−1) is completed like a latent one."""
    make, expected = LOSSES[name]
    for case, (labels, strings) in trials(20, first=7000):
        hidden = [v for v in range(0, len(labels), 2)]
        answers = given_answers(case, ([-1 if v in hidden else k for v, k in enumerate(labels)], strings))
        spec = replace(case.spec, latent=[latent or v in hidden for v, latent in enumerate(case.spec.latent)])
        with explained(case, answers=answers):
            value, _ = make()(case.graph.compile(), case.graph.energies(), answers)
            assert value == pytest.approx(expected(spec, labels, strings), rel=1e-9, abs=1e-9)


@every_loss
def test_gradients_against_central_differences(name: str) -> None:
    make, _ = LOSSES[name]
    loss = make()
    for case, answer in trials(24, first=5000):
        answers = given_answers(case, answer)
        with explained(case, answers=answers):
            plan, energies = case.graph.compile(), np.array(case.graph.energies())
            assert energies.dtype == np.float64 and energies.ndim == 1
            _, gradient = loss(plan, energies, answers)
            assert gradient.shape == energies.shape
            expected = differences(loss, plan, energies, answers)
            known = np.isfinite(expected)
            np.testing.assert_allclose(gradient[known], expected[known], atol=1e-7)
            assert not gradient[np.isinf(energies)].any()


@every_loss
def test_gradient_times_energies_is_the_value_for_losses_without_a_margin(name: str) -> None:
    """Perceptron: linear in the energies where we stand. All: a constant added to every labelling changes nothing."""
    make, _ = LOSSES[name]
    for case, answer in trials(20, first=9000):
        answers = given_answers(case, answer)
        with explained(case, answers=answers):
            plan, energies = case.graph.compile(), np.array(case.graph.energies())
            value, gradient = make()(plan, energies, answers)
            if name == "Perceptron":
                finite = np.isfinite(energies)
                assert value == pytest.approx(gradient[finite] @ energies[finite], abs=1e-9)
            case.graph.add(fg.Table(np.array(3.5)))  # c(X)
            shifted, _ = make()(case.graph.compile(), case.graph.energies(), answers)
            assert shifted == pytest.approx(value, abs=1e-12 * max(1, abs(value)) + 1e-12)


@pytest.mark.jitoff
@every_loss
def test_components_sum_to_the_whole(name: str) -> None:
    make, _ = LOSSES[name]
    for case, answer in trials(12, first=13000):
        answers = given_answers(case, answer)
        with explained(case, answers=answers):
            plan, energies = case.graph.compile(), case.graph.energies()
            value, gradient = make()(plan, energies, answers)
            count = len(case.spec.components()) + len(case.lattices)
            parts = [make()(plan, energies, answers, components=np.array([c])) for c in range(count)]
            assert sum(part[0] for part in parts) == pytest.approx(value, abs=1e-9)
            np.testing.assert_allclose(sum(part[1] for part in parts), gradient, atol=1e-12)


def flat(states: int) -> tuple[Any, Any]:
    g = fg.FactorGraph()
    y = g.variables("y", shape=(3,), states=states)
    g.add(fg.Table(np.zeros(states)), y)
    return g, {"y": [0, 1, 2]}


@pytest.mark.parametrize("name, expected", [("Perceptron", 0.0), ("Margin", 3.0), ("NLL", 3 * np.log(4))])
def test_values_where_all_energies_are_equal(name: str, expected: float) -> None:
    """The certificates of METHODS.md section 2: the perceptron collapses, margin and likelihood do not."""
    g, answers = flat(4)
    value, _ = LOSSES[name][0]()(g.compile(), g.energies(), answers)
    assert value == pytest.approx(expected, abs=1e-12)


def test_the_margin_loss_is_positive_where_the_answer_wins_by_less_than_the_margin() -> None:
    for gap, expected in [(0.25, 0.75), (0.999, 0.001), (1.5, 0.0), (-2.0, 3.0)]:
        g = fg.FactorGraph()
        y = g.variables("y", states=3)
        g.add(fg.Table(np.array([0.0, gap, 9.0])), y)
        value, gradient = fg.losses.Margin()(g.compile(), g.energies(), {"y": 0})
        assert value == pytest.approx(expected, abs=1e-12)
        finite = gradient[gradient != 0].tolist()
        assert finite == ([1.0, -1.0] if expected else [])


def test_latent_variables_are_summed_by_the_likelihood_and_minimised_by_the_perceptron() -> None:
    table = np.array([[0.0, 9.0, 9.0], [0.5, 0.5, 0.5]])
    g = fg.FactorGraph()
    y, z = g.variables("y", states=2), g.variables("z", states=3, latent=True)
    g.add(fg.Table(table), y, z)
    free = -np.log(np.exp(-table).sum(axis=1))
    for label in range(2):
        value, _ = fg.losses.NLL()(g.compile(), g.energies(), {"y": label})
        assert value == pytest.approx(free[label] + np.log(np.exp(-table).sum()), abs=1e-12)
        value, _ = fg.losses.Perceptron()(g.compile(), g.energies(), {"y": label})
        assert value == table[label].min() - table.min()


@pytest.mark.parametrize(
    "answer, rival",
    [
        ([0, 1], [0]),  # a prefix of the answer
        ([0], [0, 0]),  # the answer is a prefix
        ([0, 1], [0, 0]),  # deviates at the last letter
        ([1, 1], [0, 1]),  # … and at the first
        ([0, 0], [1]),
    ],
)
def test_the_margin_of_a_lattice_is_one_for_any_other_string(answer: list[int], rival: list[int]) -> None:
    """Answer and rival have energy 0, all else 10: the loss is 1, once per string and not per arc."""
    arcs = {1: [2], 2: [0, 1]}  # by the length of a string
    table = np.full((3, 2), 10.0)
    for string in (answer, rival):
        for arc, label in zip(arcs[len(string)], string, strict=True):
            table[arc, label] = 0.0
    g = fg.FactorGraph()
    line = g.lattice("line", arcs=([0, 1, 0], [1, 2, 2]), states=2)
    g.add(fg.Table(table), line)
    value, gradient = fg.losses.Margin()(g.compile(), g.energies(), {"line": answer})
    assert value == 1.0
    expected = np.zeros((3, 2))
    for sign, string in ((1, answer), (-1, rival)):
        for arc, label in zip(arcs[len(string)], string, strict=True):
            expected[arc, label] += sign
    np.testing.assert_array_equal(gradient.reshape(3, 2), expected)
    g.add(fg.Table(np.array([[0.0, 0.0], [0.0, 0.0]])), line, line)  # the same with transitions
    value, _ = fg.losses.Margin()(g.compile(), g.energies(), {"line": answer})
    assert value == 1.0
