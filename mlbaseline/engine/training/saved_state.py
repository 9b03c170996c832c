"""A training on disk: its state while it runs, its result when it is finished. Safetensors and JSON, no pickle.

epoch-N/              the weights of the best epoch so far
state-STEP.safetensors, progress.json      while it runs
trained.json          when it is finished
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mlbaseline.model_files import weights_sha256
from mlbaseline.records import Trained

_PROGRESS, _TRAINED = "progress.json", "trained.json"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""The state of AdamW for each parameter."""


@dataclass
class TrainingState:
    """What a training needs beside its tensors to continue.

    Attributes:
        step: optimiser steps done.
        train_s: time spent.
        losses: of each step.
        selected_epoch: the best so far, counted from 1; 0: none.
        dev: metrics of that epoch on the dev split.
        scaler: state of fp16's gradient scaler; empty for other precisions.
    """

    step: int = 0
    train_s: float = 0.0
    losses: list[float] = field(default_factory=list)
    selected_epoch: int = 0
    dev: dict[str, float] = field(default_factory=dict)
    scaler: dict[str, float] = field(default_factory=dict)


def epoch_folder(folder: Path, epoch: int) -> Path:
    """Return the folder of an epoch's weights."""
    return folder / f"epoch-{epoch}"


def save_state(
    folder: Path, state: TrainingState, trained: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """Save the state of a running training: the tensors, then the JSON that makes them valid."""
    tensors = {f"weight/{name}": parameter.detach() for name, parameter in trained.items()}
    for name, parameter in trained.items():
        tensors |= {f"{key}/{name}": optimizer.state[parameter][key] for key in _MOMENTS}
    newest = folder / f"state-{state.step}.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, newest)
    _write_json(folder / _PROGRESS, asdict(state))
    for file in folder.glob("state-*"):
        if file != newest:
            file.unlink()


def load_state(
    folder: Path, trained: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> TrainingState:
    """Restore parameters and optimiser from the saved state; without a complete one, leave them and begin at step 0."""
    try:
        state = TrainingState(**json.loads((folder / _PROGRESS).read_text(encoding="utf-8")))
        tensors = load_file(folder / f"state-{state.step}.safetensors")
    except (OSError, ValueError, TypeError, SafetensorError):
        return TrainingState()
    if state.selected_epoch and not epoch_folder(folder, state.selected_epoch).is_dir():
        return TrainingState()
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(tensors[f"weight/{name}"])
            optimizer.state[parameter] = {key: tensors[f"{key}/{name}"].to(parameter.device) for key in _MOMENTS}
    return state


def save_result(folder: Path, state: TrainingState, trainable_params: int) -> None:
    """Mark the training as finished and delete what only a running one needs."""
    selected = epoch_folder(folder, state.selected_epoch)
    facts = asdict(state)
    del facts["step"], facts["scaler"]
    facts |= {"weights_sha256": weights_sha256(selected), "trainable_params": trainable_params}
    _write_json(folder / _TRAINED, facts)
    for leftover in folder.iterdir():
        if leftover.is_dir() and leftover != selected:
            shutil.rmtree(leftover)
        elif leftover.is_file() and leftover.name != _TRAINED:
            leftover.unlink()


def load_result(folder: Path) -> Trained | None:
    """Return a finished training, if its weights are unchanged; None otherwise."""
    try:
        facts: dict[str, Any] = json.loads((folder / _TRAINED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    weights = epoch_folder(folder, facts["selected_epoch"])
    if weights_sha256(weights) != facts["weights_sha256"]:
        return None
    return Trained(folder=weights, **{**facts, "losses": tuple(facts["losses"])})


def _write_json(path: Path, content: Any) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content), encoding="utf-8")
    part.replace(path)
