"""`results/measured.json`: what is measured around the rows of an evaluation, under a digest in the run's tags.

The rows hold scores, tokens and times of each answer. Training time, peak memory, scores on `dev` and the machine are
known of the whole run only. They decide too: by a budget, or by which seed stands for a rung. So they are read from
this file; the run's metrics and parameters of the same names are for people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from mlbaseline.errors import IncomparableError
from mlbaseline.store.server.tracking import PREFIX

MEASURED = "results/measured.json"
MEASURED_SHA256 = PREFIX + "measured_sha256"
FACTS = ("hardware.", "software.", "cost.", "judge.")
"""Prefixes of the parameters that say what a run was measured with."""


@dataclass(frozen=True)
class MeasuredFigures:
    """What was measured around the rows of a run.

    figures: metric of the run ─▶ value. facts: parameter of the run (those that begin with one of `FACTS`) ─▶ its text.
    """

    figures: Mapping[str, float]
    facts: Mapping[str, str]


def write_measured(folder: Path, measured: MeasuredFigures) -> str:
    """Write `measured.json` into a run's folder of results, and return its SHA-256."""
    content = to_json(measured, indent=2, inf_nan_mode="strings") + b"\n"
    (folder / Path(MEASURED).name).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read_measured(folder: Path) -> MeasuredFigures:
    """Read what `write_measured` wrote.

    Raises:
        IncomparableError: the file is not of this form.
    """
    path = folder / Path(MEASURED).name
    try:
        return TypeAdapter(MeasuredFigures).validate_json(path.read_bytes())
    except ValidationError as error:
        raise IncomparableError(f"{path}: not written by this version of mlbaseline: {error}") from error
