"""What losses mean: flat surfaces, margins, identities between them and with other libraries, costs, constants c(X)."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest
from oracle import INF
from strategies import ContinuousChoices, explained, random_case
from test_gradients import given_answers, random_answer
from test_losses import FAMILIES, components, trials

import factorgraph as fg
from factorgraph.losses import (
    LVQ2,
    MCE,
    MEE,
    NLL,
    Energy,
    Entropy,
    FenchelYoung,
    Gumbel,
    Hinge,
    LatentHinge,
    Log,
    Loss,
    Margin,
    Nothing,
    Perceptron,
    PerturbAndMAP,
    Problem,
    Ramp,
    SlackMargin,
    SoftmaxMargin,
    SparseMAP,
    SquareExponential,
    Squares,
    SquareSquare,
    incorrect,
)
from factorgraph.losses.simplex import minimise_on_simplex

every_loss = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)


def one_variable(energies: Any) -> Any:
    g = fg.FactorGraph()
    y = g.variables("y", states=len(energies))
    g.add(fg.Table(np.asarray(energies, float)), y)
    return g


def value(loss: Loss, energies: Any, correct: int = 0) -> float:
    g = one_variable(energies)
    return loss(g.compile(), g.energies(), {"y": correct})[0]


K = 4
FLAT = [
    (Energy(), 0.0),
    (Perceptron(), 0.0),
    (Hinge(margin=1.5), 1.5),
    (Log(), np.log(2)),
    (LVQ2(), 0.0),
    (MCE(), 0.5),
    (SquareSquare(margin=2.0), 4.0),
    (SquareExponential(weight=3.0), 3.0),
    (NLL(temperature=0.5), np.log(K) / 2),
    (MEE(), 1 - 1 / K),
    (Margin(scale=2.0), 2.0),
    (LatentHinge(), 1.0),
    (SlackMargin(scale=2.0), 2.0),
    (SoftmaxMargin(), np.log(1 + (K - 1) * np.e)),
    (Ramp(), 1.0),
    (FenchelYoung(), np.log(K)),
    (SparseMAP(), (1 - 1 / K) / 2),
]


@pytest.mark.jitoff
@pytest.mark.parametrize("loss, expected", FLAT, ids=lambda v: type(v).__name__ if isinstance(v, Loss) else "")
def test_flat_surfaces(loss: Loss, expected: float) -> None:
    assert value(loss, np.zeros(K)) == pytest.approx(expected, abs=1e-9)


def test_flat_surfaces_at_other_levels() -> None:
    """A ratio of equal energies is 0; two squares pull to m / 2, where m² / 2 is left."""
    assert value(LVQ2(), np.full(K, 3.0)) == 0.0
    assert value(SquareSquare(margin=2.0), np.full(K, 1.0)) == 2.0
    assert min(value(SquareSquare(margin=2.0), np.full(K, h)) for h in np.linspace(0, 3, 61)) == pytest.approx(2.0)
    assert value(PerturbAndMAP(), np.zeros(K)) > 0.5


@every_loss
def test_flat_surfaces_are_as_the_class_says(family: type[Loss]) -> None:
    """Where flat is optimal, nothing is better than some flat level; elsewhere something is."""
    loss = family()
    rng = np.random.default_rng(0)
    flat = min(value(loss, np.full(K, h)) for h in (0.0, 0.5, 1.0))
    others = min(value(loss, energies) for energies in ([0.0, 9.0, 9.0, 9.0], *rng.uniform(0, 9, (30, K))))
    assert (others >= flat) == loss.flat_is_optimal


#: The margin that a loss guarantees by the condition below.
GUARANTEED = {"none": None, "0": None, "m": 0.9, "Δ": 0.9, "1": 0.9, ">0": 0.2}


@every_loss
def test_margins_by_the_sufficient_condition(family: type[Loss]) -> None:
    """Some point with E_c + m < E_i lies strictly below all with E_c + m ≥ E_i: learning ends with the margin."""
    loss, grid = family(), np.linspace(0, 3, 13)
    table = np.array([[value(loss, [c, i]) for i in grid] for c in grid])
    margin = GUARANTEED[loss.margin_kind]
    beyond = grid[:, None] + (margin or 0.0) < grid - 1e-9
    assert (table[beyond].min() < table[~beyond].min() - 1e-9) == (margin is not None)


# Identities


def random_chain(seed: int, latent: bool = False, constant: float = 0.0) -> tuple[Any, dict[str, Any]]:
    rng = np.random.default_rng(seed)
    g = fg.FactorGraph()
    y = g.variables("y", shape=(5,), states=3)
    g.add(fg.Table(rng.normal(size=(5, 3))), y)
    g.add(fg.Table(rng.normal(size=(3, 3))), y[:-1], y[1:])
    if constant:
        g.add(fg.Table(np.full(3, constant)), y[2])  # the same for all states
    if latent:
        z = g.variables("z", shape=(5,), states=2, latent=True)
        g.add(fg.Table(rng.normal(size=(3, 2))), y, z)
    return g, {"y": rng.integers(3, size=5)}


@pytest.mark.parametrize("latent", [False, True])
@pytest.mark.parametrize(
    "one, other",
    [
        (Margin(scale=0.0), Perceptron()),
        (LatentHinge(), Margin()),
        (FenchelYoung(regularizer=Nothing()), Perceptron()),
        (FenchelYoung(regularizer=Entropy(0.5)), NLL(temperature=0.5)),
        (FenchelYoung(regularizer=Squares()), SparseMAP()),
        (FenchelYoung(regularizer=Gumbel(4, seed=2)), PerturbAndMAP(samples=4, seed=2)),
        (SoftmaxMargin(scale=0.0), NLL()),
        (Margin(cost={"y": 1.0 - np.eye(3)}), Margin()),
        (Margin(scale=2.0, cost=None), Margin(cost={"y": 2.0 - 2.0 * np.eye(3)})),
    ],
)
def test_losses_that_are_the_same(one: Loss, other: Loss, latent: bool) -> None:
    for seed in range(6):
        g, answers = random_chain(seed, latent)
        (a, slope), (b, expected) = (loss(g.compile(), g.energies(), answers) for loss in (one, other))
        assert a == pytest.approx(b, abs=1e-12)
        np.testing.assert_allclose(slope, expected, atol=1e-12)


def test_the_likelihood_of_a_low_temperature_is_the_perceptron() -> None:
    for seed in range(6):
        g, answers = random_chain(seed, latent=True)
        (a, slope), (b, expected) = (
            loss(g.compile(), g.energies(), answers) for loss in (NLL(temperature=1e-3), Perceptron())
        )
        assert a == pytest.approx(b, abs=0.02)
        np.testing.assert_allclose(slope, expected, atol=1e-3)


def test_perturb_and_map_of_one_variable_is_its_likelihood() -> None:
    """Gumbel's theorem: the best of −E + noise is drawn from exp(−E), and costs log Σ exp(−E) on average."""
    energies = np.array([0.3, -1.0, 0.5, 2.0])
    samples = 1000
    found = value(PerturbAndMAP(samples=samples), energies)
    error = 4 * np.pi / np.sqrt(6 * samples)
    assert found == pytest.approx(value(NLL(), energies), abs=error)
    assert (
        found
        == value(PerturbAndMAP(samples=samples), energies)
        != value(PerturbAndMAP(samples=samples, seed=1), energies)
    )


def test_perturb_and_map_is_a_perceptron_on_perturbed_energies() -> None:
    for case, answer in trials(PerturbAndMAP, "min", 10):
        answers = given_answers(case, answer)
        with explained(case, answers=answers):
            plan, energies = case.graph.compile(), np.array(case.graph.energies())
            expected, slope = Energy()(plan, energies, answers)
            for t in range(3):
                noisy = energies - np.random.default_rng([5, t]).gumbel(-np.euler_gamma, 1.0, energies.size)
                perceptron, each = Perceptron()(plan, noisy, answers)
                own, only = Energy()(plan, noisy, answers)
                expected, slope = expected + (perceptron - own) / 3, slope + (each - only) / 3
            found, gradient = PerturbAndMAP(samples=3, seed=5)(plan, energies, answers)
            assert found == pytest.approx(expected, abs=1e-9)
            np.testing.assert_allclose(gradient, slope, atol=1e-12)


def optimum(loss: Loss, x: np.ndarray, y: np.ndarray, l2: float, states: int) -> np.ndarray:
    """argmin of the mean loss + (l2 / 2) ‖w‖² over E(k) = x · w[:, k], by cutting planes until the gap is closed."""

    def build(g: Any, row: np.ndarray) -> None:
        g.add(fg.Linear(row[None], "w"), g.variables("y", shape=(1,), states=states))

    declared = fg.Model(build).declare(x)
    known = declared.read_answers([[int(k)] for k in y])
    slopes, offsets, alpha = np.zeros((0, x.shape[1] * states)), np.zeros(0), np.zeros(0)
    w, least = np.zeros(x.shape[1] * states), INF
    for _ in range(500):
        energies = declared.graph.energies({"w": w.reshape(-1, states)})
        found, gradient = loss(declared.compile(), energies, known)
        (slope,) = declared.graph.backward(gradient, {"w": w.reshape(-1, states)}).values()
        slope = np.asarray(slope).ravel() / len(x)
        least = min(least, found / len(x) + l2 / 2 * w @ w)
        slopes, offsets = np.vstack([slopes, slope]), np.append(offsets, found / len(x) - slope @ w)
        start = np.append(alpha, 0.0) if alpha.size else np.ones(1)
        alpha = minimise_on_simplex(slopes @ slopes.T / l2, -offsets, start)
        slopes, offsets, alpha = slopes[alpha > 0], offsets[alpha > 0], alpha[alpha > 0]
        w = -(alpha @ slopes) / l2
        if least - (alpha @ offsets - l2 / 2 * w @ w) < 1e-9:
            break
    return w.reshape(-1, states)


def test_the_hinge_with_l2_is_a_support_vector_machine() -> None:
    """Two classes, w_0 = −w_1 = v / 2: the hinge is max(0, 1 − Y v·x) for Y = ±1, and ‖w‖² = ½ ‖v‖²."""
    svm = pytest.importorskip("sklearn.svm")
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, 3))
    y = (x @ [1.0, -2.0, 0.5] + 0.5 * rng.normal(size=40) > 0).astype(int)
    l2 = 0.5
    found = optimum(Hinge(), x, y, l2, 2)
    machine = svm.LinearSVC(loss="hinge", fit_intercept=False, C=1 / (l2 / 2 * len(x)), tol=1e-10, max_iter=10**6)
    np.testing.assert_allclose(found[:, 0] - found[:, 1], machine.fit(x, y).coef_[0], atol=1e-3)


def test_the_margin_loss_of_one_variable_is_crammer_and_singers_machine() -> None:
    svm = pytest.importorskip("sklearn.svm")
    rng = np.random.default_rng(4)
    x = rng.normal(size=(40, 3))
    y = np.argmax(x @ rng.normal(size=(3, 3)) + 0.5 * rng.normal(size=(40, 3)), 1)
    l2 = 0.5
    found = optimum(Margin(), x, y, l2, 3)
    machine = svm.LinearSVC(
        multi_class="crammer_singer", fit_intercept=False, C=1 / (l2 * len(x)), tol=1e-10, max_iter=10**6
    )
    np.testing.assert_allclose(-found.T, machine.fit(x, y).coef_, atol=1e-3)


# The most offending incorrect answer


def rivals(loss_case: Any, answers: dict[str, Any], energies: Any = None) -> tuple[float, np.ndarray]:
    """(Σ of the best incorrect energies, labels) of all components."""
    plan = loss_case.compile()
    energies = loss_case.energies() if energies is None else energies
    known = fg.plan.read_answers(plan, answers)
    every = np.arange(plan.n_components)
    side = incorrect(Problem(plan, energies, known, fg.Auto(), every, plan.zeros(energies.dtype)))
    return float(side.value.sum()), side.found[0].labels if side.found else np.zeros(0, np.int32)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_best_incorrect_answer_against_enumeration(dtype: Any) -> None:
    found = seed = 0
    while found < 60:
        choices = ContinuousChoices(seed)
        case = random_case(choices, seed % 4 > 0, dtype=dtype)
        answer = random_answer(case, choices)
        seed += 1
        if answer is None:
            continue
        found += 1
        answers = given_answers(case, answer)
        with explained(case, answers=answers):
            expected = sum(a.rival for a in components(case.spec, answer, "min"))
            assert rivals(case.graph, answers)[0] == pytest.approx(expected, rel=1e-5 if dtype is np.float32 else 1e-9)


@pytest.mark.jitoff
def test_the_second_best_labelling_is_not_it() -> None:
    """Both best labellings are the correct answer, with other latents; the best incorrect one is the third."""
    table = np.array([[0.0, 0.25], [0.75, 5.0]])
    g = fg.FactorGraph()
    y, z = g.variables("y", states=2), g.variables("z", states=2, latent=True)
    g.add(fg.Table(table), y, z)
    total, labels = rivals(g, {"y": 0})
    assert total == 0.75 and labels.tolist() == [1, 0]
    second = np.sort(table.ravel())[1]
    found, gradient = Hinge()(g.compile(), g.energies(), {"y": 0})
    assert second == 0.25 and found == 1 + 0.0 - 0.75 != 1 + 0.0 - second
    np.testing.assert_array_equal(gradient.reshape(2, 2), [[1, 0], [-1, 0]])


def test_plain_map_in_its_place_would_lose_the_margin() -> None:
    """The correct answer is the best one, by less than the margin: only the hinge has something to learn."""
    energies = [0.0, 0.4, 2.0]
    assert value(Perceptron(), energies) == 0.0
    assert value(Hinge(), energies) == pytest.approx(0.6)
    assert value(Hinge(), [0.0, 1.1, 2.0]) == 0.0


@pytest.mark.jitoff
def test_without_another_answer_nothing_is_incorrect() -> None:
    for energies in ([1.0], [1.0, INF]):
        assert value(Hinge(), energies) == value(Log(), energies) == value(MCE(), energies) == 0.0
        assert value(SquareSquare(), energies) == value(SquareExponential(), energies) == 1.0
    g = fg.FactorGraph()
    g.add(fg.Table(np.zeros((1, 2))), g.lattice("line", arcs=([0], [1]), states=2))
    assert Hinge()(g.compile(), g.energies(), {"line": [0]})[0] == 1.0
    assert Hinge()(g.compile(), g.energies(), {"line": None})[0] == 0.0  # no string is known, so none is wrong


# Costs


def costly(spec: oracle.Spec, answer: list[int], tables: dict[int, np.ndarray]) -> np.ndarray:
    """Σ_v tables[v][correct, label], shape `states`."""
    total = np.zeros(spec.states)
    for v, table in tables.items():
        shape = [1] * len(spec.states)
        shape[v] = spec.states[v]
        total = total + table[answer[v]].reshape(shape)
    return total


def test_costs_of_the_user_against_enumeration() -> None:
    rng = np.random.default_rng(0)
    for seed in range(8):
        g, answers = random_chain(seed, latent=True)
        confusion = rng.integers(1, 5, (3, 3)) * (1 - np.eye(3))
        flat = np.concatenate([confusion[answers["y"]].ravel(), np.zeros(10)])
        each = confusion[answers["y"]]
        spec = oracle.Spec([3] * 5 + [2] * 5, [False] * 5 + [True] * 5)
        labels = [*answers["y"].tolist(), *[0] * 5]
        plan, energies = g.compile(), g.energies()
        for block in plan.blocks:
            for f, scope in enumerate(block.scopes.tolist()):
                table = block.view(energies)[f if block.table is None else int(block.table[f])]
                spec.factors.append((tuple(scope), table))
        joint = oracle.eliminate(spec.joint(), spec.latent_axes())
        cost = costly(spec, labels, dict.fromkeys(range(5), confusion))
        correct = oracle.correct(spec, labels)
        margin, slack = correct + (cost - joint).max(), (cost * (1 + correct - joint)).max()
        for given in ({"y": confusion}, {"y": each}, flat):
            assert Margin(cost=given)(plan, energies, answers)[0] == pytest.approx(margin, abs=1e-9)
            assert SlackMargin(cost=given)(plan, energies, answers)[0] == pytest.approx(slack, abs=1e-9)
        hidden = rng.uniform(0, 2, (5, 2))
        cost = cost + costly(spec, [0] * 10, {5 + v: hidden[[v]] for v in range(5)})
        found, _ = LatentHinge(cost={"y": confusion, "z": hidden})(plan, energies, answers)
        assert found == pytest.approx(correct + (cost - spec.joint()).max(), abs=1e-9)


@pytest.mark.parametrize(
    "cost, words",
    [
        ({"x": np.eye(3)}, r"cost: expected names among \['y'\]; got 'x'"),
        ({"z": np.ones((5, 2))}, r"cost: expected names among \['y'\]; got 'z'"),
        ({"y": np.ones((3, 3))}, r"expected 0 for the correct answer"),
        ({"y": np.eye(3) - 1.0}, "expected finite costs ≥ 0"),
        ({"y": np.ones(4)}, r"cost\['y'\]: expected shape \(3, 3\), \[correct, label\], or \(5, 3\); got \(4,\)"),
        (np.zeros(3), "expected a flat array over 25 variable states"),
    ],
)
def test_costs_that_are_refused(cost: Any, words: str) -> None:
    g, answers = random_chain(0, latent=True)
    with pytest.raises(fg.FactorGraphError, match=words):
        Margin(cost=cost)(g.compile(), g.energies(), answers)


def test_slack_rescaling_on_cycles_is_bounded_from_below() -> None:
    """The search for λ sees the upper hull of (Δ, slack) only; it is often exact, and says that it may not be."""
    rng = np.random.default_rng(1)
    exact = 0
    for _ in range(20):
        g = fg.FactorGraph()
        y = g.variables("y", shape=(4,), states=2)
        g.add(fg.Table(rng.normal(size=(4, 2))), y)
        g.add(fg.Table(rng.normal(size=(4, 2, 2))), y, y[[1, 2, 3, 0]])
        labels = rng.integers(2, size=4)
        every = {tuple(k): fg.energy(g, {"y": np.array(k)}) for k in np.ndindex(2, 2, 2, 2)}
        correct = every[tuple(labels)]
        worst = max((np.array(k) != labels).sum() * (1 + correct - e) for k, e in every.items())
        proven = np.ones(1, bool)
        found, _ = SlackMargin()(g.compile(), g.energies(), {"y": labels}, proven=proven)
        assert found <= worst + 1e-9 and not proven[0]
        exact += found > worst - 1e-9
    assert exact >= 10


@pytest.mark.jitoff
def test_slack_rescaling_counts_whole_numbers() -> None:
    with pytest.raises(fg.FactorGraphError, match="SlackMargin: expected costs that are whole numbers"):
        value(SlackMargin(scale=0.5), [0.0, 1.0])


# Constants c(X)


@pytest.mark.parametrize("loss", [Perceptron(), Hinge(), NLL(), Log(), Margin(), SparseMAP()])
def test_a_constant_changes_no_loss_of_differences(loss: Loss) -> None:
    for seed in range(4):
        chains = [random_chain(seed, latent=True, constant=constant) for constant in (0.0, 7.25)]
        before, after = (loss(g.compile(), g.energies(), answers)[0] for g, answers in chains)
        assert after == pytest.approx(before, abs=1e-12 * max(1, abs(before)) + 1e-12)


def test_a_constant_changes_the_order_of_inputs_and_the_model_says_so() -> None:
    def build(g: Any, x: tuple[float, float]) -> None:
        y = g.variables("y", states=2)
        g.add(fg.Table(np.array([x[0], 1.0]) + x[1]), y)

    model, answers = fg.Model(build), [0, 0]
    with pytest.warns(UserWarning, match="different inputs do not compare: training by NLL may leave a constant c"):
        first = model.energies({}, [(0.0, 0.0), (0.5, 0.0)], answers, loss=NLL())
    with pytest.warns(UserWarning, match="a loss that is not given"):
        second = model.energies({}, [(0.0, 3.0), (0.5, 0.0)], answers)
    assert first.tolist() == [0.0, 0.5] and second.tolist() == [3.0, 0.5]
    assert value(SquareSquare(), [0.5, 2.0]) != value(SquareSquare(), [3.5, 5.0])


@pytest.mark.filterwarnings("error")
def test_losses_that_hold_the_energies_let_inputs_compare() -> None:
    def build(g: Any, x: float) -> None:
        g.add(fg.Table(np.array([x, 1.0])), g.variables("y", states=2))

    model = fg.Model(build)
    assert model.energies({}, [0.25, 4.0], loss=SquareSquare()).tolist() == [0.25, 1.0]
    assert model.energies({}, [4.0]).tolist() == [1.0]
