"""Where answers may stop, derived from the rows of made-up ladders."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mlbaseline.errors import IncomparableError
from mlbaseline.judge.answered import cut, find_answered
from mlbaseline.judge.contrasts.comparison import compare_deciding
from mlbaseline.judge.ladder import Ladder, build_ladder
from mlbaseline.judge.looks import look_at, report_looks
from mlbaseline.metrics import add_scores
from mlbaseline.records import Example, LookOutcome, LookSchedule, Outcome, StopStatus, TaskData
from mlbaseline.results import CompletedEvaluation
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite
from tests.support.comparisons.judged import LABELS, evaluation, table, task_data
from tests.support.ladders.suites import yes_no_suite

N = 200
SUITE = yes_no_suite(
    """
metrics: [accuracy, macro_f1]
baselines:
  floor: {kind: trivial, strategy: majority}
  lora: {kind: peft, recorded: {path: lora.csv}}
  other: {kind: pretrained, recorded: {path: other.csv}}
matrix: {looks: [0.25, 0.5, 0.75, 1.0], primary: [{candidate: lora, over: [floor]}]}
""",
    n=N,
    slices="{half: {column: text}}",
)


def suite(**matrix: str) -> Suite:
    more = "".join(f"{key}: {value}, " for key, value in matrix.items())
    return parse_suite(SUITE.replace("primary:", f"{more}primary:"))


def rungs(better: float, *, seed: int = 0, data: TaskData | None = None) -> list[CompletedEvaluation]:
    """A floor that is right on half, a candidate that is right on `better` more, and a rung of no contrast."""
    rng, data = np.random.default_rng(seed), data or task_data(N)
    n = len(data.examples)
    right = {"floor": rng.random(n) < 0.5, "lora": rng.random(n) < 0.5 + better, "other": rng.random(n) < 0.5}
    tables = [
        add_scores(table(data, values, baseline=name), LABELS, ("accuracy", "macro_f1"))
        for name, values in right.items()
    ]
    return [evaluation(each) for each in tables]


def schedule(data: TaskData | None = None) -> LookSchedule:
    return LookSchedule.of(data or task_data(N), (0.25, 0.5, 0.75, 1.0))


def ladder(n: int, better: float, **matrix: str) -> Ladder:
    part = [cut(each, schedule().first(n)) for each in rungs(better)]
    return build_ladder(suite(**matrix), part, schedule=schedule())


def test_the_order_follows_from_the_data_and_keeps_clusters_whole() -> None:
    examples = tuple(
        Example(f"e{i:03}", {}, "yes", LABELS, cluster=f"c{i // 7}", slices={"topic": "ab"[i % 2]}) for i in range(100)
    )
    data = TaskData("test", examples, LABELS, "d" * 64)
    found = LookSchedule.of(data, (0.3, 1.0))
    clusters = {example.id: example.cluster for example in examples}
    first = found.first(found.sizes[0])
    assert 30 <= found.sizes[0] < 37
    assert not {clusters[name] for name in first} & {clusters[name] for name in found.ids if name not in first}
    assert found.follows(first)
    assert not found.follows([*list(first)[1:], found.ids[-1]])
    assert found.slice_values == {"topic": ("a", "b")}
    other = LookSchedule.of(replace(data, digest="e" * 64), (0.3, 1.0))
    assert other.ids != found.ids == LookSchedule.of(replace(data, examples=examples[::-1]), (0.3, 1.0)).ids


def test_statuses() -> None:
    settled = report_looks(ladder(100, 0.45))
    assert settled is not None
    assert (settled.status, settled.by) == (StopStatus.SETTLED, {"lora": LookOutcome.EFFICACY})
    assert settled.stopped_early
    assert [look.n for look in settled.looks] == [50, 100]
    open_ = report_looks(ladder(50, 0.15))
    assert open_ is not None and (open_.status, open_.first) == (StopStatus.UNSETTLED, None)
    between = report_looks(ladder(70, 0.45))
    assert between is not None and between.status is StopStatus.UNPLANNED
    whole = report_looks(ladder(N, 0.45))
    assert whole is not None and (whole.status, whole.stopped_early) == (StopStatus.WHOLE, False)
    assert whole.first is not None and whole.first < N
    without = parse_suite(SUITE.replace("looks: [0.25, 0.5, 0.75, 1.0], ", ""))
    assert report_looks(build_ladder(without, rungs(0.3), schedule=LookSchedule.of(task_data(N), ()))) is None


def test_the_gate_of_examples_is_waited_for() -> None:
    asked = parse_suite(f"{SUITE}gates: {{min_examples: 140}}")
    report = report_looks(build_ladder(asked, rungs(0.45), schedule=schedule()))
    assert report is not None and report.first == 150


def test_harm_and_futility_settle_a_candidate() -> None:
    assert look_at(ladder(N, -0.4), 100).settled == {"lora": LookOutcome.HARM}
    assert look_at(ladder(N, -0.05), 150).settled == {"lora": LookOutcome.FUTILITY}


def test_intervals_and_p_values_are_those_of_the_look() -> None:
    """They agree with each other, and are wider than those of one look; the last look costs little."""
    for n, more in ((50, 1.8), (N, 1.0)):
        (at_look,) = compare_deciding(ladder(n, 0.25), np.random.default_rng(0))
        plain = replace(ladder(n, 0.25), schedule=None)
        (once,) = compare_deciding(plain, np.random.default_rng(0))
        width = (at_look.high - at_look.low) / (once.high - once.low)
        assert more <= width < 1.25 * more + 1.5
        assert at_look.p_value > once.p_value
        assert (at_look.p_value <= 0.05) == (at_look.low > 0 or at_look.high < 0)
        assert at_look.mde == pytest.approx(once.mde * math.sqrt(1.1 * n / N), rel=0.1)


def test_several_contrasts_share_the_rate_and_a_slice_that_is_yet_small_stays_in_the_family() -> None:
    alone = look_at(ladder(N, 0.25), 100).contrasts[0]
    shared = look_at(ladder(N, 0.25, min_slice_examples="60").at(100), 100)  # 50 on each half so far
    assert alone.efficacy == pytest.approx(2.963, abs=0.001)
    content = SUITE.replace("over: [floor]}", "over: [floor], slices: [half]}")
    sliced = parse_suite(content.replace("primary:", "min_slice_examples: 60, primary:"))
    part = build_ladder(sliced, rungs(0.45), schedule=schedule())
    early, late = look_at(part, 100), look_at(part, N)
    assert shared.contrasts[0].efficacy == alone.efficacy
    assert len(early.contrasts) == len(late.contrasts) == 3
    assert early.contrasts[0].efficacy > alone.efficacy  # a third of the rate, at every look
    assert early.settled == {}  # the halves are to be shown, too
    assert late.settled == {"lora": LookOutcome.EFFICACY}


def test_an_unplanned_look_is_always_valid_and_decides_nothing() -> None:
    (row,) = compare_deciding(ladder(130, 0.45), np.random.default_rng(0))
    assert (row.method, row.outcome) == ("confidence_sequence", Outcome.INCONCLUSIVE)
    assert 0.0 < row.low < row.delta < row.high
    by_f1 = parse_suite(SUITE.replace("over: [floor]}", "over: [floor], metric: macro_f1}"))
    part = [cut(each, schedule().first(130)) for each in rungs(0.45)]
    (corpus,) = compare_deciding(build_ladder(by_f1, part, schedule=schedule()), np.random.default_rng(0))
    assert (corpus.low, corpus.high, corpus.p_value) == (-math.inf, math.inf, 1.0)


def test_corpus_metrics_can_be_looked_at() -> None:
    by_f1 = parse_suite(SUITE.replace("over: [floor]}", "over: [floor], metric: macro_f1}"))
    part = [cut(each, schedule().first(100)) for each in rungs(0.45)]
    report = report_looks(build_ladder(by_f1, part, schedule=schedule()))
    assert report is not None and report.status is StopStatus.SETTLED


def test_rungs_are_cut_to_what_all_registered_ones_have() -> None:
    whole, order = rungs(0.45), schedule()
    floor, lora, other = whole
    stopped, shorter = (cut(each, order.first(100)) for each in (floor, other))
    found = find_answered(suite(), {"floor": (stopped,), "lora": (lora,), "other": (other,)}, order)
    assert (found.n, found.in_order, found.left_out) == (100, True, ())
    assert {len(each.table.frame) for rung in found.rungs.values() for each in rung} == {100}
    found = find_answered(suite(), {"floor": (floor,), "lora": (lora,), "other": (shorter,)}, order)
    assert found.left_out == ("other",)
    without = parse_suite(SUITE.replace("looks: [0.25, 0.5, 0.75, 1.0], ", ""))
    with pytest.raises(IncomparableError, match=r"answers to 100 of 200 examples"):
        find_answered(without, {"floor": (stopped,)}, LookSchedule.of(task_data(N), ()))
