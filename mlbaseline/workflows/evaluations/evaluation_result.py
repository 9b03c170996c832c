"""What a command that evaluates returns to Python: its document, and the same as records and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mlbaseline.workflows.command_result import CommandResult

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Evaluated:
    """One rung that now has a completed run. reused: it had one before, with the same signature."""

    baseline: str
    seed: int | None
    run_id: str
    reused: bool
    metrics: Mapping[str, float]
    split: str = "test"


@dataclass(frozen=True, kw_only=True)
class EvaluationResult(CommandResult):
    """The result of evaluating rungs. A notebook shows it as a table.

    Attributes:
        ladder_run_id: The parent run of the evaluations.
        evaluations: Every rung and seed that was evaluated or reused, with its run and its metrics.
    """

    ladder_run_id: str
    evaluations: tuple[Evaluated, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return the evaluations as a table.

        Returns:
            One row for each: `baseline`, `seed`, `split`, a column for each metric, `reused` and `run_id`.

        Example:
            >>> done = Evaluated("majority", None, "5f1c", False, {"accuracy": 0.5})
            >>> frame = evaluation_result("0a3b", [done]).to_frame()
            >>> list(frame.columns)
            ['baseline', 'seed', 'split', 'accuracy', 'reused', 'run_id']
        """
        import pandas as pd

        rows = [
            {"baseline": one.baseline, "seed": one.seed, "split": one.split, **one.metrics} for one in self.evaluations
        ]
        frame = pd.DataFrame(rows).astype({"seed": "Int64"})  # rungs without a seed have none, and no NaN
        return frame.assign(
            reused=[one.reused for one in self.evaluations], run_id=[one.run_id for one in self.evaluations]
        )

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False, float_format="{:.4g}".format, na_rep="", escape=True))


def evaluation_result(ladder_run_id: str, evaluated: Sequence[Evaluated]) -> EvaluationResult:
    """Make the result of evaluated rungs.

    Args:
        ladder_run_id: The parent run of the evaluations.
        evaluated: The rungs.
    """
    return EvaluationResult(
        {"ladder_run_id": ladder_run_id, "evaluations": [asdict(rung) for rung in evaluated]},
        lambda *_: evaluations_text(evaluated),
        ladder_run_id=ladder_run_id,
        evaluations=tuple(evaluated),
    )


def evaluations_text(evaluated: Sequence[Evaluated]) -> str:
    """Write a line for each evaluation: the rung, its seed and its metrics."""
    lines = [
        f"{rung.baseline:<20} {'' if rung.seed is None else f'seed {rung.seed}':<10} {metrics_text(rung.metrics)}"
        f"{'' if rung.split == 'test' else f'  ({rung.split})'}{'  (reused)' if rung.reused else ''}"
        for rung in evaluated
    ]
    return "\n".join(lines)


def metrics_text(metrics: Mapping[str, float]) -> str:
    """Write metrics in a line: `accuracy 0.61  nll_nats 0.92`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
