"""Gibbs sampling, and simulated annealing with it, on loopy components (Geman and Geman 1984; kernels/gibbs.py)."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels.configurations import add_configurations
from ..kernels.gibbs import redraw, spread_of
from ..kernels.minsum import unary_costs
from ..kernels.structure import LOOPY
from ..plan import Asked, Plan
from .dynamic import DynamicProgramming, answer_forests
from .loopy import Summing, cuts_of, feasible_start, index_of, write_marginals
from .moves import Improver, loops_of
from .solution import Status
from .solver import Answer, Sampler, Solver, check_distribution, evaluate

#: Sweeps of weighted min-conflicts, where a labelling to start from is infeasible.
REPAIRS = 30


@dataclass(frozen=True)
class Gibbs(Summing):
    """A Markov chain whose labellings follow the Gibbs distribution in the long run, each depending on those before.

    burn_in: sweeps before the first draw, thin: sweeps from draw to draw. Marginals are means over `sweeps` sweeps of
    the distributions from which labels are drawn, of a chain begun with `seed`; factors' are counted. It does not know
    log Z: that is NaN on loopy components. The chain starts at a labelling of low energy and sees only what it can
    reach from there by changing one label at a time: with +inf in the tables that may not be everything.
    """

    burn_in: int = 100
    thin: int = 10
    sweeps: int = 1000
    seed: int = 0
    name: ClassVar[str] = "gibbs"
    counts: ClassVar[bool] = True  # counters would hold every variable where it is
    sums: ClassVar[str] = "estimate"

    def __post_init__(self) -> None:
        if not (self.burn_in >= 0 and self.thin >= 1 and self.sweeps >= 1 and self.seed >= 0):
            raise FactorGraphError(
                "Gibbs: expected burn_in ≥ 0, thin ≥ 1, sweeps ≥ 1 and seed ≥ 0; got "
                f"{self.burn_in}, {self.thin}, {self.sweeps}, {self.seed}"
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
        labels, feasible = feasible_start(asked, "gibbs", self.threads)
        free[feasible] = np.nan
        chain = _Chain(asked.part(feasible), labels)
        random, beta = np.random.default_rng(self.seed), np.full(plan.n_components, 1.0 / temperature)
        tally = np.zeros(plan.variable_states)
        each = np.full(chain.asked.components.size, weight / self.sweeps)
        for number in range(-self.burn_in, self.sweeps):
            chain.sweep(beta, random.random(chain.size), tally if number >= 0 else tally[:0])
            if gradient is not None and number >= 0:
                add_configurations(chain.asked.components, plan.factors, plan.states, chain.labels, each, gradient)
        if marginals is not None:
            write_marginals(plan, asked.components, tally / self.sweeps, marginals)
        return free

    def sampler(self, asked: Asked, temperature: float = 1.0) -> Sampler:
        """See Solver.sampler; on loopy components one chain, whose draws are neither independent nor exact.

        A draw depends on its own row of uniforms and on those before.
        """
        loopy = asked.plan.kinds[asked.components] == LOOPY
        exact = DynamicProgramming(self.threads).sampler(asked.part(~loopy), temperature)
        labels, feasible = feasible_start(asked.part(loopy), "sample", self.threads)
        check_distribution("sample", np.where(feasible, 0.0, np.inf), asked.components[loopy])
        chain = _Chain(asked.part(loopy), labels)
        beta = np.full(asked.plan.n_components, 1.0 / temperature)
        none, var = np.zeros(0), chain.index.loops.var
        random: list[np.random.Generator] = []

        def draw(uniforms: np.ndarray, drawn: np.ndarray) -> None:
            exact(uniforms, drawn)
            for row, into in zip(uniforms[:, var], drawn, strict=True):
                between = self.thin - 1 if random else self.burn_in
                if not random and row.size:
                    random.append(np.random.default_rng(int(row[0] * 2**53)))
                for _ in range(between if row.size else 0):
                    chain.sweep(beta, random[0].random(chain.size), none)
                chain.sweep(beta, row, none)
                into[var] = chain.labels[var]

        return draw


class _Chain:
    """labels int32 (V,) of the loopy components asked, drawn anew sweep by sweep."""

    def __init__(self, asked: Asked, labels: np.ndarray):
        plan, energies, bias, components = asked
        self.asked, self.labels, self.index = asked, labels, index_of(asked)
        self.unary = np.zeros(plan.variable_states)
        unary_costs(plan.factors, components, plan.states, plan.offsets, energies, bias, self.unary)
        loops = self.index.loops
        self.size = loops.var.size
        self.spans = cuts_of(plan.states[loops.var] * (4.0 + loops.ptr[loops.var + 1] - loops.ptr[loops.var]))
        self.cost = np.zeros(int(plan.states.max(initial=1)))

    def sweep(self, beta: np.ndarray, uniforms: np.ndarray, tally: np.ndarray) -> None:
        """Draw every variable once; beta (C,), uniforms (variables,), tally: see `redraw`."""
        energies = self.asked.energies
        for span in self.spans:
            redraw(span, self.index, energies, self.unary, beta, uniforms, self.labels, self.cost, tally)

    def spread(self) -> np.ndarray:
        """(C,): see `spread_of`."""
        out = np.zeros(2 * self.asked.plan.n_components)
        spread_of(self.index, self.asked.energies, self.unary, self.labels, self.cost, out)
        return out[: self.asked.plan.n_components]


@dataclass(frozen=True)
class Annealing(Solver):
    """Simulated annealing (Kirkpatrick, Gelatt, Vecchi 1983): Gibbs sweeps of falling temperature; it proves no bound.

    Temperatures fall geometrically from `hot` to `cold`, in units of what the conditional energies of a variable differ
    in the mean at the start. The best labelling seen is kept, and improved one label at a time. seed: the same one
    gives the same labelling. initial: int32 (V,) labelling to start from, −1 where unknown. time_limit: seconds.
    Forests and lattices in the same plan are solved exactly.
    """

    sweeps: int = 300
    hot: float = 0.5
    cold: float = 0.01
    seed: int = 0
    time_limit: float | None = None
    initial: np.ndarray | None = None
    name: ClassVar[str] = "annealing"
    counts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (self.sweeps >= 1 and 0 < self.cold <= self.hot < np.inf and self.seed >= 0):
            raise FactorGraphError(
                f"Annealing: expected sweeps ≥ 1, 0 < cold ≤ hot and seed ≥ 0; got {self.sweeps}, {self.cold}, "
                f"{self.hot}, {self.seed}"
            )

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Forests and lattices."""
        return bool(plan.kinds[component] != LOOPY)

    def minimise(self, asked: Asked, answer: Answer) -> None:
        """All loopy components cool together; each keeps its own best labelling."""
        deadline = np.inf if self.time_limit is None else perf_counter() + self.time_limit
        asked = answer_forests(asked, answer, self.threads, self.time_limit)
        if not asked.components.size:
            return
        plan, random = asked.plan, np.random.default_rng(self.seed)
        chain = _Chain(asked, np.zeros(plan.states.size, np.int32))
        improver = Improver(asked, chain.unary, chain.index.loops)
        if self.initial is not None:
            chain.labels[:] = np.maximum(self.initial, 0)
        improver.single(chain.labels)
        best = np.full(asked.components.size, np.inf)
        self._keep(asked, chain.labels, best, answer.labels)
        if (best == np.inf).any():
            improver.repair(chain.labels, loops_of(asked.part(best == np.inf)), REPAIRS, deadline)
            self._keep(asked, chain.labels, best, answer.labels)
        unit = chain.spread()
        unit[~(unit > 0)] = 1.0
        for number in range(self.sweeps):
            if perf_counter() > deadline:
                break
            fall = (self.cold / self.hot) ** (number / max(1, self.sweeps - 1))
            chain.sweep(1.0 / (self.hot * fall * unit), random.random(chain.size), chain.unary[:0])
            self._keep(asked, chain.labels, best, answer.labels)
        improver.single(answer.labels)
        answer.sign(asked.components, self.name, Status.APPROXIMATE)

    @staticmethod
    def _keep(asked: Asked, labels: np.ndarray, best: np.ndarray, kept: np.ndarray) -> None:
        """Keep the labels of components where they are better than the best, or the first."""
        _, minimum = evaluate(asked, labels)
        inside = asked.plan.inside(asked.components[minimum < best])
        first = asked.plan.inside(asked.components) & (kept < 0)
        kept[inside | first] = labels[inside | first]
        np.minimum(best, minimum, out=best)
