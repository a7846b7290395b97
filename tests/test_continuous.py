"""Minima and draws of energies of real numbers, against linear algebra."""

import numpy as np
import pytest

import factorgraph as fg


def gaussian(rng, n):
    """E = ½ (y − m)ᵀ A (y − m) of a well-conditioned A, its mean and covariance."""
    root = rng.normal(size=(n, n)) / n
    precision, mean = np.eye(n) + root @ root.T, rng.normal(size=n)

    def energy(y):
        pull = precision @ (y.ravel() - mean)
        return 0.5 * (y.ravel() - mean) @ pull, pull.reshape(y.shape)

    return energy, mean, np.linalg.inv(precision)


@pytest.mark.parametrize("shape", [(1,), (7,), (5, 8)])
def test_descent_reaches_the_linear_solution(shape):
    energy, mean, _ = gaussian(np.random.default_rng(0), int(np.prod(shape)))
    found = fg.continuous.descend(energy, np.zeros(shape), tolerance=1e-9)
    assert found.converged and found.answer.shape == shape
    np.testing.assert_allclose(found.answer.ravel(), mean, atol=1e-8)
    assert abs(found.energy) < 1e-15


@pytest.mark.parametrize("temperature, leaps", [(1.0, 15), (0.25, 15), (1.0, 1)])
def test_draws_have_the_moments_of_a_gaussian(temperature, leaps):
    energy, mean, covariance = gaussian(np.random.default_rng(1), 4)
    step = 0.3 * temperature**0.5 if leaps > 1 else 1.0
    count = 6_000 if leaps > 1 else 20_000
    walk = fg.continuous.hamiltonian(energy, np.zeros(4), count, step, leaps, burn=200, temperature=temperature)
    assert walk.accepted > 0.6
    for values, true in (walk.draws, mean), ((walk.draws - mean) ** 2, temperature * np.diag(covariance)):
        means = values.reshape(40, -1, 4).mean(1)  # of parts long enough to be independent
        error = means.std(0, ddof=1) / 40**0.5
        assert (np.abs(means.mean(0) - true) < 4 * error).all() and (error < 0.2).all()
    assert walk.energies[7] == pytest.approx(energy(walk.draws[7])[0])


def test_a_seed_is_a_walk_and_walls_are_not_crossed():
    def half(y):
        return (np.inf if y[0] < 0 else 0.5 * y[0] ** 2), y

    walks = [fg.continuous.hamiltonian(half, np.ones(1), 2000, 0.3, 5, seed=s) for s in (3, 3, 4)]
    assert np.array_equal(walks[0].draws, walks[1].draws) and not np.array_equal(walks[0].draws, walks[2].draws)
    assert (walks[0].draws >= 0).all() and abs(walks[0].draws.mean() - (2 / np.pi) ** 0.5) < 0.1


@pytest.mark.parametrize(
    "energy, text",
    [
        (lambda y: (np.nan, y), "expected a finite energy"),
        (lambda y: (-np.inf, y), "expected a finite energy"),
        (lambda y: (0.0, y * np.nan), "not finite"),
        (lambda y: (0.0, y[:1]), r"gradient of shape \(3,\); got \(1,\)"),
        (lambda y: (np.inf, y), "the start is forbidden"),
    ],
)
def test_what_is_no_energy_is_refused(energy, text):
    with pytest.raises(fg.FactorGraphError, match=text):
        fg.continuous.descend(energy, np.ones(3))
    with pytest.raises(fg.FactorGraphError, match=text):
        fg.continuous.hamiltonian(energy, np.ones(3), 2, 0.1)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"step": 0.0}, {"step": np.nan}, {"leaps": 0}, {"temperature": 0.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(fg.FactorGraphError, match="hamiltonian: expected count"):
        fg.continuous.hamiltonian(lambda y: (0.0, 0 * y), np.ones(2), **{"count": 3, "step": 0.1, **wrong})
