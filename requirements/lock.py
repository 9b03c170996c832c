"""Write the files of this folder, and the pins of conda.yaml, from pyproject.toml: `make locks`.

One resolution over all supported Python versions and platforms makes them, so that they agree with each other. torch is
in none of the hash-locked files: its build (CPU, CUDA, ROCm) is the machine's own choice, and `torch.txt` names the
version alone.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.markers import Marker
from packaging.requirements import Requirement

from mlbaseline.errors import WEIGHT_PACKAGES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
PYTHON = "3.10"
CONDA_PYTHON = "3.11"
# What comes with torch's CUDA build on Linux.
TORCH_BUILD = re.compile(r"(torch|triton|nvidia-.*|cuda-.*)$")


def main() -> None:
    """Resolve once with all that development needs; the other files are parts of that resolution."""
    full = compiled(["pyproject.toml", "--extra", "dev", "--extra", "docs"], "--generate-hashes")
    pinned = {name_of(block): block for block in full}
    versions = "\n".join(line.removesuffix(" \\") for line in map(first_line, full))
    with TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text(versions, encoding="utf-8")
        same = ("--generate-hashes", "--constraints", str(constraints))
        in_base = {name_of(block) for block in compiled(["pyproject.toml"], *same)}
        gate = compiled(["-"], *same, given="\n".join(light_dependencies()))
    # As development needs it: what one dependency asks for on some platforms, another may ask for on all.
    base = without_torch(block for block in full if name_of(block) in in_base)
    write(FOLDER / "base.txt", "mlbaseline's dependencies without torch.", base)
    rest = without_torch(block for block in full if name_of(block) not in in_base)
    write(FOLDER / "dev.txt", "What tests, lint and documentation need beside base.txt.", ["-r base.txt", *rest])
    write(FOLDER / "gate.txt", "Where verdicts are read and no model is loaded: no torch, no transformers.", gate)
    torch = first_line(pinned["torch"]).split(" ")[0]
    write(FOLDER / "torch.txt", "No hash: the build (CPU, CUDA, ROCm) is the machine's own choice.", [torch])
    lowest = compiled(["pyproject.toml", "--extra", "dev"], "--resolution", "lowest-direct")
    write(FOLDER / "lowest.txt", "The oldest set that pyproject.toml allows, for `make test-lowest`.", lowest)
    pin_conda(full)


def dependencies() -> list[Requirement]:
    """Give the package's own dependencies, as pyproject.toml declares them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(text) for text in project["dependencies"]]


def light_dependencies() -> list[str]:
    """Give what `gate`, `compare`, `report`, `lineage` and `import` need."""
    return [str(requirement) for requirement in dependencies() if requirement.name not in WEIGHT_PACKAGES]


def compiled(sources: Iterable[str], *options: str, given: str = "") -> list[str]:
    """Resolve with uv for every supported Python and platform.

    Args:
        sources: Files and extras, as `uv pip compile` takes them; `-` is `given`.
        options: More options of `uv pip compile`.
        given: Requirements, one a line.

    Returns:
        One block of lines for each pin: the requirement and, below it, its hashes.
    """
    command = ["uv", "pip", "compile", *sources, *options, "--universal", "--python-version", PYTHON, "--no-header"]
    command += ["--no-annotate", "--quiet"]
    done = subprocess.run(command, input=given, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return re.findall(r"^\S.*(?:\n\s+--hash.*)*", done.stdout, flags=re.MULTILINE)


def first_line(block: str) -> str:
    return block.split("\n", 1)[0]


def name_of(block: str) -> str:
    return re.split(r"[=\[ ;]", block, maxsplit=1)[0]


def without_torch(blocks: Iterable[str]) -> list[str]:
    return [block for block in blocks if not TORCH_BUILD.match(name_of(block))]


def write(path: Path, purpose: str, lines: Iterable[str]) -> None:
    path.write_text("\n".join([f"# {purpose}", "# Written by `make locks`.", *lines]) + "\n", encoding="utf-8")


def pins_for(blocks: Iterable[str], python: str) -> dict[str, str]:
    """Give the version of each package on Linux with one version of Python.

    Args:
        blocks: Blocks or lines of a file of this folder.
        python: Major and minor version.
    """
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    environment |= {"platform_machine": "x86_64", "platform_python_implementation": "CPython"}
    environment |= {"implementation_name": "cpython", "platform_system": "Linux", "os_name": "posix"}
    pins = {}
    for block in blocks:
        pin, _, marker = first_line(block).removesuffix(" \\").partition(" ; ")
        name, _, version = pin.partition("==")
        if version and (not marker or Marker(marker).evaluate(environment)):
            pins[name] = version
    return pins


def pin_conda(blocks: Iterable[str]) -> None:
    """Write the versions of the direct dependencies into conda.yaml, in its own order."""
    path = ROOT / "conda.yaml"
    pins = pins_for(blocks, CONDA_PYTHON)

    def repinned(match: re.Match[str]) -> str:
        return f"- {match['name']}=={pins[match['name'].lower().replace('_', '-')]}"

    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"- (?P<name>[\w-]+)==\S+", repinned, text), encoding="utf-8")


if __name__ == "__main__":
    main()
