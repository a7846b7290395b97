"""`factorgraph info`: what it says about this machine, and about odd ones."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numba
import numpy
import pytest

from factorgraph import __version__
from factorgraph.cli import main
from factorgraph.info import environment

KEYS = {"versions", "package", "system", "cores", "jit", "processor", "cache"}
ROWS = ["factorgraph", "python", "packages", "threads", "processor", "vectors", "compiler", "kernels"]


def info(*arguments: str, **environment: str) -> str:
    """What a process of its own prints in another environment."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    command = [sys.executable, "-m", "factorgraph", "info", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=outside | environment)
    assert done.stderr == ""
    return done.stdout


def as_json(**environment: str):
    printed = info("--json", **environment)
    assert printed.count("\n") == 1
    return json.loads(printed)


@pytest.mark.jitoff
def test_it_knows_this_process(capsys):
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == KEYS
    versions = found["versions"]
    assert versions["factorgraph"] == __version__ and versions["python"] == platform.python_version()
    assert versions["numpy"] == numpy.__version__ and versions["numba"] == numba.__version__
    assert Path(found["package"], "info.py").is_file()
    if hasattr(os, "sched_getaffinity"):
        assert found["cores"] == len(os.sched_getaffinity(0))
    assert found["jit"] is not bool(numba.config.DISABLE_JIT)
    assert (found["cache"]["folder"] is not None) == found["jit"]
    assert found["processor"]["kernel_bytes"] == 64


@pytest.mark.jitoff
def test_the_text_is_aligned_and_short(capsys):
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [name for line in lines if (name := line[:13].strip())] == ROWS
    assert all(line[11:13] == "  " and line[13] != " " for line in lines)
    assert len(lines) <= len(ROWS) + 1


def test_a_cache_of_ones_own_is_measured(tmp_path):
    folder = tmp_path / "cache"
    assert as_json(NUMBA_CACHE_DIR=str(folder))["cache"]["files"] == 0
    [kernels] = folder.iterdir()
    (kernels / "place.py311.1.nbc").write_bytes(bytes(1_500_000))
    (kernels / "place.py311.nbi").write_bytes(bytes(100_000))
    (kernels / "other.txt").write_bytes(bytes(100_000))
    (kernels / "__pycache__").mkdir()
    cache = as_json(NUMBA_CACHE_DIR=str(folder))["cache"]
    expected = {"chosen": "by NUMBA_CACHE_DIR", "writable": True, "files": 2, "bytes": 1_600_000}
    assert cache == {"folder": str(kernels), **expected}
    text = info(NUMBA_CACHE_DIR=str(folder))
    assert f"kernels      {kernels} (by NUMBA_CACHE_DIR)\n{'':<13}2 files, 1.6 MB, writable\n" in text


@pytest.mark.jitoff
@pytest.mark.parametrize(
    "features, known, sentence",
    [
        ("+avx512f,+avx2,+fma", ("avx512f", "avx2"), "64 bytes, here 1 register of 64 bytes"),
        ("+sse2,+avx2,-avx512f", ("avx2", "sse2"), "64 bytes, here 2 registers of 32 bytes"),
        ("+neon", ("neon",), "64 bytes, here 4 registers of 16 bytes"),
        ("", (), "64 bytes, here in registers of unknown width"),
    ],
)
def test_other_processors(monkeypatch, features, known, sentence):
    monkeypatch.setattr(numba.config, "CPU_NAME", "other")
    monkeypatch.setattr(numba.config, "CPU_FEATURES", features)
    found = environment()
    assert found.processor.name == "other" and found.processor.features == known
    assert f"processor    other: {', '.join(known) or 'no vector features'}" in found.lines()
    assert f"vectors      {sentence}" in found.lines()


def test_the_variables_of_numba_choose_the_processor():
    assert as_json(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")["processor"]["name"] == "generic"


def test_without_the_compiler_it_says_so():
    text = info(NUMBA_DISABLE_JIT="1")
    assert "compiler     off: NUMBA_DISABLE_JIT is set" in text
    assert "kernels      not kept (nothing is compiled)" in text
    assert as_json(NUMBA_DISABLE_JIT="1")["jit"] is False


#: Root may write everywhere: no folder can be written in a process where no temporary file can be made.
NOWHERE = """
import tempfile
def refused(*a, **k): raise PermissionError(13, "Permission denied")
tempfile.TemporaryFile = refused
from factorgraph.cli import main
main(["info"])
"""
LATER = """
from factorgraph import info
import tempfile
def refused(*a, **k): raise PermissionError(13, "Permission denied")
tempfile.TemporaryFile = refused
print(*info.environment().lines(), sep="\\n")
"""


@pytest.mark.parametrize(
    "program, sentence, warnings",
    [
        (NOWHERE, "kernels      not kept (no writable folder was found: set NUMBA_CACHE_DIR)", 1),
        (LATER, "0 files, 0.0 MB, NOT writable: see NUMBA_CACHE_DIR", 0),
    ],
)
def test_where_nothing_can_be_written(program, sentence, warnings, tmp_path):
    outside = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    environment = {**outside, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert sentence in done.stdout
    assert done.stderr.count("RuntimeWarning") == warnings
