"""A model: how one example becomes variables and factors. Many examples become one graph with many components."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..graph import FactorGraph
from ..infer import Solution, solve
from ..losses import Loss
from ..plan import Answers, Group, Plan
from ..plan.answers import allow, read_known
from ..plan.question import read_string

#: Appends the variables and factors of one example to a graph.
Build = Callable[[FactorGraph, Any], object]
#: Declares all examples at once: {name: indptr (N + 1,)}, example i owns rows indptr[i] : indptr[i + 1] of the array.
BuildMany = Callable[[FactorGraph, Sequence[Any]], Mapping[str, Any]]


@dataclass(frozen=True)
class Declared:
    """A data set of `count` examples as one graph: an example is a set of its components.

    pointers: {name: indptr} of the arrays that `build_many` declared for all examples at once.
    """

    graph: FactorGraph
    count: int
    pointers: Mapping[str, Any]

    def compile(self) -> Plan:
        """The plan of all examples together."""
        return self.graph.compile()

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The variables of every example by name, as declared or cut from the arrays of all examples."""
        groups = self.compile().groups
        return _rows(groups, self.pointers) if any(g.example < 0 for g in groups) else groups

    @cached_property
    def answers(self) -> list[list[Group]]:
        """Per example what is to be predicted: its groups that are not latent."""
        out: list[list[Group]] = [[] for _ in range(self.count)]
        for group in self.groups:
            if not group.latent:
                out[group.example].append(group)
        return out

    @cached_property
    def _components(self) -> tuple[np.ndarray, np.ndarray, bool]:
        """Example i owns components `index[ptr[i] : ptr[i + 1]]`: ptr int64 (N + 1,), index int64 (C,), and whether
        each owns exactly one."""
        plan = self.compile()
        spans = np.array([(g.start, g.count, g.example) for g in self.groups], np.int64).reshape(-1, 3)
        variable = ranges(spans[:, 0], spans[:, 1])
        owner = np.repeat(spans[:, 2], spans[:, 1])
        owners = np.full(plan.n_components, -1, np.int64)
        owners[plan.component[variable]] = owner
        mixed = np.flatnonzero(owners[plan.component[variable]] != owner)
        if mixed.size:
            pair = sorted((int(owner[mixed[0]]), int(owners[plan.component[variable[mixed[0]]]])))
            raise FactorGraphError(
                f"Model: a factor connects examples {pair[0]} and {pair[1]}; expected every factor within one example. "
                "What examples share is a parameter, not a variable"
            )
        if (owners < 0).any():
            lost = int(np.argmax(owners[plan.component] < 0))
            name = next(g.name for g in plan.groups if g.start <= lost < g.start + g.count)
            raise FactorGraphError(
                f"Model: variables of {name!r} are connected to no example; expected build_many to return an indptr "
                f"for {name!r} too, or factors that connect them"
            )
        count = np.bincount(owners, minlength=self.count)
        return np.concatenate([[0], np.cumsum(count)]), np.argsort(owners, kind="stable"), bool((count == 1).all())

    def components(self, examples: np.ndarray) -> np.ndarray:
        """int64, sorted: the components of some examples."""
        ptr, index, one_each = self._components
        if one_each:
            return np.sort(index[examples])
        return np.sort(index[ranges(ptr[examples], ptr[examples + 1] - ptr[examples])])

    def listed(self, examples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """int64 pointers (examples + 1,) into int64 components: those of examples[i], ascending, are the i-th part."""
        ptr, index, _ = self._components
        length = ptr[examples + 1] - ptr[examples]
        return np.concatenate([[0], np.cumsum(length)]), index[ranges(ptr[examples], length)]

    def owners(self, components: np.ndarray) -> np.ndarray:
        """int64, sorted: the examples that own some of these components."""
        ptr, index, _ = self._components
        place = np.empty_like(index)
        place[index] = np.arange(index.size)
        return np.unique(np.searchsorted(ptr, place[components], side="right") - 1)

    def read_answers(self, labels: Sequence[Any]) -> Answers:
        """The correct answers of all examples, in the form in which `predict` gives them; None and −1 are unknown. Bool
        masks over states say which are possible, as in evidence.

        Errors: FactorGraphError that names the example, for a wrong number of them, wrong names, shapes, states.
        """
        if not hasattr(labels, "__len__"):
            raise FactorGraphError(f"Y: expected a sequence of answers, one for each example; got {labels!r}")
        if len(labels) != self.count:
            raise FactorGraphError(f"Y: expected the answers of {self.count} examples as in X; got {len(labels)}")
        plan = self.compile()
        flat = np.full(plan.states.size, -1, np.int32)
        strings: dict[int, np.ndarray] = {}
        allowed = None
        for i, (groups, given) in enumerate(zip(self.answers, labels)):
            for group, value in _by_group(groups, given, f"Y[{i}]"):
                here = f"Y[{i}]" if len(groups) == 1 else f"Y[{i}][{group.name!r}]"
                if value is None:
                    continue
                if self.graph.alphabets:
                    key = (-1 if group.name in self.pointers else i, group.name)
                    value = self.graph.named({key: value})[key]
                if group.lattice >= 0:
                    strings[group.lattice] = read_string(plan, group, value, here)
                else:
                    span = slice(group.start, group.start + group.count)
                    flat[span], mask = read_known(np.asarray(value), group, plan.states[span], here)
                    allowed = allow(plan, group, mask, allowed)
        return Answers(plan, flat, strings, allowed)

    def evidence(self, given: Any) -> dict[Any, Any]:
        """The answer of the only example as evidence for its graph."""
        return {(0, group.name): value for group, value in _by_group(self.answers[0], given, "Y")}

    def predictions(self, solution: Solution) -> list[Any]:
        """A solution of the whole graph, example by example; see `Model.predict`."""
        out = []
        for groups in self.answers:
            labels = {group.name: _labels(solution, group) for group in groups}
            out.append(labels[groups[0].name] if len(groups) == 1 else labels)
        return out


@dataclass(frozen=True)
class Model:
    """An architecture: `build(g, x)` appends the variables and factors of example x to a growing graph.

    Names are scoped per example, parameters are shared by their names. `build_many(g, X)`, optional, declares all
    examples in one vectorised go and returns {name: indptr}: example i owns rows indptr[i] : indptr[i + 1] of the
    first axis of that array of variables.
    """

    build: Build
    build_many: BuildMany | None = None

    def __post_init__(self) -> None:
        if not callable(self.build) or not (self.build_many is None or callable(self.build_many)):
            raise FactorGraphError(
                "Model: expected functions build(g, x) and build_many(g, X); got what cannot be called"
            )

    def declare(self, X: Iterable[Any]) -> Declared:
        """All examples as one graph. Errors: FactorGraphError that names the example whose declaration was refused."""
        graph = FactorGraph()
        if self.build_many is not None:
            examples = X if isinstance(X, Sequence) else list(X)
            return _checked(Declared(graph, len(examples), self.build_many(graph, examples)))
        count = 0
        for x in X:
            graph.begin_example()
            try:
                self.build(graph, x)
            except FactorGraphError as error:
                raise type(error)(f"example {count}: {error}") from error
            count += 1
        return Declared(graph, count, {})

    def predict(self, parameters: Mapping[str, np.ndarray], X: Iterable[Any], **arguments: Any) -> list[Any]:
        """The labelling of lowest energy of every example; `arguments` are those of `solve`.

        Labels are int32 arrays of the declared shape (an int for a single variable), −1 where infeasible; of a
        lattice its string, a tuple of ints, () where infeasible. An example that declares exactly one name that is
        not latent gives its labels, any other a dict {name: labels}.
        """
        if not isinstance(parameters, Mapping):
            raise FactorGraphError(
                f"Model.predict: expected parameters, {{name: array}}, as run.parameters has them; got {parameters!r}"
            )
        declared = self.declare(X)
        return declared.predictions(solve(declared.graph, parameters=parameters, **arguments))

    def energies(
        self,
        parameters: Mapping[str, np.ndarray],
        X: Iterable[Any],
        Y: Sequence[Any] | None = None,
        loss: Loss | None = None,
        **arguments: Any,
    ) -> np.ndarray:
        """float64 (N,): the energy of every example with the answer Y[i] (without Y: its best one), latents minimised.

        loss: what the parameters were trained by. A warning says so where it leaves a constant c(X) in the energies
        free, as all losses of differences do: then energies of different X do not compare. arguments: of `solve`.
        """
        examples = X if isinstance(X, Sequence) else list(X)
        if len(examples) > 1 and not (loss is not None and loss.calibrated):
            trained = "a loss that is not given" if loss is None else type(loss).__name__
            warnings.warn(
                f"Model.energies: the energies of different inputs do not compare: training by {trained} may leave a "
                "constant c(X) in the energies free, which changes no answer but any ranking of inputs. Losses that "
                "hold the energies themselves are SquareSquare and SquareExponential: loss=… says which one it was",
                stacklevel=2,
            )
        found = np.empty(len(examples))
        for i, x in enumerate(examples):
            one = self.declare([x])
            evidence = None if Y is None else one.evidence(Y[i])
            found[i] = solve(one.graph, evidence, parameters, **arguments).energy
        return found


def ranges(start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """start[0] … start[0] + length[0] − 1, start[1] …: int64."""
    ends = np.cumsum(length)
    return np.arange(ends[-1] if ends.size else 0) + np.repeat(start - ends + length, length)


def _labels(solution: Solution, group: Group) -> Any:
    labels = solution.of(group)
    if group.lattice >= 0:
        return tuple(labels[solution.path(group)].tolist())
    return labels if group.shape else int(labels)


def _by_group(groups: list[Group], given: Any, where: str) -> list[tuple[Group, Any]]:
    """The answers of one example with the groups they are for."""
    if len(groups) == 1 and not isinstance(given, Mapping):
        return [(groups[0], given)]
    names = {group.name for group in groups}
    if not isinstance(given, Mapping) or given.keys() != names:
        got = sorted(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
        raise FactorGraphError(
            f"{where}: expected a dict of labels for {sorted(names)}; got {got}. Unknown answers are given as None"
        )
    return [(group, given[group.name]) for group in groups]


def _checked(declared: Declared) -> Declared:
    """What build_many declared and returned, after a look at the pointers."""
    where, pointers, groups = "build_many", declared.pointers, declared.compile().groups
    if not isinstance(pointers, Mapping):
        raise FactorGraphError(f"{where}: expected it to return {{name: indptr}}; got {type(pointers).__name__}")
    arrays = {group.name: group for group in groups if group.example < 0}
    if unknown := sorted(pointers.keys() - arrays.keys()):
        raise FactorGraphError(f"{where}: returned an indptr for {unknown[0]!r}; expected one of {sorted(arrays)}")
    if missing := sorted(name for name in arrays.keys() - pointers.keys() if not arrays[name].latent):
        raise FactorGraphError(f"{where}: expected it to return an indptr for {missing[0]!r}; got {sorted(pointers)}")
    for name, pointer in pointers.items():
        indptr, shape, points = np.asarray(pointer), arrays[name].shape, declared.count + 1
        if arrays[name].lattice >= 0 or not shape:
            raise FactorGraphError(f"{where}: {name!r} is no array of variables to be divided; declare it by build")
        valid = indptr.shape == (points,) and indptr.dtype.kind in "iu"
        if not valid or indptr[0] != 0 or indptr[-1] != shape[0] or (np.diff(indptr.astype(np.int64)) < 0).any():
            raise FactorGraphError(
                f"{where}: expected the indptr of {name!r} to be {points} ints that rise from 0 to {shape[0]}, the "
                f"length of its first axis; got {indptr.dtype} of shape {indptr.shape}: {indptr}"
            )
    return declared


def _rows(groups: tuple[Group, ...], pointers: Mapping[str, Any]) -> tuple[Group, ...]:
    """The groups of every example: arrays declared for all of them are cut into their rows."""
    out = [group for group in groups if group.example >= 0]
    for group in groups:
        if group.example < 0 and group.name in pointers:
            rest, ends = group.shape[1:], np.asarray(pointers[group.name]).tolist()
            size = int(np.prod(rest, dtype=np.int64))
            out += [
                Group(group.name, i, group.start + a * size, (b - a) * size, (b - a, *rest), group.latent, -1)
                for i, (a, b) in enumerate(zip(ends, ends[1:]))
            ]
    return tuple(out)
