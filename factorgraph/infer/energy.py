"""The energy of any labelling a user gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..plan import Group, Plan, Question, find_group
from ..plan.question import as_array
from .solution import Solution
from .solve import Declared
from .solver import evaluate


def energy(
    graph: Declared,
    labels: Mapping[Any, Any] | Solution,
    parameters: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> float:
    """Energy of any labelling, float64: {name: labels} for every name; of a lattice one label per arc, −1 off the path.

    Errors: FactorGraphError where a label is missing or out of range. A lattice's labels must form a path.
    """
    plan = graph.compile()
    if isinstance(labels, Solution):
        labels = labels.labels
    flat = read_labelling(plan, graph.named(labels))
    costs = graph.energies(parameters, inputs)
    each, _ = evaluate(Question().of(plan, costs), flat)
    return float(each.sum()) + plan.constant(costs)


def _check_path(plan: Plan, group: Group, labels: np.ndarray, here: str) -> None:
    """The arcs that have a label must lead from the first node to the last."""
    lattices = plan.lattices
    first = lattices.ptr[group.lattice]
    arcs = first + np.flatnonzero(labels >= 0)
    arcs = arcs[np.argsort(lattices.start[arcs])]
    nodes = np.concatenate([[0], lattices.end[arcs]])
    if not arcs.size or (nodes[:-1] != lattices.start[arcs]).any() or nodes[-1] != lattices.nodes[group.lattice] - 1:
        raise FactorGraphError(
            f"{here}: expected labelled arcs to form a path from node 0 to node {lattices.nodes[group.lattice] - 1}; "
            f"got arcs {(arcs - first).tolist()}. Label all other arcs −1"
        )


def read_labelling(plan: Plan, labels: Mapping[Any, Any]) -> np.ndarray:
    """int32 (V,) of a complete labelling by name."""
    flat = np.full(plan.states.size, -1, np.int32)
    given = set()
    for key, value in labels.items():
        group = find_group(plan, key, "energy")
        here = f"energy: labels[{group.name!r}]"
        given.add(group)
        array = as_array(value, here)
        if array.shape != group.shape or array.dtype.kind not in "iu":
            raise FactorGraphError(f"{here}: expected ints of shape {group.shape}; got {array.dtype} of {array.shape}")
        span = slice(group.start, group.start + group.count)
        low = -1 if group.lattice >= 0 else 0
        wrong = np.flatnonzero((array.ravel() < low) | (array.ravel() >= plan.states[span]))
        if wrong.size:
            most, got = plan.states[span][wrong[0]] - 1, array.ravel()[wrong[0]]
            raise FactorGraphError(f"{here}: expected labels {low} … {most}; got {got} at flat index {wrong[0]}")
        flat[span] = array.ravel()
        if group.lattice >= 0:
            _check_path(plan, group, flat[span], here)
    for group in plan.groups:
        if group not in given and group.count:
            raise FactorGraphError(f"energy: expected labels of every variable; missing those of {group.name!r}")
    return flat
