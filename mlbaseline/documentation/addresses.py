"""Where the documentation is published: messages and reports link to it."""

from __future__ import annotations

import os

DOCUMENTATION_URL = "https://mlbaseline.readthedocs.io/en/latest"
"""The published site. The environment variable MLBASELINE_DOCS_URL names another copy, such as a folder that
`make docs` has built (`file:///…/site`) or a mirror inside a company."""


def documentation_url(page: str, anchor: str = "") -> str:
    """Return the address of a page of the documentation.

    Args:
        page: Path of the page's source below `docs/`, without its ending.
        anchor: Name of a section on the page.

    Example:
        >>> documentation_url("reference/audit", "mlb302")
        'https://mlbaseline.readthedocs.io/en/latest/reference/audit.html#mlb302'
    """
    base = os.environ.get("MLBASELINE_DOCS_URL", DOCUMENTATION_URL).rstrip("/")
    return f"{base}/{page}.html{f'#{anchor}' if anchor else ''}"
