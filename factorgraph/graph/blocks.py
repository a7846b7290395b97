"""From calls of `add` to blocks: scopes as index arrays, declarations of one family merged."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..errors import FactorGraphError
from ..factors import Factor, Layout
from ..plan import Block


class Part(NamedTuple):
    """One `add`: a factor over `len(scopes)` scopes."""

    factor: Factor
    layout: Layout
    scopes: np.ndarray
    states: tuple[int, ...]
    lattice: bool


def read_scopes(where: str, scopes: Sequence[Any]) -> tuple[np.ndarray, tuple[int, ...]]:
    """int32 (F, arity) scopes and the shape they broadcast to."""
    if not scopes:
        return np.zeros((1, 0), np.int32), ()
    shapes = [s.ids.shape for s in scopes]
    shape = shapes[0]
    if len(scopes) == 1:
        return scopes[0].ids.reshape(-1, 1), shape
    try:
        if shapes.count(shape) < len(shapes):
            shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise FactorGraphError(
            f"{where}: expected scopes whose shapes broadcast; got "
            + " and ".join(f"{s.label} {s.shape}" for s in scopes)
        ) from None
    ids = np.empty((*shape, len(scopes)), np.int32)
    for k, scope in enumerate(scopes):
        ids[..., k] = scope.ids
    ids = ids.reshape(prod(shape), len(scopes))
    if len(scopes) > 4:  # pairs of positions are many
        ascending = np.sort(ids, 1)
        if (ascending[:, 1:] != ascending[:, :-1]).all():
            return ids, shape
    for k in range(1, len(scopes)):
        for j in range(k):
            same = ids[:, j] == ids[:, k]
            if same.any():
                at = tuple(int(i) for i in np.unravel_index(np.argmax(same), shape))
                raise FactorGraphError(
                    f"{where}: a variable stands twice in one scope, at positions {j} ({scopes[j].label}) and {k} "
                    f"({scopes[k].label}) of scope {at}; expected different variables. Fold it into a smaller table"
                )
    return ids, shape


def read_lattice_scopes(where: str, scopes: Sequence[Any]) -> tuple[np.ndarray, tuple[int, ...]]:
    first = scopes[0]
    if len(scopes) > 2 or any(s is not first for s in scopes):
        raise FactorGraphError(
            f"{where}: expected (lattice) to score arcs or (lattice, lattice) to score consecutive arcs; got "
            + ", ".join(map(repr, scopes))
        )
    if len(scopes) == 1:
        return first.ids[:, None], first.shape
    pairs = first.pairs
    return first.ids[pairs], (len(pairs),)


def make_blocks(declared: Sequence[Part]) -> tuple[tuple[Block, ...], list[Factor]]:
    """Merge declarations of equal key and states into blocks; factors[i] fills block i."""
    merged: dict[Hashable, list[Part]] = {}
    for i, part in enumerate(declared):
        key = part.factor.key()
        slot = (i,) if key is None else (key, part.states, part.lattice)
        merged.setdefault(slot, []).append(part)
    blocks: list[Block] = []
    owners: dict[str, tuple[int, ...]] = {}
    factors: list[Factor] = []
    start = 0
    for parts in merged.values():
        first = parts[0].layout
        table, stored = _tables(parts)
        if len(stored) == 1:
            factor = stored[0].factor
        else:
            factor = type(stored[0].factor).merge([p.factor for p in stored], [p.layout.tables for p in stored])
        scopes = parts[0].scopes if len(parts) == 1 else np.concatenate([p.scopes for p in parts])
        tables = sum(p.layout.tables for p in stored)
        scopes = np.ascontiguousarray(scopes, np.int32)
        block = Block(parts[0].states, first.shape, first.kind, scopes, table, tables, start, parts[0].lattice)
        start += tables * block.size
        for name, shape in factor.parameters(block.states).items():
            if owners.setdefault(name, shape) != shape:
                raise FactorGraphError(
                    f"parameter {name!r}: expected one shape in all factors that share it; got {owners[name]} and "
                    f"{shape}. Scopes of other state counts need a parameter of another name"
                )
        blocks.append(block)
        factors.append(factor)
    return tuple(blocks), factors


def _tables(parts: Sequence[Part]) -> tuple[np.ndarray | None, list[Part]]:
    """Which table each factor of merged parts reads (None: its own), and the parts whose tables are stored: parts of
    equal identity share one."""
    index: list[tuple[int, int, bool]] = []
    stored: list[Part] = []
    known: dict[Hashable, int] = {}
    start = 0
    for part in parts:
        layout, count = part.layout, len(part.scopes)
        first = known.get(layout.identity) if layout.identity is not None else None
        if first is None:
            first, start = start, start + layout.tables
            stored.append(part)
            if layout.identity is not None:
                known[layout.identity] = first
        index.append((first, count, layout.shared))
    if start == sum(count for _, count, _ in index) and (len(index) == 1 or len(stored) == len(parts)):
        return None, stored
    table = [np.full(n, first, np.int64) if shared else first + np.arange(n) for first, n, shared in index]
    return np.concatenate(table), stored
