"""Marginals and log Z on chains: against hand-written C++, the textbook in log space and other libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import factorgraph as fg
from bench import ours, peers, workloads
from bench.chains import NO_COMPILER, SIZES
from bench.harness import Measure, Options, Row, alternate, compare
from bench.twins.build import COMPILER
from bench.twins.chains import forward_backward, summers

#: Entries of pairwise tables that the textbook in log space is given.
SHARE = 3e6


def kernel(options: Options) -> Iterator[Row]:
    """The bare kernel on ragged chains, one thread: ns per entry of all pairwise tables, both ways together."""
    for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        for states, count in SIZES:
            data = workloads.ragged(options.size(count, 20), states, dtype.type)
            run = ours.sums(ours.chains(data))
            calls: dict[str, Callable[[], Any]] = {"ours": run}
            variants = summers(states, dtype) if COMPILER else ()
            for name in variants:
                calls[name] = forward_backward(name, data.unary, data.table, data.offsets)
            times = alternate(calls, options.repeat)
            unit: dict[str, Any] = {"unit": "ns", "scale": 1e9 / data.transitions}
            what = f"{states} states, {dtype.name}"
            note = "" if COMPILER else NO_COMPILER
            yield compare(times, f"{what}, against C++", variants or ("C++",), bar=1.3, note=note, **unit)
            if COMPILER:
                few = data.head(max(1, int(len(data.offsets) * SHARE / data.transitions)))
                textbook = forward_backward("logsumexp", few.unary, few.table, few.offsets)
                times |= alternate({"log-sum-exp": textbook}, 1)
                share = few.transitions / data.transitions
                bar = 0.1 if states >= 9 else None
                yield compare(times, f"{what}, against log-sum-exp", "log-sum-exp", share=share, bar=bar, **unit)
                yield _digits(what, few, run()[1])


def _digits(what: str, few: workloads.Ragged, free: np.ndarray) -> Row:
    """Largest relative error of log Z of the first chains, against float64 in log space."""
    exact = forward_backward("logsumexp", few.unary.astype(float), few.table.astype(float), few.offsets)().logz
    error = float(np.abs(free[: len(exact)] / -exact - 1).max())
    return Row(f"{what}, relative error of log Z", "", Measure.of([error]), bar=1e-6)


def others(options: Options) -> Iterator[Row]:
    """`fg.marginals` of 1000 x 100 x 26 against other libraries, one thread each."""
    count = options.size(1000, 20)
    unary, table = workloads.chains(count, 100, 26)
    for dtype in (np.float32, np.float64):
        g = ours.equal_chains(unary.astype(dtype), table.astype(dtype))
        for package in ("hmmlearn", "torch_struct"):
            peer = peers.adapter(package)
            what = f"marginals, {np.dtype(dtype).name}, against {package}"
            calls: dict[str, Callable[[], Any]] = {"ours": partial(fg.marginals, g, threads=1)}
            if peer is None:
                yield compare(alternate(calls, 3), what, package, note="not installed")
                continue
            chains = min(count, peer.SHARE or count)
            calls[package] = peer.sums(unary[:chains].astype(dtype), table.astype(dtype))
            times = alternate(calls, min(options.repeat, 3))
            yield compare(times, what, package, share=chains / count)


SECTIONS = (kernel, others)
