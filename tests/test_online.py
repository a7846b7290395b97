"""Fused online epochs are the step-by-step path, bit for bit, on every forest they apply to, and nowhere else."""

from __future__ import annotations

import importlib
import itertools
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import sparse

import factorgraph as fg
from factorgraph.kernels.schedule import RUN_STEP
from factorgraph.learn import checkpoint
from factorgraph.learn.online import Online, applies
from factorgraph.learn.step import Learner, Steps

training = importlib.import_module("factorgraph.learn.train")  # the package's `train` is the function

FEATURES = 12


@dataclass(frozen=True)
class Stepwise(fg.infer.Auto):
    """Solves as Auto does, but is no solver that the fused path knows."""


class Example(NamedTuple):
    """States of the variables, and factors: scope, features (None: tied)."""

    states: list[int]
    factors: list[tuple[tuple[int, ...], sparse.csr_matrix | None]]
    dtype: Any


def build(g: Any, x: Example) -> None:
    """All factors over scopes of equal states share a parameter: one for tied tables, one for others."""
    y = [g.variables(f"y{v}", states=k) for v, k in enumerate(x.states)]
    for scope, features in x.factors:
        name = f"{'tied' if features is None else 'own'}{[x.states[v] for v in scope]}"
        g.add(fg.Linear(features, name, dtype=x.dtype), *(y[v] for v in scope))


def row(rng: np.random.Generator, binary: bool) -> sparse.csr_matrix:
    values = rng.random(FEATURES) < 0.4
    return sparse.csr_matrix((values if binary else values * rng.normal(size=FEATURES))[None])


def example(rng: np.random.Generator, alphabet: list[int], dtype: Any, binary: bool, widest: int = 3) -> Example:
    """Some trees: scopes of up to three variables, some of them twice, with tables of their own or tied ones."""
    states: list[int] = []
    factors: list[tuple[tuple[int, ...], Any]] = []

    def add(*scope: int) -> None:
        factors.append((scope, None if rng.random() < 0.5 else row(rng, binary)))

    def variable() -> int:
        states.append(int(rng.choice(alphabet)))
        for _ in range(rng.integers(0, 3)):
            add(len(states) - 1)
        return len(states) - 1

    for _ in range(rng.integers(0, 4)):
        inside = [variable()]
        add(inside[0])
        for _ in range(rng.integers(0, 5)):
            scope = [int(rng.choice(inside)), *(variable() for _ in range(rng.integers(1, widest)))]
            inside += scope[1:]
            for _ in range(rng.choice([1, 1, 2])):
                add(*rng.permutation(scope).tolist())
    order = rng.permutation(len(factors))
    return Example(states, [factors[i] for i in order], dtype)


def chain(rng: np.random.Generator, states: int, dtype: Any, binary: bool) -> Example:
    """One run, as taggers have them."""
    n = int(rng.integers(1, 8))
    return Example(
        [states] * n,
        [((v,), row(rng, binary)) for v in range(n)] + [((v, v + 1), None) for v in range(n - 1)],
        dtype,
    )


def answers(rng: np.random.Generator, X: list[Example]) -> list[Any]:
    """Random ones; a single name is not given as a dict."""
    Y = []
    for x in X:
        labels = {f"y{v}": int(rng.integers(k)) for v, k in enumerate(x.states)}
        Y.append(labels["y0"] if len(labels) == 1 else labels)
    return Y


def data(seed: int, count: int = 12) -> tuple[list[Example], list[Any]]:
    rng = np.random.default_rng(seed)
    alphabet = [[2, 3, 5], [3, 18], [4]][seed % 3]
    dtype, binary = [np.float32, np.float64][rng.integers(2)], bool(rng.random() < 0.5)
    X = [
        chain(rng, alphabet[-1], dtype, binary) if rng.random() < 0.3 else example(rng, alphabet, dtype, binary)
        for _ in range(count)
    ]
    X.append(chain(rng, alphabet[0], dtype, binary))  # at least one that is not empty
    return X, answers(rng, X)


LOSSES = [fg.losses.Perceptron(), fg.losses.Margin(), fg.losses.Margin(scale=0.3), fg.losses.Margin(scale=0.0)]
RULES = [
    fg.optim.SGD(1.0, average=True),
    fg.optim.SGD(0.1),
    fg.optim.SGD(0.3, decay=0.05, average=True),
    fg.optim.SGD(0.7, schedule="linear", average=True),
    fg.optim.SGD(0.2, decay=0.01, schedule=lambda p: 1.0 / (1.0 + p)),
    fg.optim.SGD(0.5, l2=1e-4, average=True),
    fg.optim.Pegasos(0.05, average=True),
]


def both(X: Any, Y: Any, loss: Any, rule: Any, **arguments: Any) -> tuple[Any, Any]:
    """The same run on the fused path and step by step."""
    arguments = {"epochs": 3, "seed": 1, **arguments}
    solvers = (fg.infer.Auto(), Stepwise())
    one, other = (fg.train(fg.Model(build), X, Y, loss, rule, batch=1, solver=s, **arguments) for s in solvers)
    return one, other


def assert_same(one: Any, other: Any) -> None:
    assert one.parameters.keys() == other.parameters.keys()
    for name, array in other.parameters.items():
        assert one.parameters[name].dtype == array.dtype and one.parameters[name].flags.c_contiguous
        np.testing.assert_array_equal(one.parameters[name], array, err_msg=name)
    np.testing.assert_array_equal(one.history["epoch"], other.history["epoch"])
    np.testing.assert_allclose(one.history["loss"], other.history["loss"], rtol=1e-6, atol=1e-9)


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps every slice of the fused path made."""
    made: list[int] = []
    epoch = Online.epoch

    def counted(self: Online, *arguments: Any) -> Any:
        for steps, value in epoch(self, *arguments):
            made.append(steps)
            yield steps, value

    monkeypatch.setattr(Online, "epoch", counted)
    return made


# The same bits


@pytest.mark.parametrize("seed", range(40))
def test_fused_is_step_by_step(seed: int, fused: list[int]) -> None:
    X, Y = data(seed)
    one, other = both(X, Y, LOSSES[seed % len(LOSSES)], RULES[seed % len(RULES)])
    assert_same(one, other)
    assert sum(fused) == 3 * len(X)


@pytest.mark.jitoff
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fused_is_step_by_step_without_the_compiler(seed: int) -> None:
    X, Y = data(seed, count=4)
    assert_same(*both(X, Y, LOSSES[seed], RULES[3], epochs=2))


@pytest.mark.check
@pytest.mark.parametrize("seed", range(1000, 1400))
def test_fused_is_step_by_step_on_many(seed: int) -> None:
    X, Y = data(seed)
    assert_same(*both(X, Y, LOSSES[seed % len(LOSSES)], RULES[seed % len(RULES)]))


@pytest.mark.parametrize("squared", [False, True])
def test_fused_passive_aggressive_steps_are_those_of_the_rule(squared: bool, fused: list[int]) -> None:
    """To rounding: the norm of a gradient is summed in another order. All features are given, which leaves no ties."""
    rng = np.random.default_rng(5)
    X = [sparse.csr_matrix(rng.normal(size=(rng.integers(1, 7), 5))) for _ in range(30)]
    Y = [rng.integers(0, 3, x.shape[0]) for x in X]
    rule = fg.optim.PassiveAggressive(0.1, squared, average=True)
    runs = [
        fg.train(fg.Model(sentence), X, Y, fg.losses.Margin(), rule, batch=1, epochs=3, solver=solver)
        for solver in (fg.infer.Auto(), Stepwise())
    ]
    assert sum(fused) == 3 * len(X)
    for name, array in runs[1].parameters.items():
        assert np.abs(array).max() > 0.01
        np.testing.assert_allclose(runs[0].parameters[name], array, rtol=1e-9, atol=1e-12)


def many(g: Any, X: list[np.ndarray]) -> dict[str, Any]:
    """Chains whose tables are strewn over all examples: sorted by their place in the chain."""
    count, length = len(X), len(X[0])
    y = g.variables("y", shape=(count, length), states=4)
    rows = np.stack(X, 1).reshape(count * length, -1)
    g.add(fg.Linear(sparse.csr_matrix(rows), "emit"), y[np.arange(count)[None], np.arange(length)[:, None]])
    g.add(fg.Linear(None, "trans"), y[:, :-1], y[:, 1:])
    return {"y": np.arange(count + 1)}


@pytest.mark.parametrize("loss", LOSSES[:2], ids=lambda loss: type(loss).__name__)
def test_tables_that_are_not_sorted_by_component(loss: Any, fused: list[int]) -> None:
    rng = np.random.default_rng(3)
    X = [rng.normal(size=(5, 6)) * (rng.random((5, 6)) < 0.5) for _ in range(9)]
    Y = [rng.integers(0, 4, (1, 5)) for _ in X]
    model, rule = fg.Model(sentence, many), fg.optim.SGD(0.3, average=True)
    assert_same(*(fg.train(model, X, Y, loss, rule, 3, 1, solver=s) for s in (None, Stepwise())))
    assert sum(fused) == 27


def test_a_run_that_is_none_where_tied_tables_lie_apart() -> None:
    def with_tied_unary(g: Any, x: np.ndarray) -> None:
        y = g.variables("y", shape=(3,), states=4)
        g.add(fg.Linear(sparse.csr_matrix(x[:1]), "first"), y[:1])
        g.add(fg.Linear(None, "middle"), y[1:2])
        g.add(fg.Linear(sparse.csr_matrix(x[1:]), "last"), y[2:])
        g.add(fg.Linear(None, "trans"), y[:-1], y[1:])

    X, Y, rule = [np.eye(2)], [[1, 3, 2]], fg.optim.SGD(0.3)
    model = fg.Model(with_tied_unary)
    assert model.declare(X).compile().schedule.run[:, RUN_STEP].all()
    assert_same(*(fg.train(model, X, Y, LOSSES[1], rule, 4, 1, solver=s) for s in (None, Stepwise())))


def test_examples_without_variables_make_no_step(fused: list[int]) -> None:
    rng = np.random.default_rng(4)
    empty = Example([], [], np.float64)
    X = [empty, *(chain(rng, 3, np.float64, False) for _ in range(5)), empty, empty]
    one, other = both(X, answers(rng, X), fg.losses.Perceptron(), RULES[2])
    assert_same(one, other)
    assert sum(fused) == 24


def test_variables_and_models_without_factors() -> None:
    X = [Example([3, 2], [], np.float32), Example([2], [((0,), None)], np.float32), Example([2], [], np.float32)]
    Y = answers(np.random.default_rng(0), X)
    assert_same(*both(X, Y, LOSSES[1], RULES[0]))
    assert_same(*both(X[:1], Y[:1], LOSSES[1], RULES[0]))


def test_slices_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    X, Y = data(7, count=40)
    one, other = both(X, Y, LOSSES[1], RULES[2])
    monkeypatch.setattr("factorgraph.learn.online.FIRST_SLICE", 1)
    monkeypatch.setattr("factorgraph.learn.online.SLICE", 0.0)
    again, _ = both(X, Y, LOSSES[1], RULES[2])
    assert_same(one, other)
    assert_same(again, one)


def naive(X: Any, Y: Any, initial: Any, scale: float, rate: float, epochs: int) -> tuple[Any, list[float]]:
    """Averaged online learning by enumeration of all labellings, in the given order."""
    weights = {name: array.copy() for name, array in initial.items()}
    total = {name: np.zeros_like(array) for name, array in initial.items()}
    losses = []

    def count(x: Example, y: tuple[int, ...]) -> Any:
        found: Any = defaultdict(float)  # (parameter, index): how often, or the sum of the features
        for scope, features in x.factors:
            states, labels = [x.states[v] for v in scope], tuple(y[v] for v in scope)
            if features is None:
                found[f"tied{states}", (0, *labels)] += 1.0
            else:
                for f, value in zip(features.indices, features.data):
                    found[f"own{states}", (int(f), *labels)] += float(value)
        return found

    for _ in range(epochs):
        loss = 0.0
        for x, answer in zip(X, Y):
            correct = tuple(answer.values()) if isinstance(answer, dict) else (answer,)
            costs = {}
            for y in itertools.product(*map(range, x.states)):
                energy = sum(value * weights[name][index] for (name, index), value in count(x, y).items())
                costs[y] = energy - scale * sum(a != b for a, b in zip(y, correct))
            best = min(costs, key=lambda y: costs[y])
            loss += costs[correct] - costs[best]
            for y, sign in ((correct, -rate), (best, rate)):
                for (name, index), value in count(x, y).items():
                    weights[name][index] += sign * value
            for name, array in weights.items():
                total[name] += array
        losses.append(loss / len(X))
    return {name: array / (epochs * len(X)) for name, array in total.items()}, losses


@pytest.mark.jitoff
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_fused_is_the_algorithm_written_out(scale: float) -> None:
    rng = np.random.default_rng(11)
    X = [example(rng, [2, 3], np.float64, binary=False) for _ in range(40)]
    X = [x for x in X if x.states and np.prod(x.states) <= 300]
    assert len(X) > 3
    Y = answers(rng, X)
    loss = fg.losses.Margin(scale=scale) if scale else fg.losses.Perceptron()
    shapes = fg.Model(build).declare(X).graph.parameters()
    initial = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    rule = fg.optim.SGD(0.3, average=True)
    run = fg.train(fg.Model(build), X, Y, loss, rule, 3, 1, shuffle=False, initial=initial)
    expected, losses = naive(X, Y, initial, scale, 0.3, 3)
    np.testing.assert_allclose(run.history["loss"], losses, rtol=1e-9, atol=1e-12)
    for name, array in run.parameters.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-9, atol=1e-12)


# Checkpoints, interruptions, numbers that leave their range


@pytest.mark.parametrize("first, second", list(itertools.product([None, Stepwise()], repeat=2)))
def test_checkpoints_of_either_path_are_those_of_the_other(
    first: Any, second: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stepwise, "__repr__", lambda self: repr(fg.infer.Auto(self.threads)))
    X, Y = data(5)
    arguments = {"loss": LOSSES[1], "optimizer": RULES[2], "batch": 1, "checkpoint": tmp_path / "run.npz"}
    fg.train(fg.Model(build), X, Y, epochs=2, solver=first, **arguments)
    saved = checkpoint.load(tmp_path / "run.npz", "training")
    resumed = fg.train(fg.Model(build), X, Y, epochs=4, solver=second, **arguments)
    straight = fg.train(fg.Model(build), X, Y, LOSSES[1], RULES[2], epochs=4, batch=1, solver=Stepwise())
    assert_same(resumed, straight)
    fg.train(fg.Model(build), X, Y, epochs=2, solver=Stepwise(), **{**arguments, "resume": False})
    other = checkpoint.load(tmp_path / "run.npz", "training")
    assert saved.values["state"] == other.values["state"] and saved.arrays.keys() == other.arrays.keys()
    for name, array in other.arrays.items():
        np.testing.assert_array_equal(saved.arrays[name], array, err_msg=name)


def test_sums_beyond_float32_are_left_to_the_steps(fused: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A minimum that is +inf in float32 is asked for in float64: by a step of its own."""
    rng = np.random.default_rng(2)
    X = [chain(rng, 3, np.float32, True) for _ in range(20)]
    ones = sparse.csr_matrix(([1.0], ([0], [0])), (1, FEATURES))
    X[6] = Example([3, 3], [((0,), ones), ((1,), ones), ((0, 1), None)], np.float32)
    for i in set(range(20)) - {6}:
        X[i] = X[i]._replace(factors=[(scope, f if f is None else drop(f)) for scope, f in X[i].factors])
    Y = answers(rng, X)
    initial = {"own[3]": np.zeros((FEATURES, 3))}
    initial["own[3]"][0] = 3e38
    steps: list[Any] = []
    step = Steps.step
    monkeypatch.setattr(Steps, "step", lambda self, chosen: steps.append(chosen) or step(self, chosen))
    with np.errstate(over="ignore"):
        one, other = both(X, Y, LOSSES[0], RULES[0], initial=initial)
    assert_same(one, other)
    assert [int(chosen[0]) for chosen in steps[:3]] == [6] * 3 and len(steps) == 3 + 3 * len(X)
    assert sum(fused) == 3 * len(X)


def drop(features: sparse.csr_matrix) -> sparse.csr_matrix:
    """Without the first feature."""
    keep = np.ones(FEATURES)
    keep[0] = 0
    return sparse.csr_matrix(features.toarray() * keep)


def test_energies_that_are_refused_are_refused_alike() -> None:
    rng = np.random.default_rng(2)
    X = [chain(rng, 3, np.float32, False) for _ in range(12)]
    X = [x._replace(factors=[(s, f if f is None else f * 1e19) for s, f in x.factors]) for x in X]
    Y, words = answers(rng, X), set()
    for solver in (None, Stepwise()):
        with np.errstate(all="ignore"), pytest.raises(fg.FactorGraphError, match="= -inf") as caught:
            fg.train(fg.Model(build), X, Y, fg.losses.Perceptron(), fg.optim.SGD(2.0), 2, 1, solver=solver)
        words.add(str(caught.value))
    assert len(words) == 1


# Where it applies


def sentence(g: Any, x: Any) -> None:
    y = g.variables("y", shape=(x.shape[0],), states=3)
    g.add(fg.Linear(x, "emit"), y)
    g.add(fg.Linear(None, "trans"), y[:-1], y[1:])


def ring(g: Any, x: Any) -> None:
    y = g.variables("y", shape=(x.shape[0],), states=3)
    g.add(fg.Linear(x, "emit"), y)
    g.add(fg.Linear(None, "trans"), y, y[np.roll(np.arange(x.shape[0]), 1)])


def with_table(g: Any, x: Any) -> None:
    y = g.variables("y", shape=(x.shape[0],), states=3)
    g.add(fg.Linear(x, "emit"), y)
    g.add(fg.Table(np.eye(3)), y[:-1], y[1:])


def latent(g: Any, x: Any) -> None:
    y = g.variables("y", shape=(x.shape[0],), states=3)
    z = g.variables("z", shape=(x.shape[0],), states=2, latent=True)
    g.add(fg.Linear(x, "emit"), y)
    g.add(fg.Linear(None, "trans"), y, z)


CASES: list[tuple[bool, dict[str, Any]]] = [
    (True, {}),
    (True, {"loss": fg.losses.Margin(), "solver": fg.infer.DynamicProgramming()}),
    (True, {"rule": fg.optim.SGD(0.1, decay=0.1, schedule="linear")}),
    (False, {"batch": 2}),
    (True, {"rule": fg.optim.SGD(l2=0.1)}),
    (True, {"rule": fg.optim.PassiveAggressive()}),
    (False, {"rule": fg.optim.SGD(l1=0.1)}),
    (False, {"rule": fg.optim.Adam()}),
    (False, {"loss": fg.losses.NLL()}),
    (False, {"loss": fg.losses.Energy()}),
    (False, {"solver": fg.infer.BruteForce()}),
    (False, {"build": ring}),
    (False, {"build": with_table}),
    (False, {"build": latent}),
    (False, {"features": np.asarray}),
    (False, {"Y": [[0, -1, 1, 2], [0, 1, 2, 0]]}),
]


@pytest.mark.parametrize("applied, case", CASES, ids=range(len(CASES)))
def test_where_it_applies(applied: bool, case: dict[str, Any]) -> None:
    X = [case.get("features", sparse.csr_matrix)(np.eye(5)[rows]) for rows in ([0, 1, 2, 3], [4, 1, 0, 0])]
    declared = fg.Model(case.get("build", sentence)).declare(X)
    known = declared.read_answers(case.get("Y", [[0, 1, 1, 2], [0, 1, 2, 0]]))
    rule = case.get("rule", fg.optim.SGD(1.0, average=True))
    parameters = declared.graph.initial(np.random.default_rng(0))
    step = Learner(
        declared,
        known,
        case.get("loss", fg.losses.Perceptron()),
        rule,
        case.get("solver", fg.infer.Auto()),
        parameters,
        rule.init(parameters),
        declared.graph.energies(parameters),
        case.get("batch", 1),
    )
    assert applies(step) == applied
