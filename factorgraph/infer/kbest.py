"""The k answers of lowest energy, in order, distinct in Y (latents minimised or summed).

Every component is ranked by itself (Solver.rank), then the k least sums of one answer of each are formed. A component
with latents is ranked by Lawler's partition over its answers (Lawler 1972): the best answer of a cell of answers splits
the rest of the cell into one cell per variable (this variable differs, the earlier ones agree); each is asked with a
bias. A lattice with a grammar is asked again and again, for the best string of the grammar that was not found yet.
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
from ..plan import Acceptor, Asked, Evidence, Plan, Question, read_evidence, restrict
from .latent import check_latent, hidden, marginalise
from .ranking import Ranking, best_sums
from .solution import Solution, Status
from .solve import Declared, check_temperature, choose
from .solver import Answer, Solver, evaluate


def k_best(
    graph: Declared,
    k: int,
    evidence: Mapping[Any, Any] | None = None,
    parameters: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    method: str | Solver = "auto",
    threads: int | None = None,
    memory_limit: str | int = "2 GiB",
    each: bool = False,
    latent: str = "min",
    temperature: float = 1.0,
) -> list[Solution]:
    """At most `k` solutions of ascending energy with different answers; fewer if there are fewer.

    each: rank every component by itself, as the examples of a data set want: solution r holds the r-th best answer of
    each. A component that has none has labels −1, energy +inf and status INFEASIBLE there.
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
    solver = choose(method, threads, memory_limit=memory_limit)
    if latent == "sum" and any(hidden(g) for g in plan.groups):
        answers = marginalise(plan, energies, known, solver, latent, temperature, graph.alphabets, "k_best")
        owner = answers.parts.owner
        if each and np.unique(owner).size < owner.size:
            raise FactorGraphError(
                "k_best(each=True, latent='sum'): evidence cuts a component into several. Leave one of the two out"
            )
        return [answers.solution(s) for s in k_best(answers, k, method=solver, each=each)]
    first = solver(plan, energies, known.question(energies.dtype), alphabets=graph.alphabets)
    feasible = first.components.status != Status.INFEASIBLE
    loose = np.flatnonzero(feasible & (first.components.status != Status.OPTIMAL))
    if loose.size:
        raise FactorGraphError(
            f"k_best: component {loose[0]} is not solved exactly by {first.components.method[loose[0]]!r}; "
            "expected forests, lattices or few labellings"
        )
    constant = plan.constant(energies)
    if constant == np.inf or (not each and not feasible.all()):
        return []
    ranking = _rank(plan, energies, known, solver, first, int(k))
    if each:
        depth = int(np.isfinite(ranking.energies).any(0).sum())
        chosen = np.repeat(np.arange(max(depth, 1))[:, None], plan.n_components, 1)
    else:
        chosen = best_sums(ranking.energies, int(k))
    listed = [_solution(first, ranking, ranks, constant) for ranks in chosen]
    return listed if each else sorted(listed, key=lambda s: s.energy)  # sums are rounded anew


def _solution(first: Solution, ranking: Ranking, ranks: np.ndarray, constant: float) -> Solution:
    """The solution in which component c takes its answer number ranks[c]; the best energies bound those after them."""
    plan, parts = first.plan, np.arange(ranks.size)
    each, best = ranking.energies[parts, ranks], ranking.energies[:, 0]
    labels = ranking.labels[ranks[plan.component], np.arange(plan.states.size)]
    status = np.where(each > best, Status.BOUNDED, Status.OPTIMAL).astype(np.int8)
    status[each == np.inf] = Status.INFEASIBLE
    bound = np.where(each == np.inf, np.inf, best)
    worst = Status(int(status.max(initial=Status.OPTIMAL)))
    energy, below = float(each.sum()) + constant, float(bound.sum()) + constant
    components = replace(first.components, energy=each, minimum=each, bound=bound, status=status)
    return replace(first, flat=labels, energy=energy, minimum=energy, bound=below, status=worst, components=components)


def _rank(plan: Plan, energies: np.ndarray, known: Evidence, solver: Solver, first: Solution, k: int) -> Ranking:
    """The k best answers of every component, their energies summed in float64 from the labels.

    Ranked in float64 whatever the energies' dtype: successive answers are closer to each other than float32 can tell.
    """
    component, status = plan.component, first.components.status
    latent, fixed = np.zeros(plan.n_components, bool), status == Status.INFEASIBLE
    for group in plan.groups:
        latent[component[group.start : group.start + group.count]] |= group.latent
    fixed[[plan.lattices.component[i] for i in known.strings]] = True
    # no component has more answers than labellings, whatever k is; only those of lattices are not counted
    count = np.exp(np.minimum(np.bincount(component, np.log(plan.states), plan.n_components), 60.0))
    count[plan.kinds == LATTICE] = np.inf
    most = min(float(k), np.rint(count[~fixed]).max(initial=1.0))
    ranking = Ranking.empty(plan, plan.n_components, int(most))
    ranking.energies[:, 0], ranking.labels[0] = first.components.energy, first.flat
    if most == 1:
        return ranking
    asked = Evidence(plan, known.allowed).question(energies.dtype).of(plan, energies)
    asked = asked.wide() if energies.dtype == np.float32 else asked
    ruled = np.zeros_like(fixed)
    ruled[[plan.lattices.component[i] for i in known.grammars]] = True
    if (plain := ~fixed & ~latent & ~ruled).any():
        rest = asked.part(plain)
        ranking.put(rest.components, plan, rest.components, solver.rank(rest, int(most)))
    _rank_answers(asked.part(~fixed & latent), solver, ranking)
    _rank_strings(asked, known, solver, ranking)
    summed = [evaluate(asked._replace(bias=np.zeros(0)), labels)[0] for labels in ranking.labels]
    return ranking.in_order(plan, np.where(ranking.energies == np.inf, np.inf, np.stack(summed, 1)))


def _rank_strings(asked: Asked, known: Evidence, solver: Solver, ranking: Ranking) -> None:
    """The strings of lattices with a grammar: each the best of those of the grammar that are not found yet."""
    plan, lattices = asked.plan, asked.plan.lattices
    excluded: dict[int, list[np.ndarray]] = {i: [] for i in known.grammars}
    for rank in range(1, ranking.energies.shape[1]):
        acceptors = {}
        for i, strings in excluded.items():
            span = slice(lattices.ptr[i], lattices.ptr[i + 1])
            labels = ranking.labels[rank - 1, lattices.var[span]][np.argsort(lattices.start[span], kind="stable")]
            strings.append(labels[labels >= 0])
            if strings[-1].size:
                grammar = known.grammars[i]
                acceptors[i] = grammar & Acceptor.excluding(strings, grammar.delta.shape[1])
        if not acceptors:
            return
        excluded = {i: excluded[i] for i in acceptors}
        components = np.sort(lattices.component[list(acceptors)])
        product = restrict(plan, acceptors)
        rest = Question(None, product).of(plan, asked.energies, components)
        answer = Answer.empty(rest.plan)
        solver.minimise(rest, answer)
        found = answer.status[components] != Status.INFEASIBLE
        ranking.energies[components[found], rank] = evaluate(rest, answer.labels)[0][found]
        inside = plan.inside(components[found])
        ranking.labels[rank, inside] = product.labels(answer.labels)[inside]


def _rank_answers(asked: Asked, solver: Solver, ranking: Ranking) -> None:
    """Lawler's partition over the answers of each listed component, latents at their best for each."""
    if not asked.components.size:
        return
    plan = asked.plan
    latent = np.zeros(plan.states.size, bool)
    for group in plan.groups:
        latent[group.start : group.start + group.count] = group.latent
    bias = buffer(plan.variable_states, asked.energies.dtype)
    bias[:] = asked.bias if asked.bias.size else 0
    answer = Answer.empty(plan)
    for i in range(asked.components.size):
        _rank_component(asked.part(np.array([i])), solver, bias, latent, answer, ranking)


def _rank_component(
    asked: Asked, solver: Solver, bias: np.ndarray, latent: np.ndarray, answer: Answer, ranking: Ranking
) -> None:
    """The same for one component; bias and answer are work space, bias is left as it was."""
    plan, component = asked.plan, int(asked.components[0])
    inside = plan.variables_of(component)
    variables = inside[~latent[inside]]
    given = np.concatenate([np.arange(plan.offsets[v], plan.offsets[v + 1]) for v in inside])
    allowed = bias[given]

    def ask(fixed: list[int], banned: set[int]) -> tuple[float, np.ndarray]:
        """Best labelling whose first variables are `fixed` and whose next one avoids `banned`."""
        for v, label in zip(variables, fixed, strict=False):
            span = bias[plan.offsets[v] : plan.offsets[v + 1]]
            keep = span[label]
            span[:] = np.inf
            span[label] = keep
        if banned:
            bias[plan.offsets[variables[len(fixed)]] + np.array(sorted(banned))] = np.inf
        solver.minimise(asked._replace(bias=bias), answer)
        bias[given] = allowed
        lost = answer.status[component] == Status.INFEASIBLE
        energy = np.inf if lost else float(evaluate(asked, answer.labels)[0][0])
        return energy, answer.labels[inside]

    energy, labels = ask([], set())
    heap: list[tuple[float, int, np.ndarray, list[int], set[int]]] = [(energy, 0, labels, [], set())]
    number = rank = 0
    while heap and heap[0][0] < np.inf and rank < ranking.energies.shape[1]:
        energy, _, labels, fixed, banned = heapq.heappop(heap)
        ranking.energies[component, rank], ranking.labels[rank, inside] = energy, labels
        rank += 1
        state = labels[~latent[inside]].tolist()
        for n in range(len(fixed), variables.size):
            avoid = {state[n]} | (banned if n == len(fixed) else set())
            if len(avoid) == plan.states[variables[n]]:
                continue
            number += 1
            value, found = ask(state[:n], avoid)
            heapq.heappush(heap, (value, number, found, state[:n], avoid))
