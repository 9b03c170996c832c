"""Which host may see which key. The operator says so, outside the suite, which anybody may propose to change."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from mlbaseline.errors import EndpointError
from mlbaseline.hosts import is_this_machine
from mlbaseline.suite import Endpoint

KEY_HOSTS = "MLBASELINE_KEY_HOSTS"
"""Environment variable of the operator: `VARIABLE=HOST[,HOST…]`, several separated by spaces; `*.DOMAIN` is any host of
a domain."""


def read_key(spec: Endpoint, where: str) -> str | None:
    """Read the key of an endpoint from the environment variable that the suite names.

    Args:
        spec: The endpoint.
        where: Its path in the suite, for messages.

    Returns:
        The key, None where the endpoint has none.

    Raises:
        EndpointError: The variable is not set, the operator has not allowed this host to see it, or the key would
            travel unencrypted. Addresses of this machine need neither permission nor encryption.
    """
    variable = spec.api_key_env
    if variable is None:
        return None
    parts = urlsplit(spec.url)
    host = (parts.hostname or "").lower()
    if not is_this_machine(host):
        if not any(_covers(pattern, host) for pattern in _allowed_hosts(where).get(variable, ())):
            raise EndpointError(
                f"{where}: {host} may not see the environment variable {variable}. A suite cannot allow that, since "
                f"anybody may propose a change to it. If you trust this host, set {KEY_HOSTS}='{variable}={host}' in "
                "the environment of this command"
            )
        if parts.scheme != "https":
            raise EndpointError(f"{where}.url: expected https, as {variable} would be sent unencrypted to {host}")
    key = os.environ.get(variable, "").strip()
    if not key:
        raise EndpointError(f"{where}: the environment variable {variable} (`api_key_env`) is not set")
    return key


def _allowed_hosts(where: str) -> dict[str, tuple[str, ...]]:
    allowed: dict[str, tuple[str, ...]] = {}
    for entry in os.environ.get(KEY_HOSTS, "").split():
        variable, separator, hosts = entry.partition("=")
        if not separator or not hosts:
            raise EndpointError(f"{where}: {KEY_HOSTS}: expected VARIABLE=HOST[,HOST…], got {entry!r}")
        allowed[variable] = (*allowed.get(variable, ()), *(host.lower() for host in hosts.split(",")))
    return allowed


def _covers(pattern: str, host: str) -> bool:
    return host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]))
