"""Slack rescaling: max_Y Δ(Y) (1 + E_c − E(Y)), every wrong answer shall lie 1 above, and counts by its cost.

Δ multiplies E, so no bias asks for the worst answer. Exact where the least energy at every total cost is found
(counting.py: forests, costs that are whole numbers), and on lattices, whose wrong strings all cost the same. Elsewhere
by a search for the λ of

    max_Y Δ s ,  s = 1 + E_c − E:   on the upper hull of all (Δ(Y), s(Y)) the best point has s / Δ = λ

where λ is the slope of the hull there: argmin E − λ Δ walks along the hull. Answers below the hull are never seen, so
what is found bounds the loss from below.

Tsochantaridis, Joachims, Hofmann, Altun, "Large margin methods for structured and interdependent output variables"
(2005); Sarawagi, Gupta, "Accurate max-margin training for structured output spaces" (2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels.configurations import component_biases
from ..kernels.simd import buffer
from ..kernels.structure import LATTICE, LOOPY
from ..plan import Plan, Question
from .costs import costs
from .counting import branches, least_by_cost
from .incorrect import incorrect
from .loss import Needs
from .minima import Costly
from .problem import Found, Problem, Side

#: Bisections of the search for λ.
STEPS = 24


@dataclass(frozen=True)
class SlackMargin(Costly):
    """max_Y Δ(Y) (1 + E_c − E(Y)), with costs Δ that are whole numbers; a lower bound of it on graphs with cycles."""

    needs: ClassVar[Needs] = Needs.COMPLETION | Needs.AUGMENTED
    margin_kind: ClassVar[str] = "1"
    convex: ClassVar[bool] = True

    def bounded(self, plan: Plan, components: np.ndarray) -> np.ndarray:
        """Graphs with cycles."""
        return np.asarray(plan.kinds[components] == LOOPY)

    def _evaluate(self, problem: Problem) -> float:
        problem.keep(np.isfinite(problem.correct().value))
        correct, kinds = problem.correct(), problem.plan.kinds[problem.listed]
        value = np.zeros(problem.listed.size)
        for mask, worst in (
            (kinds < LATTICE, self._counted),
            (kinds == LATTICE, self._strings),
            (kinds == LOOPY, self._searched),
        ):
            at = np.flatnonzero(mask)
            if at.size:
                part = problem.part(problem.listed[at])
                cost, rival = worst(part, correct.value[at])
                slack = np.maximum(1.0 + correct.value[at] - rival.value, 0.0)
                cost = np.where(slack > 0, cost, 0.0)
                value[at] = cost * slack
                part.add(rival, -cost)
                weights = np.zeros(value.size)
                weights[at] = cost
                problem.add(correct, weights)
        return float(value.sum())

    def _costs(self, problem: Problem) -> np.ndarray:
        return costs(problem.plan, problem.known, self.scale, self.cost)

    def _counted(self, problem: Problem, correct: np.ndarray) -> tuple[np.ndarray, Side]:
        """Forests: the best answer of every total cost."""
        plan, known, flat = problem.plan, problem.known, self._costs(problem)
        whole = flat.astype(np.int64)
        if (whole != flat).any():
            raise FactorGraphError(
                "SlackMargin: expected costs that are whole numbers, which it counts; got others. Use larger units, or "
                "Margin()"
            )
        labels = np.zeros(plan.states.size, np.int32)
        energy, cost = np.full(problem.listed.size, np.inf), np.zeros(problem.listed.size)
        for i, c in enumerate(problem.listed.tolist()):
            tree = known.remember(("branches", c), partial(branches, plan, c))
            least, trace = least_by_cost(plan, problem.energies, c, tree, whole)
            with np.errstate(invalid="ignore"):
                slack = np.where(np.isfinite(least), np.arange(least.size) * (1.0 + correct[i] - least), -np.inf)
            best = int(slack.argmax())
            energy[i], cost[i] = least[best], best
            labelling = trace(best)
            labels[list(labelling)] = list(labelling.values())
        return cost, Side(energy, (Found(Question(), np.arange(problem.listed.size), labels),))

    def _strings(self, problem: Problem, correct: np.ndarray) -> tuple[np.ndarray, Side]:
        """Lattices: every wrong string costs the same."""
        return np.full(correct.size, self.scale), incorrect(problem)

    def _searched(self, problem: Problem, correct: np.ndarray) -> tuple[np.ndarray, Side]:
        """Elsewhere: the best of the answers that the search for λ sees."""
        plan, flat = problem.plan, self._costs(problem)
        if problem.proven is not None:
            problem.proven[problem.listed] = False
        low, high = np.zeros(correct.size), np.full(correct.size, np.inf)
        rate, labels = np.ones(correct.size), np.full(plan.states.size, -1, np.int32)
        value, energy, cost = np.zeros(correct.size), np.full(correct.size, np.inf), np.zeros(correct.size)
        bias, by_component = buffer(plan.variable_states, problem.energies.dtype), np.zeros(plan.n_components)
        for _ in range(STEPS):
            by_component[problem.listed] = rate
            bias[:] = -flat * np.repeat(by_component[plan.component], plan.states)
            side = problem.best(Question(bias), "augmented")
            (_, _, seen), spent = side.found[0], np.zeros(correct.size)
            component_biases(problem.listed, *plan.members, plan.offsets, flat, seen, spent)
            found = side.value + rate * spent
            slack = 1.0 + correct - found
            better = spent * slack > value
            value[better], energy[better], cost[better] = (spent * slack)[better], found[better], spent[better]
            taken = plan.inside(problem.listed[better])
            labels[taken] = seen[taken]
            up = slack > rate * spent
            low, high = np.where(up, rate, low), np.where(up, high, rate)
            rate = np.where(np.isfinite(high), (low + high) / 2, 2 * rate)
        return cost, Side(energy, (Found(Question(), np.arange(correct.size), labels),))
