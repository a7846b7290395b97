"""The averaged structured perceptron for chains with binary sparse features, fused into one numba epoch.

Online (Collins 2002, weights as energies): for each chain in turn, u_t = sum of the weight rows of its active
features, y* = argmin of u and the transition table E (viterbi.py), and where y* is wrong

    w[f, y_t] -= 1, w[f, y*_t] += 1  for f active at t;   E[y_{t-1}, y_t] -= 1, E[y*_{t-1}, y*_t] += 1.

The average over all c steps is w - s / c, where s adds up c * update (Daume 2006): no pass over all weights.
This is the code one would write for chains only; nothing of it knows about factor graphs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from factorgraph.kernels.simd import buffer, get, vadd, vload, vsplat, vstore

from . import viterbi
from .viterbi import OPTIONS, decode_chain, width


class Chains(NamedTuple):
    """`offsets` int64 (N + 1,); CSR features of every token: `indptr` int64 (T + 1,), `indices` int32; `gold` (T,)."""

    offsets: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray
    gold: np.ndarray


class Weights(NamedTuple):
    """Energies: `emit` flat (F, width), `table` and `transposed` flat (K, width), each with its sum s for averaging."""

    emit: np.ndarray
    emit_sum: np.ndarray
    table: np.ndarray
    transposed: np.ndarray
    table_sum: np.ndarray


class Work(NamedTuple):
    """`unary` and `beliefs` flat (longest, width); `labels` int64 (longest,)."""

    unary: np.ndarray
    beliefs: np.ndarray
    labels: np.ndarray


class Perceptron:
    """State of a training run; `steps` chains have been seen."""

    def __init__(self, chains: Chains, features: int, states: int, dtype: Any = np.float32):
        self.chains, self.features, self.states, self.steps = chains, features, states, 0
        stride = self.stride = width(states, dtype)
        longest = int(np.diff(chains.offsets).max())
        zeros = np.zeros((states, states), dtype)
        self.weights = Weights(
            buffer(features * stride, dtype),
            buffer(features * stride, dtype),
            viterbi.padded(zeros, np.inf),
            viterbi.padded(zeros, np.inf),
            viterbi.padded(zeros, 0.0),
        )
        self.work = Work(buffer(longest * stride, dtype), buffer(longest * stride, dtype), np.empty(longest, np.int64))

    def epoch(self, order: np.ndarray) -> int:
        """One pass in the given int64 `order`; the number of wrong labels predicted on the way."""
        wrong = epoch(order, self.chains, self.weights, self.work, self.states, self.stride, self.steps)
        self.steps += len(order)
        return int(wrong)

    def average(self) -> tuple[np.ndarray, np.ndarray]:
        """Averaged energies (F, K) and (K, K)."""
        weights, states = self.weights, self.states
        emit = weights.emit - weights.emit_sum / weights.emit.dtype.type(max(self.steps, 1))
        table = weights.table - weights.table_sum / weights.table.dtype.type(max(self.steps, 1))
        rows = emit[: self.features * self.stride].reshape(-1, self.stride)[:, :states]
        return rows, table[: states * self.stride].reshape(-1, self.stride)[:, :states]


@njit(**OPTIONS)
def score(indptr, indices, weights, unary, first, last, stride):  # type: ignore[no-untyped-def]
    """unary[(t - first) * stride + j] = sum over the features f of token t of weights[f * stride + j]."""
    lanes = 64 // unary.itemsize
    zero = vsplat(unary.dtype.type(0))
    end = get(indptr, first)
    for t in range(first, last):
        begin = end
        end = get(indptr, t + 1)
        out = (t - first) * stride
        j = 0
        while j < stride:
            left = min(j, stride - lanes)
            right = min(j + lanes, stride - lanes)
            x0 = zero
            x1 = zero
            y0 = zero
            y1 = zero
            e = begin
            while e + 2 <= end:
                p = np.int64(get(indices, e)) * stride
                q = np.int64(get(indices, e + 1)) * stride
                x0 = vadd(x0, vload(weights, p + left))
                x1 = vadd(x1, vload(weights, p + right))
                y0 = vadd(y0, vload(weights, q + left))
                y1 = vadd(y1, vload(weights, q + right))
                e += 2
            if e < end:
                p = np.int64(get(indices, e)) * stride
                x0 = vadd(x0, vload(weights, p + left))
                x1 = vadd(x1, vload(weights, p + right))
            vstore(unary, out + left, vadd(x0, y0))
            vstore(unary, out + right, vadd(x1, y1))
            j += 2 * lanes


@njit(**OPTIONS)
def epoch(order, chains, weights, work, states, stride, steps):  # type: ignore[no-untyped-def]
    """One online pass; returns the number of wrong labels."""
    offsets, indptr, indices, gold = chains
    emit, emit_sum, table, transposed, table_sum = weights
    unary, beliefs, labels = work
    one = emit.dtype.type(1)
    wrong = 0
    for n in order:
        first = offsets[n]
        last = offsets[n + 1]
        score(indptr, indices, emit, unary, first, last, stride)
        decode_chain(unary, 0, table, transposed, last - first, states, stride, beliefs, labels, 0)
        step = emit.dtype.type(steps)
        good_before = 0
        bad_before = 0
        for t in range(first, last):
            good = get(gold, t)
            bad = get(labels, t - first)
            if good != bad:
                wrong += 1
                for e in range(get(indptr, t), get(indptr, t + 1)):
                    f = np.int64(get(indices, e)) * stride
                    emit[f + good] -= one
                    emit[f + bad] += one
                    emit_sum[f + good] -= step
                    emit_sum[f + bad] += step
            if t > first and (good != bad or good_before != bad_before):
                table[good_before * stride + good] -= one
                table[bad_before * stride + bad] += one
                transposed[good * stride + good_before] -= one
                transposed[bad * stride + bad_before] += one
                table_sum[good_before * stride + good] -= step
                table_sum[bad_before * stride + bad] += step
            good_before = good
            bad_before = bad
        steps += 1
    return wrong
