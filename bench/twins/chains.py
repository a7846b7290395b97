"""Ragged chains with one shared table: the variants of chains.cpp (minima) and marginals.cpp (sums)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .build import VECTOR_BYTES, Argument, function, slack, workspace


class Decoded(NamedTuple):
    """`labels` int32 (T,), `least` float64 (N,): energy of each chain's best labelling, as rounded by the dtype."""

    labels: np.ndarray
    least: np.ndarray


class Summed(NamedTuple):
    """`marginals` (T, S) of the unaries' dtype, `logz` float64 (N,)."""

    marginals: np.ndarray
    logz: np.ndarray


def decoders(states: int, dtype: np.dtype) -> tuple[str, ...]:
    """Variants of `viterbi` that make sense: side by side in lanes where a row of the table is a few vectors."""
    few = ("lanes",) if states * dtype.itemsize <= 4 * VECTOR_BYTES else ()
    return ("rows", "tile", "block", *few, *(("narrow",) if states <= 8 else ()))


def summers(states: int, dtype: np.dtype) -> tuple[str, ...]:
    """Variants of `forward_backward` that make sense."""
    return ("tile", "lanes") if states * dtype.itemsize <= 4 * VECTOR_BYTES else ("tile",)


def viterbi(variant: str, unary: np.ndarray, table: np.ndarray, offsets: np.ndarray) -> Callable[[], Decoded]:
    """A call that decodes (T, S) unaries and an (S, S) table of one dtype; only its memory is there beforehand."""
    run = function("chains", f"{variant}_{table.dtype.name}")
    given = _batch(unary, table, offsets)
    out = Decoded(np.empty(len(unary), np.int32), np.empty(len(offsets) - 1))

    def call() -> Decoded:
        run(*given, *out)
        return out

    return call


def forward_backward(variant: str, unary: np.ndarray, table: np.ndarray, offsets: np.ndarray) -> Callable[[], Summed]:
    """The same for marginals and log Z of exp(-energy)."""
    run = function("marginals", f"{variant}_{table.dtype.name}")
    given = _batch(unary, table, offsets)
    out = Summed(np.empty_like(unary), np.empty(len(offsets) - 1))

    def call() -> Summed:
        run(*given, *out)
        return out

    return call


def _batch(unary: np.ndarray, table: np.ndarray, offsets: np.ndarray) -> tuple[Argument, ...]:
    """What every variant takes: unaries, table, offsets, number of chains, states, and memory enough for any."""
    lanes = VECTOR_BYTES // table.itemsize
    states, longest = len(table), int(np.diff(offsets).max())
    tables = (2 * states + 16) * max(4 * lanes, states + lanes)
    beliefs = (longest + 4 * lanes) * (states + lanes) * max(lanes, 4)
    work = workspace(tables + 2 * beliefs, table.dtype)
    return slack(unary), np.ascontiguousarray(table), offsets.astype(np.int64), len(offsets) - 1, states, work
