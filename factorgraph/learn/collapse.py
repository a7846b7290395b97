"""Can this loss collapse on this architecture, and has it?

A surface that is flat (all answers to an input equally good) answers nothing. A loss whose value is nowhere lower than
there may end there, if the architecture can be flat. Put into the plane of (E_c, E_i), the energies of the correct
answer and of the best incorrect one, answering right means E_c < E_i, with a margin E_c + m < E_i.

LeCun, Chopra, Hadsell, Ranzato, Huang, "A tutorial on energy-based learning" (2006), sections 2.2 and 2.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..infer import Auto, Solver
from ..losses import Contrast, Hinge, Loss, Problem, check, incorrect
from .contrast import FLAT, Probe
from .model import Model


@dataclass(frozen=True)
class Collapse:
    """What `collapse_report` found. str() says it in words.

    value: the mean loss (of components) as the surface stands. flat: the least mean loss of a flat surface.
    can_be_flat: whether all parameters 0 make a flat surface. contrast, first: by how much energies of different
    answers differ now, and at the starting values. correct, incorrect: float64 (components,) energies of the correct
    answer and of the best other one. margin: that of the loss, 0 where it has none of its own.
    """

    loss: Loss
    value: float
    flat: float
    can_be_flat: bool
    contrast: float
    first: float
    correct: np.ndarray
    incorrect: np.ndarray
    margin: float

    @property
    def may_collapse(self) -> bool:
        """Whether nothing keeps this loss from a flat surface on this architecture."""
        return self.loss.flat_is_optimal and self.can_be_flat

    @property
    def collapsed(self) -> bool:
        """Whether the surface is flat, compared with where it started or with the energies themselves."""
        scale = max(self.first, float(np.abs(self.correct).mean()) if self.correct.size else 0.0)
        return bool(self.contrast <= FLAT * scale)

    def __str__(self) -> str:
        name, count = type(self.loss).__name__, self.correct.size
        right = np.count_nonzero(self.correct < self.incorrect)
        beyond = np.count_nonzero(self.correct + self.margin < self.incorrect)
        best = "no surface has less" if self.loss.flat_is_optimal else "others have less"
        lines = [
            f"{name}: {self.flat:.4g} on a flat surface ({best}), {self.value:.4g} as the surface stands.",
            f"All parameters 0 {'make' if self.can_be_flat else 'do not make'} this architecture flat"
            + (": with this loss it may collapse." if self.may_collapse else "."),
            f"Energies of different answers differ by {self.contrast:.4g} on average, {self.first:.4g} at the start"
            + (": the surface is flat." if self.collapsed else "."),
            f"Of {count} correct answers {right} lie below every other one, {beyond} by more than {self.margin:g}.",
        ]
        return "\n".join(lines)


def collapse_report(
    model: Model,
    loss: Loss,
    X: Iterable[Any],
    Y: Sequence[Any],
    parameters: Mapping[str, np.ndarray] | None = None,
    solver: Solver | None = None,
    seed: int = 0,
) -> Collapse:
    """Where `loss` stands on a flat surface and on that of `parameters` (of the starting values, by default).

    Errors: FactorGraphError as in `train`, and where the best incorrect answer cannot be found exactly.
    """
    if not isinstance(model, Model) or not isinstance(loss, Loss):
        raise FactorGraphError(
            f"collapse_report: expected a Model and a loss, e.g. losses.NLL(); got {model!r}, {loss!r}"
        )
    declared, solver = model.declare(X), solver or Auto()
    answers, plan = declared.read_answers(Y), declared.compile()
    every = np.arange(plan.n_components)
    check(loss, plan, answers, solver, every)
    check(Hinge(), plan, answers, solver, every)
    start = declared.graph.initial(np.random.default_rng([seed, 0]))
    nothing = {name: np.zeros_like(array) for name, array in start.items()}
    probe, energies = Probe(declared, np.arange(declared.count)), declared.graph.energies(start)
    first, bare = (probe.contrast(each, energies) for each in (start, nothing))
    given = start if parameters is None else parameters
    contrast = probe.contrast(given, energies)
    energies = declared.graph.energies(given)
    value, gradient = loss(plan, energies, answers, solver)
    problem = Problem(plan, energies, answers, solver, every, gradient)
    correct = problem.correct().value
    known = np.isfinite(correct)
    rival = incorrect(problem).value
    level = np.where(np.isinf(energies), energies, energies.dtype.type(0))
    flat = _flat(loss, rival[known]) if isinstance(loss, Contrast) else loss(plan, level, answers, solver)[0]
    count = max(1, int(known.sum()))
    margin = float(getattr(loss, "margin", getattr(loss, "scale", 0.0)))
    about = bool(bare == 0.0), contrast, first
    return Collapse(loss, value / count, flat / count, *about, correct[known], rival[known], margin)


def _flat(loss: Contrast, rival: np.ndarray) -> float:
    """The least value where all possible answers have one energy h ≥ 0; +inf in `rival` where there is no other."""
    from scipy.optimize import minimize_scalar

    def at(h: float) -> float:
        return float(loss.at(np.full(rival.size, h), np.where(np.isinf(rival), rival, h))[0].sum())

    found = minimize_scalar(at, bounds=(0.0, 10.0 * float(getattr(loss, "margin", 1.0))), method="bounded")
    return min(at(0.0), float(found.fun))
