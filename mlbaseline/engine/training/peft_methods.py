"""PEFT methods: the configuration of peft for each, and its initial weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from mlbaseline import suite
from mlbaseline.engine.inference.shared_prefix import cache_arguments, supports_packing
from mlbaseline.errors import MlbaselineError, SuiteError
from mlbaseline.models.checkpoints.checkpoint import Checkpoint
from mlbaseline.models.checkpoints.loading import quiet_transformers
from mlbaseline.models.checkpoints.quantization import QUANTISED, prepare_quantised_adapter
from mlbaseline.suggestions import did_you_mean
from mlbaseline.suite import ALL_LINEAR, Lora, OtherPeft, Peft, PrefixTuning, PromptTuning

_CAUSAL = {"task_type": "CAUSAL_LM"}
_UNSUPPORTED = {
    "AdaLoraConfig": "its ranks follow from a history of gradients that a resumed training does not have",
    "MultitaskPromptTuningConfig": "it asks for a task's number with every example",
    "PolyConfig": "it asks for a task's number with every example",
    "XLoraConfig": "it mixes adapters that exist already",
}


def check_method(spec: OtherPeft, *, suite_name: str, baseline: str) -> None:
    """Check configuration and options of a method, without loading a model.

    Args:
        spec: the baseline.
        suite_name: of the suite, for messages.
        baseline: its name.

    Raises:
        SuiteError: peft does not have the configuration or options, or they cannot be trained here.
    """
    import peft

    def refuse(key: str, *problems: str) -> SuiteError:
        return SuiteError(suite_name, [f"baselines.{baseline}.{key}{problem}" for problem in problems])

    known = {config.__name__: config for config in peft.PEFT_TYPE_TO_CONFIG_MAPPING.values()}
    if spec.config in _UNSUPPORTED:
        raise refuse("config", f": {spec.config} cannot be trained here: {_UNSUPPORTED[spec.config]}")
    if spec.config not in known:
        available = ", ".join(sorted(known.keys() - _UNSUPPORTED.keys()))
        raise refuse(
            "config",
            f": peft {peft.__version__} has no {spec.config!r}; it has: {available}{did_you_mean(spec.config, known)}",
        )
    options = {field.name for field in fields(known[spec.config])}
    if unknown := [name for name in spec.options if name not in options]:
        available = ", ".join(sorted(options - suite.SET_BY_ENGINE))
        raise refuse(
            "options",
            *(
                f".{name}: {spec.config} has no such option; it has: {available}{did_you_mean(name, options)}"
                for name in unknown
            ),
        )
    try:
        config = known[spec.config](**_CAUSAL, **spec.options)
    except Exception as error:  # each configuration of peft raises errors of its own
        raise refuse("options", f": {spec.config} refuses them: {error}") from error
    if config.is_prompt_learning and spec.gradient_checkpointing:
        raise refuse("gradient_checkpointing", f": drops the virtual tokens of {spec.config}")


def add_adapter(checkpoint: Checkpoint, spec: Peft, base_source: str) -> Any:
    """Add the method's weights to a model, in fp32, as its only trainable parameters.

    Draws from torch's global generator.

    Args:
        checkpoint: the base.
        spec: the method.
        base_source: how the suite names the base; the adapter records it.

    Raises:
        MlbaselineError: peft cannot adapt this model.
    """
    from peft import get_peft_model

    model = checkpoint.model
    try:
        with quiet_transformers():
            adapted = get_peft_model(model, _config(model, spec))
    except Exception as error:  # likewise, each method
        raise MlbaselineError(
            f"method {spec.method}: peft cannot adapt {type(model).__name__} ({type(error).__name__}: {error})"
        ) from error
    if checkpoint.precision in QUANTISED:
        prepare_quantised_adapter(adapted)
    if isinstance(spec, PromptTuning | PrefixTuning):
        _initialise_from_tokens(checkpoint, adapted, spec)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    # Otherwise the adapter would name a folder of this machine.
    adapted.peft_config["default"].base_model_name_or_path = base_source
    return adapted


def _config(model: Any, spec: Peft) -> Any:
    import peft

    if isinstance(spec, Lora):
        n_layers = model.config.get_text_config().num_hidden_layers
        return peft.LoraConfig(
            **_CAUSAL,
            r=spec.rank,
            lora_alpha=spec.alpha,
            lora_dropout=spec.dropout,
            target_modules=_target_modules(model, spec.target_modules),
            layers_to_transform=None if spec.last_layers is None else list(range(n_layers)[-spec.last_layers :]),
            use_rslora=spec.rslora,
            use_dora=spec.dora,
        )
    if isinstance(spec, suite.Ia3):
        named = {"target_modules": spec.target_modules, "feedforward_modules": spec.feedforward_modules}
        return peft.IA3Config(**_CAUSAL, **{key: list(names) for key, names in named.items() if names is not None})
    if isinstance(spec, PromptTuning):
        return peft.PromptTuningConfig(**_CAUSAL, num_virtual_tokens=spec.virtual_tokens)
    if isinstance(spec, PrefixTuning):
        if not supports_packing(model):
            raise ValueError("prefix_tuning needs layers that all attend to everything before them")
        heads, head_dim = _compute_cache(model, (0,)).layers[0].keys.shape[1::2]
        return peft.PrefixTuningConfig(
            **_CAUSAL,
            num_virtual_tokens=spec.virtual_tokens,
            num_attention_heads=heads,
            token_dim=heads * head_dim,
            num_layers=model.config.get_text_config().num_hidden_layers,
        )
    assert isinstance(spec, OtherPeft)
    return getattr(peft, spec.config)(**_CAUSAL, **spec.options)


def _target_modules(model: Any, named: str | tuple[str, ...]) -> str | list[str]:
    if named == ALL_LINEAR:
        # peft 0.21 supports this word, too, but not together with layers_to_transform.
        output = model.get_output_embeddings()
        linear = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and m is not output]
        return sorted({name.rpartition(".")[2] for name in linear})
    return named if isinstance(named, str) else list(named)


@torch.no_grad()
def _initialise_from_tokens(checkpoint: Checkpoint, adapted: Any, spec: PromptTuning | PrefixTuning) -> None:
    """Initialise virtual tokens with the model's own states of real tokens: few steps lead nowhere from random ones."""
    model, n = checkpoint.model, spec.virtual_tokens
    if spec.init_text is None:
        tokens = torch.randint(len(checkpoint.tokenizer), (n,)).tolist()
    else:
        init_tokens = checkpoint.tokenizer(spec.init_text, add_special_tokens=False)["input_ids"]
        tokens = (init_tokens * n)[:n]
    if isinstance(spec, PromptTuning):
        start = model.get_input_embeddings()(torch.tensor(tokens, device=model.device))
    else:
        layers = _compute_cache(model, tokens).layers
        # (1, heads, tokens, width) each ─▶ (tokens, layers × keys and values × heads × width), as peft has it.
        each = [states[0].transpose(0, 1).flatten(1) for layer in layers for states in (layer.keys, layer.values)]
        start = torch.cat(each, dim=1)
    adapted.prompt_encoder["default"].embedding.weight.copy_(start)


def _compute_cache(model: Any, tokens: Sequence[int]) -> DynamicCache:
    cache = DynamicCache(config=model.config)
    with torch.no_grad():
        model(input_ids=torch.tensor([list(tokens)], device=model.device), **cache_arguments(model, cache))
    return cache
