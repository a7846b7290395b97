"""Files of weighted constraint satisfaction (wcsp): integer costs, listed by tuples beside a default cost.

    name variables most-states functions top     states of each variable     then for each function
    arity variables… default-cost number-of-tuples     and for each tuple     labels… cost

A cost of `top` or more is +inf. (That a sum of smaller costs reaches `top` forbids nothing here: lower energies are
preferred anyway.) A function of arity 0 is a constant. One of negative arity, −n, has n variables and may be shared:
functions whose number of tuples is −k have the costs of the k-th of these. A default cost −1 announces a global cost
function, which is refused. Costs of 2^53 and more are rounded, those of more than 18 digits count as top.
"""

from __future__ import annotations

import numpy as np

from ..graph import FactorGraph
from ..kernels.text import LARGEST
from ..kernels.text_models import fill_functions, scan_functions
from .assemble import Layout
from .source import Scanner
from .uai import MOST_INT32, read_states


def read_wcsp(scanner: Scanner, limit: int) -> FactorGraph:
    """The graph of a file's text. Errors: FormatError."""
    scanner.word("the name of the problem")
    count = scanner.integer("the number of variables", 0, MOST_INT32)
    scanner.integer("the largest number of states")
    functions = scanner.integer("the number of functions")
    top = min(scanner.integer("the upper bound"), LARGEST)
    states = read_states(scanner, count)
    scanner.claim(functions, "a function", 3)
    first, var = np.zeros(functions + 1, np.int64), np.empty(scanner.room, np.int32)
    place, source = np.empty((2, functions), np.int64)
    shared = np.empty(functions + 1, np.int64)
    shared[0] = 0
    scanner.run(scan_functions, states, first, var, place, source, shared)
    scanner.finish()
    layout = Layout(states, first, var, None if (source == np.arange(functions)).all() else source)
    layout.check(scanner.path, limit)
    start, size = layout.places(functions)
    entries = np.empty(layout.size)
    scanner.run(fill_functions, states, first, var, place, start, size, top, entries)
    scanner.release()
    return layout.graph(layout.split(entries))
