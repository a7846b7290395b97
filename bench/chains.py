"""Labels of lowest energy on chains: against hand-written C++, the machine's peak and other libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import factorgraph as fg
from bench import ours, peers, workloads
from bench.harness import Options, Row, alternate, compare
from bench.twins import machine
from bench.twins.build import COMPILER
from bench.twins.chains import decoders, viterbi

#: States and how many chains of 20 to 180 tokens.
SIZES = ((2, 1000), (9, 1000), (26, 1000), (45, 400), (128, 80), (512, 20))
#: Least share of the peak of additions and minima, float32.
FLOORS = {45: 0.6, 128: 0.7}
NO_COMPILER = "no g++: no twin"


def kernel(options: Options) -> Iterator[Row]:
    """The bare kernel on ragged chains, one thread, against the best C++ variant of each size; ns per entry of all
    pairwise tables, the way back included."""
    for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        for states, count in SIZES:
            data = workloads.ragged(options.size(count, 20), states, dtype.type)
            calls: dict[str, Callable[[], Any]] = {"ours": ours.minima(ours.chains(data))}
            variants = decoders(states, dtype) if COMPILER else ()
            for name in variants:
                calls[name] = viterbi(name, data.unary, data.table, data.offsets)
            times = alternate(calls, options.repeat)
            rate = data.transitions / min(times["ours"])
            yield compare(
                times,
                f"{states} states, {dtype.name}, against C++",
                variants or ("C++",),
                unit="ns",
                scale=1e9 / data.transitions,
                bar=1.2,
                peak=rate / machine.peak().add_min[dtype.name] if COMPILER else None,
                floor=FLOORS.get(states) if dtype == np.float32 else None,
                note="" if COMPILER else NO_COMPILER,
            )


def solve(options: Options) -> Iterator[Row]:
    """`fg.solve` of 1000 x 100 x 26, everything but the declaration, against its own bare kernel, one thread."""
    for dtype in (np.float32, np.float64):
        g = _equal(options, dtype)
        calls: dict[str, Callable[[], Any]] = {"ours": partial(fg.solve, g, threads=1), "kernel": ours.minima(g)}
        what = f"solve, {np.dtype(dtype).name}, against the bare kernel"
        yield compare(alternate(calls, 25), what, "kernel", bar=1.3)


def others(options: Options) -> Iterator[Row]:
    """`fg.solve` of the same against other libraries, one thread each."""
    bars: dict[str, tuple[float | None, float | None]] = {
        "hmmlearn": (1 / 5.7, 1 / 3),
        "torch_struct": (1 / 500, 1 / 500),
        "pytoulbar2": (1 / 500, 1 / 500),
        "torchcrf": (None, None),
        "pycrfsuite": (None, None),
    }
    for at, dtype in enumerate((np.float32, np.float64)):
        g = _equal(options, dtype)
        unary, table = _energies(options, dtype)
        for package, limits in bars.items():
            peer = peers.adapter(package)
            what = f"solve, {np.dtype(dtype).name}, against {package}"
            calls: dict[str, Callable[[], Any]] = {"ours": partial(fg.solve, g, threads=1)}
            if peer is None:
                yield compare(alternate(calls, 3), what, package, note="not installed", bar=limits[at])
                continue
            chains = min(len(unary), peer.SHARE or len(unary))
            calls[package] = peer.decode(unary[:chains], table)
            times = alternate(calls, min(options.repeat, 3 if peer.SHARE else 7))
            yield compare(times, what, package, share=chains / len(unary), bar=limits[at])


def threads(options: Options) -> Iterator[Row]:
    """The bare kernel on two threads against one, where there is more than 10 ms of work."""
    for states, count in ((26, 5000), (45, 2000), (128, 300)):
        data = workloads.ragged(options.size(count, 40), states, np.float32)
        g = ours.chains(data)
        times = alternate({"ours": ours.minima(g, 2), "one": ours.minima(g, 1)}, options.repeat)
        yield compare(times, f"{states} states, float32, two threads against one", "one", bar=1 / 1.7)


def length(options: Options) -> Iterator[Row]:
    """One chain of a million tokens of 8 labels against a thousand of a thousand; ns per token, one thread."""
    side = options.size(1000, 50)
    tokens = side * side
    unary, table = workloads.chains(side, side, 8)
    shapes = {"one": (1, tokens), "batch": (side, side)}
    calls: dict[str, Callable[[], Any]] = {}
    for name, (count, steps) in shapes.items():
        calls[name] = ours.minima(ours.equal_chains(unary.reshape(count, steps, 8), table))
        for variant in decoders(8, table.dtype) if COMPILER else ():
            offsets = np.arange(count + 1) * steps
            calls[f"{name}, {variant}"] = viterbi(variant, unary.reshape(-1, 8), table, offsets)
    times = alternate(calls, options.repeat)
    scale = 1e9 / tokens
    yield compare(times, f"one chain of {tokens}x8 against the batch", "batch", "one", "ns", scale, bar=1.3)
    for name in shapes:
        twins = [call for call in calls if call.startswith(f"{name},")] or ["C++"]
        note = "" if COMPILER else NO_COMPILER
        yield compare(times, f"{name} of {tokens}x8 against C++", twins, name, "ns", scale, note=note)


def _energies(options: Options, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    unary, table = workloads.chains(options.size(1000, 20), 100, 26)
    return unary.astype(dtype), table.astype(dtype)


def _equal(options: Options, dtype: Any) -> fg.FactorGraph:
    return ours.equal_chains(*_energies(options, dtype))


SECTIONS = (kernel, solve, others, threads, length)
