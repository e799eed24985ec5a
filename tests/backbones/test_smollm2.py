"""The real model, where it has been fetched; a release whose numbers are off would show here."""

import numpy as np
import pytest

from aster_cli.backbones import list_backbones, load_backbone
from aster_cli.config import DEFAULT_BACKBONE


@pytest.mark.slow
def test_the_real_layers_are_sound() -> None:
    """Finite, of the stated width, and two layers are the first two of three."""
    if not any(info.cached for info in list_backbones() if info.name == DEFAULT_BACKBONE):
        pytest.skip("smollm2-135m is not in the cache; `aster backbone fetch` gets it")
    two, three = load_backbone(DEFAULT_BACKBONE, 2), load_backbone(DEFAULT_BACKBONE, 3)
    assert three.config["hidden_size"] == 576
    assert three.embedding_norm > 0
    assert all(np.isfinite(values).all() for values in three.weights.values())
    assert sum(values.size for name, values in three.weights.items() if ".2." in name) == 3_540_096
    assert two.weights.keys() < three.weights.keys()
    for name, values in two.weights.items():
        assert np.array_equal(values, three.weights[name]), name
