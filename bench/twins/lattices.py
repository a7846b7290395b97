"""Best paths of lattices and sums over all paths, free or spelling known strings: lattices.cpp."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.workloads import Lines

from .build import SLACK, Argument, function, slack


def best(data: Lines, spelling: bool) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """A call that gives (labels int32 (arcs,), −1 off the path; energy float64 of each line's best path)."""
    labels = np.empty(len(data.energies), np.int32)
    return _call("best", spelling, data, labels)


def sums(data: Lines, spelling: bool) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """A call that gives (posteriors float32 (arcs, K), free energy float64 of each line)."""
    return _call("sum", spelling, data, np.zeros_like(data.energies))


def _call(name: str, spelling: bool, data: Lines, out: np.ndarray) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    run = function("lattices", f"{name}_{'spelling' if spelling else 'free'}")
    energy = np.empty(len(data.nodes))
    given: tuple[Argument, ...] = (
        slack(data.energies),
        data.ptr.astype(np.int64),
        data.nodes.astype(np.int64),
        data.start.astype(np.int32),
        data.end.astype(np.int32),
        len(data.nodes),
        data.energies.shape[1],
        data.spelled.astype(np.int64),
        np.append(data.letters, np.zeros(SLACK)).astype(np.int32),
    )

    def call() -> tuple[np.ndarray, np.ndarray]:
        run(*given, out, energy)
        return out, energy

    return call
