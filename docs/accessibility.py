"""What the theme leaves out for readers who use a keyboard or a screen reader, put into the finished pages.

tests/project/test_docs_site.py asks axe whether anything is missing.
"""

from __future__ import annotations

from pathlib import Path

MENDED = {
    # Two landmarks of one kind need names to be told apart.
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="All pages">',
    '<aside class="toc-drawer': '<aside aria-label="On this page" class="toc-drawer',
    # Its buttons and links stand outside of all landmarks.
    '<div class="content-icon-container">': '<div class="content-icon-container" role="navigation" aria-label="Tools">',
    # A heading has a level.
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    # What scrolls sideways must be reached by the keyboard.
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper ': '<div tabindex="0" class="table-wrapper ',
    # A cell without text heads nothing.
    '<th class="head"><p></p></th>': "<td></td>",
    # A page has a heading of the first level.
    '<div id="search-results"></div>': '<h1>Search</h1>\n<div id="search-results" aria-live="polite"></div>',
}
"""HTML of the theme ─▶ what stands in its place. No key is part of a value: a second time changes nothing."""


def mend_pages(folder: Path) -> None:
    """Put what is missing into every page of a built site."""
    for page in folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        mended = text
        for before, after in MENDED.items():
            mended = mended.replace(before, after)
        if mended != text:
            page.write_text(mended, encoding="utf-8")
