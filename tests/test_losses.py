"""Every loss of the package against its formula: values by enumeration, gradients by central differences.

A loss is found by itself; FORMULAS says what it is, as a function of all answers of one component: `energies` (E(Y),
latents minimised or summed), `costs` Δ(Y), `correct` the place of the correct answer. A loss without a formula fails.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import oracle
import pytest
from hypothesis import settings
from oracle import INF
from scipy.optimize import minimize
from strategies import Case, ContinuousChoices, explained, random_case
from test_gradients import Answer, differences, given_answers, random_answer

import factorgraph as fg
from factorgraph.losses import Contrast, Costly, Loss

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

#: `make check` looks at ten times as many graphs.
MORE = settings.default.max_examples // 200

FAMILIES = [
    family
    for _, family in inspect.getmembers(fg.losses, inspect.isclass)
    if issubclass(family, Loss) and family not in (Loss, Contrast, Costly)
]


class Answers(NamedTuple):
    """All answers of one component. energies, costs: float64 (answers,); labels: int (answers, variables known)."""

    energies: np.ndarray
    costs: np.ndarray
    correct: int
    labels: np.ndarray

    @property
    def best(self) -> float:
        return float(self.energies[self.correct])

    @property
    def rival(self) -> float:
        return float(np.delete(self.energies, self.correct).min(initial=INF))


def soft(energies: np.ndarray, temperature: float = 1.0) -> float:
    return oracle.soft_minimum(energies, temperature)


def lvq2(a: Answers, window: float = 0.1) -> float:
    if a.best <= a.rival:
        return 0.0
    return min(1.0, (a.best - a.rival) / (window * a.rival)) if a.rival > 0 else 1.0


def sparse_map(a: Answers) -> float:
    """max over distributions p of −⟨E⟩ − ½ ‖μ‖², by a general solver."""
    finite = np.flatnonzero(np.isfinite(a.energies))
    labels, energies = a.labels[finite], a.energies[finite]
    gram = (labels[:, None] == labels[None]).sum(-1).astype(float)
    found = minimize(
        lambda p: 0.5 * p @ gram @ p + energies @ p,
        np.full(finite.size, 1 / finite.size),
        jac=lambda p: gram @ p + energies,
        bounds=[(0, 1)] * finite.size,
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1, "jac": lambda p: np.ones_like(p)},
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 500},
    )
    return a.best + 0.5 * labels.shape[1] - found.fun


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def wins(a: Answers) -> np.ndarray:
    return a.costs - a.energies


#: What each loss is, of one component, with its default settings.
FORMULAS: dict[str, Callable[[Answers], float]] = {
    "Energy": lambda a: a.best,
    "Perceptron": lambda a: a.best - a.energies.min(),
    "Hinge": lambda a: max(0.0, 1 + a.best - a.rival),
    "Log": lambda a: float(np.log1p(np.exp(a.best - a.rival))),
    "LVQ2": lvq2,
    "MCE": lambda a: sigmoid(a.best - a.rival),
    "SquareSquare": lambda a: a.best**2 + max(0.0, 1 - a.rival) ** 2,
    "SquareExponential": lambda a: a.best**2 + float(np.exp(-a.rival)),
    "NLL": lambda a: a.best - soft(a.energies),
    "MEE": lambda a: 1 - float(np.exp(soft(a.energies) - a.best)),
    "Margin": lambda a: a.best + wins(a).max(),
    "LatentHinge": lambda a: a.best + wins(a).max(),
    "SlackMargin": lambda a: float((a.costs * (1 + a.best - a.energies))[np.isfinite(a.energies)].max()),
    "SoftmaxMargin": lambda a: a.best - soft(a.energies - a.costs),
    "Ramp": lambda a: float(a.energies.min() + wins(a).max()),
    "FenchelYoung": lambda a: a.best - soft(a.energies),
    "SparseMAP": sparse_map,
    "PerturbAndMAP": lambda a: INF,  # see test_perturb_and_map_is_a_perceptron_on_perturbed_energies
}

MODES = [(family, latent) for family in FAMILIES for latent in ("min", "sum")]
every_loss = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
every_mode = pytest.mark.parametrize("family, latent", MODES, ids=lambda v: v if isinstance(v, str) else v.__name__)


class Positive(ContinuousChoices):
    def values(self, count: int) -> np.ndarray:
        return np.abs(super().values(count))


def natural(family: type[Loss], latent: str) -> bool:
    loss = family()
    return (
        latent == getattr(loss, "regularizer", loss).latent
        if family is fg.losses.FenchelYoung
        else latent in loss.natural
    )


def trials(family: type[Loss], latent: str, count: int, first: int = 0) -> Iterator[tuple[Case, Answer]]:
    """Forests, lattices and small graphs with cycles on which this loss is defined, each with a reachable answer."""
    found, seed = 0, first
    while found < count:
        choices = (Positive if family.nonnegative else ContinuousChoices)(seed)
        strings = family is not fg.losses.SparseMAP and natural(family, latent)
        case = random_case(choices, seed % 4 > 0, lattices=strings, dtype=np.float64)
        cycles = family is fg.losses.SlackMargin and not case.spec.is_forest()
        answer = None if cycles else random_answer(case, choices)
        small = family is not fg.losses.SparseMAP or np.prod(case.spec.states) <= 60
        if answer is not None and small:
            found += 1
            yield case, answer
        seed += 1


def components(spec: oracle.Spec, answer: Answer, latent: str) -> Iterator[Answers]:
    """The answers of every component and of every lattice."""
    labels, strings = answer
    temperature = None if latent == "min" else 1.0
    for variables in spec.components():
        part = spec.part(variables)
        own = [labels[v] for v in variables]
        energies = oracle.eliminate(part.joint(), part.latent_axes(), temperature)
        costs = oracle.hamming(part, own)[tuple(slice(0, 1 if z else None) for z in part.latent)]
        at = tuple(0 if z else k for z, k in zip(part.latent, own))
        every = np.array(list(np.ndindex(energies.shape)))[:, [v for v, z in enumerate(part.latent) if not z]]
        yield Answers(energies.ravel(), costs.ravel(), int(np.ravel_multi_index(at, energies.shape)), every)
    for lattice, string in zip(spec.lattices, strings, strict=True):
        spelled = lattice.strings(temperature)
        keys = list(spelled)
        correct = keys.index(tuple(string))
        costs = np.arange(len(keys)) != correct
        yield Answers(np.array([spelled[k] for k in keys]), costs.astype(float), correct, np.zeros((len(keys), 0)))


def evaluated(loss: Loss, case: Case, answers: Any) -> tuple[float, np.ndarray] | None:
    """Value and gradient, or None where latents join too many answers, or summed ones make energies negative that
    must not be: the loss has to say so."""
    try:
        return loss(case.graph.compile(), case.graph.energies(), answers)
    except fg.FactorGraphError as error:
        negative = type(loss) is fg.losses.LVQ2 and loss.latent == "sum" and "energies ≥ 0" in str(error)
        joined = f"{type(loss).__name__}(latent={loss.latent!r})" in str(error) and "joint states" in str(error)
        assert negative or joined
        return None


def test_every_loss_has_a_formula() -> None:
    assert {family.__name__ for family in FAMILIES} == FORMULAS.keys()


@every_mode
def test_values_against_enumeration(family: type[Loss], latent: str) -> None:
    loss, formula = family(latent=latent), FORMULAS[family.__name__]
    for case, answer in trials(family, latent, 12 * MORE):
        answers = given_answers(case, answer)
        with explained(case, answers=answers, loss=loss):
            found = evaluated(loss, case, answers)
            if found is not None and family is not fg.losses.PerturbAndMAP:
                expected = sum(map(formula, components(case.spec, answer, latent)))
                tolerance = 1e-6 if family is fg.losses.SparseMAP else 1e-9
                assert found[0] == pytest.approx(expected, rel=tolerance, abs=tolerance)


@every_mode
def test_gradients_against_central_differences(family: type[Loss], latent: str) -> None:
    loss = family(latent=latent, **({"samples": 3} if family is fg.losses.PerturbAndMAP else {}))
    for case, answer in trials(family, latent, 4 * MORE, first=500):
        answers = given_answers(case, answer)
        with explained(case, answers=answers, loss=loss):
            found = evaluated(loss, case, answers)
            if found is not None:
                plan, energies = case.graph.compile(), np.array(case.graph.energies())
                step = 1e-7 if family is fg.losses.LVQ2 else 1e-5  # its slopes are as steep as energies are small
                expected = differences(loss, plan, energies, answers, step)
                known = np.isfinite(expected)
                np.testing.assert_allclose(found[1][known], expected[known], rtol=1e-6, atol=1e-6)
                assert not found[1][np.isinf(energies)].any()
