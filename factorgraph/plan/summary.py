"""A plan as HTML: its variables by name, and how many of what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..kernels.structure import CHAIN, ISOLATED, LATTICE, LOOPY, TREE
from ..markup import table
from .block import Group

if TYPE_CHECKING:
    from .plan import Plan

KINDS = {ISOLATED: "single variables", CHAIN: "chains", TREE: "trees", LOOPY: "with cycles", LATTICE: "lattices"}


def variables_table(plan: Plan) -> str:
    """What was declared, a row for each name."""
    rows = ((_name(g), g.shape, _states(plan, g), _kind(g)) for g in plan.groups)
    return table(f"{plan.states.size:,} variables", ("name", "shape", "states", ""), rows, len(plan.groups))


def summary(plan: Plan) -> str:
    """Variables, and numbers of factors, components, energies."""
    kinds = np.bincount(plan.kinds, minlength=max(KINDS) + 1)
    rows = [
        ("factors", f"{len(plan.factors.row) - 1:,}"),
        ("energies", f"{plan.size:,}"),
        ("components", f"{plan.n_components:,}"),
        *((f"… {word}", f"{kinds[kind]:,}") for kind, word in KINDS.items() if kinds[kind]),
    ]
    return variables_table(plan) + table("plan", ("", ""), rows, len(rows))


def _name(group: Group) -> str:
    return group.name if group.example < 0 else f"{group.name} (example {group.example})"


def _states(plan: Plan, group: Group) -> str:
    states = plan.states[group.start : group.start + group.count]
    least, most = states.min(initial=2**31 - 1), states.max(initial=0)
    return str(most) if least >= most else f"{least} … {most}"


def _kind(group: Group) -> str:
    return "arcs of a lattice" if group.lattice >= 0 else "latent" if group.latent else ""
