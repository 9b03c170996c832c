"""What the numbers of a comparison stand on, for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlbaseline import serving, store
from mlbaseline.suite import Suite
from mlbaseline.workflows.comparisons.answered_data import AnsweredData


def comparison_context(
    suite: Suite, runs: Sequence[store.EvaluationRun], data: AnsweredData, *, determinism: str | None
) -> dict[str, Any]:
    """Collect digests, hardware, software and the state of the data.

    Args:
        suite: Of the comparison.
        runs: Evaluations with rows that are compared.
        data: What was answered.
        determinism: What the newest audit of determinism came to; None without one.
    """

    def shared(prefix: str) -> dict[str, str]:
        """Each parameter with its value, or with all values where the runs differ."""
        names = sorted({name for run in runs for name in run.params if name.startswith(prefix)})
        return {name: " | ".join(sorted({run.params[name] for run in runs if name in run.params})) for name in names}

    precisions = sorted({text for run in runs if (text := _precision(run.params))})
    return {
        "suite_digest": suite.digest,
        "matrix_digest": suite.matrix_digest,
        "task_digest": runs[0].task_digest,
        "seeds": list(suite.seeds),
        **{f"in production, {run.baseline}": version for run in runs if (version := _in_production(run.params))},
        **({"precision": " | ".join(precisions)} if precisions else {}),
        **shared("hardware."),
        **shared("software."),
        **({"audit determinism": determinism} if determinism else {}),
        **({"data": data.facts()} if data.counts else {}),
    }


def _precision(params: Mapping[str, str]) -> str | None:
    precision, compute = (params.get(f"evaluation.{name}_precision") for name in ("resolved", "compute"))
    return precision if compute is None else f"{precision}, computed in {compute}"


def _in_production(params: Mapping[str, str]) -> str | None:
    """Which version, or which model behind which address, chosen by what."""
    if serving.PRODUCTION_VERSION in params:
        return params[serving.PRODUCTION_VERSION]
    endpoint = [params.get(f"baseline.endpoint.{name}") for name in ("url", "protocol", "model", "choose_by")]
    return " · ".join(part for part in endpoint if part not in (None, store.param_text(None))) or None
