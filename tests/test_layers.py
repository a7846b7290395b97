"""Imports go down: never up, never sideways into another part of the same layer, never in a circle.

Imports inside functions and under TYPE_CHECKING count as well; only in circles they do not, as they do not run when a
module is loaded.
"""

import ast
import re
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: layer -> parts: the modules and packages directly under factorgraph/, as docs/architecture.md has them.
LAYERS = {
    8: {"cli", "__main__", "demo", "info"},
    7: {"labelers"},
    6: {"learn", "io", "interop", "datasets", "plots"},
    5: {"losses"},
    4: {"graph"},
    3: {"infer", "factors"},
    2: {"plan"},
    1: {"optim"},
    0: {"kernels", "errors", "files", "markup"},
}
#: The public face, factorgraph/__init__.py, sits between the library and its command line.
FACE = 7.5
COMMAND_LINE = 8


@dataclass(frozen=True)
class Import:
    """`source` imports `target`, both dotted module names; lazy: not run when the source is loaded."""

    source: str
    target: str
    line: int
    lazy: bool


def modules(package: Path) -> dict[str, Path]:
    """Dotted name -> file of every module; a package goes by its own name, without `__init__`."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(package: Path) -> list[Import]:
    """Every import of one module of the package by another."""
    known = modules(package)
    found = []
    for source, path in known.items():
        here = source.split(".") if path.name == "__init__.py" else source.split(".")[:-1]
        for node, lazy in statements(ast.parse(path.read_text(encoding="utf-8"))):
            for target in targets(node, here, known):
                if target.split(".")[0] == package.name and target != source:
                    found.append(Import(source, target, node.lineno, lazy))
    return found


def statements(node: ast.AST, lazy: bool = False):
    """All import statements under a node, each with whether it is lazy."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, lazy
        function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        typing = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        yield from statements(child, lazy or function or typing)


def targets(node: ast.Import | ast.ImportFrom, here: list[str], known: dict[str, Path]) -> list[str]:
    """The modules one statement in package `here` names; `from a import b` is a.b where that is a module, else a."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    above = here[: len(here) - node.level + 1] if node.level else []
    base = ".".join(above + ([node.module] if node.module else []))
    return [name if (name := f"{base}.{alias.name}") in known else base for alias in node.names]


def part(module: str) -> str:
    """The module or package directly under the root that a module belongs to; the root itself is ''."""
    return (module.split(".") + [""])[1]


def violations(package: Path) -> list[str]:
    """One sentence for each broken rule."""
    layer = {name: number for number, names in LAYERS.items() for name in names} | {"": FACE}
    found = [f"{name} has no layer" for name in sorted({part(m) for m in modules(package)} - layer.keys())]
    runs: dict[str, set[str]] = {}
    for each in imports(package):
        where = f"{each.source}:{each.line} imports {each.target}"
        source, target = part(each.source), part(each.target)
        if not each.lazy:
            runs.setdefault(each.source, set()).add(each.target)
        if source == target or source not in layer:
            continue
        if target not in layer:
            found.append(f"{where}, which has no layer")
        elif layer[target] > layer[source]:
            found.append(f"{where}: upwards")
        elif layer[target] == layer[source] != COMMAND_LINE:
            found.append(f"{where}: sideways")
    try:
        TopologicalSorter(runs).prepare()
    except CycleError as error:
        found.append("circle: " + " <- ".join(error.args[1]))
    return found


def test_imports_go_down():
    assert violations(ROOT / "factorgraph") == []


def test_the_layers_are_those_of_the_documentation():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \|(.+?)\|", text, re.MULTILINE)
    assert {int(number): set(re.findall(r"`(\w+)/?`", names)) for number, names in rows} == LAYERS


PLANTED = [
    ({"plan/core.py": "from ..graph import FactorGraph"}, "factorgraph.plan.core:1 imports factorgraph.graph: upwards"),
    ({"plan/core.py": "from .. import graph"}, "factorgraph.plan.core:1 imports factorgraph.graph: upwards"),
    ({"losses.py": "import factorgraph.graph as g, factorgraph.learn.train"}, "imports factorgraph.learn.train: up"),
    ({"optim.py": "def f():\n    from factorgraph.plan import Plan"}, "optim:2 imports factorgraph.plan: upwards"),
    ({"graph.py": "class A:\n    def f(self):\n        from . import losses"}, "graph:3 imports factorgraph.losses"),
    ({"errors.py": "if TYPE_CHECKING:\n    from .optim import Rows"}, "errors:2 imports factorgraph.optim: upwards"),
    ({"graph.py": "from factorgraph import solve"}, "factorgraph.graph:1 imports factorgraph: upwards"),
    ({"__init__.py": "from .cli import main"}, "factorgraph:1 imports factorgraph.cli: upwards"),
    ({"infer/solve.py": "from ..factors import Table"}, "imports factorgraph.factors: sideways"),
    ({"errors.py": "from .kernels import jit", "kernels/jit.py": ""}, "imports factorgraph.kernels.jit: sideways"),
    ({"extra.py": ""}, "extra has no layer"),
    ({"graph.py": "from .missing import thing"}, "graph:1 imports factorgraph.missing, which has no layer"),
    ({"plan/a.py": "from .b import x", "plan/b.py": "from . import a"}, "circle: factorgraph.plan."),
    ({"plan/__init__.py": "from .a import x", "plan/a.py": "try:\n    from . import y\nfinally: ..."}, "circle: "),
]
ALLOWED = {
    "__init__.py": "from .graph import FactorGraph",
    "__main__.py": "from .cli import main",
    "cli.py": "import factorgraph\nfrom .demo import run",
    "demo.py": "import factorgraph as fg",
    "graph.py": "import numpy\nfrom .infer.solve import solve\nfrom .plan import Plan",
    "infer/solve.py": "from ..plan import Plan\ndef later():\n    from . import other",
    "infer/other.py": "from .solve import method",
    "plan/__init__.py": "from .core import Plan",
    "plan/core.py": "from ..kernels import jit\nif TYPE_CHECKING:\n    from . import Plan",
    "kernels/jit.py": "import numba",
}


def plant(folder: Path, files: dict[str, str]) -> Path:
    package = folder / "factorgraph"
    for name, text in {"__init__.py": "", "graph.py": "", "losses.py": "", **files}.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text, encoding="utf-8")
    return package


@pytest.mark.parametrize("files, sentence", PLANTED, ids=range(len(PLANTED)))
def test_a_planted_violation_is_found(tmp_path, files, sentence):
    found = violations(plant(tmp_path, files))
    assert len(found) == 1 and sentence in found[0], found


def test_what_is_allowed_passes(tmp_path):
    assert violations(plant(tmp_path, ALLOWED)) == []
