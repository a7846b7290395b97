"""Energies of how many of n binary variables are 1:  E(x_1, …, x_n) = c(x_1 + … + x_n).

n + 1 numbers (or fewer) stand for a table of 2ⁿ. At most one, exactly one, at least one are such energies; a gate's
last variable is the output, E(x_1, …, x_n, y) = c(min(x_1 + … + x_n, m), y). Potentials of counts: Gupta, Diwan,
Sarawagi, "Efficient inference with cardinality-based clique potentials" (2007); constraints: Martins, Figueiredo,
Aguiar, Smith, Xing, "AD3: alternating directions dual decomposition for MAP inference in graphical models" (2015).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..kernels.tables import counting
from ..optim import Rows
from .base import Arrays, Factor, Layout, Shape
from .table import Table


class Count(Factor):
    """What all of them are: a family of energies over *one* variable of m + 1 states, min(k, m) for k ones.

    energies: a factor over that variable (over it and the output, of a gate). most: m; None for n. one: the label that
    is counted.

    Errors: FactorGraphError where `add` meets scopes of other than binary variables, or of none to count.
    """

    def __init__(self, energies: Factor, most: int | None, gate: bool = False, one: int = 1):
        self._energies, self._most, self._gate, self._one = energies, most, gate, one
        self.dtype = energies.dtype

    def bind(self, count: int, shape: Shape, states: Shape) -> Layout:
        name = type(self).__name__
        if any(k != 2 for k in states):
            other = next(int(k) for k in states if k != 2)
            raise FactorGraphError(
                f"add({name}): expected binary variables; got one of {other} states. Declare a variable of two states "
                "for each label that counts, and tie them by tables."
            )
        if len(states) < 1 + self._gate:
            needed = "inputs and, last, the output" if self._gate else "at least one variable"
            raise FactorGraphError(f"add({name}): expected scopes of {needed}; got {len(states)}. {_SCOPES}")
        entries = self._entries(states)
        try:
            layout = self._energies.bind(count, shape, entries)
        except FactorGraphError as error:
            raise FactorGraphError(
                f"{error} In {name} the states {entries} are the counts 0 … {entries[0] - 1} of ones among "
                f"{len(states) - self._gate} variables."
            ) from None
        return layout._replace(kind=counting(entries[0] - 1, self._gate, self._one))

    def _entries(self, states: Shape) -> Shape:
        inputs = len(states) - self._gate
        most = inputs if self._most is None else self._most
        return (most + 1, 2) if self._gate else (most + 1,)

    def key(self) -> Hashable:
        key = self._energies.key()
        return None if key is None else ("Count", self._most, self._gate, self._one, key)

    @classmethod
    def merge(cls, parts: Sequence[Factor], tables: Sequence[int]) -> Factor:
        counts = [part for part in parts if isinstance(part, Count)]
        first = counts[0]
        merged = type(first._energies).merge([part._energies for part in counts], tables)
        return Count(merged, first._most, first._gate, first._one)

    def energies(self, parameters: Arrays, inputs: Arrays, out: np.ndarray, rows: np.ndarray | None = None) -> None:
        self._energies.energies(parameters, inputs, out, rows)

    def backward(
        self, gradient: np.ndarray, parameters: Arrays, rows: np.ndarray | None = None
    ) -> dict[str, np.ndarray | Rows]:
        return self._energies.backward(gradient, parameters, rows)

    def parameters(self, states: Shape) -> dict[str, Shape]:
        return self._energies.parameters(self._entries(states))

    def initial(self, states: Shape, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return self._energies.initial(self._entries(states), rng)

    @property
    def inputs(self) -> tuple[str, ...]:
        return self._energies.inputs

    def input_gradient(self, gradient: np.ndarray) -> dict[str, np.ndarray]:
        return self._energies.input_gradient(gradient)

    @classmethod
    def example(cls, rng: np.random.Generator) -> tuple[Factor, Shape, Shape, dict[str, np.ndarray]]:
        from .external import External
        from .linear import Linear

        shape: Shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 3)))
        n, most = int(rng.integers(1, 5)), int(rng.integers(0, 4))
        linear = Linear(rng.normal(size=(*shape, 3)), "weights")
        external, inputs = External("scores"), {"scores": rng.normal(size=(*shape, n + 1))}
        choices: list[tuple[Factor, int, dict[str, np.ndarray]]] = [
            (Cardinality(rng.normal(size=n + 1)), n, {}),
            (Cardinality(rng.normal(size=(*shape, n + 1))), n, {}),
            (Cardinality(rng.normal(size=most + 1), most), n, {}),
            (Cardinality(Linear(None, "weights"), most), n, {}),
            (Cardinality(linear), n, {}),
            (Cardinality(external), n, inputs),
            (AtMostOne(), n, {}),
            (ExactlyOne(), n, {}),
            (AtLeastOne(), n, {}),
            (Or(), n + 1, {}),
            (And(), n + 1, {}),
        ]
        factor, arity, inputs = choices[rng.integers(len(choices))]
        return factor, shape, (2,) * arity, inputs


_SCOPES = "Variables of an array are the positions of one scope by add(factor, *array)."


class Cardinality(Count):
    """An energy for each number of ones among the n binary variables of a scope.

    energies: an array of shape (n + 1,), shared by all scopes, or of the scopes' shape + (n + 1,), one each; or a
    factor over one variable of n + 1 states, so that they may be learned: Cardinality(Linear(None, "count")).
    most: with it there are most + 1 energies, of which the last is for `most` ones or more: what a factor of n
    variables costs grows with n · most².

    >>> Cardinality([0, 0, 1, 3]).bind(1, (), (2, 2, 2)).shape
    (4,)
    """

    def __init__(self, energies: Any, most: int | None = None):
        if most is not None and (not isinstance(most, int | np.integer) or most < 0):
            raise FactorGraphError(f"Cardinality: expected most to be None or an int ≥ 0; got {most!r}.")
        super().__init__(energies if isinstance(energies, Factor) else Table(energies), most)


class AtMostOne(Count):
    """Forbids all labellings in which two or more of a scope's binary variables are 1."""

    def __init__(self) -> None:
        super().__init__(_AT_MOST_ONE, 2)


class ExactlyOne(Count):
    """Forbids all labellings but those in which one of a scope's binary variables is 1, and the others 0."""

    def __init__(self) -> None:
        super().__init__(_EXACTLY_ONE, 2)


class AtLeastOne(Count):
    """Forbids the labelling in which all of a scope's binary variables are 0."""

    def __init__(self) -> None:
        super().__init__(_AT_LEAST_ONE, 1)


class Or(Count):
    """The last variable of a scope is 1 if at least one of those before it is, and else 0; all else is forbidden."""

    def __init__(self) -> None:
        super().__init__(_OR, 1, gate=True)


class And(Count):
    """The last variable of a scope is 1 if all those before it are, and else 0; all else is forbidden."""

    def __init__(self) -> None:
        super().__init__(_AND, 1, gate=True, one=0)


def _hard(allowed: Any) -> Table:
    """0 where allowed, +inf elsewhere; float32, so that constraints leave the dtype of a graph as it is."""
    return Table(np.where(np.array(allowed, bool), np.float32(0), np.float32(np.inf)))


_AT_MOST_ONE = _hard([1, 1, 0])
_EXACTLY_ONE = _hard([0, 1, 0])
_AT_LEAST_ONE = _hard([0, 1])
_OR = _hard([[1, 0], [0, 1]])  # [any ones, output]
_AND = _hard([[0, 1], [1, 0]])  # [any zeros, output]
