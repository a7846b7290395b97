"""Questions: a bias over variable states, a restriction of lattices, or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import FactorGraphError, listed
from ..kernels.simd import buffer, with_slack
from .acceptor import Acceptor
from .block import Group
from .restrict import Restriction, read_grammar, restrict

if TYPE_CHECKING:
    from .plan import Plan


class Asked(NamedTuple):
    """A question as solvers see it: a plan, its energies, what is added to them, and which components to answer.

    energies flat with slack; bias over the plan's variable states, of the energies' dtype, with slack, empty for zero;
    components int64.
    """

    plan: Plan
    energies: np.ndarray
    bias: np.ndarray
    components: np.ndarray

    def part(self, chosen: np.ndarray) -> Asked:
        """The same of some components only; `chosen` (a mask or indices) counts those of this question."""
        return self._replace(components=self.components[chosen])

    def wide(self) -> Asked:
        """The same in float64."""
        energies = buffer(self.plan.size, np.float64)
        energies[:] = self.energies
        return self._replace(energies=energies, bias=with_slack(self.bias.astype(np.float64)))


@dataclass(frozen=True)
class Question:
    """What is asked of a plan and its energies.

    bias: flat over the variable states of `restriction.plan` (or of the plan itself), None for zero.
    """

    bias: np.ndarray | None = None
    restriction: Restriction | None = None

    def __post_init__(self) -> None:
        if self.bias is not None and not (self.bias.size == 0 or self.bias.min() > -np.inf):
            raise FactorGraphError("question: expected a bias without NaN or −inf. Forbid states by +inf")

    def of(
        self, plan: Plan, energies: np.ndarray, components: np.ndarray | None = None, out: np.ndarray | None = None
    ) -> Asked:
        """The question put to `components` (all by default) of `plan`; restricted energies go to `out` if given.

        Errors: FactorGraphError for a bias or a restriction that does not fit.
        """
        if self.restriction is not None:
            if self.restriction.base != plan:
                raise FactorGraphError(f"question: expected a restriction of {plan!r}; got one of another plan")
            energies = self.restriction.energies(energies, components, out)
            plan = self.restriction.plan
        listed = np.arange(plan.n_components) if components is None else components
        if self.bias is None:
            return Asked(plan, energies, np.zeros(0, energies.dtype), listed)
        if self.bias.shape != (plan.variable_states,):
            raise FactorGraphError(
                f"question: expected a bias over {plan.variable_states} variable states; got shape {self.bias.shape}"
            )
        return Asked(plan, energies, with_slack(self.bias.astype(energies.dtype, copy=False)), listed)


@dataclass(frozen=True)
class Evidence:
    """What is known: allowed states (bool over variable states, None: all), and of some lattices the string, or an
    acceptor of the strings that are possible."""

    plan: Plan
    allowed: np.ndarray | None = None
    strings: Mapping[int, np.ndarray] = field(default_factory=dict)
    grammars: Mapping[int, Acceptor] = field(default_factory=dict)

    @cached_property
    def restriction(self) -> Restriction | None:
        """The derived plan in which the lattices spell their strings, or some string of their grammars."""
        if not self.strings and not self.grammars:
            return None
        lat = self.plan.lattices
        acceptors = dict(self.grammars)
        for i, string in self.strings.items():
            arcs = lat.var[lat.ptr[i] : lat.ptr[i + 1]]
            acceptors[i] = Acceptor.spelling(string, int(self.plan.states[arcs].max()))
        return restrict(self.plan, acceptors)

    def question(self, dtype: Any) -> Question:
        """+inf on every state that is not allowed; strings as a restriction."""
        bias = None
        if self.allowed is not None:
            bias = buffer(self.plan.variable_states, dtype)
            bias[~self.allowed] = np.inf
        if self.restriction is not None and bias is not None:
            bias = self.restriction.bias(bias)
        return Question(bias, self.restriction)


def find_group(plan: Plan, key: Any, where: str) -> Group:
    """The group of a name, or of (example, name); where several examples share a name, that is asked for."""
    if isinstance(key, tuple):
        matches = [g for g in plan.groups if (g.example, g.name) == key]
    else:
        matches = [g for g in plan.groups if g.name == key]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise FactorGraphError(
            f"{where}: {key!r} is declared by {len(matches)} examples; expected (example, name), e.g. (0, {key!r})"
        )
    raise FactorGraphError(f"{where}: unknown name {key!r}; expected one of {listed({g.name for g in plan.groups})}")


def read_evidence(plan: Plan, evidence: Mapping[Any, Any] | None, where: str = "evidence") -> Evidence:
    """Check user evidence: ints (−1 or None: unobserved), bool masks over states, strings or acceptors for lattices.

    Errors: FactorGraphError for unknown names, latents, wrong shapes, states out of range, masks that allow nothing.
    """
    if not evidence:
        return Evidence(plan)
    allowed = None
    strings: dict[int, np.ndarray] = {}
    grammars: dict[int, Acceptor] = {}
    groups = {(g.example, g.name): g for g in plan.groups}
    for key, value in evidence.items():
        group = groups.get(key) or find_group(plan, key, where)
        here = f"{where}[{group.name!r}]"
        if group.latent:
            raise FactorGraphError(
                f"{here}: latent variables are never observed; got {value!r}. Declare it without latent=True"
            )
        if value is None:
            continue
        if isinstance(value, Acceptor):
            grammars[group.lattice] = read_grammar(plan, group, value, here)
            continue
        if group.lattice >= 0:
            strings[group.lattice] = read_string(plan, group, value, here)
            continue
        if allowed is None:
            allowed = np.ones(plan.variable_states, bool)
        span = slice(plan.offsets[group.start], plan.offsets[group.start + group.count])
        states = plan.states[group.start : group.start + group.count]
        array = as_array(value, here)
        if array.dtype == bool:
            mask = read_mask(array, group, states, here)
        else:
            labels = read_labels(array, group, states, here)
            owner = np.repeat(labels, states)
            state = np.arange(owner.size) - np.repeat(np.cumsum(states) - states, states)
            mask = (owner < 0) | (owner == state)
        allowed[span] &= mask
    return Evidence(plan, allowed, strings, grammars)


def read_mask(array: np.ndarray, group: Group, states: np.ndarray, here: str) -> np.ndarray:
    """bool over the variable states of a group, of a mask (*shape, K) or one (K,) for all."""
    widest = int(states.max(initial=0))
    if array.shape not in {(widest,), (*group.shape, widest)}:
        shapes = " or ".join(dict.fromkeys(map(str, [(*group.shape, widest), (widest,)])))
        raise FactorGraphError(f"{here}: expected a mask of allowed states of shape {shapes}; got {array.shape}")
    full = np.broadcast_to(array, (*group.shape, widest)).reshape(group.count, widest)
    mask = full & (np.arange(widest) < states[:, None])
    if group.count and not mask.any(1).all():
        at = np.unravel_index(int(np.argmin(mask.any(1))), group.shape) if group.shape else ()
        raise FactorGraphError(
            f"{here}: contradictory evidence, the mask allows no state{_at(at)}. Allow at least one, or leave it out"
        )
    return np.asarray(mask[np.arange(widest) < states[:, None]])


def as_array(value: Any, here: str) -> np.ndarray:
    """np.asarray, with an error that says where."""
    try:
        return np.asarray(value)
    except ValueError:
        raise FactorGraphError(f"{here}: expected an array; got sequences of unequal lengths, {value!r}") from None


def _at(index: Sequence[Any]) -> str:
    return f" at index ({', '.join(str(int(i)) for i in index)})" if len(index) else ""


def read_labels(array: np.ndarray, group: Group, states: np.ndarray, here: str) -> np.ndarray:
    """int64 (count,) labels of a group, −1 unobserved."""
    if array.dtype == object:
        array = np.array([-1 if x is None else x for x in array.ravel()]).reshape(array.shape)
    if array.shape != group.shape:
        raise FactorGraphError(f"{here}: expected labels of shape {group.shape}; got shape {array.shape}")
    if array.dtype.kind not in "iu" and array.size:
        raise FactorGraphError(f"{here}: expected ints (states) or bools (allowed states); got dtype {array.dtype}")
    labels = array.ravel()
    wrong = np.flatnonzero((labels < (-1 if labels.dtype.kind == "i" else 0)) | (labels >= states))
    if wrong.size:
        at = np.unravel_index(wrong[0], group.shape) if group.shape else ()
        raise FactorGraphError(
            f"{here}: expected states 0 … {int(states[wrong[0]]) - 1} (−1: unobserved){_at(at)}; got {labels[wrong[0]]}"
        )
    return labels.astype(np.int64)


def read_string(plan: Plan, group: Group, value: Any, here: str) -> np.ndarray:
    """int64 (length,) the string that a lattice shall spell."""
    states = int(plan.states[group.start : group.start + group.count].max(initial=0))
    array = as_array(value, here)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise FactorGraphError(f"{here}: expected a string, a sequence of ints; got {value!r}")
    wrong = np.flatnonzero((array < 0) | (array >= states))
    if wrong.size:
        raise FactorGraphError(
            f"{here}: expected states 0 … {states - 1} at place {wrong[0]} of the string; got {array[wrong[0]]}"
        )
    return array.astype(np.int64)


def read_start(plan: Plan, labels: Mapping[Any, Any]) -> np.ndarray:
    """int32 (V,) of labels {name: labels} that a search starts from, latents too; −1 where unknown, and for arcs."""
    out = np.full(plan.states.size, -1, np.int32)
    for key, value in labels.items():
        group = find_group(plan, key, "initial")
        if value is not None and group.lattice < 0:
            span, here = slice(group.start, group.start + group.count), f"initial[{group.name!r}]"
            out[span] = read_labels(as_array(value, here), group, plan.states[span], here)
    return out
