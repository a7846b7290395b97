"""Copies of the tables that many edges read, in the layouts of kernels/messages.py and kernels/probability.py."""

from __future__ import annotations

import numpy as np

from ..kernels.messages import copy_general, copy_shared
from ..kernels.probability import weigh_shared
from ..kernels.simd import buffer
from ..plan import Plan


def copied_tables(plan: Plan, energies: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Blocked copies, both ways round, of the tables that many edges read; dense tables of general edges."""
    copies = buffer(plan.extent.copied, energies.dtype)
    if plan.extent.shared.size:
        copy_shared(energies, plan.extent.shared, copies)
    if plan.extent.general:
        copy_general(components, plan.schedule, energies, copies)
    return copies


def weighed_tables(plan: Plan, energies: np.ndarray, beta: float, mask: np.ndarray) -> np.ndarray:
    """The same of exp(−β (table − least)); general edges are left out."""
    copies = buffer(plan.extent.copied, energies.dtype)
    for at, rows, columns, as_is, turned in plan.extent.shared.tolist():
        weigh_shared(energies[at:], rows, columns, beta, mask, as_is, turned, copies)
    return copies
