"""Is the verdict right? python -m tests.judge.calibration_verdict [SUITES]

Suites are simulated whole, with a known truth: a champion in use, a candidate with three seeds, per-example answers on
one test split, and rules that ask for superiority overall and for non-inferiority on every topic. Each is judged by
`judge.assessment.assess`, as any comparison is. The quick form runs in the tests, on suites of its own.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from mlbaseline.judge.assessment import assess
from mlbaseline.judge.ladder import build_ladder
from mlbaseline.metrics import add_scores
from mlbaseline.records import Example, Registered, Registration, TaskData, Verdict
from mlbaseline.results import CompletedEvaluation
from mlbaseline.stats import VarianceComponents, minimum_detectable_effect
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite
from tests.support.judged import LABELS, table

TOPICS = ("airline", "cars", "football")
SLICE_MARGIN = 0.10
CHAMPION = 0.65
OWN = 0.4
"""Share of an answer's variance that is the model's own and not the example's difficulty."""
HELD_OUT = 1_000_000
"""Seeds from here on are those of the table; none of them was looked at while anything was tuned."""
SUITE = f"""
name: simulated
task:
  kind: choice
  data: {{source: data.csv}}
  columns: {{text: text, target: label}}
  prompt: "{{text}}"
  choices: ["no", "yes"]
  split: {{test: 300}}
  slices: {{topic: {{column: text}}}}
metrics: [accuracy]
seeds: [0, 1, 2]
baselines:
  floor: {{kind: trivial, strategy: majority}}
  champion: {{kind: production, recorded: {{path: champion.csv}}}}
  base: {{kind: pretrained, model: {{source: m}}}}
  lora: {{kind: peft, method: lora, base: base, learning_rate: 1.0e-3}}
matrix:
  correction: CORRECTION
  primary: [{{candidate: lora, over: [floor, champion]}}]
  guardrails: [{{candidate: lora, over: [champion], slices: [topic], margin: -{SLICE_MARGIN}}}]
gates: {{min_seeds: 3, max_error_rate: 0.01, min_examples: 100, confirmatory: true, audit: [MLB202, MLB403]}}
"""


@dataclass(frozen=True)
class Truth:
    """What is true of every simulated suite of a row. gains: candidate minus champion by topic, in accuracy."""

    name: str
    gains: tuple[float, float, float]
    n: int = 300
    correction: str = "holm"


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
    return parse_suite(SUITE.replace("CORRECTION", truth.correction))


def judge_one(truth: Truth, suite: Suite, seed: int) -> Verdict:
    rng = np.random.default_rng(seed)
    topics = rng.integers(len(TOPICS), size=truth.n)
    targets = rng.choice(LABELS, size=truth.n)
    examples = tuple(
        Example(f"e{i:05}", {"text": ""}, str(target), LABELS, slices={"topic": TOPICS[topic]})
        for i, (target, topic) in enumerate(zip(targets, topics, strict=True))
    )
    data = TaskData("test", examples, LABELS, "d" * 64)
    difficulty = rng.normal(size=truth.n)
    gains = np.array(truth.gains)[topics]

    def rung(
        name: str, kind: str, rates: np.ndarray, seeds: Sequence[int | None] = (None,)
    ) -> list[CompletedEvaluation]:
        made = []
        for one in seeds:
            latent = np.sqrt(1 - OWN) * difficulty + np.sqrt(OWN) * rng.normal(size=truth.n)
            answers = table(data, latent < stats.norm.ppf(rates), baseline=name, seed=one)
            dev = {"dev/accuracy": float(rng.normal(rates.mean(), 0.02))}
            scored = add_scores(replace(answers, kind=kind), LABELS, ("accuracy",))
            made.append(CompletedEvaluation(f"run-{name}-{one}", scored, dev))
        return made

    equal = np.full(truth.n, CHAMPION)
    ladder = build_ladder(
        suite,
        [
            *rung("floor", "trivial", equal - 0.15),
            *rung("champion", "production", equal),
            *rung("base", "pretrained", equal - 0.1),
            *rung("lora", "peft", equal + gains, (0, 1, 2)),
        ],
    )
    registration = Registration(Registered.BEFORE, "r0", 1_700_000_000_000, suite.matrix_digest, 1)
    return assess(ladder, registration, {}, {}).verdict


def decisions(truth: Truth, n_suites: int, first_seed: int) -> Counter[str]:
    suite = suite_of(truth)
    return Counter(judge_one(truth, suite, first_seed + i).decision for i in range(n_suites))


def truths(n: int = 300) -> tuple[Truth, ...]:
    """Better by twice what can be detected; equal; better on average, and on one topic worse than its margin."""
    gain = 2 * detectable(n)
    harm = -(SLICE_MARGIN + 0.02)
    return (
        Truth("better by twice the MDE", (gain,) * 3, n),
        Truth("equal to the champion", (0.0,) * 3, n),
        Truth("better on average, worse than the margin on one slice", (harm, gain, gain), n),
    )


ASKED = ("at least 0.80", "at most 0.05", "at most 0.05")
DECISIONS = ("promote", "hold", "inconclusive")
COLUMNS = ("suites", "n", "correction", "the candidate is", "MDE", "gains by slice", *DECISIONS, "asked of promote")


def main(n_suites: int = 200) -> int:
    print("# Calibration of the verdict\n")
    print("Written by `make calibrate` (`python -m tests.judge.calibration_verdict`); not edited by hand.\n")
    print(
        "Simulated suites, on seeds that nothing was tuned on: one candidate with three seeds, "
        f"superiority in accuracy over a floor and the champion, non-inferiority at −{SLICE_MARGIN:.2f} overall and on "
        "each of three slices, every suite judged by the real judge. MDE: the smallest gain over the champion that n "
        "examples find with 80 % power.\n"
    )
    print(f"| {' | '.join(COLUMNS)} |\n| ---: | ---: | --- | --- | ---: | --- | ---: | ---: | ---: | --- |")
    for n, correction in ((300, "holm"), (1_000, "romano_wolf")):
        for position, (truth, asked) in enumerate(zip(truths(n), ASKED, strict=True)):
            found = decisions(replace(truth, correction=correction), n_suites, HELD_OUT + 10_000 * position + 100 * n)
            gains = ", ".join(f"{gain:+.3f}" for gain in truth.gains)
            shares = (f"{found[decision] / n_suites:.3f}" for decision in DECISIONS)
            cells = (str(n_suites), str(n), correction, truth.name, f"{detectable(n):.3f}", gains, *shares, asked)
            print(f"| {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
