"""Update rules against their equations written out, over dense and row-sparse gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from factorgraph.errors import FactorGraphError
from factorgraph.optim import SGD, AdaGrad, Adam, PassiveAggressive, Pegasos, Rows, Rule
from factorgraph.optim.sgd import PENDING, PERIOD

SHAPES = {"emit": (12, 3), "trans": (3, 3), "bias": (), "line": (7,)}
SPARSE = ("emit", "line")


def start(rng: np.random.Generator, dtype: Any = np.float64) -> dict[str, np.ndarray]:
    return {name: np.array(rng.normal(size=shape), dtype) for name, shape in SHAPES.items()}


def gradients(rng: np.random.Generator, sparse: bool = True) -> dict[str, Any]:
    """Random gradients; sparse ones touch a few rows, sometimes none, and a name is sometimes left out."""
    out: dict[str, Any] = {}
    for name, shape in SHAPES.items():
        if name in SPARSE:
            rows = np.flatnonzero(rng.random(shape[0]) < 0.3)
            found = Rows(rows, rng.normal(size=(rows.size, *shape[1:])), shape)
            out[name] = found if sparse else found.dense()
        elif rng.random() < 0.8:
            out[name] = np.array(rng.normal(size=shape))
    return out


def dense(gradient: Any) -> np.ndarray:
    return gradient.dense() if isinstance(gradient, Rows) else gradient


def run(rule: Rule, steps: int, sparse: bool = True, dtype: Any = np.float64) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and state after some steps on random gradients."""
    rng = np.random.default_rng(0)
    parameters = start(rng, dtype)
    state = rule.init(parameters)
    for t in range(steps):
        state["progress"] = t / steps
        rule.update(parameters, gradients(rng, sparse), state)
    return parameters, state


def naive(rule: Any, steps: int, rate: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Last and average parameters of SGD as in the equation; rate(t) is that of step t = 0, 1, …"""
    rng = np.random.default_rng(0)
    weights = start(rng)
    mean = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    for t in range(steps):
        given = gradients(rng)
        for name in SHAPES:
            gradient = dense(given[name]) if name in given else 0.0
            weights[name] = weights[name] - rate(t) * (gradient + rule.l2 * weights[name])
            mean[name] = mean[name] + weights[name] / steps
    return weights, mean


def close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], rtol: float = 1e-10) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=rtol, atol=rtol)


RATES = [
    (SGD(0.1), lambda t: 0.1),
    (SGD(0.3, decay=0.05), lambda t: 0.3 / (1 + 0.05 * t)),
    (SGD(0.3, schedule="linear"), lambda t: 0.3 * (1 - t / 200)),
    (SGD(0.3, schedule=lambda p: 0.5 + p), lambda t: 0.3 * (0.5 + t / 200)),
    (SGD(0.1, l2=0.02), lambda t: 0.1),
    (SGD(0.1, l2=1e-4), lambda t: 0.1),
    (SGD(0.3, decay=0.05, l2=1e-3), lambda t: 0.3 / (1 + 0.05 * t)),
]


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("rule, rate", RATES, ids=range(len(RATES)))
def test_sgd_is_its_equation_and_the_lazy_average_the_naive_one(rule: SGD, rate: Any, sparse: bool) -> None:
    last, mean = naive(rule, 200, rate)
    parameters, state = run(rule, 200, sparse)
    close(rule.final(parameters, state), last)
    averaging = SGD(rule.rate, rule.decay, rule.l2, True, rule.schedule)
    parameters, state = run(averaging, 200, sparse)
    close(averaging.final(parameters, state), mean)


def test_the_pending_decay_is_never_more_than_a_thousandth() -> None:
    rule = SGD(0.1, l2=1e-3)
    rng = np.random.default_rng(0)
    parameters = start(rng)
    state = rule.init(parameters)
    for _ in range(500):
        rule.update(parameters, gradients(rng), state)
        assert PENDING <= state["scale"] <= 1
        for name, array in rule.final(parameters, state).items():
            np.testing.assert_allclose(array, parameters[name], rtol=2 * (1 - PENDING))
    rule.update(parameters, gradients(rng, sparse=False), state)
    assert state["scale"] == 1


@pytest.mark.parametrize("rule", [SGD(0.1), SGD(0.1, average=True), SGD(1e-3, l2=1e-6, average=True)])
def test_sparse_sgd_touches_only_the_rows(rule: SGD) -> None:
    """Every other entry is NaN: what an update reads becomes NaN, what it writes is no longer NaN."""
    rows = np.array([2, 5])
    parameters = {"w": np.full((9, 4), np.nan)}
    state = rule.init(parameters)
    if rule.average:
        state["offset:w"][:] = np.nan
    for array in (parameters["w"], state.get("offset:w", parameters["w"])):
        array[rows] = 1.0
    for _ in range(3):
        rule.update(parameters, {"w": Rows(rows, np.ones((2, 4)), (9, 4))}, state)
    other = np.setdiff1d(np.arange(9), rows)
    for array in (parameters["w"], state.get("offset:w", parameters["w"])):
        assert np.isfinite(array[rows]).all() and np.isnan(array[other]).all()


def test_integer_steps_of_the_perceptron_average_exactly() -> None:
    rng = np.random.default_rng(3)
    rule = SGD(1.0, average=True)
    parameters = {"w": np.zeros((6, 2))}
    state, total = rule.init(parameters), np.zeros((6, 2))
    for _ in range(64):
        rows = np.flatnonzero(rng.random(6) < 0.5)
        rule.update(parameters, {"w": Rows(rows, rng.integers(-2, 3, (rows.size, 2)) * 1.0, (6, 2))}, state)
        total += parameters["w"]
    np.testing.assert_array_equal(rule.final(parameters, state)["w"], total / 64)


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("rule", [Adam(0.05), Adam(0.05, 0.8, 0.9, 1e-3, l2=0.1, average=True, schedule="linear")])
def test_adam_is_the_algorithm_of_the_paper(rule: Adam, sparse: bool) -> None:
    rng = np.random.default_rng(0)
    weights, steps = start(rng), 100
    first, second, total = ({name: np.zeros(shape) for name, shape in SHAPES.items()} for _ in range(3))
    for t in range(1, steps + 1):
        given = gradients(rng)
        rate = rule.rate * (1 - (t - 1) / steps if rule.schedule == "linear" else 1)
        for name in SHAPES:
            g = (dense(given[name]) if name in given else 0.0) + rule.l2 * weights[name]
            first[name] = rule.beta1 * first[name] + (1 - rule.beta1) * g
            second[name] = rule.beta2 * second[name] + (1 - rule.beta2) * g**2
            m, v = first[name] / (1 - rule.beta1**t), second[name] / (1 - rule.beta2**t)
            weights[name] = weights[name] - rate * m / (np.sqrt(v) + rule.epsilon)
            total[name] = total[name] + weights[name]
    parameters, state = run(rule, steps, sparse)
    expected = {name: total[name] / steps for name in SHAPES} if rule.average else weights
    close(rule.final(parameters, state), expected)


@pytest.mark.parametrize("rule", [SGD(0.1, l2=0.01, average=True), SGD(0.1), Adam(l2=0.01, average=True), Adam()])
def test_single_precision_stays_single_and_final_gives_new_arrays(rule: Rule) -> None:
    parameters, state = run(rule, 20, dtype=np.float32)
    assert all(array.dtype == np.float32 for array in parameters.values())
    for name, array in rule.final(parameters, state).items():
        assert array.dtype == np.float32 and array.shape == SHAPES[name]
        assert not np.shares_memory(array, parameters[name])
    close(rule.final(parameters, state), {k: v.astype(np.float32) for k, v in _doubles(rule).items()}, rtol=1e-4)


def _doubles(rule: Rule) -> dict[str, np.ndarray]:
    return rule.final(*run(rule, 20))


@pytest.mark.parametrize("rule", [SGD(average=True), SGD(), Adam(average=True), Adam()])
def test_before_the_first_step_the_answer_is_the_start(rule: Rule) -> None:
    parameters = start(np.random.default_rng(0))
    close(rule.final(parameters, rule.init(parameters)), parameters, rtol=0)


def shrink(array: np.ndarray, by: Any) -> np.ndarray:
    return np.sign(array) * np.maximum(np.abs(array) - by, 0)


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("sparse", [True, False])
def test_l1_is_the_truncated_gradient(sparse: bool, average: bool) -> None:
    """Weights are shrunk at every step, of sparse gradients at every 128th and at the end."""
    steps, rate, l1, l2 = 2 * PERIOD + 10, 0.1, 0.02, 1e-3
    rule = SGD(rate, l1=l1, l2=l2, average=average)
    rng = np.random.default_rng(0)
    weights, due = start(rng), 0.0
    mean = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    for t in range(steps):
        given, due = gradients(rng), due + rate * l1
        now = not sparse or (t + 1) % PERIOD == 0
        for name in SHAPES:
            gradient = dense(given[name]) if name in given else 0.0
            weights[name] = shrink(weights[name] - rate * (gradient + l2 * weights[name]), due if now else 0.0)
            mean[name] = mean[name] + weights[name] / steps
        due = 0.0 if now else due
    parameters, state = run(rule, steps, sparse)
    last = {name: shrink(array, due) for name, array in weights.items()}
    close(rule.final(parameters, state), mean if average else last)
    if not average:
        assert any((array == 0).any() for array in last.values())


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize(
    "rule", [AdaGrad(0.3), AdaGrad(0.3, average=True), AdaGrad(0.3, l1=0.05, l2=0.1, average=True)]
)
def test_adagrad_is_the_algorithm_of_the_paper(rule: AdaGrad, sparse: bool) -> None:
    steps = PERIOD + 20
    rng = np.random.default_rng(0)
    weights, due = start(rng), 0.0
    squares, mean = ({name: np.zeros(shape) for name, shape in SHAPES.items()} for _ in range(2))
    for t in range(steps):
        given, due = gradients(rng), due + rule.rate
        now = not sparse or (t + 1) % PERIOD == 0
        for name in SHAPES:
            gradient = dense(given[name]) if name in given else np.zeros(SHAPES[name])
            squares[name] = squares[name] + gradient**2
            h = np.sqrt(squares[name]) + rule.epsilon
            weights[name] = weights[name] - rule.rate * gradient / h
            if now:
                pace = np.where(squares[name] > 0, due / h, 0.0)
                weights[name] = shrink(weights[name], pace * rule.l1) / (1 + pace * rule.l2)
            mean[name] = mean[name] + weights[name] / steps
        due = 0.0 if now else due
    parameters, state = run(rule, steps, sparse)
    close(parameters, weights)
    if rule.average:
        close(rule.final(parameters, state), mean)


@pytest.mark.parametrize("squared", [False, True])
def test_passive_aggressive_steps_are_those_of_the_paper(squared: bool) -> None:
    """Of the affine loss ℓ(u) = ℓ + ⟨g, u − w⟩, held at 0 from below: the step is argmin ½ ‖u − w‖² + C [ℓ(u)]+ (or
    its square), which no nearby u betters."""
    rng = np.random.default_rng(0)
    for loss in (0.0, 0.3, 5.0):
        rule, given = PassiveAggressive(0.2, squared, average=True), gradients(rng)
        before, parameters = start(np.random.default_rng(1)), start(np.random.default_rng(1))
        state = rule.init(parameters)
        rule.update(parameters, given, state, loss)

        def cost(at: dict[str, np.ndarray], given: Any = given, loss: float = loss, before: Any = before) -> float:
            change = {name: at[name] - before[name] for name in SHAPES}
            left = max(0.0, loss + sum(float((dense(g) * change[name]).sum()) for name, g in given.items()))
            return 0.5 * sum(float((d**2).sum()) for d in change.values()) + 0.2 * (left**2 if squared else left)

        least = cost(parameters)
        for _ in range(20):
            other = {name: array + 1e-3 * rng.normal(size=array.shape) for name, array in parameters.items()}
            assert cost(other) > least
        if loss == 0.0:
            close(parameters, before, 0.0)
        close(rule.final(parameters, state), parameters)  # the average of one step


def test_pegasos_is_its_rate() -> None:
    rule = Pegasos(0.02)
    np.testing.assert_allclose(rule.rates(np.arange(5), np.zeros(5)), 1 / (0.02 * (np.arange(5) + 2)))
    with pytest.raises(FactorGraphError, match="Pegasos: expected l2 to be a finite number above 0; got 0"):
        Pegasos(0)


def test_a_state_is_plain_arrays_and_numbers() -> None:
    for rule in (SGD(0.1, 0.1, 0.01, True, l1=0.1), Adam(l2=0.1, average=True), AdaGrad(l1=0.1, average=True)):
        _, state = run(rule, 3)
        assert all(isinstance(value, np.ndarray | int | float) for value in state.values())
        assert all(array.dtype.kind == "f" for array in state.values() if isinstance(array, np.ndarray))


def test_rows_are_gradients() -> None:
    rng = np.random.default_rng(1)
    a = Rows(np.array([0, 2]), rng.normal(size=(2, 3)), (4, 3))
    b = Rows(np.array([1, 2]), rng.normal(size=(2, 3)), (4, 3))
    total = a + b
    assert isinstance(total, Rows) and total.rows.tolist() == [0, 1, 2] and total.shape == (4, 3)
    np.testing.assert_array_equal(total.dense(), a.dense() + b.dense())
    whole = rng.normal(size=(4, 3))
    for mixed in (a + whole, whole + a):
        assert isinstance(mixed, np.ndarray)
        np.testing.assert_array_equal(mixed, a.dense() + whole)
    for scaled in (a * 0.5, 0.5 * a):
        assert isinstance(scaled, Rows)
        np.testing.assert_array_equal(scaled.dense(), 0.5 * a.dense())
    empty = Rows(np.zeros(0, np.int64), np.zeros((0, 3)), (4, 3))
    np.testing.assert_array_equal((a + empty).dense(), a.dense())


def test_fingerprints_tell_rules_apart() -> None:
    rules = [SGD(), SGD(0.2), SGD(l2=0.1), SGD(average=True), SGD(schedule="linear"), SGD(schedule=lambda p: 1 - p * p)]
    rules += [Adam(), Adam(beta1=0.5), Adam(schedule="linear"), SGD(l1=0.1), AdaGrad(), AdaGrad(l1=0.1)]
    rules += [PassiveAggressive(), PassiveAggressive(squared=True)]
    assert len({rule.fingerprint() for rule in rules}) == len(rules)
    assert SGD(schedule=lambda p: 1 - p).fingerprint() == SGD(schedule="linear").fingerprint()
    assert SGD(np.float64(0.1)).fingerprint() == SGD(0.1).fingerprint()
    assert SGD().anytime and not SGD(schedule="linear").anytime


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: SGD(0), "SGD: expected rate to be a finite number above 0; got 0"),
        (lambda: SGD(-1.0), "rate"),
        (lambda: SGD(float("nan")), "rate"),
        (lambda: SGD(float("inf")), "rate"),
        (lambda: SGD("fast"), "rate"),
        (lambda: SGD(True), "rate"),
        (lambda: SGD(decay=-0.1), "SGD: expected decay to be a finite number at least 0; got -0.1"),
        (lambda: SGD(l2=float("inf")), "l2"),
        (lambda: SGD(2.0, l2=0.5), r"SGD: expected rate · l2 < 1; got 2.0 · 0.5"),
        (lambda: SGD(schedule="cosine"), "expected schedule 'constant', 'linear' or a function .* got 'cosine'"),
        (lambda: SGD(schedule=None), "schedule"),
        (lambda: SGD(schedule=lambda p: -p), "SGD: expected schedule.*got -0.25 for 0.25"),
        (lambda: SGD(schedule=lambda p: None), "schedule"),
        (lambda: Adam(0), "Adam: expected rate"),
        (lambda: Adam(epsilon=0), "epsilon"),
        (lambda: Adam(beta1=1.0), "Adam: expected beta1 below 1; got 1.0"),
        (lambda: Adam(beta2=-0.1), "beta2"),
        (lambda: SGD(l1=-1), "SGD: expected l1"),
        (lambda: AdaGrad(0), "AdaGrad: expected rate"),
        (lambda: AdaGrad(schedule="cosine"), "AdaGrad: expected schedule"),
        (lambda: PassiveAggressive(0), "PassiveAggressive: expected limit to be a finite number above 0; got 0"),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, words: str) -> None:
    with pytest.raises(FactorGraphError, match=words):
        make()


@pytest.mark.parametrize("sparse", [False, True])
def test_averages_keep_their_digits_where_decay_goes_on_for_long(sparse: bool) -> None:
    """Σ η l2 = 30: what is kept outside of the weights must not grow by exp(30), or their average has no digits."""
    rng, rule = np.random.default_rng(0), SGD(0.1, l2=0.05, average=True)
    parameters = {"w": rng.normal(size=(5, 3)).astype(np.float32)}
    weights, total, state = parameters["w"].astype(np.float64), np.zeros((5, 3)), rule.init(parameters)
    for step in range(6000):
        rows, values = np.array([step % 5]), rng.normal(size=(1, 3)).astype(np.float32)
        gradient = Rows(rows, values, (5, 3))
        weights *= 1 - 0.1 * 0.05
        weights[rows] -= 0.1 * values
        total += weights
        rule.update(parameters, {"w": gradient if sparse else gradient.dense()}, state)
    np.testing.assert_allclose(rule.final(parameters, state)["w"], total / 6000, atol=1e-5)
