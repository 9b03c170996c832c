"""An endpoint as a model: several requests at once, answers stored as they arrive, and an end where none arrive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace

from mlbaseline.errors import DataError, EndpointError, describe_error
from mlbaseline.models.endpoint.answer_journal import AnswerJournal
from mlbaseline.models.endpoint.api_keys import read_key
from mlbaseline.models.endpoint.client import Client, RefusedError, Reply, UnreachableError
from mlbaseline.models.endpoint.openai_replies import Usage
from mlbaseline.models.endpoint.protocols import RequestFormat
from mlbaseline.models.reply_parsing import make_answer, shorten
from mlbaseline.progress import Title, progress_bar
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Endpoint
from mlbaseline.untrusted import ODD_SHAPE

_MAX_REFUSALS = 3
"""So many refusals before any answer are not caused by the examples."""


class EndpointModel:
    """A `records.Model` behind HTTP. No example that has an answer, of this process or an earlier one, is sent again.

    Examples are sent one at a time until the first answer arrives. An endpoint that refuses the key, cannot be reached
    or has another protocol raises EndpointError there, after at most three requests. After the first answer, an example
    that it refuses is an error row. Once it stops answering, no further example is sent, and each is an error row that
    says so (`unanswered`).
    """

    def __init__(
        self,
        spec: Endpoint,
        request_format: RequestFormat,
        journal: AnswerJournal,
        *,
        where: str,
        description: Title | None = None,
    ) -> None:
        """Prepare an endpoint.

        Args:
            spec: its address and limits.
            request_format: of its protocol.
            journal: where answers are stored.
            where: path in the suite, for messages.
            description: title of the progress bar.

        Raises:
            EndpointError: the environment variable of its key is not set.
        """
        self._spec, self._format, self._journal = spec, request_format, journal
        self._where, self._description = where, description
        self._key = read_key(spec, where)
        self._failures = _FailureCounter(max(3, spec.max_concurrency))

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Yield stored answers, then the others as they arrive. Raises EndpointError."""
        stored = self._journal.load()
        ordered = sorted(examples, key=lambda example: example.id)
        yield from (stored[example.id] for example in ordered if example.id in stored)
        waiting = [example for example in ordered if example.id not in stored]
        client = Client(self._spec, self._key)
        try:
            with progress_bar(len(waiting), "example", self._description) as bar:
                for answer in self._answer_waiting(client, waiting):
                    bar.update()
                    yield answer
        finally:
            client.stop()
            client.close()

    def _answer_waiting(self, client: Client, waiting: Sequence[Example]) -> Iterator[Answer]:
        n_sent = 0
        for answer in self._answer_first(client, waiting):
            n_sent += 1
            yield answer
        pool = ThreadPoolExecutor(self._spec.max_concurrency, thread_name_prefix="endpoint")
        try:
            pending = [pool.submit(self._answer_one, client, example) for example in waiting[n_sent:]]
            for future in as_completed(pending):
                yield future.result()
        finally:
            # No thread retries any more; the reply to a request that was sent is still stored when it arrives.
            client.stop()
            pool.shutdown(wait=True, cancel_futures=True)

    def _answer_first(self, client: Client, waiting: Sequence[Example]) -> Iterator[Answer]:
        """Send one example after the other, up to the first that is answered."""
        refusals: list[str] = []
        for example in waiting:
            try:
                yield self._request_answer(client, example)
                return
            except UnreachableError as error:
                raise EndpointError(f"{self._where}: {error}. Is it up, and `url` right?") from None
            except RefusedError as error:
                refusals.append(str(error))
                if error.fatal or len(refusals) == _MAX_REFUSALS:
                    raise EndpointError(f"{self._where}: {refusals[0]}") from None
                yield _refused(example, error)

    def _answer_one(self, client: Client, example: Example) -> Answer:
        if self._failures.is_final:
            return Answer(example.id, None, error=f"not sent: {self._failures.reason}", unanswered=True)
        try:
            answer = self._request_answer(client, example)
        except UnreachableError as error:
            self._failures.add(str(error))
            return Answer(example.id, None, error=str(error), unanswered=True)
        except RefusedError as error:
            if error.fatal:
                client.stop()
                self._failures.end(str(error))
                raise EndpointError(f"{self._where}: {error}") from None
            return _refused(example, error)
        self._failures.reset()
        return answer

    def _request_answer(self, client: Client, example: Example) -> Answer:
        try:
            bodies = self._format.bodies(example)
        except Exception as error:  # any error in a user's template or data; one example must not fail the others
            return Answer(example.id, None, error=describe_error(error))
        replies = [client.post(body, self._format.has_text) for body in bodies]
        try:
            samples = [self._format.read(reply.content, example) for reply in replies]
            usages = [self._format.usage(reply.content) for reply in replies]
        except DataError as error:  # a pattern of the suite that searches without end
            return Answer(example.id, None, error=str(error))
        except ODD_SHAPE as error:
            shown = shorten(str([reply.content for reply in replies]))
            what = f"replied in another form than its protocol's ({describe_error(error)})"
            raise RefusedError(f"{self._spec.address} {what}: {shown}") from None
        answer = _add_measurements(make_answer(example, samples), replies, usages)
        answer = _map_texts(answer, client.without_key)  # pieces of a stream may make up the key only together
        self._journal.add(answer)
        return answer


def _add_measurements(answer: Answer, replies: Sequence[Reply], usages: Sequence[Usage]) -> Answer:
    """Add tokens, time and cost. Several samples are one query: its requests add up."""
    costs = [usage.cost_usd for usage in usages if usage.cost_usd is not None]
    return replace(
        answer,
        tokens_in=sum(usage.tokens_in for usage in usages),
        tokens_out=sum(usage.tokens_out for usage in usages),
        latency_s=sum(reply.latency_s for reply in replies),
        first_token_s=replies[0].first_token_s,
        cost_usd=sum(costs) if len(costs) == len(usages) else None,
    )


def _map_texts(answer: Answer, change: Callable[[str], str]) -> Answer:
    return replace(
        answer,
        prediction=None if answer.prediction is None else change(answer.prediction),
        raw=None if answer.raw is None else change(answer.raw),
        error=None if answer.error is None else change(answer.error),
        samples=tuple(map(change, answer.samples)),
    )


def _refused(example: Example, error: RefusedError) -> Answer:
    """Make the error row of a refusal, which is not stored: it is no answer."""
    return Answer(example.id, None, error=str(error), unanswered=error.again)


class _FailureCounter:
    """Counts the failures since the last answer; `limit` in a row are the end."""

    def __init__(self, limit: int) -> None:
        self._limit, self._count = limit, 0
        self._lock = threading.Lock()
        self.reason = ""

    @property
    def is_final(self) -> bool:
        return self._count >= self._limit

    def add(self, reason: str) -> None:
        with self._lock:
            self._count += 1
            self.reason = f"the endpoint stopped answering: {reason}"

    def end(self, reason: str) -> None:
        with self._lock:
            self._count, self.reason = self._limit, reason

    def reset(self) -> None:
        with self._lock:
            if not self.is_final:
                self._count = 0
