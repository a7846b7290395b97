"""Factor families: how energies come from parameters and inputs. One file per family."""

from .base import Factor, Layout, check_energies
from .count import And, AtLeastOne, AtMostOne, Cardinality, Count, ExactlyOne, Or
from .external import External
from .linear import Linear
from .mlp import MLP
from .potts import Potts
from .sparse import SparseLinear
from .table import Table
from .truncated import Truncated, TruncatedLinear, TruncatedQuadratic

__all__ = [
    "And",
    "AtLeastOne",
    "AtMostOne",
    "Cardinality",
    "Count",
    "ExactlyOne",
    "External",
    "Factor",
    "Layout",
    "Linear",
    "MLP",
    "Or",
    "Potts",
    "SparseLinear",
    "Table",
    "Truncated",
    "TruncatedLinear",
    "TruncatedQuadratic",
    "check_energies",
]
