"""Messages of TRW-S on any factors, and labellings made from them (kernels/trws.py, kernels/moves.py)."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from ..kernels.forest_min import padding_mask
from ..kernels.minsum import round_labels, unary_costs
from ..kernels.simd import buffer
from ..kernels.trws import Space, copy_padded, sweep_nodes
from ..kernels.trws_bound import sum_bound
from ..plan import Asked
from ..plan.sweep import Passes, padded_sizes
from .moves import Improver, loops_of
from .solver import evaluate

#: Table entries that one kernel call reads at most, far below 100 ms of work.
SLICE = 3e7

#: Sweeps of weighted min-conflicts, each time that a labelling is infeasible.
REPAIRS = 30

#: Pairs of random forests that are moved after a kick.
ROUNDS = 8

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
            self.precise[:] = self.messages
            found = np.array(
                [b if b == np.inf else self._bound(int(c)) for b, c in zip(found, components, strict=True)]
            )
        return found

    def _bound(self, component: int) -> float:
        """The float64 bound that the messages prove, rounding taken off."""
        first, total = self.passes.sweep.first, np.zeros(3)
        for low, high in self._cut(int(first[component]), int(first[component + 1]), 1):
            sweep = (low, high, self.passes.sweep, self.exact, self.tables, self.precise)
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
        for _ in range(ROUNDS):
            self.improver.forests(labels, random.random(labels.size))


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
