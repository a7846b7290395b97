"""Minimum cuts of binary images against PyMaxflow, expansions of many labels against gco-wrapper; energies as well."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter

import factorgraph as fg
from bench.harness import Measure, Options, Row, alternate, compare


def segmentation(options: Options) -> Iterator[Row]:
    """One megapixel, two labels: networks are made from the energies in both cases."""
    size = options.size(1000, 60)
    for name, (unary, weight) in binary_images(size).items():
        g = grid(unary, fg.Potts(weight))
        plan, energies = g.compile(), g.energies()
        calls: dict[str, Callable[[], object]] = {"ours": partial(fg.MinCut(threads=1), plan, energies)}
        if importlib.util.find_spec("maxflow"):
            calls["PyMaxflow"] = partial(pymaxflow, unary, weight)
            assert np.isclose(pymaxflow(unary, weight), fg.MinCut()(plan, energies).energy, rtol=1e-9)
        what = f"{size} × {size}, two labels, {name}, against PyMaxflow"
        yield compare(alternate(calls, options.repeat), what, "PyMaxflow", bar=1.3)


def moves(options: Options) -> Iterator[Row]:
    """Expansions to the end, cold; and how much lower they end, warm-started by 20 sweeps of min-sum (not timed)."""
    for name, (unary, table) in many_labels(options).items():
        factor = fg.Table(table)
        g = grid(unary, factor)
        plan, energies = g.compile(), g.energies()
        calls: dict[str, Callable[[], object]] = {"ours": partial(fg.Expansion(threads=1), plan, energies)}
        if importlib.util.find_spec("gco"):
            calls["gco"] = partial(gco_expansion, unary, table)
        yield compare(alternate(calls, options.repeat), f"{name}: expansion, against gco", "gco", bar=1.0)
        reached = {"cold": fg.Expansion()(plan, energies)}
        start = fg.MinSum(sweeps=20)(plan, energies).flat
        reached["warm"] = fg.Expansion(initial=start)(plan, energies)
        for how, solution in reached.items():
            peer = None
            if "gco" in calls:
                peer = Measure.of([fg.energy(g, {"x": gco_expansion(unary, table)})])
            yield Row(f"{name}: energy, {how}", "", Measure.of([solution.energy]), peer, bar=peer and 1.0)


def grid(unary: np.ndarray, factor: fg.Factor) -> fg.FactorGraph:
    """Variables "x" of unary's shape, the factor between neighbours."""
    g = fg.FactorGraph()
    x = g.variables("x", shape=unary.shape[:2], states=unary.shape[2])
    g.add(fg.Table(unary), x)
    g.add(factor, x[:-1], x[1:])
    g.add(factor, x[:, :-1], x[:, 1:])
    return g


def binary_images(size: int) -> dict[str, tuple[np.ndarray, float]]:
    """Unary energies (size, size, 2) and a Potts weight: a noisy picture of blobs, and noise that cuts find hard."""
    rng = np.random.default_rng(0)
    noise = np.stack([rng.normal(size=(size, size)), np.zeros((size, size))], -1)
    field = gaussian_filter(rng.normal(size=(size, size)), size / 50)
    image = (field > 0.5 * field.std()) + rng.normal(size=(size, size)) * 0.8
    blobs = np.stack([image**2, (image - 1) ** 2], -1)
    return {"blobs": (blobs, 2.0), "noise": (noise, 0.5), "hard noise": (noise, 1.0)}


def many_labels(options: Options) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A Potts grid, and a stereo pair of random texture with truncated linear differences."""
    size, height, width = options.size(200, 20), options.size(288, 24), options.size(384, 32)
    rng = np.random.default_rng(1)
    potts = rng.uniform(0, 2, size=(size, size, 8))
    rng = np.random.default_rng(2)
    shift = np.full((height, width), 2)
    for _ in range(12):
        y, x = rng.integers(0, height - height // 7), rng.integers(0, width - width // 9)
        h, w = rng.integers(height // 9, height // 2), rng.integers(width // 12, width // 2)
        shift[y : y + h, x : x + w] = rng.integers(2, 16)
    right = gaussian_filter(rng.uniform(0, 255, size=(height, width + 16)), 0.8)
    left = np.take_along_axis(right, np.arange(width) + 15 - shift, 1) + rng.normal(0, 12, size=(height, width))
    shifted = np.stack([right[:, 15 - k : 15 - k + width] for k in range(16)], -1)
    stereo = np.rint(np.minimum(abs(left[..., None] - shifted), 20))
    steps = abs(np.subtract.outer(np.arange(16), np.arange(16)))
    return {
        f"{size} × {size} × 8, Potts": (potts, 0.7 * (1 - np.eye(8))),
        f"{height} × {width} × 16, truncated linear": (stereo, 20.0 * np.minimum(steps, 2)),
    }


def pymaxflow(unary: np.ndarray, weight: float) -> float:
    """The minimum, through its grid interface."""
    import maxflow

    height, width, _ = unary.shape
    graph = maxflow.GraphFloat(height * width, 2 * height * width)
    nodes = graph.add_grid_nodes((height, width))
    graph.add_grid_edges(nodes, weight, symmetric=True)
    graph.add_grid_tedges(nodes, unary[..., 0], unary[..., 1])
    value = graph.maxflow()
    graph.get_grid_segments(nodes)
    return float(value)


def gco_expansion(unary: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Labels, by expansions until none helps."""
    import gco

    labels = gco.cut_grid_graph_simple(unary, table, n_iter=-1, connect=4, algorithm="expansion")
    return labels.reshape(unary.shape[:2])


SECTIONS = (segmentation, moves)
