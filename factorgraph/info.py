"""What `factorgraph info` says: versions, cores, the processor's vectors, and where compiled kernels lie."""

from __future__ import annotations

import os
import platform
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numba
from llvmlite import binding

from . import __version__
from .infer.spread import thread_count
from .kernels.jit import JIT_DISABLED
from .kernels.simd import VECTOR_BYTES
from .kernels.structure import place_factors

PACKAGES = ("numpy", "scipy", "numba", "llvmlite")
#: Bytes of a vector register by the feature that brings it (LLVM's names), the widest first.
REGISTERS = {"avx512f": 64, "avx2": 32, "avx": 32, "sse2": 16, "neon": 16}


@dataclass(frozen=True)
class Processor:
    """What kernels are compiled for: LLVM's name, its vector features, bytes of kernels' vectors and of registers."""

    name: str
    features: tuple[str, ...]
    kernel_bytes: int
    register_bytes: int


@dataclass(frozen=True)
class Cache:
    """Where compiled kernels lie; folder is None where they are not kept. `files` are of all versions that ran here."""

    folder: str | None
    chosen: str
    writable: bool
    files: int
    bytes: int


@dataclass(frozen=True)
class Environment:
    """Everything about this machine that matters to this library. `cores` is the most that threads=None takes."""

    versions: dict[str, str]
    package: str
    system: str
    cores: int
    jit: bool
    processor: Processor
    cache: Cache

    def lines(self) -> list[str]:
        """For people."""
        versions, cpu, cache = self.versions, self.processor, self.cache
        cores = f"{self.cores} usable core{'s' * (self.cores > 1)}"
        whole = -(-cpu.kernel_bytes // cpu.register_bytes) if cpu.register_bytes else 0
        registers = f"{whole} register{'s' * (whole != 1)} of {cpu.register_bytes} bytes"
        rows = [
            ("factorgraph", f"{versions['factorgraph']} in {self.package}"),
            ("python", f"{versions['python']} on {self.system}"),
            ("packages", ", ".join(f"{name} {versions[name]}" for name in PACKAGES)),
            ("threads", f"{cores}; threads=None uses up to {self.cores}, as many as the work is worth"),
            ("processor", f"{cpu.name}: {', '.join(cpu.features) or 'no vector features'}"),
            ("vectors", f"{cpu.kernel_bytes} bytes, here {registers if whole else 'in registers of unknown width'}"),
            ("compiler", "on" if self.jit else "off: NUMBA_DISABLE_JIT is set, kernels run as slow Python"),
            ("kernels", f"{cache.folder or 'not kept'} ({cache.chosen})"),
        ]
        if cache.folder:
            held = f"{cache.files} file{'s' * (cache.files != 1)}, {cache.bytes / 1e6:.1f} MB"
            rows.append(("", f"{held}, {'writable' if cache.writable else 'NOT writable: see NUMBA_CACHE_DIR'}"))
        return [f"{name:<11}  {what}" for name, what in rows]


def environment() -> Environment:
    """Look around. Compiles nothing."""
    versions = {"factorgraph": __version__, "python": platform.python_version()}
    return Environment(
        versions | {name: import_module(name).__version__ for name in PACKAGES},
        str(Path(__file__).parent),
        f"{platform.system()} {platform.machine()}",
        thread_count(None, 1 << 62),
        not JIT_DISABLED,
        _processor(),
        _cache(),
    )


def _processor() -> Processor:
    """The host's, unless the variables NUMBA_CPU_NAME and NUMBA_CPU_FEATURES say otherwise."""
    asked = numba.config.CPU_FEATURES
    offered = binding.get_host_cpu_features().flatten() if asked is None else asked
    present = {feature[1:] for feature in offered.split(",") if feature.startswith("+")}
    features = tuple(feature for feature in REGISTERS if feature in present)
    width = max((REGISTERS[feature] for feature in features), default=0)
    return Processor(numba.config.CPU_NAME or binding.get_host_cpu_name(), features, VECTOR_BYTES, width)


def _cache() -> Cache:
    """Of any kernel: all lie in one folder, which holds nothing else by these names."""
    if JIT_DISABLED:
        return Cache(None, "nothing is compiled", False, 0, 0)
    folder = place_factors.stats.cache_path
    if folder is None:
        return Cache(None, "no writable folder was found: set NUMBA_CACHE_DIR", False, 0, 0)
    sizes = [path.stat().st_size for path in Path(folder).glob("*.nb[ic]")]
    if numba.config.CACHE_DIR and Path(folder).is_relative_to(numba.config.CACHE_DIR):
        chosen = "by NUMBA_CACHE_DIR"
    else:
        chosen = "beside the sources" if Path(folder).name == "__pycache__" else "the user's cache"
    return Cache(os.path.abspath(folder), chosen, _writable(folder), len(sizes), sum(sizes))


def _writable(folder: str) -> bool:
    """Whether a file can be made there, or the folder be made; permission bits alone do not say."""
    try:
        os.makedirs(folder, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True
