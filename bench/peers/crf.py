"""pytorch-crf: a linear-chain CRF layer; decoding only, one thread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torchcrf import CRF

SHARE = None


def decode(unary: np.ndarray, table: np.ndarray) -> Callable[[], list[list[int]]]:
    """Viterbi over the batch; labels of each chain."""
    torch.set_num_threads(1)
    layer = CRF(len(table), batch_first=True).to(torch.from_numpy(unary).dtype)
    with torch.no_grad():
        layer.start_transitions.zero_()
        layer.end_transitions.zero_()
        layer.transitions.copy_(-torch.from_numpy(table))
    emissions = -torch.from_numpy(unary)

    def work() -> list[list[int]]:
        with torch.no_grad():
            found: list[list[int]] = layer.decode(emissions)
        return found

    return work
