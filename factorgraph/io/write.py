"""`write`: a graph as a file, by the extension of its name. Layouts: uai.py, wcsp.py."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import PurePath
from typing import Any, NoReturn

import numpy as np

from ..errors import FormatError
from ..files import replacing
from ..graph import FactorGraph
from ..kernels.tables import COUNT, POTTS
from ..kernels.text import LARGEST
from ..plan import Block, Plan
from ..plan.counters import count_parts
from .read import check_name
from .source import extensions

_PACK: dict[str, Callable[[Any], Any]] = {
    ".xz": lambda raw: lzma.LZMAFile(raw, "wb"),
    ".gz": lambda raw: gzip.GzipFile("", "wb", fileobj=raw, mtime=0),
    ".bz2": lambda raw: bz2.BZ2File(raw, "wb"),
}
#: Entries of tables that are spelled out at once.
_CHUNK = 1 << 18
#: Variables of the largest factor that counts which is written out as a table.
_COUNTED = 16
_LEAST = float(np.finfo(np.float64).tiny)


def write(
    graph: FactorGraph,
    path: str | os.PathLike[str],
    parameters: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a graph as .uai, .LG or .wcsp, each also as .xz, .gz, .bz2; the file is replaced only when all is written.

    Variables are numbered in the order of declaration; names are lost, all factors become tables. What `read` makes of
    the file has the same energies: exactly from .LG and .wcsp, to 1e-12 from .uai.

    Errors: FormatError, which names the factor, for energies that the format cannot hold: in .uai those whose exp(−E)
    over- or underflows, in .wcsp all but integers from 0 up. Also for lattices, for factors that count more than 16
    variables, and where the file cannot be written.
    """
    name = os.fsdecode(path)
    kind = check_name(name, _WRITERS)
    plan = graph.compile()
    if plan.lattices.nodes.size:
        lattice = next(g.name for g in plan.groups if g.lattice >= 0)
        raise FormatError(f"{name}: expected no lattices, which such files cannot hold; got {lattice!r}", name)
    model = _Model(name, plan, graph.energies(parameters, inputs))
    write_lines(name, _WRITERS[kind](model))


def check_target(path: str | os.PathLike[str]) -> None:
    """Errors: FormatError for a name that stands for no format."""
    check_name(os.fsdecode(path), _WRITERS)


def write_lines(path: str, lines: Iterator[str]) -> None:
    """Write lines of ASCII, compressed if the name says so. Errors: FormatError where that is not possible."""
    try:
        with ExitStack() as stack:
            file: Any = stack.enter_context(replacing(path))
            packed = extensions(path)[1]
            if packed:
                file = stack.enter_context(_PACK[packed](file))
            for line in lines:
                file.write(line.encode("ascii") + b"\n")
    except OSError as error:
        raise FormatError(f"{path}: cannot be written: {error.strerror or error}", path) from None


class _Model:
    """What is to be written: factors are numbered in the order of the plan's blocks."""

    def __init__(self, path: str, plan: Plan, energies: np.ndarray):
        self.path, self.plan, self.energies = path, plan, energies

    @property
    def factors(self) -> int:
        """How many."""
        return sum(len(block.scopes) for block in self.plan.blocks)

    def scopes(self) -> Iterator[list[int]]:
        """Variables of each factor."""
        for block in self.plan.blocks:
            yield from block.scopes.tolist()

    def tables(self) -> Iterator[tuple[list[int], np.ndarray]]:
        """Scope and table, float64 of the scope's states, of each factor."""
        for block in self.plan.blocks:
            view = block.view(self.energies)
            rows = max(1, _CHUNK // max(1, int(np.prod(block.states, dtype=float))))
            for begin in range(0, len(block.scopes), rows):
                scopes = block.scopes[begin : begin + rows]
                span = slice(begin, begin + len(scopes))
                tables = np.asarray(view[span] if block.table is None else view[block.table[span]], np.float64)
                if block.kind == POTTS:
                    tables = np.where(np.eye(block.states[0], dtype=bool), 0.0, tables[:, None, None])
                elif block.kind >= COUNT:
                    tables = self._counted(block, scopes[0].tolist(), tables)
                yield from zip(scopes.tolist(), tables, strict=True)

    def _counted(self, block: Block, scope: list[int], tables: np.ndarray) -> np.ndarray:
        """Tables of factors that count, written out."""
        most, inputs, one = count_parts(block)
        if inputs > _COUNTED:
            raise FormatError(
                f"{self.path}: a factor counts {inputs} variables, {self._name(scope[0])} … "
                f"{self._name(scope[inputs - 1])}, and the format knows tables only; expected at most {_COUNTED}. "
                "Declare counters, variables that count up along it",
                self.path,
            )
        count = (np.indices((2,) * inputs) == one).sum(0)
        return np.asarray(tables[:, np.minimum(count, most)])

    def refuse(self, factor: int, scope: list[int], table: np.ndarray, wrong: np.ndarray, reason: str) -> NoReturn:
        """Raise for the first entry that is wrong."""
        labels = [int(k) for k in np.unravel_index(int(np.argmax(wrong)), table.shape)] if table.ndim else []
        over = ", ".join(map(self._name, scope)) or "no variables"
        energy = float(table[tuple(labels)])
        raise FormatError(
            f"{self.path}: factor {factor} over {over}: the energy {energy!r} of labels {labels} {reason}", self.path
        )

    def _name(self, variable: int) -> str:
        group = next(g for g in self.plan.groups if g.start <= variable < g.start + g.count)
        index = [int(i) for i in np.unravel_index(variable - group.start, group.shape)] if group.shape else []
        return f"{group.name}{index or ''}"


def _preamble(model: _Model) -> Iterator[str]:
    yield f"MARKOV\n{model.plan.states.size}"
    yield " ".join(map(str, model.plan.states.tolist()))
    yield str(model.factors)
    for scope in model.scopes():
        yield " ".join(map(str, [len(scope), *scope]))


def _entries(values: np.ndarray) -> str:
    return f"\n{values.size}\n{' '.join(map(repr, values.ravel().tolist()))}"


def _write_lg(model: _Model) -> Iterator[str]:
    yield from _preamble(model)
    for _, table in model.tables():
        yield _entries(0.0 - table)


def _write_uai(model: _Model) -> Iterator[str]:
    yield from _preamble(model)
    for f, (scope, table) in enumerate(model.tables()):
        with np.errstate(over="ignore", under="ignore"):
            values = np.exp(-table)
        wrong = ((values < _LEAST) & (table < np.inf)) | (values == np.inf)
        if wrong.any():
            model.refuse(f, scope, table, wrong, "over- or underflows in exp(−E). Write .LG instead")
        yield _entries(values)


def _write_wcsp(model: _Model) -> Iterator[str]:
    top = 1
    for f, (scope, table) in enumerate(model.tables()):
        finite = table[table < np.inf]
        wrong = (table < 0) | ((table < np.inf) & (np.floor(table) != table))
        if wrong.any():
            model.refuse(f, scope, table, wrong, "is no cost, an integer ≥ 0. Scale, round, shift tables, or write .LG")
        top += int(finite.max(initial=0))
        if top >= LARGEST:
            wrong = table == finite.max()
            model.refuse(f, scope, table, wrong, f"brings the upper bound to {LARGEST} or more. Scale costs down")
    states = model.plan.states
    name = re.sub(r"[^\w.-]", "_", PurePath(model.path).name.partition(".")[0], flags=re.ASCII) or "problem"
    yield f"{name} {states.size} {states.max(initial=0)} {model.factors} {top}"
    yield " ".join(map(str, states.tolist()))
    for scope, table in model.tables():
        costs = np.where(table < np.inf, table, top).astype(np.int64)
        values, counts = np.unique(costs, return_counts=True)
        default = int(values[np.argmax(counts)])
        listed = np.argwhere(costs != default)
        yield " ".join(map(str, [len(scope), *scope, default, len(listed)]))
        if len(listed):
            rows = np.column_stack([listed, costs[tuple(listed.T)]]).tolist()
            yield "\n".join(" ".join(map(str, row)) for row in rows)


_WRITERS = {".uai": _write_uai, ".lg": _write_lg, ".wcsp": _write_wcsp}
