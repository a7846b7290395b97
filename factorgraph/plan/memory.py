"""Memory limits in words."""

from __future__ import annotations

import re

import numpy as np

from ..errors import FactorGraphError
from .counters import counted, link_entries
from .plan import Plan


def check_memory(plan: Plan, itemsize: int, memory_limit: str | int) -> None:
    """Refuse tables and beliefs beyond the limit, before they are allocated."""
    limit, links = bytes_of(memory_limit), link_entries(plan) * itemsize
    if links > limit:
        longest = max(counted(plan), key=lambda b: len(b.states) * b.size**2)
        raise FactorGraphError(
            f"energies: the counters of factors that count need {readable(links)}, the memory_limit is "
            f"{readable(limit)}; the largest factor has {longest.size} energies for {len(longest.states)} variables. "
            "Give Cardinality fewer energies by most=…, the last one for all larger counts, or raise memory_limit"
        )
    need = (plan.size + plan.variable_states) * itemsize
    if need + links <= limit:
        return
    if plan.size <= plan.variable_states:
        raise FactorGraphError(
            f"energies: beliefs over {plan.variable_states} variable states and the tables need {readable(need)}, "
            f"the memory_limit is {readable(limit)}. Use fewer states, or raise memory_limit"
        )
    largest = max(plan.blocks, key=lambda b: b.tables * b.size)
    raise FactorGraphError(
        f"energies: the tables need {readable(need)}, the memory_limit is {readable(limit)}; the largest block "
        f"has {largest.tables} tables of {largest.size} entries over states {largest.states}. Share tables "
        "(shape == states), use parametric factors, or raise memory_limit"
    )


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
