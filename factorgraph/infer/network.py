"""Plans as networks of dense tables, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..kernels.network import Incidence, Network, fill_network
from ..kernels.simd import buffer
from ..kernels.structure import SCOPE
from ..kernels.tables import DENSE
from ..plan import Asked, Block, Lattices, Plan
from ..plan.derive import groups_of, spans


@dataclass(frozen=True)
class Scene:
    """A network and where its variables come from: variables int64 (V,), their numbers in the plan, ascending."""

    network: Network
    variables: np.ndarray


def network_of(asked: Asked) -> Scene:
    """The components asked (no lattices), their bias in the unaries. No table is shared any more: see Plan.work."""
    plan, energies, bias, components = asked
    components = np.sort(components)
    variables = np.flatnonzero(plan.inside(components))
    local = np.full(plan.states.size, -1, np.int64)
    local[variables] = np.arange(variables.size)
    states = plan.states[variables].astype(np.int64)
    first = np.append(0, np.cumsum(states))
    factors = plan.factors
    rows = spans(factors.first[components], factors.first[components + 1] - factors.first[components])
    arity = factors.row[rows + 1, SCOPE] - factors.row[rows, SCOPE]
    lead = rows if not plan.same.size else plan.same[rows]
    own = (arity > 1) & (lead == rows)
    number = np.cumsum(own) - 1
    place = np.where(arity > 1, number[np.searchsorted(rows, lead)] if plan.same.size else number, -1)
    var = local[factors.var[spans(factors.row[rows[own], SCOPE], arity[own])]]
    ptr = np.append(0, np.cumsum(arity[own]))
    sizes = np.multiply.reduceat(states[var], ptr[:-1]) if var.size else np.zeros(0, np.int64)
    start = np.append(0, np.cumsum(sizes))
    network = Network(states, first, np.zeros(first[-1]), ptr, var, start, np.zeros(start[-1]))
    if bias.size:
        network.unary[:] = bias[spans(plan.offsets[variables], states)]
    widest = int(arity.max(initial=1))
    scratch = np.empty(widest, np.int64), np.empty(widest, np.int64)
    fill_network(rows, factors, place, local, energies, network, scratch)
    return Scene(network, variables)


def incidence_of(network: Network) -> Incidence:
    """Scope entries by variable."""
    order = np.argsort(network.var, kind="stable")
    ptr = np.searchsorted(network.var[order], np.arange(network.states.size + 1))
    owner = np.repeat(np.arange(network.ptr.size - 1), np.diff(network.ptr))
    return Incidence(ptr, order, owner[order])


def asked_of(network: Network) -> Asked:
    """A plan of the network's structure with its energies, split into components: what solvers understand."""
    blocks: list[Block] = []
    parts: list[np.ndarray] = []
    size = 0

    def append(states: tuple[int, ...], scopes: np.ndarray, entries: np.ndarray) -> None:
        nonlocal size
        scopes = np.ascontiguousarray(scopes, np.int32)
        blocks.append(Block(states, states, DENSE, scopes, None, len(scopes), size, False))
        parts.append(entries.ravel())
        size += entries.size

    for same in groups_of(network.states[:, None]):
        count = int(network.states[same[0]])
        append((count,), same[:, None], network.unary[network.first[same][:, None] + np.arange(count)])
    arity = np.diff(network.ptr)
    for k in np.unique(arity):
        chosen = np.flatnonzero(arity == k)
        scopes = network.var[network.ptr[chosen][:, None] + np.arange(k)]
        for same in groups_of(network.states[scopes]):
            shape = tuple(network.states[scopes[same[0]]].tolist())
            entries = network.tables[network.start[chosen[same]][:, None] + np.arange(np.prod(shape))]
            append(shape, scopes[same], entries)
    plan = Plan(network.states.astype(np.int32), (), tuple(blocks), Lattices.none())
    energies = buffer(plan.size, np.float64)
    if parts:
        np.concatenate(parts, out=energies)
    return Asked(plan, energies, np.zeros(0), np.arange(plan.n_components))
