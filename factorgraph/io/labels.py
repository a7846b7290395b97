"""Labellings in files: the UAI result layout ("MPE", then the number of variables and their labels), and .sol files
(the labels alone)."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np

from .source import Scanner, load
from .write import write_lines


def labels_text(labels: Iterable[int]) -> str:
    """The two lines of a result file."""
    each = [str(int(label)) for label in labels]
    return "\n".join(["MPE", " ".join([str(len(each)), *each])])


def write_labels(path: str | os.PathLike[str], labels: Iterable[int]) -> None:
    """Write a result file. Errors: FormatError where that is not possible."""
    write_lines(os.fsdecode(path), iter([labels_text(labels)]))


def read_labels(path: str | os.PathLike[str], states: np.ndarray) -> np.ndarray:
    """int32 (V,): the last labelling of a result or .sol file, for variables of so many states. Errors: FormatError."""
    name = os.fsdecode(path)
    scanner = Scanner(name, load(name, 1 << 30))
    if scanner.token().upper() in ("MPE", "MAP"):
        scanner.word("MPE")
        last = scanner.data.rfind(b"-BEGIN-")
        scanner.begin(scanner.at if last < 0 else last + len(b"-BEGIN-"))
        scanner.integer("the number of variables", states.size, states.size)
    labels = scanner.integers(states.size, "a label", 0, int(states.max(initial=1)) - 1)
    scanner.finish()
    return labels
