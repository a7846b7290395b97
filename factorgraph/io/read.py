"""`read`: the graph in a file, by the extension of its name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..errors import FormatError
from ..graph import FactorGraph
from ..plan.memory import bytes_of
from .source import COMPRESSED, Scanner, extensions, load
from .uai import check_evidence, observe, read_evidence, read_uai
from .wcsp import read_wcsp

READERS = {
    ".uai": lambda scanner, limit: read_uai(scanner, limit, False),
    ".lg": lambda scanner, limit: read_uai(scanner, limit, True),
    ".wcsp": read_wcsp,
}


def read(
    path: str | os.PathLike[str],
    evidence: str | os.PathLike[str] | Mapping[int, int] | None = None,
    memory_limit: str | int = "2 GiB",
) -> FactorGraph:
    """The graph in a file: variables "x", one for each of the file, and its tables as energies.

    .uai (MARKOV or BAYES): E = −ln p, so 0 forbids. .LG: E = −log value. .wcsp: E = cost, forbidden from the upper
    bound on. Each also as .xz, .gz, .bz2. evidence: an .evid file of either layout, or {variable: label} by numbers; it
    is added as factors that forbid all other labels. A file `NAME.uai.evid` is not read unless it is given.

    memory_limit: of the decompressed text, and of the tables, each.

    Errors: FormatError with file, line and token for what is no such file, and before anything large is allocated.
    """
    limit = bytes_of(memory_limit)
    name = os.fsdecode(path)
    graph = _guarded(name, READERS[check_name(name, READERS)], limit)
    if evidence is not None:
        states = graph.compile().states
        if isinstance(evidence, Mapping):
            found = check_evidence(evidence, states)
        else:
            found = _guarded(os.fsdecode(evidence), lambda scanner, limit: read_evidence(scanner, states), limit)
        observe(graph, states, found)
    return graph


def check_name(path: str, known: Mapping[str, Any]) -> str:
    """The format that a name stands for. Errors: FormatError for others."""
    kind = extensions(path)[0]
    if kind not in known:
        names = ", ".join(".LG" if name == ".lg" else name for name in known)
        packed = ", ".join(COMPRESSED)
        raise FormatError(f"{path}: expected a name that ends in {names}, or in one of these and {packed}", path)
    return kind


def _guarded(path: str, reader: Any, limit: int) -> Any:
    try:
        return reader(Scanner(path, load(path, limit)), limit)
    except MemoryError:
        raise FormatError(f"{path}: not enough memory to read it", path) from None
