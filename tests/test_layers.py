"""Imports point downward only, the command line starts light, folders are small, and no two classes share a name."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

PACKAGE = ROOT / "mlbaseline"
LAYERS = (
    {"errors"},
    {"cache", "documentation", "hosts", "nested", "passed_tags", "progress", "records", "values", "version"},
    {"format_versions", "formats", "journal", "stats", "suggestions", "untrusted"},
    {"results", "signing", "suite", "suites"},
    {"metrics"},
    {"assets"},
    {"model_files"},
    {"tasks", "models", "judge"},
    {"importers"},
    {"engine", "monitor"},
    {"store", "report"},
    {"serving"},
    {"workflows"},
    {"cli", "mlflow_plugins"},
    {"__main__"},
)
HEAVY = {
    "torch": {"models", "engine"},
    "transformers": {"models", "engine"},
    "peft": {"models", "engine"},
    "mlflow": {"store", "serving"},
}


def layer_of(part: str) -> int:
    return next(position for position, parts in enumerate(LAYERS) if part in parts)


def imports_of(path: Path) -> set[str]:
    """Full dotted names that a file imports, at whatever depth; `from a import b` counts as a.b."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


FORMER_PLACES = {PACKAGE / "store" / "served_model.py"}
"""Modules that registered models still import from where they once were."""
FILES = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "__init__.py"} - FORMER_PLACES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward(path: Path) -> None:
    ours = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] in HEAVY:
            assert ours in HEAVY[parts[0]], f"{path}: {parts[0]} belongs into {sorted(HEAVY[parts[0]])}"
        if parts[0] == "mlbaseline" and len(parts) > 1 and parts[1] in set().union(*LAYERS):
            theirs = parts[1]
            assert theirs == ours or layer_of(theirs) < layer_of(ours), f"{path}: {ours} imports {theirs} from above"


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_two_files_import_each_other_in_a_cycle() -> None:
    """Imports under TYPE_CHECKING and inside functions count, too."""
    files = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
    imports = {
        name: {found for imported in imports_of(path) if (found := nearest(imported, files)) not in (None, name)}
        for name, path in files.items()
    }
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"a cycle of imports: {' -> '.join(reversed(error.args[1]))}")


def nearest(imported: str, files: Mapping[str, Path]) -> str | None:
    """The file of the package that an import names: a module, or the module that holds the name."""
    return next((name for name in (imported, imported.rpartition(".")[0]) if name in files), None)


def test_stats_is_numpy_and_scipy_alone() -> None:
    allowed = {"numpy", "scipy", "statsmodels", "sacrebleu", "mlbaseline"} | set(sys.stdlib_module_names)
    for path in (PACKAGE / "stats").rglob("*.py"):
        foreign = {name.split(".")[0] for name in imports_of(path)} - allowed
        assert not foreign, f"{path} imports {foreign}"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, mlbaseline.cli\n"
        "try: mlbaseline.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'peft', 'mlflow', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[]"


def test_a_folder_holds_at_most_15_files() -> None:
    counts = Counter(path.parent for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
    assert {str(folder): n for folder, n in counts.items() if n > 15} == {}


def test_no_two_classes_share_a_name() -> None:
    places = defaultdict(list)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(PACKAGE)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
