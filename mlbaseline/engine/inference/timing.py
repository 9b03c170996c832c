"""Answers in batches, and for a sample of the examples the time that each takes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter

from mlbaseline.progress import Title, part_of, progress_bar
from mlbaseline.records import Answer, Example, by_id

AnswerInBatches = Callable[[Sequence[Example]], Iterator[tuple[int, Answer]]]
"""Answers with the positions of their examples, in any order."""


def answer_and_time(
    answer_in_batches: AnswerInBatches,
    examples: Sequence[Example],
    *,
    latency_sample: int,
    description: Title | None,
    answer_alone: Callable[[Example], object],
) -> Iterator[Answer]:
    """Answer all examples, then time some of them alone, evenly spread over all.

    Which examples are computed together depends on their content, not on their order: they are sorted by id.

    Args:
        answer_in_batches: answers the sorted examples.
        examples: in any order.
        latency_sample: how many are timed alone.
        description: title of the progress bars; None: no bars.
        answer_alone: computes the answer to one example, whatever is cached.
    """
    ordered = by_id(examples)
    timed = set(evenly_spaced(len(ordered), latency_sample))
    untimed: dict[int, Answer] = {}
    tokens, started = 0, perf_counter()
    with progress_bar(len(ordered), "example", description) as bar:
        for position, answer in answer_in_batches(ordered):
            tokens += answer.tokens_in + answer.tokens_out
            bar.update(note=f"{tokens / (perf_counter() - started):,.0f} tokens/s")
            if position in timed and answer.error is None:
                untimed[position] = answer
            else:
                yield answer
    # In the order of ids, not of lengths, as batches are: else all long queries are timed at one moment, and
    # a machine that is busy then makes the whole tail.
    with progress_bar(len(untimed), "example", part_of(description, "timing") if untimed else None) as bar:
        for position, answer in sorted(untimed.items()):
            example = ordered[position]  # to read it from a table takes time of its own
            started = perf_counter()
            answer_alone(example)
            latency_s = perf_counter() - started
            bar.update()
            yield replace(answer, latency_s=latency_s)


def evenly_spaced(n: int, sample: int) -> list[int]:
    """Return the positions of the queries that are timed alone, evenly spread: `sample` of `n`, or all.

    Example:
        >>> evenly_spaced(10, 3)
        [1, 5, 8]
    """
    sample = min(n, sample)
    return [(2 * index + 1) * n // (2 * sample) for index in range(sample)]
