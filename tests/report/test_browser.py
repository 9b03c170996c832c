"""The report in a real browser, opened from a file and as MLflow's artifact viewer shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, Route

from mlbaseline.report import render_html, render_plots
from tests.support.comparisons import assessments as given
from tests.support.comparisons import odd_assessments as odd
from tests.support.processes.browsers import NEEDS_BROWSER, complaints_of_axe

pytestmark = NEEDS_BROWSER

_PRINTED_WIDTH = 703
"""Of A4 between margins of 12 mm, in px."""


class Visit:
    """A page opened from a file, with all it asked for and complained about."""

    def __init__(self, browser: Browser, path: Path, *, width: int, dark: bool = False) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.route("**/*", self._record)
        self.page.goto(path.as_uri())

    def _record(self, route: Route, request: Request) -> None:
        self.requests.append(request.url)
        route.continue_()

    def overflow(self) -> int:
        """How many px the page can be scrolled sideways."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    names = ("promote", "hold", "hostile", "many", "empty")
    for name in names:
        (folder / f"{name}.html").write_text(render_html(odd.ALL[name]()), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in names}


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("name", ["promote", "hold", "hostile", "many", "empty"])
def test_it_opens_from_a_file_and_asks_for_nothing_else(
    browser: Browser, reports: dict[str, Path], name: str, width: int
) -> None:
    visit = Visit(browser, reports[name], width=width)
    assert visit.page.locator("h1").is_visible()
    assert visit.requests == [reports[name].as_uri()]
    assert visit.complaints == []
    assert visit.overflow() <= 0
    for table in visit.page.locator("section > .scroll table").all():
        assert table.is_visible()
    for plot in visit.page.locator("figure svg").all():
        box = plot.bounding_box()
        assert plot.is_visible()
        assert box is not None
        assert box["width"] > 250
        assert box["height"] > 80
    visit.page.close()


@pytest.fixture
def promote(reports: dict[str, Path]) -> Path:
    return reports["promote"]


def test_tables_and_plots_are_there(browser: Browser, promote: Path) -> None:
    page = Visit(browser, promote, width=1200).page
    assert page.locator("figure svg").count() == 7
    assert page.get_by_role("img", name="Difference from the baselines").is_visible()
    assert page.get_by_role("table", name="Every rung on 300 examples").is_visible()
    assert page.get_by_role("rowheader", name="zero_shot").first.is_visible()
    page.close()


def test_wide_tables_scroll_in_their_own_frame_with_their_first_column_held(browser: Browser, promote: Path) -> None:
    page = Visit(browser, promote, width=700).page
    frame = page.locator("#ladder .scroll")
    frame.evaluate("frame => { frame.scrollLeft = 200 }")
    assert frame.evaluate("frame => frame.scrollLeft") == 200
    box = frame.locator("tbody th").first.bounding_box()
    assert box is not None
    assert 0 <= box["x"] < 40
    page.close()


@pytest.mark.parametrize("name", ["promote", "hold"])
def test_a_phone_shows_every_value_of_a_wide_table_whole(browser: Browser, reports: dict[str, Path], name: str) -> None:
    page = Visit(browser, reports[name], width=390).page
    for frame in page.locator("section > .scroll").all():
        assert frame.evaluate("frame => frame.scrollWidth <= frame.clientWidth"), frame.get_attribute("aria-label")
    lora = page.get_by_role("table", name="Every rung").get_by_role("row").filter(has_text="lora")
    title = lora.get_by_role("cell").nth(1).evaluate("cell => getComputedStyle(cell, '::before').content")
    assert title == '"accuracy ↑"'
    page.close()


CONTRAST = """node => {
  const channels = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const linear = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = colour => { const [r, g, b] = channels(colour).map(linear); return 0.2126*r + 0.7152*g + 0.0722*b };
  const style = getComputedStyle(node);
  const paper = light(getComputedStyle(document.documentElement).backgroundColor);
  const ink = light(node instanceof SVGElement ? style.fill : style.color);
  return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
}"""


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_readable_in_light_and_dark(browser: Browser, promote: Path, dark: bool) -> None:
    page = Visit(browser, promote, width=1200, dark=dark).page
    background = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert background == ("rgb(21, 24, 27)" if dark else "rgb(255, 255, 255)")
    for selector in ("h1", ".reason", "dt", "dd", "td.better", ".detail", ".note", "figcaption", "svg text"):
        for node in page.locator(selector).all()[:3]:
            assert node.evaluate(CONTRAST) >= 4.5, selector
    page.close()


def test_paper_is_light_and_shows_what_is_unfolded(browser: Browser, promote: Path) -> None:
    page = Visit(browser, promote, width=1200, dark=True).page
    page.locator("details:has(table)").first.locator("summary").click()
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("details:has(table) table").first.is_visible()
    assert not page.locator("details:has(table) table").nth(1).is_visible()
    examples = page.locator("#examples-pair-1")
    assert examples.locator("summary").is_visible()
    assert not examples.locator("li").first.is_visible()
    page.close()


def test_a_report_is_printed_on_few_upright_pages_that_cut_nothing(browser: Browser, promote: Path) -> None:
    page = Visit(browser, promote, width=_PRINTED_WIDTH).page
    page.emulate_media(media="print")
    for frame in page.locator("section > .scroll").all():
        assert frame.evaluate("frame => frame.scrollWidth <= frame.clientWidth"), frame.get_attribute("aria-label")
    boxes = re.findall(rb"/MediaBox \[([^]]*)\]", page.pdf(prefer_css_page_size=True))
    assert {tuple(float(side) > 800 for side in box.split()[2:]) for box in boxes} == {(False, True)}
    assert len(boxes) <= 8
    page.close()


def test_a_folded_table_opens_without_scripts(browser: Browser, reports: dict[str, Path]) -> None:
    page = Visit(browser, reports["many"], width=1200).page
    details = page.locator("#exploratory details")
    assert not details.locator("table").is_visible()
    details.locator("summary").click()
    assert details.locator("table").is_visible()
    page.close()


@pytest.mark.parametrize(
    ("name", "width", "dark"),
    [("promote", 1200, False), ("promote", 1200, True), ("promote", 390, False), ("hostile", 1200, False)],
)
def test_axe_has_no_complaint(browser: Browser, reports: dict[str, Path], name: str, dark: bool, width: int) -> None:
    """Accessibility as axe-core checks it, with everything unfolded."""
    context = browser.new_context(
        bypass_csp=True, viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
    )
    page = context.new_page()
    page.goto(reports[name].as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
    assert complaints_of_axe(page) == []
    context.close()


def test_examples_are_filtered_without_scripts(browser: Browser, promote: Path) -> None:
    page = Visit(browser, promote, width=1200).page
    examples = page.locator("#examples-pair-1")
    assert not examples.locator("li").first.is_visible()
    examples.locator("summary").click()
    shown = examples.locator("li:visible")
    assert shown.count() == 4
    examples.get_by_label("▼ lost (1 of 35)").check()
    assert shown.count() == 1
    assert "id-0003" in shown.inner_text()
    examples.get_by_role("radio", name="all").first.check()
    examples.get_by_label("topic: cars").check()
    assert shown.count() == 2
    page.close()


def test_it_works_in_the_artifact_viewers_sandboxed_frame(browser: Browser, promote: Path) -> None:
    """MLflow 3.17 shows an HTML artifact as a blob in an iframe with sandbox="allow-scripts"."""
    page = browser.new_page(viewport={"width": 900, "height": 700})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.set_content("<iframe sandbox='allow-scripts' style='width: 700px; height: 600px'></iframe>")
    page.evaluate(
        "html => { document.querySelector('iframe').src = URL.createObjectURL(new Blob([html], {type: 'text/html'})) }",
        promote.read_text(encoding="utf-8"),
    )
    frame = page.frame_locator("iframe")
    frame.locator("h1").wait_for()
    assert frame.locator("h1").inner_text() == "Promote full, seed 1"
    assert frame.locator("figure svg").first.is_visible()
    assert complaints == []
    page.close()


@pytest.mark.parametrize("dark", [False, True])
def test_a_plot_alone_follows_light_and_dark(browser: Browser, tmp_path: Path, dark: bool) -> None:
    path = tmp_path / "forest.svg"
    path.write_text(render_plots(given.promote())["forest"], encoding="utf-8")
    visit = Visit(browser, path, width=600, dark=dark)
    fill = visit.page.get_by_text("lora over majority", exact=True).evaluate("node => getComputedStyle(node).fill")
    assert fill == ("rgb(228, 231, 234)" if dark else "rgb(28, 32, 36)")
    assert visit.requests == [path.as_uri()]
    assert visit.complaints == []
    visit.page.close()
