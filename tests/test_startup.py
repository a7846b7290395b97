"""`import factorgraph` is quick, because heavy packages and learning are imported where they are used."""

import subprocess
import sys

import pytest

import factorgraph as fg

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


LEFT_OUT = ["sklearn", "matplotlib", "networkx", "torch", "pandas", "tqdm", "scipy.sparse", "joblib", "threadpoolctl"]


def test_import_leaves_out():
    left_out = [*LEFT_OUT, *(f"factorgraph.{name}" for name in ("learn", "losses", "labelers", "datasets", "plots"))]
    assert python(f"import sys, factorgraph; print(set({left_out}) & sys.modules.keys())") == "set()\n"


@pytest.mark.jitoff
def test_every_public_name_is_there():
    for name in fg.__all__:
        assert getattr(fg, name) is not None and name in dir(fg)


@pytest.mark.parametrize("name", ["losses", "learn", "train", "Model", "Run"])
def test_what_is_imported_later_comes_by_every_way(name):
    program = f"import factorgraph as fg; a = fg.{name}; from factorgraph import {name} as b; print(a is b, a)"
    said = python(program)
    assert said.startswith("True <") and name in said
    assert python(f"import factorgraph; print({name!r} in dir(factorgraph))") == "True\n"


@pytest.mark.jitoff
def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'factorgraph' has no attribute 'tarin'"):
        _ = fg.tarin
