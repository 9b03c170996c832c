"""What a command that compares returns to Python: its document, and the same as records, a table and plots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbaseline.records import Assessment, ExamplePair, Verdict
from mlbaseline.report import Drawing, draw_plot, render_fragment
from mlbaseline.workflows.command_result import CommandResult

if TYPE_CHECKING:
    import pandas as pd

_EXAMPLE_COLUMNS = (
    *("candidate", "baseline", "change", "difference", "example_id", "input", "target"),
    *("candidate_answer", "baseline_answer", "candidate_score", "baseline_score"),
)


@dataclass(frozen=True, kw_only=True)
class ComparisonResult(CommandResult):
    """The result of a comparison. A notebook shows the verdict, the registered contrasts and their plot.

    Attributes:
        assessment: All that the comparison found, as frozen records: `standings`, `comparisons`, `audit`, `slices` and
            more. Intervals are as they were computed; reports cut them to the bounds of their metric.
    """

    assessment: Assessment

    @property
    def verdict(self) -> Verdict:
        """The decision, its reason, the winner, and what is missing."""
        return self.assessment.verdict

    def plot(self, name: str = "forest") -> Drawing:
        """Draw a plot of the report; a notebook shows it.

        Args:
            name: `forest` is the differences from the baselines, `pareto` quality against cost, `slices-1` the first
                contrast by slice. The error for another name lists those that this comparison has.

        Returns:
            The drawing, with its `svg` as text.

        Raises:
            ValueError: The report has no such plot.
        """
        return draw_plot(self.assessment, name)

    def examples(self, *, candidate: str | None = None, baseline: str | None = None) -> pd.DataFrame:
        """Return the examples that the report shows: of each change at most 25, the largest differences first.

        `mlbaseline examples` has all of them.

        Args:
            candidate: Only of contrasts of this rung.
            baseline: Only of contrasts over this rung.

        Returns:
            One row for each example of a contrast: what changed, the input, the right answer, both answers and scores.
        """
        import pandas as pd

        report = self.assessment.examples
        pairs = [
            pair
            for pair in (report.pairs if report is not None else ())
            if candidate in (None, pair.candidate) and baseline in (None, pair.baseline)
        ]
        return pd.DataFrame([row for pair in pairs for row in _example_rows(pair)], columns=list(_EXAMPLE_COLUMNS))

    def _repr_html_(self) -> str:
        """Show the verdict, the registered contrasts and their plot in a notebook."""
        return render_fragment(self.assessment)


def _example_rows(pair: ExamplePair) -> Iterator[tuple[object, ...]]:
    for example in pair.examples:
        yield (
            pair.candidate,
            pair.baseline,
            str(example.change),
            example.difference,
            example.example_id,
            example.input,
            example.target,
            example.candidate.prediction,
            example.baseline.prediction,
            example.candidate.score,
            example.baseline.score,
        )
