"""Real inference problems, by `method="auto"` with a time limit: what is proven, in what time, beside toulbar2.

The folder `$FACTORGRAPH_DATA/instances` holds them, with an index of the best energies known.
"""

from __future__ import annotations

import csv
import os
import time
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import factorgraph as fg
from bench.harness import Measure, Options, Row

#: Seconds for each.
LIMIT = 20.0
#: Unproven instances that are allowed.
UNPROVEN = 7
#: Relative differences of energies that are rounding of the files.
CLOSE = 1e-4


def listed() -> Iterator[tuple[dict[str, str], fg.FactorGraph]]:
    """Lines of the index, and the graphs."""
    data = os.environ.get("FACTORGRAPH_DATA")
    folder = Path(data or ".") / "instances"
    if not data or not (folder / "index.tsv").exists():
        raise SystemExit("instances: set FACTORGRAPH_DATA to a folder that holds instances/index.tsv")
    with open(folder / "index.tsv", encoding="utf-8") as lines:
        for line in csv.DictReader(lines, delimiter="\t"):
            yield line, fg.read(folder / line["file"], folder / line["evidence"] if line["evidence"] else None)


def solved(graph: fg.FactorGraph, method: str, limit: float) -> tuple[fg.Solution, float]:
    """The answer and its seconds."""
    start = time.perf_counter()
    solution = fg.solve(graph, method=method, time_limit=limit)
    return solution, time.perf_counter() - start


def auto(options: Options) -> Iterator[Row]:
    """One row per instance; whether toulbar2 runs beside depends on its being installed."""
    limit = 2.0 if options.quick else LIMIT
    unproven, worse, wrong = 0, 0, 0
    theirs_unproven = 0
    peer = find_spec("pytoulbar2") is not None
    for index, (line, graph) in enumerate(listed()):
        if index == 0:
            for _ in range(2):  # kernels are compiled outside of the time limits
                fg.solve(graph, time_limit=limit)
        best = float(line["best_energy"])
        solution, seconds = solved(graph, "auto", limit)
        slack = CLOSE * max(1.0, abs(best))
        optimal = solution.status == fg.Status.OPTIMAL
        unproven += not optimal
        wrong += solution.bound > best + slack or (optimal and solution.energy > best + slack)
        worse += solution.energy > best + slack
        other = None
        if peer:
            theirs, other_seconds = solved(graph, "toulbar2", limit)
            theirs_unproven += theirs.status != fg.Status.OPTIMAL
            other = Measure.of([other_seconds])
        methods = ", ".join(name for name, _ in Counter(solution.components.method.tolist()).most_common())
        note = f"{solution.status.name} {solution.energy:.8g}, bound {solution.bound:.8g}, known {best:.8g}; {methods}"
        if peer:
            note += f"; toulbar2 {theirs.status.name} {theirs.energy:.8g}"
        yield Row(line["name"], "s", Measure.of([seconds]), other, note=note)
    count = Measure.of([float(unproven)])
    note = f"toulbar2 leaves {theirs_unproven}" if peer else ""
    yield Row(f"instances not proven in {limit:g} s", "", count, bar=UNPROVEN, note=note)
    yield Row("energies above the best known", "", Measure.of([float(worse)]))
    yield Row("wrong claims", "", Measure.of([float(wrong)]), bar=0)


SECTIONS = (auto,)
