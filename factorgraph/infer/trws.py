"""TRW-S: lower bounds and labellings of loopy graphs (Kolmogorov 2006; for any scopes 2015). See kernels/trws.py."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar, Protocol

import numpy as np

from ..errors import FactorGraphError
from ..kernels.structure import LOOPY
from ..plan import Asked, Plan
from .dynamic import DynamicProgramming, answer_forests
from .grids import grid_messages
from .moves import fuse
from .passes import General
from .ranking import Ranking
from .solution import TOLERANCE, Status
from .solver import Answer, Solver, evaluate

#: Variables that make a grid worth a wavefront of its own.
GRID = 1024

#: Energies looked at together.
PART = 1 << 18

#: Shares of the variables that kicks disturb, in turn.
KICKS = (0.02, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class TRWS(Solver):
    """Bounds that never fall, and the best labelling rounded from them, for loopy components of any factors.

    iterations: most passes there and back. patience: a component rests after this many looks at its bound that gained
    less than `gain` of the gap each. kicks: how often the labels of components whose gap is open are then disturbed by
    chance and improved again. time_limit: seconds. initial: int32 (V,) labelling to start from, −1 where unknown.
    Forests and lattices in the same plan are solved exactly.
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
        loopy = answer_forests(asked, answer, self.threads, self.time_limit)
        runs = [_Run(self, part, engine, deadline) for part, engine in _engines(loopy)]
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

    def search(self, labels: np.ndarray, random: np.random.Generator, deadline: float) -> None:
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
                self.next = self.number + min(25, self.number)
            if look or not self.active.any():
                return True

    def _kick(self) -> bool:
        """Give some variables of open components labels by chance, improve, and keep what is better of that."""
        if self.kicks == self.solver.kicks or perf_counter() > self.deadline:
            return False
        wanting = self.asked.components[~self._closed() & (self.bound < np.inf)]
        if not wanting.size:
            return False
        share = KICKS[self.kicks % len(KICKS)]
        self.kicks += 1
        states = self.asked.plan.states
        hit = self.asked.plan.inside(wanting) & (self.random.random(states.size) < share)
        labels = np.where(hit, self.random.integers(0, states), self.labels).astype(np.int32)
        self.engine.search(labels, self.random, self.deadline)
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
        if (self.labels != labels).any():
            self.engine.improve(labels, self.deadline)
        self.labels = labels
        self.minimum = evaluate(self.asked, labels)[1]

    def write(self, answer: Answer) -> None:
        """Labels, bounds and statuses."""
        plan = self.asked.plan
        variables = plan.inside(self.asked.components)
        answer.labels[variables] = self.labels[variables]
        answer.bound[self.asked.components] = self.bound
        status = np.where(self.bound > -np.inf, Status.BOUNDED, Status.APPROXIMATE)
        status[self.bound == np.inf] = Status.INFEASIBLE
        answer.sign(self.asked.components, self.solver.name, status)


def _engines(asked: Asked) -> list[tuple[Asked, Engine]]:
    """Large grids have one each, all other components share one."""
    rest = np.ones(asked.components.size, bool)
    engines: list[tuple[Asked, Engine]] = []
    sizes = np.bincount(asked.plan.component, minlength=asked.plan.n_components)[asked.components]
    for i in np.flatnonzero(sizes >= GRID):
        part = asked.part(np.array([i]))
        grid = grid_messages(asked.plan, part)
        if grid is not None:
            engines.append((part, grid))
            rest[i] = False
    if rest.any():
        part = asked.part(rest)
        engines.append((part, General(part)))
    return engines


def _all_integers(asked: Asked) -> bool:
    """Whether all finite energies are integers, so that the least one is."""
    for array in (asked.energies, asked.bias):
        for part in np.split(array, range(PART, array.size, PART)):
            finite = part[np.isfinite(part)]
            if (finite != np.rint(finite)).any() or (np.abs(finite) > 2**50).any():
                return False
    return True
