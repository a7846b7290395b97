"""Work on many components: in slices, so that ctrl-C is obeyed, and on threads, so that all cores are used.

Every component is answered on its own, and sums over components are made in a fixed order by whoever asks: the answer
is the same for any number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

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


def spread(chosen: np.ndarray, work: np.ndarray, task: Callable[[np.ndarray], None], threads: int | None) -> None:
    """Call `task` with slices of `chosen`, each of about the same work; work[i] (configurations) is that of chosen[i].

    An exception, ctrl-C among them, stops what has not begun and is raised when the running slices have ended.
    """
    if not chosen.size:
        return
    ends = np.cumsum(work)
    count = thread_count(threads, ends[-1])
    slices = max(int(ends[-1] / SLICE) + 1, CHUNKS * count if count > 1 else 1)
    cuts = np.searchsorted(ends, ends[-1] / slices * np.arange(1, slices))
    parts = [part for part in np.split(chosen, cuts) if part.size]
    if count == 1 or len(parts) == 1:
        for part in parts:
            task(part)
        return
    pool = ThreadPoolExecutor(count)
    try:
        list(pool.map(task, parts))
    finally:
        pool.shutdown(cancel_futures=True)
