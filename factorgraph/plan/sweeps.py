"""Which sweep a component gets: the runs among them (see kernels/schedule.py) have faster ones than other forests."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..kernels.run_long import LONG
from ..kernels.schedule import FIRST, RUN_STEP, RUN_TURN, RUN_UP, STATES
from ..kernels.structure import LATTICE, LOOPY

if TYPE_CHECKING:
    from .plan import Plan

#: Runs go side by side in lanes where a row of their table is at most so many vectors: for minima, and for sums.
NARROW, NARROW_SUMS = 2, 4


class Sweeps(NamedTuple):
    """int64 indices into the components listed: loopy ones, lattices, runs of at least LONG variables, runs in lanes,
    other runs (those of one table follow each other, the longest first), other forests. Of the runs in lanes the most
    variables, and the most of their states."""

    loopy: np.ndarray
    lattices: np.ndarray
    long: np.ndarray
    lanes: np.ndarray
    runs: np.ndarray
    others: np.ndarray
    most: tuple[int, int]


def sort_sweeps(plan: Plan, components: np.ndarray, width: int, vectors: int = NARROW) -> Sweeps:
    """The sweeps of the components, for vectors of `width` lanes; a row of at most so many `vectors` is narrow."""
    schedule, kinds = plan.schedule, plan.kinds[components]
    even = schedule.run[components, RUN_STEP] != 0
    runs = np.flatnonzero(even)
    first = schedule.component[components[runs], FIRST]
    length = schedule.component[components[runs] + 1, FIRST] - first
    states, run = schedule.position[first, STATES], schedule.run[components[runs]]
    narrow = (states <= vectors * width) & (run[:, RUN_STEP] == -states) & (run[:, RUN_TURN] == -states)
    narrow &= length < LONG
    order = np.lexsort((-length, run[:, RUN_UP], ~narrow))
    runs, length, states, narrow, table = (x[order] for x in (runs, length, states, narrow, run[:, RUN_UP]))
    lanes = np.zeros(runs.size, bool)
    if runs.size >= width:  # lanes are worth it where they end at about the same time
        heads = np.arange(0, runs.size - width // 2 + 1, width)
        tails = np.minimum(heads + width, runs.size) - 1
        full = narrow[tails] & (table[heads] == table[tails]) & (length[heads] <= 2 * length[tails])
        lanes = np.repeat(full, width)[: runs.size]
        lanes = np.append(lanes, np.zeros(runs.size - lanes.size, bool))
    long = length >= LONG
    return Sweeps(
        np.flatnonzero(kinds == LOOPY),
        np.flatnonzero(kinds == LATTICE),
        runs[long],
        runs[lanes],
        runs[~lanes & ~long],
        np.flatnonzero(~even & (kinds < LATTICE)),
        (int(length[lanes].max(initial=0)), int((length * states)[lanes].max(initial=0))),
    )


class Sweeper:
    """Sorts components into sweeps; what is asked of all of them is kept."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.everything = np.arange(plan.n_components)
        self.known: dict[tuple[int, int], Sweeps] = {}

    def __call__(self, components: np.ndarray, width: int, vectors: int = NARROW) -> Sweeps:
        """The sweeps of the components, see `sort_sweeps`."""
        if not np.array_equal(components, self.everything):
            return sort_sweeps(self.plan, components, width, vectors)
        if (width, vectors) not in self.known:
            self.known[width, vectors] = sort_sweeps(self.plan, components, width, vectors)
        return self.known[width, vectors]
