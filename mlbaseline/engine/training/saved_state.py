"""What a training leaves on disk: its state while it runs, its result when it is done. Safetensors and JSON, no pickle.

epoch-N/              the weights of the best epoch so far
state-STEP.safetensors, progress.json      while it runs
trained.json          when it is done
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

from mlbaseline.assets import sha256_of
from mlbaseline.records import Trained, digest_of

_PROGRESS, _TRAINED = "progress.json", "trained.json"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW remembers of each parameter."""


@dataclass
class Progress:
    """What a training that goes on must know beside its tensors.

    step: optimiser steps done. losses: of each. selected_epoch: the best so far, counted from 1; dev: its metrics.
    scaler: how fp16 scales its gradients by now; empty for other precisions.
    """

    step: int = 0
    train_s: float = 0.0
    losses: list[float] = field(default_factory=list)
    selected_epoch: int = 0
    dev: dict[str, float] = field(default_factory=dict)
    scaler: dict[str, float] = field(default_factory=dict)


def epoch_folder(folder: Path, epoch: int) -> Path:
    return folder / f"epoch-{epoch}"


def save_state(
    folder: Path, progress: Progress, trained: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """Keep the state of a running training: the tensors, then the JSON that makes them count."""
    tensors = {f"weight/{name}": parameter.detach() for name, parameter in trained.items()}
    for name, parameter in trained.items():
        tensors |= {f"{key}/{name}": optimizer.state[parameter][key] for key in _MOMENTS}
    kept = folder / f"state-{progress.step}.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, kept)
    _write_json(folder / _PROGRESS, asdict(progress))
    for state in folder.glob("state-*"):
        if state != kept:
            state.unlink()


def load_state(folder: Path, trained: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer) -> Progress:
    """Put parameters and optimiser back to the kept state; without a whole one, leave them and begin at step 0."""
    try:
        progress = Progress(**json.loads((folder / _PROGRESS).read_text(encoding="utf-8")))
        tensors = load_file(folder / f"state-{progress.step}.safetensors")
    except (OSError, ValueError, TypeError, SafetensorError):
        return Progress()
    if progress.selected_epoch and not epoch_folder(folder, progress.selected_epoch).is_dir():
        return Progress()
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(tensors[f"weight/{name}"])
            optimizer.state[parameter] = {key: tensors[f"{key}/{name}"].to(parameter.device) for key in _MOMENTS}
    return progress


def save_result(folder: Path, progress: Progress, trainable_params: int) -> None:
    """Mark the training as finished and drop what only a running one needs."""
    selected = epoch_folder(folder, progress.selected_epoch)
    facts = asdict(progress)
    del facts["step"], facts["scaler"]
    facts |= {"weights_sha256": weights_sha256(selected), "trainable_params": trainable_params}
    _write_json(folder / _TRAINED, facts)
    for leftover in folder.iterdir():
        if leftover.is_dir() and leftover != selected:
            shutil.rmtree(leftover)
        elif leftover.is_file() and leftover.name != _TRAINED:
            leftover.unlink()


def load_result(folder: Path) -> Trained | None:
    """A finished training, if its weights are still those that it wrote."""
    try:
        facts: dict[str, Any] = json.loads((folder / _TRAINED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    weights = epoch_folder(folder, facts["selected_epoch"])
    if weights_sha256(weights) != facts["weights_sha256"]:
        return None
    return Trained(folder=weights, **{**facts, "losses": tuple(facts["losses"])})


def weights_sha256(folder: Path) -> str:
    """SHA-256 over the names and contents of the safetensors files in a folder: names a checkpoint by its content."""
    return digest_of({file.name: sha256_of(file) for file in sorted(folder.glob("*.safetensors"))})


def _write_json(path: Path, content: Any) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content), encoding="utf-8")
    part.replace(path)
