"""Exact search: best-first over bursts of depth-first branch and bound (Allouche, de Givry, Katsirelos, Schiex,
Zytnicki 2015). The open node of least bound is searched until so many conflicts; what is left of it becomes open nodes.
The least bound of all open nodes is a bound of the minimum that rises while the search goes on."""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..kernels.network import Incidence, Network, network_energy
from ..kernels.search import MARK, TAKEN, burst, resume
from ..kernels.search_consistency import CONFLICT, DONE, FULL, SLICE, settle_root
from ..kernels.search_costs import (
    BASE,
    BEST,
    COUNTS,
    CUT,
    DEPTH,
    DIRTY,
    DOUBT,
    DOUBTS,
    GRAIN,
    LAST,
    LEAST,
    LEVELS,
    LOG,
    REACH,
    ROSE,
    SHRANK,
    SLACK,
    TOP,
    WORK,
    Costs,
)
from ..kernels.search_root import descend, sweep_root
from ..kernels.structure import LOOPY
from ..plan import Asked, Plan
from .dynamic import DynamicProgramming
from .network import incidence_of, network_of
from .ranking import Ranking
from .solution import Status
from .solver import Answer, Solver

#: Work (table entries read) of one kernel call, some 20 ms.
WORK_SLICE = 10_000_000
#: Binary digits between the largest cost and the grain of all.
DIGITS = 46
#: Sweeps at the root at most, and as long as ten of them close this share of the gap.
SWEEPS, WORTH = 400, 0.01
#: Bytes that open nodes may take; beyond, the search goes on depth first.
OPEN_BYTES = 1 << 28


@dataclass(frozen=True)
class ExactSearch(Solver):
    """Branch and bound on loopy components; forests and lattices are solved by dynamic programming.

    time_limit: seconds; where they run out, the best labelling and the bound so far are the answer. initial: int32 (V,)
    labelling to start from, −1 where unknown.
    """

    time_limit: float | None = None
    initial: np.ndarray | None = None
    name: ClassVar[str] = "exact search"

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Everywhere, if there is time enough."""
        return self.time_limit is None or bool(plan.kinds[component] != LOOPY)

    def minimise(self, asked: Asked, answer: Answer) -> None:
        """One loopy component after the other, until the time is up."""
        plan = asked.plan
        deadline = np.inf if self.time_limit is None else time.perf_counter() + self.time_limit
        loopy = plan.kinds[asked.components] == LOOPY
        if not loopy.all():
            DynamicProgramming(self.threads, self.time_limit).minimise(asked.part(~loopy), answer)
        for i in np.flatnonzero(loopy):
            part = asked.part([i])
            scene = network_of(part)
            start = None if self.initial is None else self.initial[scene.variables]
            search = Search(scene.network, start)
            search.run(deadline)
            if search.energy < np.inf:
                answer.labels[scene.variables] = search.labels
            answer.bound[part.components] = search.bound
            answer.sign(part.components, self.name, search.status)

    def rank(self, asked: Asked, k: int) -> Ranking:
        """See Solver.rank; of forests and lattices only."""
        return DynamicProgramming(self.threads).rank(asked, k)


class Search:
    """One network searched. `labels` int64 (V,) the best so far, `energy` of them, `bound` below every labelling."""

    def __init__(self, network: Network, initial: np.ndarray | None = None):
        self.network, self.incidence = network, incidence_of(network)
        self.labels = np.zeros(network.states.size, np.int64)
        for v, first in enumerate(network.first[:-1]):
            self.labels[v] = np.argmin(network.unary[first : network.first[v + 1]])
        if initial is not None:
            self.labels = np.where(initial >= 0, initial, self.labels).astype(np.int64)
        self.energy, self.bound = np.inf, -np.inf
        self.status = Status.BOUNDED
        self.deadline = np.inf
        self.closed = False
        self.trial = self.labels.copy()
        self._try()

    def _try(self) -> None:
        """Improve `trial`, keep it if it is better."""
        for labels in (self.trial.copy(), self.trial):
            if labels is self.trial:
                descend(self.network, self.incidence, labels, 20)
            energy = network_energy(self.network, labels)
            if energy < self.energy:
                self.energy, self.labels = energy, labels.copy()

    def _late(self) -> bool:
        return time.perf_counter() > self.deadline

    def run(self, deadline: float = np.inf) -> None:
        """Search until the minimum is proven or the deadline is over."""
        self.deadline = deadline
        costs = self._prepare()
        if costs is None:
            self.bound, self.status = np.inf, Status.INFEASIBLE
            return
        self.costs = costs
        if self._root():
            self._branch()
        self.energy = float(self.costs.level[BEST])
        if self.closed:
            self.status = Status.OPTIMAL if self.energy < np.inf else Status.INFEASIBLE

    def _prepare(self) -> Costs | None:
        """Costs above their minima, in multiples of the grain; None where some factor forbids everything."""
        net = self.network
        owner = np.repeat(np.arange(net.states.size), net.states)
        low = np.append(net.unary, net.tables)
        starts = np.append(net.first[:-1], net.first[-1] + net.start[:-1])
        sizes = np.append(net.states, np.diff(net.start))
        least = np.minimum.reduceat(low, starts)
        if not (least < np.inf).all():
            return None
        finite = low[low < np.inf]
        level = np.zeros(LEVELS)
        level[BASE] = base = float(np.sum(least))
        integral = bool((finite == np.rint(finite)).all() and np.abs(finite).max(initial=0) < 2**40)
        above = low - np.repeat(least, sizes)
        peak = np.maximum.reduceat(np.where(above < np.inf, above, 0), starts)
        gap = self.energy - base if self.energy < np.inf else float(peak.sum()) + 1.0
        gap = max(gap, 1.0 if integral else 1e-12 * max(1.0, abs(base)))
        grain = 2.0 ** (np.ceil(np.log2(gap)) - DIGITS)
        if self.energy < np.inf:
            above[above > gap * (1 + 1e-9)] = np.inf
        above = np.floor(above / grain) * grain
        rounding = 2.0**-50 * float(np.abs(np.where(low < np.inf, low, 0)).max(initial=0)) * starts.size
        self.allowance = 0.0 if integral else rounding
        self.integral = integral
        level[GRAIN], level[REACH], level[LEAST] = grain, grain * 2.0**50, max(grain, 1e-4 * gap)
        level[SLACK] = 1 - grain if integral else starts.size * grain + 2 * rounding + 1e-9 * max(1.0, abs(base))
        level[BEST] = self.energy
        level[CUT] = np.inf if self.energy == np.inf else self.energy - base - level[SLACK]
        unary, tables = above[: net.first[-1]], above[net.first[-1] :]
        shift = np.zeros(net.var.size, np.int64)
        wide = net.states[net.var]
        shift[:] = net.first[-1] + 1 + np.cumsum(wide) - wide
        count = int(net.first[-1] + 1 + wide.sum())
        value = np.zeros(count)
        value[: net.first[-1]] = unary
        dead = unary == np.inf
        order = np.lexsort((dead, owner))
        live = order - net.first[owner[order]]
        place = np.empty(live.size, np.int64)
        place[net.first[owner] + live] = np.arange(live.size) - net.first[owner]
        size = net.states - np.bincount(owner[dead], minlength=net.states.size)
        counts = np.zeros(COUNTS, np.int64)
        counts[TOP] = counts[DOUBTS] = net.states.size - 1
        counts[LAST] = -1
        counts[DIRTY] = 1
        arity = int(np.diff(net.ptr).max(initial=1))
        most = int(net.states.max(initial=1))
        # what the work on one variable may log: both ends of each of its factors twice, all that is weighed
        scope = np.add.reduceat(wide, net.ptr[:-1]) if wide.size else np.zeros(0, np.int64)
        at_once = np.bincount(net.var, np.repeat(scope, np.diff(net.ptr)), minlength=net.states.size)
        self.room = int(8 * at_once.max(initial=0) + 2 * live.size + 64)
        capacity = 4 * self.room + count
        return Costs(
            Network(net.states, net.first, unary, net.ptr, net.var, net.start, tables),
            self.incidence,
            shift,
            value,
            np.zeros(count, np.int64),
            np.full(count, -1, np.int64),
            live,
            place,
            size,
            np.full(net.states.size, ROSE | SHRANK | DOUBT, np.uint8),
            self.labels.copy(),
            np.empty(capacity, np.int64),
            np.empty(capacity),
            counts,
            level,
            np.ones(net.ptr.size - 1),
            np.empty((2, max(most, arity))),
            np.empty((2, arity), np.int64),
        )

    def _constant(self) -> float:
        return float(self.costs.value[self.network.first[-1]])

    def _raise(self, constant: float) -> None:
        """Note that no labelling costs less than base + constant, or than the cut."""
        level = self.costs.level
        self.closed = constant >= level[CUT]
        bound = level[BASE] + min(constant, level[CUT]) - self.allowance
        if self.integral:
            bound = np.ceil(bound)
        self.bound = max(self.bound, float(bound))

    def _root(self) -> bool:
        """Raise the bound without branching; whether there is anything left to search."""
        s = self.costs
        self._raise(0.0)
        before = []
        for sweep in range(SWEEPS):
            for ascending in (True, False):
                at = 0
                while 0 <= at < self.network.states.size:
                    at = sweep_root(s, at, ascending, s.count[WORK] + WORK_SLICE, self.trial)
                    if self._late() and at < self.network.states.size:
                        return False
                if at < 0:
                    self._raise(np.inf)
                    return False
                self._try()
            self._better()
            self._raise(self._constant())
            before.append(self._constant())
            gap = s.level[CUT] - before[-1]
            if gap <= 0 or self._late():
                break
            if sweep >= 10 and before[-1] - before[-11] < WORTH * gap:
                break
        self.sweeps = sweep + 1
        s.count[LOG] = 0
        while (code := settle_root(s, self.room, s.count[WORK] + WORK_SLICE)) in (FULL, SLICE):
            s.count[LOG] = 0
            if self._late():
                self._raise(self._constant())
                return False
        if code == CONFLICT:
            self._raise(np.inf)
            return False
        self._raise(self._constant())
        self.rootlb = self.bound
        s.count[LOG] = 0
        return True

    def _better(self) -> None:
        """Tell the search of a labelling found elsewhere."""
        level = self.costs.level
        if self.energy < level[BEST]:
            level[BEST] = self.energy
            level[CUT] = self.energy - level[BASE] - level[SLACK]
            self.costs.count[DIRTY] = 1

    def _branch(self) -> None:
        s = self.costs
        # a decision takes a state at least
        deepest = int(s.size.sum()) + 1
        stack, below = np.zeros((deepest, 4), np.int64), np.zeros(deepest)
        heap: list[tuple[float, int, np.ndarray]] = [(self._constant(), 0, np.zeros((0, 3), np.int64))]
        number, spent, limit = 1, 0, 1
        self.bursts = 0
        used = 0
        while heap and heap[0][0] < s.level[CUT]:
            constant, _, path = heapq.heappop(heap)
            used -= path.nbytes + 200
            self._raise(constant)
            self.bursts += 1
            before = s.count[WORK]
            if not resume(s, stack, below, path):
                continue
            floor = int(s.count[DEPTH])
            fails = limit if used < OPEN_BYTES else 1 << 60
            while True:
                until = s.count[WORK] + WORK_SLICE
                code = burst(s, stack, below, self.network, self.labels, self.trial, self.room, until, floor, fails)
                if code == FULL:
                    self.costs = s = s._replace(
                        log_at=np.concatenate([s.log_at, np.empty_like(s.log_at)]),
                        log_old=np.concatenate([s.log_old, np.empty_like(s.log_old)]),
                    )
                if code not in (FULL, SLICE) or self._late():
                    break
            if self._late() and code in (FULL, SLICE):
                self._raise(constant)
                return
            if code == DONE:
                continue
            depth = int(s.count[DEPTH])
            for d in range(floor, depth):
                if not stack[d, TAKEN] and below[d] < s.level[CUT]:
                    child = stack[: d + 1, :MARK].copy()
                    child[d, TAKEN] = 1
                    heapq.heappush(heap, (max(constant, below[d]), number, child))
                    number += 1
                    used += child.nbytes + 200
            spent += before * 0
            if self._late():
                self._raise(heap[0][0] if heap else np.inf)
                return
            limit = min(2 * limit, 1 << 14) if floor > 0 else limit
        self._raise(np.inf)
