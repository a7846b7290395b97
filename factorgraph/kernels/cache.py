"""Compiled kernels on disk: numba's files, made safe against upgrades, crashes and disks that cannot be written.

Numba renews a kernel when its own file changes. One that calls a kernel of another file would keep the old callee,
and an upgrade in place would compute with both versions. Here every entry is stamped with all sources of this folder.
"""

from __future__ import annotations

import hashlib
import warnings
from importlib.resources import files
from typing import Any

from numba.core.caching import FunctionCache, IndexDataCacheFile

_warned = False


def _digest() -> bytes:
    """Of the names and contents of all kernels' sources; they may lie in a zip file."""
    known = hashlib.sha256()
    for source in sorted(files(__package__).iterdir(), key=lambda each: each.name):
        if source.name.endswith(".py"):
            content = source.read_bytes()
            known.update(f"{source.name} {len(content)} ".encode() + content)
    return known.digest()


SOURCES = _digest()


class _Files(IndexDataCacheFile):
    """The files of one kernel: an index of signatures, and a numbered file for each.

    Every file says what it holds: the index is written first, so after a crash, or with two processes at once, it may
    name a file of older sources or of another signature.
    """

    def load(self, key: Any) -> Any:
        """What was saved under a key, or None."""
        try:
            sources, held, data = super().load(key)
        except Exception:  # missing, not readable, cut short: whatever it is, compiling anew is the remedy
            return None
        return data if (sources, held) == (SOURCES, key) else None

    def save(self, key: Any, data: Any) -> None:
        """Raises OSError where files cannot be written."""
        entry = SOURCES, key, data
        try:
            super().save(key, entry)
        except OSError:
            raise
        except Exception:  # the index is damaged
            self.flush()
            super().save(key, entry)


class KernelCache(FunctionCache):
    """Numba's cache of one kernel. Raises RuntimeError where numba finds no folder to write."""

    def __init__(self, function: Any):
        super().__init__(function)
        self._cache_file = _Files(self.cache_path, self._impl.filename_base, SOURCES)

    def save_overload(self, signature: Any, result: Any) -> None:
        """A folder that was writable may be full or read-only by now; the kernel is compiled and works."""
        try:
            super().save_overload(signature, result)
        except OSError as error:
            _warn(error)


def keep(dispatcher: Any) -> None:
    """Let what a jitted function compiles be found by later processes, where files can be written; else warn, once."""
    try:
        dispatcher._cache = KernelCache(dispatcher.py_func)
    except (RuntimeError, OSError, ValueError) as error:  # ValueError: numba takes "x.zipped/" for a zip file
        _warn(error)


def _warn(error: Exception) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"factorgraph: compiled kernels cannot be kept ({error}). Answers are the same, but every process compiles "
            "anew, for seconds. Set NUMBA_CACHE_DIR to a folder that is yours and writable; `factorgraph info` shows "
            "where kernels lie.",
            RuntimeWarning,
            stacklevel=2,
        )
