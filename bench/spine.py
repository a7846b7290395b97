"""Generality at speed: declared graphs against code written for their shape."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import sparse

import factorgraph as fg
from bench import ours, workloads
from bench.harness import Measure, Options, Row, alternate, fresh, peak_megabytes
from bench.referees import chain_perceptron, viterbi

_serial = itertools.count(1)


def _unseen(g: fg.FactorGraph) -> None:
    """Add isolated variables, another number every time, so that no cached plan fits."""
    g.variables("unseen", shape=(next(_serial),), states=2)


# ---- declare and compile ------------------------------------------------------------------------------------------


def _grid(data: workloads.Grid) -> fg.FactorGraph:
    g = fg.FactorGraph()
    x = g.variables("x", shape=data.unary.shape[:2], states=data.unary.shape[2])
    edge = fg.Table(data.pairwise)
    g.add(fg.Table(data.unary), x)
    g.add(edge, x[:, :-1], x[:, 1:])
    g.add(edge, x[:-1], x[1:])
    return g


def _chains(data: workloads.Tagging) -> fg.FactorGraph:
    g = fg.FactorGraph()
    y = g.variables("y", shape=data.labels.shape, states=data.states)
    left = data.left()
    g.add(fg.Linear(data.features, "emit"), y)
    g.add(fg.Linear(None, "trans", dtype=np.float32), y[left], y[left + 1])
    return g


def _sentence(g: fg.FactorGraph, features: sparse.csr_matrix) -> None:
    """One chain of 22 labels: `build` of the model."""
    y = g.variables("y", shape=(features.shape[0],), states=22)
    g.add(fg.Linear(features, "emit"), y)
    g.add(fg.Linear(None, "trans", dtype=np.float32), y[:-1], y[1:])


def _compiled(declare: Callable[[Any], fg.FactorGraph], data: Any, sweep: bool = False) -> Callable[[], object]:
    """Declare and compile; with `sweep` also what the plan would otherwise prepare in the first solve."""

    def work() -> object:
        g = declare(data)
        _unseen(g)
        plan = g.compile()
        return (plan, plan.schedule, plan.loops) if sweep else plan

    return work


def grid_peak(side: int, sweep: bool) -> float:
    """Megabytes that declaring and compiling the grid adds (fresh process)."""
    _compiled(_grid, workloads.grid(8, 8, 4), sweep)()
    return peak_megabytes(_compiled(_grid, workloads.grid(side, side, 4), sweep))


def tree_peak(variables: int) -> float:
    """Megabytes that declaring and compiling the tree adds (fresh process)."""
    _compiled(ours.tree, workloads.tree(50, 8, True), True)()
    return peak_megabytes(_compiled(ours.tree, workloads.tree(variables, 8, True), True))


def grid(options: Options) -> Iterator[Row]:
    """A 1000 x 1000 grid, 4 states, 2M pairwise factors over one table."""
    side = options.size(1000, 100)
    data = workloads.grid(side, side, 4)
    known = _grid(data).compile()  # kept alive, or nothing would remember it
    variants: dict[str, Callable[[], object]] = {
        "declare + compile": _compiled(_grid, data),
        "declare + compile + messages": _compiled(_grid, data, True),
        "declare + compile, seen before": lambda: _grid(data).compile() is known,
    }
    for (name, seconds), bar in zip(alternate(variants, options.repeat).items(), (0.3, None, None)):
        yield Row(f"grid {side}x{side}x4: {name}", "s", Measure.of(seconds), bar=bar)
    for name, sweep, bar in (("peak", False, 400), ("peak, with messages", True, None)):
        yield Row(f"grid {side}x{side}x4: {name}", "MB", Measure.of([fresh(grid_peak, side, sweep)]), bar=bar)


def tree(options: Options) -> Iterator[Row]:
    """A random tree of a million variables, in the order it grew and with its variables renamed at random."""
    size = options.size(1_000_000, 20_000)
    variants = {}
    for name, renamed in (("as grown", False), ("renamed", True)):
        data = workloads.tree(size, 8, renamed)
        variants[f"({name}): declare + compile"] = _compiled(ours.tree, data)
        variants[f"({name}): declare + compile + order"] = _compiled(ours.tree, data, True)
    for name, seconds in alternate(variants, min(options.repeat, 5)).items():
        yield Row(f"tree of {size} {name}", "s", Measure.of(seconds), bar=1.0)
    yield Row(f"tree of {size} (renamed): peak, with order", "MB", Measure.of([fresh(tree_peak, size)]))


def chains(options: Options) -> Iterator[Row]:
    """The tagging set, declared as one array and example by example."""
    data = workloads.tagging(options.size(8936, 300))
    examples, _ = data.examples()
    model = fg.Model(_sentence)
    variants: dict[str, Callable[[], object]] = {
        "(a) one array: declare + compile": _compiled(_chains, data),
        "(a) one array: declare + compile + order": _compiled(_chains, data, True),
        "(b) one by one: declare + compile": lambda: model.declare(examples[: len(examples) - next(_serial)]).compile(),
    }
    times = alternate(variants, options.repeat)
    for (name, seconds), bar in zip(times.items(), (0.1, 0.1, 1.0)):
        yield Row(f"{len(examples)} chains {name}", "s", Measure.of(seconds), bar=bar, note=data.source)


# ---- learn and decode ---------------------------------------------------------------------------------------------


EPOCHS = 6  #: the cost of an epoch is the mean of all but the first


def epoch(options: Options) -> Iterator[Row]:
    """A perceptron epoch through `fg.train`, online and by mini-batches, against the fused online epoch for chains."""
    data = workloads.tagging(options.size(8936, 300))
    examples, labels = data.examples()
    model = fg.Model(_sentence)
    batches = {"batch 1 (online)": 1, "batch 32": 32, "batch 256": 256}
    costs: dict[str, list[float]] = {name: [] for name in ("fused", "beyond", *batches)}
    accuracy = {}
    for _ in range(1 + min(options.repeat, 3)):  # the first round warms up
        learner, seconds = _fused(data)
        costs["fused"].append(seconds)
        for name, size in batches.items():
            begin = time.perf_counter()
            run = fg.train(
                model,
                examples,
                labels,
                loss=fg.losses.Perceptron(),
                optimizer=fg.optim.SGD(1.0, average=True),
                epochs=EPOCHS,
                batch=size,
            )
            costs["beyond"].append(time.perf_counter() - begin - run.history["seconds"].sum())
            costs[name].append(run.history["seconds"][1:].mean())
            accuracy[name] = _accuracy(data, np.concatenate(model.predict(run.parameters, examples)))
    emit, table = learner.average()
    accuracy["fused"] = _accuracy(data, _decoded(data.features @ emit, table, data.offsets))
    referee = Measure.of(costs["fused"][1:])
    for name, size in batches.items():
        note = f"{data.source}; accuracy after {EPOCHS}: {accuracy[name]:.4f}, referee {accuracy['fused']:.4f}"
        what = f"perceptron epoch, {name}, against fused online"
        yield Row(what, "s", Measure.of(costs[name][1:]), referee, bar=2.0 if size == 1 else None, note=note)
    yield Row("train beyond its epochs (declare, check, average)", "s", Measure.of(costs["beyond"][len(batches) :]))


def _fused(data: workloads.Tagging) -> tuple[chain_perceptron.Perceptron, float]:
    """The trained referee and its seconds per epoch."""
    features = data.features
    task = chain_perceptron.Chains(data.offsets, features.indptr.astype(np.int64), features.indices, data.labels)
    learner = chain_perceptron.Perceptron(task, features.shape[1], data.states)
    rng = np.random.default_rng(0)
    ends = []
    for _ in range(EPOCHS):
        learner.epoch(rng.permutation(len(data.offsets) - 1))
        ends.append(time.perf_counter())
    return learner, (ends[-1] - ends[0]) / (EPOCHS - 1)


def _decoded(unary: np.ndarray, table: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    problem = viterbi.prepare(unary, np.ascontiguousarray(table), offsets)
    return viterbi.decode(problem, *viterbi.work(problem))


def _accuracy(data: workloads.Tagging, labels: np.ndarray) -> float:
    return float((labels == data.labels).mean())


def decode(options: Options) -> Iterator[Row]:
    """MAP of 1000 x 100 x 26 by `fg.solve`, everything but the declaration, against the bare kernel on one thread."""
    count = options.size(1000, 50)
    unary, table = workloads.chains(count, 100, 26)
    g = ours.equal_chains(unary, table)
    problem = viterbi.prepare(unary.reshape(-1, 26), table, np.arange(count + 1) * 100)
    space = viterbi.work(problem)
    if not np.array_equal(fg.solve(g).labels["y"].ravel(), viterbi.decode(problem, *space)):
        raise AssertionError("fg.solve and the bare Viterbi kernel disagree")
    variants: dict[str, Callable[[], object]] = {
        "bare": lambda: viterbi.decode(problem, *space),
        "threads=1": lambda: fg.solve(g, threads=1),
        "default threads": lambda: fg.solve(g),
    }
    times = {name: Measure.of([1e3 * s for s in seconds]) for name, seconds in alternate(variants, 25).items()}
    for name in ("threads=1", "default threads"):
        yield Row(f"MAP of {count}x100x26 float32, {name}", "ms", times[name], times["bare"], bar=2.0)


SECTIONS = (grid, tree, chains, epoch, decode)
