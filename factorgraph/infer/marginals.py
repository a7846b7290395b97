"""The Gibbs distribution of a graph: P(labels) = exp(−E / T) / Z."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..plan import Group, Plan, read_evidence
from .solution import ByName
from .solve import Declared, check_temperature, choose
from .solver import Solver


@dataclass(frozen=True)
class Marginals:
    """Single-variable marginals and the log partition function.

    flat: float64 over the variable states. log_partition: log Σ exp(−E / T), float64; −inf where nothing is feasible.
    kind: "exact". free_energies: float64 (C,), −T log Z of each component.
    """

    plan: Plan
    flat: np.ndarray
    log_partition: float
    free_energies: np.ndarray
    kind: str = "exact"

    def of(self, group: Group) -> np.ndarray:
        """(*shape, K): probability of each state; ragged alphabets are padded with 0. Arcs: of lying on the path."""
        states = self.plan.states[group.start : group.start + group.count]
        out = np.zeros((group.count, int(states.max(initial=0))))
        flat = self.flat[self.plan.offsets[group.start] : self.plan.offsets[group.start + group.count]]
        out[np.arange(out.shape[1]) < states[:, None]] = flat
        return out.reshape(*group.shape, out.shape[1])

    @cached_property
    def variables(self) -> ByName:
        """Marginals by name."""
        return ByName(self.plan, list(self.plan.groups), self.of, "marginals")


def marginals(
    graph: Declared,
    temperature: float = 1.0,
    evidence: Mapping[Any, Any] | None = None,
    parameters: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    method: str | Solver = "auto",
    threads: int | None = None,
    memory_limit: str | int = "2 GiB",
) -> Marginals:
    """Marginals of every variable and log Z, given the evidence; exact, or refused.

    Errors: FactorGraphError as in solve, for a temperature that is not positive, and for graphs too large to sum.
    """
    check_temperature(temperature)
    plan = graph.compile()
    energies = graph.energies(parameters, inputs, memory_limit=memory_limit)
    question = read_evidence(plan, graph.named(evidence)).question(energies.dtype)
    asked = question.of(plan, energies)
    flat = np.zeros(asked.plan.variable_states)
    free = choose(method, threads).integrate(asked, temperature, marginals=flat)
    if question.restriction is not None:
        flat = np.bincount(question.restriction.states, flat, plan.variable_states).astype(np.float64)
    total = float(free.sum()) + plan.constant(energies)
    return Marginals(plan, flat, -total / temperature, free)
