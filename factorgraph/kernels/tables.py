"""How the entries of a table make energies: the kinds that blocks, factors and kernels agree on."""

from __future__ import annotations

#: Entry [k_1, …, k_n] is the energy of the labels (k_1, …, k_n); entries have the shape of the scope's states.
DENSE = 0
#: Two variables of equally many states; the one entry is the energy of different labels, equal ones cost 0.
POTTS = 1
