"""The documentation runs: the programs of README.md and docs/*.md (docs/programs.py says which blocks are such) and the
examples in docstrings of all public modules. Every public name is in the reference.
"""

import doctest
import importlib
import re
import sys
from pathlib import Path

import pytest

import factorgraph
from factorgraph import losses, optim

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "docs"))

from programs import PICTURE, programs, run  # noqa: E402
from prose import to_rst  # noqa: E402

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "factorgraph").rglob("*.py"))
    if path.stem == "__init__" or not path.stem.startswith("_")
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_programs_of(document, tmp_path, monkeypatch):
    shown = PICTURE.findall(document.read_text(encoding="utf-8"))
    if shown:
        pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    run(document)
    assert [name for name in shown if not (tmp_path / name).is_file()] == [], "shown, and made by no program"


@pytest.mark.parametrize("module", [factorgraph, losses, optim], ids=lambda module: module.__name__)
def test_every_public_name_is_in_the_reference(module):
    pages = (ROOT / "docs" / "reference").glob("*.rst")
    found = set(re.findall(r"^\.\. auto\w+:: (?:\w+\.)*(\w+)$", "".join(p.read_text("utf-8") for p in pages), re.M))
    public = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items() if isinstance(value, type) and value.__module__ == module.__name__
    ]
    assert sorted(set(public) - found) == []


def test_docstrings_become_markup():
    text = """What f does to *args and |x|, see `g`.

    a = b_c

path: where to. limit: how much; other: stays a word of this sentence.

Errors: FactorGraphError for `n` < 1.

>>> f(1)
1
"""
    assert to_rst(text, {"path", "limit", "Errors"}) == [
        r"What f does to \*args and \|x\|, see \ ``g``\ .", "", "",
        "::", "", "    a = b_c", "",
        "``path``", "    where to.", "",
        "``limit``", "    how much; other: stays a word of this sentence.", "", "",
        "Errors", r"    FactorGraphError for \ ``n``\  \< 1.", "", "",
        ">>> f(1)", "1", "",
    ]  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_docstrings_of(module):
    if module.endswith(".torch"):
        pytest.importorskip("torch", reason="PyTorch is not installed")
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
