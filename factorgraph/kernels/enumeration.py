"""All labellings of one small component, one by one: the referee, and exact for tiny loopy graphs."""

from __future__ import annotations

import math

import numpy as np

from .configurations import entry
from .jit import inner, kernel
from .structure import OFFSET


@inner
def _cost(c, factors, states, offsets, energies, bias, variables, labels):
    total = 0.0
    for f in range(factors.first[c], factors.first[c + 1]):
        x = entry(factors, states, f, labels)
        if x >= 0:
            total += energies[factors.row[f, OFFSET] + x]
    if bias.size > 0:
        for v in variables:
            total += bias[offsets[v] + labels[v]]
    return total


@inner
def _next(variables, states, labels):
    """Advance to the next labelling; False after the last."""
    k = variables.size - 1
    while k >= 0:
        v = variables[k]
        labels[v] += 1
        if labels[v] < states[v]:
            return True
        labels[v] = 0
        k -= 1
    return False


@kernel
def enumerate_minimum(c, factors, states, offsets, energies, bias, variables, labels, best):
    """Least cost of component c; writes the first such labelling to `best` (per variable). `labels` is scratch."""
    least = np.inf
    for v in variables:
        labels[v] = 0
        best[v] = 0
    while True:
        cost = _cost(c, factors, states, offsets, energies, bias, variables, labels)
        if cost < least:
            least = cost
            for v in variables:
                best[v] = labels[v]
        if not _next(variables, states, labels):
            return least


@kernel
def enumerate_best(c, factors, states, offsets, energies, bias, variables, scratch, labels, costs):
    """The costs.size best labellings of component c, ascending, the first of equal ones first; +inf where there are
    fewer. scratch = (labels (V,), numbers int64 (k,)); writes labels[r] (per variable) of those that exist."""
    walk, number = scratch
    for v in variables:
        walk[v] = 0
    costs[:] = np.inf
    count = np.int64(0)
    while True:
        cost = _cost(c, factors, states, offsets, energies, bias, variables, walk)
        r = costs.size
        while r > 0 and cost < costs[r - 1]:
            r -= 1
        if r < costs.size:
            for q in range(costs.size - 1, r, -1):
                costs[q] = costs[q - 1]
                number[q] = number[q - 1]
            costs[r] = cost
            number[r] = count
        count += 1
        if not _next(variables, states, walk):
            break
    for r in range(costs.size):
        if costs[r] < np.inf:
            x = number[r]
            for i in range(variables.size - 1, -1, -1):
                labels[r, variables[i]] = x % states[variables[i]]
                x //= states[variables[i]]


@kernel
def enumerate_sum(c, factors, states, offsets, energies, biases, variables, labels, outputs, weight):
    """Σ exp(beta · (reference − cost) − log norm) over all labellings of component c.

    biases = (bias, beta); outputs = (marginals, gradient, scale) with scale = [reference, log norm]. Each labelling's
    term is added to its marginals and, times `weight`, to the gradient entries it uses, where those have entries: a
    first call with log norm 0 and no outputs gives the norm, a second one the probabilities.
    """
    bias, beta = biases
    marginals, gradient, scale = outputs
    for v in variables:
        labels[v] = 0
    total = 0.0
    while True:
        cost = _cost(c, factors, states, offsets, energies, bias, variables, labels)
        share = math.exp(beta * (scale[0] - cost) - scale[1])
        total += share
        if share > 0.0:
            if marginals.size > 0:
                for v in variables:
                    marginals[offsets[v] + labels[v]] += share
            if gradient.size > 0:
                for f in range(factors.first[c], factors.first[c + 1]):
                    x = entry(factors, states, f, labels)
                    if x >= 0:
                        gradient[factors.row[f, OFFSET] + x] += weight * share
        if not _next(variables, states, labels):
            return total


@kernel
def enumerate_min_marginals(c, factors, states, offsets, energies, bias, variables, labels, out):
    """out (variable states) = least cost of a labelling of component c with that variable in that state."""
    for v in variables:
        labels[v] = 0
        for k in range(states[v]):
            out[offsets[v] + k] = np.inf
    while True:
        cost = _cost(c, factors, states, offsets, energies, bias, variables, labels)
        for v in variables:
            out[offsets[v] + labels[v]] = min(out[offsets[v] + labels[v]], cost)
        if not _next(variables, states, labels):
            return


@kernel
def enumerate_draws(c, factors, states, offsets, energies, biases, variables, labels, picks, drawn):
    """drawn[rows[k]] = the first labelling at which Σ exp(beta · (reference − cost)) exceeds thresholds[k], ascending.

    biases = (bias, beta); picks = (thresholds, rows, [reference]). Rows whose threshold is never exceeded stay.
    """
    bias, beta = biases
    thresholds, rows, reference = picks
    for v in variables:
        labels[v] = 0
    total = 0.0
    k = 0
    while k < rows.size:
        cost = _cost(c, factors, states, offsets, energies, bias, variables, labels)
        total += math.exp(beta * (reference[0] - cost))
        while k < rows.size and thresholds[k] < total:
            for v in variables:
                drawn[rows[k], v] = labels[v]
            k += 1
        if not _next(variables, states, labels):
            return
