"""Loads a model that mlbaseline did not make, and answers requests: the program of a process of its own.

The process that starts it gives it the text of this file (`python -c`), a folder with the model, and nothing of its own
environment but an allow-list. So it imports nothing of mlbaseline. A line on the standard input is a request: a Parquet
file to read, and a JSON file to write. One byte on the standard output says that the latter is there.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

PROMPT = "prompt"
"""The only column of a request to a model that takes prompts."""
_LONGEST_ERROR = 4000


def main() -> None:
    """Answer until the standard input ends: sys.argv has the model, and the file that says how loading went."""
    folder, loaded = sys.argv[1:3]
    requests, replies = _own_channels()
    model: Any = None

    def load() -> None:
        nonlocal model
        from mlflow.pyfunc import load_model

        model = load_model(folder)

    _reply(replies, Path(loaded), load)
    for line in requests:
        request = json.loads(line)
        _reply(replies, Path(request["answers"]), partial(_predict, model, request))


def _own_channels() -> tuple[Any, int]:
    """Keep the way to the other process apart from what the model reads and prints."""
    requests, replies = os.fdopen(os.dup(0), encoding="utf-8"), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return requests, replies


def _predict(model: Any, request: Mapping[str, Any]) -> list[Any]:
    import pandas as pd

    frame = pd.read_parquet(request["questions"])
    predicted = model.predict(frame[PROMPT].tolist() if request["prompts"] else frame)
    if isinstance(predicted, Mapping):
        predicted = pd.DataFrame(predicted)
    if isinstance(predicted, pd.DataFrame):
        entries: Any = predicted.to_dict("records")
    else:
        entries = predicted.tolist() if hasattr(predicted, "tolist") else predicted
    return [
        {str(name): _plain(value) for name, value in entry.items()} if isinstance(entry, Mapping) else _plain(entry)
        for entry in entries
    ]


def _plain(value: Any) -> Any:
    """Return what JSON has: a text, a finite number, a truth value or null; the text of everything else."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def _reply(replies: int, path: Path, work: Callable[[], Any]) -> None:
    try:
        content = {"rows": work()}
    except BaseException as error:  # it is their code that runs
        content = {"error": f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content), encoding="utf-8", errors="backslashreplace")
    part.replace(path)
    os.write(replies, b".")


if __name__ == "__main__":
    main()
