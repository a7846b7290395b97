"""PyMaxflow: minimum cuts of binary grids of four neighbours, by its grid interface."""

from __future__ import annotations

from collections.abc import Callable

import maxflow
import numpy as np


def cut(unary: np.ndarray, weight: float) -> Callable[[], float]:
    """The minimum for unaries (H, W, 2) and one Potts weight for all neighbours, labels asked for as well."""
    height, width, _ = unary.shape

    def work() -> float:
        graph = maxflow.GraphFloat(height * width, 2 * height * width)
        nodes = graph.add_grid_nodes((height, width))
        graph.add_grid_edges(nodes, weight, symmetric=True)
        graph.add_grid_tedges(nodes, unary[..., 0], unary[..., 1])
        value = graph.maxflow()
        graph.get_grid_segments(nodes)
        return float(value)

    return work
