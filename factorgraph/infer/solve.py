"""`solve`, and the one readable place where `method="auto"` is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from ..errors import FactorGraphError
from ..kernels.structure import LOOPY
from ..plan import Asked, Plan, read_answers, read_evidence
from .brute import BruteForce, configurations
from .dynamic import DynamicProgramming
from .expansion import Expansion
from .latent import check_latent, hidden, marginalise
from .mincut import MinCut
from .minsum import MinSum
from .ranking import Ranking
from .solution import Solution
from .solver import Answer, Sampler, Solver

#: Loopy components of at most this many labellings are enumerated by `auto`.
FEW = 1 << 14


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


@dataclass(frozen=True)
class Auto(Solver):
    """Per component: forests and lattices by dynamic programming, tiny loopy ones by enumeration, else min-sum."""

    time_limit: float | None = None
    initial: np.ndarray | None = None
    name: ClassVar[str] = "auto"

    def _split(self, plan: Plan, components: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Masks over `components`: swept exactly, enumerated, neither."""
        loopy = plan.kinds[components] == LOOPY
        few = loopy.copy()
        for i in np.flatnonzero(loopy):
            few[i] = configurations(plan, int(components[i])) <= FEW
        return ~loopy, few, loopy & ~few

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Wherever dynamic programming or enumeration is."""
        return not bool(self._split(plan, np.array([component]))[2][0])

    def minimise(self, asked: Asked, answer: Answer) -> None:
        """Hand each component to the method that fits it."""
        solvers = (
            DynamicProgramming(self.threads, self.time_limit),
            BruteForce(self.threads),
            MinSum(self.threads, time_limit=self.time_limit, initial=self.initial),
        )
        for solver, mask in zip(solvers, self._split(asked.plan, asked.components), strict=True):
            if mask.any():
                solver.minimise(asked.part(mask), answer)

    def rank(self, asked: Asked, k: int) -> Ranking:
        """See Solver.rank; refuses loopy components that are too large to enumerate."""
        swept, few, neither = self._split(asked.plan, asked.components)
        if neither.any():
            c = int(asked.components[np.argmax(neither)])
            raise FactorGraphError(
                f"k_best: component {c} has cycles and {configurations(asked.plan, c):.3g} labellings; expected "
                f"forests, lattices, or at most {FEW} labellings. Use method='brute' up to {BruteForce.limit}"
            )
        if swept.all():
            return DynamicProgramming(self.threads).rank(asked, k)
        ranking = Ranking.empty(asked.plan, asked.components.size, k)
        for solver, mask in ((DynamicProgramming(self.threads), swept), (BruteForce(self.threads), few)):
            if mask.any():
                part = asked.part(mask)
                ranking.put(mask, asked.plan, part.components, solver.rank(part, k))
        return ranking

    def integrate(
        self,
        asked: Asked,
        temperature: float = 1.0,
        marginals: np.ndarray | None = None,
        gradient: np.ndarray | None = None,
        weight: float = 1.0,
    ) -> np.ndarray:
        """See Solver.integrate; refuses loopy components that are too large to enumerate."""
        free = np.empty(asked.components.size)
        for solver, mask in self._exact(asked, "marginals"):
            free[mask] = solver.integrate(asked.part(mask), temperature, marginals, gradient, weight)
        return free

    def min_marginals(self, asked: Asked, out: np.ndarray) -> np.ndarray:
        """See Solver.min_marginals; refuses what `integrate` refuses."""
        minimum = np.empty(asked.components.size)
        for solver, mask in self._exact(asked, "min_marginals"):
            minimum[mask] = solver.min_marginals(asked.part(mask), out)
        return minimum

    def sampler(self, asked: Asked, temperature: float = 1.0) -> Sampler:
        """See Solver.sampler; refuses what `integrate` refuses."""
        parts = [solver.sampler(asked.part(mask), temperature) for solver, mask in self._exact(asked, "sample")]

        def draw(uniforms: np.ndarray, labels: np.ndarray) -> None:
            for part in parts:
                part(uniforms, labels)

        return draw

    def _exact(self, asked: Asked, where: str) -> list[tuple[Solver, np.ndarray]]:
        """Exact solvers, each with the components (a mask) that it answers; refuses if some have none."""
        swept, few, neither = self._split(asked.plan, asked.components)
        if neither.any():
            c = int(asked.components[np.argmax(neither)])
            raise FactorGraphError(
                f"{where}: component {c} has cycles and {configurations(asked.plan, c):.3g} labellings; expected "
                f"forests, lattices, or at most {FEW} labellings. Use method='brute' up to {BruteForce.limit}; "
                "solve and losses of minima take any graph"
            )
        solvers = ((DynamicProgramming(self.threads), swept), (BruteForce(self.threads), few))
        return [(solver, mask) for solver, mask in solvers if mask.any()]


def choose(method: str | Solver, threads: int | None = None, **settings: Any) -> Solver:
    """The solver a method name stands for; a solver stands for itself."""
    if threads is not None and (not isinstance(threads, int | np.integer) or threads < 1):
        raise FactorGraphError(f"threads: expected None or a number of threads ≥ 1; got {threads!r}")
    limit = settings.get("time_limit")
    if limit is not None and not limit >= 0:
        raise FactorGraphError(f"time_limit: expected None or seconds ≥ 0; got {limit!r}")
    given = {k: v for k, v in settings.items() if v is not None}
    if isinstance(method, Solver):
        given |= {} if threads is None else {"threads": threads}
        if unknown := sorted(given.keys() - {f.name for f in fields(method)}):
            raise FactorGraphError(f"solve: {type(method).__name__} has no {unknown[0]}; leave it out")
        return replace(method, **given) if given else method
    match method:
        case "auto":
            return Auto(threads, **given)
        case "min-sum":
            return MinSum(threads, **given)
        case "dynamic":
            return DynamicProgramming(threads, limit)
        case "brute":
            return BruteForce(threads)
        case "cut":
            return MinCut(threads, limit)
        case "expansion":
            return Expansion(threads, **given)
    raise FactorGraphError(
        "method: expected 'auto', 'min-sum', 'dynamic', 'brute', 'cut', 'expansion' or a solver object; "
        f"got {method!r}"
    )


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
) -> Solution:
    """The labelling of lowest energy, and how sure that is.

    evidence: {name: labels}, see the README; initial: a labelling to start iterative methods from. latent: "min"
    minimises latents along with the answers. "sum" sums them out, min over Y of F(Y) = −T log Σ_Z exp(−E(Y, Z) / T):
    `energy` is then the free energy of Y, and latents and arcs have label −1. time_limit in seconds; memory_limit
    bytes, e.g. "2 GiB".

    Errors: FactorGraphError for wrong names, shapes, states, options; for latents whose sum joins too many answers, and
    lattices without a string, where latent="sum". An infeasible problem is a status, not an error.
    """
    if not hasattr(graph, "compile"):
        raise FactorGraphError(f"solve: expected a FactorGraph (or anything with compile()); got {graph!r}")
    plan = graph.compile()
    energies = graph.energies(parameters, inputs, memory_limit=memory_limit)
    known = read_evidence(plan, graph.named(evidence))
    start = None if initial is None else read_answers(plan, graph.named(initial), "initial").labels
    check_latent(latent)
    check_temperature(temperature)
    if latent == "sum" and any(hidden(g) for g in plan.groups):
        exact = choose(method, threads)
        answers = marginalise(plan, energies, known, exact, latent, temperature, graph.alphabets, "solve")
        solver = choose(method, threads, time_limit=time_limit, initial=answers.start(start))
        return answers.solution(solver(answers.compile(), answers.tables))
    solver = choose(method, threads, time_limit=time_limit, initial=start)
    return solver(plan, energies, known.question(energies.dtype), alphabets=graph.alphabets)


def check_temperature(temperature: float) -> None:
    """Refuse temperatures that are not positive and finite."""
    if not isinstance(temperature, (int, float, np.number)) or not 1e-300 < temperature < np.inf:
        raise FactorGraphError(f"temperature: expected a positive finite number; got {temperature!r}")
