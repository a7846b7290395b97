"""What the solvers share whose sums are approximate on loopy components, and exact on all others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import FactorGraphError
from ..kernels.structure import LOOPY, OFFSET, SCOPE
from ..kernels.weighing import Index
from ..plan import Asked, Plan
from .dynamic import DynamicProgramming
from .moves import loops_of
from .solution import Status
from .solver import Answer, Solver, evaluate

#: Work that one kernel call does at most, in table entries: below 100 ms.
SLICE = 2e7


@dataclass(frozen=True)
class Summing(Solver):
    """Base of solvers whose sums are exact on forests and lattices only, by dynamic programming."""

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Forests and lattices."""
        return bool(plan.kinds[component] != LOOPY)

    def integrate(
        self,
        asked: Asked,
        temperature: float = 1.0,
        marginals: np.ndarray | None = None,
        gradient: np.ndarray | None = None,
        weight: float = 1.0,
    ) -> np.ndarray:
        """See Solver.integrate; of loopy components as `sums` says."""
        free = np.empty(asked.components.size)
        loopy = asked.plan.kinds[asked.components] == LOOPY
        if not loopy.all():
            exact = DynamicProgramming(self.threads)
            free[~loopy] = exact.integrate(asked.part(~loopy), temperature, marginals, gradient, weight)
        if loopy.any():
            free[loopy] = self._integrate(asked.part(loopy), temperature, marginals, gradient, weight)
        return free

    def _integrate(
        self,
        asked: Asked,
        temperature: float,
        marginals: np.ndarray | None,
        gradient: np.ndarray | None,
        weight: float,
    ) -> np.ndarray:
        """The same of loopy components."""
        raise NotImplementedError


def index_of(asked: Asked) -> Index:
    """The plan's arrays, and the loops of the components asked."""
    plan = asked.plan
    return Index(plan.factors, loops_of(asked), plan.states, plan.offsets, plan.component)


def cuts_of(work: np.ndarray) -> list[tuple[int, int]]:
    """Ranges of bounded work, in order."""
    cuts = np.flatnonzero(np.diff(np.cumsum(work) // SLICE)) + 1
    bounds = [0, *cuts.tolist(), work.size]
    return list(zip(bounds[:-1], bounds[1:]))


def scope_sizes(plan: Plan, factors: np.ndarray) -> np.ndarray:
    """int64 per listed factor: the labellings of its scope."""
    first = plan.factors.row[factors, SCOPE]
    arity = plan.factors.row[factors + 1, SCOPE] - first
    out = np.ones(factors.size, np.int64)
    for k in range(int(arity.max(initial=0))):
        here = arity > k
        out[here] *= plan.states[plan.factors.var[first[here] + k]]
    return out


def feasible_start(asked: Asked, where: str, threads: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Labels int32 (V,) of finite energy for the loopy components asked, and which of them (a mask) have some at all.

    Errors: FactorGraphError where none was found, and none is excluded.
    """
    from .auto import Auto
    from .trws import TRWS

    answer = Answer.empty(asked.plan)
    for solver in (TRWS(threads, iterations=50, kicks=4), Auto(threads)):
        _, minimum = evaluate(asked, answer.labels)
        bare = np.bincount(asked.plan.component[answer.labels < 0], minlength=asked.plan.n_components)
        lost = (minimum == np.inf) | (bare[asked.components] > 0)
        lost &= answer.status[asked.components] != Status.INFEASIBLE
        if lost.any():
            solver.minimise(asked.part(lost), answer)
    _, minimum = evaluate(asked, answer.labels)
    excluded = answer.status[asked.components] == Status.INFEASIBLE
    lost = (minimum == np.inf) & ~excluded
    if lost.any():
        raise FactorGraphError(
            f"{where}: found no labelling of finite energy of component {asked.components[np.argmax(lost)]} to start "
            "from; expected one that moves find. Replace +inf by large energies"
        )
    return answer.labels, ~excluded


def write_marginals(plan: Plan, components: np.ndarray, values: np.ndarray, out: np.ndarray) -> None:
    """Write the values (variable states) of these components."""
    of = np.repeat(plan.inside(components), plan.states)
    out[of] = values[of]


def add_unaries(plan: Plan, components: np.ndarray, marginals: np.ndarray, weight: float, gradient: np.ndarray) -> None:
    """gradient += weight · marginals, in the tables of single variables of these components."""
    inside = np.zeros(plan.n_components, bool)
    inside[components] = True
    row, var = plan.factors.row, plan.factors.var
    single = np.flatnonzero((np.diff(row[:, SCOPE]) == 1) & np.repeat(inside, np.diff(plan.factors.first)))
    variable = var[row[single, SCOPE]]
    states = plan.states[variable]
    step = np.arange(int(states.sum())) - np.repeat(np.cumsum(states) - states, states)
    at = np.repeat(row[single, OFFSET], states) + step
    np.add.at(gradient, at, weight * marginals[np.repeat(plan.offsets[variable], states) + step])
