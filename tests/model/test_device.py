"""A device is there or is refused in words; none is silently replaced."""

import pytest
import torch

from aster_cli.errors import UsageError
from aster_cli.model.device import batch_windows, dtype_of, find_device, resolve_precision


def test_the_cpu_is_always_there() -> None:
    """Every machine must be able to score."""
    assert find_device("cpu").type == "cpu"
    assert find_device("auto").type in ("cpu", "cuda")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta", ""])
def test_an_absent_device_is_refused(name: str) -> None:
    """Falling back to the CPU would take hours where minutes were asked for."""
    with pytest.raises(UsageError, match="--device"):
        find_device(name)


def test_precision_is_resolved_once() -> None:
    """The model directory records what auto came to, so auto itself must not remain."""
    cpu = torch.device("cpu")
    assert resolve_precision("fp32", cpu) == "fp32"
    assert resolve_precision("bf16", cpu) == "bf16"
    assert resolve_precision("auto", cpu) in ("fp32", "bf16")
    assert (dtype_of("fp32"), dtype_of("bf16")) == (torch.float32, torch.bfloat16)


def test_batches_are_bounded_by_what_they_hold() -> None:
    """Long windows must not fill the memory, and short logs not pay for windows that they lack."""
    cpu = torch.device("cpu")
    taken = [batch_windows(cpu, n_tokens) for n_tokens in (1, 4, 8, 16, 32, 256)]
    assert taken == [256, 256, 256, 128, 64, 64]
    assert batch_windows(cpu, 8, per_id=True) == 64
