"""How many examples would decide an open question, and what a design can detect at all."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mlbaseline.judge.contrasts.inference import paired_scores
from mlbaseline.judge.contrasts.matrix import sign_of, signed_margin
from mlbaseline.judge.contrasts.pair import pair_of
from mlbaseline.judge.ladder import Ladder
from mlbaseline.records import Comparison
from mlbaseline.stats import SampleSizeExtension, estimate_components, sample_size, sample_size_extension


@dataclass(frozen=True)
class MoreExamples:
    """How many more examples of the test would decide an open contrast.

    Attributes:
        n_more: Further examples of the whole test, were the observed difference the true one.
        fewest: The same at the end of the difference's 50 % interval that is farther from the margin.
        most: At the nearer end; None where no number decides it there, or the end lies beyond the margin.
        passes: Whether it would be decided as passed; None where that is not known.
    """

    n_more: int
    fewest: int | None = None
    most: int | None = None
    passes: bool | None = None

    def __str__(self) -> str:
        """In words."""
        many = "any number" if self.most is None else f"{self.most:,}"
        likely = "" if self.fewest is None else f" (likely {self.fewest:,} to {many})"
        how = "" if self.passes is None else ", as passed" if self.passes else ", as failed"
        return f"about {self.n_more:,} more test examples{likely} would settle it{how}"


def more_examples_to_decide(ladder: Ladder, row: Comparison, *, family: int) -> MoreExamples | None:
    """Say how many more examples would decide an open row; None where examples alone would not."""
    extension = examples_to_decide(ladder, row, family=family)
    if extension.n_more is None:
        return None
    n_test = len(ladder.tables(row.candidate, row.estimand)[0].frame)
    fewest, most = (None if n is None else max(n - n_test, 0) for n in extension.likely_range)
    above = extension.above
    passes = None if above is None else above == (sign_of(row.metric) > 0)
    return MoreExamples(extension.n_more, fewest, most, passes)


def examples_to_decide(ladder: Ladder, row: Comparison, *, family: int) -> SampleSizeExtension:
    """Compute how many more examples of the whole test would decide a row, were its observed difference the true one.

    Args:
        ladder: The rungs that were compared.
        row: The row; on a slice, the test grows by more than the slice does.
        family: Number of rows that are corrected together; each is planned at level 1 − α/m.

    Returns:
        The number of examples of the test, or why none would do.
    """
    level = 1.0 - (1.0 - row.level) / family
    pair = pair_of(ladder, row, row.estimand)
    margin = signed_margin(row)
    scores = paired_scores(pair)
    if scores is None or scores.weights is not None:
        extension = _extension_from_error(row, margin)
    else:
        extension = sample_size_extension(
            scores.candidate, scores.baseline, clusters=scores.clusters, margin=margin, level=level
        )
    return _of_whole_test(extension, len(pair.candidate[0].frame), row.n)


def _extension_from_error(row: Comparison, margin: float) -> SampleSizeExtension:
    """Plan for a corpus metric or a weighted mean, whose standard error shrinks with the root of n."""
    distance = abs(row.delta - margin)
    if distance == 0:
        reason = "the observed difference lies on the margin: more examples would not help"
        return SampleSizeExtension(None, None, None, reason)
    total = math.ceil(row.n * (row.mde / distance) ** 2)
    more = max(total - row.n, 0)
    reason = f"{more} more examples, {total} in all, at a power of 80%"
    return SampleSizeExtension(total, more, None, reason, row.delta > margin)


def _of_whole_test(extension: SampleSizeExtension, n_test: int, n_slice: int) -> SampleSizeExtension:
    """Convert to examples of the whole test, of which a slice keeps its share."""
    if extension.n is None or n_slice == n_test:
        return extension

    def scaled(n: int | None) -> int | None:
        return None if n is None else math.ceil(n * n_test / n_slice)

    total = math.ceil(extension.n * n_test / n_slice)
    more = max(total - n_test, 0)
    reason = f"{more} more examples of the test, {total} in all, of which the slice has its share: {extension.reason}"
    farther, nearer = extension.likely_range
    return replace(extension, n=total, n_more=more, reason=reason, likely_range=(scaled(farther), scaled(nearer)))


def examples_for(ladder: Ladder, row: Comparison, delta: float) -> int | None:
    """Count the examples that show a true improvement of `delta`; None where seeds vary too much for any number.

    Raises ValueError for a delta that lies on the margin.
    """
    scores = paired_scores(pair_of(ladder, row, row.estimand))
    if scores is None or scores.weights is not None:
        distance = abs(delta - (row.margin or 0.0))
        return math.ceil(row.n * (row.mde / distance) ** 2)
    return sample_size(
        delta * sign_of(row.metric),
        estimate_components(scores.candidate, scores.baseline, clusters=scores.clusters),
        margin=signed_margin(row),
        seeds_candidate=len(scores.candidate),
        seeds_baseline=len(scores.baseline),
        level=row.level,
    )
