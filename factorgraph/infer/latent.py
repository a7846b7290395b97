"""Mixed elimination: latents by one operation, then answers by another.

    solve(latent="sum")      min_Y F(Y),  F(Y) = −T log Σ_Z exp(−E(Y, Z) / T)      (marginal MAP)
    k_best(latent="sum")     the k least F(Y)
    marginals(latent="min")  P(Y) ∝ exp(−E(Y) / T),  E(Y) = min_Z E(Y, Z)

Strings of lattices must be observed: the best string with its paths summed out is NP-hard (Casacuberta, de la Higuera,
"Computational complexity of problems on probabilistic grammars and transducers", 2000).

plan/latent.py says which tables over answers stand for the latents; here they are computed, by any exact solver, and
what a solver says about the answers is brought back to the graph as declared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..kernels.simd import buffer
from ..kernels.structure import LOOPY
from ..plan import Asked, Evidence, Group, Plan, Question
from ..plan.derive import name_of
from ..plan.latent import Elimination
from .solution import Components, Solution, Status
from .solver import Answer, Solver, evaluate


def hidden(group: Group) -> bool:
    """Whether a group is latent: declared so, or the path of a lattice."""
    return group.latent or group.lattice >= 0


def check_latent(latent: str) -> None:
    """Refuse what is neither 'min' nor 'sum'."""
    if latent not in ("min", "sum"):
        raise FactorGraphError(f"latent: expected 'min' or 'sum'; got {latent!r}")


@dataclass(frozen=True)
class Marginalised:
    """A problem over answers alone, declared like a graph: ask it, and lift what was answered.

    tables: float64, the energies of `parts.answers.plan`.
    """

    parts: Elimination
    tables: np.ndarray
    names: Mapping[tuple[int, str], tuple[str, ...]]
    alphabets: Mapping[tuple[int, str], tuple[str, ...]] = field(default_factory=dict)

    def compile(self) -> Plan:
        """The plan over the unobserved answers."""
        return self.parts.answers.plan

    def energies(
        self, parameters: Any = None, inputs: Any = None, components: Any = None, out: Any = None,
        memory_limit: Any = None,
    ) -> np.ndarray:  # fmt: skip
        """The tables."""
        return self.tables

    def named(self, evidence: Mapping[Any, Any] | None) -> dict[Any, Any]:
        """All evidence has been used already."""
        return {}

    def start(self, labels: np.ndarray | None) -> np.ndarray | None:
        """Labels of the base plan's variables as those of this one, −1 where unknown or not allowed."""
        if labels is None:
            return None
        base, answers, free = self.parts.plan, self.parts.answers, self.parts.free
        out = np.full(answers.plan.states.size, -1, np.int32)
        owner = np.repeat(np.arange(free.size), answers.plan.states[: free.size])
        state = np.arange(owner.size) - answers.plan.offsets[owner]
        wanted = answers.states[: owner.size] == (base.offsets[free] + labels[free])[owner]
        out[owner[wanted]] = state[wanted]
        return out

    def solution(self, found: Solution) -> Solution:
        """What was found about the answers, told about the graph as declared: latents have no labels."""
        parts, base, owner = self.parts, self.parts.plan, self.parts.owner
        each, count = found.components, base.n_components
        status, code = np.zeros(count, np.int8), np.zeros(count, np.int8)
        np.maximum.at(status, owner, each.status)
        plan = parts.answers.plan
        several = np.bincount(plan.component, plan.states > 1, plan.n_components) > 0
        np.maximum.at(code, owner, np.where(several, each.code + 1, 0).astype(np.int8))
        dead = status == Status.INFEASIBLE
        bound = _total(np.where(dead[owner], 0.0, each.bound), owner, count)
        bound[dead] = np.inf
        energy, minimum = (_total(values, owner, count) for values in (each.energy, each.minimum))
        derived = found.flat.copy()
        derived[parts.free.size :] = -1
        labels = np.maximum(parts.answers.labels(derived), parts.observed)
        labels[(energy == np.inf)[base.component]] = -1
        if plan.constant(self.tables) == np.inf:
            labels[:] = -1
        results = Components(energy, minimum, bound, status, code, ("latents eliminated", *each.methods))
        return replace(found, plan=base, flat=labels, components=results, alphabets=self.names)

    def marginals(self, answers: np.ndarray, free_energies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(marginals over the base plan's variable states, free energies (C,)) of those of the answers.

        NaN for latents and arcs, 0 in infeasible components.
        """
        parts, base = self.parts, self.parts.plan
        free = _total(free_energies, parts.owner, base.n_components)
        flat = np.full(base.variable_states, np.nan)
        known = np.flatnonzero(parts.observed >= 0)
        for v in (known, parts.free):
            flat[np.repeat(_mask(base, v), base.states)] = 0.0
        flat[base.offsets[known] + parts.observed[known]] = 1.0
        count = int(parts.answers.plan.offsets[parts.free.size])
        flat[parts.answers.states[:count]] = answers[:count]
        flat[np.repeat((free == np.inf)[base.component], base.states) & ~np.isnan(flat)] = 0.0
        return flat, free


def _total(values: np.ndarray, owner: np.ndarray, count: int) -> np.ndarray:
    out = np.zeros(count)
    np.add.at(out, owner, values)
    return out


def _mask(plan: Plan, variables: np.ndarray) -> np.ndarray:
    out = np.zeros(plan.states.size, bool)
    out[variables] = True
    return out


def marginalise(
    plan: Plan,
    energies: np.ndarray,
    known: Evidence,
    solver: Solver,
    latent: str,
    temperature: float,
    names: Mapping[Any, Any],
    where: str,
) -> Marginalised:
    """Eliminate latents and lattice paths by minima (latent="min") or sums ("sum"), exactly or not at all.

    Errors: FactorGraphError for lattices without a string, latents that join too many joint states of answers (see
    Elimination), and latents with cycles that are too large for `solver`.
    """
    where = f"{where}(latent={latent!r})"
    for group in plan.groups:
        if group.lattice >= 0 and group.lattice not in known.strings:
            other = {"sum": "min", "min": "sum"}[latent]
            raise FactorGraphError(
                f"{where}: the string of {group.name!r} is not observed; eliminating paths by one operation and "
                f"strings by another is NP-hard. Give the string as evidence, or use latent={other!r}"
            )
    parts = Elimination(plan, known.allowed, where)
    energies = energies if energies.size else np.zeros(1, energies.dtype)  # sources −1 still index it
    values = np.full(parts.values, np.inf)  # … and stays so where evidence is contradictory
    for low, high in parts.chunks():
        clamped = parts.clamped(low, high)
        wide = clamped.energies(energies, out=buffer(clamped.plan.size, np.float64))
        for c in np.flatnonzero(clamped.plan.kinds == LOOPY):
            if not solver.exact_on(clamped.plan, int(c)):
                first = clamped.variables[clamped.plan.variables_of(int(c))]
                raise FactorGraphError(
                    f"{where}: {first.size} latents around {name_of(plan, int(first[0]))!r} have cycles that "
                    f"{type(solver).__name__} does not eliminate exactly; expected latents that form forests once the "
                    "answers are given, or few labellings of them"
                )
        asked = Question().of(clamped.plan, wide)
        values[parts.first[low] : parts.first[high]] = _eliminated(solver, asked, latent, temperature)
    if plan.lattices.nodes.size:
        asked = Evidence(plan, None, known.strings).question(energies.dtype).of(plan, energies, plan.lattices.component)
        values[parts.first[-1] :][: plan.lattices.nodes.size] = _eliminated(solver, asked.wide(), latent, temperature)
    tables = parts.answers.energies(energies, out=buffer(parts.answers.plan.size, np.float64))
    tables[parts.computed] = values
    return Marginalised(parts, tables, names)


def _eliminated(solver: Solver, asked: Asked, latent: str, temperature: float) -> np.ndarray:
    """Free energy, or minimum, of each component asked; float64, +inf where infeasible."""
    if latent == "sum":
        return solver.integrate(asked, temperature)
    answer = Answer.empty(asked.plan)
    solver.minimise(asked, answer)
    _, least = evaluate(asked, answer.labels)
    least[answer.status[asked.components] == Status.INFEASIBLE] = np.inf
    return least
