"""A loss of energies that come from elsewhere, and its gradient by them.

f(inputs) = loss(energies(inputs), answers),   ∂f/∂inputs[name] = what ∂loss/∂energies is at the tables of that input

so that any program that can differentiate computes energies, and is trained through inference: chain the gradient to
your own. Which labelling is best, and which latents explain an answer, is no longer asked once the gradient is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..graph import FactorGraph
from ..infer import Auto, Solver
from ..losses import Loss, check
from ..plan import Answers, read_answers


@dataclass(frozen=True)
class LossFunction:
    """`f(inputs) → (value, gradients)`, for arrays of numpy or whatever `numpy.asarray` takes.

    graph: with `External` factors, of one example or of many. loss, answers: as of `loss(plan, energies, answers)`.
    solver: as of `train`. parameters: of learned factors that the graph has as well; they stay as they are.
    reduction: "sum" of the values of all components, or their "mean".

    Errors: FactorGraphError for answers that do not fit, for a solver that cannot give what the loss asks, and, when
    called, for inputs that are missing, misshapen, NaN or −inf.
    """

    graph: FactorGraph
    loss: Loss
    answers: Answers | Mapping[Any, Any]
    solver: Solver | None = None
    parameters: Mapping[str, np.ndarray] | None = None
    reduction: str = "sum"

    def __post_init__(self) -> None:
        if self.reduction not in ("sum", "mean"):
            raise FactorGraphError(f"LossFunction: expected reduction to be 'sum' or 'mean'; got {self.reduction!r}")
        for name, part, kind, example in (
            ("graph", self.graph, FactorGraph, "FactorGraph()"),
            ("loss", self.loss, Loss, "losses.NLL()"),
            ("solver", self.solver, Solver | None, "Auto(), or None"),
        ):
            if not isinstance(part, kind):
                raise FactorGraphError(
                    f"LossFunction: expected {name} to be an object such as {example}; got {part!r}"
                )
        plan = self.graph.compile()
        given = self.answers
        known = given if isinstance(given, Answers) else read_answers(plan, self.graph.named(given))
        check(self.loss, plan, known, self.solver or Auto(), plan.components_or_all(None))
        object.__setattr__(self, "answers", known)

    def __call__(self, inputs: Mapping[str, Any]) -> tuple[float, dict[str, np.ndarray]]:
        """The value, float64, and for every input its gradient, of its own shape and the energies' dtype."""
        if not isinstance(inputs, Mapping):
            raise FactorGraphError(f"LossFunction: expected inputs to be {{name: array}}; got {type(inputs).__name__}")
        plan = self.graph.compile()
        arrays = {name: np.asarray(array) for name, array in inputs.items()}
        energies = self.graph.energies(self.parameters, arrays)
        value, gradient = self.loss(plan, energies, self.answers, self.solver)
        share = 1.0 if self.reduction == "sum" else 1.0 / max(1, plan.n_components)
        slopes = self.graph.input_gradients(gradient)
        return share * value, {name: share * slopes[name].reshape(array.shape) for name, array in arrays.items()}
