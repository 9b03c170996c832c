"""What in a suite file does not go with the kind of its task: metrics, baselines that could not answer, endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlbaseline.records import OutputType
from mlbaseline.suite.baselines import STRATEGIES
from mlbaseline.suite.checks.yaml_errors import KeyPath, Problem, listed_metrics, mapping
from mlbaseline.suite.production import OF_CHOICES
from mlbaseline.suite.task import TASKS, TaskSpec

_SET_BY = {
    "choose_by": "`task.extract`",
    "max_new_tokens": "`task.max_new_tokens`",
    "temperature": "`task.temperature`",
    "seed": "`seeds`",
}
"""Option of an endpoint ─▶ what sets it where texts are generated."""


def find_misfits(content: Mapping[str, Any]) -> Iterator[Problem]:
    """Find metrics, baselines and endpoints that the kind of task cannot have, in the raw content of a suite file."""
    task = mapping(content.get("task"))
    kind = task.get("kind")
    if not isinstance(kind, str) or kind not in TASKS or TASKS[kind].output_type is None:
        return  # not valid, or known when the task is loaded
    spec = TASKS[kind]
    yield from _metrics(kind, spec, listed_metrics(content))
    for name, baseline in mapping(content.get("baselines")).items():
        yield from _baseline(kind, spec, ("baselines", name), mapping(baseline))
        if "endpoint" in mapping(baseline):
            endpoint = mapping(mapping(baseline)["endpoint"])
            yield from _endpoint(spec, task, ("baselines", name, "endpoint"), endpoint)


def _metrics(kind: str, spec: type[TaskSpec], names: list[Any]) -> Iterator[Problem]:
    fitting = spec.metric_names()
    for position, name in enumerate(names):
        if isinstance(name, Mapping):
            if spec.output_type is not OutputType.GENERATE_UNTIL:
                yield ("metrics", position), f"a judge scores texts, and a task of kind {kind} generates none"
            continue
        others = [other for other, of_kind in TASKS.items() if name in of_kind.metric_names()]
        if others and name not in fitting:
            yield (
                ("metrics", position),
                f"{name!r} is of tasks of kind {' and '.join(others)}; {kind} has: {', '.join(fitting)}",
            )


def _baseline(kind: str, spec: type[TaskSpec], path: KeyPath, baseline: Mapping[str, Any]) -> Iterator[Problem]:
    if "recorded" in baseline:
        return
    if baseline.get("kind") == "human" and spec.output_type is not OutputType.MULTIPLE_CHOICE:
        yield path, f"annotators choose among labels, and a task of kind {kind} has none; their texts can be `recorded`"
    strategy = baseline.get("strategy")
    if baseline.get("kind") == "trivial" and strategy in STRATEGIES and strategy not in spec.trivial_strategies:
        yield (
            (*path, "strategy"),
            f"{strategy!r} cannot answer a task of kind {kind}, which has: {', '.join(spec.trivial_strategies)}",
        )
    if baseline.get("shots") and spec.output_type is OutputType.LOGLIKELIHOOD_ROLLING:
        yield (*path, "shots"), "a text whose likelihood is asked has no prompt that examples could stand in front of"


def _endpoint(
    spec: type[TaskSpec], task: Mapping[str, Any], path: KeyPath, endpoint: Mapping[str, Any]
) -> Iterator[Problem]:
    protocol, output_type = endpoint.get("protocol"), spec.output_type
    if output_type is OutputType.LOGLIKELIHOOD_ROLLING:
        yield path, "an endpoint is asked for choices and for texts, not for perplexity; its answers can be `recorded`"
    if output_type is OutputType.GENERATE_UNTIL:
        for name in OF_CHOICES:
            if endpoint.get(name) is not None:
                yield (
                    (*path, name),
                    f"is of choices; a task of kind generate says how texts are written, see {_SET_BY[name]}",
                )
        if task.get("chat_template") and protocol == "completions":
            yield (*path, "protocol"), "`completions` is sent plain text; for `task.chat_template` ask by `chat`"
    likelihoods = protocol == "completions" and endpoint.get("choose_by", "loglik") in (None, "loglik")
    if output_type is OutputType.MULTIPLE_CHOICE and endpoint.get("stream") and likelihoods:
        yield (*path, "stream"), "`stream` goes with generation; log-likelihoods come all at once"
