"""A node that has not what the driver has says so, and names itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlbaseline.errors import MlbaselineError
from mlbaseline.suite.reading import load_suite
from mlbaseline.workflows.evaluations.executors.on_node import evaluate_task
from mlbaseline.workflows.evaluations.executors.rung_task import LadderAddress, RungTask
from tests.support.ladders.cheap_ladder import CheapLadder

NODE = "node 10.0.0.2 (4a3d0895)"


def address(ladder: CheapLadder) -> LadderAddress:
    """As the driver writes it, before the ladder is opened."""
    digest, data_digest = load_suite(ladder.suite).digest, ladder.test_data().digest
    return LadderAddress(str(ladder.suite), digest, data_digest, "test", ladder.uri, "0" * 32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"suite": "/elsewhere/suite.yaml"}, r"/elsewhere/suite\.yaml.*no such file"),
        ({"suite_digest": "0" * 64}, r"the suite is another one than on the driver: expected digest 000000000000…"),
        ({"version": "0.0.1"}, r"expected mlbaseline 0\.0\.1, as on the driver"),
        ({}, r"find the run 0{32}.*the same tracking server"),
    ],
)
def test_what_is_missing_or_different_there_is_told(
    cheap_ladder: CheapLadder, changes: dict[str, str], message: str
) -> None:
    task = RungTask("majority", replace(address(cheap_ladder), **changes), "majority", (0,), fresh=False, threads=1)
    with pytest.raises(MlbaselineError, match=rf"(?s)^majority, on node 10\.0\.0\.2 \(4a3d0895\): .*{message}"):
        evaluate_task(task, NODE)
