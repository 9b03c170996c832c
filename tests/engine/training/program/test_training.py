"""Trainings by a program: what is kept of them, when they run again, and by what they are known."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mlbaseline.assets import FetchedAsset
from mlbaseline.engine.training.cached import find_trained
from mlbaseline.engine.training.program.job import ProgramJob
from mlbaseline.engine.training.program.training import train_by_program
from mlbaseline.errors import TrainingProgramError
from mlbaseline.records import Trained
from mlbaseline.suite import ProgramAdapter
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import TASK, TEMPLATE, make_data

SCRIPT = """
import json, os, sys
from pathlib import Path
import numpy
from safetensors.numpy import save_file

out = Path(os.environ["MLBASELINE_OUTPUT_DIR"])
with Path("attempts").open("a") as file:
    file.write(f"{(out / 'halfway').exists()}\\n")
(out / "halfway").touch()
if Path("killed").exists():
    os.kill(os.getpid(), 9)
rows = len(Path(os.environ["MLBASELINE_TRAIN_FILE"]).read_text().splitlines())
(out / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": sys.argv[1]}))
if Path("pickled").exists():
    (out / "adapter_model.bin").touch()
else:
    save_file({"weight": numpy.full((2, 3), rows, "float32")}, out / "adapter_model.safetensors")
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProgramJob:
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "train.py").write_text(SCRIPT, encoding="utf-8")
    command = (sys.executable, "train.py", "{base_model}")
    return ProgramJob(
        baseline="own",
        task=TASK,
        spec=ProgramAdapter.model_validate({"kind": "peft", "base": "zero_shot", "train": {"command": command}}),
        seed=0,
        root=tmp_path,
        base=FetchedAsset(tmp_path / "base", "0" * 64),
        base_source="tiny",
        train=make_data("train", 6),
        dev=None,
        prompting=Prompting(TEMPLATE),
    )


def train(job: ProgramJob) -> Trained:
    return train_by_program(job, measure_dev=lambda _: {})


def attempts(job: ProgramJob) -> list[str]:
    return (job.root / "attempts").read_text(encoding="utf-8").split()


def test_a_finished_training_is_found_and_changed_weights_are_trained_anew(job: ProgramJob) -> None:
    first = train(job)
    assert first.trainable_params == 6 and not (first.folder / "halfway").exists()
    assert train(job) == first and attempts(job) == ["False"]
    weights = first.folder / "adapter_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + b"?")
    assert find_trained(job.key) is None
    train(job)
    assert weights.read_bytes() == content and attempts(job) == ["False", "False"]


def test_the_next_attempt_finds_what_a_killed_one_left(job: ProgramJob) -> None:
    (job.root / "killed").touch()
    with pytest.raises(TrainingProgramError, match=r"baselines\.own \(seed 0\): the program .* by signal 9"):
        train(job)
    (job.root / "killed").unlink()
    train(job)
    assert attempts(job) == ["False", "True"]


def test_a_pickle_is_refused(job: ProgramJob) -> None:
    (job.root / "pickled").touch()
    with pytest.raises(TrainingProgramError, match=r"adapter_model\.bin|safetensors"):
        train(job)
    assert find_trained(job.key) is None


def test_another_script_seed_or_data_is_another_training(job: ProgramJob) -> None:
    keys = {job.key, replace(job, seed=1).key, replace(job, train=make_data("train", 7)).key}
    (job.root / "train.py").write_text(SCRIPT + "# changed", encoding="utf-8")
    assert len(keys | {job.key}) == 4


def test_a_program_finds_others_of_its_own_virtual_environment(job: ProgramJob) -> None:
    programs = job.root / "own" / "bin"
    programs.mkdir(parents=True)
    write_program(programs / "launch", f'helper {sys.executable} train.py "$1"')
    write_program(programs / "helper", 'echo "$VIRTUAL_ENV" > environment\nexec "$@"')
    train_spec = {"command": ("own/bin/launch", "{base_model}")}
    spec = ProgramAdapter.model_validate({"kind": "peft", "base": "zero_shot", "train": train_spec})
    job = replace(job, spec=spec)
    with pytest.raises(TrainingProgramError, match="helper"):
        train(job)
    (job.root / "own" / "pyvenv.cfg").touch()
    train(job)
    assert (job.root / "environment").read_text(encoding="utf-8").strip() == str(job.root / "own")


def write_program(path: Path, lines: str) -> None:
    path.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
    path.chmod(0o755)


def test_the_error_of_a_process_is_told_though_its_launcher_has_the_last_word(job: ProgramJob) -> None:
    summary = "\\n".join(f"  exitcode : {number}" for number in range(30))
    lines = f"[rank1]: ValueError: two precisions\\n[rank0]: ValueError: two precisions\\nTraceback\\n{summary}"
    (job.root / "train.py").write_text(f'import sys\nprint("{lines}")\nsys.exit(1)\n', encoding="utf-8")
    with pytest.raises(TrainingProgramError) as failure:
        train(job)
    assert str(failure.value).count("ValueError: two precisions") == 1
    assert "exitcode : 29" in str(failure.value)
