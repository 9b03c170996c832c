"""Power before any run: from the size of the test, the matrix and an assumed disagreement."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbaseline.errors import DataError
from mlbaseline.stats import binary_power
from mlbaseline.workflows import assume_power
from tests.support.ladders.suites import fill, rows_suite
from tests.support.ladders.written_data import rows_of, write_jsonl

SUITE = rows_suite(
    """
metrics: [accuracy, nll_nats, macro_f1]
baselines:
  majority: {kind: trivial, strategy: majority}
  uniform: {kind: trivial, strategy: uniform}
  small: {kind: pretrained, model: nowhere}
matrix:
  primary:
    - {candidate: small, over: [majority, uniform], margin: MARGIN}
    - {candidate: small, over: [majority], metric: METRIC}
""",
    split="{train: 8, test: 1000, seed: 1}",
)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "data.jsonl", rows_of(1008))
    (tmp_path / "suite.yaml").write_text(fill(SUITE, margin=0.01, metric="nll_nats"), encoding="utf-8")
    return tmp_path / "suite.yaml"


def test_the_plan_has_the_power_that_it_promises(suite: Path) -> None:
    document = assume_power(suite, discordance=0.2).document
    assert [(plan["baseline"], plan["n"]) for plan in document["plans"]] == [("majority", 1000), ("uniform", 1000)]
    (delta,) = {plan["delta"] for plan in document["plans"]}
    level = 1 - 0.05 / 3
    power = binary_power(1000, (0.2 + delta) / 2, (0.2 - delta) / 2, margin=0.01, level=level)
    assert power == pytest.approx(0.8, abs=0.02)


def test_a_wanted_difference_is_planned_for(suite: Path) -> None:
    (plan,) = assume_power(suite, discordance=0.2, baseline="uniform", delta=0.04).document["plans"]
    power = binary_power(plan["needed"], 0.12, 0.08, margin=0.01, level=1 - 0.05 / 3)
    assert power == pytest.approx(0.8, abs=0.02)
    (on_the_margin,) = assume_power(suite, discordance=0.2, baseline="uniform", delta=0.01).document["plans"]
    assert on_the_margin["needed"] is None


def test_what_cannot_be_planned_is_an_error(suite: Path) -> None:
    with pytest.raises(DataError, match="raise --discordance"):
        assume_power(suite, discordance=0.03, delta=0.04)
    text = suite.read_text(encoding="utf-8")
    suite.write_text(text.replace("[majority, uniform], margin: 0.01", "[uniform], metric: macro_f1"), encoding="utf-8")
    with pytest.raises(DataError, match=r"no primary contrast .* scores from 0 to 1"):
        assume_power(suite, discordance=0.2)
