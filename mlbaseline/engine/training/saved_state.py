"""The state of a training that runs, on disk: safetensors and JSON, no pickle.

epoch-N/              the weights of the best epoch so far
state-STEP.safetensors, progress.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mlbaseline.cache import write_in_one_step
from mlbaseline.engine.training.cached import epoch_folder
from mlbaseline.engine.training.distributed.strategy import ONE_PROCESS, Strategy

_PROGRESS = "progress.json"
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


def save_state(
    folder: Path,
    state: TrainingState,
    trained: Mapping[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    strategy: Strategy = ONE_PROCESS,
) -> None:
    """Save the state of a running training: the tensors, then the JSON that makes them valid."""
    tensors = {f"weight/{name}": strategy.whole(parameter.detach()) for name, parameter in trained.items()}
    for name, parameter in trained.items():
        tensors |= {f"{key}/{name}": strategy.whole(optimizer.state[parameter][key]) for key in _MOMENTS}
    if not strategy.is_first:
        return
    newest = folder / f"state-{state.step}.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, newest)
    write_in_one_step(folder / _PROGRESS, json.dumps(asdict(state)))
    for file in folder.glob("state-*"):
        if file != newest:
            file.unlink()


def load_state(
    folder: Path,
    trained: Mapping[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    strategy: Strategy = ONE_PROCESS,
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
            parameter.copy_(strategy.part(tensors[f"weight/{name}"], parameter))
            optimizer.state[parameter] = {key: strategy.part(tensors[f"{key}/{name}"], parameter) for key in _MOMENTS}
    return state
