"""gco-wrapper: expansions on grids of four neighbours; energies that are floats it rounds to five decimals."""

from __future__ import annotations

from collections.abc import Callable

import gco
import numpy as np


def expand(unary: np.ndarray, table: np.ndarray) -> Callable[[], np.ndarray]:
    """Expansions until none helps, of unaries (H, W, K) and one table (K, K) for all neighbours; labels (H, W)."""
    unary, table = unary.astype(np.float64), table.astype(np.float64)

    def work() -> np.ndarray:
        labels = gco.cut_grid_graph_simple(unary, table, n_iter=-1, connect=4, algorithm="expansion")
        return labels.reshape(unary.shape[:2]).astype(np.int32)

    return work
