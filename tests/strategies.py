"""Random factor graphs, each made twice from the same choices: a `Spec` for the oracle and an `fg.FactorGraph`.

One generator serves both the fast sweeps (choices from a numpy generator) and hypothesis (choices drawn, so that
failures shrink). A `Case` also keeps the Python source that declares it: a failure prints a program to run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from oracle import INF, LatticeSpec, Spec

import factorgraph as fg

ROOM = 3000  # labellings of one case at most: the oracle enumerates them
VALUES = [0, 1, -1, 2, -2, 3, -3, 4, -4]


class RandomChoices:
    """Choices from a numpy generator."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def values(self, count: int) -> np.ndarray:
        return self.rng.integers(-4, 5, size=count).astype(float)

    def mask(self, count: int, percent: int) -> np.ndarray:
        return self.rng.integers(100, size=count) < percent


class ContinuousChoices(RandomChoices):
    """Energies without ties, for finite differences."""

    def values(self, count: int) -> np.ndarray:
        return self.rng.normal(size=count)


class DrawnChoices:
    """Choices drawn by hypothesis: smaller integers are simpler."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def _list(self, elements: Any, count: int) -> np.ndarray:
        if count > 64:  # not worth shrinking one by one
            return np.resize(self._list(elements, 61), count)
        return np.array(self.draw(st.lists(st.sampled_from(elements), min_size=count, max_size=count)))

    def values(self, count: int) -> np.ndarray:
        return self._list(VALUES, count).astype(float)

    def mask(self, count: int, percent: int) -> np.ndarray:
        return self._list(list(range(100))[::-1], count) < percent


@dataclass
class Declared:
    """Variables of the graph beside their numbers in the Spec; indexed together."""

    numbers: np.ndarray
    variables: Any
    text: str

    def __getitem__(self, index: Any) -> Declared:
        return Declared(self.numbers[index], self.variables[index], f"{self.text}[{show_index(index)}]")


@dataclass
class Case:
    spec: Spec = field(default_factory=Spec)
    graph: Any = field(default_factory=fg.FactorGraph)
    arrays: dict[str, Declared] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)  # names of states, where they have some
    lattices: dict[str, Any] = field(default_factory=dict)  # in the order of spec.lattices
    lines: list[str] = field(default_factory=list)

    def variables(
        self, name: str, shape: tuple[int, ...] | None, states: Any, latent: bool = False, names: bool = False
    ) -> Declared:
        """`states`: a number, or for ragged alphabets one for each variable of `shape`."""
        counts = np.broadcast_to(np.asarray(states), shape or ())
        first = len(self.spec.states)
        numbers = np.arange(first, first + counts.size).reshape(counts.shape)
        self.spec.states += counts.ravel().tolist()
        self.spec.latent += [latent] * counts.size
        given: Any = states if np.ndim(states) == 0 else np.asarray(states)
        if names:
            given = self.names[name] = [f"{name}{chr(97 + k)}" for k in range(states)]
        options = {} if shape is None else {"shape": shape}
        options |= {"latent": True} if latent else {}
        variables = self.graph.variables(name, states=given, **options)
        extra = "".join(f", {key}={value}" for key, value in options.items())
        self.lines.append(f"{name} = g.variables({name!r}, states={show(given)}{extra})")
        self.arrays[name] = declared = Declared(numbers, variables, name)
        return declared

    def scopes(self, *parts: Declared) -> np.ndarray:
        """(shape of the scopes, arity): broadcast as numpy does."""
        return np.stack(np.broadcast_arrays(*(part.numbers for part in parts)), axis=-1)

    def add_table(self, table: np.ndarray, *parts: Declared) -> None:
        """One shared table (ndim == arity), or one for each scope."""
        if parts:
            scopes = self.scopes(*parts)
            states = tuple(self.spec.states[v] for v in scopes.reshape(-1, len(parts))[0])
            tables = np.broadcast_to(table, scopes.shape[:-1] + states)
            for i in np.ndindex(scopes.shape[:-1]):
                self.spec.factors.append((tuple(scopes[i].tolist()), np.asarray(tables[i], dtype=float)))
        else:
            self.spec.factors.append(((), np.asarray(table, dtype=float)))
        self.graph.add(fg.Table(table), *(part.variables for part in parts))
        self.lines.append(f"g.add(fg.Table({show(table)}), {', '.join(part.text for part in parts)})")

    def add_potts(self, weight: Any, left: Declared, right: Declared) -> None:
        """Energy weight · [left != right]; one weight or one for each scope."""
        scopes = self.scopes(left, right)
        weights = np.broadcast_to(np.asarray(weight, dtype=float), scopes.shape[:-1])
        for i in np.ndindex(scopes.shape[:-1]):
            states = self.spec.states[scopes[i][0]]
            table = np.where(np.eye(states, dtype=bool), 0.0, weights[i])
            self.spec.factors.append((tuple(scopes[i].tolist()), table))
        self.graph.add(fg.Potts(weight), left.variables, right.variables)
        self.lines.append(f"g.add(fg.Potts({show(weight)}), {left.text}, {right.text})")

    def add_count(self, text: str, allowed: Any, *parts: Declared) -> None:
        """A factor over all of `parts`, binary variables: `text` declares it, allowed(*labels) is its energy."""
        table = [float(allowed(*labels)) for labels in np.ndindex((2,) * len(parts))]
        scope = tuple(int(part.numbers) for part in parts)
        self.spec.factors.append((scope, np.reshape(table, (2,) * len(parts))))
        self.graph.add(eval(text, {"fg": fg, "np": np, "inf": INF}), *(part.variables for part in parts))
        self.lines.append(f"g.add({text}, {', '.join(part.text for part in parts)})")

    def lattice(self, name: str, start: list[int], end: list[int], states: int) -> LatticeSpec:
        lattice = LatticeSpec(start, end, states)
        self.spec.lattices.append(lattice)
        self.lattices[name] = self.graph.lattice(name, arcs=(np.array(start), np.array(end)), states=states)
        self.lines.append(f"{name} = g.lattice({name!r}, arcs=({start}, {end}), states={states})")
        return lattice

    def add_arcs(self, name: str, table: np.ndarray) -> None:
        """(states,) shared by all arcs, or (arcs, states)."""
        lattice = self._lattice(name)
        full = np.broadcast_to(np.asarray(table, dtype=float), (len(lattice.start), lattice.states))
        lattice.arcs.append(full)
        self.graph.add(fg.Table(table), self.lattices[name])
        self.lines.append(f"g.add(fg.Table({show(table)}), {name})")

    def add_transitions(self, name: str, table: np.ndarray) -> None:
        """(states, states) shared, or one for each pair of consecutive arcs."""
        lattice = self._lattice(name)
        count, states = len(lattice.start), lattice.states
        full = np.zeros((count, count, states, states))
        for i, (a, b) in enumerate(lattice.pairs()):
            full[a, b] = table if table.ndim == 2 else table[i]
        lattice.transitions.append(full)
        self.graph.add(fg.Table(table), self.lattices[name], self.lattices[name])
        self.lines.append(f"g.add(fg.Table({show(table)}), {name}, {name})")

    def add_potts_transitions(self, name: str, weight: float) -> None:
        lattice = self._lattice(name)
        count, states = len(lattice.start), lattice.states
        table = np.where(np.eye(states, dtype=bool), 0.0, weight)
        lattice.transitions.append(np.broadcast_to(table, (count, count, states, states)))
        self.graph.add(fg.Potts(weight), self.lattices[name], self.lattices[name])
        self.lines.append(f"g.add(fg.Potts({weight}), {name}, {name})")

    def _lattice(self, name: str) -> LatticeSpec:
        return self.spec.lattices[list(self.lattices).index(name)]

    # Between flat labels of the Spec and dictionaries of the package

    def flat(self, labels: dict[str, Any]) -> list[int]:
        """Labels of all ordinary variables in the Spec's order."""
        result = [-1] * len(self.spec.states)
        for name, declared in self.arrays.items():
            values = np.asarray(labels[name])
            assert values.shape == declared.numbers.shape, f"labels[{name!r}] has shape {values.shape}"
            for number, label in zip(declared.numbers.ravel(), values.ravel(), strict=True):
                result[number] = int(label)
        return result

    def named(self, labels: list[Any]) -> dict[str, Any]:
        """The reverse of `flat`, as int arrays."""
        return {
            name: np.array(labels, dtype=int)[declared.numbers] if declared.numbers.ndim else labels[declared.numbers]
            for name, declared in self.arrays.items()
        }

    def source(self) -> str:
        head = ["import numpy as np", "import factorgraph as fg", "inf = np.inf", "g = fg.FactorGraph()"]
        return "\n".join(head + self.lines)


def show_index(index: Any) -> str:
    if isinstance(index, tuple):
        return ", ".join(map(show_index, index))
    if isinstance(index, slice):
        return ":".join("" if bound is None else str(bound) for bound in (index.start, index.stop))
    return str(index)


def show(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"np.array({value.tolist()}, dtype={str(value.dtype)!r})"
    return repr(value)


@contextmanager
def explained(case: Case, **details: Any) -> Iterator[None]:
    """A failure inside prints the program that declares the case."""
    try:
        yield
    except Exception as error:
        extra = "".join(f"\n{key} = {value!r}" for key, value in details.items())
        raise AssertionError(f"{type(error).__name__}: {error}\n\n{case.source()}{extra}") from error


# The generator


class _Joined:
    """Union-find over variables: which scopes keep the graph a forest."""

    def __init__(self, count: int) -> None:
        self.part = list(range(count))
        self.scopes: set[frozenset[int]] = set()

    def accept(self, scopes: np.ndarray) -> bool:
        """All of the (F, arity) scopes, or none of them."""
        part, new = list(self.part), set(self.scopes)
        for scope in map(frozenset, scopes.tolist()):
            if scope in new:
                continue
            roots = {part[v] for v in scope}
            if len(roots) < len(scope):
                return False
            new.add(scope)
            part = [min(roots) if p in roots else p for p in part]
        self.part, self.scopes = part, new
        return True


DTYPES = [np.float64, np.float32, np.int64]


def random_case(
    choices: Any, forest: bool = True, lattices: bool = True, dtype: Any = None, counts: int = 0
) -> Case:
    """`forest`: only scopes that keep the graph a forest (parallel scopes included); otherwise small graphs at will.

    `dtype`: of all tables; None: one chosen for the case, or one chosen for each table. `counts`: factors that count
    come first, so many tries of them.
    """
    case = Case()
    forbid = [0, 15, 15, 35][choices.integer(0, 3)]  # % of +inf entries
    dtype = dtype or [*DTYPES, None][choices.integer(0, 3)]
    for i in range(choices.integer(1, 4)):
        _declare(case, choices, f"{'xyzw'[i]}")
    if counts:
        case.variables("b", (choices.integer(2, 5),), 2, latent=choices.integer(0, 3) == 3)
    joined = _Joined(len(case.spec.states))
    for _ in range(counts):
        _add_count(case, choices, joined if forest else None)
    counting = {frozenset(scope) for scope, _ in case.spec.factors}

    def table(*shape: int) -> np.ndarray:
        values = choices.values(int(np.prod(shape, dtype=int))).reshape(shape)
        chosen = dtype or DTYPES[choices.integer(0, 2)]
        if forbid and chosen is not np.int64:
            values[choices.mask(values.size, forbid).reshape(shape)] = INF
        return values.astype(chosen)

    for _ in range(choices.integer(0, 9) if forest else choices.integer(2, 14)):
        kind = choices.integer(0, 9)
        parts = _pick_array_scopes(case, choices) if kind < 4 else _pick_scalar_scope(case, choices)
        scopes = case.scopes(*parts) if parts else np.zeros((0, 0), dtype=int)
        rows = scopes.reshape(-1, len(parts)) if parts else scopes
        states = {tuple(case.spec.states[v] for v in row) for row in rows.tolist()} or {()}
        if len(states) > 1 or any(len(set(row)) < len(row) for row in rows.tolist()):
            continue  # ragged, or a variable twice
        if forest and parts and not joined.accept(rows):
            continue
        if not counting.isdisjoint(map(frozenset, rows.tolist())):
            continue  # counters make cycles of parallel scopes, which is_forest calls none
        (shape,) = states
        each = scopes.shape[:-1] if parts and choices.integer(0, 1) else ()
        if len(parts) == 2 and shape[0] == shape[1] and choices.integer(0, 2) == 0:
            weight = choices.values(int(np.prod(each, dtype=int))).reshape(each)
            if forbid and choices.integer(0, 7) == 0:
                weight = np.where(weight > 0, INF, weight)  # different labels forbidden
            case.add_potts(weight if each else float(weight), *parts)
        else:
            case.add_table(table(*each, *shape), *parts)
    if lattices and choices.integer(0, 2) == 0:
        _add_lattice(case, choices, table, "line")
        if choices.integer(0, 4) == 0:
            _add_lattice(case, choices, table, "other")
    return case


GATES = {"fg.Or()": any, "fg.And()": all}
CONSTRAINTS = {"fg.AtMostOne()": (0, 1), "fg.ExactlyOne()": (1,), "fg.AtLeastOne()": range(1, 99)}


def _add_count(case: Case, choices: Any, joined: _Joined | None) -> None:
    """A factor over one to six binary variables, new to the forest that `joined` keeps."""
    numbers = [(name, index) for name, x in case.arrays.items() for index in np.ndindex(x.numbers.shape)]
    free = [place for place in numbers if case.spec.states[int(case.arrays[place[0]].numbers[place[1]])] == 2]
    parts = []
    for _ in range(min(choices.integer(1, 6), len(free))):
        name, index = free.pop(choices.integer(0, len(free) - 1))
        parts.append(case.arrays[name][index if len(index) > 1 else index[0]] if index else case.arrays[name])
    scope = [int(part.numbers) for part in parts]
    if not parts or set(scope) in [set(other) for other, _ in case.spec.factors]:
        return
    if joined is not None and not joined.accept(np.array([scope])):
        return
    kind = choices.integer(0, 9)
    if kind < 3 and len(parts) > 1:
        text = list(GATES)[choices.integer(0, 1)]
        case.add_count(text, lambda *x: 0 if GATES[text](x[:-1]) == x[-1] else INF, *parts)
    elif kind < 7:
        text = list(CONSTRAINTS)[choices.integer(0, 2)]
        case.add_count(text, lambda *x: 0 if sum(x) in CONSTRAINTS[text] else INF, *parts)
    else:
        most = len(parts) if kind == 7 else choices.integer(0, len(parts) + 1)
        energies = choices.values(most + 1)
        energies[choices.mask(most + 1, 15)] = INF
        given = "" if kind == 7 else f", most={most}"
        text = f"fg.Cardinality({show(energies)}{given})"
        case.add_count(text, lambda *x: energies[min(sum(x), most)], *parts)


def _declare(case: Case, choices: Any, name: str) -> None:
    room = ROOM / np.prod(case.spec.states, dtype=float)
    kind = choices.integer(0, 9)
    states: Any = [2, 3, 1, 2, 4, 2, 3, 2, 3, 17, 16, 19][choices.integer(0, 11)]
    if kind < 4:
        shape: tuple[int, ...] | None = None
    elif kind < 9:
        shape = (choices.integer(1, 4),)
    else:
        shape = (2, choices.integer(1, 3))
        states = min(states, 3)
    if kind in (7, 8):
        states = [choices.integer(1, 4) for _ in range(shape[0])]
    size = int(np.prod(shape, dtype=int)) if shape else 1
    while np.prod(np.broadcast_to(states, (size,)), dtype=float) > room:
        if kind in (7, 8) or states <= 2:
            if room < 2:
                return
            kind, shape, size, states = 0, None, 1, 2
        else:
            states -= 1
    names = kind in (0, 1, 4) and choices.integer(0, 1) == 1
    case.variables(name, shape, states, latent=choices.integer(0, 3) == 3, names=names)


def _pick_array_scopes(case: Case, choices: Any) -> list[Declared]:
    """Whole arrays at once: unary, neighbours along an axis, a scalar broadcast, fancy indices."""
    arrays = [declared for declared in case.arrays.values() if declared.numbers.ndim]
    if not arrays:
        return _pick_scalar_scope(case, choices)
    x = arrays[choices.integer(0, len(arrays) - 1)]
    kind = choices.integer(0, 5)
    if x.numbers.ndim == 2:
        if kind == 0:
            return [x]
        if kind in (1, 3):
            return [x[:, :-1], x[:, 1:]] if x.numbers.shape[1] > 1 else [x]
        return [x[:-1], x[1:]] if kind < 5 else [x[0], x[-1]]
    if kind == 0 or x.numbers.size == 1:
        return [x]
    if kind in (1, 2):
        return [x[:-1], x[1:]]
    if kind == 3:
        return [x[1:], x[:-1]]
    others = [y for y in case.arrays.values() if y is not x and y.numbers.ndim == 0]
    if kind == 4 and others:
        parts = [x, others[choices.integer(0, len(others) - 1)]]
        return parts[:: 1 - 2 * choices.integer(0, 1)]
    size = x.numbers.size
    left = [choices.integer(0, size - 1) for _ in range(2)]
    right = [choices.integer(0, size - 1) for _ in range(2)]
    return [x[left], x[right]]


def _pick_scalar_scope(case: Case, choices: Any) -> list[Declared]:
    """One scope of arity 0..4, its variables in any order."""
    where = [(name, index) for name, declared in case.arrays.items() for index in np.ndindex(declared.numbers.shape)]
    arity = min([1, 2, 3, 2, 2, 1, 2, 3, 4, 0][choices.integer(0, 9)], len(where))
    parts = []
    for _ in range(arity):
        name, index = where.pop(choices.integer(0, len(where) - 1))
        parts.append(case.arrays[name][index if len(index) > 1 else index[0]] if index else case.arrays[name])
    size = np.prod([case.spec.states[int(part.numbers)] for part in parts], dtype=float)
    return parts if size <= 400 else parts[:1]


def _add_lattice(case: Case, choices: Any, table: Any, name: str) -> None:
    """Up to 5 nodes and 7 arcs: parallel arcs, unreachable nodes and dead ends happen."""
    nodes = choices.integer(1, 4)
    start, end = [], []
    if choices.integer(0, 4):  # most often some path exists: a spine
        start, end = list(range(nodes)), list(range(1, nodes + 1))
    for _ in range(choices.integer(0 if start else 1, 3)):
        first = choices.integer(0, nodes - 1)
        start.append(first)
        end.append(choices.integer(first + 1, nodes))
    order = np.argsort(choices.values(len(start)), kind="stable")  # arcs come in any order
    start, end = [start[i] for i in order], [end[i] for i in order]
    states = choices.integer(1, 3) if choices.integer(0, 9) else 17 if nodes < 3 else 3
    case.lattice(name, start, end, states)
    for _ in range(choices.integer(0, 2)):
        case.add_arcs(name, table(len(start), states) if choices.integer(0, 3) else table(states))
    pairs = len(case.spec.lattices[-1].pairs())
    for _ in range([0, 1, 0, 2][choices.integer(0, 3)]):
        kind = choices.integer(0, 3)
        if kind == 0:
            case.add_potts_transitions(name, float(choices.values(1)[0]))
        elif kind == 1 and pairs:
            case.add_transitions(name, table(pairs, states, states))
        else:
            case.add_transitions(name, table(states, states))


# Evidence: the same observation as an argument of the package and as allowed sets of the oracle


def random_evidence(case: Case, choices: Any) -> tuple[dict[str, Any], list[np.ndarray], list[tuple[int, ...] | None]]:
    """(evidence, allowed, strings) on observable variables only: labels, names, −1 or None, masks; strings."""
    evidence: dict[str, Any] = {}
    allowed = [np.ones(states, dtype=bool) for states in case.spec.states]
    for name, declared in case.arrays.items():
        numbers = declared.numbers
        if not numbers.size or case.spec.latent[numbers.flat[0]] or choices.integer(0, 2) == 2:
            continue
        counts = [case.spec.states[v] for v in numbers.ravel()]
        if choices.integer(0, 2) == 2 and len(set(counts)) == 1:
            mask = choices.mask(numbers.size * counts[0], 60).reshape(numbers.size, counts[0])
            mask[np.arange(numbers.size), [choices.integer(0, count - 1) for count in counts]] = True
            for v, row in zip(numbers.ravel(), mask, strict=True):
                allowed[v] = row
            evidence[name] = mask.reshape(*numbers.shape, counts[0])
            continue
        labels = [choices.integer(0, count) - 1 for count in counts]
        for v, label in zip(numbers.ravel(), labels, strict=True):
            if label >= 0:
                allowed[v] = np.arange(case.spec.states[v]) == label
        if name in case.names and choices.integer(0, 1):
            given: Any = [None if label < 0 else case.names[name][label] for label in labels]
            evidence[name] = given if numbers.ndim else given[0]
        else:
            evidence[name] = np.array(labels).reshape(numbers.shape) if numbers.ndim else labels[0]
    strings: list[tuple[int, ...] | None] = []
    for name, lattice in zip(case.lattices, case.spec.lattices, strict=True):
        string = None
        if choices.integer(0, 2):
            spelled = list(lattice.strings())
            if spelled and choices.integer(0, 4):
                string = spelled[choices.integer(0, len(spelled) - 1)]
            else:
                string = tuple(choices.integer(0, lattice.states - 1) for _ in range(choices.integer(1, 4)))
            evidence[name] = list(string)
        strings.append(string)
    return evidence, allowed, strings


@st.composite
def cases(draw: Any, forest: bool = True, lattices: bool = True) -> Case:
    return random_case(DrawnChoices(draw), forest, lattices)


@st.composite
def cases_with_evidence(draw: Any, forest: bool = True) -> tuple[Case, Any]:
    choices = DrawnChoices(draw)
    case = random_case(choices, forest)
    return case, random_evidence(case, choices)
