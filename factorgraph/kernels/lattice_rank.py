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
from .forest_sum import read_table, start_free
from .jit import inner, kernel
from .messages import COLUMNS, POTTS
from .schedule import CHILD, EDGE, END, FIRST, FORM, NODES, PARENT, SLOT, START, STATES, TABLE, VAR


@inner
def _link(e, i, schedule, energies, row):
    """row = energies of the consecutive arcs of edge e, label i on the first, by the label on the second."""
    edge = schedule.edge
    m = schedule.position[edge[e, CHILD], STATES]
    at = edge[e, TABLE]
    if edge[e, FORM] == COLUMNS:
        for j in range(m):
            row[j] = energies[at + i * m + j]
    elif edge[e, FORM] == POTTS:
        for j in range(m):
            row[j] = energies[at] if i != j else 0.0
    else:  # folded factors
        folds = schedule.entries[at - 1]
        at += i * m * folds
        for j in range(m):
            row[j] = 0.0
            for _ in range(folds):
                if schedule.entries[at] >= 0:
                    row[j] += energies[schedule.entries[at]]
                at += 1


@inner
def _look_ahead(c, schedule, energies, own, ahead, node, row):
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
        n, m = read_table(e, schedule, energies, 1.0, row)
        for i in range(n):
            least = ahead[before + i]
            for j in range(m):
                least = min(least, row[i * m + j] + own[after + j] + ahead[after + j])
            ahead[before + i] = least


@inner
def _step(c, t, label, schedule, energies, own, reach, enter, node, row):
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
                _link(e, label, schedule, energies, row)
                for j in range(position[edge[e, CHILD], STATES]):
                    enter[slot + j] = min(enter[slot + j], before + row[j])
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
def _trace(c, length, string, schedule, energies, reach, row, labels):
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
                    _link(e, string[t], schedule, energies, row)
                    if reach[t, p - first] + row[string[t + 1]] < least:
                        least = reach[t, p - first] + row[string[t + 1]]
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

    The first is that of labels[0], a best path found before. Row r of offer holds the choices after 0, 1, … labels as
    by `_offer`, +inf where taken; pending[r] is the one by which string r is left next, or −1.
    """
    own, ahead, enter, node, row, reach, offer, pending = work
    start_free(c, schedule, energies, bias, 1.0, own)
    _look_ahead(c, schedule, energies, own, ahead, node, row)
    choices = 1
    for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
        choices = max(choices, schedule.position[p, STATES] + 1)
    steps = min(schedule.component[c, NODES], schedule.component[c + 1, FIRST] - schedule.component[c, FIRST] + 1)
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
            _step(c, t, string[t - 1] if t > 0 else 0, schedule, energies, own, reach, enter, node, row)
            if t >= free:
                here = offer[r, t * choices : (t + 1) * choices]
                _offer(c, t, schedule, reach, ahead, enter, here)
                if t >= known:
                    string[t] = next_after(here, 0, choices, -1) - 1
                here[string[t] + 1] = np.inf
                if string[t] < 0:
                    break
            for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
                fits = string[t] < schedule.position[p, STATES]
                cost = enter[schedule.position[p, SLOT] + string[t]] if fits else np.inf
                reach[t, p - schedule.component[c, FIRST]] = cost
            t += 1
        _trace(c, t, string, schedule, energies, reach, row, labels[r])
        pending[r] = next_after(offer[r], 0, steps * choices, -1)


@kernel
def rank_lattices(components, schedule, energies, bias, work, string, labels, costs):
    """costs[i] (float64, k) and labels (k rows, per variable) of the k best strings of every listed component.

    costs[i, 0] and labels[0] are given, as by `minimise_lattices`; labels of strings that do not exist stay as they
    are. With `steps` one more than a string can be long, work = (own, ahead, enter, node, row, reach, offer, pending):
    three beliefs, (nodes,), one edge's table, (steps, arcs), (k, steps · (labels + 1)), all float64, and int64 (k,);
    string int64 (steps + 1,).
    """
    for i in range(components.size):
        rank_lattice(components[i], schedule, energies, bias, work, string, labels, costs[i])
