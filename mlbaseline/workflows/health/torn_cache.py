"""What a killed process left in the cache: lines that broke off, and folders that were never finished."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mlbaseline.cache import cache_dir
from mlbaseline.journal import Journal
from mlbaseline.store.leftovers import Leftover, LeftoverKind

_UNTOUCHED_S = 3600.0
"""What changed within the last hour may be the work of a process that is still there."""
_JOURNALS = ("answers", "passes")


def find_torn_entries() -> Iterator[Leftover]:
    """Find damaged lines of journals, and unfinished files and folders, that nothing has touched for an hour.

    All are harmless: damaged lines do not count, and unfinished files are never read.
    """
    cache = cache_dir()
    for path in sorted(path for name in _JOURNALS for path in (cache / name).glob("*.jsonl")):
        journal = Journal(path)
        if _is_untouched(path) and (damaged := journal.count_damaged()):
            where = f"{path}: {damaged} damaged entries"
            yield Leftover(LeftoverKind.TORN_CACHE, where, "are dropped", journal.drop_damaged)
    for path in sorted([*cache.glob("*/tmp*"), *cache.rglob("*.part")]):
        if _is_untouched(path):
            yield Leftover(LeftoverKind.TORN_CACHE, f"{path}: never finished", "is deleted", partial(_delete, path))


def _is_untouched(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > _UNTOUCHED_S


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
