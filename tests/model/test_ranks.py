"""Shared out over processes, a batch is the one that a single process has."""

import re

import pytest
import torch

from aster_cli.errors import LostProcessError, UsageError
from aster_cli.model import ranks
from aster_cli.model.ranks import _Place, drawn, from_first, opened, own_part
from aster_cli.model.vae import sample_posterior, sample_relaxed_prior

CPU = torch.device("cpu")


@pytest.fixture
def as_one_of(monkeypatch: pytest.MonkeyPatch):
    """Be one of several processes that have a part of a batch, without the others."""

    def install(number: int, count: int) -> None:
        monkeypatch.setattr(ranks, "_here", _Place(number, count, has_part=True))

    return install


def test_the_parts_that_are_drawn_are_one_process_s_numbers(as_one_of) -> None:
    """Else the training would depend on how many share it out."""
    for draw, size in ((torch.rand, (3, 1)), (torch.randn, (3, 2, 5)), (torch.randperm, (3,))):
        parts = []
        for number in range(4):
            torch.manual_seed(7)
            as_one_of(number, 4)
            parts.append(drawn(draw, *size, device=CPU))
            after = torch.rand(1)
        torch.manual_seed(7)
        torch.testing.assert_close(torch.cat(parts), draw(12, *size[1:]), rtol=0.0, atol=0.0)
        assert after == torch.rand(1)  # and all stand where that one stands


def test_codes_of_all_processes_windows_are_drawn_from(as_one_of, monkeypatch) -> None:
    """Half of the pseudo-anomalies start from another window's code; a part has few windows."""
    mean, log_variance = torch.arange(8.0).repeat(2, 3, 1).permute(2, 1, 0), torch.zeros(8, 3, 2)
    torch.manual_seed(7)
    whole = (sample_posterior(mean, log_variance), sample_relaxed_prior(mean))
    monkeypatch.setattr("aster_cli.model.vae.gathered", lambda part: mean)
    for number, own in enumerate((slice(0, 4), slice(4, 8))):
        torch.manual_seed(7)
        as_one_of(number, 2)
        assert torch.equal(sample_posterior(mean[own], log_variance[own]), whole[0][own])
        assert torch.equal(sample_relaxed_prior(mean[own]), whole[1][own])


def test_a_batch_that_cannot_be_shared_out_evenly_is_refused(as_one_of) -> None:
    """The mean of the processes' means would not be that of the batch."""
    as_one_of(1, 4)
    assert own_part(32) == slice(8, 16)
    with pytest.raises(UsageError, match="4 processes cannot share out the 30 windows"):
        own_part(30)


@pytest.mark.parametrize(
    ("device", "local", "problem"),
    [
        ("cuda:1", 0, "every process of torchrun takes a GPU of its own; give cuda"),
        ("cuda", 2, "process 3 of this machine has no GPU, there are 2; start fewer"),
    ],
)
def test_a_process_without_a_gpu_of_its_own_is_refused(
    device: str, local: int, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two on one GPU would deadlock in NCCL."""
    monkeypatch.setenv("LOCAL_RANK", str(local))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match=problem), opened(torch.device(device)):
        pass


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("Connection closed by peer\nat socket.cpp"), LostProcessError),
        (torch.OutOfMemoryError("no memory left"), torch.OutOfMemoryError),
    ],
)
def test_what_fails_where_processes_meet_is_told_as_what_it_is(
    error: Exception, told: type[Exception], as_one_of, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks for a lost process where memory ran out looks in vain; torch's own words stay."""

    def failing(box: list[object]) -> None:
        raise error

    as_one_of(0, 2)
    monkeypatch.setattr(torch.distributed, "broadcast_object_list", failing)
    with pytest.raises(told, match=re.escape(str(error).partition("\n")[0])):
        from_first(1)
