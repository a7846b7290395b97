"""Labellings of grids in the layout of wave.py: rounding from messages, and exact moves of whole rows or columns.

A move labels every other row (or column) at once by dynamic programming, all its neighbours as they are: sixteen
float32 chains (eight float64) side by side, gathered from the wave into [step along the chain][label][lanes]. Labels
are numbers in lanes there, so that a pair costs min(cap, rate · |a − b|^power); the rate of Potts is its largest cap.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .jit import inlined, kernel
from .simd import get, lanes, vadd, vload, vmin, vsplat, vstore
from .simd_shift import vabs, vshift_up, vsub
from .simd_sum import vless, vmul
from .wave import truncate


class Metric(NamedTuple):
    """What labels apart cost: rate (2,), to the right and down, of the wave's dtype; power 1 or 2."""

    rate: np.ndarray
    power: int


class Strip(NamedTuple):
    """Scratch of one thread for chains of `length` steps: belief (length · labels · W), cap (length · W), message
    (labels · W), beside (4 · W: labels and caps of the neighbours on both sides), found (length · W)."""

    belief: np.ndarray
    cap: np.ndarray
    message: np.ndarray
    beside: np.ndarray
    found: np.ndarray


@inlined
def _apart(label, other, rate, cap, power):
    distance = vabs(vsub(label, other))
    if power == 2:
        distance = vmul(distance, distance)
    return vmin(vmul(distance, rate), cap)


@kernel
def wave_round(first, last, wave, metric, consts, lane_labels, labels):
    """Label blocks first … last − 1 in raster order: energies towards the left and above, messages from the others.

    After a pass backwards. lane_labels [block][t][W], with W zeros behind; labels int32 (height, width), flat; consts
    as in Heights.
    """
    unary, right, down, cap_right, cap_down, shape = wave
    width = lanes(unary)
    steps, columns, states, height = shape[1], shape[2], shape[3], shape[4]
    size = states * width
    zeros = shape[0] * steps * width
    rate_right = vsplat(get(metric.rate, 0))
    rate_down = vsplat(get(metric.rate, 1))
    for b in range(first, last):
        for t in range(steps):
            o = (b * steps + t) * size
            q = (b * steps + t) * width
            before = q - width if t > 0 else zeros
            above = q + (width - 1 - steps) * width + width - 1 if b > 0 and t < columns else zeros
            left = vload(lane_labels, before)
            up = vshift_up(left, get(lane_labels, above))
            cap_left = vload(cap_right, before)
            cap_up = vshift_up(vload(cap_down, before), get(cap_down, above))
            least = vsplat(get(consts, 1))
            label = vsplat(get(consts, 2))
            best = label
            for k in range(0, size, width):
                x = vadd(vload(unary, o + k), vadd(vload(right, o + k), vload(down, o + k)))
                x = vadd(x, _apart(label, left, rate_right, cap_left, metric.power))
                x = vadd(x, _apart(label, up, rate_down, cap_up, metric.power))
                best = vless(x, least, label, best)
                least = vmin(x, least)
                label = vadd(label, vsplat(get(consts, 3)))
            vstore(lane_labels, q, best)
            for r in range(width):
                x = t - r
                y = b * width + r
                if 0 <= x < columns and y < height:
                    labels[y * columns + x] = np.int32(lane_labels[q + r])


@kernel
def wave_move(first, last, way, parity, wave, law, metric, space, strip, labels):
    """Exact moves of strips first … last − 1: chains parity, parity + 2, …, W to a strip; way 0 rows, 1 columns.

    labels int32 (height, width), flat, changed in place; space as of a pass.
    """
    shape = wave.shape
    _, side, _, _, consts = space
    width = lanes(wave.unary)
    steps, columns, states, height = shape[1], shape[2], shape[3], shape[4]
    size = states * width
    guard = (side.size - size) // 2
    chains = height if way == 0 else columns
    length = columns if way == 0 else height
    along = np.int64(1) if way == 0 else columns  # between neighbours of a chain, in the raster
    across = columns if way == 0 else np.int64(1)
    cap_along = wave.cap_right if way == 0 else wave.cap_down
    cap_across = wave.cap_down if way == 0 else wave.cap_right
    rate = vsplat(get(metric.rate, way))
    rate_across = vsplat(get(metric.rate, 1 - way))
    infinity = vsplat(get(consts, 1))
    zero = vsplat(get(consts, 2))
    one = vsplat(get(consts, 3))
    for s in range(first, last):
        lead = parity + 2 * s * width
        count = min(width, (chains - lead + 1) // 2)
        for k in range(0, size, width):
            vstore(strip.message, k, zero)
        for x in range(4 * width):
            strip.beside[x] = 0
        for t in range(length):
            at = t * size
            if count < width:
                for k in range(0, size, width):
                    vstore(strip.belief, at + k, zero)
                vstore(strip.cap, t * width, zero)
            for i in range(count):
                c = lead + 2 * i
                y = c if way == 0 else t
                x = t if way == 0 else c
                r = y % width
                q = (y // width * steps + x + r) * width + r
                for k in range(states):
                    strip.belief[at + k * width + i] = wave.unary[(q - r) * states + k * width + r]
                strip.cap[t * width + i] = cap_along[q]
                p = y * columns + x
                if c > 0:
                    # the edge to the chain before is that chain's
                    r = y - 1 if way == 0 else y
                    g = r % width
                    q_before = (r // width * steps + (x if way == 0 else x - 1) + g) * width + g
                    strip.beside[i] = labels[p - across]
                    strip.beside[width + i] = cap_across[q_before]
                if c + 1 < chains:
                    strip.beside[2 * width + i] = labels[p + across]
                strip.beside[3 * width + i] = cap_across[q]
            before = vload(strip.beside, 0)
            cap_before = vload(strip.beside, width)
            behind = vload(strip.beside, 2 * width)
            cap_behind = vload(strip.beside, 3 * width)
            label = zero
            low = infinity
            for k in range(0, size, width):
                v = vadd(vload(strip.belief, at + k), vload(strip.message, k))
                v = vadd(v, _apart(label, before, rate_across, cap_before, metric.power))
                v = vadd(v, _apart(label, behind, rate_across, cap_behind, metric.power))
                vstore(strip.belief, at + k, v)
                vstore(side, guard + k, v)
                low = vmin(low, v)
                label = vadd(label, one)
            truncate(side, guard, low, vload(strip.cap, t * width), law, way, states, strip.message, 0)
        follow = zero
        for t in range(length - 1, -1, -1):
            cap = vload(strip.cap, t * width) if t < length - 1 else zero
            least = infinity
            label = zero
            best = zero
            for k in range(0, size, width):
                v = vadd(vload(strip.belief, t * size + k), _apart(label, follow, rate, cap, metric.power))
                best = vless(v, least, label, best)
                least = vmin(v, least)
                label = vadd(label, one)
            follow = best
            vstore(strip.found, 0, best)
            for i in range(count):
                c = lead + 2 * i
                labels[c * across + t * along] = np.int32(strip.found[i])
