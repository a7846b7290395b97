"""`solve`, and what the names of methods stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Protocol

import numpy as np

from ..errors import FactorGraphError
from ..plan import Plan, read_evidence, read_start
from .auto import Auto
from .brute import BruteForce
from .dynamic import DynamicProgramming
from .latent import check_latent, hidden, marginalise
from .minsum import MinSum
from .solution import Solution
from .solver import Solver

#: What `choose` knows by name.
METHODS = (
    "annealing", "auto", "brute", "dynamic", "elimination", "exact", "expansion", "gibbs", "mean-field", "min-cut",
    "min-sum", "perturb-and-map", "sum-product", "toulbar2", "tree-reweighted", "trw-s",
)  # fmt: skip


class Declared(Protocol):
    """What `solve` needs of a graph."""

    @property
    def alphabets(self) -> Mapping[tuple[int, str], tuple[str, ...]]: ...

    def compile(self) -> Plan: ...

    def energies(
        self, parameters: Any = None, inputs: Any = None, components: Any = None, out: Any = None,
        memory_limit: Any = None,
    ) -> np.ndarray: ...  # fmt: skip

    def named(self, evidence: Mapping[Any, Any] | None) -> dict[Any, Any]: ...


def choose(method: str | Solver, threads: int | None = None, **settings: Any) -> Solver:
    """The solver a method name stands for; a solver stands for itself."""
    if threads is not None and (not isinstance(threads, int | np.integer) or threads < 1):
        raise FactorGraphError(f"threads: expected None or a number of threads ≥ 1; got {threads!r}")
    limit = settings.get("time_limit")
    if limit is not None and (np.ndim(limit) or isinstance(limit, str) or not limit >= 0):
        raise FactorGraphError(f"time_limit: expected None or seconds ≥ 0; got {limit!r}")
    given = {k: v for k, v in settings.items() if v is not None}
    bounds = {k: given.pop(k) for k in ("cells", "memory_limit") if k in given}
    if isinstance(method, Solver):
        given |= {} if threads is None else {"threads": threads}
        if unknown := sorted(given.keys() - {f.name for f in fields(method)}):
            raise FactorGraphError(f"solve: {type(method).__name__} has no {unknown[0]}; leave it out")
        return replace(method, **given) if given else method
    match method:
        case "auto":
            return Auto(threads, **given, **bounds)
        case "min-sum":
            return MinSum(threads, **given)
        case "trw-s":
            from .trws import TRWS

            return TRWS(threads, **given)
        case "dynamic":
            return DynamicProgramming(threads, limit)
        case "brute":
            return BruteForce(threads)
        case "elimination":
            from .elimination import Elimination

            return Elimination(threads, time_limit=limit, **bounds)
        case "min-cut":
            from .mincut import MinCut

            return MinCut(threads, limit)
        case "expansion":
            from .expansion import Expansion

            return Expansion(threads, **given)
        case "exact":
            from .search import ExactSearch

            return ExactSearch(threads, **given)
        case "toulbar2":
            from .toulbar2 import Toulbar2

            return Toulbar2(threads, **given)
        case "annealing":
            from .gibbs import Annealing

            return Annealing(threads, **given)
        case "gibbs":
            from .gibbs import Gibbs

            return Gibbs(threads)
        case "mean-field":
            from .mean_field import MeanField

            return MeanField(threads)
        case "perturb-and-map":
            from .perturb import PerturbAndMAP

            return PerturbAndMAP(threads)
        case "sum-product":
            from .sum_product import SumProduct

            return SumProduct(threads)
        case "tree-reweighted":
            from .sum_product import TreeReweighted

            return TreeReweighted(threads)
    raise FactorGraphError(f"method: expected one of {METHODS} or a solver object; got {method!r}")


def solve(
    graph: Declared,
    evidence: Mapping[Any, Any] | None = None,
    parameters: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    initial: Mapping[Any, Any] | None = None,
    latent: str = "min",
    method: str | Solver = "auto",
    threads: int | None = None,
    time_limit: float | None = None,
    memory_limit: str | int = "2 GiB",
    temperature: float = 1.0,
    cells: int = 1 << 28,
) -> Solution:
    """The labelling of lowest energy, and how sure that is.

    evidence: {name: labels}, see the README; initial: a labelling to start iterative methods from. latent: "min"
    minimises latents along with the answers. "sum" sums them out, min over Y of F(Y) = −T log Σ_Z exp(−E(Y, Z) / T):
    `energy` is then the free energy of Y, and latents and arcs have label −1. time_limit in seconds; memory_limit
    bytes, e.g. "2 GiB"; cells: most table cells of an elimination, per component.

    Graphs with cycles that no exact method fits are searched for a proof only if there is a time limit; without one the
    answer is the best that bounds and moves find until they stagnate.

    Errors: FactorGraphError for wrong names, shapes, states, options; for latents whose sum joins too many answers, and
    lattices without a string, where latent="sum". An infeasible problem is a status, not an error.
    """
    if not hasattr(graph, "compile"):
        raise FactorGraphError(f"solve: expected a FactorGraph (or anything with compile()); got {graph!r}")
    plan = graph.compile()
    energies = graph.energies(parameters, inputs, memory_limit=memory_limit)
    known = read_evidence(plan, graph.named(evidence))
    start = None if initial is None else read_start(plan, graph.named(initial))
    check_latent(latent)
    check_temperature(temperature)
    if latent == "sum" and any(hidden(g) for g in plan.groups):
        exact = choose(method, threads, cells=cells, memory_limit=memory_limit)
        answers = marginalise(plan, energies, known, exact, latent, temperature, graph.alphabets, "solve")
        solver = choose(
            method, threads, time_limit=time_limit, initial=answers.start(start), cells=cells, memory_limit=memory_limit
        )
        return answers.solution(solver(answers.compile(), answers.tables))
    solver = choose(method, threads, time_limit=time_limit, initial=start, cells=cells, memory_limit=memory_limit)
    return solver(plan, energies, known.question(energies.dtype), alphabets=graph.alphabets)


def check_temperature(temperature: float) -> None:
    """Refuse temperatures that are not positive and finite."""
    if not isinstance(temperature, (int, float, np.number)) or not 1e-300 < temperature < np.inf:
        raise FactorGraphError(f"temperature: expected a positive finite number; got {temperature!r}")
