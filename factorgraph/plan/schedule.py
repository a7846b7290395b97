"""Sweep orders of forest and lattice components, made once per plan by kernels/schedule.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..kernels import messages
from ..kernels.schedule import (
    CHILD,
    DOWN,
    EDGE,
    END,
    FIRST,
    FORM,
    HEAD,
    NODES,
    PARENT,
    SIDE,
    SLOT,
    START,
    STATE,
    STATES,
    TABLE,
    UNARY,
    UP,
    VAR,
    Schedule,
    incidence,
    place_general,
    sweep_forests,
    sweep_lattices,
)
from ..kernels.structure import CHAIN, KIND, LATTICE, LOOPY, OFFSET, SCOPE
from ..kernels.tables import POTTS

if TYPE_CHECKING:
    from .plan import Plan

#: Dense pairwise blocks of at most this many shared tables get padded copies both ways round.
MOST_COPIES = 256


class Extent(NamedTuple):
    """Sizes of the work space of a sweep."""

    belief: int  # padded belief entries of the widest component
    message: int  # padded entries of its messages to parents, likewise
    table: int  # configurations of the largest scope
    arity: int
    nodes: int  # of the largest lattice
    copies: tuple[tuple[int, int], ...]  # (block, start in the copies buffer) of shared tables
    shared: np.ndarray  # int64 (tables, 5): place in the energies, rows, columns, places of its copy and the turned one
    copied: int  # entries of the copies buffer
    general: bool  # whether any edge has form GENERAL


def make_schedule(plan: Plan) -> tuple[Schedule, Extent]:
    """Positions, edges and their forms for all components that are not loopy."""
    factors, kinds = plan.factors, plan.kinds
    swept = kinds != LOOPY
    arity = np.diff(factors.row[:, SCOPE])
    owner = np.repeat(np.arange(plan.n_components), np.diff(factors.first))
    distinct = (arity > 1) & swept[owner]
    if plan.same.size:
        distinct &= plan.same == np.arange(plan.same.size)
    sizes = np.bincount(plan.component, minlength=plan.n_components)

    component = np.zeros((plan.n_components + 1, 3), np.int64)
    np.cumsum(np.where(swept, sizes, 0), out=component[1:, FIRST])
    np.cumsum(np.bincount(owner[distinct], minlength=plan.n_components), out=component[1:, EDGE])
    component[plan.lattices.component, NODES] = plan.lattices.nodes
    positions, edges = int(component[-1, FIRST]), int(component[-1, EDGE])
    schedule = Schedule(
        component,
        np.zeros((positions + 1, 5), np.int64),
        np.zeros((edges, 7), np.int64),
        np.zeros(int(np.count_nonzero((arity == 1) & swept[owner])), np.int64),
        np.zeros(0, np.int64),
        np.zeros((positions + 1 if plan.lattices.nodes.size else 0, 2), np.int64),
        np.zeros((plan.n_components, 5), np.int64),
    )
    place = np.full(plan.states.size, -1, np.int64)
    edge = np.zeros(edges, np.int64)
    if (kinds < LATTICE).any():
        ptr = np.zeros(plan.states.size + 1, np.int64)
        np.cumsum(np.where(swept[plan.component], plan.degree, 0), out=ptr[1:])
        incident = np.empty(int(ptr[-1]), np.int64)
        incidence(factors, plan.same, swept, ptr[:-1].copy(), incident)
        via = np.full(positions, -1, np.int64)
        sweep_forests(factors, kinds, _roots(plan), (ptr, incident), schedule, place, edge, via)
    if plan.lattices.nodes.size:
        _sweep_lattices(plan, schedule, place, edge)
    belief = _place_beliefs(plan, schedule)
    _place_unaries(plan, schedule, place, np.flatnonzero(arity == 1))
    schedule, copies, shared, copied, general = _shape_edges(plan, schedule, place, edge)
    message = _place_messages(schedule)
    _find_runs(plan, schedule)
    for array in (*schedule, shared):
        array.flags.writeable = False
    table = max((int(np.prod(b.states)) for b in plan.blocks), default=1)
    nodes = int(plan.lattices.nodes.max(initial=1))
    return schedule, Extent(belief, message, table, int(arity.max(initial=1)), nodes, copies, shared, copied, general)


def _roots(plan: Plan) -> np.ndarray:
    """int64 (C,): the last variable of degree ≤ 1, so that a chain is swept in the order of declaration."""
    roots = np.zeros(plan.n_components, np.int64)
    roots[plan.component] = np.arange(plan.states.size)
    leaves = np.flatnonzero(plan.degree <= 1)
    roots[plan.component[leaves]] = leaves
    return roots


def _sweep_lattices(plan: Plan, schedule: Schedule, place: np.ndarray, edge: np.ndarray) -> None:
    """Positions of arcs, sorted by (component, start, end), and the edges between consecutive ones."""
    lattices = plan.lattices
    owner = np.repeat(lattices.component, np.diff(lattices.ptr))
    order = np.lexsort((lattices.end, lattices.start, owner))
    cursor = np.empty(lattices.var.size + 1, np.int64)
    sweep_lattices(plan.factors, plan.same, plan.kinds, lattices.var[order], schedule, place, edge, cursor)
    schedule.arc[place[lattices.var], START] = lattices.start
    schedule.arc[place[lattices.var], END] = lattices.end


def _place_beliefs(plan: Plan, schedule: Schedule) -> int:
    """STATES, STATE and SLOT of all positions; returns the widest component's belief entries."""
    position, first = schedule.position[:-1], schedule.component[:, FIRST]
    position[:, STATES] = plan.states[position[:, VAR]]
    position[:, STATE] = plan.offsets[position[:, VAR]]
    ends = np.zeros(len(position) + 1, np.int64)
    np.cumsum((position[:, STATES] + 15) // 16 * 16, out=ends[1:])
    position[:, SLOT] = ends[:-1] - np.repeat(ends[first[:-1]], np.diff(first))
    return int(np.diff(ends[first]).max(initial=0))


def _place_messages(schedule: Schedule) -> int:
    """SIDE of all edges; returns the widest component's message entries."""
    edge, first = schedule.edge, schedule.component[:, EDGE]
    ends = np.zeros(len(edge) + 1, np.int64)
    np.cumsum((schedule.position[edge[:, PARENT], STATES] + 15) // 16 * 16, out=ends[1:])
    edge[:, SIDE] = ends[:-1] - np.repeat(ends[first[:-1]], np.diff(first))
    return int(np.diff(ends[first]).max(initial=0))


def _place_unaries(plan: Plan, schedule: Schedule, place: np.ndarray, unaries: np.ndarray) -> None:
    """UNARY of all positions and the unary tables themselves, in the order of declaration."""
    if not schedule.unary.size:
        return
    row = plan.factors.row[unaries]
    at = place[plan.factors.var[row[:, SCOPE]]]
    if (at < 0).any():
        row, at = row[at >= 0], at[at >= 0]
    count = np.bincount(at, minlength=len(schedule.position))
    schedule.position[1:, UNARY] = np.cumsum(count[:-1])
    one_each = at.size + 1 == len(schedule.position) and count[:-1].max(initial=1) == 1
    order = None if one_each else np.argsort(at, kind="stable")
    schedule.unary[at if order is None else slice(None)] = row[slice(None) if order is None else order, OFFSET]


def _shape_edges(
    plan: Plan, schedule: Schedule, place: np.ndarray, edge: np.ndarray
) -> tuple[Schedule, tuple[tuple[int, int], ...], np.ndarray, int, bool]:
    """FORM of every edge, room for padded copies of shared tables, and the index of general edges."""
    factors, edges = plan.factors, schedule.edge
    scope = factors.row[edge, SCOPE]
    children = factors.row[edge + 1, SCOPE] - scope - 1
    folds = np.ones(edge.size, np.int64)
    if plan.same.size:
        edge_of = np.full(factors.row.shape[0], -1, np.int64)
        edge_of[edge] = np.arange(edge.size)
        owner = edge_of[plan.same[plan.same != np.arange(plan.same.size)]]
        folds += np.bincount(owner[owner >= 0], minlength=edge.size)
    parent = edges[:, PARENT]
    parent_first = schedule.position[parent, VAR] == factors.var[scope]
    edges[:, TABLE] = factors.row[edge, OFFSET]
    form = np.where(parent_first, messages.COLUMNS, messages.ROWS)
    form[factors.row[edge, KIND] == POTTS] = messages.POTTS
    form[(children > 1) | (folds > 1)] = messages.GENERAL
    copies, shared, copied = [], [np.zeros((0, 5), np.int64)], 0
    for index, block in enumerate(plan.blocks):
        if block.table is None or block.tables > MOST_COPIES or block.lattice or len(block.shape) != 2:
            continue
        rows, columns = block.states
        across, down = -(-columns // 16) * 16, -(-rows // 16) * 16
        inside = (edges[:, TABLE] >= block.start) & (edges[:, TABLE] < block.start + block.tables * block.size)
        inside &= form <= messages.COLUMNS
        room = rows * across + columns * down + 2 * HEAD
        table = np.arange(block.tables)
        as_is = copied + HEAD + table * room
        turned = as_is + rows * across + HEAD
        read = (edges[inside, TABLE] - block.start) // block.size
        edges[inside, UP] = np.where(parent_first[inside], turned[read], as_is[read])
        edges[inside, DOWN] = np.where(parent_first[inside], as_is[read], turned[read])
        form[inside] += messages.SHARED_ROWS
        copies.append((index, copied))
        sizes = np.tile([rows, columns], (block.tables, 1))
        shared.append(np.column_stack([block.start + table * block.size, sizes, as_is, turned]))
        copied += block.tables * room
    edges[:, FORM] = form
    general = np.flatnonzero(form == messages.GENERAL)
    if general.size:
        sizes = schedule.position[parent[general], STATES]
        for k in range(int(children[general].max())):
            more = children[general] > k
            sizes[more] *= schedule.position[edges[general[more], CHILD] + k, STATES]
        edges[general, UP] = copied + np.cumsum(sizes + HEAD) - sizes
        copied += int((sizes + HEAD).sum())
        ends = np.cumsum(sizes * folds[general] + 2)
        entries = np.empty(int(ends[-1]), np.int64)
        edges[general, TABLE] = ends - sizes * folds[general]
        entries[edges[general, TABLE] - 2], entries[edges[general, TABLE] - 1] = children[general], folds[general]
        schedule = schedule._replace(entries=entries)
        place_general(factors, place, schedule, general, edge, _chains(plan), entries)
    return schedule, tuple(copies), np.concatenate(shared), copied, bool(general.size)


def _find_runs(plan: Plan, schedule: Schedule) -> None:
    """Chains whose tables step evenly: swept without looking up anything per variable."""
    position, edge, component = schedule.position, schedule.edge, schedule.component
    chain = np.flatnonzero((plan.kinds == CHAIN) & (np.diff(component[:, FIRST]) > 1))
    if not chain.size:
        return
    first, count = component[chain, FIRST], component[chain + 1, FIRST] - component[chain, FIRST]
    own = np.repeat(np.arange(chain.size), count - 1)  # of each link: position p to p + 1, and its edge
    link = np.arange(own.size) - np.repeat(np.cumsum(count - 1) - (count - 1), count - 1)
    p, e = first[own] + link, component[chain, EDGE][own] + link
    single = np.diff(position[:, UNARY]) == 1
    unary = np.append(schedule.unary, 0)[np.minimum(position[:, UNARY], schedule.unary.size)]
    step, turn = unary[first + 1] - unary[first], position[first + 1, STATE] - position[first, STATE]
    lead = component[chain, EDGE]
    even = single[p] & single[p + 1] & (position[p, STATES] == position[p + 1, STATES])
    even &= (unary[p + 1] - unary[p] == step[own]) & (position[p + 1, STATE] - position[p, STATE] == turn[own])
    even &= (edge[e, PARENT] == p) & (edge[e, CHILD] == p + 1) & (edge[e, UP] == edge[lead[own], UP])
    even &= (edge[e, FORM] == messages.SHARED_ROWS) | (edge[e, FORM] == messages.SHARED_COLUMNS)
    even &= edge[e, FORM] == edge[lead[own], FORM]
    good = (np.bincount(own[~even], minlength=chain.size) == 0) & (step != 0)
    good &= np.abs(turn) == position[first, STATES]
    run = np.stack([unary[first], step, edge[lead, UP], edge[lead, DOWN], turn], 1)
    schedule.run[chain[good]] = run[good]


def _chains(plan: Plan) -> np.ndarray:
    """int64 (F,): the next factor over the same variables, −1 after the last."""
    out = np.full(plan.factors.row.shape[0], -1, np.int64)
    if plan.same.size:
        order = np.argsort(plan.same, kind="stable")
        linked = plan.same[order[1:]] == plan.same[order[:-1]]
        out[order[:-1][linked]] = order[1:][linked]
    return out
