"""The k best labellings of forest components, in order, from one min-sum sweep.

A labelling is a sequence of decisions, taken breadth-first from the root: the root's state, then for each edge the joint
state of its children given the parent's label. After `sweep_up` a choice's cost c(x) includes its best completion, so

    energy of a labelling = minimum + Σ over decisions of c(choice taken) − min c                   (perfect completions)

and Lawler's partition needs no further sweep: a labelling whose last deviation was decision d stands for all that agree
with it up to d, choose at d nothing cheaper, and are free afterwards. Once it is listed, the rest of its set splits by
the first decision n ≥ d that differs, and the best of each part takes the next choice at n in the total order (cost,
index) and the best ones after n: it costs `gain[n]` more. Every part's best is known, none repeats, nothing is searched.

Lawler 1972; Hamacher and Queyranne 1985; with perfect completions the scheme is that of Eppstein 1998.
"""

from __future__ import annotations

import numpy as np

from .forest_min import sweep_up
from .forest_sum import children_of
from .jit import inner, kernel
from .messages import COLUMNS, GENERAL, ROWS, SHARED_COLUMNS, SHARED_ROWS
from .schedule import CHILD, DOWN, EDGE, FIRST, FORM, PARENT, SLOT, STATES, TABLE, UP, VAR


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
def _choices(n, c, schedule, energies, copies, belief, labels, cost):
    """cost = of each choice at decision n, given the labels before it; returns how many there are."""
    position = schedule.position
    edge = schedule.edge
    if n == 0:
        root = schedule.component[c, FIRST]
        for i in range(position[root, STATES]):
            cost[i] = belief[position[root, SLOT] + i]
        return position[root, STATES]
    e = schedule.component[c, EDGE] + n - 1
    q = edge[e, CHILD]
    form = edge[e, FORM]
    m = position[q, STATES]
    label = np.int64(labels[position[edge[e, PARENT], VAR]])
    if form == GENERAL:
        children = children_of(e, schedule)
        for p in range(q + 1, q + children):
            m *= position[p, STATES]
        for x in range(m):
            cost[x] = copies[edge[e, UP] + label * m + x]
            y = x
            for p in range(q + children - 1, q - 1, -1):
                cost[x] += belief[position[p, SLOT] + y % position[p, STATES]]
                y //= position[p, STATES]
        return m
    of = position[q, SLOT]
    if form == SHARED_ROWS or form == SHARED_COLUMNS:
        row = edge[e, DOWN] + label * ((m + 15) // 16 * 16)
        for i in range(m):
            cost[i] = belief[of + i] + copies[row + i]
    elif form == ROWS:
        n_parent = position[edge[e, PARENT], STATES]
        for i in range(m):
            cost[i] = belief[of + i] + energies[edge[e, TABLE] + label + i * n_parent]
    elif form == COLUMNS:
        row = edge[e, TABLE] + label * m
        for i in range(m):
            cost[i] = belief[of + i] + energies[row + i]
    else:  # POTTS
        weight = energies[edge[e, TABLE]]
        for i in range(m):
            cost[i] = belief[of + i]
            if i != label:
                cost[i] += weight
    return m


@inner
def _taken(n, c, schedule, labels):
    """The choice that `labels` take at decision n."""
    position = schedule.position
    if n == 0:
        return np.int64(labels[position[schedule.component[c, FIRST], VAR]])
    e = schedule.component[c, EDGE] + n - 1
    q = schedule.edge[e, CHILD]
    choice = np.int64(0)
    for p in range(q, q + children_of(e, schedule)):
        choice = choice * position[p, STATES] + labels[position[p, VAR]]
    return choice


@inner
def _take(n, c, schedule, choice, labels):
    """Write a choice at decision n to `labels`."""
    position = schedule.position
    if n == 0:
        labels[position[schedule.component[c, FIRST], VAR]] = choice
        return
    e = schedule.component[c, EDGE] + n - 1
    q = schedule.edge[e, CHILD]
    for p in range(q + children_of(e, schedule) - 1, q - 1, -1):
        labels[position[p, VAR]] = choice % position[p, STATES]
        choice //= position[p, STATES]


@inner
def _decide(n, at, c, schedule, energies, copies, work, labels):
    """Take the choice after `at` at decision n; returns what the next one would cost more (+inf: there is none)."""
    count = _choices(n, c, schedule, energies, copies, work[0], labels, work[1])
    cost = work[1]
    choice = next_after(cost, 0, count, at)
    if choice < 0:
        return np.inf
    _take(n, c, schedule, choice, labels)
    after = next_after(cost, 0, count, choice)
    return np.float64(cost[after]) - np.float64(cost[choice]) if after >= 0 else np.inf


@inner
def _follow(r, s, n, c, schedule, energies, copies, work, labels):
    """Make labelling r of labelling s: the next choice at decision n, the best ones after it.

    Where the parent's label is that of s, so is the best choice, as s deviates nowhere after n.
    """
    gain = work[2]
    position = schedule.position
    lead = schedule.component[c, EDGE]
    for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
        labels[r, position[p, VAR]] = labels[s, position[p, VAR]]
    gain[r, n] = _decide(n, _taken(n, c, schedule, labels[r]), c, schedule, energies, copies, work, labels[r])
    for m in range(n + 1, schedule.component[c + 1, EDGE] - lead + 1):
        parent = position[schedule.edge[lead + m - 1, PARENT], VAR]
        if labels[r, parent] == labels[s, parent]:
            gain[r, m] = gain[s, m]
        else:
            gain[r, m] = _decide(m, -1, c, schedule, energies, copies, work, labels[r])


@inner
def rank_forest(c, schedule, energies, copies, bias, mask, work, labels, costs):
    """Costs (ascending, +inf where there are fewer) and labels of the costs.size best labellings of component c.

    work = (belief, cost, gain, pending): gain[r, n] as above, pending[r] = (first decision at which labelling r may
    deviate, the one at which it deviates next or −1).
    """
    belief, cost, gain, pending = work
    sweep_up(c, schedule, energies, copies, bias, mask, (belief, cost))
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
            for m in range(decisions):
                gain[0, m] = _decide(m, -1, c, schedule, energies, copies, work, labels[0])
            costs[0] = belief[best]
        else:
            s = -1
            for q in range(r):
                if pending[q, 1] >= 0 and costs[q] + gain[q, pending[q, 1]] < costs[r]:
                    costs[r] = costs[q] + gain[q, pending[q, 1]]
                    s = q
            if s < 0:
                return
            n = pending[s, 1]
            _follow(r, s, n, c, schedule, energies, copies, work, labels)
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
