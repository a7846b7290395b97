"""TRW-S: lower bounds and labellings of loopy graphs (Kolmogorov 2006; for any scopes 2015). See kernels/trws.py."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar, Protocol

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
from .grids import grid_messages
from .moves import Improver, fuse, loops_of
from .ranking import Ranking
from .solution import TOLERANCE, Status
from .solver import Answer, Solver, evaluate

#: Table entries that one kernel call reads at most, far below 100 ms of work.
SLICE = 3e7

#: Variables that make a grid worth a wavefront of its own.
GRID = 1024

#: Sweeps of weighted min-conflicts, each time that a labelling is infeasible.
REPAIRS = 30

#: Shares of the variables that kicks disturb, in turn.
KICKS = (0.02, 0.05, 0.1, 0.2)

#: Energies whose sums might overflow are scaled down: finite magnitudes above these, float32 and float64.
LARGE = {4: 1e30, 8: 1e290}


@dataclass(frozen=True)
class TRWS(Solver):
    """Bounds that never fall, and the best labelling rounded from them, for loopy components of any factors.

    iterations: most passes there and back. kicks: how often then labels of open components are disturbed and improved
    again. patience: a component rests after this many looks at its bound that gained
    less than `gain` of the gap each. time_limit: seconds. initial: int32 (V,) labelling to start from, −1 where
    unknown. Forests and lattices in the same plan are solved exactly.
    """

    iterations: int = 1000
    kicks: int = 20
    patience: int = 10
    gain: float = 1e-3
    time_limit: float | None = None
    initial: np.ndarray | None = None
    name: ClassVar[str] = "trw-s"

    def __post_init__(self) -> None:
        if not (self.iterations >= 1 and self.kicks >= 0 and self.patience >= 1 and self.gain >= 0):
            raise FactorGraphError(
                f"TRWS: expected iterations ≥ 1, kicks ≥ 0, patience ≥ 1 and gain ≥ 0; got {self.iterations}, "
                f"{self.kicks}, {self.patience}, {self.gain}"
            )

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Forests and lattices; elsewhere only the bound may prove it."""
        return bool(plan.kinds[component] != LOOPY)

    def minimise(self, asked: Asked, answer: Answer) -> None:
        """All loopy components are swept together; each rests as soon as it is done."""
        deadline = np.inf if self.time_limit is None else perf_counter() + self.time_limit
        loopy = asked.plan.kinds[asked.components] == LOOPY
        if not loopy.all():
            DynamicProgramming(self.threads, self.time_limit).minimise(asked.part(~loopy), answer)
        runs = [_Run(self, part, engine, deadline) for part, engine in _engines(asked.part(loopy))]
        pending = runs
        while pending:
            pending = [run for run in pending if run.advance()]
        for run in runs:
            run.write(answer)

    def rank(self, asked: Asked, k: int) -> Ranking:
        """See Solver.rank; of forests and lattices only."""
        return DynamicProgramming(self.threads).rank(asked, k)


class Engine(Protocol):
    """Messages of some loopy components, and labellings made from them; labels are int32 (V,) of the whole plan."""

    def iterate(self, active: np.ndarray, deadline: float, look: bool) -> np.ndarray | None:
        """A pass there and back over the active ones of its components (a mask); None where the time was up before.

        Float64 bounds of the active ones, −inf without `look`; +inf proves that there is no labelling.
        """

    def round(self, labels: np.ndarray) -> None:
        """Label the variables of its components from the messages."""

    def improve(self, labels: np.ndarray, deadline: float) -> None:
        """Lower the energy of labels by moves, in place; where it is +inf, look for a finite one."""

    def search(self, labels: np.ndarray, random: np.random.Generator) -> None:
        """As `improve`, by moves that are other ones each time."""


class _Run:
    """The state of one engine: per component asked, float64, the best bound and the best minimum so far."""

    def __init__(self, solver: TRWS, asked: Asked, engine: Engine, deadline: float):
        self.solver, self.asked, self.engine, self.deadline = solver, asked, engine, deadline
        self.whole = _all_integers(asked)
        count = asked.components.size
        self.bound, self.minimum = np.full(count, -np.inf), np.full(count, np.inf)
        self.active, self.stale = np.ones(count, bool), np.zeros(count, np.int64)
        self.labels = np.zeros(asked.plan.states.size, np.int32)
        self.number, self.next, self.kicks = 0, 1, 0
        self.random = np.random.default_rng(0)
        if solver.initial is not None:
            self.labels = np.maximum(solver.initial, 0).astype(np.int32)
            engine.improve(self.labels, deadline)
            self.minimum = evaluate(asked, self.labels)[1]

    def advance(self) -> bool:
        """Pass there and back up to the next look, or kick once; whether there is more to do."""
        if self.number == self.solver.iterations or not self.active.any():
            return self._kick()
        while True:
            self.number += 1
            last = self.number == self.solver.iterations
            look = last or self.number == self.next
            found = self.engine.iterate(self.active, self.deadline, look)
            if found is None:
                if self.number == 1:  # there must be labels
                    self._round()
                return False
            if (found == np.inf).any() or look:
                self._look(np.flatnonzero(self.active), found)
            if look:
                self.next = self.number + min(25, max(1, self.number // 2))
            if look or not self.active.any():
                return True

    def _kick(self) -> bool:
        """Give some variables of open components labels by chance, improve, and keep what is better of that."""
        if self.kicks == self.solver.kicks or perf_counter() > self.deadline:
            return False
        wanting = np.zeros(self.asked.plan.n_components, bool)
        wanting[self.asked.components] = ~self._closed() & (self.bound < np.inf)
        if not wanting.any():
            return False
        share = KICKS[self.kicks % len(KICKS)]
        self.kicks += 1
        states = self.asked.plan.states
        hit = wanting[self.asked.plan.component] & (self.random.random(states.size) < share)
        labels = np.where(hit, self.random.integers(0, states), self.labels).astype(np.int32)
        self.engine.search(labels, self.random)
        self._take(labels)
        return True

    def _closed(self) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            gap = self.minimum - self.bound
            return (gap <= TOLERANCE * np.maximum(1.0, np.abs(self.minimum))) & (self.minimum < np.inf)

    def _look(self, active: np.ndarray, found: np.ndarray) -> None:
        """Take the bounds in, round, and let components rest."""
        before = self.bound[active]
        self.bound[active] = np.maximum(before, np.ceil(found) if self.whole else found)
        self.active[active] &= found < np.inf
        if not self.active.any():
            return
        self._round()
        with np.errstate(invalid="ignore"):
            gap = self.minimum[active] - self.bound[active]
            slow = ~(self.bound[active] - before > self.solver.gain * np.minimum(gap, np.abs(before)))
        self.stale[active] = np.where(slow, self.stale[active] + 1, 0)
        self.active &= ~self._closed() & (self.stale < self.solver.patience)

    def _round(self) -> None:
        """Labels from the messages, improved; per component of the difference the better of these and the best yet."""
        labels = self.labels.copy()
        self.engine.round(labels)
        self.engine.improve(labels, self.deadline)
        self._take(labels)

    def _take(self, labels: np.ndarray) -> None:
        """Fuse the best labels so far with these."""
        if (self.minimum < np.inf).any():
            labels = fuse(self.asked, self.labels, labels)
        if self.number % 2 == 0 and (self.labels != labels).any():
            self.engine.improve(labels, self.deadline)
        self.labels = labels
        self.minimum = evaluate(self.asked, labels)[1]

    def write(self, answer: Answer) -> None:
        """Labels, bounds and statuses."""
        plan = self.asked.plan
        chosen = np.zeros(plan.n_components, bool)
        chosen[self.asked.components] = True
        variables = chosen[plan.component]
        answer.labels[variables] = self.labels[variables]
        answer.bound[self.asked.components] = self.bound
        status = np.where(self.bound > -np.inf, Status.BOUNDED, Status.APPROXIMATE)
        status[self.bound == np.inf] = Status.INFEASIBLE
        answer.sign(self.asked.components, self.solver.name, status)


class _General:
    """Any factors, any number of components: messages in the energies' precision."""

    def __init__(self, asked: Asked):
        self.asked, self.scale = _within_range(asked)
        plan, energies, bias, components = self.asked
        self.exact = np.zeros(plan.variable_states)
        unary_costs(plan.factors, components, plan.states, plan.offsets, energies, bias, self.exact)
        self.loops = loops_of(asked)
        self.improver = Improver(self.asked, self.exact, self.loops)
        self.passes: Passes = plan.passes
        dtype = energies.dtype
        self.unary = buffer(self.exact.size, dtype)
        self.unary[:] = self.exact
        self.messages = buffer(self.passes.messages, dtype)
        self.tables = energies, buffer(self.passes.copied, dtype)
        for index, start in self.passes.copies:
            block = plan.blocks[index]
            room = sum(padded_sizes(block.states))
            for table in range(block.tables):
                at = block.start + table * block.size
                copy_padded(energies, at, *block.states, self.tables[1], start + table * room)
        widest, arity = int(plan.states.max(initial=1)), self.passes.arity
        self.space, self.wide = _space(dtype, widest, arity), _space(np.dtype(np.float64), widest, arity)
        self.table = buffer(self.passes.table, np.float64)
        self.ends = np.concatenate([[0.0], np.cumsum(self.passes.work)])

    def iterate(self, active: np.ndarray, deadline: float, look: bool) -> np.ndarray | None:
        """See Engine.iterate."""
        components, first = self.asked.components[active], self.passes.sweep.first
        found = np.full(components.size, -np.inf)
        for step in (1, -1):
            for i, c in enumerate(components):
                for low, high in self._cut(int(first[c]), int(first[c + 1]), step):
                    span = (low, high, 1) if step > 0 else (high - 1, low - 1, -1)
                    sweep = self.passes.sweep, self.unary, self.tables, self.messages, self.space
                    if found[i] < np.inf and sweep_nodes(*span, *sweep) == np.inf:
                        found[i] = np.inf
                    if perf_counter() > deadline:
                        return None
        if look:
            found = np.array(
                [b if b == np.inf else self._bound(int(c)) for b, c in zip(found, components, strict=True)]
            )
        return found

    def _bound(self, component: int) -> float:
        """The float64 bound that the messages prove, rounding taken off."""
        first, total = self.passes.sweep.first, np.zeros(3)
        for low, high in self._cut(int(first[component]), int(first[component + 1]), 1):
            sweep = (low, high, self.passes.sweep, self.exact, self.tables, self.messages)
            sum_bound(*sweep, self.wide, self.table, total)
        return float(total[0] + total[1] - total[2]) * self.scale if total[0] < np.inf else np.inf

    def _cut(self, low: int, high: int, step: int) -> list[tuple[int, int]]:
        """Ranges of nodes of bounded work, in the order of the pass."""
        slices = int((self.ends[high] - self.ends[low]) / SLICE) + 1
        if slices == 1:
            return [(low, high)]
        marks = np.linspace(self.ends[low], self.ends[high], slices + 1)[1:-1]
        cuts = [low, *np.searchsorted(self.ends, marks).tolist(), high]
        return [(a, b) for a, b in zip(cuts, cuts[1:], strict=False) if a < b][::step]

    def round(self, labels: np.ndarray) -> None:
        """See Engine.round."""
        plan, loops = self.asked.plan, self.loops._replace(message=self.passes.message)
        index = (plan.factors, loops, plan.states, plan.offsets, self.asked.energies)
        round_labels(*index, self.exact, self.messages, labels, self.improver.cost)

    def improve(self, labels: np.ndarray, deadline: float) -> None:
        """See Engine.improve."""
        if (evaluate(self.asked, labels)[1] == np.inf).any():
            self.improver.repair(labels, REPAIRS, deadline)
        self.improver.single(labels)
        self.improver.forests(labels)

    def search(self, labels: np.ndarray, random: np.random.Generator) -> None:
        """See Engine.search."""
        for _ in range(2):
            self.improver.forests(labels, random.random(labels.size))


def _engines(asked: Asked) -> list[tuple[Asked, Engine]]:
    """Large grids have one each, all other components share one."""
    rest = np.ones(asked.components.size, bool)
    engines: list[tuple[Asked, Engine]] = []
    sizes = np.diff(asked.plan.members[0])[asked.components]
    for i in np.flatnonzero(sizes >= GRID):
        part = asked.part(np.array([i]))
        grid = grid_messages(asked.plan, part)
        if grid is not None:
            engines.append((part, grid))
            rest[i] = False
    if rest.any():
        part = asked.part(rest)
        engines.append((part, _General(part)))
    return engines


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
