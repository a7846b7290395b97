"""How wrong predicted strings are.

    string error    = share of the strings that are not exactly right
    character error = sum of edit distances / sum of the true strings' lengths        (can exceed 1)

The edit distance is Levenshtein's: the least number of insertions, deletions and substitutions of one symbol
(Wagner and Fischer, "The string-to-string correction problem", 1974). A string is any sequence of symbols that
compare by ==: a str, a list, an array of ints.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from factorgraph.errors import FactorGraphError


def edit_distance(a: Iterable[Any], b: Iterable[Any]) -> int:
    """Least number of insertions, deletions and substitutions that turn `a` into `b`.

    >>> edit_distance("kitten", "sitting"), edit_distance([3, 1, 7], [3, 7])
    (3, 1)
    """
    target = list(b)
    previous = list(range(len(target) + 1))
    for i, symbol in enumerate(a, start=1):
        current = [i]
        for j, other in enumerate(target, start=1):
            current.append(min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + bool(symbol != other)))
        previous = current
    return previous[-1]


def string_error(truth: Sequence[Sequence[Any]], predicted: Sequence[Sequence[Any]]) -> float:
    """Share of the strings that are not exactly right, 0..1. Raises FactorGraphError where the numbers differ.

    >>> string_error(["317", "42"], ["317", "4"])
    0.5
    """
    _check("string_error", truth, predicted)
    return sum(list(t) != list(p) for t, p in zip(truth, predicted, strict=True)) / len(truth)


def character_error(truth: Sequence[Sequence[Any]], predicted: Sequence[Sequence[Any]]) -> float:
    """Sum of edit distances over the sum of true lengths. Raises FactorGraphError where there is nothing to read.

    >>> character_error(["317", "42"], ["317", "4"])
    0.2
    """
    _check("character_error", truth, predicted)
    length = sum(len(t) for t in truth)
    if length == 0:
        raise FactorGraphError(
            "character_error: expected at least one symbol in the true strings; got only empty strings. "
            "The character error is relative to their length; use string_error."
        )
    return sum(edit_distance(t, p) for t, p in zip(truth, predicted, strict=True)) / length


def _check(where: str, truth: Sequence[Sequence[Any]], predicted: Sequence[Sequence[Any]]) -> None:
    if len(truth) != len(predicted) or len(truth) == 0:
        raise FactorGraphError(
            f"{where}: expected one predicted string for each of at least one true string; "
            f"got {len(truth)} true and {len(predicted)} predicted. Pass the two lists in the same order."
        )
