"""Energy-based structured prediction on factor graphs.

Declare variables and energy factors, solve for the labelling of lowest energy with a statement of how good it is,
and train the factors with losses of the energy-based family. Energies: lower is better, +inf forbids.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import optim
from .errors import FactorGraphError, FormatError
from .factors import (
    MLP,
    And,
    AtLeastOne,
    AtMostOne,
    Cardinality,
    ExactlyOne,
    External,
    Factor,
    Linear,
    Or,
    Potts,
    SparseLinear,
    Table,
    TruncatedLinear,
    TruncatedQuadratic,
)
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
    from . import interop as interop
    from . import learn as learn
    from . import losses
    from .infer import continuous as continuous
    from .infer.elimination import Elimination
    from .infer.expansion import Expansion, Swap
    from .infer.gibbs import Annealing, Gibbs
    from .infer.mean_field import MeanField
    from .infer.mincut import MinCut
    from .infer.neighbourhoods import Neighbourhoods
    from .infer.perturb import PerturbAndMAP
    from .infer.search import ExactSearch
    from .infer.sum_product import SumProduct, TreeReweighted
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
    from .labelers.segment import SegmentLabeler
    from .labelers.segmentation import Segmentation
    from .labelers.sequence import Constraints, SequenceLabeler
    from .learn import Collapse, Model, Run, collapse_report, train

__version__ = "0.1.0"

#: What only learning, files, or graphs with cycles need is imported when it is first used:
#: name -> the module that has it, or is it.
_LATER = {
    "Annealing": "infer.gibbs",
    "Collapse": "learn",
    "collapse_report": "learn",
    "Columns": "labelers.encoding",
    "Constraints": "labelers.sequence",
    "continuous": "infer.continuous",
    "Elimination": "infer.elimination",
    "ExactSearch": "infer.search",
    "Expansion": "infer.expansion",
    "Features": "labelers.encoding",
    "Gibbs": "infer.gibbs",
    "interop": "interop",
    "learn": "learn",
    "losses": "losses",
    "MeanField": "infer.mean_field",
    "MinCut": "infer.mincut",
    "Model": "learn",
    "Neighbourhoods": "infer.neighbourhoods",
    "Numbers": "labelers.encoding",
    "PerturbAndMAP": "infer.perturb",
    "read": "io",
    "read_columns": "labelers.encoding",
    "read_conllu": "labelers.encoding",
    "read_crfsuite": "labelers.encoding",
    "Run": "learn",
    "Segmentation": "labelers.segmentation",
    "SegmentLabeler": "labelers.segment",
    "SequenceLabeler": "labelers.sequence",
    "stream_columns": "labelers.encoding",
    "SumProduct": "infer.sum_product",
    "Swap": "infer.expansion",
    "Templates": "labelers.encoding",
    "Toulbar2": "infer.toulbar2",
    "train": "learn",
    "TreeReweighted": "infer.sum_product",
    "TRWS": "infer.trws",
    "write": "io",
}

__all__ = [
    "Acceptor",
    "And",
    "Annealing",
    "Answers",
    "AtLeastOne",
    "AtMostOne",
    "Auto",
    "BruteForce",
    "Cardinality",
    "Collapse",
    "Columns",
    "Constraints",
    "DynamicProgramming",
    "Elimination",
    "ExactSearch",
    "ExactlyOne",
    "Expansion",
    "External",
    "Factor",
    "FactorGraph",
    "FactorGraphError",
    "Features",
    "FormatError",
    "Gibbs",
    "Lattice",
    "Linear",
    "MLP",
    "Marginals",
    "MeanField",
    "MinCut",
    "MinMarginals",
    "MinSum",
    "Model",
    "Neighbourhoods",
    "Numbers",
    "Or",
    "PerturbAndMAP",
    "Plan",
    "Potts",
    "Question",
    "Restriction",
    "Run",
    "Samples",
    "SegmentLabeler",
    "Segmentation",
    "SequenceLabeler",
    "Solution",
    "Solver",
    "SparseLinear",
    "Status",
    "SumProduct",
    "Swap",
    "TRWS",
    "Table",
    "Templates",
    "Toulbar2",
    "TreeReweighted",
    "TruncatedLinear",
    "TruncatedQuadratic",
    "Variables",
    "collapse_report",
    "continuous",
    "energy",
    "entropy",
    "interop",
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
        found = globals()[name] = module if name == _LATER[name].rpartition(".")[2] else getattr(module, name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
