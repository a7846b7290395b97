"""Files of the UAI layout: preamble (kind, variables, scopes), then a table for each factor, its last variable fastest.

    .uai: tables of probabilities or weights p ≥ 0, E = −ln p        .LG: tables of their logarithms, E = −log value

(Evidence: "n v s v s …", or since 2010 the number of samples before that.) BAYES has the layout of MARKOV.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..factors import Table
from ..graph import FactorGraph, Variables
from ..kernels.text_models import read_scopes, read_tables, table_sizes
from .assemble import Layout
from .source import Scanner

MOST_INT32 = 2**31 - 1
_FINITE = float(np.finfo(np.float64).max)


def read_uai(scanner: Scanner, limit: int, logarithms: bool) -> FactorGraph:
    """The graph of a file's text. Errors: FormatError."""
    if scanner.token().upper() not in ("MARKOV", "BAYES"):
        scanner.refuse("MARKOV or BAYES")
    scanner.word("MARKOV or BAYES")
    states = read_states(scanner, scanner.integer("the number of variables", 0, MOST_INT32))
    factors = scanner.claim(scanner.integer("the number of factors"), "a scope and a table", 3)
    first, var = np.zeros(factors + 1, np.int64), np.empty(scanner.room, np.int32)
    scanner.run(read_scopes, states.size, first, var)
    var = var[: first[-1]].copy()
    sizes = np.empty(factors, np.int64)
    entries = scanner.claim(table_sizes(first, var, states, sizes), "an entry of a table, which the scopes ask for")
    flat = np.empty(entries)
    least = -np.inf if logarithms else 0.0
    entry = "a logarithm (finite or -inf)" if logarithms else "a probability or weight (finite, not negative)"
    scanner.run(read_tables, sizes, least, _FINITE, flat, least=least, most=_FINITE, entry=entry)
    scanner.finish()
    scanner.release()
    if not logarithms:
        with np.errstate(divide="ignore"):
            np.log(flat, out=flat)
    np.subtract(0.0, flat, out=flat)
    layout = Layout(states, first, var)
    layout.check(scanner.path, limit)
    return layout.graph(layout.gather(flat, np.cumsum(sizes) - sizes))


def read_states(scanner: Scanner, count: int) -> np.ndarray:
    """int32 (count,): the states of each variable."""
    return scanner.integers(count, "the states of a variable", 1, MOST_INT32)


def read_evidence(scanner: Scanner, states: np.ndarray) -> dict[int, int]:
    """Observed label by variable, of either layout. Errors: FormatError."""
    numbers = len(bytes(scanner.data).split()) if scanner.room < 1 << 22 else 0
    count = scanner.integer("the number of observations, or of samples")
    if numbers != 2 * count + 1:
        if count > 1:
            scanner.begin()
            scanner.refuse("one sample of evidence, or as many pairs as announced")
        count = scanner.integer("the number of observations") if count else 0
    found: dict[int, int] = {}
    for _ in range(scanner.claim(count, "a variable and its label", 2)):
        variable = scanner.integer("a variable", 0, states.size - 1)
        label = scanner.integer(f"a label of variable {variable}", 0, int(states[variable]) - 1)
        if found.setdefault(variable, label) != label:
            both = f"{found[variable]} and {label}"
            scanner.refuse(f"variable {variable} to be observed once, or twice alike; it has labels {both}")
    scanner.finish()
    return found


def check_evidence(evidence: Mapping[Any, Any], states: np.ndarray) -> dict[int, int]:
    """The same from a mapping that a user gave. Errors: FactorGraphError."""
    for variable, label in evidence.items():
        whole = isinstance(variable, int | np.integer) and isinstance(label, int | np.integer)
        if not whole or not 0 <= variable < states.size or not 0 <= label < states[variable]:
            raise FactorGraphError(
                f"evidence: expected {{variable: label}} by numbers, variables 0 … {states.size - 1} and labels 0 … "
                f"states − 1; got {variable!r}: {label!r}"
            )
    return {int(variable): int(label) for variable, label in evidence.items()}


def observe(graph: FactorGraph, states: np.ndarray, evidence: Mapping[int, int]) -> None:
    """Add a factor for each observed variable that forbids its other labels."""
    variables = np.fromiter(evidence, np.int32, len(evidence))
    labels = np.fromiter(evidence.values(), np.int64, len(evidence))
    for count in np.unique(states[variables]).tolist():
        mine = states[variables] == count
        table = np.where(np.arange(count) == labels[mine][:, None], 0.0, np.inf)
        graph.add(Table(table), Variables(graph, "x", variables[mine], count))
