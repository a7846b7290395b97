"""Draws from the Gibbs distribution: independent and exact, unless the method says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..plan import Group, Plan, read_evidence
from ..plan.memory import bytes_of, readable
from .solution import ByName, named_states, path_of
from .solve import Declared, check_temperature, choose
from .solver import Solver, check_constant

#: Uniforms in memory at once (32 MiB of them), or one draw's.
AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Samples:
    """Draws, one per row: flat int32 (n, V) labels of all variables, −1 for arcs off the path.

    kind: "exact": independent draws from exp(−E / T) / Z. "estimate": some component with cycles was drawn by a method
    that only comes near it.
    """

    plan: Plan
    flat: np.ndarray
    alphabets: Mapping[tuple[int, str], tuple[str, ...]] = field(default_factory=dict, repr=False)
    kind: str = "exact"

    def __len__(self) -> int:
        return len(self.flat)

    def __repr__(self) -> str:
        return f"Samples({len(self)} of {self.plan!r})"

    def of(self, group: Group) -> np.ndarray:
        """int32 (n, *shape): labels of a group in every draw."""
        return self.flat[:, group.start : group.start + group.count].reshape(len(self), *group.shape)

    @cached_property
    def labels(self) -> ByName:
        """Labels by name, int32 (n, *shape)."""
        return ByName(self.plan, list(self.plan.groups), self.of, "labels")

    @cached_property
    def states(self) -> ByName:
        """Names of the labels (n, *shape) of variables that were declared with named states."""
        return named_states(self.plan, self.alphabets, self.of)

    @cached_property
    def paths(self) -> ByName:
        """Of each lattice a list of n paths: int64 arcs in order."""

        def paths(group: Group) -> list[np.ndarray]:
            return [path_of(self.plan, group, labels) for labels in self.of(group)]

        return ByName(self.plan, [g for g in self.plan.groups if g.lattice >= 0], paths, "path")

    @cached_property
    def strings(self) -> ByName:
        """Of each lattice a list of n strings: tuples of states."""

        def strings(group: Group) -> list[tuple[int, ...]]:
            drawn = zip(self.of(group), self.paths[group.example, group.name], strict=True)
            return [tuple(labels[path].tolist()) for labels, path in drawn]

        return ByName(self.plan, [g for g in self.plan.groups if g.lattice >= 0], strings, "string")


def sample(
    graph: Declared,
    n: int,
    seed: int = 0,
    temperature: float = 1.0,
    evidence: Mapping[Any, Any] | None = None,
    parameters: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    method: str | Solver = "auto",
    threads: int | None = None,
    memory_limit: str | int = "2 GiB",
) -> Samples:
    """`n` independent draws of all variables from P = exp(−E / T) / Z given the evidence; exact, or refused, unless
    `method` is one that comes near it only ("gibbs", "perturb-and-map"; see Samples.kind).

    The same seed gives the same draws, whatever `threads`; fewer draws are the first of more.

    Errors: FactorGraphError as in marginals, for n < 1, for draws beyond the memory limit, and where every labelling of
    a component is forbidden.
    """
    if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
        raise FactorGraphError(f"sample: expected a number of draws n ≥ 1; got {n!r}")
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise FactorGraphError(f"sample: expected seed, an int ≥ 0; got {seed!r}. The same seed gives the same draws")
    check_temperature(temperature)
    plan = graph.compile()
    energies = graph.energies(parameters, inputs, memory_limit=memory_limit)
    need, limit = 4 * int(n) * plan.states.size, bytes_of(memory_limit)
    if need > limit:
        raise FactorGraphError(
            f"sample: {n} draws of {plan.states.size} variables need {readable(need)}, the memory_limit is "
            f"{readable(limit)}. Ask for fewer at a time, with other seeds, or raise memory_limit"
        )
    question = read_evidence(plan, graph.named(evidence)).question(energies.dtype)
    asked = question.of(plan, energies)
    check_constant("sample", plan.constant(energies))
    solver = choose(method, threads, memory_limit=memory_limit)
    draw = solver.sampler(asked, temperature)
    rng = np.random.default_rng(int(seed))
    width, counters = asked.plan.states.size, asked.plan.counters
    numbers = width if counters is None else counters.plan.states.size
    flat = np.full((int(n), plan.states.size), -1, np.int32)
    step = max(1, AT_ONCE // max(1, width))
    for first in range(0, int(n), step):
        rows = flat[first : first + step]
        uniforms = rng.random((len(rows), numbers))
        if question.restriction is None:
            draw(uniforms, rows)
            continue
        drawn = np.full((len(rows), width), -1, np.int32)
        draw(uniforms, drawn)
        for row, labels in zip(rows, drawn, strict=True):
            row[:] = question.restriction.labels(labels)
    return Samples(plan, flat, graph.alphabets, solver.kind_of(asked))
