"""A training of several processes in which one of them is killed, fails or hangs at a step."""

from __future__ import annotations

import math
import os
import signal
import time
from dataclasses import replace
from typing import Any, Literal

from mlbaseline.engine.training.job import TrainingJob
from mlbaseline.tasks.prompting import Prompting

How = Literal["kill", "raise", "hang"]


class _Disturbing(Prompting):
    """Prompts as ever. A process that is handed them, as a part of its job, is disturbed from then on."""

    def __init__(self, template: str, rank: int, step: int, how: How) -> None:
        super().__init__(template)
        self.__dict__["disturbance"] = (rank, step, how)

    def __reduce__(self) -> Any:
        return _disturb, (self.template, *self.__dict__["disturbance"])


def disturbed(job: TrainingJob, *, rank: int, step: int, how: How) -> TrainingJob:
    """The same training, in which this happens before a step, and whose state is saved after every step."""
    return replace(job, prompting=_Disturbing(job.prompting.signature_fields()["prompt.template"], rank, step, how))


def _disturb(template: str, rank: int, step: int, how: How) -> Prompting:
    from mlbaseline.engine.training import loop

    loop.SAVE_EVERY_S, loop.SAVE_SHARE = 0.0, math.inf
    undisturbed = loop.TrainingRun.step

    def disturbed_step(self: loop.TrainingRun, batch: Any) -> float:
        if (self.strategy.rank, self.state.step) == (rank, step):
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            elif how == "raise":
                raise ValueError("this process does not like the step")
            time.sleep(3600)
        return undisturbed(self, batch)

    loop.TrainingRun.step = disturbed_step  # type: ignore[method-assign]
    return _Disturbing(template, rank, step, how)
