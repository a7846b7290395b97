"""Flow potentials: by how much the minimum rises where a vertex changes sides.

After a maximum flow of value F, a vertex v on the source's side costs F plus the residual flow from the source into v
to be on the sink's; likewise on the other side (Kohli, Torr, "Measuring uncertainty in graph cut solutions", 2008).

That flow need not be taken back: moving the excess Δ of other vertices into v along residual arcs is an equivalent
network (its cuts cost the same), and so the next vertex goes on from there.
"""

from __future__ import annotations

import numpy as np

from .arcs import begin, end, head, sister
from .jit import inner, kernel
from .maxflow import NONE, TERMINAL


@inner
def _nearest(network, flow, v, sign):
    """Breadth-first from v to a vertex with excess of that sign; leaves arcs towards v in `parent`.

    Returns (that vertex or −1, vertices seen).
    """
    residual, parent, queue = flow.residual, flow.parent, flow.queue
    parent[v] = TERMINAL
    queue[0, 0] = v
    count = 1
    i = 0
    while i < count:
        u = queue[0, i]
        i += 1
        for arc in range(begin(network, u), end(network, u)):
            w = head(network, u, arc)
            if parent[w] == NONE:
                back = sister(network, u, arc)
                if residual[back if sign > 0 else arc] > 0:
                    parent[w] = back
                    queue[0, count] = w
                    count += 1
                    if sign * flow.excess[w] > 0:
                        return w, count
    return -1, count


@inner
def _move(network, flow, w, sign):
    """Move what fits of w's excess along `parent` to the end; returns the amount, and moves nothing where that is +inf.

    Excess of the source flows along the arcs, that of the sink against them.
    """
    residual, excess, parent = flow.residual, flow.excess, flow.parent
    amount = sign * excess[w]
    u = w
    while parent[u] != TERMINAL:
        arc = parent[u]
        amount = min(amount, residual[arc if sign > 0 else sister(network, u, arc)])
        u = head(network, u, arc)
    if amount < np.inf:
        excess[w] -= sign * amount
        excess[u] += sign * amount
        u = w
        while parent[u] != TERMINAL:
            arc = parent[u]
            back = sister(network, u, arc)
            residual[arc] -= sign * amount
            residual[back] += sign * amount
            u = head(network, u, arc)
    return amount


@kernel
def potentials(network, flow, start, budget, out):
    """out[v] for v from `start` on, for about `budget` visits of vertices; returns where to go on.

    A vertex is on the source's side where flow.dist[v] > 0, which stays; parents are lost.
    """
    if start == 0:
        flow.parent[:] = NONE
    for v in range(start, out.size):
        if budget < 0:
            return v
        sign = 1 if flow.dist[v] > 0 else -1
        amount = 0.0
        found = v
        while found >= 0 and amount < np.inf:
            found, seen = _nearest(network, flow, v, sign)
            if found >= 0:
                amount = _move(network, flow, found, sign)
            for i in range(seen):
                flow.parent[flow.queue[0, i]] = NONE
            budget -= seen
        out[v] = amount if amount == np.inf else sign * flow.excess[v]
    return out.size
