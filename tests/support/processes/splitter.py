"""A splitter for end-to-end tests: requests go to one of two model servers, as `mlbaseline watch` says.

Each leaves a trace, from which the ledger is made. It is no product: platforms have their own.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import mlflow

from mlbaseline.monitor.canary.assignment import assign
from mlbaseline.monitor.event_rows import Arm

_CLIENTS = 4
_ASKED_EVERY_S = 0.2


@dataclass(frozen=True)
class Request:
    """What a user asks. good: the right answer."""

    unit: str
    text: str
    good: bool


@dataclass(frozen=True)
class AnsweredByAll:
    """A request with its trace. label: what the arm answered; None for a failure."""

    request: Request
    arm: Arm
    trace_id: str
    label: str | None


@dataclass
class Splitter:
    """Splits the requests of one canary.

    Attributes:
        arms: Address of each arm's server.
        watch: Address of `mlbaseline watch`.
        experiment: Name of the canary.
        first_share: Share of the candidate until the watch has seen this canary.
        timeout_s: An arm that takes longer has failed.
        sent: Requests by arm.
        labelled: Assessments that were written.
    """

    arms: Mapping[Arm, str]
    watch: str
    experiment: str
    first_share: float
    timeout_s: float = 5.0
    sent: Counter[Arm] = field(default_factory=Counter)
    labelled: int = 0
    _share: float | None = None
    _asked_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _http: httpx.Client = field(default_factory=httpx.Client)

    def decision(self) -> str:
        """Ask what is decided about this canary; `unknown` where the watch has not seen it."""
        answer = self._http.get(f"{self.watch}/canary", timeout=5).json()
        return str(answer["decision"]) if answer.get("experiment") == self.experiment else "unknown"

    def share(self) -> float:
        """The candidate's share now, asked for anew a few times a second."""
        with self._lock:
            if self._share is None or time.monotonic() - self._asked_s > _ASKED_EVERY_S:
                answer = self._http.get(f"{self.watch}/canary", timeout=5).json()
                is_ours = answer.get("experiment") == self.experiment
                self._share = float(answer["share"]) if is_ours else self.first_share
                self._asked_s = time.monotonic()
            return self._share

    def send(self, requests: Iterable[Request]) -> list[AnsweredByAll]:
        """Send requests, a few at a time, and wait until their traces are written."""
        with ThreadPoolExecutor(_CLIENTS) as pool:
            answered = list(pool.map(self._ask, requests))
        mlflow.flush_trace_async_logging()
        return answered

    def label(self, answered: Iterable[AnsweredByAll]) -> None:
        """Write down, later, whether the answers were right."""
        known = [one for one in answered if one.label is not None]

        def assess(one: AnsweredByAll) -> None:
            right = one.label == ("good" if one.request.good else "bad")
            mlflow.log_feedback(trace_id=one.trace_id, name="accuracy", value=float(right))

        with ThreadPoolExecutor(_CLIENTS) as pool:
            list(pool.map(assess, known))
        self.labelled += len(known)

    def until(self, decided: Callable[[], bool], rounds: Iterable[list[Request]], ingest: Callable[[], None]) -> None:
        """Send rounds of requests, label those of the round before, and ingest, until a decision is there."""
        before: list[AnsweredByAll] = []
        for requests in rounds:
            now = self.send(requests)
            self.label(before)
            before = now
            ingest()
            if decided():
                break
        self.label(before)
        ingest()

    def _ask(self, request: Request) -> AnsweredByAll:
        share = self.share()
        arm = assign(request.unit, self.experiment, share)
        with self._lock:
            self.sent[arm] += 1
        tags = {"mlbaseline.arm": arm.value, "mlbaseline.share": f"{share}", "mlbaseline.experiment": self.experiment}
        label = None
        with mlflow.start_span("answer") as span:
            span.set_inputs({"review": request.text})
            mlflow.update_current_trace(tags=tags, metadata={"mlflow.trace.user": request.unit})
            try:
                label = self._label_of(arm, request.text)
                span.set_outputs(label)
            except (httpx.HTTPError, KeyError, ValueError) as error:
                span.record_exception(error)
                span.set_status("ERROR")
        return AnsweredByAll(request, arm, span.trace_id, label)

    def _label_of(self, arm: Arm, text: str) -> str:
        rows = {"dataframe_records": [{"text": text}]}
        answer = self._http.post(f"{self.arms[arm]}/invocations", json=rows, timeout=self.timeout_s)
        (predicted,) = answer.raise_for_status().json()["predictions"]
        label = predicted if isinstance(predicted, str) else predicted["label"]
        return str(label).strip(".").lower()
