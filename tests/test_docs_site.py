"""The documentation as a site: it is built once, strictly, and has what messages link to."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlbaseline.documentation import explanations

ROOT = Path(__file__).parent.parent
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
