"""pytoulbar2: exact search on cost function networks; it solves a network once, so each call builds it too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytoulbar2

SHARE = 20


def decode(unary: np.ndarray, table: np.ndarray) -> Callable[[], list[list[int]]]:
    """Labels of each chain, a network of its own; costs with six decimals."""
    chains = unary.astype(float).tolist()
    costs = table.astype(float).ravel().tolist()
    states = range(len(table))

    def solve(chain: list[list[float]]) -> list[int]:
        network = pytoulbar2.CFN(ubinit=1e6, resolution=6)
        for t, row in enumerate(chain):
            network.AddVariable(f"y{t}", states)
            network.AddFunction([t], row)
        for t in range(1, len(chain)):
            network.AddFunction([t - 1, t], costs)
        labels: list[int] = network.Solve()[0]
        return labels

    return lambda: [solve(chain) for chain in chains]
