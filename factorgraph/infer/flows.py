"""The flow network of some components: made once, filled for one choice between two labels after the other.

Large components of variables in a row get a network of their own (implicit, where it is a grid), the others share
sparse ones. Which do depends on the plan only, so that answers have the same bytes for any number of threads.
Factors of arity 3 have one more variable each (cubic.py).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from ..kernels.arcs import Grid, Pairs, Sparse, count_arcs, grid_width, place_arcs, set_grid_arcs
from ..kernels.cuts import (
    Split,
    add_bias,
    add_unaries,
    forbid_labels,
    set_capacities,
    set_excess,
    sort_factors,
    split_pairs,
    unpack_pairs,
)
from ..kernels.maxflow import PAUSED, STATE, UNBOUNDED, Flow, prepare, run
from ..kernels.structure import SCOPE
from ..plan import Asked, Plan
from .cubic import Choice, cubic_terms, scopes_of
from .spread import spread

#: Variables in a row that make a network of their own worth a look at whether it is a grid.
ALONE = 1024
#: Configurations of components that share a network.
SHARE = 1e6
#: Steps over pairs, and visits of arcs, that take less than 100 ms.
PAIRS, VISITS = 4_000_000, 3_000_000
#: Work of a flow per configuration, in configurations swept: what decides about threads.
WEIGHT = 10

class Clock:
    """When to stop: at a deadline, or because nobody waits for the answer any more."""

    def __init__(self, time_limit: float | None):
        self.deadline = np.inf if time_limit is None else time.perf_counter() + time_limit

    def over(self) -> bool:
        """Whether it is time to stop."""
        return time.perf_counter() > self.deadline

    def stop(self) -> None:
        """Stop what still runs in the background."""
        self.deadline = -np.inf


def fitting(plan: Plan, components: np.ndarray, arity: int, states: int) -> np.ndarray:
    """bool per component: no factor of larger arity, no variable of more states."""
    wide = np.zeros(plan.n_components, bool)
    if any(len(block.states) > arity for block in plan.blocks):
        scope = plan.factors.row[:, SCOPE]
        wide[plan.component[plan.factors.var[scope[:-1][np.diff(scope) > arity]]]] = True
    if plan.states.max(initial=0) > states:
        wide[plan.component[plan.states > states]] = True
    return ~wide[components]


def parts(plan: Plan, components: np.ndarray) -> list[np.ndarray]:
    """The components in groups, each of which gets a network."""
    ptr, order = plan.members
    if not components.size:
        return []
    size = ptr[components + 1] - ptr[components]
    row = (size >= ALONE) & (order[ptr[components + 1] - 1] - order[ptr[components]] == size - 1)
    rest = components[~row]
    shares = (np.cumsum(plan.work[rest]) / SHARE).astype(np.int64)
    groups = np.split(rest, np.flatnonzero(np.diff(shares)) + 1) if rest.size else []
    return [np.array([c]) for c in components[row]] + groups


class Network:
    """Vertices, arcs, costs and the flow of some components. `node` int32 (V,), shared by all, is written for these."""

    def __init__(self, plan: Plan, components: np.ndarray, node: np.ndarray):
        self.plan, self.components = plan, components
        ptr, order = plan.members
        pieces = [order[ptr[c] : ptr[c + 1]] for c in components]
        self.variables = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        joined, self.unaries, self.triples = self._listed()
        count = self.variables.size
        if self.triples.size:  # auxiliary variables are numbered behind all others
            auxiliary = np.arange(plan.states.size, plan.states.size + self.triples.size)
            node = np.concatenate([node, np.zeros(auxiliary.size, np.int32)])
            node[auxiliary] = count + np.arange(auxiliary.size)
            self.pairs = self._join(joined, auxiliary)
        else:
            self.pairs = self._pairs(joined)
        self.node = node
        self.width = 0
        if components.size == 1 and count >= ALONE:
            self.width = width = grid_width(self.pairs, int(self.variables[0]), count)
        if self.width:
            place = np.arange(count)
            node[self.variables] = (place // width + 1) * (width + 1) + place % width
            self.size = (count // width + 2) * (width + 1) + 1
        else:
            node[self.variables] = np.arange(count)
            self.size = count + self.triples.size
        self.where = node[self.variables]

    @cached_property
    def network(self) -> Sparse | Grid:
        """The arcs; made when a flow is, as what is only looked at needs none."""
        if not self.width:
            return sparse(self.pairs, self.node, self.size)
        step = self.width + 1
        set_grid_arcs(self.pairs, self.node, step)
        return Grid(np.array([1, -1, step, -step], np.int32))

    def _listed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Factors of arity 2, 1 and 3."""
        factors, chosen = self.plan.factors, self.components
        total = int((factors.first[chosen + 1] - factors.first[chosen]).sum())
        out, count = np.empty(total, np.int64), np.zeros(2, np.int64)
        sort_factors(chosen, factors, out, count)
        pairs, unaries = out[: count[0]], out[total - count[1] :]
        if count.sum() == total:
            return pairs, unaries, np.zeros(0, np.int64)
        rows = np.concatenate([np.arange(factors.first[c], factors.first[c + 1]) for c in chosen])
        return pairs, unaries, rows[factors.row[rows + 1, SCOPE] - factors.row[rows, SCOPE] == 3]

    def _pairs(self, joined: np.ndarray) -> Pairs:
        """Pairs of factors of arity 2; those that `plan.same` says are over the same variables are one."""
        first = np.zeros(0, np.int64)
        leaders = joined
        if self.plan.same.size:
            same = self.plan.same[joined]
            if (same != joined).any():
                order = np.argsort(same, kind="stable")
                joined, same = joined[order], same[order]
                starts = np.flatnonzero(np.diff(same, prepend=-1))
                first, leaders = np.append(starts, joined.size), same[starts]
        u, v = np.empty((2, leaders.size), np.int32)
        unpack_pairs(leaders, self.plan.factors, u, v)
        return Pairs(u, v, first, joined, np.empty(leaders.size, np.int32))

    def _join(self, joined: np.ndarray, auxiliary: np.ndarray) -> Pairs:
        """Pairs of factors of arity 2 and of the reduced ones; remembers where the tables of the latter go."""
        factors = self.plan.factors
        at = factors.row[joined, SCOPE]
        scope = scopes_of(self.plan, self.triples)
        ends = [np.stack([factors.var[at], factors.var[at + 1]], 1)]
        ends += [scope[:, [i, j]] for i, j in itertools.combinations(range(3), 2)]
        ends += [np.stack([scope[:, i], auxiliary], 1) for i in range(3)]
        every = np.concatenate(ends).astype(np.int64)
        most = self.plan.states.size + auxiliary.size
        key, place = np.unique(every.min(1) * most + every.max(1), return_inverse=True)
        self.places = place[joined.size :].reshape(6, -1)  # tables of pairs are added there, symmetric ones
        own = place[: joined.size]
        order = np.argsort(own, kind="stable")
        first = np.searchsorted(own[order], np.arange(key.size + 1))
        u, v = (key // most).astype(np.int32), (key % most).astype(np.int32)
        return Pairs(u, v, first, joined[order], np.empty(key.size, np.int32))

    def tables(self, asked: Asked) -> tuple[Any, ...]:
        """What kernels read of the energies; the last is the share of an entry that counts as rounding."""
        rounding = 8 * float(np.finfo(asked.energies.dtype).eps)
        return self.plan.factors, self.plan.states, asked.energies, rounding

    def costs(self, asked: Asked, choice: Choice) -> tuple[np.ndarray, np.ndarray]:
        """Linear terms float64 (size, 2), and what reduced factors add to the tables of pairs, (P or 0, 4)."""
        plan, energies, bias, _ = asked
        cost = np.zeros((self.size, 2))
        add_unaries(self.unaries, plan.factors, energies, choice, self.node, cost)
        if bias.size:
            add_bias(self.variables, plan.offsets, bias, choice, self.node, cost)
        return cost, self._reduce(asked, choice, cost) if self.triples.size else np.zeros((0, 4))

    def ask(self, asked: Asked, choice: Choice) -> int:
        """Set costs and capacities for a choice between two labels (V,) each; returns how many pairs are odd."""
        energies = asked.energies
        tables = self.tables(asked)
        self.cost, extra = self.costs(asked, choice)
        count = self.pairs.u.size
        self.split = Split(np.empty(count), np.empty(count), np.empty(count, np.uint8))
        spans = [(low, min(low + PAIRS, count)) for low in range(0, count, PAIRS)]
        about = (self.pairs, tables, choice, extra, self.node, self.cost)
        if (self.cost == np.inf).any() or energies.max(initial=0.0) == np.inf:
            while sum(forbid_labels(*span, *about) for span in spans):
                pass
        odd = 0
        for span in spans:
            odd += split_pairs(*span, *about, self.split)
        return odd

    def _reduce(self, asked: Asked, choice: Choice, cost: np.ndarray) -> np.ndarray:
        """Tables float64 (P, 4) of the pairs that reduced factors add to; their linear terms go to the costs."""
        self.terms = terms = cubic_terms(asked, choice, self.triples)
        down, up = np.minimum(terms.cubic, 0), np.maximum(terms.cubic, 0)
        scope, extra = scopes_of(self.plan, self.triples), np.zeros((self.pairs.u.size, 4))
        for m in range(3):
            np.add.at(cost[:, 1], self.node[scope[:, m]], terms.linear[m])
            np.add.at(cost[:, 0], self.node[scope[:, m]], -up)
            np.add.at(extra[:, 3], self.places[m], terms.joint[m])
            np.add.at(extra[:, 0], self.places[m], up)
            extra[self.places[3 + m], 3] = down
            extra[self.places[3 + m], 0] = -up
        z = self.variables.size + np.arange(self.triples.size)
        cost[z, 1], cost[z, 0] = -2 * down, 2 * up
        return extra

    def odd(self) -> np.ndarray:
        """bool (C,): components with a pair that is not submodular, or a factor of arity 3 that forbids."""
        out = self.unreduced()
        out[self.plan.component[self.pairs.u[self.split.odd == 1]]] = True
        return out

    def unreduced(self) -> np.ndarray:
        """bool (C,): components with a factor of arity 3 that forbids something, which is left out of the network."""
        out = np.zeros(self.plan.n_components, bool)
        if self.triples.size:
            out[self.plan.component[scopes_of(self.plan, self.triples[self.terms.refused])[:, 0]]] = True
        return out

    @property
    def owner(self) -> np.ndarray:
        """int (size,): the component of every vertex, −1 of those that are nobody's."""
        out = np.full(self.size, -1, np.int64)
        out[self.where] = self.plan.component[self.variables]
        if self.triples.size:
            out[self.variables.size :] = self.plan.component[scopes_of(self.plan, self.triples)[:, 0]]
        return out

    def fill(self) -> None:
        """Make the flow of what has been asked."""
        if not hasattr(self, "flow"):
            self.flow = new_flow(self.size, 4 * self.size if self.width else 2 * self.pairs.u.size)
        network = self.network
        for low in range(0, self.pairs.u.size, PAIRS):
            span = (low, min(low + PAIRS, self.pairs.u.size))
            set_capacities(*span, self.pairs, self.split, network, self.node, self.flow.residual)
        set_excess(self.cost, self.flow.excess, self.flow.marked)

    def taken(self) -> np.ndarray:
        """bool: which of `variables` take their second label, in the least set of such that is optimal."""
        return self.flow.dist[self.where] > 0

    def lost(self) -> np.ndarray:
        """bool (C,): components all of whose choices are forbidden."""
        out = np.zeros(self.plan.n_components, bool)
        marked = (self.flow.marked[self.where] & UNBOUNDED) > 0
        if marked.any():
            out[self.plan.component[self.variables[marked]]] = True
        return out


def new_flow(vertices: int, arcs: int) -> Flow:
    """Memory for a flow."""
    dist, parent = np.zeros(vertices, np.int32), np.zeros(vertices, np.int32)
    marked, queue = np.zeros(vertices, np.uint8), np.zeros((3, vertices), np.int32)
    return Flow(np.zeros(arcs), np.zeros(vertices), np.zeros(1), dist, parent, marked, queue, np.zeros(STATE, np.int64))


def sparse(pairs: Pairs, node: np.ndarray, vertices: int) -> Sparse:
    """The network of pairs; writes their arcs."""
    first = np.zeros(vertices + 1, np.int32)
    count_arcs(pairs, node, first)
    head, back = np.empty((2, 2 * pairs.u.size), np.int32)
    place_arcs(pairs, node, first.copy(), head, back)
    return Sparse(first, head, back)


def push(network: Sparse | Grid, flow: Flow, clock: Clock) -> bool:
    """Run a filled flow to its end; whether it came there in time."""
    prepare(network, flow)
    while run(network, flow, VISITS) == PAUSED:
        if clock.over():
            return False
    return True


def each_part(
    asked: Asked, task: Callable[[Network], Any], threads: int | None, clock: Clock
) -> list[tuple[np.ndarray, Any]]:
    """(components, result of `task`) for the networks of all components asked, on threads."""
    plan = asked.plan
    groups = parts(plan, asked.components)
    node = np.zeros(plan.states.size, np.int32)
    _ = plan.members  # made before threads ask for it

    def some(chosen: np.ndarray) -> list[tuple[np.ndarray, Any]]:
        return [(groups[i], task(Network(plan, groups[i], node))) for i in chosen if not clock.deadline == -np.inf]

    work = np.array([WEIGHT * plan.work[group].sum() for group in groups])
    try:
        return [pair for found in spread(np.arange(len(groups)), work, some, threads) for pair in found]
    finally:
        clock.stop()
