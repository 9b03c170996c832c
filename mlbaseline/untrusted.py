"""The border for what comes from outside: texts, JSON documents and regular expressions, bounded and cleaned.

Endpoints, imported logs and suites in pull requests are written by others. What they send must not hide characters in
a terminal, open a document without end, or keep a pattern searching for hours.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import regex

from mlbaseline.errors import DataError, describe_error

MAX_DEPTH = 64
"""Levels of nesting that a JSON document may have."""
SEARCH_LIMIT_S = 1.0
"""Time that one search of a pattern may take."""
ODD_SHAPE = (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
"""What reading a document of another shape raises: a list for an object, a number for a text."""
_SHOWN = 300
_LINE_BREAKS = "\n\t"
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs"})
"""Control and format characters (ESC, direction marks, zero-width ones), private use, surrogates."""
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~$:&!])")
"""Escaped by a backslash, none of these can open markup, a table cell, an automatic link or a formula."""
_SENTENCE_COLON = re.compile(r"\\:(?= |$)")
_LEADING = re.compile(r"^([-+=]|\d+[.)])(?=\s|$)")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def printable(text: str) -> str:
    """Replace every character that does not show by `�`: escape sequences, direction marks, lone surrogates.

    Line breaks and tabs stay, and so do the joiners inside emoji and Indic scripts (U+200C and U+200D).

    Example:
        >>> printable("fine\\x1b[31m red")
        'fine�[31m red'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if character in _LINE_BREAKS or character in "\u200c\u200d" or unicodedata.category(character) not in _HIDDEN
        else "�"
        for character in text
    )


def excerpt(text: str, limit: int) -> str:
    """Clean a text, put it on one line and cut it, for a message.

    Args:
        text: Of any length and content.
        limit: Characters that are shown at most, before ` …`.

    Example:
        >>> excerpt("one\\ntwo three", 7)
        'one two …'
    """
    # Cleaning a prefix is enough: it never becomes longer, and white space is at most halved by what follows.
    line = " ".join(printable(text[: 16 * limit]).split())
    return line if len(line) <= limit and len(text) <= 16 * limit else line[:limit] + " …"


def escape_markdown(text: str) -> str:
    """Escape a text so that Markdown shows it as it is: no emphasis, link, image, HTML, heading, list or table cell.

    Example:
        >>> escape_markdown("<b> [here](http://x)")
        '\\\\<b\\\\> \\\\[here\\\\](http\\\\://x)'
    """
    return _LEADING.sub(r"\\\1", _SENTENCE_COLON.sub(":", _MARKUP.sub(r"\\\1", text)))


def parse_json(content: bytes | str) -> Any:
    """Parse a JSON document from outside.

    Returns:
        The document, with at most `MAX_DEPTH` levels.

    Raises:
        ValueError: It is no JSON, is nested more deeply, or holds NaN, an infinity or a number of thousands of digits.
    """
    try:
        document = json.loads(content, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(f"a document that is nested more than {MAX_DEPTH} levels deep") from None
    _check_depth(document, MAX_DEPTH)
    return document


@contextmanager
def expecting(form: str, where: str) -> Iterator[None]:
    """Read a document of others in the block; one of another shape becomes a DataError.

    Args:
        form: What is expected, such as "a sample of lm-eval 0.4".
        where: Place of the document, for the message.

    Example:
        >>> with expecting("a sample", "row 3"):
        ...     {"doc": {}}["doc_id"]
        Traceback (most recent call last):
        mlbaseline.errors.DataError: row 3: expected a sample, got one of another form (KeyError: 'doc_id')
    """
    try:
        yield
    except ODD_SHAPE as error:
        said = excerpt(describe_error(error), _SHOWN)
        raise DataError(f"{where}: expected {form}, got one of another form ({said})") from error


def map_texts(document: Any, change: Callable[[str], str]) -> Any:
    """Apply `change` to every text of a JSON document, keys included."""
    if isinstance(document, str):
        return change(document)
    if isinstance(document, list):
        return [map_texts(item, change) for item in document]
    if isinstance(document, dict):
        return {change(key): map_texts(value, change) for key, value in document.items()}
    return document


def spreadsheet_cell(text: str) -> str:
    """Return a cell that spreadsheets show as text: one that they would take for a formula gets an apostrophe in front.

    Source: OWASP, "CSV injection".

    Example:
        >>> spreadsheet_cell("=1+1")
        "'=1+1"
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


class TimedPattern:
    """A regular expression whose search ends within `SEARCH_LIMIT_S` seconds.

    Args:
        pattern: In the syntax of the module `re`, which checked it when the suite was read.
        where: Path in the suite, for the message.

    Example:
        >>> TimedPattern(r"(\\d+)", "task.extract").search("about 42")[1]
        '42'
    """

    def __init__(self, pattern: str, where: str) -> None:
        self._pattern, self._where = regex.compile(pattern, regex.V0), where

    def search(self, text: str) -> re.Match[str] | None:
        """Find the first match. Raises DataError where the search takes too long."""
        try:
            match: re.Match[str] | None = self._pattern.search(text, timeout=SEARCH_LIMIT_S)
        except TimeoutError:
            raise DataError(
                f"{self._where}: the pattern {self._pattern.pattern!r} searched a text of {len(text):,} characters for "
                f"more than {SEARCH_LIMIT_S:g} s. Repetitions inside repetitions, as in (\\w+\\s?)*, do that; write it "
                "without them"
            ) from None
        return match


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name}, which JSON does not have")


def _check_depth(document: Any, levels: int) -> None:
    if levels < 0:
        raise ValueError(f"a document that is nested more than {MAX_DEPTH} levels deep")
    children = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    for child in children:
        if isinstance(child, dict | list):
            _check_depth(child, levels - 1)
