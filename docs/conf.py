"""Sphinx settings: `make docs`. What is made, pages of examples and pictures, lies in docs/gallery and docs/pictures.

The docstrings of the package are prose, not reStructuredText: docs/prose.py says how they are read. docs/programs.py
runs what makes pictures: the examples, and the programs of pages that show some.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import programs  # noqa: E402
import prose  # noqa: E402

import factorgraph  # noqa: E402

project = "factorgraph"
author = copyright = "The factorgraph developers"
version = release = factorgraph.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["**/.*"]
highlight_language = "none"
smartquotes = False
pygments_style, pygments_dark_style = "friendly", "github-dark"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
add_module_names = False
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"factorgraph {version}"
html_static_path = ["static"]
html_css_files = ["docs.css"]
html_copy_source = False
html_show_sphinx = False


def _make(app):
    programs.make_gallery(HERE.parent / "examples", HERE / "gallery")
    programs.make_pictures(sorted(HERE.rglob("*.md")), HERE / "pictures")


def setup(app):
    app.connect("builder-inited", _make)
    app.connect("autodoc-process-docstring", prose.read)
