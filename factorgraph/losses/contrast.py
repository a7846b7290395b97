"""Losses of two energies: E_c of the correct answer and E_i of the most offending incorrect one.

    Hinge              [m + E_c − E_i]+                     LeCun and Huang 2005; margin m
    Log                log(1 + exp(E_c − E_i))              a soft hinge: some margin everywhere
    LVQ2               min(1, [(E_c − E_i) / (δ E_i)]+)     Kohonen 1990; of energies > 0
    MCE                1 / (1 + exp(E_i − E_c))             Juang, Hou, Lee 1997; counts errors softly
    SquareSquare       E_c² + ([m − E_i]+)²                 Hadsell, Chopra, LeCun 2006; of energies ≥ 0
    SquareExponential  E_c² + γ exp(−E_i)                   Chopra, Hadsell, LeCun 2005; of energies ≥ 0

Each is a function of two numbers: `at` gives its values and its slopes by both, for all components at once.
LeCun, Chopra, Hadsell, Ranzato, Huang (2006), section 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit

from ..errors import FactorGraphError
from .incorrect import incorrect
from .loss import Loss, Needs
from .problem import Problem

Slopes = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Contrast(Loss):
    """Base of the losses of (E_c, E_i)."""

    needs: ClassVar[Needs] = Needs.COMPLETION | Needs.INCORRECT

    def at(self, correct: np.ndarray, rival: np.ndarray) -> Slopes:
        """Values, slopes by E_c and slopes by E_i; E_i is +inf where no other answer is possible."""
        raise NotImplementedError

    def _evaluate(self, problem: Problem) -> float:
        correct = problem.correct()
        fine = np.isfinite(correct.value)
        rival = incorrect(problem)
        value, pull, push = self.at(np.where(fine, correct.value, 0.0), rival.value)
        problem.add(correct, pull * fine)
        problem.add(rival, push * fine)
        return float(value[fine].sum())


def _check(loss: Loss, name: str, value: float) -> None:
    if not (value > 0 and np.isfinite(value)):
        raise FactorGraphError(f"{type(loss).__name__}: expected a finite {name} > 0; got {value!r}")


@dataclass(frozen=True)
class Hinge(Contrast):
    """[m + E_c − E_i]+: the correct answer shall lie m below the best other one."""

    margin: float = 1.0
    margin_kind: ClassVar[str] = "m"
    convex: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, "margin", self.margin)

    def at(self, correct: np.ndarray, rival: np.ndarray) -> Slopes:
        """See Contrast.at."""
        value = np.maximum(self.margin + correct - rival, 0.0)
        active = (value > 0).astype(np.float64)
        return value, active, -active


@dataclass(frozen=True)
class Log(Contrast):
    """log(1 + exp(E_c − E_i)): a soft hinge."""

    margin_kind: ClassVar[str] = ">0"

    def at(self, correct: np.ndarray, rival: np.ndarray) -> Slopes:
        """See Contrast.at."""
        slope = expit(correct - rival)
        return np.logaddexp(0.0, correct - rival), slope, -slope


@dataclass(frozen=True)
class MCE(Contrast):
    """1 / (1 + exp(E_i − E_c)): the number of errors, made smooth."""

    margin_kind: ClassVar[str] = ">0"

    def at(self, correct: np.ndarray, rival: np.ndarray) -> Slopes:
        """See Contrast.at."""
        value = expit(correct - rival)
        slope = value * expit(rival - correct)
        return value, slope, -slope


@dataclass(frozen=True)
class LVQ2(Contrast):
    """min(1, [(E_c − E_i) / (δ E_i)]+), of energies ≥ 0; δ is the relative width of the window in which it learns."""

    window: float = 0.1
    margin_kind: ClassVar[str] = "0"
    flat_is_optimal: ClassVar[bool] = True
    nonnegative: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, "window", self.window)

    def at(self, correct: np.ndarray, rival: np.ndarray) -> Slopes:
        """See Contrast.at. 0 where both are 0; energies below 0 are refused."""
        if min(correct.min(initial=0.0), rival.min(initial=0.0)) < 0:
            raise FactorGraphError(
                "LVQ2: expected energies ≥ 0, of which it takes a ratio; got negative ones. Use factors that cannot be "
                "negative (distances, squares), or another loss, e.g. Hinge()"
            )
        wrong = correct > rival
        safe = np.where(wrong & (rival > 0), rival, 1.0)
        ratio = np.where(wrong, np.where(rival > 0, (correct - safe) / (self.window * safe), 1.0), 0.0)
        inside = wrong & (ratio < 1.0)
        pull = np.where(inside, 1.0 / (self.window * safe), 0.0)
        push = np.where(inside, -correct / (self.window * safe**2), 0.0)
        return np.minimum(ratio, 1.0), pull, push


@dataclass(frozen=True)
class SquareSquare(Contrast):
    """E_c² + ([m − E_i]+)²: pins the correct energy to 0 and holds others above m; of energies ≥ 0."""

    margin: float = 1.0
    margin_kind: ClassVar[str] = "m"
    nonnegative: ClassVar[bool] = True
    calibrated: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, "margin", self.margin)

    def at(self, correct: np.ndarray, rival: np.ndarray) -> Slopes:
        """See Contrast.at."""
        short = np.maximum(self.margin - rival, 0.0)
        return correct**2 + short**2, 2 * correct, -2 * short


@dataclass(frozen=True)
class SquareExponential(Contrast):
    """E_c² + γ exp(−E_i): pins the correct energy to 0 and pushes others up without an end; of energies ≥ 0."""

    weight: float = 1.0
    margin_kind: ClassVar[str] = ">0"
    nonnegative: ClassVar[bool] = True
    calibrated: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, "weight", self.weight)

    def at(self, correct: np.ndarray, rival: np.ndarray) -> Slopes:
        """See Contrast.at."""
        push = self.weight * np.exp(-rival)
        return correct**2 + push, 2 * correct, -push
