"""Bucket elimination, back: labels one by one in the reverse order, given the messages of elimination.py.

With the labels of the separator S_i fixed, bucket i's line ψ_i(·, S_i) is summed anew from what the bucket holds; the
messages in it are exact costs of everything below, so that

    the best labelling       takes argmin_k ψ_i(k, S_i) at every bucket
    a draw from exp(−E / T)  takes k with probability exp(−(ψ_i(k, S_i) − M_i(S_i)) / T)
    any labelling            costs minimum + Σ_i ψ_i(k_i, S_i) − min_k ψ_i(k, S_i)

and the k best follow by Lawler's partition without search, as in forest_rank.py.
"""

from __future__ import annotations

import numpy as np

from .configurations import entry
from .draw import pick
from .forest_rank import next_after
from .jit import inner, kernel
from .structure import OFFSET


@inner
def line_costs(i, b, factors, allowed, about, pool, labels, line):
    """line[k] = ψ_i at allowed state k of bucket i's variable and the labels of its separator; labels[var] is lost."""
    states, offsets, energies, bias = about
    v = b.var[i]
    first = offsets[v]
    count = b.states[i]
    for k in range(count):
        line[k] = bias[first + allowed.label[first + k]] if bias.size > 0 else 0.0
    for x in range(b.source_ptr[i], b.source_ptr[i + 1]):
        f = b.source[x]
        if f >= 0:
            for k in range(count):
                labels[v] = allowed.label[first + k]
                y = entry(factors, states, f, labels)
                if y >= 0:
                    line[k] += energies[factors.row[f, OFFSET] + y]
            continue
        j = -1 - f
        at = b.message[j]
        stride = np.int64(1)
        for y in range(b.sep_ptr[j + 1] - 1, b.sep_ptr[j], -1):
            u = b.var[b.layout[y]]
            at += stride * allowed.slot[offsets[u] + labels[u]]
            stride *= b.states[b.layout[y]]
        for k in range(count):
            line[k] += pool[at + k * stride]


@kernel
def trace_back(low, high, b, factors, allowed, about, pool, labels, line):
    """Best labels of the variables of buckets high − 1 … low, the first of equal ones."""
    for i in range(high - 1, low - 1, -1):
        line_costs(i, b, factors, allowed, about, pool, labels, line)
        best = 0
        for k in range(1, b.states[i]):
            if line[k] < line[best]:
                best = k
        v = b.var[i]
        labels[v] = allowed.label[about[1][v] + best]


@kernel
def draw_back(span, b, factors, allowed, about, pool, beta, uniforms, labels, line):
    """Labels of the variables of all buckets in rows span[0] … span[1] − 1 of `labels`, by the uniforms of each row."""
    for r in range(span[0], span[1]):
        for i in range(b.var.size - 1, -1, -1):
            v = b.var[i]
            line_costs(i, b, factors, allowed, about, pool, labels[r], line)
            for k in range(b.states[i]):
                line[k] *= beta
            k = pick(line, b.states[i], uniforms[r, v])
            labels[r, v] = allowed.label[about[1][v] + k]


@inner
def _complete(r, n, at, s, span, b, factors, allowed, about, pool, work, labels):
    """Decisions n, n + 1, … of labelling r: at n the choice after `at` (−1: the best), then the best ones.

    Fills gain[r]. Decision m is bucket span[1] − 1 − m. Where r agrees with labelling s on the separator, s has the
    best choice.
    """
    gain, _, line = work
    offsets = about[1]
    for m in range(n, span[1] - span[0]):
        i = span[1] - 1 - m
        v = b.var[i]
        if m > n and s >= 0:
            same = True
            for x in range(b.sep_ptr[i], b.sep_ptr[i + 1]):
                u = b.var[b.sep[x]]
                same &= labels[r, u] == labels[s, u]
            if same:
                labels[r, v] = labels[s, v]
                gain[r, m] = gain[s, m]
                continue
        line_costs(i, b, factors, allowed, about, pool, labels[r], line)
        count = b.states[i]
        choice = next_after(line, 0, count, at if m == n else -1)
        after = next_after(line, 0, count, choice)
        gain[r, m] = line[after] - line[choice] if after >= 0 else np.inf
        labels[r, v] = allowed.label[offsets[v] + choice]


@kernel
def rank_back(span, b, factors, allowed, about, pool, work, labels, costs):
    """Costs (ascending, +inf where there are fewer) and labels (k rows) of the k best labellings of buckets
    span[0] … span[1] − 1, one component's; costs[0] is given and finite.

    work = (gain float64 (k, decisions), pending int64 (k, 2), line): gain[r, m] is what the next choice at decision m
    costs more, pending[r] the first decision at which labelling r may deviate and that at which it does so next, or −1.
    """
    gain, pending, line = work
    low, high = span
    decisions = high - low
    for r in range(costs.size):
        n = 0
        if r == 0:
            _complete(0, 0, -1, -1, span, b, factors, allowed, about, pool, work, labels)
        else:
            s = -1
            costs[r] = np.inf
            for q in range(r):
                if pending[q, 1] >= 0 and costs[q] + gain[q, pending[q, 1]] < costs[r]:
                    costs[r] = costs[q] + gain[q, pending[q, 1]]
                    s = q
            if s < 0:
                costs[r:] = np.inf
                return
            n = pending[s, 1]
            for i in range(high - n, high):
                labels[r, b.var[i]] = labels[s, b.var[i]]
            v = b.var[high - 1 - n]
            at = np.int64(allowed.slot[about[1][v] + labels[s, v]])
            _complete(r, n, at, s, span, b, factors, allowed, about, pool, work, labels)
            pending[s, 1] = next_after(gain[s], pending[s, 0], decisions, n)
        pending[r, 0] = n
        pending[r, 1] = next_after(gain[r], n, decisions, -1)


@kernel
def fixed_energies(rows, owner, factors, states, energies, labels, out):
    """out[owner[x]] += energy of the factor in row rows[x] at `labels`."""
    for x in range(rows.size):
        y = entry(factors, states, rows[x], labels)
        if y >= 0:
            out[owner[x]] += energies[factors.row[rows[x], OFFSET] + y]


@kernel
def fixed_configurations(rows, factors, states, labels, weight, gradient):
    """gradient[entry of the factor in row rows[x] at `labels`] += weight."""
    for x in range(rows.size):
        y = entry(factors, states, rows[x], labels)
        if y >= 0:
            gradient[factors.row[rows[x], OFFSET] + y] += weight
