"""Few streams of the calibration: false alarms at every look, delays beside those of the design, pinning found."""

from __future__ import annotations

import math
import os

import pytest

from tests.monitor import calibration_monitoring as calibration
from tests.monitor.calibration_streams import heavy_tailed, null_streams, pinned

STREAMS = int(os.environ.get("MLBASELINE_STREAMS", "24"))
MOST = calibration.ALPHA + 2.5 * math.sqrt(calibration.ALPHA * (1 - calibration.ALPHA) / STREAMS)


@pytest.mark.parametrize("stream", list(null_streams(1)))
@pytest.mark.parametrize("guardrail", [("error", {"ratio": 1.0}), ("accuracy", {"margin": 0.0})])
def test_false_alarms_stay_below_their_rate(stream: str, guardrail: tuple[str, dict[str, float]]) -> None:
    simulate = null_streams(6_000)[stream]
    for harm in (True, False):
        assert calibration.detections(guardrail, simulate, STREAMS, harm=harm)["found"] <= MOST


@pytest.mark.parametrize("stream", list(null_streams(1)))
def test_a_true_split_passes(stream: str) -> None:
    assert calibration.mismatches(null_streams(6_000)[stream], STREAMS)["found"] <= MOST


@pytest.mark.parametrize("guardrail", [("cost", {"ratio": 1.0}), ("latency_p95", {"ratio": 1.0})])
def test_tails_without_a_variance_raise_no_more_false_alarms(guardrail: tuple[str, dict[str, float]]) -> None:
    found = calibration.detections(guardrail, lambda seed: heavy_tailed(6_000, seed), STREAMS)
    assert found["found"] <= MOST
    worse = calibration.detections(guardrail, lambda seed: heavy_tailed(6_000, seed, ratio=3.0), STREAMS // 4)
    assert worse["found"] >= 0.5


def test_a_whole_decision_over_slices_keeps_its_error_rate() -> None:
    found = calibration.whole_decisions(STREAMS, 6_000)
    assert max(found.values()) <= MOST


def test_a_cookie_that_pins_one_arm_only_is_found() -> None:
    assert calibration.mismatches(pinned, 8)["found"] == 1.0


@pytest.mark.parametrize(("rate", "rise", "ratio"), [(0.1, 0.0, 2.0), (0.1, 0.25, 2.0), (0.2, 0.0, 1.5)])
def test_harm_is_found_about_when_the_design_says(rate: float, rise: float, ratio: float) -> None:
    """The full form keeps within 15 %; here the medians of a few streams scatter."""
    median = calibration.error_delay(rate, rise, ratio, STREAMS)["median"]
    assert median is not None and median <= 1.5 * calibration.ERROR_DESIGN[rate, rise][ratio]


def test_slower_tails_are_found_sooner_than_the_design_says() -> None:
    for ratio, design in calibration.LATENCY_DESIGN.items():
        median = calibration.latency_delay(ratio, STREAMS // 2)["median"]
        assert median is not None and median <= 1.15 * design


def test_a_rise_of_the_loss_is_found_about_when_the_design_says() -> None:
    found = calibration.drift_row(87, 5, days=60)
    assert found["false"] == 0.0
    assert found["median"] is not None and found["median"] <= 1.5 * calibration.DRIFT_DESIGN[87]
