"""Correct answers, and what is known of those that are not known entirely."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FactorGraphError
from .block import Group
from .question import Evidence, as_array, find_group, read_labels, read_mask, read_string

if TYPE_CHECKING:
    from .plan import Plan


class Answers:
    """Correct answers of a plan, prepared once and reused by losses at every step.

    labels int32 (V,), −1 where nothing is known (latent variables, arcs); `strings` of the lattices by index. allowed:
    what is known of the others, bool over the variable states, None: nothing.
    """

    def __init__(
        self, plan: Plan, labels: np.ndarray, strings: Mapping[int, np.ndarray], allowed: np.ndarray | None = None
    ):
        self.plan = plan
        self.labels = labels
        self.strings = dict(strings)
        self.allowed = allowed
        self._memory: dict[Any, Any] = {}

    @cached_property
    def complete(self) -> np.ndarray:
        """bool (C,): components whose labelling is fully known, so that completing them needs no inference."""
        unknown = np.bincount(self.plan.component[self.labels < 0], minlength=self.plan.n_components)
        out = unknown == 0
        out[self.plan.lattices.component] = False
        return out

    @cached_property
    def evidence(self) -> Evidence:
        """The answers as evidence."""
        plan = self.plan
        if (self.labels < 0).all():
            return Evidence(plan, self.allowed, self.strings)
        owner = np.repeat(self.labels, plan.states)
        state = np.arange(owner.size) - np.repeat(plan.offsets[:-1], plan.states)
        fits = (owner < 0) | (owner == state)
        return Evidence(plan, fits if self.allowed is None else fits & self.allowed, self.strings)

    def clamped(self, dtype: Any) -> Any:
        """The question that completes the latent part of the correct answer."""
        return self.remember(("clamped", np.dtype(dtype)), lambda: self.evidence.question(dtype))

    def remember(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once per key: questions and work space that losses ask for at every step."""
        if key not in self._memory:
            self._memory[key] = make()
        return self._memory[key]


def read_answers(plan: Plan, answers: Mapping[Any, Any] | Answers, where: str = "answers") -> Answers:
    """Answers from {name: labels} (or {(example, name): labels}), or masks of possible states; strings for lattices."""
    if isinstance(answers, Answers):
        return answers
    labels, allowed = np.full(plan.states.size, -1, np.int32), None
    strings: dict[int, np.ndarray] = {}
    groups = {(g.example, g.name): g for g in plan.groups}
    for key, value in answers.items():
        group = groups.get(key) or find_group(plan, key, where)
        here = f"{where}[{group.name!r}]"
        if group.latent:
            raise FactorGraphError(f"{here}: latent variables have no answer; leave it out")
        if value is None:
            continue
        if group.lattice >= 0:
            strings[group.lattice] = read_string(plan, group, value, here)
        else:
            span = slice(group.start, group.start + group.count)
            labels[span], mask = read_known(as_array(value, here), group, plan.states[span], here)
            allowed = allow(plan, group, mask, allowed)
    return Answers(plan, labels, strings, allowed)


def allow(plan: Plan, group: Group, mask: np.ndarray | None, allowed: np.ndarray | None) -> np.ndarray | None:
    """`allowed` over all variable states, with what is known of one group more."""
    if mask is None:
        return allowed
    out = np.ones(plan.variable_states, bool) if allowed is None else allowed
    out[plan.offsets[group.start] : plan.offsets[group.start + group.count]] = mask
    return out


def read_known(array: np.ndarray, group: Group, states: np.ndarray, here: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Correct labels of a group, int64 (count,), −1 unknown; of a bool mask of possible states the labels that it
    leaves no choice about, and the mask over the group's variable states."""
    if array.dtype != bool or not array.size:
        return read_labels(array, group, states, here), None
    mask = read_mask(array, group, states, here)
    begin = np.cumsum(states) - states
    state = np.arange(mask.size) - np.repeat(begin, states)
    one = np.add.reduceat(mask, begin, dtype=np.int64) == 1
    return np.where(one, np.add.reduceat(mask * state, begin), -1), mask
