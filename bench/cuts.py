"""Cuts and moves: binary images against PyMaxflow, many labels against gco-wrapper; time, energies and bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

import factorgraph as fg
from bench import ours, peers, workloads
from bench.harness import Measure, Options, Row, alternate, compare
from bench.instances import listed, opened

#: The share of the peer's time that ours is given, declaration and compilation on top.
SHARE = 0.85
#: Seconds that ours is given without a peer.
ALONE = 0.6


class Work(NamedTuple):
    """A grid of many labels: unaries (H, W, K), a factor for all neighbours and its table, and what was asked of it.

    `energy`, `bound`: most and least that are allowed; `gap`: most percent between them.
    """

    unary: np.ndarray
    factor: fg.Factor
    table: np.ndarray
    energy: float | None = None
    bound: float | None = None
    gap: float | None = None


def many_labels(options: Options) -> dict[str, Work]:
    """A grid of random unaries with Potts factors, and a stereo pair with truncated distances; float32."""
    side, height, width = options.size(200, 20), options.size(288, 60), options.size(384, 70)
    steps = abs(np.subtract.outer(np.arange(16), np.arange(16)))
    potts = workloads.potts_grid(side, side).astype(np.float32)
    pair, truncated = workloads.stereo(height, width), 20 * np.minimum(steps, 2).astype(np.float32)
    factors = fg.Potts(np.float32(0.7)), fg.TruncatedLinear(np.float32(20), np.float32(40))
    return {
        f"{side} × {side} × 8, Potts": Work(potts, factors[0], 0.7 * (1 - np.eye(8)), 37640, 37454, 0.5),
        f"{height} × {width} × 16, truncated linear": Work(pair, factors[1], truncated),
    }


def segmentation(options: Options) -> Iterator[Row]:
    """One megapixel, two labels: networks are made from the energies in both cases."""
    size, peer = options.size(1000, 60), peers.adapter("maxflow")
    for name, (unary, weight) in binary_images(size).items():
        g = ours.grid(unary, fg.Potts(weight))
        plan, energies = g.compile(), g.energies()
        calls: dict[str, Callable[[], object]] = {"ours": partial(fg.MinCut(threads=1), plan, energies)}
        if peer:
            calls["PyMaxflow"] = cut = peer.cut(unary, weight)
            assert np.isclose(cut(), fg.MinCut()(plan, energies).energy, rtol=1e-9)
        what = f"{size} × {size}, two labels, {name}, against PyMaxflow"
        yield compare(alternate(calls, options.repeat), what, "PyMaxflow", bar=1.3)


def moves(options: Options) -> Iterator[Row]:
    """Expansions to the end, cold; and how much lower they end, warm-started by 20 sweeps of min-sum (not timed)."""
    peer = peers.adapter("gco")
    for name, work in many_labels(options).items():
        g = ours.grid(work.unary, work.factor)
        plan, energies = g.compile(), g.energies()
        calls: dict[str, Callable[[], object]] = {"ours": partial(fg.Expansion(threads=1), plan, energies)}
        theirs = None
        if peer:
            calls["gco"] = expand = peer.expand(work.unary, work.table)
            theirs = Measure.of([fg.energy(g, {"x": expand()})])
        yield compare(alternate(calls, options.repeat), f"{name}: expansion, against gco", "gco", bar=1.0)
        start = fg.MinSum(sweeps=20)(plan, energies).flat
        for how, solver in {"cold": fg.Expansion(), "warm": fg.Expansion(initial=start)}.items():
            reached = solver(plan, energies).energy
            yield Row(f"{name}: expansion, energy, {how}", "", Measure.of([reached]), theirs, theirs and 1.0)


def auto(options: Options) -> Iterator[Row]:
    """`method="auto"` in less than the time of gco's expansions, from arrays to labels, on one thread as gco is."""
    peer = peers.adapter("gco")
    for name, work in many_labels(options).items():
        calls: dict[str, Callable[[], object]] = {}
        limit, theirs, found = ALONE, None, []
        if peer:
            calls["gco"] = expand = peer.expand(work.unary, work.table)
            limit = SHARE * min(alternate(calls, 2)["gco"])
            theirs = Measure.of([fg.energy(ours.grid(work.unary, work.factor), {"x": expand()})])
        solve = partial(within, work, limit, found)
        within(work, 5 * limit, [])  # compiles kernels
        times = alternate({"ours": solve, **calls}, options.repeat)
        energy, bound = max(s.energy for s in found[1:]), min(s.bound for s in found[1:])
        worst = f"{name}: auto, worst"
        yield compare(times, f"{name}: auto, against gco", "gco", bar=1.0, note=f"limit {limit:.2f} s")
        yield Row(f"{worst} energy, against gco", "", Measure.of([energy]), theirs, theirs and 1.0)
        if work.energy is not None and work.bound is not None:
            yield Row(f"{worst} energy", "", Measure.of([energy]), bar=work.energy, note=f"{energy:.1f}")
            short = Measure.of([max(0.0, work.bound - bound)])
            yield Row(f"{worst} bound, short of {work.bound:g}", "", short, bar=0.0, note=f"{bound:.1f}")
        gap = 100 * max(s.gap / s.energy for s in found[1:])
        yield Row(f"{worst} gap", "%", Measure.of([gap]), bar=work.gap, note=f"{energy:.1f}, bound {bound:.1f}")


def within(work: Work, limit: float, found: list[fg.Solution]) -> None:
    """Declare a grid and solve it within `limit` seconds."""
    found.append(fg.solve(ours.grid(work.unary, work.factor), time_limit=limit, threads=1))


def instances(options: Options) -> Iterator[Row]:
    """Real binary segmentations and object detections: seconds to the proof, by `method="auto"`."""
    for line in listed():
        if line["name"].startswith(("seg_", "ObjectDetection_")):
            g = opened(line)
            note = str(fg.solve(g).status.name)
            times = alternate({"ours": partial(fg.solve, g)}, options.repeat)
            yield Row(line["name"], "s", Measure.of(times["ours"]), bar=0.1 if note == "OPTIMAL" else 0, note=note)


def binary_images(size: int) -> dict[str, tuple[np.ndarray, float]]:
    """Unary energies (size, size, 2) and a Potts weight: a noisy picture of blobs, and noise that cuts find hard."""
    rng = np.random.default_rng(0)
    noise = np.stack([rng.normal(size=(size, size)), np.zeros((size, size))], -1)
    field = gaussian_filter(rng.normal(size=(size, size)), size / 50)
    image = (field > 0.5 * field.std()) + rng.normal(size=(size, size)) * 0.8
    blobs = np.stack([image**2, (image - 1) ** 2], -1)
    return {"blobs": (blobs, 2.0), "noise": (noise, 0.5), "hard noise": (noise, 1.0)}


SECTIONS = (segmentation, moves, auto, instances)
