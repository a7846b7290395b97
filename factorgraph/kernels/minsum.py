"""Sequential min-sum belief propagation on loopy components, with rounding and iterated conditional modes.

    message f → v:  m(x_v) = min over the other variables of  E_f(x) + Σ_{u ≠ v} (belief_u − m_{f→u})(x_u)

Factors are visited in order, forwards and backwards in turn; a message replaces its predecessor at once (blended by
the damping), and is shifted so that its least entry is 0. Everything is float64. Where a message holds +inf, the
belief without it is summed anew: inf − inf is never formed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .jit import inner, kernel
from .structure import KIND, OFFSET, SCOPE
from .tables import COUNT, POTTS


class Loops(NamedTuple):
    """Message storage and incidence of the variables of loopy components."""

    var: np.ndarray  # int64 variables, ascending
    factor: np.ndarray  # int64 rows of Factors with arity ≥ 2, ascending
    message: np.ndarray  # int64 (entries of Factors.var,) start of the message to that scope position, −1 none
    ptr: np.ndarray  # int64 (V + 1,) incident scope entries of v: entry[ptr[v] : ptr[v + 1]]
    entry: np.ndarray  # int64 indices into Factors.var
    owner: np.ndarray  # int64 the factor of each of them


@kernel
def unary_costs(factors, components, states, offsets, energies, bias, out):
    """out[variable state] = bias + unary tables, for the listed components (their entries start at 0)."""
    for i in range(components.size):
        c = components[i]
        for f in range(factors.first[c], factors.first[c + 1]):
            if factors.row[f + 1, SCOPE] - factors.row[f, SCOPE] == 1:
                v = factors.var[factors.row[f, SCOPE]]
                code = factors.row[f, KIND] - COUNT
                for k in range(states[v]):
                    x = k if code < 0 else min(np.int64(k == code & 1), code >> 2)
                    out[offsets[v] + k] += energies[factors.row[f, OFFSET] + x]
    if bias.size > 0:
        for x in range(out.size):
            out[x] += bias[x]


@kernel
def gather_beliefs(loops, states, offsets, unary, messages, belief):
    """belief = unary + all incoming messages."""
    for i in range(loops.var.size):
        v = loops.var[i]
        for k in range(states[v]):
            value = unary[offsets[v] + k]
            for j in range(loops.ptr[v], loops.ptr[v + 1]):
                value += messages[loops.message[loops.entry[j]] + k]
            belief[offsets[v] + k] = value


@inner
def _without(loops, v, k, e, offsets, unary, messages, belief):
    """Belief of state k of v without the message at scope entry e."""
    message = messages[loops.message[e] + k]
    if message < np.inf:
        return belief[offsets[v] + k] - message
    value = unary[offsets[v] + k]
    for j in range(loops.ptr[v], loops.ptr[v + 1]):
        if loops.entry[j] != e:
            value += messages[loops.message[loops.entry[j]] + k]
    return value


@kernel
def sweep(start, stop, step, factors, loops, states, offsets, energies, costs, state, scratch):
    """Visit factors loops.factor[start : stop : step], and update every message of each in turn.

    costs = (unary, damping), state = (messages, belief), scratch = (cavity, fresh, digit).
    """
    unary, damping = costs
    messages, belief = state
    cavity, fresh, digit = scratch
    for n in range(start, stop, step):
        f = loops.factor[n]
        first = factors.row[f, SCOPE]
        last = factors.row[f + 1, SCOPE]
        size = 1
        place = 0
        for e in range(first, last):
            v = factors.var[e]
            size *= states[v]
            for k in range(states[v]):
                cavity[place + k] = _without(loops, v, k, e, offsets, unary, messages, belief)
                fresh[place + k] = np.inf
            place += states[v]
            digit[e - first] = 0
        for x in range(size):
            place = 0
            total = 0.0
            for e in range(first, last):
                total += cavity[place + digit[e - first]]
                place += states[factors.var[e]]
            if factors.row[f, KIND] == POTTS:
                if digit[0] != digit[1]:
                    total += energies[factors.row[f, OFFSET]]
            else:
                total += energies[factors.row[f, OFFSET] + x]
            place = 0
            for e in range(first, last):
                i = place + digit[e - first]
                if total < fresh[i]:
                    fresh[i] = total
                place += states[factors.var[e]]
            k = last - first - 1
            while k >= 0:
                digit[k] += 1
                if digit[k] < states[factors.var[first + k]]:
                    break
                digit[k] = 0
                k -= 1
        place = 0
        for e in range(first, last):
            v = factors.var[e]
            least = np.inf
            for k in range(states[v]):
                if cavity[place + k] < np.inf:
                    fresh[place + k] -= cavity[place + k]
                    least = min(least, fresh[place + k])
            for k in range(states[v]):
                old = messages[loops.message[e] + k]
                new = old
                if cavity[place + k] < np.inf:
                    # least is +inf only where no configuration is left at all, which every message may then say
                    new = fresh[place + k] - least if least < np.inf else np.inf
                    if new < np.inf and old < np.inf:
                        new = damping[0] * old + (1.0 - damping[0]) * new
                messages[loops.message[e] + k] = new
                belief[offsets[v] + k] = cavity[place + k] + new
            place += states[v]


@inner
def _counted(e, f, factors, energies, labels, cost):
    """The same of a factor that counts."""
    code = factors.row[f, KIND] - COUNT
    most = code >> 2
    one = code & 1
    q = factors.row[f, OFFSET]
    last = factors.row[f + 1, SCOPE] - (code >> 1 & 1)  # the output of a gate is there
    count = 0
    for i in range(factors.row[f, SCOPE], factors.row[f + 1, SCOPE]):
        label = labels[factors.var[i]]
        if i != e and label < 0:
            return False
        if i != e and i < last and label == one:
            count += 1
    for k in range(2):
        x = min(count + np.int64(e < last and k == one), most)
        if code & 2 != 0:
            x = 2 * x + (k if e == last else labels[factors.var[last]])
        cost[k] += energies[q + x]
    return True


@inner
def conditional(v, e, f, factors, states, energies, labels, cost):
    """cost[k] += E_f with v = k (at scope entry e) and all others at their labels; False where one has none."""
    if factors.row[f, KIND] == POTTS:
        other = factors.row[f, SCOPE] if factors.row[f, SCOPE] != e else e + 1
        label = labels[factors.var[other]]
        if label < 0:
            return False
        for k in range(states[v]):
            if k != label:
                cost[k] += energies[factors.row[f, OFFSET]]
        return True
    if factors.row[f, KIND] >= COUNT:
        return _counted(e, f, factors, energies, labels, cost)
    step = 1
    own = 0
    q = factors.row[f, OFFSET]
    for i in range(factors.row[f + 1, SCOPE] - 1, factors.row[f, SCOPE] - 1, -1):
        u = factors.var[i]
        if i == e:
            own = step
        elif labels[u] < 0:
            return False
        else:
            q += step * labels[u]
        step *= states[u]
    for k in range(states[v]):
        cost[k] += energies[q + k * own]
    return True


@inner
def _labelled(f, factors, labels):
    """How many variables of a factor have labels."""
    count = 0
    for e in range(factors.row[f, SCOPE], factors.row[f + 1, SCOPE]):
        if labels[factors.var[e]] >= 0:
            count += 1
    return count


@inner
def _completed(v, e, f, factors, loops, states, offsets, energies, costs, labels, space):
    """cost[k] += min of E_f and the cavities of its variables without labels, v = k (at scope entry e) the others at
    their labels; see round_labels."""
    unary, messages, belief = costs
    cost, digit = space
    first = factors.row[f, SCOPE]
    last = factors.row[f + 1, SCOPE]
    for k in range(states[v]):
        for i in range(first, last):
            label = labels[factors.var[i]]
            digit[i - first] = k if i == e else max(0, label)
        least = np.inf
        i = first
        while i < last:
            total = 0.0
            q = np.int64(0)
            for j in range(first, last):
                u = factors.var[j]
                q = q * states[u] + digit[j - first]
                if j != e and labels[u] < 0:
                    if belief.size > 0:
                        total += _without(loops, u, digit[j - first], j, offsets, unary, messages, belief)
                    else:
                        message = messages[loops.message[j] + digit[j - first]]
                        total += -message if message < np.inf else np.inf
            least = min(least, total + energies[factors.row[f, OFFSET] + q])
            i = first
            while i < last:
                u = factors.var[i]
                if i != e and labels[u] < 0:
                    digit[i - first] += 1
                    if digit[i - first] < states[u]:
                        break
                    digit[i - first] = 0
                i += 1
        cost[k] += least


@kernel
def round_labels(factors, loops, states, offsets, energies, costs, labels, space):
    """Label variables in order: exact energies towards labelled neighbours, messages from factors without any, and of
    other factors the least energy that is left, the cavities of unlabelled variables u added:

        (belief_u − m_{f→u})(x_u),    or −m_{f→u}(x_u) without beliefs (messages of TRW-S: θ_u is its own minimum)

    costs = (unary, messages, belief or empty); space = (cost float64, digit int64 (arity,)).
    """
    unary, messages, _ = costs
    cost, _ = space
    for i in range(loops.var.size):
        labels[loops.var[i]] = -1
    for i in range(loops.var.size):
        v = loops.var[i]
        for k in range(states[v]):
            cost[k] = unary[offsets[v] + k]
        for j in range(loops.ptr[v], loops.ptr[v + 1]):
            e = loops.entry[j]
            f = loops.owner[j]
            known = _labelled(f, factors, labels)
            if known == 0:
                for k in range(states[v]):
                    cost[k] += messages[loops.message[e] + k]
            elif known == factors.row[f + 1, SCOPE] - factors.row[f, SCOPE] - 1:
                conditional(v, e, f, factors, states, energies, labels, cost)
            else:
                _completed(v, e, f, factors, loops, states, offsets, energies, costs, labels, space)
        at = 0
        for k in range(1, states[v]):
            if cost[k] < cost[at]:
                at = k
        labels[v] = at


@kernel
def improve_labels(factors, loops, states, offsets, energies, unary, labels, cost):
    """One sweep of iterated conditional modes; returns how many labels changed."""
    changed = 0
    for i in range(loops.var.size):
        v = loops.var[i]
        for k in range(states[v]):
            cost[k] = unary[offsets[v] + k]
        for j in range(loops.ptr[v], loops.ptr[v + 1]):
            conditional(v, loops.entry[j], loops.owner[j], factors, states, energies, labels, cost)
        at = labels[v]
        for k in range(states[v]):
            if cost[k] < cost[at]:
                at = k
        if at != labels[v]:
            labels[v] = at
            changed += 1
    return changed
