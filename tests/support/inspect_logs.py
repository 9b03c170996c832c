"""Logs that inspect writes itself, of tasks whose answers come from a mock model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def write_log(folder: Path, samples: Sequence[Any], answers: Sequence[str], **options: Any) -> Path:
    """The log of a task over `samples`, to which a mock model gives `answers`; sample e1 fails in epoch 1 if asked."""
    from inspect_ai import Task as InspectTask
    from inspect_ai import eval as run
    from inspect_ai.dataset import MemoryDataset
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.solver import Generate, Solver, TaskState, solver

    @solver
    def fail_once(id: str) -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            if state.sample_id == id and state.epoch == 1:
                raise RuntimeError("the tool broke")
            return state

        return solve

    outputs = []
    for answer in answers:
        outputs.append(ModelOutput.from_content("mockllm/model", answer))
        outputs[-1].usage = ModelUsage(input_tokens=7, output_tokens=3, total_tokens=10, total_cost=0.01)
    failing, solvers = options.pop("failing", None), options.pop("solver")
    task = InspectTask(
        name="reviews",
        version=3,
        dataset=MemoryDataset(list(samples)),
        solver=[*([fail_once(failing)] if failing else []), solvers],
        **options,
    )
    model = get_model("mockllm/model", custom_outputs=outputs, memoize=False)
    (log,) = run(
        task,
        model=model,
        log_dir=str(folder),
        display="none",
        fail_on_error=False,
        log_format="eval",
        max_samples=1,
        log_level="error",
        log_realtime=False,
    )
    return Path(log.location)
