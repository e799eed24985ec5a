"""A language model's first layers as plain values."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Backbone:
    """The first layers of a decoder-only language model, without its vocabulary.

    Attributes:
        name: The name, directory or Hugging Face id that it was loaded by.
        config: The transformers configuration as JSON-able values, with ``model_type``; its number
            of layers is the number kept, its vocabulary has one token and no special ones.
        embedding_norm: Mean L2 norm of the token embeddings, the scale that the first layer is
            used to.
        weights: float16 arrays under the names of the transformers base model's state dict, e.g.
            ``layers.0.self_attn.q_proj.weight``.
    """

    name: str
    config: dict[str, Any]
    embedding_norm: float
    weights: dict[str, NDArray[np.float16]]
