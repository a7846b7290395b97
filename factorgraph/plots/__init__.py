"""Pictures for people: functions that draw into a PNG, or (where `on` is axes of matplotlib) beside other things.

They need matplotlib, which is imported when something is drawn: pip install matplotlib. Colours of text and ground are
those of the style in use. `to_dot` needs nothing.
"""

from .answers import draw_chain, draw_history, draw_labelling, draw_paths
from .graphs import draw_graph, to_dot
from .lines import draw_lattice, draw_lines, draw_plane, draw_surfaces

__all__ = [
    "draw_chain",
    "draw_graph",
    "draw_history",
    "draw_labelling",
    "draw_lattice",
    "draw_lines",
    "draw_paths",
    "draw_plane",
    "draw_surfaces",
    "to_dot",
]
