"""A packaged model of ours, read back: how it answers, and the model itself.

The code inside registered models imports this file; what it uses keeps its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from mlbaseline.assets import fetch
from mlbaseline.engine.answering import AnsweringSpec
from mlbaseline.errors import UntrustedModelError
from mlbaseline.model_files import SERVED, WEIGHTS, weights_sha256
from mlbaseline.models.checkpoints.precision import Precision
from mlbaseline.models.checkpoints.tokenizer import ChatTemplate
from mlbaseline.records import Example, Model
from mlbaseline.store.registry.loaded import check_registered
from mlbaseline.store.server.connection import reach
from mlbaseline.store.server.references import resolve
from mlbaseline.suite import Asset, Evaluation, Task
from mlbaseline.tasks import kind_of
from mlbaseline.tasks.prompting import placeholders

__all__ = ["DESCRIPTION", "SERVED", "WEIGHTS", "Served", "load_served", "locate_weights", "read_served"]

DESCRIPTION = "served.json"
"""Name of the file in the folder `served`."""


@dataclass(frozen=True)
class Served:
    """What has to be known to answer as the evaluated rung did.

    base, base_sha256: the model that an adapter belongs to, or that was prompted as it is; None for a whole model of
    our own. shots: solved examples in front of every prompt. evaluation: batching, length and resolved precision.
    seed: of what is drawn. compute_precision: what quantised weights were computed with; None where none are.
    weights_sha256: of its own weights, by name and content; None where it has none, and in models of version 0.2.
    """

    task: Task
    shots: tuple[Example, ...]
    evaluation: Evaluation
    base: str | None
    base_sha256: str | None
    seed: int | None
    compute_precision: Precision | None = None
    weights_sha256: str | None = None

    @property
    def choice_columns(self) -> tuple[str, ...]:
        """Columns of a request that hold the choices."""
        return self.task.columns.choices or ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a request, all of them text."""
        return (*placeholders(self.task.prompt), *self.choice_columns)

    def answering(self, *, latency_sample: int = 0) -> AnsweringSpec:
        """Return how the model answers on this machine. latency_sample: as in `evaluation`."""
        evaluation = self.evaluation.model_copy(update={"latency_sample": latency_sample})
        return AnsweringSpec.on_this_machine(
            self.task, evaluation, seed=self.seed, compute_precision=self.compute_precision
        )


def read_served(folder: Path) -> Served:
    """Read what a packaged model says of itself. folder: the one called `served`."""
    content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    task: Task = TypeAdapter(Task).validate_python(content["task"])
    shots = tuple(_shot(shot) for shot in content.get("shots", ()))  # models from before prompts could win have none
    typed = {"task": task, "shots": shots, "evaluation": Evaluation.model_validate(content["evaluation"])}
    return Served(**{**content, **typed})


def _shot(shown: Mapping[str, Any]) -> Example:
    return Example("", shown["fields"], shown["target"], tuple(shown["choices"]))


def locate_weights(folder: Path, served: Served) -> tuple[Path, Path | None]:
    """Return where the weights are on this machine, and the base of an adapter.

    Args:
        folder: The one called `served`.
        served: What the package says of its model.

    Raises:
        AssetError: The base cannot be had, or is not the one that the adapter was trained on or that won.
    """
    weights = folder / WEIGHTS
    if served.base is None:
        return weights, None
    asset = Asset(source=served.base, sha256=served.base_sha256)
    base = fetch(asset, root=folder, resolve=lambda uri: resolve(reach(None), uri)).path
    return (weights, base) if weights.is_dir() else (base, None)


def check_served(folder: Path, served: Served) -> None:
    """Check that a packaged model's files are those that were evaluated.

    By what the model says of itself, which finds damage. `check_registered` holds it to the registry's records.

    Args:
        folder: The one called `served`.
        served: What the package says of its model.

    Raises:
        UntrustedModelError: They are others.
    """
    if served.weights_sha256 is not None:
        found = weights_sha256(folder / WEIGHTS, remembered=False)
        if found != served.weights_sha256:
            raise UntrustedModelError(
                f"{folder / WEIGHTS}: expected the weights with the digest {served.weights_sha256[:16]}…, got those "
                f"with {found[:16]}…. They were changed after the model was evaluated, or the copy is damaged."
            )


def load_served(folder: Path, *, latency_sample: int = 0, is_checked: bool = False) -> tuple[Served, Model]:
    """Load a packaged model: how it answers, and the model that does.

    Args:
        folder: The one called `served`.
        latency_sample: As in `evaluation`; in service nothing is timed a second time.
        is_checked: Whether the caller has held the model to the registry's records.

    Raises:
        AssetError: The base cannot be had, or is not the one that the adapter was trained on or that won.
        UntrustedModelError: The files are not those that were evaluated.
    """
    served = read_served(folder)
    check_served(folder, served)
    if not is_checked:
        check_registered(folder.parents[1])
    path, base = locate_weights(folder, served)
    answering = served.answering(latency_sample=latency_sample)
    load_template = partial(ChatTemplate, base or path)
    prompting = kind_of(served.task).prompting(load_template, shots=served.shots, labels=served.task.labels)
    return served, answering.build(answering.loader(path, base)(), prompting)
