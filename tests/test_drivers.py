"""Drivers reach the optimum that referees reach, say how near they are, and resume bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize

import factorgraph as fg
from factorgraph.errors import FactorGraphError
from factorgraph.losses import MEE, NLL, Margin, Perceptron, SoftmaxMargin, SparseMAP

STATES, FEATURES = 3, 6


def chain(g: Any, x: np.ndarray) -> None:
    y = g.variables("y", shape=(len(x),), states=STATES)
    g.add(fg.Linear(x, "emit"), y)
    g.add(fg.Linear(None, "trans", dtype=x.dtype), y[:-1], y[1:])


def sparse_chain(g: Any, x: np.ndarray) -> None:
    y = g.variables("y", shape=(len(x),), states=STATES)
    g.add(fg.Linear(sparse.csr_matrix(x), "emit"), y)
    g.add(fg.Linear(None, "trans", dtype=x.dtype), y[:-1], y[1:])


def data(count: int = 12, seed: int = 0, dtype: Any = np.float64) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Chains of binary features whose labels a linear model gets right only in part."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(FEATURES, STATES))
    X = [(rng.random((rng.integers(2, 7), FEATURES)) < 0.4).astype(dtype) for _ in range(count)]
    return X, [np.argmin(x @ weights + rng.normal(size=(len(x), STATES)), 1) for x in X]


def flat(parameters: Any) -> np.ndarray:
    return np.concatenate([parameters[name].ravel() for name in sorted(parameters)])


def objective(build: Any, X: Any, Y: Any, loss: Any, l2: float) -> Any:
    """P and its gradient as functions of the flat parameters, by one call of the loss."""
    declared = fg.Model(build).declare(X)
    answers, graph = declared.read_answers(Y), declared.graph
    shapes = graph.parameters()

    def function(weights: np.ndarray) -> tuple[float, np.ndarray]:
        parameters, at = {}, 0
        for name in sorted(shapes):
            size = int(np.prod(shapes[name]))
            parameters[name] = weights[at : at + size].reshape(shapes[name])
            at += size
        value, gradient = loss(declared.compile(), graph.energies(parameters), answers)
        found = graph.backward(gradient, parameters)
        dense = {name: g.dense() if isinstance(g, fg.optim.Rows) else g for name, g in found.items()}
        return value / len(X) + l2 / 2 * weights @ weights, flat(dense) / len(X) + l2 * weights

    return function, sum(int(np.prod(shape)) for shape in shapes.values())


# L-BFGS


@pytest.mark.parametrize("build", [chain, sparse_chain])
@pytest.mark.parametrize("loss", [NLL(), SoftmaxMargin(), SparseMAP()], ids=lambda loss: type(loss).__name__)
def test_lbfgs_meets_scipy_at_the_optimum(loss: Any, build: Any) -> None:
    X, Y = data()
    function, size = objective(build, X, Y, loss, 0.1)
    least = minimize(function, np.zeros(size), jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9})
    run = fg.train(fg.Model(build), X, Y, loss, fg.optim.LBFGS(l2=0.1, tolerance=1e-9))
    assert function(flat(run.parameters))[0] == pytest.approx(least.fun, rel=1e-8)
    np.testing.assert_allclose(flat(run.parameters), least.x, atol=1e-4)
    last = run.history[-1]
    assert last["objective"] == pytest.approx(function(flat(run.parameters))[0], rel=1e-12)
    assert last["gradient"] == pytest.approx(np.linalg.norm(function(flat(run.parameters))[1]), rel=1e-6)
    assert (np.diff(run.history["objective"]) <= 0).all() and run.history.size < 100
    assert (run.history["gap"] >= run.history["objective"] - least.fun - 1e-12).all()  # a certificate
    assert last["gap"] <= 1e-9 * last["objective"]


def test_lbfgs_with_l1_is_optimal_and_sparse() -> None:
    """At the optimum no subgradient is left: |∂F| ≤ l1 where a weight is 0, ∂F = −l1 sign(w) elsewhere."""
    X, Y = data()
    run = fg.train(fg.Model(chain), X, Y, NLL(), fg.optim.LBFGS(l2=0.01, l1=0.05, tolerance=1e-10, iterations=300))
    weights, slope = flat(run.parameters), objective(chain, X, Y, NLL(), 0.01)[0](flat(run.parameters))[1]
    zero = weights == 0
    assert 3 < zero.sum() < weights.size - 3
    assert (np.abs(slope[zero]) <= 0.05 + 1e-4).all()
    np.testing.assert_allclose(slope[~zero], -0.05 * np.sign(weights[~zero]), atol=1e-4)


def test_lbfgs_stops_where_single_precision_ends() -> None:
    X, Y = data(dtype=np.float32)
    run = fg.train(fg.Model(chain), X, Y, NLL(), fg.optim.LBFGS(l2=0.1, tolerance=0.0, iterations=500))
    double = fg.train(fg.Model(chain), *data(), NLL(), fg.optim.LBFGS(l2=0.1, tolerance=1e-10))
    assert run.history.size < 200
    assert run.history["objective"][-1] == pytest.approx(double.history["objective"][-1], rel=1e-6)


@pytest.mark.parametrize("loss", [Margin(), Perceptron(), fg.losses.Ramp(), fg.losses.Hinge()])
def test_lbfgs_refuses_losses_with_corners(loss: Any) -> None:
    with pytest.raises(
        FactorGraphError, match=f"LBFGS: expected a loss.*got {type(loss).__name__}, which"
    ):
        fg.train(fg.Model(chain), *data(), loss, fg.optim.LBFGS())


def test_no_certificate_without_convexity() -> None:
    X, Y = data()
    run = fg.train(fg.Model(chain), X, Y, MEE(), fg.optim.LBFGS(l2=0.1))
    assert np.isnan(run.history["gap"]).all() and run.history["gradient"][-1] <= 1e-5 * max(
        1.0, float(np.linalg.norm(flat(run.parameters)))
    )


def test_lbfgs_reaches_the_objective_of_a_peer() -> None:
    """CRFsuite minimises Σ NLL + c2 ‖w‖² over the same features."""
    peer = pytest.importorskip("pycrfsuite")
    X, Y = data(40)
    trainer = peer.Trainer("lbfgs", verbose=False)
    for x, y in zip(X, Y):
        trainer.append([{str(f): float(v) for f, v in enumerate(row)} for row in x], [str(k) for k in y])
    trainer.set_params({"c2": 0.5, "feature.possible_states": True, "feature.possible_transitions": True})
    trainer.set_params({"epsilon": 1e-9, "delta": 1e-12, "max_iterations": 1000})
    trainer.train("")
    theirs = trainer.logparser.last_iteration["loss"]
    run = fg.train(fg.Model(chain), X, Y, NLL(), fg.optim.LBFGS(l2=2 * 0.5 / len(X), tolerance=1e-9))
    assert run.history["objective"][-1] * len(X) == pytest.approx(theirs, rel=1e-4)
    assert run.history["objective"][-1] * len(X) <= theirs * (1 + 1e-6)


# Going on


RUNS: list[Any] = [
    (chain, NLL(), fg.optim.LBFGS(l2=0.01, memory=3)),
    (sparse_chain, NLL(), fg.optim.LBFGS(l2=0.01, l1=0.01)),
]


@pytest.mark.parametrize("which", range(len(RUNS)))
def test_a_run_that_ends_after_every_epoch_resumes_bit_by_bit(which: int, tmp_path: Path) -> None:
    build, loss, optimizer = RUNS[which]
    X, Y = data()
    straight = fg.train(fg.Model(build), X, Y, loss, optimizer, epochs=6, checkpoint=tmp_path / "straight.npz")
    for epochs in range(1, 7):
        run = fg.train(fg.Model(build), X, Y, loss, optimizer, epochs=epochs, checkpoint=tmp_path / "run.npz")
    assert flat(run.parameters).tobytes() == flat(straight.parameters).tobytes()
    names = [name for name in run.history.dtype.names if name != "seconds"]
    assert run.history[names].tobytes() == straight.history[names].tobytes()
