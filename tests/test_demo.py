"""The command line and its demonstration: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from factorgraph import __version__, demo
from factorgraph.cli import main

KEYS = {
    "seed",
    "string_error",
    "character_error",
    "baseline_string_error",
    "seconds",
    "lines_trained",
    "lines_tested",
    "picture",
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer lines still than --quick has."""
    monkeypatch.setattr(demo, "QUICK", replace(demo.QUICK, train=60, test=20, epochs=1))


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The object printed by `demo --quick --json` and nothing else."""
    assert main(["demo", "--quick", "--json", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and captured.out.count("\n") == 1
    found: dict[str, Any] = json.loads(captured.out)
    assert set(found) == KEYS
    return found


def test_quick_learns_to_read(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "new" / "lines.png"
    command = [sys.executable, "-m", "factorgraph", "demo", "--quick", "--seed", "3", "--picture", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stderr == ""
    assert "strings alone (seed 3)" in done.stdout and f"Picture: {path}" in done.stdout
    rows = {line[:46].strip(): line.split()[-2:] for line in done.stdout.splitlines() if line.endswith("%")}
    strings = {name: float(figures[0].rstrip("%")) / 100 for name, figures in rows.items()}
    assert strings["segmented while reading, from strings alone"] < 0.5
    assert len(strings) == 3 and all(0 < error < 1 for error in strings.values())
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [each.name for each in tmp_path.iterdir()] == ["new"]


def test_a_seed_sets_everything(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    first, picture = report(capsys, "--seed", "5"), Path("out/handwriting.png").read_bytes()
    again = report(capsys, "--seed", "5")
    other = report(capsys, "--seed", "6")
    assert first | {"seconds": 0} == again | {"seconds": 0}
    assert picture != Path("out/handwriting.png").read_bytes()
    assert first["character_error"] != other["character_error"]
    assert first["picture"] == "out/handwriting.png" and first["seconds"] > 0
    assert (first["seed"], first["lines_trained"], first["lines_tested"]) == (5, 60, 20)
    for share in ("string_error", "baseline_string_error"):
        assert 0 <= first[share] <= 1


def test_without_matplotlib_there_is_no_picture(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["demo", "--quick", "--picture", str(tmp_path / "lines.png")]) == 0
    assert "No picture: matplotlib is not installed" in capsys.readouterr().out
    assert report(capsys, "--picture", str(tmp_path / "lines.png"))["picture"] is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["demo", "--seed", "-1"], "argument --seed: expected a non-negative integer; got '-1'"),
        (["demo", "--seed", "1.5"], "argument --seed: expected a non-negative integer; got '1.5'"),
        (["demo", "--picture", "lines.pdf"], "argument --picture: expected a name that ends in .png; got 'lines.pdf'"),
        (["demo", "--picture", "file/lines.png"], "argument --picture: cannot make the folder 'file'"),
        (["demo", "--picture", "folder.png"], "argument --picture: cannot write 'folder.png'"),
        (["demo", "--fast"], "unrecognized arguments: --fast"),
        (["demos"], "invalid choice: 'demos' (choose from"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_wrong_usage(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("folder.png").mkdir()
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert sentence in captured.err and "usage: factorgraph" in captured.err and captured.out == ""


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0 and capsys.readouterr().out == f"factorgraph {__version__}\n"


def test_errors_of_the_library_are_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise demo.fg.FactorGraphError("train: expected a better day")

    monkeypatch.setattr(demo, "run", refuse)
    assert main(["demo", "--picture", str(tmp_path / "lines.png")]) == 1
    assert capsys.readouterr().err == "factorgraph: train: expected a better day\n"
