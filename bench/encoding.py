"""Tokens to features: files, templates, lists and dicts, in ns per token; against Python and python-crfsuite."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bench.harness import Measure, Options, Row, alternate, compare
from factorgraph.labelers.encoding import (
    CHUNKING,
    CRFSUITE_CHUNKING,
    Features,
    Templates,
    read_columns,
    read_crfsuite,
)
from factorgraph.labelers.encoding.parse import parse

#: Sequences that Python and python-crfsuite work on.
SOME = 1000
_TERMS = [(text, [(term.column, term.offset) for term in parse(text)]) for text in CRFSUITE_CHUNKING[:-2]]

Tokens = list[tuple[str, ...]]


def corpus(folder: Path, options: Options) -> tuple[Path, str]:
    """(training file of CoNLL-2000, "") or, without FACTORGRAPH_DATA, (a random one of its size, "synthetic")."""
    data = os.environ.get("FACTORGRAPH_DATA")
    if data and not options.quick:
        return Path(data) / "conll2000" / "train.txt", ""
    rng = np.random.default_rng(0)
    path, count = folder / "tokens.txt", options.size(9000, 200)
    words = np.minimum(rng.zipf(1.3, (count, 24)), 30_000)
    with open(path, "w") as file:
        for row in words:
            file.writelines(f"word{word} T{word % 40} L{word % 20}\n" for word in row)
            file.write("\n")
    return path, "synthetic"


def split(path: Path) -> list[Tokens]:
    """Lists of tuples of strings, as Python reads them."""
    sequences: list[Tokens] = [[]]
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                sequences[-1].append(tuple(line.split()))
            elif sequences[-1]:
                sequences.append([])
    return [sequence for sequence in sequences if sequence]


def strings(sequence: Tokens) -> list[list[str]]:
    """CRFsuite's 19 templates, a string for each."""
    columns = {"w": [token[0] for token in sequence], "pos": [token[1] for token in sequence]}
    found = []
    for t in range(len(sequence)):
        item = []
        for text, terms in _TERMS:
            if all(0 <= t + offset < len(sequence) for _, offset in terms):
                item.append(f"{text}={'|'.join([columns[column][t + offset] for column, offset in terms])}")
        found.append(item)
    return found


def dicts(sequence: Tokens) -> list[dict[str, Any]]:
    """The features of a token and its neighbours, as users of sklearn-crfsuite write them."""
    found = []
    for t in range(len(sequence)):
        item: dict[str, Any] = {"bias": 1.0, "BOS": t == 0, "EOS": t == len(sequence) - 1}
        for offset in (-1, 0, 1):
            if 0 <= t + offset < len(sequence):
                word, pos = sequence[t + offset][:2]
                item[f"{offset}:lower"], item[f"{offset}:pos"] = word.lower(), pos
                item[f"{offset}:title"], item[f"{offset}:upper"] = word.istitle(), word.isupper()
                item[f"{offset}:suffix"], item[f"{offset}:pos2"] = word[-3:], pos[:2]
        found.append(item)
    return found


def numbered(sequences: list[Tokens]) -> list[list[list[int]]]:
    """The string way: build each, look it up in a dict."""
    ids: dict[str, int] = {}
    return [[[ids.setdefault(name, len(ids)) for name in item] for item in strings(each)] for each in sequences]


def read(options: Options) -> Iterator[Row]:
    """A file of three columns to numbers of strings; the same tokens as CRFsuite's attributes."""
    with tempfile.TemporaryDirectory() as name:
        path, note = corpus(Path(name), options)
        sequences = split(path)
        tokens = sum(map(len, sequences))
        times = alternate({"ours": partial(read_columns, path), "split": partial(split, path)}, options.repeat)
        row = compare(times, "three columns, against split", "split", unit="ns", scale=1e9 / tokens, bar=0.3, note=note)
        yield row
        yield Row("three columns", "ns", row.ours, bar=1e3 / 11.8, note=note)
        some = sequences[:SOME]
        attributes = Path(name) / "attributes.txt"
        lines = ["\t".join(["x", *(each.replace(":", "\\:") for each in item)]) for s in some for item in strings(s)]
        attributes.write_text("\n".join(lines) + "\n", encoding="utf-8")
        seconds = alternate({"ours": partial(read_crfsuite, attributes)}, options.repeat)["ours"]
        yield Row("17 attributes a token", "ns", Measure.of([1e9 * s / len(lines) for s in seconds]), note=note)


def templates(options: Options) -> Iterator[Row]:
    """Columns to rows of features: learning them, finding them; the bar is a probe's 4.9 and 5.8 million tokens/s."""
    with tempfile.TemporaryDirectory() as name:
        path, note = corpus(Path(name), options)
        columns, others, some = read_columns(path), read_columns(path), split(path)[:SOME]
    share = sum(map(len, some)) / columns.tokens
    for what, texts, pad in (("19 templates", CRFSUITE_CHUNKING, False), ("37 templates", CHUNKING, True)):
        ours = Templates(*texts, pad=pad)
        ours.fit(others)  # so that strings are found, not known to be the same
        calls: dict[str, Callable[[], Any]] = {"ours": partial(Templates(*texts, pad=pad).fit, columns)}
        calls["find"] = partial(ours.transform, columns)
        if pad:
            times = alternate(calls, options.repeat)
        else:
            times = alternate({**calls, "strings": partial(numbered, some)}, min(3, options.repeat))
            claim = {"share": share, "unit": "ns", "scale": 1e9 / columns.tokens, "bar": 1 / 30, "note": note}
            yield compare(times, f"{what}, fit, against strings", "strings", **claim)
        for part, key, rate in (("fit", "ours", 4.9), ("transform", "find", 5.8)):
            measure = Measure.of([1e9 * s / columns.tokens for s in times[key]])
            yield Row(f"{what}, {part}", "ns", measure, bar=None if pad else 1e3 / rate, note=note)


def attributes(options: Options) -> Iterator[Row]:
    """Ready-made lists and dicts, against what python-crfsuite does with them before it trains, and before it tags
    (where ours looks up every feature as well)."""
    if find_spec("pycrfsuite") is None:
        return
    import pycrfsuite

    with tempfile.TemporaryDirectory() as name:
        path, note = corpus(Path(name), options)
        some = split(path)[: options.size(SOME, 50)]
    tokens = sum(map(len, some))

    def append(X: list[Any]) -> None:
        trainer = pycrfsuite.Trainer("lbfgs", verbose=False)
        for sequence in X:
            trainer.append(sequence, ["x"] * len(sequence))

    def convert(X: list[Any]) -> None:
        for sequence in X:
            pycrfsuite.ItemSequence(sequence)

    for what, X in (("lists of strings", list(map(strings, some))), ("dicts", list(map(dicts, some)))):
        ours = Features()
        ours.fit(X)
        calls: dict[str, Callable[[], Any]] = {"ours": lambda: Features().fit(X), "append": partial(append, X)}  # noqa: B023
        times = alternate(calls, options.repeat)
        claim = {"unit": "ns", "scale": 1e9 / tokens, "bar": 1, "note": note}
        yield compare(times, f"{what}, fit, against Trainer.append", "append", **claim)
        times = alternate({"ours": partial(ours.transform, X), "convert": partial(convert, X)}, options.repeat)
        yield compare(times, f"{what}, transform, against ItemSequence", "convert", **claim)


SECTIONS = (read, templates, attributes)
