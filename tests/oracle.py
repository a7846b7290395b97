"""The independent referee: everything by enumeration, nothing imported from the package.

Two views of one problem. `labellings` and `energy` are plain Python loops, too simple to be wrong. `joint` is the
same as one dense array, `joint[labels] = energy(labels)`, and every question is then one numpy reduction over it;
test_laws.py checks the second view against the first. A lattice is the list of its readings
`(path, string, energy)`, made by recursion.

Energies: lower is better, +inf forbids. Temperatures: p ∝ exp(−E / temperature).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

INF = np.inf


@dataclass
class LatticeSpec:
    """Nodes 0..n, n the largest end; a path leads from 0 to n; every arc on it emits one of `states` labels."""

    start: list[int]
    end: list[int]
    states: int
    arcs: list[np.ndarray] = field(default_factory=list)  # each (arcs, states), added up
    transitions: list[np.ndarray] = field(default_factory=list)  # each (arcs, arcs, states, states), consecutive arcs
    known: dict = field(default_factory=dict)

    def pairs(self) -> list[tuple[int, int]]:
        """Consecutive arcs in ascending order."""
        arcs = range(len(self.start))
        return [(a, b) for a in arcs for b in arcs if self.end[a] == self.start[b]]

    def paths(self) -> Iterator[tuple[int, ...]]:
        goal = max(self.end)

        def extend(node: int, path: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
            if node == goal:
                yield path
            for arc, (start, end) in enumerate(zip(self.start, self.end, strict=True)):
                if start == node:
                    yield from extend(end, (*path, arc))

        return extend(0, ())

    def energy(self, path: Sequence[int], string: Sequence[int]) -> float:
        total = sum(float(table[a, c]) for a, c in zip(path, string, strict=True) for table in self.arcs)
        pairs = itertools.pairwise(zip(path, string, strict=True))
        return total + sum(float(table[a, b, i, j]) for (a, i), (b, j) in pairs for table in self.transitions)

    def readings(self) -> list[tuple[tuple[int, ...], tuple[int, ...], float]]:
        """All (path, string, energy), infeasible ones included; kept until a table is added."""
        key = (len(self.arcs), len(self.transitions))
        if key not in self.known:
            self.known[key] = [
                (path, string, self.energy(path, string))
                for path in self.paths()
                for string in itertools.product(range(self.states), repeat=len(path))
            ]
        return self.known[key]

    def strings(self, temperature: float | None = None) -> dict[tuple[int, ...], float]:
        """Energy of every spelled string: the best path's, or with a temperature the free energy over its paths."""
        energies: dict[tuple[int, ...], list[float]] = {}
        for _, string, energy in self.readings():
            energies.setdefault(string, []).append(energy)
        return {string: soft_minimum(np.array(values), temperature) for string, values in energies.items()}

    def marginals(self, temperature: float = 1.0) -> np.ndarray:
        """(arcs, states): the probability that the path takes this arc and emits this label there."""
        readings = self.readings()
        probabilities = gibbs(np.array([energy for _, _, energy in readings]), temperature)
        result = np.zeros((len(self.start), self.states))
        for (path, string, _), probability in zip(readings, probabilities, strict=True):
            for arc, label in zip(path, string, strict=True):
                result[arc, label] += probability
        return result

    def min_marginals(self) -> np.ndarray:
        """(arcs, states): the least energy of a reading that takes this arc and emits this label there."""
        result = np.full((len(self.start), self.states), INF)
        for path, string, energy in self.readings():
            for arc, label in zip(path, string, strict=True):
                result[arc, label] = min(result[arc, label], energy)
        return result

    def spelling(self, string: Sequence[int] | None) -> LatticeSpec:
        """The lattice of the readings that spell the string; None: this one."""
        if string is None:
            return self
        kept = [reading for reading in self.readings() if reading[1] == tuple(string)]
        key = (len(self.arcs), len(self.transitions))
        return LatticeSpec(self.start, self.end, self.states, self.arcs, self.transitions, {key: kept})


@dataclass
class Spec:
    """A factor graph as plain lists: variable v has `states[v]` states; a factor is (scope, table)."""

    states: list[int] = field(default_factory=list)
    latent: list[bool] = field(default_factory=list)
    factors: list[tuple[tuple[int, ...], np.ndarray]] = field(default_factory=list)
    lattices: list[LatticeSpec] = field(default_factory=list)

    def labellings(self) -> Iterator[tuple[int, ...]]:
        return itertools.product(*map(range, self.states))

    def energy(self, labels: Sequence[int]) -> float:
        """Of the ordinary factors (lattices apart)."""
        return sum((float(table[tuple(labels[v] for v in scope)]) for scope, table in self.factors), 0.0)

    def joint(self) -> np.ndarray:
        """Shape `states`: the energy of every labelling (lattices apart)."""
        total = np.zeros(self.states)
        for scope, table in self.factors:
            shape = [1] * len(self.states)
            for v in scope:
                shape[v] = self.states[v]
            total = total + np.transpose(table, np.argsort(scope, kind="stable")).reshape(shape)
        return total

    def constant(self) -> float:
        return sum((float(table) for scope, table in self.factors if not scope), 0.0)

    def latent_axes(self) -> tuple[int, ...]:
        return tuple(v for v, latent in enumerate(self.latent) if latent)

    def components(self) -> list[list[int]]:
        """Variables joined by factors, numbered by their first variable."""
        parts = [{v} for v in range(len(self.states))]
        for scope, _ in self.factors:
            touched = [part for part in parts if part & set(scope)]
            if len(touched) > 1:
                parts = [part for part in parts if part not in touched] + [set().union(*touched)]
        return sorted(sorted(part) for part in parts)

    def is_forest(self) -> bool:
        """No cycle among variables and distinct scopes: every scope joins parts that were apart before."""
        part = list(range(len(self.states)))
        for scope in {frozenset(scope) for scope, _ in self.factors}:
            roots = {part[v] for v in scope}
            if len(roots) < len(scope):
                return False
            part = [min(roots) if p in roots else p for p in part]
        return True

    def part(self, variables: Sequence[int]) -> Spec:
        """The component with these variables, renumbered; constants stay out."""
        number = {v: i for i, v in enumerate(variables)}
        inside = [
            (tuple(number[v] for v in scope), table) for scope, table in self.factors if scope and scope[0] in number
        ]
        return Spec([self.states[v] for v in variables], [self.latent[v] for v in variables], inside)


# Reductions of any array of energies


def soft_minimum(energies: np.ndarray, temperature: float | None = None) -> float:
    """Minimum, or −temperature · log Σ exp(−energies / temperature)."""
    least = float(energies.min()) if energies.size else INF
    if temperature is None or least == INF:
        return least
    return least - temperature * float(np.log(np.exp((least - energies) / temperature).sum()))


def gibbs(energies: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities exp(−energies / temperature) / Z, same shape; energies must have a finite minimum."""
    weights = np.exp((energies.min() - energies) / temperature)
    return weights / weights.sum()


def restrict(joint: np.ndarray, allowed: Sequence[np.ndarray]) -> np.ndarray:
    """+inf wherever a variable is outside its allowed states; allowed[v] is bool (states[v],)."""
    for v, mask in enumerate(allowed):
        shape = [1] * joint.ndim
        shape[v] = mask.size
        joint = joint + np.where(mask, 0.0, INF).reshape(shape)
    return joint


def clamp(spec: Spec, labels: Sequence[int | None]) -> list[np.ndarray]:
    """The allowed sets of an observation; None leaves a variable free."""
    return [
        np.ones(states, dtype=bool) if label is None else np.arange(states) == label
        for states, label in zip(spec.states, labels, strict=True)
    ]


def eliminate(joint: np.ndarray, axes: tuple[int, ...], temperature: float | None = None) -> np.ndarray:
    """Minimise, or with a temperature sum out, these axes (kept with length 1)."""
    least = joint.min(axis=axes, keepdims=True)
    if temperature is None:
        return least
    base = np.where(np.isfinite(least), least, 0.0)
    with np.errstate(divide="ignore"):
        total = np.log(np.exp((base - joint) / temperature).sum(axis=axes, keepdims=True))
    return base - temperature * total


def marginals(joint: np.ndarray, temperature: float = 1.0) -> list[np.ndarray]:
    probabilities = gibbs(joint, temperature)
    return [probabilities.sum(axis=tuple(a for a in range(joint.ndim) if a != v)) for v in range(joint.ndim)]


def min_marginals(joint: np.ndarray) -> list[np.ndarray]:
    """Of every variable the least energy with each of its states."""
    return [joint.min(axis=tuple(a for a in range(joint.ndim) if a != v)) for v in range(joint.ndim)]


def entropy(energies: np.ndarray, temperature: float = 1.0) -> float:
    """−Σ p log p in nats; 0 log 0 counts as 0."""
    probabilities = gibbs(energies, temperature)
    positive = probabilities[probabilities > 0]
    return -float((positive * np.log(positive)).sum())


def expectation(spec: Spec, joint: np.ndarray, temperature: float = 1.0) -> list[np.ndarray]:
    """For every factor the probabilities of its configurations, in the layout of its table."""
    probabilities = gibbs(joint, temperature)
    result = []
    for scope, _ in spec.factors:
        rest = tuple(v for v in range(joint.ndim) if v not in scope)
        result.append(np.transpose(probabilities.sum(axis=rest), np.argsort(np.argsort(scope, kind="stable"))))
    return result


# Questions about a whole Spec: ordinary variables and lattices together


def minimum(spec: Spec, allowed: Sequence[np.ndarray] | None = None, strings: Sequence[tuple | None] = ()) -> float:
    """Least energy under evidence: allowed states of variables, and per lattice the string it must spell or None."""
    joint = spec.joint() if allowed is None else restrict(spec.joint(), allowed)
    total = float(joint.min())
    for lattice, string in itertools.zip_longest(spec.lattices, strings):
        energies = lattice.strings()
        total += min(energies.values(), default=INF) if string is None else energies.get(tuple(string), INF)
    return total


def free_energy(
    spec: Spec,
    allowed: Sequence[np.ndarray] | None = None,
    strings: Sequence[tuple | None] = (),
    temperature: float = 1.0,
) -> float:
    """−temperature · log Σ exp(−E / temperature) over all that the evidence leaves open."""
    joint = spec.joint() if allowed is None else restrict(spec.joint(), allowed)
    total = soft_minimum(joint, temperature)
    for lattice, string in itertools.zip_longest(spec.lattices, strings):
        energies = lattice.strings(temperature)
        values = np.array(list(energies.values())) if string is None else np.array([energies.get(tuple(string), INF)])
        total += soft_minimum(values, temperature)
    return total


def k_best(
    spec: Spec, k: int, allowed: Sequence[np.ndarray] | None = None, strings: Sequence[tuple | None] = ()
) -> list[float]:
    """Energies of the k best answers Y: latent variables and lattice paths minimised, +inf left out, ascending."""
    joint = spec.joint() if allowed is None else restrict(spec.joint(), allowed)
    best = np.sort(eliminate(joint, spec.latent_axes()).ravel())
    for lattice, string in itertools.zip_longest(spec.lattices, strings):
        spelled = lattice.strings()
        values = list(spelled.values()) if string is None else [spelled.get(tuple(string), INF)]
        best = np.sort(np.add.outer(best, np.array(values or [INF])).ravel())
    return [float(e) for e in best[:k] if e < INF]


# Losses of an answer: labels of all variables (latent ones ignored) and one string per lattice


def hamming(spec: Spec, answer: Sequence[int]) -> np.ndarray:
    """Shape `states`: on how many observable variables a labelling differs from the answer."""
    cost = np.zeros(spec.states)
    for v, (states, latent) in enumerate(zip(spec.states, spec.latent, strict=True)):
        if not latent:
            shape = [1] * len(spec.states)
            shape[v] = states
            cost = cost + (np.arange(states) != answer[v]).reshape(shape)
    return cost


def correct(
    spec: Spec, answer: Sequence[int], strings: Sequence[tuple] = (), temperature: float | None = None
) -> float:
    """E_c: minimum (or free energy) over latent variables and paths with Y fixed to the answer."""
    labels = [None if latent else label for label, latent in zip(answer, spec.latent, strict=True)]
    allowed = clamp(spec, labels)
    if temperature is None:
        return minimum(spec, allowed, strings)
    return free_energy(spec, allowed, strings, temperature)


def perceptron(spec: Spec, answer: Sequence[int], strings: Sequence[tuple] = ()) -> float:
    """E_c − min E."""
    return correct(spec, answer, strings) - minimum(spec)


def margin(spec: Spec, answer: Sequence[int], strings: Sequence[tuple] = ()) -> float:
    """E_c + max(Δ − E): Δ the Hamming distance on observable variables, plus 1 for every lattice that spells another
    string than the correct one."""
    augmented = float((spec.joint() - hamming(spec, answer)).min())
    for lattice, string in zip(spec.lattices, strings, strict=True):
        augmented += min(energy - (spelled != tuple(string)) for spelled, energy in lattice.strings().items())
    return correct(spec, answer, strings) - augmented


def nll(spec: Spec, answer: Sequence[int], strings: Sequence[tuple] = (), temperature: float = 1.0) -> float:
    """F_c − F, latent variables and paths summed: −temperature · log p(Y)."""
    return correct(spec, answer, strings, temperature) - free_energy(spec, None, (), temperature)
