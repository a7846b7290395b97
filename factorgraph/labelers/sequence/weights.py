"""Weights of sequences and of labels in a loss.

Σ_i w_i loss_i        sequences
Δ(y, y') = w_y        what it costs to miss label y, for wrong y'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...errors import FactorGraphError, listed
from ...infer import Solver
from ...losses import Costly, Loss, Margin, Needs
from ...plan import Answers, Plan


@dataclass(frozen=True)
class Weighted(Loss):
    """Another loss, the components' values and gradients times their weights.

    weights: float64 (C,), not negative. Components of one weight are asked together.
    """

    inner: Loss = field(default_factory=Margin)
    weights: np.ndarray = field(default_factory=lambda: np.ones(0))

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("natural", "needs", "margin_kind", "flat_is_optimal", "nonnegative", "calibrated", "convex"):
            object.__setattr__(self, name, getattr(self.inner, name))

    def settled(self, answers: Answers) -> bool:
        """As the inner loss."""
        return self.inner.settled(answers)

    def asks(self) -> Needs:
        """As the inner loss."""
        return self.inner.asks()

    def smooth(self) -> bool:
        """As the inner loss."""
        return self.inner.smooth()

    def over_answers(self, plan: Plan, known: Answers, listed: np.ndarray, solver: Solver) -> Any:
        """As the inner loss."""
        return self.inner.over_answers(plan, known, listed, solver)

    def bounded(self, plan: Plan, components: np.ndarray) -> np.ndarray:
        """As the inner loss."""
        return self.inner.bounded(plan, components)

    def __call__(
        self,
        plan: Plan,
        energies: np.ndarray,
        answers: Answers | Mapping[Any, Any],
        solver: Solver | None = None,
        components: np.ndarray | None = None,
        out: np.ndarray | None = None,
        proven: np.ndarray | None = None,
    ) -> tuple[float, np.ndarray]:
        """See Loss."""
        chosen = plan.components_or_all(components)
        total, gradient = 0.0, plan.zeros(energies.dtype) if out is None else out
        part = plan.zeros(energies.dtype)
        plan.clear(gradient, None if components is None else chosen)
        weights = self.weights[chosen]
        for weight in np.unique(weights[weights > 0]).tolist():
            some = chosen[weights == weight]
            value, _ = self.inner(plan, energies, answers, solver, some, part, proven)
            total += weight * value
            for index, block in enumerate(plan.blocks):
                rows = plan.rows(index, some)
                span = slice(None) if rows is None else rows
                block.view(gradient)[span] += weight * block.view(part)[span]
        return total, gradient


def weigh_labels(loss: Loss, class_weight: Any, classes: np.ndarray, answers: list[np.ndarray]) -> Loss:
    """The loss with costs Δ(y, y') = weight of the correct label y, for wrong y'.

    class_weight: {label: weight}, 1 for the others, or "balanced": N / (K · number of tokens of the label).
    """
    if class_weight is None:
        return loss
    if not isinstance(loss, Costly):
        raise FactorGraphError(
            f"class_weight: expected a loss with costs, such as 'margin' or losses.SoftmaxMargin(); got {loss!r}. The "
            "weight of a label is the cost of missing it"
        )
    if isinstance(class_weight, str) and class_weight == "balanced":
        known = np.concatenate([each[each >= 0] for each in answers if each.ndim == 1] or [np.zeros(0, int)])
        count = np.maximum(np.bincount(known, minlength=classes.size), 1)
        weights = known.size / (classes.size * count)
    elif isinstance(class_weight, Mapping):
        if unknown := set(class_weight) - set(classes.tolist()):
            raise FactorGraphError(f"class_weight: expected labels among {listed(classes)}; got {listed(unknown)}")
        weights = np.array([class_weight.get(label, 1.0) for label in classes.tolist()], np.float64)
    else:
        raise FactorGraphError(f"class_weight: expected None, 'balanced' or a dict of labels; got {class_weight!r}")
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise FactorGraphError(f"class_weight: expected finite weights ≥ 0; got {weights.tolist()}")
    cost = weights[:, None] * (1.0 - np.eye(classes.size))
    return replace(loss, cost={"y": cost})


def weigh_sequences(loss: Loss, sample_weight: Any, count: int) -> Loss:
    """The loss of sequences with weights. Components are sequences, in their order."""
    if sample_weight is None:
        return loss
    weights = np.asarray(sample_weight, np.float64)
    if weights.shape != (count,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise FactorGraphError(
            f"sample_weight: expected {count} finite weights ≥ 0, one for each sequence; got an array of shape "
            f"{weights.shape}"
        )
    if (weights == 1).all():
        return loss
    return Weighted(latent=loss.latent, inner=loss, weights=weights)
