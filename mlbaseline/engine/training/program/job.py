"""A training by a program of the user's: what it is given, and by what it is known. No torch is needed for that."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from mlbaseline.assets import FetchedAsset, sha256_of
from mlbaseline.engine.training.signature_fields import data_fields, option_fields, prompt_fields
from mlbaseline.errors import AssetError
from mlbaseline.records import OutputType, Scalar, TaskData, digest_of
from mlbaseline.suite import ProgramSpec, Task, TrainingCommand, TrainingProject
from mlbaseline.tasks import kind_of
from mlbaseline.tasks.prompting import TrainingPromptFormat

PROGRAM_VERSION = 1
"""Part of every signature: raised when a program is given other data or options than before."""
_NO_CODE = (".*", "__pycache__", "*.pyc", "mlruns", "mlartifacts", "mlflow.db*")
"""Names in a folder of code that are none: what Git, Python and MLflow write beside it."""


@dataclass(frozen=True)
class ProgramJob:
    """All that decides which weights come out, as far as it is known here.

    baseline: of the suite. root: folder that the program's paths start from. base_source: how the suite names the base.
    prompting: without few-shot prefix.
    """

    baseline: str
    task: Task
    spec: ProgramSpec
    seed: int
    root: Path
    base: FetchedAsset
    base_source: str
    train: TaskData
    dev: TaskData | None
    prompting: TrainingPromptFormat

    def signature_fields(self) -> dict[str, Scalar]:
        """`training.*`: program, code, data and base, by content."""
        prompt = self.prompting.signature_fields()
        return {
            "training.version": PROGRAM_VERSION,
            "training.base_sha256": self.base.sha256,
            **data_fields(self.spec, self.train, self.dev, prompt),
            **prompt_fields(prompt),
            **kind_of(self.task).training_fields(),
            **program_fields(self.spec, self.root),
        }

    @property
    def key(self) -> str:
        """Names the training in the cache."""
        return digest_of({**self.signature_fields(), "seed": self.seed})

    def write_data(self, folder: Path) -> Mapping[str, str]:
        """Write the files that the program reads.

        Args:
            folder: That they are written into.

        Returns:
            Name of the placeholder ─▶ path.
        """
        splits = {"train_file": self.train, **({"dev_file": self.dev} if self.dev else {})}
        paths = {}
        for name, data in splits.items():
            path = folder / f"{name.removesuffix('_file')}.jsonl"
            with path.open("w", encoding="utf-8") as file:
                for row in self._rows(data):
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
            paths[name] = str(path)
        return paths

    def _rows(self, data: TaskData) -> Iterator[Mapping[str, object]]:
        """Yield prompts and what follows them, or whole texts: what our own training learns from, as text."""
        for example in sorted(data.examples, key=lambda example: example.id):  # an order that content decides
            if self.task.output_type is OutputType.LOGLIKELIHOOD_ROLLING:
                yield {"id": example.id, "text": self.prompting.prompt(example).context}
                continue
            solved = self.prompting.solved(example, data.labels)
            completion = solved.continuations[0] + self.prompting.ending
            answers = {"target": example.target, "choices": list(example.choices)}
            yield {"id": example.id, "prompt": solved.context, "completion": completion, **answers}


def program_fields(spec: ProgramSpec, root: Path) -> dict[str, Scalar]:
    """Return the `training.*` fields of a signature that say which program trains, its code by content.

    Args:
        spec: Of the rung.
        root: Folder of the suite file.

    Raises:
        AssetError: A part of the code is not there.
    """
    return {"training.code_sha256": code_sha256(spec.train, root), **option_fields(spec)}


def code_sha256(program: TrainingCommand | TrainingProject, root: Path) -> str:
    """Compute the digest of the files that a program is made of.

    They are the files that the command names, or all of the project's folder, and what `files` lists. Code in a Git
    repository is known by its commit, which stands in the suite.

    Raises:
        AssetError: One of them is not there.
    """
    digests = {name: sha256_of(path) for name, path in _named_files(program, root)}
    listed = [*program.files]
    if isinstance(program, TrainingProject) and not program.is_remote:
        listed.append(program.project)
    for name in listed:
        path = root / Path(name).expanduser()
        if not path.exists():
            raise AssetError(f"{path}: no such file or folder; it is named as a part of the code that trains")
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        for file in files:
            inside = file.relative_to(path).parts
            if file.is_file() and not any(fnmatch(part, no_code) for part in inside for no_code in _NO_CODE):
                digests["/".join((name, *inside))] = sha256_of(file)
    return digest_of(digests)


def _named_files(program: TrainingCommand | TrainingProject, root: Path) -> Iterator[tuple[str, Path]]:
    """Find the words of a command that are files: scripts and configurations, but no interpreter of the machine."""
    if isinstance(program, TrainingProject):
        return
    for position, word in enumerate(program.words):
        for name in dict.fromkeys((word, word.partition("=")[2])):
            if name and (position or not Path(name).is_absolute()):
                with suppress(OSError, ValueError):  # a word that cannot be a path
                    if (root / name).is_file():
                        yield name, root / name
