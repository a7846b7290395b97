"""The bound that given messages prove (see trws.py), in float64 and safe from rounding.

    bound = Σ_v min_x [unary_v(x) + Σ_f m_{f→v}(x)] + Σ_f min_x [E_f(x) − Σ_v m_{f→v}(x_v)]

The terms go into a compensated sum (Neumaier 1974), and what rounding may have added to each of them is taken off.
"""

from __future__ import annotations

import numpy as np

from .jit import inlined, inner, kernel
from .simd import get
from .trws import (
    ARITY,
    BEFORE,
    COUNT,
    EXTENT,
    FORM,
    GENERAL,
    LINK,
    MESSAGE,
    OFFSET,
    OTHER,
    PLACE,
    POTTS,
    SHARED,
    STATE,
    STATES,
    TABLE,
    WIDE,
    minimum_over_others,
)

#: Two roundings of float64, relative.
EPSILON = 2.0**-52


@inlined
def _widen(i, states, sweep, energies, copies, table):
    """table = the energies of link i's factor, float64, as they lie where the link reads them."""
    form = get(sweep.link, 8 * i + FORM)
    at = get(sweep.link, 8 * i + TABLE)
    size = get(sweep.link, 8 * i + COUNT) * states
    if form == SHARED:
        for x in range(get(sweep.link, 8 * i + COUNT) * ((states + 15) // 16 * 16)):
            table[x] = copies[at + x]
        return
    if form == POTTS:
        size = np.int64(1)
    elif form == GENERAL:
        entry = get(sweep.link, 8 * i + WIDE) - sweep.wide[get(sweep.link, 8 * i + WIDE), OFFSET]
        size = np.int64(1)
        for a in range(entry, entry + sweep.wide[entry, ARITY]):
            size *= sweep.wide[a, EXTENT]
    for x in range(size):
        table[x] = energies[at + x]


@inlined
def _largest(messages, start, states):
    """The largest finite magnitude."""
    most = 0.0
    for i in range(start, start + states):
        value = abs(np.float64(messages[i]))
        if most < value < np.inf:
            most = value
    return most


@inner
def _size(i, states, sweep, messages):
    """(arity, size) of link i's factor: no message sum there is larger than the minimum and `size` together."""
    if get(sweep.link, 8 * i + FORM) != GENERAL:
        other = _largest(messages, get(sweep.link, 8 * i + OTHER), get(sweep.link, 8 * i + COUNT))
        return np.int64(2), other + _largest(messages, get(sweep.link, 8 * i + MESSAGE), states)
    entry = get(sweep.link, 8 * i + WIDE) - sweep.wide[get(sweep.link, 8 * i + WIDE), OFFSET]
    arity = sweep.wide[entry, ARITY]
    size = 0.0
    for a in range(entry, entry + arity):
        size += _largest(messages, sweep.wide[a, PLACE], sweep.wide[a, EXTENT])
    return arity, size


@inner
def _add(value, size, terms, total):
    """A term of the bound, itself a sum of terms that are no larger than |value| + size, into a compensated sum."""
    before = total[0]
    if before == np.inf or value == np.inf:
        total[0] = np.inf
        return
    after = before + value
    total[0] = after
    total[1] += (before - after) + value if abs(before) >= abs(value) else (value - after) + before
    total[2] += EPSILON * (terms + 2) * (abs(value) + size)


@kernel
def sum_bound(parts, sweep, unary, tables, messages, space, table, totals):
    """totals[c] += the bound's terms of the nodes of parts (as in sweep_parts) and of the factors that begin there.

    totals float64 (components, 3): a compensated sum, its compensation, what rounding may have added to the terms.
    unary, messages and space float64; tables = (energies, copies); table: room for the largest one.
    """
    energies, copies = tables
    for i in range(parts.shape[0]):
        total = totals[parts[i, 2]]
        for p in range(parts[i, 0], parts[i, 1]):
            states = get(sweep.node, 4 * p + STATES)
            state = get(sweep.node, 4 * p + STATE)
            low = get(sweep.node, 4 * p + LINK)
            high = get(sweep.node, 4 * p + 4 + LINK)
            least = np.inf
            size = 0.0
            for k in range(states):
                value = unary[state + k]
                most = abs(value)
                for e in range(low, high):
                    m = np.float64(messages[get(sweep.link, 8 * e + MESSAGE) + k])
                    value += m
                    most += abs(m)
                if value < np.inf:
                    size = max(size, most)
                least = min(least, value)
            _add(least, size, high - low, total)
            for e in range(low, high):
                if get(sweep.link, 8 * e + BEFORE) == 1:
                    continue
                _widen(e, states, sweep, energies, copies, table)
                minimum_over_others(e, 0, states, sweep, table, table, messages, space)
                least = np.inf
                for k in range(states):
                    m = np.float64(messages[get(sweep.link, 8 * e + MESSAGE) + k])
                    if m < np.inf:
                        least = min(least, space.fresh[k] - m)
                arity, size = _size(e, states, sweep, messages)
                _add(least, size, arity, total)
