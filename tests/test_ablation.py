"""`demo --full`: every system is there, and what must collapse does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from factorgraph import demo
from factorgraph.cli import main


@pytest.mark.check
def test_the_table_has_every_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    from factorgraph.demo import ablation

    monkeypatch.setattr(ablation, "SEEDS", (0,))
    monkeypatch.setattr(demo, "QUICK", replace(demo.QUICK, train=120, test=40, epochs=2, hidden=24))
    picture = tmp_path / "lattice.png"
    assert main(["demo", "--full", "--quick", "--picture", str(picture)]) == 0
    said = capsys.readouterr().out
    table = said.partition("character error")[2].splitlines()[1:]
    errors = {line[:54].strip(): float(line[54:].split()[0]) for line in table}
    assert len(errors) == 11 and sum(name.startswith("ordered") for name in errors) == 3
    assert errors["random  energy loss, from the isolated digits"] > 85
    assert all(0 < error <= 100 for error in errors.values())
    assert "with this loss it may collapse" in said
    assert picture.read_bytes().startswith(b"\x89PNG")
