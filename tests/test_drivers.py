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
from factorgraph.losses import MEE, NLL, Margin, Perceptron, SoftmaxMargin

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
@pytest.mark.parametrize("loss", [NLL(), SoftmaxMargin()], ids=lambda loss: type(loss).__name__)
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
    with pytest.raises(FactorGraphError, match=f"LBFGS: expected a loss.*got {type(loss).__name__}, which"):
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


# BCFW


def cutting_plane(X: Any, Y: Any, loss: Any, l2: float, build: Any = chain) -> float:
    """The least P, by a bundle of all cuts (one slack): max over mixtures of cuts of the dual, found by SLSQP."""
    function, size = objective(build, X, Y, loss, 0.0)
    slopes, values, upper, lower, weights = np.zeros((0, size)), np.zeros(0), np.inf, -np.inf, np.zeros(size)
    while not values.size or upper - lower > 1e-6 * upper:
        value, slope = function(weights)
        upper = min(upper, value + l2 / 2 * weights @ weights)
        slopes, values = np.vstack([slopes, slope]), np.append(values, value - slope @ weights)
        gram, n = slopes @ slopes.T / l2, values.size
        dual = minimize(
            lambda a, gram=gram, values=values: 0.5 * a @ gram @ a - values @ a,
            np.full(n, 1 / n),
            jac=lambda a, gram=gram, values=values: gram @ a - values,
            bounds=[(0, None)] * n,
            constraints={"type": "eq", "fun": lambda a: a.sum() - 1, "jac": np.ones_like},
            options={"ftol": 1e-14, "maxiter": 1000},
        )
        alpha = np.maximum(dual.x, 0) / np.maximum(dual.x, 0).sum()
        lower, weights = float(values @ alpha - 0.5 * alpha @ gram @ alpha), -slopes.T @ alpha / l2
    return upper


@pytest.mark.parametrize("loss", [Margin(), fg.losses.Hinge()], ids=lambda x: type(x).__name__)
def test_bcfw_meets_a_cutting_plane_at_the_optimum_with_a_certified_gap(loss: Any) -> None:
    X, Y = data(6)
    least = cutting_plane(X, Y, loss, 1.0)
    run = fg.train(fg.Model(chain), X, Y, loss, fg.optim.BCFW(l2=1.0, gap=5e-3))
    history, found = run.history, objective(chain, X, Y, loss, 1.0)[0](flat(run.parameters))[0]
    assert history["objective"][-1] == pytest.approx(found, rel=1e-9)
    assert least * (1 - 2e-6) <= found <= least * (1 + 5e-3)
    assert (history["gap"] >= history["objective"] - least - 2e-6 * least).all()  # certified at every pass
    dual = history["objective"] - history["gap"]
    assert (np.diff(dual) >= -1e-12).all() and dual[-1] <= least * (1 + 1e-9)
    assert history["gap"][-1] <= 5e-3 * found < history["gap"][-2]  # and it stops there


@pytest.mark.parametrize("build", [chain, sparse_chain])
@pytest.mark.parametrize("average", [False, True])
def test_bcfw_is_the_algorithm_of_the_paper(build: Any, average: bool) -> None:
    """Dense vectors, every example's w_i, and averages written out."""
    X, Y = data(6)
    l2, n = 0.1, 6
    functions, size = [objective(build, [x], [y], Margin(), 0.0)[0] for x, y in zip(X, Y)], FEATURES * 3 + 9
    w, mean, parts, shares, k = np.zeros(size), np.zeros(size), np.zeros((n, size)), np.zeros(n), 0
    for epoch in (1, 2):
        for i in np.random.default_rng([0, epoch]).permutation(n):
            value, slope = functions[i](w)
            target, share = -slope / (l2 * n), (value - slope @ w) / n
            way = parts[i] - target
            step = np.clip((l2 * way @ w - shares[i] + share) / (l2 * way @ way), 0, 1) if way.any() else 0.0
            parts[i] = parts[i] - step * way
            shares[i] += step * (share - shares[i])
            w, k = parts.sum(0), k + 1
            mean = (k - 1) / (k + 1) * mean + 2 / (k + 1) * w
    run = fg.train(fg.Model(build), X, Y, Margin(), fg.optim.BCFW(l2=l2, gap=0, average=average), epochs=2)
    np.testing.assert_allclose(flat(run.parameters), mean if average else w, rtol=1e-9, atol=1e-12)


def test_bcfw_needs_fewer_passes_than_subgradients_at_their_best_step() -> None:
    """To one part in a hundred; the minimum is as long a run finds it, within the gap that it certifies."""
    X, Y = data(30)
    l2 = 1 / 30
    function = objective(chain, X, Y, Margin(), l2)[0]
    run = fg.train(fg.Model(chain), X, Y, Margin(), fg.optim.BCFW(l2=l2, gap=4e-3))
    least = run.history["objective"][-1]
    passes = 1 + int(np.argmax(run.history["objective"] <= least * 1.01))
    assert passes < 30 and run.history["gap"][-1] <= 4e-3 * least
    for rule in [
        fg.optim.Pegasos(l2, average=True),
        *(fg.optim.SGD(r, l2=l2, average=True) for r in (0.01, 0.03, 0.1)),
    ]:
        run = fg.train(fg.Model(chain), X, Y, Margin(), rule, epochs=passes, batch=1)
        assert function(flat(run.parameters))[0] > least * 1.01


def mlp(g: Any, x: np.ndarray) -> None:
    g.add(fg.MLP(x, "net", hidden=4), g.variables("y", shape=(len(x),), states=STATES))


@pytest.mark.parametrize(
    "case, words",
    [
        ({"loss": NLL()}, "BCFW: expected a loss that is a maximum over answers.*got NLL"),
        ({"loss": fg.losses.Ramp()}, "BCFW: .*got Ramp"),
        ({"build": mlp}, "BCFW: expected .*linear in parameters.*got Margin"),
        ({"Y": [[0, -1]]}, "BCFW: expected .*nothing latent"),
        ({"initial": {"emit": np.ones((FEATURES, 3))}}, "BCFW: expected parameters that are 0 at the start"),
    ],
)
def test_what_bcfw_cannot_train_is_refused(case: dict[str, Any], words: str) -> None:
    X, Y = ([np.eye(FEATURES)[:2]], [[0, 1]])
    given = {
        "loss": Margin(),
        "optimizer": fg.optim.BCFW(),
        **{k: v for k, v in case.items() if k not in ("build", "Y")},
    }
    with pytest.raises(FactorGraphError, match=words):
        fg.train(fg.Model(case.get("build", chain)), X, case.get("Y", Y), **given)


# CCCP


def hidden(g: Any, x: np.ndarray) -> None:
    """A label of three, and a latent of two on every pixel that says how it looks."""
    y = g.variables("y", shape=(len(x),), states=STATES)
    z = g.variables("z", shape=(len(x),), states=2, latent=True)
    g.add(fg.Linear(x, "emit"), y, z)
    g.add(fg.Linear(None, "trans", dtype=x.dtype), y[:-1], y[1:])


@pytest.mark.parametrize("loss", [Margin(), fg.losses.LatentHinge(), fg.losses.Ramp()], ids=lambda x: type(x).__name__)
def test_no_round_of_cccp_makes_the_objective_worse(loss: Any) -> None:
    """P(w') ≤ bound(w') ≤ bound(w) + gap = P(w) + gap, where a round took the bound at w and ended at w'."""
    X, Y = data(10, seed=3)
    optimizer = fg.optim.CCCP(fg.optim.BCFW(l2=0.2, gap=0, average=False), every=20)
    function = objective(hidden, X, Y, loss, 0.2)[0]
    run, found = None, [np.inf]
    for _ in range(4):
        run = fg.train(fg.Model(hidden), X, Y, loss, optimizer, epochs=20, initial=run or start())
        last = run.history[-1]
        assert last["objective"] - 1e-9 <= found[-1] + last["gap"]
        found.append(function(flat(run.parameters))[0])
        assert found[-1] <= last["objective"] + 1e-9
    assert found[-1] < found[1] - 1e-3


def start() -> dict[str, np.ndarray]:
    """Latents differ from the first: the symmetric start is a saddle."""
    return {"emit": np.random.default_rng(0).normal(size=(FEATURES, STATES, 2))}


def test_cccp_by_subgradients_learns_latents() -> None:
    X, Y = data(20, seed=3)
    optimizer = fg.optim.CCCP(fg.optim.SGD(0.1, l2=1e-3), every=4)
    run = fg.train(fg.Model(hidden), X, Y, Margin(), optimizer, epochs=24, batch=4, initial=start())
    assert run.history["loss"][-1] < 0.5 * run.history["loss"][0]


@pytest.mark.parametrize(
    "case, words",
    [
        ({"loss": NLL()}, "CCCP: expected a loss whose correct side is a minimum.*got NLL"),
        ({"loss": Margin(latent="sum")}, "CCCP: expected a loss whose correct side is a minimum"),
        ({"build": mlp}, "CCCP: expected energies linear in the parameters"),
    ],
)
def test_what_cccp_cannot_train_is_refused(case: dict[str, Any], words: str) -> None:
    X, Y = [np.eye(FEATURES)[:2]], [[0, 1]]
    with pytest.raises(FactorGraphError, match=words):
        fg.train(fg.Model(case.get("build", chain)), X, Y, case.get("loss", Margin()), fg.optim.CCCP())


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: fg.optim.LBFGS(l2=-1), "LBFGS: expected l2 to be a finite number at least 0; got -1"),
        (lambda: fg.optim.LBFGS(memory=0), "LBFGS: expected memory to be an int, at least 1; got 0"),
        (lambda: fg.optim.BCFW(l2=0), "BCFW: expected l2 to be a finite number above 0; got 0"),
        (lambda: fg.optim.BCFW(iterations=1.5), "BCFW: expected iterations to be an int"),
        (lambda: fg.optim.CCCP(every=0), "CCCP: expected every to be an int"),
        (lambda: fg.optim.CCCP(fg.optim.LBFGS()), "CCCP: expected inner to be an update rule or BCFW; got LBFGS"),
        (lambda: fg.optim.Stop(patience=0), "Stop: expected patience to be an int, at least 1; got 0"),
        (lambda: fg.optim.Stop(score=1), "Stop: expected score to be a function; got 1"),
        (lambda: fg.optim.Stop(validation=([],)), r"Stop: expected validation to be \(X, Y\); got tuple"),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, words: str) -> None:
    with pytest.raises(FactorGraphError, match=words):
        make()


# Going on


RUNS: list[Any] = [
    (chain, NLL(), fg.optim.LBFGS(l2=0.01, memory=3)),
    (sparse_chain, NLL(), fg.optim.LBFGS(l2=0.01, l1=0.01)),
    (chain, Margin(), fg.optim.BCFW(l2=0.01)),
    (sparse_chain, Margin(), fg.optim.BCFW(l2=0.01, average=False)),
    (sparse_chain, Margin(), fg.optim.AdaGrad(0.1, l1=1e-3, l2=1e-3, average=True)),
    (sparse_chain, Margin(), fg.optim.SGD(0.1, l1=1e-3, average=True)),
    (sparse_chain, Margin(), fg.optim.Pegasos(0.05)),
    (sparse_chain, Margin(), fg.optim.PassiveAggressive(0.1, average=True)),
    (hidden, fg.losses.LatentHinge(), fg.optim.CCCP(fg.optim.SGD(0.1, average=True), every=2)),
    (hidden, Margin(), fg.optim.CCCP(fg.optim.BCFW(0.05), every=2)),
]


def same(run: Any, other: Any) -> None:
    assert flat(run.parameters).tobytes() == flat(other.parameters).tobytes()
    for name in run.history.dtype.names:
        if name != "seconds":
            np.testing.assert_array_equal(run.history[name], other.history[name])


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("which", range(len(RUNS)))
def test_a_run_that_ends_after_every_epoch_goes_on_bit_by_bit(which: int, batch: int, tmp_path: Path) -> None:
    """From its checkpoint, and from the run itself."""
    build, loss, optimizer = RUNS[which]
    arguments = (fg.Model(build), *data(8), loss, optimizer)
    straight = fg.train(*arguments, epochs=6, batch=batch, checkpoint=tmp_path / "straight.npz")
    for epochs in range(1, 7):
        run = fg.train(*arguments, epochs=epochs, batch=batch, checkpoint=tmp_path / "run.npz")
    same(run, straight)
    again = None
    for _ in range(6):
        again = fg.train(*arguments, epochs=1, batch=batch, initial=again)
    same(again, straight)


def test_a_run_goes_on_with_other_examples_by_a_rule_only() -> None:
    model, rule = fg.Model(chain), fg.optim.SGD(0.1, average=True)
    run = fg.train(model, *data(6), Margin(), rule, epochs=2)
    more = fg.train(model, *data(9, seed=1), Margin(), rule, epochs=1, initial=run)
    assert more.history["epoch"].tolist() == [1, 2, 3] and more.state["step"] == 3
    with pytest.raises(FactorGraphError, match="initial: expected a run of the same optimizer, SGD.*got SGD"):
        fg.train(model, *data(6), Margin(), fg.optim.SGD(0.2), initial=run)
    driven = fg.train(model, *data(6), Margin(), fg.optim.BCFW(), epochs=1)
    with pytest.raises(FactorGraphError, match="initial: expected a run of the same structure.*initial=run.parameters"):
        fg.train(model, *data(9, seed=1), Margin(), fg.optim.BCFW(), epochs=1, initial=driven)


def test_early_stopping_answers_with_the_best_epoch(tmp_path: Path) -> None:
    X, Y = data(30)
    held = data(30, seed=0)[0][20:], data(30, seed=0)[1][20:]
    stop = fg.optim.Stop(validation=held, patience=3)
    arguments = (fg.Model(chain), X[:4], Y[:4], Margin(), fg.optim.SGD(0.5))
    run = fg.train(*arguments, epochs=60, stop=stop)
    scores = run.history["validation"]
    assert run.history.size < 60 and int(np.argmin(scores)) == run.history.size - 4
    function = objective(chain, *held, Margin(), 0.0)[0]
    assert function(flat(run.parameters))[0] == pytest.approx(scores.min(), rel=1e-9)
    for epochs in range(1, run.history.size + 3):
        resumed = fg.train(*arguments, epochs=epochs, stop=stop, checkpoint=tmp_path / "run.npz")
    same(resumed, run)


def test_a_score_of_ones_own_and_callbacks() -> None:
    seen: list[int] = []

    def watch(run: Any) -> bool:
        seen.append(run.history.size)
        return len(seen) == 3

    stop = fg.optim.Stop(validation=([], []), score=lambda parameters, X, Y: len(seen), callback=watch)
    run = fg.train(fg.Model(chain), *data(6), Margin(), epochs=9, stop=stop)
    assert seen == [1, 2, 3] and run.history["validation"].tolist() == [0, 1, 2]


def test_a_score_that_is_no_number_is_refused() -> None:
    X, Y = data(6)
    stop = fg.optim.Stop(validation=(X, Y), score=lambda parameters, X, Y: float("nan"))
    with pytest.raises(FactorGraphError, match="Stop: expected a number of score; got NaN after epoch 1"):
        fg.train(fg.Model(chain), X, Y, stop=stop)
