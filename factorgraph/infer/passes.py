"""Messages of TRW-S on any factors, and labellings made from them (kernels/trws.py, kernels/moves.py)."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from ..kernels.forest_min import padding_mask
from ..kernels.messages import copy_padded
from ..kernels.minsum import round_labels, unary_costs
from ..kernels.simd import buffer
from ..kernels.trws import Space, sweep_parts
from ..kernels.trws_bound import sum_bound
from ..plan import Asked
from ..plan.loops import Passes, padded_sizes
from .moves import Improver, loops_of
from .solver import evaluate

#: Table entries that one kernel call reads at most, far below 100 ms of work.
SLICE = 3e7

#: Sweeps of weighted min-conflicts, each time that a labelling is infeasible.
REPAIRS = 30

#: Pairs of random forests that are moved after a kick.
ROUNDS = 8

#: For messages of TRW-S.
NO_BELIEF = np.zeros(0)

#: Energies whose sums might overflow are scaled down: finite magnitudes above these, float32 and float64.
LARGE = {4: 1e30, 8: 1e290}


class General:
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
        self.precise = self.messages if dtype == np.float64 else buffer(self.passes.messages, np.float64)
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
        components = self.asked.components[active]
        slices = self._slices(components)
        infeasible = np.zeros(self.asked.plan.n_components, bool)
        sweep = self.passes.sweep, self.unary, self.tables, self.messages, self.space
        for step in (1, -1):
            for parts in slices[::step]:
                sweep_parts(np.ascontiguousarray(parts[::step]), step, *sweep, infeasible)
                if perf_counter() > deadline:
                    return None
        found = self._bounds(slices)[components] if look else np.full(components.size, -np.inf)
        found[infeasible[components]] = np.inf
        return found

    def _bounds(self, slices: list[np.ndarray]) -> np.ndarray:
        """Float64 bounds (C,) that the messages prove, rounding taken off."""
        self.precise[:] = self.messages
        totals = np.zeros((self.asked.plan.n_components, 3))
        for parts in slices:
            sweep = self.passes.sweep, self.exact, self.tables, self.precise
            sum_bound(parts, *sweep, self.wide, self.table, totals)
        proven = np.minimum((totals[:, 0] + totals[:, 1] - totals[:, 2]) * self.scale, np.finfo(np.float64).max)
        return np.where(totals[:, 0] < np.inf, proven, np.inf)

    def _slices(self, components: np.ndarray) -> list[np.ndarray]:
        """Parts as in sweep_parts of all components, in the order of a pass, cut into slices of bounded work."""
        low, high = self.passes.sweep.first[components], self.passes.sweep.first[components + 1]
        pieces = ((self.ends[high] - self.ends[low]) / SLICE).astype(np.int64) + 1
        c = np.repeat(np.arange(components.size), pieces)
        number = np.arange(c.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        start = self.ends[low][c] + (self.ends[high] - self.ends[low])[c] * number / pieces[c]
        first = np.where(number == 0, low[c], np.searchsorted(self.ends, start))
        last = np.where(number == pieces[c] - 1, high[c], np.append(first[1:], 0))
        parts = np.stack([first, last, components[c]], 1)
        cuts = np.flatnonzero(np.diff(np.cumsum(self.ends[last] - self.ends[first]) // SLICE)) + 1
        return [np.ascontiguousarray(part) for part in np.split(parts, cuts)]

    def round(self, labels: np.ndarray) -> None:
        """See Engine.round."""
        plan, loops = self.asked.plan, self.loops._replace(message=self.passes.message)
        index = (plan.factors, loops, plan.states, plan.offsets, self.asked.energies)
        costs = (self.exact, self.messages, NO_BELIEF)
        round_labels(*index, costs, labels, (self.improver.cost, self.space.digit))

    def improve(self, labels: np.ndarray, deadline: float) -> None:
        """See Engine.improve."""
        lost = evaluate(self.asked, labels)[1] == np.inf
        if lost.any():
            self.improver.repair(labels, loops_of(self.asked.part(lost)), REPAIRS, deadline)
        self.improver.single(labels)
        self.improver.forests(labels, deadline)

    def search(self, labels: np.ndarray, random: np.random.Generator, deadline: float) -> None:
        """See Engine.search."""
        for _ in range(ROUNDS):
            self.improver.forests(labels, deadline, random.random(labels.size))
            if perf_counter() > deadline:
                return


def _space(dtype: np.dtype, widest: int, arity: int) -> Space:
    """Scratch for one thread."""
    padded = (widest + 15) // 16 * 16
    belief, fresh, share = (buffer(padded, dtype) for _ in range(3))
    return Space(belief, fresh, share, buffer(padded * arity, dtype), np.zeros(arity, np.int64), padding_mask(dtype))


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
