"""Optimisers that own the loop: their settings. The loops are in learn/, one file each.

The objective is that of the rules, P(w) = the mean loss of the examples + (l2 / 2) ‖w‖² (+ l1 Σ |w|). CRFsuite's
minimises the sum of N losses + c1 Σ |w| + c2 ‖w‖²: l1 = c1 / N, l2 = 2 c2 / N. The structural SVM is often written
½ ‖w‖² + C Σ losses: l2 = 1 / (C N).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import FactorGraphError
from .rule import Optimizer, Rule, check_counts, check_numbers
from .sgd import SGD


class Driver(Optimizer):
    """Base of the optimisers that own the loop."""


@dataclass(frozen=True)
class LBFGS(Driver):
    """L-BFGS on all examples at once, for losses with a gradient everywhere (NLL, SoftmaxMargin, SparseMAP, …).

    l2, l1: strengths of the penalties. iterations: at most so many where `train` is not told. tolerance: with l2 and a
    convex objective it is done where the gradient proves P to be within tolerance · P of its minimum; elsewhere where
    a gradient of at most tolerance · max(1, ‖w‖) is left. memory: so many past steps, and changes of the gradient.

    Errors: FactorGraphError for settings out of range; `train` refuses losses that have corners.
    """

    l2: float = 0.0
    l1: float = 0.0
    iterations: int = 100
    tolerance: float = 1e-5
    memory: int = 10

    def __post_init__(self) -> None:
        check_numbers(self, positive=(), non_negative=("l2", "l1", "tolerance"))
        check_counts(self, "iterations", "memory")


@dataclass(frozen=True)
class BCFW(Driver):
    """Block-coordinate Frank–Wolfe: structural SVMs without a rate, with a certificate of how near the optimum is.

    For losses that are maxima over answers (Margin, Perceptron, Hinge, …) of energies linear in the parameters,
    nothing latent. l2: strength of the penalty, above 0. gap: it is done where P is proven to be within gap · P of its
    minimum. average: answer with the weighted mean Σ t w_t / Σ t. iterations: passes, at most, where `train` is not
    told. One part of the parameters, as sparse as the gradient, is kept for every example.

    Errors: FactorGraphError for settings out of range; `train` refuses other losses, and starts other than 0.
    """

    l2: float = 0.01
    gap: float = 1e-3
    average: bool = True
    iterations: int = 100

    def __post_init__(self) -> None:
        check_numbers(self, positive=("l2",), non_negative=("gap",))
        check_counts(self, "iterations")


@dataclass(frozen=True)
class CCCP(Driver):
    """Concave-convex procedure, for losses whose correct side is a minimum: latents under Margin or LatentHinge, Ramp.

    In rounds: that minimum is taken once for all examples, and held; what is left is convex, and `inner` (an update
    rule or BCFW, from 0 anew) minimises it for `every` epochs. No round of an inner that reaches the optimum makes P
    worse.

    Errors: FactorGraphError for settings out of range; `train` refuses other losses.
    """

    inner: Optimizer = SGD()
    every: int = 5
    iterations: int = 50

    def __post_init__(self) -> None:
        check_counts(self, "every", "iterations")
        if not isinstance(self.inner, Rule | BCFW):
            raise FactorGraphError(f"CCCP: expected inner to be an update rule or BCFW; got {self.inner!r}")

    @property
    def anytime(self) -> bool:
        """See Optimizer.anytime."""
        return self.inner.anytime

    def _settings(self) -> dict[str, Any]:
        """See Optimizer._settings."""
        return super()._settings() | {"inner": self.inner.fingerprint()}
