"""Names under `monitor:` that point to nothing, or to what cannot be watched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlbaseline.suggestions import unknown_name
from mlbaseline.suite.checks.yaml_errors import KeyPath, Problem, mapping, meant_metrics, sequence, unknown_metric
from mlbaseline.suite.monitor.canary import GuardrailKind, guardrail_kind
from mlbaseline.suite.monitor.keys import LIVE_METRICS


def find_unwatchable(content: Mapping[str, Any]) -> Iterator[Problem]:
    """Find problems of `monitor:` in the raw content of a suite file, beside errors of type and key."""
    if "monitor" not in content:
        return
    monitor, baselines = mapping(content["monitor"]), mapping(content.get("baselines"))
    metrics = meant_metrics(content)
    yield from _metric(("monitor", "metric"), monitor.get("metric", "accuracy"), metrics)
    canary = mapping(monitor.get("canary"))
    yield from _baseline(("monitor", "reference"), monitor.get("reference"), baselines)
    yield from _baseline(("monitor", "canary", "candidate"), canary.get("candidate"), baselines)
    slices = mapping(mapping(content.get("task")).get("slices"))
    for position, name in enumerate(sequence(monitor.get("slices"))):
        if isinstance(name, str) and name not in slices:
            yield ("monitor", "slices", position), unknown_name("slice", name, slices)
    for name, rule in mapping(canary.get("guardrails")).items():
        yield from _guardrail(("monitor", "canary", "guardrails", name), name, mapping(rule), metrics)


def _metric(path: KeyPath, name: Any, metrics: list[Any]) -> Iterator[Problem]:
    if name not in metrics:
        yield path, unknown_metric(name, metrics)
    elif name not in LIVE_METRICS:
        yield path, f"{name!r} is no score in [0, 1] of a single event; expected one of {', '.join(LIVE_METRICS)}"


def _baseline(path: KeyPath, named: Any, baselines: Mapping[str, Any]) -> Iterator[Problem]:
    if not isinstance(named, str):
        return
    if named not in baselines:
        yield path, unknown_name("baseline", named, baselines)
    elif mapping(baselines[named]).get("kind") == "external":
        yield path, f"{named!r} is a published score: it has no answers that live traffic could be compared with"


def _guardrail(path: KeyPath, name: Any, rule: Mapping[str, Any], metrics: list[Any]) -> Iterator[Problem]:
    if not isinstance(name, str):
        return
    is_score = guardrail_kind(name) is GuardrailKind.SCORE
    if is_score and name not in metrics:
        yield (
            path,
            f"expected `error`, `cost`, `latency_p95` (or another percentile) or a metric of the suite, got {name!r}",
        )
        return
    if is_score:
        yield from _metric(path, name, metrics)
    unfitting = "ratio" if is_score else "margin"
    if rule.get(unfitting) is not None:
        yield (*path, unfitting), f"{name!r} is judged by `{'margin' if is_score else 'ratio'}`"
