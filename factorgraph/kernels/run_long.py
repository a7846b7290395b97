"""Exact minimum of one long run: its four quarters go side by side, as four runs do in run_min.py.

Each quarter is swept as if nothing came before it. The true beliefs at its end are then carried on into it until they
differ from those by a constant, up to rounding: from there on all best paths have met in one ancestor, and a constant
changes no argmin (Maleki, Musuvathi, Mytkowicz, "Parallelizing dynamic programming through rank convergence", 2014).
Labels likewise: each quarter is read off from its own best first label, then again from the true one until both agree.
Where paths never meet, everything is swept once more, and the answer is the same.
"""

from __future__ import annotations

import numpy as np

from .jit import inner, kernel
from .messages import SETTLE, settle
from .run_min import about_run, lower, raise_four, raise_one, root_label, shape_of
from .simd import lanes, vload, vstore

#: Runs of at least this length are cut; shorter ones would mostly wait for paths to meet.
LONG = 4096


@inner
def _quarter(about, r, size):
    """Quarter r of a run, as a run: the last one ends where the whole does."""
    count, unary, bias, var = about
    low = r * size
    return (
        min(count - low, size),
        (unary[0] + low * unary[1], unary[1]),
        (bias[0] + low * bias[1], bias[1]),
        (var[0] + low * var[1], var[1]),
    )


@inner
def _met(belief, old, new, states, tolerance):
    """Whether two settled beliefs are equal up to rounding."""
    for k in range(states):
        a = belief[old + k]
        b = belief[new + k]
        if a != b and not abs(a - b) <= tolerance * (1 + abs(a)):
            return False
    return True


@inner
def _carry_on(about, shape, low, high, energies, copies, bias, mask, belief, tolerance):
    """Beliefs of positions high − 1, …, low, each from the next, until they meet those that lie there."""
    states, stride, _, _ = shape
    spare = about[0] * stride
    for i in range(high - 1, low - 1, -1):
        slot = i * stride
        check = i % SETTLE == 0 and i > 0
        if check:
            for j in range(0, states, lanes(belief)):
                vstore(belief, spare + j, vload(belief, slot + j))
        raise_one(about, shape, i, energies, copies, bias, mask, belief, 0)
        if check:
            settle(belief, slot, states)
            if _met(belief, spare, slot, states, tolerance):
                return


@inner
def _read_again(about, shape, low, high, energies, copies, belief, labels):
    """Labels of positions low, …, high − 1, each from the one before, until they meet those that lie there."""
    var, turn = about[3]
    at = np.int64(labels[var + (low - 1) * turn])
    for i in range(low, high):
        old = labels[var + i * turn]
        at, _ = lower(about, shape, i, at, energies, copies, belief, 0, labels)
        if at == old:
            return


@inner
def _cost(about, shape, energies, copies, bias, labels):
    """Energy of the labels, float64, and their bias."""
    states, _, _, down = shape
    count, unary, biased, (var, turn) = about
    width = lanes(copies)
    energy = 0.0
    extra = 0.0
    before = np.int64(0)
    for i in range(count):
        at = np.int64(labels[var + i * turn])
        energy += np.float64(energies[unary[0] + i * unary[1] + at])
        if i > 0:
            energy += np.float64(copies[down + before * width + at // width * (states * width) + at % width])
        if bias.size > 0:
            extra += np.float64(bias[biased[0] + i * biased[1] + at])
        before = at
    return energy, extra


@kernel
def minimise_long_runs(components, schedule, energies, copies, bias, mask, belief, labels, energy, minimum):
    """As `minimise_runs`, for runs of at least `LONG` positions; belief has room for one more position than the run."""
    tolerance = 64 * (1.2e-7 if lanes(belief) == 16 else 2.3e-16)
    for k in range(components.size):
        c = components[k]
        about = about_run(c, schedule)
        shape = shape_of(c, schedule)
        states, stride, _, _ = shape
        size = (about[0] + 4 * SETTLE - 1) // (4 * SETTLE) * SETTLE
        room = size * stride
        four = (
            _quarter(about, np.int64(0), size),
            _quarter(about, np.int64(1), size),
            _quarter(about, np.int64(2), size),
            _quarter(about, np.int64(3), size),
        )
        rest = four[3][0]
        for i in range(size - 1, -1, -1):
            if i < rest - 1:
                raise_four(four, (i, i, i, i), shape, energies, copies, bias, mask, belief, room)
            else:
                raise_one(four[0], shape, i, energies, copies, bias, mask, belief, 0)
                raise_one(four[1], shape, i, energies, copies, bias, mask, belief, room)
                raise_one(four[2], shape, i, energies, copies, bias, mask, belief, 2 * room)
                if i < rest:
                    raise_one(four[3], shape, i, energies, copies, bias, mask, belief, 3 * room)
            if i % SETTLE == 0:
                if i > 0:
                    settle(belief, i * stride, states)
                settle(belief, room + i * stride, states)
                settle(belief, 2 * room + i * stride, states)
                if i < rest:
                    settle(belief, 3 * room + i * stride, states)
        for r in range(2, -1, -1):
            _carry_on(about, shape, r * size, (r + 1) * size, energies, copies, bias, mask, belief, tolerance)
        a0 = root_label(four[0], shape, belief, 0, labels)
        a1 = root_label(four[1], shape, belief, room, labels)
        a2 = root_label(four[2], shape, belief, 2 * room, labels)
        a3 = root_label(four[3], shape, belief, 3 * room, labels)
        feasible = belief[a0] < mask[31]
        for i in range(1, size):
            a0, _ = lower(four[0], shape, i, a0, energies, copies, belief, 0, labels)
            a1, _ = lower(four[1], shape, i, a1, energies, copies, belief, room, labels)
            a2, _ = lower(four[2], shape, i, a2, energies, copies, belief, 2 * room, labels)
            if i < rest:
                a3, _ = lower(four[3], shape, i, a3, energies, copies, belief, 3 * room, labels)
        for r in range(1, 4):
            _read_again(about, shape, r * size, min((r + 1) * size, about[0]), energies, copies, belief, labels)
        energy[c], extra = _cost(about, shape, energies, copies, bias, labels)
        minimum[k] = energy[c] + extra if feasible else np.inf
