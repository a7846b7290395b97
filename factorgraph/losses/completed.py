"""Losses whose correct side is held: a convex bound of those in which that side is a minimum.

    Margin, LatentHinge    min_Z E(Y_c, Z) + max (Δ − E)   ≤   E(Y_c, Z₀) + max (Δ − E)
    Ramp                   min_Y E(Y)      + max (Δ − E)   ≤   E(Y₀)      + max (Δ − E)

with equality where Z₀ (or Y₀) is the minimum: minimising the bound, and taking it anew, is the concave-convex
procedure (Yuille, Rangarajan 2003; Yu, Joachims 2009).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..infer import Solver
from ..plan import Answers, Plan, Question
from .loss import Loss, Needs
from .minima import Costly, LatentHinge, Margin, Perceptron, Ramp
from .problem import Found, Problem


@dataclass(frozen=True)
class Completed(Loss):
    """A loss with its correct side held: `held` are labellings, at the components for which each is."""

    of: Loss = Perceptron()
    held: tuple[Found, ...] = ()
    needs: ClassVar[Needs] = Needs.COMPLETION | Needs.AUGMENTED
    convex: ClassVar[bool] = True

    def settled(self, answers: Answers) -> bool:
        """See Loss.settled."""
        return True

    def _natural(self, known: Answers, listed: np.ndarray) -> bool:
        return True

    def _evaluate(self, problem: Problem) -> float:
        value = np.full(problem.listed.size, np.inf)
        sides = [problem.again(found) for found in self.held]
        for side in sides:
            value = np.minimum(value, side.value)
        fine = np.isfinite(value)
        question = self.of._augmented(problem) if isinstance(self.of, Costly) else Question()
        rival = problem.best(question, "free")
        for side in sides:
            problem.add(side, 1.0 * fine)
        problem.add(rival, -1.0 * fine)
        return float((value[fine] - rival.value[fine]).sum())


def completed(
    loss: Loss, plan: Plan, energies: np.ndarray, answers: Answers, solver: Solver, components: np.ndarray
) -> Completed:
    """The bound that touches `loss` at these energies.

    Errors: FactorGraphError for losses without such a side.
    """
    if not isinstance(loss, Perceptron | Margin | LatentHinge | Ramp) or loss.latent != "min":
        raise FactorGraphError(
            f"CCCP: expected a loss whose correct side is a minimum, Margin(), LatentHinge(), Perceptron() or Ramp(); "
            f"got {loss!r}. Other losses are for the update rules"
        )
    problem = Problem(plan, energies, answers, solver, components, np.zeros(0, energies.dtype))
    side = problem.best(Question(), "held") if isinstance(loss, Ramp) else problem.correct()
    held = tuple(Found(found.question, components[found.at], found.labels.copy()) for found in side.found)
    return Completed(of=loss, held=held)
