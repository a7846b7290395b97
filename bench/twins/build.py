"""Compile the C++ files of this folder once and call them; ctypes lets other threads run meanwhile."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from bench.harness import OUT

FOLDER = Path(__file__).parent
FLAGS = ("-O3", "-march=native", "-mprefer-vector-width=512", "-std=c++17", "-shared", "-fPIC")
COMPILER = shutil.which("g++")
#: Entries that the vector readers may touch behind an array.
SLACK = 64
VECTOR_BYTES = 64

Argument = np.ndarray | int | float


def slack(array: np.ndarray) -> np.ndarray:
    """Flat aligned copy with `SLACK` zeros behind its end."""
    out = workspace(array.size, array.dtype)
    out[: array.size] = array.ravel()
    return out[: array.size]


def workspace(size: int, dtype: np.dtype) -> np.ndarray:
    """`size` zeros, aligned to 64 bytes, and `SLACK` more behind them."""
    raw = np.zeros((size + SLACK) * dtype.itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + (size + SLACK) * dtype.itemsize].view(dtype)[:size]


def function(library: str, name: str) -> Callable[..., float]:
    """`name` of `library`.cpp: takes arrays (as pointers), ints (int64_t) and floats (double), returns a double."""
    found = getattr(_library(library), name)
    found.restype = ctypes.c_double

    def call(*arguments: Argument) -> float:
        return float(found(*(_converted(x) for x in arguments)))

    return call


def _converted(argument: Argument) -> ctypes.c_void_p | ctypes.c_int64 | ctypes.c_double:
    if isinstance(argument, np.ndarray):
        return ctypes.c_void_p(argument.ctypes.data)
    return ctypes.c_double(argument) if isinstance(argument, float) else ctypes.c_int64(argument)


@cache
def _library(name: str) -> ctypes.CDLL:
    """Built where sources, flags and processor are new, kept in bench/out/twins."""
    if COMPILER is None:
        raise FileNotFoundError("no g++: the C++ twins cannot be built; check bench.twins.build.COMPILER first")
    source = FOLDER / f"{name}.cpp"
    texts = [source.read_bytes(), *(path.read_bytes() for path in sorted(FOLDER.glob("*.h")))]
    machine = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("model", "flags"))]
    key = hashlib.sha256(b"\0".join([*texts, " ".join([COMPILER, *FLAGS, *machine]).encode()])).hexdigest()[:16]
    built = OUT / "twins" / f"{name}-{key}.so"
    if not built.exists():
        built.parent.mkdir(parents=True, exist_ok=True)
        part = built.with_suffix(".part")
        subprocess.run([COMPILER, *FLAGS, str(source), "-o", str(part)], check=True)
        part.replace(built)
    return ctypes.CDLL(str(built))
