"""Deriving a plan whose tables are cut out of another plan's: variables fixed, or left with some of their states.

A factor's table is cut to the states that are left to each variable of its scope; variables of one state drop out of
the scope. The same cut of the same table is stored once. Where a table comes from in the base plan's energies is kept
as in restrict.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..kernels.tables import COUNT, DENSE, POTTS, counting
from .block import Block, Lattices
from .counters import count_parts
from .plan import Plan
from .restrict import Restriction


class Choices(NamedTuple):
    """Sets of states: set s is `states[first[s] : first[s] + length[s]]`; sets 0 … K − 1 are the single states.

    of: int64 (V,), the set that the evidence leaves to each variable; equal sets mostly have equal numbers.
    """

    first: np.ndarray
    length: np.ndarray
    states: np.ndarray
    of: np.ndarray


def choices_of(plan: Plan, allowed: np.ndarray | None) -> Choices:
    """The sets that `allowed`, bool over variable states (None: everything), leaves open."""
    sizes, widest = plan.states.astype(np.int64), int(plan.states.max(initial=1))
    if allowed is None:
        allowed = np.ones(plan.variable_states, bool)
    owner = np.repeat(np.arange(sizes.size), sizes)[allowed]
    left = np.flatnonzero(allowed) - plan.offsets[owner]
    count = np.bincount(owner, minlength=sizes.size)
    begin = widest + np.cumsum(count) - count
    states = np.concatenate([np.arange(widest), left])
    number = np.arange(sizes.size)
    whole = np.flatnonzero(count == sizes)
    same = np.zeros(widest + 1, np.int64)  # one variable of each size that keeps all its states
    same[sizes[whole]] = whole
    of = widest + np.where(count == sizes, same[sizes], number)
    of = np.where(count == 1, states[begin], of)
    singles = np.arange(widest)
    return Choices(np.append(singles, begin), np.append(np.ones_like(singles), count), states, of)


class Derived:
    """A plan derived from another in the making: blocks whose tables are cut out of the base plan's."""

    def __init__(self, plan: Plan, choices: Choices):
        self.plan, self.choices = plan, choices
        self.blocks: list[Block] = []
        self.sources: list[np.ndarray] = []
        self.size = 0

    def append(
        self,
        states: tuple[int, ...],
        shape: tuple[int, ...],
        kind: int,
        scopes: np.ndarray,
        table: np.ndarray | None,
        source: np.ndarray,
    ) -> np.ndarray:
        """One more block; returns where its entries are, in the shape of `source`."""
        scopes = np.ascontiguousarray(scopes, np.int32)
        self.blocks.append(Block(states, shape, kind, scopes, table, len(source), self.size, False))
        self.sources.append(source)
        self.size += source.size
        return np.arange(self.size - source.size, self.size).reshape(source.shape)

    def condition(self, block: Block, rows: np.ndarray, sets: np.ndarray, scopes: np.ndarray) -> None:
        """Factors `rows` of a base block over `scopes` (n, arity), position k cut to the states of set `sets[:, k]`.

        Positions of scope −1, whose sets have one state, drop out. Equal cuts of one table are stored once.
        """
        choices = self.choices
        kept = np.where(scopes >= 0, choices.length[sets], 0)
        offset = block.start + block.size * (rows if block.table is None else block.table[rows])
        if block.kind >= COUNT:
            self._condition_count(block, offset, sets, scopes, kept)
            return
        for same in groups_of(kept):
            shape = kept[same[0]]
            over = scopes[same][:, shape > 0]
            first, table = distinct(np.column_stack([offset[same], sets[same]]))
            shared = first.size < same.size
            one = same[first] if shared else same
            states = tuple(shape[shape > 0].tolist())
            if block.kind == POTTS and states == block.states:
                self.append(states, (), POTTS, over, table if shared else None, offset[one][:, None])
            else:
                source = self._cut(block, offset[one], sets[one])
                self.append(states, states, DENSE, over, table if shared else None, source)

    def _condition_count(
        self, block: Block, offset: np.ndarray, sets: np.ndarray, scopes: np.ndarray, kept: np.ndarray
    ) -> None:
        """The same of factors that count: with x known variables labelled `one`, entry [k] is the base's [k + x]."""
        most, inputs, one = count_parts(block)
        label = self.choices.states[self.choices.first[sets]]
        known = ((label == one) & (kept < 2))[:, :inputs].sum(1)
        for same in groups_of(kept):
            free = kept[same[0]] == 2
            count, gate = int(free[:inputs].sum()), bool(free[inputs:].any())
            entry = np.minimum(known[same][:, None] + np.arange(most + 1 if count else 1), most)
            if gate:
                entry = 2 * entry[:, :, None] + np.arange(2)
            elif inputs < len(block.states):
                entry = 2 * entry + label[same, -1:]
            over = scopes[same][:, free if free.any() else kept[same[0]] > 0]
            states, shape, kind = (2,) * int(free.sum()), entry.shape[1:], counting(most, gate, one)
            if not count:  # a table of the output, or a constant at variables of one state
                states = shape = (2,) if gate else (1,) * over.shape[1]
                kind = DENSE
            self.append(states, shape, kind, over, None, offset[same][:, None] + entry.reshape(same.size, -1))

    def _cut(self, block: Block, offset: np.ndarray, sets: np.ndarray) -> np.ndarray:
        """int64 (tables, entries): base entries of tables at `offset`, cut to `sets`; −1 for the constant 0."""
        choices = self.choices
        picks = [choices.states[choices.first[s][:, None] + np.arange(choices.length[s[0]])] for s in sets.T]
        if block.kind == POTTS:
            differ = picks[0][:, :, None] != picks[1][:, None, :]
            return np.where(differ, offset[:, None, None], -1).reshape(offset.size, -1)
        entry = np.zeros((offset.size, 1), np.int64)
        for pick, states in zip(picks, block.states, strict=True):
            entry = (entry[:, :, None] * states + pick[:, None, :]).reshape(offset.size, -1)
        return np.asarray(offset[:, None] + entry)

    def restriction(
        self, variables: np.ndarray, stand_ins: np.ndarray, component: np.ndarray | None = None
    ) -> Restriction:
        """The derived plan over base `variables` and, behind them, variables of one state."""
        plan, choices = self.plan, self.choices
        sets = choices.of[variables]
        count = choices.length[sets]
        source = choices.states[spans(choices.first[sets], count)] + np.repeat(plan.offsets[variables], count)
        states = np.append(count, np.ones_like(stand_ins)).astype(np.int32)
        components = 0 if component is None else int(component[-1]) + 1
        derived = Plan(states, (), tuple(self.blocks), Lattices.none(), component, components)
        steps = np.full((states.size, 2), -1, np.int64)
        from_ = np.append(source, stand_ins), np.append(variables, stand_ins)
        return Restriction(plan, derived, tuple(self.sources), *from_, steps)


def name_of(plan: Plan, variable: int) -> str:
    """The declared name of a variable."""
    return next(g.name for g in plan.groups if g.start <= variable < g.start + g.count)


def spans(start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """int64: start[0] … start[0] + length[0] − 1, then those of the next, and so on."""
    ends = np.cumsum(length)
    return np.arange(int(ends[-1]) if ends.size else 0) + np.repeat(start - ends + length, length)


def distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(first, which) of non-negative int rows (n, m): where each different row occurs first, which of them each is."""
    key, span = np.zeros(len(rows), np.int64), 1
    for column in rows.T:
        width = int(column.max(initial=0)) + 1
        if span * width > 1 << 62:
            _, key = np.unique(key, return_inverse=True)
            span = len(rows)
        key, span = key * width + column, span * width
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    return first, which


def groups_of(rows: np.ndarray) -> list[np.ndarray]:
    """Indices of equal rows, ascending in each group."""
    if not len(rows):
        return []
    _, which = distinct(rows)
    order = np.argsort(which, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(which[order])) + 1)
