"""A model that mlbaseline did not make, in a process of its own: few of our variables, limits of time and of bytes.

What this keeps from the model's code: secrets in environment variables, the home folder that programs look into by
default, this process's memory and open files. What it does not: the file system, as far as this user may read it, and
the network. A container around mlbaseline is the place for that.
"""

from __future__ import annotations

import json
import os
import select
import signal
import stat
import subprocess
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import pandas as pd

from mlbaseline.errors import TrackingError, describe_error
from mlbaseline.serving import isolated_worker
from mlbaseline.serving.isolated_worker import PROMPT
from mlbaseline.untrusted import excerpt, parse_json

_KEPT = frozenset(
    {
        *("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE"),
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TOKENIZERS_PARALLELISM"),
        *("CUDA_VISIBLE_DEVICES", "CUDA_HOME", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
        *("HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"),
    }
)
"""Variables that the model's process sees. None of them holds a secret: proxies and tracking addresses may."""
_SET = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
"""Compiled code beside the model would be another model, by the digest of its files."""
_LOAD_LIMIT_S, _CALL_LIMIT_S, _ROW_LIMIT_S = 900.0, 120.0, 60.0
"""Time to load; and to answer a call: so much, and so much for each row of it."""
_MAX_BYTES = 16 << 20
"""Size of the answers to one call."""
_END_S = 5.0
_SHOWN = 2000


class IsolatedModelError(Exception):
    """What the model's code raised, or how its process ended. One answer, or a batch of them, is missing for it."""


class IsolatedModel:
    """A model of MLflow's, loaded and asked in another process. It ends when nobody holds it any more."""

    def __init__(self, folder: Path, name: str, *, takes_prompts: bool) -> None:
        """Start the process and load the model.

        Args:
            folder: The model, on this machine.
            name: Of the model, for messages.
            takes_prompts: Whether it is sent a list of prompts instead of columns.

        Raises:
            TrackingError: The model cannot be loaded.
        """
        self._folder, self._name, self._takes_prompts = folder, name, takes_prompts
        self._start()

    def _start(self) -> None:
        self._place = TemporaryDirectory(prefix="mlbaseline-", ignore_cleanup_errors=True)
        place, self._calls = Path(self._place.name), 0
        home = place / "home"
        home.mkdir()
        environment = {name: value for name, value in os.environ.items() if name in _KEPT}
        # Not opened again by its name, under which the model's code could put something else.
        self._errors = (place / "stderr").open("a+b")
        self._process = subprocess.Popen(  # our own program, with a model that the suite admits
            [
                *(sys.executable, "-c", Path(isolated_worker.__file__).read_text(encoding="utf-8")),
                *(str(self._folder.absolute()), str(place / "loaded.json")),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=home,
            env={**environment, "HOME": str(home), **_SET},
            start_new_session=True,
        )
        self._ending = weakref.finalize(self, _end, self._process, self._errors, self._place)
        try:
            self._answer(place / "loaded.json", _LOAD_LIMIT_S)
        except IsolatedModelError as error:
            self._ending()
            raise TrackingError(
                f"{self._name}: cannot be loaded here: {error}. Install what its requirements.txt names"
            ) from error

    def predict(self, questions: pd.DataFrame) -> list[Any]:
        """Ask for a prediction for each row.

        Args:
            questions: The columns that the model is sent, or the one column `prompt`.

        Returns:
            For each row a text, a number, or a mapping of columns to such.

        Raises:
            IsolatedModelError: The model raised an error, took too long, ended its process, or answered something else.
            TrackingError: The model was loaded before, and cannot be loaded again after its process ended.
        """
        if not self._ending.alive:
            self._start()
        place, self._calls = Path(self._place.name), self._calls + 1
        asked, answers = place / f"{self._calls}.parquet", place / f"{self._calls}.json"
        questions.to_parquet(asked, index=False)
        request = {"questions": str(asked), "answers": str(answers), "prompts": self._takes_prompts}
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._ended() from None
        rows = self._answer(answers, _CALL_LIMIT_S + _ROW_LIMIT_S * len(questions))
        asked.unlink(missing_ok=True)
        answers.unlink(missing_ok=True)
        if not isinstance(rows, list) or len(rows) != len(questions):
            n = len(rows) if isinstance(rows, list) else "no"
            raise IsolatedModelError(f"ValueError: {len(questions)} rows were sent, {n} predictions came back")
        return rows

    def _answer(self, path: Path, limit_s: float) -> Any:
        """Wait for the file, and read what is in it. Whatever stands there is data."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + limit_s
        ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            self._ending()
            raise IsolatedModelError(f"TimeoutError: no answer within {limit_s:g} s")
        if os.read(self._process.stdout.fileno(), 1) != b".":
            raise self._ended()
        try:
            content = parse_json(_read(path))
            if "error" in content:
                raise IsolatedModelError(excerpt(str(content["error"]), _SHOWN))
            return content["rows"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            self._ending()
            said = excerpt(describe_error(error), _SHOWN)
            raise IsolatedModelError(f"its process answered in another form ({said})") from error

    def _ended(self) -> IsolatedModelError:
        """Say how the process ended, with the last lines that it wrote."""
        self._process.wait(_END_S)
        code = self._process.returncode
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - _SHOWN))
        last = excerpt(self._errors.read().decode("utf-8", "replace"), _SHOWN)
        self._ending()
        return IsolatedModelError(f"its process ended with {code}{f', after: {last}' if last else ''}")


def _read(path: Path) -> bytes:
    """Read an ordinary file of bounded size: no link, and no pipe without an end. Raises OSError and ValueError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a file")
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"more than {_MAX_BYTES:,} bytes")
    return content


def _end(process: subprocess.Popen[bytes], errors: BinaryIO, place: TemporaryDirectory[str]) -> None:
    """End the process with all that it started in its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout, errors):
        if pipe is not None:
            with suppress(OSError):  # a request that was not sent yet
                pipe.close()
    process.wait()
    place.cleanup()


def prompts_frame(prompts: list[str]) -> pd.DataFrame:
    """Make the questions to a model that takes prompts."""
    return pd.DataFrame({PROMPT: prompts})
