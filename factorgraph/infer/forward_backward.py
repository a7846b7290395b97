"""Sums over forests: in probabilities where that is safe, in logarithms elsewhere."""

from __future__ import annotations

import numpy as np

from ..kernels.forest_min import padding_mask
from ..kernels.forest_scaled import scaled_forests
from ..kernels.forest_sum import sum_forests
from ..kernels.probability import FLOORS, LOW, WHOLE, add_counts
from ..kernels.run_scaled import scaled_lanes, sum_work
from ..kernels.schedule import FIRST, HEAD, RUN_UP, STATES
from ..kernels.simd import VECTOR_BYTES, buffer
from ..plan import Asked
from ..plan.sweeps import NARROW_SUMS
from .spread import RUNS, spread
from .tables import weighed_tables

#: Configurations of a slice where gradients of shared tables are summed: the same for any number of threads.
SLICE = 4e6
#: Inverse temperatures beyond this leave no room for probabilities.
STEEP = 1e6


def integrate_forests(
    asked: Asked, temperature: float, marginals: np.ndarray, gradient: np.ndarray, weight: float, threads: int | None
) -> np.ndarray:
    """As Solver.integrate; marginals and gradient are empty where they are not asked for."""
    beta = 1.0 / temperature
    free = np.full(asked.components.size, np.nan)
    if 1 / STEEP < beta < STEEP:
        free = temperature * _scaled(asked, beta, marginals, gradient, weight, threads)
        doubtful = np.flatnonzero(~np.isfinite(free))  # +inf: forbidden, or sums beyond the range of float32
        if doubtful.size and asked.energies.dtype == np.float32:
            wide = asked.part(doubtful).wide()
            free[doubtful] = temperature * _scaled(wide, beta, marginals, gradient, weight, threads)
    doubtful = np.flatnonzero(np.isnan(free))
    if doubtful.size:
        free[doubtful] = temperature * _logarithmic(asked.part(doubtful), beta, marginals, gradient, weight, threads)
    return free


def _scaled(
    asked: Asked, beta: float, marginals: np.ndarray, gradient: np.ndarray, weight: float, threads: int | None
) -> np.ndarray:
    """Free energies · β, NaN where probabilities are not safe."""
    plan, energies, bias, components = asked
    extent, dtype = plan.extent, energies.dtype
    mask = padding_mask(dtype)
    weights = weighed_tables(plan, energies, beta, mask)
    free = np.empty(components.size)

    lanes, others, most = _sort(asked, weights)

    def sweep_lanes(chosen: np.ndarray) -> np.ndarray:
        totals = np.zeros(extent.copied if gradient.size else 0)
        spaces = sum_work(most, dtype, totals.size > 0)
        out, into = np.empty(chosen.size), (marginals, totals, gradient, weight)
        scaled_lanes(components[chosen], plan.schedule, energies, weights, bias, beta, mask, spaces, into, out)
        free[chosen] = out
        return totals

    def sweep_others(chosen: np.ndarray) -> np.ndarray:
        counts = buffer(extent.copied if gradient.size else 0, dtype)
        totals = np.zeros(counts.size)
        sizes = extent.belief, extent.belief, extent.message, extent.table
        work = (*(buffer(size, dtype) for size in sizes), np.empty(extent.belief // 16))
        into = (marginals, counts, totals, gradient, weight)
        out = np.empty(chosen.size)
        scaled_forests(components[chosen], plan.schedule, energies, weights, bias, beta, mask, work, into, out)
        free[chosen] = out
        return totals

    alone = 1 if gradient.size and plan.tied else threads
    size = SLICE if gradient.size else None
    work = plan.work[components]
    found = spread(lanes, work[lanes], sweep_lanes, alone, size, few=RUNS)
    found += spread(others, work[others], sweep_others, alone, size)
    if gradient.size and extent.copies and found:
        counts = sum(found[1:], found[0])
        for at, rows, columns, as_is, turned in plan.extent.shared.tolist():
            add_counts(rows, columns, weights, counts, as_is, turned, weight, gradient[at:])
    return free


def _sort(asked: Asked, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Indices of the components that go side by side in lanes, and of the others; as `Sweeps.most`."""
    plan, energies, _, components = asked
    sweeps = plan.sweeps(components, VECTOR_BYTES // energies.itemsize, NARROW_SUMS)
    lanes = sweeps.lanes
    schedule = plan.schedule
    head = schedule.run[components[lanes], RUN_UP] - HEAD
    states = schedule.position[schedule.component[components[lanes], FIRST], STATES]
    low = weights[head + LOW].astype(np.float64)
    lanes = lanes[(weights[head + WHOLE] == 1) & (low * low / states >= FLOORS[energies.itemsize == 8])]
    rest = np.ones(components.size, bool)
    rest[lanes] = False
    return lanes, np.flatnonzero(rest), sweeps.most


def _logarithmic(
    asked: Asked, beta: float, marginals: np.ndarray, gradient: np.ndarray, weight: float, threads: int | None
) -> np.ndarray:
    """Free energies · β, whatever the energies are."""
    plan, energies, bias, components = asked
    free = np.empty(components.size)

    def task(chosen: np.ndarray) -> None:
        work = np.empty(plan.extent.belief), np.empty(plan.extent.belief), np.empty(plan.extent.table)
        out = np.empty(chosen.size)
        sum_forests(components[chosen], plan.schedule, energies, bias, beta, work, marginals, gradient, weight, out)
        free[chosen] = out

    # tables shared by several components receive gradients from all of them, in one fixed order
    spread(np.arange(components.size), plan.work[components], task, 1 if gradient.size else threads)
    return free
