"""Readers of the bodies of model files: scopes and tables (UAI layout), cost functions (wcsp layout).

They are called again while they answer MORE; what they know is in `state` (text.py). Factor f is over the variables
var[first[f] : first[f + 1]]; first int64 (F + 1,), var int32.
"""

from __future__ import annotations

import numpy as np

from .jit import inner, kernel
from .text import (
    AT,
    BUDGET,
    DONE,
    END,
    ENTRY,
    ITEM,
    LABELS,
    LARGEST,
    LEAST,
    LEFT,
    MORE,
    MOST,
    MOST_AXES,
    RANGE,
    WHAT,
    WORD,
    integer,
    real,
    skip,
)

#: What state[WHAT] says about a refused token.
ARITY, VARIABLE, LENGTH, VALUE, DEFAULT, TUPLES, LABEL, COST, REUSE, GLOBAL = range(10)


@inner
def _next(text, state, what, least, most):
    """The next integer, from `least` to `most`: (code, value); state[AT] is behind it, or at the token refused."""
    at = skip(text, state[AT])
    state[AT], state[WHAT], state[LEAST], state[MOST] = at, what, least, most
    if at == text.size:
        return END, 0
    code, value, end = integer(text, at)
    if code != DONE:
        return WORD, 0
    if value < least or value > most:
        return RANGE, value
    state[AT] = end
    return DONE, value


@inner
def _scope(text, state, variables, var):
    """The state[LEFT] variables of one scope, behind var[state[ENTRY]]."""
    code = DONE
    while state[LEFT] > 0:
        code, value = _next(text, state, VARIABLE, 0, variables - 1)
        if code != DONE:
            break
        var[state[ENTRY]] = value
        state[ENTRY] += 1
        state[LEFT] -= 1
    return code


@kernel
def read_scopes(text, state, variables, first, var):
    """UAI preamble: for each factor its arity and its variables. `var` has room for all tokens that are left."""
    begin = state[AT]
    code = DONE
    while state[ITEM] < first.size - 1:
        if state[AT] - begin > 4 * BUDGET:
            return MORE
        code, arity = _next(text, state, ARITY, 0, MOST_AXES)
        if code != DONE:
            break
        state[LEFT] = arity
        code = _scope(text, state, variables, var)
        if code != DONE:
            break
        state[ITEM] += 1
        first[state[ITEM]] = state[ENTRY]
    return code


@kernel
def table_sizes(first, var, states, sizes):
    """sizes[f] = the entries of a table over the scope of f, at most LARGEST; returns their sum, at most LARGEST."""
    total = 0
    for f in range(sizes.size):
        size = 1
        for k in range(first[f], first[f + 1]):
            size = min(size, LARGEST // states[var[k]]) * states[var[k]]
        sizes[f] = size
        total = min(LARGEST, total + size)
    return total


@kernel
def read_tables(text, state, sizes, least, most, out):
    """UAI body: for each factor the number of its entries and the entries, from `least` to `most`, one after another.

    After HARD the caller writes out[state[ENTRY]], and moves state[AT], state[ENTRY] and state[LEFT] on by one token.
    """
    at, f, entry, left = state[AT], state[ITEM], state[ENTRY], state[LEFT]  # left −1: the number comes next
    budget = BUDGET
    code = DONE
    while f < sizes.size:
        if left < 0:
            state[AT] = at
            code, left = _next(text, state, LENGTH, sizes[f], sizes[f])
            at = state[AT]
            if code != DONE:
                left = -1
                break
        state[WHAT] = VALUE
        budget -= left + 1
        stop = entry + left
        while entry < stop:
            at = skip(text, at)
            if at == text.size:
                code = END
                break
            code, value, end = real(text, at)
            if code != DONE or not least <= value <= most:
                code = RANGE if code == DONE else code
                break
            out[entry] = value
            entry += 1
            at = end
        left = stop - entry
        if code != DONE:
            break
        f += 1
        left = -1
        if budget < 0 and f < sizes.size:
            code = MORE
            break
    state[AT], state[ITEM], state[ENTRY], state[LEFT] = at, f, entry, left
    return code


@kernel
def scan_functions(text, state, states, first, var, place, source, shared):
    """wcsp body, checked but not stored: scopes, where the default cost of each function stands (`place`), and whose
    table it has (`source`, itself mostly). `shared` gets the functions that others may name: those of negative arity.
    """
    begin = state[AT]
    while state[ITEM] < first.size - 1:
        if state[AT] - begin > 4 * BUDGET:
            return MORE
        f = state[ITEM]
        if state[LEFT] < 0:
            code = _head(text, state, states, first, var, place, source, shared)
            if code != DONE:
                return code
        while state[LEFT] > 0:
            if state[AT] - begin > 4 * BUDGET:
                return MORE
            for k in range(first[f], first[f + 1]):
                code, value = _next(text, state, LABEL, 0, states[var[k]] - 1)
                if code != DONE:
                    return code
            code, value = _next(text, state, COST, 0, LARGEST)
            if code != DONE:
                return code
            state[LEFT] -= 1
        state[ITEM] += 1
        state[LEFT] = -1
    return DONE


@inner
def _head(text, state, states, first, var, place, source, shared):
    """Arity, scope, default cost and number of tuples of one function; state[LEFT] tuples follow."""
    f = state[ITEM]
    state[ENTRY] = first[f]
    code, arity = _next(text, state, ARITY, -MOST_AXES, MOST_AXES)
    if code != DONE:
        return code
    state[LEFT] = abs(arity)
    code = _scope(text, state, states.size, var)
    state[LEFT] = -1
    if code != DONE:
        return code
    first[f + 1] = state[ENTRY]
    place[f] = state[AT]
    source[f] = f
    code, default = _next(text, state, DEFAULT, -1, LARGEST)
    if code != DONE:
        return code
    if default < 0:
        state[AT] = skip(text, state[AT])
        state[WHAT] = GLOBAL
        return WORD
    code, tuples = _next(text, state, TUPLES, -shared[0], LARGEST)
    if code != DONE:
        return code
    if arity < 0:
        shared[0] += 1
        shared[shared[0]] = f
    if tuples < 0:
        g = source[f] = source[shared[-tuples]]
        same = first[f + 1] - first[f] == first[g + 1] - first[g]
        for k in range(first[f + 1] - first[f]):
            same = same and states[var[first[f] + k]] == states[var[first[g] + k]]
        if not same:
            state[WHAT] = REUSE
            return RANGE
    state[LEFT] = max(0, tuples)
    return DONE


@kernel
def fill_functions(text, state, states, first, var, place, start, size, top, out):
    """wcsp body, as scan_functions has accepted it: out[start[f] : start[f] + size[f]] = the costs of f, +inf from
    `top` on. A variable that stands twice in a scope has one axis, at its first position; size[f] = 0 where the table
    of f is another's.
    """
    budget = BUDGET
    while state[ITEM] < place.size:
        if budget < 0:
            return MORE
        f = state[ITEM]
        if state[LEFT] < 0:
            if size[f] == 0:
                state[ITEM] += 1
                budget -= 1
                continue
            state[AT] = place[f]
            _, default = _next(text, state, DEFAULT, 0, LARGEST)
            out[start[f] : start[f] + size[f]] = default if default < top else np.inf
            _, state[LEFT] = _next(text, state, TUPLES, 0, LARGEST)
            budget -= size[f] >> 3
        while state[LEFT] > 0 and budget >= 0:
            entry = _entry(text, state, states, var, first[f], first[f + 1])
            _, cost = _next(text, state, COST, 0, LARGEST)
            if entry >= 0:
                out[start[f] + entry] = cost if cost < top else np.inf
            state[LEFT] -= 1
            budget -= 2 + first[f + 1] - first[f]
        if state[LEFT] == 0:
            state[ITEM] += 1
            state[LEFT] = -1
    return DONE


@inner
def _entry(text, state, states, var, begin, end):
    """Where the next tuple of labels is in its table; −1 where it labels one variable in two ways."""
    entry = 0
    fits = True
    labels = state[LABELS:]
    for k in range(begin, end):
        _, label = _next(text, state, LABEL, 0, LARGEST)
        labels[k - begin] = label
        twice = False
        for j in range(begin, k):
            if var[j] == var[k]:
                fits = fits and labels[j - begin] == label
                twice = True
        if not twice:
            entry = entry * states[var[k]] + label
    return entry if fits else -1
