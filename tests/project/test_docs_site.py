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


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)], ids=["wide-light", "narrow-dark"])
@pytest.mark.browser
@pytest.mark.skipif(PROGRAM is None, reason="no Chromium on PATH")
def test_axe_has_no_complaint_about_any_page(browser: Browser, site: Path, width: int, dark: bool) -> None:
    """Rows of a table are alike: all of them are looked at in one form of the page, and ten in the other."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", offline=True
    )
    page, complaints = context.new_page(), {}
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        if dark:
            page.evaluate(SHORTEN_TABLES)
        if found := complaints_of_axe(page):
            complaints[str(path.relative_to(site))] = found
    context.close()
    assert complaints == {}
