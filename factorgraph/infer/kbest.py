"""The k answers of lowest energy, in order, distinct in Y (latents minimised or summed).

Components: Lawler 1972. The best answer of a cell of answers splits the rest of the cell into one cell per variable
(this variable differs, the earlier ones agree); each is asked with a bias. Lattices: the next string is the best one
that an acceptor of all other strings admits. Sums over components are merged lazily, cheapest first.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..kernels.simd import buffer
from ..kernels.structure import LATTICE
from ..plan import Acceptor, Evidence, Plan, Question, read_evidence, restrict
from .latent import check_latent, hidden, marginalise
from .solution import Solution, Status
from .solve import Declared, check_temperature, choose
from .solver import Solver, evaluate

Ranked = list[tuple[float, np.ndarray]]  # (energy, labels of all variables), ascending


def k_best(
    graph: Declared,
    k: int,
    evidence: Mapping[Any, Any] | None = None,
    parameters: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    method: str | Solver = "auto",
    threads: int | None = None,
    memory_limit: str | int = "2 GiB",
    latent: str = "min",
    temperature: float = 1.0,
) -> list[Solution]:
    """At most `k` solutions of ascending energy with different answers; fewer if there are fewer.

    latent: as in solve; "sum" ranks answers by their free energies at `temperature`.

    Errors: FactorGraphError as in solve, and where a component is not solved exactly.
    """
    if not isinstance(k, int | np.integer) or k < 1:
        raise FactorGraphError(f"k_best: expected k ≥ 1; got {k!r}")
    check_latent(latent)
    check_temperature(temperature)
    plan = graph.compile()
    energies = graph.energies(parameters, inputs, memory_limit=memory_limit)
    known = read_evidence(plan, graph.named(evidence))
    solver = choose(method, threads)
    if latent == "sum" and any(hidden(g) for g in plan.groups):
        answers = marginalise(plan, energies, known, solver, latent, temperature, graph.alphabets, "k_best")
        return [answers.solution(s) for s in k_best(answers, k, method=solver)]
    first = solver(plan, energies, known.question(energies.dtype), alphabets=graph.alphabets)
    if first.status == Status.INFEASIBLE:
        return []
    loose = np.flatnonzero(first.components.status != Status.OPTIMAL)
    if loose.size:
        raise FactorGraphError(
            f"k_best: component {loose[0]} is not solved exactly by {first.components.method[loose[0]]!r}; "
            "expected forests, lattices or few labellings"
        )
    merged: Ranked = [(0.0, first.flat)]
    for c in range(plan.n_components):
        rank = _strings if plan.kinds[c] == LATTICE else _labellings
        merged = _merge(merged, rank(plan, energies, known, solver, c, int(k)), plan.component == c, int(k))
    constant = plan.constant(energies)
    return [_solution(first, energies, float(e + constant), labels) for e, labels in merged]


def _solution(first: Solution, energies: np.ndarray, energy: float, labels: np.ndarray) -> Solution:
    """The solution of one rank; the best energy bounds those after it."""
    plan = first.plan
    each, _ = evaluate(Question().of(plan, energies), labels)
    best = first.components
    status = np.where(each > best.energy, Status.BOUNDED, Status.OPTIMAL).astype(np.int8)
    worst = Status(int(status.max(initial=Status.OPTIMAL)))
    parts = replace(best, energy=each, minimum=each, status=status)
    return replace(first, flat=labels, energy=energy, minimum=energy, status=worst, components=parts)


def _merge(left: Ranked, right: Ranked, part: np.ndarray, k: int) -> Ranked:
    """The k least sums of one of each; labels of `part` come from the right."""
    out: Ranked = []
    heap = [(left[0][0] + right[0][0], 0, 0)]
    seen = {(0, 0)}
    while heap and len(out) < k:
        total, i, j = heapq.heappop(heap)
        out.append((total, np.where(part, right[j][1], left[i][1])))
        for pair in ((i + 1, j), (i, j + 1)):
            if pair[0] < len(left) and pair[1] < len(right) and pair not in seen:
                seen.add(pair)
                heapq.heappush(heap, (left[pair[0]][0] + right[pair[1]][0], *pair))
    return out


def _labellings(plan: Plan, energies: np.ndarray, known: Evidence, solver: Solver, component: int, k: int) -> Ranked:
    """Lawler's partition over the answers of one component."""
    latent = np.zeros(plan.states.size, bool)
    for group in plan.groups:
        latent[group.start : group.start + group.count] = group.latent
    variables = [int(v) for v in plan.variables_of(component) if not latent[v]]
    base = Evidence(plan, known.allowed).question(energies.dtype).bias
    listed = np.array([component])

    def ask(fixed: list[int], banned: set[int]) -> tuple[float, np.ndarray]:
        """Best labelling whose first variables are `fixed` and whose next one avoids `banned`."""
        bias = buffer(plan.variable_states, energies.dtype)
        if base is not None:
            bias[:] = base
        for v, label in zip(variables, fixed, strict=False):
            span = bias[plan.offsets[v] : plan.offsets[v + 1]]
            keep = span[label]
            span[:] = np.inf
            span[label] = keep
        if banned:
            bias[plan.offsets[variables[len(fixed)]] + np.array(sorted(banned))] = np.inf
        s = solver(plan, energies, Question(bias), listed)
        return s.components.energy[component], s.flat

    out: Ranked = []
    energy, labels = ask([], set())
    heap: list[tuple[float, int, np.ndarray, list[int], set[int]]] = [(energy, 0, labels, [], set())]
    number = 0
    while heap and len(out) < k:
        energy, _, labels, fixed, banned = heapq.heappop(heap)
        if energy == np.inf:
            break
        out.append((energy, labels))
        for n in range(len(fixed), len(variables)):
            prefix = [int(labels[v]) for v in variables[:n]]
            avoid = {int(labels[variables[n]])} | (banned if n == len(fixed) else set())
            if len(avoid) == plan.states[variables[n]]:
                continue
            number += 1
            value, found = ask(prefix, avoid)
            heapq.heappush(heap, (value, number, found, prefix, avoid))
    return out


def _strings(plan: Plan, energies: np.ndarray, known: Evidence, solver: Solver, component: int, k: int) -> Ranked:
    """Best strings of one lattice, each excluding those found before."""
    lattice = int(np.flatnonzero(plan.lattices.component == component)[0])
    group = next(g for g in plan.groups if g.lattice == lattice)
    listed = np.array([component])
    if lattice in known.strings:
        s = solver(plan, energies, known.question(energies.dtype), listed)
        return [(s.components.energy[component], s.flat)]
    states = int(plan.states[group.start : group.start + group.count].max())
    out: Ranked = []
    found: list[tuple[int, ...]] = []
    while len(out) < k:
        restriction = restrict(plan, {lattice: Acceptor.excluding(found, states)}) if found else None
        s = solver(plan, energies, Question(None, restriction), listed)
        if s.components.energy[component] == np.inf:
            break
        out.append((s.components.energy[component], s.flat))
        found.append(tuple(int(x) for x in s.of(group)[s.path(group)]))
    return out
