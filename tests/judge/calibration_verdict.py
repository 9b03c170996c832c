"""Is the verdict right? python -m tests.judge.calibration_verdict [SUITES]

Suites are simulated whole, with a known truth: a champion in use, candidates, per-example answers on one test split,
and rules that ask for superiority overall and for non-inferiority on every topic. Each is judged by
`judge.simulation.deciding_verdict`, which is the deciding part of `judge.assessment.assess` (a test compares the two).
The quick form runs in the tests, on suites of its own.
"""

from __future__ import annotations

import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
from scipy import stats

from mlbaseline.judge.ladder import Ladder, build_ladder
from mlbaseline.judge.simulation import deciding_verdict
from mlbaseline.metrics import add_scores
from mlbaseline.records import Example, Registered, Registration, TaskData, Verdict
from mlbaseline.results import CompletedEvaluation
from mlbaseline.stats import VarianceComponents, minimum_detectable_effect
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite
from tests.support.calibration_rows import Rows, table_line
from tests.support.comparisons.judged import LABELS, table
from tests.support.ladders.suites import fill, yes_no_suite

TOPICS = ("airline", "cars", "football")
SLICE_MARGIN = 0.10
CHAMPION = 0.65
OWN = 0.4
"""Share of an answer's variance that is the model's own and not the example's difficulty."""
HELD_OUT = 1_000_000
"""Seeds from here on are those of the table; none of them was looked at while anything was tuned."""
SUITE = yes_no_suite(
    """
metrics: [accuracy]
seeds: [SEEDS]
baselines:
  floor: {kind: trivial, strategy: majority}
  champion: {kind: production, recorded: {path: champion.csv}}
  base: {kind: pretrained, model: {source: m}}
CANDIDATES
matrix:
  correction: CORRECTION
  primary: [PRIMARY]
  guardrails: [GUARDRAILS]
gates: {min_seeds: 1, max_error_rate: 0.01, min_examples: 100, confirmatory: true, audit: [MLB202, MLB403]}
""",
    n=300,
    slices="{topic: {column: text}}",
)


@dataclass(frozen=True)
class Truth:
    """What is true of every simulated suite of a row.

    Attributes:
        name: What the candidate is.
        gains: Candidate minus champion by topic, in accuracy.
        n: Examples of the test.
        correction: Of the primary family.
        candidates: How many there are.
        others: What the other candidates are: ``same`` as the first, or ``equal`` to the champion.
    """

    name: str
    gains: tuple[float, float, float]
    n: int = 300
    correction: str = "holm"
    candidates: int = 1
    others: str = "same"

    @property
    def seeds(self) -> tuple[int, ...]:
        """A candidate alone has three seeds; of several each has one, which is all that a checkpoint needs."""
        return (0, 1, 2) if self.candidates == 1 else (0,)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"lora{i}" for i in range(self.candidates))


def detectable(n: int) -> float:
    """The smallest true gain in accuracy that n examples detect with 80 % power, champion and candidate as here."""
    gain = 0.0
    for _ in range(20):  # how often the two disagree depends on the gain itself
        quantiles = stats.norm.ppf([CHAMPION, CHAMPION + gain])
        both = stats.multivariate_normal.cdf(quantiles, cov=[[1.0, 1.0 - OWN], [1.0 - OWN, 1.0]])
        disagree = 2 * CHAMPION + gain - 2 * float(both)
        gain = minimum_detectable_effect(VarianceComponents(disagree - gain**2), n)
    return gain


def suite_of(truth: Truth) -> Suite:
    """The suite's text with the candidates of a row."""
    peft = "{kind: peft, method: lora, base: base, learning_rate: 1.0e-3}"
    guard = f"over: [champion], slices: [topic], margin: -{SLICE_MARGIN}"
    text = fill(
        SUITE,
        seeds=", ".join(map(str, truth.seeds)),
        candidates="\n".join(f"  {name}: {peft}" for name in truth.names),
        correction=truth.correction,
        primary=", ".join(f"{{candidate: {name}, over: [floor, champion]}}" for name in truth.names),
        guardrails=", ".join(f"{{candidate: {name}, {guard}}}" for name in truth.names),
    )
    return parse_suite(text)


def simulated_ladder(truth: Truth, suite: Suite, seed: int) -> Ladder:
    """One simulated suite with its evaluations."""
    rng = np.random.default_rng(seed)
    topics = rng.integers(len(TOPICS), size=truth.n)
    targets = rng.choice(LABELS, size=truth.n)
    examples = tuple(
        Example(f"e{i:05}", {"text": ""}, str(target), LABELS, slices={"topic": TOPICS[topic]})
        for i, (target, topic) in enumerate(zip(targets, topics, strict=True))
    )
    data = TaskData("test", examples, LABELS, "d" * 64)
    difficulty = rng.normal(size=truth.n)
    wrong = np.where(targets == LABELS[0], LABELS[1], LABELS[0])
    # One table with all columns, whose answers are then replaced: building one takes longer than judging it.
    answered = add_scores(table(data, np.ones(truth.n, dtype=bool)), LABELS, ("accuracy",))

    def rung(
        name: str, kind: str, rates: np.ndarray, seeds: Sequence[int | None] = (None,)
    ) -> list[CompletedEvaluation]:
        made = []
        for one in seeds:
            latent = np.sqrt(1 - OWN) * difficulty + np.sqrt(OWN) * rng.normal(size=truth.n)
            right = latent < stats.norm.ppf(rates)
            dev = {"dev/accuracy": float(rng.normal(rates.mean(), 0.02))}
            frame = answered.frame.assign(prediction=np.where(right, targets, wrong), **{"score.accuracy": right * 1.0})
            scored = replace(answered, kind=kind, baseline=name, seed=one, frame=frame)
            made.append(CompletedEvaluation(f"run-{name}-{one}", scored, dev))
        return made

    equal, gains = np.full(truth.n, CHAMPION), np.array(truth.gains)[topics]
    evaluations = [
        *rung("floor", "trivial", equal - 0.15),
        *rung("champion", "production", equal),
        *rung("base", "pretrained", equal - 0.1),
    ]
    for position, name in enumerate(truth.names):
        rates = equal + gains if position == 0 or truth.others == "same" else equal
        evaluations += rung(name, "peft", rates, truth.seeds)
    return build_ladder(suite, evaluations)


def registered(suite: Suite) -> Registration:
    return Registration(Registered.BEFORE, "r0", 1_700_000_000_000, suite.matrix_digest, 1)


def judge_one(truth: Truth, suite: Suite, seed: int) -> Verdict:
    return deciding_verdict(simulated_ladder(truth, suite, seed), registered(suite), {})


def decisions(truth: Truth, n_suites: int, first_seed: int) -> Counter[str]:
    suite = suite_of(truth)
    return Counter(judge_one(truth, suite, first_seed + i).decision for i in range(n_suites))


def truths(n: int = 300) -> tuple[Truth, ...]:
    """Better by twice what can be detected; equal; better on average, and on one topic at its margin, or worse."""
    gain = round(2 * detectable(n), 3)  # a numerical integral: its last digits are not the same at every call
    return (
        Truth("better by twice the MDE", (gain,) * 3, n, others="equal"),
        Truth("equal to the champion", (0.0,) * 3, n),
        Truth("better on average, at the margin on one slice", (-SLICE_MARGIN, gain, gain), n),
        Truth("better on average, worse than the margin on one slice", (-(SLICE_MARGIN + 0.02), gain, gain), n),
    )


ASKED = ("at least 0.80", "at most 0.05", "at most 0.05", "at most 0.05")
DECISIONS = ("promote", "hold", "inconclusive")
COLUMNS = (
    *("suites", "n", "correction", "candidates", "the candidate is", "MDE", "gains by slice"),
    *(*DECISIONS, "asked of promote"),
)
HEADER = f"""# Calibration of the verdict

Written by `make calibrate` (`python -m tests.judge.calibration_verdict`); not edited by hand.

Simulated suites, on seeds that nothing was tuned on: superiority in accuracy over a floor and the champion,
non-inferiority at −{SLICE_MARGIN:.2f} overall and on each of three slices, every suite judged by the real judge. MDE:
the smallest gain over the champion that n examples find with 80 % power. A single candidate has three seeds. Of
several, all are what the row says, save in the first row, where one is better and the others equal the champion. The
standard error of a share of 0.05 is 0.007 over 1,000 suites.
"""
_PART = 50
"""Suites between two lines of the file of rows."""


def grid() -> Iterator[tuple[Truth, str]]:
    """Every row with what is asked of it."""
    for n, correction, candidates in ((300, "holm", 1), (1_000, "romano_wolf", 1), (300, "holm", 10), (300, "holm", 4)):
        for truth, asked in zip(truths(n), ASKED, strict=True):
            if candidates == 1 or "worse" not in truth.name:
                yield replace(truth, correction=correction, candidates=candidates), asked


def shares(rows: Rows, truth: Truth, n_suites: int) -> dict[str, float]:
    """How often each decision was taken, computed in parts."""
    counts: Counter[str] = Counter()
    for start in range(0, n_suites, _PART):
        n = min(_PART, n_suites - start)
        # Each row has suites of its own.
        seed = HELD_OUT + start + 10_000 * (zlib.crc32(repr(truth).encode()) % 100_000)
        setting = {"truth": asdict(truth), "suites": n, "first": start}
        counts.update(rows.get(setting, partial(_counts, truth, n, seed)))
    return {name: counts[name] / n_suites for name in DECISIONS}


def _counts(truth: Truth, n_suites: int, first_seed: int) -> dict[str, float]:
    return {str(decision): count for decision, count in decisions(truth, n_suites, first_seed).items()}


def main(n_suites: int = 1_000) -> int:
    rows, lines = Rows("verdict"), [HEADER, table_line(COLUMNS)]
    lines.append(table_line(["---:", "---:", "---", "---:", "---", "---:", "---", "---:", "---:", "---:", "---"]))
    for truth, asked in grid():
        found = shares(rows, truth, n_suites)
        gains = ", ".join(f"{gain:+.3f}" for gain in truth.gains)
        about = (f"{n_suites:,}", truth.n, truth.correction, truth.candidates, truth.name, f"{detectable(truth.n):.3f}")
        lines.append(table_line([*about, gains, *(f"{found[name]:.3f}" for name in DECISIONS), asked]))
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
