"""The most offending incorrect answer: min over Y ≠ Y_c of min over Z of E(Y, Z), and a labelling that attains it.

With the min-marginals μ_v(k) = min { E : labels_v = k }, latents minimised along with everything else,

    min_{Y ≠ Y_c} min_Z E(Y, Z) = min over answers v, states k ≠ Y_c(v) of μ_v(k)

since an answer is incorrect exactly where some variable of it is. One sweep says what it costs and where it is wrong;
with that variable held in that state a second one finds the labelling. (The second-best labelling is something else:
it may be the correct answer with other latents.) A lattice is asked for its best path of any string but the correct
one, a product with the acceptor that excludes it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..kernels.simd import buffer
from ..kernels.structure import LATTICE
from ..plan import Acceptor, Answers, Plan, Question, restrict
from .problem import Found, Problem, Side


def incorrect(problem: Problem) -> Side:
    """The best answer but the correct one, of every listed component; value +inf where there is no other."""
    plan, known, listed = problem.plan, problem.known, problem.listed
    lattice = plan.kinds[listed] == LATTICE
    value = np.full(listed.size, np.inf)
    found: tuple[Found, ...] = ()
    plain, spelled = np.flatnonzero(~lattice), np.flatnonzero(lattice)
    if plain.size:
        side = _differing(problem, plain)
        value[plain] = side.value[plain]
        found += side.found
    if spelled.size:
        strings = known.remember("excluding", lambda: _excluding(plan, known))
        side = problem.best(strings, "incorrect", spelled)
        given = np.isin(listed, plan.lattices.component[list(known.strings)])  # without a string none is wrong
        value[spelled] = np.where(given, side.value, np.inf)[spelled]
        found += side.found
    return Side(value, found)


def _excluding(plan: Plan, known: Answers) -> Question:
    lattices, acceptors = plan.lattices, {}
    for i, string in known.strings.items():
        arcs = lattices.var[lattices.ptr[i] : lattices.ptr[i + 1]]
        acceptors[i] = Acceptor.excluding([string], int(plan.states[arcs].max()))
    return Question(None, restrict(plan, acceptors))


class _Wrong(NamedTuple):
    """Wrong states of known answers, by component: those of c are entries `state[ptr[c] : ptr[c + 1]]` of the variable
    states, of variables `of`. ptr int64 (C + 1,), state int64, of int64; bias: work space, 0 between questions."""

    ptr: np.ndarray
    state: np.ndarray
    of: np.ndarray
    least: np.ndarray
    bias: np.ndarray


def _wrong(problem: Problem) -> _Wrong:
    plan, labels = problem.plan, problem.known.labels
    owner = np.repeat(np.arange(plan.states.size), plan.states)
    state = np.arange(owner.size) - plan.offsets[owner]
    wrong = np.flatnonzero((labels[owner] >= 0) & (labels[owner] != state))
    component = plan.component[owner[wrong]]
    order = np.argsort(component, kind="stable")
    ptr = np.searchsorted(component[order], np.arange(plan.n_components + 1))
    wrong = wrong[order]
    bias = buffer(plan.variable_states, problem.energies.dtype)
    return _Wrong(ptr, wrong, owner[wrong], np.empty(plan.variable_states), bias)


def _differing(problem: Problem, at: np.ndarray) -> Side:
    """Of forests and other components without lattices."""
    plan, components = problem.plan, problem.listed[at]
    wrong = problem.known.remember(("wrong", problem.energies.dtype), lambda: _wrong(problem))
    problem.solver.min_marginals(Question().of(plan, problem.energies, components), wrong.least)
    length = wrong.ptr[components + 1] - wrong.ptr[components]
    some = np.flatnonzero(length)
    at, length = at[some], length[some]
    ends = np.cumsum(length)
    entries = np.arange(int(ends[-1]) if ends.size else 0) + np.repeat(
        wrong.ptr[components[some]] - ends + length, length
    )
    values = wrong.least[wrong.state[entries]]
    least = np.minimum.reduceat(values, ends - length) if ends.size else values
    hits = np.flatnonzero(values == np.repeat(least, length))
    which, first = np.unique(np.searchsorted(ends, hits, side="right"), return_index=True)
    possible = least[which] < np.inf
    at, pick = at[which][possible], entries[hits[first]][possible]
    return _held(problem, at, wrong, pick)


def _held(problem: Problem, at: np.ndarray, wrong: _Wrong, pick: np.ndarray) -> Side:
    """The best labellings in which one variable of each component is held in one state."""
    plan, variable, bias = problem.plan, wrong.of[pick], wrong.bias
    states = plan.states[variable].astype(np.int64)
    ends = np.cumsum(states)
    span = np.arange(int(ends[-1]) if ends.size else 0) + np.repeat(plan.offsets[variable] - ends + states, states)
    bias[span] = np.inf
    bias[wrong.state[pick]] = 0
    side = problem.best(Question(bias), "incorrect", at)
    bias[span] = 0
    return side
