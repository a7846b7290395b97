"""Real inference problems, by `method="auto"` with a time limit: what is proven, in what time, beside toulbar2.

The folder `$FACTORGRAPH_DATA/instances` holds them, with an index of the best energies known.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
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


def folder() -> Path:
    """Where the instances are."""
    data = os.environ.get("FACTORGRAPH_DATA")
    found = Path(data or ".") / "instances"
    if not data or not (found / "index.tsv").exists():
        raise SystemExit("instances: set FACTORGRAPH_DATA to a folder that holds instances/index.tsv")
    return found


def listed() -> list[dict[str, str]]:
    """Lines of the index."""
    with open(folder() / "index.tsv", encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def opened(line: dict[str, str]) -> fg.FactorGraph:
    """The instance of a line."""
    return fg.read(folder() / line["file"], folder() / line["evidence"] if line["evidence"] else None)


def toulbar2(line: dict[str, str], limit: float) -> tuple[str, float]:
    """Status with energy, and seconds; in a process of its own, as its time limit does not bound its preprocessing."""
    command = [sys.executable, "-m", "factorgraph", "solve", str(folder() / line["file"]), "--json"]
    command += ["--method", "toulbar2", "--time-limit", str(limit)]
    command += ["--evidence", str(folder() / line["evidence"])] if line["evidence"] else []
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * limit + 10)
        found = json.loads(done.stdout)
        return f"{found['status']} {found['energy']:.8g}", found["seconds"]["solve"]
    except subprocess.TimeoutExpired:
        return "no answer", 2 * limit + 10
    except (json.JSONDecodeError, TypeError):
        return "failed", limit


def auto(options: Options) -> Iterator[Row]:
    """One row per instance; toulbar2 beside it where pytoulbar2 is installed."""
    limit = 2.0 if options.quick else LIMIT
    peer = find_spec("pytoulbar2") is not None
    unproven, worse, wrong, theirs_unproven = 0, 0, 0, 0
    for line in listed():
        graph = opened(line)
        fg.solve(graph, time_limit=limit)  # kernels are compiled outside of the time limit
        start = time.perf_counter()
        solution = fg.solve(graph, time_limit=limit)
        seconds = time.perf_counter() - start
        best = float(line["best_energy"])
        slack = CLOSE * max(1.0, abs(best))
        optimal = solution.status == fg.Status.OPTIMAL
        unproven += not optimal
        wrong += solution.bound > best + slack or (optimal and solution.energy > best + slack)
        worse += solution.energy > best + slack
        methods = ", ".join(name for name, _ in Counter(solution.components.method.tolist()).most_common())
        note = f"{solution.status.name} {solution.energy:.8g}, bound {solution.bound:.8g}, known {best:.8g}; {methods}"
        other = None
        if peer:
            answer, theirs = toulbar2(line, limit)
            theirs_unproven += not answer.startswith("OPTIMAL")
            other = Measure.of([theirs])
            note += f"; toulbar2 {answer}"
        yield Row(line["name"], "s", Measure.of([seconds]), other, note=note)
    note = f"toulbar2 leaves {theirs_unproven}" if peer else ""
    yield Row(f"not proven in {limit:g} s", "", Measure.of([float(unproven)]), bar=UNPROVEN, note=note)
    yield Row("energies above the best known", "", Measure.of([float(worse)]))
    yield Row("wrong claims", "", Measure.of([float(wrong)]), bar=0)


SECTIONS = (auto,)
