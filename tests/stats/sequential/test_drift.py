"""The drift detector: its formula, its false alarms over a year, and the days until a rise is found."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mlbaseline.stats.sequential import SlicedDriftDetector

LABELS = (200, 87, 31, 11)


def stream(
    detector: SlicedDriftDetector[int], rates: np.ndarray, labels: np.ndarray, days: int, rng: np.random.Generator
) -> dict[int, int]:
    """The first day of alarm of each slice."""
    first: dict[int, int] = {}
    for day in range(1, days + 1):
        losses = {s: (rng.random(labels[s]) < rates[s]).astype(float) for s in range(len(rates))}
        for evidence in detector.update(losses):
            first.setdefault(evidence.slice, day)
    return first


def test_the_evidence_is_the_recursion() -> None:
    days = [[0.0, 1.0, 0.5], [], [1.0, 1.0]]
    bound, bets = 0.3, 0.5 ** np.arange(1, 9) / 0.3
    m = np.zeros(8)
    for day in days:
        m = np.prod([1 + bets * (x - bound) for x in day], axis=0) * (m + 1)
    detector = SlicedDriftDetector({"all": bound}, arl_days=100)
    for day in days:
        detector.update({"all": day})
    (evidence,) = detector.evidence()
    assert evidence.log_e == pytest.approx(math.log(m.mean()))
    assert (evidence.n, evidence.loss, evidence.threshold) == (5, pytest.approx(0.7), pytest.approx(math.log(100)))


def test_no_false_alarm_in_a_year_at_the_baseline_and_few_at_the_bound() -> None:
    labels = np.repeat(LABELS, 5)
    for rate, most in ((0.20, 0), (0.23, 1)):
        alarms = [
            bool(
                stream(
                    SlicedDriftDetector(dict.fromkeys(range(20), 0.23), arl_days=365),
                    np.full(20, rate),
                    labels,
                    365,
                    np.random.default_rng(seed),
                )
            )
            for seed in range(5)
        ]
        assert sum(alarms) <= most


def test_the_time_to_a_false_alarm_is_the_promised_one() -> None:
    """At the bound itself with a short promise, 20 days: the mean over 60 streams of 200 days."""
    times = []
    for seed in range(60):
        detector = SlicedDriftDetector({0: 0.5, 1: 0.5}, arl_days=20)
        first = stream(detector, np.full(2, 0.5), np.full(2, 20), 200, np.random.default_rng(seed))
        times.append(min(first.values(), default=200))
    assert np.mean(times) >= 20


def test_a_rise_of_six_points_over_the_bound_is_found_the_sooner_the_more_labels() -> None:
    """One of 20 slices; published design figures are 6, 12, 34 and 89 days."""
    days = []
    for slice_, n in enumerate(LABELS):
        found = []
        for seed in range(7):
            rates = np.full(20, 0.20)
            rates[slice_] = 0.29
            labels = np.full(20, 11)
            labels[slice_] = n
            detector = SlicedDriftDetector(dict.fromkeys(range(20), 0.23), arl_days=365)
            first = stream(detector, rates, labels, 200, np.random.default_rng(seed))
            assert set(first) <= {slice_}
            found.append(first.get(slice_, 200))
        days.append(float(np.median(found)))
    assert days == sorted(days)
    assert days[0] <= 12
    assert days[2] <= 50


def test_sampled_labels_join_a_predicted_loss() -> None:
    rng, detector = np.random.default_rng(8), SlicedDriftDetector({"all": 0.23}, arl_days=365, sampling_probability=0.2)
    for _ in range(60):
        loss = (rng.random(400) < 0.32).astype(float)
        predicted = np.where(rng.random(400) < 0.9, loss, 1 - loss)
        selected = rng.random(400) < 0.2
        alarms = detector.update({"all": predicted + selected / 0.2 * (loss - predicted)})
    assert alarms and alarms[0].loss == pytest.approx(0.32, abs=0.02)


def test_more_slices_share_the_alarm_rate() -> None:
    detector = SlicedDriftDetector({"a": 0.5, "b": 0.5, "c": 0.5}, arl_days=100)
    detector.update({"a": [1.0] * 30, "b": [1.0] * 20, "c": [0.0] * 20})
    strongest, second, third = detector.evidence()
    assert [e.slice for e in (strongest, second, third)] == ["a", "b", "c"]
    assert [e.alarm for e in (strongest, second, third)] == [True, True, False]
    assert second.threshold == pytest.approx(math.log(3 * 100 / 2))


@pytest.mark.parametrize(
    ("day", "message"),
    [
        ({"b": [0.0]}, "unknown slice"),
        ({"a": [1.5]}, "within"),
        ({"a": [math.nan]}, "within"),
        ({"a": [[0.0]]}, "shape"),
    ],
)
def test_bad_days_are_refused_and_change_nothing(day: dict[str, object], message: str) -> None:
    detector = SlicedDriftDetector({"a": 0.5}, arl_days=100)
    detector.update({"a": [0.0, 1.0]})
    before = detector.evidence()
    with pytest.raises(ValueError, match=message):
        detector.update(day)  # type: ignore[arg-type]
    assert detector.evidence() == before


@pytest.mark.parametrize(
    "arguments",
    [
        {"upper_bounds": {}, "arl_days": 10},
        {"upper_bounds": {"a": 1.0}, "arl_days": 10},
        {"upper_bounds": {"a": 0.5}, "arl_days": 0.5},
        {"upper_bounds": {"a": 0.5}, "arl_days": 10, "sampling_probability": 0.0},
    ],
)
def test_bad_settings_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        SlicedDriftDetector(**arguments)  # type: ignore[arg-type]
