"""What every loss is: a value and a gradient of the energies, and what it needs to be asked for.

A loss is applied to every component of the plan, and the values are added up: parts of an example that no factor
connects are learned from as examples of their own. (For losses that add up over independent parts, Perceptron, Margin
and NLL among them, this makes no difference.)

LeCun, Chopra, Hadsell, Ranzato, Huang, "A tutorial on energy-based learning" (2006), section 2 and table 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Flag, auto
from typing import Any, ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..infer import Auto, Solver
from ..infer.solver import check_flat
from ..plan import Answers, Plan, read_answers
from .mixed import Mixed, mixed
from .problem import Problem


class Needs(Flag):
    """Answers that a loss asks for."""

    COMPLETION = auto()  #: the correct answer, its latents completed
    MAP = auto()  #: the best of all answers
    AUGMENTED = auto()  #: the best answer after its cost Δ was taken off
    INCORRECT = auto()  #: the best answer but the correct one
    MARGINALS = auto()  #: free energies and expected configurations


@dataclass(frozen=True)
class Loss:
    """Base of all losses. `latent`: "min" or "sum", what happens to latent variables and lattice paths.

    One of them is natural to a loss: the operation by which it goes over answers. The other one takes latents out first
    (mixed.py), where the plan permits that.

    What a loss is like: `needs`, the answers it asks for; `margin_kind`, what it leaves between the correct answer and
    others ("none", "0": nothing; "m": its margin; "Δ": the cost of the answer; ">0": something); `flat_is_optimal`:
    whether energies that are all equal minimise it, so that it may collapse; `nonnegative`: whether it is meant for
    energies ≥ 0; `calibrated`: whether it holds the energies themselves, not only their differences between answers;
    `convex`: whether it is convex in the energies, where nothing is latent.
    """

    latent: str = "min"
    natural: ClassVar[tuple[str, ...]] = ("min",)
    needs: ClassVar[Needs] = Needs.COMPLETION
    margin_kind: ClassVar[str] = "none"
    flat_is_optimal: ClassVar[bool] = False
    nonnegative: ClassVar[bool] = False
    calibrated: ClassVar[bool] = False
    convex: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.latent not in ("min", "sum"):
            raise FactorGraphError(f"{type(self).__name__}: expected latent to be 'min' or 'sum'; got {self.latent!r}")

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
        """Value (summed over `components`, float64) and gradient by the energies (flat, in `out` if given).

        answers: {name: labels}, strings for lattices; latents left out. Of a gradient in `out` only the parts that
        `components` read are written. Components whose correct answer is infeasible contribute nothing. proven: bool
        (C,), made False where an answer was not proven exact.

        Errors: FactorGraphError for answers that do not fit, and solvers that cannot answer what the loss asks.
        """
        known = read_answers(plan, answers)
        if known.plan != plan:
            raise FactorGraphError(f"{type(self).__name__}: expected answers of {plan!r}; got those of {known.plan!r}")
        energies = check_flat(plan, energies)
        listed = plan.components_or_all(components)
        gradient = plan.zeros(energies.dtype) if out is None else out
        if gradient.shape != (plan.size,) or gradient.dtype != energies.dtype:
            raise FactorGraphError(
                f"{type(self).__name__}: expected out of {plan.size} entries of {energies.dtype}; got {gradient.dtype} "
                f"of shape {gradient.shape}"
            )
        plan.clear(gradient, None if components is None else listed)
        problem = Problem(plan, energies, known, solver or Auto(), listed, gradient, proven)
        if self._natural(known, listed):
            return self._evaluate(problem), gradient
        return self._eliminate(problem), gradient

    def over_answers(self, plan: Plan, known: Answers, listed: np.ndarray, solver: Solver) -> Mixed | None:
        """The problem over answers that this loss is asked of, where latents do not go the way that answers go.

        Errors: FactorGraphError where they cannot be eliminated.
        """
        return None if self._natural(known, listed) else self._mixed(plan, known, listed, solver)

    def _natural(self, known: Answers, listed: np.ndarray) -> bool:
        """Whether latents go by the operation that answers go by, or there are none."""
        return self.latent in self.natural or bool(known.complete[listed].all())

    def _eliminate(self, problem: Problem) -> float:
        """The loss of the answers alone, latents eliminated by the other operation."""
        rest = self._mixed(problem.plan, problem.known, problem.listed, problem.solver)
        about = problem.energies, problem.listed, problem.solver, self.latent
        tables, slopes = rest.tables(*about), rest.plan.zeros(np.float64)
        loss = problem.known.remember(("over answers", id(self)), lambda: (self, self._over(rest, problem.known)))[1]
        chosen = rest.components(problem.listed)
        proven = np.ones(rest.plan.n_components, bool)
        value: float = loss._evaluate(Problem(rest.plan, tables, rest.answers, problem.solver, chosen, slopes, proven))
        if problem.proven is not None:
            problem.proven[rest.parts.owner[~proven]] = False
        rest.back(slopes, *about, problem.gradient)
        return value

    def _mixed(self, plan: Plan, known: Answers, listed: np.ndarray, solver: Solver) -> Mixed:
        rest = mixed(plan, known, listed, type(self).__name__, self.latent)
        rest.check(solver, type(self).__name__)
        return rest

    def _over(self, rest: Mixed, known: Answers) -> Loss:
        """This loss, for the problem over answers."""
        return self

    def _evaluate(self, problem: Problem) -> float:
        raise NotImplementedError

    def asks(self) -> Needs:
        """What this loss asks for, with its settings."""
        return self.needs

    def settled(self, answers: Answers) -> bool:
        """Whether nothing is left open in the correct answers, so that `convex` is true of it."""
        return bool(answers.complete.all())

    def smooth(self) -> bool:
        """Whether it has a gradient everywhere: sums have."""
        return Needs.MARGINALS in self.asks()

    def bounded(self, plan: Plan, components: np.ndarray) -> np.ndarray:
        """bool per component: where the loss itself is only bounded, whatever the solver."""
        return np.zeros(components.size, bool)

    def fingerprint(self) -> str:
        """What a checkpoint compares: the loss and all its settings."""
        return f"{type(self).__name__}({', '.join(f'{f.name}={_text(getattr(self, f.name))}' for f in fields(self))})"


def _text(value: Any) -> str:
    """A setting in words; arrays by a hash of their contents."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}:{hashlib.sha256(np.ascontiguousarray(value).data).hexdigest()[:16]}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_text(each)}" for key, each in sorted(value.items(), key=repr)) + "}"
    return repr(value)
