"""Losses of sums over all answers: free energies F = −T log Σ exp(−E / T), latents summed out along with the rest.

    NLL            F_c − F = −T log P(Y_c)                    conditional random fields; MMI: Bahl et al. 1986
    MEE            1 − P(Y_c)                                 minimum empirical error (Ljolje, Ephraim, Rabiner 1990)
    SoftmaxMargin  F_c + T log Σ_Y exp((Δ(Y) − E(Y)) / T)     Gimpel, Smith 2010

Gradients are differences of expected configurations: those of the correct answer minus those of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..plan import Question
from .loss import Loss, Needs
from .minima import Costly
from .problem import Problem


def _check(loss: Loss, temperature: float) -> None:
    if not (temperature > 0 and np.isfinite(temperature)):
        raise FactorGraphError(f"{type(loss).__name__}: expected a finite temperature > 0; got {temperature!r}")


def _likelihood(problem: Problem, question: Question, temperature: float) -> float:
    """Σ F_c − F of all answers under `question`, and its gradient."""
    correct = problem.correct_sum(temperature)
    fine = np.isfinite(correct)
    problem.keep(fine)
    free = problem.sum(question, temperature, -1.0)
    return float((correct[fine] - free).sum())


@dataclass(frozen=True)
class NLL(Loss):
    """Negative log-likelihood of the correct answer, times T: conditional random fields; MMI with latents, summed."""

    latent: str = "sum"
    temperature: float = 1.0
    natural: ClassVar[tuple[str, ...]] = ("sum",)
    needs: ClassVar[Needs] = Needs.COMPLETION | Needs.MARGINALS
    margin_kind: ClassVar[str] = ">0"
    convex: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, self.temperature)

    def _evaluate(self, problem: Problem) -> float:
        return _likelihood(problem, Question(), self.temperature)


@dataclass(frozen=True)
class SoftmaxMargin(Costly):
    """The likelihood in which costly answers count more: a margin loss with sums in place of maxima."""

    latent: str = "sum"
    temperature: float = 1.0
    natural: ClassVar[tuple[str, ...]] = ("sum",)
    needs: ClassVar[Needs] = Needs.COMPLETION | Needs.AUGMENTED | Needs.MARGINALS
    margin_kind: ClassVar[str] = ">0"
    convex: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, self.temperature)

    def _evaluate(self, problem: Problem) -> float:
        return _likelihood(problem, self._augmented(problem), self.temperature)


@dataclass(frozen=True)
class MEE(Loss):
    """1 − P(Y_c): the probability of answering wrongly by a draw. Bounded, so that outliers count little.

    Its gradient weighs every component by its own P (1 − P), so sums are asked component by component.
    """

    latent: str = "sum"
    temperature: float = 1.0
    natural: ClassVar[tuple[str, ...]] = ("sum",)
    needs: ClassVar[Needs] = Needs.COMPLETION | Needs.MARGINALS
    margin_kind: ClassVar[str] = ">0"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, self.temperature)

    def _evaluate(self, problem: Problem) -> float:
        correct = problem.correct_sum(self.temperature, 0.0)
        fine = np.isfinite(correct)
        problem.keep(fine)
        free = problem.sum(Question(), self.temperature, 0.0)
        probability = np.exp(np.minimum(free - correct[fine], 0.0) / self.temperature)
        for component, p in zip(problem.listed.tolist(), probability.tolist()):
            one = problem.part(np.array([component]))
            one.correct_sum(self.temperature, p / self.temperature)
            one.sum(Question(), self.temperature, -p / self.temperature)
        return float((1.0 - probability).sum())
