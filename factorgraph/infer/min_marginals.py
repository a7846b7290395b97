"""Min-marginals: what the best labelling costs if a variable is held in a state.

    μ_v(k) = min { E(labels) : labels_v = k },     min_k μ_v(k) = min E for every variable v

μ_v(k) − min E is the price of the decision for k: 0 on a best labelling, and where only one state has 0 every best
labelling takes it. (Max-marginals of exp(−E): Dawid 1992; Wainwright, Jaakkola, Jordan 2004.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..plan import Group, Plan, read_evidence
from .solution import ByName, padded
from .solve import Declared, choose
from .solver import Solver


@dataclass(frozen=True)
class MinMarginals:
    """Least energies of the whole graph, by variable and state.

    flat: float64 over the variable states, +inf where no labelling has that state. energy: the least of all, float64,
    +inf where nothing is feasible; the minimum over the states of every variable is exactly this.
    """

    plan: Plan
    flat: np.ndarray
    energy: float

    def of(self, group: Group) -> np.ndarray:
        """(*shape, K): least energy with each state; ragged alphabets are padded with +inf. Arcs: of a path through."""
        return padded(self.plan, group, self.flat, np.inf)

    @cached_property
    def variables(self) -> ByName:
        """Min-marginals by name."""
        return ByName(self.plan, list(self.plan.groups), self.of, "min-marginals")


def min_marginals(
    graph: Declared,
    evidence: Mapping[Any, Any] | None = None,
    parameters: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    method: str | Solver = "auto",
    threads: int | None = None,
    memory_limit: str | int = "2 GiB",
) -> MinMarginals:
    """Of every variable and state the least energy of any labelling of the whole graph that has it; exact, or refused.

    For the arcs of a lattice: of any path that takes this arc with this label. Evidence forbids (+inf) and costs
    nothing. An infeasible problem is no error: everything is +inf.

    Errors: FactorGraphError as in solve, and for components with cycles that are too large to enumerate.
    """
    plan = graph.compile()
    energies = graph.energies(parameters, inputs, memory_limit=memory_limit)
    question = read_evidence(plan, graph.named(evidence)).question(energies.dtype)
    asked = question.of(plan, energies)
    flat = np.empty(asked.plan.variable_states)
    minimum = choose(method, threads, memory_limit=memory_limit).min_marginals(asked, flat)
    if question.restriction is not None:
        asked_flat, flat = flat, np.full(plan.variable_states, np.inf)
        np.minimum.at(flat, question.restriction.states, asked_flat)
    energy = float(minimum.sum()) + plan.constant(energies)
    return MinMarginals(plan, _whole(plan, flat, minimum, energy), energy)


def _whole(plan: Plan, flat: np.ndarray, minimum: np.ndarray, energy: float) -> np.ndarray:
    """From min-marginals of components to those of the graph: its minimum plus what the state costs beyond it."""
    if energy == np.inf:
        return np.full_like(flat, np.inf)
    if not flat.size:
        return flat
    least = np.minimum.reduceat(flat, plan.offsets[:-1])  # of each variable: equal but for rounding
    arcs = plan.lattices.var
    least[arcs] = minimum[plan.component[arcs]]
    return energy + (flat - np.repeat(least, plan.states))
