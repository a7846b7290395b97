"""The programs of the documentation: blocks of pages, and examples.

In a page every ```python block is a program; the blocks of a page run in order and share their names. What they print
is compared with the next block of the page where that is a ```text or ```output block. A block that only shows
(signatures, say) is fenced ```python sketch. tests/test_docs.py runs them all; a build of the documentation runs those
of pages that show pictures/…, which they write to the current folder.
"""

import ast
import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prose import inline, to_rst

FENCE = re.compile(r"^```([^`\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"\]\((?:\.\./)*pictures/([^)]+)\)")


@dataclass(frozen=True)
class Program:
    """A block of code at a line of a document; `expected` is what it must print, None where nothing is said."""

    line: int
    code: str
    expected: str | None


def programs(text: str) -> list[Program]:
    """The programs of a page."""
    blocks = [(m[1].strip(), m[2], text.count("\n", 0, m.start()) + 2) for m in FENCE.finditer(text)]
    found = []
    for (kind, code, line), (following, output, _) in zip(blocks, [*blocks[1:], ("", "", 0)], strict=True):
        if kind == "python":
            found.append(Program(line, code, output if following in ("text", "output") else None))
        else:
            assert kind == "python sketch" or not kind.startswith("py"), f"line {line}: what is a {kind!r} block?"
    return found


def run(document: Path) -> None:
    """Run the programs of a page; AssertionError where one prints something else than the page says."""
    names: dict[str, object] = {"__name__": "__main__"}
    for program in programs(document.read_text(encoding="utf-8")):
        printed = io.StringIO()
        code = compile("\n" * (program.line - 1) + program.code, str(document), "exec")
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        if program.expected is not None:
            assert printed.getvalue() == program.expected, f"{document.name}, line {program.line}"


def make_pictures(documents: list[Path], folder: Path) -> None:
    """Run the pages that show pictures, in the folder where they expect them."""
    folder.mkdir(exist_ok=True)
    for document in documents:
        wanted = PICTURE.findall(document.read_text(encoding="utf-8"))
        if any(_older(folder / name, document) for name in wanted):
            with _inside(folder):
                run(document)


def make_gallery(examples: Path, folder: Path) -> None:
    """One page per example: what it says of itself, its picture, what it prints in quick mode, its text."""
    folder.mkdir(exist_ok=True)
    sources = sorted(examples.glob("*.py"))
    for source in sources:
        picture, page = folder / f"{source.stem}.png", folder / f"{source.stem}.rst"
        if _older(page, source) or _older(picture, source):
            command = [sys.executable, str(source), "--quick", "--picture", str(picture)]
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "MPLBACKEND": "Agg"}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{source.name} --quick failed:\n{done.stderr}")
            page.write_text(_page(source, done.stdout), encoding="utf-8")
    lines = ["Examples", "========", "", "Each is one file of examples/; here they ran in their quick mode.", ""]
    lines += [".. toctree::", "   :hidden:", "", *(f"   {source.stem}" for source in sources), ""]
    for source in sources:
        lines += [f".. rubric:: :doc:`{_title(source)} <{source.stem}>`", "", _about(source)[0], ""]
        lines += [f".. image:: {source.stem}.png", f"   :target: {source.stem}.html", "   :class: thumbnail", ""]
    index = "\n".join(lines)
    if _older(folder / "index.rst", Path(__file__)) or (folder / "index.rst").read_text(encoding="utf-8") != index:
        (folder / "index.rst").write_text(index, encoding="utf-8")


def _page(source: Path, printed: str) -> str:
    title, (lead, rest) = _title(source), _about(source)
    lines = [title, "=" * len(title), "", lead, "", *to_rst(rest, set()), "", f".. image:: {source.stem}.png", ""]
    lines += ["It prints, with ``--quick``:", "", "::", "", *(f"    {line}" for line in printed.splitlines()), ""]
    return "\n".join([*lines, f".. literalinclude:: ../../examples/{source.name}", "   :language: python", ""])


def _title(source: Path) -> str:
    return source.stem.replace("_", " ").capitalize()


def _about(source: Path) -> tuple[str, str]:
    """The first sentence of an example's docstring as reStructuredText, and the rest as it is."""
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or source.stem
    lead, _, rest = text.partition("\n\n")
    return inline(" ".join(lead.split())), rest


def _older(made: Path, source: Path) -> bool:
    return not made.exists() or made.stat().st_mtime < source.stat().st_mtime


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
