"""The page of a version: names and data stand there as text, and p-values as a person reads them."""

from __future__ import annotations

from dataclasses import replace

from mlbaseline.records import Assessment
from mlbaseline.store.registry.version_page import describe_version
from mlbaseline.store.runs import ComparisonRun, EvaluationRun
from mlbaseline.suite.reading import parse_suite
from tests.support.stored import SUITE, make_assessment, make_comparison

HOSTILE = "<img src=x> | [click](http://evil.example)\n# Approved\x1b[31m"


def assessed() -> Assessment:
    return make_assessment(parse_suite(SUITE), {"lora": {"1": "a" * 32}, "majority": {"none": "b" * 32}})


def page_of(assessment: Assessment) -> str:
    winner = EvaluationRun(
        run_id="a" * 32,
        baseline="lora",
        kind="peft",
        seed=1,
        split="test",
        suite_digest="s" * 64,
        matrix_digest="m" * 64,
        task_digest="d" * 64,
        signature_digest="f" * 64,
        examples_sha256="e" * 64,
        metrics={},
        params={},
        start_time_ms=0,
        artifact_uri="",
        parent=None,
        model_id=None,
    )
    return describe_version(assessment, winner, ComparisonRun("c" * 32, "1", "promote", "s" * 64, "m" * 64, 0), "1")


def test_markup_from_data_is_shown_as_text() -> None:
    assessment = assessed()
    rows = (*assessment.comparisons, make_comparison(baseline=HOSTILE, slice="topic", slice_value=HOSTILE))
    verdict = replace(assessment.verdict, reason=HOSTILE)
    page = page_of(replace(assessment, comparisons=rows, verdict=verdict))
    for markup in ("<img", "[click](", "\x1b"):
        assert markup not in page.replace("\\<", "").replace("\\[", "")
    assert not [line for line in page.splitlines() if line.startswith("# ")]
    assert page.count("evil.example") >= 2


def test_a_tiny_p_value_has_no_exponent() -> None:
    rows = (make_comparison(p_adjusted=4.2e-164),)
    assert "| <0.001 |" in page_of(replace(assessed(), comparisons=rows))
