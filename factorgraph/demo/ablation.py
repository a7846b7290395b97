"""`demo --full`: what each part of the reader is worth, by what happens without it, on three seeds.

Systems, from cutting first to the string as a whole (LeCun, Bottou, Bengio and Haffner 1998; see the package):

    fixed cuts        cut where ink is light, then name each piece                          no latent segmentation
    isolated softmax  P(digit | piece) of single digits, best path by −log P                segmentation not trained
    energy            E_c, from the isolated classifier on                                  nothing pushes up: collapses
    perceptron        E_c − min E                                                           no margin
    hinge             [m + E_c − min over other strings of E]+                              one margin per string
    NLL               −log P(string), segmentations summed out                              linear, and with a network
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import log_softmax
from threadpoolctl import threadpool_limits

import factorgraph as fg
from factorgraph.datasets import DigitLines, Digits, digit_lines
from factorgraph.labelers.fixed import FixedSegmentation
from factorgraph.labelers.handwriting import segment_features
from factorgraph.labelers.metrics import character_error, string_error
from factorgraph.plots import draw_lattice

from . import Say, Size, images_and_strings

SEEDS = (0, 1, 2)
#: Passes of the energy loss: it has collapsed by then.
COLLAPSED = 2
#: Rate and l2 of Adam, and the margin of a string, chosen as those of FULL were.
PERCEPTRON, HINGE, MARGIN = (1e-2, 0.0), (8e-3, 3e-4), 10.0
NAMES = ("hidden.weight", "hidden.bias", "output.weight", "output.bias")
Errors = tuple[float, float]


def ablation(size: Size, say: Say, picture: Path | None = None) -> dict[str, np.ndarray]:
    """Say the table, row by row; returns (seeds, 2) string and character errors in percent by row."""
    found: dict[str, list[Errors]] = {}
    with threadpool_limits(1, "blas"):
        for split in ("random", "ordered"):
            for seed in SEEDS:
                lines = digit_lines(size.train, size.test, seed, split == "ordered", size.vary)
                for name, errors in systems(lines, seed, size, say, split == "ordered", None if seed else picture):
                    found.setdefault(f"{split:8}{name}", []).append(errors)
                    say(f"  seed {seed}, {split:8}{name:44}{errors[0]:>8.1%}{errors[1]:>8.1%}")
    say(f"\n{'split':8}{'system':46}{'string error':>16}{'character error':>18}")
    table = {name: 100 * np.array(errors) for name, errors in found.items()}
    for name, each in table.items():
        (strings, characters), (spread, other) = each.mean(0), each.std(0)
        say(f"{name:54}{strings:>9.1f} ± {spread:<4.1f}{characters:>11.1f} ± {other:<4.1f}")
    return table


def systems(
    lines: DigitLines, seed: int, size: Size, say: Say, ordered: bool, picture: Path | None
) -> Iterator[tuple[str, Errors]]:
    """(name, errors) of one system after the other; of the best and of what it is compared with, where `ordered`."""
    images, strings = images_and_strings(lines.train)
    tests, truths = images_and_strings(lines.test)

    def errors(readings: Sequence[Any]) -> Errors:
        return string_error(truths, readings), character_error(truths, readings)

    fixed = FixedSegmentation(seed=seed).fit(lines.train)
    yield "fixed cuts, then a classifier", errors(fixed.predict(tests))
    pieces = [segment_features(line.image, line.spans) for line in lines.test]
    yield "the same classifier, told the true cuts", errors([fixed.classifier_.predict(each) for each in pieces])

    cut, cut_tests = (fg.SegmentLabeler().cut(each) for each in (images, tests))

    def learned(rate: float = size.rate, l2: float = size.l2, start: Any = None, **settings: Any) -> fg.SegmentLabeler:
        average = settings.get("loss") == "perceptron"
        plain = {"hidden": size.hidden, "epochs": size.epochs, "batch_size": size.batch, "random_state": seed}
        rule = fg.optim.Adam(rate, l2=l2, schedule="linear", average=average)
        return fg.SegmentLabeler(optimizer=rule, **(plain | settings)).fit(cut, strings, start)

    reader = learned()
    yield "string NLL", errors(reader.predict(cut_tests))
    if ordered:
        return
    isolated = classifier(lines.train_digits, seed, size)
    local = learned(recogniser=normalised(isolated), epochs=0)
    yield "isolated digits, softmax, best path", errors(local.predict(cut_tests))
    flat = learned(1e-3, 0.0, isolated, loss="energy", epochs=COLLAPSED)
    yield "energy loss, from the isolated digits", errors(flat.predict(cut_tests))
    report = fg.collapse_report(flat.model, fg.losses.Energy(), cut_tests[:200], truths[:200], flat.parameters_)
    about = str(report).splitlines()
    say(f"    {about[1]} {about[-1]}")
    yield "string perceptron, averaged", errors(learned(*PERCEPTRON, loss="perceptron").predict(cut_tests))
    yield (
        "string hinge, one margin per string",
        errors(learned(*HINGE, loss=fg.losses.Hinge(margin=MARGIN)).predict(cut_tests)),
    )
    yield "string NLL, linear", errors(learned(l2=0.0, recogniser="linear").predict(cut_tests))
    if picture is not None:
        hardest = max(range(len(tests)), key=lambda i: (len(cut_tests[i].start), i))
        draw_alternatives(picture, reader, tests[hardest], say)


def classifier(digits: Digits, seed: int, size: Size) -> dict[str, np.ndarray]:
    """Parameters of a recogniser of single digits, in a picture of their own."""

    def build(g: fg.FactorGraph, image: Any) -> None:
        digit = g.variables("digit", states=10)
        g.add(fg.MLP(segment_features(image, [[0, image.shape[1]]])[0], "recogniser", hidden=size.hidden), digit)

    rule = fg.optim.Adam(3e-3, schedule="linear")
    X, y = list(digits.images), digits.labels.tolist()
    return fg.train(
        fg.Model(build), X, y, fg.losses.NLL(), rule, epochs=3 * size.epochs, batch=64, seed=seed
    ).parameters


def normalised(parameters: dict[str, np.ndarray]) -> Callable[[np.ndarray], fg.Factor]:
    """Arcs that cost −log P(digit | ink), each by itself."""
    a, c, b, d = (parameters[f"recogniser.{name}"] for name in NAMES)
    return lambda x: fg.Table(-log_softmax(-(np.tanh(x @ a + c) @ b + d), axis=1))


def draw_alternatives(path: Path, reader: fg.SegmentLabeler, image: np.ndarray, say: Say) -> None:
    """Draw one line's lattice, what is read and what else it might say."""
    if find_spec("matplotlib") is None:
        say("No picture: matplotlib is not installed (pip install matplotlib).")
        return
    (line,), (ranked,), (chance,) = (
        reader.cut([image]),
        reader.predict_k_best([image], 3),
        reader.predict_marginals([image]),
    )
    strings = [string for string, _ in ranked]
    spans = reader.align([line] * len(strings), strings)
    draw_lattice(path, image, line.cuts, line.spans, chance, strings, spans, [energy for _, energy in ranked])
    say(f"Picture: {path}")
