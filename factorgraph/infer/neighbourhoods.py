"""Large neighbourhoods: some variables keep their labels, all others get the best that these allow, by elimination.

Shaw, "Using constraint programming and local search methods to solve vehicle routing problems" (1998). Which variables
keep their labels is left to chance, and how many to what can be eliminated: as few as make the rest narrow. A round
never costs energy. When rounds stop gaining, wider rests are allowed, and after that some labels are disturbed; the
best labelling of all is the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

import numpy as np

from ..kernels.simd import with_slack
from ..kernels.structure import LOOPY
from ..plan import Asked, Plan
from .dynamic import answer_forests
from .elimination import Elimination
from .solution import Status
from .solver import Answer, Solver, evaluate

#: Table cells of one round: at first, at most, and how much more when nothing was gained.
CELLS, MOST, MORE = 1 << 20, 1 << 26, 4
#: Rounds without a gain before something else is tried.
PATIENCE = 40
#: Share of the variables that keeps its labels at first, and how it follows what can be eliminated.
KEPT, STEP = 0.4, 1.03
#: Share of the variables that a disturbance hits.
DISTURBED = 0.1


@dataclass(frozen=True)
class Neighbourhoods(Solver):
    """Improves a labelling of loopy components, one after the other; forests and lattices are solved exactly.

    rounds: most rounds per component. time_limit: seconds, dealt to the components. initial: int32 (V,) labelling to
    start from; −1 where unknown, state 0 then. seed: of the choices.
    """

    rounds: int = 200
    time_limit: float | None = None
    initial: np.ndarray | None = None
    seed: int = 0
    name: ClassVar[str] = "neighbourhoods"

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Forests and lattices."""
        return bool(plan.kinds[component] != LOOPY)

    def minimise(self, asked: Asked, answer: Answer) -> None:
        """Labels of each component; no bound."""
        plan = asked.plan
        loopy = answer_forests(asked, answer, self.threads, self.time_limit)
        deadline = np.inf if self.time_limit is None else perf_counter() + self.time_limit
        labels = np.zeros(plan.states.size, np.int32)
        if self.initial is not None:
            labels = np.maximum(self.initial, 0).astype(np.int32)
        for i in range(loopy.components.size):
            part = loopy.part(np.array([i]))
            now = perf_counter()
            until = now + (deadline - now) / (loopy.components.size - i)
            variables = plan.variables_of(int(part.components[0]))
            answer.labels[variables] = self._improve(part, labels, variables, until)[variables]
            answer.sign(part.components, self.name, Status.APPROXIMATE)

    def _improve(self, asked: Asked, labels: np.ndarray, variables: np.ndarray, deadline: float) -> np.ndarray:
        """The best labelling found; `labels` int32 (V,) stay as they are."""
        random = np.random.default_rng(self.seed)
        best, least = labels, float(evaluate(asked, labels)[1][0])
        labels, now = best.copy(), least
        kept, cells, stale = KEPT, CELLS, 0
        for _ in range(self.rounds):
            if perf_counter() > deadline:
                break
            hold = variables[random.random(variables.size) < kept]
            found = self._rest(asked, labels, hold, cells, deadline)
            if found is None:
                kept = min(1.0, kept * STEP)
                continue
            kept /= STEP
            energy = float(evaluate(asked, found)[1][0])
            stale = 0 if energy < now else stale + 1
            labels[variables], now = found[variables], energy
            if now < least:
                best, least = labels.copy(), now
            if stale == PATIENCE:
                stale = 0
                if cells < MOST:
                    cells *= MORE
                else:
                    cells, labels = CELLS, best.copy()
                    hit = variables[random.random(variables.size) < DISTURBED]
                    labels[hit] = random.integers(0, asked.plan.states[hit])
                    now = float(evaluate(asked, labels)[1][0])
        return best

    def _rest(
        self, asked: Asked, labels: np.ndarray, hold: np.ndarray, cells: int, deadline: float
    ) -> np.ndarray | None:
        """The best labelling int32 (V,) with the variables `hold` as they are; None if the rest is too wide, or it is
        too late."""
        plan = asked.plan
        bias = np.zeros(plan.variable_states, asked.energies.dtype)
        if asked.bias.size:
            bias[:] = asked.bias
        states = plan.states[hold].astype(np.int64)
        entries = np.arange(int(states.sum())) + np.repeat(plan.offsets[hold] - np.cumsum(states) + states, states)
        others = entries != np.repeat(plan.offsets[hold] + labels[hold], states)
        bias[entries[others]] = np.inf
        question = asked._replace(bias=with_slack(bias))
        left = None if deadline == np.inf else max(0.0, deadline - perf_counter())
        solver = Elimination(self.threads, cells, tries=1, time_limit=left)
        if not solver.fits(question)[0]:
            return None
        answer = Answer.empty(plan)
        solver.minimise(question, answer)
        return answer.labels if answer.status[asked.components[0]] == Status.OPTIMAL else None
