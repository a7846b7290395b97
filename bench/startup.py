"""Start-up: processor seconds to import and to a first answer; how much numba compiles for it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numba.core import dispatcher, event

import factorgraph as fg
from bench.harness import Measure, Options, Row, fresh, program


class _Compilations(event.Listener):
    """Counts what numba compiles."""

    def __init__(self) -> None:
        self.count = 0

    def on_start(self, event: Any) -> None:
        self.count += 1

    def on_end(self, event: Any) -> None:
        pass


def _specialisations() -> set[tuple[str, str]]:
    """Name and signature of all jitted functions of the library, compiled or loaded from the cache."""
    modules = [module for name, module in sys.modules.items() if name.startswith("factorgraph")]
    kernels = {id(x): x for m in modules for x in vars(m).values() if isinstance(x, dispatcher.Dispatcher)}
    return {(kernel.py_func.__name__, str(signature)) for kernel in kernels.values() for signature in kernel.signatures}


def count_kernels(rounds: int) -> dict[str, Any]:
    """Per dtype: how many specialisations the first solves made, which the other graphs added, compiled or loaded,
    and how often numba compiled for them."""
    from bench import graphs  # only the fresh process needs them

    found = {}
    for dtype in (np.float32, np.float64):
        before = _specialisations()
        for g in graphs.representatives(dtype):
            fg.solve(g)
        first = _specialisations()
        listener = _Compilations()
        with event.install_listener("numba:compile", listener):
            for g in graphs.shapes(dtype, rounds):
                fg.solve(g)
        added = sorted({name for name, _ in _specialisations() - first})
        found[np.dtype(dtype).name] = [len(first - before), added, listener.count]
    return found


def kernels(options: Options) -> Iterator[Row]:
    """After one solve of every component class, thirty graphs of other shapes need no further kernel."""
    rounds = options.size(6, 2)
    for dtype, (first, added, compiled) in fresh(count_kernels, rounds).items():
        what = f"further kernels for {5 * rounds} more graphs, {dtype}"
        note = ", ".join(added) or f"{first} specialisations in the first solves"
        yield Row(what, "", Measure.of([max(len(added), compiled)]), bar=0, note=note)


_HEAD = """
import numpy as np
import factorgraph as fg
g = fg.FactorGraph()
r = np.random.default_rng(0)
"""
_FIRST = (
    _HEAD
    + """
x = g.variables("x", shape={shape}, states=3)
g.add(fg.Table([0.0, 1.0, 2.0]), x)
{edges}
assert fg.solve(g).energy == 0
"""
)
_POTTS = (
    _HEAD
    + """
x = g.variables("x", shape={shape}, states={states})
g.add(fg.Table(r.normal(size=x.shape + ({states},)).astype(np.{dtype})), x)
for a, b in (x[:-1], x[1:]), (x[:, :-1], x[:, 1:]):
    g.add(fg.Potts(np.array(0.5, np.{dtype})), a, b)
assert fg.solve(g).energy < 0
"""
)
_PAIRS = (
    _HEAD
    + """
x = g.variables("x", shape=(60,), states=4)
i, j = np.triu_indices(60, 1)
some = r.permutation(i.size)[:360]
g.add(fg.Table(r.normal(size=(60, 4))), x)
g.add(fg.Table(r.normal(size=(360, 4, 4))), x[i[some]], x[j[some]])
assert fg.solve(g).energy < 0
"""
)
_ANSWERS = {
    "chain": _FIRST.format(shape="(8,)", edges="g.add(fg.Potts(0.5), x[:-1], x[1:])"),
    "tree": _FIRST.format(
        shape="(8,)", edges="g.add(fg.Table(1.0 - np.eye(3)), x[[0, 0, 1, 1, 2, 2, 3]], x[[1, 2, 3, 4, 5, 6, 7]])"
    ),
    "grid of few labellings": _FIRST.format(
        shape="(3, 3)", edges="g.add(fg.Potts(0.5), x[:-1], x[1:]); g.add(fg.Potts(0.5), x[:, :-1], x[:, 1:])"
    ),
    "narrow grid (elimination)": _POTTS.format(shape="(6, 6)", states=3, dtype="float64"),
    "binary grid (minimum cut)": _POTTS.format(shape="(50, 50)", states=2, dtype="float64"),
    "wide Potts grid (bounds, moves)": _POTTS.format(shape="(100, 100)", states=4, dtype="float32"),
    "graph of random pairs": _PAIRS,
}


def start(options: Options) -> Iterator[Row]:
    """Whole interpreters: import, and the first answer with an empty and with a filled kernel cache."""
    runs = options.size(3, 1)
    bare = [program("import numpy, numba") for _ in range(runs)]
    imported = [program("import factorgraph") for _ in range(runs)]
    note = f"numpy and numba alone {min(cpu for cpu, _ in bare):.2f}"
    yield Row("import factorgraph, CPU", "s", Measure.of([cpu for cpu, _ in imported]), bar=0.5, note=note)
    for name, source in islice(_ANSWERS.items(), options.size(len(_ANSWERS), 1)):
        with tempfile.TemporaryDirectory() as cache:
            cold = [program(source, NUMBA_CACHE_DIR=cache)]
            warm = [program(source, NUMBA_CACHE_DIR=cache) for _ in range(runs)]
        for state, both, bar in (("cold", cold, 6.0), ("warm", warm, 1.5)):
            for clock, seconds in zip(("CPU", "wall"), zip(*both)):
                yield Row(f"first answer of a {name}, {state}, {clock}", "s", Measure.of(seconds), bar=bar)


SECTIONS = (start, kernels)
