"""Every defence that the threat model claims names a test, and that test is there."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.checkout import ROOT

PAGE = ROOT / "docs" / "security" / "threat-model.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ROWS = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| (?!---|threat|\| )", line)]


def test_the_fourteen_things_are_there() -> None:
    assert [int(found[1]) for row in ROWS if (found := re.match(r"\| (\d+) \|", row))] == list(range(1, 15))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:40])
def test_each_claim_names_tests_that_exist(row: str) -> None:
    named = NAMED.findall(row)
    assert named
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"
