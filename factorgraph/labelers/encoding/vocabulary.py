"""Distinct strings, numbered in order of first appearance; bytes in UTF-8, so that a million of them are two arrays."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np

from ...errors import FactorGraphError
from ...kernels import strings as kernels
from .encoded import Arrays

_SMALLEST = 1 << 10
#: Lone surrogates are possible in Python's strings, so they are in ours.
_SURROGATES = "surrogatepass"
_FEED = ord("\n")


def pack(strings: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(source, starts, ends): string i is source[starts[i] : ends[i]], uint8; places are int64."""
    # Writable, so that kernels are compiled once. Line feeds are found faster than lengths, but strings may hold some.
    source = np.frombuffer(bytearray("\n".join(strings).encode("utf-8", _SURROGATES)), np.uint8)
    places = np.zeros(len(strings) + 1, np.int64)
    feeds = np.flatnonzero(source == _FEED)
    if strings and feeds.size == len(strings) - 1:
        places[1:-1], places[-1] = feeds + 1, source.size + 1
    else:
        sizes = (len(each.encode("utf-8", _SURROGATES)) + 1 for each in strings)
        np.cumsum(np.fromiter(sizes, np.int64, len(strings)), out=places[1:])
    return source, places[:-1], places[1:] - 1


def unpack(text: np.ndarray, offsets: np.ndarray) -> list[str]:
    """The strings again."""
    data = text.tobytes()
    ends = offsets.tolist()
    if data.isascii():
        joined = data.decode("ascii")
        return [joined[a:b] for a, b in zip(ends[:-1], ends[1:])]
    return [data[a:b].decode("utf-8", _SURROGATES) for a, b in zip(ends[:-1], ends[1:])]


class Vocabulary:
    """Strings 0 … len − 1.

    >>> words = Vocabulary()
    >>> words.add(["the", "cat", "the"]).tolist(), words.find(["cat", "dog"]).tolist(), words.strings()
    ([0, 1, 0], [1, -1], ['the', 'cat'])
    """

    def __init__(self) -> None:
        self._text = np.empty(8 * _SMALLEST, np.uint8)
        self._offsets = np.zeros(_SMALLEST, np.int64)
        self._table = np.full(2 * _SMALLEST, -1, np.int64)
        self._state = np.zeros(kernels.STATE, np.int64)
        self._state[kernels.BASE] = (1 << 29) + secrets.randbits(29)

    def __len__(self) -> int:
        return int(self._state[kernels.COUNT])

    @property
    def text(self) -> np.ndarray:
        """uint8: all strings, one after the other."""
        return self._text[: self._state[kernels.USED]]

    @property
    def offsets(self) -> np.ndarray:
        """int64 (len + 1,): string r is text[offsets[r] : offsets[r + 1]]."""
        return self._offsets[: len(self) + 1]

    def strings(self) -> list[str]:
        """All of them, by number."""
        return unpack(self.text, self.offsets)

    def string(self, number: int) -> str:
        """One of them."""
        return unpack(self.text[self._offsets[number] : self._offsets[number + 1]], np.array([0, self.size(number)]))[0]

    def size(self, number: int) -> int:
        """Bytes of one of them."""
        return int(self._offsets[number + 1] - self._offsets[number])

    def add(self, strings: Sequence[str]) -> np.ndarray:
        """int32 numbers of strings; new ones get the next."""
        return self.add_bytes(*pack(strings))

    def find(self, strings: Sequence[str]) -> np.ndarray:
        """int32 numbers of strings, −1 for unknown ones."""
        return self.find_bytes(*pack(strings))

    def add_bytes(self, source: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """The same of strings source[starts[i] : ends[i]]."""
        return self._look(source, starts, ends, True)

    def find_bytes(self, source: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """The same of strings source[starts[i] : ends[i]]."""
        return self._look(source, starts, ends, False)

    def find_all(self, other: Vocabulary) -> np.ndarray:
        """int32 (len(other),): the numbers here of all strings of another vocabulary, −1 for unknown ones."""
        return self.find_bytes(other.text, other.offsets[:-1], other.offsets[1:])

    def add_all(self, other: Vocabulary) -> np.ndarray:
        """The same, new ones added."""
        return self.add_bytes(other.text, other.offsets[:-1], other.offsets[1:])

    def _look(self, source: np.ndarray, starts: np.ndarray, ends: np.ndarray, add: bool) -> np.ndarray:
        out, scratch = np.empty(starts.size, np.int32), np.empty(kernels.BLOCK, np.int64)
        state = self._state if add else self._state.copy()  # so that threads may find at the same time
        for a in range(0, starts.size, kernels.BUDGET):
            b = min(a + kernels.BUDGET, starts.size)
            state[kernels.ADD], state[kernels.ITEM] = add, 0
            part = starts[a:b], ends[a:b]
            while (
                kernels.intern(source, *part, self._text, self._offsets, self._table, state, scratch, out[a:b])
                == kernels.FULL
            ):
                at = a + int(state[kernels.ITEM])
                self._grow(int(ends[at] - starts[at]))
        return out

    def _grow(self, size: int) -> None:
        """Make room for one more string of so many bytes, and for as many as there are."""
        count, used = len(self), int(self._state[kernels.USED])
        if count >= 2**31 - 1:
            raise FactorGraphError(f"expected fewer than 2^31 distinct strings; got {count} and more. Use hash_bits")
        if used + size > self._text.size:
            self._text = longer(self.text, used + used // 2 + size)
        if count + 1 >= self._offsets.size:
            self._offsets = longer(self.offsets, count + count // 2 + 2)
        if 3 * count >= 2 * self._table.size:
            table = np.full(2 * self._table.size, -1, np.int64)
            kernels.rehash(self._table, table)
            self._table = table

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Its text and offsets, under names that begin with `name`."""
        return {f"{name}.text": self.text, f"{name}.offsets": self.offsets}

    @classmethod
    def from_arrays(cls, arrays: Arrays, name: str) -> Vocabulary:
        """What `arrays` gave. Errors: FactorGraphError for arrays that are no distinct strings."""
        text, offsets = arrays[f"{name}.text"], arrays[f"{name}.offsets"]
        made = cls()
        fine = text.dtype == np.uint8 and offsets.dtype == np.int64 and text.ndim == offsets.ndim == 1
        fine = fine and offsets.size > 0 and offsets[0] == 0 and offsets[-1] == text.size
        fine = fine and not (np.diff(offsets) < 0).any()
        if fine:
            made.add_bytes(np.array(text), offsets[:-1], offsets[1:])
            fine = len(made) == offsets.size - 1 and is_text(text, offsets)
        if not fine:
            raise FactorGraphError(
                f"{name}: expected distinct strings in UTF-8 as bytes (uint8) and offsets (int64) that rise from 0 to "
                f"their number; got {text.dtype} {text.shape}, {offsets.dtype} {offsets.shape}. Was the file changed?"
            )
        return made


def buckets(strings: Sequence[str], bits: int) -> np.ndarray:
    """int32: hashes of strings, 0 … 2^bits − 1; the same in every process."""
    source, starts, ends = pack(strings)
    out = np.empty(starts.size, np.int32)
    kernels.hash_all(source, starts, ends, (1 << bits) - 1, out)
    return out


def is_text(text: np.ndarray, offsets: np.ndarray) -> bool:
    """Whether all strings are UTF-8."""
    try:
        text.tobytes().decode("utf-8", _SURROGATES)
    except UnicodeDecodeError:
        return False
    inside = offsets[offsets < text.size]
    return not ((text[inside] & 0xC0) == 0x80).any()  # none begins within a character


def to_text(string: str) -> np.ndarray:
    """uint8: UTF-8."""
    return np.frombuffer(string.encode("utf-8", _SURROGATES), np.uint8)


def from_text(array: np.ndarray, where: str) -> str:
    """The string again. Errors: FactorGraphError."""
    if array.dtype != np.uint8 or array.ndim != 1 or not is_text(array, np.zeros(1, np.int64)):
        raise FactorGraphError(f"{where}: expected UTF-8 text (uint8); got {array.dtype} {array.shape}")
    return array.tobytes().decode("utf-8", _SURROGATES)


def longer(array: np.ndarray, size: int) -> np.ndarray:
    """A copy with room for `size` entries."""
    copy = np.empty(size, array.dtype)
    copy[: array.size] = array
    return copy
