"""torch-struct: LinearChainCRF over edge potentials, which are made beforehand; one thread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch_struct import LinearChainCRF

SHARE = 100


def decode(unary: np.ndarray, table: np.ndarray) -> Callable[[], list[np.ndarray]]:
    """The best edges as a gradient; labels of each chain."""
    potentials = _potentials(unary, table)

    def work() -> list[np.ndarray]:
        edges = LinearChainCRF(potentials).argmax
        labels, _ = LinearChainCRF.struct.from_parts(edges)
        return list(labels.numpy())

    return work


def sums(unary: np.ndarray, table: np.ndarray) -> Callable[[], list[np.ndarray]]:
    """Edge marginals summed to those of the tokens."""
    potentials = _potentials(unary, table)

    def work() -> list[np.ndarray]:
        edges = LinearChainCRF(potentials).marginals.detach()
        first = edges[:, :1].sum(2)
        return list(torch.cat([first, edges.sum(3)], 1).numpy())

    return work


def _potentials(unary: np.ndarray, table: np.ndarray) -> torch.Tensor:
    """(N, T - 1, next label, label); the first token's energies go to the first edge."""
    torch.set_num_threads(1)
    torch.distributions.Distribution.set_default_validate_args(False)
    edges = -(unary[:, 1:, :, None] + table.T)
    edges[:, 0] -= unary[:, 0, None, :]
    return torch.from_numpy(edges)
