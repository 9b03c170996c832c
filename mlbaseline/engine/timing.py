"""Answers in batches, and for a sample of the examples the time that each takes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter

from mlbaseline.engine.hardware import progress_bar
from mlbaseline.records import Answer, Example

AnswerInBatches = Callable[[Sequence[Example]], Iterator[tuple[int, Answer]]]
"""Answers with the positions of their examples, in any order."""


def answer_and_time(
    answer_in_batches: AnswerInBatches, examples: Sequence[Example], *, sample: int, description: str | None
) -> Iterator[Answer]:
    """Answer all examples, then time `sample` of them alone, evenly spread over all.

    Which examples are computed together depends on their content and not on their order: they are sorted by id.
    description: names the progress bar; without it there is none.
    """
    ordered = sorted(examples, key=lambda example: example.id)
    timed = set(_evenly_spaced(len(ordered), sample))
    kept: dict[int, Answer] = {}
    with progress_bar(len(ordered), "ex", description) as bar:
        for position, answer in answer_in_batches(ordered):
            bar.update()
            if position in timed and answer.error is None:
                kept[position] = answer
            else:
                yield answer
    for position, answer in kept.items():
        started = perf_counter()
        list(answer_in_batches([ordered[position]]))
        yield replace(answer, latency_s=perf_counter() - started)


def _evenly_spaced(n: int, sample: int) -> list[int]:
    sample = min(n, sample)
    return [(2 * index + 1) * n // (2 * sample) for index in range(sample)]


def describe_error(error: Exception) -> str:
    """What the row of an example that failed says."""
    return f"{type(error).__name__}: {error}"
