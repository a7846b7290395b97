"""Solvers and factors that count: whoever does not read them is asked about their counters (plan/counters.py).

Every method of a solver that is given a question is wrapped here, once, where its class is made. The derived plan has
the labellings of the base plan at the same energies, so that an answer needs nothing but its variables picked out.
Labels without a proof are then polished on the base plan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..plan import Asked, Plan
from .ranking import Ranking
from .solution import Status

if TYPE_CHECKING:
    from ..plan.counters import Counters
    from .solver import Answer, Sampler

Method = Callable[..., Any]


def _counters(solver: Any, plan: Plan) -> Counters | None:
    """The counters about which a solver is to be asked; none where it reads factors that count itself."""
    return None if solver.counts else plan.counters


def _exact_on(method: Method) -> Method:
    @wraps(method)
    def exact_on(self: Any, plan: Plan, component: int) -> bool:
        counters = _counters(self, plan)
        return bool(method(self, plan if counters is None else counters.plan, component))

    return exact_on


def _minimise(method: Method) -> Method:
    @wraps(method)
    def minimise(self: Any, asked: Asked, answer: Answer) -> None:
        counters = _counters(self, asked.plan)
        if counters is None:
            method(self, asked, answer)
            return
        start, limit = getattr(self, "initial", None), getattr(self, "time_limit", None)
        deadline = np.inf if limit is None else perf_counter() + limit
        solver = self if start is None else replace(self, initial=counters.labels(start))
        found = replace(answer, labels=np.full(counters.plan.states.size, -1, np.int32))
        method(solver, counters.ask(asked), found)
        inside = np.flatnonzero(asked.plan.inside(asked.components))
        answer.labels[inside] = found.labels[counters.place[inside]]
        named = asked.components[answer.conflict[asked.components] >= 0]
        answer.conflict[named] = counters.owner[answer.conflict[named]]
        if (answer.status[asked.components] != Status.OPTIMAL).any():
            from .polish import polish

            polish(asked, answer, deadline)

    return minimise


def _integrate(method: Method) -> Method:
    @wraps(method)
    def integrate(
        self: Any,
        asked: Asked,
        temperature: float = 1.0,
        marginals: np.ndarray | None = None,
        gradient: np.ndarray | None = None,
        weight: float = 1.0,
    ) -> Any:
        plan, counters = asked.plan, _counters(self, asked.plan)
        if counters is None:
            return method(self, asked, temperature, marginals, gradient, weight)
        shares = None if marginals is None else np.zeros(counters.plan.variable_states, marginals.dtype)
        counts = None if gradient is None else counters.plan.zeros(gradient.dtype)
        free = method(self, counters.ask(asked), temperature, shares, counts, weight)
        if marginals is not None and shares is not None:
            _copy(asked, shares, marginals)
        if gradient is not None and counts is not None:
            gradient[: plan.size] += counts[: plan.size]
        return free

    return integrate


def _min_marginals(method: Method) -> Method:
    @wraps(method)
    def min_marginals(self: Any, asked: Asked, out: np.ndarray) -> Any:
        counters = _counters(self, asked.plan)
        if counters is None:
            return method(self, asked, out)
        found = np.full(counters.plan.variable_states, np.inf, out.dtype)
        least = method(self, counters.ask(asked), found)
        _copy(asked, found, out)
        return least

    return min_marginals


def _copy(asked: Asked, found: np.ndarray, out: np.ndarray) -> None:
    """Values over the derived plan's variable states to those of the base plan's components asked."""
    assert asked.plan.counters is not None
    inside = np.flatnonzero(np.repeat(asked.plan.inside(asked.components), asked.plan.states))
    out[inside] = found[asked.plan.counters.spread[inside]]


def _sampler(method: Method) -> Method:
    @wraps(method)
    def sampler(self: Any, asked: Asked, temperature: float = 1.0) -> Sampler:
        counters = _counters(self, asked.plan)
        if counters is None:
            return method(self, asked, temperature)
        inner = method(self, counters.ask(asked), temperature)
        inside = np.flatnonzero(asked.plan.inside(asked.components))
        place, width = counters.place[inside], counters.plan.states.size

        def draw(uniforms: np.ndarray, labels: np.ndarray) -> None:
            drawn = np.full((len(labels), width), -1, np.int32)
            inner(uniforms, drawn)
            labels[:, inside] = drawn[:, place]

        return draw

    return sampler


def _rank(method: Method) -> Method:
    @wraps(method)
    def rank(self: Any, asked: Asked, k: int) -> Ranking:
        counters = _counters(self, asked.plan)
        if counters is None:
            return method(self, asked, k)
        found = method(self, counters.ask(asked), k)
        return Ranking(found.energies, np.ascontiguousarray(found.labels[:, counters.place]))

    return rank


#: By the name of a method, what makes it answer about factors that count.
THROUGH_COUNTERS = {
    "exact_on": _exact_on,
    "minimise": _minimise,
    "integrate": _integrate,
    "min_marginals": _min_marginals,
    "sampler": _sampler,
    "rank": _rank,
}
