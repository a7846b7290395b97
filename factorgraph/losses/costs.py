"""What a wrong answer costs: Δ(Y) = Σ_v cost_v(y_v) over the answers known, 0 for the correct one.

By default cost_v is `scale` for every state but the correct one (Hamming). A cost decomposes over variable states, so
the most costly answer is asked for by a bias, −Δ. A lattice costs `scale` for any string but the correct one: an
acceptor remembers whether that has been left, and the bias is on the step where that happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..kernels.simd import buffer
from ..plan import Acceptor, Answers, Group, Plan, Question, Restriction, restrict
from ..plan.question import as_array

#: {name: (K, K) array, [correct, label]} or {name: (*shape, K) array}, or one flat array over the variable states.
Cost = Mapping[Any, Any] | np.ndarray | None


def costs(plan: Plan, answers: Answers, scale: float, cost: Cost, hidden: bool = False) -> np.ndarray:
    """float64 over the variable states: what each state costs, 0 where nothing is known. Made once, not to be written.

    hidden: whether latent variables may have a cost too.
    Errors: FactorGraphError for costs that do not fit, are negative or not finite, or not 0 for the correct answer.
    """
    key = ("cost", scale, id(cost), hidden)
    return answers.remember(key, lambda: (cost, _read(plan, answers, scale, cost, hidden)))[1]


def _read(plan: Plan, answers: Answers, scale: float, cost: Cost, hidden: bool) -> np.ndarray:
    owner = np.repeat(answers.labels, plan.states)
    state = np.arange(owner.size) - np.repeat(plan.offsets[:-1], plan.states)
    flat = np.where((owner >= 0) & (owner != state), scale, 0.0)
    if cost is None:
        return flat
    known, latent = owner >= 0, np.zeros(plan.states.size, bool)
    if isinstance(cost, np.ndarray):
        if cost.shape != flat.shape:
            raise FactorGraphError(
                f"cost: expected a flat array over {flat.size} variable states, or {{name: array}}; got {cost.shape}"
            )
        flat, latent[:] = scale * cost, True
    else:
        for key, value in cost.items():
            groups = [g for g in plan.groups if key in (g.name, (g.example, g.name))]
            if not groups or any(g.lattice >= 0 or (g.latent and not hidden) for g in groups):
                names = sorted({g.name for g in plan.groups if g.lattice < 0 and (hidden or not g.latent)})
                raise FactorGraphError(f"cost: expected names among {names}; got {key!r}")
            for group in groups:
                span = slice(plan.offsets[group.start], plan.offsets[group.start + group.count])
                flat[span] = scale * _of(plan, group, answers, as_array(value, f"cost[{key!r}]"), key)
                latent[group.start : group.start + group.count] = group.latent
    if not (np.isfinite(flat).all() and (flat >= 0).all()):
        raise FactorGraphError("cost: expected finite costs ≥ 0; got negative, infinite or NaN ones")
    if (flat[known & (owner == state)] != 0).any():
        raise FactorGraphError("cost: expected 0 for the correct answer, cost[correct, correct] = 0; got another cost")
    flat[~known & ~(np.repeat(latent, plan.states) & hidden)] = 0.0
    return flat


def _of(plan: Plan, group: Group, answers: Answers, array: np.ndarray, key: Any) -> np.ndarray:
    """One group's costs over its variable states."""
    states = plan.states[group.start : group.start + group.count]
    widest = int(states.max(initial=0))
    correct = np.maximum(answers.labels[group.start : group.start + group.count], 0)
    if array.shape == (widest, widest) and not group.latent:
        full = array[correct]
    elif array.shape == (*group.shape, widest):
        full = array.reshape(group.count, widest)
    else:
        raise FactorGraphError(
            f"cost[{key!r}]: expected shape {(widest, widest)}, [correct, label], or {(*group.shape, widest)}; got "
            f"{array.shape}"
        )
    return np.asarray(full[np.arange(widest) < states[:, None]], np.float64)


def augmented(
    plan: Plan, answers: Answers, scale: float, dtype: Any, cost: Cost = None, hidden: bool = False
) -> Question:
    """The question of the most offending answer: −Δ as a bias, made once."""
    if scale == 0.0:
        return Question()
    key = ("augmented", scale, id(cost), hidden, np.dtype(dtype))
    return answers.remember(key, lambda: (cost, _augment(plan, answers, scale, np.dtype(dtype), cost, hidden)))[1]


def _augment(plan: Plan, answers: Answers, scale: float, dtype: Any, cost: Cost, hidden: bool) -> Question:
    bias = buffer(plan.variable_states, dtype)
    bias[:] = -costs(plan, answers, scale, cost, hidden)
    if not answers.strings:
        return Question(bias)
    restriction = deviating(plan, answers.strings)
    derived = restriction.bias(bias)
    derived[np.repeat(deviations(restriction, answers.strings), restriction.plan.states)] -= dtype.type(scale)
    return Question(derived, restriction)


def deviating(plan: Plan, strings: Mapping[int, np.ndarray]) -> Restriction:
    """Lattices multiplied with an acceptor of everything that remembers whether the string has left the correct one.

    Its states are the prefixes of the correct string, 0 … L, and L + 1 for whatever has left it.
    """
    acceptors = {}
    for i, string in strings.items():
        arcs = plan.lattices.var[plan.lattices.ptr[i] : plan.lattices.ptr[i + 1]]
        tree = Acceptor.excluding([string], int(plan.states[arcs].max()))
        acceptors[i] = Acceptor(tree.delta, np.ones_like(tree.accepting))
    return restrict(plan, acceptors)


def deviations(restriction: Restriction, strings: Mapping[int, np.ndarray]) -> np.ndarray:
    """bool (derived variables,): arcs on which a path becomes wrong, exactly one on every path of a wrong string.

    Those are the arcs that leave the correct string, and final arcs at which it is not yet complete.
    """
    lattices = restriction.plan.lattices
    out = np.zeros(restriction.plan.states.size, bool)
    for i, string in strings.items():
        span = slice(lattices.ptr[i], lattices.ptr[i + 1])
        arcs = lattices.var[span]
        before, after = restriction.steps[arcs].T
        left = string.size + 1
        leaves = (before != left) & (after == left)
        ends_early = (lattices.end[span] == lattices.nodes[i] - 1) & (after < string.size)
        out[arcs] = leaves | ends_early
    return out
