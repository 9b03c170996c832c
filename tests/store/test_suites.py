from __future__ import annotations

from mlbaseline.store.suites import suite_differences
from mlbaseline.suite.reading import parse_suite
from tests.support.ladders.suites import reviews_suite

REST = """
baselines:
  majority: {kind: trivial, strategy: majority}
  zero_shot: {kind: pretrained, model: {source: model}}
  lora: {kind: peft, method: lora, base: zero_shot, learning_rate: 1.0e-3}
matrix:
  primary:
    - {candidate: lora, over: [majority]}
    - {candidate: zero_shot, over: [majority]}
"""


def test_a_part_that_only_one_suite_has_is_one_difference() -> None:
    before = parse_suite(reviews_suite(REST), where="before")
    rest = REST.replace("    - {candidate: zero_shot, over: [majority]}\n", "").replace("lora, base", "ia3, base")
    rest = rest.replace("  majority: {", "  uniform: {kind: trivial, strategy: uniform}\n  majority: {")
    now = parse_suite(reviews_suite(rest), where="now")
    found = suite_differences(before, now)
    assert "baselines.lora.method: 'lora' before, 'ia3' now" in found
    (added,) = (line for line in found if line.startswith("baselines.uniform"))
    assert added.startswith("baselines.uniform: nothing before, {") and added.endswith("… now")
    (removed,) = (line for line in found if line.startswith("matrix.primary"))
    assert removed.startswith("matrix.primary.1: {'candidate': 'zero_shot'") and removed.endswith(
        "… before, nothing now"
    )
