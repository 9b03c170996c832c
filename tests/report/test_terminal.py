from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from mlbaseline.records import ExampleReport
from mlbaseline.report import render_terminal, wants_colour
from tests.support.comparisons import assessments as given
from tests.support.comparisons import odd_assessments as odd

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("name", odd.ALL)
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    text = render_terminal(odd.ALL[name](), colour=False, width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert text.endswith("\n")


@pytest.mark.parametrize("name", odd.ALL)
def test_plain_text_has_no_control_characters_and_colour_adds_nothing_else(name: str) -> None:
    plain = render_terminal(odd.ALL[name](), colour=False, width=100)
    assert all(mark.isprintable() or mark == "\n" for mark in plain)
    coloured = render_terminal(odd.ALL[name](), colour=True, width=100)
    assert "\x1b[" in coloured
    stripped = "\n".join(line.rstrip() for line in ANSI.sub("", coloured).splitlines())
    assert stripped.split() == plain.split()


def test_eighty_columns_keep_what_a_decision_needs() -> None:
    text = render_terminal(given.hold(), colour=False, width=80)
    ladder = next(line for line in text.splitlines() if line.startswith("lora "))
    assert "0.607 [0.551, 0.663]" in ladder
    assert "0.00171" in ladder
    contrast = next(line for line in text.splitlines() if "topic: apple" in line)
    assert "✕ fail" in contrast
    assert "−0.121 [−0.243, +0.001]" in contrast
    assert "engine.precision" in text


def test_a_wider_terminal_shows_more() -> None:
    narrow = render_terminal(given.promote(), colour=False, width=80)
    wide = render_terminal(given.promote(), colour=False, width=120)
    for title in ("Δ, simultaneous", "Seeds"):
        assert title not in narrow
        assert title in wide


def test_what_failed_comes_with_the_command_that_explains_it() -> None:
    lines = render_terminal(given.hold(), colour=False, width=100).splitlines()
    assert lines[-1] == "What these codes mean: mlbaseline explain latency_p95 MLB401 MLB305 MLB302"


def test_the_verdict_stands_at_the_end_where_the_prompt_returns() -> None:
    lines = render_terminal(given.promote(), colour=False, width=100).splitlines()
    position = lines.index("Promote full, seed 1")
    assert lines[position + 1].startswith("full has accuracy 0.62 against 0.42 for majority")
    assert any(line.startswith("Why: full beats majority") for line in lines[position:])
    assert len(lines) - position <= 10


def test_what_speaks_against_a_promotion_stands_on_lines_of_its_own() -> None:
    base = given.promote()
    majority = replace(base.examples.confusions[0], baseline="full")  # type: ignore[union-attr]
    lines = render_terminal(replace(base, examples=ExampleReport((majority,))), colour=False, width=100).splitlines()
    below = lines[lines.index("Promote full, seed 1") :]
    assert any(line.startswith("Classes never answered: full: neutral (93 of 300 test examples)") for line in below)
    assert "Audit: 1 of 3 pass; warning: MLB305 Enough power; 1 remark" in below


def test_the_environment_does_not_decide_over_the_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = render_terminal(given.promote(), colour=False, width=100)
    coloured = render_terminal(given.promote(), colour=True, width=100)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    assert render_terminal(given.promote(), colour=False, width=100) == plain
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR")
    assert render_terminal(given.promote(), colour=True, width=100) == coloured


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_that_can_and_users_who_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert wants_colour(Terminal())
    assert not wants_colour(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_colour(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(Terminal())
