"""Which hosts are this machine: what stays on it needs neither encryption nor permission."""

from __future__ import annotations

from ipaddress import ip_address


def is_this_machine(host: str) -> bool:
    """Tell whether a host name or an address is that of this machine (loopback)."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
