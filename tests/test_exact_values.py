"""The figures of the tutorial and of textbooks, each asked by the call that answers it.

The six questions (LeCun, Chopra, Hadsell, Ranzato, Huang, "A tutorial on energy-based learning", 2006), a hidden
Markov model of two states, an Ising pair.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import factorgraph as fg

ANIMALS = ["animal", "human", "plane", "truck", "car"]
ENERGIES = np.array([1, 2, 0, 0.5, 3])


def status(solution: Any) -> str:
    return fg.Status(solution.status).name


def one_variable(energies: np.ndarray = ENERGIES) -> Any:
    g = fg.FactorGraph()
    y = g.variables("y", states=ANIMALS)
    g.add(fg.Table(energies), y)
    return g


def joint_table(table: np.ndarray) -> Any:
    """E(X, Y) = table[x, y]."""
    g = fg.FactorGraph()
    x = g.variables("x", states=table.shape[0])
    y = g.variables("y", states=table.shape[1])
    g.add(fg.Table(table), x, y)
    return g


# The six questions


def test_question_1_the_best_answer() -> None:
    solution = fg.solve(one_variable())
    assert str(solution.states["y"]) == "plane" and solution.labels["y"] == 2
    assert solution.energy == solution.minimum == solution.bound == 0 and solution.gap == 0
    assert status(solution) == "OPTIMAL"


def test_question_2_the_order_of_answers() -> None:
    g = one_variable()
    best = fg.k_best(g, 5)
    assert [str(s.states["y"]) for s in best] == ["plane", "truck", "animal", "human", "car"]
    assert [s.energy for s in best] == [0, 0.5, 1, 2, 3]
    assert [fg.energy(g, {"y": label}) for label in range(5)] == ENERGIES.tolist()
    assert len(fg.k_best(g, 9)) == 5  # there are no more


def test_question_3_the_distribution_of_answers() -> None:
    result = fg.marginals(one_variable())
    p = result.variables["y"]
    assert p[0] == pytest.approx(0.170351, abs=5e-7) and p[2] == pytest.approx(0.463063, abs=5e-7)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert result.log_partition == pytest.approx(np.log(np.exp(-ENERGIES).sum()), abs=1e-12)


@pytest.mark.parametrize("temperature", [0.01, 1e-3, 1e-6])
def test_the_distribution_tends_to_the_best_answer_as_the_temperature_falls(temperature: float) -> None:
    p = fg.marginals(one_variable(), temperature=temperature).variables["y"]
    np.testing.assert_allclose(p, [0, 0, 1, 0, 0], atol=1e-12)


TABLE = np.array([[1.0, 4.0, 2.5], [0.5, 0.25, 5.0]])  # E(x, y)


def test_question_4_the_best_input_for_an_answer() -> None:
    g = joint_table(TABLE)
    for y in range(3):
        solution = fg.solve(g, evidence={"y": y})
        assert solution.labels["x"] == TABLE[:, y].argmin() and solution.energy == TABLE[:, y].min()
    for x in range(2):  # the same graph, roles exchanged
        solution = fg.solve(g, evidence={"x": x})
        assert solution.labels["y"] == TABLE[x].argmin() and solution.energy == TABLE[x].min()


def test_question_5_the_order_of_inputs_for_an_answer() -> None:
    g = joint_table(TABLE)
    for y in range(3):
        best = fg.k_best(g, 2, evidence={"y": y})
        assert [int(s.labels["x"]) for s in best] == TABLE[:, y].argsort().tolist()
        assert [s.energy for s in best] == sorted(TABLE[:, y])


def test_question_6_the_distribution_of_inputs_is_normalised_over_inputs() -> None:
    table = np.array([[0.0, 1.0], [2.0, 0.5]])
    g = joint_table(table)
    weights = np.exp(-table)
    inputs = fg.marginals(g, evidence={"y": 0})
    np.testing.assert_allclose(inputs.variables["x"], weights[:, 0] / weights[:, 0].sum(), rtol=1e-12)
    np.testing.assert_allclose(inputs.variables["y"], [1, 0], atol=1e-15)
    assert inputs.log_partition == pytest.approx(np.log(weights[:, 0].sum()), abs=1e-12)
    answers = fg.marginals(g, evidence={"x": 0})
    np.testing.assert_allclose(answers.variables["y"], weights[0] / weights[0].sum(), rtol=1e-12)
    assert abs(inputs.variables["x"][0] - answers.variables["y"][0]) > 0.1  # question 6 is not question 3


# No more complex than necessary: decisions need no normaliser


@pytest.mark.parametrize("constant", [0.0, -7.25, 1e5])
def test_a_constant_changes_no_decision(constant: float) -> None:
    g = one_variable()
    g.add(fg.Table(np.array(constant)))
    solution = fg.solve(g)
    assert str(solution.states["y"]) == "plane" and solution.energy == constant
    shifted = fg.solve(one_variable(ENERGIES + constant))
    assert shifted.labels["y"] == solution.labels["y"] and shifted.energy == constant
    np.testing.assert_allclose(fg.marginals(g).variables["y"], fg.marginals(one_variable()).variables["y"], rtol=1e-12)


@pytest.mark.parametrize("scale", [1e3, 1e6, -1e6, 1e300])
def test_energies_far_beyond_exp(scale: float) -> None:
    energies = ENERGIES * scale
    solution = fg.solve(one_variable(energies))
    assert solution.energy == energies.min() and solution.labels["y"] == energies.argmin()
    result = fg.marginals(one_variable(energies))
    assert result.log_partition == -energies.min()
    assert result.variables["y"][energies.argmin()] == 1


def test_log_partition_of_a_chain_where_exp_overflows() -> None:
    """A common shift of −2000 per variable: exp(2000) is no float64, the answer is an exact shift."""
    rng = np.random.default_rng(0)
    unary, pair = rng.normal(size=(50, 4)), rng.normal(size=(4, 4))

    def chain(shift: float) -> Any:
        g = fg.FactorGraph()
        x = g.variables("x", shape=(50,), states=4)
        g.add(fg.Table(unary + shift), x)
        g.add(fg.Table(pair), x[:-1], x[1:])
        return fg.marginals(g)

    plain, low, high = chain(0.0), chain(-2000.0), chain(2000.0)
    assert low.log_partition == pytest.approx(plain.log_partition + 100_000, abs=1e-6)
    assert high.log_partition == pytest.approx(plain.log_partition - 100_000, abs=1e-6)
    np.testing.assert_allclose(low.variables["x"], plain.variables["x"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(high.variables["x"], plain.variables["x"], rtol=1e-9, atol=1e-12)


# Healthy or fever: a hidden Markov model whose figures are known


def hidden_markov(latent: bool = False) -> Any:
    start = np.array([0.6, 0.4])
    transition = np.array([[0.7, 0.3], [0.4, 0.6]])
    emission = np.array([[0.5, 0.4, 0.1], [0.1, 0.3, 0.6]])  # normal, cold, dizzy
    observed = [0, 1, 2]
    g = fg.FactorGraph()
    health = g.variables("health", shape=(3,), states=["H", "F"], latent=latent)
    g.add(fg.Table(-np.log(start)), health[0])
    g.add(fg.Table(-np.log(emission[:, observed].T)), health)
    g.add(fg.Table(-np.log(transition)), health[:-1], health[1:])
    return g


def test_the_best_path_of_the_hidden_markov_model() -> None:
    solution = fg.solve(hidden_markov())
    assert "".join(solution.states["health"]) == "HHF"
    assert solution.energy == pytest.approx(4.1917369, abs=5e-8)
    assert status(solution) == "OPTIMAL"


def test_the_second_best_path_of_the_hidden_markov_model() -> None:
    first, second = fg.k_best(hidden_markov(), 2)
    assert "".join(first.states["health"]) == "HHF" and "".join(second.states["health"]) == "HFF"
    assert second.energy == pytest.approx(4.6335697, abs=5e-8)


def test_the_probability_of_the_observations() -> None:
    assert -fg.marginals(hidden_markov()).log_partition == pytest.approx(3.3164887, abs=5e-8)
    summed = fg.solve(hidden_markov(latent=True), latent="sum")
    assert summed.energy == pytest.approx(3.3164887, abs=5e-8)
    assert np.asarray(summed.labels["health"]).tolist() == [-1, -1, -1]


# Two spins


def test_the_ising_pair() -> None:
    """E = −J s t, J = 1, spins ±1: log Z = log(2e + 2/e), P(s = t) = 2e / Z."""
    g = fg.FactorGraph()
    s = g.variables("s", shape=(2,), states=2)
    g.add(fg.Potts(2.0), s[0], s[1])
    g.add(fg.Table(-1.0))
    assert fg.marginals(g).log_partition == pytest.approx(1.8200752, abs=5e-8)
    energies = np.array([[-1.0, 1.0], [1.0, -1.0]])  # the same pair with a variable that says whether they agree
    rule = np.full((2, 2, 2), np.inf)
    rule[[0, 1], [0, 1], 1] = rule[[0, 1], [1, 0], 0] = 0
    g = fg.FactorGraph()
    s, equal = g.variables("s", shape=(2,), states=2), g.variables("equal", states=2)
    g.add(fg.Table(rule + energies[:, :, None]), s[0], s[1], equal)
    result = fg.marginals(g)
    assert result.log_partition == pytest.approx(1.8200752, abs=5e-8)
    assert result.variables["equal"][1] == pytest.approx(0.8807971, abs=5e-8)


# Latent variables: minimised and summed may disagree


def test_summing_and_minimising_a_latent_variable_choose_different_answers() -> None:
    """Answer 0 has the best configuration, answer 1 the greater mass."""
    table = np.array([[0.0, 9.0, 9.0], [0.5, 0.5, 0.5]])
    g = fg.FactorGraph()
    y, z = g.variables("y", states=2), g.variables("z", states=3, latent=True)
    g.add(fg.Table(table), y, z)
    minimised = fg.solve(g)
    assert minimised.labels["y"] == 0 and minimised.energy == 0
    assert [s.energy for s in fg.k_best(g, 9)] == [0, 0.5]
    free = -np.log(np.exp(-table).sum(axis=1))
    for label in range(2):
        summed = fg.solve(g, evidence={"y": label}, latent="sum")
        assert summed.energy == pytest.approx(free[label], abs=1e-12)
        assert summed.energy <= fg.solve(g, evidence={"y": label}).energy
    assert free.argmin() == 1
    for temperature in (1.0, 0.1, 0.01):  # F_b → F_inf from below
        cold = fg.solve(g, evidence={"y": 1}, latent="sum", temperature=temperature)
        assert cold.energy == pytest.approx(0.5 - temperature * np.log(3), abs=1e-9)


# Segmentation


def segmentation() -> Any:
    """Nodes 0..3; two ways to cut, two letters; worked by hand below."""
    g = fg.FactorGraph()
    line = g.lattice("line", arcs=([0, 1, 0, 2], [1, 2, 2, 3]), states=2)
    g.add(fg.Table(np.array([[1.0, 2.0], [0.0, 3.0], [2.5, 0.5], [1.0, 0.0]])), line)
    return g


def test_the_best_reading_of_a_lattice() -> None:
    """Paths 0·1·3 and 2·3: 1 + 0 + 0 = 1 spells [0, 0, 1]; 0.5 + 0 = 0.5 spells [1, 1]."""
    solution = fg.solve(segmentation())
    assert list(solution.paths["line"]) == [2, 3] and list(solution.strings["line"]) == [1, 1]
    assert solution.energy == 0.5 and status(solution) == "OPTIMAL"
    longer = fg.solve(segmentation(), evidence={"line": [0, 0, 1]})
    assert list(longer.paths["line"]) == [0, 1, 3] and longer.energy == 1.0
    impossible = fg.solve(segmentation(), evidence={"line": [0]})
    assert status(impossible) == "INFEASIBLE" and impossible.energy == np.inf
    best = fg.k_best(segmentation(), 3)
    assert [list(map(int, s.strings["line"])) for s in best] == [[1, 1], [0, 0, 1], [1, 0]]


def test_the_log_partition_of_a_lattice_counts_its_readings() -> None:
    """With no energies log Z is the log of the number of readings: 2³ over three arcs, 2² over two."""
    g = fg.FactorGraph()
    g.lattice("line", arcs=([0, 1, 0, 2], [1, 2, 2, 3]), states=2)
    assert fg.marginals(g).log_partition == pytest.approx(np.log(12), abs=1e-12)
    posterior = fg.marginals(g).variables["line"]
    np.testing.assert_allclose(posterior, np.repeat([[1 / 3], [1 / 3], [1 / 6], [1 / 2]], 2, axis=1), rtol=1e-12)
