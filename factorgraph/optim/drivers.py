"""Optimisers that own the loop: their settings. The loops are in learn/, one file each.

The objective is that of the rules, P(w) = the mean loss of the examples + (l2 / 2) ‖w‖² (+ l1 Σ |w|). CRFsuite's
minimises the sum of N losses + c1 Σ |w| + c2 ‖w‖²: l1 = c1 / N, l2 = 2 c2 / N. The structural SVM is often written
½ ‖w‖² + C Σ losses: l2 = 1 / (C N).
"""

from __future__ import annotations

from dataclasses import dataclass

from .rule import Optimizer, check_counts, check_numbers


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
