"""Exact search: best-first over bursts of depth-first branch and bound (Allouche, de Givry, Katsirelos, Schiex,
Zytnicki 2015). The open node of least bound is searched until so many conflicts; what is left of it becomes open nodes.
The least bound of the open nodes is a bound of the minimum, which rises while the search goes on."""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..kernels.network import Network, network_energy
from ..kernels.search import COLUMNS, KIND, OPEN, burst, resume
from ..kernels.search_consistency import CONFLICT, FULL, SLICE
from ..kernels.search_costs import BASE, BEST, CUT, DEPTH, DIRTY, GRAIN, LEAST, LOG, NODES, ROUNDING, SIZE, SLACK, WORK
from ..kernels.search_root import descend, sweep_root
from ..kernels.structure import LOOPY
from ..plan import Asked, Plan
from .dynamic import DynamicProgramming, answer_forests
from .network import incidence_of, network_of
from .ranking import Ranking
from .search_costs import ROUNDED, WORTH, costs_of, room_of
from .solution import TOLERANCE, Status
from .solver import Answer, Solver

#: Table entries that one kernel call reads: some 50 ms.
WORK_SLICE = 4_000_000
#: Sweeps at the root at most; they end when ten of them close less than this share of the gap.
SWEEPS, CLOSED = 400, 0.2
#: Share of the nodes that are visited on the way back to open ones: bursts grow above, shrink below.
REPLAY = (0.05, 0.1)
LONGEST_BURST = 1 << 14
#: Bytes that open nodes may take; beyond, the search goes on depth first.
OPEN_BYTES = 1 << 28


@dataclass(frozen=True)
class ExactSearch(Solver):
    """Branch and bound on loopy components; forests and lattices are solved by dynamic programming.

    time_limit: seconds for all components; when they are over, the best labelling and the bound so far are the answer.
    initial: int32 (V,) labelling to start from, −1 where unknown.
    """

    time_limit: float | None = None
    initial: np.ndarray | None = None
    name: ClassVar[str] = "exact search"

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Everywhere, if there is time enough."""
        return self.time_limit is None or bool(plan.kinds[component] != LOOPY)

    def minimise(self, asked: Asked, answer: Answer) -> None:
        """One loopy component after the other."""
        deadline = np.inf if self.time_limit is None else time.perf_counter() + self.time_limit
        loopy = answer_forests(asked, answer, self.threads, self.time_limit)
        for i in range(loopy.components.size):
            part = loopy.part(np.array([i]))
            scene = network_of(part)
            search = Search(scene.network, None if self.initial is None else self.initial[scene.variables])
            status = search.run(deadline)
            if status != Status.INFEASIBLE:
                answer.labels[scene.variables] = search.labels
            answer.bound[part.components] = search.bound
            answer.sign(part.components, self.name, status)

    def rank(self, asked: Asked, k: int) -> Ranking:
        """See Solver.rank; of forests and lattices only."""
        return DynamicProgramming(self.threads).rank(asked, k)


class Search:
    """One network searched: `labels` int64 (V,) are the best so far, `energy` is theirs, `bound` is below all."""

    def __init__(self, network: Network, initial: np.ndarray | None = None):
        self.network, self.incidence = network, incidence_of(network)
        least = np.minimum.reduceat(network.unary, network.first[:-1])
        owner = np.repeat(np.arange(network.states.size), network.states)
        lowest = np.flatnonzero(network.unary == least[owner])
        self.labels = lowest[np.searchsorted(lowest, network.first[:-1])] - network.first[:-1]
        if initial is not None:
            self.labels = np.where(initial >= 0, initial, self.labels)
        self.trial = self.labels.copy()
        tables = np.minimum.reduceat(network.tables, network.start[:-1]) if network.tables.size else np.zeros(0)
        minima = np.append(least, tables)
        self.bound = float(minima.sum())
        if self.bound < np.inf:
            self.bound -= ROUNDED * float(np.abs(minima).sum())
        self.energy = float(network_energy(network, self.labels))
        self.room = room_of(network)
        self.deadline = np.inf

    def run(self, deadline: float = np.inf) -> Status:
        """Search until the minimum is proven (OPTIMAL, INFEASIBLE) or the deadline is over (BOUNDED)."""
        self.deadline = deadline
        try:
            if self.bound < np.inf:
                self._descend()
                while self._prove():
                    pass
        except _Late:
            return Status.BOUNDED
        if self.energy == np.inf:
            self.bound = np.inf
            return Status.INFEASIBLE
        return Status.OPTIMAL

    def _prove(self) -> bool:
        """Prove that nothing is better than `labels`; whether that must be done again, on costs of a finer grain: they
        are rounded to the gap that is known before."""
        self.costs, before = costs_of(self.network, self.labels, self.energy), self.energy
        if self._relax():
            self._branch()
        self._raise(np.inf)
        close = self.costs.level[SLACK] <= TOLERANCE * max(1.0, abs(self.energy))
        return not (close or self._whole() or self.energy == before)

    def _whole(self) -> bool:
        return bool(self.costs.level[ROUNDING] == 0)

    def _check_time(self) -> None:
        if time.perf_counter() > self.deadline:
            raise _Late

    def _constant(self) -> float:
        return float(self.costs.value[0])

    def _raise(self, constant: float) -> None:
        """Note that no labelling costs less than base + constant, or else than the cut."""
        level = self.costs.level
        bound = level[BASE] + min(constant, level[CUT]) - level[ROUNDING]
        if self._whole():
            bound = level[BEST] if constant >= level[CUT] else np.ceil(bound)
        self.bound = max(self.bound, float(bound))

    def _better(self) -> None:
        """Let the search know the best labelling."""
        level = self.costs.level
        level[BEST], level[CUT] = self.energy, self.energy - level[BASE] - level[SLACK]
        self.costs.tally[DIRTY] = 1

    def _descend(self) -> None:
        """Improve `trial`; keep it if it is better than the best."""
        work = np.cumsum(self.network.states * (1 + np.diff(self.incidence.ptr)))
        slices = np.append(np.flatnonzero(np.diff(work // WORK_SLICE)) + 1, work.size)
        for _ in range(20):
            changed = False
            for begin, end in zip(np.append(0, slices), slices):
                self._check_time()
                changed |= bool(descend(self.network, self.incidence, self.trial, begin, end))
            if not changed:
                break
        energy = float(network_energy(self.network, self.trial))
        if energy < self.energy:
            self.energy, self.labels = energy, self.trial.copy()

    def _burst(self, stack: np.ndarray, below: np.ndarray, floor: int, fails: int) -> int:
        """Search below the first `floor` decisions until `fails` conflicts, or only settle (0): see `burst`."""
        while True:
            s = self.costs
            until = s.tally[WORK] + WORK_SLICE
            code = burst(s, stack, below, self.labels, self.trial, (floor, fails), self.room, until)
            self.energy = float(s.level[BEST])
            if code == FULL:
                log_at = np.append(s.log_at, np.empty_like(s.log_at))
                self.costs = s._replace(log_at=log_at, log_old=np.append(s.log_old, np.empty_like(s.log_old)))
            elif code != SLICE:
                return int(code)
            self._check_time()

    def _relax(self) -> bool:
        """Raise the bound without branching; False where nothing is left to search."""
        self._raise(0.0)
        count, bounds = self.network.states.size, []
        for _ in range(SWEEPS):
            for ascending in (True, False):
                at = 0
                while 0 <= at < count:
                    at = sweep_root(self.costs, at, ascending, self.costs.tally[WORK] + WORK_SLICE, self.trial)
                    self._check_time()
                if at < 0:
                    return False
                self._descend()
                self._better()
            bounds.append(self._constant())
            self._raise(bounds[-1])
            gap = self.costs.level[CUT] - bounds[-1]
            if gap <= 0:
                return False
            if len(bounds) > 10 and bounds[-1] - bounds[-11] <= CLOSED * gap:
                break
        return True

    def _branch(self) -> None:
        """Search below the root."""
        deepest = int(self.costs.node[:, SIZE].sum())  # every decision takes a state at least
        stack, below = np.zeros((deepest, COLUMNS), np.int64), np.zeros(deepest)
        if self._burst(stack, below, 0, 0) == CONFLICT:
            return
        self.costs.tally[LOG] = 0  # the root is not taken back
        heap = [(self._constant(), 0, np.zeros((0, OPEN), np.int64))]
        number, taken, limit, replayed = 1, 0, 1, 0
        while heap and heap[0][0] < self.costs.level[CUT]:
            constant, _, path = heapq.heappop(heap)
            taken -= path.nbytes
            self._raise(constant)
            self._check_time()
            possible = resume(self.costs, stack, below, path)
            floor = int(self.costs.tally[DEPTH])
            if not possible or self._burst(stack, below, floor, 0) == CONFLICT:
                continue
            replayed += floor
            self._burst(stack, below, floor, limit if taken < OPEN_BYTES else np.iinfo(np.int64).max)
            for d in range(floor, int(self.costs.tally[DEPTH])):
                if stack[d, OPEN] and below[d] < self.costs.level[CUT]:
                    child = stack[: d + 1, :OPEN].copy()
                    child[d, KIND] ^= 1
                    heapq.heappush(heap, (max(constant, float(below[d])), number, child))
                    number += 1
                    taken += child.nbytes
            share = replayed / int(self.costs.tally[NODES])
            if share > REPLAY[1]:
                limit = min(2 * limit, LONGEST_BURST)
            elif share < REPLAY[0]:
                limit = max(1, limit // 2)
            if self.energy < np.inf:
                self.costs.level[LEAST] = max(self.costs.level[GRAIN], WORTH * (self.costs.level[CUT] - constant))


class _Late(Exception):
    """The deadline is over."""
