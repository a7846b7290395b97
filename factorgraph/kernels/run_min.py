"""Exact minimum of runs: chains of equal alphabets, one unary table each at even steps, and one shared table.

    a_n = u_n,   a_i[j] = u_i[j] + min_k (a_{i+1}[k] + table(k, j)),   minimum = min_j a_0[j]            (Viterbi 1967)

the special case of forest_min.py in which nothing has to be looked up per variable: unary, bias and message go into
one store. Positions count from the root; at every sixteenth the least belief is taken off all of them.

Four runs of the same table go side by side: a row of the table is loaded once for all of them, and while one waits for
its last message the others compute. The sum of belief and table is a multiply-add by one, which many processors run
beside the minimum instead of in the same unit; it rounds like the addition, so all ways give the same bits.
"""

from __future__ import annotations

import numpy as np

from .jit import inlined, inner, kernel
from .messages import SETTLE, argmin_row, settle
from .schedule import (
    FIRST,
    RUN_DOWN,
    RUN_STEP,
    RUN_TURN,
    RUN_UNARY,
    RUN_UP,
    STATE,
    STATES,
    VAR,
)
from .simd import get, lanes, vadd, vload, vmin, vsplat, vstore
from .simd_sum import vfma


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
def raise_four(four, shape, i, energies, copies, bias, mask, belief, room):
    """Beliefs of position i of four runs, none of which ends there; that of run r starts at r · room."""
    width = lanes(belief)
    states, stride, q, _ = shape
    one = vsplat(mask[32])
    s0 = i * stride
    s1 = s0 + room
    s2 = s1 + room
    s3 = s2 + room
    b0 = s0 + stride
    b1 = s1 + stride
    b2 = s2 + stride
    b3 = s3 + stride
    for j in range(0, states, width):
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
        vstore(belief, s0 + j, vadd(_own(four[0], i, j, states, energies, bias, mask), x0))
        vstore(belief, s1 + j, vadd(_own(four[1], i, j, states, energies, bias, mask), x1))
        vstore(belief, s2 + j, vadd(_own(four[2], i, j, states, energies, bias, mask), x2))
        vstore(belief, s3 + j, vadd(_own(four[3], i, j, states, energies, bias, mask), x3))
        q += states * width


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


@inner
def minimise_run(c, schedule, energies, copies, bias, mask, belief, labels):
    """Minimum of component c and the energy of its labels, which are written."""
    about = about_run(c, schedule)
    shape = shape_of(c, schedule)
    off = 0.0
    for i in range(about[0] - 1, -1, -1):
        raise_one(about, shape, i, energies, copies, bias, mask, belief, 0)
        if i % SETTLE == 0 and i > 0:
            off += settle(belief, i * shape[1], shape[0])
    at = root_label(about, shape, belief, 0, labels)
    least = off + np.float64(belief[at])
    energy = np.float64(energies[about[1][0] + at])
    for i in range(1, about[0]):
        at, cost = lower(about, shape, i, at, energies, copies, belief, 0, labels)
        energy += cost
    return least, energy


@inner
def _minimise_four(cs, schedule, energies, copies, bias, mask, belief, labels, minimum, energy):
    """Minima of four runs of one table, the longest first."""
    shape = shape_of(cs[0], schedule)
    four = (
        about_run(cs[0], schedule),
        about_run(cs[1], schedule),
        about_run(cs[2], schedule),
        about_run(cs[3], schedule),
    )
    longest = four[0][0]
    shortest = four[3][0]
    room = longest * shape[1]
    minimum[:4] = 0
    for i in range(longest - 1, -1, -1):
        if i < shortest - 1:
            raise_four(four, shape, i, energies, copies, bias, mask, belief, room)
        else:
            raise_one(four[0], shape, i, energies, copies, bias, mask, belief, 0)
            if i < four[1][0]:
                raise_one(four[1], shape, i, energies, copies, bias, mask, belief, room)
            if i < four[2][0]:
                raise_one(four[2], shape, i, energies, copies, bias, mask, belief, 2 * room)
            if i < shortest:
                raise_one(four[3], shape, i, energies, copies, bias, mask, belief, 3 * room)
        if i % SETTLE == 0 and i > 0:
            minimum[0] += settle(belief, i * shape[1], shape[0])
            if i < four[1][0]:
                minimum[1] += settle(belief, room + i * shape[1], shape[0])
            if i < four[2][0]:
                minimum[2] += settle(belief, 2 * room + i * shape[1], shape[0])
            if i < shortest:
                minimum[3] += settle(belief, 3 * room + i * shape[1], shape[0])
    a0 = root_label(four[0], shape, belief, 0, labels)
    a1 = root_label(four[1], shape, belief, room, labels)
    a2 = root_label(four[2], shape, belief, 2 * room, labels)
    a3 = root_label(four[3], shape, belief, 3 * room, labels)
    minimum[0] += np.float64(belief[a0])
    minimum[1] += np.float64(belief[room + a1])
    minimum[2] += np.float64(belief[2 * room + a2])
    minimum[3] += np.float64(belief[3 * room + a3])
    e0 = np.float64(energies[four[0][1][0] + a0])
    e1 = np.float64(energies[four[1][1][0] + a1])
    e2 = np.float64(energies[four[2][1][0] + a2])
    e3 = np.float64(energies[four[3][1][0] + a3])
    for i in range(1, longest):
        a0, cost = lower(four[0], shape, i, a0, energies, copies, belief, 0, labels)
        e0 += cost
        if i < four[1][0]:
            a1, cost = lower(four[1], shape, i, a1, energies, copies, belief, room, labels)
            e1 += cost
        if i < four[2][0]:
            a2, cost = lower(four[2], shape, i, a2, energies, copies, belief, 2 * room, labels)
            e2 += cost
        if i < shortest:
            a3, cost = lower(four[3], shape, i, a3, energies, copies, belief, 3 * room, labels)
            e3 += cost
    energy[cs[0]] = e0
    energy[cs[1]] = e1
    energy[cs[2]] = e2
    energy[cs[3]] = e3


@kernel
def minimise_runs(components, schedule, energies, copies, bias, mask, belief, labels, energy, minimum):
    """Labels (per variable) and minimum of every listed run, as `minimise_forests`; belief has room for four.

    energy[c] is that of component c's labels, without the bias, summed in float64.

    Listed so that runs of one table follow each other, the longer ones first, four at a time go side by side.
    """
    first = schedule.component
    run = schedule.run
    i = 0
    while i < components.size:
        c = components[i]
        four = i + 4 <= components.size
        for r in range(1, 4):
            if four:
                a = components[i + r - 1]
                b = components[i + r]
                four = run[b, RUN_UP] == run[c, RUN_UP] and run[b, RUN_DOWN] == run[c, RUN_DOWN]
                four &= first[b + 1, FIRST] - first[b, FIRST] <= first[a + 1, FIRST] - first[a, FIRST]
        if four:
            cs = components[i : i + 4]
            _minimise_four(cs, schedule, energies, copies, bias, mask, belief, labels, minimum[i:], energy)
            i += 4
        else:
            minimum[i], energy[c] = minimise_run(c, schedule, energies, copies, bias, mask, belief, labels)
            i += 1
