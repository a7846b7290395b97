"""Sequential min-sum belief propagation (Pearl 1988) with rounding, for loopy graphs: good labellings, no bound."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels.minsum import (
    gather_beliefs,
    improve_labels,
    round_labels,
    sweep,
    unary_costs,
)
from ..kernels.structure import LOOPY
from ..plan import Asked, Plan
from .dynamic import DynamicProgramming, answer_forests
from .moves import loops_of
from .ranking import Ranking
from .solution import Status
from .solver import Answer, Solver, evaluate

#: Table entries one kernel call visits, so that ctrl-C and time limits are obeyed within about 100 ms.
SLICE = 4_000_000


@dataclass(frozen=True)
class MinSum(Solver):
    """Min-sum sweeps over loopy components, forwards and backwards in turn; the best labelling seen is kept.

    sweeps: most sweeps. damping: share of the old message kept, in [0, 1). patience: stop after this many sweeps
    without a better labelling. time_limit: seconds. initial: int32 (V,) labelling to start from, −1 where unknown.
    Forests and lattices in the same plan are solved exactly.
    """

    sweeps: int = 100
    damping: float = 0.1
    patience: int = 10
    time_limit: float | None = None
    initial: np.ndarray | None = None
    name: ClassVar[str] = "min-sum"

    def __post_init__(self) -> None:
        if not (self.sweeps >= 1 and self.patience >= 1 and 0 <= self.damping < 1):
            raise FactorGraphError(
                f"MinSum: expected sweeps ≥ 1, patience ≥ 1 and 0 ≤ damping < 1; got {self.sweeps}, {self.patience}, "
                f"{self.damping}"
            )

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Forests and lattices."""
        return bool(plan.kinds[component] != LOOPY)

    def minimise(self, asked: Asked, answer: Answer) -> None:
        """All loopy components are swept together; each keeps its own best labelling."""
        asked = answer_forests(asked, answer, self.threads, self.time_limit)
        if asked.components.size:
            _Sweeps(self, asked).run(answer)

    def rank(self, asked: Asked, k: int) -> Ranking:
        """See Solver.rank; of forests and lattices only."""
        return DynamicProgramming(self.threads).rank(asked, k)


class _Sweeps:
    """The state of one run."""

    def __init__(self, solver: MinSum, asked: Asked):
        plan, energies, bias, components = asked
        self.solver, self.asked, self.plan, self.energies, self.components = solver, asked, plan, energies, components
        entries = plan.loops[1]
        self.loops = loops_of(asked)
        self.unary = np.zeros(plan.variable_states)
        unary_costs(plan.factors, components, plan.states, plan.offsets, energies, bias, self.unary)
        self.messages = np.zeros(entries)
        self.belief = np.zeros(plan.variable_states)
        arity, widest = plan.extent.arity, int(plan.states.max(initial=1))
        self.scratch = (np.empty(arity * widest), np.empty(arity * widest), np.empty(arity, np.int64))
        self.cost = np.empty(widest)
        self.best = np.full(components.size, np.inf)
        self.deadline = np.inf if solver.time_limit is None else time.perf_counter() + solver.time_limit

    def run(self, answer: Answer) -> None:
        """Sweep until nothing improves; write labels and statuses."""
        plan = self.plan
        labels = np.full(plan.states.size, -1, np.int32)
        if self.solver.initial is not None:
            labels[self.loops.var] = np.maximum(self.solver.initial[self.loops.var], 0)
            self._keep(labels, answer)
        stale = 0
        for number in range(self.solver.sweeps):
            self._sweep(backwards=number % 2 == 1)
            self._round(labels)
            stale = 0 if self._keep(labels, answer) else stale + 1
            if stale >= self.solver.patience or time.perf_counter() > self.deadline:
                break
        lost = plan.inside(self.components[self.best == np.inf])
        answer.labels[lost] = labels[lost]  # a labelling that costs +inf says so when it is evaluated
        status = np.where(self._impossible(), Status.INFEASIBLE, Status.APPROXIMATE)
        answer.sign(self.components, self.solver.name, status)

    def _arguments(self) -> tuple[object, ...]:
        return (self.plan.factors, self.loops, self.plan.states, self.plan.offsets, self.energies)

    def _sweep(self, backwards: bool) -> None:
        plan, count = self.plan, self.loops.factor.size
        gather_beliefs(self.loops, plan.states, plan.offsets, self.unary, self.messages, self.belief)
        step = max(1, SLICE // max(1, plan.extent.table))
        costs = (self.unary, np.array([self.solver.damping]))
        for low in range(0, count, step):
            high = min(low + step, count)
            span = (count - 1 - low, count - 1 - high, -1) if backwards else (low, high, 1)
            sweep(*span, *self._arguments(), costs, (self.messages, self.belief), self.scratch)
            if time.perf_counter() > self.deadline:
                return

    def _round(self, labels: np.ndarray) -> None:
        costs = (self.unary, self.messages, self.belief)
        round_labels(*self._arguments(), costs, labels, (self.cost, self.scratch[2]))
        for _ in range(20):
            if not improve_labels(*self._arguments(), self.unary, labels, self.cost):
                return

    def _keep(self, labels: np.ndarray, answer: Answer) -> bool:
        """Keep `labels` in the components where they are better than the best; whether there was one."""
        _, minimum = evaluate(self.asked, labels)
        better = minimum < self.best
        if better.any():
            self.best[better] = minimum[better]
            inside = self.plan.inside(self.components[better])
            answer.labels[inside] = labels[inside]
        return bool(better.any())

    def _impossible(self) -> np.ndarray:
        """bool per component: some variable has no state left by its own energies and its messages.

        A min-sum message is +inf only where every completion seen so far along the message's tree of origin costs
        +inf, so a variable all of whose beliefs are +inf proves that its component is infeasible.
        """
        plan = self.plan
        gather_beliefs(self.loops, plan.states, plan.offsets, self.unary, self.messages, self.belief)
        dead = np.ones(plan.states.size, bool)
        alive = np.flatnonzero(self.belief < np.inf)
        dead[np.searchsorted(plan.offsets, alive, side="right") - 1] = False
        count = np.bincount(plan.component[self.loops.var[dead[self.loops.var]]], minlength=plan.n_components)
        return (count[self.components] > 0) & (self.best == np.inf)
