"""A rung as a model that MLflow can serve: code, safetensors and JSON, and no pickle.

A folder `served` inside the model holds `served.json` and, of a fine-tune, `weights`: an adapter with a checksummed
reference to its base, or a whole model. A pretrained model that was prompted is its reference and the examples in front
of every prompt. `served_code.py` is the code that MLflow runs.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import fields, replace
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from mlbaseline.assets import MODEL_FILES
from mlbaseline.engine.generation.vllm_package import vllm_requirement
from mlbaseline.model_files import SERVED, WEIGHTS
from mlbaseline.models.checkpoints.precision import Precision
from mlbaseline.models.checkpoints.quantization import packages_of
from mlbaseline.records import Example, Signature, Weights
from mlbaseline.results import ResultTable
from mlbaseline.serving.served import DESCRIPTION, Served
from mlbaseline.store.evaluations import WEIGHTS_SHA256
from mlbaseline.store.items import LoggedModel
from mlbaseline.store.server.tracking import PREFIX
from mlbaseline.suite import (
    Peft,
    Pretrained,
    ProgramAdapter,
    ProgramSpec,
    ReadyAdapter,
    ReadySpec,
    Suite,
    Task,
    TrainedSpec,
)
from mlbaseline.tasks import ServedColumn, kind_of
from mlbaseline.tasks.prompting import placeholders, value_text
from mlbaseline.version import __version__

_RUNS_WITH = ("mlflow", "torch", "transformers", "peft")


def package_model(
    folder: Path, suite: Suite, table: ResultTable, weights: Weights | None, shots: Sequence[Example] = ()
) -> LoggedModel:
    """Package the model of a rung, ready to be logged.

    Args:
        folder: Where new files are written; the weights stay in place.
        suite: The suite that was evaluated.
        table: The rung's results.
        weights: None for a model that is prompted as it comes.
        shots: Solved examples in front of every prompt.
    """
    spec, baseline, seed, signature = suite.baselines[table.baseline], table.baseline, table.seed, table.signature
    assert isinstance(spec, TrainedSpec | ProgramSpec | ReadySpec | Pretrained)
    served = replace(_describe(suite, spec, signature, seed, shots), weights_sha256=weights.sha256 if weights else None)
    (folder / SERVED).mkdir(parents=True)
    content = {field.name: getattr(served, field.name) for field in fields(served)}
    content |= {name: content[name].model_dump(mode="json") for name in ("task", "evaluation")}
    content["shots"] = [_shown(suite.task, shot) for shot in served.shots]
    (folder / SERVED / DESCRIPTION).write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    _save(folder / "model", folder / SERVED, served)
    return LoggedModel(
        name=baseline if seed is None else f"{baseline}-seed-{seed}",
        model_type=spec.kind,
        # The weights go straight to where they belong: MLflow would first copy them beside its own files.
        folders={
            "": folder / "model",
            **({f"artifacts/{SERVED}/{WEIGHTS}": _what_is_served(weights.folder, folder)} if weights else {}),
        },
        params={"baseline": baseline, "seed": seed, "base": served.base, "template": served.task.prompt},
        tags={
            WEIGHTS_SHA256: weights.sha256 if weights else str(served.base_sha256),
            PREFIX + "signature_digest": signature.digest,
        },
    )


def _shown(task: Task, shot: Example) -> dict[str, Any]:
    """Return what the prompt shows of a solved example."""
    fields = {name: value_text(shot.fields[name]) for name in placeholders(task.prompt)}
    return {"fields": fields, "target": shot.target, "choices": list(shot.choices)}


def _describe(
    suite: Suite,
    spec: TrainedSpec | ProgramSpec | ReadySpec | Pretrained,
    signature: Signature,
    seed: int | None,
    shots: Sequence[Example],
) -> Served:
    # No sample is timed a second time in service, and `auto` must not pick another precision on other hardware.
    compute = signature.fields.get("engine.compute_precision")
    evaluation = suite.evaluation.model_copy(
        update={"latency_sample": 0, "precision": signature.fields["engine.precision"]}
    )
    base = _reference(suite, spec)
    if base is not None and not re.match(r"[a-z][a-z0-9+.-]+:/", base):
        base = str((suite.root / Path(base).expanduser()).resolve())
    return Served(
        task=suite.task,
        shots=tuple(shots),
        evaluation=evaluation,
        base=base,
        base_sha256=None if base is None else str(signature.fields["model.sha256"]),
        seed=seed,
        compute_precision=None if compute is None else cast(Precision, compute),
    )


def _reference(suite: Suite, spec: TrainedSpec | ProgramSpec | ReadySpec | Pretrained) -> str | None:
    if isinstance(spec, Pretrained):
        return spec.model.source
    return suite.base_model(spec).source if isinstance(spec, Peft | ProgramAdapter | ReadyAdapter) else None


def _what_is_served(weights: Path, folder: Path) -> Path:
    """Return the folder of the weights, or a copy of it without pickles, code and optimiser states."""
    everything = [file for file in weights.rglob("*") if file.is_file()]
    served = [file for file in weights.iterdir() if any(file.match(pattern) for pattern in MODEL_FILES)]
    if len(served) == len(everything):
        return weights
    copy = folder / "copied"
    copy.mkdir()
    for file in served:
        shutil.copy(file, copy)
    return copy


def _save(path: Path, artifacts: Path, served: Served) -> None:
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import ColSpec, Schema

    columns = (*kind_of(served.task).served_columns(), ServedColumn("error", "string"))
    answers = [ColSpec(column.type, column.name, required=False) for column in columns]
    save_model(
        str(path),
        python_model=str(Path(__file__).with_name("served_code.py")),
        artifacts={SERVED: str(artifacts)},
        signature=ModelSignature(Schema([ColSpec("string", column) for column in served.columns]), Schema(answers)),
        input_example=pd.DataFrame([{column: column for column in served.columns}]),
        # Given, because MLflow would otherwise load the model in another process to see what it imports.
        pip_requirements=_requirements(served),
    )


def _requirements(served: Served) -> list[str]:
    packages = (*_RUNS_WITH, *packages_of(served.evaluation.precision))
    versions = {name: metadata.version(name) for name in packages}
    if served.evaluation.generate_with == "vllm" and (vllm := vllm_requirement()):
        versions |= [vllm]
    exact = (f"{name}=={version.partition('+')[0]}" for name, version in versions.items())
    return [f"mlbaseline=={__version__}", *exact]
