"""Sequential reweighted message passing: a lower bound that never falls, on any mix of factors.

Kolmogorov, "Convergent tree-reweighted message passing" (PAMI 2006); "A new look at reweighted message passing" (PAMI
2015), which is the same on pairs and covers scopes of any size. Messages m reparametrise the energy:

    θ_v(x) = unary_v(x) + Σ_{f ∋ v} m_{f→v}(x),    θ_f(x) = E_f(x) − Σ_{v ∈ f} m_{f→v}(x_v)
    bound  = Σ_v min θ_v + Σ_f min θ_f ≤ min E      for any messages at all

A pass visits the variables in order. At v it first *collects* from the factors that have a variable before v,

    m_{f→v}(x) = min over the others of  E_f − Σ_{u ≠ v} m_{f→u},   less its least entry,

and then *distributes* θ_v, less its least entry, to the n factors that have a variable behind v: each gets the share
1 / max(n, number it collected from). The next pass goes the other way round. Neither step lowers the bound.

A message of +inf marks a state that is forbidden, proven by the minima so far. Forbidden states stay so, all messages
to them become +inf, and −m is read as +inf there: inf − inf is never formed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .jit import inlined, inner, kernel
from .simd import get, lanes, prefetch, vadd, vequal, vhmin, vload, vmin, vsplat, vstore
from .simd_shift import vstore_first, vsub
from .simd_sum import vless, vmul

#: Columns of Sweep.node: variable, its states, where they start among the variable states, its first link.
VAR, STATES, STATE, LINK = range(4)

#: Columns of Sweep.link: start of the message to this variable; of that to the other variable of a pair, and its
#: states; how the minimum is taken; where its table starts (in `energies`, or for SHARED in `copies`); whether a
#: variable of the scope lies BEFORE or BEHIND this one (0 or 1); the row of Sweep.wide.
MESSAGE, OTHER, COUNT, FORM, TABLE, BEFORE, BEHIND, WIDE = range(8)

#: Forms: a table of its own, this variable second (ROWS) or first (COLUMNS); one that many factors read, copied with
#: padded rows by the other variable; Potts; more than two variables.
ROWS, COLUMNS, SHARED, POTTS, GENERAL = range(5)

#: Columns of Sweep.wide, for each scope entry of a GENERAL factor: start of its message, its states. Row WIDE of a
#: link is its own entry; the first entry of the scope has OFFSET 0, the others count up; ARITY is the scope's size.
PLACE, EXTENT, OFFSET, ARITY = range(4)

#: Variables ahead for which messages are fetched into the cache.
AHEAD = 2


class Sweep(NamedTuple):
    """Variables of loopy components in the order of the passes, and the links between them and their factors.

    first int64 (C + 1,): component c has nodes first[c] : first[c + 1]. node int64 (N + 1, 4) and link int64 (L, 8),
    both flat; wide int64 (W, 4).
    """

    first: np.ndarray
    node: np.ndarray
    link: np.ndarray
    wide: np.ndarray


class Space(NamedTuple):
    """Scratch of one thread, all with slack: belief, fresh, share of the widest variable's padded states; cavity of a
    scope's, each padded; digit int64 (arity,); mask as by `padding_mask`."""

    belief: np.ndarray
    fresh: np.ndarray
    share: np.ndarray
    cavity: np.ndarray
    digit: np.ndarray
    mask: np.ndarray


@inlined
def _cavity(messages, start, states, space, at):
    """cavity = −message, +inf where the state is forbidden, and up to the next multiple of 16."""
    infinity = vsplat(get(space.mask, 16))
    zero = vsplat(get(space.mask, 0))
    for j in range(0, (states + 15) // 16 * 16, lanes(messages)):
        m = vload(messages, start + j)
        x = vless(m, infinity, vsub(zero, m), infinity)
        vstore(space.cavity, at + j, vadd(x, vload(space.mask, max(0, min(16, 16 - states + j)))))


@inlined
def _by_rows(cavity, table, at, stride, count, states, space):
    """fresh = min_i cavity[i] + table[i, :]; lanes over this variable's states, two rows a pass."""
    width = lanes(cavity)
    for j in range(0, states, width):
        q = at + j
        x = vadd(vsplat(get(cavity, 0)), vload(table, q))
        y = x
        i = 1
        while i + 2 <= count:
            q += stride
            x = vmin(x, vadd(vsplat(get(cavity, i)), vload(table, q)))
            q += stride
            y = vmin(y, vadd(vsplat(get(cavity, i + 1)), vload(table, q)))
            i += 2
        if i < count:
            x = vmin(x, vadd(vsplat(get(cavity, i)), vload(table, q + stride)))
        vstore(space.fresh, j, vmin(x, y))


@inlined
def _by_columns(cavity, table, at, count, states, space):
    """fresh[k] = min_i cavity[i] + table[k, i]: a horizontal minimum each."""
    width = lanes(cavity)
    for k in range(states):
        q = at + k * count
        x = vadd(vload(cavity, 0), vload(table, q))
        for i in range(width, count, width):
            x = vmin(x, vadd(vload(cavity, i), vload(table, q + i)))
        space.fresh[k] = vhmin(x)


@inlined
def _by_potts(cavity, weight, states, space):
    """fresh[k] = min(cavity[k], weight + min_{i ≠ k} cavity[i]); weights of either sign."""
    width = lanes(cavity)
    low = vload(cavity, 0)
    for j in range(width, states, width):
        low = vmin(low, vload(cavity, j))
    least = vhmin(low)
    other = vsplat(least + weight)
    for j in range(0, states, width):
        vstore(space.fresh, j, vmin(vload(cavity, j), other))
    if weight < 0:  # the least state itself has but the second least as its other
        at = 0
        while get(cavity, at) != least:
            at += 1
        second = cavity.dtype.type(np.inf)
        for i in range(states):
            if i != at:
                second = min(second, get(cavity, i))
        space.fresh[at] = min(least, second + weight)


@inner
def _by_scope(sweep, entry, table, at, messages, space):
    """fresh[k] = min of table + the cavities of all other variables, for a scope of any size."""
    wide = sweep.wide
    cavity, fresh, digit = space.cavity, space.fresh, space.digit
    width = lanes(cavity)
    mine = wide[entry, OFFSET]
    first = entry - mine
    arity = wide[entry, ARITY]
    step = cavity.size // digit.size
    rows = 1
    for a in range(arity):
        digit[a] = 0
        if a < arity - 1:
            rows *= wide[first + a, EXTENT]
        if a != mine:
            _cavity(messages, wide[first + a, PLACE], wide[first + a, EXTENT], space, a * step)
    own = wide[entry, EXTENT]
    last = wide[first + arity - 1, EXTENT]
    for k in range(0, own, width):
        vstore(fresh, k, vsplat(get(space.mask, 16)))
    tail = (arity - 1) * step
    for _ in range(rows):
        base = cavity.dtype.type(0)
        for a in range(arity - 1):
            if a != mine:
                base += cavity[a * step + digit[a]]
        if mine == arity - 1:
            for k in range(0, own, width):
                vstore(fresh, k, vmin(vload(fresh, k), vadd(vsplat(base), vload(table, at + k))))
        else:
            x = vadd(vload(cavity, tail), vload(table, at))
            for k in range(width, last, width):
                x = vmin(x, vadd(vload(cavity, tail + k), vload(table, at + k)))
            value = vhmin(x) + base
            if value < fresh[digit[mine]]:
                fresh[digit[mine]] = value
        at += last
        a = arity - 2
        while a >= 0:
            digit[a] += 1
            if digit[a] < wide[first + a, EXTENT]:
                break
            digit[a] = 0
            a -= 1


@inlined
def minimum_over_others(i, at, states, sweep, energies, copies, messages, space):
    """fresh[k] = min over the other variables of link i's factor, whose table starts at `at`, less their messages."""
    form = get(sweep.link, 8 * i + FORM)
    count = get(sweep.link, 8 * i + COUNT)
    if form == GENERAL:
        _by_scope(sweep, get(sweep.link, 8 * i + WIDE), energies, at, messages, space)
        return
    _cavity(messages, get(sweep.link, 8 * i + OTHER), count, space, 0)
    if form == SHARED:
        _by_rows(space.cavity, copies, at, (states + 15) // 16 * 16, count, states, space)
    elif form == ROWS:
        _by_rows(space.cavity, energies, at, states, count, states, space)
    elif form == COLUMNS:
        _by_columns(space.cavity, energies, at, count, states, space)
    else:
        _by_potts(space.cavity, get(energies, at), states, space)


@inlined
def _collect(i, states, sweep, energies, copies, messages, space):
    """Renew the message of link i and add it to the belief; returns what was taken off: the factor's minimum."""
    minimum_over_others(i, get(sweep.link, 8 * i + TABLE), states, sweep, energies, copies, messages, space)
    width = lanes(messages)
    low = vsplat(get(space.mask, 16))
    for j in range(0, states, width):
        x = vadd(vload(space.fresh, j), vload(space.mask, max(0, 16 - states + j)))
        vstore(space.fresh, j, x)
        low = vmin(low, x)
    least = vhmin(low)
    if least == messages.dtype.type(np.inf):
        return least
    start = get(sweep.link, 8 * i + MESSAGE)
    off = vsplat(least)
    for j in range(0, states, width):
        m = vsub(vload(space.fresh, j), off)
        vstore_first(messages, start + j, m, states - j)
        vstore(space.belief, j, vadd(vload(space.belief, j), m))
    return least


@inlined
def _fetch(p, sweep, messages):
    """Bring the messages of a node to come into the cache."""
    for i in range(get(sweep.node, 4 * p + LINK), get(sweep.node, 4 * p + 4 + LINK)):
        prefetch(messages, get(sweep.link, 8 * i + MESSAGE))
        prefetch(messages, get(sweep.link, 8 * i + OTHER))


@kernel
def sweep_parts(parts, step, sweep, unary, tables, messages, space, infeasible):
    """A pass over parts (n, 3): nodes parts[i, 0] … parts[i, 1] − 1 of component parts[i, 2]; step 1 or −1.

    tables = (energies, copies). unary, of the messages' dtype: forbidden states become +inf in it. infeasible, bool by
    component: where a variable has no state left, or a factor no configuration, so that there is no labelling; it is
    set, and what is set is passed over.
    """
    energies, copies = tables
    node = sweep.node
    link = sweep.link
    belief, share = space.belief, space.share
    width = lanes(messages)
    infinity = messages.dtype.type(np.inf)
    never = vsplat(get(space.mask, 16))
    none = vsplat(get(space.mask, 0))
    past = BEFORE if step > 0 else BEHIND
    future = BEHIND if step > 0 else BEFORE
    for i in range(parts.shape[0]):
        c = parts[i, 2]
        p = parts[i, 0] if step > 0 else parts[i, 1] - 1
        last = parts[i, 1] if step > 0 else parts[i, 0] - 1
        if infeasible[c]:
            continue
        while p != last:
            if (p + AHEAD * step - last) * step < 0:
                _fetch(p + AHEAD * step, sweep, messages)
            states = get(node, 4 * p + STATES)
            state = get(node, 4 * p + STATE)
            for j in range(0, states, width):
                vstore(belief, j, vadd(vload(unary, state + j), vload(space.mask, max(0, 16 - states + j))))
            received = 0
            sent = 0
            for e in range(get(node, 4 * p + LINK), get(node, 4 * p + 4 + LINK)):
                sent += get(link, 8 * e + future)
                if get(link, 8 * e + past) == 1:
                    received += 1
                    least = _collect(e, states, sweep, energies, copies, messages, space)
                    if least == infinity:
                        infeasible[c] = True
                        break
                else:
                    start = get(link, 8 * e + MESSAGE)
                    for j in range(0, states, width):
                        vstore(belief, j, vadd(vload(belief, j), vload(messages, start + j)))
            low = vload(belief, 0)
            for j in range(width, states, width):
                low = vmin(low, vload(belief, j))
            least = vhmin(low)
            if least == infinity or infeasible[c]:
                infeasible[c] = True
                break
            part = vsplat(messages.dtype.type(1.0 / max(received, sent)))
            off = vsplat(least)
            forbidden = 0
            for j in range(0, states, width):
                x = vload(belief, j)
                if states - j >= width:
                    forbidden |= vequal(x, never)
                else:
                    forbidden |= vequal(x, never) & ((1 << (states - j)) - 1)
                vstore(share, j, vless(x, never, vmul(vsub(x, off), part), vsub(none, never)))
            if forbidden != 0:
                for k in range(states):
                    if belief[k] == infinity:
                        unary[state + k] = infinity
            for e in range(get(node, 4 * p + LINK), get(node, 4 * p + 4 + LINK)):
                if get(link, 8 * e + future) == 1:
                    start = get(link, 8 * e + MESSAGE)
                    for j in range(0, states, width):
                        x = vsub(vload(messages, start + j), vload(share, j))
                        vstore_first(messages, start + j, x, states - j)
            p += step
