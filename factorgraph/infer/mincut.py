"""Minimum cuts: exact labellings and min-marginals of binary submodular components.

Hammer 1965; Greig, Porteous, Seheult 1989; Kolmogorov, Zabih 2004. Min-marginals are flow potentials of the residual
network (Kohli, Torr, "Measuring uncertainty in graph cut solutions", 2008).

Of integers below 2**53 everything here is exact. Of other energies the labelling is best up to the rounding of sums in
float64, and slacks up to the rounding of the energies' own dtype count as none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels.potentials import potentials
from ..kernels.structure import LATTICE
from ..plan import Asked, Plan
from .cubic import Choice
from .flows import VISITS, Clock, Network, each_part, fitting, push
from .solution import Status
from .solver import Answer, Solver, evaluate


@dataclass(frozen=True)
class MinCut(Solver):
    """Exact on components of binary variables whose factors are submodular: E(0,0) + E(1,1) ≤ E(0,1) + E(1,0).

    Factors have arity at most 3, those of arity 3 without forbidden entries; factors over one pair are summed before
    they are judged. Of all best labellings it is the one with the fewest 1s. time_limit: seconds, after which
    components are left APPROXIMATE.

    Raises FactorGraphError for any other component.
    """

    time_limit: float | None = None
    name: ClassVar[str] = "min cut"

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Binary components of factors of arity at most 3; energies that are not submodular are refused."""
        return bool(self._fit(plan, np.array([component]))[0])

    def _fit(self, plan: Plan, components: np.ndarray) -> np.ndarray:
        return (plan.kinds[components] != LATTICE) & fitting(plan, components, arity=3, states=2)

    def submodular(self, asked: Asked) -> np.ndarray:
        """bool per component asked: whether this solver answers it. Costs about as much as reading its energies."""
        plan = asked.plan
        fit = self._fit(plan, asked.components)
        choice = both(plan)

        def judge(network: Network) -> np.ndarray:
            network.ask(asked, choice)
            return ~network.odd()[network.components]

        fine = np.zeros(plan.n_components, bool)
        for components, result in each_part(asked.part(fit), judge, self.threads, Clock(None)):
            fine[components] = result
        return fine[asked.components]

    def minimise(self, asked: Asked, answer: Answer) -> None:
        """The best labelling with the fewest 1s."""
        plan, clock = asked.plan, Clock(self.time_limit)
        choice = both(plan)

        def label(network: Network) -> np.ndarray:
            done = self._flow(network, asked, choice, clock)
            answer.labels[network.variables] = np.where(
                network.taken(), choice[1][network.variables], choice[0][network.variables]
            )
            lost = network.lost()[network.components]
            return np.where(lost, Status.INFEASIBLE, Status.OPTIMAL if done else Status.APPROXIMATE)

        self._check(asked)
        for components, status in each_part(asked, label, self.threads, clock):
            answer.sign(components, self.name, status)

    def min_marginals(self, asked: Asked, out: np.ndarray) -> np.ndarray:
        """See Solver.min_marginals; exact. One flow of all, then one small flow per variable."""
        plan, clock = asked.plan, Clock(None)
        choice = both(plan)
        labels = np.full(plan.states.size, -1, np.int32)

        def measure(network: Network) -> np.ndarray:
            self._flow(network, asked, choice, clock)
            taken = network.taken()
            labels[network.variables] = taken
            _, least = evaluate(asked._replace(components=network.components), labels)
            least[network.lost()[network.components]] = np.inf
            rise = np.zeros(network.size)
            at = 0
            while at < network.size and not clock.over():
                at = potentials(network.network, network.flow, at, VISITS, rise)
            of = np.zeros(plan.n_components)
            of[network.components] = least
            base = of[plan.component[network.variables]]
            offset = plan.offsets[network.variables]
            out[offset + taken] = base
            two = plan.states[network.variables] == 2
            out[(offset + 1 - taken)[two]] = (base + rise[network.where])[two]
            return least

        self._check(asked)
        minimum = np.zeros(plan.n_components)
        for components, least in each_part(asked, measure, self.threads, clock):
            minimum[components] = least
        return minimum[asked.components]

    def _check(self, asked: Asked) -> None:
        fit = self._fit(asked.plan, asked.components)
        if not fit.all():
            c = int(asked.components[np.argmin(fit)])
            raise FactorGraphError(
                f"MinCut: component {c} is a lattice, or has variables of more than two states or factors of arity "
                "above 3; expected binary variables and arity at most 3. Use method='auto'"
            )

    def _flow(self, network: Network, asked: Asked, choice: Choice, clock: Clock) -> bool:
        network.ask(asked, choice)
        odd = network.odd()
        if odd.any():
            raise FactorGraphError(
                f"MinCut: component {int(np.argmax(odd))} has factors that are not submodular; expected "
                "E(0,0) + E(1,1) ≤ E(0,1) + E(1,0) for every pair, and no forbidden entries in factors of arity 3. "
                "Use method='auto'"
            )
        network.fill()
        return push(network.network, network.flow, clock)


def both(plan: Plan) -> Choice:
    """The choice between labels 0 and 1 (or 0 again, where that is all)."""
    return np.zeros(plan.states.size, np.int32), np.minimum(plan.states - 1, 1).astype(np.int32)
