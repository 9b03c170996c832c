"""Which environment the vLLM sides of a benchmark live in."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.support.checkout import ROOT


def add_vllm_option(parser: argparse.ArgumentParser) -> None:
    """Add `--vllm-python PYTHON` to a benchmark's options."""
    parser.add_argument("--vllm-python", type=Path, help="interpreter of an environment with vLLM and mlbaseline")


def find_vllm_python(given: Path | None) -> str | None:
    """Return the interpreter of an environment with vLLM; None, which is printed, where there is none.

    Args:
        given: `--vllm-python`; None looks for vLLM here and in the environment of `make test-vllm`.
    """
    if given is not None:
        return str(given)
    if find_spec("vllm") is not None:
        return sys.executable
    python = ROOT / os.environ.get("VLLM_VENV", ".venv-vllm") / "bin" / "python"
    if python.exists():
        return str(python)
    print("vLLM is left out: it is not installed here, and there is no environment of `make test-vllm`\n")
    return None
