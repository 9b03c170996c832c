from __future__ import annotations

import pytest

from mlbaseline import workflows
from tests.support.ladders.cheap_ladder import CheapLadder
from tests.support.processes.terminal import Terminal


def test_a_terminal_shows_what_each_rung_comes_to_and_stdout_nothing(
    cheap_ladder: CheapLadder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cheap_ladder.write("uniform: {kind: trivial, strategy: uniform}")
    first = workflows.evaluate(cheap_ladder.suite, seeds=[1], tracking_uri=cheap_ladder.uri)
    terminal = Terminal(monkeypatch)
    outcome = workflows.evaluate(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)
    shown = terminal.shown()
    last = shown[shown.rindex("reviews, accuracy") :]
    assert "3 of 3 done, 2 reused" in last
    by_rung = {
        (each["baseline"], each["seed"]): each["metrics"]["accuracy"] for each in outcome.document["evaluations"]
    }
    assert f"{by_rung['uniform', 0]:.3f} " in last
    assert f"{by_rung['uniform', 1]:.3f} reused" in last
    assert f"{by_rung['majority', None]:.3f} reused" in last
    assert len(first.document["evaluations"]) == 2
    assert capsys.readouterr().out == ""
