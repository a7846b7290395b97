"""Run a benchmark: `python bench/run.py NAME` prints one table and writes bench/out/NAME.json.

A benchmark is a file in bench/ that defines SECTIONS, a tuple of functions `Options -> rows`; its name is the file's.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import harness  # noqa: E402


def benchmarks() -> dict[str, str]:
    """Name and first line of every benchmark in this folder."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        names = [target for node in module.body for target in _assigned(node)]
        if "SECTIONS" in names:
            found[path.stem] = (ast.get_docstring(module) or "").partition("\n")[0]
    return found


def _assigned(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def run(name: str, sections: list[str] | None, options: harness.Options) -> None:
    """Print the table row by row, then keep it."""
    module = importlib.import_module(f"bench.{name}")
    chosen = [section for section in module.SECTIONS if not sections or section.__name__ in sections]
    header = harness.machine()
    print(f"{name}: {header['date']}, {header['machine']}")
    print(", ".join(f"{package} {version}" for package, version in header["versions"].items()))
    print(f"{'quick sizes, bars mean nothing; ' if options.quick else ''}{options.repeat} alternated rounds\n")
    print(harness.heading())
    rows = []
    for section in chosen:
        for row in section(options):
            print(harness.line(row), flush=True)
            rows.append(row)
    print(f"\nwritten: {harness.write(name, rows, options, header)}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Ours against referees, alternated in one run.")
    parser.add_argument("name", nargs="?", help="a benchmark of --list")
    parser.add_argument("--list", action="store_true", help="name the benchmarks")
    parser.add_argument("--only", nargs="+", metavar="SECTION", help="some sections of the benchmark")
    parser.add_argument("--repeat", type=int, default=harness.Options.repeat, help="alternated rounds")
    parser.add_argument("--quick", action="store_true", help="small inputs, for CI")
    arguments = parser.parse_args()
    known = benchmarks()
    if arguments.list or arguments.name is None:
        for name, title in known.items():
            print(f"{name:<16} {title}")
    elif arguments.name not in known:
        parser.error(f"no benchmark {arguments.name!r}; there are: {', '.join(known)}")
    else:
        run(arguments.name, arguments.only, harness.Options(arguments.quick, arguments.repeat))


if __name__ == "__main__":
    main()
