"""What a plot is: labelled numbers that draw themselves. A renderer without pictures prints `alt`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Plot(ABC):
    """A plot of the report; each kind has a file of its own. name: of its file. alt: what it shows, in words."""

    name: str
    title: str
    caption: str
    alt: str

    @abstractmethod
    def draw(self) -> Any:
        """Draw it as a matplotlib Figure, in the colours of `svg`."""
