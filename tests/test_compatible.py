"""Four choices, each swapped in one line, and what does not go together is refused before training starts; collapse."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from test_losses import FAMILIES

import factorgraph as fg
from factorgraph.kernels.structure import LOOPY
from factorgraph.losses import LVQ2, MEE, NLL, Energy, Hinge, Margin, Perceptron, Ramp, SlackMargin, SquareSquare, check

pytestmark = pytest.mark.filterwarnings("error")
FEATURES = 4


def chain(g: Any, x: np.ndarray) -> None:
    y = g.variables("y", shape=(len(x),), states=2)
    g.add(fg.Linear(x, "emit"), y)
    g.add(fg.Linear(None, "step"), y[:-1], y[1:])


def network(g: Any, x: np.ndarray) -> None:
    y = g.variables("y", shape=(len(x),), states=2)
    g.add(fg.MLP(x, "net", hidden=3), y)


def latent(g: Any, x: np.ndarray) -> None:
    y, z = g.variables("y", shape=(len(x),), states=2), g.variables("z", shape=(len(x),), states=2, latent=True)
    g.add(fg.Linear(x, "emit"), y, z)


def grid(g: Any, x: np.ndarray, size: int = 2) -> None:
    y = g.variables("y", shape=(size, size), states=2)
    features = np.resize(x, (size, size, FEATURES))
    g.add(fg.Linear(features, "emit"), y)
    g.add(fg.Potts(0.2), y[:-1], y[1:])
    g.add(fg.Potts(0.2), y[:, :-1], y[:, 1:])


def large(g: Any, x: np.ndarray) -> None:
    grid(g, x, 5)


class Unproven(fg.Auto):
    """Offers everything, and is exact on forests and lattices only."""

    def exact_on(self, plan: Any, component: int) -> bool:
        return bool(plan.kinds[component] < LOOPY)


def data(build: Any, count: int = 6) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(3, FEATURES)) for _ in range(count)]
    if build in (grid, large):
        size = 2 if build is grid else 5
        return X, [np.resize((x[:, 0] > 0).astype(int), (size, size)) for x in X]
    return X, [(x[:, 0] > 0).astype(int) for x in X]


@pytest.mark.parametrize("build", [chain, network, latent, grid])
def test_loss_times_inference_times_architecture_times_optimiser(build: Any) -> None:
    """Every combination trains, or is refused for a reason: what a solver does not offer, cycles, energies < 0."""
    X, Y = data(build)
    solvers = [fg.Auto(), fg.DynamicProgramming(), fg.BruteForce(), fg.MinSum()]
    rules = itertools.cycle([fg.optim.SGD(0.1, average=True), fg.optim.Adam(0.05), fg.optim.SGD(0.1, l2=0.1)])
    ran = set()
    for (family, solver), rule in zip(itertools.product(FAMILIES, solvers), rules):
        loss = family()
        try:
            run = fg.train(fg.Model(build), X, Y, loss, rule, epochs=1, batch=3, solver=solver, approximate=True)
        except fg.FactorGraphError as error:
            said = str(error)
            reasons = ("does not offer that", "has cycles", "energies ≥ 0", "computes minima only")
            assert any(reason in said for reason in reasons), said
            continue
        ran.add((family, type(solver)))
        assert np.isfinite(run.history["loss"]).all()
        assert 0 <= run.history["exact"][0] <= 1
    assert {family for family, _ in ran} >= set(FAMILIES) - {LVQ2}
    if build is not grid:
        assert {(family, fg.DynamicProgramming) for family in FAMILIES if family is not LVQ2} <= ran
    assert {(family, fg.MinSum) for family in (Energy, Perceptron, Margin, Ramp)} <= ran
    assert not {(Hinge, fg.MinSum), (NLL, fg.MinSum)} & ran


@pytest.mark.parametrize(
    "loss, build, solver, words",
    [
        (NLL(), chain, fg.MinSum(), "NLL: asks for sums over all answers; MinSum does not offer that"),
        (Hinge(), chain, fg.MinSum(), "Hinge: asks for the best incorrect answer, which .* MinSum does not offer that"),
        (
            MEE(),
            large,
            Unproven(),
            r"MEE: asks for sums over all answers; 6 components \(the first is 0\) have cycles that Unproven does",
        ),
        (
            Hinge(),
            large,
            Unproven(),
            "Hinge: asks for the best incorrect answer, .* have cycles that Unproven does not solve exactly",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_before_training(loss: Any, build: Any, solver: Any, words: str) -> None:
    X, Y = data(build)
    with pytest.raises(fg.FactorGraphError, match=words):
        fg.train(fg.Model(build), X, Y, loss, epochs=0, solver=solver)


def joined(g: Any, x: np.ndarray) -> None:
    """A latent that joins 13 answers."""
    y, z = g.variables("y", shape=(13,), states=2), g.variables("z", states=2, latent=True)
    g.add(fg.Linear(None, "w"), y, z)


def line(g: Any, x: np.ndarray) -> None:
    g.add(fg.Linear(None, "w"), g.lattice("y", arcs=([0, 0, 1], [1, 2, 2]), states=2))


@pytest.mark.parametrize("loss", [Perceptron(latent="sum"), Hinge(latent="sum"), NLL(latent="min")], ids=repr)
def test_latents_by_the_other_operation_where_that_is_intractable(loss: Any) -> None:
    name = type(loss).__name__
    words = rf"{name}\(latent='{loss.latent}'\): eliminating the latents around 'z' joins 13 unobserved answers of 'y'"
    with pytest.raises(fg.FactorGraphError, match=words):
        fg.train(fg.Model(joined), [0], [np.zeros(13, int)], loss, epochs=0)
    with pytest.raises(
        fg.FactorGraphError, match=rf"{name}\(latent='{loss.latent}'\): eliminating the paths .* NP-hard"
    ):
        fg.train(fg.Model(line), [0], [[0, 1]], loss, epochs=0)
    with pytest.raises(fg.FactorGraphError, match=rf"{name}\(latent='{loss.latent}'\): some answers are unknown"):
        fg.train(fg.Model(chain), [np.zeros((2, FEATURES))], [[0, -1]], loss, epochs=0)


def test_minima_without_a_proof_come_with_a_warning_once() -> None:
    X, Y = data(large)
    train = lambda **more: fg.train(fg.Model(large), X, Y, epochs=2, batch=3, solver=fg.MinSum(), **more)  # noqa: E731
    words = r"Margin: 6 components \(the first is 0\) have cycles that MinSum does not solve with a proof"
    with pytest.warns(UserWarning, match=words) as caught:
        run = train()
    assert len(caught) == 1 and (run.history["exact"] == 0).all()
    assert (train(approximate=True).history["exact"] == 0).all()  # and no warning
    with pytest.raises(fg.FactorGraphError, match=rf"{words}.* as approximate=False demands"):
        train(approximate=False)
    assert (train(loss=Energy(), approximate=False).history["exact"] == 1).all()  # its answers are all given


def test_the_share_of_exact_answers_counts_components() -> None:
    def build(g: Any, x: int) -> None:
        (large if x else chain)(g, np.ones((3, FEATURES)))

    Y = [np.zeros((5, 5), int) if x else np.zeros(3, int) for x in (0, 1, 0, 0)]
    run = fg.train(fg.Model(build), [0, 1, 0, 0], Y, epochs=1, batch=4, solver=fg.MinSum(), approximate=True)
    assert run.history["exact"].tolist() == [0.75]
    run = fg.train(fg.Model(build), [0, 1, 0, 0], Y, SlackMargin(), epochs=1, batch=4, approximate=True)
    assert run.history["exact"].tolist() == [0.75]


def test_a_bound_that_closes_is_a_proof() -> None:
    """A solver that proves by its bound is as good as one that is exact by method."""

    class Proving(fg.MinSum):
        def minimise(self, asked: Any, answer: Any) -> None:
            fg.BruteForce().minimise(asked, answer)
            answer.status[asked.components] = fg.Status.BOUNDED
            answer.bound[asked.components] = -1e9 if self.damping else -0.0

    g = fg.FactorGraph()
    y = g.variables("y", shape=(3,), states=2)
    g.add(fg.Table(np.eye(2)), y, y[[1, 2, 0]])
    for damping, expected in ((0.0, False), (0.5, False)):
        proven = np.ones(1, bool)
        Perceptron()(g.compile(), g.energies(), {"y": [0, 0, 1]}, solver=Proving(damping=damping), proven=proven)
        assert proven[0] == expected
    g = fg.FactorGraph()
    y = g.variables("y", shape=(3,), states=2)
    g.add(fg.Table(1 - np.eye(2)), y, y[[1, 2, 0]])  # its minimum is the bound, 0
    for damping, expected in ((0.0, True), (0.5, False)):
        proven = np.ones(1, bool)
        Perceptron()(g.compile(), g.energies(), {"y": [0, 0, 1]}, solver=Proving(damping=damping), proven=proven)
        assert proven[0] == expected


# Collapse


def test_training_warns_when_the_surface_flattens() -> None:
    X, _ = data(chain, 20)

    with pytest.warns(
        UserWarning, match="energy surface is flat after epoch .*Perceptron is at its best where all ene"
    ):
        run = fg.train(
            fg.Model(chain), X, [np.zeros(3, int)] * 20, Perceptron(), fg.optim.SGD(0.01, l2=90.0), 3, batch=20,
            initial={"emit": np.zeros((FEATURES, 2)), "step": np.array([[[0.0, 9.0], [9.0, 9.0]]])},
        )  # fmt: skip
    assert run.history["contrast"][-1] < 0.01 * 9
    with pytest.warns(UserWarning, match="Margin does not reward that: lower the optimizer's rate or its l2"):
        fg.train(
            fg.Model(chain), X, [np.zeros(3, int)] * 20, Margin(scale=1e-4), fg.optim.SGD(0.01, l2=90.0), 3, batch=20,
            initial={"emit": np.zeros((FEATURES, 2)), "step": np.array([[[0.0, 9.0], [9.0, 9.0]]])},
        )  # fmt: skip


def test_a_surface_that_is_learned_does_not_warn() -> None:
    X, Y = data(chain, 20)
    run = fg.train(fg.Model(chain), X, Y, NLL(), fg.optim.Adam(0.05), epochs=10, batch=5)
    assert (run.history["contrast"] > 0).all() and (run.history["exact"] == 1).all()
    run = fg.train(fg.Model(line), [0], [[0, 1]], NLL(), epochs=2)
    assert np.isnan(run.history["contrast"]).all()  # strings have no pairs of answers beside one path


def test_a_report_on_collapse_in_words() -> None:
    X, Y = data(chain, 20)
    model = fg.Model(chain)
    report = fg.collapse_report(model, Perceptron(), X, Y)
    assert report.flat == 0 and report.value == 0 and report.may_collapse and report.collapsed and report.margin == 0
    assert "Perceptron: 0 on a flat surface (no surface has less), 0 as the surface stands." in str(report)
    assert "All parameters 0 make this architecture flat: with this loss it may collapse." in str(report)
    run = fg.train(model, X, Y, Margin(), fg.optim.SGD(0.2), epochs=30, batch=5)
    report = fg.collapse_report(model, Margin(), X, Y, run.parameters)
    assert report.flat == 3.0 and report.value < 1 and not report.may_collapse and not report.collapsed
    assert report.correct.shape == report.incorrect.shape == (20,) and report.margin == 1.0
    right = np.count_nonzero(report.correct < report.incorrect)
    assert right >= 15 and f"Of 20 correct answers {right} lie below every other one" in str(report)
    squares = fg.collapse_report(model, SquareSquare(margin=2.0), X, Y)
    assert squares.flat == pytest.approx(2.0, abs=1e-6) and squares.value == pytest.approx(4.0)


def test_an_architecture_that_cannot_be_flat() -> None:
    def build(g: Any, x: np.ndarray) -> None:
        y = g.variables("y", states=3)
        g.add(fg.Table(np.array([0.0, 1.0, 4.0])), y)
        g.add(fg.Linear(x, "w"), y)

    report = fg.collapse_report(fg.Model(build), Energy(), [np.ones((1, 2))] * 4, [0, 1, 2, 0])
    assert not report.can_be_flat and not report.may_collapse and report.contrast > 0.5
    assert "do not make this architecture flat." in str(report)
    with pytest.raises(fg.FactorGraphError, match="collapse_report: expected a Model and a loss"):
        fg.collapse_report(build, Energy(), [], [])  # type: ignore[arg-type]


def test_the_check_says_where_answers_are_exact() -> None:
    X, Y = data(grid)
    declared = fg.Model(grid).declare(X)
    every, known = np.arange(6), declared.read_answers(Y)
    assert check(Margin(), declared.compile(), known, fg.Auto(), every).all()
    assert not check(Margin(), declared.compile(), known, fg.MinSum(), every[:2], True)[:2].any()
