"""The Gibbs distribution of a graph, P(labels) = exp(−E / T) / Z: its marginals, and its entropy.

    H = −Σ P log P = (⟨E⟩ − F) / T,     F = −T log Z

where ⟨E⟩ is the energies times the expected configurations, and these are the gradient of F by the energies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..plan import Asked, Group, Plan, Question, read_evidence
from .latent import check_latent, hidden, marginalise
from .solution import ByName, padded
from .solve import Declared, check_temperature, choose
from .solver import Solver, check_constant, check_distribution
from .summary import marginals_summary

#: Relative rounding of a difference of sums: smaller ones are 0.
ROUNDING = 16 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Marginals:
    """Single-variable marginals and the log partition function.

    flat: float64 over the variable states. log_partition: log Σ exp(−E / T), float64; −inf where nothing is feasible.
    kind: "exact", or what `log_partition` is if a component with cycles was not summed exactly: an "upper" or "lower"
    bound, or an "estimate" (then NaN by methods that do not know it); marginals are estimates then, too. free_energies:
    float64 (C,), −T log Z of each component. configurations: with `factors=True` float64 in the energies' layout (see
    `factors`), else None. latent: "sum" for the distribution of answers and latents; "min" for that of answers Y under
    min_Z E(Y, Z): latents and arcs have none then, NaN in `flat`, and are missing in `variables`.
    """

    plan: Plan
    flat: np.ndarray
    log_partition: float
    free_energies: np.ndarray
    kind: str = "exact"
    configurations: np.ndarray | None = None
    latent: str = "sum"

    def _repr_html_(self) -> str:
        return marginals_summary(self)

    def of(self, group: Group) -> np.ndarray:
        """(*shape, K): probability of each state; ragged alphabets are padded with 0. Arcs: of lying on the path."""
        return padded(self.plan, group, self.flat, 0.0)

    @cached_property
    def variables(self) -> ByName:
        """Marginals by name."""
        groups = [g for g in self.plan.groups if self.latent == "sum" or not hidden(g)]
        return ByName(self.plan, groups, self.of, "marginals")

    @cached_property
    def factors(self) -> tuple[np.ndarray, ...]:
        """Expected configurations: one array (tables, *states) per block of `plan.blocks`, which has the scopes.

        Entry [t, i, j] is the probability of the labels (i, j), summed over the factors that read table t; of a Potts
        factor, (tables,), that of different labels. `graph.backward(marginals.configurations)` turns them into the
        expected gradient by the parameters.
        """
        if self.configurations is None:
            raise FactorGraphError("marginals: those of factors were not asked for. Use marginals(…, factors=True)")
        return tuple(block.view(self.configurations) for block in self.plan.blocks)


def marginals(
    graph: Declared,
    temperature: float = 1.0,
    evidence: Mapping[Any, Any] | None = None,
    parameters: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    method: str | Solver = "auto",
    threads: int | None = None,
    memory_limit: str | int = "2 GiB",
    factors: bool = False,
    latent: str = "sum",
) -> Marginals:
    """Marginals of every variable and log Z, given the evidence; exact, or refused, unless `method` is one that says
    what else it answers (see Marginals.kind). `factors`: of every factor as well.

    latent: "sum" asks for the Gibbs distribution of answers and latents. "min" asks for that of the answers alone under
    E(Y) = min_Z E(Y, Z): P(Y) ∝ exp(−E(Y) / T); latents and paths of lattices have no marginals then.

    Errors: FactorGraphError as in solve, for a temperature that is not positive, and for graphs too large to sum.
    """
    check_temperature(temperature)
    check_latent(latent)
    plan = graph.compile()
    energies = graph.energies(parameters, inputs, memory_limit=memory_limit)
    known, solver = read_evidence(plan, graph.named(evidence)), choose(method, threads, memory_limit=memory_limit)
    if latent == "min" and any(hidden(g) for g in plan.groups):
        if factors:
            raise FactorGraphError("marginals: factors have none where latents are minimised. Leave out factors=True")
        answers = marginalise(plan, energies, known, solver, latent, temperature, graph.alphabets, "marginals")
        over = marginals(answers, temperature, method=solver)
        flat, free = answers.marginals(over.flat, over.free_energies)
        return Marginals(plan, flat, over.log_partition, free, over.kind, latent=latent)
    question = known.question(energies.dtype)
    asked = question.of(plan, energies)
    flat = np.zeros(asked.plan.variable_states)
    configurations = None
    if factors:
        free, configurations = _configurations(plan, question, asked.wide(), solver, temperature, flat)
    else:
        free = solver.integrate(asked, temperature, marginals=flat)
    if question.restriction is not None:
        flat = np.bincount(question.restriction.states, flat, plan.variable_states).astype(np.float64)
    total = np.inf if (free == np.inf).any() else float(free.sum()) + plan.constant(energies)
    return Marginals(plan, flat, -total / temperature, free, solver.kind_of(asked), configurations)


def _configurations(
    plan: Plan, question: Question, asked: Asked, solver: Solver, temperature: float, marginals: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Free energies of the components, and expected configurations in the layout of the plan's energies."""
    derived = asked.plan.zeros(np.float64)
    free = solver.integrate(asked, temperature, marginals, derived)
    out = derived
    if question.restriction is not None:
        out = plan.zeros(np.float64)
        question.restriction.add_gradient(derived, out)
    for block in plan.blocks:  # factors without variables have one configuration, and it is certain
        if not block.states and not (free == np.inf).any():
            table = np.arange(len(block.scopes)) if block.table is None else block.table
            block.view(out)[:] = np.bincount(table, minlength=block.tables)
    return free, out


def entropy(
    graph: Declared,
    temperature: float = 1.0,
    evidence: Mapping[Any, Any] | None = None,
    parameters: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    method: str | Solver = "auto",
    threads: int | None = None,
    memory_limit: str | int = "2 GiB",
) -> float:
    """Entropy −Σ P log P in nats of the distribution over all labellings, given the evidence; exact, or refused.

    0 where only one labelling is possible, and wherever it is below the rounding of the energies over T.

    Errors: FactorGraphError as in marginals, and where every labelling of a component is forbidden.
    """
    check_temperature(temperature)
    plan = graph.compile()
    energies = graph.energies(parameters, inputs, memory_limit=memory_limit)
    asked = read_evidence(plan, graph.named(evidence)).question(energies.dtype).of(plan, energies).wide()
    check_constant("entropy", plan.constant(energies))
    for block in asked.plan.blocks:  # constants change no probability: without them less is lost to rounding
        if not block.lattice and block.states and block.shape:
            view = block.view(asked.energies).reshape(block.tables, block.size)
            least = view.min(1, keepdims=True)
            view -= np.where(least < np.inf, least, 0.0)
    configurations = asked.plan.zeros(np.float64)
    solver = choose(method, threads, memory_limit=memory_limit)
    if solver.kind_of(asked) != "exact":
        raise FactorGraphError(
            f"entropy: expected a solver that sums exactly over graphs with cycles; {type(solver).__name__} gives "
            f"{solver.sums} sums. Use method='auto', or the log_partition of marginals(…)"
        )
    free = solver.integrate(asked, temperature, gradient=configurations)
    check_distribution("entropy", free, asked.components)
    used = configurations > 0  # 0 · inf counts as 0
    mean = configurations[used] * asked.energies[used]
    value = float(mean.sum() - free.sum())
    rounding = ROUNDING * float(np.abs(mean).sum() + np.abs(free).sum())
    return value / temperature if value > rounding else 0.0
