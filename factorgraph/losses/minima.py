"""Losses of minima: the correct energy against the best of all answers, their costs Δ taken off or not.

    Energy       E_c                                       collapses where energies can be pulled down everywhere
    Perceptron   E_c − min_Y E(Y)                          Collins 2002; LeCun, Bottou, Bengio, Haffner 1998
    Margin       E_c + max_Y (Δ(Y) − E(Y))                 Taskar, Guestrin, Koller 2003; Tsochantaridis et al. 2005
    LatentHinge  min_Z E(Y_c, Z) + max_{Y,Z} (Δ(Y, Z) − E(Y, Z))      Yu, Joachims 2009
    Ramp         min_Y E(Y) + max_Y (Δ(Y) − E(Y))          Do, Le, Teo, Chapelle, Smola 2008; McAllester, Keshet 2011

With latents minimised E(Y) = min_Z E(Y, Z).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..plan import Answers, Plan, Question
from .costs import Cost, augmented, costs
from .loss import Loss, Needs
from .mixed import Mixed
from .problem import Problem


@dataclass(frozen=True)
class Energy(Loss):
    """E_c: pulls the correct answer down, pushes nothing up; collapses unless the factors cannot."""

    natural: ClassVar[tuple[str, ...]] = ("min", "sum")
    flat_is_optimal: ClassVar[bool] = True
    convex: ClassVar[bool] = True

    def _evaluate(self, problem: Problem) -> float:
        if self.latent == "sum":
            value = problem.correct_sum(1.0)
        else:
            side = problem.correct()
            problem.add(side, np.ones(side.value.size))
            value = side.value
        return float(value[np.isfinite(value)].sum())


@dataclass(frozen=True)
class Perceptron(Loss):
    """E_c − min E: zero as soon as the correct answer is the best one (Collins 2002)."""

    needs: ClassVar[Needs] = Needs.COMPLETION | Needs.MAP
    margin_kind: ClassVar[str] = "0"
    flat_is_optimal: ClassVar[bool] = True
    convex: ClassVar[bool] = True

    def _evaluate(self, problem: Problem) -> float:
        return problem.contrast(Question())


@dataclass(frozen=True)
class Costly(Loss):
    """Base of the losses with a cost.

    scale: cost of one wrong variable (Hamming Δ); for a lattice, of any string but the correct one; factor of `cost`.
    cost: other costs than 1 per wrong variable, {name: array of shape (K, K), [correct, label]}, or (*shape, K) for
    every variable its own, or one flat array over all variable states; not negative, 0 for the correct answer.
    """

    scale: float = 1.0
    cost: Cost = field(default=None, compare=False)
    margin_kind: ClassVar[str] = "Δ"
    #: Whether latent variables may have a cost.
    hidden: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.scale >= 0 and np.isfinite(self.scale)):
            raise FactorGraphError(f"{type(self).__name__}: expected a finite scale ≥ 0; got {self.scale!r}")

    def _over(self, rest: Mixed, known: Answers) -> Loss:
        """See Loss._over: costs go with their variables."""
        cost = rest.parts.answers.bias(costs(rest.base, known, self.scale, self.cost))
        cost[rest.plan.offsets[rest.parts.free.size] :] = 0.0  # stand-ins
        return replace(self, scale=1.0, cost=cost)

    def question(self, plan: Plan, answers: Answers, dtype: Any) -> Question:
        """The question of the answer of least E − Δ."""
        return augmented(plan, answers, self.scale, dtype, self.cost, self.hidden)

    def _augmented(self, problem: Problem) -> Question:
        return self.question(problem.plan, problem.known, problem.energies.dtype)


@dataclass(frozen=True)
class Margin(Costly):
    """E_c + max_Y (Δ(Y) − E(Y)): every wrong answer shall lie Δ above the correct one (Taskar 2003)."""

    needs: ClassVar[Needs] = Needs.COMPLETION | Needs.AUGMENTED
    convex: ClassVar[bool] = True

    def _evaluate(self, problem: Problem) -> float:
        return problem.contrast(self._augmented(problem))


@dataclass(frozen=True)
class LatentHinge(Costly):
    """Margin, with costs that may depend on latents: {name of a latent: array of shape (*shape, K)}."""

    needs: ClassVar[Needs] = Needs.COMPLETION | Needs.AUGMENTED
    hidden: ClassVar[bool] = True
    convex: ClassVar[bool] = True

    def _evaluate(self, problem: Problem) -> float:
        return problem.contrast(self._augmented(problem))


@dataclass(frozen=True)
class Ramp(Costly):
    """min E + max_Y (Δ(Y) − E(Y)): the cost of the answer given, bounded from above; not convex, and consistent."""

    needs: ClassVar[Needs] = Needs.COMPLETION | Needs.MAP | Needs.AUGMENTED

    def _evaluate(self, problem: Problem) -> float:
        problem.keep(np.isfinite(problem.correct().value))
        best = problem.best(Question(), "free")
        costly = problem.best(self._augmented(problem), "augmented")
        ones = np.ones(problem.listed.size)
        problem.add(best, ones)
        problem.add(costly, -ones)
        return float((best.value - costly.value).sum())
