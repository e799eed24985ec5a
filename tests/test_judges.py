"""How many networks of single machines are kept while a log is scored."""

import pytest

from aster_cli.checkpoint import load_model
from aster_cli.judges import MEMORY, networks_in
from tests.tiny_detector import tiny_model


def test_networks_are_kept_as_far_as_memory_goes(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Machines come interleaved: reading small networks anew for every batch costs far more than room."""
    pooled, _ = load_model(tiny_model(tmp_path_factory.getbasetemp()))
    assert pooled.backbone is not None
    arrays = [*pooled.weights.values(), *pooled.backbone.weights.values()]
    one = 4 * sum(array.size for array in arrays)
    assert networks_in(MEMORY, pooled) > 100
    assert [networks_in(memory, pooled) for memory in (0, 3 * one, 4 * one - 1)] == [1, 3, 3]
