"""A real HTTP server whose answers a test writes, to show what no well-behaved server does."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Response:
    """body: as JSON unless it is bytes. cut: of the announced bytes, so many are sent before the line goes dead."""

    body: Any
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class RecordingServer:
    """answer: request's body ─▶ response. requests: bodies, in the order in which they came."""

    url: str
    answer: Callable[[Any], Response]
    requests: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@contextmanager
def serve(answer: Callable[[Any], Response], port: int = 0) -> Iterator[RecordingServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.requests.append(body)
            served.headers.append(dict(self.headers))
            served.paths.append(self.path)
            response = served.answer(body)
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", response.content_type)
            self.send_header("Content-Length", str(len(response.content)))
            self.end_headers()
            self.wfile.write(response.content[: response.cut])
            if response.cut is not None:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # the client hung up, as some tests make it do
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    served = RecordingServer(f"http://127.0.0.1:{server.server_address[1]}", answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


def completion(text: str, **usage: Any) -> Response:
    """What the protocol completions answers."""
    return Response({"choices": [{"index": 0, "text": text, "finish_reason": "stop"}], "usage": usage})


def chat(text: str | None, **usage: Any) -> Response:
    message = {"role": "assistant", "content": text}
    return Response({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage})


def events(*documents: Any) -> Response:
    """A stream of server-sent events."""
    lines = [f"data: {json.dumps(document)}\n\n" for document in documents]
    return Response("".join([*lines, "data: [DONE]\n\n"]).encode(), content_type="text/event-stream")
