"""Latents by the other operation than answers: losses of minima over F(Y) = −log Σ_Z exp(−E(Y, Z)), losses of sums over
min_Z E(Y, Z).

Latents go first, in one table over the answers around each connected set of them (plan/latent.py); the loss is asked of
the problem over answers that is left. Its gradient by these tables goes on to the energies by the chain rule:

    ∂ℓ/∂E = Σ_tables Σ_y  ∂ℓ/∂F(y) · configurations of Z given y      of the best Z, or expected

The order of elimination is forced, so this is for latents that touch few answers each; marginal MAP is NP-hard.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..infer import Answer, Solver, Status
from ..infer.solver import evaluate
from ..kernels.configurations import add_configurations
from ..kernels.structure import LATTICE, LOOPY
from ..plan import Answers, Plan, Question, Restriction
from ..plan.latent import Elimination


class Mixed:
    """The problem over answers of a plan whose correct answers are `known`: `plan`, `answers`.

    Errors: FactorGraphError for lattices, answers known in part, and latents that join too many answers.
    """

    def __init__(self, base: Plan, known: Answers, where: str):
        self.base = base
        self.parts = parts = Elimination(base, None, where)
        self.plan = parts.answers.plan
        labels = np.zeros(self.plan.states.size, np.int32)
        labels[: parts.free.size] = known.labels[parts.free]
        self.answers = Answers(self.plan, labels, {})
        self.chunks: list[tuple[int, int, Restriction]] = []
        for low, high in parts.chunks():
            clamped = parts.clamped(low, high)
            self.chunks.append((int(parts.first[low]), int(parts.first[high]), clamped))
        heads = parts.members[np.cumsum(parts.size) - parts.size]
        self.owner = np.repeat(base.component[heads], parts.joint)  # base component of each value

    def components(self, listed: np.ndarray) -> np.ndarray:
        """Components of `plan` that stand for those of the base plan."""
        return np.flatnonzero(np.isin(self.parts.owner, listed))

    def tables(self, energies: np.ndarray, listed: np.ndarray, solver: Solver, latent: str) -> np.ndarray:
        """Energies of `plan`, float64, of the base components `listed`."""
        out = self.parts.answers.energies(_some_energies(energies), out=self.plan.zeros(np.float64))
        values = np.full(self.parts.values, np.inf)
        for low, high, clamped in self.chunks:
            some, wide = self._some(low, high, listed), self._wide(clamped, energies)
            asked = Question().of(clamped.plan, wide, some)
            if latent == "sum":
                values[low + some] = solver.integrate(asked)
            else:
                values[low + some] = _minima(solver, asked)[0]
        out[self.parts.computed] = values
        return out

    def back(
        self, slopes: np.ndarray, energies: np.ndarray, listed: np.ndarray, solver: Solver, latent: str, out: np.ndarray
    ) -> None:
        """Add to `out` the gradient by the base plan's energies of one by the tables."""
        self.parts.answers.add_gradient(slopes, out)
        by_value = slopes[self.parts.computed]
        for low, high, clamped in self.chunks:
            some = self._some(low, high, listed)
            some = some[by_value[low + some] != 0]
            wide, gradient = self._wide(clamped, energies), clamped.plan.zeros(np.float64)
            asked, weights = Question().of(clamped.plan, wide, some), by_value[low + some]
            if latent == "sum":
                for i, weight in enumerate(weights.tolist()):
                    solver.integrate(asked.part(np.array([i])), gradient=gradient, weight=weight)
            else:
                labels = _minima(solver, asked)[1]
                add_configurations(some, clamped.plan.factors, clamped.plan.states, labels, weights, gradient)
            clamped.add_gradient(gradient, out)

    def check(self, solver: Solver, where: str) -> None:
        """Refuse latents with cycles that the solver does not eliminate exactly."""
        for _, _, clamped in self.chunks:
            for c in np.flatnonzero(clamped.plan.kinds == LOOPY):
                if not solver.exact_on(clamped.plan, int(c)):
                    raise FactorGraphError(
                        f"{where}: latents have cycles that {type(solver).__name__} does not eliminate exactly; "
                        "expected latents that form forests once the answers are given, or few labellings of them"
                    )

    def _some(self, low: int, high: int, listed: np.ndarray) -> np.ndarray:
        """Components of one clamped plan that belong to base components `listed`."""
        return np.flatnonzero(np.isin(self.owner[low:high], listed))

    def _wide(self, clamped: Restriction, energies: np.ndarray) -> np.ndarray:
        return clamped.energies(_some_energies(energies), out=clamped.plan.zeros(np.float64))


def _some_energies(energies: np.ndarray) -> np.ndarray:
    """At least one: sources −1 still index them."""
    return energies if energies.size else np.zeros(1, energies.dtype)


def _minima(solver: Solver, asked: Any) -> tuple[np.ndarray, np.ndarray]:
    """(least energy of each component asked, labels)."""
    answer = Answer.empty(asked.plan)
    solver.minimise(asked, answer)
    _, least = evaluate(asked, answer.labels)
    least[answer.status[asked.components] == Status.INFEASIBLE] = np.inf
    return least, answer.labels


def mixed(plan: Plan, known: Answers, listed: np.ndarray, where: str, latent: str) -> Mixed:
    """The problem over answers, made once. Errors: see Mixed."""
    other = {"min": "sum", "sum": "min"}[latent]
    where = f"{where}(latent={latent!r})"
    if (plan.kinds[listed] == LATTICE).any():
        raise FactorGraphError(
            f"{where}: eliminating the paths of a lattice by one operation and its strings by another is NP-hard. Use "
            f"latent={other!r}"
        )
    latents = np.zeros(plan.states.size, bool)
    for group in plan.groups:
        latents[group.start : group.start + group.count] = group.latent
    asked = plan.inside(listed)
    if (asked & ~latents & (known.labels < 0)).any():
        raise FactorGraphError(
            f"{where}: some answers are unknown, and are neither answers nor latents then; expected every answer that "
            f"is not latent. Use latent={other!r}, or declare them latent=True"
        )
    return known.remember("mixed", lambda: Mixed(plan, known, where))
