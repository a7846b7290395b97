"""What a plan is made of: groups of variables, blocks of factors, lattices; and the hash of all that."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np

from ..kernels.tables import COUNT


class Group(NamedTuple):
    """Variables declared together: `start … start + count − 1`, seen by users as an array of `shape`."""

    name: str
    example: int  # which example of a Model declared it, −1 outside
    start: int
    count: int  # type: ignore[assignment]
    shape: tuple[int, ...]
    latent: bool
    lattice: int  # index of the lattice whose arcs these are, −1 for ordinary variables


@dataclass(frozen=True)
class Block:
    """All factors of one family over scopes with one tuple of state counts.

    Its part of the energies is `energies[start : start + tables * size]`, seen as (tables, *shape).
    """

    states: tuple[int, ...]  # states of each scope position
    shape: tuple[int, ...]  # of one table's entries: `states` (dense) or fewer (parametric)
    kind: int  # how entries make energies: see kernels.tables
    scopes: np.ndarray  # int32 (F, arity)
    table: np.ndarray | None  # int64 (F,) table read by each factor; None: factor f reads table f
    tables: int
    start: int
    lattice: bool  # scopes are arcs; arity 2 means consecutive arcs

    @property
    def size(self) -> int:
        """Entries of one table."""
        return prod(self.shape)

    @property
    def work(self) -> float:
        """Configurations of one factor, or of all counters that stand for it: what a message costs that reads them."""
        if self.kind >= COUNT:
            return 2.0 * len(self.states) * self.size**2
        return float(np.prod(self.states, dtype=float))

    def view(self, flat: np.ndarray) -> np.ndarray:
        """This block's part of a flat array in the energies' layout, as (tables, *shape)."""
        return flat[self.start : self.start + self.tables * self.size].reshape(self.tables, *self.shape)


class Lattices(NamedTuple):
    """All lattices of a plan: lattice l has arcs `ptr[l] : ptr[l + 1]` and nodes 0 … nodes[l] − 1."""

    ptr: np.ndarray  # int64 (L + 1,)
    var: np.ndarray  # int64 (A,) the variable that an arc is
    start: np.ndarray  # int64 (A,)
    end: np.ndarray  # int64 (A,)
    nodes: np.ndarray  # int64 (L,)
    component: np.ndarray  # int64 (L,)

    @staticmethod
    def none() -> Lattices:
        """No lattice at all."""
        empty = np.zeros(0, np.int64)
        return Lattices(np.zeros(1, np.int64), empty, empty, empty, empty, empty)


def digest(states: np.ndarray, groups: tuple[Group, ...], blocks: tuple[Block, ...], lattices: Lattices) -> bytes:
    """Hash of a structure; the names of states are presentation and stay out."""
    h = hashlib.sha1(usedforsecurity=False)
    h.update(np.ascontiguousarray(states).data)
    h.update(repr(groups).encode())
    for b in blocks:
        h.update(repr((b.states, b.shape, b.kind, b.scopes.shape, b.tables, b.table is None, b.lattice)).encode())
        h.update(np.ascontiguousarray(b.scopes).data)
        if b.table is not None:
            h.update(np.ascontiguousarray(b.table).data)
    for array in lattices[:5]:
        h.update(np.ascontiguousarray(array).data)
    return h.digest()
