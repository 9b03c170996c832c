"""Which arm a unit belongs to, for a team that has no splitter of its own."""

from __future__ import annotations

import hashlib

from mlbaseline.monitor.event_rows import Arm

_SPACE = 2**64


def assign(unit: str, experiment: str, share: float, *, salt: str = "") -> Arm:
    """Assign a user, session or request to an arm, always the same one.

    The SHA-256 of `salt:experiment:unit` as a number in [0, 1) is compared with the share. As the share rises, units of
    the candidate stay with it and others join them. Another experiment mixes the units anew.

    Args:
        unit: What stays with its arm: the id of a user, a session or a request.
        experiment: Name of the canary, such as the version that is tried. A new canary needs a new name.
        share: Share of the candidate, from 0 to 1.
        salt: A secret, where units could choose their own ids.

    Returns:
        The arm.

    Raises:
        ValueError: The share is not between 0 and 1.

    Example:
        >>> assign("user-17", "lora-v2", 0.05).value, assign("user-17", "lora-v2", 0.9).value
        ('champion', 'candidate')
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share: expected a number from 0 to 1, got {share!r}")
    digest = hashlib.sha256(f"{salt}:{experiment}:{unit}".encode()).digest()
    return Arm.CANDIDATE if int.from_bytes(digest[:8], "big") / _SPACE < share else Arm.CHAMPION


def effective_share(weights: tuple[float, float]) -> float:
    """Compute the candidate's share of a splitter that cuts weights to whole percent, as MLflow's AI Gateway does.

    Args:
        weights: Weights of the champion and of the candidate, as configured.

    Returns:
        The share that requests really have, for the event's `share`.

    Raises:
        ValueError: A weight is negative, or both are cut to zero.

    Example:
        >>> effective_share((0.975, 0.025))  # 97 and 2
        0.020202020202020204
    """
    champion, candidate = (int(weight * 100) for weight in weights)
    if min(weights) < 0.0 or champion + candidate == 0:
        raise ValueError(f"weights: expected two that are not negative and not both below 0.01, got {weights}")
    return candidate / (champion + candidate)
