"""The documentation as a site: built once, strictly, it has what messages link to, and axe finds no fault with it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlbaseline.documentation import explanations
from tests.support.checkout import ROOT
from tests.support.processes.browsers import PROGRAM, complaints_of_axe

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "docs", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_code_has_its_anchor(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLBASELINE_DOCS_URL", str(site))
    for each in explanations().values():
        page, _, anchor = each.url.partition("#")
        assert f'<section id="{anchor}">' in Path(page).read_text(encoding="utf-8"), each.url


def test_links_within_the_site_lead_to_anchors_that_exist(site: Path) -> None:
    pages = {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    assert len(pages) > 30
    for page, text in pages.items():
        for target, anchor in re.findall(r'href="([^"#:]*)#([^"]+)"', text):
            linked = (page.parent / target).resolve() if target else page
            if linked in pages and anchor:
                assert f'id="{anchor}"' in pages[linked], f"{page.relative_to(site)}: {target}#{anchor}"


SHORTEN_TABLES = "for (const row of document.querySelectorAll('tbody tr:nth-child(n + 11)')) row.remove()"


@pytest.mark.browser
@pytest.mark.skipif(PROGRAM is None, reason="no Chromium on PATH")
def test_axe_has_no_complaint_about_any_page(browser: Browser, site: Path) -> None:
    """All rules but that of contrasts, which the next test checks: they take most of the time."""
    pages = sorted(site.rglob("*.html"))
    assert complaints(browser, site, pages, width=1200, dark=False, colours=False) == {}


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)], ids=["wide-light", "narrow-dark"])
@pytest.mark.browser
@pytest.mark.skipif(PROGRAM is None, reason="no Chromium on PATH")
def test_axe_has_no_complaint_about_any_kind_of_element(browser: Browser, site: Path, width: int, dark: bool) -> None:
    """The style sheets tell elements apart by their tags and classes: each kind is looked at on one page at least."""
    assert complaints(browser, site, pages_with_all_kinds(site), width=width, dark=dark, colours=True) == {}


def complaints(
    browser: Browser, site: Path, pages: list[Path], *, width: int, dark: bool, colours: bool
) -> dict[str, list[str]]:
    """What axe finds fault with on these pages. Where it looks at colours, ten rows of a table stand for the others."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", offline=True
    )
    page, found = context.new_page(), {}
    for path in pages:
        page.goto(path.as_uri())
        if colours:
            page.evaluate(SHORTEN_TABLES)
        if complained := complaints_of_axe(page, colours=colours):
            found[str(path.relative_to(site))] = complained
    context.close()
    return found


def pages_with_all_kinds(site: Path) -> list[Path]:
    """Choose pages, short ones with many kinds of element first, until each kind is on one of them."""
    left = {page: kinds_of_element(page.read_text(encoding="utf-8")) for page in site.rglob("*.html")}
    kinds, chosen = frozenset().union(*left.values()), []
    while kinds:
        best = max(left, key=lambda page: len(left[page] & kinds) / page.stat().st_size)
        chosen.append(best)
        kinds -= left.pop(best)
    return chosen


def kinds_of_element(text: str) -> frozenset[tuple[str, str]]:
    """Tag and classes of each element of a page."""
    tags = re.findall(r"<(\w+)([^>]*)>", text)
    return frozenset((tag, "".join(re.findall(r'\bclass="([^"]*)"', attributes))) for tag, attributes in tags)
