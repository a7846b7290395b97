"""Mean field: a lower bound of log Z that no step lowers, from independent variables. See kernels/mean_field.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels.mean_field import renew_marginals, sum_factors, sum_variables
from ..kernels.minsum import unary_costs
from ..plan import Asked
from .loopy import Summing, add_unaries, cuts_of, feasible_start, index_of, scope_sizes, write_marginals


@dataclass(frozen=True)
class MeanField(Summing):
    """Naive mean field by coordinate ascent: independent variables, and a lower bound of log Z.

    It starts twice, from a good labelling and, where nothing is forbidden, from the tables of single variables; every
    component keeps the better end. The bound is never below −E(labelling) / T. iterations: most passes of each start;
    it ends when no probability changes by more than `tolerance`.
    """

    iterations: int = 200
    tolerance: float = 1e-6
    name: ClassVar[str] = "mean-field"
    sums: ClassVar[str] = "lower"

    def __post_init__(self) -> None:
        if not (self.iterations >= 1 and self.tolerance >= 0):
            raise FactorGraphError(
                f"MeanField: expected iterations ≥ 1 and tolerance ≥ 0; got {self.iterations}, {self.tolerance}"
            )

    def _integrate(
        self,
        asked: Asked,
        temperature: float,
        marginals: np.ndarray | None,
        gradient: np.ndarray | None,
        weight: float,
    ) -> np.ndarray:
        plan = asked.plan
        free = np.full(asked.components.size, np.inf)
        labels, feasible = feasible_start(asked, "mean-field", self.threads)
        live = asked.part(feasible)
        field = _Field(live, temperature)
        q, found = field.best(self, labels)
        free[feasible] = found
        if marginals is not None:
            write_marginals(plan, asked.components, np.zeros(plan.variable_states), marginals)
            write_marginals(plan, live.components, q, marginals)
        if gradient is not None:
            field.add_gradient(q, weight, gradient)
        return free


class _Field:
    """q, float64 over the variable states, of the components asked."""

    def __init__(self, asked: Asked, temperature: float):
        plan, energies, bias, components = asked
        self.asked, self.temperature, self.index = asked, temperature, index_of(asked)
        self.unary = np.zeros(plan.variable_states)
        unary_costs(plan.factors, components, plan.states, plan.offsets, energies, bias, self.unary)
        loops = self.index.loops
        self.work = np.zeros(len(plan.factors.row) - 1)
        self.work[loops.factor] = scope_sizes(plan, loops.factor)
        ends = np.concatenate([[0.0], np.cumsum(self.work[loops.owner])])
        work = ends[loops.ptr[loops.var + 1]] - ends[loops.ptr[loops.var]]
        self.variables, self.factors = cuts_of(work), cuts_of(self.work[loops.factor])
        self.cost, self.labels = np.zeros(int(plan.states.max(initial=1))), np.zeros(plan.states.size, np.int32)

    def best(self, solver: MeanField, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The better of both starts, and its F of each component asked."""
        plan = self.asked.plan
        q = np.zeros(plan.variable_states)
        var = self.index.loops.var
        q[plan.offsets[var] + labels[var]] = 1.0
        free = self.descend(q, solver)
        other = self._alone()
        begun = self.free(other)
        if (begun < np.inf).any():
            part = _Field(self.asked.part(begun < np.inf), self.temperature)
            ended = np.full(free.size, np.inf)
            ended[begun < np.inf] = part.descend(other, solver)
            better = ended < free
            write_marginals(plan, self.asked.components[better], other, q)
            free = np.minimum(free, ended)
        return q, free

    def _alone(self) -> np.ndarray:
        """What every variable would be by itself."""
        owner = np.repeat(np.arange(self.asked.plan.states.size), self.asked.plan.states)
        least = np.minimum.reduceat(self.unary, self.asked.plan.offsets[:-1])
        open_ = self.unary < np.inf
        out = np.zeros(owner.size)
        out[open_] = np.exp((least[owner[open_]] - self.unary[open_]) / self.temperature)
        return out / np.maximum(np.bincount(owner, out), 1e-300)[owner]

    def descend(self, q: np.ndarray, solver: MeanField) -> np.ndarray:
        """Renew q, in place, until nothing changes; F of each component asked."""
        energies, beta = self.asked.energies, 1.0 / self.temperature
        change = np.full(self.asked.plan.n_components, np.nan)
        change[self.asked.components] = 0.0
        for _ in range(solver.iterations):
            for span in self.variables:
                renew_marginals(span, self.index, energies, self.unary, beta, q, self.cost, self.labels, change)
            change = np.where(change > solver.tolerance, 0.0, np.nan)
            if np.isnan(change).all():
                break
        return self.free(q)

    def free(self, q: np.ndarray) -> np.ndarray:
        """F of each component asked."""
        out = np.zeros(self.asked.plan.n_components)
        for span in self.variables:
            sum_variables(span, self.index, self.unary, self.temperature, q, out)
        self._visit(q, out, self.asked.energies[:0], 0.0)
        return out[self.asked.components]

    def add_gradient(self, q: np.ndarray, weight: float, gradient: np.ndarray) -> None:
        """gradient += weight · probabilities of configurations."""
        self._visit(q, np.zeros(0), gradient, weight)
        add_unaries(self.asked.plan, self.asked.components, q, weight, gradient)

    def _visit(self, q: np.ndarray, out: np.ndarray, gradient: np.ndarray, weight: float) -> None:
        for span in self.factors:
            sum_factors(span, self.index, self.asked.energies, q, self.labels, out, gradient, np.array([weight]))
