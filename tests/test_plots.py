"""Pictures: a valid PNG of the stated width, whatever the lines; errors before anything is written."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factorgraph.datasets import digit_lines
from factorgraph.errors import FactorGraphError
from factorgraph.plots import draw_lines, draw_plane, draw_surfaces

pytest.importorskip("matplotlib")


def size(path: Path) -> tuple[int, int]:
    """Width and height in a PNG's header."""
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n") and data.rstrip().endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def dozen() -> dict[str, list[Any]]:
    lines = digit_lines(train=0, test=12).test
    truths = [line.digits for line in lines]
    wrong = [digits if i % 3 else (digits + 1) % 10 for i, digits in enumerate(truths)]
    cuts = [np.append(line.spans[:, 0], line.image.shape[1]) for line in lines]
    return {"images": [line.image for line in lines], "cuts": cuts, "readings": wrong, "truths": truths}


def test_a_dozen_lines_fill_a_picture_with_right_and_wrong_marked(tmp_path: Path) -> None:
    from matplotlib.image import imread

    path = tmp_path / "lines.png"
    path.write_text("an older picture")
    draw_lines(path, **dozen(), title="Held-out lines, $10 each")
    width, height = size(path)
    assert width == 1200 and 600 < height < 1000
    assert [p.name for p in tmp_path.iterdir()] == ["lines.png"]
    colours = {tuple(c) for c in (255 * imread(path)[..., :3]).round().astype(int).reshape(-1, 3)}
    assert (0x00, 0x79, 0x5A) in colours and (0xC4, 0x4E, 0x00) in colours and (0x00, 0x72, 0xB2) in colours


def test_the_same_picture_twice_is_the_same_file(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw_lines(tmp_path / name, **dozen())
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_odd_lines_are_drawn_too(tmp_path: Path) -> None:
    path = str(tmp_path / "odd.png")
    ink = np.eye(8)
    draw_lines(path, [ink], [[]], [[]], ["a long truth that nobody could read at all"])
    assert size(Path(path))[0] == 1200
    draw_lines(path, [ink, np.ones((8, 5000)), np.ones((28, 28))], [[0, 8], [0, 9], []], ["a", ["12"], ""], "abc")
    assert size(Path(path))[0] == 1200


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"images": []}, "expected as many cuts, readings and truths as images.*got 0 images, 12 cuts, 12 readings"),
        ({"truths": ["1"]}, "12 readings, 1 truths. Pass one of each per line"),
        ({"images": [np.zeros((8, 9, 3))] * 12}, r"expected image 0 of shape \(rows, W\); got \(8, 9, 3\)"),
        ({"cuts": [[0, 3]] * 12}, r"expected for line 0 the 6 increasing columns within 0\.\.\d+ .* got \[0, 3\]"),
        ({"cuts": [[0, 9, 9, 9, 9, 9]] * 12}, "Include both ends"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    with pytest.raises(FactorGraphError, match=f"^draw_lines: .*{text}"):
        draw_lines(tmp_path / "x.png", **(dozen() | change))
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_and_a_missing_matplotlib_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FactorGraphError, match="expected the folder .*nowhere to exist; got none"):
        draw_lines(tmp_path / "nowhere" / "x.png", **dozen())
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(FactorGraphError, match="pip install matplotlib"):
        draw_lines(tmp_path / "x.png", **dozen())


def test_the_plane_of_energies_counts_right_and_wrong(tmp_path: Path) -> None:
    path = tmp_path / "plane.png"
    draw_plane(path, [0.0, 1.0, 2.0], [3.0, 1.5, np.inf], margin=1.0, title="a plane")
    assert size(path) == (700, 700)
    draw_plane(path, [1.0], [1.0])  # one point, no extent
    assert size(path) == (700, 700)
    with pytest.raises(FactorGraphError, match="draw_plane: expected at least one pair of finite energies; got none"):
        draw_plane(path, [np.inf], [0.0])


def test_surfaces_lie_side_by_side(tmp_path: Path) -> None:
    path, x, y = tmp_path / "surfaces.png", np.linspace(-1, 1, 9), np.linspace(0, 1, 5)
    surface = np.abs(y[:, None] - x**2)
    draw_surfaces(path, [surface] * 4, x, y, ["one", "two"], points=(x, x**2))
    assert size(path) == (1200, 740)
    with pytest.raises(FactorGraphError, match=r"draw_surfaces: expected surfaces of shape \(5, 9\).*got \[\(9, 5\)\]"):
        draw_surfaces(path, [surface.T], x, y)
