"""Compiled kernels on disk: found again, never stale, and never in the way of an answer.

Everything runs in processes of its own, on a copy of kernels/jit.py and cache.py with two kernels, whose answers tell
which sources they were compiled from. Permissions do not bind root, so places that cannot be written are files where
folders should be, and a full disk is a limit on the size of files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CALLER = """
from .callee import raised
from .jit import kernel


@kernel
def answer(x):
    return raised(x)
"""
CALLEE = """
from .jit import inner


@inner
def raised(x):
    return x + {}
"""
ASK = "from factorgraph.kernels.caller import answer\n"
#: Says what was answered, and how many of the kernels that Python called were found on disk.
SAY = "print(answer(1.0), sum(answer.stats.cache_hits.values()))"
#: After the import, no file may have more bytes than this: indices fit, kernels do not.
FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
SOLVE = """
import factorgraph as fg
g = fg.FactorGraph()
x = g.variables("x", shape=(3,), states=2)
g.add(fg.Table([[1.0, 0.0], [0.0, 3.0], [2.0, 0.5]]), x)
g.add(fg.Potts(0.75), x[:-1], x[1:])
print(fg.solve(g).labels["x"], fg.solve(g).energy)
"""


@dataclass(frozen=True)
class Copy:
    """A package of its own, and a home for its user."""

    folder: Path

    @property
    def kernels(self) -> Path:
        return self.folder / "factorgraph" / "kernels"

    def raise_by(self, amount: int) -> None:
        """What an upgrade does: another file, at the same place."""
        (self.kernels / "callee.py").write_text(CALLEE.format(amount), encoding="utf-8")

    def run(self, program: str, **environment: str) -> tuple[str, list[str]]:
        """What it prints, and the RuntimeWarnings of its kernels."""
        hidden = ("NUMBA_", "XDG_", "PYTHON")
        outside = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        own = {"HOME": str(self.folder / "home"), "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-W", "always", "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", env=outside | own | environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip(), [line for line in done.stderr.splitlines() if "RuntimeWarning" in line]

    def files(self, ending: str) -> list[Path]:
        return sorted((self.kernels / "__pycache__").glob(f"*.{ending}"))


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    found = Copy(tmp_path)
    found.kernels.mkdir(parents=True)
    (tmp_path / "factorgraph" / "__init__.py").write_text("")
    for name in ("__init__.py", "cache.py", "jit.py"):
        shutil.copy(ROOT / "factorgraph" / "kernels" / name, found.kernels)
    (found.kernels / "caller.py").write_text(CALLER, encoding="utf-8")
    found.raise_by(1)
    return found


def test_a_kernel_is_found_again_and_renewed_when_what_it_calls_changes(copy):
    assert copy.run(ASK + SAY) == ("2.0 0", [])
    assert copy.run(ASK + SAY) == ("2.0 1", [])
    copy.raise_by(10)
    assert copy.run(ASK + SAY) == ("11.0 0", [])
    assert copy.run(ASK + SAY) == ("11.0 1", [])
    assert len(copy.files("nbc")) == 2  # those of the old sources were overwritten


def test_the_time_of_a_file_does_not_matter(copy):
    copy.run(ASK + SAY)
    for source in copy.kernels.glob("*.py"):
        os.utime(source, (1, 1))
    before = (copy.kernels / "callee.py").stat()
    assert copy.run(ASK + SAY) == ("2.0 1", [])
    copy.raise_by(7)
    os.utime(copy.kernels / "callee.py", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert copy.run(ASK + SAY) == ("8.0 0", [])


def test_a_full_disk_warns_once_and_leaves_nothing_that_is_stale(copy):
    """The index is written, the kernel is not: the index then names the file of the old sources."""
    copy.run(ASK + SAY)
    copy.raise_by(10)
    said, warnings = copy.run(ASK + FULL + SAY)
    assert said == "11.0 0"
    assert len(warnings) == 1 and "File too large" in warnings[0] and "Set NUMBA_CACHE_DIR to a folder" in warnings[0]
    assert copy.files("nbc") and not list((copy.kernels / "__pycache__").glob("*.tmp.*"))
    assert copy.run(ASK + SAY) == ("11.0 0", [])
    assert copy.run(ASK + SAY) == ("11.0 1", [])


def test_a_folder_that_goes_away_warns_once(copy):
    """An installation that becomes read-only between import and first call."""
    gone = "import shutil, pathlib; p = pathlib.Path(answer.stats.cache_path); shutil.rmtree(p); p.write_text('')\n"
    said, warnings = copy.run(ASK + gone + SAY)
    assert said == "2.0 0" and len(warnings) == 1 and "compiled kernels cannot be kept" in warnings[0]


@pytest.mark.check
def test_damaged_files_are_renewed(copy):
    copy.run(ASK + SAY)
    for ending, left in (("nbi", 0.0), ("nbi", 0.5), ("nbc", 0.0), ("nbc", 0.5)):
        assert copy.files(ending)
        for path in copy.files(ending):
            whole = path.read_bytes()
            path.write_bytes(whole[: int(left * len(whole))])
        assert copy.run(ASK + SAY) == ("2.0 0", []), (ending, left)
    assert copy.run(ASK + SAY) == ("2.0 1", [])


def test_a_file_of_another_signature_is_not_taken(copy):
    """Two processes that compile at once may both write the first number."""
    both = "import numpy as np; print(answer(np.int64(1)), answer(np.float64(0.5)))\n"
    assert copy.run(ASK + both) == ("2 1.5", [])
    first, second = (path for path in copy.files("nbc") if path.name.startswith("caller"))
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    assert copy.run(ASK + both) == ("2 1.5", [])


def test_beside_a_read_only_package_the_user_has_a_place(copy):
    (copy.kernels / "__pycache__").write_text("")
    assert copy.run(ASK + SAY) == ("2.0 0", [])
    assert copy.run(ASK + SAY) == ("2.0 1", [])
    assert list((copy.folder / "home").rglob("caller.answer-*.nbc"))


@pytest.mark.parametrize("home", ["/dev/null", "/proc/nonexistent"])
def test_with_no_place_at_all_the_answer_is_right_and_one_warning_says_what_to_do(copy, home):
    (copy.kernels / "__pycache__").write_text("")
    said, warnings = copy.run(ASK + SAY, HOME=home)
    assert said == "2.0 0"
    assert len(warnings) == 1 and "no locator available" in warnings[0] and "Set NUMBA_CACHE_DIR" in warnings[0]
    folder = copy.folder / "mine"
    assert copy.run(ASK + SAY, HOME=home, NUMBA_CACHE_DIR=str(folder)) == ("2.0 0", [])
    assert copy.run(ASK + SAY, HOME=home, NUMBA_CACHE_DIR=str(folder)) == ("2.0 1", [])


def test_a_folder_with_zip_in_its_name(copy):
    """Numba takes it for a zip file when it finds no other place."""
    odd = Copy(copy.folder.rename(copy.folder.with_name("odd.zipped")))
    (odd.kernels / "__pycache__").write_text("")
    said, warnings = odd.run(ASK + SAY, HOME="/dev/null")
    assert said == "2.0 0" and len(warnings) == 1


@pytest.mark.check
def test_a_package_in_a_zip_file(copy):
    archive = copy.folder / "packed.zip"
    for amount in (1, 10):
        copy.raise_by(amount)
        with zipfile.ZipFile(archive, "w") as packed:
            for path in sorted((copy.folder / "factorgraph").rglob("*.py")):
                packed.write(path, path.relative_to(copy.folder))
        assert copy.run(ASK + SAY, PYTHONPATH=str(archive)) == (f"{1.0 + amount} 0", [])
        assert copy.run(ASK + SAY, PYTHONPATH=str(archive)) == (f"{1.0 + amount} 1", [])
    said, warnings = copy.run(ASK + SAY, PYTHONPATH=str(archive), HOME="/dev/null")
    assert said == "11.0 0" and len(warnings) == 1


@pytest.mark.check
def test_a_solve_with_no_place_for_kernels(tmp_path):
    """The whole package."""
    shutil.copytree(ROOT / "factorgraph", tmp_path / "factorgraph", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "factorgraph" / "kernels" / "__pycache__").write_text("")
    said, warnings = Copy(tmp_path).run(SOLVE, HOME="/dev/null")
    assert said == "[1 0 1] 2.0" and len(warnings) == 1
