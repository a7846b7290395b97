"""Measuring: alternated timings, fresh processes, peak memory; one `Row` per claim, tables and JSON of them."""

from __future__ import annotations

import gc
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out"


@dataclass(frozen=True)
class Options:
    """How to run: `quick` shrinks the inputs (then bars mean nothing), `repeat` alternated rounds are timed."""

    quick: bool = False
    repeat: int = 7

    def size(self, full: int, quick: int) -> int:
        """The size that applies."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Measure:
    """Smallest and median of `count` measurements."""

    minimum: float
    median: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Measure:
        """Summary of the values."""
        return cls(min(values), statistics.median(values), len(values))


@dataclass(frozen=True)
class Row:
    """One claim: `ours` in `unit`; `bar` limits ours / referee where there is a referee, else ours itself.

    `peak` is the share of what the machine can do at most that ours reaches, `floor` the least it may be.
    """

    what: str
    unit: str
    ours: Measure
    referee: Measure | None = None
    bar: float | None = None
    note: str = ""
    peak: float | None = None
    floor: float | None = None

    @property
    def ratio(self) -> float | None:
        """Smallest ours over smallest referee."""
        return self.ours.minimum / self.referee.minimum if self.referee else None

    @property
    def verdict(self) -> str:
        """pass, miss, or nothing where no bar and no floor applies."""
        judged = self.ours.minimum if self.ratio is None else self.ratio
        held = [] if self.bar is None else [judged <= self.bar]
        held += [] if self.floor is None or self.peak is None else [self.peak >= self.floor]
        return "" if not held else "pass" if all(held) else "miss"


Section = Callable[[Options], Iterable[Row]]


def alternate(variants: Mapping[str, Callable[[], object]], repeat: int) -> dict[str, list[float]]:
    """Seconds of `repeat` rounds in which every variant is called in turn, after one untimed round."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for call in variants.values():
        call()
    for _ in range(repeat):
        for name, call in variants.items():
            gc.collect()
            begin = time.perf_counter()
            result = call()
            seconds[name].append(time.perf_counter() - begin)
            del result
    return seconds


def compare(
    times: Mapping[str, Sequence[float]],
    what: str,
    referee: Sequence[str] | str = (),
    ours: str = "ours",
    unit: str = "ms",
    scale: float = 1e3,
    share: float = 1.0,
    **claim: Any,
) -> Row:
    """A row of what `alternate` measured: `ours` against the fastest of the referees, seconds times `scale`.

    share: the part of the work that the referee did; its time is scaled up linearly, and the note says so. Referees
    that were not measured drop out; with none left no bar applies.
    """
    measured = [name for name in ([referee] if isinstance(referee, str) else referee) if name in times]
    mine = Measure.of([scale * s for s in times[ours]])
    if not measured:
        return Row(what, unit, mine, **{**claim, "bar": None if referee else claim.get("bar")})
    best = min(measured, key=lambda name: min(times[name]))
    notes = [best] if len(measured) > 1 else []
    notes += [] if share == 1 else [f"referee on {100 * share:.3g} % of the work, scaled up"]
    notes += [claim.pop("note")] if claim.get("note") else []
    theirs = Measure.of([scale * s / share for s in times[best]])
    return Row(what, unit, mine, theirs, **{**claim, "note": "; ".join(notes)})


def peak_megabytes(work: Callable[[], object]) -> float:
    """Growth of the process's peak resident memory during `work` (Linux); call it in a fresh process, warmed up."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew at what is resident now
    before = _high_water()
    result = work()
    after = _high_water()
    del result
    return (after - before) / 1024


def _high_water() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise OSError("/proc/self/status has no VmHWM: peak memory is measured on Linux only")


def fresh(function: Callable[..., Any], *arguments: Any) -> Any:
    """Result of a module-level function of JSON values, called in a new interpreter."""
    command = [sys.executable, "-m", "bench.harness", function.__module__, function.__name__, json.dumps(arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def program(source: str, **environment: str) -> tuple[float, float]:
    """CPU seconds (user and system) and wall seconds of a whole interpreter that runs `source`."""
    begin = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-c", source], cwd=ROOT, env={**os.environ, **environment})
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, child.args)
    return usage.ru_utime + usage.ru_stime, wall


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    packages = ("numpy", "scipy", "numba", "llvmlite", "factorgraph-ebm")
    versions = {name: _version(name) for name in packages}
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "machine": f"{cpu}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}",
        "versions": {"python": platform.python_version(), **{name: v for name, v in versions.items() if v}},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


COLUMNS = ("measurement", "unit", "ours min", "median", "referee min", "median", "ratio", "bar", "peak", "")
_FORMAT = "{:<52} {:>5} {:>9} {:>9} {:>11} {:>9} {:>6} {:>6} {:>7} {:<5}{}"


def heading() -> str:
    """Names of the table's columns, underlined."""
    line = _FORMAT.format(*COLUMNS, "")
    return f"{line}\n{'-' * len(line)}"


def line(row: Row) -> str:
    """A row of the table."""
    cells = [row.ours.minimum, row.ours.median]
    cells += [row.referee.minimum, row.referee.median] if row.referee else []
    numbers = [f"{value:.4g}" for value in cells] + [""] * (4 - len(cells))
    ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
    bar = "" if row.bar is None else f"{row.bar:.3g}"
    peak = "" if row.peak is None else f"{row.peak:.0%}" if row.floor is None else f"{row.peak:.0%}≥{100 * row.floor:g}"
    return _FORMAT.format(row.what, row.unit, *numbers, ratio, bar, peak, row.verdict, row.note).rstrip()


def write(name: str, rows: Sequence[Row], options: Options, header: Mapping[str, Any]) -> Path:
    """Everything the table shows, as JSON."""
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{name}.json"
    table = [{**asdict(row), "ratio": row.ratio, "verdict": row.verdict} for row in rows]
    content = {"name": name, **header, "options": asdict(options), "rows": table}
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


if __name__ == "__main__":
    target = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])
    sys.stdout.write(json.dumps(target(*json.loads(sys.argv[3]))))
