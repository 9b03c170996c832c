"""A signed webhook for alarms, in the form of Standard Webhooks (https://www.standardwebhooks.com, version 1)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from mlbaseline.errors import WebhookError
from mlbaseline.hosts import is_this_machine
from mlbaseline.untrusted import excerpt

SECRET = "MLBASELINE_WEBHOOK_SECRET"
"""Environment variable with the key: 24 to 64 bytes in base64, with or without the usual `whsec_` before it."""
_PREFIX = "whsec_"
_FEWEST_BYTES, _MOST_BYTES = 24, 64
_ATTEMPTS, _TIMEOUT_S, _PAUSE_S = 3, 10.0, 1.0


@dataclass(frozen=True)
class AlarmWebhook:
    """An address that alarms are sent to, with the key that signs the messages."""

    url: str
    key: bytes = field(repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    def send(self, id: str, content: Mapping[str, object]) -> None:
        """Send a message; where nothing arrives, twice again. Redirects are not followed.

        Args:
            id: Names the message. A receiver that gets it twice takes it once.
            content: Sent as JSON.

        Raises:
            WebhookError: It was not taken.
        """
        body = json.dumps(content, ensure_ascii=False).encode()
        problem = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE_S * attempt)
            try:
                response = httpx.post(self.url, content=body, headers=self._headers(id, body), timeout=_TIMEOUT_S)
            except httpx.HTTPError as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if response.is_success:
                return
            problem = f"HTTP {response.status_code}"
            if response.status_code < 500:
                break
        raise WebhookError(f"--webhook: {self.host} did not receive {id}: {excerpt(problem, 200)}")

    def _headers(self, id: str, body: bytes) -> dict[str, str]:
        at = str(int(time.time()))
        digest = hmac.new(self.key, f"{id}.{at}.".encode() + body, hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(digest).decode()}"
        return {
            "content-type": "application/json",
            "webhook-id": id,
            "webhook-timestamp": at,
            "webhook-signature": signature,
        }


def open_webhook(url: str) -> AlarmWebhook:
    """Read the key from the environment, and check that the address may be told.

    Raises:
        WebhookError: The address is not https and not of this machine, or the key is missing or not as it should be.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(host))):
        raise WebhookError(f"--webhook: expected an address that begins with https://, got {excerpt(url, 100)!r}")
    try:
        key = base64.b64decode(os.environ.get(SECRET, "").strip().removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not _FEWEST_BYTES <= len(key) <= _MOST_BYTES:
        raise WebhookError(
            f"--webhook: expected {_FEWEST_BYTES} to {_MOST_BYTES} bytes in base64 in the environment variable "
            f"{SECRET}; make one with "
            '`python -c "import base64, os; print(base64.b64encode(os.urandom(32)).decode())"`'
        )
    return AlarmWebhook(url, key)
