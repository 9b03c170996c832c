"""What a run can hold, as plain data, and the one interpreter that tells MLflow about it."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlbaseline.records import Scalar
from mlbaseline.store.server.patience import is_remote
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import PREFIX, Run, fitting, run_tags
from mlbaseline.store.server.twins import delete_twin_models


@dataclass(frozen=True)
class Tags:
    values: Mapping[str, str]


@dataclass(frozen=True)
class Params:
    """Shown as text: strings as they are, everything else as JSON (`true`, `null`, `0.001`)."""

    values: Mapping[str, Scalar]


@dataclass(frozen=True)
class Metrics:
    """One number per name. None: there is none, and nothing is logged. NaN is logged as NaN: it must be seen."""

    values: Mapping[str, float | None]


@dataclass(frozen=True)
class Series:
    """A number per step, from step 1 on."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True)
class Artifacts:
    """Everything in a local folder, to lie under the same paths in the run."""

    folder: Path


@dataclass(frozen=True)
class Dataset:
    """The data that a run was evaluated on. digest: SHA-256. context: the split. columns: of an example's fields."""

    name: str
    digest: str
    context: str
    source: str
    rows: int
    columns: Sequence[str] = ()


@dataclass(frozen=True)
class LoggedModel:
    """A model of the run. folders: path inside the model ─▶ local folder that goes there ("" is the top)."""

    name: str
    model_type: str
    folders: Mapping[str, Path]
    params: Mapping[str, Scalar] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


MODEL_ID = PREFIX + "model_id"
"""Tag of a run: its model. It is an input of the run as well, but a search of mlflow 3.17 gives no inputs."""
Item = Tags | Params | Metrics | Series | Artifacts | Dataset | LoggedModel


def write(run: Run, *items: Item) -> None:
    """Put the items into the run, with as few requests as MLflow allows.

    Items written together belong together: the metrics among them are those of the dataset and the model among them.
    Files go first, so that a run never shows numbers whose evidence could not be stored. Raises TrackingError.
    """
    from mlflow.entities import Param
    from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

    with reporting(f"write to the run {run.name!r} ({run.run_id})", run.tracker.uri):
        for item in items:
            if isinstance(item, Artifacts):
                run.tracker.client.log_artifacts(run.run_id, str(item.folder))
        dataset = next((_log_dataset(run, item) for item in items if isinstance(item, Dataset)), None)
        model_id = next((_log_model(run, item) for item in items if isinstance(item, LoggedModel)), None)
        run.tracker.client.log_batch(
            run.run_id,
            metrics=_metrics(items, model_id, dataset),
            params=[
                Param(key, fitting(param_text(value), MAX_PARAM_VAL_LENGTH, f"the parameter {key!r}"))
                for item in items
                if isinstance(item, Params)
                for key, value in item.values.items()
            ],
            tags=run_tags({MODEL_ID: model_id} if model_id else {})
            + [tag for item in items if isinstance(item, Tags) for tag in run_tags(item.values)],
        )


def metric_name(*parts: str) -> str:
    """Join parts to a metric's name, as `slice/topic/airline/accuracy`, in the characters that MLflow allows.

    What does not fit is replaced, and a piece of the part's own digest is added, so that two slice values that differ
    in such characters only keep their own metrics.
    """
    return "/".join(_metric_part(part) for part in parts)


def _metric_part(part: str) -> str:
    safe = re.sub(r"[^\w.\- :]", "_", part).strip()[:60]
    if safe == part and safe.strip("."):
        return safe
    return f"{safe.strip('.')}-{hashlib.sha256(part.encode('utf-8', 'surrogatepass')).hexdigest()[:6]}"


def param_text(value: Scalar) -> str:
    """Give a parameter as it stands in the run."""
    return value if isinstance(value, str) else json.dumps(value)


def _metrics(items: Sequence[Item], model_id: str | None, dataset: tuple[str, str] | None) -> list[object]:
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    name, digest = dataset or (None, None)
    metrics: list[object] = []
    for item in items:
        if isinstance(item, Metrics):
            metrics += [
                Metric(key, float(value), now_ms, 0, model_id, name, digest)
                for key, value in item.values.items()
                if value is not None
            ]
        elif isinstance(item, Series):
            metrics += [
                Metric(item.name, float(value), now_ms, step, model_id)
                for step, value in enumerate(item.values, start=1)
            ]
    return metrics


def _log_dataset(run: Run, item: Dataset) -> tuple[str, str]:
    from mlflow.entities import Dataset as MlflowDataset
    from mlflow.entities import DatasetInput, InputTag
    from mlflow.exceptions import MlflowException

    digest = item.digest[:36]  # all that MLflow takes; the whole one stands in the run's tags
    dataset = MlflowDataset(
        name=item.name,
        digest=digest,
        source_type="mlbaseline",
        source=json.dumps({"uri": item.source}),
        schema=json.dumps({"mlflow_colspec": [{"name": name, "type": "string"} for name in item.columns]}),
        profile=json.dumps({"num_rows": item.rows, "sha256": item.digest}),
    )
    inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", item.context)])]
    try:
        run.tracker.client.log_inputs(run.run_id, inputs)
    except MlflowException:
        # mlflow 3.17: of two runs that are the first to name a dataset at the same moment, one fails on the other's
        # row in the database. By now it is there; whatever else was wrong is wrong again.
        run.tracker.client.log_inputs(run.run_id, inputs)
    return item.name, digest


def _log_model(run: Run, item: LoggedModel) -> str:
    from mlflow.entities import LoggedModelInput

    client = run.tracker.client
    model_id = client.create_logged_model(
        run.experiment_id,
        name=item.name,
        source_run_id=run.run_id,
        tags=dict(item.tags),
        params={key: param_text(value) for key, value in item.params.items()},
        model_type=item.model_type,
    ).model_id
    try:
        for path, folder in item.folders.items():
            client.log_model_artifacts(model_id, str(folder), path or None)
    except BaseException:
        client.finalize_logged_model(model_id, "FAILED")
        raise
    client.finalize_logged_model(model_id, "READY")
    if is_remote(run.tracker.uri):
        delete_twin_models(client, run.experiment_id, run.run_id, model_id)
    # mlflow 3.17 takes a run with a model among its outputs for a training, and leaves it out of *Evaluation runs*.
    client.log_inputs(run.run_id, models=[LoggedModelInput(model_id)])
    return str(model_id)
