"""Sum-product messages with reweighted factors, and the free energy that they prove or estimate.

Factors f have weights ρ_f > 0, variables an order; energies are divided by the temperature. With

    B_v = E_v + Σ_f ρ_f M_{f→v}
    M_{f→v}(x_v) = −log Σ over the other x_u of exp(−E_f(x_f) / ρ_f − Σ_{u ≠ v} (B_u − M_{f→u})(x_u))

a pass forwards renews the messages to the last variable of every scope, in the order of these, and a pass back all the
others (damped). With ρ = 1 this is sum-product belief propagation (Pearl 1988). After a pass forwards

    F = Σ_f ρ_f min M_{f→last} + Σ_v c_v (−log Σ exp(−B_v)),     c_v = 1 − Σ ρ_f over the f in which v is not last

where messages have lost their least entry. For ρ = 1 it is the Bethe free energy at a fixed point (Yedidia, Freeman,
Weiss 2005). Where c ≥ 0, −F is an upper bound of log Z, *whatever the messages back are*: E_v and all messages to v are
dealt out to the factors that v is not last in, (ρ_f B_v − ρ_f M_{f→v}), and to v itself (c_v B_v); then v is summed
out in each with a power sum, by Hölder's inequality:

    Σ_x Π_f g_f(x) ≤ Π_f (Σ_x g_f(x)^{1/ρ_f})^{ρ_f},     Σ_f ρ_f = 1

(weighted mini-buckets: Liu, Ihler 2011). If scopes are pairs, that is the tree-reweighted bound (Wainwright, Jaakkola,
Willsky 2005) of the trees in which each variable chooses one of its later neighbours, f with probability ρ_f.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .configurations import entry
from .forest_sum import soft_minimum
from .jit import inner, kernel
from .messages import COLUMNS, ROWS
from .probability import multiply
from .simd import lanes
from .structure import OFFSET, SCOPE
from .weighing import advance, table_size

#: What is known of a component: messages are sent, have settled, or prove that there is no labelling.
ACTIVE, SETTLED, INFEASIBLE = range(3)

#: Sums of probabilities below this may have lost terms; they are summed again in logarithms.
LOWEST = 1e-250


class State(NamedTuple):
    """messages, belief (variable states): float64, belief +inf where a state is impossible. free (C,) float64: F.
    status int8 (C,)."""

    messages: np.ndarray
    belief: np.ndarray
    free: np.ndarray
    status: np.ndarray


class Space(NamedTuple):
    """Work space: float64 cavities (arity × width), probabilities, a message and sums (width); labels int32 (V,), 0."""

    cavity: np.ndarray
    probability: np.ndarray
    fresh: np.ndarray
    sums: np.ndarray
    labels: np.ndarray


@kernel
def gather(variables, index, rho, unary, state):
    """belief = unary + Σ ρ M, of the components that are active; what is impossible stays so. Their F is set to 0."""
    messages, belief = state.messages, state.belief
    for v in variables:
        c = index.component[v]
        if state.status[c] != ACTIVE:
            continue
        state.free[c] = 0.0
        for k in range(index.states[v]):
            if belief[index.offsets[v] + k] < np.inf:
                value = unary[index.offsets[v] + k]
                for j in range(index.loops.ptr[v], index.loops.ptr[v + 1]):
                    value += rho[index.loops.owner[j]] * messages[index.loops.message[index.loops.entry[j]] + k]
                belief[index.offsets[v] + k] = value


@inner
def find_cavity(e, at, index, state, cavity):
    """cavity[at …] = B − M at scope entry e; +inf where the state is impossible."""
    v = index.factors.var[e]
    for k in range(index.states[v]):
        value = state.belief[index.offsets[v] + k]
        cavity[at + k] = value - state.messages[index.loops.message[e] + k] if value < np.inf else np.inf


@inner
def cost_of(f, x, index, weighing, costs, labels):
    """Cost of entry x of f's table, which `labels` stand for."""
    if weighing.potts[f] == 1:
        e = index.factors.row[f, SCOPE]
        return costs[weighing.table[f] + (1 if labels[index.factors.var[e]] != labels[index.factors.var[e + 1]] else 0)]
    return costs[weighing.table[f] + x]


@inner
def _by_logarithms(f, target, index, weighing, costs, space):
    """fresh = the message to entry `target` of a scope of any size, for energies of any size."""
    first = index.factors.row[f, SCOPE]
    end = index.factors.row[f + 1, SCOPE]
    width = space.fresh.size
    fresh, sums, labels = space.fresh, space.sums, space.labels
    size = table_size(f, index)
    count = index.states[index.factors.var[target]]
    for k in range(count):
        fresh[k] = np.inf
        sums[k] = 0.0
    for turn in range(2):
        for x in range(size):
            total = cost_of(f, x, index, weighing, costs, labels)
            for e in range(first, end):
                if e != target:
                    total += space.cavity[(e - first) * width + labels[index.factors.var[e]]]
            k = labels[index.factors.var[target]]
            if turn == 0:
                fresh[k] = min(fresh[k], total)
            elif total < np.inf:
                sums[k] += math.exp(fresh[k] - total)
            advance(f, index, labels)
    for k in range(count):
        if fresh[k] < np.inf:
            fresh[k] -= math.log(sums[k])


@inner
def _by_probabilities(f, target, index, weighing, weights, space):
    """fresh = the message of a pair to entry `target`; False where a sum is too small to be trusted."""
    first = index.factors.row[f, SCOPE]
    other = 2 * first + 1 - target
    count = index.states[index.factors.var[target]]
    others = index.states[index.factors.var[other]]
    at = (other - first) * space.fresh.size
    cavity, probability, fresh = space.cavity, space.probability, space.fresh
    low = np.inf
    for i in range(others):
        low = min(low, cavity[at + i])
    if low == np.inf:
        for k in range(count):
            fresh[k] = np.inf
        return True
    total = 0.0
    for i in range(others):
        probability[i] = math.exp(low - cavity[at + i])
        total += probability[i]
    if weighing.potts[f] == 1:
        equal = weights[weighing.table[f]]
        different = weights[weighing.table[f] + 1]
        for k in range(count):
            rest = total - probability[k]
            if rest < 0.5 * total:  # the difference has lost digits
                rest = 0.0
                for i in range(others):
                    if i != k:
                        rest += probability[i]
            fresh[k] = probability[k] * equal + rest * different
    else:
        for i in range(others, (others + lanes(probability) - 1) // lanes(probability) * lanes(probability)):
            probability[i] = 0.0
        form = ROWS if other == first else COLUMNS
        multiply(probability, 0, form, weights, weighing.table[f], others, count, weights.dtype.type(1.0), fresh, 0)
    low += weighing.least[f]
    for k in range(count):
        if fresh[k] < LOWEST:
            return False
        fresh[k] = low - math.log(fresh[k])
    return True


@inner
def _replace(f, target, index, weighing, damping, state, space):
    """Put `fresh` in the place of the message, less its least entry, which is returned; damping: share of the old."""
    v = index.factors.var[target]
    messages, belief, fresh = state.messages, state.belief, space.fresh
    least = np.inf
    for k in range(index.states[v]):
        if belief[index.offsets[v] + k] < np.inf:
            least = min(least, fresh[k])
    if least == np.inf:
        return least
    for k in range(index.states[v]):
        x = index.offsets[v] + k
        m = index.loops.message[target] + k
        if belief[x] < np.inf:
            if fresh[k] == np.inf:
                belief[x] = np.inf
                messages[m] = 0.0
            else:
                change = (1.0 - damping) * (fresh[k] - least - messages[m])
                messages[m] += change
                belief[x] += weighing.rho[f] * change
    return least


@kernel
def sweep(span, index, weighing, tables, damping, state, space):
    """Renew messages of the factors order[span[0] : span[1] : span[2]]: a step of 1 is forwards, −1 back.

    damping float64 (C,): the share of the old messages that is kept on the way back.
    """
    costs, weights = tables
    start, stop, step = span
    width = space.fresh.size
    for n in range(start, stop, step):
        f = weighing.order[n]
        first = index.factors.row[f, SCOPE]
        end = index.factors.row[f + 1, SCOPE]
        c = index.component[index.factors.var[first]]
        if state.status[c] != ACTIVE:
            continue
        for e in range(first, end):
            find_cavity(e, (e - first) * width, index, state, space.cavity)
        for e in range(first, end):
            if (e == weighing.last[f]) != (step > 0):
                continue
            known = False
            if end - first == 2:
                known = _by_probabilities(f, e, index, weighing, weights, space)
            if not known:
                _by_logarithms(f, e, index, weighing, costs, space)
            least = _replace(f, e, index, weighing, 0.0 if step > 0 else damping[c], state, space)
            if least == np.inf:
                state.status[c] = INFEASIBLE
                state.free[c] = np.inf
                break
            if step > 0:
                state.free[c] += weighing.rho[f] * least
            else:
                find_cavity(e, (e - first) * width, index, state, space.cavity)


@kernel
def finish(variables, index, share, state, marginals, residual):
    """After a pass forwards: add Σ c_v (−log Σ exp(−B_v)) to F (share: c, (V,)) and write the beliefs as probabilities.

    residual (C,), 0: by how much the largest one has changed.
    """
    for v in variables:
        c = index.component[v]
        if state.status[c] != ACTIVE:
            continue
        start = index.offsets[v]
        free = soft_minimum(state.belief, start, index.states[v])
        if free == np.inf:
            state.status[c] = INFEASIBLE
            state.free[c] = np.inf
            continue
        state.free[c] += share[v] * free
        for x in range(start, start + index.states[v]):
            value = math.exp(free - state.belief[x]) if state.belief[x] < np.inf else 0.0
            residual[c] = max(residual[c], abs(value - marginals[x]))
            marginals[x] = value


@kernel
def add_beliefs(span, listed, same, index, weighing, costs, state, space, weighted):
    """gradient += weight · beliefs of the factors listed[span[0] : span[1]], exp(−E_f / ρ_f − Σ_v (B_v − M_{f→v})).

    same (F,): the row that stands for a factor; weighted = (gradient float64, weight, float64 (1,)).
    """
    gradient, weight = weighted
    width = space.fresh.size
    for n in range(span[0], span[1]):
        g = listed[n]
        f = same[g]
        first = index.factors.row[f, SCOPE]
        end = index.factors.row[f + 1, SCOPE]
        if state.status[index.component[index.factors.var[first]]] == INFEASIBLE:
            continue
        size = table_size(f, index)
        for e in range(first, end):
            find_cavity(e, (e - first) * width, index, state, space.cavity)
        least = np.inf
        total = 0.0
        for turn in range(3):
            for x in range(size):
                value = cost_of(f, x, index, weighing, costs, space.labels)
                for e in range(first, end):
                    value += space.cavity[(e - first) * width + space.labels[index.factors.var[e]]]
                if turn == 0:
                    least = min(least, value)
                elif value < np.inf and turn == 1:
                    total += math.exp(least - value)
                elif value < np.inf:
                    y = entry(index.factors, index.states, g, space.labels)
                    if y >= 0:
                        gradient[index.factors.row[g, OFFSET] + y] += weight[0] * math.exp(least - value) / total
                advance(f, index, space.labels)
            if least == np.inf:
                break
