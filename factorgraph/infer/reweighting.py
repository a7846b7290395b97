"""Messages of reweighted factors on loopy components: their order, tables and passes (kernels/reweighted.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from ..kernels.minsum import unary_costs
from ..kernels.reweighted import ACTIVE, INFEASIBLE, SETTLED, Space, State, add_beliefs, finish, gather, sweep
from ..kernels.simd import buffer
from ..kernels.structure import KIND, OFFSET, SCOPE
from ..kernels.tables import POTTS
from ..kernels.weighing import Index, Weighing, order_breadth_first, tabulate
from ..plan import Asked, Plan
from .loopy import add_unaries, cuts_of, index_of, scope_sizes

#: Table entries that are as much work as an entry summed in logarithms, and as the exponentials of a state.
LOGARITHM, STATE = 20.0, 20.0


class Arrangement(NamedTuple):
    """The loopy factors of a plan in the order of a pass.

    factor int64: their rows, ascending; of each, by row of Factors: `same` the row that stands for all over its
    variables. order: the rows that stand for others or themselves, by their last variables; last int64 (F,): its entry
    in Factors.var. ahead: (factor, variable) int64, those in which the variable is not last. work float64 (F,).
    """

    factor: np.ndarray
    same: np.ndarray
    order: np.ndarray
    last: np.ndarray
    ahead: tuple[np.ndarray, np.ndarray]
    work: np.ndarray


_known: WeakKeyDictionary[Plan, Arrangement] = WeakKeyDictionary()


def arrange(plan: Plan) -> Arrangement:
    """The order of the plan's loopy factors; remembered."""
    if plan in _known:
        return _known[plan]
    factors, loops, count = plan.factors, plan.loops[0], plan.states.size
    rows = len(factors.row) - 1
    rank, queue = np.full(count, -1, np.int64), np.empty(count, np.int64)
    index = Index(factors, loops, plan.states, plan.offsets, plan.component)
    order_breadth_first(loops.var, index, rank, queue)
    arity = np.diff(factors.row[:, SCOPE])[loops.factor]
    ends = np.cumsum(arity)
    owner = np.repeat(np.arange(arity.size), arity)
    entries = factors.row[loops.factor, SCOPE][owner] + np.arange(owner.size) - (ends - arity)[owner]
    place = rank[factors.var[entries]]
    highest = np.maximum.reduceat(place, ends - arity) if place.size else place
    final = place == highest[owner]
    same = plan.same if plan.same.size else np.arange(rows)
    lead = same[loops.factor] == loops.factor
    order = np.argsort(highest[lead], kind="stable")
    last, work = np.zeros(rows, np.int64), np.zeros(rows)
    last[loops.factor] = entries[final]
    states = plan.states[factors.var[entries]]
    size = scope_sizes(plan, loops.factor)
    each = np.add.reduceat(states, ends - arity) if states.size else states
    slow = (arity > 2) * LOGARITHM * arity * size
    work[loops.factor] = np.where(factors.row[loops.factor, KIND] == POTTS, 0.0, size) + slow + STATE * each
    ahead = ~final & lead[owner]
    pairs = loops.factor[owner[ahead]], factors.var[entries[ahead]].astype(np.int64)
    found = Arrangement(loops.factor, same, loops.factor[lead][order], last, pairs, work)
    _known[plan] = found
    return found


class Reweighted:
    """Passes over the loopy components asked; rho float64 (F,) weighs the factors."""

    def __init__(self, asked: Asked, temperature: float, rho: np.ndarray):
        plan, energies, bias, components = asked
        self.asked, self.temperature = asked, temperature
        self.arrangement = arrange(plan)
        self.index = index_of(asked)
        self.variables = self.index.loops.var
        inside = np.zeros(plan.n_components, bool)
        inside[components] = True
        order = self.arrangement.order
        order = order[inside[plan.component[plan.factors.var[plan.factors.row[order, SCOPE]]]]]
        self.labels = np.zeros(plan.states.size, np.int32)
        self.weighing, self.tables = self._weigh(order, rho, 1.0 / temperature)
        factor, variable = self.arrangement.ahead
        self.share = 1.0 - np.bincount(variable, rho[factor], plan.states.size)
        self.share[np.abs(self.share) < 1e-12] = 0.0
        unary = np.zeros(plan.variable_states)
        unary_costs(plan.factors, components, plan.states, plan.offsets, energies, bias, unary)
        self.unary = unary / temperature
        status = np.full(plan.n_components, SETTLED, np.int8)
        status[components] = ACTIVE
        messages = np.zeros(plan.loops[1])
        self.state = State(messages, self.unary.copy(), np.zeros(plan.n_components), status)
        width = (int(plan.states.max(initial=1)) + 15) // 16 * 16
        cavity, probability, fresh, sums = (buffer(n * width, np.float64) for n in (plan.extent.arity, 1, 1, 1))
        self.space = Space(cavity, probability, fresh, sums, self.labels)
        self.marginals = np.zeros(plan.variable_states)
        self.spans = cuts_of(self.arrangement.work[order])

    def _weigh(self, order: np.ndarray, rho: np.ndarray, beta: float) -> tuple[Weighing, tuple[np.ndarray, np.ndarray]]:
        """Tables of costs and weights: one for all factors of one table and weight, one for those over one scope."""
        plan, same = self.asked.plan, self.arrangement.same
        row = plan.factors.row
        number = np.full(len(row) - 1, -1, np.int64)  # of each factor the place of its scope in `order`
        number[order] = np.arange(order.size)
        factor = self.arrangement.factor
        scope = number[same[factor]]
        by_scope = np.argsort(scope, kind="stable")[np.count_nonzero(scope < 0) :]
        members, counts = factor[by_scope], np.bincount(scope[scope >= 0], minlength=order.size)
        starts = np.cumsum(counts) - counts
        key = np.stack(
            [row[order, OFFSET], rho[order].view(np.int64), np.where(counts > 1, 1 + np.arange(order.size), 0)]
        )
        _, unit, which = np.unique(key, axis=1, return_index=True, return_inverse=True)
        which = which.reshape(-1)
        potts = np.zeros(len(row) - 1, np.int64)
        potts[order] = (row[order, KIND] == POTTS) & (counts == 1)
        sizes = scope_sizes(plan, order[unit])
        sizes[potts[order[unit]] == 1] = 2
        ends = np.cumsum(sizes)
        table, least = np.zeros(len(row) - 1, np.int64), np.zeros(len(row) - 1)
        table[order] = (ends - sizes)[which]
        weighing = Weighing(order, self.arrangement.last, table, potts, rho, least)
        total = int(ends[-1]) if ends.size else 0
        tables = np.empty(total), buffer(total, np.float64)
        first = np.concatenate([[0], np.cumsum(counts[unit])])
        listed = members[np.arange(first[-1]) + np.repeat(starts[unit] - first[:-1], counts[unit])]
        slopes = beta / rho[order[unit]]
        for low, high in cuts_of(sizes * counts[unit]):
            tabulate(
                order[unit[low:high]], listed, first[low : high + 1], self.index, weighing, self.asked.energies,
                slopes[low:high], tables, self.labels,
            )  # fmt: skip
        least[order] = least[order[unit]][which]
        return weighing, tables

    def run(
        self,
        iterations: int,
        tolerance: float,
        damping: float,
        watch: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> np.ndarray:
        """Pass back and forth until probabilities change by less than `tolerance`; F · T of the components asked.

        watch: is told F (C,) · T after each pass forwards, and says (a mask) which components are to be damped more.
        """
        state, components = self.state, self.asked.components
        damped = np.full(self.asked.plan.n_components, damping)
        index, rho = self.index, self.weighing.rho
        for number in range(iterations):
            if number > 0:
                for low, high in self.spans[::-1]:
                    span = (high - 1, low - 1, -1)
                    sweep(span, index, self.weighing, self.tables, damped, state, self.space)
            gather(self.variables, index, rho, self.unary, state)
            for low, high in self.spans:
                sweep((low, high, 1), index, self.weighing, self.tables, damped, state, self.space)
            residual = np.zeros(self.asked.plan.n_components)
            finish(self.variables, index, self.share, state, self.marginals, residual)
            if watch is not None:
                worse = watch(self.temperature * state.free)
                damped[worse] = 0.5 + 0.5 * damped[worse]
            settled = components[(residual <= tolerance * (1.0 - damped))[components]]
            state.status[settled] = np.maximum(state.status[settled], SETTLED)
            if (state.status[components] != ACTIVE).all():
                break
        return self.temperature * state.free[components]

    def write_marginals(self, out: np.ndarray) -> None:
        """Probabilities of the variables of the components asked; 0 where a component has no labelling."""
        plan = self.asked.plan
        feasible = self.asked.components[self.state.status[self.asked.components] != INFEASIBLE]
        of = np.repeat(plan.inside(self.asked.components), plan.states)
        out[of] = 0.0
        of = np.repeat(plan.inside(feasible), plan.states)
        out[of] = self.marginals[of]

    def add_gradient(self, gradient: np.ndarray, weight: float) -> None:
        """gradient += weight · beliefs of all factors of the components asked."""
        plan, factor = self.asked.plan, self.index.loops.factor
        weighted = gradient, np.array([weight])
        sizes = scope_sizes(plan, factor) * LOGARITHM
        for span in cuts_of(sizes):
            add_beliefs(
                span, factor, self.arrangement.same, self.index, self.weighing, self.tables[0], self.state, self.space,
                weighted,
            )  # fmt: skip
        feasible = self.asked.components[self.state.status[self.asked.components] != INFEASIBLE]
        add_unaries(plan, feasible, self.marginals, weight, gradient)
