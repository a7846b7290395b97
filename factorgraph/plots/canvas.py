"""What all pictures stand on: colours, a figure, a file written whole. Needs matplotlib: pip install matplotlib."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FactorGraphError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Two colours that differ for every kind of colour vision; a mark and a word say the same again.
RIGHT, WRONG = "#00795a", "#c44e00"
CUT, TEXT, FRAME = "#0072b2", "#222222", "#d0d0d0"
DPI = 100

#: Where to draw: the path of a PNG, or axes of matplotlib.
Where = Any


def new_figure(where: str, width: float, height: float, facecolor: str | None = "white") -> Figure:
    """An empty figure, inches wide and high; facecolor None: that of the style in use, which may be dark."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise FactorGraphError(
            f"{where}: expected matplotlib to be installed; got {error}. Install it by: pip install matplotlib"
        ) from error
    return Figure(figsize=(width, height), dpi=DPI, facecolor=facecolor)


def save(figure: Figure, path: Path, where: str = "draw_lines") -> None:
    """Write a figure as a PNG, in one step."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if not path.parent.is_dir():
        raise FactorGraphError(
            f"{where}: expected the folder {path.parent} to exist; got none. Create it or choose another path."
        )
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            FigureCanvasAgg(figure).print_figure(file, format="png", dpi=DPI)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def drawing(on: Where, where: str, width: float, height: float, title: str | None) -> Iterator[Axes]:
    """The axes to draw on: those that were given, or those of a new figure that is written to the path in the end."""
    if hasattr(on, "add_collection"):
        if title is not None:
            on.set_title(title)
        yield on
        return
    if not isinstance(on, str | os.PathLike):
        raise FactorGraphError(f"{where}: expected the path of a PNG, or axes of matplotlib, first; got {on!r}")
    figure = new_figure(where, width, height, None)
    axes = figure.add_subplot()
    if title is not None:
        axes.set_title(title)
    yield axes
    figure.tight_layout()
    save(figure, Path(os.fsdecode(on)), where)


def ink(axes: Axes) -> tuple[Any, Any]:
    """The colours of text and ground in the style in use: dark on light, or light on dark."""
    from matplotlib import rcParams

    return rcParams["text.color"], axes.get_facecolor()


def whole_numbers(axes: Axes) -> None:
    """Ticks across at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
