"""Logs of inspect (`.eval`, or its JSON form), read by inspect itself."""

from __future__ import annotations

import json
import string
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbaseline.errors import DataError
from mlbaseline.importers.imported import ImportedAnswer, ImportedResults
from mlbaseline.records import Scalar
from mlbaseline.values import as_text

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

INSTALL = "is read by inspect itself, which is not installed: pip install 'mlbaseline[inspect]'"


def find_log(path: Path) -> Path:
    """Return the file itself or, in a folder, its only log. Raises DataError where that is not one file."""
    if not path.is_dir():
        return path
    logs = sorted(path.rglob("*.eval"))
    if len(logs) != 1:
        raise DataError(f"{path}: name one of its logs; it has: {', '.join(str(log) for log in logs) or 'none'}")
    return logs[0]


def read_log(path: Path, *, scorer: str | None) -> ImportedResults:
    """Read a log; every epoch of a sample is an answer.

    Args:
        path: The file of the log.
        scorer: Whose extracted answer counts; without it the first that extracted one.

    Raises:
        DataError: inspect is not installed, the file is no log of a version that it reads, or has no samples.
    """
    log = _read(path)
    if not log.samples:
        raise DataError(
            f"{path}: has no samples (status {log.status}); log them, and let the evaluation come to its end"
        )
    names = {name for sample in log.samples for name in sample.scores or {}}
    if scorer is not None and scorer not in names:
        raise DataError(f"{path}: has no scorer {scorer!r}; it has: {', '.join(sorted(names)) or 'none'}")
    return ImportedResults(list(_answers(path, log, scorer)), _known(log))


def _read(path: Path) -> EvalLog:
    try:
        from inspect_ai.log import read_eval_log
    except ImportError as error:
        raise DataError(f"{path}: {INSTALL} ({error})") from error
    if zipfile.is_zipfile(path):
        _check_version(path, _version(path))
    try:
        log = read_eval_log(str(path))
    except Exception as error:  # pydantic's, zipfile's, zstd's, and inspect's own, by version
        raise DataError(
            f"{path}: inspect {_inspect_version()} cannot read this log: {type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'no reason given'}. It may be damaged, or of another "
            "format version: read it with the inspect that wrote it (`inspect log convert`), or update inspect-ai."
        ) from error
    _check_version(path, log.version)
    return log


def _version(path: Path) -> Any:
    """Return the format version of an archive; None where inspect alone can read it. Raises DataError for no log."""
    with zipfile.ZipFile(path) as archive:
        member = next((name for name in ("header.json", "_journal/start.json") if name in archive.namelist()), None)
        if member is None:
            raise DataError(f"{path}: is a ZIP archive, and no log of inspect: it has no header.json")
        try:
            return json.loads(archive.read(member)).get("version")
        except (ValueError, NotImplementedError, AttributeError):  # zipfile knows no zstd before Python 3.14
            return None


def _check_version(path: Path, version: Any) -> None:
    """inspect 0.3 itself asks only the JSON form of a log for its version."""
    from inspect_ai._util.constants import LOG_SCHEMA_VERSION

    if isinstance(version, int) and version > LOG_SCHEMA_VERSION:
        raise DataError(
            f"{path}: is a log of format version {version}; inspect {_inspect_version()} reads up to "
            f"{LOG_SCHEMA_VERSION}. Update inspect-ai to the one that wrote it."
        )


def _inspect_version() -> str:
    from importlib.metadata import version

    return version("inspect-ai")


def _answers(path: Path, log: EvalLog, scorer: str | None) -> Iterator[ImportedAnswer]:
    for sample in log.samples or ():
        where = f"{path}, sample {sample.id} of epoch {sample.epoch}"
        scores = {name: score.value for name, score in (sample.scores or {}).items()}
        answer = _answer(sample, scorer)
        choices = tuple(sample.choices or ())
        yield ImportedAnswer(
            where,
            as_text(sample.id),
            sample.metadata or {},
            text=answer,
            shown=sample.input if isinstance(sample.input, str) else _last_text(sample.input),
            choices=choices,
            chosen=_letter(answer, len(choices)) if choices else None,
            scores=scores,
            error=_error(sample),
            repeat=sample.epoch,
            columns=_measured(sample),
        )


def _answer(sample: EvalSample, scorer: str | None) -> str:
    """Return what a scorer extracted from the completion, else the completion itself."""
    for name, score in (sample.scores or {}).items():
        if scorer in (None, name) and score.answer is not None:
            return str(score.answer)
    return str(sample.output.completion)


def _letter(answer: str, n: int) -> int | None:
    """Return the position that a letter (A, B, C) stands for; None for anything else."""
    letter = answer.strip().upper()
    position = string.ascii_uppercase.find(letter) if len(letter) == 1 else -1
    return position if 0 <= position < n else None


def _error(sample: EvalSample) -> str | None:
    if sample.error is not None:
        return sample.error.message or "failed without a message"
    if sample.limit is not None and not sample.scores:
        return f"stopped by its {sample.limit.type} limit"
    if sample.output.error:
        return str(sample.output.error)
    return None if sample.scores or sample.output.choices else "has no answer"


def _measured(sample: EvalSample) -> dict[str, Any]:
    """Return tokens, price and time of a sample, over all models that it used."""
    usage = list(sample.model_usage.values())
    costs = [one.total_cost for one in usage]
    return {
        "tokens_in": sum(one.input_tokens for one in usage),
        "tokens_out": sum(one.output_tokens for one in usage),
        # Working time is without waiting for other samples and for rate limits.
        "latency_s": sample.working_time,
        "cost_usd": sum(cost for cost in costs if cost is not None) if usage and None not in costs else None,
    }


def _last_text(messages: Any) -> str | None:
    return str(messages[-1].text) if messages else None


def _known(log: EvalLog) -> dict[str, Scalar]:
    spec = log.eval
    config = spec.model_generate_config.merge(log.plan.config)
    known: dict[str, Scalar] = {
        "engine.version": f"inspect {spec.packages['inspect_ai']}" if "inspect_ai" in spec.packages else None,
        "model.name": spec.model,
        "model.inspect_task": spec.task,
        "model.inspect_task_version": as_text(spec.task_version),
        "model.temperature": config.temperature,
        "model.max_tokens": config.max_tokens,
    }
    return {name: value for name, value in known.items() if value is not None}
