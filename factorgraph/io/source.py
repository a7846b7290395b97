"""Text of files: decompressed piece by piece under a limit, then read number by number.

What a file claims is believed only as far as its bytes can hold it: n numbers take at least 2n − 1 of them. So nothing
is allocated for a refused file beyond a few times its text.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any, NoReturn

import numpy as np

from ..errors import FormatError
from ..kernels import text as kernel
from ..kernels import text_models as model
from ..plan.memory import readable

#: Ways to open files by the last extension; the one before that names the format.
COMPRESSED: dict[str, Callable[..., Any]] = {".xz": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}
_MAGIC = {b"\xfd7zXZ\0": ".xz", b"\x1f\x8b": ".gz", b"BZh": ".bz2"}
_PIECE = 1 << 20
_BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError)

_EXPECTED = {
    model.ARITY: "the number of variables of factor {item}",
    model.VARIABLE: "a variable of factor {item}",
    model.LENGTH: "the number of entries of the table of factor {item}",
    model.VALUE: "{entry} of factor {item}",
    model.DEFAULT: "the default cost of function {item}",
    model.TUPLES: "the number of tuples of function {item}, or minus the number of the shared function it is like",
    model.LABEL: "a label in a tuple of function {item}",
    model.COST: "a cost of function {item}",
}


def extensions(path: str) -> tuple[str, str]:
    """(format, compression), lower case with their dots; "" where there is none."""
    suffixes = [suffix.lower() for suffix in PurePath(path).suffixes]
    packed = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSED else ""
    return (suffixes[-1] if suffixes else ""), packed


def load(path: str, limit: int) -> bytearray:
    """The decompressed bytes of a regular file. Errors: as pieces."""
    data = bytearray()
    try:
        for piece in pieces(path, limit):
            data += piece
    except MemoryError:
        raise FormatError(f"{path}: not enough memory for its text, {readable(len(data))} so far", path) from None
    return data


def pieces(path: str, limit: int) -> Iterator[bytes]:
    """The same, a megabyte at a time. Errors: FormatError for whatever cannot be opened or decompressed, for more than
    `limit` bytes, and for a byte 0."""
    count = 0
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise FormatError(f"{path}: expected a file; it is a folder or a device", path)
        with open(path, "rb") as raw:
            file = COMPRESSED[extensions(path)[1]](raw) if extensions(path)[1] else raw
            start = b""
            while piece := file.read(min(_PIECE, limit + 1 - count)):
                start = start or piece[:8]
                count += len(piece)
                if b"\0" in piece:
                    raise FormatError(f"{path}: expected text; got a byte 0.{_packed(start)}", path)
                if count > limit:
                    raise FormatError(
                        f"{path}: expected at most {readable(limit)} of text, as much as the memory_limit; got more. "
                        "Raise memory_limit if you trust the file",
                        path,
                    )
                yield piece
    except FormatError:
        raise
    except _BROKEN as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise FormatError(f"{path}: cannot be read: {reason}", path) from None


def _packed(data: bytes) -> str:
    for magic, suffix in _MAGIC.items():
        if data.startswith(magic):
            return f" It looks compressed: name it *{suffix}"
    return ""


class Scanner:
    """A position in the text of a file. Errors: FormatError with file, line and token, of all methods."""

    def __init__(self, path: str, data: bytearray):
        self.path, self.data = path, data
        self.text = np.frombuffer(data, np.uint8)
        self.begin()

    def begin(self, at: int = 0) -> None:
        """Go to a position; loops begin anew."""
        self.state = np.zeros(kernel.STATE, np.int64)
        self.state[kernel.AT], self.state[kernel.LEFT] = at, -1

    @property
    def at(self) -> int:
        """Position in the text."""
        return int(self.state[kernel.AT])

    @property
    def room(self) -> int:
        """The most tokens that can be left."""
        return (self.text.size - self.at + 1) // 2

    def token(self, at: int | None = None) -> str:
        """The token at or behind a position; "" at the end. The longest are cut."""
        found = re.compile(rb"\s*(\S{0,60})").match(self.data, self.at if at is None else at)
        assert found is not None
        return found[1].decode("utf-8", "backslashreplace")

    def refuse(self, expected: str, remedy: str = "") -> NoReturn:
        """Raise for the token at hand."""
        at = self.at
        while at < len(self.data) and self.data[at : at + 1].isspace():
            at += 1
        token, line = self.token(at), self.data.count(b"\n", 0, at) + 1
        got = repr(token) if token else "the end of the file"
        raise FormatError(
            f"{self.path}, line {line}: expected {expected}; got {got}{f'. {remedy}' if remedy else ''}",
            self.path,
            line,
            token,
        )

    def word(self, what: str) -> str:
        """The next token whatever it is; it must be UTF-8."""
        found = re.compile(rb"\s*(\S+)").match(self.data, self.at)
        try:
            word = found[1].decode() if found else ""
        except UnicodeDecodeError:
            word = ""
        if not found or not word:
            self.refuse(f"{what}, in UTF-8")
        self.state[kernel.AT] = found.end()
        return word

    def integers(self, count: int, what: str, least: int, most: int) -> np.ndarray:
        """The next `count` integers as int32, each from `least` to `most` < 2³¹."""
        out = np.empty(self.claim(count, what), np.int32)
        for start in range(0, count, kernel.BUDGET >> 4):
            part = np.empty(min(kernel.BUDGET >> 4, count - start), np.int64)
            self._integers(part, what, least, most)
            out[start : start + part.size] = part
        return out

    def integer(self, what: str, least: int = 0, most: int = kernel.LARGEST) -> int:
        """The next integer."""
        out = np.empty(1, np.int64)
        self._integers(out, what, least, most)
        return int(out[0])

    def _integers(self, out: np.ndarray, what: str, least: int, most: int) -> None:
        self.state[kernel.ENTRY] = 0
        if kernel.read_integers(self.text, self.state, least, most, out) != kernel.DONE:
            self.refuse(f"{what}, {_range(least, most)}")

    def claim(self, count: int, what: str, tokens: int = 1) -> int:
        """Check that `count` things of so many tokens each can still come."""
        if count * tokens > self.room:
            self.refuse(f"{count} times {what}", f"The file has room for at most {self.room // tokens} of them")
        return count

    def run(
        self, reader: Callable[..., int], *arguments: Any, least: float = 0, most: float = 0, entry: str = ""
    ) -> None:
        """Call a kernel until it is done. Loops begin where the text stands; `entry` names a real number, which is
        from `least` to `most`; the last argument takes those that the kernel cannot convert."""
        self.begin(self.at)
        while (code := reader(self.text, self.state, *arguments)) != kernel.DONE:
            if code == kernel.HARD:
                found = re.compile(rb"\S+").match(self.data, self.at)
                assert found is not None
                value = float(found[0])
                if not least <= value <= most:
                    self._explain(kernel.RANGE, entry)
                arguments[-1][self.state[kernel.ENTRY]] = value
                self.state[kernel.AT] = found.end()
                self.state[kernel.ENTRY] += 1
                self.state[kernel.LEFT] -= 1
            elif code != kernel.MORE:
                self._explain(code, entry)

    def _explain(self, code: int, entry: str) -> NoReturn:
        what, item = int(self.state[kernel.WHAT]), int(self.state[kernel.ITEM])
        if what == model.GLOBAL:
            self.refuse(
                f"tables of costs; function {item} has the default cost -1, which makes it a global cost function",
                "Only tables are supported: write it as tuples, or solve the file with toulbar2",
            )
        if what == model.REUSE:
            self.refuse(f"function {item} to have as many variables and states as the one whose costs it shares")
        expected = _EXPECTED[what].format(item=item, entry=entry)
        if what != model.VALUE:
            least, most = int(self.state[kernel.LEAST]), int(self.state[kernel.MOST])
            if least > most:
                self.refuse(f"{expected}; there are no variables")
            expected += f", {_range(least, most)}"
        if what == model.ARITY and code == kernel.RANGE:
            self.refuse(expected, "Tables have few axes: their sizes multiply")
        self.refuse(expected)

    def finish(self) -> None:
        """Check that nothing is left, and let the text go."""
        if self.token():
            self.refuse("the end of the file")

    def release(self) -> None:
        """Free the text."""
        self.text = np.zeros(0, np.uint8)
        self.data = bytearray()


def _range(least: int, most: int) -> str:
    if least == most:
        return f"namely {least}"
    return f"{least} or more" if most >= kernel.LARGEST else f"{least} to {most}"
