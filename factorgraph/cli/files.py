"""Commands on model files: solve, convert, and `info FILE`."""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FactorGraphError

if TYPE_CHECKING:
    from ..graph import FactorGraph

_FORMATS = ".uai, .LG or .wcsp, also with .xz, .gz or .bz2 behind"


def add_file(parser: argparse.ArgumentParser, **more: Any) -> None:
    """The arguments that say what to read."""
    parser.add_argument("file", metavar="FILE", help=_FORMATS, **more)
    parser.add_argument("--evidence", metavar="FILE", help="observed labels, in a .evid file")
    limit = "of tables and of text (default: %(default)s)"
    parser.add_argument("--memory-limit", type=_memory, default="2 GiB", metavar="B", help=limit)


def solve(commands: Any) -> None:
    """`solve FILE`."""
    parser = commands.add_parser(
        "solve",
        help="find the labelling of lowest energy of a model file, and say how good it is",
        description="Print energy, bound, gap, status, methods and seconds of the best labelling found, and the "
        "labelling itself in the result layout of the UAI competitions (MPE). An infeasible problem is a result too.",
    )
    add_file(parser)
    parser.add_argument("--time-limit", type=_seconds, metavar="S", help="seconds of solving")
    parser.add_argument("--method", default="auto", metavar="M", help="as in factorgraph.solve (default: auto)")
    parser.add_argument("--threads", type=_count, metavar="N", help="(default: as many as the work is worth)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the labelling there instead of printing it")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")

    def run(arguments: argparse.Namespace) -> int:
        from ..infer.solve import choose

        try:
            choose(arguments.method, arguments.threads, time_limit=arguments.time_limit)
        except FactorGraphError as error:
            parser.error(str(error))
        if arguments.output is not None:
            check_output(arguments.output, parser, "--output")
        return _solve(arguments)

    parser.set_defaults(run=run)


def _solve(arguments: argparse.Namespace) -> int:
    from .. import solve
    from ..io import labels_text, write_labels

    start = time.perf_counter()
    graph = _read(arguments)
    between = time.perf_counter()
    found = solve(
        graph,
        method=arguments.method,
        threads=arguments.threads,
        time_limit=arguments.time_limit,
        memory_limit=arguments.memory_limit,
    )
    seconds = {"read": between - start, "solve": time.perf_counter() - between}
    feasible = math.isfinite(found.energy)
    methods = Counter(found.components.method.tolist() if found.plan.n_components else [])
    if arguments.output is not None and feasible:
        write_labels(arguments.output, found.flat)
    if arguments.json:
        report = {
            "file": arguments.file,
            "energy": _finite(found.energy),
            "bound": _finite(found.bound),
            "gap": _finite(found.gap),
            "status": found.status.name,
            "conflict": found.conflict,
            "methods": dict(methods.most_common()),
            "seconds": seconds,
            "labels": found.flat.tolist() if feasible and arguments.output is None else None,
        }
        print(json.dumps(report))
        return 0
    rows = [
        ("energy", f"{found.energy:.15g}"),
        ("bound", f"{found.bound:.15g}"),
        ("gap", f"{found.gap:.6g}"),
        ("status", str(found.status)),
        ("method", ", ".join(f"{name} on {_many(n, 'component')}" for name, n in methods.most_common()) or "none"),
        ("seconds", f"{seconds['solve']:.3f}, after {seconds['read']:.3f} of reading"),
    ]
    print_rows(rows)
    if not feasible:
        why = "" if found.conflict is None else f": no state is left to {found.conflict}"
        print(f"no labelling was found that the factors allow{why}")
    elif arguments.output is None:
        print(labels_text(found.flat))
    return 0


def convert(commands: Any) -> None:
    """`convert A B`."""
    parser = commands.add_parser(
        "convert",
        help="write a model file in another format",
        description="Read a model file and write it under another name, in the format of that name. Energies stay what "
        "they are; those that the format cannot hold are named, and nothing is written.",
    )
    add_file(parser)
    parser.add_argument("target", type=Path, metavar="TARGET", help="to be written or replaced, named likewise")

    def run(arguments: argparse.Namespace) -> int:
        from ..io import check_target, write

        check_target(arguments.target)
        check_output(arguments.target, parser, "TARGET")
        graph = _read(arguments)
        write(graph, arguments.target)
        print(f"{arguments.target}: {graph!r}, {arguments.target.stat().st_size} bytes")
        return 0

    parser.set_defaults(run=run)


def describe(arguments: argparse.Namespace) -> int:
    """`info FILE`."""
    import numpy as np

    from ..infer.order import width_of
    from ..kernels.structure import CHAIN, ISOLATED, LOOPY, TREE

    graph = _read(arguments)
    plan = graph.compile()
    width, cells = width_of(plan)
    names = {ISOLATED: "isolated variables", CHAIN: "chains", TREE: "trees", LOOPY: "with cycles"}
    kinds = Counter(names[kind] for kind in plan.kinds.tolist())
    arities = Counter[int]()
    for block in plan.blocks:
        arities[len(block.states)] += len(block.scopes)
    largest = int(np.bincount(plan.component).max(initial=0))
    forbidden = int(np.isinf(graph.energies(memory_limit=arguments.memory_limit)).sum())
    least, most = (int(plan.states.min()), int(plan.states.max())) if plan.states.size else (0, 0)
    if arguments.json:
        report = {
            "file": arguments.file,
            "variables": plan.states.size,
            "states": [least, most],
            "factors": sum(arities.values()),
            "arities": {str(arity): n for arity, n in sorted(arities.items())},
            "entries": plan.size,
            "forbidden": forbidden,
            "components": plan.n_components,
            "kinds": dict(kinds),
            "largest_component": largest,
            "width": width if width >= 0 else None,
            "elimination_cells": _finite(cells),
        }
        print(json.dumps(report))
        return 0
    by_arity = ", ".join(f"{n} of arity {arity}" for arity, n in sorted(arities.items()))
    by_kind = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
    sizes = f": {by_kind}; the largest has {_many(largest, 'variable')}" if kinds else ""
    rows = [
        ("variables", f"{plan.states.size}, each of {least if least == most else f'{least} to {most}'} states"),
        ("factors", f"{sum(arities.values())}{f': {by_arity}' if arities else ''}"),
        ("tables", f"{_many(plan.size, 'entry', 'entries')}, {forbidden} of them forbidden"),
        ("components", f"{plan.n_components}{sizes}"),
        ("width", f"at most {width}, {cells:.3g} table cells to eliminate all" if width >= 0 else "large"),
    ]
    print_rows(rows)
    return 0


def _read(arguments: argparse.Namespace) -> FactorGraph:
    from ..io import read

    return read(arguments.file, arguments.evidence, arguments.memory_limit)


def print_rows(rows: list[tuple[str, str]]) -> None:
    """Aligned, for people."""
    for name, what in rows:
        print(f"{name:<11}  {what}")


def check_output(path: Path, parser: argparse.ArgumentParser, name: str) -> None:
    """Refuse now what could not be written after the work."""
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        parser.error(f"argument {name}: cannot write {str(path)!r}: choose a file in a folder that is yours")


def _many(count: int, one: str, several: str | None = None) -> str:
    return f"{count} {one if count == 1 else several or one + 's'}"


def _finite(value: float) -> float | None:
    """JSON has no infinities."""
    return value if math.isfinite(value) else None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"expected seconds ≥ 0; got {text!r}")
    return seconds


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number ≥ 1; got {text!r}")
    return int(text)


def _memory(text: str) -> str:
    from ..plan.memory import bytes_of

    try:
        bytes_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("memory_limit: ")) from None
    return text
