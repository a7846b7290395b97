"""Enumeration of every labelling: exact, for components of few configurations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels.enumeration import (
    enumerate_best,
    enumerate_draws,
    enumerate_min_marginals,
    enumerate_minimum,
    enumerate_sum,
)
from ..kernels.structure import LATTICE
from ..plan import Asked, Plan
from .ranking import Ranking
from .solution import Status
from .solver import Answer, Sampler, Solver, check_distribution


@dataclass(frozen=True)
class BruteForce(Solver):
    """Tries every labelling of a component, at most `limit`."""

    limit: int = 1 << 22
    name: ClassVar[str] = "brute force"
    counts: ClassVar[bool] = True

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Components of at most `limit` labellings; lattices are left to dynamic programming."""
        return bool(plan.kinds[component] != LATTICE and plan.labellings[component] <= self.limit)

    def _variables(self, plan: Plan, component: int) -> np.ndarray:
        if not self.exact_on(plan, component):
            raise FactorGraphError(
                f"BruteForce: component {component} is a lattice or has {plan.labellings[component]:.3g} "
                f"labellings; expected at most {self.limit}. Use method='auto'"
            )
        return plan.variables_of(component)

    def minimise(self, asked: Asked, answer: Answer) -> None:
        """The first of the best labellings in lexicographic order."""
        plan, energies, bias, components = asked
        labels = np.zeros(plan.states.size, np.int32)
        for c in components:
            variables = self._variables(plan, int(c))
            least = enumerate_minimum(
                c, plan.factors, plan.states, plan.offsets, energies, bias, variables, labels, answer.labels
            )
            answer.sign(c, self.name, Status.INFEASIBLE if least == np.inf else Status.OPTIMAL)

    def rank(self, asked: Asked, k: int) -> Ranking:
        """See Solver.rank; equal labellings in lexicographic order."""
        plan, energies, bias, components = asked
        ranking = Ranking.empty(plan, components.size, k)
        scratch = (np.zeros(plan.states.size, np.int32), np.zeros(k, np.int64))
        for i, c in enumerate(components):
            index = (c, plan.factors, plan.states, plan.offsets, energies, bias, self._variables(plan, int(c)))
            enumerate_best(*index, scratch, ranking.labels, ranking.energies[i])
        return ranking

    def integrate(
        self,
        asked: Asked,
        temperature: float = 1.0,
        marginals: np.ndarray | None = None,
        gradient: np.ndarray | None = None,
        weight: float = 1.0,
    ) -> np.ndarray:
        """See Solver.integrate; exact."""
        plan, energies, bias, components = asked
        none, flat = np.zeros(0), np.zeros(0, energies.dtype)
        labels, best = np.zeros(plan.states.size, np.int32), np.zeros(plan.states.size, np.int32)
        beta = 1.0 / temperature
        free = np.full(components.size, np.inf)
        for i, c in enumerate(components):
            variables = self._variables(plan, int(c))
            index = (c, plan.factors, plan.states, plan.offsets, energies)
            least = enumerate_minimum(*index, bias, variables, labels, best)
            if least == np.inf:
                continue
            norm = np.array([least, 0.0])
            norm[1] = np.log(enumerate_sum(*index, (bias, beta), variables, labels, (none, flat, norm), weight))
            free[i] = least - temperature * norm[1]
            if marginals is not None:
                for v in variables:
                    marginals[plan.offsets[v] : plan.offsets[v + 1]] = 0
            if marginals is not None or gradient is not None:
                outputs = (none if marginals is None else marginals, flat if gradient is None else gradient, norm)
                enumerate_sum(*index, (bias, beta), variables, labels, outputs, weight)
        return free

    def min_marginals(self, asked: Asked, out: np.ndarray) -> np.ndarray:
        """See Solver.min_marginals; exact."""
        plan, energies, bias, components = asked
        labels = np.zeros(plan.states.size, np.int32)
        minimum = np.empty(components.size)
        for i, c in enumerate(components):
            variables = self._variables(plan, int(c))
            index = (c, plan.factors, plan.states, plan.offsets, energies)
            enumerate_min_marginals(*index, bias, variables, labels, out)
            minimum[i] = out[plan.offsets[variables[0]] : plan.offsets[variables[0] + 1]].min()
        return minimum

    def sampler(self, asked: Asked, temperature: float = 1.0) -> Sampler:
        """See Solver.sampler; every call enumerates once, whatever the number of draws."""
        plan, energies, bias, components = asked
        none, flat = np.zeros(0), np.zeros(0, energies.dtype)
        labels, best = np.zeros(plan.states.size, np.int32), np.zeros(plan.states.size, np.int32)
        biases = (bias, 1.0 / temperature)
        least, mass = np.empty(components.size), np.empty(components.size)
        for i, c in enumerate(components):
            variables = self._variables(plan, int(c))
            index = (c, plan.factors, plan.states, plan.offsets, energies)
            least[i] = enumerate_minimum(*index, bias, variables, labels, best)
            if least[i] < np.inf:
                outputs = (none, flat, np.array([least[i], 0.0]))
                mass[i] = enumerate_sum(*index, biases, variables, labels, outputs, 1.0)
        check_distribution("sample", least, components)

        def draw(uniforms: np.ndarray, drawn: np.ndarray) -> None:
            for i, c in enumerate(components):
                variables = plan.variables_of(int(c))
                drawn[:, variables] = best[variables]  # the last sum may be rounded down
                thresholds = uniforms[:, variables[0]] * mass[i]
                rows = np.argsort(thresholds, kind="stable")
                picks = (thresholds[rows], rows, least[i : i + 1])
                index = (c, plan.factors, plan.states, plan.offsets, energies)
                enumerate_draws(*index, biases, variables, labels, picks, drawn)

        return draw
