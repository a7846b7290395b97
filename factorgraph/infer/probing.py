"""Probing binary components: what roof duality says once a variable is held at 0, and once it is held at 1.

Boros, Hammer, Tavares, "Preprocessing of unconstrained quadratic binary optimization" (2006); Rother, Kolmogorov,
Lempitsky, Szummer, "Optimizing binary MRFs via extended roof duality" (2007).

    x_p = 0 and x_p = 1 both imply x_q = j             x_q is j
    they imply x_q = j and x_q = 1 − j                 x_q is x_p, or 1 − x_p
    x_p = i leaves nothing                             x_p is 1 − i

What strong persistency says of a held variable is true of every labelling that is best among those that hold it, and
every best labelling is one of those for one of the two values. So all of this holds in every best labelling.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np

from ..kernels.maxflow import WORK
from ..kernels.network import Network as Tables
from ..kernels.structure import LOOPY
from ..plan import Asked
from .flows import Clock, Network, fitting
from .fold import Step
from .mincut import both
from .network import asked_of, network_of
from .qpbo import Roof, check_narrow
from .solver import evaluate

#: Variables of a problem that is probed: what is found is merged one by one.
MOST = 20_000
#: Without a time limit: arcs visited, of all components, some tenths of a second; with one, the share of what is left.
VISITS, SHARE = 15_000_000, 0.1
#: Variables in a row whose probing finds nothing, after which a component is left alone.
PATIENCE = 100
#: Shares of the variables that `improve` holds, in turn.
HELD = (0.1, 0.2, 0.4, 0.6)


def probe(asked: Asked, deadline: float = np.inf) -> Step:
    """Hold what is found, make one of variables that are equal or opposite. The components asked are all of the plan's.

    Loopy components of two states everywhere and factors of arity at most 3 are probed, as far as there is time;
    problems of more than MOST variables stay as they are.
    """
    plan, count = asked.plan, asked.plan.n_components
    lost, left = np.full(count, -1, np.int64), float(VISITS)
    clock = Clock(None)
    if deadline < np.inf:
        left, clock = np.inf, Clock(SHARE * (deadline - perf_counter()))
    classes = Classes(plan.states.size)
    node = np.zeros(plan.states.size, np.int32)
    fit = (plan.kinds == LOOPY) & fitting(plan, np.arange(count), 3, 2)
    fit[plan.component[plan.states < 2]] = False
    if plan.states.size > MOST:
        fit[:] = False
    for c in np.flatnonzero(fit):
        if left > 0 and not clock.over():
            network = Network(plan, np.array([c]), node)
            network.ask(asked, both(plan))
            if not network.unreduced().any():
                held = Held(network, clock)
                if not _probe(held, classes, left):
                    lost[c] = network.variables[0]
                left -= held.visits
    variables = np.arange(plan.states.size)
    root, opposite, value = classes.settle()
    if (root == variables).all() and (value < 0).all():
        return asked, variables, np.zeros(count), lost, lambda labels: labels
    kept = np.flatnonzero(root == variables)
    number = np.zeros(variables.size, np.int64)
    number[kept] = np.arange(kept.size)

    def lift(labels: np.ndarray) -> np.ndarray:
        mine = labels[number[root]]
        return np.where(mine < 0, -1, mine ^ opposite).astype(np.int32)

    return asked_of(_merged(asked, root, opposite, value)), kept, np.zeros(count), lost, lift


def improve(asked: Asked, labels: np.ndarray, tries: int = 100, seed: int = 0, deadline: float = np.inf) -> np.ndarray:
    """A labelling int32 (V,) that costs at most what `labels` do: some variables, drawn by chance, are held at their
    labels, and what roof duality says of the others is written over theirs, `tries` times (QPBO-I).

    Errors: FactorGraphError for components that `persistent` refuses.
    """
    check_narrow(asked, "improve", 2)
    plan, random = asked.plan, np.random.default_rng(seed)
    clock = Clock(deadline - perf_counter() if deadline < np.inf else None)
    best, node = labels.astype(np.int32), np.zeros(plan.states.size, np.int32)
    parts: list[tuple[Asked, Held]] = []
    for c in asked.components:
        if not clock.over():
            network = Network(plan, np.array([c]), node)
            network.ask(asked, both(plan))
            parts.append((asked._replace(components=network.components), Held(network, clock)))
    least = [evaluate(part, best)[1][0] for part, _ in parts]
    for number in range(tries):
        for i, (part, held) in enumerate(parts):
            if clock.over():
                return best
            v = held.roof.network.variables
            some = np.flatnonzero(random.random(v.size) < HELD[number % len(HELD)])
            found = held.labels(some, best[v[some]])
            if found is not None:
                old = best[v]
                best[v] = np.where(found < 0, old, np.minimum(found, plan.states[v] - 1))
                energy = evaluate(part, best)[1][0]
                if energy <= least[i]:
                    least[i] = energy
                else:  # by rounding, or where factors of arity 3 forbid something
                    best[v] = old
    return best


class Held:
    """A minimum cut of a component's doubled network, and those of the same network with vertices held.

    visits: how many arcs have been looked at, about.
    """

    def __init__(self, network: Network, clock: Clock):
        self.roof, self.clock, self.visits = Roof(network, clock), clock, 0
        self._save()

    def _save(self) -> None:
        flow = self.roof.flow
        self.saved = flow.residual.copy(), flow.excess.copy(), flow.marked.copy()

    def labels(self, at: np.ndarray, values: np.ndarray, keep: bool = False) -> np.ndarray | None:
        """int8 per variable of the network, −1 where open, with variables `at` of it held at `values`; None where that
        is infeasible. All are open where the time is up.

        keep: they are held from now on.
        """
        network, flow = self.roof.network, self.roof.flow
        for array, saved in zip((flow.residual, flow.excess, flow.marked), self.saved):
            array[:] = saved
        self.roof.hold(network.where[at], values, self.clock)
        self.visits += flow.residual.size + flow.excess.size + int(flow.state[WORK])
        if self.roof.lost().any():
            return None
        if keep and self.roof.done:
            self._save()
        return self.roof.labels()[network.where]


class Classes:
    """Variables that are equal or opposite in every best labelling, and values of some of them.

    x_v is x_parent[v], or the opposite where flip[v]; value int8 (V,), −1 where unknown.
    """

    def __init__(self, count: int):
        self.parent, self.flip = np.arange(count), np.zeros(count, np.int8)
        self.value = np.full(count, -1, np.int8)

    def find(self, v: int) -> tuple[int, int]:
        """The root of v's class, and whether v is opposite to it."""
        opposite = 0
        while self.parent[v] != v:
            opposite ^= int(self.flip[v])
            v = int(self.parent[v])
        return v, opposite

    def join(self, v: int, other: int, opposite: int) -> None:
        """v equals the other variable, or is opposite to it."""
        (a, first), (b, second) = self.find(v), self.find(other)
        if a != b:
            self.parent[a], self.flip[a] = b, first ^ second ^ opposite

    def settle(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(root, opposite to it, its value or −1) of every variable."""
        root, opposite = self.parent, self.flip
        while (root[root] != root).any():
            root, opposite = root[root], opposite ^ opposite[root]
        value = np.full(root.size, -1, np.int8)
        known = np.flatnonzero(self.value >= 0)
        value[root[known]] = self.value[known] ^ opposite[known]
        return root, opposite, value


def _probe(held: Held, classes: Classes, left: float) -> bool:
    """Probe the open variables one after the other, for about `left` visits; False proves the component infeasible."""
    v = held.roof.network.variables
    if held.roof.lost().any():
        return False
    known, idle = held.roof.labels()[held.roof.network.where], 0
    for p in np.flatnonzero(known < 0):
        if held.visits > left or idle == PATIENCE or held.clock.over():
            break
        if known[p] >= 0 or classes.parent[v[p]] != v[p]:
            continue
        at, idle = np.array([p]), idle + 1
        low, high = (held.labels(at, np.array([value])) for value in range(2))
        if low is None or high is None:
            if low is high:
                return False
            sure, values = at, np.array([low is None], np.int8)
        else:
            agreed = (low >= 0) & (high >= 0) & (known < 0)
            for q in np.flatnonzero(agreed & (low != high)):
                if q != p:
                    classes.join(int(v[q]), int(v[p]), int(low[q]))
                    idle = 0
            sure = np.flatnonzero(agreed & (low == high))
            values = low[sure]
        if sure.size:
            idle = 0
            found = held.labels(sure, values, keep=True)
            if found is None:
                return False
            known = np.where(found >= 0, found, known)
            known[sure] = values
    classes.value[v] = known
    return True


def _merged(asked: Asked, root: np.ndarray, opposite: np.ndarray, value: np.ndarray) -> Tables:
    """The same energies as a network of roots of classes, whose other value is forbidden where one is known."""
    network = network_of(asked).network
    kept = np.flatnonzero(root == np.arange(root.size))
    number = np.full(root.size, -1, np.int64)
    number[kept] = np.arange(kept.size)
    unary = [network.unary[network.first[v] : network.first[v + 1]].copy() for v in range(root.size)]
    for v in np.flatnonzero(root != np.arange(root.size)):
        unary[root[v]] += unary[v][::-1] if opposite[v] else unary[v]
    for v in np.flatnonzero(value >= 0):
        unary[v][1 - value[v]] = np.inf
    scopes: list[list[int]] = []
    tables: list[np.ndarray] = []
    for f in range(network.ptr.size - 1):
        scope = network.var[network.ptr[f] : network.ptr[f + 1]]
        table = network.tables[network.start[f] : network.start[f + 1]].reshape(network.states[scope])
        table = np.flip(table, tuple(np.flatnonzero(opposite[scope]).tolist()))
        roots = root[scope].tolist()
        distinct = list(dict.fromkeys(roots))
        if len(distinct) < len(roots):  # the diagonal, where variables are one
            table = np.einsum(table, [distinct.index(r) for r in roots], list(range(len(distinct))))
        if len(distinct) == 1:
            unary[distinct[0]] += table
        else:
            scopes.append(distinct)
            tables.append(table)
    states = network.states[kept]
    none = np.zeros(0)
    return Tables(
        states,
        np.append(0, np.cumsum(states)),
        np.concatenate([unary[v] for v in kept]),
        np.append(0, np.cumsum([len(scope) for scope in scopes], dtype=np.int64)),
        number[np.array([v for scope in scopes for v in scope], np.int64)],
        np.append(0, np.cumsum([table.size for table in tables], dtype=np.int64)),
        np.concatenate([table.ravel() for table in tables]) if tables else none,
    )
