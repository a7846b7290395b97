"""Dynamic programming: exact minima and sums on forests and lattices."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels.forest_min import minimise_forests, padding_mask
from ..kernels.forest_sum import sum_forests
from ..kernels.lattice import minimise_lattices, sum_lattices
from ..kernels.messages import copy_general
from ..kernels.run_min import minimise_runs
from ..kernels.schedule import RUN_STEP
from ..kernels.simd import buffer
from ..kernels.structure import LATTICE, LOOPY
from ..plan import Asked, Plan
from .ranking import Ranking, rank_forest_part, rank_lattice_part
from .solution import Status
from .solver import Answer, Solver

#: Energies that make a second thread worth its start.
THREAD_WORK = 2_000_000
#: Minima of float32 energies beyond this are computed again in float64.
NEAR_OVERFLOW = 1e37
#: Chunks per thread, so that ctrl-C is obeyed and uneven components even out.
CHUNKS = 4


@dataclass(frozen=True)
class DynamicProgramming(Solver):
    """Viterbi and forward-backward, on any forest and any lattice; refuses loopy components.

    Chains, trees: Viterbi 1967; Pearl 1988. Lattices: LeCun, Bottou, Bengio, Haffner 1998, section VI.
    """

    name: ClassVar[str] = "dynamic programming"

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Forests and lattices."""
        return bool(plan.kinds[component] != LOOPY)

    def minimise(self, asked: Asked, answer: Answer) -> None:
        """Exact labels by backtracing, never by per-variable minima."""
        least = self.minima(asked, answer.labels)
        answer.sign(asked.components, self.name, np.where(least == np.inf, Status.INFEASIBLE, Status.OPTIMAL))

    def minima(self, asked: Asked, labels: np.ndarray) -> np.ndarray:
        """Minimum (float64, as rounded by the energies' dtype) of each listed component; writes its labels."""
        plan, energies, bias, components = asked
        least = np.empty(components.size)
        lattice, forest = self._split(plan, components)
        if forest.size:
            copies = copied_tables(plan, energies, components[forest])
            mask = padding_mask(energies.dtype)

            def forests(chosen: np.ndarray) -> None:
                belief = buffer(plan.extent.belief, energies.dtype)
                work = (belief, np.empty(plan.extent.table, energies.dtype))
                even = plan.schedule.run[components[chosen], RUN_STEP] != 0
                for part, run in ((chosen[even], minimise_runs), (chosen[~even], minimise_forests)):
                    if part.size:
                        out = np.empty(part.size)
                        run(components[part], plan.schedule, energies, copies, bias, mask, work, labels, out)
                        least[part] = out

            self._spread(plan, forest, forests)
        if lattice.size:

            def lattices(chosen: np.ndarray) -> None:
                size = max(plan.extent.belief, plan.extent.nodes)
                work = (np.empty(size), np.empty(size), np.empty(2 * size, np.int64), np.empty(plan.extent.table))
                out = np.empty(chosen.size)
                minimise_lattices(components[chosen], plan.schedule, energies, bias, work, labels, out)
                least[chosen] = out

            self._spread(plan, lattice, lattices)
        if energies.dtype == np.float32:
            doubtful = np.flatnonzero(np.abs(least) > NEAR_OVERFLOW)
            if doubtful.size:  # sums near or beyond the range of float32: ask again in float64
                least[doubtful] = self.minima(asked.part(doubtful).wide(), labels)
        return least

    def rank(self, asked: Asked, k: int) -> Ranking:
        """See Solver.rank; exact, as rounded by the energies' dtype."""
        plan, energies, _, components = asked
        ranking = Ranking.empty(plan, components.size, k)
        lattice, forest = self._split(plan, components)
        if forest.size:
            copies = copied_tables(plan, energies, components[forest])
            self._spread(plan, forest, lambda chosen: rank_forest_part(asked, copies, chosen, ranking))
        if lattice.size:
            ranking.energies[lattice, 0] = self.minima(asked.part(lattice), ranking.labels[0])
            self._spread(plan, lattice, lambda chosen: rank_lattice_part(asked, chosen, ranking))
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
        plan, energies, bias, components = asked
        free = np.empty(components.size)
        into = np.zeros(0) if marginals is None else marginals
        slope = np.zeros(0, energies.dtype) if gradient is None else gradient
        lattice, forest = self._split(plan, components)
        for chosen, run in ((forest, sum_forests), (lattice, sum_lattices)):
            if not chosen.size:
                continue

            def sums(part: np.ndarray, run: Callable[..., None] = run) -> None:
                size = max(plan.extent.belief, plan.extent.nodes)
                beliefs = 3 if run is sum_lattices else 2
                work = (*(np.empty(size) for _ in range(beliefs)), np.empty(plan.extent.table))
                out = np.empty(part.size)
                beta = 1.0 / temperature
                run(components[part], plan.schedule, energies, bias, beta, work, into, slope, float(weight), out)
                free[part] = out * temperature

            # tables shared by several components receive gradients from all of them, in one fixed order
            self._spread(plan, chosen, sums, alone=gradient is not None)
        return free

    def _split(self, plan: Plan, components: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Indices into `components` of lattices and of forests."""
        kinds = plan.kinds[components]
        if (kinds == LOOPY).any():
            c = int(components[np.argmax(kinds == LOOPY)])
            raise FactorGraphError(
                f"DynamicProgramming: component {c} has cycles; expected forests and lattices. "
                "Use method='auto' or infer.MinSum()"
            )
        return np.flatnonzero(kinds == LATTICE), np.flatnonzero(kinds != LATTICE)

    def _spread(
        self, plan: Plan, chosen: np.ndarray, task: Callable[[np.ndarray], None], alone: bool = False
    ) -> None:
        """Run `task` over chunks of components on threads; every chunk's result is independent of the others."""
        count = 1 if alone else thread_count(self.threads, plan.size * chosen.size // max(1, plan.n_components))
        if count == 1 or chosen.size < 2:
            task(chosen)
            return
        parts = np.array_split(chosen, min(chosen.size, CHUNKS * count))
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(task, parts))


def thread_count(threads: int | None, work: int) -> int:
    """How many threads: as asked, or by the size of the work."""
    if threads is not None:
        return max(1, int(threads))
    return max(1, min(_cores(), work // THREAD_WORK + (work >= THREAD_WORK)))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def copied_tables(plan: Plan, energies: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Padded copies, both ways round, of the tables that many edges read; dense tables of general edges."""
    copies = buffer(plan.extent.copied, energies.dtype)
    for index, start in plan.extent.copies:
        block = plan.blocks[index]
        rows, columns = block.states
        across, down = -(-columns // 16) * 16, -(-rows // 16) * 16
        span = copies[start : start + block.tables * (rows * across + columns * down)].reshape(block.tables, -1)
        tables = block.view(energies)
        span[:, : rows * across].reshape(-1, rows, across)[:, :, :columns] = tables
        span[:, rows * across :].reshape(-1, columns, down)[:, :, :rows] = tables.transpose(0, 2, 1)
    if plan.extent.general:
        copy_general(components, plan.schedule, energies, copies)
    return copies
