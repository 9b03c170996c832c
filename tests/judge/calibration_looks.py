"""Do registered looks keep their error rate, and what do they save? python -m tests.judge.calibration_looks [SUITES]

Suites are simulated with a known truth and looked at by the real judge (`judge.looks`), each on answers of its own to
one test of 1,000 examples. The quick form runs in the tests, on suites of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from scipy import stats

from mlbaseline.judge.contrasts.comparison import compare_deciding
from mlbaseline.judge.ladder import Ladder, build_ladder
from mlbaseline.judge.looks import is_settled, look_at
from mlbaseline.metrics import add_scores
from mlbaseline.records import Comparison, LookOutcome, LookSchedule, Outcome, TaskData
from mlbaseline.results import CompletedEvaluation, ResultTable
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite
from tests.support.calibration_rows import Rows, table_line
from tests.support.comparisons.judged import LABELS, table, task_data
from tests.support.ladders.suites import yes_no_suite

N = 1_000
CHAMPION = 0.65
OWN = 0.4
"""Share of an answer's variance that is the model's own and not the example's difficulty."""
LOOKS = (0.2, 0.4, 0.6, 0.8, 1.0)
HELD_OUT = 2_000_000
"""Seeds from here on are those of the page; none of them was looked at while anything was tuned."""
SUITE = yes_no_suite(
    """
metrics: [accuracy]
baselines:
  champion: {kind: production, recorded: {path: champion.csv}}
  second: {kind: production, recorded: {path: second.csv}}
  one: {kind: production, recorded: {path: one.csv}}
  two: {kind: production, recorded: {path: two.csv}}
matrix: MATRIX
""",
    n=N,
)
ONE = "primary: [{candidate: one, over: [champion]}]"
FOUR = "primary: [{candidate: one, over: [champion, second]}, {candidate: two, over: [champion, second]}]"
GUARDED = f"stop: all, {ONE}, guardrails: [{{candidate: one, over: [second], margin: -0.05}}]"


@dataclass(frozen=True)
class Truth:
    """What is true of every simulated suite of a row: how much more accurate than the champion each rung is."""

    name: str
    matrix: str
    gains: Mapping[str, float]

    @property
    def suite(self) -> Suite:
        return _suite(f"{{looks: {list(LOOKS)}, {self.matrix}}}")


@dataclass(frozen=True)
class Stopped:
    """How a simulated suite ended. fixed: by one look at the whole test. peeked: by a test of its own at every look."""

    n: int
    rows: tuple[Comparison, ...]
    shown: bool
    fixed: bool
    peeked: bool


@cache
def _suite(matrix: str) -> Suite:
    return parse_suite(SUITE.replace("MATRIX", matrix))


@cache
def _test(n: int) -> tuple[TaskData, ResultTable]:
    """A test, and a table of right answers to it."""
    data = task_data(n)
    return data, add_scores(table(data, np.ones(n, dtype=bool)), LABELS, ("accuracy",))


@cache
def _schedule() -> LookSchedule:
    return LookSchedule.of(_test(N)[0], LOOKS)


def answers(name: str, right: np.ndarray) -> CompletedEvaluation:
    """Answers that are right where `right` (n,) says so, in the order of the table."""
    _, template = _test(len(right))
    frame = template.frame.assign(**{"score.accuracy": right.astype(float)})
    return CompletedEvaluation(name, replace(template, baseline=name, frame=frame), {})


def draw(truth: Truth, seed: int, *, n: int = N) -> list[CompletedEvaluation]:
    """The answers of every rung of a suite."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(size=n)
    return [
        answers(
            name,
            np.sqrt(1 - OWN) * difficulty + np.sqrt(OWN) * rng.normal(size=n)
            < stats.norm.ppf(CHAMPION + truth.gains.get(name, 0.0)),
        )
        for name in truth.suite.matrix.registered_rungs
    ]


def evaluate_until_settled(truth: Truth, seed: int) -> Stopped:
    """Simulate a suite, look at it as registered, and stop where it is settled."""
    suite, schedule = truth.suite, _schedule()
    ladder = build_ladder(suite, draw(truth, seed), schedule=schedule)
    for n in schedule.sizes:
        look = look_at(ladder, n)
        if is_settled(ladder, look):
            break
    rows = _deciding(ladder.at(n))
    passes = [_any_passes(_deciding(replace(ladder.at(size), schedule=None))) for size in schedule.sizes]
    shown = LookOutcome.EFFICACY in look.settled.values()
    return Stopped(n, rows, shown, passes[-1], any(passes))


def _deciding(ladder: Ladder) -> tuple[Comparison, ...]:
    return compare_deciding(ladder, np.random.default_rng(0))


def _any_passes(rows: tuple[Comparison, ...]) -> bool:
    """Whether every contrast of some candidate passes."""
    names = {row.candidate for row in rows}
    return any(all(row.outcome is Outcome.PASS for row in rows if row.candidate == name) for name in names)


def any_false_pass(stopped: Stopped, truth: Truth) -> bool:
    """Whether a contrast passes although the truth is not beyond its margin."""
    return any(
        row.outcome is Outcome.PASS and difference(row, truth) <= (row.margin or 0.0) + 1e-12 for row in stopped.rows
    )


def difference(row: Comparison, truth: Truth) -> float:
    return truth.gains.get(row.candidate, 0.0) - truth.gains.get(row.baseline, 0.0)


def covers(stopped: Stopped, truth: Truth) -> bool:
    """Whether the intervals of all contrasts, which hold at all looks together, cover the truth."""
    return all(row.simultaneous_low <= difference(row, truth) <= row.simultaneous_high for row in stopped.rows)


GROWING = (300, 600, 900)
"""Sizes of a test that is extended as long as nothing is decided."""


def pass_of_a_growing_test(seed: int, *, may_grow: bool, counted: bool) -> bool:
    """Whether an equal candidate ever passes, on a test that grows. counted: whether earlier looks matter."""
    suite = _suite(f"{{may_grow: {str(may_grow).lower()}, {ONE}}}")
    truth = Truth("equal", ONE, {})
    everything = draw(truth, seed, n=GROWING[-1])
    for look, n in enumerate(GROWING):
        part = [answers(e.run_id, e.table.frame["score.accuracy"].to_numpy()[:n] == 1.0) for e in everything]
        (row,) = _deciding(build_ladder(suite, part, earlier_looks=look if counted else 0))
        if row.outcome is not Outcome.INCONCLUSIVE:
            return row.outcome is Outcome.PASS
    return False


def truths() -> tuple[Truth, ...]:
    """Differences of one candidate; a family of four equal contrasts; a better candidate at its guardrail's margin."""
    return (
        *(Truth(f"one candidate, {gain:+.2f}", ONE, {"one": gain}) for gain in (0.0, 0.05, 0.10, 0.20)),
        Truth("one candidate, −0.05", ONE, {"one": -0.05}),
        Truth("two candidates over two, all equal", FOUR, {}),
        Truth("two candidates over two, one by +0.10, one equal", FOUR, {"one": 0.10}),
        Truth("at its guardrail's margin, stop: all", GUARDED, {"one": 0.10, "second": 0.15}),
    )


def simulate(truth: Truth, n_suites: int, first_seed: int) -> dict[str, float]:
    """Give the shares of a row, and the mean number of examples."""
    stops = [evaluate_until_settled(truth, first_seed + i) for i in range(n_suites)]
    return {
        "shown": _mean([stop.shown for stop in stops]),
        "one look": _mean([stop.fixed for stop in stops]),
        "peeking": _mean([stop.peeked for stop in stops]),
        "false pass": _mean([any_false_pass(stop, truth) for stop in stops]),
        "cover": _mean([covers(stop, truth) for stop in stops]),
        "examples": float(np.mean([stop.n for stop in stops])),
    }


def simulate_growing(n_suites: int, *, may_grow: bool, counted: bool) -> dict[str, float]:
    """Give the share of suites in which an equal candidate passes."""
    seeds = range(HELD_OUT + 5_000_000, HELD_OUT + 5_000_000 + n_suites)
    return {"passes": _mean([pass_of_a_growing_test(seed, may_grow=may_grow, counted=counted) for seed in seeds])}


def _mean(flags: Sequence[bool]) -> float:
    return float(np.mean(flags))


def main(n_suites: int = 1_000) -> int:
    print("# Calibration of registered looks\n")
    print("Written by `make calibrate` (`python -m tests.judge.calibration_looks`); not edited by hand.\n")
    print(
        f"{n_suites:,} simulated suites a row, on seeds that nothing was tuned on: a test of {N:,} examples, looks at "
        f"{', '.join(f'{share:g}' for share in LOOKS)}, champions that are right on {CHAMPION:.0%}, accuracy at 95 %, "
        "each suite looked at by the real judge. *Shown*: the candidate passes its contrasts where the answers stop. "
        "*One look*: the same test, all answered and compared once. *Peeking*: compared anew at every look, without "
        "boundaries. *False pass*: some contrast passes whose truth is not beyond its margin. *Cover*: the intervals "
        "of all contrasts, at the stop. *Saved*: the share of the answers, and so of the model's seconds, that was not "
        "needed.\n"
    )
    print("| truth | shown | one look | peeking | false pass | cover | mean examples | saved |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    kept = Rows("looks")
    for position, truth in enumerate(truths()):
        first = HELD_OUT + 100_000 * position
        setting = {"truth": truth.name, "gains": dict(truth.gains), "suites": n_suites, "seed": first}
        *found, examples = kept.get(setting, partial(simulate, truth, n_suites, first)).values()
        cells = (truth.name, *(f"{share:.3f}" for share in found), f"{examples:.0f}", f"{1 - examples / N:.0%}")
        print(table_line(cells), flush=True)
    print(
        f"\n## A test that grows\n\nAn equal candidate on a test of {', '.join(map(str, GROWING))} examples, extended "
        "as long as nothing is decided; how often it ever passes, at a nominal 2.5 % on that side.\n"
    )
    print("| rule | passes | bound |\n| --- | ---: | ---: |")
    for name, may_grow, counted, bound in (
        ("every look as if it were the only one", False, False, "none"),
        ("the looks are counted", False, True, "0.034"),
        ("the same, `may_grow: true`", True, True, "0.025"),
    ):
        rule = {"may_grow": may_grow, "counted": counted}
        passes = kept.get({**rule, "suites": n_suites}, partial(simulate_growing, n_suites, **rule))["passes"]
        print(table_line((name, f"{passes:.3f}", bound)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
