"""Rows of the calibration pages, kept as they are computed: a simulation of hours that is killed goes on where it was.

They lie in the folder `MLBASELINE_CALIBRATION` (`.calibration` by default), one file of JSON lines a page. A row is
looked up by all that it is asked for: its data, the number of tables and the seed. Nothing notices that a method has
changed since: remove the rows of what it concerns (`make clean` removes all of them).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Setting = Mapping[str, object]
"""What a row is about, as JSON values."""
Row = dict[str, Any]
"""What was found, as JSON values."""


class Rows:
    """The rows of one page.

    Args:
        page: Name of the page.
        folder: Where they are kept; by default as the module says.
    """

    def __init__(self, page: str, folder: Path | None = None) -> None:
        self._file = (folder or Path(os.environ.get("MLBASELINE_CALIBRATION", ".calibration"))) / f"{page}.jsonl"
        self._kept: dict[str, Row] = {}
        if self._file.exists():
            text = self._file.read_text(encoding="utf-8")
            whole = text[: text.rfind("\n") + 1]
            if whole != text:  # killed while it wrote
                self._file.write_text(whole, encoding="utf-8")
            self._kept = {_key(row["setting"]): row["found"] for row in map(json.loads, whole.splitlines())}

    def get(self, setting: Setting, compute: Callable[[], Row]) -> Row:
        """Return the row of a setting, computed once."""
        key = _key(setting)
        if key not in self._kept:
            started = time.process_time()
            found = compute()
            print(f"{time.process_time() - started:7.1f} s  {key}  {found}", file=sys.stderr, flush=True)
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"setting": dict(setting), "found": found}) + "\n")
            self._kept[key] = found
        return self._kept[key]


def _key(setting: Setting) -> str:
    return json.dumps(dict(setting), sort_keys=True)


def table_line(cells: Sequence[object]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"
