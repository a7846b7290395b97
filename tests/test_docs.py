"""The documentation runs.

In README.md and docs/*.md every ```python block is a program; the blocks of a file run in order and share their names.
What they print is compared with the next block of the file where that is a ```text or ```output block. A block
that only shows (signatures, say) is fenced ```python sketch. Docstring examples of all public modules run as doctests.
"""

import contextlib
import doctest
import importlib
import io
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "factorgraph").rglob("*.py"))
    if path.stem == "__init__" or not path.stem.startswith("_")
]
FENCE = re.compile(r"^```([^`\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Program:
    """A block of code at a line of a document; `expected` is what it must print, None where nothing is said."""

    line: int
    code: str
    expected: str | None


def programs(text: str) -> list[Program]:
    blocks = [(m[1].strip(), m[2], text.count("\n", 0, m.start()) + 2) for m in FENCE.finditer(text)]
    found = []
    for (kind, code, line), (following, output, _) in zip(blocks, [*blocks[1:], ("", "", 0)], strict=True):
        if kind == "python":
            found.append(Program(line, code, output if following in ("text", "output") else None))
        else:
            assert kind == "python sketch" or not kind.startswith("py"), f"line {line}: what is a {kind!r} block?"
    return found


def run(document: Path) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    for program in programs(document.read_text(encoding="utf-8")):
        printed = io.StringIO()
        code = compile("\n" * (program.line - 1) + program.code, str(document), "exec")
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        if program.expected is not None:
            assert printed.getvalue() == program.expected, f"{document.name}, line {program.line}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_programs_of(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(document)


@pytest.mark.parametrize("module", MODULES)
def test_docstrings_of(module):
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(importlib.import_module(module), optionflags=options).failed == 0


DOCUMENT = """
```python
a = 1
print(a)
```
It prints:
```text
{first}
```
```python sketch
def f(x) -> ...
```
```python
print(a + 1)
```
"""


def test_a_document_with_the_right_output_passes(tmp_path):
    (tmp_path / "right.md").write_text(DOCUMENT.format(first=1), encoding="utf-8")
    run(tmp_path / "right.md")


def test_wrong_output_fails(tmp_path):
    (tmp_path / "wrong.md").write_text(DOCUMENT.format(first=2), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"wrong.md, line 3"):
        run(tmp_path / "wrong.md")


def test_an_unknown_kind_of_python_block_fails():
    with pytest.raises(AssertionError, match="line 2: what is a 'py' block"):
        programs("```py\n1\n```\n")
