"""Work on many components: in slices, so that ctrl-C is obeyed, and on threads, so that all cores are used.

Every component is answered on its own, and sums over components are made in a fixed order by whoever asks: the answer
is the same for any number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

Result = TypeVar("Result")

#: Configurations that make a second thread worth its start: about a millisecond.
THREAD_WORK = 1e7
#: Configurations of a slice, far below 100 ms of any kernel.
SLICE = 2e7
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
) -> list[Result]:
    """Results of `task` for slices of `chosen`, in order; work[i] (configurations) is that of chosen[i].

    size: the work of a slice, for sums over slices that shall not depend on the number of threads.
    An exception, ctrl-C among them, stops what has not begun and is raised when the running slices have ended.
    """
    if not chosen.size:
        return []
    ends = np.cumsum(work)
    count = thread_count(threads, ends[-1])
    slices = int(ends[-1] / (size or SLICE)) + 1
    if size is None and count > 1:
        slices = max(slices, CHUNKS * count)
    cuts = np.searchsorted(ends, ends[-1] / slices * np.arange(1, slices))
    parts = [part for part in np.split(chosen, cuts) if part.size]
    if count == 1 or len(parts) == 1:
        return [task(part) for part in parts]
    pool = ThreadPoolExecutor(count)
    try:
        return list(pool.map(task, parts))
    finally:
        pool.shutdown(cancel_futures=True)
