"""`method="auto"`: the one place where it is decided who answers a component.

forests, lattices                 dynamic programming
few labellings                    enumeration
anything narrow enough            elimination (all questions)
binary and submodular             minimum cut (minima and min-marginals)
else, for minima                  portfolio.py: reductions, bounds, moves, and search if there is a time limit
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels.structure import LATTICE, LOOPY
from ..plan import Asked, Plan
from .brute import BruteForce
from .dynamic import DynamicProgramming
from .ranking import Ranking
from .solution import Status
from .solver import Answer, Sampler, Solver

if TYPE_CHECKING:
    from .elimination import Elimination

#: Loopy components of at most this many labellings are enumerated.
FEW = 1 << 14
#: Methods that answer what is too wide as well, though not exactly.
INEXACT = {
    "marginals": ", or take bounds and estimates of method='tree-reweighted', 'sum-product', 'mean-field' or 'gibbs'",
    "sample": ", or take draws that are not exact of method='gibbs' or 'perturb-and-map'",
}
#: Table entries, none of them shared, of the infeasible components that are propagated to say where they fail.
NAMED = 1 << 22


@dataclass(frozen=True)
class Auto(Solver):
    """Every component by the method that fits it; exact wherever one does.

    time_limit: seconds for minima; without one, what is too wide for an exact method gets bounds and moves until they
    stagnate, and no search. initial: int32 (V,) labelling, −1 where unknown: the answer is never worse. cells,
    memory_limit: see Elimination.
    """

    time_limit: float | None = None
    initial: np.ndarray | None = None
    cells: int = 1 << 28
    memory_limit: str | int = "2 GiB"
    name: ClassVar[str] = "auto"

    @property
    def _elimination(self) -> Elimination:
        from .elimination import Elimination  # what is for cycles only is imported when there are some

        return Elimination(self.threads, self.cells, memory_limit=self.memory_limit)

    def _split(self, plan: Plan, components: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Masks over `components`: swept exactly, enumerated, neither."""
        loopy = plan.kinds[components] == LOOPY
        few = loopy & (plan.labellings[components] <= FEW)
        return ~loopy, few, loopy & ~few

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Wherever dynamic programming, enumeration or elimination is, whatever the energies."""
        wide = self._split(plan, np.array([component]))[2][0]
        return not wide or self._elimination.exact_on(plan, component)

    def minimise(self, asked: Asked, answer: Answer) -> None:
        """Hand each component to the method that fits it."""
        self.answer(asked, answer, reduced=False)

    def answer(self, asked: Asked, answer: Answer, reduced: bool) -> None:
        """As `minimise`; `reduced`: what reductions can do to the question is done."""
        deadline = np.inf if self.time_limit is None else perf_counter() + self.time_limit
        swept, few, wide = self._split(asked.plan, asked.components)
        if swept.any():
            DynamicProgramming(self.threads, self.time_limit).minimise(asked.part(swept), answer)
        if few.any():
            BruteForce(self.threads).minimise(asked.part(few), answer)
        if wide.any():
            from .portfolio import Portfolio

            Portfolio(asked.part(wide), self, deadline, self._elimination, reduced).run(answer)
        if not reduced:
            self._name_conflicts(asked, answer)

    def _name_conflicts(self, asked: Asked, answer: Answer) -> None:
        """Where a component is infeasible, see whether propagation says which variable it fails at."""
        plan, components = asked.plan, asked.components
        lost = (answer.status[components] == Status.INFEASIBLE) & (plan.kinds[components] != LATTICE)
        lost = np.flatnonzero(lost)
        lost = lost[np.cumsum(plan.work[components[lost]]) <= NAMED]
        if lost.size:
            from .reduce import conflicts

            answer.conflict[components[lost]] = conflicts(asked.part(lost))

    def rank(self, asked: Asked, k: int) -> Ranking:
        """See Solver.rank; refuses what no exact method fits."""
        exact = self._exact(asked, "k_best")
        if len(exact) == 1:
            return exact[0][0].rank(asked, k)
        ranking = Ranking.empty(asked.plan, asked.components.size, k)
        for solver, mask in exact:
            part = asked.part(mask)
            ranking.put(mask, asked.plan, part.components, solver.rank(part, k))
        return ranking

    def integrate(
        self,
        asked: Asked,
        temperature: float = 1.0,
        marginals: np.ndarray | None = None,
        gradient: np.ndarray | None = None,
        weight: float = 1.0,
    ) -> np.ndarray:
        """See Solver.integrate; refuses what no exact method fits."""
        free = np.empty(asked.components.size)
        for solver, mask in self._exact(asked, "marginals"):
            free[mask] = solver.integrate(asked.part(mask), temperature, marginals, gradient, weight)
        return free

    def min_marginals(self, asked: Asked, out: np.ndarray) -> np.ndarray:
        """See Solver.min_marginals; refuses what no exact method fits."""
        minimum = np.empty(asked.components.size)
        for solver, mask in self._exact(asked, "min_marginals"):
            minimum[mask] = solver.min_marginals(asked.part(mask), out)
        return minimum

    def sampler(self, asked: Asked, temperature: float = 1.0) -> Sampler:
        """See Solver.sampler; refuses what no exact method fits."""
        parts = [solver.sampler(asked.part(mask), temperature) for solver, mask in self._exact(asked, "sample")]

        def draw(uniforms: np.ndarray, labels: np.ndarray) -> None:
            for part in parts:
                part(uniforms, labels)

        return draw

    def _exact(self, asked: Asked, where: str) -> list[tuple[Solver, np.ndarray]]:
        """Exact solvers, each with the components (a mask) that it answers; refuses if some have none."""
        swept, few, wide = self._split(asked.plan, asked.components)
        solvers: list[tuple[Solver, np.ndarray]] = [
            (DynamicProgramming(self.threads), swept),
            (BruteForce(self.threads), few),
        ]
        if wide.any():
            elimination, narrow = self._elimination, np.zeros_like(wide)
            narrow[wide] = elimination.fits(asked.part(wide))
            solvers.append((elimination, narrow))
            wide &= ~narrow
        if where == "min_marginals" and wide.any():
            from .mincut import MinCut

            cut, fit = MinCut(self.threads), np.zeros_like(wide)
            fit[wide] = cut.submodular(asked.part(wide))
            solvers.append((cut, fit))
            wide &= ~fit
        if wide.any():
            c = int(asked.components[np.argmax(wide)])
            others = INEXACT.get(where, "")
            raise FactorGraphError(
                f"{where}: component {c} has cycles and is too wide to eliminate; expected forests, lattices, at most "
                f"{FEW} labellings, or an elimination of at most {self.cells} table cells within {self.memory_limit}. "
                f"Observe more variables, or raise memory_limit and method=Auto(cells=…){others}; solve and losses of "
                "minima take any graph"
            )
        return [(solver, mask) for solver, mask in solvers if mask.any()]
