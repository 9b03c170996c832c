"""One request to an endpoint: timeouts, retries, and the meaning of failures.

Latency is that of the attempt that succeeded, as this client measures it, without other attempts and waiting. A reply
is untrusted: its size, depth and time are bounded, and the key is removed from it before anything else sees it.
"""

from __future__ import annotations

import json
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from itertools import product
from typing import Any

import httpx

from mlbaseline.suite import Endpoint
from mlbaseline.untrusted import excerpt, map_texts, parse_json

HasText = Callable[[Any], object]
"""Whether an event of a stream holds text (anything true) or not."""

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_LONGEST_RETRY_AFTER_S = 300.0
_MAX_BYTES = 16 << 20
"""Size that a reply may have."""
_SHOWN = 300
"""Characters of a server's text in a message."""
_REMOVED = "…"
"""Stands where the key stood."""
_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy")
"""They write down addresses, and at level DEBUG the headers of replies."""
_RETRYABLE = (408, 425, 429)
_FATAL = {
    401: "refuses the key; set the environment variable that `api_key_env` names to a valid one",
    403: "refuses access; the key lacks the right to this model, or `api_key_env` is not set",
    404: "knows no such address or model; check `url`, `protocol` and `model`",
    405: "takes no such request at this address; check `url` and `protocol`",
}


class RefusedError(Exception):
    """The endpoint replied, but not with an answer. fatal: every further request would get the same reply.

    again: a later request may succeed.
    """

    def __init__(self, reason: str, *, fatal: bool = False, again: bool = False) -> None:
        super().__init__(reason)
        self.fatal, self.again = fatal, again


class UnreachableError(Exception):
    """No answer after all attempts."""


@dataclass(frozen=True)
class Reply:
    """A reply of the endpoint.

    Attributes:
        content: one JSON document, or the events of a stream.
        latency_s: until its end was read.
        first_token_s: until the first event with text; None without a stream.
    """

    content: Any
    latency_s: float
    first_token_s: float | None = None


class _WithoutKey(logging.Filter):
    """Removes a key from log records of the transport: a server may have sent it back in a header."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if self._key in text:
            record.msg, record.args = text.replace(self._key, _REMOVED), ()
        return True


class Client:
    """Sends requests to one endpoint, from several threads at once."""

    def __init__(self, spec: Endpoint, key: str | None) -> None:
        """Open connections. key: sent as a bearer token; no reply or error of this class holds it."""
        self._spec, self._key = spec, key
        self._stopped = threading.Event()
        self._filters = [_WithoutKey(key)] if key else []
        for name, item in product(_LOGGERS, self._filters):
            logging.getLogger(name).addFilter(item)
        self._http = httpx.Client(
            # Compressed, a small reply may open to any size.
            headers={"Accept-Encoding": "identity", **({"Authorization": f"Bearer {key}"} if key else {})},
            timeout=httpx.Timeout(spec.timeout_s),
            limits=httpx.Limits(max_connections=spec.max_concurrency),
        )

    def stop(self) -> None:
        """Let all threads that wait for another attempt give up."""
        self._stopped.set()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()
        for name, item in product(_LOGGERS, self._filters):
            logging.getLogger(name).removeFilter(item)

    def post(self, body: Mapping[str, Any], has_text: HasText | None = None) -> Reply:
        """Send one request, with retries.

        Args:
            body: sent as JSON.
            has_text: tells whether an event of a stream holds text.

        Raises:
            RefusedError: the endpoint replied with something else than an answer.
            UnreachableError: every attempt failed.
        """
        problem = ""
        for attempt in range(self._spec.retries + 1):
            try:
                return self._attempt(body, has_text)
            except _RetryableError as error:
                problem = str(error)
                wait_s = error.retry_after_s
            if wait_s is None:
                # Full jitter may wait no time at all; half of it relieves the server.
                wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311  a wait, not a secret
            if attempt == self._spec.retries or self._stopped.wait(wait_s):
                break
        attempts = f"{attempt + 1} attempt{'s' if attempt else ''}"
        raise UnreachableError(f"{self._spec.address}: {problem} ({attempts})")

    def _attempt(self, body: Mapping[str, Any], has_text: HasText | None) -> Reply:
        started = time.perf_counter()
        with self._reporting(), self._http.stream("POST", self._spec.address, json=dict(body)) as response:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise RefusedError(f"{self._spec.address} sends compressed replies, which this client does not accept")
            if response.status_code != 200:
                raise self._failure(response, self._read(response, started))
            if "text/event-stream" in response.headers.get("content-type", ""):
                return self._events(response, started, has_text)
            content = self._read(response, started)
            latency_s = time.perf_counter() - started
        try:
            return Reply(map_texts(parse_json(content), self.without_key), latency_s)
        except ValueError as error:
            raise self._not_json(response, content, error) from None

    def _pieces(self, response: httpx.Response, started: float) -> Iterator[bytes]:
        """Yield a body in pieces. httpx limits the wait for each piece; this limits time and size of the whole."""
        size_bytes = 0
        for piece in response.iter_raw():
            size_bytes += len(piece)
            if size_bytes > _MAX_BYTES:
                raise RefusedError(f"{self._spec.address} sends a reply of more than {_MAX_BYTES >> 20} MiB")
            yield piece
            _check_deadline(started, self._spec.timeout_s)

    def _read(self, response: httpx.Response, started: float) -> str:
        return self.without_key(b"".join(self._pieces(response, started)).decode("utf-8", "replace"))

    def _events(self, response: httpx.Response, started: float, has_text: HasText | None) -> Reply:
        events: list[Any] = []
        first_token_s = None
        for line in _lines(self._pieces(response, started)):
            data = self.without_key(line.removeprefix("data:").strip())
            if not line.startswith("data:") or data == "[DONE]":
                continue
            try:
                events.append(map_texts(parse_json(data), self.without_key))
            except ValueError:
                raise _RetryableError(f"a stream broke off within {excerpt(data, _SHOWN)!r}") from None
            if not isinstance(events[-1], dict):
                raise RefusedError(f"{self._spec.address} streamed {excerpt(data, _SHOWN)!r}, which is no event")
            if "error" in events[-1]:
                message = excerpt(str(events[-1]["error"]), _SHOWN)
                raise _RetryableError(f"a stream ended with the error {message!r}")
            if first_token_s is None and has_text is not None and has_text(events[-1]):
                first_token_s = time.perf_counter() - started
        if not any(_is_last(event) for event in events):
            raise _RetryableError("a stream broke off before its end")
        return Reply(events, time.perf_counter() - started, first_token_s)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException:
            raise _RetryableError(f"no answer within {self._spec.timeout_s:g} s (`timeout_s`)") from None
        except httpx.RequestError as error:
            message = self.without_key(f"{type(error).__name__}: {error}")
            raise _RetryableError(excerpt(message, _SHOWN)) from None

    def _failure(self, response: httpx.Response, content: str) -> Exception:
        status = response.status_code
        message = excerpt(self.without_key(_message(content)), _SHOWN)
        summary = f"HTTP {status}" + (f": {message}" if message else "")
        if status in _RETRYABLE or status >= 500:
            wait_s = _retry_after_s(response.headers.get("retry-after"))
            if wait_s is not None and wait_s > _LONGEST_RETRY_AFTER_S:
                return UnreachableError(f"{self._spec.address}: {summary}; asks to come back in {wait_s:.0f} s")
            return _RetryableError(summary, wait_s)
        if status in _FATAL:
            return RefusedError(f"{self._spec.address} {_FATAL[status]} ({summary})", fatal=True)
        if 300 <= status < 400:
            where = excerpt(self.without_key(response.headers.get("location", "nowhere")), _SHOWN)
            return RefusedError(f"{self._spec.address} leads on to {where}; name that address in `url`", fatal=True)
        return RefusedError(f"{self._spec.address} takes no such request ({summary})")

    def _not_json(self, response: httpx.Response, content: str, error: ValueError) -> RefusedError:
        kind = excerpt(self.without_key(response.headers.get("content-type", "no content type")), _SHOWN)
        shown = excerpt(content, _SHOWN)
        if not isinstance(error, json.JSONDecodeError):
            what = str(error)
        else:
            what = "JSON that breaks off" if content[:1] in ("{", "[") else f"no JSON ({kind})"
        return RefusedError(
            f"{self._spec.address} answered with {what}: {shown!r}; check `url` and `protocol`", again=True
        )

    def without_key(self, text: str) -> str:
        """Remove the key from a text: some servers repeat the key that they refuse."""
        return text.replace(self._key, _REMOVED) if self._key else text


class _RetryableError(Exception):
    """This attempt failed, another may succeed. retry_after_s: wait that the server asks for."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    """Split a stream into lines, each as soon as it has ended."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).replace(b"\r\n", b"\n").split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in lines)
    yield rest.decode("utf-8", "replace")


def _message(text: str) -> str:
    """Return the message of a failure: `error.message`, `error`, `detail` or `message` of a document, else the text."""
    try:
        content = parse_json(text)
        for key in ("error", "detail", "message"):
            content = content.get(key) or content if isinstance(content, dict) else content
        text = content if isinstance(content, str) else text
    except ValueError:
        pass
    return "" if text.strip() in ("{}", "null") else text


def _check_deadline(started: float, timeout_s: float) -> None:
    if time.perf_counter() - started > timeout_s:
        raise httpx.ReadTimeout("the whole answer took too long")


def _is_last(event: Any) -> bool:
    choices = event.get("choices") if isinstance(event, dict) else None
    each = choices if isinstance(choices, list) else ()
    return any(isinstance(choice, dict) and choice.get("finish_reason") is not None for choice in each)


def _retry_after_s(header: str | None) -> float | None:
    """Parse the header, seconds or a date. None where it is neither."""
    if header is None:
        return None
    try:
        wait_s = float(header)
        return max(wait_s, 0.0) if math.isfinite(wait_s) else None
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max((when - datetime.now(timezone.utc)).total_seconds(), 0.0)
