"""Restrictions: a lattice that must spell a string, or any string an acceptor admits.

What a bias over variable states cannot say is said by a derived plan, the product of each lattice with a
deterministic acceptor. `sources` point from its tables to the base plan's energies: energies are gathered through
them, gradients added back, so no algorithm knows whether it works on a restricted graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FactorGraphError, listed
from ..kernels.product import live_pairs, product_arcs
from ..kernels.simd import buffer
from ..kernels.tables import DENSE, POTTS
from .acceptor import Acceptor
from .block import Block, Group, Lattices

if TYPE_CHECKING:
    from .plan import Plan


@dataclass(frozen=True)
class Restriction:
    """A derived plan and where its parts come from in the base plan.

    sources: per derived block int64 (tables, size), entries of the base energies (−1: the constant 0).
    states: int64 (derived variable states,), base variable states. variables: int64 (derived variables,).
    steps: int64 (derived variables, 2), acceptor states before and after an arc, −1 for other variables.
    """

    base: Plan
    plan: Plan
    sources: tuple[np.ndarray, ...]
    states: np.ndarray
    variables: np.ndarray
    steps: np.ndarray

    def energies(
        self, energies: np.ndarray, components: np.ndarray | None = None, out: np.ndarray | None = None
    ) -> np.ndarray:
        """The derived plan's energies, gathered from the base plan's."""
        if out is None:
            out = buffer(self.plan.size, energies.dtype)
        for i, (block, source) in enumerate(zip(self.plan.blocks, self.sources, strict=True)):
            rows = self.plan.rows(i, components)
            view = out[block.start : block.start + source.size].reshape(source.shape)
            index = source if rows is None else source[rows]
            values = np.where(index < 0, energies.dtype.type(0), energies[index])
            view[slice(None) if rows is None else rows] = values
        return out

    def add_gradient(self, derived: np.ndarray, gradient: np.ndarray, components: np.ndarray | None = None) -> None:
        """Add a gradient in the derived plan's layout to one in the base plan's."""
        for i, (block, source) in enumerate(zip(self.plan.blocks, self.sources, strict=True)):
            rows = self.plan.rows(i, components)
            view = derived[block.start : block.start + source.size].reshape(source.shape)
            index = (source if rows is None else source[rows]).ravel()
            values = (view if rows is None else view[rows]).ravel()
            np.add.at(gradient, index[index >= 0], values[index >= 0])

    def bias(self, bias: np.ndarray) -> np.ndarray:
        """A bias of the base plan, seen from the derived one."""
        out = buffer(self.states.size, bias.dtype)
        out[:] = bias[self.states]
        return out

    def labels(self, derived: np.ndarray) -> np.ndarray:
        """Base labels int32 (V,) of derived labels; arcs off the path are −1."""
        out = np.full(self.base.states.size, -1, np.int32)
        used = np.flatnonzero(derived >= 0)
        state = self.states[self.plan.offsets[used] + derived[used]]
        variable = self.variables[used]
        out[variable] = state - self.base.offsets[variable]
        return out


@dataclass
class _Arcs:
    """Product arcs of all lattices: arrays over product arcs, and the ragged choices of states they keep."""

    var: np.ndarray  # base variable
    steps: np.ndarray  # (n, 2) acceptor states before and after
    start: np.ndarray
    end: np.ndarray
    lattice: np.ndarray
    nodes: np.ndarray  # per lattice
    kept: np.ndarray
    choices: np.ndarray

    @property
    def first(self) -> np.ndarray:
        """Start of each arc's choices."""
        return np.concatenate([[0], np.cumsum(self.kept)])


def _multiply(plan: Plan, acceptors: Mapping[int, Acceptor]) -> _Arcs:
    lat = plan.lattices
    parts, choices, nodes = [], [], np.zeros(lat.nodes.size, np.int64)
    states = plan.states.astype(np.int64)
    for i in range(lat.nodes.size):
        span = slice(lat.ptr[i], lat.ptr[i + 1])
        order = np.lexsort((lat.end[span], lat.start[span]))
        var = lat.var[span][order]
        start, end = lat.start[span][order], lat.end[span][order]
        acceptor = acceptors.get(i) or Acceptor.everything(int(states[var].max(initial=1)))
        pairs = int(lat.nodes[i]) * acceptor.delta.shape[0]
        live, number = np.zeros(pairs, np.int64), np.zeros(pairs, np.int64)
        delta = np.ascontiguousarray(acceptor.delta, np.int32)
        accepting = np.ascontiguousarray(acceptor.accepting, np.bool_)
        here = states[var]
        nodes[i] = max(2, live_pairs(start, end, here, lat.nodes[i], delta, accepting, live))
        # a string visits each arc in few acceptor states: one pass with ample room is usually enough
        room = int(var.size) * min(acceptor.delta.shape[0], 4)
        while True:
            arcs, chosen = np.zeros((room, 6), np.int64), np.zeros(room * int(here.max(initial=1)), np.int64)
            count, picks = product_arcs(start, end, here, lat.nodes[i], delta, live, number, arcs, chosen)
            if count <= room and picks <= chosen.size:
                break
            room = max(count, picks)
        arcs = arcs[:count]
        arcs[:, 0] = var[arcs[:, 0]]
        parts.append(np.column_stack([arcs, np.full(count, i)]))
        choices.append(chosen[:picks].copy())
    table = np.concatenate(parts) if parts else np.zeros((0, 7), np.int64)
    kept = np.concatenate(choices) if choices else np.zeros(0, np.int64)
    return _Arcs(table[:, 0], table[:, 1:3], table[:, 3], table[:, 4], table[:, 6], nodes, table[:, 5], kept)


def restrict(plan: Plan, acceptors: Mapping[int, Acceptor]) -> Restriction:
    """Derive the plan in which each lattice `l` of `acceptors` only spells what `acceptors[l]` accepts.

    Components keep their numbers; a lattice that cannot spell any accepted string becomes one without arcs,
    which is infeasible.
    """
    from .plan import Plan as PlanType

    for key, acceptor in acceptors.items():
        _check_acceptor(plan, key, acceptor)
    arcs = _multiply(plan, acceptors)
    is_arc = np.zeros(plan.states.size, bool)
    is_arc[plan.lattices.var] = True
    plain = np.flatnonzero(~is_arc)
    variables = np.concatenate([plain, arcs.var])
    states = np.concatenate([plan.states[plain].astype(np.int64), arcs.kept])
    count = np.arange(int(states.sum())) - np.repeat(np.cumsum(states) - states, states)
    source = np.repeat(plan.offsets[variables], states) + count
    source[source.size - arcs.choices.size :] = np.repeat(plan.offsets[arcs.var], arcs.kept) + arcs.choices
    renamed = np.full(plan.states.size, -1, np.int32)
    renamed[plain] = np.arange(plain.size)

    blocks: list[Block] = []
    sources: list[np.ndarray] = []

    def append(shape: tuple[int, ...], kind: int, scopes: np.ndarray, table: np.ndarray | None, index: np.ndarray,
               states: tuple[int, ...], lattice: bool) -> None:  # fmt: skip
        start = sum(s.size for s in sources)
        scopes = np.ascontiguousarray(scopes, np.int32)
        blocks.append(Block(states, shape, kind, scopes, table, len(index), start, lattice))
        sources.append(index)

    pairs = _consecutive(arcs) if any(b.lattice and len(b.states) == 2 for b in plan.blocks) else None
    for block in plan.blocks:
        if not block.lattice:
            index = block.start + np.arange(block.tables * block.size).reshape(block.tables, block.size)
            append(block.shape, block.kind, renamed[block.scopes], block.table, index, block.states, False)
            continue
        table = np.arange(len(block.scopes)) if block.table is None else block.table
        chosen = np.arange(arcs.var.size)[:, None] if len(block.states) == 1 else pairs
        assert chosen is not None
        factor, which = _lookup(block.scopes.astype(np.int64), arcs.var[chosen], plan.states.size)
        base = block.start + table[factor] * block.size
        chosen = chosen[which]
        sizes = arcs.kept[chosen]
        span = int(sizes.max(initial=0)) + 1
        shapes = np.ravel_multi_index(tuple(sizes.T), (span,) * sizes.shape[1])
        for number in np.flatnonzero(np.bincount(shapes)):
            shape, same = np.array(np.unravel_index(number, (span,) * sizes.shape[1])), shapes == number
            index = _entries(block, base[same], arcs, chosen[same], shape)
            dims = tuple(int(k) for k in shape)
            append(dims, DENSE, plain.size + chosen[same], None, index.reshape(len(index), -1), dims, True)

    lattices = Lattices(
        np.concatenate([[0], np.cumsum(np.bincount(arcs.lattice, minlength=arcs.nodes.size))]).astype(np.int64),
        plain.size + np.arange(arcs.var.size),
        arcs.start,
        arcs.end,
        arcs.nodes,
        plan.lattices.component,
    )
    derived = PlanType(
        states.astype(np.int32), (), tuple(blocks), lattices, plan.component[variables], plan.n_components
    )
    steps = np.full((variables.size, 2), -1, np.int64)
    steps[plain.size :] = arcs.steps
    return Restriction(plan, derived, tuple(sources), source, variables, steps)


def _check_acceptor(plan: Plan, lattice: Any, acceptor: Acceptor) -> None:
    """Refuse lattices that do not exist and automata that do not fit them."""
    lattices = plan.lattices
    if not isinstance(lattice, (int, np.integer)) or not 0 <= lattice < lattices.nodes.size:
        raise FactorGraphError(
            f"restrict: expected the index of a lattice, 0 … {lattices.nodes.size - 1}; got {lattice!r}"
        )
    states = int(plan.states[lattices.var[lattices.ptr[lattice] : lattices.ptr[lattice + 1]]].max(initial=1))
    delta, accepting = np.asarray(acceptor.delta), np.asarray(acceptor.accepting)
    fits = delta.ndim == 2 and delta.shape[1] >= states and accepting.shape == delta.shape[:1]
    if not fits or not delta.size or delta.min() < -1 or delta.max() >= len(delta):
        raise FactorGraphError(
            f"restrict: expected an acceptor with delta of shape (Q, {states}) into −1 … Q − 1 and accepting (Q,); got "
            f"{delta.shape} and {accepting.shape}"
        )


def read_grammar(plan: Plan, group: Group, grammar: Acceptor, here: str) -> Acceptor:
    """The acceptor over the states of a lattice."""
    if group.lattice < 0:
        raise FactorGraphError(
            f"{here}: expected labels, an Acceptor is for lattices; got one of {grammar.delta.shape}"
        )
    if grammar.symbols is not None:
        raise FactorGraphError(
            f"{here}: expected an acceptor over states, 0 …; got one over symbols, {listed(grammar.symbols)}. Use "
            "acceptor.over(names of the states, in order)"
        )
    return grammar.over(range(int(plan.states[group.start : group.start + group.count].max(initial=0))))


def _consecutive(arcs: _Arcs) -> np.ndarray:
    """int64 (pairs, 2): product arcs of one lattice of which the second starts where the first ends."""
    return consecutive_arcs(arcs.lattice, arcs.start, arcs.end)


def consecutive_arcs(lattice: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """int64 (pairs, 2), sorted: all (a, b) of one lattice with end[a] == start[b]."""
    span = int(max(start.max(initial=0), end.max(initial=0))) + 1
    begin = lattice * span + start
    order = np.argsort(begin, kind="stable")
    target = lattice * span + end
    low = np.searchsorted(begin[order], target, "left")
    high = np.searchsorted(begin[order], target, "right")
    length = high - low
    first = np.repeat(np.arange(start.size), length)
    second = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length - low, length)
    return np.stack([first, order[second]], 1)


def _lookup(scopes: np.ndarray, wanted: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """All (factor, row of `wanted`) with scopes[factor] == wanted[row]."""
    weight = count ** np.arange(scopes.shape[1])[::-1]
    keys, asked = scopes @ weight, wanted @ weight
    order = np.argsort(keys, kind="stable")
    low = np.searchsorted(keys[order], asked, "left")
    length = np.searchsorted(keys[order], asked, "right") - low
    which = np.repeat(np.arange(asked.size), length)
    at = np.arange(which.size) - np.repeat(np.cumsum(length) - length - low, length)
    return order[at], which


def _entries(block: Block, base: np.ndarray, arcs: _Arcs, chosen: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Base entries of the derived tables of product arcs (or pairs) that keep `shape` states."""
    picks = [arcs.choices[arcs.first[chosen[:, k]][:, None] + np.arange(shape[k])] for k in range(chosen.shape[1])]
    if len(picks) == 1:
        return np.asarray(base[:, None] + picks[0])
    if block.kind == POTTS:
        return np.where(picks[0][:, :, None] != picks[1][:, None, :], base[:, None, None], -1)
    return np.asarray(base[:, None, None] + picks[0][:, :, None] * block.states[1] + picks[1][:, None, :])
