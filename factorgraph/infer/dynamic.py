"""Dynamic programming: exact minima and sums on forests and lattices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels.draw import draw_forests, weigh_forests
from ..kernels.draw_lattice import draw_lattices, weigh_lattices
from ..kernels.forest_min import minimise_forests, padding_mask
from ..kernels.lattice import minimise_lattices, sum_lattices
from ..kernels.min_marginals import forest_min_marginals, lattice_min_marginals
from ..kernels.run_lanes import lane_work, minimise_lanes
from ..kernels.run_long import minimise_long_runs
from ..kernels.run_min import SIDES, minimise_alone, minimise_runs
from ..kernels.schedule import FIRST, HEAD
from ..kernels.simd import VECTOR_BYTES, buffer
from ..kernels.structure import LATTICE, LOOPY
from ..plan import Asked, Plan
from .forward_backward import integrate_forests
from .ranking import Ranking, rank_forest_part, rank_lattice_part
from .solution import Status
from .solver import Answer, Sampler, Solver, check_distribution
from .spread import RUNS, spread
from .tables import copied_tables

#: Minima of float32 energies beyond this are computed again in float64.
NEAR_OVERFLOW = 1e37
#: Where many runs go at once: work of a variable besides its configurations, of a slice (40 ms).
RUN_WORK, RUN_SLICE = 200, 4e8

Task = Callable[[np.ndarray, np.ndarray], None]  # (components, out): writes one float64 per component


@dataclass(frozen=True)
class DynamicProgramming(Solver):
    """Viterbi and forward-backward, on any forest and any lattice; refuses loopy components.

    Chains, trees: Viterbi 1967; Pearl 1988. Lattices: LeCun, Bottou, Bengio, Haffner 1998, section VI. Components that
    are not done within `time_limit` seconds are labelled by their first allowed states, APPROXIMATE, by `minimise`.
    """

    time_limit: float | None = None
    name: ClassVar[str] = "dynamic programming"

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Forests and lattices."""
        return bool(plan.kinds[component] != LOOPY)

    def minimise(self, asked: Asked, answer: Answer) -> None:
        """Exact labels by backtracing, never by per-variable minima."""
        least = self.minima(asked, answer.labels, answer.energy)
        answer.sign(asked.components, self.name, np.where(least == np.inf, Status.INFEASIBLE, Status.OPTIMAL))
        late = asked.components[np.isnan(least)]
        if late.size:  # sweeps that go on in the background must not change the answer any more
            answer.labels, answer.energy = answer.labels.copy(), answer.energy.copy()
            answer.energy[late] = np.nan
            answer.status[late] = Status.APPROXIMATE
            _label_first(asked, late, answer.labels)

    def minima(self, asked: Asked, labels: np.ndarray, energy: np.ndarray) -> np.ndarray:
        """Minimum (float64, as rounded by the energies' dtype) of each listed component; writes its labels.

        NaN where the time limit came first.
        energy float64 (C,): receives the energy of a component's labels where the sweep sums it, see Answer.
        """
        plan, energies, bias, components = asked
        sweeps = plan.sweeps(components, VECTOR_BYTES // energies.itemsize)
        _refuse_loops(asked, sweeps.loopy)
        forests = sweeps.lattices.size < components.size
        copies = copied_tables(plan, energies, components[sweeps.others]) if forests else energies[:0]
        mask = padding_mask(energies.dtype)

        def beliefs(count: int) -> tuple[np.ndarray, np.ndarray]:
            return buffer(count * plan.extent.belief, energies.dtype), np.empty(plan.extent.table, energies.dtype)

        def sweep_others(part: np.ndarray, out: np.ndarray) -> None:
            minimise_forests(part, plan.schedule, energies, copies, bias, mask, beliefs(1), labels, out)

        def sweep_runs(part: np.ndarray, out: np.ndarray) -> None:
            if sweeps.runs.size < SIDES:
                minimise_alone(part, plan.schedule, energies, copies, bias, mask, beliefs(1)[0], labels, energy, out)
                return
            work = beliefs(SIDES)[0], np.empty((SIDES, 2), np.int64)
            minimise_runs(part, plan.schedule, energies, copies, bias, mask, work, labels, energy, out)

        def sweep_lanes(part: np.ndarray, out: np.ndarray) -> None:
            work = lane_work(sweeps.most, energies.dtype, bias.size > 0)
            minimise_lanes(part, plan.schedule, energies, copies, bias, mask, work, labels, energy, out)

        def sweep_long(part: np.ndarray, out: np.ndarray) -> None:
            belief = buffer(plan.extent.belief + plan.extent.table + HEAD, energies.dtype)
            minimise_long_runs(part, plan.schedule, energies, copies, bias, mask, belief, labels, energy, out)

        def sweep_lattices(part: np.ndarray, out: np.ndarray) -> None:
            alpha, node, own, table = _work(plan, 3)
            work = (alpha, own, node, np.empty(2 * alpha.size, np.int64), table)
            minimise_lattices(part, plan.schedule, energies, bias, _masks(energies), work, labels, out)

        tasks = (sweeps.others, sweep_others), (sweeps.long, sweep_long), (sweeps.lattices, sweep_lattices)
        swift = (sweeps.runs, sweep_runs), (sweeps.lanes, sweep_lanes)
        deadline = None if self.time_limit is None else perf_counter() + self.time_limit
        least = self._each(asked, tasks, swift, deadline=deadline)
        if energies.dtype == np.float32:
            doubtful = np.flatnonzero(np.abs(least) > NEAR_OVERFLOW)
            if doubtful.size:  # sums near or beyond the range of float32: ask again in float64
                least[doubtful] = self.minima(asked.part(doubtful).wide(), labels, energy)
        return least

    def rank(self, asked: Asked, k: int) -> Ranking:
        """See Solver.rank; exact, as rounded by the energies' dtype."""
        plan, energies, _, components = asked
        ranking = Ranking.empty(plan, components.size, k)
        forest, lattice = _split(asked)
        ranking.energies[lattice, 0] = self.minima(asked.part(lattice), ranking.labels[0], np.empty(plan.n_components))
        copies = copied_tables(plan, energies, components[forest]) if forest.size else energies[:0]
        work = plan.work[components]
        spread(forest, work[forest], lambda part: rank_forest_part(asked, copies, part, ranking), self.threads)
        spread(lattice, work[lattice], lambda part: rank_lattice_part(asked, part, ranking), self.threads)
        return ranking

    def integrate(
        self,
        asked: Asked,
        temperature: float = 1.0,
        marginals: np.ndarray | None = None,
        gradient: np.ndarray | None = None,
        weight: float = 1.0,
    ) -> np.ndarray:
        """See Solver.integrate; exact."""
        plan, energies, bias, _ = asked
        forest, lattice = _split(asked)
        into = np.zeros(0) if marginals is None else marginals
        slope = np.zeros(0, energies.dtype) if gradient is None else gradient

        def sum_arcs(part: np.ndarray, out: np.ndarray) -> None:
            arcs, beta = plan.extent.belief // 16, 1.0 / temperature
            shares = [buffer(plan.extent.belief, dtype) for dtype in (energies.dtype, np.float64)]
            work = (_work(plan, 3), tuple(buffer(arcs, np.float64) for _ in range(3)), *shares)
            sum_lattices(
                part, plan.schedule, energies, bias, beta, _masks(energies), work, (into, slope), float(weight), out
            )

        free = temperature * self._each(asked, ((lattice, sum_arcs),), alone=gradient is not None)
        free[forest] = integrate_forests(asked.part(forest), temperature, into, slope, float(weight), self.threads)
        return free

    def min_marginals(self, asked: Asked, out: np.ndarray) -> np.ndarray:
        """See Solver.min_marginals; exact."""
        return self._weigh(asked, forest_min_marginals, lattice_min_marginals, out)

    def sampler(self, asked: Asked, temperature: float = 1.0) -> Sampler:
        """See Solver.sampler: one sweep up, then every draw goes down."""
        plan, energies, _, components = asked
        beta, inward = 1.0 / temperature, np.empty(plan.variable_states)
        check_distribution("sample", self._weigh(asked, weigh_forests, weigh_lattices, beta, inward), components)
        forest, lattice = _split(asked)

        def draw(uniforms: np.ndarray, labels: np.ndarray) -> None:
            def draws(run: Callable[..., None]) -> Task:
                def task(part: np.ndarray, out: np.ndarray) -> None:
                    row = np.empty(max(plan.extent.belief, plan.extent.table))
                    run(part, plan.schedule, energies, beta, inward, uniforms, row, labels)

                return task

            self._each(asked, ((forest, draws(draw_forests)), (lattice, draws(draw_lattices))))

        return draw

    def _weigh(
        self, asked: Asked, forests: Callable[..., None], lattices: Callable[..., None], *about: object
    ) -> np.ndarray:
        """One float64 per component, of the kernel of its kind."""
        plan, energies, bias, _ = asked

        def weigh(run: Callable[..., None]) -> Task:
            def task(part: np.ndarray, out: np.ndarray) -> None:
                run(part, plan.schedule, energies, bias, _work(plan, 3), *about, out)

            return task

        forest, lattice = _split(asked)
        return self._each(asked, ((forest, weigh(forests)), (lattice, weigh(lattices))))

    def _each(
        self,
        asked: Asked,
        tasks: Sequence[tuple[np.ndarray, Task]],
        swift: Sequence[tuple[np.ndarray, Task]] = (),
        alone: bool = False,
        deadline: float | None = None,
    ) -> np.ndarray:
        """What the tasks, each with the indices of its components, write: one float64 per component asked, NaN where
        the deadline came first. Swift ones sweep many runs at once."""
        out = np.full(asked.components.size, np.nan)
        for number, (chosen, task) in enumerate((*tasks, *swift)):
            if not chosen.size:
                continue

            def some(part: np.ndarray, task: Task = task) -> tuple[np.ndarray, np.ndarray]:
                values = np.empty(part.size)
                task(asked.components[part], values)
                return part, values

            listed = asked.components[chosen]
            work, most, few = asked.plan.work[listed], None, 1
            if number >= len(tasks):
                first = asked.plan.schedule.component
                work = 0.5 * work + RUN_WORK * (first[listed + 1, FIRST] - first[listed, FIRST])
                most, few = RUN_SLICE, RUNS
            threads = 1 if alone else self.threads
            for part, values in spread(chosen, work, some, threads, deadline=deadline, most=most, few=few):
                out[part] = values
        return out


def answer_forests(asked: Asked, answer: Answer, threads: int | None, time_limit: float | None) -> Asked:
    """Answer forests and lattices by dynamic programming; what is left of the question are its loopy components."""
    loopy = asked.plan.kinds[asked.components] == LOOPY
    if not loopy.all():
        DynamicProgramming(threads, time_limit).minimise(asked.part(~loopy), answer)
    return asked.part(loopy)


def _label_first(asked: Asked, components: np.ndarray, labels: np.ndarray) -> None:
    """Label the variables of forests by their first states without infinite bias; the arcs of lattices by −1."""
    plan, _, bias, _ = asked
    labels[plan.inside(components)] = -1
    variables = np.flatnonzero(plan.inside(components[plan.kinds[components] != LATTICE]))
    states = plan.states[variables]
    owner = np.repeat(variables, states)
    state = np.arange(owner.size) - np.repeat(np.cumsum(states) - states, states)
    open_ = np.ones(owner.size, bool) if not bias.size else bias[plan.offsets[owner] + state] < np.inf
    labels[owner[open_][::-1]] = state[open_][::-1]


def _refuse_loops(asked: Asked, loopy: np.ndarray) -> None:
    if loopy.size:
        raise FactorGraphError(
            f"DynamicProgramming: component {asked.components[loopy[0]]} has cycles; expected forests and lattices. "
            "Use method='auto' or infer.MinSum()"
        )


def _split(asked: Asked) -> tuple[np.ndarray, np.ndarray]:
    """Indices into the components of forests and of lattices."""
    kinds = asked.plan.kinds[asked.components]
    _refuse_loops(asked, np.flatnonzero(kinds == LOOPY))
    return np.flatnonzero(kinds != LATTICE), np.flatnonzero(kinds == LATTICE)


def _work(plan: Plan, beliefs: int) -> tuple[np.ndarray, ...]:
    """Work space of a float64 sweep: so many beliefs, and a table."""
    size = max(plan.extent.belief, 3 * plan.extent.nodes)
    return (*(buffer(size, np.float64) for _ in range(beliefs)), np.empty(plan.extent.table))


def _masks(energies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Padding masks of the energies' dtype and of float64."""
    return padding_mask(energies.dtype), padding_mask(np.dtype(np.float64))
