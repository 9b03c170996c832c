"""A clock for tests of what is shown while time goes by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """Stands still until it is told to go on."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s
