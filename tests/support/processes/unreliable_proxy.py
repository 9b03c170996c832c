"""A proxy on loopback between a client and a server, which loses, delays, cuts and refuses what passes through it."""

from __future__ import annotations

import http.client
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

FAULTS = (
    "request lost",
    "answer lost",
    "answer cut",
    "delayed",
    "500 before",
    "500 after",
    "429",
    "429 with Retry-After",
)
"""Lost before the server sees it; carried out, and the answer lost, cut, late, or replaced by a failure; refused."""
_SPARED = 3
"""The first requests ask whether there is a server at all, and are not repeated for long."""
_HOP_BY_HOP = ("transfer-encoding", "connection", "content-length", "keep-alive")


@dataclass
class UnreliableProxy:
    """rate: share of requests that meet a fault. away_at, away_s: after so many requests, so long nobody answers."""

    url: str
    rate: float
    draws: random.Random
    faults: tuple[str, ...] = FAULTS
    met: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    away_at: int | None = None
    away_s: float = 0.0
    away_until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self) -> str | None:
        """Draw what happens to the next request."""
        with self.lock:
            self.requests += 1
            if self.requests == self.away_at:
                self.away_until = time.monotonic() + self.away_s
            fault = None
            if time.monotonic() < self.away_until:
                fault = "away"
            elif self.draws.random() < self.rate and self.requests > _SPARED:
                fault = self.draws.choice(self.faults)
            if fault is not None:
                self.met[fault] += 1
            return fault


@contextmanager
def unreliable(upstream: str, *, rate: float = 0.0, seed: int = 0, **options: Any) -> Iterator[UnreliableProxy]:
    """A proxy before the server at `upstream`. Faults are drawn by the seed, in the order of the requests."""
    target = urlsplit(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            match proxy.next_fault():
                case "away" | "request lost":
                    self.hang_up()
                case "500 before":
                    self.answer(500, b"{}")
                case "429":
                    self.answer(429, b"{}")
                case "429 with Retry-After":
                    self.answer(429, b"{}", [("Retry-After", "1")])
                case fault:
                    self.carry_out(body, fault)

        def carry_out(self, body: bytes, fault: str | None) -> None:
            if fault == "delayed":
                time.sleep(0.5)
            status, headers, content = self.forward(body)
            if fault == "answer lost":
                self.hang_up()
            elif fault == "500 after":
                self.answer(500, b"{}")
            else:
                self.answer(status, content, headers, cut=len(content) // 2 if fault == "answer cut" else None)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        def forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=120)
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host",)}
                connection.request(self.command, self.path, body, headers)
                response = connection.getresponse()
                kept = [(name, value) for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP]
                return response.status, kept, response.read()
            finally:
                connection.close()

        def answer(
            self, status: int, content: bytes, headers: list[tuple[str, str]] | None = None, cut: int | None = None
        ) -> None:
            self.send_response(status)
            for name, value in headers or []:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:cut])
            if cut is not None:
                self.wfile.flush()
                self.hang_up()

        def hang_up(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # the client hung up
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy = UnreliableProxy(f"http://127.0.0.1:{server.server_address[1]}", rate, random.Random(seed), **options)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
