"""Maximum flow by incremental breadth-first search, on sparse networks and on implicit grids.

Goldberg, Hed, Kaplan, Tarjan, Werneck, "Maximum flows by incremental breadth-first search" (2011). Two trees of
shortest paths grow level by level, S out of the source and T towards the sink:

    grow      scan the deepest level of one tree: free vertices join it, an arc into the other tree ends a path
    augment   push the bottleneck along it; what hangs below a saturated arc is an orphan
    adopt     an orphan looks for a parent one level up; if there is none it moves down as little as possible (its
              children are orphans then), or leaves the tree

Levels of a vertex never fall, so it ends after a number of steps that does not depend on capacities: they may be huge,
tiny, equal or infinite, integers or floats. Residuals that are emptied become exactly 0.

Source and sink are not stored: `excess[v]` > 0 is a residual arc from the source to v, < 0 one from v to the sink.
When S cannot grow, it is the least source side of all minimum cuts: the answer does not depend on the order of work.

The network is stored or an implicit grid (arcs.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arcs import begin, end, head, sister
from .jit import inlined, inner, kernel
from .simd import get

#: What `parent` says instead of an arc: the vertex hangs on its terminal, waits to be adopted, is in no tree.
TERMINAL, ORPHAN, NONE = -1, -2, -3

#: What `run` returns.
DONE, PAUSED = range(2)

#: Bit of `marked`: an augmenting path of infinite capacity began here, so that this vertex' part has no finite cut.
UNBOUNDED = 4

#: Entries of Flow.state. Those of a pair belong to S and T.
DEPTH, HEAD, COUNT, SIDE, LEFT, ORPHAN_HEAD, ORPHANS, WORK = 0, 2, 4, 6, 7, 8, 9, 10
STATE = 11


class Flow(NamedTuple):
    """The state of one maximum flow over n vertices and A arcs.

    residual (A,), excess (n,) and total (1,) (the flow so far) are float64 or int64. dist int32 (n,): level in S, minus
    the level in T, 0 free. parent int32 (n,): the arc to the parent, or TERMINAL, ORPHAN, NONE. marked uint8 (n,): bits
    1 and 2, the queues of S and T hold v; UNBOUNDED. queue int32 (3, n): rings of the vertices to scan of S, of T, and
    of orphans. state int64 (STATE,).
    """

    residual: np.ndarray
    excess: np.ndarray
    total: np.ndarray
    dist: np.ndarray
    parent: np.ndarray
    marked: np.ndarray
    queue: np.ndarray
    state: np.ndarray


@inlined
def _enqueue(flow, k, v):
    """Put v at the end of the queue of tree k, unless it is there."""
    if flow.marked[v] & (1 << k) == 0:
        flow.marked[v] |= 1 << k
        n = flow.dist.size
        at = flow.state[HEAD + k] + flow.state[COUNT + k]
        flow.queue[k, at - n if at >= n else at] = v
        flow.state[COUNT + k] += 1


@inlined
def _orphan_first(flow, v):
    n = flow.dist.size
    flow.parent[v] = ORPHAN
    at = flow.state[ORPHAN_HEAD] - 1
    flow.state[ORPHAN_HEAD] = at + n if at < 0 else at
    flow.queue[2, flow.state[ORPHAN_HEAD]] = v
    flow.state[ORPHANS] += 1


@inlined
def _orphan_last(flow, v):
    n = flow.dist.size
    flow.parent[v] = ORPHAN
    at = flow.state[ORPHAN_HEAD] + flow.state[ORPHANS]
    flow.queue[2, at - n if at >= n else at] = v
    flow.state[ORPHANS] += 1


@inner
def _augment(network, flow, x, y, arc):
    """Push what fits along source → … x → y … → sink, where `arc` leads from x in S to y in T.

    A path of infinite capacity is cut off at the source, and its vertices' part of the network marked.
    """
    residual, excess, parent = flow.residual, flow.excess, flow.parent
    amount = residual[arc]
    v = x
    while parent[v] != TERMINAL:
        amount = min(amount, residual[sister(network, v, parent[v])])
        v = head(network, v, parent[v])
    amount = min(amount, excess[v])
    root = v
    v = y
    while parent[v] != TERMINAL:
        amount = min(amount, residual[parent[v]])
        v = head(network, v, parent[v])
    amount = min(amount, -excess[v])
    if amount == np.inf:
        flow.marked[root] |= UNBOUNDED
        excess[root] = 0
        _orphan_first(flow, root)
        return
    flow.total[0] += amount
    back = sister(network, x, arc)
    residual[arc] -= amount
    residual[back] += amount
    v = x
    while parent[v] != TERMINAL:
        up = parent[v]
        down = sister(network, v, up)
        u = head(network, v, up)
        residual[down] -= amount
        residual[up] += amount
        if residual[down] == 0:
            _orphan_first(flow, v)
        v = u
    excess[v] -= amount
    if excess[v] == 0:
        _orphan_first(flow, v)
    v = y
    while parent[v] != TERMINAL:
        up = parent[v]
        down = sister(network, v, up)
        u = head(network, v, up)
        residual[up] -= amount
        residual[down] += amount
        if residual[up] == 0:
            _orphan_first(flow, v)
        v = u
    excess[v] += amount
    if excess[v] == 0:
        _orphan_first(flow, v)


@inner
def _adopt(network, flow, growing):
    """Find new parents for all orphans; the tree `growing` is being grown by one level."""
    residual, dist, parent, state = flow.residual, flow.dist, flow.parent, flow.state
    n = dist.size
    while state[ORPHANS] > 0:
        v = flow.queue[2, state[ORPHAN_HEAD]]
        state[ORPHAN_HEAD] += 1
        if state[ORPHAN_HEAD] == n:
            state[ORPHAN_HEAD] = 0
        state[ORPHANS] -= 1
        k = 0 if dist[v] > 0 else 1
        sign = 1 - 2 * k
        level = sign * dist[v]
        limit = state[DEPTH + k] + (1 if k == growing else 0)
        best = limit
        found = NONE
        first = begin(network, v)
        last = end(network, v)
        state[WORK] += last - first
        for arc in range(first, last):
            there = sign * get(dist, head(network, v, arc))
            if 0 < there < best and get(residual, arc if k else sister(network, v, arc)) > 0:
                best = there
                found = arc
                if there < level:
                    break
        if best >= level:
            for arc in range(first, last):
                w = head(network, v, arc)
                if get(parent, w) == sister(network, v, arc):
                    _orphan_last(flow, w)
            if found >= 0:
                dist[v] = sign * (best + 1)
                if best + 1 == limit:
                    _enqueue(flow, k, v)
            else:
                dist[v] = 0
        parent[v] = found


@inner
def _scan(network, flow, k, u):
    """Grow tree k out of u, one level deep."""
    residual, dist, parent = flow.residual, flow.dist, flow.parent
    sign = 1 - 2 * k
    level = dist[u]
    arc = begin(network, u)
    last = end(network, u)
    flow.state[WORK] += last - arc
    while arc < last:
        back = sister(network, u, arc)
        if get(residual, back if k else arc) > 0:
            w = head(network, u, arc)
            there = sign * get(dist, w)
            if there == 0:
                dist[w] = level + sign
                parent[w] = back
                _enqueue(flow, k, w)
            elif there < 0:
                if k == 0:
                    _augment(network, flow, u, w, arc)
                else:
                    _augment(network, flow, w, u, back)
                flow.state[WORK] += 8
                _adopt(network, flow, k)
                if dist[u] != level:
                    return
                continue  # the same arc may carry more, or its head may be free now
        arc += 1


@kernel
def prepare(network, flow):
    """Push what goes from a vertex straight to its neighbour, then plant both trees."""
    residual, excess = flow.residual, flow.excess
    n = excess.size
    for v in range(n):
        if excess[v] > 0:
            for arc in range(begin(network, v), end(network, v)):
                if residual[arc] > 0:
                    w = head(network, v, arc)
                    if excess[w] < 0:
                        amount = min(residual[arc], min(excess[v], -excess[w]))
                        if amount < np.inf:
                            residual[arc] -= amount
                            residual[sister(network, v, arc)] += amount
                            excess[v] -= amount
                            excess[w] += amount
                            flow.total[0] += amount
                            if excess[v] == 0:
                                break
    flow.state[:] = 0
    flow.state[DEPTH] = 1  # a pass over T, which is not there yet, has just ended: T gets level 1, S is next
    for v in range(n):
        flow.marked[v] &= UNBOUNDED
        flow.dist[v] = 0
        flow.parent[v] = NONE
        if excess[v] > 0:
            flow.dist[v] = 1
            flow.parent[v] = TERMINAL
            _enqueue(flow, 0, v)
        elif excess[v] < 0:
            flow.dist[v] = -1
            flow.parent[v] = TERMINAL
            _enqueue(flow, 1, v)
    flow.state[SIDE] = 1


@kernel
def run(network, flow, budget):
    """Go on for about `budget` visits of arcs: DONE or PAUSED."""
    state = flow.state
    n = flow.dist.size
    state[WORK] = 0
    while True:
        k = state[SIDE]
        if state[LEFT] == 0:
            state[DEPTH + k] += 1
            if state[COUNT] == 0:
                return DONE
            k = 1 if 0 < state[COUNT + 1] < state[COUNT] else 0  # the tree that is cheaper to grow
            state[SIDE] = k
            state[LEFT] = state[COUNT + k]
        if state[WORK] > budget:
            return PAUSED
        v = flow.queue[k, state[HEAD + k]]
        state[HEAD + k] += 1
        if state[HEAD + k] == n:
            state[HEAD + k] = 0
        state[COUNT + k] -= 1
        state[LEFT] -= 1
        flow.marked[v] &= 255 - (1 << k)
        level = flow.dist[v] if k == 0 else -flow.dist[v]
        if level == state[DEPTH + k]:
            _scan(network, flow, k, v)
        elif level > state[DEPTH + k]:
            _enqueue(flow, k, v)
