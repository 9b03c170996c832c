"""A rule of the user's own, as a Python function."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from time import perf_counter
from types import CodeType, ModuleType
from typing import Any

from mlbaseline.errors import SuiteError, describe_error
from mlbaseline.records import Answer, Example, Scalar
from mlbaseline.values import as_text

Function = Callable[[dict[str, Any]], Any]


class Heuristic:
    """A function from an example's prompt fields to a label, as a `records.Model`.

    It sees the fields that the prompt shows and no others, which may hold the target. Where the task has no labels,
    its result is the answer, as a text. An exception, and a result that is no label, become an error row.
    """

    def __init__(self, reference: str, *, root: Path, labels: Sequence[str], fields: Sequence[str], where: str) -> None:
        """Load the function.

        Args:
            reference: `module:function`.
            root: the suite's folder.
            labels: of the task.
            fields: that the function receives.
            where: path in the suite, for messages.

        Raises:
            SuiteError: see `load_function`.
        """
        self._function, self._sha256 = load_function(reference, root, where)
        self._reference, self._labels, self._fields = reference, tuple(labels), tuple(fields)

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer every example, in their order."""
        for example in examples:
            shown = {name: example.fields[name] for name in self._fields}
            prediction, error = None, None
            start_s = perf_counter()
            try:
                result = self._function(shown)
            except Exception as raised:  # whatever the user's function raises is this example's error
                error = describe_error(raised)
            took_s = perf_counter() - start_s
            if error is None:
                prediction = as_text(result)
                if self._labels and prediction not in self._labels:
                    prediction, error = None, f"answered {result!r}, which is none of the labels {list(self._labels)}"
            yield Answer(example.id, prediction, compute_s=took_s, latency_s=took_s, error=error)

    def signature_fields(self) -> dict[str, Scalar]:
        """Return what the answers depend on, as `model.*` fields of a signature, as far as one file shows it."""
        return {
            "model.kind": "trivial",
            "model.strategy": "callable",
            "model.function": self._reference,
            "model.source_sha256": self._sha256,
            "model.fields": ",".join(self._fields),
        }


def load_function(reference: str, root: Path, where: str) -> tuple[Function, str]:
    """Load the function that `module:function` names; return also the SHA-256 of its module's source file.

    The module is a file in the suite's folder (`rules:label` is rules.py, `team.rules:label` is team/rules.py) or,
    without one, an installed module. The folder in which a command is started is not searched.

    Raises:
        SuiteError: it is missing, cannot be imported, or is no function of a source file.
    """
    name, _, attribute = reference.partition(":")
    path = root.joinpath(*name.split(".")).with_suffix(".py")
    try:
        module = _from_file(path) if path.is_file() else _installed(name)
        function = getattr(module, attribute)
        source = inspect.getsourcefile(inspect.unwrap(function))
        if not callable(function) or source is None:
            raise TypeError(f"{attribute} is no function of a source file")
        return function, hashlib.sha256(Path(source).read_bytes()).hexdigest()
    except Exception as error:  # importing the user's module runs it
        raise SuiteError(
            where,
            [
                f"{reference}: {describe_error(error)}. Expected MODULE:FUNCTION, the module being {path} or "
                "installed beside mlbaseline"
            ],
        ) from error


def find_source(reference: str, root: Path, where: str) -> Path:
    """Find the source file of the module that `module:function` names, without running any of its code.

    Args:
        reference: See `load_function`.
        root: The suite's folder.
        where: Path in the suite, for messages.

    Raises:
        SuiteError: There is no such module, or it has no source file.
    """
    name = reference.partition(":")[0]
    path = root.joinpath(*name.split(".")).with_suffix(".py")
    if path.is_file():
        return path
    found, places = None, sys.path[1:]
    for part in name.split("."):
        found = PathFinder.find_spec(part, places)
        places = [] if found is None else list(found.submodule_search_locations or [])
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        reason = f"{reference}: there is no module {name!r}; expected {path}, or one installed beside mlbaseline"
        raise SuiteError(where, [reason])
    return Path(found.origin)


def _from_file(path: Path) -> ModuleType:
    # With a name per path, so that two suites may each have a rules.py.
    name = f"_suite_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_SourceLoader(name, str(path)))
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


class _SourceLoader(SourceFileLoader):
    """Compiles the file as it is now.

    Python's cache of compiled files knows a file by its size and the second of its change: one that was edited twice in
    a second would answer as before, under the digest of its new text.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _installed(name: str) -> ModuleType:
    package = name.partition(".")[0]
    # The first entry is the folder of the command: with `python -m` the one that it was started in.
    installed = PathFinder.find_spec(package, sys.path[1:])
    imported = importlib.util.find_spec(package)
    is_elsewhere = installed is None or imported is None or installed.origin != imported.origin
    if is_elsewhere and package not in sys.builtin_module_names:
        raise ModuleNotFoundError(f"there is no module {package!r}")
    return importlib.import_module(name)
