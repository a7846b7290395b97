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
from ..kernels.messages import copy_general, copy_shared
from ..kernels.run_min import minimise_runs
from ..kernels.schedule import RUN_STEP
from ..kernels.simd import buffer
from ..kernels.structure import LATTICE, LOOPY
from ..plan import Asked, Plan
from .solution import Status
from .solver import Answer, Solver

#: Configurations that make a second thread worth its start: about a millisecond.
THREAD_WORK = 1e7
#: Configurations of a slice: between slices ctrl-C is obeyed, so that they should take well below 100 ms.
SLICE = 2e7
#: Minima of float32 energies beyond this are computed again in float64.
NEAR_OVERFLOW = 1e37
#: Slices per thread, so that uneven components even out.
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
        forest, run, lattice = self._split(plan, components)
        if forest.size or run.size:
            copies = copied_tables(plan, energies, components[forest])
            mask = padding_mask(energies.dtype)
            for chosen, sweep, side_by_side in ((forest, minimise_forests, 1), (run, minimise_runs, 4)):

                def forests(part: np.ndarray, sweep: Callable[..., None] = sweep, width: int = side_by_side) -> None:
                    work = (
                        buffer(width * plan.extent.belief, energies.dtype),
                        np.empty(plan.extent.table, energies.dtype),
                    )
                    out = np.empty(part.size)
                    sweep(components[part], plan.schedule, energies, copies, bias, mask, work, labels, out)
                    least[part] = out

                self._spread(plan, components, chosen, forests)

        def lattices(part: np.ndarray) -> None:
            size = max(plan.extent.belief, plan.extent.nodes)
            work = (np.empty(size), np.empty(size), np.empty(2 * size, np.int64), np.empty(plan.extent.table))
            out = np.empty(part.size)
            minimise_lattices(components[part], plan.schedule, energies, bias, work, labels, out)
            least[part] = out

        self._spread(plan, components, lattice, lattices)
        if energies.dtype == np.float32:
            doubtful = np.flatnonzero(np.abs(least) > NEAR_OVERFLOW)
            if doubtful.size:  # sums near or beyond the range of float32: ask again in float64
                least[doubtful] = self.minima(asked.part(doubtful).wide(), labels)
        return least

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
        forest, runs, lattice = self._split(plan, components)
        for chosen, run in ((np.concatenate([forest, runs]), sum_forests), (lattice, sum_lattices)):

            def sums(part: np.ndarray, run: Callable[..., None] = run) -> None:
                size = max(plan.extent.belief, plan.extent.nodes)
                beliefs = 3 if run is sum_lattices else 2
                work = (*(np.empty(size) for _ in range(beliefs)), np.empty(plan.extent.table))
                out = np.empty(part.size)
                beta = 1.0 / temperature
                run(components[part], plan.schedule, energies, bias, beta, work, into, slope, float(weight), out)
                free[part] = out * temperature

            # tables shared by several components receive gradients from all of them, in one fixed order
            self._spread(plan, components, chosen, sums, alone=gradient is not None)
        return free

    def _split(self, plan: Plan, components: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Indices into `components` of forests, of runs (in the order in which they go side by side), of lattices."""
        kinds = plan.kinds[components]
        if (kinds == LOOPY).any():
            c = int(components[np.argmax(kinds == LOOPY)])
            raise FactorGraphError(
                f"DynamicProgramming: component {c} has cycles; expected forests and lattices. "
                "Use method='auto' or infer.MinSum()"
            )
        even = plan.schedule.run[components, RUN_STEP] != 0
        runs = np.flatnonzero(even)
        if runs.size > 1:
            runs = runs[np.argsort(plan.run_rank[components[runs]])]
        return np.flatnonzero((kinds != LATTICE) & ~even), runs, np.flatnonzero(kinds == LATTICE)

    def _spread(
        self,
        plan: Plan,
        components: np.ndarray,
        chosen: np.ndarray,
        task: Callable[[np.ndarray], None],
        alone: bool = False,
    ) -> None:
        """Run `task` over slices of the chosen components, on threads; every component is answered on its own."""
        if not chosen.size:
            return
        work = np.cumsum(plan.work[components[chosen]])
        count = 1 if alone else thread_count(self.threads, work[-1])
        slices = max(int(work[-1] / SLICE) + 1, CHUNKS * count if count > 1 else 1)
        parts = np.split(chosen, np.searchsorted(work, work[-1] / slices * np.arange(1, slices)))
        parts = [part for part in parts if part.size]
        if count == 1 or len(parts) == 1:
            for part in parts:
                task(part)
            return
        pool = ThreadPoolExecutor(count)
        try:
            list(pool.map(task, parts))
        finally:
            pool.shutdown(cancel_futures=True)


def thread_count(threads: int | None, work: float) -> int:
    """How many threads: as asked, or by the size of the work (configurations)."""
    if threads is not None:
        return max(1, int(threads))
    return _cores() if work >= THREAD_WORK else 1


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def copied_tables(plan: Plan, energies: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Blocked copies, both ways round, of the tables that many edges read; dense tables of general edges."""
    copies = buffer(plan.extent.copied, energies.dtype)
    for index, start in plan.extent.copies:
        block = plan.blocks[index]
        rows, columns = block.states
        as_is, turned = rows * (-(-columns // 16) * 16), columns * (-(-rows // 16) * 16)
        for t in range(block.tables):
            at = start + t * (as_is + turned)
            copy_shared(energies[block.start + t * block.size :], rows, columns, at, at + as_is, copies)
    if plan.extent.general:
        copy_general(components, plan.schedule, energies, copies)
    return copies
