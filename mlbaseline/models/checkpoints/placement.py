"""One model on several devices: its parts lie on GPUs, in the memory of the machine, and on disk (accelerate)."""

from __future__ import annotations

import json
import logging
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlbaseline.cache import private_cache_dir
from mlbaseline.errors import AssetError, MlbaselineError
from mlbaseline.models.checkpoints.adapter_files import is_adapter
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint, model_folder
from mlbaseline.models.checkpoints.loading import load_pretrained, quiet_transformers
from mlbaseline.models.checkpoints.precision import Precision, default_device, dtype_of
from mlbaseline.suite import Evaluation


@dataclass(frozen=True)
class Placement:
    """Where the parts of a model lie.

    Attributes:
        device_map: a strategy of accelerate, or module ─▶ number of a GPU, `cpu` or `disk`.
        max_memory: number of a GPU or `cpu` ─▶ memory for weights; empty: all that is free.
    """

    device_map: str | Mapping[str, int | str]
    max_memory: Mapping[str, str]

    @classmethod
    def of(cls, evaluation: Evaluation) -> Placement | None:
        """Return the placement that a suite asks for; None where all of a model lies on one device."""
        device_map = evaluation.device_map
        return None if device_map is None else cls(device_map, evaluation.max_memory or {})

    def __str__(self) -> str:
        """Return it as one text, as signatures have it.

        >>> str(Placement("auto", {"0": "70GiB"}))
        'auto {"0": "70GiB"}'
        """
        first = self.device_map if isinstance(self.device_map, str) else json.dumps(self.device_map, sort_keys=True)
        return f"{first} {json.dumps(self.max_memory, sort_keys=True)}" if self.max_memory else first

    @property
    def gpus(self) -> tuple[int, ...] | None:
        """Numbers of the GPUs that are named; None where accelerate may take all of them."""
        if not isinstance(self.device_map, str):
            return tuple(sorted({each for each in self.device_map.values() if isinstance(each, int)}))
        return tuple(sorted(int(key) for key in self.max_memory if key != "cpu")) if self.max_memory else None

    @property
    def device(self) -> str:
        """Type of the device that computes: what lies in memory or on disk is moved to a GPU, if one is used."""
        return "cpu" if self.gpus == () else default_device()

    def loading_options(self, offload_folder: Path) -> dict[str, Any]:
        """Return the options of `from_pretrained`.

        Args:
            offload_folder: for weights on disk that cannot be read from the checkpoint as they are.

        Raises:
            MlbaselineError: the machine lacks a GPU that is named.
        """
        import torch

        n_gpus = torch.cuda.device_count()
        if missing := [number for number in self.gpus or () if number >= n_gpus]:
            raise MlbaselineError(
                f"evaluation.device_map: expected GPUs of this machine, which has {n_gpus}, got "
                f"{', '.join(map(str, missing))}; name others, or choose a strategy such as auto without `max_memory`"
            )
        options: dict[str, Any] = {"device_map": self.device_map, "offload_folder": str(offload_folder)}
        if self.max_memory:
            options["max_memory"] = {key if key == "cpu" else int(key): size for key, size in self.max_memory.items()}
        return options


def load_placed(path: Path, *, base: Path | None = None, precision: Precision, placement: Placement) -> Checkpoint:
    """Load a model whose parts lie on several devices, shard by shard.

    Inputs are moved to the device of each part, and parts that lie in memory or on disk are copied to the GPU that
    computes with them. An adapter is first merged in the memory of the machine, as `load_checkpoint` does.

    Args:
        path: a folder, a GGUF file, or the folder of a PEFT adapter.
        base: the model that an adapter belongs to.
        precision: of the weights, resolved.
        placement: where the parts lie.

    Raises:
        AssetError: `path` is no such model.
        MlbaselineError: the parts cannot be placed so, or an adapter cannot be merged.
    """
    offload = TemporaryDirectory(prefix="offload-", dir=private_cache_dir(), ignore_cleanup_errors=True)
    try:
        options = placement.loading_options(Path(offload.name))
        folder = _merge(path, base, precision, Path(offload.name)) if is_adapter(path) else model_folder(path)
        with quiet_transformers(), _quiet_accelerate():
            tokenizer = load_pretrained(model_folder(base) if base else folder, "AutoTokenizer")
            model = load_pretrained(folder, "AutoModelForCausalLM", dtype=dtype_of(precision), **options)
    except AssetError as error:
        offload.cleanup()
        raise AssetError(f"evaluation.device_map ({placement}): {error}") from error
    except BaseException:
        offload.cleanup()
        raise
    weakref.finalize(model, offload.cleanup)
    return Checkpoint(model.eval(), tokenizer, precision, placement.device)


def _merge(adapter: Path, base: Path | None, precision: Precision, folder: Path) -> Path:
    """Write an adapter, merged into its base, as a model into `folder`."""
    merged = load_checkpoint(adapter, base=base, precision=precision, device="cpu").model
    if hasattr(merged, "get_base_model"):
        method = merged.active_peft_config.peft_type.value
        raise MlbaselineError(
            f"evaluation.device_map: what {method} has learnt cannot be merged into its base, and only whole models "
            "can lie on several devices; use a method that can be merged, such as lora, or leave `device_map` out"
        )
    merged.save_pretrained(folder)
    return folder


@contextmanager
def _quiet_accelerate() -> Iterator[None]:
    """Within the block, silence the warning of accelerate that weights are offloaded, as was wanted."""
    logger = logging.getLogger("accelerate.big_modeling")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
