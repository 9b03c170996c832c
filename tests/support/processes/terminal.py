"""A terminal for tests: what is drawn on stderr."""

from __future__ import annotations

import os
import pty
import sys
import threading

import pytest


class Terminal:
    """A pseudo terminal as stderr, and all that is written to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._master, slave = pty.openpty()
        self._file = os.fdopen(slave, "w")
        self._shown: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        monkeypatch.setattr(sys, "stderr", self._file)
        monkeypatch.setenv("COLUMNS", "60")
        monkeypatch.setenv("TERM", "xterm")

    def _read(self) -> None:
        while True:
            try:
                self._shown.append(os.read(self._master, 65536))
            except OSError:  # how Linux says that the other end is closed
                return

    def shown(self) -> str:
        self._file.close()
        self._reader.join()
        os.close(self._master)
        return b"".join(self._shown).decode()
