"""Declaration: variables, lattices, factors. The only mutable thing in the package."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from .errors import FactorGraphError
from .factors import External, Factor, Layout
from .plan import Block, Group, Lattices, Plan, consecutive_arcs, digest

#: Plans of equal structure are shared; the most recent small ones are kept alive.
_PLANS: WeakValueDictionary[bytes, Plan] = WeakValueDictionary()
_RECENT: OrderedDict[bytes, Plan] = OrderedDict()
_KEEP, _SMALL = 16, 4_000_000


class Variables:
    """An array of variables of a graph: slices and fancy indices give arrays of some of them, as in numpy."""

    __slots__ = ("graph", "ids", "name", "states")

    def __init__(self, graph: FactorGraph, name: str, ids: np.ndarray, states: int | None):
        self.graph, self.name, self.ids, self.states = graph, name, ids, states

    def __getitem__(self, index: Any) -> Variables:
        try:
            ids = self.ids[index]
        except IndexError as error:
            raise FactorGraphError(f"{self.name}: {error}; the array has shape {self.shape}") from None
        return Variables(self.graph, self.name, np.asarray(ids, np.int32), self.states)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.ids.shape

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"{self.name} is a single variable")
        return self.shape[0]

    def __repr__(self) -> str:
        states = "ragged" if self.states is None else self.states
        return f"Variables({self.name!r}, shape={self.shape}, states={states})"


class Lattice:
    """A segmentation graph: nodes 0 … n, arcs (start[a], end[a]) with start < end, every arc emits one of `states`.

    A path from node 0 to node n spells a string: the answer is the string, the path is latent.
    """

    __slots__ = ("end", "graph", "ids", "name", "start", "states")

    def __init__(self, graph: FactorGraph, name: str, ids: np.ndarray, start: np.ndarray, end: np.ndarray, states: int):
        self.graph, self.name, self.ids = graph, name, ids
        self.start, self.end, self.states = start, end, states

    @property
    def shape(self) -> tuple[int, ...]:
        """(arcs,)."""
        return self.ids.shape

    @property
    def pairs(self) -> np.ndarray:
        """int64 (pairs, 2): consecutive arcs, in the order in which `add(factor, lattice, lattice)` scores them."""
        return consecutive_arcs(np.zeros(self.start.size, np.int64), self.start, self.end)

    def __len__(self) -> int:
        return int(self.ids.size)

    def __repr__(self) -> str:
        return f"Lattice({self.name!r}, arcs={self.ids.size}, states={self.states})"


class _Part(NamedTuple):
    """One `add`: a factor over `len(scopes)` scopes."""

    factor: Factor
    layout: Layout
    scopes: np.ndarray
    states: tuple[int, ...]
    lattice: bool


class FactorGraph:
    """Variables and energy factors over them. Lower energy is better; +inf forbids."""

    def __init__(self) -> None:
        self._count = 0
        self._example = -1
        self._groups: list[Group] = []
        self._names: set[tuple[int, str]] = set()
        self._states: list[tuple[int, int | np.ndarray]] = []
        self._lattices: list[tuple[np.ndarray, np.ndarray]] = []
        self._parts: list[_Part] = []
        self._plan: Plan | None = None
        self._factors: list[Factor] = []
        self._dtype: np.dtype = np.dtype(np.float64)
        self.alphabets: dict[tuple[int, str], tuple[str, ...]] = {}

    # ---------------------------------------------------------------- declaration

    def variables(
        self,
        name: str,
        shape: int | Sequence[int] = (),
        states: int | Sequence[str] | np.ndarray = 2,
        latent: bool = False,
    ) -> Variables:
        """Declare one variable, or an array of them.

        states: how many, or their names, or an int array of the declared shape (ragged alphabets). latent: never
        observed, minimised or summed out.

        Errors: FactorGraphError for names taken, repeated state names, fewer than one state.
        """
        where = f"variables({name!r})"
        shape = _shape(shape, where)
        count = int(np.prod(shape, dtype=np.int64))
        if isinstance(states, str):
            raise FactorGraphError(f"{where}: expected a number of states or a list of names; got the string {states!r}")
        uniform: int | None
        sizes: int | np.ndarray
        names: tuple[str, ...] | None = None
        if isinstance(states, int | np.integer) and not isinstance(states, bool):
            uniform = sizes = int(states)
        elif isinstance(states, np.ndarray) and states.dtype.kind in "iu":
            if states.shape != shape:
                raise FactorGraphError(
                    f"{where}: expected states as an array of the declared shape {shape}; got {states.shape}"
                )
            sizes = states.astype(np.int32).ravel()
            uniform = int(sizes[0]) if sizes.size and (sizes == sizes[0]).all() else None
        else:
            try:
                names = tuple(str(s) for s in states)  # type: ignore[union-attr]
            except TypeError:
                raise FactorGraphError(
                    f"{where}: expected states as an int, a list of names or an int array; got {states!r}"
                ) from None
            if len(set(names)) != len(names):
                twice = next(s for i, s in enumerate(names) if s in names[:i])
                raise FactorGraphError(f"{where}: expected different state names; got {twice!r} twice")
            uniform = sizes = len(names)
        if (np.asarray(sizes) < 1).any():
            raise FactorGraphError(f"{where}: expected at least one state per variable; got {np.min(sizes)}")
        ids = self._declare(name, where, shape, count, latent, -1)
        self._states.append((count, sizes))
        if names is not None:
            self.alphabets[self._example, name] = names
        return Variables(self, name, ids, uniform)

    def lattice(self, name: str, arcs: tuple[Any, Any], states: int) -> Lattice:
        """Declare a segmentation graph by its arcs (start, end): two int arrays of equal length, start < end.

        Node 0 is where every path starts, the largest node where it ends. Factors over the lattice score its arcs,
        factors over (lattice, lattice) consecutive arcs.

        Errors: FactorGraphError for no arcs, negative nodes, arcs that do not go forward, names taken.
        """
        where = f"lattice({name!r})"
        try:
            start, end = (np.asarray(a) for a in arcs)
        except (TypeError, ValueError):
            raise FactorGraphError(f"{where}: expected arcs=(start, end), two int arrays; got {arcs!r}") from None
        if start.ndim != 1 or start.shape != end.shape or not start.size or start.dtype.kind + end.dtype.kind not in (
            "ii", "iu", "ui", "uu",
        ):  # fmt: skip
            raise FactorGraphError(
                f"{where}: expected two non-empty int arrays of equal length; got {start.dtype} {start.shape} and "
                f"{end.dtype} {end.shape}"
            )
        start, end = start.astype(np.int64), end.astype(np.int64)
        wrong = np.flatnonzero((start < 0) | (start >= end))
        if wrong.size:
            a = wrong[0]
            raise FactorGraphError(f"{where}: expected 0 ≤ start < end; arc {a} goes from {start[a]} to {end[a]}")
        if not isinstance(states, int | np.integer) or states < 1:
            raise FactorGraphError(f"{where}: expected a number of states ≥ 1; got {states!r}")
        ids = self._declare(name, where, start.shape, start.size, False, len(self._lattices))
        self._states.append((start.size, int(states)))
        self._lattices.append((start, end))
        return Lattice(self, name, ids, start, end, int(states))

    def _declare(
        self, name: str, where: str, shape: tuple[int, ...], count: int, latent: bool, lattice: int
    ) -> np.ndarray:
        if not isinstance(name, str) or not name:
            raise FactorGraphError(f"{where}: expected a name, a non-empty string")
        if (self._example, name) in self._names:
            raise FactorGraphError(f"{where}: the name is taken; expected a new one. Index the array declared before")
        if self._count + count > np.iinfo(np.int32).max:
            raise FactorGraphError(f"{where}: a graph holds at most 2³¹ − 1 variables; got {self._count + count}")
        self._names.add((self._example, name))
        self._groups.append(Group(name, self._example, self._count, count, shape, latent, lattice))
        ids = np.arange(self._count, self._count + count, dtype=np.int32).reshape(shape)
        self._count += count
        self._plan = None
        return ids

    def begin_example(self) -> int:
        """Names declared from now on belong to the next example of a data set; returns its number, from 0."""
        self._example += 1
        return self._example

    def add(self, factor: Factor, *scopes: Variables | Lattice) -> None:
        """Add one factor per scope: scopes are arrays of variables that broadcast against each other as in numpy.

        Over a lattice: `add(f, line)` one factor per arc, `add(f, line, line)` one per pair of consecutive arcs.

        Errors: FactorGraphError for a variable twice in one scope, shapes that do not broadcast, tables that do not fit.
        """
        where = f"add({type(factor).__name__})"
        if not isinstance(factor, Factor):
            raise FactorGraphError(f"{where}: expected a factor such as Table, Linear, Potts first; got {factor!r}")
        for scope in scopes:
            if not isinstance(scope, Variables | Lattice):
                raise FactorGraphError(f"{where}: expected variables or lattices as scopes; got {scope!r}")
            if scope.graph is not self:
                raise FactorGraphError(f"{where}: {scope.name!r} belongs to another graph; declare it in this one")
        if any(isinstance(scope, Lattice) for scope in scopes):
            ids, shape = _lattice_scopes(where, scopes)
            states = tuple(int(s.states or 0) for s in scopes)
            self._append(factor, ids, shape, states, True, where)
            return
        ids, shape = _scopes(where, scopes)
        uniform = [s.states for s in scopes]
        if None not in uniform:
            self._append(factor, ids, shape, tuple(int(k) for k in uniform if k is not None), False, where)
            return
        sizes = self.states_of(ids)
        kinds, which = np.unique(sizes, axis=0, return_inverse=True)
        for i, kind in enumerate(kinds):
            chosen = np.flatnonzero(which.ravel() == i)
            part = factor if len(kinds) == 1 else factor.take(shape, tuple(sizes.max(0)), chosen, tuple(kind))
            size = shape if len(kinds) == 1 else (chosen.size,)
            self._append(part, ids[chosen], size, tuple(int(k) for k in kind), False, where)

    def _append(
        self, factor: Factor, ids: np.ndarray, shape: tuple[int, ...], states: tuple[int, ...], lattice: bool, where: str
    ) -> None:
        if not len(ids):
            return
        layout = factor.bind(len(ids), shape, states)
        self._parts.append(_Part(factor, layout, ids, states, lattice))
        self._plan = None

    def states_of(self, ids: np.ndarray) -> np.ndarray:
        """int64: states of variables by number."""
        return self._all_states()[ids].astype(np.int64)

    def _all_states(self) -> np.ndarray:
        if len(self._states) > 1:
            counts = np.array([n for n, _ in self._states])
            if all(isinstance(k, int) for _, k in self._states):
                whole = np.repeat(np.array([k for _, k in self._states], np.int32), counts)
            else:
                whole = np.concatenate([np.broadcast_to(np.asarray(k, np.int32), (n,)) for n, k in self._states])
            self._states = [(self._count, whole)]
        if not self._states:
            return np.zeros(0, np.int32)
        return np.ascontiguousarray(np.broadcast_to(np.asarray(self._states[0][1], np.int32), (self._count,)))

    # ---------------------------------------------------------------- compilation

    def compile(self) -> Plan:
        """The plan of this graph; made once, and shared with other graphs of the same structure."""
        if self._plan is None:
            states = self._all_states()
            blocks = self._blocks()
            groups = tuple(self._groups)
            lattices = self._all_lattices()
            key = digest(states, groups, blocks, lattices)
            plan = _PLANS.get(key)
            if plan is None:
                plan = Plan(states, groups, blocks, lattices, digest=key)
                _PLANS[key] = plan
            if plan.size + plan.states.size < _SMALL:
                _RECENT[key] = plan
                _RECENT.move_to_end(key)
                if len(_RECENT) > _KEEP:
                    _RECENT.popitem(last=False)
            self._plan = plan
        return self._plan

    def _blocks(self) -> tuple[Block, ...]:
        """Merge the adds into blocks; the factor of block i is self._factors[i]."""
        merged: dict[Hashable, list[_Part]] = {}
        for i, part in enumerate(self._parts):
            key = part.factor.key()
            slot = (i,) if key is None else (key, part.states, part.lattice)
            merged.setdefault(slot, []).append(part)
        blocks: list[Block] = []
        owners: dict[str, tuple[int, ...]] = {}
        self._factors, start = [], 0
        for parts in merged.values():
            first = parts[0].layout
            table, stored = _tables(parts)
            if len(stored) == 1:
                factor = stored[0].factor
            else:
                factor = type(stored[0].factor).merge([p.factor for p in stored], [p.layout.tables for p in stored])
            scopes = parts[0].scopes if len(parts) == 1 else np.concatenate([p.scopes for p in parts])
            tables = sum(p.layout.tables for p in stored)
            scopes = np.ascontiguousarray(scopes, np.int32)
            block = Block(
                parts[0].states, first.shape, first.kind, scopes, table, tables, start, parts[0].lattice
            )
            start += tables * block.size
            for name, shape in factor.parameters(block.states).items():
                if owners.setdefault(name, shape) != shape:
                    raise FactorGraphError(
                        f"parameter {name!r}: expected one shape in all factors that share it; got {owners[name]} and "
                        f"{shape}. Scopes of other state counts need a parameter of another name"
                    )
            blocks.append(block)
            self._factors.append(factor)
        dtypes = {p.layout.dtype for p in self._parts}
        self._dtype = np.result_type(*dtypes) if dtypes else np.dtype(np.float64)
        return tuple(blocks)

    def _all_lattices(self) -> Lattices:
        if not self._lattices:
            return Lattices.none()
        groups = [g for g in self._groups if g.lattice >= 0]
        counts = np.array([g.count for g in groups])
        ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        var = np.arange(ptr[-1]) - np.repeat(ptr[:-1] - np.array([g.start for g in groups]), counts)
        start = np.concatenate([s for s, _ in self._lattices])
        end = np.concatenate([e for _, e in self._lattices])
        return Lattices(ptr, var, start, end, np.maximum.reduceat(end, ptr[:-1]) + 1, np.zeros(0, np.int64))

    # ---------------------------------------------------------------- energies

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter of the graph's factors."""
        return {name: shape for block, f in self._bound() for name, shape in f.parameters(block.states).items()}

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Starting values of every parameter."""
        out: dict[str, np.ndarray] = {}
        for block, factor in self._bound():
            if not set(factor.parameters(block.states)) <= set(out):
                out.update(factor.initial(block.states, rng))
        return out

    def _bound(self) -> list[tuple[Block, Factor]]:
        return list(zip(self.compile().blocks, self._factors, strict=True))

    def energies(
        self,
        parameters: Mapping[str, np.ndarray] | None = None,
        inputs: Mapping[str, np.ndarray] | None = None,
        components: np.ndarray | None = None,
        out: np.ndarray | None = None,
        memory_limit: str | int = "2 GiB",
    ) -> np.ndarray:
        """All tables as one flat array (plan.size,), result_type of the factors; with `components` only theirs.

        Errors: FactorGraphError for missing, unknown or misshapen parameters and inputs, NaN, −inf, and tables beyond
        the memory limit (before they are allocated).
        """
        plan = self.compile()
        need, limit = plan.size * self._dtype.itemsize, bytes_of(memory_limit)
        if need > limit:
            largest = max(plan.blocks, key=lambda b: b.tables * b.size)
            raise FactorGraphError(
                f"energies: the tables need {_readable(need)}, the memory_limit is {_readable(limit)}; the largest block "
                f"has {largest.tables} tables of {largest.size} entries over states {largest.states}. Share tables "
                "(shape == states), use parametric factors, or raise memory_limit"
            )
        parameters, inputs = parameters or {}, inputs or {}
        self._known(parameters, inputs)
        if out is None:
            out = plan.zeros(self._dtype)
        for i, (block, factor) in enumerate(self._bound()):
            factor.energies(parameters, inputs, block.view(out), plan.rows(i, components))
        return out

    def _known(self, parameters: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        known = self.parameters()
        for name in parameters:
            if name not in known:
                raise FactorGraphError(f"parameters: unknown name {name!r}; expected {_listed(known)}")
        expected = {name for factor in self._factors for name in factor.inputs}
        for name in inputs:
            if name not in expected:
                raise FactorGraphError(f"inputs: unknown name {name!r}; expected {_listed(expected)}")

    def backward(
        self,
        gradient: np.ndarray,
        parameters: Mapping[str, np.ndarray] | None = None,
        components: np.ndarray | None = None,
    ) -> dict[str, Any]:
        """Gradient with respect to every parameter of Σ energies · gradient; arrays, or Rows where only some are touched."""
        plan = self.compile()
        out: dict[str, Any] = {}
        for i, (block, factor) in enumerate(self._bound()):
            part = factor.backward(block.view(gradient), parameters or {}, plan.rows(i, components))
            for name, value in part.items():
                out[name] = out[name] + value if name in out else value
        return out

    def input_gradients(self, gradient: np.ndarray) -> dict[str, np.ndarray]:
        """Gradient with respect to every input of External factors, in the inputs' own shapes."""
        out: dict[str, np.ndarray] = {}
        for block, factor in self._bound():
            if not isinstance(factor, External):
                continue
            for name, value in factor.input_gradient(block.view(gradient)).items():
                out[name] = out[name] + value if name in out else value
        return out

    def named(self, evidence: Mapping[Any, Any] | None) -> dict[Any, Any]:
        """Evidence with state names replaced by states."""
        out = dict(evidence or {})
        for key, value in out.items():
            array = np.asarray(value, dtype=object) if isinstance(value, list | tuple) else np.asarray(value)
            if array.dtype.kind not in "UO" or not any(isinstance(x, str) for x in array.ravel()):
                continue
            names = self.alphabets.get(key if isinstance(key, tuple) else self._owner(key), ())
            index = {s: i for i, s in enumerate(names)} | {None: -1}
            for x in array.ravel():
                if x not in index and not isinstance(x, int | np.integer):
                    raise FactorGraphError(f"evidence[{key!r}]: unknown state {x!r}; expected {_listed(names)}")
            out[key] = np.array([index.get(x, x) for x in array.ravel()], np.int64).reshape(array.shape)
        return out

    def _owner(self, name: Any) -> tuple[int, str]:
        return next(((g.example, g.name) for g in self._groups if g.name == name), (-1, str(name)))

    def __repr__(self) -> str:
        return f"FactorGraph({self._count} variables, {len(self._parts)} groups of factors)"


def _shape(shape: Any, where: str) -> tuple[int, ...]:
    sizes = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    if not all(isinstance(n, int | np.integer) and n >= 0 for n in sizes):
        raise FactorGraphError(f"{where}: expected a shape of non-negative ints; got {shape!r}")
    return tuple(int(n) for n in sizes)


def _scopes(where: str, scopes: Sequence[Any]) -> tuple[np.ndarray, tuple[int, ...]]:
    """int32 (F, arity) scopes and the shape they broadcast to."""
    if not scopes:
        return np.zeros((1, 0), np.int32), ()
    try:
        shape = np.broadcast_shapes(*(s.shape for s in scopes))
    except ValueError:
        raise FactorGraphError(
            f"{where}: expected scopes whose shapes broadcast; got " + " and ".join(f"{s.name} {s.shape}" for s in scopes)
        ) from None
    ids = np.empty((int(np.prod(shape, dtype=np.int64)), len(scopes)), np.int32)
    for k, scope in enumerate(scopes):
        ids[:, k] = np.broadcast_to(scope.ids, shape).ravel()
    for k in range(1, len(scopes)):
        for j in range(k):
            twice = np.flatnonzero(ids[:, j] == ids[:, k])
            if twice.size:
                at = tuple(int(i) for i in np.unravel_index(twice[0], shape))
                raise FactorGraphError(
                    f"{where}: a variable stands twice in one scope, at positions {j} ({scopes[j].name}) and {k} "
                    f"({scopes[k].name}) of scope {at}; expected different variables. Fold it into a smaller table"
                )
    return ids, shape


def _lattice_scopes(where: str, scopes: Sequence[Any]) -> tuple[np.ndarray, tuple[int, ...]]:
    first = scopes[0]
    if len(scopes) > 2 or any(s is not first for s in scopes):
        raise FactorGraphError(
            f"{where}: expected (lattice) to score arcs or (lattice, lattice) to score consecutive arcs; got "
            + ", ".join(map(repr, scopes))
        )
    if len(scopes) == 1:
        return first.ids[:, None], first.shape
    pairs = first.pairs
    return first.ids[pairs], (len(pairs),)


def _tables(parts: Sequence[_Part]) -> tuple[np.ndarray | None, list[_Part]]:
    """Which table each factor of merged parts reads (None: its own), and the parts whose tables are stored: parts of
    equal identity share one."""
    index, stored, known, start = [], [], {}, 0
    for part in parts:
        layout, count = part.layout, len(part.scopes)
        first = known.get(layout.identity) if layout.identity is not None else None
        if first is None:
            first, start = start, start + layout.tables
            stored.append(part)
            if layout.identity is not None:
                known[layout.identity] = first
        index.append((first, count, layout.shared))
    if start == sum(count for _, count, _ in index) and (len(index) == 1 or len(stored) == len(parts)):
        return None, stored
    table = [np.full(n, first, np.int64) if shared else first + np.arange(n) for first, n, shared in index]
    return np.concatenate(table), stored


def _listed(names: Any) -> str:
    shown = sorted(map(str, names))
    return ", ".join(map(repr, shown[:8])) + (", …" if len(shown) > 8 else "") if shown else "none"


def bytes_of(limit: str | int) -> int:
    """Bytes of a memory limit: an int, or a string such as "2 GiB", "500 MB", "64 KiB"."""
    if isinstance(limit, int | np.integer) and limit >= 0:
        return int(limit)
    found = re.fullmatch(r"\s*([\d.]+)\s*([KMGT]?)(i?)B?\s*", str(limit), re.IGNORECASE)
    if not found:
        raise FactorGraphError(f"memory_limit: expected bytes or a string such as '2 GiB'; got {limit!r}")
    power = " KMGT".index(found[2].upper() or " ")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)


def _readable(count: int) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count = count / 1024  # type: ignore[assignment]
    return f"{count:.4g} TiB"
