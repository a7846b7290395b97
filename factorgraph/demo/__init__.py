"""The demonstration: a reader of touching handwritten digits that is never shown where one digit ends.

Each line is cut wherever a cut is plausible, which makes a lattice: nodes are cuts, an arc a holds the ink x_a
between two of them, a path π spells a string Y. With the energy E(k, x_a) of reading arc a as k, from a small network,

    E(Y) = −log Σ_{π spells Y} exp(−Σ_{a ∈ π} E(Y_a, x_a)),    loss = E(Y) + log Σ_{Y'} exp(−E(Y'))

so that training needs the strings alone (discriminative forward training; LeCun, Bottou, Bengio and Haffner,
"Gradient-based learning applied to document recognition", 1998, section VI). The energies are not normalised per arc:
two arcs and one arc over the same ink compete. The baselines cut first and recognise afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import factorgraph as fg
from factorgraph.datasets import DigitLines, Line, digit_lines
from factorgraph.labelers.fixed import FixedSegmentation
from factorgraph.labelers.metrics import character_error, string_error
from factorgraph.plots import draw_lines

#: Lines in the picture: the first ones, and the first of those misread that come after them.
FIRST, MISREAD = 10, 2

Say = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """How much is learned from, and how: lines to train on and to test on, passes, lines per step, rate and l2 of Adam,
    units of the recogniser's hidden layer; by how much the digits of training lines vary."""

    train: int
    test: int
    epochs: int
    batch: int
    rate: float
    l2: float
    hidden: int
    vary: float


#: All but the number of test lines was chosen on lines of training digits that were held out, at seeds 11 and 12.
FULL = Size(train=10000, test=1000, epochs=10, batch=32, rate=8e-3, l2=3e-4, hidden=256, vary=0.1)
QUICK = Size(train=400, test=100, epochs=4, batch=4, rate=1e-2, l2=0.0, hidden=96, vary=0.0)


@dataclass(frozen=True)
class Report:
    """What `--json` prints. Errors are shares, 0..1; picture: the path of the PNG, None without matplotlib."""

    seed: int
    string_error: float
    character_error: float
    baseline_string_error: float
    seconds: float
    lines_trained: int
    lines_tested: int
    picture: str | None


def run(seed: int, size: Size, picture: Path, say: Say, progress: bool = False) -> Report:
    """Train, read the held-out lines, compare with the baselines, draw. `say` gets the text, line by line."""
    began = perf_counter()
    with threadpool_limits(1, "blas"):  # the products are small: more threads are slower, and compete with ours
        lines = digit_lines(size.train, size.test, seed, vary=size.vary)
        say(f"Learning to read {size.train:,} lines of touching digits from their strings alone (seed {seed}) ...")
        reader = fg.SegmentLabeler(
            hidden=size.hidden,
            optimizer=fg.optim.Adam(size.rate, l2=size.l2, schedule="linear"),
            epochs=size.epochs,
            batch_size=size.batch,
            random_state=seed,
            progress=progress,
        )
        reader.fit(*images_and_strings(lines.train))
        trained = perf_counter()
        images, _ = images_and_strings(lines.test)
        readings = reader.predict(images)
        cuts = [np.concatenate([[0], spans[:, 1]]) for spans in reader.align(images, readings)]
        seconds = (trained - began, perf_counter() - trained)
        say(f"  {seconds[0]:.1f} s for {size.epochs} epochs, {seconds[1]:.1f} s to read {size.test:,} other lines")
        errors = _compare(lines, readings, seed, say)
    drawn = _draw(picture, lines.test, readings, cuts, errors["string_error"], say)
    total = perf_counter() - began
    say(f"{total:.0f} s in all")
    return Report(
        seed=seed,
        **errors,
        seconds=round(total, 2),
        lines_trained=len(lines.train),
        lines_tested=len(lines.test),
        picture=drawn,
    )


def images_and_strings(lines: Sequence[Line]) -> tuple[list[np.ndarray], list[list[int]]]:
    """What a reader learns from."""
    return [line.image for line in lines], [line.digits.tolist() for line in lines]


def _compare(lines: DigitLines, readings: Sequence[Any], seed: int, say: Say) -> dict[str, float]:
    """The errors that a report has, of the readings and of the baseline; says these and the better baseline's."""
    images, truths = images_and_strings(lines.test)
    table: list[tuple[str, Sequence[Any]]] = [("segmented while reading, from strings alone", readings)]
    for title, own_cuts in (("cut first, then recognised", False), ("  the same, trained on its own cuts", True)):
        table.append((title, FixedSegmentation(own_cuts=own_cuts, seed=seed).fit(lines.train).predict(images)))
    errors = [(string_error(truths, said), character_error(truths, said)) for _, said in table]
    say(f"{'':46}string error   character error")
    for (title, _), (strings, characters) in zip(table, errors):
        say(f"  {title:44}{strings:>12.1%}{characters:>18.1%}")
    (strings, characters), (baseline, _) = errors[:2]
    return {"string_error": strings, "character_error": characters, "baseline_string_error": baseline}


def _draw(
    path: Path, lines: Sequence[Line], readings: Sequence[Any], cuts: Sequence[Any], error: float, say: Say
) -> str | None:
    """Draw the first lines and a few misread ones; the path, or None where that is not possible."""
    if find_spec("matplotlib") is None:
        say("No picture: matplotlib is not installed (pip install matplotlib).")
        return None
    later = range(FIRST, len(lines))
    misread = [i for i in later if list(readings[i]) != lines[i].digits.tolist()][:MISREAD]
    chosen = [*range(min(FIRST, len(lines))), *misread]
    title = f"{len(lines):,} unseen lines, {error:.1%} misread: the first {len(chosen) - len(misread)}"
    draw_lines(
        path,
        [lines[i].image for i in chosen],
        [cuts[i] for i in chosen],
        [readings[i] for i in chosen],
        [lines[i].digits for i in chosen],
        title=title + (f", then the next {len(misread)} misread" if misread else ""),
    )
    say(f"Picture: {path}")
    return str(path)
