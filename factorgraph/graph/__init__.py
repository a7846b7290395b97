"""Declaration of graphs."""

from .graph import FactorGraph
from .variables import Lattice, Variables

__all__ = ["FactorGraph", "Lattice", "Variables"]
