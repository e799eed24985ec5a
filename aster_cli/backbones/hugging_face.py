"""The first layers of a model in Hugging Face's layout, local or from the Hub."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aster_cli.backbones.layers import Backbone
from aster_cli.errors import BackboneError

# what a configuration says about a checkpoint's files, not about the layers
BOOKKEEPING = (
    "_name_or_path",
    "architectures",
    "dtype",
    "id2label",
    "label2id",
    "transformers_version",
)
SPECIAL_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")


def load_first_layers(name: str, layers: int, *, hint: str) -> Backbone:
    """Load the first `layers` layers of a directory or a Hugging Face id.

    The Hub is reached as transformers does it: ``HF_HUB_OFFLINE``, the user's token and the shared
    cache are honoured. Code that comes with a model is not run, and pickled weights are not read. The
    final norm is the model's own.

    Raises:
        BackboneError: The model cannot be loaded, is not a decoder-only language model, or has
            fewer layers. `hint` says what to do where it cannot be loaded.
    """
    try:
        with _quiet():
            return _load(name, layers)
    except BackboneError:
        raise
    # transformers, its Hub client and its file formats each have their own exceptions
    except Exception as error:
        if isinstance(error, OSError) and "file named model.safetensors" in str(error):
            raise BackboneError(
                "it has no model.safetensors, and pickled weights (.bin) are never read: they can "
                "run code",
                where=f"backbone {name}",
                hint="take a model that has one, or save it anew with transformers",
            ) from error
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise BackboneError(
            f"transformers cannot load it: {reason}", where=f"backbone {name}", hint=hint
        ) from error


def _load(name: str, layers: int) -> Backbone:
    import torch
    from transformers import AutoConfig, AutoModel

    # transformers would ask a bot of the Hub for weights that the model's owner never gave
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"
    config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    _cut(config, name, layers)
    model, report = AutoModel.from_pretrained(
        name,
        config=config,
        dtype="auto",
        trust_remote_code=False,
        use_safetensors=True,
        output_loading_info=True,
    )
    if report["missing_keys"]:
        raise BackboneError(
            f"its files lack {min(report['missing_keys'])}",
            where=f"backbone {name}",
            hint="download it again",
        )

    vocabulary = model.get_input_embeddings()
    modules = {module: path for path, module in model.named_modules()}
    weights = {}
    for key, value in model.state_dict().items():
        if key == f"{modules[vocabulary]}.weight":
            continue
        half = value.to(torch.float16)
        if not torch.isfinite(half).all():
            raise BackboneError(
                f"{key} does not fit half precision",
                where=f"backbone {name}",
                hint="take another model",
            )
        weights[key] = half.contiguous().numpy()

    # by way of the module, since some models scale their embeddings there
    with torch.no_grad():
        norms = torch.cat(
            [
                torch.linalg.vector_norm(vocabulary(tokens).float(), dim=-1)
                for tokens in torch.split(torch.arange(vocabulary.num_embeddings), 8192)
            ]
        )
    return Backbone(
        name=name,
        config=_json_config(config),
        embedding_norm=float(norms.mean()),
        weights=weights,
    )


def _cut(config: Any, name: str, layers: int) -> None:
    """Shorten a transformers configuration to its first `layers` layers.

    Raises:
        BackboneError: It describes no plain stack of decoder layers, or a shorter one.
    """
    depth = getattr(config, "num_hidden_layers", None)
    if not isinstance(depth, int) or config.is_encoder_decoder:
        raise BackboneError(
            f"{config.model_type} is not a decoder-only language model",
            where=f"backbone {name}",
            hint="take one like gpt2, llama or qwen",
        )
    if getattr(config, "quantization_config", None) is not None:
        raise BackboneError(
            "its weights are quantised", where=f"backbone {name}", hint="take the original model"
        )
    if layers > depth:
        raise BackboneError(
            f"it has {depth} layers, {layers} were asked for",
            where=f"backbone {name}",
            hint=f"take at most {depth} layers",
        )
    for key, value in config.to_dict().items():
        if isinstance(value, list) and len(value) == depth:  # one value a layer
            setattr(config, key, value[:layers])
    config.num_hidden_layers = layers


def _json_config(config: Any) -> dict[str, Any]:
    """The configuration without a vocabulary and without what only concerns files."""
    settings = {key: value for key, value in config.to_dict().items() if key not in BOOKKEEPING}
    return {**settings, "vocab_size": 1, **dict.fromkeys(SPECIAL_TOKENS)}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from reporting the layers that are left out on purpose."""
    from transformers.utils import logging as transformers_logging

    loggers = [logging.getLogger(name) for name in ("transformers", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    had_bars = transformers_logging.is_progress_bar_enabled()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if had_bars:
            transformers_logging.enable_progress_bar()
