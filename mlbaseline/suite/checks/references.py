"""Names in a suite file that point to nothing: baselines, metrics, slices and labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlbaseline.records import OutputType
from mlbaseline.suggestions import did_you_mean, unknown_name
from mlbaseline.suite.checks.yaml_errors import (
    KeyPath,
    Problem,
    listed_metrics,
    mapping,
    meant_metrics,
    sequence,
    unknown_metric,
)
from mlbaseline.suite.judged import names_of
from mlbaseline.suite.node import BUILT_IN_METRICS, CORPUS_METRICS
from mlbaseline.suite.task import TASKS

_CALIBRATION = "ece"


def find_dangling(content: Mapping[str, Any]) -> Iterator[Problem]:
    """Find names that point to nothing.

    The raw content is read, so that these problems are found beside errors of type and key.
    """
    baselines = mapping(content.get("baselines"))
    listed = listed_metrics(content)
    metrics = meant_metrics(content)
    for name, spec in baselines.items():
        metric = mapping(spec).get("metric")
        if mapping(spec).get("kind") == "external" and metric is not None and metric not in metrics:
            yield ("baselines", name, "metric"), unknown_metric(metric, metrics)
        yield from _base(name, mapping(spec), baselines, _selectable(content))
    yield from _judged(content, baselines)
    if _output_type(content) is OutputType.MULTIPLE_CHOICE:
        yield from _labels(content, baselines)
    yield from _prices(content, baselines)
    slices = mapping(mapping(content.get("task")).get("slices"))
    if _output_type(content) not in (OutputType.MULTIPLE_CHOICE, None):
        for name, slicing in slices.items():
            if mapping(slicing).get("target"):
                yield ("task", "slices", name, "target"), "classes of the target are those of tasks of kind choice"
    if mapping(content.get("matrix")).get("looks") and any(isinstance(item, Mapping) for item in listed):
        yield (
            ("matrix", "looks"),
            "a suite with judged metrics has no looks: judges score the whole test, and the labels of people are drawn "
            "from it. Leave `looks` out, or give the judged metrics a suite of their own",
        )
    yield from _weights(content, slices)
    winner_by = mapping(content.get("matrix")).get("winner_by")
    if winner_by is not None:
        yield from _deciding_metric(("matrix", "winner_by"), winner_by, metrics)
    for role in ("primary", "guardrails"):
        for position, contrast in enumerate(sequence(mapping(content.get("matrix")).get(role))):
            path = ("matrix", role, position)
            yield from _sides(path, mapping(contrast), baselines)
            yield from _metric_and_slices(path, mapping(contrast), metrics, slices)


def _weights(content: Mapping[str, Any], slices: Mapping[str, Any]) -> Iterator[Problem]:
    """Find weights to the mix of a slice that there is none of, and registered metrics that have no weighted mean."""
    matrix = mapping(content.get("matrix"))
    weights = mapping(matrix.get("weights"))
    if not weights:
        return
    name = weights.get("slice")
    if isinstance(name, str) and name not in slices:
        yield ("matrix", "weights", "slice"), unknown_name("slice", name, slices)
    judged = {name for item in sequence(content.get("metrics")) if isinstance(item, Mapping) for name in item}
    for role in ("primary", "guardrails"):
        for position, contrast in enumerate(sequence(matrix.get(role))):
            metric = mapping(contrast).get("metric", "accuracy")
            if metric in CORPUS_METRICS or metric in judged:
                why = "is judged" if metric in judged else "is no mean of a score per example"
                yield (
                    ("matrix", role, position, "metric"),
                    f"{metric!r} {why}, and cannot be weighted; compare by another metric, or leave `weights` out",
                )


def _sides(path: KeyPath, contrast: Mapping[str, Any], baselines: Mapping[str, Any]) -> Iterator[Problem]:
    candidate, over = contrast.get("candidate"), sequence(contrast.get("over"))
    for key, named in (("candidate", candidate), *(("over", name) for name in over)):
        if isinstance(named, str) and named not in baselines:
            yield (*path, key), unknown_name("baseline", named, baselines)
        elif key == "candidate" and isinstance(named, str) and mapping(baselines[named]).get("optional"):
            yield (*path, key), f"{named!r} is optional: what may not exist cannot be a candidate"
        elif isinstance(named, str) and mapping(baselines[named]).get("kind") == "external":
            yield (
                (*path, key),
                f"{named!r} is a published score: without answers to single examples nothing can be paired "
                "with it, so it decides nothing. The report compares every candidate with it, unpaired",
            )
    if candidate in over:
        yield (*path, "over"), f"{candidate!r} cannot be compared with itself"


def _metric_and_slices(
    path: KeyPath, contrast: Mapping[str, Any], metrics: Sequence[Any], slices: Mapping[str, Any]
) -> Iterator[Problem]:
    yield from _deciding_metric((*path, "metric"), contrast.get("metric", "accuracy"), metrics)
    for name in sequence(contrast.get("slices")):
        if isinstance(name, str) and name not in slices:
            yield (*path, "slices"), unknown_name("slice", name, slices)


def _deciding_metric(path: KeyPath, metric: Any, metrics: Any) -> Iterator[Problem]:
    if metric not in metrics:
        yield path, unknown_metric(metric, metrics)
    elif metric == _CALIBRATION:
        yield (
            path,
            "'ece' decides nothing: its bins make sharp models look worse than they are, and two perfectly calibrated "
            "ones differ. Decide by 'nll_nats' or 'brier', which calibration improves as well; the report shows ece",
        )


def _judged(content: Mapping[str, Any], baselines: Mapping[str, Any]) -> Iterator[Problem]:
    """Find judged metrics whose name another one has, and baselines that they cannot compare answers with."""
    listed = content.get("metrics", [])
    if isinstance(listed, Mapping):
        yield ("metrics",), "expected a list of names; a judged metric is one of its items, `- NAME: {judge: …}`"
    names = names_of(listed)
    for position, item in enumerate(sequence(listed)):
        name = names[position]
        if name in names[:position]:
            yield ("metrics", position), f"{name!r} stands twice among the metrics"
        if not isinstance(item, Mapping) or len(item) != 1:
            continue
        if name in BUILT_IN_METRICS:
            yield ("metrics", position, name), "is the name of a built-in metric; choose another"
        against = mapping(item.get(name)).get("against")
        if isinstance(against, str) and against not in baselines:
            reason = unknown_name("baseline", against, baselines)
            yield ("metrics", position, name, "against"), reason
        elif isinstance(against, str) and mapping(baselines[against]).get("kind") in ("external", "human"):
            yield ("metrics", position, name, "against"), f"{against!r} has no answers of its own to compare with"


def _prices(content: Mapping[str, Any], baselines: Mapping[str, Any]) -> Iterator[Problem]:
    for name in mapping(mapping(content.get("cost")).get("usd_per_million_tokens")):
        if name not in baselines:
            path = ("cost", "usd_per_million_tokens", name)
            yield path, unknown_name("baseline", name, baselines)


def _base(
    name: str, spec: Mapping[str, Any], baselines: Mapping[str, Any], metrics: Sequence[Any]
) -> Iterator[Problem]:
    """metrics: that an epoch may be chosen by."""
    if spec.get("kind") not in ("peft", "full") or not isinstance(spec.get("base"), str):
        return
    base, path = baselines.get(spec["base"]), ("baselines", name, "base")
    if base is None:
        yield path, unknown_name("baseline", spec["base"], baselines)
    elif mapping(base).get("kind") != "pretrained":
        yield path, f"{spec['base']!r} is of kind {mapping(base).get('kind')}; a fine-tune starts from a pretrained one"
    elif "recorded" in mapping(base):
        yield path, f"{spec['base']!r} is known by its recorded answers only; a fine-tune starts from a model"
    select = spec.get("select", "accuracy")
    if "adapter" not in spec and select not in metrics:
        yield ("baselines", name, "select"), unknown_metric(select, metrics)


def _selectable(content: Mapping[str, Any]) -> list[Any]:
    """List what an epoch may be chosen by: the suite's metrics and, where answers are texts, their likelihood."""
    metrics = meant_metrics(content)
    return metrics if _output_type(content) is OutputType.MULTIPLE_CHOICE else [*metrics, "nll_nats"]


def _output_type(content: Mapping[str, Any]) -> OutputType | None:
    kind = mapping(content.get("task")).get("kind")
    return TASKS[kind].output_type if isinstance(kind, str) and kind in TASKS else None


def _labels(content: Mapping[str, Any], baselines: Mapping[str, Any]) -> Iterator[Problem]:
    """Labels in the rules of a keyword baseline."""
    task = mapping(content.get("task"))
    labels = sequence(task.get("choices")) or [
        str(position) for position, _ in enumerate(sequence(mapping(task.get("columns")).get("choices")))
    ]
    for name, spec in baselines.items():
        fields = mapping(spec)
        for label in (*mapping(fields.get("rules")), *([fields["default"]] if fields.get("default") else [])):
            if label not in labels:
                yield (
                    ("baselines", name, "rules"),
                    (f"label {label!r} is not among the choices {labels}{did_you_mean(label, labels)}"),
                )
