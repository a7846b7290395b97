"""The ten best labellings of chains, against the best one alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import factorgraph as fg
from bench import ours, workloads
from bench.harness import Options, Row, alternate, compare

K = 10


def chains(options: Options) -> Iterator[Row]:
    """`fg.k_best` against `fg.solve` on 1000 x 50 x 26, one thread."""
    for dtype in (np.float32, np.float64):
        unary, table = workloads.chains(options.size(1000, 20), 50, 26)
        g = ours.equal_chains(unary.astype(dtype), table.astype(dtype))
        calls: dict[str, Callable[[], Any]] = {
            "ours": partial(fg.k_best, g, K, threads=1),
            "best": partial(fg.solve, g, threads=1),
        }
        what = f"{K} best of {len(unary)}x50x26, {np.dtype(dtype).name}, against the best"
        yield compare(alternate(calls, options.repeat), what, "best", bar=15)


SECTIONS = (chains,)
