"""Touching digits from pixels to strings: seconds to train, what part of them is inference, lines read per second."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

import factorgraph as fg
from bench.harness import Measure, Options, Row, alternate, compare
from factorgraph.datasets import digit_lines
from factorgraph.infer import Auto

LINES, EPOCHS = 5000, 20


class Clocked(Auto):
    """Auto, with the seconds that its answers took."""

    spent = 0.0

    def minimise(self, *arguments, **named):
        return self._timed(super().minimise, arguments, named)

    def integrate(self, *arguments, **named):
        return self._timed(super().integrate, arguments, named)

    def _timed(self, call, arguments, named):
        began = perf_counter()
        try:
            return call(*arguments, **named)
        finally:
            Clocked.spent += perf_counter() - began


def training(options: Options) -> Iterator[Row]:
    """5,000 lines, 20 epochs, as the demonstration learns: wall seconds, and the share of lattice inference in them."""
    count = options.size(LINES, 200)
    lines = digit_lines(count, 1).train
    reader = fg.SegmentLabeler(hidden=256)
    cut, strings = reader.cut([line.image for line in lines]), [line.digits.tolist() for line in lines]
    reader.fit(cut[:50], strings[:50])  # compiles, and learns the symbols
    rule, solver = fg.optim.Adam(8e-3, l2=1e-3, schedule="linear"), Clocked()
    places = {"loss": fg.losses.NLL(), "optimizer": rule, "batch": 32, "epochs": options.size(EPOCHS, 2)}
    Clocked.spent, began = 0.0, perf_counter()
    fg.train(reader.model, cut, strings, solver=solver, **places)
    wall = perf_counter() - began
    yield Row(f"training, {count:,} lines, {places['epochs']} epochs", "s", Measure.of([wall]), bar=40)
    yield Row("inference in it", "%", Measure.of([100 * Clocked.spent / wall]), bar=25)


def reading(options: Options) -> Iterator[Row]:
    """1,000 lines from pixels: cuts, features, network, best path."""
    count = options.size(1000, 100)
    lines = digit_lines(100, count)
    reader = fg.SegmentLabeler(hidden=256, epochs=1)
    reader.fit([line.image for line in lines.train], [line.digits for line in lines.train])
    images = [line.image for line in lines.test]
    times = alternate({"ours": lambda: reader.predict(images)}, options.repeat)
    yield compare(times, f"reading {count:,} lines from pixels, a line", scale=1e3 / count, bar=1.0)


SECTIONS = (training, reading)
