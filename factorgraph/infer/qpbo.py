"""Roof duality: what holds in every best labelling of a binary component, and a bound, whatever its energies.

Hammer, Hansen, Simeone, "Roof duality, complementation and persistency in quadratic 0-1 optimization" (1984);
Boros, Hammer 2002; Kolmogorov, Rother, "Minimizing nonsubmodular functions with graph cuts — a review" (2007).

The network has a vertex for x_v and one for 1 − x_v. A submodular pair joins x_u to x_v and 1 − x_u to 1 − x_v, any
other joins x_u to 1 − x_v and 1 − x_u to x_v. Half of its minimum cut is the bound of the linear relaxation. In the cut
with the least source side, v is 1 where x_v is on that side, 0 where 1 − x_v is, and open where neither is. *Strong
persistency*: every best labelling has these 0s and 1s. *Autarky*: writing them over any labelling never costs more.
"""

from __future__ import annotations

import numpy as np

from ..errors import FactorGraphError
from ..kernels.arcs import Pairs
from ..kernels.cuts import FLIP, add_bias, add_unaries, roof_pairs, set_capacities, set_excess
from ..kernels.maxflow import UNBOUNDED
from ..kernels.structure import LATTICE
from ..plan import Asked
from .flows import Choice, Clock, Network, each_part, fitting, new_flow, push, sparse
from .mincut import both
from .solver import evaluate


def persistent(asked: Asked, threads: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(labels int32 (V,), bound float64 per component asked) of binary components of factors of arity at most 2.

    Labels are −1 where a variable is open; all others are those of every best labelling. The bound is that of roof
    duality, less what rounding may add to it; +inf proves that a component is infeasible.

    Errors: FactorGraphError for any other component.
    """
    plan = asked.plan
    fit = (plan.kinds[asked.components] != LATTICE) & fitting(plan, asked.components, arity=2, states=2)
    if not fit.all():
        c = int(asked.components[np.argmin(fit)])
        raise FactorGraphError(
            f"persistent: component {c} is a lattice, or has variables of more than two states or factors of arity "
            "above 2; expected binary variables and pairs"
        )
    choice, clock = both(plan), Clock(None)
    labels, bounds = np.full(plan.states.size, -1, np.int32), np.zeros(plan.n_components)

    def label(network: Network) -> np.ndarray:
        network.ask(asked, choice, FLIP)
        dual = Roof(network, clock)
        v = network.variables
        labels[v] = np.where(dual.open, -1, np.where(dual.taken, choice[1][v], choice[0][v]))
        return dual.bound(asked, choice)

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
    check_pairs(asked, "fuse")
    first, second = np.where(first < 0, second, first), np.where(second < 0, first, second)
    worse = np.zeros(plan.n_components, bool)
    worse[asked.components] = evaluate(asked, second)[1] < evaluate(asked, first)[1]
    swap = worse[plan.component]
    choice = np.where(swap, second, first).astype(np.int32), np.where(swap, first, second).astype(np.int32)
    fused, clock = choice[0].copy(), Clock(None)

    def label(network: Network) -> None:
        v = network.variables
        if network.ask(asked, choice) == 0:
            network.fill()
            push(network.network, network.flow, clock)
            taken = network.taken()
        else:
            network.ask(asked, choice, FLIP)
            dual = Roof(network, clock)
            taken = dual.taken & ~dual.open
        fused[v] = np.where(taken, choice[1][v], choice[0][v])

    each_part(asked, label, threads, clock)
    keep_better(asked, fused, choice[0])
    return fused


def keep_better(asked: Asked, labels: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Put `old` labels back in components where `labels` are not better; returns a mask of those where they are."""
    new, known = evaluate(asked, labels)[1], evaluate(asked, old)[1]
    better = new < known
    if not better.all():
        back = asked.plan.inside(asked.components[~better])
        labels[back] = old[back]
    return better


def check_pairs(asked: Asked, where: str) -> None:
    """Refuse lattices and factors of arity above 2."""
    plan = asked.plan
    fit = (plan.kinds[asked.components] != LATTICE) & fitting(plan, asked.components, 2, np.iinfo(np.int32).max)
    if not fit.all():
        c = int(asked.components[np.argmin(fit)])
        raise FactorGraphError(
            f"{where}: component {c} is a lattice or has factors of arity above 2; expected pairs. Use method='min-sum'"
        )


class Roof:
    """The minimum cut of the doubled network of what `network` has been asked under FLIP.

    open, taken: bool per variable of the network; `taken` means nothing where `open`.
    """

    def __init__(self, network: Network, clock: Clock):
        self.network = network
        n, pairs, odd = network.size, network.pairs, network.split.odd
        i, j = network.node[pairs.u], network.node[pairs.v] + n * odd.astype(np.int32)
        ends = np.concatenate([i, j, j, i]).astype(np.int32).reshape(2, 2, -1)
        ends[1] = (ends[1] + n) % (2 * n)
        u, v = np.ascontiguousarray(ends[:, 0].ravel()), np.ascontiguousarray(ends[:, 1].ravel())
        self.pairs = Pairs(u, v, pairs.first, pairs.factor, np.empty(u.size, np.int32))
        every = np.arange(2 * n, dtype=np.int32)
        arcs = sparse(self.pairs, every, 2 * n)
        flow = new_flow(2 * n, 2 * u.size)
        split = network.split
        for half in range(2):
            some = slice(half * odd.size, (half + 1) * odd.size)
            own = self.pairs._replace(u=u[some], v=v[some], arc=self.pairs.arc[some])
            set_capacities(0, odd.size, own, split, arcs, every, flow.residual)
        set_excess(network.cost, flow.excess[:n], flow.marked[:n])
        flow.excess[n:] = -flow.excess[:n]
        push(arcs, flow, clock)
        self.source = flow.dist[network.where] > 0
        self.mirror = flow.dist[network.where + n] > 0
        self.open = self.source == self.mirror
        self.taken = self.source
        self.marked = ((flow.marked[network.where] | flow.marked[network.where + n]) & UNBOUNDED) > 0

    def bound(self, asked: Asked, choice: Choice) -> np.ndarray:
        """The cost of the cut, summed again from the energies, per component of the network."""
        plan, network, v = asked.plan, self.network, self.network.variables
        x, y = (np.zeros(plan.states.size, np.int32) for _ in range(2))
        x[v] = np.where(self.source, choice[1][v], choice[0][v])
        y[v] = np.where(self.mirror, choice[0][v], choice[1][v])
        cost = np.zeros((network.size, 2))
        add_unaries(network.unaries, plan.factors, asked.energies, (x, y), network.node, cost)
        if asked.bias.size:
            add_bias(v, plan.offsets, asked.bias, (x, y), network.node, cost)
        joint = np.zeros(network.pairs.u.size)
        roof_pairs(network.pairs, plan.factors, plan.states, asked.energies, x, y, network.split.odd, joint)
        of_pair, of_variable = plan.component[network.pairs.u], plan.component[v]
        unary = cost[network.where].sum(1)
        total, scale = np.zeros((2, plan.n_components))
        np.add.at(total, of_pair, joint / 2)
        np.add.at(total, of_variable, unary / 2)
        np.add.at(scale, of_pair, abs(joint))
        np.add.at(scale, of_variable, abs(unary))
        total = np.where(scale < np.inf, total - 16 * np.finfo(np.float64).eps * np.minimum(scale, 1e300), np.inf)
        total[of_variable[self.marked]] = np.inf
        return total[network.components]
