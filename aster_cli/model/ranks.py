"""Several processes that train one network: what each has of a batch, and where they meet.

Notable:
    * the training is that of one process: in rounding alone it depends on how many share it out
    * each process draws for the whole batch and takes its own part, so all draw the same numbers
    * what the network knows of a whole batch (codes of other windows, the spread) is of all parts
    * gradients are averaged, so that all take the same step; the first process decides for all

A process alone is the whole of one: nothing is sent. Dropout, which some language models have, is
drawn for a part only.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from aster_cli.errors import LostProcessError, UsageError

Value = TypeVar("Value")


@dataclass(slots=True)
class _Place:
    """This process among all: its number and theirs, and whether it has a part of a batch in hand."""

    number: int = 0
    count: int = 1
    has_part: bool = False


_here = _Place()


@contextmanager
def opened(device: torch.device) -> Iterator[None]:
    """Meet the other processes that torchrun has started; on a GPU each has one of its own.

    Raises:
        UsageError: `device` is a certain GPU, or there are not enough of them.
        LostProcessError: The others are not there.
    """
    if device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if device.index is not None:
            raise UsageError(
                "every process of torchrun takes a GPU of its own",
                where=f"--device {device}",
                hint="give cuda, and choose with CUDA_VISIBLE_DEVICES",
            )
        if local >= torch.cuda.device_count():
            raise UsageError(
                f"process {local + 1} of this machine has no GPU, there are "
                f"{torch.cuda.device_count()}",
                where="torchrun",
                hint="start fewer with --nproc-per-node, or give --device cpu",
            )
        torch.cuda.set_device(local)
    with _meeting():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    _here.number, _here.count = dist.get_rank(), dist.get_world_size()
    try:
        yield
        dist.destroy_process_group()  # after an error that would wait for the others
    finally:
        _here.number, _here.count = 0, 1


def count() -> int:
    """Of processes that train the network."""
    return _here.count


def own_part(n: int) -> slice:
    """Which of a batch's `n` windows this process has.

    Raises:
        UsageError: They cannot be shared out evenly.
    """
    if n % _here.count:
        raise UsageError(
            f"{_here.count} processes cannot share out the {n} windows of a step evenly",
            where="torchrun",
            hint="start as many as divide them",
        )
    size = n // _here.count
    return slice(_here.number * size, (_here.number + 1) * size)


@contextmanager
def with_part() -> Iterator[None]:
    """What is drawn, gathered and averaged within is of a batch that each process has its part of."""
    _here.has_part = _here.count > 1
    try:
        yield
    finally:
        _here.has_part = False


def drawn(draw: Callable[..., Tensor], *size: int, device: torch.device) -> Tensor:
    """Draw for every window of the batch; return what is this process's.

    Args:
        draw: Like `torch.rand`.
        size: What is wanted here, the windows first.
        device: Where.
    """
    if not _here.has_part:
        return draw(*size, device=device)
    whole = draw(_here.count * size[0], *size[1:], device=device)
    return whole[own_part(len(whole))]


def gathered(part: Tensor) -> Tensor:
    """The whole batch's, of which this process has a part; without gradients."""
    if not _here.has_part:
        return part
    parts = [torch.empty_like(part) for _ in range(_here.count)]
    with _meeting():
        dist.all_gather(parts, part.contiguous())
    return torch.cat(parts)


def averaged(mean: Tensor) -> Tensor:
    """The mean over the whole batch, of which this process has that of its part; no gradients."""
    return _average(mean.clone()) if _here.has_part else mean


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Make the gradients of a part those of the whole batch."""
    if _here.count > 1:
        gradients = [p.grad for p in parameters if p.grad is not None]
        vector_to_parameters(_average(parameters_to_vector(gradients)), gradients)


def average_terms(terms: dict[str, float], device: torch.device) -> dict[str, float]:
    """The mean of loss terms over the processes."""
    if _here.count == 1:
        return terms
    means = _average(torch.tensor([*terms.values()], dtype=torch.float64, device=device))
    return dict(zip(terms, means.tolist(), strict=True))


def from_first(value: Value) -> Value:
    """What the first process has: where the others decided for themselves, they would part."""
    if _here.count == 1:
        return value
    box = [value]
    with _meeting():
        dist.broadcast_object_list(box)
    return box[0]


def level(values: Iterable[Tensor]) -> None:
    """Give all processes the first one's values, in place."""
    if _here.count > 1:
        for value in values:
            with _meeting(), torch.no_grad():
                dist.broadcast(value, 0)


def _average(value: Tensor) -> Tensor:
    with _meeting():
        dist.all_reduce(value)
    return value.div_(_here.count)


@contextmanager
def _meeting() -> Iterator[None]:
    """Tell of a process that does not come, with what torch says of it."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise LostProcessError(
            f"another process of this training is not there any more ({reason})",
            where="torchrun",
            hint="it says itself why; --resume goes on where all stood",
        ) from error
