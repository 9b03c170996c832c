"""The choice between this machine and a Ray cluster."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from mlbaseline.errors import SuiteError
from mlbaseline.suite.reading import SuiteReference
from mlbaseline.workflows.evaluations.executors.executor import Executor, LocalExecutor


def open_executor(
    suite: SuiteReference, *, processes: int, ray: str | None, until_settled: bool
) -> AbstractContextManager[Executor]:
    """Choose what carries out the evaluations; what it holds is released at the end of the block.

    Args:
        suite: What the nodes of a cluster open, too.
        processes: Number of processes of this machine that answer together.
        ray: Address of a Ray cluster; None: this machine.
        until_settled: Whether all rungs stop at the same look, which takes them in one process.

    Raises:
        SuiteError: The options do not go together.
        MlbaselineError: There is no such cluster, or ray is not installed.
    """
    if ray is None:
        return nullcontext(LocalExecutor(processes))
    if processes > 1:
        raise SuiteError("--ray", ["goes without --processes: the cluster's resources decide how much runs at once"])
    if until_settled:
        raise SuiteError("--ray", ["goes without --until-settled, where all rungs stop at the same look"])
    from mlbaseline.workflows.evaluations.executors.ray_executor import open_ray

    return open_ray(ray, suite)
