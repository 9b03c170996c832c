"""An endpoint as a model: several requests at once, answers kept as they come, and an end where nobody answers."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace

from tqdm import tqdm

from mlbaseline.errors import EndpointError
from mlbaseline.models.endpoint.answer_journal import KeptAnswers
from mlbaseline.models.endpoint.client import Client, RefusedError, Reply, UnreachableError
from mlbaseline.models.endpoint.protocols import Asking, AskingText, Usage
from mlbaseline.models.reply_parsing import concluded
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Endpoint

_REFUSALS = 3
"""So many refusals before any answer are no matter of the examples."""


class EndpointModel:
    """A `records.Model`. Nothing that was answered, now or in an earlier process, is asked again.

    One example is asked at a time until the first answer is there; an endpoint that refuses the key, is not there or
    speaks another protocol is then an EndpointError, and has cost a request or three. Once it has answered, an example
    that it refuses is an error row. When it answers no more, the rest is not asked, and each is an error row that says
    so (`unanswered`).
    """

    def __init__(
        self, spec: Endpoint, asking: Asking, kept: KeptAnswers, *, where: str, description: str | None = None
    ) -> None:
        """where: path in the suite, for messages. Raises EndpointError if there is no key where one is named."""
        self._spec, self._asking, self._kept = spec, asking, kept
        self._where, self._description = where, description
        self._key = read_key(spec, where)
        self._silence = _Silence(max(3, spec.max_concurrency))

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """One answer per example: those that are kept, then the others as they come. Raises EndpointError."""
        kept = self._kept.load()
        ordered = sorted(examples, key=lambda example: example.id)
        yield from (kept[example.id] for example in ordered if example.id in kept)
        waiting = [example for example in ordered if example.id not in kept]
        client = Client(self._spec, self._key)
        try:
            with tqdm(total=len(waiting), unit="ex", desc=self._description, disable=None, leave=False) as bar:
                for answer in self._answer_waiting(client, waiting):
                    bar.update()
                    yield answer
        finally:
            client.stop()
            client.close()

    def _answer_waiting(self, client: Client, waiting: Sequence[Example]) -> Iterator[Answer]:
        asked = 0
        for answer in self._introduce(client, waiting):
            asked += 1
            yield answer
        pool = ThreadPoolExecutor(self._spec.max_concurrency, thread_name_prefix="endpoint")
        try:
            pending = [pool.submit(self._answer_one, client, example) for example in waiting[asked:]]
            for future in as_completed(pending):
                yield future.result()
        finally:
            # Nobody waits for another attempt any more; a request that is on its way is still kept when it comes.
            client.stop()
            pool.shutdown(wait=True, cancel_futures=True)

    def _introduce(self, client: Client, waiting: Sequence[Example]) -> Iterator[Answer]:
        """One after the other, up to the first that is answered."""
        refusals: list[str] = []
        for example in waiting:
            try:
                yield self._ask(client, example)
                return
            except UnreachableError as error:
                raise EndpointError(f"{self._where}: {error}. Is it up, and `url` right?") from None
            except RefusedError as error:
                refusals.append(str(error))
                if error.fatal or len(refusals) == _REFUSALS:
                    raise EndpointError(f"{self._where}: {refusals[0]}") from None
                yield _refused(example, error)

    def _answer_one(self, client: Client, example: Example) -> Answer:
        if self._silence.is_final:
            return Answer(example.id, None, error=f"not asked: {self._silence.reason}", unanswered=True)
        try:
            answer = self._ask(client, example)
        except UnreachableError as error:
            self._silence.add(str(error))
            return Answer(example.id, None, error=str(error), unanswered=True)
        except RefusedError as error:
            if error.fatal:
                client.stop()
                self._silence.end(str(error))
                raise EndpointError(f"{self._where}: {error}") from None
            return _refused(example, error)
        self._silence.broken()
        return answer

    def _ask(self, client: Client, example: Example) -> Answer:
        try:
            bodies = self._asking.bodies(example)
        except Exception as error:  # one example that cannot be asked must not cost the others their answers
            return Answer(example.id, None, error=f"{type(error).__name__}: {error}")
        has_text = self._asking.piece if isinstance(self._asking, AskingText) else None
        replies = [client.ask(body, has_text) for body in bodies]
        said = [self._asking.read(reply.content, example) for reply in replies]
        usages = [self._asking.usage(reply.content) for reply in replies]
        return self._keep(_measured(concluded(example, said), replies, usages))

    def _keep(self, answer: Answer) -> Answer:
        self._kept.add(answer)
        return answer


def _measured(answer: Answer, replies: Sequence[Reply], usages: Sequence[Usage]) -> Answer:
    """Several samples are one query: it takes as long, and costs as much, as all of its requests."""
    costs = [usage.cost_usd for usage in usages if usage.cost_usd is not None]
    return replace(
        answer,
        tokens_in=sum(usage.tokens_in for usage in usages),
        tokens_out=sum(usage.tokens_out for usage in usages),
        latency_s=sum(reply.latency_s for reply in replies),
        first_token_s=replies[0].first_token_s,
        cost_usd=sum(costs) if len(costs) == len(usages) else None,
    )


def _refused(example: Example, error: RefusedError) -> Answer:
    """Not kept: a refusal is no answer."""
    return Answer(example.id, None, error=str(error), unanswered=error.again)


class _Silence:
    """Counts the failures since the last answer; so many in a row are the end."""

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

    def broken(self) -> None:
        with self._lock:
            if not self.is_final:
                self._count = 0


def read_key(spec: Endpoint, where: str) -> str | None:
    """The key in the environment variable that the suite names. Raises EndpointError if it is not set."""
    if spec.api_key_env is None:
        return None
    key = os.environ.get(spec.api_key_env, "").strip()
    if not key:
        raise EndpointError(f"{where}: the environment variable {spec.api_key_env} (`api_key_env`) is not set")
    return key
