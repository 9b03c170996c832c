"""The checkpoint in memory, which rungs that ask the same one with other prompts share."""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable
from typing import Any


class LastLoaded:
    """Holds the last checkpoint that was shared, until a rung opens that does not ask it: two models at a time would
    take memory that no rung asked for. What is shared is only asked, never changed."""

    def __init__(self) -> None:
        self._key: Hashable = None
        self._checkpoint: Any = None

    def share(self, key: Hashable, load: Callable[[], Any]) -> Any:
        """The checkpoint of that key; loaded, unless it is the one at hand. key: path, precision and device."""
        if self._checkpoint is None or self._key != key:
            self.drop()
            self._key, self._checkpoint = key, load()
        return self._checkpoint

    def drop(self) -> None:
        if self._checkpoint is not None:
            self._key = self._checkpoint = None
            gc.collect()
