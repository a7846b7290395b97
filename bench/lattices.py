"""Written lines as lattices: best paths and sums over all paths, free or spelling a known string, against C++."""

from __future__ import annotations

from collections.abc import Iterator

from bench import ours, workloads
from bench.chains import NO_COMPILER
from bench.harness import Options, Row, alternate, compare
from bench.twins import lattices
from bench.twins.build import COMPILER


def kernel(options: Options) -> Iterator[Row]:
    """The bare kernels, one thread, on 5,000 lines of 60 arcs and 10 classes; the restriction is made beforehand."""
    data = workloads.lines(options.size(5000, 100))
    g, known = ours.lines(data), ours.known(data)
    for spelling in (False, True):
        evidence = known if spelling else None
        calls = {
            "best path": (ours.minima(g, evidence=evidence), lattices.best),
            "posteriors": (ours.sums(g, evidence=evidence), lattices.sums),
        }
        for name, (run, twin) in calls.items():
            both = {"ours": run} | ({"C++": twin(data, spelling)} if COMPILER else {})
            what = f"{len(data.nodes)} lines, {name}, {'known string' if spelling else 'free'}, against C++"
            yield compare(alternate(both, options.repeat), what, "C++", bar=1.3, note="" if COMPILER else NO_COMPILER)


SECTIONS = (kernel,)
