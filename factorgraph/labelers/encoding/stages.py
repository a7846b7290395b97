"""Numbering the values of tuples of neighbouring entries of columns."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

import numpy as np

from ...kernels import keys as kernels

#: The largest product of alphabets for which a table has an entry for every key.
DIRECT = 1 << 20
_FIRST = 1 << 12


@dataclass
class Stage:
    """A tuple of entries of columns, and its values.

    parts: int64 (n, 3), see kernels/keys.py. keys: int64 (features,). direct, table: where they are found, both empty
    until they are needed. base: of the hash.
    """

    parts: np.ndarray
    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    direct: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    table: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    base: int = field(default_factory=lambda: (1 << 29) + secrets.randbits(29))

    @property
    def product(self) -> int:
        """How many keys there can be."""
        product = 1
        for radix in self.parts[:, kernels.RADIX].tolist():
            product *= radix
        return product

    def learn(self, columns: np.ndarray, margin: int, out: np.ndarray) -> None:
        """out: int32 (positions,), features, numbered by first appearance, or kernels.UNKNOWN or SKIPPED."""
        self.keys = np.empty(_FIRST, np.int64)
        self.direct, self.table = self._empty(_FIRST)
        count = self._number(columns, margin, True, out)
        self.keys = self.keys[:count].copy()

    def find(self, columns: np.ndarray, margin: int, out: np.ndarray) -> None:
        """The same of what has been learned."""
        if not self.direct.size and not self.table.size:
            direct, table = self._empty(self.keys.size)
            if direct.size:
                direct[self.keys] = np.arange(self.keys.size, dtype=np.int32)
            else:
                kernels.fill(self.keys, self.base, table)
            self.direct, self.table = direct, table  # filled, as another thread may be waiting for them
        self._number(columns, margin, False, out)

    def keep(self, chosen: np.ndarray) -> None:
        """Only the features of a mask are left."""
        self.keys = self.keys[chosen]
        self.direct, self.table = self.direct[:0], self.table[:0]

    def _empty(self, features: int) -> tuple[np.ndarray, np.ndarray]:
        """Tables for so many: direct, or open with room for as many again."""
        if self.product <= DIRECT:
            return np.full(self.product, -1, np.int32), self.table[:0]
        return self.direct[:0], np.full(2 << max(4, (2 * features).bit_length()), -1, np.int64)

    def _number(self, columns: np.ndarray, margin: int, add: bool, out: np.ndarray) -> int:
        """How many features there are now."""
        positions = out.size
        out[:margin] = out[positions - margin :] = kernels.SKIPPED
        scratch = np.empty(3 * kernels.BLOCK, np.int64)
        state = np.zeros(kernels.STATE, np.int64)
        state[kernels.AT], state[kernels.ROW] = margin, positions
        state[kernels.BASE], state[kernels.ADD] = self.base, add
        while state[kernels.AT] < positions - margin:
            state[kernels.LAST] = min(positions - margin, state[kernels.AT] + kernels.BUDGET)
            code = kernels.number(
                columns.reshape(-1), self.parts, self.direct, self.table, self.keys, state, scratch, out
            )
            if code == kernels.FULL:
                self._grow(int(state[kernels.COUNT]))
        return int(state[kernels.COUNT])

    def _grow(self, count: int) -> None:
        keys = np.empty(4 * self.keys.size, np.int64)
        keys[:count] = self.keys[:count]
        self.keys = keys
        if self.table.size:
            self.table = np.full(4 * self.table.size, -1, np.int64)
            kernels.fill(keys[:count], self.base, self.table)
