"""Declaration: variables, lattices, factors. The only mutable thing in the package."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ..errors import FactorGraphError, listed
from ..factors import Factor
from ..plan import Block, Group, Lattices, Plan, digest
from ..plan.memory import check_memory
from .blocks import Part, make_blocks, read_lattice_scopes, read_scopes
from .names import name_states
from .summary import summary
from .variables import Lattice, Variables, read_arcs, read_shape, read_states

#: Plans of equal structure are shared; the most recent small ones are kept alive.
_PLANS: WeakValueDictionary[bytes, Plan] = WeakValueDictionary()
_RECENT: OrderedDict[bytes, Plan] = OrderedDict()
_KEEP, _SMALL = 16, 4_000_000


class FactorGraph:
    """Variables and energy factors over them. Lower energy is better; +inf forbids."""

    def __init__(self) -> None:
        self._count = 0
        self._example = -1
        self._groups: list[Group] = []
        self._names: set[tuple[int, str]] = set()
        self._states: list[tuple[int, int | np.ndarray]] = []
        self._lattices: list[tuple[np.ndarray, np.ndarray]] = []
        self._parts: list[Part] = []
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
        shape = read_shape(shape, where)
        count = prod(shape)
        sizes, names = read_states(states, shape, where)
        ids = self._declare(name, where, shape, count, latent, -1)
        self._states.append((count, sizes))
        if names is not None:
            self.alphabets[self._example, name] = names
        return Variables(self, name, ids, sizes if isinstance(sizes, int) else None)

    def lattice(self, name: str, arcs: tuple[Any, Any], states: int) -> Lattice:
        """Declare a segmentation graph by its arcs (start, end): two int arrays of equal length, start < end.

        Node 0 is where every path starts, the largest node where it ends. Factors over the lattice score its arcs,
        factors over (lattice, lattice) consecutive arcs.

        Errors: FactorGraphError for no arcs, negative nodes, arcs that do not go forward, names taken.
        """
        where = f"lattice({name!r})"
        start, end = read_arcs(arcs, where)
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

        Errors: FactorGraphError for a variable twice in one scope, shapes that do not broadcast, tables that do not
        fit.
        """
        where = f"add({type(factor).__name__})"
        if not isinstance(factor, Factor):
            raise FactorGraphError(f"{where}: expected a factor such as Table, Linear, Potts first; got {factor!r}")
        lattice = False
        for scope in scopes:
            if not isinstance(scope, (Variables, Lattice)):
                raise FactorGraphError(f"{where}: expected variables or lattices as scopes; got {scope!r}")
            if scope.graph is not self:
                raise FactorGraphError(f"{where}: {scope.name!r} belongs to another graph; declare it in this one")
            lattice = lattice or isinstance(scope, Lattice)
        ids, shape = (read_lattice_scopes if lattice else read_scopes)(where, scopes)
        uniform = tuple([s.states for s in scopes])
        if None not in uniform:
            self._append(factor, ids, shape, uniform, scopes, lattice)  # type: ignore[arg-type]
            return
        sizes = self.states_of(ids)
        kinds, which = np.unique(sizes, axis=0, return_inverse=True)
        most = tuple(int(k) for k in sizes.max(0, initial=1))
        for i, states in enumerate(kinds.tolist()):
            chosen = np.flatnonzero(which.ravel() == i)
            part = factor if len(kinds) == 1 else factor.take(shape, most, chosen, tuple(states))
            self._append(part, ids[chosen], shape if len(kinds) == 1 else chosen.shape, tuple(states), scopes, False)

    def _append(
        self,
        factor: Factor,
        ids: np.ndarray,
        shape: tuple[int, ...],
        states: tuple[int, ...],
        scopes: Sequence[Variables | Lattice],
        lattice: bool,
    ) -> None:
        if not len(ids):
            return
        try:
            layout = factor.bind(len(ids), shape, states)
        except FactorGraphError as error:
            over = ", ".join(s.label for s in scopes)
            raise FactorGraphError(f"{error} (Scopes: {over or 'none'})") from None
        self._parts.append(Part(factor, layout, ids, states, lattice))
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
            blocks, self._factors = make_blocks(self._parts)
            dtypes = {p.layout.dtype for p in self._parts}
            self._dtype = np.result_type(*dtypes) if dtypes else np.dtype(np.float64)
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
        return {name: shape for block, f in self.bound() for name, shape in f.parameters(block.states).items()}

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Starting values of every parameter."""
        out: dict[str, np.ndarray] = {}
        for block, factor in self.bound():
            if not set(factor.parameters(block.states)) <= set(out):
                out.update(factor.initial(block.states, rng))
        return out

    def bound(self) -> list[tuple[Block, Factor]]:
        """The blocks of the plan, each with the factor that fills it."""
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
        check_memory(plan, self._dtype.itemsize, memory_limit)
        parameters, inputs = parameters or {}, inputs or {}
        self._known(parameters, inputs)
        if out is None:
            out = plan.zeros(self._dtype)
        components = None if components is None else plan.components_or_all(components)
        for i, (block, factor) in enumerate(self.bound()):
            factor.energies(parameters, inputs, block.view(out), plan.rows(i, components))
        return out

    def _known(self, parameters: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        known = self.parameters()
        for name in parameters:
            if name not in known:
                raise FactorGraphError(f"parameters: unknown name {name!r}; expected {listed(known)}")
        expected = {name for factor in self._factors for name in factor.inputs}
        for name in inputs:
            if name not in expected:
                raise FactorGraphError(f"inputs: unknown name {name!r}; expected {listed(expected)}")

    def backward(
        self,
        gradient: np.ndarray,
        parameters: Mapping[str, np.ndarray] | None = None,
        components: np.ndarray | None = None,
    ) -> dict[str, Any]:
        """Gradient by every parameter of Σ energies · gradient: arrays, or Rows where only some rows are touched."""
        plan = self.compile()
        out: dict[str, Any] = {}
        for i, (block, factor) in enumerate(self.bound()):
            part = factor.backward(block.view(gradient), parameters or {}, plan.rows(i, components))
            for name, value in part.items():
                out[name] = out[name] + value if name in out else value
        return out

    def input_gradients(self, gradient: np.ndarray) -> dict[str, np.ndarray]:
        """Gradient with respect to every input of the graph's factors, in the inputs' own shapes."""
        out: dict[str, np.ndarray] = {}
        for block, factor in self.bound():
            for name, value in factor.input_gradient(block.view(gradient)).items():
                out[name] = out[name] + value if name in out else value
        return out

    def named(self, evidence: Mapping[Any, Any] | None) -> dict[Any, Any]:
        """Evidence with state names replaced by states."""
        return name_states(evidence, self._groups, self.alphabets)

    def _repr_html_(self) -> str:
        return summary(self)

    def __repr__(self) -> str:
        return f"FactorGraph({self._count} variables, {len(self._parts)} groups of factors)"
