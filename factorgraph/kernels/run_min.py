"""Exact minimum of runs: chains of equal alphabets, one unary table each at even steps, and one shared table.

    a_n = u_n,   a_i[j] = u_i[j] + min_k (a_{i+1}[k] + table(k, j)),   minimum = min_j a_0[j]            (Viterbi 1967)

the special case of forest_min.py in which nothing has to be looked up per variable: unary, bias and message go into
one store. Positions count from the root; at every sixteenth from the leaf the least belief is taken off all of them.

Four runs of the same table go side by side: a row of the table is loaded once for all of them, and while one waits for
its last message the others compute. The sum of belief and table is a multiply-add by one, which many processors run
beside the minimum instead of in the same unit; it rounds like the addition, so all ways give the same bits.
"""

from __future__ import annotations

import numpy as np

from .jit import inlined, inner, kernel
from .messages import SETTLE, argmin_row, settle
from .schedule import FIRST, RUN_DOWN, RUN_STEP, RUN_TURN, RUN_UNARY, RUN_UP, STATE, STATES, VAR
from .simd import get, lanes, vadd, vload, vmin, vsplat, vstore
from .simd_sum import vfma

#: Runs of one table that go side by side.
SIDES = 4


@inlined
def about_run(c, schedule):
    """Everything about run c as numbers, so that no store makes the compiler read them again: length; unary table,
    bias and variable of the root, and the steps between positions."""
    first = schedule.component[c, FIRST]
    count = schedule.component[c + 1, FIRST] - first
    turn = schedule.run[c, RUN_TURN]
    return (
        count,
        (schedule.run[c, RUN_UNARY], schedule.run[c, RUN_STEP]),
        (schedule.position[first, STATE], turn),
        (schedule.position[first, VAR], turn // schedule.position[first, STATES]),
    )


@inlined
def shape_of(c, schedule):
    """States of run c, padded states, and its table's copies towards and from the root."""
    states = schedule.position[schedule.component[c, FIRST], STATES]
    return states, (states + 15) // 16 * 16, schedule.run[c, RUN_UP], schedule.run[c, RUN_DOWN]


@inlined
def _own(about, i, j, states, energies, bias, mask):
    """Unary energies and bias of position i, states j on; +inf past the last."""
    _, unary, biased, _ = about
    own = vload(energies, unary[0] + i * unary[1] + j)
    if bias.size > 0:
        own = vadd(own, vload(bias, biased[0] + i * biased[1] + j))
    return vadd(own, vload(mask, 16 - min(states - j, lanes(energies))))


@inner
def raise_one(about, shape, i, energies, copies, bias, mask, belief, base):
    """Belief of position i from that of i + 1; the root's lies at `base`."""
    width = lanes(belief)
    states, stride, q, _ = shape
    slot = base + i * stride
    child = slot + stride
    one = vsplat(mask[32])
    for j in range(0, states, width):
        own = _own(about, i, j, states, energies, bias, mask)
        if i + 1 < about[0]:
            x0 = vfma(one, vload(copies, q), vsplat(get(belief, child)))
            x1 = x0
            x2 = x0
            x3 = x0
            k = 1
            while k + 4 <= states:
                p = q + k * width
                b = child + k
                x0 = vmin(x0, vfma(one, vload(copies, p), vsplat(get(belief, b))))
                x1 = vmin(x1, vfma(one, vload(copies, p + width), vsplat(get(belief, b + 1))))
                x2 = vmin(x2, vfma(one, vload(copies, p + 2 * width), vsplat(get(belief, b + 2))))
                x3 = vmin(x3, vfma(one, vload(copies, p + 3 * width), vsplat(get(belief, b + 3))))
                k += 4
            while k < states:
                x0 = vmin(x0, vfma(one, vload(copies, q + k * width), vsplat(get(belief, child + k))))
                k += 1
            own = vadd(own, vmin(vmin(x0, x1), vmin(x2, x3)))
            q += states * width
        vstore(belief, slot + j, own)


@inlined
def raise_four(four, at, shape, energies, copies, bias, mask, belief, room):
    """Beliefs of positions `at` of four runs, none of which ends there; that of run r starts at r · room."""
    width = lanes(belief)
    states, stride, q, _ = shape
    one = vsplat(mask[32])
    s0 = at[0] * stride
    s1 = at[1] * stride + room
    s2 = at[2] * stride + 2 * room
    s3 = at[3] * stride + 3 * room
    b0 = s0 + stride
    b1 = s1 + stride
    b2 = s2 + stride
    b3 = s3 + stride
    j = 0
    block = states * width
    while j + width < states:  # two vectors for each of the four, so that a belief is read once for both
        row = vload(copies, q)
        two = vload(copies, q + block)
        b = vsplat(get(belief, b0))
        x0 = vfma(one, row, b)
        y0 = vfma(one, two, b)
        b = vsplat(get(belief, b1))
        x1 = vfma(one, row, b)
        y1 = vfma(one, two, b)
        b = vsplat(get(belief, b2))
        x2 = vfma(one, row, b)
        y2 = vfma(one, two, b)
        b = vsplat(get(belief, b3))
        x3 = vfma(one, row, b)
        y3 = vfma(one, two, b)
        for k in range(1, states):
            row = vload(copies, q + k * width)
            two = vload(copies, q + k * width + block)
            b = vsplat(get(belief, b0 + k))
            x0 = vmin(x0, vfma(one, row, b))
            y0 = vmin(y0, vfma(one, two, b))
            b = vsplat(get(belief, b1 + k))
            x1 = vmin(x1, vfma(one, row, b))
            y1 = vmin(y1, vfma(one, two, b))
            b = vsplat(get(belief, b2 + k))
            x2 = vmin(x2, vfma(one, row, b))
            y2 = vmin(y2, vfma(one, two, b))
            b = vsplat(get(belief, b3 + k))
            x3 = vmin(x3, vfma(one, row, b))
            y3 = vmin(y3, vfma(one, two, b))
        vstore(belief, s0 + j, vadd(_own(four[0], at[0], j, states, energies, bias, mask), x0))
        vstore(belief, s1 + j, vadd(_own(four[1], at[1], j, states, energies, bias, mask), x1))
        vstore(belief, s2 + j, vadd(_own(four[2], at[2], j, states, energies, bias, mask), x2))
        vstore(belief, s3 + j, vadd(_own(four[3], at[3], j, states, energies, bias, mask), x3))
        j += width
        vstore(belief, s0 + j, vadd(_own(four[0], at[0], j, states, energies, bias, mask), y0))
        vstore(belief, s1 + j, vadd(_own(four[1], at[1], j, states, energies, bias, mask), y1))
        vstore(belief, s2 + j, vadd(_own(four[2], at[2], j, states, energies, bias, mask), y2))
        vstore(belief, s3 + j, vadd(_own(four[3], at[3], j, states, energies, bias, mask), y3))
        j += width
        q += 2 * block
    if j < states:
        row = vload(copies, q)
        x0 = vfma(one, row, vsplat(get(belief, b0)))
        x1 = vfma(one, row, vsplat(get(belief, b1)))
        x2 = vfma(one, row, vsplat(get(belief, b2)))
        x3 = vfma(one, row, vsplat(get(belief, b3)))
        for k in range(1, states):
            row = vload(copies, q + k * width)
            x0 = vmin(x0, vfma(one, row, vsplat(get(belief, b0 + k))))
            x1 = vmin(x1, vfma(one, row, vsplat(get(belief, b1 + k))))
            x2 = vmin(x2, vfma(one, row, vsplat(get(belief, b2 + k))))
            x3 = vmin(x3, vfma(one, row, vsplat(get(belief, b3 + k))))
        vstore(belief, s0 + j, vadd(_own(four[0], at[0], j, states, energies, bias, mask), x0))
        vstore(belief, s1 + j, vadd(_own(four[1], at[1], j, states, energies, bias, mask), x1))
        vstore(belief, s2 + j, vadd(_own(four[2], at[2], j, states, energies, bias, mask), x2))
        vstore(belief, s3 + j, vadd(_own(four[3], at[3], j, states, energies, bias, mask), x3))


@inlined
def root_label(about, shape, belief, base, labels):
    """Label of the root."""
    at = np.int64(0)
    for k in range(1, shape[0]):
        if belief[base + k] < belief[base + at]:
            at = np.int64(k)
    labels[about[3][0]] = at
    return at


@inlined
def lower(about, shape, i, at, energies, copies, belief, base, labels):
    """Label of position i, from `at` of position i − 1, and what the two cost: the table's entry and the unary one."""
    width = lanes(belief)
    states, stride, _, down = shape
    row = down + at * width
    at = np.int64(argmin_row(belief, base + i * stride, copies, row, states * width, states))
    labels[about[3][0] + i * about[3][1]] = at
    cost = np.float64(get(copies, row + at // width * (states * width) + at % width))
    return at, cost + np.float64(get(energies, about[1][0] + i * about[1][1] + at))


@inlined
def _read_off(about, shape, energies, copies, belief, base, labels):
    """Labels from the beliefs of a run; returns the root's least belief and the energy of the labels."""
    at = root_label(about, shape, belief, base, labels)
    least = np.float64(belief[base + at])
    energy = np.float64(energies[about[1][0] + at])
    for i in range(1, about[0]):
        at, cost = lower(about, shape, i, at, energies, copies, belief, base, labels)
        energy += cost
    return least, energy


@inner
def minimise_run(c, schedule, energies, copies, bias, mask, belief, labels):
    """Minimum of component c and the energy of its labels, which are written."""
    about = about_run(c, schedule)
    shape = shape_of(c, schedule)
    off = 0.0
    for i in range(about[0] - 1, -1, -1):
        raise_one(about, shape, i, energies, copies, bias, mask, belief, 0)
        if (about[0] - 1 - i) % SETTLE == 0 and 0 < i < about[0] - 1:
            off += settle(belief, i * shape[1], shape[0])
    least, energy = _read_off(about, shape, energies, copies, belief, 0, labels)
    return off + least, energy


@inner
def _minimise_table(runs, schedule, energies, copies, bias, mask, work, labels, energy, minimum):
    """Minima of four or more runs of one table: four are in progress, and where one ends the next takes its place.

    A run in progress is kept in a row of `slots`: which it is, and its last position with a belief. When none is left
    to take its place, the last one's root is computed again and again.
    """
    belief, slots = work
    shape = shape_of(runs[0], schedule)
    room = belief.size // SIDES
    minimum[: runs.size] = 0
    slots[:] = -1
    fresh = np.int64(0)
    active = np.int64(SIDES)
    while active > 0:
        steps = np.int64(1) << 62
        for r in range(SIDES):
            if slots[r, 1] <= 0 and fresh < runs.size:
                about = about_run(runs[fresh], schedule)
                slots[r, 0] = fresh
                slots[r, 1] = about[0] - 1
                raise_one(about, shape, about[0] - 1, energies, copies, bias, mask, belief, r * room)
                fresh += 1
            if slots[r, 1] > 0:
                steps = min(steps, slots[r, 1])
        four = (
            about_run(runs[slots[0, 0]], schedule),
            about_run(runs[slots[1, 0]], schedule),
            about_run(runs[slots[2, 0]], schedule),
            about_run(runs[slots[3, 0]], schedule),
        )
        ends = (four[0][0] - 1, four[1][0] - 1, four[2][0] - 1, four[3][0] - 1)
        for step in range(1, steps + 1):
            at = (
                max(slots[0, 1] - step, 0),
                max(slots[1, 1] - step, 0),
                max(slots[2, 1] - step, 0),
                max(slots[3, 1] - step, 0),
            )
            raise_four(four, at, shape, energies, copies, bias, mask, belief, room)
            for r in range(SIDES):
                i = slots[r, 1] - step
                if i > 0 and (ends[r] - i) % SETTLE == 0:
                    minimum[slots[r, 0]] += settle(belief, r * room + i * shape[1], shape[0])
        active = np.int64(0)
        for r in range(SIDES):
            if slots[r, 1] > 0:
                slots[r, 1] -= steps
                k = slots[r, 0]
                if slots[r, 1] > 0:
                    active += 1
                else:
                    about = about_run(runs[k], schedule)
                    least, energy[runs[k]] = _read_off(about, shape, energies, copies, belief, r * room, labels)
                    minimum[k] += least
                    active += fresh < runs.size


@kernel
def minimise_alone(components, schedule, energies, copies, bias, mask, belief, labels, energy, minimum):
    """Labels (per variable) and minimum of every listed run, as `minimise_forests`; energy[c] is that of the labels of
    component c, without the bias, summed in float64. One by one: sooner compiled than `minimise_runs`."""
    for i, c in enumerate(components):
        minimum[i], energy[c] = minimise_run(c, schedule, energies, copies, bias, mask, belief, labels)


@kernel
def minimise_runs(components, schedule, energies, copies, bias, mask, work, labels, energy, minimum):
    """As `minimise_alone`, those of one table side by side where there are at least SIDES of them.

    Runs of one table follow each other, best the longest first. work = (belief for four of them, int64 (4, 2)).
    """
    run = schedule.run
    i = 0
    while i < components.size:
        j = i + 1
        while j < components.size and run[components[j], RUN_UP] == run[components[i], RUN_UP]:
            j += 1
        if j >= i + SIDES:
            runs = components[i:j]
            _minimise_table(runs, schedule, energies, copies, bias, mask, work, labels, energy, minimum[i:])
        else:
            for k in range(i, j):
                c = components[k]
                minimum[k], energy[c] = minimise_run(c, schedule, energies, copies, bias, mask, work[0], labels)
        i = j
