"""How often the whole verdict would be which, were the test drawn again, or larger: `mlbaseline power --simulate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbaseline import store
from mlbaseline.errors import DataError
from mlbaseline.judge.contrasts.comparison import compare_deciding
from mlbaseline.judge.contrasts.matrix import sign_of
from mlbaseline.judge.ladder import Ladder
from mlbaseline.judge.resampling import SimulatedTests, SimulatedVerdict, TrueDifference, simulate
from mlbaseline.judge.simulation import resampling_rng
from mlbaseline.progress import progress_bar
from mlbaseline.records import Comparison, Decision, Outcome, Role
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.comparisons.derivation import Derivation

FACTORS = (1.0, 2.0, 4.0)
_NAMED = 3


@dataclass(frozen=True)
class SimulationOptions:
    """What is simulated.

    Attributes:
        n: Simulated tests of each size.
        factors: Sizes, as multiples of the present test.
        seed: Of the draws.
    """

    n: int = 200
    factors: tuple[float, ...] = FACTORS
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n < 20 or not self.factors or not all(0.0 < factor <= 100.0 for factor in self.factors):
            shown = ", ".join(f"{factor:g}" for factor in self.factors)
            raise DataError(
                f"--simulate: expected at least 20 tests, of sizes above 0 and up to 100 times the present one; got "
                f"{self.n} of {shown or 'no size'}"
            )


def simulate_power(
    suite: str | Path,
    *,
    candidate: str | None = None,
    baseline: str | None = None,
    delta: float | None = None,
    options: SimulationOptions | None = None,
    tracking_uri: str | None = None,
) -> CommandResult:
    """Say how often the verdict would be promote, hold or inconclusive, with as many examples and with more.

    Rows of the completed runs are drawn anew and judged by the functions that `compare` uses.

    Args:
        suite: Path of a suite file, or the name of a packaged suite.
        candidate: Whose difference is stated.
        baseline: Over which baseline; by default the one over which the candidate's lead beyond its margin is smallest.
        delta: The true improvement by the contrast's metric; by default the observed one.
        options: How many tests, of which sizes.
        tracking_uri: MLflow's tracking server.

    Returns:
        The document has `truth` and `simulated`, one entry for each size.

    Raises:
        DataError: There is no such primary contrast, or rows of these runs cannot show the stated difference.
        IncomparableError: Two runs may not be compared.
    """
    chosen = options or SimulationOptions()
    loaded = open_suite(suite)
    derivation = Derivation(loaded, store.connect(tracking_uri, loaded.name))
    ladder = derivation.ladder()
    truth = _truth(ladder, candidate, baseline, delta)
    tests, n_test = SimulatedTests(ladder, truth), len(next(iter(ladder.rungs.values()))[0].table.frame)
    judge = derivation.judge(ladder)
    with progress_bar(chosen.n * len(chosen.factors), "test", "simulating verdicts") as bar:
        found = list(
            simulate(
                tests,
                judge,
                chosen.factors,
                n_test=n_test,
                n_simulations=chosen.n,
                seed=chosen.seed,
                advance=bar.update,
            )
        )
    document = {
        "truth": {
            "candidate": truth.candidate,
            "baseline": truth.baseline,
            "metric": truth.metric,
            "improvement": tests.improvement,
            "stated": delta is not None,
        },
        "simulations": chosen.n,
        "seed": chosen.seed,
        "simulated": [_entry(one) for one in found],
    }
    return CommandResult(document, lambda *_: _text(truth, tests.improvement, found, chosen.n))


def _truth(ladder: Ladder, candidate: str | None, baseline: str | None, delta: float | None) -> TrueDifference:
    rows = [
        row
        for row in compare_deciding(ladder, resampling_rng())
        if row.role is Role.PRIMARY and candidate in (None, row.candidate) and baseline in (None, row.baseline)
    ]
    if not rows:
        wanted = f"{candidate or 'any candidate'} over {baseline or 'any baseline'}"
        raise DataError(f"{ladder.suite.name}: no primary contrast of {wanted}")

    def lead(row: Comparison) -> float:
        return row.delta * sign_of(row.metric) - (row.margin or 0.0)

    hardest = min(rows, key=lead)
    return TrueDifference(hardest.candidate, hardest.baseline, hardest.metric, delta)


def _entry(one: SimulatedVerdict) -> dict[str, Any]:
    return {
        "n": one.n,
        **{
            decision.value: {"share": found.value, "low": found.low, "high": found.high}
            for decision, found in one.decisions.items()
        },
        "asked": {name: {outcome.value: share for outcome, share in of.items()} for name, of in one.asked.items()},
    }


def _text(truth: TrueDifference, improvement: float, found: Sequence[SimulatedVerdict], n_simulations: int) -> str:
    said = "as observed" if truth.improvement is None else "as stated"
    lines = [
        f"{truth.candidate} over {truth.baseline}: {truth.metric} better by {improvement:+.4f} ({said}).",
        f"Of {n_simulations:,} simulated tests of each size the verdict would be, with 95 % Monte Carlo intervals:",
        "",
        f"{'n':>9} {'promote':>22} {'hold':>22} {'inconclusive':>22}",
    ]
    for one in found:
        cells = (one.decisions[d] for d in (Decision.PROMOTE, Decision.HOLD, Decision.INCONCLUSIVE))
        shown = (f"{cell.value:.2f} [{cell.low:.2f}, {cell.high:.2f}]" for cell in cells)
        lines.append(f"{one.n:>9,} " + " ".join(f"{text:>22}" for text in shown))
    for one in (found[0], found[-1]) if len(found) > 1 else found:
        if blocking := _blocking(one):
            lines += ["", f"At n = {one.n:,}, what most often does not pass: {blocking}."]
    return "\n".join(lines)


def _blocking(one: SimulatedVerdict) -> str:
    """Name what was asked that failed or stayed open most often."""
    failed, still_open = Outcome.FAIL, Outcome.INCONCLUSIVE
    shares = {name: (of.get(failed, 0.0), of.get(still_open, 0.0)) for name, of in one.asked.items()}
    worst = sorted((name for name, share in shares.items() if sum(share) > 0.0), key=lambda name: -sum(shares[name]))
    return "; ".join(f"{n} (fails {shares[n][0]:.0%}, open {shares[n][1]:.0%})" for n in worst[:_NAMED])
