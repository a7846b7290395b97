"""Passes over loopy components: variables in order, and their links to factors (kernels/trws.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..kernels.minsum import Loops
from ..kernels.structure import KIND, LOOPY, OFFSET, SCOPE
from ..kernels.tables import POTTS
from ..kernels.trws import COLUMNS, GENERAL, ROWS, SHARED, Sweep
from ..kernels.trws import POTTS as BY_POTTS
from .schedule import MOST_COPIES

if TYPE_CHECKING:
    from .plan import Plan


class Passes(NamedTuple):
    """A sweep order and the space that it needs.

    message int64 (entries of Factors.var,): start of the message to that scope position, −1 none. work float64 (N,):
    table entries that a visit of each node reads. copies: (block, start of its copies) of shared tables.
    """

    sweep: Sweep
    message: np.ndarray
    messages: int  # entries of all messages
    work: np.ndarray
    copies: tuple[tuple[int, int], ...]
    copied: int  # entries of all copies
    table: int  # entries of the largest table, rows padded
    arity: int


def make_loops(plan: Plan) -> tuple[Loops, int]:
    """Incidence of the variables of loopy components, and how many message entries there are."""
    f = plan.factors
    arity = np.diff(f.row[:, SCOPE])
    loopy = np.repeat(plan.kinds == LOOPY, np.diff(f.first)) & (arity > 1)
    entries = np.flatnonzero(np.repeat(loopy, arity))
    var = f.var[entries]
    message = np.full(f.var.size, -1, np.int64)
    ends = np.cumsum(plan.states[var], dtype=np.int64)
    message[entries] = ends - plan.states[var]
    total = int(ends[-1]) if ends.size else 0
    del ends
    order = np.argsort(var, kind="stable")
    ptr = np.zeros(plan.states.size + 1, np.int64)
    np.cumsum(np.bincount(var, minlength=plan.states.size), out=ptr[1:])
    owner = np.repeat(np.flatnonzero(loopy), arity[loopy])
    inside = np.flatnonzero(plan.kinds[plan.component] == LOOPY)
    entries = entries[order]
    arrays = (inside, np.flatnonzero(loopy), message, ptr, entries, owner[order])
    for array in arrays:
        array.flags.writeable = False
    return Loops(*arrays), total


def make_passes(plan: Plan) -> Passes:
    """Nodes in the order of declaration, component by component; messages as the first pass meets their factors."""
    factors, states = plan.factors, plan.states.astype(np.int64)
    arity = np.diff(factors.row[:, SCOPE])
    chosen = np.flatnonzero(np.repeat(plan.kinds == LOOPY, np.diff(factors.first)) & (arity > 1))
    arity = arity[chosen]
    ends = np.cumsum(arity)
    owner = np.repeat(np.arange(chosen.size), arity)  # of each scope entry: its factor
    within = np.arange(owner.size) - (ends - arity)[owner]
    entry = factors.row[chosen, SCOPE][owner] + within
    var = factors.var[entry]

    inside = np.flatnonzero(plan.kinds[plan.component] == LOOPY)
    inside = inside[np.argsort(plan.component[inside], kind="stable")]
    position = np.full(states.size, -1, np.int64)
    position[inside] = np.arange(inside.size)
    place, extent = position[var], states[var]
    first = np.minimum.reduceat(place, ends - arity) if place.size else place
    last = np.maximum.reduceat(place, ends - arity) if place.size else place
    start = np.empty(owner.size, np.int64)
    order = np.argsort(first[owner], kind="stable")
    start[order] = np.cumsum(extent[order]) - extent[order]
    message = np.full(factors.var.size, -1, np.int64)
    message[entry] = start

    size = np.multiply.reduceat(extent.astype(np.float64), ends - arity) if place.size else extent.astype(np.float64)
    pair, potts = (arity == 2)[owner], (factors.row[chosen, KIND] == POTTS)[owner]
    partner = np.arange(owner.size) + np.where(pair, 1 - 2 * within, 0)
    form = np.where(within == 0, COLUMNS, ROWS)
    form[potts], form[~pair] = BY_POTTS, GENERAL
    table = factors.row[chosen, OFFSET][owner]
    copies, copied, widest = _share(plan, pair & ~potts, within, form, table)
    wide = np.stack([start, extent, within, arity[owner]], 1)[~pair]
    which = np.cumsum(~pair) - 1
    columns = [start, start[partner], extent[partner], form, table, place > first[owner], place < last[owner], which]
    order = np.argsort(place, kind="stable")
    link = np.stack([np.asarray(column, np.int64)[order] for column in columns], 1)
    node = np.zeros((inside.size + 1, 4), np.int64)
    node[:-1, 0], node[:-1, 1], node[:-1, 2] = inside, states[inside], plan.offsets[inside]
    counts = np.bincount(place, minlength=inside.size)
    node[1:, 3] = np.cumsum(counts)
    bounds = np.searchsorted(plan.component[inside], np.arange(plan.n_components + 1))
    work = np.bincount(place, np.where(potts, 2.0 * extent, size[owner]) + 8, inside.size)
    sweep = Sweep(bounds.astype(np.int64), node.ravel(), link.ravel(), np.ascontiguousarray(wide))
    for array in (*sweep, message, work):
        array.flags.writeable = False
    largest = int(max(widest, size.max(initial=1)))
    return Passes(sweep, message, int(extent.sum()), work, copies, copied, largest, int(arity.max(initial=1)))


def _share(
    plan: Plan, dense: np.ndarray, within: np.ndarray, form: np.ndarray, table: np.ndarray
) -> tuple[tuple[tuple[int, int], ...], int, int]:
    """Give links whose tables many factors read their place in the copies; (copies, entries, largest copy)."""
    copies, copied, widest = [], 0, 0
    for index, block in enumerate(plan.blocks):
        if block.table is None or block.tables > MOST_COPIES or block.lattice or len(block.shape) != 2:
            continue
        inside = dense & (table >= block.start) & (table < block.start + block.tables * block.size)
        if not inside.any():
            continue
        as_is, turned = padded_sizes(block.states)
        number = (table[inside] - block.start) // block.size
        table[inside] = copied + number * (as_is + turned) + np.where(within[inside] == 0, as_is, 0)
        form[inside], dense = SHARED, dense & ~inside
        copies.append((index, copied))
        copied += block.tables * (as_is + turned)
        widest = max(widest, as_is, turned)
    return tuple(copies), copied, widest


def padded_sizes(states: tuple[int, ...]) -> tuple[int, int]:
    """Entries of a table's copies with padded rows: as it is, and transposed."""
    rows, columns = states
    return rows * (-(-columns // 16) * 16), columns * (-(-rows // 16) * 16)
