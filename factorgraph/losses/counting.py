"""The least energy at every total cost: min { E(Y, Z) : Δ(Y) = d } for d = 0, 1, …, on a forest, with its labelling.

Beliefs have one more axis, the cost d spent below; where sub-trees meet, costs add up (a min-plus convolution):

    b_v(d, k) = unary(k) where d = cost_v(k), else +inf
    b_v(d, k) ← min_{d'} b_v(d − d', k) + m_f(d', k)        m_f from the children of every factor f below v

O(D² K²) per edge for D the largest total cost. (Tarlow, Zemel, "Structured output learning with high order loss
functions", 2012; the same counts as in weighted finite automata.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..kernels.structure import KIND, OFFSET, SCOPE
from ..kernels.tables import POTTS
from ..plan import Plan


@dataclass(frozen=True)
class Branch:
    """Factors over one set of variables: `scope` has the one nearest to the root first. factors: (row, axes) each, axes
    the places of the factor's own scope in `scope`'s order."""

    scope: tuple[int, ...]
    factors: tuple[tuple[int, tuple[int, ...]], ...]


def branches(plan: Plan, component: int) -> list[Branch]:
    """The factors of a forest component from the root, its first variable, to the leaves; unaries come as branches of
    one variable."""
    factors = plan.factors
    over: dict[frozenset[int], list[tuple[int, tuple[int, ...]]]] = {}
    touching: dict[int, list[frozenset[int]]] = {}
    for f in range(int(factors.first[component]), int(factors.first[component + 1])):
        own = tuple(factors.var[factors.row[f, SCOPE] : factors.row[f + 1, SCOPE]].tolist())
        key = frozenset(own)
        if key not in over:
            for v in own:
                touching.setdefault(v, []).append(key)
        over.setdefault(key, []).append((f, own))
    found, queue, seen = [], [int(plan.variables_of(component)[0])], set()
    for v in queue:
        for key in touching.get(v, []):
            if key not in seen:
                seen.add(key)
                rest = sorted(key - {v})
                queue += rest
                order = (v, *rest)
                rows = tuple((f, tuple(own.index(u) for u in order)) for f, own in over[key])
                found.append(Branch(order, rows))
    return found


def table(plan: Plan, energies: np.ndarray, branch: Branch) -> np.ndarray:
    """float64 (*states of the branch's scope): the sum of its factors."""
    states = [int(plan.states[v]) for v in branch.scope]
    total = np.zeros(states)
    for f, axes in branch.factors:
        start = plan.factors.row[f, OFFSET]
        if plan.factors.row[f, KIND] == POTTS:
            total += np.where(np.eye(states[0], dtype=bool), 0.0, np.float64(energies[start]))
            continue
        own = [states[axes.index(i)] for i in range(len(axes))]
        total += energies[start : start + total.size].astype(np.float64).reshape(own).transpose(axes)
    return total


def least_by_cost(
    plan: Plan, energies: np.ndarray, component: int, tree: list[Branch], cost: np.ndarray
) -> tuple[np.ndarray, Callable[[int], dict[int, int]]]:
    """(energies float64 (D + 1,) by total cost, +inf where there is none; the labelling {variable: state} of a cost).

    cost: int64 over the variable states.
    """
    beliefs = {}
    for v in plan.variables_of(component).tolist():
        own = cost[plan.offsets[v] : plan.offsets[v + 1]]
        beliefs[v] = np.full((int(own.max()) + 1, own.size), np.inf)
        beliefs[v][own, np.arange(own.size)] = 0.0
    trails = []
    for branch in reversed(tree):
        message, picks = table(plan, energies, branch)[None], []
        for child in reversed(branch.scope[1:]):
            message, pick = _absorb(message, beliefs[child])
            picks.append(pick)
        root = branch.scope[0]
        beliefs[root], split = _meet(beliefs[root], message)
        trails.append((branch, picks[::-1], split))
    root = int(plan.variables_of(component)[0])
    least = beliefs[root].min(1)
    return least, lambda spent: _trace(root, spent, int(beliefs[root][spent].argmin()), trails, plan)


def _absorb(message: np.ndarray, belief: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minimise the last axis of `message` (D, …, K) together with a child's belief (D', K); which (d', k) was best."""
    count, states = belief.shape
    shape = (message.shape[0] + count - 1, *message.shape[1:-1])
    out, pick = np.full(shape, np.inf), np.zeros(shape, np.int64)
    for spent in range(count):
        sums = message + belief[spent]
        best, state = sums.min(-1), sums.argmin(-1)
        span = slice(spent, spent + message.shape[0])
        better = best < out[span]
        out[span][better] = best[better]
        pick[span][better] = spent * states + state[better]
    return out, pick


def _meet(belief: np.ndarray, message: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both over the same variable, (D, K) and (D', K): costs add up; how much of it is the message's."""
    shape = (belief.shape[0] + message.shape[0] - 1, belief.shape[1])
    out, split = np.full(shape, np.inf), np.zeros(shape, np.int64)
    for spent in range(message.shape[0]):
        sums, span = belief + message[spent], slice(spent, spent + belief.shape[0])
        better = sums < out[span]
        out[span][better] = sums[better]
        split[span][better] = spent
    return out, split


def _trace(
    root: int, spent: int, state: int, trails: list[tuple[Branch, list[np.ndarray], np.ndarray]], plan: Plan
) -> dict[int, int]:
    """The labelling of total cost `spent` whose root has `state`."""
    labels, left = {root: state}, {root: spent}
    for branch, picks, split in reversed(trails):
        top = branch.scope[0]
        below = int(split[left[top], labels[top]])
        left[top] -= below
        for i, child in enumerate(branch.scope[1:]):
            at = tuple(labels[v] for v in branch.scope[: i + 1])
            share, labels[child] = divmod(int(picks[i][(below, *at)]), int(plan.states[child]))
            left[child] = share
            below -= share
    return labels
