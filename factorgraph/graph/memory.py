"""Memory limits in words."""

from __future__ import annotations

import re

import numpy as np

from ..errors import FactorGraphError


def bytes_of(limit: str | int) -> int:
    """Bytes of a memory limit: an int, or a string such as "2 GiB", "500 MB", "64 KiB"."""
    if isinstance(limit, int | np.integer) and limit >= 0:
        return int(limit)
    found = re.fullmatch(r"\s*([\d.]+)\s*([KMGT]?)(i?)B?\s*", str(limit), re.IGNORECASE)
    if not found:
        raise FactorGraphError(f"memory_limit: expected bytes or a string such as '2 GiB'; got {limit!r}")
    power = " KMGT".index(found[2].upper() or " ")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)


def readable(count: int) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count = count / 1024  # type: ignore[assignment]
    return f"{count:.4g} TiB"
