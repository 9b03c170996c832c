"""What the driver of a cluster shows of blocks."""

from __future__ import annotations

from mlbaseline.progress import Stage, shown_on
from mlbaseline.progress.relay import Ended, Message, Relay
from mlbaseline.workflows.evaluations.executors.ray_progress import block_bars

ZERO_SHOT, FULL = Stage("zero_shot", None, "answering"), Stage("full", 1, "answering")


def test_a_bar_of_blocks_ends_with_the_last_one() -> None:
    sent: list[Message] = []
    with shown_on(Relay(sent.append)), block_bars({ZERO_SHOT: 2, FULL: 1}) as count:
        for stage in (ZERO_SHOT, FULL, ZERO_SHOT):
            count(stage)
        ended = [(each.progress.title, each.progress.done) for each in sent if isinstance(each, Ended)]
        assert ended == [(FULL, 1), (ZERO_SHOT, 2)]
