"""What the examples show: planted truths are found, losses collapse or do not, a user's own solver is right."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import factorgraph as fg
from factorgraph import losses

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("loss", [losses.LatentHinge(), losses.Perceptron()], ids=lambda loss: type(loss).__name__)
def test_planted_places_are_found_exactly(loss: Any, seed: int) -> None:
    pose = example("latent_pose")
    images, kinds, _ = pose.pictures(np.random.default_rng(100 + seed), 150)
    templates = pose.learn(loss, images, kinds, epochs=10, seed=seed)
    test, truth, planted = pose.pictures(np.random.default_rng(200 + seed), 100)
    found, places = pose.read(test, templates)
    np.testing.assert_array_equal(found, truth)
    np.testing.assert_array_equal(places, planted)


@pytest.mark.parametrize("seed", range(5))
def test_planted_subclasses_are_found_up_to_their_names(seed: int) -> None:
    subclass = example("latent_subclass")
    x, people, _ = subclass.faces(np.random.default_rng(100 + seed), 200)
    test, truth, sides = subclass.faces(np.random.default_rng(200 + seed), 200)
    model, parameters = subclass.learn(subclass.switch, losses.NLL(), x, people, 15, seed)
    assert np.mean(model.predict(parameters, test) == truth) >= 0.98
    assert subclass.agreement(subclass.sides_of(model, parameters, test, truth), sides, truth) >= 0.98
    model, parameters = subclass.learn(subclass.plain, losses.NLL(), x, people, 5, seed)
    assert np.mean(model.predict(parameters, test) == truth) <= 0.75


def trees(i: int, j: int) -> list[frozenset[tuple[int, int]]]:
    """All binary trees over i … j as sets of spans of more than one word."""
    if j - i == 1:
        return [frozenset()]
    ways = [
        left | right | {(i, j)} for k in range(i + 1, j) for left, right in itertools.product(trees(i, k), trees(k, j))
    ]
    return ways


def test_the_best_tree_against_all_trees() -> None:
    parse, rng = example("parse_tree"), np.random.default_rng(0)
    for n in (3, 4, 5, 6):
        places = parse.spans(n)
        for _ in range(10):
            cost = rng.normal(size=len(places))
            value = {tree: sum(cost[places.index(s)] for s in tree if s != (0, n)) for tree in trees(0, n)}
            best = min(value, key=lambda tree: value[tree])
            assert {span for span, label in zip(places, parse.best_tree(cost)) if label} == best - {(0, n)}


def test_losses_by_a_solver_of_ones_own() -> None:
    """Perceptron and margin over trees are the differences of two best trees, the margin's by enumeration."""
    parse, rng = example("parse_tree"), np.random.default_rng(1)
    words = rng.integers(6, size=5)
    declared = fg.Model(parse.build).declare([words])
    weights = rng.normal(size=(28, 2))
    energies = declared.graph.energies({"w": weights})
    places, costs = parse.spans(5), parse.features(words) @ weights
    value = {}
    for tree in trees(0, 5):
        labels = np.array([span in tree for span in places], int)
        value[tuple(labels)] = costs[np.arange(len(places)), labels].sum()
    for correct in list(value)[::5]:
        answers = declared.read_answers([np.array(correct)])
        margin = value[correct] + max(np.sum(np.array(k) != correct) - e for k, e in value.items())
        for loss, expected in ((losses.Perceptron(), value[correct] - min(value.values())), (losses.Margin(), margin)):
            proven = np.ones(1, bool)
            found, _ = loss(declared.compile(), energies, answers, parse.CKY(), proven=proven)
            assert found == pytest.approx(expected, abs=1e-9) and proven[0]


def test_a_kernel_machine_answers_exclusive_or() -> None:
    bumps = example("xor_with_bumps")
    x, labels = bumps.points(np.random.default_rng(0), 60)
    test, truth = bumps.points(np.random.default_rng(1), 200)
    factor = np.linalg.cholesky(bumps.bumps(x, x) + 1e-8 * np.eye(len(x)))
    predict, _ = bumps.fit(factor, labels, 0.02, 100)
    assert np.mean(predict(np.linalg.solve(factor, bumps.bumps(test, x).T).T) == truth) >= 0.97
    predict, _ = bumps.fit(x, labels, 0.02, 30)
    assert np.mean(predict(test) == truth) <= 0.75


def test_radial_basis_functions_collapse_or_not() -> None:
    switch = example("rbf_switch")
    x, labels = switch.points(np.random.default_rng(0), 100)
    collapsed = {}
    for loss, rate in ((losses.Energy(), 0.1), (losses.SquareSquare(margin=2.0), 0.02)):
        weights, centres = switch.learn(loss, x, labels, 300, seed=0, rate=rate)
        energies = (switch.distances(x, weights, centres) ** 2).sum(-1)
        collapsed[type(loss)] = energies.max()
    assert collapsed[losses.Energy] < 0.05 < 2 < collapsed[losses.SquareSquare]


@pytest.mark.check
@pytest.mark.parametrize("seed", range(4))
def test_the_collapse_of_the_energy_loss(seed: int) -> None:
    collapse = example("ebm_collapse")
    _, error, ratio, _ = collapse.experiment(collapse.Encoders, losses.Energy(), 300, 0.05, seed)
    assert ratio < 0.01 and error > 0.3
    _, error, ratio, contrast = collapse.experiment(collapse.Regressor, losses.Energy(), 60, 0.02, seed)
    assert ratio > 0.3 and error < 0.05


@pytest.mark.check
@pytest.mark.parametrize("seed", range(4))
def test_losses_that_do_not_collapse(seed: int) -> None:
    collapse = example("ebm_collapse")
    for architecture, loss, epochs, rate in collapse.RUNS:
        if not loss.flat_is_optimal:
            _, error, _, contrast = collapse.experiment(architecture, loss, epochs, rate, seed)
            assert error < 0.05 and contrast > 1, loss
