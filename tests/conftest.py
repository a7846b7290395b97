"""What all tests share: marks, the amount of random testing, and where the real data lies."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A property test that deserves more graphs than most scales with the profile: it declares
# @settings(max_examples=10 * settings.default.max_examples) for 2,000 graphs in `make test`, 20,000 in `make check`.
# Only `make soak` draws new graphs every time; the other two are reproducible.
_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}
settings.register_profile("default", max_examples=200, derandomize=True, **_COMMON)
settings.register_profile("check", max_examples=2_000, derandomize=True, **_COMMON)
settings.register_profile("soak", max_examples=2_000, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure(config):
    config.addinivalue_line("markers", "check: takes long; only `make check` runs it")
    config.addinivalue_line("markers", "jitoff: small enough to run with NUMBA_DISABLE_JIT=1 as well")
    config.addinivalue_line("markers", "data: needs the real data of the environment variable FACTORGRAPH_DATA")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data; the test is skipped where FACTORGRAPH_DATA is not set."""
    if not os.environ.get("FACTORGRAPH_DATA"):
        pytest.skip("FACTORGRAPH_DATA is not set: it names the folder with the real data sets")
    folder = Path(os.environ["FACTORGRAPH_DATA"])
    assert folder.is_dir(), f"FACTORGRAPH_DATA names no folder: {folder}"
    return folder
