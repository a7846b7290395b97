"""The one decorator of all kernels.

Kernels are module-level functions over arrays. They are compiled lazily per dtype, kept on disk (cache.py) and release
the GIL.
"""

from __future__ import annotations

from typing import Any

import numba
from numba import types

from .cache import keep

#: Only 'contract' is safe everywhere: nnan and ninf break the infinities that forbid states. Nothing is allocated
#: inside, so nothing is counted: atomic counters of the arrays that a function in a hot loop was given cost three times
#: its work (numba's switch for that, `_nrt`, turns an allocation into a compile error).
OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "fastmath": {"contract"}, "_nrt": False}

JIT_DISABLED = bool(numba.config.DISABLE_JIT)


def _compile(function: Any, **more: Any) -> Any:
    if JIT_DISABLED:
        return function
    dispatcher = numba.njit(**OPTIONS, **more)(function)
    _widen_integers(dispatcher)
    keep(dispatcher)
    return dispatcher


def _is_signed(kind: Any) -> bool:
    return isinstance(kind, types.Integer) and kind.signed


def _widen_integers(dispatcher: Any) -> None:
    """Let kernels hand over int64 for every signed integer: numba compiles anew for int32, and for each constant."""
    compiled_for = dispatcher.get_call_template

    def get_call_template(arguments: Any, named: Any) -> Any:
        return compiled_for([types.int64 if _is_signed(types.unliteral(t)) else t for t in arguments], named)

    dispatcher.get_call_template = get_call_template


def kernel(function: Any) -> Any:
    """Compile a module-level function that Python calls."""
    return _compile(function)


def inner(function: Any) -> Any:
    """Compile a function that only kernels call: without the wrapper for Python, which costs compile time."""
    return _compile(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def inlined(function: Any) -> Any:
    """As `inner`, and always inlined: for what is called per variable, whose many arguments cost more than its work."""
    return _compile(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)
