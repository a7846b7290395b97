"""Roof duality: what holds in every best labelling of a binary component, and a bound, whatever its energies.

Hammer, Hansen, Simeone, "Roof duality, complementation and persistency in quadratic 0-1 optimization" (1984);
Boros, Hammer 2002; Kolmogorov, Rother, "Minimizing nonsubmodular functions with graph cuts — a review" (2007).

The network has a vertex for x_v and one for 1 − x_v. A submodular pair joins x_u to x_v and 1 − x_u to 1 − x_v, any
other joins x_u to 1 − x_v and 1 − x_u to x_v. Half of its minimum cut is the bound of the linear relaxation. In the cut
with the least source side, v is 1 where x_v is on that side, 0 where 1 − x_v is, and open where neither is. *Strong
persistency*: every best labelling has these 0s and 1s. *Autarky*: writing them over any labelling never costs more.
Factors of arity 3 are made quadratic first (cubic.py): every best labelling is one of the larger problem too.
"""

from __future__ import annotations

import numpy as np

from ..errors import FactorGraphError
from ..kernels.arcs import Pairs
from ..kernels.cuts import roof_pairs, set_capacities, set_excess
from ..kernels.maxflow import UNBOUNDED
from ..kernels.structure import LATTICE
from ..plan import Asked
from .cubic import Choice
from .flows import Clock, Network, each_part, fitting, new_flow, push, sparse
from .mincut import both
from .solver import evaluate

#: What rounding may add to a sum, relative to the sum of the terms' sizes.
ROUNDING = 16 * float(np.finfo(np.float64).eps)


def persistent(asked: Asked, threads: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(labels int32 (V,), bound float64 per component asked) of binary components of factors of arity at most 3.

    Labels are −1 where a variable is open; all others are those of every best labelling. The bound is that of roof
    duality, less what rounding may add to it; +inf proves that a component is infeasible. Where factors of arity 3
    forbid something, all is open and the bound −inf.

    Errors: FactorGraphError for any other component.
    """
    plan = asked.plan
    check_narrow(asked, "persistent", 2)
    choice, clock = both(plan), Clock(None)
    labels, bounds = np.full(plan.states.size, -1, np.int32), np.zeros(plan.n_components)

    def label(network: Network) -> np.ndarray:
        network.ask(asked, choice)
        roof, v = Roof(network, clock), network.variables
        found = roof.labels()[network.where]
        found[network.unreduced()[plan.component[v]]] = -1
        labels[v] = np.minimum(found, plan.states[v] - 1)
        return roof.bound(asked, choice)

    for components, bound in each_part(asked, label, threads, clock):
        bounds[components] = bound
    return labels, bounds[asked.components]


def fuse(asked: Asked, first: np.ndarray, second: np.ndarray, threads: int | None = None) -> np.ndarray:
    """A labelling int32 (V,) that takes every label from `first` or `second`, and costs at most what either does.

    It is the best of all such where pairs are submodular in that choice; else variables that roof duality leaves open
    keep the label of the better of the two (Lempitsky, Rother, Roth, Blake, "Fusion moves", 2010). Variables without a
    label in one of the two (−1) keep that of the other.

    Errors: FactorGraphError for factors of larger arity and lattices.
    """
    plan = asked.plan
    check_narrow(asked, "fuse")
    first, second = np.where(first < 0, second, first), np.where(second < 0, first, second)
    worse = np.zeros(plan.n_components, bool)
    worse[asked.components] = evaluate(asked, second)[1] < evaluate(asked, first)[1]
    swap = worse[plan.component]
    choice = np.where(swap, second, first).astype(np.int32), np.where(swap, first, second).astype(np.int32)
    fused, clock = choice[0].copy(), Clock(None)

    def label(network: Network) -> None:
        taken = best_choice(network, asked, choice, clock)
        if taken is not None:
            v = network.variables
            fused[v] = np.where(taken, choice[1][v], choice[0][v])

    each_part(asked, label, threads, clock)
    keep_better(asked, fused, choice[0])
    return fused


def best_choice(network: Network, asked: Asked, choice: Choice, clock: Clock) -> np.ndarray | None:
    """bool per variable of the network: whether it takes its second label in the best choice, where pairs are
    submodular, else in what roof duality says of all best ones, which costs at most what the first labels do. None
    where the time is up."""
    if network.ask(asked, choice) > 0:
        roof = Roof(network, clock)
        return roof.labels()[network.where] == 1 if roof.done else None
    network.fill()
    return network.taken() if push(network.network, network.flow, clock) else None


def keep_better(asked: Asked, labels: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Put `old` labels back in components where `labels` are not better; returns a mask of those where they are."""
    new, known = evaluate(asked, labels)[1], evaluate(asked, old)[1]
    better = new < known
    if not better.all():
        back = asked.plan.inside(asked.components[~better])
        labels[back] = old[back]
    return better


def check_narrow(asked: Asked, where: str, states: int = np.iinfo(np.int32).max) -> None:
    """Refuse lattices, factors of arity above 3, and variables of more states."""
    plan = asked.plan
    fit = (plan.kinds[asked.components] != LATTICE) & fitting(plan, asked.components, 3, states)
    if not fit.all():
        c = int(asked.components[np.argmin(fit)])
        wide = "variables of more than two states or " if states == 2 else ""
        raise FactorGraphError(
            f"{where}: component {c} is a lattice or has {wide}factors of arity above 3; expected "
            f"{'binary variables and ' if states == 2 else ''}arity at most 3. Use method='auto'"
        )


class Roof:
    """The minimum cut of the doubled network of what `network` has been asked.

    x_v is vertex v of the flow, 1 − x_v vertex network.size + v. done: the time was enough; else all is open.
    """

    def __init__(self, network: Network, clock: Clock):
        self.network = network
        n, pairs, odd = network.size, network.pairs, network.split.odd
        i, j = network.node[pairs.u], network.node[pairs.v] + n * odd.astype(np.int32)
        ends = np.concatenate([i, j, j, i]).astype(np.int32).reshape(2, 2, -1)
        ends[1] = (ends[1] + n) % (2 * n)
        u, v = np.ascontiguousarray(ends[:, 0].ravel()), np.ascontiguousarray(ends[:, 1].ravel())
        both = Pairs(u, v, pairs.first, pairs.factor, np.empty(u.size, np.int32))
        every = np.arange(2 * n, dtype=np.int32)
        self.arcs, self.flow = sparse(both, every, 2 * n), new_flow(2 * n, 2 * u.size)
        for half in range(2):
            some = slice(half * odd.size, (half + 1) * odd.size)
            own = both._replace(u=u[some], v=v[some], arc=both.arc[some])
            set_capacities(0, odd.size, own, network.split, self.arcs, every, self.flow.residual)
        set_excess(network.cost, self.flow.excess[:n], self.flow.marked[:n])
        self.flow.excess[n:] = -self.flow.excess[:n]
        self.done = push(self.arcs, self.flow, clock)

    def hold(self, at: np.ndarray, values: np.ndarray, clock: Clock) -> None:
        """Push on with vertices `at` of the network held at `values`."""
        n, flow = self.network.size, self.flow
        one, zero = at[values == 1], at[values == 0]
        up, down = np.concatenate([one, zero + n]), np.concatenate([zero, one + n])
        flow.marked[up[flow.excess[up] == -np.inf]] |= UNBOUNDED
        flow.excess[up], flow.excess[down] = np.inf, -np.inf
        self.done = push(self.arcs, flow, clock)

    def labels(self) -> np.ndarray:
        """int8 per vertex of the network: 0, 1, or −1 where it is open."""
        n = self.network.size
        source, mirror = self.flow.dist[:n] > 0, self.flow.dist[n:] > 0
        return np.where((source == mirror) | (not self.done), -1, source).astype(np.int8)

    def lost(self) -> np.ndarray:
        """bool per vertex of the network: a path of infinite capacity began there, so that its component has no
        labelling."""
        n = self.network.size
        return ((self.flow.marked[:n] | self.flow.marked[n:]) & UNBOUNDED) > 0

    def bound(self, asked: Asked, choice: Choice) -> np.ndarray:
        """The cost of the cut, summed again from the energies, per component of the network."""
        network, pairs = self.network, self.network.pairs
        n, count = network.size, network.plan.n_components
        cost, extra = network.costs(asked, choice)
        sides = np.stack([self.flow.dist[:n] > 0, self.flow.dist[n:] <= 0], 1).astype(np.uint8)
        joint = np.zeros(pairs.u.size)
        roof_pairs(pairs, network.tables(asked), choice, extra, network.node, sides, network.split.odd, joint)
        owner = network.owner
        used = owner >= 0
        unary, of_vertex = np.take_along_axis(cost, sides, 1).sum(1)[used], owner[used]
        of_pair = network.plan.component[pairs.u]
        total = np.bincount(of_pair, joint, count) + np.bincount(of_vertex, unary, count)
        scale = np.bincount(of_pair, abs(joint), count) + np.bincount(of_vertex, abs(unary), count)
        if network.triples.size:
            of_triple = owner[network.variables.size :]
            total += np.bincount(of_triple, 2 * network.terms.constant, count)
            scale += np.bincount(of_triple, network.terms.weight, count)
        total = np.where(scale < np.inf, total / 2 - ROUNDING * np.minimum(scale, 1e300), np.inf)
        total[owner[self.lost() & used]] = np.inf
        total[network.unreduced()] = -np.inf
        return total[network.components]
