"""Factors that count, as chains of counters: they cost what their counters cost, never 2ⁿ.

A factor with energy c(min(k, m)), where k of the binary variables x_1 … x_n have the label `one`, says the same as

    s_j = min(s_{j−1} + [x_j = one], m)    for j = 1 … n, s_0 = 0,    and the energy c(s_n)

with counters s_j of min(j, m) + 1 states. The x fix them, so labellings, their energies, probabilities and ranks are
those of the factor. The table over s_n (and over the last variable of a gate) is the one that is stored: energies of
the derived plan are those of the base plan followed by tables of 0 and +inf, a gradient is cut off there, and
whoever solves the derived plan knows of no counting. Nor is a bound lost: a chain is a tree, so that its local polytope
is the hull of the configurations of the factor (Wainwright, Jordan, "Graphical models, exponential families, and
variational inference", 2008, proposition 4.1; cardinality potentials by chains and trees of counters: Tarlow, Swersky,
Zemel, Adams, Frey, "Fast exact inference for recursive cardinality models", 2012).

Counters are numbered behind the variable that they count, and factors count in the order of their variables: one pass
over all variables in order carries a message along every chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..kernels.simd import buffer
from ..kernels.tables import COUNT, DENSE
from .block import Block

if TYPE_CHECKING:
    from .plan import Plan
    from .question import Asked


class Link(NamedTuple):
    """A table over (s_{j−1}, x_j, s_j), of `shape`, that forbids all but s_j = min(s_{j−1} + [x_j = one], most).

    first: x_1 stands for s_1, except in the shape (2, most + 1), which is over (x_1, s_1) and is for n = 1.
    """

    shape: tuple[int, ...]
    most: int
    one: int
    first: bool

    def after(self, *labels: np.ndarray) -> np.ndarray:
        """s_j of the labels of what comes before it in a scope."""
        before = (labels[0] == self.one).astype(np.int64) if self.first else labels[0]
        return np.minimum(before + sum(x == self.one for x in labels[1:]), self.most)

    def forbidden(self) -> np.ndarray:
        """bool `shape`: the entries that are +inf."""
        return np.asarray(self.after(*np.indices(self.shape)[:-1]) != np.arange(self.shape[-1]))


def links_of(block: Block) -> Iterator[Link]:
    """The links of one factor of a block that counts, in order."""
    most, inputs, one = count_parts(block)
    if inputs == 1:
        yield Link((2, most + 1), most, one, True)
    before = 2
    for j in range(2, inputs + 1):
        own = most + 1 if j == inputs else min(j, most) + 1
        yield Link((before, 2, own), most, one, j == 2)
        before = own


def count_parts(block: Block) -> tuple[int, int, int]:
    """(m, n, one) of a block that counts."""
    code = block.kind - COUNT
    return code >> 2, len(block.states) - (code >> 1 & 1), code & 1


def counted(plan: Plan) -> list[Block]:
    """The blocks of factors that count."""
    return [block for block in plan.blocks if block.kind >= COUNT]


def link_entries(plan: Plan) -> int:
    """Entries of all links, without making them."""
    return sum(prod(link.shape) for link in {link for block in counted(plan) for link in links_of(block)})


class Counters:
    """The derived plan of a plan with factors that count, and the way between them.

    place: int64 (V,), which variable of `plan` a base variable is. owner: int64 (variables of `plan`,), the base
    variable that is there or is counted there. spread: int64 (base variable states,), where they are
    in those of `plan`.
    """

    def __init__(self, base: Plan):
        from .plan import Plan as PlanType

        self.base = base
        owners, states = [np.arange(base.states.size)], [base.states]
        steps: list[tuple[Link, np.ndarray]] = []  # scopes of links, in an order in which counters can be computed
        last: dict[int, np.ndarray] = {}  # by the start of a block: the counter behind all variables of each factor
        number = base.states.size
        for block in counted(base):
            _, inputs, _ = count_parts(block)
            x = np.sort(block.scopes[:, :inputs].astype(np.int64), 1)
            before = x[:, 0]
            for j, link in enumerate(links_of(block)):
                own = x[:, min(j + 1, inputs - 1)]
                counter = np.arange(number, number + own.size)
                number += own.size
                owners.append(own)
                states.append(np.full(own.size, link.shape[-1], np.int32))
                steps.append((link, np.stack((before, own, counter)[3 - len(link.shape) :], 1)))
                before = counter
            last[block.start] = before
        owner = np.concatenate(owners)
        order = np.argsort(owner, kind="stable")
        renamed = np.empty_like(order)
        renamed[order] = np.arange(order.size)
        self.place, self.owner = renamed[: base.states.size], owner[order]
        self._steps = [(link, renamed[scopes]) for link, scopes in steps]
        blocks = [self._derive(block, renamed, last) for block in base.blocks]
        links, self._tables = self._links(base.size)
        lattices = base.lattices._replace(var=renamed[base.lattices.var])
        component = base.component[self.owner]
        self.plan = PlanType(
            np.concatenate(states)[order], (), (*blocks, *links), lattices, component, base.n_components
        )
        within = np.arange(base.variable_states) - np.repeat(base.offsets[:-1], base.states)
        self.spread = np.repeat(self.plan.offsets[self.place], base.states) + within

    @staticmethod
    def _derive(block: Block, renamed: np.ndarray, last: dict[int, np.ndarray]) -> Block:
        """The block over variables by their new numbers, and over the last counters where it counts."""
        scopes, shape, kind = block.scopes.astype(np.int64), block.states, block.kind
        if kind >= COUNT:
            _, inputs, _ = count_parts(block)
            scopes, shape, kind = np.column_stack([last[block.start], scopes[:, inputs:]]), block.shape, DENSE
        scopes = np.ascontiguousarray(renamed[scopes], np.int32)
        return Block(shape, block.shape, kind, scopes, block.table, block.tables, block.start, block.lattice)

    def _links(self, start: int) -> tuple[list[Block], list[Link]]:
        """Blocks of links, whose energies begin at `start`: every table is stored once."""
        scopes: dict[Link, list[np.ndarray]] = {}
        for link, some in self._steps:
            scopes.setdefault(link, []).append(some)
        blocks = []
        for link, parts in scopes.items():
            over = np.ascontiguousarray(np.concatenate(parts), np.int32)
            blocks.append(Block(link.shape, link.shape, DENSE, over, np.zeros(len(over), np.int64), 1, start, False))
            start += blocks[-1].size
        return blocks, list(scopes)

    @cached_property
    def _forbidden(self) -> np.ndarray:
        """bool: which entries behind those of the base plan are +inf."""
        return np.concatenate([link.forbidden().ravel() for link in self._tables])

    def ask(self, asked: Asked) -> Asked:
        """The same question of the derived plan."""
        energies = buffer(self.plan.size, asked.energies.dtype)
        energies[: self.base.size] = asked.energies[: self.base.size]
        energies[self.base.size :][self._forbidden] = np.inf
        bias = asked.bias
        if bias.size:
            bias = buffer(self.plan.variable_states, bias.dtype)
            bias[self.spread] = asked.bias[: self.spread.size]
        return asked._replace(plan=self.plan, energies=energies, bias=bias)

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """int32 labels of the derived plan's variables of the base plan's; counters of unknown ones are −1."""
        out = np.full(self.plan.states.size, -1, np.int32)
        out[self.place] = labels
        for link, scopes in self._steps:
            before = out[scopes[:, :-1]]
            out[scopes[:, -1]] = np.where((before < 0).any(1), -1, link.after(*before.T))
        return out
