from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from mlbaseline.documentation import DOCUMENTATION_URL
from mlbaseline.report import render_fragment, render_html, render_plots
from tests.support.comparisons import assessments as given
from tests.support.comparisons import odd_assessments as odd

VOID = {"meta", "link", "br", "hr", "img", "input"}
NAMES = """
html head meta link title style body header main section div p h1 h2 dl dt dd ol li code span b
table caption thead tbody tr th td figure figcaption details summary
fieldset legend label input mark a svg desc defs g path use text tspan clippath rect
"""


class Page(HTMLParser):
    """Every element with its attributes and text; fails on elements that do not nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.stack: list[int] = []
        self.feed(page)
        assert not self.stack, "elements were left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.stack.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        opened = self.elements[self.stack.pop()][0]
        assert opened == tag, f"</{tag}> closes <{opened}>"

    def handle_data(self, data: str) -> None:
        for position in self.stack:
            self.elements[position][2].append(data)

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attrs, "".join(text)) for name, attrs, text in self.elements if name == tag]

    def text(self, tag: str) -> list[str]:
        return [" ".join(text.split()) for _, text in self.all(tag)]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: render_html(build()) for name, build in odd.ALL.items()}


def test_the_verdict_comes_first(pages: dict[str, str]) -> None:
    page = Page(pages["promote"])
    assert page.text("h1") == ["Promote full, seed 1"]
    assert page.text("title")[0] == "Promote full, seed 1 · tweets"
    assert pages["promote"].index("<h1>") < pages["promote"].index("<h2")
    assert page.text("h2")[:3] == ["At a glance", "The ladder", "Primary contrasts"]


@pytest.mark.parametrize("name", odd.ALL)
def test_every_table_has_a_caption_and_scoped_headers(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(text.strip() for text in page.text("caption"))
    assert {attrs.get("scope") for attrs, _ in page.all("th")} <= {"row", "col"}
    rows = len(page.all("tr")) - len(page.all("table"))
    assert len([1 for attrs, _ in page.all("th") if attrs.get("scope") == "row"]) == rows


@pytest.mark.parametrize("name", odd.ALL)
def test_the_page_needs_nothing_from_outside(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    assert {tag for tag, _, _ in page.elements} <= set(NAMES.split())
    for tag, attrs, _ in page.elements:
        for key, value in attrs.items():
            assert not key.startswith("on")
            if key.rpartition(":")[2] in ("src", "href", "srcset", "action", "data", "poster"):
                elsewhere = (DOCUMENTATION_URL + "/",) if tag == "a" else ()  # loads nothing until it is followed
                assert (value or "").startswith(("#", "data:", *elsewhere)), (tag, key, value)
            assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", value or ""))
    for css in page.text("style"):
        assert "url(" not in css
        assert "@import" not in css
    assert any("default-src 'none'" in (attrs.get("content") or "") for attrs, _ in page.all("meta"))


@pytest.mark.parametrize("name", odd.ALL)
def test_the_page_is_small(pages: dict[str, str], name: str) -> None:
    assert len(pages[name].encode()) < 2_000_000


@pytest.mark.parametrize("name", odd.ALL)
def test_ids_are_unique_and_labels_point_to_them(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    ids = [attrs["id"] for _, attrs, _ in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs, _ in page.elements:
        assert set((attrs.get("aria-labelledby") or "").split()) <= set(ids)


@pytest.mark.parametrize("name", odd.ALL)
def test_no_cell_shows_a_raw_value(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    for text in (*page.text("td"), *page.text("dd"), *page.text("text")):
        assert text
        assert not re.search(r"\b(nan|inf|None|True|False)\b", text), text


def test_hostile_names_stay_text(pages: dict[str, str]) -> None:
    page = Page(pages["hostile"])
    assert not page.all("script")
    assert all((attrs["href"] or "").startswith(DOCUMENTATION_URL + "/") for attrs, _ in page.all("a"))
    assert any("<script>alert('x')</script>" in text for text in page.text("code"))
    assert "\x1b" not in pages["hostile"]
    assert "\u202e" not in pages["hostile"]


def test_light_dark_print_and_phone_are_provided_for(pages: dict[str, str]) -> None:
    style = " ".join(Page(pages["promote"]).text("style"))
    assert "prefers-color-scheme:dark" in style
    assert "@media print" in style
    assert ("name", "viewport") in [item for attrs, _ in Page(pages["promote"]).all("meta") for item in attrs.items()]


def test_the_embedded_plots_are_the_saved_ones(pages: dict[str, str]) -> None:
    for svg in render_plots(given.promote()).values():
        assert svg in pages["promote"]


def test_two_hundred_exploratory_rows_are_folded(pages: dict[str, str]) -> None:
    page = Page(pages["many"])
    folded = [text for _, text in page.all("details") if "rung_19" in text and "rung_29" in text]
    assert folded
    assert any("(200 rows)" in text for text in page.text("summary"))


def test_the_winner_is_marked_and_outcomes_have_words_beside_colour(pages: dict[str, str]) -> None:
    page = Page(pages["promote"])
    winners = [text for attrs, text in page.all("tr") if attrs.get("class") == "winner"]
    assert len(winners) == 4  # in the ladder, by class, by its cost, and before the fronts
    assert all("full" in winner for winner in winners)
    for attrs, text in page.all("td"):
        if "better" in (attrs.get("class") or "") and "num" not in (attrs.get("class") or ""):
            assert re.search("pass|better", text)


def test_equal_assessments_give_equal_pages(pages: dict[str, str]) -> None:
    assert render_html(given.promote()) == pages["promote"]


def test_a_fragment_for_a_notebook_has_the_verdict_and_escapes_names() -> None:
    page = render_fragment(given.promote())
    assert "Promote full, seed 1" in page
    assert page.count("<svg") == 1
    assert "4 of 4 pass" in page
    assert {caption.partition(":")[0] for caption in re.findall("<caption><span>([^<]*)", page)} == {
        "Primary contrasts",
        "Guardrails",
    }
    hostile = render_fragment(odd.hostile())
    assert "<script" not in hostile
    assert render_fragment(odd.empty()).count("<svg") == 0
