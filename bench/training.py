"""Learning to convergence: L-BFGS against CRFsuite's, block-coordinate Frank-Wolfe against subgradient steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import sparse

import factorgraph as fg
from bench import peers, workloads
from bench.harness import Measure, Options, Row

#: Part of the objective within which two optima are the same.
SAME = 1e-4


def chain(g: fg.FactorGraph, x: np.ndarray) -> None:
    """A word: pixels of every letter, and pairs of letters."""
    y = g.variables("y", shape=(x.shape[0],), states=26)
    g.add(fg.Linear(x, "emit"), y)
    g.add(fg.Linear(None, "trans", dtype=x.dtype), y[:-1], y[1:])


def lbfgs(options: Options) -> Iterator[Row]:
    """NLL on fold 1 of OCR letters: seconds until CRFsuite's final objective is reached, the loop of either alone."""
    X, Y = workloads.letters().of_folds({1}, options.size(10_000, 40))
    found: dict[str, list[float]] = {"ours": [], "whole": [], "crfsuite": []}
    steps, theirs, last = 0, np.inf, np.inf
    trainer = peers.adapter("pycrfsuite")
    for _ in range(min(options.repeat, 3)):
        if trainer is not None:
            seconds, theirs = trainer.train(X, Y, c2=1.0)
            found["crfsuite"].append(seconds)
        begin = time.perf_counter()
        run = fg.train(fg.Model(chain), X, Y, fg.losses.NLL(), fg.optim.LBFGS(l2=2.0 / len(X), tolerance=SAME))
        found["whole"].append(time.perf_counter() - begin)
        reached = run.history["objective"] * len(X) <= theirs * (1 + SAME)
        steps = 1 + int(np.argmax(reached)) if reached.any() else run.history.size
        last = float(run.history["objective"][-1] * len(X))
        found["ours"].append(float(run.history["seconds"][:steps].sum()))
    note = f"{steps} of {run.history.size} iterations, objective {last:.2f}, CRFsuite's {theirs:.2f}"
    referee = Measure.of(found["crfsuite"]) if found["crfsuite"] else None
    yield Row(f"NLL by L-BFGS, {len(X)} words", "s", Measure.of(found["ours"]), referee, bar=0.2, note=note)
    yield Row(f"NLL by L-BFGS, {len(X)} words, all of train", "s", Measure.of(found["whole"]))


def bcfw(options: Options) -> Iterator[Row]:
    """Structural SVM on fold 1 of OCR letters: passes until P is within a thousandth of its minimum."""
    dense, Y = workloads.letters().of_folds({1}, options.size(10_000, 40))
    X = [sparse.csr_matrix(x) for x in dense]
    l2, most = 1.0 / len(X), options.size(50, 10)
    primal = objective(X, Y, l2)
    best = fg.train(fg.Model(chain), X, Y, fg.losses.Margin(), fg.optim.BCFW(l2, gap=1e-3), epochs=2 * most)
    least = float(best.history["objective"].min())  # within the gap that it certifies
    passes: dict[str, int] = {"BCFW": reached(best.history["objective"], least)}
    rules = {"Pegasos": fg.optim.Pegasos(l2, average=True)}
    rules |= {f"SGD({rate})": fg.optim.SGD(rate, l2=l2, average=True) for rate in (0.003, 0.01, 0.03, 0.1)}
    rules |= {f"SGD({rate}, linear)": fg.optim.SGD(rate, l2=l2, schedule="linear") for rate in (0.01, 0.03, 0.1)}
    for name, rule in rules.items():
        seen: list[float] = []

        def watch(run: fg.Run, seen: list[float] = seen) -> bool:
            seen.append(primal(run.parameters))
            return seen[-1] <= least * 1.001

        fg.train(fg.Model(chain), X, Y, fg.losses.Margin(), rule, most, 1, stop=fg.optim.Stop(callback=watch))
        passes[name] = reached(np.array(seen), least)
    others = {name: count for name, count in passes.items() if name != "BCFW"}
    fastest = min(others, key=lambda name: others[name])
    note = f"best of {len(others)} steps: {fastest}; at most {most} passes; gap {best.history['gap'][-1] / least:.1e} P"
    ours, referee = (Measure.of([passes[name]]) for name in ("BCFW", fastest))
    yield Row(f"passes to 1.001 P*, {len(X)} words", "passes", ours, referee, bar=1.0, note=note)


def reached(objectives: np.ndarray, least: float) -> int:
    """Passes until within a thousandth of the least; one more than there are where that is never so."""
    close = objectives <= least * 1.001
    return 1 + int(np.argmax(close)) if close.any() else 1 + len(objectives)


def objective(X: Any, Y: Any, l2: float) -> Callable[[Any], float]:
    """P as a function of the parameters."""
    declared = fg.Model(chain).declare(X)
    answers = declared.read_answers(Y)

    def primal(parameters: Any) -> float:
        value, _ = fg.losses.Margin()(declared.compile(), declared.graph.energies(parameters), answers)
        return value / len(X) + l2 / 2 * sum(float((array.astype(float) ** 2).sum()) for array in parameters.values())

    return primal


SECTIONS = (lbfgs, bcfw)
