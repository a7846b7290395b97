"""Moves by minimum cuts: the best labelling within reach of a move, again and again, until none is better.

Boykov, Veksler, Zabih, "Fast approximate energy minimization via graph cuts" (2001).

    expansion of α      every variable keeps its label or takes α
    swap of α and β     every variable labelled α or β takes one of the two

A move is exact where the choice is submodular: expansions where E(i, j) + E(α, α) ≤ E(i, α) + E(α, j) (metrics), swaps
where E(α, α) + E(β, β) ≤ E(α, β) + E(β, α). Elsewhere it goes as far as roof duality is sure of it (qpbo.py). A move is
taken only where it lowers the energy: energies never rise. Expansions of Potts factors with energies ≥ 0 end within
twice the optimum.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..kernels.minsum import unary_costs
from ..kernels.structure import LOOPY, OFFSET, SCOPE
from ..kernels.tables import POTTS
from ..plan import Asked, Plan
from .cubic import Choice
from .dynamic import answer_forests
from .flows import Clock, Network, each_part
from .qpbo import best_choice, check_narrow
from .solution import Status
from .solver import Answer, Solver, evaluate

#: Expansions are asked where at least this share of the pairs favours equal labels: elsewhere they find nothing better.
ALIKE = 0.75
#: Table entries looked at together.
PART = 1 << 18

@dataclass(frozen=True)
class Expansion(Solver):
    """Expansions of one label after the other, until none lowers the energy: for loopy components of arity at most 3.

    cycles: most rounds over all labels. time_limit: seconds. initial: int32 (V,) labelling to start from, −1 where
    unknown; a variable without one starts at the label that is best by its own energies. Forests and lattices in the
    same plan are solved exactly.

    Raises FactorGraphError for loopy components with factors of arity above 3.
    """

    cycles: int = 100
    time_limit: float | None = None
    initial: np.ndarray | None = None
    name: ClassVar[str] = "expansion"

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Forests and lattices."""
        return bool(plan.kinds[component] != LOOPY)

    def proposals(self, plan: Plan, network: Network) -> Iterable[tuple[int, int]]:
        """The moves of one round, as pairs of labels."""
        return ((label, label) for label in range(int(plan.states[network.variables].max())))

    def choice(self, plan: Plan, network: Network, labels: np.ndarray, move: tuple[int, int]) -> Choice:
        """What variables choose between; `labels` are those of now."""
        v, other = network.variables, labels.copy()
        other[v] = np.where(move[0] < plan.states[v], move[0], labels[v])
        return labels, other

    def minimise(self, asked: Asked, answer: Answer) -> None:
        """Every network makes its own moves."""
        asked = answer_forests(asked, answer, self.threads, self.time_limit)
        if not asked.components.size:
            return
        check_narrow(asked, type(self).__name__)
        clock = Clock(self.time_limit)
        labels = start(asked, self.initial)

        def improve(network: Network) -> None:
            own = labels.copy()
            self._improve(asked._replace(components=network.components), network, own, clock)
            answer.labels[network.variables] = own[network.variables]

        each_part(asked, improve, self.threads, clock)
        answer.sign(asked.components, self.name, Status.APPROXIMATE)

    def _improve(self, asked: Asked, network: Network, labels: np.ndarray, clock: Clock) -> None:
        plan, v = asked.plan, network.variables
        least = evaluate(asked, labels)[1]
        moves = list(self.proposals(plan, network))
        component = np.searchsorted(network.components, plan.component[v])
        idle = 0
        for move in itertools.chain.from_iterable(itertools.repeat(moves, self.cycles)):
            if idle == len(moves) or clock.over():
                return
            choice = self.choice(plan, network, labels, move)
            taken = best_choice(network, asked, choice, clock)
            if taken is None:
                return
            moved = labels.copy()
            moved[v] = np.where(taken, choice[1][v], choice[0][v])
            energy = evaluate(asked, moved)[1]
            better = energy < least
            least[better] = energy[better]
            kept = v[better[component]]
            labels[kept] = moved[kept]
            idle = 0 if better.any() else idle + 1


@dataclass(frozen=True)
class Swap(Expansion):
    """Swaps of all pairs of labels instead of expansions: for factors that are no metrics, e.g. squared distances."""

    name: ClassVar[str] = "swap"

    def proposals(self, plan: Plan, network: Network) -> Iterable[tuple[int, int]]:
        """All pairs of labels."""
        return itertools.combinations(range(int(plan.states[network.variables].max())), 2)

    def choice(self, plan: Plan, network: Network, labels: np.ndarray, move: tuple[int, int]) -> Choice:
        """Variables with one of the two labels choose between them, if they have both."""
        free = ((labels == move[0]) | (labels == move[1])) & (move[1] < plan.states)
        first, second = (np.where(free, label, labels).astype(np.int32) for label in move)
        return first, second


def start(asked: Asked, initial: np.ndarray | None) -> np.ndarray:
    """int32 (V,): the initial labels, and where there is none the best label by a variable's own energies."""
    plan, energies, bias, components = asked
    unary = np.zeros(plan.variable_states)
    unary_costs(plan.factors, components, plan.states, plan.offsets, energies, bias, unary)
    widest = int(plan.states.max(initial=1))
    if plan.states.min(initial=widest) == widest:
        labels = unary.reshape(-1, widest).argmin(1).astype(np.int32)
    else:
        table = np.full((plan.states.size, widest), np.inf)
        table[np.arange(widest) < plan.states[:, None]] = unary
        labels = table.argmin(1).astype(np.int32)
    return labels if initial is None else np.where(initial < 0, labels, initial).astype(np.int32)


def alike(part: Asked) -> np.ndarray:
    """bool per component: whether expansions are worth asking: no factor has more than two variables, and ALIKE
    of the pairs favour equal labels."""
    plan = part.plan
    row, first = plan.factors.row, plan.factors.first
    favours = np.zeros(part.energies.size + 1, bool)
    for block in plan.blocks:
        if len(block.states) == 2 and block.states[0] == block.states[1]:
            tables = block.view(part.energies)
            at = block.start + block.size * np.arange(block.tables)
            step = max(1, PART // block.size)
            for some in np.split(np.arange(block.tables), range(step, block.tables, step)):
                favours[at[some]] = _attracts(tables[some], block.kind == POTTS)
    pairs, wide = np.diff(row[:, SCOPE]) == 2, np.diff(row[:, SCOPE]) > 2
    counts = np.stack([wide, pairs, pairs & favours[row[:-1, OFFSET]]], 1)
    sums = np.concatenate([np.zeros((1, 3), np.int64), np.cumsum(counts, 0)])
    wide, pairs, equal = (sums[first[part.components + 1]] - sums[first[part.components]]).T
    return (wide == 0) & (equal >= ALIKE * pairs) & (plan.kinds[part.components] == LOOPY)


def _attracts(tables: np.ndarray, potts: bool) -> np.ndarray:
    """bool per table: E(a, a) + E(b, b) ≤ E(a, b) + E(b, a) for all a and b."""
    if potts:
        return tables >= 0
    own = tables.diagonal(axis1=1, axis2=2)
    return (own[:, :, None] + own[:, None, :] <= tables + tables.transpose(0, 2, 1)).all((1, 2))
