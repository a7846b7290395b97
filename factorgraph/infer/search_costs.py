"""A network made ready for search: least entries taken off, all rounded down to multiples of one power of two."""

from __future__ import annotations

import numpy as np

from ..kernels.network import Network
from ..kernels.search_costs import (
    BASE,
    BEST,
    COUNTS,
    CUT,
    DIRTY,
    DOUBT,
    DOUBTS,
    ENTRY,
    FIRST,
    FLAG,
    GRAIN,
    HOOK,
    LAST,
    LEAST,
    LENDERS,
    LEVELS,
    LIVE,
    OWNER,
    PLACE,
    PTR,
    REACH,
    ROSE,
    ROUNDING,
    SHIFT,
    SHRANK,
    SIZE,
    SLACK,
    START,
    STATES,
    SUPPORT,
    TOP,
    VAR,
    Costs,
)
from .network import incidence_of

#: Binary digits between the largest cost and the grain of all; shifts may grow by a few more.
DIGITS, SPARE = 46, 4
#: Rises of the bound below this share of a typical cost, or of the gap, are not worth their while.
WORTH = 1e-3
#: Integers beyond this are treated like any numbers.
LARGEST = 2.0**40


def costs_of(network: Network, labels: np.ndarray, energy: float) -> Costs | None:
    """Costs of labellings better than `energy`, that of `labels`; None where a table forbids everything."""
    states, first = network.states, network.first
    entries = np.append(network.unary, network.tables)
    starts = np.append(first[:-1], first[-1] + network.start[:-1])
    least = np.minimum.reduceat(entries, starts)
    if not (least < np.inf).all():
        return None
    unary, tables, level = _rounded(entries, starts, least, energy, first[-1])
    incidence = incidence_of(network)
    owner = np.repeat(np.arange(states.size), states)
    order = np.lexsort((unary == np.inf, owner))
    node = np.zeros((states.size + 1, 6), np.int64)
    node[:, FIRST], node[:, HOOK] = 1 + first, incidence.ptr
    node[:-1, STATES], node[:-1, SUPPORT], node[:-1, FLAG] = states, labels, ROSE | SHRANK | DOUBT
    node[:-1, SIZE] = np.bincount(owner[unary < np.inf], minlength=states.size)
    state = np.zeros((1 + owner.size, 2), np.int64)
    state[1:, LIVE] = order - first[owner]
    state[1 + order, PLACE] = np.arange(owner.size) - first[owner]
    factor = np.ones((network.start.size, 3), np.int64)
    factor[:, PTR], factor[:, START] = network.ptr, network.start
    wide = states[network.var]
    entry = np.zeros((network.var.size, 5), np.int64)
    entry[:, VAR], entry[:, LENDERS] = network.var, _lenders(network)
    entry[:, SHIFT] = 1 + owner.size + np.cumsum(wide) - wide
    entry[:, OWNER], entry[:, ENTRY] = incidence.owner, incidence.entry
    value = np.zeros(1 + owner.size + wide.sum())
    value[1 : 1 + owner.size] = unary
    count = np.zeros(COUNTS, np.int64)
    count[TOP] = count[DOUBTS] = states.size - 1
    count[LAST], count[DIRTY] = -1, 1
    room = room_of(network)
    return Costs(
        node=node,
        state=state,
        factor=factor,
        entry=entry,
        tables=tables,
        given=(np.append(0.0, network.unary), network.tables),
        value=value,
        trace=np.repeat([[0, -1]], value.size, axis=0),
        log_at=np.empty(4 * room, np.int64),
        log_old=np.empty(4 * room),
        count=count,
        level=level,
        scratch=np.empty((3, int(states.max(initial=1)))),
        digit=np.empty((2, int(np.diff(network.ptr).max(initial=1))), np.int64),
    )


def room_of(network: Network) -> int:
    """How much the work on one variable, or a decision, may add to the log: each entry of its factors at most twice,
    or each state once."""
    wide = network.states[network.var]
    scope = np.add.reduceat(wide, network.ptr[:-1]) if wide.size else np.zeros(0, np.int64)
    around = np.bincount(network.var, np.repeat(scope, np.diff(network.ptr)), minlength=network.states.size)
    return int(4 * around.max(initial=0) + 2 * network.first[-1] + 64)


def _rounded(
    entries: np.ndarray, starts: np.ndarray, least: np.ndarray, energy: float, unaries: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(unaries, tables, levels): what entries cost beyond the least of their table, +inf beyond the gap.

    Rounded down, so that the bound stays below. What a sum of float64 entries may be off is set aside: ROUNDING.
    """
    level = np.zeros(LEVELS)
    known = energy < np.inf
    finite = entries[entries < np.inf]
    whole = np.abs(finite).max(initial=0) < LARGEST and bool((finite == np.rint(finite)).all())
    level[BASE] = base = float(least.sum())
    above = entries - np.repeat(least, np.diff(np.append(starts, entries.size)))
    most = np.maximum.reduceat(np.where(above < np.inf, above, 0.0), starts)
    gap = energy - base if known else float(most.sum())
    level[ROUNDING] = 0.0 if whole else 2.0**-50 * float((np.abs(least) + np.minimum(most, gap)).sum())
    if known:
        above[above > gap + level[ROUNDING]] = np.inf
    gap = max(gap, 1.0 if whole else 1e-12 * max(1.0, abs(base)))
    level[GRAIN] = grain = 2.0 ** (np.ceil(np.log2(gap)) - DIGITS)
    np.floor(above / grain, out=above)
    above *= grain
    level[REACH] = grain * 2.0 ** (DIGITS + SPARE)
    positive = above[(above > 0) & (above < np.inf)]
    level[LEAST] = max(grain, WORTH * (gap if known else float(positive.mean()) if positive.size else 0.0))
    # a labelling better than the best by less than this is as good; whole energies differ by 1 at least
    level[SLACK] = 1 - grain if whole else grain * starts.size + 2 * level[ROUNDING]
    level[BEST], level[CUT] = energy, energy - base - level[SLACK]
    return above[:unaries], above[unaries:], level


def _lenders(network: Network) -> np.ndarray:
    """See Costs.lenders: a neighbour belongs to the factor of least arity that it shares with the variable."""
    lenders = np.zeros(network.var.size, np.int64)
    arity = np.diff(network.ptr)
    seen = np.zeros(0, np.int64)
    for k in np.unique(arity):
        entries = network.ptr[:-1][arity == k][:, None] + np.arange(k)
        for j in range(min(int(k), 62)):
            others = np.delete(entries, j, axis=1)
            pairs = (network.var[others] * network.states.size + network.var[entries[:, j : j + 1]]).ravel()
            new, at = np.unique(pairs, return_index=True)
            lenders[others.ravel()[at[~np.isin(new, seen)]]] |= 1 << j
            seen = np.union1d(seen, new)
    return lenders
