"""`mlbaseline explain`: each code of an audit check or gate has one text, which the documentation shows, too."""

from __future__ import annotations

import re

import pytest

from mlbaseline import workflows
from mlbaseline.documentation import documentation_url, explanations, finding_url
from mlbaseline.errors import UnknownCodeError
from mlbaseline.judge.audit import CHECKS
from mlbaseline.records import GateCode
from tests.support.checkout import ROOT

REFERENCE = ROOT / "docs" / "reference"


def test_every_code_is_explained_and_nothing_else_is() -> None:
    assert list(explanations()) == [*(check.code for check in CHECKS), *map(str, GateCode)]


def test_every_check_that_a_page_a_text_or_a_message_names_exists() -> None:
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("mlbaseline/**/*.*"), *ROOT.glob("notebooks/*")]
    named = {
        (code, str(file.relative_to(ROOT)))
        for file in texts
        if file.suffix in (".md", ".py", ".yaml", ".j2", ".ipynb")
        for code in re.findall(r"\bMLB\d{3}\b", file.read_text(encoding="utf-8"))
    }
    assert len(named) > 50
    assert {code for code, _ in named} == {check.code for check in CHECKS}, named


@pytest.mark.parametrize("page", ["audit", "gates"])
def test_the_documentation_shows_the_texts_of_the_package(page: str) -> None:
    text = (REFERENCE / f"{page}.md").read_text(encoding="utf-8")
    (included,) = re.findall(r"```\{include\} (\S+)", text)
    shown = (REFERENCE / included).read_text(encoding="utf-8")
    assert all(each.text in shown for each in explanations().values() if each.page == f"reference/{page}")


def test_suite_keys_that_a_text_names_exist() -> None:
    from mlbaseline.suite import Suite

    keys = re.findall(r"`(?:gates|matrix|evaluation|cost)\.(\w+)`", " ".join(e.text for e in explanations().values()))
    known = {key for fields in Suite.model_json_schema()["$defs"].values() for key in fields.get("properties", {})}
    assert len(keys) > 10
    assert set(keys) <= known


def test_a_code_is_explained_in_full_whatever_its_case() -> None:
    result = workflows.explain(["mlb305", "superiority"])
    first, second = result.document["explanations"]
    assert (first["code"], first["severity"], first["title"]) == ("MLB305", "warning", "Enough power")
    assert (second["code"], second["severity"]) == ("superiority", "error")
    assert first["docs"] == finding_url("MLB305") == documentation_url("reference/audit", "mlb305")
    text = result.text(False, 70)
    assert "80 % power" in text and first["docs"] in text
    assert all(len(line) <= 70 for line in text.splitlines() if "://" not in line)


def test_without_a_code_all_are_listed() -> None:
    result = workflows.explain()
    assert [each["code"] for each in result.document["explanations"]] == list(explanations())
    assert result.text(False, 100).startswith("MLB101")
    assert len(result.to_frame()) == len(explanations())


def test_an_unknown_code_is_wrong_usage_and_the_nearest_is_named() -> None:
    with pytest.raises(UnknownCodeError, match=r"'MBL305' is no code.*; did you mean 'MLB305'") as caught:
        workflows.explain(["MBL305"])
    assert caught.value.exit_code == 2
