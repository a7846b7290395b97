"""Exact minimum of runs: chains of equal alphabets, one unary table each at even steps, and one shared table.

    a_n = u_n,   a_i[j] = u_i[j] + min_k (a_{i+1}[k] + table(k, j)),   minimum = min_j a_0[j]            (Viterbi 1967)

the special case of forest_min.py in which nothing has to be looked up per variable: unary, bias and message go into
one store. The inner loop is that of messages.up_rows written out: as a shared function that returns its vector it made
runs of 26 labels 15 % slower. Positions count from the root.
"""

from __future__ import annotations

from .jit import inner, kernel
from .messages import argmin_row
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
from .simd import get, vadd, vload, vmin, vsplat, vstore


@inner
def _sweep(c, schedule, energies, copies, bias, mask, belief):
    """Beliefs of all positions, the root's last."""
    width = 64 // belief.itemsize
    first = schedule.component[c, FIRST]
    count = schedule.component[c + 1, FIRST] - first
    states = schedule.position[first, STATES]
    stride = (states + 15) // 16 * 16
    up = schedule.run[c, RUN_UP]
    unary = schedule.run[c, RUN_UNARY]
    step = schedule.run[c, RUN_STEP]
    offset = schedule.position[first, STATE]
    turn = schedule.run[c, RUN_TURN]
    for i in range(count - 1, -1, -1):
        slot = i * stride
        child = slot + stride
        u = unary + i * step
        for j in range(0, states, width):
            own = vadd(vload(energies, u + j), vload(mask, 16 - min(states - j, width)))
            if bias.size > 0:
                own = vadd(own, vload(bias, offset + i * turn + j))
            if i < count - 1:
                x0 = vadd(vsplat(get(belief, child)), vload(copies, up + j))
                x1 = x0
                x2 = x0
                x3 = x0
                k = 1
                while k + 4 <= states:
                    q = up + k * stride + j
                    b = child + k
                    x0 = vmin(x0, vadd(vsplat(get(belief, b)), vload(copies, q)))
                    x1 = vmin(x1, vadd(vsplat(get(belief, b + 1)), vload(copies, q + stride)))
                    x2 = vmin(x2, vadd(vsplat(get(belief, b + 2)), vload(copies, q + 2 * stride)))
                    x3 = vmin(x3, vadd(vsplat(get(belief, b + 3)), vload(copies, q + 3 * stride)))
                    k += 4
                while k < states:
                    x0 = vmin(x0, vadd(vsplat(get(belief, child + k)), vload(copies, up + k * stride + j)))
                    k += 1
                own = vadd(own, vmin(vmin(x0, x1), vmin(x2, x3)))
            vstore(belief, slot + j, own)


@inner
def minimise_run(c, schedule, energies, copies, bias, mask, belief, labels):
    """Minimum of component c; writes its labels."""
    _sweep(c, schedule, energies, copies, bias, mask, belief)
    first = schedule.component[c, FIRST]
    states = schedule.position[first, STATES]
    stride = (states + 15) // 16 * 16
    at = 0
    for k in range(1, states):
        if belief[k] < belief[at]:
            at = k
    least = belief[at]
    down = schedule.run[c, RUN_DOWN]
    var = schedule.position[first, VAR]
    turn = schedule.run[c, RUN_TURN] // states
    labels[var] = at
    for i in range(1, schedule.component[c + 1, FIRST] - first):
        at = argmin_row(belief, i * stride, copies, down + at * stride, states)
        labels[var + i * turn] = at
    return least


@kernel
def minimise_runs(components, schedule, energies, copies, bias, mask, work, labels, minimum):
    """Labels (per variable) and minimum of every listed run; work = (belief, scratch) as for `minimise_forests`."""
    for i in range(components.size):
        minimum[i] = minimise_run(components[i], schedule, energies, copies, bias, mask, work[0], labels)
