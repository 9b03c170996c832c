from __future__ import annotations

import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from mlbaseline.documentation import DOCUMENTATION_URL
from mlbaseline.report import render_markdown, render_note, render_summary
from tests.support.comparisons import assessments as given
from tests.support.comparisons import odd_assessments as odd

# Written by the report itself; everything else must have stayed text.
OWN_HTML = re.compile(r"</?(details|sub)>|<summary>[^<]*</summary>")


def parse(text: str) -> list[Token]:
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    return [token for token in tokens for token in (token, *(token.children or ()))]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, as a reader sees them."""
    found: list[list[str]] = []
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for position, token in enumerate(tokens):
        if token.type == "tr_open":
            found.append([])
        if token.type in ("td_open", "th_open"):
            inline = tokens[position + 1]
            found[-1].append("".join(child.content for child in inline.children or ()))
    return found


def test_the_report_opens_with_the_verdict_and_its_reason() -> None:
    lines = render_markdown(given.hold()).splitlines()
    assert lines[0] == "# Hold"
    assert lines[2].startswith("lora has accuracy 0.61 against 0.42 for majority")
    assert lines[4].startswith("Why: lora loses 0.121 accuracy on topic apple")


def test_tables_hold_what_the_view_holds() -> None:
    found = rows(render_markdown(given.promote()))
    assert ["lora", "majority", "✓ pass", "+0.190 [+0.119, +0.261]"] in [row[:4] for row in found]
    assert ["min_seeds", "✓ pass", "error"] in [row[:3] for row in found]
    assert ["suite_digest", "3f0c" * 16] in found


@pytest.mark.parametrize("name", odd.ALL)
def test_every_row_has_as_many_cells_as_its_header(name: str) -> None:
    """Counted before parsing, since a parser cuts or pads a row silently."""
    width = None
    for line in render_markdown(odd.ALL[name]()).splitlines():
        if not line.startswith("| "):
            width = None
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        width = width or cells
        assert cells == width, line


@pytest.mark.parametrize("name", odd.ALL)
def test_nothing_becomes_markup_that_the_report_did_not_write(name: str) -> None:
    for token in parse(render_markdown(odd.ALL[name]())):
        assert token.type not in ("image", "math_inline", "s_open", "em_open")
        assert token.type != "link_open" or str(token.attrs["href"]).startswith(DOCUMENTATION_URL + "/")
        if token.type in ("html_inline", "html_block"):
            assert not OWN_HTML.sub("", token.content).strip(), token.content


def test_no_address_in_plain_text_is_left_for_github_to_link() -> None:
    for token in parse(render_markdown(odd.hostile())):
        if token.type == "inline":
            plain = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", token.content)
            assert not re.search(r"(?<!\\)://", plain.replace(f"({DOCUMENTATION_URL}/", "("))


def test_hostile_names_survive_as_they_are() -> None:
    found = rows(render_markdown(odd.hostile()))
    names = {row[0] for row in found}
    assert any(
        name.startswith("<script>alert('x')</script>|`a` �[31m[x](http://evil.example/)�very_long_") for name in names
    )


def test_a_fence_cannot_be_closed_from_inside() -> None:
    fences = [token for token in parse(render_markdown(odd.hostile())) if token.type == "fence"]
    assert fences
    assert all("right is better" in token.content for token in fences)


def test_many_rows_are_folded() -> None:
    text = render_markdown(odd.many())
    assert "(200 rows)</summary>" in text
    assert text.count("<details>") == text.count("</details>")


@pytest.mark.parametrize("name", odd.ALL)
def test_no_raw_values(name: str) -> None:
    for row in rows(render_markdown(odd.ALL[name]())):
        for cell in row:
            assert not re.search(r"\b(nan|inf|None|True|False)\b", cell), cell


def test_equal_assessments_give_equal_text() -> None:
    assert render_markdown(given.promote()) == render_markdown(given.promote())


def test_the_summary_is_what_decides_and_what_to_do_next() -> None:
    text = render_summary(given.hold())
    titles = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert titles == ["Primary contrasts", "Guardrails", "Findings", "Audit", "What to do next"]
    assert text.startswith("# Hold\n")
    assert len(text) < len(render_markdown(given.hold())) / 2


def test_a_note_fits_into_a_tag_of_mlflow() -> None:
    base = odd.empty()
    assert len(render_note(replace(base, verdict=replace(base.verdict, reason="word " * 5_000)))) < 5_000
