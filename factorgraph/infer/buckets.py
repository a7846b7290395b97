"""The buckets of a question: order, layout, memory, and the two passes over them. See kernels/buckets.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from time import perf_counter
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..kernels.buckets import (
    CELLS,
    INDICES,
    MESSAGE,
    ROWS,
    TABLES,
    Allowed,
    Buckets,
    allow,
    find_separators,
    first_positions,
)
from ..kernels.elimination import Own, eliminate, open_one, sweep_some
from ..kernels.elimination_down import descend, descend_close, descend_open, descend_some, room_below
from ..kernels.elimination_walk import fixed_configurations, fixed_energies, trace_back
from ..kernels.opened import COUNT, STRIDE, Opened
from ..kernels.simd import buffer
from ..plan import Asked, Plan
from ..plan.memory import readable
from .order import Known, variables_of
from .spread import thread_count

#: Cells of one kernel call: far below 100 ms, sums included.
SLICE = 1 << 23
#: Entries of messages that are kept at once, if components are smaller.
TOGETHER = 1 << 22


class Late(Exception):
    """The time limit has passed."""


def allowed_states(asked: Asked) -> Allowed:
    """The states that a question leaves to the variables of its components; nothing is said of others."""
    plan, energies, bias, components = asked
    label, slot = np.empty((2, plan.variable_states), np.int32)
    allowed = Allowed(np.ones(plan.states.size, np.int32), label, slot)
    allow(components, *plan.members, plan.factors, plan.offsets, energies, bias, allowed)
    return allowed


def arrange(
    plan: Plan, components: np.ndarray, allowed: Allowed, known: Known
) -> tuple[Buckets, np.ndarray, np.ndarray]:
    """Buckets of the listed components (messages not placed), which entry of the list each belongs to, and the factors
    of which nothing is free."""
    variables, owner = variables_of(plan, components)
    inside = np.flatnonzero(allowed.left[variables] > 1)
    inside = inside[np.lexsort((known.when[variables[inside]], owner[inside]))]
    var, owner = variables[inside].astype(np.int32), owner[inside]
    n = var.size
    position = np.full(plan.states.size, -1, np.int32)
    position[var] = np.arange(n)
    sep_ptr = np.zeros(n + 1, np.int64)
    np.cumsum(known.degree[var], out=sep_ptr[1:])
    factors = plan.factors
    total = int((factors.first[components + 1] - factors.first[components]).sum())
    rows, bucket, parent = np.empty(total, np.int64), np.full(total, n, np.int64), np.empty(n, np.int64)
    first_positions(components, factors, position, rows, bucket)
    order = np.argsort(bucket, kind="stable")
    rows, bucket = rows[order], bucket[order]
    ptr = np.searchsorted(bucket, np.arange(n + 1))
    none = np.zeros(0, np.int64)
    sep, layout = np.empty((2, int(sep_ptr[-1])), np.int32)
    b = Buckets(var, allowed.left[var], position, sep_ptr, sep, layout, none, none, none, np.empty((n, 7), np.int64))
    find_separators(factors, b, ptr, rows, parent, np.empty((2, n), np.int64), np.empty(n))
    where = np.concatenate([bucket, parent])
    source = np.concatenate([rows, -1 - np.arange(n)])[np.argsort(where, kind="stable")]
    source_ptr = np.searchsorted(np.sort(where), np.arange(n + 1))
    return b._replace(source_ptr=source_ptr, source=source), owner, rows[ptr[-1] :]


class Tables:
    """The buckets of a question's components in work; all but `pool` is made once.

    components: those listed that have states left, of fewer than `cells` cells in all. labels int32 (V,): the only one
    where nothing is free, a scratch elsewhere.
    """

    def __init__(self, asked: Asked, allowed: Allowed, known: Known, threads: int | None, deadline: float | None):
        plan, energies, bias, components = asked
        self.asked, self.allowed, self.threads, self.deadline = asked, allowed, threads, deadline
        self.buckets, self.owner, self.fixed = arrange(plan, components, allowed, known)
        b = self.buckets
        self.cells = b.size[:, MESSAGE] * b.states
        self.bounds = np.searchsorted(self.owner, np.arange(components.size + 1))
        self.about = (plan.states, plan.offsets, energies, bias)
        self.labels = np.zeros(plan.states.size, np.int32)
        variables, owner = variables_of(plan, components)
        self.labels[variables] = allowed.label[plan.offsets[variables]]
        self.constant = np.zeros(components.size)
        place = np.zeros(plan.n_components, np.int64)
        place[components] = np.arange(components.size)
        known_factors = place[plan.component[plan.factors.var[plan.factors.row[self.fixed, 2]]]]
        fixed_energies(self.fixed, known_factors, plan.factors, plan.states, energies, self.labels, self.constant)
        if bias.size:
            at = np.flatnonzero(allowed.left[variables] == 1)
            costs = bias[plan.offsets[variables[at]] + self.labels[variables[at]]].astype(np.float64)
            self.constant += np.bincount(owner[at], costs, components.size)
        self.room = (b.message.size + 15) // 8 * 8
        self.pool = np.zeros(0)
        self.top = 0

    def groups(self, together: bool = False) -> Iterator[tuple[int, int]]:
        """Ranges of listed components whose messages are kept at once: all of them, or about TOGETHER entries."""
        count = self.bounds.size - 1
        entries = np.zeros(self.owner.size + 1, np.int64)
        np.cumsum((self.buckets.size[:, MESSAGE] + 15) // 8 * 8, out=entries[1:])
        ends = entries[self.bounds]
        first = 0
        while first < count:
            last = count if together else int(np.searchsorted(ends, ends[first] + TOGETHER, "right")) - 1
            last = max(first + 1, last)
            yield first, last
            first = last

    def place(self, limit: int, below: bool, together: bool = False) -> None:
        """Place the messages, each group's from 0 on; refuse what is too large before anything is allocated."""
        b = self.buckets
        entries = (b.size[:, MESSAGE] + 15) // 8 * 8
        before = np.cumsum(entries) - entries
        most = 0
        message = np.zeros(b.var.size, np.int64)
        for first, last in self.groups(together):
            span = slice(self.bounds[first], self.bounds[last])
            message[span] = before[span] - before[span][:1]
            most = max(most, int(entries[span].sum()))
        scratch = room_below(b.size, b.states) if below else b.size[:, ROWS] + b.size[:, TABLES]
        self.top = most
        need = 8 * (most + int(scratch.max(initial=0)) + int(b.size[:, INDICES].max(initial=0)))
        if need > limit:
            raise FactorGraphError(
                f"Elimination: the tables between cliques need {readable(need)}, the memory_limit is "
                f"{readable(limit)}. Raise memory_limit, observe more variables, or use method='min-sum'"
            )
        self.size = most + int(scratch.max(initial=0))
        self.buckets = b._replace(message=message)
        axes = int(np.diff(b.sep_ptr).max(initial=0)) + 1
        wide = int(np.diff(b.source_ptr).max(initial=0)) + 1
        states = int(b.states.max(initial=1))
        self.shapes = axes, wide, states
        arity = max(axes, int(np.diff(self.asked.plan.factors.row[:, 2]).max(initial=1)))
        self.opened = Opened(
            np.zeros((wide, STRIDE + axes), np.int64),
            np.zeros(int(b.size[:, INDICES].max(initial=0)) + 1, np.int64),
            np.zeros(states),
            np.zeros(7, np.int64),
            np.zeros(arity, np.int64),
            np.zeros((2, arity), np.int64),
            np.zeros(wide, np.int64),
            self.labels,
        )
        self.own = self._own()

    def _own(self) -> Own:
        axes, wide, states = self.shapes
        rows = buffer(int(self.buckets.size[:, ROWS].max(initial=0)), np.float64)
        one = buffer(int(self.buckets.size[:, CELLS].max(initial=0)), np.float64)
        at, digit = np.zeros((2, max(axes, wide)), np.int64)
        return Own(rows, one, buffer(8 * states, np.float64), np.zeros(states), at, digit)

    @property
    def fixed_arguments(self) -> tuple[Any, ...]:
        """What kernels that read factors are given."""
        return self.buckets, self.asked.plan.factors, self.allowed, self.about

    def spans(self, first: int, last: int) -> list[tuple[int, int]]:
        """Ranges of buckets, ascending, of at most SLICE cells each where there is more than one in it."""
        low, high = int(self.bounds[first]), int(self.bounds[last])
        ends = np.cumsum(self.cells[low:high])
        out = []
        at, begun = 0, 0
        while at < high - low:
            to = max(at + 1, int(np.searchsorted(ends, begun + SLICE, "right")))
            out.append((low + at, low + to))
            at, begun = to, int(ends[to - 1])
        return out

    def up(self, first: int, last: int, beta: float) -> np.ndarray:
        """Send the messages of a group; minimum (beta 0) or free energy of its components, float64."""
        self.pool = buffer(self.size, np.float64) if self.pool.size < self.size else self.pool
        scale = (self.top, beta)
        for low, high in self.spans(first, last):
            self._check()
            if self.cells[low] <= SLICE:
                eliminate(low, high, *self.fixed_arguments, self.opened, self.own, self.pool, scale)
                continue
            open_one(low, *self.fixed_arguments, self.opened, self.pool, self.top)

            def some(start: int, stop: int, own: Own, i: int = low) -> None:
                sweep_some(i, start, stop, self.buckets, self.opened, own, self.pool, scale)

            self._rows(low, some, thread_count(self.threads, float(self.cells[low])))
        b = self.buckets
        low, high = self.bounds[first], self.bounds[last]
        roots = low + np.flatnonzero(np.diff(b.sep_ptr[low : high + 1]) == 0)
        sums = np.bincount(self.owner[roots] - first, self.pool[b.message[roots]], last - first)
        return np.asarray(self.constant[first:last] + sums)

    def down(self, first: int, last: int, total: np.ndarray, beta: float, outputs: tuple[Any, ...]) -> None:
        """After `up`, which gave `total`: marginals (of minima where beta is 0) and expected configurations."""
        b = self.buckets
        scale = (self.top, beta)
        low, high = self.bounds[first], self.bounds[last]
        roots = low + np.flatnonzero(np.diff(b.sep_ptr[low : high + 1]) == 0)
        base = total[self.owner[roots] - first]
        at = b.message[roots]
        self.pool[at[base == np.inf]] = -np.inf
        if beta == 0.0:
            self.pool[at] -= np.where(base < np.inf, base, 0.0)
        own = (self.own, np.zeros(int(np.diff(b.source_ptr).max(initial=0)) + 3, np.int64))
        for start, stop in reversed(self.spans(first, last)):
            self._check()
            if self.cells[start] <= SLICE:
                descend((start, stop), *self.fixed_arguments, self.opened, own, self.pool, scale, outputs)
                continue
            descend_open(start, *self.fixed_arguments, self.opened, own, self.pool, scale)

            def some(begin: int, end: int, _: Own, i: int = start) -> None:
                descend_some(i, begin, end, b, self.opened, own, self.pool, scale)

            self._rows(start, some, 1)
            descend_close(start, *self.fixed_arguments, self.opened, own, self.pool, scale, outputs)

    def trace(self, first: int, last: int, labels: np.ndarray) -> None:
        """After `up` by minima: the best labels of a group's components."""
        line = np.empty(self.shapes[2])
        for low, high in reversed(self.spans(first, last)):
            trace_back(low, high, *self.fixed_arguments, self.pool, labels, line)

    def count_fixed(self, weight: float, gradient: np.ndarray) -> None:
        """gradient += weight · the configurations of factors of which nothing is free."""
        plan = self.asked.plan
        fixed_configurations(self.fixed, plan.factors, plan.states, self.labels, weight, gradient)

    def _check(self) -> None:
        if self.deadline is not None and perf_counter() > self.deadline:
            raise Late

    def _rows(self, i: int, some: Callable[[int, int, Own], None], threads: int) -> None:
        """All rows of one large bucket, in slices dealt to threads in turn."""
        cells = int(self.cells[i])
        rows = int(self.opened.info[COUNT])
        step = max(1, int(rows * SLICE / cells))
        stop = False

        def deal(slot: int) -> None:
            own = self.own if slot == 0 else self._own()
            for start in range(slot * step, rows, threads * step):
                if stop:
                    return
                self._check()
                some(start, min(rows, start + step), own)

        if threads == 1:
            deal(0)
            return
        with ThreadPoolExecutor(threads) as pool:
            try:
                futures = [pool.submit(deal, slot) for slot in range(threads)]
                wait(futures, None, FIRST_EXCEPTION)
            finally:
                stop = True
        for future in futures:
            future.result()
