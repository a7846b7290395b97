"""The Gibbs distribution of a graph: P(labels) = exp(−E / T) / Z."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..plan import Group, Plan, read_evidence
from .latent import check_latent, hidden, marginalise
from .solution import ByName
from .solve import Declared, check_temperature, choose
from .solver import Solver


@dataclass(frozen=True)
class Marginals:
    """Single-variable marginals and the log partition function.

    flat: float64 over the variable states. log_partition: log Σ exp(−E / T), float64; −inf where nothing is feasible.
    kind: "exact". free_energies: float64 (C,), −T log Z of each component. latent: "sum" for the distribution of
    answers and latents; "min" for that of answers Y under min_Z E(Y, Z): latents and arcs have none then, NaN in
    `flat`, and are missing in `variables`.
    """

    plan: Plan
    flat: np.ndarray
    log_partition: float
    free_energies: np.ndarray
    kind: str = "exact"
    latent: str = "sum"

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
        groups = [g for g in self.plan.groups if self.latent == "sum" or not hidden(g)]
        return ByName(self.plan, groups, self.of, "marginals")


def marginals(
    graph: Declared,
    temperature: float = 1.0,
    evidence: Mapping[Any, Any] | None = None,
    parameters: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    method: str | Solver = "auto",
    threads: int | None = None,
    memory_limit: str | int = "2 GiB",
    latent: str = "sum",
) -> Marginals:
    """Marginals of every variable and log Z, given the evidence; exact, or refused.

    latent: "sum" asks for the Gibbs distribution of answers and latents. "min" asks for that of the answers alone under
    E(Y) = min_Z E(Y, Z): P(Y) ∝ exp(−E(Y) / T); latents and paths of lattices have no marginals then.

    Errors: FactorGraphError as in solve, for a temperature that is not positive, and for graphs too large to sum.
    """
    check_temperature(temperature)
    check_latent(latent)
    plan = graph.compile()
    energies = graph.energies(parameters, inputs, memory_limit=memory_limit)
    known, solver = read_evidence(plan, graph.named(evidence)), choose(method, threads)
    if latent == "min" and any(hidden(g) for g in plan.groups):
        answers = marginalise(plan, energies, known, solver, latent, temperature, graph.alphabets, "marginals")
        over = marginals(answers, temperature, method=solver)
        flat, free = answers.marginals(over.flat, over.free_energies)
        return Marginals(plan, flat, over.log_partition, free, latent=latent)
    question = known.question(energies.dtype)
    asked = question.of(plan, energies)
    flat = np.zeros(asked.plan.variable_states)
    free = solver.integrate(asked, temperature, marginals=flat)
    if question.restriction is not None:
        flat = np.bincount(question.restriction.states, flat, plan.variable_states).astype(np.float64)
    total = float(free.sum()) + plan.constant(energies)
    return Marginals(plan, flat, -total / temperature, free)
