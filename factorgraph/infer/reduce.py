"""Reductions that keep the minimum, and the way back.

    prune: states without support, dominated states, and with them variables of one state (kernels/reduce.py)
    fold:  variables that can be eliminated without larger tables (fold.py)
    probe: binary variables that are known, equal or opposite in every best labelling (probing.py)

All take a question and give a smaller one, whose minimum plus a constant is the minimum of every component.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from ..kernels.network import Network
from ..kernels.reduce import Pruning, cut_tables, dominate, propagate
from ..plan import Asked
from ..plan.derive import spans
from .fold import Step, fold
from .network import asked_of, incidence_of, network_of
from .probing import probe

#: Table entries one kernel call reads, far below 100 ms.
SLICE = 4_000_000
#: Entries that comparing all pairs of states may read; beyond it each state is compared with the best one.
PAIRS = 50_000_000
#: Prune, fold, probe, prune, …: how often.
ROUNDS = 4


@dataclass(frozen=True)
class Reduced:
    """A smaller question and what is known of the components of the first one, in the order of its list.

    owner int64 (C',): the place in that list of each component of `asked`. constant float64 (C,): what is decided.
    lost int64 (C,): a variable to which no state is left, which proves the component infeasible; −1 elsewhere.
    """

    asked: Asked
    owner: np.ndarray
    constant: np.ndarray
    lost: np.ndarray
    lifts: tuple[Callable[[np.ndarray], np.ndarray], ...]

    def lift(self, labels: np.ndarray) -> np.ndarray:
        """int32: labels of the first plan's variables from those of the smaller one's; −1 for components not asked,
        and for those that are infeasible."""
        for lift in reversed(self.lifts):
            labels = lift(labels)
        return labels


def reduce(asked: Asked, deadline: float = np.inf) -> Reduced:
    """Prune, fold and probe in turn until little changes, or time is up: then less is done, and all of it holds."""
    plan, count = asked.plan, asked.components.size
    place = np.full(plan.n_components, -1, np.int64)
    place[asked.components] = np.arange(count)
    whole = Reduced(asked, np.arange(count), np.zeros(count), np.full(count, -1, np.int64), ())
    base = np.arange(plan.states.size)  # of each variable of the reduced plan, that of the first
    for _ in range(ROUNDS):
        size = whole.asked.plan.size
        for step in (prune, fold, probe):
            asked, variables, constant, lost, lift = step(whole.asked, deadline)
            known = whole.lost.copy()
            found = lost >= 0
            known[whole.owner[found]] = base[lost[found]]
            total = whole.constant + np.bincount(whole.owner, constant, count)
            base = base[variables]
            owner = np.zeros(asked.plan.n_components, np.int64)
            owner[asked.plan.component] = place[plan.component[base]]
            whole = Reduced(asked, owner, total, known, (*whole.lifts, lift))
        if asked.plan.size >= 0.9 * size or perf_counter() > deadline:
            break
    return whole


def prune(asked: Asked, deadline: float = np.inf) -> Step:
    """Remove states, then variables of one state."""
    scene = network_of(asked)
    network, incidence = scene.network, incidence_of(scene.network)
    place = np.full(asked.plan.n_components, -1, np.int64)
    place[asked.components] = np.arange(asked.components.size)
    owner = place[asked.plan.component[scene.variables]]
    pruning = _begin(network, owner, asked.components.size)
    _settle(network, incidence, pruning, deadline)
    sizes = np.diff(network.start)
    reads = float(sizes[incidence.owner] @ network.states[network.var[incidence.entry]])
    while True:
        before, v = int(pruning.alive.sum()), 0
        while v < network.states.size and perf_counter() < deadline:
            v = dominate(network, incidence, pruning, v, SLICE, reads <= PAIRS)
        _settle(network, incidence, pruning, deadline)
        if perf_counter() > deadline or int(pruning.alive.sum()) >= 0.98 * before:
            break
    broken = (pruning.lost >= 0)[owner]
    fixed, open_ = (pruning.left == 1) & ~broken, (pruning.left > 1) & ~broken
    state = np.full(network.states.size, -1, np.int64)
    alive = np.flatnonzero(pruning.alive)
    holder = np.repeat(np.arange(network.states.size), network.states)[alive]
    state[holder[::-1]] = (alive - network.first[holder])[::-1]  # the first that is left
    loose, kept, constant = _cut(network, pruning, open_, broken, owner)
    np.add.at(constant, owner[fixed], network.unary[(network.first[:-1] + state)[fixed]])
    states = alive[open_[holder]] - network.first[holder[open_[holder]]]
    begin = loose.first[:-1]
    total = asked.plan.states.size

    def lift(labels: np.ndarray) -> np.ndarray:
        mine = np.where(fixed, state, -1)
        mine[kept] = np.where(labels >= 0, states[begin + np.maximum(labels, 0)], -1)
        out = np.full(total, -1, np.int32)
        out[scene.variables] = mine
        return out

    lost = np.where(pruning.lost >= 0, scene.variables[np.maximum(pruning.lost, 0)], -1)
    shut = np.flatnonzero(constant == np.inf)  # propagation was cut off before it came there
    if shut.size:
        at, which = np.unique(owner, return_index=True)
        lost[shut] = scene.variables[which[np.searchsorted(at, shut)]]
        constant[shut] = 0.0
    return asked_of(loose), scene.variables[kept], constant, lost, lift


def _begin(network: Network, owner: np.ndarray, components: int) -> Pruning:
    """States of finite unaries are left; factors that forbid something wait."""
    alive = network.unary < np.inf
    left = np.bincount(np.repeat(np.arange(owner.size), network.states), alive, owner.size).astype(np.int64)
    lost = np.full(components, -1, np.int64)
    lost[owner[left == 0]] = np.flatnonzero(left == 0)
    factors, arity = network.ptr.size - 1, int(np.diff(network.ptr).max(initial=1))
    infinite = np.append(0, np.cumsum(network.tables == np.inf))
    hard = infinite[network.start[1:]] > infinite[network.start[:-1]]
    ring = np.zeros(factors + 1, np.int64)
    wait = np.flatnonzero(hard)
    ring[: wait.size] = wait
    ends = np.array([0, wait.size])
    support = np.zeros(arity * int(network.states.max(initial=1)), np.uint8)
    digit = np.zeros(arity, np.int64)
    waiting = hard.astype(np.uint8)
    return Pruning(alive.astype(np.uint8), left, owner, lost, waiting.copy(), ring, waiting, ends, support, digit)


def conflicts(asked: Asked) -> np.ndarray:
    """int64 per component asked: a variable to which propagation leaves no state, −1 where there is none."""
    scene = network_of(asked)
    place = np.full(asked.plan.n_components, -1, np.int64)
    place[asked.components] = np.arange(asked.components.size)
    pruning = _begin(scene.network, place[asked.plan.component[scene.variables]], asked.components.size)
    _settle(scene.network, incidence_of(scene.network), pruning, np.inf)
    return np.where(pruning.lost >= 0, scene.variables[np.maximum(pruning.lost, 0)], -1)


def _settle(network: Network, incidence: object, pruning: Pruning, deadline: float) -> None:
    while propagate(network, incidence, pruning, SLICE) and perf_counter() < deadline:
        pass


def _cut(
    network: Network, pruning: Pruning, open_: np.ndarray, broken: np.ndarray, owner: np.ndarray
) -> tuple[Network, np.ndarray, np.ndarray]:
    """(network of the open variables, those variables, constant per component): tables cut to the states left.

    The network may have several factors over one set of variables: a plan folds them.
    """
    kept = np.flatnonzero(open_)
    local = np.cumsum(open_) - 1
    states = pruning.left[kept]
    first = np.append(0, np.cumsum(states))
    mine = np.repeat(open_, network.states) & (pruning.alive > 0)
    unary = network.unary[mine]
    arity = np.diff(network.ptr)
    factors = np.flatnonzero(~broken[network.var[network.ptr[:-1]]]) if arity.size else np.zeros(0, np.int64)
    entries = spans(network.ptr[factors], arity[factors])
    of = np.repeat(np.arange(factors.size), arity[factors])
    sizes = np.ones(factors.size, np.int64)
    np.multiply.at(sizes, of, pruning.left[network.var[entries]])
    at = np.append(0, np.cumsum(sizes))
    tables = np.empty(at[-1])
    cut_tables(network, pruning, factors, at, tables)
    wide = np.bincount(of, open_[network.var[entries]], factors.size).astype(np.int64)
    done = np.flatnonzero(wide == 0)
    constant = np.zeros(pruning.lost.size)
    np.add.at(constant, owner[network.var[network.ptr[factors[done]]]], tables[at[done]])
    inside = open_[network.var[entries]]
    scope, of = local[network.var[entries[inside]]], of[inside]
    lone = np.flatnonzero(wide == 1)
    target = scope[np.isin(of, lone)]
    np.add.at(unary, spans(first[target], states[target]), tables[spans(at[lone], sizes[lone])])
    rest = np.flatnonzero(wide > 1)
    ptr = np.append(0, np.cumsum(wide[rest]))
    start = np.append(0, np.cumsum(sizes[rest]))
    var = scope[np.isin(of, rest)]
    return Network(states, first, unary, ptr, var, start, tables[spans(at[rest], sizes[rest])]), kept, constant
