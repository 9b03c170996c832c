"""The checkpoint in memory, which rungs share that prompt the same model in different ways."""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable
from typing import Any


class SharedCheckpoint:
    """Holds the last checkpoint that a rung loaded to share it, until a rung needs another one.

    It is dropped before that: two models at a time would not fit where one does. Rungs never change it.
    """

    def __init__(self) -> None:
        self._key: Hashable = None
        self._checkpoint: Any = None

    def share(self, key: Hashable, load: Callable[[], Any]) -> Any:
        """Return the checkpoint of a key; it is loaded, unless it is the one in memory.

        Args:
            key: Path, content, precision and device.
            load: Loads the checkpoint.
        """
        if self._checkpoint is None or self._key != key:
            self.drop()
            self._key, self._checkpoint = key, load()
        return self._checkpoint

    def drop(self) -> None:
        """Give its memory back."""
        if self._checkpoint is not None:
            self._key = self._checkpoint = None
            gc.collect()
