"""House rules that no linter knows."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GENERATED = {"build", "dist", "out", "__pycache__"}
TEXT = {".py", ".md", ".cfg", ".toml", ".txt", ".yml", ""}
MOST_LINES = 320

LIBRARY = sorted((ROOT / "factorgraph").rglob("*.py"))
FILES = sorted(
    path
    for path in ROOT.rglob("*")
    if path.is_file()
    and path.suffix in TEXT
    and not any(
        (name.startswith(".") and name != ".ci") or name in GENERATED or name.endswith(".egg-info")
        for name in path.relative_to(ROOT).parts
    )
)

# One letter of each word is a class of its own, so that a pattern does not find itself.
FORBIDDEN = {
    "unfinished work": r"\bTO[D]O\b|\bFIX[M]E\b",
    "a path of somebody's machine": r"/wor[k]/|/hom[e]/\w|\bshare[d]/",
    "the number of an issue": r"(?<![\w(&])#\d{1,2}\b|\b[Ii]ssue \d",
    "a package registry": r"\bpyp[i]\.org|\bpythonhoste[d]\.|\bdeb\.debia[n]\.|\bnpmj[s]\.",
}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_text_names(what):
    found = [
        f"{name(path)}:{number}: {line.strip()}"
        for path in FILES
        if what != "a path of somebody's machine" or name(path) != ".ci/run"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(FORBIDDEN[what], line)
    ]
    assert found == []


def test_modules_stay_short():
    lines = {name(path): path.read_text(encoding="utf-8").count("\n") for path in LIBRARY}
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}


def test_only_the_command_line_prints():
    found = [
        f"{name(path)}:{node.lineno}"
        for path in LIBRARY
        if path.relative_to(ROOT).with_suffix("").parts[1] not in ("cli", "__main__", "demo")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert found == []


def test_the_version_is_said_once_and_cited():
    version = re.search(r'^__version__ = "(.+)"$', (ROOT / "factorgraph/__init__.py").read_text("utf-8"), re.M)[1]
    assert "version = attr: factorgraph.__version__\n" in (ROOT / "setup.cfg").read_text("utf-8")
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
