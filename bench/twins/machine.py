"""What one core of this machine can do at most, measured: the rooflines of the tables."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from .build import VECTOR_BYTES, function, workspace

ROUNDS = 200_000
STREAM = 128  #: megabytes read or copied, many times any cache
REPEAT = 15


class Peak(NamedTuple):
    """Per second: `add_min` entries a + b then min, float32 and float64; the same with the addition `fused`
    (a · 1 + b, which other units compute); `read` and `copied` bytes (a copied byte counts once)."""

    add_min: dict[str, float]
    fused: dict[str, float]
    read: float
    copied: float


@cache
def peak() -> Peak:
    """Measured once a process, about a second."""
    rates: dict[str, dict[str, float]] = {"add_min": {}, "fused": {}}
    for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        values = np.ones(1024, dtype)
        for name, found in rates.items():
            seconds = _least(partial(function("machine", f"{name}_{dtype.name}"), values, ROUNDS))
            found[dtype.name] = 16 * ROUNDS * VECTOR_BYTES / dtype.itemsize / seconds
    size = STREAM << 18
    source, target = (workspace(size, np.dtype(np.float32)) for _ in range(2))
    source[:] = target[:] = 1  # the pages exist
    return Peak(
        rates["add_min"],
        rates["fused"],
        4 * size / _least(partial(function("machine", "read"), source, size)),
        4 * size / _least(partial(function("machine", "copy"), target, source, size)),
    )


def _least(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(REPEAT):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)
