from __future__ import annotations

import pickle

from mlbaseline.progress import Progress, ProgressBar, RungState, Stage, shown_on, tell
from mlbaseline.progress.relay import Message, Relay, receiving
from tests.support.clock import Clock
from tests.support.noting_display import Notes

TRAINING = Progress(Stage("lora", 1, "training"), "step", 10)


def test_what_another_process_tells_is_shown_here() -> None:
    sent: list[bytes] = []
    clock = Clock()
    relay = Relay(lambda message: sent.append(pickle.dumps(message)))
    with shown_on(relay), ProgressBar(TRAINING, relay, clock) as bar:
        clock.now_s += 1
        bar.update(4)
        tell("majority", None, RungState.DONE, 0.5)
    notes = Notes()
    with shown_on(notes), receiving() as receive:
        for message in sent:
            receive(pickle.loads(message))
    work = "lora · seed 1, training"
    assert notes.notes == [(work, 0), (work, 4), ("majority", RungState.DONE), (work, 4), (work, "over")]


def test_work_of_a_process_that_was_killed_is_over() -> None:
    notes = Notes()
    with shown_on(notes), receiving() as receive:
        receive(TRAINING)
    assert notes.notes[-1] == ("lora · seed 1, training", "over")


def test_work_goes_on_where_nobody_listens() -> None:
    def broken(message: Message) -> None:
        raise BrokenPipeError

    with ProgressBar(TRAINING, Relay(broken)) as bar:
        bar.update(10)
