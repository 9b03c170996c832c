"""A rung as a model that MLflow can serve: code, safetensors and JSON, and no pickle.

A folder `served` inside the model holds `served.json` and, of a fine-tune, `weights`: an adapter with a checksummed
reference to its base, or a whole model. A pretrained model that was prompted is its reference and the examples in front
of every prompt. `served_code.py` is the code that MLflow runs.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from mlbaseline.assets import MODEL_FILES, fetch
from mlbaseline.models.quantization import packages_of
from mlbaseline.records import Example, Model, Signature, Weights
from mlbaseline.results import ResultTable
from mlbaseline.store.items import LoggedModel
from mlbaseline.store.references import resolve
from mlbaseline.store.tracking import PREFIX, reach
from mlbaseline.suite import (
    Asset,
    Evaluation,
    GenerateTask,
    Peft,
    PerplexityTask,
    Pretrained,
    ReadyAdapter,
    ReadySpec,
    Suite,
    Task,
    TrainedSpec,
)
from mlbaseline.tasks.prompting import placeholders, value_text
from mlbaseline.version import __version__

SERVED = "served"
_DESCRIPTION, _WEIGHTS = "served.json", "weights"
_RUNS_WITH = ("mlflow", "torch", "transformers", "peft")


@dataclass(frozen=True)
class Served:
    """What has to be known to answer as the evaluated rung did.

    base, base_sha256: the model that an adapter belongs to, or that was prompted as it is; None for a whole model of
    our own. shots: solved examples in front of every prompt. evaluation: batching, length and resolved precision.
    seed: of what is drawn. compute_precision: what quantised weights were computed with; None where none are.
    """

    task: Task
    shots: tuple[Example, ...]
    evaluation: Evaluation
    base: str | None
    base_sha256: str | None
    seed: int | None
    compute_precision: str | None = None

    @property
    def choice_columns(self) -> tuple[str, ...]:
        return self.task.columns.choices or ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a request, all of them text."""
        return (*placeholders(self.task.prompt), *self.choice_columns)


def package_model(
    folder: Path, suite: Suite, table: ResultTable, weights: Weights | None, shots: Sequence[Example] = ()
) -> LoggedModel:
    """The model of a rung, ready to be logged. folder: where to put what is new; the weights stay in place.

    weights: None for a model that is prompted as it comes. shots: solved examples in front of every prompt.
    """
    spec, baseline, seed, signature = suite.baselines[table.baseline], table.baseline, table.seed, table.signature
    assert isinstance(spec, TrainedSpec | ReadySpec | Pretrained)
    served = _describe(suite, spec, signature, seed, shots)
    (folder / SERVED).mkdir(parents=True)
    content = {field.name: getattr(served, field.name) for field in fields(served)}
    content |= {name: content[name].model_dump(mode="json") for name in ("task", "evaluation")}
    content["shots"] = [_shown(suite.task, shot) for shot in served.shots]
    (folder / SERVED / _DESCRIPTION).write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    _save(folder / "model", folder / SERVED, served)
    return LoggedModel(
        name=baseline if seed is None else f"{baseline}-seed-{seed}",
        model_type=spec.kind,
        # The weights go straight to where they belong: MLflow would first copy them beside its own files.
        folders={
            "": folder / "model",
            **({f"artifacts/{SERVED}/{_WEIGHTS}": _what_is_served(weights.folder, folder)} if weights else {}),
        },
        params={"baseline": baseline, "seed": seed, "base": served.base, "template": served.task.prompt},
        tags={
            PREFIX + "weights_sha256": weights.sha256 if weights else str(served.base_sha256),
            PREFIX + "signature_digest": signature.digest,
        },
    )


def read_served(folder: Path) -> Served:
    """What `package_model` says of a model. folder: the one called `served`."""
    content = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
    task: Task = TypeAdapter(Task).validate_python(content["task"])
    shots = tuple(_shot(shot) for shot in content.get("shots", ()))  # models from before prompts could win have none
    about = {"task": task, "shots": shots, "evaluation": Evaluation.model_validate(content["evaluation"])}
    return Served(**{**content, **about})


def load_served(folder: Path, *, latency_sample: int = 0) -> tuple[Served, Model]:
    """What `package_model` made, and the scorer that answers for it. folder: the one called `served`.

    latency_sample: as in `evaluation`; in service nothing is timed a second time. Raises AssetError if the base cannot
    be had, or is not the one that the adapter was trained on or that won.
    """
    from mlbaseline.engine.answering import answering_model
    from mlbaseline.engine.inference.chat_prompting import make_prompting
    from mlbaseline.models.checkpoint import load_checkpoint

    served = read_served(folder)
    task = served.task
    base = None
    if served.base is not None:
        asset = Asset(source=served.base, sha256=served.base_sha256)
        base = fetch(asset, root=folder, resolve=lambda uri: resolve(reach(None), uri)).path
    weights = folder / _WEIGHTS
    path, below = (base, None) if base is not None and not weights.is_dir() else (weights, base)
    checkpoint = load_checkpoint(
        path,
        base=below,
        precision=served.evaluation.precision,
        compute=served.compute_precision,
    )
    prompting = make_prompting(task, weights if base is None else base, shots=served.shots, labels=task.labels)
    evaluation = served.evaluation.model_copy(update={"latency_sample": latency_sample})
    return served, answering_model(task, checkpoint, prompting, task.labels, evaluation, seed=served.seed)


def _shot(shown: Mapping[str, Any]) -> Example:
    return Example("", shown["fields"], shown["target"], tuple(shown["choices"]))


def _shown(task: Task, shot: Example) -> dict[str, Any]:
    """Of a solved example what its prompt shows."""
    fields = {name: value_text(shot.fields[name]) for name in placeholders(task.prompt)}
    return {"fields": fields, "target": shot.target, "choices": list(shot.choices)}


def _describe(
    suite: Suite,
    spec: TrainedSpec | ReadySpec | Pretrained,
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
        compute_precision=None if compute is None else str(compute),
    )


def _reference(suite: Suite, spec: TrainedSpec | ReadySpec | Pretrained) -> str | None:
    if isinstance(spec, Pretrained):
        return spec.model.source
    return suite.base_model(spec).source if isinstance(spec, Peft | ReadyAdapter) else None


def _what_is_served(weights: Path, folder: Path) -> Path:
    """The folder of the weights, or a copy without what else lies in it: pickles, code, states of an optimiser."""
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

    answers = [ColSpec(type_, name, required=False) for name, type_ in _answer_columns(served.task)]
    answers.append(ColSpec("string", "error", required=False))
    save_model(
        str(path),
        python_model=str(Path(__file__).with_name("served_code.py")),
        artifacts={SERVED: str(artifacts)},
        signature=ModelSignature(Schema([ColSpec("string", column) for column in served.columns]), Schema(answers)),
        input_example=pd.DataFrame([{column: column for column in served.columns}]),
        # Given, because MLflow would otherwise load the model in another process to see what it imports.
        pip_requirements=_requirements(served),
    )


def _answer_columns(task: Task) -> list[tuple[str, str]]:
    if isinstance(task, GenerateTask):
        return [("text", "string"), *([] if task.extract is None else [("raw", "string")])]
    if isinstance(task, PerplexityTask):
        return [("nats", "double"), ("tokens", "double")]
    return [("label", "string"), *((f"probability.{label}", "double") for label in task.labels)]


def _requirements(served: Served) -> list[str]:
    writes = ("vllm",) if served.evaluation.generate_with == "vllm" else ()
    packages = (*_RUNS_WITH, *packages_of(served.evaluation.precision), *writes)
    versions = {name: metadata.version(name).partition("+")[0] for name in packages}
    return [f"mlbaseline=={__version__}", *(f"{name}=={version}" for name, version in versions.items())]
