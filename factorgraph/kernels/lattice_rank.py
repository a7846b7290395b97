"""The k best strings of lattice components, in order, each with its best path.

    ahead[p, j] = least cost of all ways on from arc p with label j                             (one sweep backwards)
    reach[t, p] = least cost of spelling the first t + 1 labels of a string, arc p the last     (forwards, per string)

A string is a sequence of choices: end here, or go on with a label. The best string that begins with w and goes on with
j costs min over arcs p of (reach after w j)[p] + ahead[p, j]: exact, so that strings, not paths, are ranked without any
search by Lawler's partition (see forest_rank.py). That is the n-best-strings algorithm of Mohri and Riley 2002: the
determinised lattice is expanded along the strings listed only, with perfect potentials.
"""

from __future__ import annotations

import numpy as np

from .forest_rank import next_after
from .forest_sum import start_free
from .jit import inner, kernel
from .messages import COLUMNS, GENERAL, POTTS, SHARED_COLUMNS
from .schedule import CHILD, EDGE, END, FIRST, FORM, NODES, PARENT, SLOT, START, STATES, TABLE, VAR


@inner
def _link(e, i, j, schedule, energies):
    """Energy of labels i, j on the consecutive arcs of edge e."""
    edge = schedule.edge
    at = edge[e, TABLE]
    m = schedule.position[edge[e, CHILD], STATES]
    if edge[e, FORM] == POTTS:
        return np.float64(energies[at]) if i != j else 0.0
    if edge[e, FORM] == GENERAL:
        value = 0.0
        folds = schedule.entries[at - 1]
        for f in range(at + (i * m + j) * folds, at + (i * m + j + 1) * folds):
            if schedule.entries[f] >= 0:
                value += energies[schedule.entries[f]]
        return value
    if edge[e, FORM] == COLUMNS or edge[e, FORM] == SHARED_COLUMNS:
        return np.float64(energies[at + i * m + j])
    return np.float64(energies[at + i + j * schedule.position[edge[e, PARENT], STATES]])


@inner
def _look_ahead(c, schedule, energies, own, ahead, node):
    """Fill ahead from the arcs' own energies."""
    arc = schedule.arc
    position = schedule.position
    edge = schedule.edge
    first = schedule.component[c, FIRST]
    last = schedule.component[c + 1, FIRST]
    sink = schedule.component[c, NODES] - 1
    paired = schedule.component[c, EDGE] < schedule.component[c + 1, EDGE]
    for n in range(sink):
        node[n] = np.inf
    node[sink] = 0.0
    for p in range(last - 1, first - 1, -1):
        slot = position[p, SLOT]
        for j in range(position[p, STATES]):
            ahead[slot + j] = node[arc[p, END]]
            if not paired:
                node[arc[p, START]] = min(node[arc[p, START]], own[slot + j] + ahead[slot + j])
    for e in range(schedule.component[c + 1, EDGE] - 1, schedule.component[c, EDGE] - 1, -1):
        before = position[edge[e, PARENT], SLOT]
        after = position[edge[e, CHILD], SLOT]
        for j in range(position[edge[e, CHILD], STATES]):
            rest = own[after + j] + ahead[after + j]
            if rest < np.inf:
                for i in range(position[edge[e, PARENT], STATES]):
                    ahead[before + i] = min(ahead[before + i], _link(e, i, j, schedule, energies) + rest)


@inner
def _step(c, t, label, schedule, energies, own, reach, enter, node):
    """enter[p, j] = least cost of t labels, the last of them `label`, and then arc p with label j."""
    arc = schedule.arc
    position = schedule.position
    edge = schedule.edge
    first = schedule.component[c, FIRST]
    last = schedule.component[c + 1, FIRST]
    if t > 0 and schedule.component[c, EDGE] < schedule.component[c + 1, EDGE]:
        for p in range(first, last):
            for j in range(position[p, STATES]):
                enter[position[p, SLOT] + j] = np.inf
        for e in range(schedule.component[c, EDGE], schedule.component[c + 1, EDGE]):
            before = reach[t - 1, edge[e, PARENT] - first]
            if before < np.inf:
                slot = position[edge[e, CHILD], SLOT]
                for j in range(position[edge[e, CHILD], STATES]):
                    enter[slot + j] = min(enter[slot + j], before + _link(e, label, j, schedule, energies))
    else:
        for n in range(schedule.component[c, NODES]):
            node[n] = np.inf
        if t == 0:
            node[0] = 0.0
        else:
            for p in range(first, last):
                node[arc[p, END]] = min(node[arc[p, END]], reach[t - 1, p - first])
        for p in range(first, last):
            for j in range(position[p, STATES]):
                enter[position[p, SLOT] + j] = node[arc[p, START]]
    for p in range(first, last):
        for j in range(position[p, STATES]):
            enter[position[p, SLOT] + j] += own[position[p, SLOT] + j]


@inner
def _offer(c, t, schedule, reach, ahead, enter, offer):
    """offer = cost of the best string under each choice after t labels: 0 to end here, j + 1 to go on with label j."""
    position = schedule.position
    first = schedule.component[c, FIRST]
    sink = schedule.component[c, NODES] - 1
    for x in range(offer.size):
        offer[x] = np.inf
    for p in range(first, schedule.component[c + 1, FIRST]):
        if t > 0 and schedule.arc[p, END] == sink:
            offer[0] = min(offer[0], reach[t - 1, p - first])
        slot = position[p, SLOT]
        for j in range(position[p, STATES]):
            offer[j + 1] = min(offer[j + 1], enter[slot + j] + ahead[slot + j])


@inner
def _trace(c, length, string, schedule, energies, own, reach, labels):
    """Labels of the best path that spells the string: backwards, at each step an arc that costs least with what follows
    it. Arcs of a step are tried in the order of positions, the first of equal ones is kept."""
    arc = schedule.arc
    position = schedule.position
    first = schedule.component[c, FIRST]
    last = schedule.component[c + 1, FIRST]
    paired = schedule.component[c, EDGE] < schedule.component[c + 1, EDGE]
    for p in range(first, last):
        labels[position[p, VAR]] = -1
    after = np.int64(-1)
    for t in range(length - 1, -1, -1):
        least = np.inf
        at = np.int64(-1)
        if after >= 0 and paired:
            for e in range(schedule.component[c, EDGE], schedule.component[c + 1, EDGE]):
                if schedule.edge[e, CHILD] == after:
                    p = schedule.edge[e, PARENT]
                    value = reach[t, p - first]
                    if value < np.inf:
                        value += _link(e, string[t], string[t + 1], schedule, energies)
                    if value < least:
                        least = value
                        at = p
        else:
            end = schedule.component[c, NODES] - 1 if after < 0 else arc[after, START]
            for p in range(first, last):
                if arc[p, END] == end and reach[t, p - first] < least:
                    least = reach[t, p - first]
                    at = p
        labels[position[at, VAR]] = string[t]
        after = at


@inner
def _read(c, schedule, labels, string):
    """Write the string that `labels` spell, −1 after its end; returns its length. Positions are sorted by START."""
    length = 0
    for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
        if labels[schedule.position[p, VAR]] >= 0:
            string[length] = labels[schedule.position[p, VAR]]
            length += 1
    string[length] = -1
    return length


@inner
def rank_lattice(c, schedule, energies, bias, work, string, labels, costs):
    """Costs (ascending, +inf where there are fewer) and labels of the costs.size best strings of component c.

    The first is that of labels[0], a best path found before. work = (own, ahead, enter, node, reach, offer, pending):
    offer[r, x · length + …] as by `_offer` for every number of labels, +inf once used; pending[r] the choice at which
    string r is left next, or −1.
    """
    own, ahead, enter, node, reach, offer, pending = work
    start_free(c, schedule, energies, bias, 1.0, own)
    _look_ahead(c, schedule, energies, own, ahead, node)
    choices = 1
    for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
        choices = max(choices, schedule.position[p, STATES] + 1)
    steps = schedule.component[c, NODES]
    for r in range(1, costs.size):
        costs[r] = np.inf
    for r in range(costs.size):
        # `known` choices are given, alternatives are offered to those from `free` on
        free = 0
        if r == 0:
            if costs[0] == np.inf:
                return
            known = _read(c, schedule, labels[0], string) + 1
        else:
            s = -1
            for q in range(r):
                if pending[q] >= 0 and offer[q, pending[q]] < costs[r]:
                    costs[r] = offer[q, pending[q]]
                    s = q
            if s < 0:
                return
            _read(c, schedule, labels[s], string)
            free = pending[s] // choices + 1
            known = free
            string[free - 1] = pending[s] % choices - 1
            offer[s, pending[s]] = np.inf
            pending[s] = next_after(offer[s], 0, steps * choices, -1)
        for x in range(steps * choices):
            offer[r, x] = np.inf
        t = 0
        while True:
            if t < free and string[t] < 0:
                break
            _step(c, t, string[t - 1] if t > 0 else 0, schedule, energies, own, reach, enter, node)
            if t >= free:
                row = offer[r, t * choices : (t + 1) * choices]
                _offer(c, t, schedule, reach, ahead, enter, row)
                if t >= known:
                    string[t] = next_after(row, 0, choices, -1) - 1
                row[string[t] + 1] = np.inf
                if string[t] < 0:
                    break
            for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
                fits = string[t] < schedule.position[p, STATES]
                cost = enter[schedule.position[p, SLOT] + string[t]] if fits else np.inf
                reach[t, p - schedule.component[c, FIRST]] = cost
            t += 1
        _trace(c, t, string, schedule, energies, own, reach, labels[r])
        pending[r] = next_after(offer[r], 0, steps * choices, -1)


@kernel
def rank_lattices(components, schedule, energies, bias, work, string, labels, costs):
    """costs[i] (float64, k) and labels (k rows, per variable) of the k best strings of every listed component.

    costs[i, 0] and labels[0] are given, as by `minimise_lattices`; labels of strings that do not exist stay as they
    are. work = (own, ahead, enter (beliefs), node, reach (nodes, arcs of any lattice), offer (k, nodes · (states + 1)),
    all float64, pending int64 (k,)); string int64 (nodes + 1,).
    """
    for i in range(components.size):
        rank_lattice(components[i], schedule, energies, bias, work, string, labels, costs[i])
