"""`monitor:` in a suite file: what is accepted, what is named as wrong, and what it leaves alone."""

from __future__ import annotations

from datetime import timedelta
from importlib import resources

import pytest
import yaml

from mlbaseline.errors import SuiteError
from mlbaseline.suite import GuardrailKind, Suite, duration_text, guardrail_kind
from mlbaseline.suite.reading import parse_suite

TWEETS = (resources.files("mlbaseline.suites") / "tweets.yaml").read_text(encoding="utf-8")
MONITOR = """
monitor:
  traffic: {source: mlflow, experiment: tickets-live}
  metric: accuracy
  reference: champion
  slices: [topic, length]
  holdout: {size: 2000, anchor: 300, refresh: weekly}
  drift: {delta: 0.03, arl_days: 365, label_delay: 3d}
  canary:
    candidate: lora
    alpha: 0.05
    ramp: [{share: 0.01, hold: 1d}, {share: 0.05, hold: 2d}, {share: 0.25, hold: 2d}]
    horizon: 14d
    guardrails: {error: {ratio: 1.25}, accuracy: {margin: 0.02}, latency_p95: {ratio: 1.2}, cost: {ratio: 1.1}}
  retrain: {entry_point: peft, cooldown: 7d, max_per_month: 2}
"""
"""As in the contract; `champion` is a baseline of the packaged suite."""


def with_monitor(text: str = MONITOR) -> Suite:
    return parse_suite(TWEETS + text)


def problems_of(old: str, new: str) -> list[str]:
    assert old in MONITOR
    with pytest.raises(SuiteError) as caught:
        with_monitor(MONITOR.replace(old, new))
    return list(caught.value.problems)


def test_the_example_of_the_contract_is_accepted() -> None:
    monitor = with_monitor().monitor
    assert monitor is not None and monitor.canary is not None
    assert monitor.drift.label_delay == timedelta(days=3)
    assert [step.hold for step in monitor.canary.ramp] == [timedelta(days=1), timedelta(days=2), timedelta(days=2)]
    assert monitor.canary.guardrails["latency_p95"].ratio == 1.2
    assert monitor.retrain.entry_point == "peft"


def test_its_rules_may_change_without_another_suite() -> None:
    without, suite = parse_suite(TWEETS), with_monitor()
    looser = with_monitor(MONITOR.replace("delta: 0.03", "delta: 0.05"))
    assert without.digest == suite.digest == looser.digest
    assert without.matrix_digest == suite.matrix_digest == looser.matrix_digest
    assert without.monitor_digest is None
    assert suite.monitor_digest != looser.monitor_digest


def test_a_stored_suite_keeps_its_rules() -> None:
    suite = with_monitor()
    stored = yaml.safe_dump(suite.model_dump(mode="json", exclude_none=True))
    assert "label_delay: 3d" in stored
    assert parse_suite(stored).monitor == suite.monitor


def test_all_problems_are_named_at_once_with_their_place() -> None:
    text = (
        MONITOR.replace("delta: 0.03", "delta: 3")
        .replace("hold: 1d", "hold: soon")
        .replace("reference: champion", "reference: champoin")
        .replace("cost: {ratio", "price: {ratio")
    )
    with pytest.raises(SuiteError) as caught:
        with_monitor(text)
    found = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 4
    for place in (
        "monitor.drift.delta: input should be less than 1",
        "monitor.canary.ramp.0.hold: expected a whole number with its unit (w, d, h, m or s), as in `3d` or `2h`, got "
        "'soon'",
        "monitor.reference: unknown baseline 'champoin'; the suite has: majority",
        "monitor.canary.guardrails.price: expected `error`, `cost`, `latency_p95` (or another percentile) or a metric",
    ):
        assert place in found
    assert all(problem.startswith("line ") for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("metric: accuracy\n", "metric: macro_f1\n", "monitor.metric: 'macro_f1' is no score in [0, 1]"),
        ("metric: accuracy\n", "metric: exact_match\n", "'exact_match' is not among the suite's metrics"),
        ("candidate: lora", "candidate: paper", "monitor.canary.candidate: unknown baseline 'paper'"),
        ("slices: [topic, length]", "slices: [topic, weekday]", "monitor.slices.1: unknown slice 'weekday'"),
        ("experiment: tickets-live", "paths: [a.csv]", "monitor.traffic: source `mlflow` needs `experiment`"),
        ("source: mlflow, experiment: tickets-live", "source: files, experiment: a", "source `files` needs `paths`"),
        ("source: mlflow", "source: kafka", "monitor.traffic.source: input should be 'mlflow' or 'files'"),
        ("share: 0.05", "share: 0.005", "monitor.canary.ramp: shares must rise"),
        ("share: 0.25", "share: 1.0", "monitor.canary.ramp.2.share"),
        ("horizon: 14d", "horizon: 0d", "monitor.canary.horizon: expected a duration above 0"),
        ("horizon: 14d", "horizon: 14", "monitor.canary.horizon: expected a whole number with its unit"),
        ("margin: 0.02", "ratio: 1.02", "accuracy.ratio: 'accuracy' is judged by `margin`"),
        ("cost: {ratio: 1.1}", "cost: {margin: 0.1}", "cost.margin: 'cost' is judged by `ratio`"),
        ("cost: {ratio: 1.1}", "cost: {}", "cost: expected either `ratio` or `margin`"),
        ("cost: {ratio: 1.1}", "cost: {ratio: 0.9}", "cost.ratio: input should be greater than or equal to 1"),
        ("cost: {ratio: 1.1}", "cost: {ratio: 1.1, negligible: 0.1}", "goes with `error`; leave it out of ['cost']"),
        ("cost: {ratio: 1.1}", "macro_f1: {margin: 0.1}", "guardrails.macro_f1: 'macro_f1' is no score in [0, 1]"),
        ("entry_point: peft", "entry_point: compare", "monitor.retrain.entry_point"),
        ("refresh: weekly", "refresh: hourly", "monitor.holdout.refresh"),
        ("label_delay: 3d", "label_share: 0.1", "monitor.drift: label_share: below 1 it needs `judged_by`"),
        ("arl_days: 365", "arl: 365", "monitor.drift.arl: unknown key, got 365"),
    ],
)
def test_bad_values_are_named(old: str, new: str, expected: str) -> None:
    found = problems_of(old, new)
    assert any(expected in problem for problem in found), found


@pytest.mark.parametrize("text", ["3d", "36h", "90m", "45s", "1w"])
def test_durations_are_written_as_they_can_be_read(text: str) -> None:
    suite = with_monitor(MONITOR.replace("label_delay: 3d", f"label_delay: {text}"))
    assert suite.monitor is not None
    delay = suite.monitor.drift.label_delay
    again = with_monitor(MONITOR.replace("label_delay: 3d", f"label_delay: {duration_text(delay)}"))
    assert again.monitor is not None and again.monitor.drift.label_delay == delay


def test_a_guardrail_is_known_by_its_name() -> None:
    kinds = {name: guardrail_kind(name) for name in ("error", "cost", "latency_p99", "accuracy", "latency")}
    assert list(kinds.values()) == [
        GuardrailKind.ERROR,
        GuardrailKind.COST,
        GuardrailKind.LATENCY,
        GuardrailKind.SCORE,
        GuardrailKind.SCORE,
    ]
