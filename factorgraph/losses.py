"""Losses of energy-based learning: how far the correct answer's energy is above what it should be below.

E_c is the energy of the correct answer (its latents completed), the rest asks about all answers:

    Energy      E_c                                        collapses where energies can be pulled down everywhere
    Perceptron  E_c − min_Y E(Y)
    Margin      E_c + max_Y (Δ(Y) − E(Y))                  Δ: Hamming distance, or 1 for any other string of a lattice
    NLL         E_c + T log Σ_Y exp(−E(Y) / T)

With latents minimised E(Y) = min_Z E(Y, Z), with latents summed E(Y) = −T log Σ_Z exp(−E(Y, Z) / T). A gradient is a
difference of two answers, configurations(correct) − configurations(all), in the energies' own layout.

LeCun, Chopra, Hadsell, Ranzato, Huang, "A tutorial on energy-based learning" (2006), table 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .errors import FactorGraphError
from .infer import Answer, Auto, Solver, Status
from .infer.solver import check_flat, evaluate
from .kernels.configurations import add_configurations, component_biases, contrast_configurations
from .kernels.simd import buffer
from .plan import Acceptor, Answers, Asked, Plan, Question, Restriction, read_answers, restrict


@dataclass(frozen=True)
class Loss:
    """Base of all losses. `latent`: "min" or "sum", what happens to latent variables and lattice paths."""

    latent: str = "min"
    offered: ClassVar[tuple[str, ...]] = ("min",)

    def __post_init__(self) -> None:
        if self.latent not in self.offered:
            raise FactorGraphError(
                f"{type(self).__name__}: expected latent to be one of {self.offered}; got {self.latent!r}. Mixing "
                "minima and sums over answers and latents is intractable in general: take a loss that does one of them"
            )

    def __call__(
        self,
        plan: Plan,
        energies: np.ndarray,
        answers: Answers | Mapping[Any, Any],
        solver: Solver | None = None,
        components: np.ndarray | None = None,
        out: np.ndarray | None = None,
    ) -> tuple[float, np.ndarray]:
        """Value (summed over `components`, float64) and gradient by the energies (flat, in `out` if given).

        answers: {name: labels}, strings for lattices; latents left out. Of a gradient in `out` only the parts that
        `components` read are written. Components whose correct answer is infeasible contribute nothing.

        Errors: FactorGraphError for answers that do not fit, and solvers that cannot answer what the loss asks.
        """
        known = read_answers(plan, answers)
        if known.plan != plan:
            raise FactorGraphError(f"{type(self).__name__}: expected answers of {plan!r}; got those of {known.plan!r}")
        energies = check_flat(plan, energies)
        listed = plan.components_or_all(components)
        components = None if components is None else listed
        gradient = plan.zeros(energies.dtype) if out is None else out
        if gradient.shape != (plan.size,) or gradient.dtype != energies.dtype:
            raise FactorGraphError(
                f"{type(self).__name__}: expected out of {plan.size} entries of {energies.dtype}; got {gradient.dtype} "
                f"of shape {gradient.shape}"
            )
        plan.clear(gradient, components)
        asked = _Asked(plan, energies, known, solver or Auto(), listed, components, gradient)
        return self._evaluate(asked), gradient

    def _evaluate(self, asked: _Asked) -> float:
        raise NotImplementedError

    def fingerprint(self) -> str:
        """What a checkpoint compares: the loss and all its settings."""
        return repr(self)


@dataclass(frozen=True)
class Energy(Loss):
    """E_c: pulls the correct answer down, pushes nothing up; collapses unless the factors cannot."""

    offered: ClassVar[tuple[str, ...]] = ("min", "sum")

    def _evaluate(self, asked: _Asked) -> float:
        correct = asked.correct(self.latent, 1.0)
        return float(correct[np.isfinite(correct)].sum())


@dataclass(frozen=True)
class Perceptron(Loss):
    """E_c − min E: zero as soon as the correct answer is the best one (Collins 2002)."""

    def _evaluate(self, asked: _Asked) -> float:
        return asked.contrast(Question())


@dataclass(frozen=True)
class Margin(Loss):
    """E_c + max_Y (Δ(Y) − E(Y)): every wrong answer shall lie Δ above the correct one (Taskar 2003).

    scale: cost of one wrong variable (Hamming Δ); for a lattice, of any string but the correct one.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.scale >= 0 and np.isfinite(self.scale)):
            raise FactorGraphError(f"Margin: expected a finite scale ≥ 0; got {self.scale!r}")

    def _evaluate(self, asked: _Asked) -> float:
        return asked.contrast(asked.augmented(self.scale))


@dataclass(frozen=True)
class NLL(Loss):
    """Negative log-likelihood of the correct answer, times T: conditional random fields; MMI with latents, summed."""

    latent: str = "sum"
    temperature: float = 1.0
    offered: ClassVar[tuple[str, ...]] = ("sum",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.temperature > 0 and np.isfinite(self.temperature)):
            raise FactorGraphError(f"NLL: expected a finite temperature > 0; got {self.temperature!r}")

    def _evaluate(self, asked: _Asked) -> float:
        correct = asked.correct(self.latent, self.temperature)
        fine = asked.keep(np.isfinite(correct))
        free = asked.free(self.temperature)
        return float((correct[fine] - free).sum())


class _Asked:
    """One call of a loss: the two sides, each adding its configurations to the gradient."""

    def __init__(
        self,
        plan: Plan,
        energies: np.ndarray,
        known: Answers,
        solver: Solver,
        listed: np.ndarray,
        components: np.ndarray | None,
        gradient: np.ndarray,
    ):
        self.plan, self.energies, self.known, self.solver = plan, energies, known, solver
        self.listed, self.components, self.gradient = listed, components, gradient

    def keep(self, fine: np.ndarray) -> np.ndarray:
        """Go on with some of the components only."""
        if not fine.all():
            self.listed = self.components = self.listed[fine]
        return fine

    def correct(self, latent: str, temperature: float) -> np.ndarray:
        """E_c per component; adds its configurations to the gradient."""
        plan, question = self.plan, self.known.clamped(self.energies.dtype)
        complete = self.known.complete[self.listed]
        value = np.empty(self.listed.size)
        whole, partial = self.listed[complete], self.listed[~complete]
        if whole.size:
            value[complete], _ = evaluate(Question().of(plan, self.energies, whole), self.known.labels)
            fine = whole[np.isfinite(value[complete])]
            add_configurations(fine, plan.factors, plan.states, self.known.labels, 1.0, self.gradient)
        if partial.size and latent == "sum":
            value[~complete] = self._sum(question, partial, temperature, 1.0)
        elif partial.size:
            value[~complete] = self._minimum(question, partial, 1.0)
        return value

    def free(self, temperature: float) -> np.ndarray:
        """Free energy of all answers per component; subtracts their expected configurations."""
        return self._sum(Question(), self.listed, temperature, -1.0)

    def contrast(self, question: Question) -> float:
        """Σ E_c − min over the answers to `question`; the gradient touches only factors that differ."""
        plan = self.plan
        if question.restriction is None and self.known.complete[self.listed].all():
            labels = self._answer(question.of(plan, self.energies, self.listed)).labels
            value = np.empty(self.listed.size)
            contrast_configurations(
                self.listed, plan.factors, plan.states, self.energies, self.known.labels, labels, self.gradient, value
            )
            if question.bias is not None:
                offset = np.zeros(self.listed.size)
                component_biases(self.listed, *plan.members, plan.offsets, question.bias, labels, offset)
                value -= offset
            return float(value[np.isfinite(value)].sum())
        correct = self.correct("min", 1.0)
        fine = self.keep(np.isfinite(correct))
        minimum = self._minimum(question, self.listed, -1.0)
        return float((correct[fine] - minimum).sum())

    def augmented(self, scale: float) -> Question:
        """The question of the most offending answer."""
        return augmented(self.plan, self.known, scale, self.energies.dtype)

    def _apply(self, question: Question, part: np.ndarray) -> tuple[Asked, np.ndarray]:
        """The question put to `part`, and a gradient in the layout of the plan asked."""
        if question.restriction is None:
            return question.of(self.plan, self.energies, part), self.gradient
        derived = question.restriction.plan
        workspace = self.known.remember(
            ("workspace", id(question), self.energies.dtype),
            lambda: (derived.zeros(self.energies.dtype), derived.zeros(self.energies.dtype)),
        )
        derived.clear(workspace[1], self._some(part))
        return question.of(self.plan, self.energies, self._some(part), workspace[0]), workspace[1]

    def _some(self, part: np.ndarray) -> np.ndarray | None:
        return None if part.size == self.plan.n_components else part

    def _lift(self, question: Question, gradient: np.ndarray, part: np.ndarray) -> None:
        if question.restriction is not None:
            question.restriction.add_gradient(gradient, self.gradient, self._some(part))

    def _sum(self, question: Question, part: np.ndarray, temperature: float, weight: float) -> np.ndarray:
        asked, gradient = self._apply(question, part)
        free = self.solver.integrate(asked, temperature, gradient=gradient, weight=weight)
        self._lift(question, gradient, part)
        return free

    def _minimum(self, question: Question, part: np.ndarray, weight: float) -> np.ndarray:
        """Minimum (bias included) per component; adds weight · configurations where feasible."""
        asked, gradient = self._apply(question, part)
        answer = self._answer(asked)
        _, minimum = evaluate(asked, answer.labels)
        minimum[answer.status[part] == Status.INFEASIBLE] = np.inf
        fine = part[np.isfinite(minimum)]
        add_configurations(fine, asked.plan.factors, asked.plan.states, answer.labels, weight, gradient)
        self._lift(question, gradient, part)
        return minimum

    def _answer(self, asked: Asked) -> Answer:
        """Best labels, int32 (V,) of which those of the components asked are written, and statuses."""
        answer: Answer = self.known.remember(("answer", id(asked.plan)), lambda: Answer.empty(asked.plan))
        self.solver.minimise(asked, answer)
        return answer


def augmented(plan: Plan, answers: Answers, scale: float, dtype: Any) -> Question:
    """The question of the most offending answer: −Δ as a bias, made once."""
    if scale == 0.0:
        return Question()
    return answers.remember(("margin", scale, dtype), lambda: _augment(plan, answers, scale, dtype))


def _augment(plan: Plan, answers: Answers, scale: float, dtype: Any) -> Question:
    bias = buffer(plan.variable_states, dtype)
    owner = np.repeat(answers.labels, plan.states)
    state = np.arange(owner.size) - np.repeat(plan.offsets[:-1], plan.states)
    bias[(owner >= 0) & (owner != state)] = -scale
    if not answers.strings:
        return Question(bias)
    restriction = deviating(plan, answers.strings)
    derived = restriction.bias(bias)
    derived[np.repeat(deviations(restriction, answers.strings), restriction.plan.states)] -= dtype.type(scale)
    return Question(derived, restriction)


def deviating(plan: Plan, strings: Mapping[int, np.ndarray]) -> Restriction:
    """Lattices multiplied with an acceptor of everything that remembers whether the string has left the correct one.

    Its states are the prefixes of the correct string, 0 … L, and L + 1 for whatever has left it.
    """
    acceptors = {}
    for i, string in strings.items():
        arcs = plan.lattices.var[plan.lattices.ptr[i] : plan.lattices.ptr[i + 1]]
        tree = Acceptor.excluding([string], int(plan.states[arcs].max()))
        acceptors[i] = Acceptor(tree.delta, np.ones_like(tree.accepting))
    return restrict(plan, acceptors)


def deviations(restriction: Restriction, strings: Mapping[int, np.ndarray]) -> np.ndarray:
    """bool (derived variables,): arcs on which a path becomes wrong, exactly one on every path of a wrong string.

    Those are the arcs that leave the correct string, and final arcs at which it is not yet complete.
    """
    lattices = restriction.plan.lattices
    out = np.zeros(restriction.plan.states.size, bool)
    for i, string in strings.items():
        span = slice(lattices.ptr[i], lattices.ptr[i + 1])
        arcs = lattices.var[span]
        before, after = restriction.steps[arcs].T
        left = string.size + 1
        leaves = (before != left) & (after == left)
        ends_early = (lattices.end[span] == lattices.nodes[i] - 1) & (after < string.size)
        out[arcs] = leaves | ends_early
    return out


__all__ = ["Energy", "Loss", "Margin", "NLL", "Perceptron", "augmented", "deviating", "deviations"]
