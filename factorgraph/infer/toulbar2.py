"""Exact search by toulbar2 (Allouche, de Givry, Katsirelos, Schiex, Zytnicki 2015), where pytoulbar2 is installed.

toulbar2 counts in whole costs, so that energies are rounded to some decimals. A sum of N entries is off by N units at
most, and as much is taken from its bound.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels.network import Network, network_energy
from ..kernels.structure import LOOPY
from ..plan import Asked, Plan
from .dynamic import DynamicProgramming, answer_forests
from .network import network_of
from .ranking import Ranking
from .solution import Status
from .solver import Answer, Solver

#: Units that a labelling may cost: beyond, toulbar2's integers overflow.
MOST_UNITS = 1e15


@dataclass(frozen=True)
class Toulbar2(Solver):
    """toulbar2 on loopy components; forests and lattices are solved by dynamic programming.

    time_limit: seconds of search for all components; what toulbar2 does before is not interrupted. initial: int32 (V,)
    labelling whose energy is an upper bound, −1 where unknown. decimals: how many of the energies count, fewer where
    the sum would be too large.
    """

    time_limit: float | None = None
    initial: np.ndarray | None = None
    decimals: int = 9
    name: ClassVar[str] = "toulbar2"

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Forests and lattices; elsewhere up to the decimals."""
        return bool(plan.kinds[component] != LOOPY)

    def minimise(self, asked: Asked, answer: Answer) -> None:
        """One loopy component after the other."""
        package = load()
        deadline = math.inf if self.time_limit is None else time.perf_counter() + self.time_limit
        loopy = answer_forests(asked, answer, self.threads, self.time_limit)
        for i in range(loopy.components.size):
            part = loopy.part(np.array([i]))
            scene = network_of(part)
            start = None if self.initial is None else self.initial[scene.variables].astype(np.int64)
            labels, bound, status = self._search(package, scene.network, start, deadline - time.perf_counter())
            answer.labels[scene.variables] = labels
            answer.bound[part.components] = bound
            answer.sign(part.components, self.name, status)

    def rank(self, asked: Asked, k: int) -> Ranking:
        """See Solver.rank; of forests and lattices only."""
        return DynamicProgramming(self.threads).rank(asked, k)

    def _search(
        self, package: Any, net: Network, start: np.ndarray | None, seconds: float
    ) -> tuple[np.ndarray, float, Status]:
        """Labels, bound and status of one component."""
        labels = np.zeros(net.states.size, np.int64) if start is None or (start < 0).any() else start
        energy = float(network_energy(net, labels))
        parts = [net.unary[a:b] for a, b in zip(net.first[:-1], net.first[1:])]
        scopes = [[v] for v in range(net.states.size)]
        parts += [net.tables[a:b] for a, b in zip(net.start[:-1], net.start[1:])]
        scopes += [net.var[a:b].tolist() for a, b in zip(net.ptr[:-1], net.ptr[1:])]
        least = np.array([part.min() for part in parts])
        if not (least < np.inf).all():
            return labels, math.inf, Status.INFEASIBLE
        above = [part - low for part, low in zip(parts, least)]
        most = sum(float(part[part < np.inf].max()) for part in above)
        decimals = min(self.decimals, math.floor(math.log10(MOST_UNITS / max(most, 1.0))))
        if decimals < 0:
            raise FactorGraphError(
                f"toulbar2: expected energies whose sums span at most {MOST_UNITS:.0e}; got {most:.3g}. Use "
                "method='exact', which has no such limit"
            )
        if seconds <= 0:
            return labels, float(least.sum()), Status.BOUNDED
        whole = all((part == np.rint(part)).all() for part in parts)
        decimals = 0 if whole else decimals
        allowance = 0.0 if whole else 10.0**-decimals * len(parts) + 2.0**-50 * float(np.abs(least).sum() + most)
        top = min(most, energy - float(least.sum()) + 2 * allowance) + 1
        problem = package.CFN(top, decimals)
        for v, count in enumerate(net.states):
            problem.AddVariable(f"x{v}", range(int(count)))
        for scope, part in zip(scopes, above):
            problem.AddFunction(scope, np.where(part < top, np.round(part, decimals), top).tolist())
        limit = 0 if seconds == math.inf else max(1, math.ceil(seconds))
        began = time.perf_counter()
        found = problem.Solve(timeLimit=limit)
        over = limit > 0 and time.perf_counter() - began >= 0.9 * limit
        if found is not None:
            labels = np.array(found[0], np.int64)
        elif not over:
            return labels, math.inf, Status.INFEASIBLE
        below = float(least.sum()) - allowance
        below += max(0.0, float(problem.GetDDualBound())) if over else float(found[1])
        if not over and whole:
            return labels, below, Status.OPTIMAL
        return labels, below, Status.BOUNDED


def load() -> Any:
    """The package, or the error that asks for it."""
    try:
        import pytoulbar2
    except ImportError:
        raise FactorGraphError(
            "toulbar2: expected the package pytoulbar2; it is not installed. Run pip install 'factorgraph-ebm[exact]', "
            "or use method='exact'"
        ) from None
    return pytoulbar2
