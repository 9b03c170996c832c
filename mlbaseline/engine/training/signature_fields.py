"""What a signature says of a training, whichever engine trains. No torch is needed for that."""

from __future__ import annotations

import json
from collections.abc import Mapping

from mlbaseline.records import Scalar, TaskData
from mlbaseline.suite import ProgramSpec, TrainedSpec


def data_fields(
    spec: TrainedSpec | ProgramSpec, train: TaskData, dev: TaskData | None, prompt: Mapping[str, Scalar]
) -> dict[str, Scalar]:
    """Return the `training.*` fields for the data that a model is trained on.

    Args:
        spec: Of the rung.
        train: Split that it learns.
        dev: Split that chooses the epoch.
        prompt: `prompt.*` fields of the prompts, without few-shot examples.
    """
    return {
        "training.kind": spec.kind,
        "training.train_digest": train.digest,
        "training.dev_digest": dev.digest if dev else None,
        "training.template": prompt["prompt.template"],
    }


def prompt_fields(prompt: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the `training.*` fields for the chat template and the system message, where there are such."""
    names = [name for name in ("chat_template", "system") if prompt.get(f"prompt.{name}")]
    return {f"training.{name}": prompt[f"prompt.{name}"] for name in names}


def option_fields(spec: TrainedSpec | ProgramSpec) -> dict[str, Scalar]:
    """Return the `training.*` fields for the options of a rung, lists and mappings as JSON."""
    options = spec.model_dump(mode="json", exclude={"kind", "base"})
    # Which processes train decides sums; what started them does not.
    options |= {name: value for name, value in options.pop("training", {}).items() if name != "launcher"}
    return {
        f"training.{name}": json.dumps(value, sort_keys=True) if isinstance(value, list | dict) else value
        for name, value in options.items()
    }
