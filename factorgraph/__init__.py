"""Energy-based structured prediction on factor graphs.

Declare variables and energy factors, solve for the labelling of lowest energy with a statement of how good it is,
and train the factors with losses of the energy-based family. Energies: lower is better, +inf forbids.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import optim
from .errors import FactorGraphError, FormatError
from .factors import MLP, External, Factor, Linear, Potts, Table, TruncatedLinear, TruncatedQuadratic
from .graph import FactorGraph, Lattice, Variables
from .infer import (
    Auto,
    BruteForce,
    DynamicProgramming,
    Marginals,
    MinMarginals,
    MinSum,
    Samples,
    Solution,
    Solver,
    Status,
    energy,
    entropy,
    k_best,
    marginals,
    min_marginals,
    sample,
    solve,
)
from .plan import Acceptor, Answers, Plan, Question, Restriction, restrict

if TYPE_CHECKING:
    from . import learn as learn
    from . import losses
    from .infer.elimination import Elimination
    from .infer.expansion import Expansion, Swap
    from .infer.mincut import MinCut
    from .infer.neighbourhoods import Neighbourhoods
    from .infer.search import ExactSearch
    from .infer.toulbar2 import Toulbar2
    from .infer.trws import TRWS
    from .io import read, write
    from .labelers.encoding import (
        Columns,
        Features,
        Numbers,
        Templates,
        read_columns,
        read_conllu,
        read_crfsuite,
        stream_columns,
    )
    from .learn import Collapse, Model, Run, collapse_report, train

__version__ = "0.1.0"

#: What only learning, files, or graphs with cycles need is imported when it is first used:
#: name -> the module that has it, or is it.
_LATER = {
    "Collapse": "learn",
    "Columns": "labelers.encoding",
    "Elimination": "infer.elimination",
    "ExactSearch": "infer.search",
    "Expansion": "infer.expansion",
    "Features": "labelers.encoding",
    "MinCut": "infer.mincut",
    "Neighbourhoods": "infer.neighbourhoods",
    "Numbers": "labelers.encoding",
    "Swap": "infer.expansion",
    "TRWS": "infer.trws",
    "Templates": "labelers.encoding",
    "Toulbar2": "infer.toulbar2",
    "Model": "learn",
    "Run": "learn",
    "collapse_report": "learn",
    "learn": "learn",
    "losses": "losses",
    "read": "io",
    "read_columns": "labelers.encoding",
    "read_conllu": "labelers.encoding",
    "read_crfsuite": "labelers.encoding",
    "stream_columns": "labelers.encoding",
    "train": "learn",
    "write": "io",
}

__all__ = [
    "Acceptor",
    "Answers",
    "Auto",
    "BruteForce",
    "Collapse",
    "Columns",
    "DynamicProgramming",
    "ExactSearch",
    "Elimination",
    "Expansion",
    "External",
    "Factor",
    "FactorGraph",
    "Features",
    "FactorGraphError",
    "FormatError",
    "Lattice",
    "Linear",
    "MLP",
    "Marginals",
    "MinCut",
    "MinMarginals",
    "MinSum",
    "Model",
    "Neighbourhoods",
    "Numbers",
    "Plan",
    "Potts",
    "Question",
    "Restriction",
    "Run",
    "Samples",
    "Solution",
    "Solver",
    "Status",
    "TRWS",
    "Swap",
    "Table",
    "Templates",
    "TruncatedLinear",
    "TruncatedQuadratic",
    "Toulbar2",
    "Variables",
    "collapse_report",
    "energy",
    "entropy",
    "k_best",
    "losses",
    "marginals",
    "min_marginals",
    "optim",
    "read",
    "read_columns",
    "read_conllu",
    "read_crfsuite",
    "restrict",
    "sample",
    "solve",
    "stream_columns",
    "train",
    "write",
]

if not TYPE_CHECKING:  # a type checker knows the names from above, and that there are no others

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = import_module(f".{_LATER[name]}", __name__)
        found = globals()[name] = module if name == _LATER[name] else getattr(module, name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
