"""One call of a loss: the answers that it asks for, each with its energy, and the configurations they add.

    gradient = Σ_c  ∂ℓ/∂E_1 · configurations(answer 1)  +  ∂ℓ/∂E_2 · configurations(answer 2)  + …

A `Side` is one such answer for every component: a loss turns the energies of its sides into a value, and hands back
the weight with which each side counts. Sums (free energies) count by their expected configurations.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..infer import Answer, Solver, Status
from ..infer.solution import TOLERANCE
from ..infer.solver import evaluate
from ..kernels.configurations import add_configurations, component_biases, contrast_configurations
from ..plan import Answers, Asked, Plan, Question


class Found(NamedTuple):
    """Labellings of some components: `at` int64, indices among those listed; labels int32 of the plan asked."""

    question: Question
    at: np.ndarray
    labels: np.ndarray


class Side(NamedTuple):
    """One answer to every listed component. value float64 (n,): its energy, bias included; +inf where there is none."""

    value: np.ndarray
    found: tuple[Found, ...]


class Problem:
    """What a loss is asked: energies, correct answers, a solver, the components `listed`, and where gradients go."""

    def __init__(
        self,
        plan: Plan,
        energies: np.ndarray,
        known: Answers,
        solver: Solver,
        listed: np.ndarray,
        gradient: np.ndarray,
        proven: np.ndarray | None = None,
    ):
        self.plan, self.energies, self.known, self.solver = plan, energies, known, solver
        self.listed, self.gradient, self.proven = listed, gradient, proven

    # ---------------------------------------------------------------- minima

    def correct(self) -> Side:
        """The correct answer, its latents completed as well as possible."""
        value, complete = np.full(self.listed.size, np.inf), self.known.complete[self.listed]
        whole, partial = np.flatnonzero(complete), np.flatnonzero(~complete)
        found = []
        if whole.size:
            asked = Question().of(self.plan, self.energies, self.listed[whole])
            value[whole], _ = evaluate(asked, self.known.labels)
            found.append(Found(Question(), whole, self.known.labels))
        if partial.size:
            rest = self.best(self.known.clamped(self.energies.dtype), "correct", partial)
            value[partial] = rest.value[partial]
            found += rest.found
        return Side(value, tuple(found))

    def best(self, question: Question, role: str, at: np.ndarray | None = None) -> Side:
        """The best answer to `question` of the components listed (or of those at `at`).

        role: sides of different roles keep their labels side by side.
        """
        at = np.arange(self.listed.size) if at is None else at
        asked = self._ask(question, self.listed[at])
        answer = self._minimise(asked, role)
        value = np.full(self.listed.size, np.inf)
        _, value[at] = evaluate(asked, answer.labels)
        value[at[answer.status[asked.components] == Status.INFEASIBLE]] = np.inf
        return Side(value, (Found(question, at, answer.labels),))

    def again(self, found: Found) -> Side:
        """Labellings of before, found.at the components they are for; +inf at components listed but not there."""
        at = np.flatnonzero(np.isin(self.listed, found.at))
        value = np.full(self.listed.size, np.inf)
        value[at], _ = evaluate(self._ask(found.question, self.listed[at]), found.labels)
        return Side(value, (Found(found.question, at, found.labels),))

    def contrast(self, question: Question) -> float:
        """Σ E_c − min over the answers to `question`; the gradient touches only factors that differ."""
        plan, listed = self.plan, self.listed
        if question.restriction is None and self.known.complete[listed].all():
            labels = self._minimise(question.of(plan, self.energies, listed), "free").labels
            value = np.empty(listed.size)
            contrast_configurations(
                listed, plan.factors, plan.states, self.energies, self.known.labels, labels, self.gradient, value
            )
            if question.bias is not None:
                offset = np.zeros(listed.size)
                component_biases(listed, *plan.members, plan.offsets, question.bias, labels, offset)
                value -= offset
            return float(value[np.isfinite(value)].sum())
        correct, best = self.correct(), self.best(question, "free")
        fine = np.isfinite(correct.value)
        self.add(correct, fine)
        self.add(best, -1.0 * fine)
        return float((correct.value[fine] - best.value[fine]).sum())

    def add(self, side: Side, weights: np.ndarray) -> None:
        """gradient += weights (n,) · configurations of the side's labellings."""
        for question, at, labels in side.found:
            at = at[(weights[at] != 0) & np.isfinite(side.value[at])]
            plan, gradient = self._layout(question, self.listed[at])
            each = weights[at].astype(np.float64)
            add_configurations(self.listed[at], plan.factors, plan.states, labels, each, gradient)
            self._lift(question, gradient, self.listed[at])

    def _minimise(self, asked: Asked, role: str) -> Answer:
        """Best labels, int32 (V,) of which those of the components asked are written, and statuses."""
        answer: Answer = self.known.remember(("answer", role, id(asked.plan)), lambda: Answer.empty(asked.plan))
        self.solver.minimise(asked, answer)
        if self.proven is not None:
            self._judge(asked, answer)
        return answer

    def _judge(self, asked: Asked, answer: Answer) -> None:
        """Exact by method, or by a closed gap."""
        status = answer.status[asked.components]
        open_ = asked.components[(status != Status.OPTIMAL) & (status != Status.INFEASIBLE)]
        if open_.size and self.proven is not None:
            _, least = evaluate(asked._replace(components=open_), answer.labels)
            with np.errstate(invalid="ignore"):
                closed = least - answer.bound[open_] <= TOLERANCE * np.maximum(1.0, np.abs(least))
            self.proven[open_[~closed]] = False

    # ---------------------------------------------------------------- sums

    def sum(self, question: Question, temperature: float, weight: float, at: np.ndarray | None = None) -> np.ndarray:
        """Free energies (of the components at `at`); adds weight · expected configurations."""
        components = self.listed if at is None else self.listed[at]
        asked = self._ask(question, components)
        if weight == 0.0:
            return self.solver.integrate(asked, temperature)
        _, gradient = self._layout(question, components)
        free = self.solver.integrate(asked, temperature, gradient=gradient, weight=weight)
        self._lift(question, gradient, components)
        return free

    def correct_sum(self, temperature: float, weight: float = 1.0) -> np.ndarray:
        """Free energies of the correct answer, latents summed out; adds weight · its expected configurations."""
        value, complete = np.empty(self.listed.size), self.known.complete[self.listed]
        whole, partial = np.flatnonzero(complete), np.flatnonzero(~complete)
        if whole.size:
            asked = Question().of(self.plan, self.energies, self.listed[whole])
            value[whole], _ = evaluate(asked, self.known.labels)
            self.add(Side(value, (Found(Question(), whole, self.known.labels),)), np.full(self.listed.size, weight))
        if partial.size:
            value[partial] = self.sum(self.known.clamped(self.energies.dtype), temperature, weight, partial)
        return value

    def part(self, components: np.ndarray) -> Problem:
        """The same of some components."""
        return Problem(self.plan, self.energies, self.known, self.solver, components, self.gradient, self.proven)

    def of(self, energies: np.ndarray) -> Problem:
        """The same of other energies, in another dtype perhaps; the gradient stays where it was."""
        return Problem(self.plan, energies, self.known, self.solver, self.listed, self.gradient, self.proven)

    def wide(self) -> Problem:
        """The same in float64."""
        if self.energies.dtype == np.float64:
            return self
        energies = self.plan.zeros(np.float64)
        energies[:] = self.energies
        return self.of(energies)

    def keep(self, fine: np.ndarray) -> None:
        """Go on with some of the components only."""
        if not fine.all():
            self.listed = self.listed[fine]

    # ---------------------------------------------------------------- restrictions

    def _ask(self, question: Question, components: np.ndarray) -> Asked:
        if question.restriction is None:
            return question.of(self.plan, self.energies, components)
        workspace = self._workspace(question)[0]
        asked = question.of(self.plan, self.energies, self._some(components), workspace)
        return asked._replace(components=components)

    def _layout(self, question: Question, components: np.ndarray) -> tuple[Plan, np.ndarray]:
        """The plan that a question is put to, and a gradient in the layout of its energies."""
        if question.restriction is None:
            return self.plan, self.gradient
        derived, gradient = question.restriction.plan, self._workspace(question)[1]
        derived.clear(gradient, self._some(components))
        return derived, gradient

    def _workspace(self, question: Question) -> tuple[np.ndarray, np.ndarray]:
        """Energies and a gradient of the derived plan, made once. The question is kept: its id stays its own."""
        assert question.restriction is not None
        derived, dtype = question.restriction.plan, self.energies.dtype
        made = self.known.remember(
            ("workspace", id(question), dtype), lambda: (derived.zeros(dtype), derived.zeros(dtype), question)
        )
        return made[0], made[1]

    def _lift(self, question: Question, gradient: np.ndarray, components: np.ndarray) -> None:
        if question.restriction is not None:
            question.restriction.add_gradient(gradient, self.gradient, self._some(components))

    def _some(self, components: np.ndarray) -> np.ndarray | None:
        """None where all are meant, which is found faster."""
        return None if components.size == self.plan.n_components else components
