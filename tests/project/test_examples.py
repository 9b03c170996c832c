"""The examples in docstrings do what they show. Each runs in an empty folder of its own."""

from __future__ import annotations

import doctest
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.support.doctests import assert_holds

FILES = [path for path in sorted((ROOT / "mlbaseline").rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")]


def examples() -> Iterator[object]:
    """Every docstring with an example, except those that need a tracking store (tests/workflows)."""
    for path in FILES:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if name.startswith("mlbaseline.workflows"):
            continue
        for example in doctest.DocTestFinder(exclude_empty=True).find(import_module(name)):
            if example.examples:
                yield pytest.param(example, id=example.name.removeprefix("mlbaseline."))


@pytest.mark.parametrize("example", list(examples()))
def test_an_example_does_what_it_shows(
    example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLBASELINE_DOCS_URL", raising=False)
    assert_holds(example)
