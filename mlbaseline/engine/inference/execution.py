"""Batches of requests ─▶ results: from the cache where they are known, else from this process and its workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import count
from typing import Protocol

from mlbaseline.engine.inference.requests import MakeRunner, ModelRunner, RequestBatch, RequestResult
from mlbaseline.engine.inference.result_cache import ResultCache
from mlbaseline.engine.inference.worker_pool import Worker, WorkerPool
from mlbaseline.progress import Title


class SharedBatches(Protocol):
    """The batches of an evaluation that several processes compute: each takes those that no other process has taken.

    Batches are formed from all examples, so that a result does not depend on who computes it. The first batch, the
    largest, is not shared: who puts the results together computes it, and shows how much memory a batch takes.
    """

    def take(self, key: str) -> bool:
        """Take a batch; False where another process has it. key: of its first request in the result cache."""
        ...

    def add(self, results: Mapping[str, RequestResult]) -> None:
        """Hand over results of the batch that was taken, by their cache keys."""
        ...


@dataclass(frozen=True)
class Execution:
    """How requests are executed.

    Attributes:
        cache: where earlier results are looked up and new ones are stored; None: nowhere.
        workers: further processes that compute beside this one; None: none.
        description: title of the progress bar; None: no bar.
        shared: batches that other processes compute, too; requests of those get an error. None: computes all batches.
            Needs a cache.
    """

    cache: ResultCache | None = None
    workers: WorkerPool | None = None
    description: Title | None = None
    shared: SharedBatches | None = None


def execute_batches(
    batches: Iterable[RequestBatch],
    runner: ModelRunner,
    make_runner: MakeRunner,
    execution: Execution,
    *,
    setup_s: float = 0.0,
) -> Iterator[dict[int, RequestResult]]:
    """Yield the cached results of each batch, then those that are computed for the rest of it.

    A batch that is cached in part belonged to other data; only its new requests are computed.

    Args:
        batches: in the order in which they are computed.
        runner: of this process.
        make_runner: makes the runner of each worker; `runner` was made by it, too.
        execution: the cache and the workers.
        setup_s: time that each request has taken already, e.g. for its tokens.

    Raises:
        MlbaselineError: a worker failed or ended.
    """
    cache, pool, shared = execution.cache, execution.workers, execution.shared
    with pool.start(make_runner) if pool else nullcontext(()) as workers:
        share = 1 / (1 + len(workers)) if pool and pool.shares_processor else 1
        waiting: list[RequestBatch] = []

        computed = count()

        def compute_waiting() -> Iterator[dict[int, RequestResult]]:
            for batch, results in _compute(waiting, runner, workers):
                of = next(computed)
                costed = {n: replace(r, compute_s=r.compute_s * share + setup_s, batch=of) for n, r in results.items()}
                if cache:
                    cache.put(_by_key(batch, costed))
                if shared:
                    shared.add(_by_key(batch, costed))
                yield costed
            waiting.clear()

        for number, batch in enumerate(batches):
            if shared and not (number and shared.take(next(iter(batch.keys.values())))):
                yield dict.fromkeys(batch.keys, _ELSEWHERE)
                continue
            cached = {n: result for n, key in batch.keys.items() if (result := cache.get(key))} if cache else {}
            if cached:
                if shared:
                    shared.add(_by_key(batch, cached))
                yield cached
            rest = batch.without(cached)
            if rest is not None:
                waiting.append(rest)
            if len(waiting) > len(workers):
                yield from compute_waiting()
        yield from compute_waiting()


_ELSEWHERE = RequestResult((), 0.0, error="computed by another process")


def _by_key(batch: RequestBatch, results: Mapping[int, RequestResult]) -> dict[str, RequestResult]:
    return {batch.keys[number]: result for number, result in results.items()}


def _compute(
    batches: Sequence[RequestBatch], runner: ModelRunner, workers: Sequence[Worker]
) -> Iterator[tuple[RequestBatch, dict[int, RequestResult]]]:
    """Compute one batch in each process, the first one in this process."""
    for worker, batch in zip(workers, batches[1:], strict=False):
        worker.send(batch)
    for index, batch in enumerate(batches):
        yield batch, workers[index - 1].receive() if index else runner(batch)
