"""What a solver answers: a labelling, its energy, a bound, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import FactorGraphError, listed
from ..plan import Group, Plan, find_group
from .summary import solution_summary


class Status(IntEnum):
    """How good a labelling provably is; the whole takes the worst of its components."""

    OPTIMAL = 0
    BOUNDED = 1
    APPROXIMATE = 2
    INFEASIBLE = 3

    def __str__(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    Status.OPTIMAL: "optimal: no labelling has lower energy",
    Status.BOUNDED: "bounded: a better labelling may exist, but none below the bound",
    Status.APPROXIMATE: "approximate: no bound was computed, a better labelling may exist",
    Status.INFEASIBLE: "infeasible: proven that every labelling is forbidden",
}

#: Largest gap, relative to max(1, |minimum|), that still counts as a proof of optimality by bound.
TOLERANCE = 1e-7


class ByName(Mapping[Any, Any]):
    """Read-only values of the groups of a plan: by name, or by (example, name) where examples share names."""

    def __init__(self, plan: Plan, groups: list[Group], value: Callable[[Group], Any], what: str):
        self._plan, self._groups, self._value, self._what = plan, groups, value, what

    def __getitem__(self, key: Any) -> Any:
        group = find_group(self._plan, key, "solution")
        if group not in self._groups:
            raise FactorGraphError(
                f"solution: {key!r} has no {self._what}; expected {listed(g.name for g in self._groups)}"
            )
        return self._value(group)

    def __iter__(self) -> Iterator[Any]:
        names = [g.name for g in self._groups]
        unique = len(set(names)) == len(names)
        return iter(names if unique else [(g.example, g.name) for g in self._groups])

    def __len__(self) -> int:
        return len(self._groups)

    def __repr__(self) -> str:
        return repr({key: self[key] for key in self}) if len(self) <= 8 else f"<{len(self)} groups>"


def padded(plan: Plan, group: Group, flat: np.ndarray, filler: float) -> np.ndarray:
    """(*shape, K) of values over the variable states; ragged alphabets end in `filler`."""
    states = plan.states[group.start : group.start + group.count]
    out = np.full((group.count, int(states.max(initial=0))), filler)
    values = flat[plan.offsets[group.start] : plan.offsets[group.start + group.count]]
    out[np.arange(out.shape[1]) < states[:, None]] = values
    return out.reshape(*group.shape, out.shape[1])


def path_of(plan: Plan, group: Group, labels: np.ndarray) -> np.ndarray:
    """int64: the arcs of a lattice that have a label, in order."""
    used = np.flatnonzero(labels >= 0)
    return used[np.argsort(plan.lattices.start[plan.lattices.ptr[group.lattice] + used])]


def named_states(
    plan: Plan, alphabets: Mapping[tuple[int, str], tuple[str, ...]], labels: Callable[[Group], np.ndarray]
) -> ByName:
    """Names instead of labels, of the groups that have some; None where there is no label."""

    def names(group: Group) -> Any:
        found = np.array([*alphabets[group.example, group.name], None], dtype=object)[labels(group)]
        return found.item() if isinstance(found, np.ndarray) and not found.shape else found

    return ByName(plan, [g for g in plan.groups if (g.example, g.name) in alphabets], names, "named states")


@dataclass(frozen=True)
class Components:
    """Results per component: energy, minimum, bound float64 (C,), status int8 (C,)."""

    energy: np.ndarray
    minimum: np.ndarray
    bound: np.ndarray
    status: np.ndarray
    code: np.ndarray  # int8 (C,) index into `methods`
    methods: tuple[str, ...]
    conflict: np.ndarray | None = None  # int64 (C,): see Solution.conflict, −1 where there is none

    @property
    def method(self) -> np.ndarray:
        """Name (C,) of the method that answered each component."""
        return np.array(self.methods or ("",))[self.code]


@dataclass(frozen=True)
class Solution:
    """A labelling and what is known about it.

    energy: float64, factors only, re-summed from the labels. minimum: of the question asked (bias included).
    bound: lower bound of the minimum. flat: int32 (V,) labels of all variables, −1 where there is none.
    """

    plan: Plan
    flat: np.ndarray
    energy: float
    minimum: float
    bound: float
    status: Status
    components: Components
    alphabets: Mapping[tuple[int, str], tuple[str, ...]] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return f"Solution(energy={self.energy:.6g}, bound={self.bound:.6g}, {self.status.name}, {self.plan!r})"

    def _repr_html_(self) -> str:
        return solution_summary(self)

    @property
    def gap(self) -> float:
        """minimum − bound; 0 when infeasibility is proven."""
        return 0.0 if self.minimum == self.bound else self.minimum - self.bound

    @property
    def conflict(self) -> str | None:
        """A variable such as "x[3]" to which no state is left by what factors and evidence forbid around it, where that
        is the proof of infeasibility; None elsewhere."""
        found = self.components.conflict
        if found is None or not (found >= 0).any():
            return None
        v = int(found[found >= 0][0])
        group = next(g for g in self.plan.groups if g.start <= v < g.start + g.count)
        at = np.unravel_index(v - group.start, group.shape) if group.shape else ()
        return group.name + (f"[{', '.join(str(int(i)) for i in at)}]" if at else "")

    def of(self, group: Group) -> np.ndarray:
        """int32 labels of a group in its declared shape."""
        return self.flat[group.start : group.start + group.count].reshape(group.shape)

    @cached_property
    def labels(self) -> ByName:
        """Labels by name, int32 of the declared shape: −1 where infeasible, and for arcs off the path."""
        return ByName(self.plan, list(self.plan.groups), self.of, "labels")

    @cached_property
    def states(self) -> ByName:
        """Names of the labels of variables that were declared with named states; None where there is no label."""

        return named_states(self.plan, self.alphabets, self.of)

    def path(self, group: Group) -> np.ndarray:
        """int64 arcs on the best path of a lattice, in order; empty where infeasible."""
        return path_of(self.plan, group, self.of(group))

    @cached_property
    def paths(self) -> ByName:
        """Arcs on the best path of each lattice, in order."""
        return ByName(self.plan, [g for g in self.plan.groups if g.lattice >= 0], self.path, "path")

    @cached_property
    def strings(self) -> ByName:
        """The string that the best path of each lattice spells, a tuple of states."""

        def spell(group: Group) -> tuple[int, ...]:
            return tuple(int(k) for k in self.of(group)[self.path(group)])

        return ByName(self.plan, [g for g in self.plan.groups if g.lattice >= 0], spell, "string")
