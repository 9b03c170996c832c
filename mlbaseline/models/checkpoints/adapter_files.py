"""PEFT adapters on disk: their base, attaching them to it, and merging them into its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlbaseline.errors import AssetError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_BASE = "base.json"
"""Beside an adapter that was trained here: the SHA-256 of its base."""
_SAME_NATS = 1e-3
"""Largest difference of a log-probability after merging (fp32: rounding gives 1e-5 to 1e-4)."""
_PROBE_TOKENS = 16


def is_adapter(path: Path) -> bool:
    """Return whether a folder is a PEFT adapter."""
    return (path / CONFIG).is_file()


def named_base(adapter: Path) -> str | None:
    """Return the name of the base in an adapter's own configuration. Raises AssetError if the folder is no adapter."""
    if not is_adapter(adapter):
        files = ", ".join(sorted(item.name for item in adapter.iterdir())[:8]) if adapter.is_dir() else "no such folder"
        whole = "; a whole model is a rung of kind `full` with `model`" if (adapter / "config.json").is_file() else ""
        raise AssetError(f"{adapter} is no adapter: expected a folder with {CONFIG}, got: {files or '∅'}{whole}")
    if not (adapter / WEIGHTS).is_file():
        files = ", ".join(sorted(item.name for item in adapter.iterdir())[:8])
        raise AssetError(f"{adapter}: expected its weights in {WEIGHTS} (a pickle is never read), got: {files}")
    try:
        named = json.loads((adapter / CONFIG).read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError) as error:
        raise AssetError(f"{adapter / CONFIG}: cannot be read: {error}") from error
    return str(named) if named else None


def recorded_base(adapter: Path) -> str | None:
    """Return the SHA-256 of an adapter's base, where this package trained the adapter; None otherwise."""
    try:
        return str(json.loads((adapter / _BASE).read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def record_base(adapter: Path, *, source: str, sha256: str) -> None:
    """Record the base beside an adapter."""
    (adapter / _BASE).write_text(json.dumps({"source": source, "sha256": sha256}) + "\n", encoding="utf-8")


def attach(model: Any, adapter: Path) -> Any:
    """Return the model with its adapter, not merged. Raises AssetError if the adapter does not fit."""
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    named = named_base(adapter)
    where = f"{adapter}: the adapter does not fit its base"
    hint = f"is this the base that it was trained on? (it names {named!r})"
    try:
        adapted = PeftModel.from_pretrained(model, str(adapter))
        with safe_open(adapter / WEIGHTS, "pt") as file:
            ours = set(file.keys())
    except Exception as error:  # which error depends on what does not fit
        raise AssetError(f"{where} ({type(error).__name__}: {error}); {hint}") from error
    # peft 0.21 ignores weights that have no place, and only warns of places without weights.
    places = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    if without := ours - places:
        raise AssetError(f"{where}: {len(without)} of its weights have no place in it, first {min(without)}; {hint}")
    if empty := places - ours:
        raise AssetError(f"{where}: {len(empty)} places of it get no weights, first {min(empty)}; {hint}")
    return adapted.eval()


def merged(adapted: Any) -> Any | None:
    """Merge an adapter into the weights (fp32).

    Returns:
        The merged model; None if the method cannot be merged without changing log-probabilities. The adapted model
        cannot be used any more after that.
    """
    import torch

    if adapted.active_peft_config.is_prompt_learning or not hasattr(adapted.base_model, "merge_and_unload"):
        return None
    probe = torch.arange(_PROBE_TOKENS).unsqueeze(0) * 31 % adapted.config.get_text_config().vocab_size
    with torch.inference_mode():
        before = adapted(input_ids=probe).logits.log_softmax(-1)
    try:
        model = adapted.merge_and_unload().eval()
    except Exception:  # each method raises an error of its own where it cannot
        return None
    with torch.inference_mode():
        after = model(input_ids=probe).logits.log_softmax(-1)
    return model if bool((before - after).abs().max() <= _SAME_NATS) else None
