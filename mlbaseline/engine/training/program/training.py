"""Training by a program of the user's: run once, resumed where it was stopped, its weights checked and kept.

Its folder in the cache of trainings:

data/                 what the program reads
output/               what it writes; kept for its next attempt until the training is finished
output.log            what it prints
attempt.json          time spent so far, and whether the program has come to its end
weights/              the weights, their configuration and tokenizer, and nothing else of the output
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from math import prod
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from mlbaseline.assets import MODEL_FILES
from mlbaseline.cache import write_in_one_step
from mlbaseline.engine.training.cached import train_once
from mlbaseline.engine.training.program.job import ProgramJob
from mlbaseline.engine.training.program.process import (
    activate_environment,
    earlier_errors,
    environment_of,
    run_program,
    tail,
)
from mlbaseline.errors import AssetError, TrainingProgramError
from mlbaseline.model_files import weights_sha256
from mlbaseline.models.checkpoints.adapter_files import CONFIG, named_base, record_base
from mlbaseline.models.checkpoints.checkpoint import model_folder
from mlbaseline.models.checkpoints.loading import refuse_pickles
from mlbaseline.progress import Title
from mlbaseline.records import Trained
from mlbaseline.suite import ProgramAdapter, TrainingProject

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlbaseline.engine.rungs.rung import OpenProgramRun

_ATTEMPT, _LOG = "attempt.json", "output.log"
_OF_A_TOKENIZER = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt", "*.jinja")


def train_by_program(
    job: ProgramJob,
    *,
    measure_dev: Callable[[Path], Mapping[str, float]],
    open_run: OpenProgramRun | None = None,
    description: Title | None = None,
) -> Trained:
    """Return the finished training; else run the program, in the output folder of an attempt that was stopped.

    Args:
        job: What is trained, by which program.
        measure_dev: Folder of the weights ─▶ metrics on the dev split.
        open_run: Opens the run that the program logs to; None: it finds none.
        description: Title of the progress line; None: no line.

    Raises:
        TrainingProgramError: The program failed, or left no model that can be used.
        AssetError: The cache cannot be written.
    """

    def run(folder: Path) -> Trained:
        _train(job, folder, open_run, description)
        _keep_weights(job, folder)
        weights = folder / "weights"
        return Trained(
            folder=weights,
            weights_sha256=weights_sha256(weights),
            train_s=_read_attempt(folder)["train_s"],
            trainable_params=_count_parameters(weights),
            losses=(),
            dev=dict(measure_dev(weights)) if job.dev else {},
            selected_epoch=None,
        )

    return train_once(job.key, run)


def _train(job: ProgramJob, folder: Path, open_run: OpenProgramRun | None, description: Title | None) -> None:
    attempt = _read_attempt(folder)
    if attempt["is_done"]:
        return
    for name in ("data", "output"):
        (folder / name).mkdir(exist_ok=True)
    values = {
        "seed": str(job.seed),
        "base_model": str(model_folder(job.base.path)),
        "output_dir": str(folder / "output"),
        **job.write_data(folder / "data"),
    }
    given = {f"MLBASELINE_{name.upper()}": value for name, value in values.items()}
    opening: AbstractContextManager[Any] = nullcontext() if open_run is None else open_run()
    log = folder / _LOG
    with opening as run:
        environment = environment_of(job.spec.train.environment, {**(run.environment if run else {}), **given})
        words, started_s = _words(job, values, environment), perf_counter()
        environment = activate_environment(words[0], job.root, environment)
        try:
            status = run_program(words, folder=job.root, environment=environment, log=log, description=description)
        finally:
            attempt["train_s"] += perf_counter() - started_s
            write_in_one_step(folder / _ATTEMPT, json.dumps(attempt))
            if run is not None and log.is_file():
                run.keep(log)
        if status != 0:
            raise _failure(job, folder, status)
    write_in_one_step(folder / _ATTEMPT, json.dumps({**attempt, "is_done": True}))


def _words(job: ProgramJob, values: Mapping[str, str], environment: Mapping[str, str]) -> list[str]:
    program = job.spec.train
    if not isinstance(program, TrainingProject):
        return [word.format(**values) for word in program.words]
    words = [sys.executable, "-m", "mlflow", "run", program.project, "--entry-point", program.entry_point]
    words += ["--env-manager", program.env_manager]
    for option, variable in (("--run-id", "MLFLOW_RUN_ID"), ("--experiment-id", "MLFLOW_EXPERIMENT_ID")):
        words += [option, environment[variable]] if variable in environment else []
    words += ["--version", program.version] if program.version else []
    for name, value in program.parameters.items():
        text = value.format(**values) if isinstance(value, str) else json.dumps(value)
        words += ["--param-list", f"{name}={text}"]
    return words


def _failure(job: ProgramJob, folder: Path, status: int) -> TrainingProgramError:
    how = f"with exit status {status}" if status > 0 else f"by signal {-status}"
    last = tail(folder / _LOG).replace("\n", "\n  | ")
    errors = "".join(f"\n  | {error}" for error in earlier_errors(folder / _LOG))
    return TrainingProgramError(
        f"baselines.{job.baseline} (seed {job.seed}): the program that trains ended {how}"
        + (f"; errors in its output:{errors}\nand" if errors else ";" if last else "")
        + (f" its last lines:\n  | {last}" if last else ", and printed nothing")
        + f"\nAll of its output is in {folder / _LOG} and in the run of the training. The next attempt finds what it "
        f"left in {folder / 'output'}."
    )


def _keep_weights(job: ProgramJob, folder: Path) -> None:
    """Check what the program left, and copy the weights and what belongs to them; never a pickle."""
    output, part, weights = folder / "output", folder / "weights.part", folder / "weights"
    shutil.rmtree(weights, ignore_errors=True)  # unfinished, or changed since: what is kept comes from the output alone
    try:
        _check(job, output)
    except AssetError as error:
        # The program came to its end: to run it again as it is would leave the same.
        (folder / _ATTEMPT).unlink(missing_ok=True)
        raise TrainingProgramError(
            f"baselines.{job.baseline} (seed {job.seed}): the program ended without an error, and what it left "
            f"cannot be used: {error}\nIt was told to leave {_expected(job)} in its output folder itself, "
            "not in a folder in it."
        ) from error
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    for file in sorted(output.iterdir()):
        if file.is_file() and any(file.match(pattern) for pattern in MODEL_FILES):
            shutil.copy(file, part)
    if isinstance(job.spec, ProgramAdapter):
        config = json.loads((part / CONFIG).read_text(encoding="utf-8"))
        write_in_one_step(part / CONFIG, json.dumps({**config, "base_model_name_or_path": job.base_source}, indent=2))
        record_base(part, source=job.base_source, sha256=job.base.sha256)
    elif not any(part.glob("tokenizer*")):
        for pattern in _OF_A_TOKENIZER:
            for file in model_folder(job.base.path).glob(pattern):
                shutil.copy(file, part)
    part.rename(weights)


def _expected(job: ProgramJob) -> str:
    if isinstance(job.spec, ProgramAdapter):
        return "adapter_config.json and adapter_model.safetensors"
    return "config.json and weights in safetensors"


def _check(job: ProgramJob, output: Path) -> None:
    """Raise AssetError unless the output is a model of the right kind, in safetensors, trained on the given base."""
    if not isinstance(job.spec, ProgramAdapter):
        refuse_pickles(model_folder(output))
        if not any(output.glob("*.safetensors")):
            raise AssetError(f"{output}: expected weights in safetensors, got none")
        return
    named, base = named_base(output), model_folder(job.base.path)
    same = {str(base), job.base_source, job.base_source.removeprefix("hf://").partition("@")[0]}
    if named is not None and named not in same and Path(named).resolve() != base.resolve():
        raise AssetError(f"{output}: the adapter is for another base: expected {base}, it names {named}")


def _count_parameters(folder: Path) -> int:
    count = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="numpy") as file:
            count += sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return count


def _read_attempt(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / _ATTEMPT).read_text(encoding="utf-8"))
        return {"train_s": float(content["train_s"]), "is_done": bool(content["is_done"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"train_s": 0.0, "is_done": False}
