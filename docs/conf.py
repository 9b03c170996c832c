"""The documentation site: `make docs` builds it, offline and strictly. No page loads anything from elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from accessibility import mend_pages
from generated import fill_in

import mlbaseline

project = "mlbaseline"
copyright = "the mlbaseline contributors, Apache-2.0"
version = release = mlbaseline.__version__
html_title = f"mlbaseline {release}"
html_theme = "furo"
html_static_path: list[str] = []
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["**/README.md"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_numpy_docstring = False


def setup(app: Any) -> None:
    """Fill in the generated parts of pages as they are read, and mend the finished ones."""
    app.connect("source-read", lambda _app, _page, source: source.__setitem__(0, fill_in(source[0])))
    app.connect("build-finished", lambda built, error: error or mend_pages(Path(built.outdir)))
