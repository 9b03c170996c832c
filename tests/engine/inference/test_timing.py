"""Examples are answered in batches, and some of them alone, with progress shown for both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlbaseline.engine.inference.timing import answer_and_time
from mlbaseline.progress import Stage, shown_on
from mlbaseline.records import Answer, Example
from tests.support.ladders.choice_task import make_examples
from tests.support.noting_display import Notes


def answer(examples: Sequence[Example]) -> Iterator[tuple[int, Answer]]:
    for position, example in reversed([*enumerate(examples)]):
        yield position, Answer(example.id, example.target)


def test_a_sample_is_timed_alone_in_the_order_of_ids_with_a_bar_of_its_own() -> None:
    examples, alone = make_examples(n=10), list[Example]()
    with shown_on(shown := Notes()):
        answers = answer_and_time(
            answer,
            examples,
            latency_sample=3,
            description=Stage("lora", 1, "answering"),
            answer_alone=alone.append,
        )
        timed = [each.example_id for each in answers if each.latency_s is not None]
    ids = sorted(example.id for example in examples)
    assert timed == [each.id for each in alone] == [ids[1], ids[5], ids[8]]
    of = "lora · seed 1"
    assert [note for note in shown.notes if note[1] in (0, "over")] == [
        (f"{of}, answering", 0),
        (f"{of}, answering", "over"),
        (f"{of}, timing", 0),
        (f"{of}, timing", "over"),
    ]
    assert (f"{of}, timing", 3) in shown.notes
