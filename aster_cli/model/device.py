"""Where the networks run, and what the LLM computes in."""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aster_cli.config import Precision
from aster_cli.errors import UsageError


def find_device(name: str) -> torch.device:
    """The device of that name; ``auto`` is the first GPU, or the CPU where there is none.

    Raises:
        UsageError: There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(
            f"{name!r} is no device", where="--device", hint="give auto, cpu, cuda or cuda:n"
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"{name!r} is not on this machine", where="--device", hint="give auto or cpu"
        )
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"{name!r} is not supported", where="--device", hint="give cpu or cuda")
    return device


def to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """Hand an array to a device; a GPU fetches it while it is still at work on earlier ones."""
    values = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def batch_windows(device: torch.device, n_tokens: int, *, per_id: bool = False) -> int:
    """Windows that scoring takes at once: the one shape that the network is given there.

    Some two thousand tokens keep a processor's matrix products long and what lies between them near.
    That leaves a GPU idle, which spends its time between kernels.

    Args:
        device: Where the network is.
        n_tokens: Of a window.
        per_id: Whether machines have networks of their own, so that few windows share one.
    """
    if device.type == "cuda":
        return 1024
    return 64 if per_id else min(max(2048 // n_tokens, 64), 256)


def halved(windows: int, device: torch.device) -> int:
    """Half as many windows at once, since the device's memory does not hold so many.

    Raises:
        UsageError: It does not hold a single one.
    """
    if windows < 2:
        raise UsageError(
            f"the memory of {device} does not hold a single window",
            where="--device",
            hint="free it, or give cpu",
        )
    return windows // 2


def resolve_precision(precision: Precision, device: torch.device) -> Literal["fp32", "bf16"]:
    """``auto`` is bfloat16 where the device multiplies matrices in it, else float32."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    has_bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if has_bf16 else "fp32"


def dtype_of(precision: Literal["fp32", "bf16"]) -> torch.dtype:
    """The torch type of a precision."""
    return torch.bfloat16 if precision == "bf16" else torch.float32
