"""hmmlearn: the compiled recursions under its HMM classes, sequence by sequence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hmmlearn import _hmmc

SHARE = None


def decode(unary: np.ndarray, table: np.ndarray) -> Callable[[], list[np.ndarray]]:
    """Viterbi in float64, which is what it has; labels of each chain."""
    start, transitions, frames = np.zeros(len(table)), -table.astype(np.float64), -unary.astype(np.float64)
    return lambda: [_hmmc.viterbi(start, transitions, frame)[1] for frame in frames]


def sums(unary: np.ndarray, table: np.ndarray) -> Callable[[], list[np.ndarray]]:
    """Scaled forward-backward and posteriors, exponentials made beforehand; marginals of each chain."""
    start, transitions = np.ones(len(table)), np.exp(-table.astype(np.float64))
    frames = np.exp(unary.min(-1, keepdims=True) - unary.astype(np.float64))

    def posteriors(frame: np.ndarray) -> np.ndarray:
        _, forward, scale = _hmmc.forward_scaling(start, transitions, frame)
        product = forward * _hmmc.backward_scaling(start, transitions, frame, scale)
        return product / product.sum(1, keepdims=True)

    return lambda: [posteriors(frame) for frame in frames]
