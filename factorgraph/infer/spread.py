"""Work on many components: in slices and on threads, so that all cores are used and the caller can always be stopped.

Every component is answered on its own, and sums over components are made in a fixed order by whoever asks: the answer
is the same for any number of threads. Long work never runs in the caller's own thread: ctrl-C and deadlines are obeyed
at once, even while one kernel call sweeps a component of ten million variables; it ends in the background.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from time import perf_counter
from typing import TypeVar

import numpy as np

Result = TypeVar("Result")

#: Configurations that make a second thread worth its start: about a millisecond.
THREAD_WORK = 1e7
#: Configurations of a slice, far below 100 ms of any kernel; more than this never runs in the caller's thread.
SLICE = 2e7
#: Runs that are worth a slice, where many go side by side.
RUNS = 16
#: Slices per thread, so that uneven components even out.
CHUNKS = 4


def thread_count(threads: int | None, work: float) -> int:
    """How many threads: as asked, or by the size of the work (configurations)."""
    if threads is not None:
        return max(1, int(threads))
    return cores() if work >= THREAD_WORK else 1


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(
    chosen: np.ndarray,
    work: np.ndarray,
    task: Callable[[np.ndarray], Result],
    threads: int | None,
    size: float | None = None,
    deadline: float | None = None,
    most: float | None = None,
    few: int = 1,
) -> list[Result]:
    """Results of `task` for slices of `chosen`, in order; work[i] (configurations) is that of chosen[i].

    size: the work of a slice, for sums over slices that shall not depend on the number of threads. most: the largest
    work of a slice, and of what runs in the caller's thread, SLICE by default. few: so many components at least are
    worth a slice where there is one for every thread. deadline: on the clock of perf_counter; slices that are not done
    by then are missing in the result, and those that have begun end in the background, so that what they write to must
    be theirs. Exceptions are raised, ctrl-C among them.
    """
    if not chosen.size:
        return []
    ends = np.cumsum(work)
    most = most or SLICE
    count = thread_count(threads, ends[-1])
    slices = int(ends[-1] / (size or most)) + 1
    if size is None and count > 1:
        slices = max(slices, min(CHUNKS * count, max(count, chosen.size // few)))
    if slices == 1 and ends[-1] <= most:
        return [task(chosen)]
    cuts = np.searchsorted(ends, ends[-1] / slices * np.arange(1, slices))
    parts = [part for part in np.split(chosen, cuts) if part.size]
    if ends[-1] <= most and (count == 1 or len(parts) == 1):
        return [task(part) for part in parts]
    pool = ThreadPoolExecutor(count)
    try:
        futures = [pool.submit(task, part) for part in parts]
        wait(futures, None if deadline is None else max(0.0, deadline - perf_counter()), FIRST_EXCEPTION)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return [future.result() for future in futures if future.done() and not future.cancelled()]
