"""How the entries of a table make energies: the kinds that blocks, factors and kernels agree on."""

from __future__ import annotations

#: Entry [k_1, …, k_n] is the energy of the labels (k_1, …, k_n); entries have the shape of the scope's states.
DENSE = 0
#: Two variables of equally many states; the one entry is the energy of different labels, equal ones cost 0.
POTTS = 1
#: Binary variables, of which k have the label `one`; entry [min(k, most)] is their energy. Of a gate the last variable
#: is not counted but read: entry [min(k, most), its label]. Such kinds are COUNT + 4 · most + 2 · gate + one.
COUNT = 2


def counting(most: int, gate: bool, one: int) -> int:
    """The kind of such a table."""
    return COUNT + 4 * most + 2 * gate + one
