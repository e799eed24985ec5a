"""Where the first layers of a pre-trained language model come from.

======================  ===========================================================================
a name                  ``smollm2-135m``: `fetch` gets it once and keeps it in the user's cache
a local directory       a model as Hugging Face lays it out
a Hugging Face id       e.g. ``openai-community/gpt2``: transformers downloads and caches it
======================  ===========================================================================

`load_backbone` turns each of them into a `Backbone`: NumPy arrays and a configuration, which the
network is built from. What is not there is a `BackboneError` that says what to do, never a
substitute. Importing this package imports neither torch nor transformers nor gguf.
"""

from aster_cli.backbones.cache import BackboneInfo, cached_path, list_backbones
from aster_cli.backbones.fetching import fetch
from aster_cli.backbones.layers import Backbone
from aster_cli.backbones.loading import load_backbone
from aster_cli.backbones.releases import MOST_LAYERS

__all__ = [
    "MOST_LAYERS",
    "Backbone",
    "BackboneInfo",
    "cached_path",
    "fetch",
    "list_backbones",
    "load_backbone",
]
