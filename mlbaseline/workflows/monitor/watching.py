"""The decisions over HTTP, for those who split the traffic and those who look at dashboards."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlbaseline import store
from mlbaseline.errors import DataError, MlbaselineError, SuiteError
from mlbaseline.hosts import is_this_machine
from mlbaseline.monitor import latest_us
from mlbaseline.monitor.canary.decision import decide_canary
from mlbaseline.monitor.canary.report import CanaryDecision, CanaryReport
from mlbaseline.monitor.drift.decision import decide_drift
from mlbaseline.monitor.drift.report import DriftReport
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import load_suite
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.command_result import document_json
from mlbaseline.workflows.monitor.canary_action import MOVING, CanaryAction, apply_decision
from mlbaseline.workflows.monitor.decisions import canary_rules, record_canary
from mlbaseline.workflows.monitor.documents import Document, canary_document, drift_document
from mlbaseline.workflows.monitor.gauges import gauges_text
from mlbaseline.workflows.monitor.ledgers import ledger_of, monitor_of
from mlbaseline.workflows.monitor.references import canary_plan, detector_start_us, reference_or_none
from mlbaseline.workflows.monitor.request_border import RequestBorder

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

TOKEN_VARIABLE = "MLBASELINE_WATCH_TOKEN"
_log = logging.getLogger("mlbaseline")


@dataclass
class Watcher:
    """The newest decisions. They are made in the background, so that a request never waits for the ledger.

    Attributes:
        suite: The suite; with `apply`, with its task opened.
        tracker: The tracking server, for the reference.
        ledger: Where the ledger is.
        apply: Carry out what the canary decides.
        patience_s: How long an action waits until somebody has asked, and so has been answered with the new share.
    """

    suite: Suite
    tracker: store.Tracker
    ledger: str | None
    apply: bool = False
    patience_s: float = 0.0
    canary: CanaryReport | None = None
    drift: DriftReport | None = None
    problem: str = ""
    looked_s: float = 0.0
    action: CanaryAction | None = None
    _revision: int = -1
    _answered: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> None:
        """Decide again where the ledger has changed. What goes wrong is kept as `problem`; the last answer stays."""
        with self._lock:
            try:
                self._decide()
                self._act()
                self.problem = ""
            except MlbaselineError as error:
                self.problem = str(error)
                _log.warning("watch: %s", error)
            self.looked_s = time.monotonic()

    def _decide(self) -> None:
        monitor = monitor_of(self.suite)
        opened = ledger_of(self.suite, self.ledger, self.tracker.uri)
        try:
            revision = opened.revision()
            if revision == self._revision:
                return
            events = opened.read()
        finally:
            opened.close()
        now_us = max(latest_us(events), 0)
        reference = reference_or_none(self.suite, monitor, self.tracker)
        if monitor.canary is not None:
            report = decide_canary(events, canary_plan(monitor.canary, monitor, reference), now_us)
            if self.canary is None or is_other(self.canary, report):
                self._answered.clear()
                self.action = None
            self.canary = report
        if reference is not None:
            since_us = detector_start_us(self.suite, self.tracker)
            self.drift = decide_drift(events, reference, monitor.drift, now_us=now_us, since_us=since_us)
        self._revision = revision

    def answer(self) -> CanaryReport:
        """Give the decision about the canary to somebody who asks.

        Raises:
            NoDecisionError: There is none yet.
        """
        report = self.canary
        if report is None:
            raise NoDecisionError(self.problem or "nothing is decided yet")
        if report.decided_us is not None:
            self._answered.set()
        return report

    def _act(self) -> None:
        """Move the alias, where the decision asks for it and is not carried out yet: after the splitter's weight."""
        report = self.canary
        done = self.action is not None and self.action.applied
        if not self.apply or done or report is None or report.decision not in MOVING:
            return
        self._answered.wait(self.patience_s)
        evidence = record_canary(self.suite, self.tracker, report)
        opened = ledger_of(self.suite, self.ledger, self.tracker.uri)
        try:
            rules = canary_rules(self.suite)
            self.action = apply_decision(self.suite, self.tracker, rules, report, ledger=opened, evidence=evidence)
        finally:
            opened.close()
        if self.action is not None:
            _log.info("watch: %s", self.action.text)


def is_other(one: CanaryReport, other: CanaryReport) -> bool:
    """Tell whether two looks came to different decisions, or looked at different canaries."""
    return (one.experiment, one.decision) != (other.experiment, other.decision)


def watch(
    suite: str | Path,
    *,
    ledger: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8642,
    every_s: float = 30.0,
    apply: bool = False,
    tracking_uri: str | None = None,
) -> None:
    """Serve the decisions until the process is stopped.

    Args:
        suite: Path of a suite file, or the name of a packaged suite.
        ledger: Path of a SQLite file, or a URL of SQLAlchemy. By default a file beside the tracking database.
        host: Address to listen at.
        port: Port to listen at.
        every_s: Seconds between two looks at the ledger.
        apply: Carry out what the canary decides, as `canary` does: once somebody has been answered with the new share,
            or nobody has asked for `every_s`.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Raises:
        DataError: Starlette and uvicorn are not installed.
        SuiteError: The suite has no `monitor`, the address is not loopback and there is no token, or there is nothing
            that `apply` could move.
    """
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise DataError("watch needs starlette and uvicorn: pip install 'mlbaseline[watch]'") from error
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token and not is_this_machine(host):
        raise SuiteError("--host", [f"{host} can be reached from elsewhere: set {TOKEN_VARIABLE}, or use 127.0.0.1"])
    loaded = open_suite(suite) if apply else load_suite(suite)
    monitor_of(loaded)
    if apply and loaded.register_as is None:
        raise SuiteError(loaded.name, ["register_as: is missing; there is no model whose alias --apply could move"])
    watcher = Watcher(loaded, store.connect(tracking_uri, loaded.name), ledger, apply=apply, patience_s=every_s)
    stop = threading.Event()
    thread = threading.Thread(target=_keep_looking, args=(watcher, every_s, stop), daemon=True)
    thread.start()
    try:
        uvicorn.run(
            make_app(watcher, token),
            host=host,
            port=port,
            log_level="warning",
            timeout_keep_alive=5,
            limit_concurrency=64,
        )
    finally:
        stop.set()


def make_app(watcher: Watcher, token: str = "") -> Starlette:
    """Make the application.

    Args:
        watcher: Has the decisions.
        token: What requests must carry; "" for nothing. `/healthz` asks for none.

    Returns:
        The ASGI application. Its routes answer with the document of the command line, and a status that says yes
        (200) or no (403); 503 before the first decision.
    """
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    def document(content: Document, status: int = 200) -> Response:
        return Response(document_json(content), status_code=status, media_type="application/json")

    async def canary(_: Request) -> Response:
        return document(canary_document(watcher.answer()))

    async def drift(_: Request) -> Response:
        if watcher.drift is None:
            raise NoDecisionError(watcher.problem or "nothing is decided yet")
        return document(drift_document(watcher.drift))

    def gate(opens: Callable[[CanaryReport], bool]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(_: Request) -> Response:
            report = watcher.answer()
            return document(canary_document(report), 200 if opens(report) else 403)

        return answer

    async def metrics(_: Request) -> Response:
        if watcher.canary is not None:
            watcher.answer()
        text = gauges_text(
            watcher.canary, watcher.drift, age_s=time.monotonic() - watcher.looked_s, ok=not watcher.problem
        )
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def no_decision(_: Request, error: Exception) -> Response:
        return document({"error": str(error)}, 503)

    routes = [
        Route("/canary", canary, methods=["GET", "POST"]),
        Route("/drift", drift, methods=["GET", "POST"]),
        Route("/argo/canary", canary, methods=["GET", "POST"]),
        Route("/flagger/confirm-traffic-increase", gate(_may_increase), methods=["POST"]),
        Route("/flagger/confirm-promotion", gate(_may_promote), methods=["POST"]),
        Route("/flagger/rollback", gate(_must_roll_back), methods=["POST"]),
        Route("/metrics", metrics, methods=["GET"]),
        Route("/healthz", health, methods=["GET"]),
    ]
    app = Starlette(routes=routes, exception_handlers={NoDecisionError: no_decision})
    app.add_middleware(RequestBorder, token=token)
    return app


def _may_increase(report: CanaryReport) -> bool:
    """Flagger raises the weight in steps of its own: it may, up to the share that the ramp allows now."""
    if report.decision is CanaryDecision.PROMOTE:
        return True
    return report.decision is CanaryDecision.CONTINUE and report.share > report.ramp.share


def _may_promote(report: CanaryReport) -> bool:
    return report.decision is CanaryDecision.PROMOTE


def _must_roll_back(report: CanaryReport) -> bool:
    return report.decision in (CanaryDecision.ROLL_BACK, CanaryDecision.INVALID)


class NoDecisionError(Exception):
    """There is nothing to answer with yet."""


def _keep_looking(watcher: Watcher, every_s: float, stop: threading.Event) -> None:
    while True:
        watcher.look()
        if stop.wait(every_s):
            return
