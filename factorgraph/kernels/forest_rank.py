"""The k best labellings of forest components, in order, from one min-sum sweep.

A labelling is a sequence of decisions, taken breadth-first from the root: the root's state, then for each edge the
joint state of its children given the parent's label. After `sweep_up` the cost of a choice includes its best
completion, so completions are perfect:

    energy of a labelling = minimum + Σ over decisions of cost(choice taken) − cost(best choice)

and Lawler's partition needs no further sweep. A listed labelling whose last deviation was decision d stands for all
that agree with it before d, choose nothing cheaper at d, and are free afterwards. The rest of them splits by the first
decision n ≥ d that differs; the best of each part takes the next choice at n in the total order (cost, index) and the
best ones after n, and costs gain[n] more. Every part's best is known, none repeats, nothing is searched.

Lawler 1972; Hamacher and Queyranne 1985; with perfect completions the scheme is that of Eppstein 1998.
"""

from __future__ import annotations

import numpy as np

from .forest_min import sweep_up
from .forest_sum import children_of
from .jit import inner, kernel
from .messages import COLUMNS, GENERAL, POTTS, ROWS, SHARED_COLUMNS, SHARED_ROWS
from .schedule import CHILD, DOWN, EDGE, FIRST, FORM, PARENT, SLOT, STATES, TABLE, UP, VAR
from .simd import lanes, trailing_zeros, vadd, vequal, vhmin, vload, vmin, vsplat, vstore


@inner
def next_after(values, first, last, at):
    """Index in first … last − 1 of the least (value, index) greater than that of `at`, of all where at < 0.

    −1 where there is none below +inf.
    """
    found = -1
    least = np.inf
    for i in range(first, last):
        x = values[i]
        if x < least and (at < 0 or x > values[at] or (x == values[at] and i > at)):
            least = x
            found = i
    return found


@inner
def _add_row(count, belief, of, table, row, step, cost):
    """cost = belief plus a row of a table whose vectors lie `step` apart; padded with +inf as the belief is."""
    width = lanes(cost)
    for j in range(0, count, width):
        vstore(cost, j, vadd(vload(belief, of + j), vload(table, row)))
        row += step


@inner
def _add_joint(count, schedule, q, children, table, row, belief, cost):
    """cost of the joint states of positions q, q + 1, …, the last fastest."""
    for x in range(count):
        value = table[row + x]
        y = x
        for p in range(q + children - 1, q - 1, -1):
            states = schedule.position[p, STATES]
            value += belief[schedule.position[p, SLOT] + y % states]
            y //= states
        cost[x] = value


@inner
def _least(cost, count):
    """Least of `count` costs that are padded with +inf, in vectors."""
    x = vload(cost, 0)
    for j in range(lanes(cost), count, lanes(cost)):
        x = vmin(x, vload(cost, j))
    return vhmin(x)


@inner
def _index(cost, count, value):
    """Where `value` is found first."""
    wanted = vsplat(value)
    for j in range(0, count, lanes(cost)):
        bits = vequal(vload(cost, j), wanted)
        if bits != 0:
            return j + trailing_zeros(bits)
    return np.int64(0)


@inner
def _complete(r, n, at, s, c, schedule, energies, copies, work, labels):
    """Decisions n, n + 1, … of labelling r: at n the choice after `at` (−1: the best), then the best ones.

    Fills gain[r]. Where the parent's label is that of labelling s, so is the best choice: s deviates nowhere after n.
    One function, as arguments of calls would cost more than decisions do.
    """
    belief, cost, gain, _ = work
    width = lanes(cost)
    position = schedule.position
    edge = schedule.edge
    lead = schedule.component[c, EDGE] - 1
    for m in range(n, schedule.component[c + 1, EDGE] - lead):
        e = lead + m
        q = schedule.component[c, FIRST]
        children = np.int64(1)
        form = np.int64(-1)
        label = np.int64(0)
        if m > 0:
            q = edge[e, CHILD]
            form = edge[e, FORM]
            parent = position[edge[e, PARENT], VAR]
            label = np.int64(labels[r, parent])
            if form == GENERAL:
                children = children_of(e, schedule)
            if m > n and s >= 0 and labels[s, parent] == label:
                for p in range(q, q + children):
                    labels[r, position[p, VAR]] = labels[s, position[p, VAR]]
                gain[r, m] = gain[s, m]
                continue
        of = position[q, SLOT]
        count = position[q, STATES]
        if form == SHARED_ROWS or form == SHARED_COLUMNS:
            step = position[edge[e, PARENT], STATES] * width
            _add_row(count, belief, of, copies, edge[e, DOWN] + label * width, step, cost)
        elif form == COLUMNS:
            _add_row(count, belief, of, energies, edge[e, TABLE] + label * count, width, cost)
        else:
            if form == ROWS:
                step = position[edge[e, PARENT], STATES]
                for i in range(count):
                    cost[i] = belief[of + i] + energies[edge[e, TABLE] + label + i * step]
            elif form == GENERAL:
                for p in range(q + 1, q + children):
                    count *= position[p, STATES]
                _add_joint(count, schedule, q, children, copies, edge[e, UP] + label * count, belief, cost)
            else:  # the root, and Potts
                for i in range(count):
                    cost[i] = belief[of + i]
                    if form == POTTS and i != label:
                        cost[i] += energies[edge[e, TABLE]]
            for i in range(count, (count + 15) // 16 * 16):
                cost[i] = np.inf
        if m == n and at >= 0:
            choice = next_after(cost, 0, count, at)
            after = next_after(cost, 0, count, choice)
            gain[r, m] = np.float64(cost[after]) - np.float64(cost[choice]) if after >= 0 else np.inf
        else:
            least = _least(cost, count)
            choice = _index(cost, count, least)
            cost[choice] = np.inf
            gain[r, m] = np.float64(_least(cost, count)) - np.float64(least)
        for p in range(q + children - 1, q, -1):
            labels[r, position[p, VAR]] = choice % position[p, STATES]
            choice //= position[p, STATES]
        labels[r, position[q, VAR]] = choice


@inner
def _copy(r, n, s, c, schedule, labels):
    """Decisions 0 … n − 1 of labelling s for labelling r; returns the choice of s at n."""
    position = schedule.position
    root = schedule.component[c, FIRST]
    e = schedule.component[c, EDGE] + n - 1
    if n == 0:
        return np.int64(labels[s, position[root, VAR]])
    q = schedule.edge[e, CHILD]
    for p in range(root, q):
        labels[r, position[p, VAR]] = labels[s, position[p, VAR]]
    choice = np.int64(0)
    for p in range(q, q + children_of(e, schedule)):
        choice = choice * position[p, STATES] + labels[s, position[p, VAR]]
    return choice


@inner
def rank_forest(c, schedule, energies, copies, bias, mask, work, labels, costs):
    """Costs (ascending, +inf where there are fewer) and labels of the costs.size best labellings of component c.

    work = (belief, cost, gain, pending): gain[r, n] as above, pending[r] = (first decision at which labelling r may
    deviate, the one at which it deviates next or −1).
    """
    belief, cost, gain, pending = work
    off = sweep_up(c, schedule, energies, copies, bias, mask, (belief, cost))
    decisions = schedule.component[c + 1, EDGE] - schedule.component[c, EDGE] + 1
    for r in range(costs.size):
        costs[r] = np.inf
    root = schedule.component[c, FIRST]
    slot = schedule.position[root, SLOT]
    best = next_after(belief, slot, slot + schedule.position[root, STATES], -1)
    if best < 0:
        return
    for r in range(costs.size):
        n = 0
        if r == 0:
            _complete(0, 0, -1, -1, c, schedule, energies, copies, work, labels)
            costs[0] = off + np.float64(belief[best])
        else:
            s = -1
            for q in range(r):
                if pending[q, 1] >= 0 and costs[q] + gain[q, pending[q, 1]] < costs[r]:
                    costs[r] = costs[q] + gain[q, pending[q, 1]]
                    s = q
            if s < 0:
                return
            n = pending[s, 1]
            at = _copy(r, n, s, c, schedule, labels)
            _complete(r, n, at, s, c, schedule, energies, copies, work, labels)
            pending[s, 1] = next_after(gain[s], pending[s, 0], decisions, n)
        pending[r, 0] = n
        pending[r, 1] = next_after(gain[r], n, decisions, -1)


@kernel
def rank_forests(components, schedule, energies, copies, bias, mask, work, labels, costs):
    """costs[i] (float64, k) and labels (k rows, per variable) of the k best labellings of every listed component.

    Labels of labellings that do not exist stay as they are. work = (belief, cost, gain, pending), owned by the caller:
    belief and mask as for `minimise_forests`; cost for the choices of any decision, gain float64 (k, decisions of any
    component), pending int64 (k, 2).
    """
    for i in range(components.size):
        rank_forest(components[i], schedule, energies, copies, bias, mask, work, labels, costs[i])
