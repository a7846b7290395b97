"""Model files: megabytes of text to a graph, against splitting it and converting the tokens."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import factorgraph as fg
from bench.harness import Measure, Options, Row, alternate, compare

#: Part of the work that toulbar2 does. (pgmpy takes seconds for kilobytes: no share of it is worth the wait.)
SHARE = 0.02


def model(path: Path, megabytes: float, digits: int) -> Path:
    """A .uai file of about that size: pairs of variables of 5 states, numbers of so many digits."""
    rng = np.random.default_rng(0)
    variables = 1000
    factors = int(megabytes * 1e6 / (25 * (digits + 3) + 10))
    first = rng.integers(0, variables - 1, factors)
    second = rng.integers(first + 1, variables)
    with open(path, "w") as file:
        file.write(f"MARKOV\n{variables}\n{'5 ' * variables}\n{factors}\n")
        file.writelines(f"2 {a} {b}\n" for a, b in zip(first, second, strict=True))
        for _ in range(factors):
            file.write("25\n" + " ".join([f"{x:.{digits}f}" for x in rng.uniform(0.1, 9, 25)]) + "\n")
    return path


def split(path: Path) -> Any:
    """What Python and numpy make of the text without looking at it."""
    return np.array(path.read_bytes().split()[1:], np.float64)


def toulbar2(path: Path) -> Any:
    """Its reader, with what it does to a model when it reads it."""
    import pytoulbar2

    problem = pytoulbar2.CFN()
    problem.Read(str(path))
    return problem


def uai(options: Options) -> Iterator[Row]:
    """10 and 100 MB, short and long numbers."""
    with tempfile.TemporaryDirectory() as folder:
        for megabytes, digits in ((10, 4), (10, 16), (100, 6)):
            size = megabytes * options.size(100, 1) / 100
            path = model(Path(folder) / "model.uai", size, digits)
            calls: dict[str, Callable[[], Any]] = {"ours": partial(fg.read, path), "split": partial(split, path)}
            rounds = options.repeat if megabytes < 100 else min(2, options.repeat)
            if megabytes == 100:  # the tokens would take gigabytes
                del calls["split"]
            seconds = alternate(calls, rounds)
            what = f"{size:g} MB of .uai, {digits} digits"
            yield Row(what, "s", Measure.of(seconds["ours"]), bar=megabytes / 10)
            if "split" in calls:
                yield compare(seconds, f"{what}, against split and float64", "split", unit="s", scale=1, bar=1)
        if find_spec("pytoulbar2") is not None:
            path = model(Path(folder) / "model.uai", 10 * options.size(100, 10) / 100, 4)
            small = model(Path(folder) / "small.uai", 10 * SHARE * options.size(100, 10) / 100, 4)
            calls = {"ours": partial(fg.read, path), "toulbar2": partial(toulbar2, small)}
            seconds = alternate(calls, min(3, options.repeat))
            yield compare(seconds, "10 MB of .uai, against toulbar2", "toulbar2", unit="s", scale=1, share=SHARE)


SECTIONS = (uai,)
