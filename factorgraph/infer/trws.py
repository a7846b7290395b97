"""TRW-S: lower bounds and labellings of loopy graphs (Kolmogorov 2006; for any scopes 2015). See kernels/trws.py."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels.forest_min import padding_mask
from ..kernels.minsum import round_labels, unary_costs
from ..kernels.simd import buffer
from ..kernels.structure import LOOPY
from ..kernels.trws import Space, copy_padded, sweep_nodes
from ..kernels.trws_bound import sum_bound
from ..plan import Asked, Plan
from ..plan.sweep import Passes, padded_sizes
from .dynamic import DynamicProgramming
from .moves import Improver, fuse, loops_of
from .ranking import Ranking
from .solution import TOLERANCE, Status
from .solver import Answer, Solver, evaluate

#: Table entries that one kernel call reads at most, far below 100 ms of work.
SLICE = 3e7

#: Energies whose sums might overflow are scaled down: finite magnitudes above these, float32 and float64.
LARGE = {4: 1e30, 8: 1e290}


@dataclass(frozen=True)
class TRWS(Solver):
    """Bounds that never fall, and the best labelling rounded from them, for loopy components of any factors.

    iterations: most passes there and back. patience: a component rests after this many looks at its bound that gained
    less than `gain` of the gap each. time_limit: seconds. initial: int32 (V,) labelling to start from, −1 where
    unknown. Forests and lattices in the same plan are solved exactly.
    """

    iterations: int = 1000
    patience: int = 10
    gain: float = 1e-3
    time_limit: float | None = None
    initial: np.ndarray | None = None
    name: ClassVar[str] = "trw-s"

    def __post_init__(self) -> None:
        if not (self.iterations >= 1 and self.patience >= 1 and self.gain >= 0):
            raise FactorGraphError(
                f"TRWS: expected iterations ≥ 1, patience ≥ 1 and gain ≥ 0; got {self.iterations}, {self.patience}, "
                f"{self.gain}"
            )

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Forests and lattices; elsewhere only the bound may prove it."""
        return bool(plan.kinds[component] != LOOPY)

    def minimise(self, asked: Asked, answer: Answer) -> None:
        """All loopy components are swept together; each rests as soon as it is done."""
        loopy = asked.plan.kinds[asked.components] == LOOPY
        if not loopy.all():
            DynamicProgramming(self.threads, self.time_limit).minimise(asked.part(~loopy), answer)
        if loopy.any():
            _Run(self, asked.part(loopy)).run(answer)

    def rank(self, asked: Asked, k: int) -> Ranking:
        """See Solver.rank; of forests and lattices only."""
        return DynamicProgramming(self.threads).rank(asked, k)


class _Run:
    """The state of one call: per component asked, float64, the best bound and the best minimum so far."""

    def __init__(self, solver: TRWS, asked: Asked):
        self.deadline = np.inf if solver.time_limit is None else perf_counter() + solver.time_limit
        self.solver, self.asked = solver, asked
        plan, components = asked.plan, asked.components
        self.scaled, self.scale = _within_range(asked)
        self.unary = np.zeros(plan.variable_states)
        unary_costs(plan.factors, components, plan.states, plan.offsets, *self.scaled[1:3], self.unary)
        self.passes: Passes = plan.passes
        self.messages = _Messages(self.passes, self.scaled, self.unary)
        self.loops = loops_of(asked)
        self.improver = Improver(self.scaled, self.unary, self.loops)
        self.whole = _all_integers(asked)
        self.bound = np.full(components.size, -np.inf)
        self.minimum = np.full(components.size, np.inf)
        self.active = np.ones(components.size, bool)
        self.stale = np.zeros(components.size, np.int64)
        self.labels = np.full(plan.states.size, -1, np.int32)

    def run(self, answer: Answer) -> None:
        """Pass there and back until every component rests; write labels, bounds and statuses."""
        components = self.asked.components
        if self.solver.initial is not None:
            given = self.labels.copy()
            given[self.loops.var] = np.maximum(self.solver.initial[self.loops.var], 0)
            self._keep(given)
        look = 1
        for number in range(1, self.solver.iterations + 1):
            finished = self._iterate()
            if number == look or number == self.solver.iterations or not finished:
                self._look(last=not finished)
                look = number + max(1, min(10, number // 2))
            if not self.active.any() or not finished:
                break
        answer.labels[self.loops.var] = self.labels[self.loops.var]
        answer.bound[components] = self.bound
        status = np.where(self.bound > -np.inf, Status.BOUNDED, Status.APPROXIMATE)
        status[self.bound == np.inf] = Status.INFEASIBLE
        answer.sign(components, self.solver.name, status)

    def _iterate(self) -> bool:
        """A pass forwards and one backwards; False where the time is up."""
        for step in (1, -1):
            found = self.messages.sweep(self.asked.components[self.active], step, self.deadline)
            if found is None:
                return False
            self.bound[np.flatnonzero(self.active)[found == np.inf]] = np.inf
            self.active &= self.bound < np.inf
        return True

    def _look(self, last: bool) -> None:
        """Evaluate bounds, round, and let components rest."""
        active = np.flatnonzero(self.active)
        if not active.size:
            return
        components = self.asked.components[active]
        before = self.bound[active]
        found = self.messages.bound(components) * self.scale
        if self.whole:
            found = np.ceil(found)
        self.bound[active] = np.maximum(before, found)
        if perf_counter() < self.deadline or (self.labels[self.loops.var[:1]] < 0).any():
            self._round()
        with np.errstate(invalid="ignore"):
            gap = self.minimum - self.bound
            closed = (gap <= TOLERANCE * np.maximum(1.0, np.abs(self.minimum))) & (self.minimum < np.inf)
            slow = ~(self.bound[active] - before > self.solver.gain * np.minimum(gap[active], np.abs(before)))
        self.stale[active] = np.where(slow, self.stale[active] + 1, 0)
        self.active &= ~closed & (self.bound < np.inf) & (self.stale < self.solver.patience)

    def _round(self) -> None:
        """Labels from the messages, repaired and improved, fused with the best so far."""
        plan, loops = self.asked.plan, self.loops._replace(message=self.passes.message)
        labels = self.labels.copy()
        index = (plan.factors, loops, plan.states, plan.offsets, self.scaled.energies)
        round_labels(*index, self.unary, self.messages.values, labels, self.improver._cost)
        self._keep(labels)

    def _keep(self, labels: np.ndarray) -> None:
        _, minimum = evaluate(self.asked, labels)
        if (minimum == np.inf).any():
            self.improver.repair(labels, 30, self.deadline)
        self.improver.single(labels)
        if (self.labels[self.loops.var] >= 0).all():
            labels = fuse(self.asked, self.labels, labels)
        self.improver.forests(labels)
        self.labels = labels
        _, self.minimum = evaluate(self.asked, labels)


class _Messages:
    """Messages of all loopy components, in the energies' precision."""

    def __init__(self, passes: Passes, asked: Asked, unary: np.ndarray):
        plan, energies = asked.plan, asked.energies
        self.passes, self.exact = passes, unary
        dtype = energies.dtype
        self.unary = buffer(unary.size, dtype)
        self.unary[:] = unary
        self.values = buffer(passes.messages, dtype)
        self.tables = energies, buffer(passes.copied, dtype)
        for index, start in passes.copies:
            block = plan.blocks[index]
            room = sum(padded_sizes(block.states))
            for table in range(block.tables):
                at = block.start + table * block.size
                copy_padded(energies, at, *block.states, self.tables[1], start + table * room)
        widest, arity = int(plan.states.max(initial=1)), passes.arity
        self.space, self.wide = _space(dtype, widest, arity), _space(np.dtype(np.float64), widest, arity)
        self.table = buffer(passes.table, np.float64)
        self.ends = np.concatenate([[0.0], np.cumsum(passes.work)])

    def sweep(self, components: np.ndarray, step: int, deadline: float) -> np.ndarray | None:
        """The bound of a pass over each component, in the messages' precision; None where the time was up before."""
        first = self.passes.sweep.first
        found = np.zeros(components.size)
        for i, c in enumerate(components):
            for low, high in self._cut(int(first[c]), int(first[c + 1]), step):
                span = (low, high, 1) if step > 0 else (high - 1, low - 1, -1)
                found[i] += sweep_nodes(*span, self.passes.sweep, self.unary, self.tables, self.values, self.space)
                if perf_counter() > deadline:
                    return None
                if found[i] == np.inf:
                    break
        return found

    def bound(self, components: np.ndarray) -> np.ndarray:
        """Float64 bounds that the messages prove, rounding taken off."""
        first = self.passes.sweep.first
        found = np.empty(components.size)
        for i, c in enumerate(components):
            total = np.zeros(3)
            for low, high in self._cut(int(first[c]), int(first[c + 1]), 1):
                sweep = (low, high, self.passes.sweep, self.exact, self.tables, self.values)
                sum_bound(*sweep, self.wide, self.table, total)
            found[i] = total[0] + total[1] - total[2] if total[0] < np.inf else np.inf
        return found

    def _cut(self, low: int, high: int, step: int) -> list[tuple[int, int]]:
        """Ranges of nodes of bounded work, in the order of the pass."""
        slices = int((self.ends[high] - self.ends[low]) / SLICE) + 1
        marks = np.linspace(self.ends[low], self.ends[high], slices + 1)[1:-1]
        cuts = [low, *np.searchsorted(self.ends, marks).tolist(), high]
        return [(a, b) for a, b in zip(cuts, cuts[1:], strict=False) if a < b][::step]


def _space(dtype: np.dtype, widest: int, arity: int) -> Space:
    """Scratch for one thread."""
    padded = (widest + 15) // 16 * 16
    belief, fresh, share = (buffer(padded, dtype) for _ in range(3))
    return Space(belief, fresh, share, buffer(padded * arity, dtype), np.zeros(arity, np.int64), padding_mask(dtype))


def _all_integers(asked: Asked) -> bool:
    """Whether all finite energies are integers, so that the least one is."""
    for array in (asked.energies, asked.bias):
        finite = array[np.isfinite(array)]
        if (finite != np.rint(finite)).any() or (np.abs(finite) > 2**50).any():
            return False
    return True


def _within_range(asked: Asked) -> tuple[Asked, float]:
    """The question with energies whose sums cannot overflow, and the power of two that gives the true ones back."""
    for _ in range(2):
        largest = 0.0
        for array in (asked.energies, asked.bias):
            finite = array[np.isfinite(array)]
            largest = max(largest, float(finite.max(initial=0)), -float(finite.min(initial=0)))
        if largest <= LARGE[asked.energies.dtype.itemsize]:
            return asked, 1.0
        if asked.energies.dtype == np.float32:
            asked = asked.wide()
            continue
        small = asked.wide()
        small.energies[:] *= 2.0**-64
        small.bias[:] *= 2.0**-64
        return small, 2.0**64
    return asked, 1.0
