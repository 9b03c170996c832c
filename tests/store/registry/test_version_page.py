"""The page of a version: names and data stand there as text, numbers as a person reads them, and few tags below."""

from __future__ import annotations

from dataclasses import replace

from mlbaseline.records import Assessment, Role
from mlbaseline.store.comparison_runs import ComparisonRun
from mlbaseline.store.registry.plan import evidence_tags
from mlbaseline.store.registry.version_page import describe_version
from mlbaseline.store.runs import EvaluationRun
from mlbaseline.suite.reading import parse_suite
from tests.support.ladders.stored import SUITE, make_assessment, make_comparison

HOSTILE = "<img src=x> | [click](http://evil.example)\n# Approved\x1b[31m"


def assessed() -> Assessment:
    return make_assessment(parse_suite(SUITE), {"lora": {"1": "a" * 32}, "majority": {"none": "b" * 32}})


WINNER = EvaluationRun(
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


def page_of(assessment: Assessment) -> str:
    return describe_version(assessment, WINNER, ComparisonRun("c" * 32, "1", "promote", "s" * 64, "m" * 64, 0), "1")


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


def test_cost_and_latency_have_the_units_of_the_report() -> None:
    page = page_of(assessed())
    assert "Cost: USD 0.300 per 1M queries" in page
    assert "Latency: 20.0 ms at the 95th percentile" in page


def test_contrasts_that_decide_nothing_stand_on_the_page_and_have_no_tag() -> None:
    exploratory = make_comparison(baseline="small", role=Role.EXPLORATORY)
    assessment = assessed()
    assessment = replace(assessment, comparisons=(*assessment.comparisons, exploratory))
    tags = evidence_tags("c" * 32, assessment, WINNER)
    assert [name for name in tags if ".delta." in name] == ["mlbaseline.delta.majority.accuracy"]
    assert "| small | accuracy |" in page_of(assessment)
