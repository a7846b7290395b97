"""Copies of the tables that many edges read, in the layouts of kernels/messages.py and kernels/probability.py."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..kernels.messages import copy_general, copy_shared
from ..kernels.probability import weigh_shared
from ..kernels.schedule import HEAD
from ..kernels.simd import buffer
from ..plan import Plan


def copied_tables(plan: Plan, energies: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Blocked copies, both ways round, of the tables that many edges read; dense tables of general edges."""
    copies = buffer(plan.extent.copied, energies.dtype)
    for at, rows, columns, as_is, turned in shared_tables(plan):
        copy_shared(energies[at:], rows, columns, as_is, turned, copies)
    if plan.extent.general:
        copy_general(components, plan.schedule, energies, copies)
    return copies


def weighed_tables(plan: Plan, energies: np.ndarray, beta: float, mask: np.ndarray) -> np.ndarray:
    """The same of exp(−β (table − least)); general edges are left out."""
    copies = buffer(plan.extent.copied, energies.dtype)
    for at, rows, columns, as_is, turned in shared_tables(plan):
        weigh_shared(energies[at:], rows, columns, beta, mask, as_is, turned, copies)
    return copies


def shared_tables(plan: Plan) -> Iterator[tuple[int, int, int, int, int]]:
    """Of each table that many edges read: its place in the energies, rows, columns, places of its two copies."""
    for index, start in plan.extent.copies:
        block = plan.blocks[index]
        rows, columns = block.states
        size = rows * (-(-columns // 16) * 16) + HEAD
        for t in range(block.tables):
            as_is = start + HEAD + t * (size + columns * (-(-rows // 16) * 16) + HEAD)
            yield block.start + t * block.size, rows, columns, as_is, as_is + size
