"""`import factorgraph` is quick, because heavy packages are imported where they are used."""

import subprocess
import sys

import pytest

SECONDS = """
import time
start = time.process_time()
import {}
print(time.process_time() - start)
"""


def python(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


def test_import_costs_at_most_half_a_second_of_cpu():
    """Or, on a machine where numpy and numba alone take most of that, no more than 0.8 of theirs on top."""
    ours, theirs = (min(float(python(SECONDS.format(m))) for _ in range(3)) for m in ("factorgraph", "numpy, numba"))
    assert ours <= max(0.5, 1.8 * theirs)


@pytest.mark.parametrize("package", ["sklearn", "matplotlib", "networkx", "torch", "pandas"])
def test_import_leaves_out(package):
    assert python(f"import sys, factorgraph; print({package!r} in sys.modules)") == "False\n"
