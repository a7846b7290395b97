"""The one decorator of all kernels.

Kernels are module-level functions over arrays. They are compiled lazily per dtype, cached on disk and
release the GIL. An installation whose cache cannot be written (read-only package, no HOME) still works:
it compiles in memory and says so once.
"""

from __future__ import annotations

import warnings
from typing import Any

import numba

#: Only 'contract' is safe everywhere: nnan and ninf break the infinities that forbid states.
OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "fastmath": {"contract"}, "_nrt": False}

JIT_DISABLED = bool(numba.config.DISABLE_JIT)

_warned = False


def _compile(function: Any, **more: Any) -> Any:
    global _warned
    if JIT_DISABLED:
        return function
    try:
        return numba.njit(cache=True, **OPTIONS, **more)(function)
    except RuntimeError as error:  # numba: "cannot cache function ...: no locator available"
        if not _warned:
            _warned = True
            warnings.warn(
                f"factorgraph: compiled kernels cannot be cached ({error}); every process compiles anew. "
                "Set NUMBA_CACHE_DIR to a private, writable directory.",
                RuntimeWarning,
                stacklevel=3,
            )
        return numba.njit(**OPTIONS, **more)(function)


def kernel(function: Any) -> Any:
    """Compile a module-level function that Python calls, cached where that is possible."""
    return _compile(function)


def inner(function: Any) -> Any:
    """Compile a function that only kernels call: without the wrapper for Python, which costs compile time."""
    return _compile(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def inlined(function: Any) -> Any:
    """As `inner`, and always inlined: for what is called per variable, whose many arguments cost more than its work."""
    return _compile(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)
