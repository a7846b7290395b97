"""What online learning works on, and the step that it makes; online.py has the rest.

    s ← s (1 − η l2),  x ← x − (η / s) g,  u ← u − (η / s) S g,  S ← S + s           (w = s x; u, S: optim/sgd.py)

where in passive-aggressive steps η = min(C, ℓ / ‖g‖²) or ℓ / (‖g‖² + 1 / (2C)) (optim/passive.py). s is multiplied into
x where it is below `pending`, with u ← u − S x and S ← 0, as in the mini-batch path.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .jit import inner
from .messages import blocked
from .schedule import HEAD
from .simd import lanes

#: Columns of Task.block: its parameter's part of the weights; the step between rows there, and between its own tables
#: in the energies; entries of a table, and its columns; where its part of indptr (−1: tied, one table), indices and
#: data (−1: all 1) starts; where a tied table and its padded copies (−1: none) start.
BASE, SPAN, STRIDE, WIDTH, COLUMNS, POINTER, INDEX, DATA, START, COPY = range(10)

#: Columns of Task.job: a block, the range of its factors, and where their tables start in the energies.
BLOCK, BEGIN, END, INTO = range(4)


class Task(NamedTuple):
    """What does not change: component c owns jobs `first[c] : first[c + 1]`, in the order of its rows of Factors.

    first int64 (C + 1,), job int64 (J, 4), block int64 (B, 10); the CSR features of all blocks one after the other,
    each sorted by component: indptr int64, indices int32 or int64, data of the energies' dtype. tied: weights before
    this one may be read by tied tables.
    """

    first: np.ndarray
    job: np.ndarray
    block: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    tied: int


class Values(NamedTuple):
    """What is learned, flat: weights; offsets float64, u (empty: no average); energies and copies of tables.

    The energies are those of the tied tables and, behind them, of one component: all components share that place,
    so that it stays in the cache. Schedule and Factors point there.
    """

    weights: np.ndarray
    offsets: np.ndarray
    energies: np.ndarray
    copies: np.ndarray


class Pace(NamedTuple):
    """Steps: rates, decays float64, η and 1 − η l2 of each example; running float64 (2,), s and S, kept up to date.

    pending: the least s. limit: C; 0 where η is that of `rates`. squared: whether the second of the two steps is meant.
    """

    rates: np.ndarray
    decays: np.ndarray
    running: np.ndarray
    pending: float
    limit: float
    squared: bool


class Work(NamedTuple):
    """Work space of a sweep (belief, scratch, mask), and a hash table of one example's gradient.

    keys int64 (−1: free), a power of two of them; amounts, of the energies' dtype; slots int64, those taken; lags
    float64, what changes u at the slots.
    """

    belief: np.ndarray
    scratch: np.ndarray
    mask: np.ndarray
    keys: np.ndarray
    amounts: np.ndarray
    slots: np.ndarray
    lags: np.ndarray


@inner
def passive(value, pace, work, count):
    """The passive-aggressive step for a loss; 0 where there is nothing to change."""
    norm = 0.0
    for i in range(count):
        amount = np.float64(work.amounts[work.slots[i]])
        norm += amount * amount
    if not (value > 0 and norm > 0):
        return 0.0
    if pace.squared:
        return value / (norm + 0.5 / pace.limit)
    return min(pace.limit, value / norm)


@inner
def update(task, values, rate, decay, pace, work, count):
    """x −= rate / s · g and u −= rate / s · S · g; s and S go on.

    Products are rounded before they are added, as the mini-batch path does: a loop of their own keeps them from
    becoming multiply-adds.
    """
    weights, offsets, _, _ = values
    scale = pace.running[0] * decay
    total = pace.running[1]
    factor = -rate / scale
    step = weights.dtype.type(factor)
    lag = factor * total
    for i in range(count):
        at = work.slots[i]
        work.lags[i] = np.float64(work.amounts[at]) * lag
        work.amounts[at] *= step
    for i in range(count):
        at = work.slots[i]
        key = work.keys[at]
        weights[key] += work.amounts[at]
        if offsets.size > 0:
            offsets[key] += work.lags[i]
        if key < task.tied:
            _copy_tied(key, weights[key], task.block, values)
    pace.running[0] = scale
    pace.running[1] = total + scale
    if scale < pace.pending:
        _settle(task, values, weights.dtype.type(scale), total + scale, work.lags)
        pace.running[0] = 1.0
        pace.running[1] = 0.0


@inner
def _settle(task, values, scale, total, lags):
    """Multiply the scale into all weights, and the sum so far into u; products are rounded first, as in `update`."""
    weights, offsets, _, _ = values
    for start in range(0, offsets.size, lags.size):
        count = min(lags.size, offsets.size - start)
        for i in range(count):
            lags[i] = np.float64(weights[start + i]) * total
        for i in range(count):
            offsets[start + i] -= lags[i]
    for key in range(weights.size):
        weights[key] *= scale
    for key in range(task.tied):
        _copy_tied(key, weights[key], task.block, values)


@inner
def _copy_tied(key, value, block, values):
    """Write a weight into the tables that are tied to it, and into their padded copies."""
    _, _, energies, copies = values
    for b in range(block.shape[0]):
        x = key - block[b, BASE]
        if block[b, POINTER] >= 0 or x < 0 or x >= block[b, WIDTH]:
            continue
        energies[block[b, START] + x] = value
        if block[b, COPY] >= 0:
            width = lanes(copies)
            columns = block[b, COLUMNS]
            rows = block[b, WIDTH] // columns
            as_is = block[b, COPY] + HEAD
            turned = as_is + rows * ((columns + 15) // 16 * 16) + HEAD
            copies[as_is + blocked(x // columns, x % columns, rows, width)] = value
            copies[turned + blocked(x % columns, x // columns, columns, width)] = value
