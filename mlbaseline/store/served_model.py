"""A trained rung as a model that MLflow can serve: code, safetensors and JSON, and no pickle.

A folder `served` inside the model holds `served.json` and `weights`: an adapter with a checksummed reference to its
base, or a whole model. `choice_model.py` is the code that MLflow runs.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import mlbaseline
from mlbaseline.assets import MODEL_FILES, fetch
from mlbaseline.records import Model, Signature, Weights
from mlbaseline.results import ResultTable
from mlbaseline.store.items import LoggedModel
from mlbaseline.store.references import resolve
from mlbaseline.store.tracking import PREFIX, reach
from mlbaseline.suite import Asset, Evaluation, Peft, ReadyAdapter, ReadySpec, Suite, TrainedSpec
from mlbaseline.tasks.prompting import Prompting, placeholders

SERVED = "served"
_DESCRIPTION, _WEIGHTS = "served.json", "weights"
_RUNS_WITH = ("mlflow", "torch", "transformers", "peft")


@dataclass(frozen=True)
class Served:
    """What has to be known to answer as the evaluated rung did.

    choices: the same for every row; None where the columns `choice_columns` hold them. base, base_sha256: the model
    that an adapter belongs to, None for a whole model. evaluation: batching, length and resolved precision.
    """

    template: str
    labels: tuple[str, ...]
    choices: tuple[str, ...] | None
    choice_columns: tuple[str, ...]
    evaluation: Evaluation
    base: str | None
    base_sha256: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a request, all of them text."""
        return (*placeholders(self.template), *self.choice_columns)


def served_model(folder: Path, suite: Suite, table: ResultTable, weights: Weights) -> LoggedModel:
    """The model of a fine-tune, ready to be logged. folder: where to put what is new; the weights stay in place."""
    spec, baseline, seed, signature = suite.baselines[table.baseline], table.baseline, table.seed, table.signature
    assert isinstance(spec, TrainedSpec | ReadySpec)
    served = _describe(suite, spec, signature)
    (folder / SERVED).mkdir(parents=True)
    content = {**asdict(served), "evaluation": served.evaluation.model_dump(mode="json")}
    (folder / SERVED / _DESCRIPTION).write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    _save(folder / "model", folder / SERVED, served)
    return LoggedModel(
        name=baseline if seed is None else f"{baseline}-seed-{seed}",
        model_type=spec.kind,
        # The weights go straight to where they belong: MLflow would first copy them beside its own files.
        folders={"": folder / "model", f"artifacts/{SERVED}/{_WEIGHTS}": _what_is_served(weights.folder, folder)},
        params={"baseline": baseline, "seed": seed, "base": served.base, "template": served.template},
        tags={PREFIX + "weights_sha256": weights.sha256, PREFIX + "signature_digest": signature.digest},
    )


def load_served(folder: Path) -> tuple[Served, Model]:
    """What `served_model` made, and the scorer that answers for it. folder: the one called `served`.

    Raises AssetError if the base cannot be had, or is not the one that the adapter was trained on.
    """
    from mlbaseline.engine.scoring import ChoiceScorer
    from mlbaseline.models.checkpoint import load_checkpoint

    content = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
    served = Served(
        **{
            **content,
            "labels": tuple(content["labels"]),
            "choices": None if content["choices"] is None else tuple(content["choices"]),
            "choice_columns": tuple(content["choice_columns"]),
            "evaluation": Evaluation.model_validate(content["evaluation"]),
        }
    )
    base = None
    if served.base is not None:
        asset = Asset(source=served.base, sha256=served.base_sha256)
        base = fetch(asset, root=folder, resolve=lambda uri: resolve(reach(None), uri)).path
    checkpoint = load_checkpoint(folder / _WEIGHTS, base=base, precision=served.evaluation.precision)
    return served, ChoiceScorer(checkpoint, Prompting(served.template), served.labels, served.evaluation)


def _describe(suite: Suite, spec: TrainedSpec | ReadySpec, signature: Signature) -> Served:
    columns = () if suite.task.columns.choices is None else suite.task.columns.choices
    # No sample is timed a second time in service, and `auto` must not pick another precision on other hardware.
    evaluation = suite.evaluation.model_copy(
        update={"latency_sample": 0, "precision": signature.fields["engine.precision"]}
    )
    base = suite.base_model(spec).source if isinstance(spec, Peft | ReadyAdapter) else None
    if base is not None and not re.match(r"[a-z][a-z0-9+.-]+:/", base):
        base = str((suite.root / Path(base).expanduser()).resolve())
    return Served(
        template=suite.task.prompt,
        labels=suite.task.labels,
        choices=suite.task.choices,
        choice_columns=tuple(columns),
        evaluation=evaluation,
        base=base,
        base_sha256=None if base is None else str(signature.fields["model.sha256"]),
    )


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

    answers = [ColSpec("string", "label", required=False)]
    answers += [ColSpec("double", f"probability.{label}", required=False) for label in served.labels]
    answers.append(ColSpec("string", "error", required=False))
    save_model(
        str(path),
        python_model=str(Path(__file__).with_name("choice_model.py")),
        artifacts={SERVED: str(artifacts)},
        signature=ModelSignature(Schema([ColSpec("string", column) for column in served.columns]), Schema(answers)),
        input_example=pd.DataFrame([{column: column for column in served.columns}]),
        # Given, because MLflow would otherwise load the model in another process to see what it imports.
        pip_requirements=_requirements(),
    )


def _requirements() -> list[str]:
    versions = {name: metadata.version(name).partition("+")[0] for name in _RUNS_WITH}
    return [f"mlbaseline=={mlbaseline.__version__}", *(f"{name}=={version}" for name, version in versions.items())]
