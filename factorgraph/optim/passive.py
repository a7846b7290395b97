"""Passive-aggressive steps: the least change of the weights that repairs the loss of an example.

    w ← w − τ g,    τ = min(C, ℓ / ‖g‖²)  (PA-I),    τ = ℓ / (‖g‖² + 1 / (2C))  (PA-II)

with the loss ℓ and its gradient g: for Margin, ℓ + ⟨g, u − w⟩ is what the rival found costs at u, so that PA-I
minimises ½ ‖u − w‖² + C · [that]+.

K. Crammer, O. Dekel, J. Keshet, S. Shalev-Shwartz, Y. Singer, "Online passive-aggressive algorithms" (2006).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .rows import Gradient, Gradients, Parameters, Rows, State
from .rule import Rule, check_numbers, mean, move, offsets


@dataclass(frozen=True)
class PassiveAggressive(Rule):
    """Passive-aggressive updates; meant for Margin, one example at a time (`batch=1`).

    limit: C, the largest step (PA-I), or how soft its bound is (PA-II, `squared=True`). average: as of SGD.

    Errors: FactorGraphError for a limit that is not finite or not above 0.
    """

    limit: float = 1.0
    squared: bool = False
    average: bool = False

    def __post_init__(self) -> None:
        check_numbers(self, positive=("limit",), non_negative=())

    def init(self, parameters: Mapping[str, np.ndarray]) -> State:
        """`offset:name` is u of the average, see rule.py; total the number of steps."""
        state: State = {"step": 0, "progress": 0.0, "total": 0.0}
        return state | (offsets(parameters) if self.average else {})

    def update(self, parameters: Parameters, gradients: Gradients, state: State, loss: float = 0.0) -> None:
        """See Rule.update; rows that no sparse gradient names stay untouched."""
        norm = sum(_square(gradient) for gradient in gradients.values())
        if loss > 0 and norm > 0:
            step = loss / (norm + 0.5 / self.limit) if self.squared else min(self.limit, loss / norm)
            move(parameters, gradients, state, -step, state["total"])
        state["step"] += 1
        state["total"] += 1.0

    def final(self, parameters: Mapping[str, np.ndarray], state: State) -> Parameters:
        """See Rule.final."""
        if self.average and state["step"]:
            return mean(parameters, state, state["total"])
        return {name: array.copy() for name, array in parameters.items()}


def _square(gradient: Gradient) -> float:
    """Sum of squares, float64."""
    if isinstance(gradient, Rows):
        return gradient.square()
    values = np.asarray(gradient, np.float64)
    return float(np.vdot(values, values))
