"""States by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import FactorGraphError, listed
from ..plan import Group


def name_states(
    evidence: Mapping[Any, Any] | None, groups: Sequence[Group], alphabets: Mapping[tuple[int, str], tuple[str, ...]]
) -> dict[Any, Any]:
    """Evidence with state names replaced by states. Keys are names, or (example, name)."""
    if evidence is not None and not isinstance(evidence, Mapping):
        raise FactorGraphError(f"evidence: expected a dict {{name: labels}}; got {type(evidence).__name__}")
    out = dict(evidence or {})
    for key, value in out.items():
        array = np.asarray(value, dtype=object) if isinstance(value, (list, tuple)) else np.asarray(value)
        if array.dtype.kind not in "UO" or not any(isinstance(x, str) for x in array.ravel()):
            continue
        owner = key if isinstance(key, tuple) else _owner(key, groups)
        names = alphabets.get(owner, ())
        if not names and owner in {(g.example, g.name) for g in groups}:
            raise FactorGraphError(f"evidence[{key!r}]: expected ints, its states have no names; got {value!r}")
        index: dict[Any, Any] = {s: i for i, s in enumerate(names)} | {None: -1}
        for x in array.ravel():
            if names and x not in index and not isinstance(x, (int, np.integer)):
                raise FactorGraphError(f"evidence[{key!r}]: unknown state {str(x)!r}; expected {listed(names)}")
        out[key] = np.array([index.get(x, x) for x in array.ravel()], object).reshape(array.shape)
        if names:
            out[key] = out[key].astype(np.int64)
    return out


def _owner(name: Any, groups: Sequence[Group]) -> tuple[int, str]:
    return next(((g.example, g.name) for g in groups if g.name == name), (-1, str(name)))
