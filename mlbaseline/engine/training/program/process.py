"""The process of a program that trains: few variables, its output in a file, and an end with all that it started."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from mlbaseline.errors import TrainingProgramError
from mlbaseline.progress import Title, progress_bar
from mlbaseline.untrusted import printable

_KEPT = re.compile(
    r"(PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TMPDIR|PYTHONPATH|PYTHONHASHSEED|VIRTUAL_ENV|LD_LIBRARY_PATH"
    r"|DYLD_LIBRARY_PATH|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|DO_NOT_TRACK|TOKENIZERS_PARALLELISM"
    r"|(XDG|CONDA|CUDA|CUBLAS|NVIDIA|HIP|ROCR|ROCM|HSA|NCCL|GLOO|OMP|MKL|OPENBLAS|KMP|TORCH|TORCHINDUCTOR|PYTORCH"
    r"|TRITON|ACCELERATE|FSDP|DS|SLURM|HF|TRANSFORMERS)_\w+)"
)
_SECRET = re.compile(r"(?i)token(?!izers)|jwt|secret|password|credential|(?<![a-z])key(?![a-z])|_auth")
"""Of the variables above, those that may hold a secret are left out as well: `HF_TOKEN`."""
_CHECK_S, _END_S = 0.5, 15.0
_TAIL_LINES, _TAIL_BYTES = 20, 16_384
_ERRORS, _ERROR_BYTES = 3, 262_144
_ERROR = re.compile(r"(?:\[rank\d+\]:\s*)?((?:\w+\.)*\w*(?:Error|Exception): .+)")
"""Last line of a Python traceback, behind the rank of the process that torch puts in front."""


def environment_of(named: Sequence[str], own: Mapping[str, str]) -> dict[str, str]:
    """Choose the environment variables of a program.

    Args:
        named: Names of variables that the suite passes on.
        own: Variables that it is given beside them, which win.

    Returns:
        Those of the machine, of GPUs and of the libraries that train, without secrets; `named`, and `own`.

    Raises:
        TrainingProgramError: A variable that the suite names is not set.
    """
    missing = [name for name in named if name not in os.environ]
    if missing:
        raise TrainingProgramError(
            f"{', '.join(missing)}: the suite passes this environment variable to the program that trains, and it is "
            "not set; set it, or take it out of `environment`"
        )
    kept = {name: value for name, value in os.environ.items() if _KEPT.fullmatch(name) and not _SECRET.search(name)}
    return {**kept, **{name: os.environ[name] for name in named}, "PYTHONUNBUFFERED": "1", **own}


def activate_environment(program: str, folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Set what activating a virtual environment sets, where a program is named by its path in one.

    Such a program looks for others beside it: `accelerate`, `torchrun`, `ninja`.

    Args:
        program: First word of a command.
        folder: That the program runs in.
        variables: Of the program.

    Returns:
        The variables; with another `PATH` and `VIRTUAL_ENV` where the program belongs to a virtual environment.
    """
    programs = (folder / program).parent
    if Path(program).name == program or not (programs.parent / "pyvenv.cfg").is_file():
        return dict(variables)
    path = os.pathsep.join([str(programs), *filter(None, [variables.get("PATH")])])
    return {**variables, "PATH": path, "VIRTUAL_ENV": str(programs.parent)}


def run_program(
    words: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: Path, description: Title | None
) -> int:
    """Run a program to its end, and end whatever it started when it ends, or when this process is interrupted.

    Args:
        words: The program and its arguments.
        folder: That it runs in.
        environment: All of its variables.
        log: File that its output is appended to. Beside it stands which process runs.
        description: Title of the progress line; None: no line.

    Returns:
        Its exit status; negative: the signal that ended it.

    Raises:
        TrainingProgramError: It cannot be started.
    """
    note = log.with_name("process.json")
    _end_earlier(note)
    with log.open("ab") as output:
        try:
            process = psutil.Popen(
                list(words),
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, psutil.Error) as error:
            raise TrainingProgramError(f"{words[0]}: cannot be started in {folder}: {error}") from error
    try:
        note.write_text(json.dumps([process.pid, process.create_time()]), encoding="utf-8")
        with progress_bar(None, "second", description) as line:
            while True:
                try:
                    return int(process.wait(_CHECK_S))
                except psutil.TimeoutExpired:
                    if line.is_due:
                        line.update(0, note=tail(log, 1)[-100:].strip())
    finally:
        _end(process)
        note.unlink(missing_ok=True)


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """Return the last lines of a file that are not blank, in characters that show. Of a bar, its last state counts."""
    return "\n".join(_last_lines(log, _TAIL_BYTES)[-lines:])


def earlier_errors(log: Path) -> list[str]:
    """Return the first errors of Python in a file, each once, that come before what `tail` returns.

    Where one of several processes fails, what their launcher says about it comes last and hides the reason.
    """
    shown = tail(log)
    found = (_ERROR.match(line) for line in _last_lines(log, _ERROR_BYTES))
    errors = dict.fromkeys(error[1] for error in found if error)
    return [error for error in errors if error not in shown][:_ERRORS]


def _last_lines(log: Path, n_bytes: int) -> list[str]:
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - n_bytes))
        text = file.read().decode("utf-8", "replace")
    shown = (printable(line.rstrip().rpartition("\r")[2]) for line in text.split("\n"))
    return [line for line in shown if line.strip()]


def _end_earlier(note: Path) -> None:
    """End the program of an attempt whose own process was killed, and could not end it: it writes to the same files."""
    with suppress(OSError, ValueError, psutil.Error):
        pid, started = json.loads(note.read_text(encoding="utf-8"))
        process = psutil.Process(pid)
        if process.create_time() == started:
            _end(process)


def _end(process: psutil.Process) -> None:
    """Ask the program and its descendants to end, and end those that do not. torchrun's workers leave its group."""
    alive = []
    with suppress(psutil.Error):
        alive = [process, *process.children(recursive=True)]
    for signal_ in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal_)
        for each in alive:
            with suppress(psutil.Error):
                each.send_signal(signal_)
        _, alive = psutil.wait_procs(alive, timeout=_END_S)
