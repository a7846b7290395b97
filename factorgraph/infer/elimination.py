"""Variable elimination on graphs of small treewidth: exact minima, sums, draws and rankings, loopy or not.

    min_x Σ_f E_f(x_f) = min over x_n … min over x_1,   each step a table over the neighbours of what it eliminates

(Bertelè and Brioschi 1972; Lauritzen and Spiegelhalter 1988; Dechter 1999). What it costs is the number of table cells
in all, which depends on the order: see order.py. It is counted before anything is allocated.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels.buckets import HELD, STATES
from ..kernels.elimination_walk import draw_back, rank_back
from ..kernels.structure import LATTICE
from ..plan import Asked, Plan
from ..plan.memory import bytes_of
from .buckets import SLICE, Late, Tables, allowed_states
from .order import find_orders, variables_of
from .ranking import Ranking
from .solution import Status
from .solver import Answer, Sampler, Solver, check_distribution


@dataclass(frozen=True)
class Elimination(Solver):
    """Exact on any component whose elimination needs few table cells; refuses others, and lattices.

    cells: most table cells of one component, summed over its cliques. tries: orders tried. memory_limit: bytes of the
    tables that are kept. time_limit: seconds; components that are not done by then are labelled by their first allowed
    states, APPROXIMATE, by `minimise`.
    """

    cells: int = 1 << 28
    tries: int = 8
    memory_limit: str | int = "2 GiB"
    time_limit: float | None = None
    name: ClassVar[str] = "elimination"

    def __post_init__(self) -> None:
        if not (1 <= self.cells <= 1 << 60 and self.tries >= 1):
            raise FactorGraphError(
                f"Elimination: expected 1 ≤ cells ≤ 2^60 and tries ≥ 1; got {self.cells}, {self.tries}"
            )

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Components that fit, with all their states allowed."""
        if plan.kinds[component] == LATTICE:
            return False
        cells = find_orders(plan, np.array([component]), plan.states, self.cells, self.tries).cells[component]
        return bool(cells <= self.cells) and 8 * cells <= bytes_of(self.memory_limit)

    def fits(self, asked: Asked) -> np.ndarray:
        """bool per listed component: whether it can be answered, under the bias asked. Orders found are remembered."""
        plan, _, _, components = asked
        out = plan.kinds[components] != LATTICE
        if out.any():
            part = asked.part(out)
            count = allowed_states(part).left
            known = find_orders(plan, part.components, count, self.cells, self.tries, self._deadline())
            cells = known.cells[part.components]
            out[out] = (cells <= self.cells) & (8 * cells <= bytes_of(self.memory_limit))
        return out

    def minimise(self, asked: Asked, answer: Answer) -> None:
        """Exact labels by backtracing from the messages."""
        status = np.full(asked.components.size, Status.INFEASIBLE, np.int8)
        deadline = self._deadline()
        try:
            live, tables = self._tables(asked, deadline)
        except Late:
            _label_first(asked, answer.labels)
            return answer.sign(asked.components, self.name, Status.APPROXIMATE)
        inside = asked.plan.inside(tables.asked.components)
        answer.labels[inside] = tables.labels[inside]
        status[live] = Status.APPROXIMATE
        try:
            for first, last in tables.groups():
                least = tables.up(first, last, 0.0)
                tables.trace(first, last, answer.labels)
                status[live[first:last]] = np.where(least == np.inf, Status.INFEASIBLE, Status.OPTIMAL)
        except Late:
            pass
        answer.sign(asked.components, self.name, status)

    def integrate(
        self,
        asked: Asked,
        temperature: float = 1.0,
        marginals: np.ndarray | None = None,
        gradient: np.ndarray | None = None,
        weight: float = 1.0,
    ) -> np.ndarray:
        """See Solver.integrate; exact."""
        beta = 1.0 / temperature
        free = np.full(asked.components.size, np.inf)
        below = marginals is not None or gradient is not None
        live, tables = self._tables(asked, below=below)
        into = np.zeros(0) if marginals is None else marginals
        slope = np.zeros(0, asked.energies.dtype) if gradient is None else gradient
        if marginals is not None:
            into[_states_of(asked.plan, tables.asked.components)] = 0.0
            _write_fixed(tables, np.ones(live.size), into)
        for first, last in tables.groups():
            total = tables.up(first, last, beta)
            free[live[first:last]] = total
            if below:
                tables.down(first, last, total, beta, (into, slope, float(weight)))
        if gradient is not None:
            tables.count_fixed(free[live] < np.inf, weight, slope)
        return free

    def min_marginals(self, asked: Asked, out: np.ndarray) -> np.ndarray:
        """See Solver.min_marginals; exact."""
        least = np.full(asked.components.size, np.inf)
        live, tables = self._tables(asked, below=True)
        out[_states_of(asked.plan, asked.components)] = np.inf
        for first, last in tables.groups():
            total = tables.up(first, last, 0.0)
            least[live[first:last]] = total
            tables.down(first, last, total, 0.0, (out, np.zeros(0, asked.energies.dtype), 1.0))
        _write_fixed(tables, least[live], out)
        return least

    def sampler(self, asked: Asked, temperature: float = 1.0) -> Sampler:
        """See Solver.sampler: one pass up, then every draw goes back."""
        beta = 1.0 / temperature
        live, tables = self._tables(asked, together=True)
        free = np.full(asked.components.size, np.inf)
        for first, last in tables.groups(together=True):
            free[live[first:last]] = tables.up(first, last, beta)
        check_distribution("sample", free, asked.components)
        inside = np.flatnonzero(asked.plan.inside(tables.asked.components))
        line = np.empty(tables.states)
        steps = float(np.diff(tables.buckets.row[:, HELD]) @ tables.buckets.row[:-1, STATES]) + 1
        several = max(1, int(SLICE / 16 / steps))

        def draw(uniforms: np.ndarray, labels: np.ndarray) -> None:
            labels[:, inside] = tables.labels[inside]
            for row in range(0, len(labels), several):
                span = (row, min(len(labels), row + several))
                draw_back(span, *tables.fixed_arguments, tables.pool, beta, uniforms, labels, line)

        return draw

    def rank(self, asked: Asked, k: int) -> Ranking:
        """See Solver.rank; exact, equal labellings in a fixed order."""
        ranking = Ranking.empty(asked.plan, asked.components.size, k)
        live, tables = self._tables(asked)
        line = np.empty(tables.states)
        inside = np.flatnonzero(asked.plan.inside(tables.asked.components))
        labels = np.zeros((k, asked.plan.states.size), np.int32)
        labels[:, inside] = tables.labels[inside]
        for first, last in tables.groups():
            total = tables.up(first, last, 0.0)
            for c in np.flatnonzero(total < np.inf):
                low, high = (int(x) for x in tables.bounds[first + c : first + c + 2])
                costs = ranking.energies[live[first + c]]
                costs[0] = total[c]
                work = (np.empty((k, high - low)), np.empty((k, 2), np.int64), line)
                rank_back((low, high), *tables.fixed_arguments, tables.pool, work, labels, costs)
                mine = asked.plan.variables_of(int(tables.asked.components[first + c]))
                found = np.flatnonzero(costs < np.inf)
                ranking.labels[np.ix_(found, mine)] = labels[np.ix_(found, mine)]
        return ranking

    def _deadline(self) -> float | None:
        return None if self.time_limit is None else perf_counter() + self.time_limit

    def _tables(
        self, asked: Asked, deadline: float | None = None, below: bool = False, together: bool = False
    ) -> tuple[np.ndarray, Tables]:
        """Indices of the components that have states left, and their buckets, ready."""
        plan, _, _, components = asked
        if (plan.kinds[components] == LATTICE).any():
            c = int(components[np.argmax(plan.kinds[components] == LATTICE)])
            raise FactorGraphError(
                f"Elimination: component {c} is a lattice; expected variables and factors. "
                "Use method='auto' or infer.DynamicProgramming()"
            )
        allowed = allowed_states(asked)
        empty = np.bincount(plan.component[allowed.left == 0], minlength=plan.n_components) > 0
        live = np.flatnonzero(~empty[components])
        part = asked.part(live)
        known = find_orders(plan, part.components, allowed.left, self.cells, self.tries, deadline)
        cells = known.cells[part.components]
        if deadline is not None and perf_counter() > deadline:
            raise Late
        if (cells > self.cells).any():
            self._refuse(plan, int(part.components[np.argmax(cells > self.cells)]), float(cells.max()))
        tables = Tables(part, allowed, known, self.threads, deadline)
        tables.place(bytes_of(self.memory_limit), below, together)
        return live, tables

    def _refuse(self, plan: Plan, component: int, cells: float) -> None:
        found = f"the best order found needs {cells:.3g}" if cells < np.inf else f"no order of {self.tries} tries fits"
        raise FactorGraphError(
            f"Elimination: component {component} of {plan.variables_of(component).size} variables: expected at most "
            f"{self.cells} table cells; {found}. Raise cells (8 bytes each at most), observe more variables, or use "
            "method='min-sum'"
        )


def _label_first(asked: Asked, labels: np.ndarray) -> None:
    """The first state without infinite bias of every variable; −1 where there is none."""
    allowed = allowed_states(asked)
    variables, _ = variables_of(asked.plan, asked.components)
    labels[variables] = -1
    variables = variables[allowed.left[variables] > 0]
    labels[variables] = allowed.label[asked.plan.offsets[variables]]


def _states_of(plan: Plan, components: np.ndarray) -> np.ndarray:
    """int64: the entries of the components' variables among all variable states."""
    return np.flatnonzero(np.repeat(plan.inside(components), plan.states))


def _write_fixed(tables: Tables, value: np.ndarray, out: np.ndarray) -> None:
    """Write the value of each component to the only labels of variables that are not free."""
    plan = tables.asked.plan
    variables, owner = variables_of(plan, tables.asked.components)
    only = tables.allowed.left[variables] == 1
    out[plan.offsets[variables[only]] + tables.labels[variables[only]]] = value[owner[only]]
