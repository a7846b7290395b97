"""A factor graph as a drawing: variables are round, factors are square, latent variables are shaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..errors import FactorGraphError
from ..graph import FactorGraph
from ..infer import Solution
from ..plan import Plan
from .canvas import CUT, Where, drawing, ink

#: Nodes that are drawn at most, and up to how many the slower and better layout is used.
MOST, FINE = 400, 150
#: Entries of a table that are written beside its factor at most.
WRITTEN = 16
SHADE = (0.5, 0.5, 0.5, 0.55)


class Node(NamedTuple):
    """A variable or a factor; of a factor, the variables of its scope and its table: block, row."""

    name: str
    latent: bool = False
    scope: tuple[int, ...] = ()
    table: tuple[int, int] = (0, 0)


def draw_graph(
    on: Where,
    graph: FactorGraph,
    solution: Solution | None = None,
    energies: np.ndarray | None = None,
    title: str | None = None,
) -> None:
    """Draw variables, factors and who meets whom.

    solution: its states are written beside the variables. energies: as `graph.energies(parameters)` gives them; small
    tables are written beside their factors.

    Errors: FactorGraphError for graphs of more than 400 variables and factors, and for lattices (see draw_paths).
    """
    variables, factors = _nodes(graph, "draw_graph")
    if len(variables) + len(factors) > MOST:
        raise FactorGraphError(
            f"draw_graph: expected at most {MOST} variables and factors; got {len(variables)} and {len(factors)}. "
            "Draw a smaller graph of the same kind"
        )
    at = _layout(len(variables), factors)
    plan = graph.compile()
    extent = 1.0 + 0.9 * float(np.sqrt(len(at)))
    with drawing(on, "draw_graph", min(14.0, 2 + extent), min(11.0, 1.5 + 0.8 * extent), title) as axes:
        text, ground = ink(axes)
        for f, factor in enumerate(factors, start=len(variables)):
            for v in factor.scope:
                axes.plot(*at[[v, f]].T, color=text, linewidth=0.9, alpha=0.6, zorder=1)
        square, round_ = at[len(variables) :], at[: len(variables)]
        axes.scatter(square[:, 0], square[:, 1], s=60, marker="s", color=text, zorder=2)
        faces = [SHADE if v.latent else ground for v in variables]
        across, up = round_.T
        axes.scatter(across, up, s=620, color=ground, zorder=2)  # shades are not opaque: edges shall end at the rim
        axes.scatter(across, up, s=620, color=faces, edgecolors=text, linewidths=1.2, zorder=3)
        for v, node in enumerate(variables):
            size = 9 if len(node.name) < 5 else 7
            axes.annotate(node.name, round_[v], ha="center", va="center", fontsize=size, color=text, zorder=4)
            if solution is not None:
                label = f"= {_state(solution, v)}"
                style: dict[str, Any] = {"textcoords": "offset points", "ha": "left", "va": "top", "weight": "bold"}
                axes.annotate(label, round_[v], (10, -9), fontsize=9, color=CUT, zorder=5, **style)
        for f, factor in enumerate(factors):
            note = factor.name if energies is None else _written(plan, energies, factor)
            family = "monospace" if "\n" in note else None
            style = {"textcoords": "offset points", "ha": "center", "va": "bottom", "family": family}
            axes.annotate(note, square[f], (0, 6), fontsize=7, color=text, alpha=0.85, zorder=4, **style)
        axes.set_axis_off()
        axes.margins(0.12)


def to_dot(graph: FactorGraph) -> str:
    """The graph in the language of graphviz, which need not be installed: `dot -Kneato -Tsvg` draws it.

    >>> import factorgraph as fg
    >>> g = fg.FactorGraph()
    >>> g.add(fg.Potts(1.0), g.variables("a"), g.variables("b", latent=True))
    >>> print(to_dot(g))
    graph {
      v0 [label="a", shape=circle];
      v1 [label="b", shape=circle, style=filled];
      f0 [label="", xlabel="Potts", shape=square, style=filled, fillcolor=black, width=0.12];
      f0 -- v0;
      f0 -- v1;
    }

    Errors: FactorGraphError for lattices.
    """
    variables, factors = _nodes(graph, "to_dot")
    lines = ["graph {"]
    for v, node in enumerate(variables):
        filled = ", style=filled" if node.latent else ""
        lines.append(f"  v{v} [label={_quoted(node.name)}, shape=circle{filled}];")
    for f, node in enumerate(factors):
        about = f'label="", xlabel={_quoted(node.name)}, shape=square, style=filled, fillcolor=black, width=0.12'
        lines.append(f"  f{f} [{about}];")
        lines += [f"  f{f} -- v{v};" for v in node.scope]
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _nodes(graph: FactorGraph, where: str) -> tuple[list[Node], list[Node]]:
    """Variables and factors; a factor is called by its family."""
    plan = graph.compile()
    if plan.lattices.nodes.size:
        raise FactorGraphError(f"{where}: expected variables and factors; got a lattice. draw_paths draws one, solved")
    factors = [
        Node(type(factor).__name__, scope=tuple(scope), table=(b, i if block.table is None else int(block.table[i])))
        for b, (block, factor) in enumerate(graph.bound())
        for i, scope in enumerate(block.scopes.tolist())
    ]
    return list(_variables(plan)), factors


def _variables(plan: Plan) -> Iterator[Node]:
    for group in plan.groups:
        for index in np.ndindex(*group.shape):
            yield Node(f"{group.name} {','.join(map(str, index))}" if index else group.name, group.latent)


def _layout(variables: int, factors: list[Node]) -> np.ndarray:
    """float64 (nodes, 2): variables, then factors; the same for the same graph."""
    import networkx as nx

    net = nx.Graph()
    net.add_nodes_from(range(variables + len(factors)))
    net.add_edges_from((variables + f, v) for f, factor in enumerate(factors) for v in factor.scope)
    parts = [sorted(part) for part in nx.connected_components(net)]
    at, left = np.zeros((len(net), 2)), 0.0
    for part in parts:  # side by side
        inner = net.subgraph(part)
        found = nx.kamada_kawai_layout(inner) if len(part) <= FINE else nx.spring_layout(inner, seed=0, iterations=200)
        place = np.array([found[node] for node in part]) * np.sqrt(len(part))
        place -= place.min(0)
        at[part] = place + [left, 0]
        left += float(place[:, 0].max()) + 1.5
    return at


def _state(solution: Solution, v: int) -> str:
    """The state of a variable by name, or its label."""
    group = next(g for g in solution.plan.groups if g.start <= v < g.start + g.count)
    label, names = int(solution.flat[v]), solution.alphabets.get((group.example, group.name))
    return names[label] if names and label >= 0 else str(label)


def _written(plan: Plan, energies: np.ndarray, factor: Node) -> str:
    """The table of a factor, a line per row; nothing where it is too large to read."""
    b, row = factor.table
    table = np.atleast_1d(plan.blocks[b].view(energies)[row])
    if table.size > WRITTEN or table.ndim > 2:
        return factor.name
    return "\n".join(" ".join(f"{e:.3g}" for e in line) for line in np.atleast_2d(table))
