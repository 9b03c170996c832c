"""Plan a suite before any run, from an assumed disagreement: `mlbaseline power --discordance`."""

from __future__ import annotations

from functools import partial

from mlbaseline.assets import fetch
from mlbaseline.errors import DataError
from mlbaseline.metrics import metric_of
from mlbaseline.records import Estimand
from mlbaseline.stats import VarianceComponents, minimum_detectable_effect, sample_size
from mlbaseline.suite.reading import SuiteReference
from mlbaseline.tasks import load_task, open_suite
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.power import ContrastPower, power_result


def assume_power(
    suite: SuiteReference,
    *,
    discordance: float,
    candidate: str | None = None,
    baseline: str | None = None,
    delta: float | None = None,
) -> CommandResult:
    """Say which differences the test can show, and how many examples one needs, if two rungs disagree so often.

    The difference of two scores in [0, 1] has at most the share of examples with different scores as its variance (for
    0/1 scores, McNemar 1947, this share less the squared difference). Each contrast is planned for one run a side, at
    level 1 − α/m with m primary contrasts, which is the first step of Holm's correction.

    Args:
        suite: Path of a suite file, the name of a packaged suite, or a mapping. No run and no server is needed.
        discordance: Assumed share of examples on which the two scores differ, in (0, 1].
        candidate: Plan only contrasts of this candidate.
        baseline: Plan only contrasts over this baseline.
        delta: True difference to plan for, beyond the margin and at most `discordance`.

    Returns:
        The document has `power`, `level`, `discordance` and `plans`, one for each primary contrast.

    Raises:
        DataError: No primary contrast has a metric with scores in [0, 1], or a number is out of range.

    Example:
        >>> from mlbaseline.workflows import assume_power
        >>> round(assume_power("tweets", discordance=0.3).document["plans"][0]["mde"], 2)
        0.11
    """
    loaded = open_suite(suite)
    contrasts = [
        (contrast, over)
        for contrast in loaded.matrix.primary
        for over in contrast.over
        if candidate in (None, contrast.candidate) and baseline in (None, over)
    ]
    bounded = [(contrast, over) for contrast, over in contrasts if metric_of(contrast.metric).is_mean_within_0_1]
    if not bounded:
        raise DataError(
            f"{loaded.name}: no primary contrast of {candidate or 'any candidate'} over {baseline or 'any'} has a "
            "metric with scores from 0 to 1; plan the others without --discordance, after a first run"
        )
    if delta is not None and abs(delta) > discordance:
        raise DataError(
            f"--delta {delta:g}: rungs that disagree on {discordance:.0%} of the examples cannot differ by more than "
            "that; raise --discordance"
        )
    n = len(load_task(loaded, partial(fetch, root=loaded.root)).splits["test"].examples)
    family = sum(len(contrast.over) for contrast in loaded.matrix.primary)
    level = 1.0 - (1.0 - loaded.matrix.level) / (1 if loaded.matrix.correction == "none" else family)
    components = VarianceComponents(discordance)
    plans = []
    for contrast, over in bounded:
        mde = minimum_detectable_effect(components, n, level=level)
        wanted = contrast.margin + mde if delta is None else delta
        needed = None
        if wanted != contrast.margin:
            needed = sample_size(wanted, components, margin=contrast.margin, level=level)
        plan = ContrastPower(contrast.candidate, over, contrast.metric, Estimand.CHECKPOINT, n, mde, wanted, needed)
        plans.append(plan)
    note = (
        f"Assumed: two rungs score differently on {discordance:.0%} of the examples, one run a side.\n"
        "After a first run, `mlbaseline power` without --discordance plans from what the rows show, seeds included."
    )
    return power_result(loaded, plans, note=note, discordance=discordance)
