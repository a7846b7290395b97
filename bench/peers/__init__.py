"""Other people's libraries, each behind an adapter that is imported only where the library is installed.

An adapter offers, for equal chains of unaries (N, T, K) and a table (K, K), all energies: `decode(unary, table)` and
perhaps `sums(unary, table)`, which prepare what the library wants and return a call that does the work; SHARE is how
many chains it is given (None: all), for those that take too long. For grids of unaries (H, W, K) it offers
`expand(unary, table)` or, of two labels, `cut(unary, weight)`.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

#: Adapter of each package, by the name the package is imported by.
ADAPTERS = {
    "hmmlearn": "hmm",
    "torchcrf": "crf",
    "torch_struct": "struct",
    "pycrfsuite": "crfsuite",
    "pytoulbar2": "toulbar2",
    "gco": "gco",
    "maxflow": "pymaxflow",
}


def adapter(package: str) -> ModuleType | None:
    """The adapter, None where the package is not installed."""
    if importlib.util.find_spec(package) is None:
        return None
    return importlib.import_module(f"bench.peers.{ADAPTERS[package]}")
