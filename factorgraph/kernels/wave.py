"""TRW-S on grids of four neighbours, as a wavefront: sixteen float32 rows (eight float64) side by side.

The equations are those of trws.py, for pair energies E(a, b) = min(cap, steps[|a − b|]): the cap is that of each edge,
`steps` those of a direction. In raster order a pixel waits for the ones on its left and above it only, so that row r of
a block of W rows can be r columns behind its first row. Everything lies as

    [block of W rows][t = x + r][label][W lanes, r = 0 … W − 1]

so that the pixel on the left is the same lane one step before, the one above the next lower lane one step before, and
only lane 0 takes a number from another block. One message per edge is overwritten in place: by a pass forwards it goes
to the right or down, by a pass backwards to the left or up. Caps of 0 beyond the borders make the messages there 0.

    message(l) = min(cap, min_k h(k) + steps[|k − l|] − min h),   h = (θ − min θ) / 2 − what came over the edge before
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .jit import inlined, kernel
from .simd import get, lanes, vadd, vload, vmin, vsplat, vstore
from .simd_shift import vshift_down, vshift_up, vsub, vwide
from .simd_sum import vhsum, vmul


class Wave(NamedTuple):
    """unary, right, down: flat as above, `right` and `down` are messages of the edges to the right and down of each
    pixel, with one step of zeros behind their end; cap_right, cap_down: [block][t][W] the caps of these edges, with W
    zeros behind. shape int64 (5,): blocks, steps T of a block, width, labels, height."""

    unary: np.ndarray
    right: np.ndarray
    down: np.ndarray
    cap_right: np.ndarray
    cap_down: np.ndarray
    shape: np.ndarray


class Law(NamedTuple):
    """steps float (2, reach + 1) flat: what labels 0 … reach apart cost, to the right and down; `reach` 0 is Potts, and
    −1 linear of any reach (its steps[1] is the slope)."""

    steps: np.ndarray
    reach: int


class Heights(NamedTuple):
    """Scratch of one thread: belief and message (labels · W), `side` and `below` likewise with `reach` (at least one)
    labels of +inf before and behind; consts: one half, +inf, 0, 1."""

    belief: np.ndarray
    side: np.ndarray
    below: np.ndarray
    message: np.ndarray
    consts: np.ndarray


@inlined
def truncate(heights, guard, least, cap, law, way, labels, out, at):
    """out = min(cap, min_k heights(k) + steps[|k − l|] − least), labels lying `lanes` apart; heights may change."""
    width = lanes(heights)
    reach = law.reach
    if reach == 0:
        for k in range(labels):
            vstore(out, at + k * width, vmin(vsub(vload(heights, guard + k * width), least), cap))
    elif reach == 1:
        step = vsplat(get(law.steps, 2 * way + 1))
        before = vload(heights, guard - width)
        here = vload(heights, guard)
        for k in range(labels):
            behind = vload(heights, guard + (k + 1) * width)
            x = vmin(here, vadd(vmin(before, behind), step))
            vstore(out, at + k * width, vmin(vsub(x, least), cap))
            before = here
            here = behind
    elif reach > 1:
        for k in range(labels):
            q = guard + k * width
            x = vload(heights, q)
            for d in range(1, reach + 1):
                near = vmin(vload(heights, q - d * width), vload(heights, q + d * width))
                x = vmin(x, vadd(near, vsplat(get(law.steps, way * (reach + 1) + d))))
            vstore(out, at + k * width, vmin(vsub(x, least), cap))
    else:
        step = vsplat(get(law.steps, 2 * way + 1))
        x = vload(heights, guard)
        for k in range(1, labels):
            x = vmin(vload(heights, guard + k * width), vadd(x, step))
            vstore(heights, guard + k * width, x)
        vstore(out, at + (labels - 1) * width, vmin(vsub(x, least), cap))
        for k in range(labels - 2, -1, -1):
            x = vmin(vload(heights, guard + k * width), vadd(x, step))
            vstore(out, at + k * width, vmin(vsub(x, least), cap))


@kernel
def wave_forward(first, last, wave, law, space):
    """Messages to the right and down of blocks first … last − 1."""
    unary, right, down, cap_right, cap_down, shape = wave
    belief, side, below, _, consts = space
    width = lanes(unary)
    steps, columns, labels = shape[1], shape[2], shape[3]
    size = labels * width
    zeros = shape[0] * steps * size
    guard = (side.size - size) // 2
    half = vsplat(get(consts, 0))
    infinity = vsplat(get(consts, 1))
    for b in range(first, last):
        for t in range(steps):
            o = (b * steps + t) * size
            before = o - size if t > 0 else zeros
            above = o + (width - 1 - steps) * size + width - 1 if b > 0 and t < columns else zeros
            least = infinity
            for k in range(0, size, width):
                up = vshift_up(vload(down, before + k), get(down, above + k))
                x = vadd(vadd(vload(unary, o + k), vload(right, before + k)), vadd(vload(right, o + k), up))
                x = vadd(x, vload(down, o + k))
                vstore(belief, k, x)
                least = vmin(least, x)
            off = vmul(least, half)
            low = infinity
            lower = infinity
            for k in range(0, size, width):
                x = vsub(vmul(vload(belief, k), half), off)
                y = vsub(x, vload(right, o + k))
                z = vsub(x, vload(down, o + k))
                vstore(side, guard + k, y)
                vstore(below, guard + k, z)
                low = vmin(low, y)
                lower = vmin(lower, z)
            q = (b * steps + t) * width
            truncate(side, guard, low, vload(cap_right, q), law, 0, labels, right, o)
            truncate(below, guard, lower, vload(cap_down, q), law, 1, labels, down, o)


@kernel
def wave_backward(first, last, wave, law, space):
    """Messages to the left and up of blocks last − 1 … first; returns the pass's bound, in the messages' precision."""
    unary, right, down, cap_right, cap_down, shape = wave
    belief, side, below, message, consts = space
    width = lanes(unary)
    steps, columns, labels = shape[1], shape[2], shape[3]
    size = labels * width
    zeros = shape[0] * steps * size
    guard = (side.size - size) // 2
    half = vsplat(get(consts, 0))
    infinity = vsplat(get(consts, 1))
    total = 0.0
    for b in range(last - 1, first - 1, -1):
        for t in range(steps - 1, -1, -1):
            o = (b * steps + t) * size
            before = o - size if t > 0 else zeros
            joined = b > 0 and t < columns
            above = o + (width - 1 - steps) * size + width - 1 if joined else zeros
            least = infinity
            for k in range(0, size, width):
                left = vload(right, before + k)
                up = vshift_up(vload(down, before + k), get(down, above + k))
                x = vadd(vadd(vload(unary, o + k), left), vadd(vload(right, o + k), up))
                x = vadd(x, vload(down, o + k))
                vstore(belief, k, x)
                vstore(side, guard + k, left)
                vstore(below, guard + k, up)
                least = vmin(least, x)
            off = vmul(least, half)
            low = infinity
            lower = infinity
            for k in range(0, size, width):
                x = vsub(vmul(vload(belief, k), half), off)
                y = vsub(x, vload(side, guard + k))
                z = vsub(x, vload(below, guard + k))
                vstore(side, guard + k, y)
                vstore(below, guard + k, z)
                low = vmin(low, y)
                lower = vmin(lower, z)
            q = (before if t > 0 else zeros) // labels
            cap = vshift_up(vload(cap_down, q), get(cap_down, above // size * width + width - 1 if joined else q))
            truncate(below, guard, lower, cap, law, 1, labels, message, 0)
            if t > 0:
                truncate(side, guard, low, vload(cap_right, q), law, 0, labels, right, before)
                for k in range(0, size, width):
                    vstore(down, before + k, vshift_down(vload(message, k), vload(down, before + k)))
            if joined:
                for k in range(0, size, width):
                    down[above + k] = message[k]
            total += np.float64(vhsum(vadd(least, vadd(low, lower))))
    return total


@kernel
def wave_bound(first, last, wave, law, space, row):
    """The bound of the messages of a forward pass, in float64: that of a backward pass which stores nothing.

    Blocks last − 1 … first. law and space float64 with eight lanes; row float64 (columns · labels) holds what goes up
    from the block below.
    """
    unary, right, down, cap_right, cap_down, shape = wave
    belief, side, below, message, consts = space
    width = lanes(unary)
    steps, columns, labels, height = shape[1], shape[2], shape[3], shape[4]
    size = labels * width
    zeros = shape[0] * steps * size
    guard = (side.size - labels * 8) // 2
    back = labels * 8  # messages from the right lie in `message` from here on, messages from below before
    half = vsplat(get(consts, 0))
    infinity = vsplat(get(consts, 1))
    zero = vsplat(get(consts, 2))
    total = 0.0
    for part in range(last * (width // 8) - 1, first * (width // 8) - 1, -1):
        b = part * 8 // width
        lane = part * 8 % width
        for k in range(0, 2 * back, 8):
            vstore(message, k, zero)
        for t in range(steps - 1, -1, -1):
            o = (b * steps + t) * size + lane
            before = o - size if t > 0 else zeros
            x = t - lane - 7  # the column of the last lane
            hanging = 0 <= x < columns and part * 8 + 8 < height
            joined = lane > 0 or (b > 0 and t < columns)
            above = before - 1 if lane > 0 and t > 0 else zeros
            if lane == 0 and joined:
                above = o + (width - 1 - steps) * size + width - 1
            least = infinity
            for k in range(labels):
                q = k * width
                w = k * 8
                left = vwide(right, before + q)
                up = vshift_up(vwide(down, before + q), np.float64(get(down, above + q)))
                from_below = vload(message, w)
                if hanging:
                    from_below = vshift_down(from_below, vsplat(get(row, x * labels + k)))
                else:
                    from_below = vshift_down(from_below, zero)
                v = vadd(vadd(vwide(unary, o + q), left), vadd(up, vadd(vload(message, back + w), from_below)))
                vstore(belief, w, v)
                vstore(side, guard + w, left)
                vstore(below, guard + w, up)
                least = vmin(least, v)
            off = vmul(least, half)
            low = infinity
            lower = infinity
            for w in range(0, labels * 8, 8):
                v = vsub(vmul(vload(belief, w), half), off)
                y = vsub(v, vload(side, guard + w))
                z = vsub(v, vload(below, guard + w))
                vstore(side, guard + w, y)
                vstore(below, guard + w, z)
                low = vmin(low, y)
                lower = vmin(lower, z)
            q = (b * steps + t - 1) * width + lane if t > 0 else shape[0] * steps * width
            edge = np.float64(0.0)
            if lane > 0 and t > 0:
                edge = np.float64(get(cap_down, q - 1))
            elif lane == 0 and joined:
                edge = np.float64(get(cap_down, above // size * width + width - 1))
            cap = vshift_up(vwide(cap_down, q), edge)
            truncate(side, guard, low, vwide(cap_right, q), law, 0, labels, message, back)
            truncate(below, guard, lower, cap, law, 1, labels, message, 0)
            if 0 <= t - lane < columns:
                for k in range(labels):
                    row[(t - lane) * labels + k] = message[k * 8]
            total += vhsum(vadd(least, vadd(low, lower)))
    return total


@kernel
def wave_fill(values, start, wave):
    """Put unary energies into their places: those of pixel i are values[start[i] : start[i] + labels], none for −1.

    Returns what rounding to the wave's precision may add to a sum over pixels; +inf where an energy is not finite.
    """
    steps, columns, labels, height = wave.shape[1], wave.shape[2], wave.shape[3], wave.shape[4]
    width = lanes(wave.unary)
    size = labels * width
    excess = 0.0
    for y in range(height):
        r = y % width
        for x in range(columns):
            at = start[y * columns + x]
            if at < 0:
                continue
            o = (y // width * steps + x + r) * size + r
            most = 0.0
            for k in range(labels):
                value = np.float64(values[at + k])
                wave.unary[o + k * width] = value
                most = max(most, np.float64(wave.unary[o + k * width]) - value)
                if not abs(value) < np.inf:
                    return np.inf
            excess += most
    return excess


@kernel
def wave_caps(caps, down, wave):
    """Put the caps of all edges to the right (height, columns − 1) or down (height − 1, columns) into their places."""
    width = lanes(wave.unary)
    out = wave.cap_down if down else wave.cap_right
    for y in range(caps.shape[0]):
        r = y % width
        for x in range(caps.shape[1]):
            out[(y // width * wave.shape[1] + x + r) * width + r] = caps[y, x]
