"""Exact minima of many short-labelled runs of one table: one run to a lane, so that no lane is empty.

    a_0 = u_0,   a_t[j] = u_t[j] + min_k (a_{t−1}[k] + table(k, j)),   y_t = argmin_k (a_t[k] + table(k, y_{t+1}))

as in run_min.py, where a vector holds the states of one run: 2 states fill an eighth of it. Here it holds one state of
W runs, listed by falling length, which start together at their leaves (t = 0) and end one by one. Unary tables are
transposed in registers on the way in; on the way back a table's entries are looked up by W labels at once. Everything
else is arithmetic between whole vectors, without a branch but for runs that end.

Only for runs whose unary tables lie one after the other towards the root, at most two vectors of states wide.
"""

from __future__ import annotations

import numpy as np

from .jit import inlined, inner, kernel
from .messages import SETTLE
from .run_min import about_run, shape_of
from .schedule import RUN_UP
from .simd import VECTOR_BYTES, buffer, get, lanes, vadd, vload, vmin, vsplat, vstore
from .simd_lanes import accumulate, look_up, store_labels, transpose
from .simd_sum import vfma, vless

#: Rows of the work space of int64: where each lane's unary tables and bias begin, its first variable, its labels.
OWN, BIAS, FIRST_VAR, FOUND = range(4)
#: Rows of the work space of float64: what was settled, energy, least belief of each lane.
OFF, ENERGY, LEAST = range(3)


@inlined
def _raise_four(states, j, before, own, q, copies, work, ahead, one):
    """Beliefs j to j + 3 at own + ahead, from those before."""
    width = lanes(work)
    p = q + j // width * (states * width) + j % width
    a = vload(work, before)
    x0 = vfma(one, a, vsplat(get(copies, p)))
    x1 = vfma(one, a, vsplat(get(copies, p + 1)))
    x2 = vfma(one, a, vsplat(get(copies, p + 2)))
    x3 = vfma(one, a, vsplat(get(copies, p + 3)))
    for k in range(1, states):
        p += width
        a = vload(work, before + k * width)
        x0 = vmin(x0, vfma(one, a, vsplat(get(copies, p))))
        x1 = vmin(x1, vfma(one, a, vsplat(get(copies, p + 1))))
        x2 = vmin(x2, vfma(one, a, vsplat(get(copies, p + 2))))
        x3 = vmin(x3, vfma(one, a, vsplat(get(copies, p + 3))))
    s = own + j * width
    vstore(work, s + ahead, vadd(x0, vload(work, s)))
    vstore(work, s + ahead + width, vadd(x1, vload(work, s + width)))
    vstore(work, s + ahead + 2 * width, vadd(x2, vload(work, s + 2 * width)))
    vstore(work, s + ahead + 3 * width, vadd(x3, vload(work, s + 3 * width)))


@inlined
def _raise_two(states, j, before, own, q, copies, work, ahead, one):
    """The same for beliefs j and j + 1."""
    width = lanes(work)
    p = q + j // width * (states * width) + j % width
    a = vload(work, before)
    x0 = vfma(one, a, vsplat(get(copies, p)))
    x1 = vfma(one, a, vsplat(get(copies, p + 1)))
    for k in range(1, states):
        p += width
        a = vload(work, before + k * width)
        x0 = vmin(x0, vfma(one, a, vsplat(get(copies, p))))
        x1 = vmin(x1, vfma(one, a, vsplat(get(copies, p + 1))))
    s = own + j * width
    vstore(work, s + ahead, vadd(x0, vload(work, s)))
    vstore(work, s + ahead + width, vadd(x1, vload(work, s + width)))


@inlined
def _raise(states, before, own, q, copies, work, ahead, one):
    """Beliefs at own + ahead from those before; what lies behind the last state is written again later."""
    for j in range(0, states - 2, 4):
        _raise_four(states, j, before, own, q, copies, work, ahead, one)
    if (states - 1) % 4 < 2:
        _raise_two(states, (states - 1) // 4 * 4, before, own, q, copies, work, ahead, one)


@inlined
def _settle(t, states, slot, work, off):
    """Take the least belief of position t off all of them, in lanes where it is finite and that go on from there."""
    width = lanes(work)
    least = vload(work, slot)
    for k in range(1, states):
        least = vmin(least, vload(work, slot + k * width))
    zero = vsplat(work.dtype.type(0))
    infinite = vsplat(work.dtype.type(np.inf))
    least = vless(least, infinite, least, zero)
    least = vless(vsplat(work.dtype.type(-np.inf)), least, least, zero)
    least = vless(vsplat(work.dtype.type(t + 1)), vload(work, 0), least, zero)
    accumulate(off, 0, least, zero)
    minus = vsplat(work.dtype.type(-1))
    for k in range(states):
        vstore(work, slot + k * width, vfma(minus, least, vload(work, slot + k * width)))


@inlined
def _lower(t, states, slot, room, q, copies, work, label, begins, sums):
    """Labels of position t from those of t + 1, and their energies, added to the sums; ends of runs have no table."""
    width = lanes(work)
    zero = vsplat(work.dtype.type(0))
    one = vsplat(work.dtype.type(1))
    now = vsplat(work.dtype.type(t + 1))
    beyond = states * width if states > width else np.int64(0)
    at = zero
    best = zero
    own = vload(work, slot)
    pair = zero
    low = zero
    for k in range(states):
        entry = look_up(copies, q + k * width, beyond, label)
        if begins:
            entry = vless(now, vload(work, 0), entry, zero)
        value = vadd(vload(work, slot + room + k * width), entry)
        if k == 0:
            low = value
            pair = entry
        else:
            own = vless(value, low, vload(work, slot + k * width), own)
            pair = vless(value, low, entry, pair)
            best = vless(value, low, at, best)
            low = vmin(low, value)
        at = vadd(at, one)
    accumulate(sums, 0, pair, own)
    return best, low


@inner
def describe(components, schedule, work, place):
    """Where the runs of a group begin, lane by lane, the last one repeated; the greatest and the least length."""
    width = lanes(work)
    longest = np.int64(0)
    shortest = np.int64(1) << 62
    for w in range(width):
        count, unary, biased, var = about_run(components[min(w, components.size - 1)], schedule)
        place[OWN * width + w] = unary[0] + (count - 1) * unary[1]
        place[BIAS * width + w] = biased[0] + (count - 1) * biased[1]
        place[FIRST_VAR * width + w] = var[0] + (count - 1) * var[1]
        work[w] = count
        longest = max(longest, count)
        shortest = min(shortest, count)
    return longest, shortest


@inlined
def _write(count, longest, found, work, place, labels):
    """Labels of `count` lanes, from one vector per position to one row per lane."""
    width = lanes(work)
    for w in range(width):
        place[FOUND * width + w] = found + w * width
    for t in range(0, longest, width):
        transpose(work, place[FOUND * width :], t * width, work, found + t * width)
        for w in range(count):
            row = found + (t + w) * width
            at = place[FIRST_VAR * width + w] + t
            store_labels(labels, at, vload(work, row), np.int64(work[w]) - t)


@inner
def _minimise_group(components, schedule, energies, copies, bias, mask, spaces, labels, energy, minimum):
    """At most W runs of one table, the longest first."""
    work, place, sums = spaces
    width = lanes(work)
    states, _, q, _ = shape_of(components[0], schedule)
    longest, shortest = describe(components, schedule, work, place)
    found = 2 * width
    first = found + (longest + width) * width
    room = (longest * states + width + 4) * width
    own = first
    for x in range(0, longest * states, width):
        transpose(energies, place, x, work, first + x * width)
    if bias.size > 0:
        own = first + 2 * room
        for x in range(0, longest * states, width):
            transpose(bias, place[BIAS * width :], x, work, own + x * width)
            for y in range(x * width, (x + width) * width, width):
                vstore(work, own + y, vadd(vload(work, first + y), vload(work, own + y)))
    alpha = first + room
    for x in range(0, states * width, width):
        vstore(work, alpha + x, vload(work, own + x))
    sums[: 3 * width] = 0
    one = vsplat(mask[32])
    step = states * width
    for t in range(1, longest):
        _raise(states, alpha + (t - 1) * step, own + t * step, q, copies, work, alpha - own, one)
        if t % SETTLE == 0:
            _settle(t, states, alpha + t * step, work, sums[OFF * width :])
    label = vsplat(work.dtype.type(0))
    for t in range(longest - 1, -1, -1):
        begins = t + 1 >= shortest
        if begins:
            for w in range(width):
                if work[w] <= t + 1:
                    sums[ENERGY * width + w] = 0
        label, low = _lower(t, states, first + t * step, room, q, copies, work, label, begins, sums[ENERGY * width :])
        if begins:
            vstore(work, width, low)
            for w in range(width):
                if work[w] == t + 1:
                    sums[LEAST * width + w] = work[width + w]
        vstore(work, found + t * width, label)
    for w in range(components.size):
        energy[components[w]] = sums[ENERGY * width + w]
        minimum[w] = sums[OFF * width + w] + sums[LEAST * width + w]
    _write(components.size, longest, found, work, place, labels)


@kernel
def minimise_lanes(components, schedule, energies, copies, bias, mask, spaces, labels, energy, minimum):
    """As `minimise_runs`, for runs whose labels and unary tables step by −1 and −states; spaces as by `lane_work`."""
    width = lanes(copies)
    run = schedule.run
    i = 0
    while i < components.size:
        j = i + 1
        while j < min(i + width, components.size) and run[components[j], RUN_UP] == run[components[i], RUN_UP]:
            j += 1
        group = components[i:j]
        _minimise_group(group, schedule, energies, copies, bias, mask, spaces, labels, energy, minimum[i:])
        i = j


def lane_work(most: tuple[int, int], dtype: np.dtype, biased: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Work space of `minimise_lanes` for runs of at most so many positions, and states of all of them.

    Entries of the energies' dtype with slack (ends of runs and a spare vector; labels; unary tables and beliefs, and
    their sums with a bias where there is one), int64 (4 W,) and float64 (3 W,).
    """
    width = VECTOR_BYTES // dtype.itemsize
    entries = (3 if biased else 2) * (most[1] + width + 4)
    work = buffer((2 + most[0] + width + entries) * width, dtype)
    return work, np.empty(4 * width, np.int64), np.empty(3 * width)
