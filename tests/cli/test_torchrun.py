"""``torchrun … aster train``: one detector, trained by several processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from aster_cli.checkpoint import read_card
from tests.cli.conftest import Aster, Save
from tests.tiny_backbone import write_tiny_backbone
from tests.tiny_detector import WINDOW, interleaved, wave

FLAGS = (
    *("--id-col", "unit", "--backbone", "llm", "--backbone-layers", "2", "--steps", "12"),
    *("--window-size", str(WINDOW), "--precision", "fp32"),
)
TOLERANCE = 1e-3
"""Of weights whose steps are 0.001 long: what gradients summed in another order come to."""

WATCHED = """
import os, sys
import torch
from aster_cli import fitting, training
from aster_cli.cli import app

keep, examine, epochs = fitting.keep, training.examine, []

def kept(network, normal):
    torch.save(network.state_dict(), f"rank{os.environ['RANK']}.pt")
    return keep(network, normal)

def examined(*given):
    epochs.append(1)
    if len(epochs) == int(os.environ.get("ENDS_AFTER", "0")) and os.environ["RANK"] == "1":
        os._exit(9)
    return examine(*given)

fitting.keep, training.examine = kept, examined
app(sys.argv[1:], prog_name="aster")
"""
"""The command, whose second process can be made to end early; each keeps its own weights."""


@pytest.fixture
def fleet(save: Save) -> str:
    write_tiny_backbone(Path("llm"))
    return save(interleaved(wave(250, unit="a"), wave(250, seed=1, unit="b")), "fleet.parquet")


def torchrun(*args: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Two processes of `WATCHED`, that meet at a free port.

    Torchrun looks after them every few seconds only: it ends what is left of them, and that must not
    come before one of them has noticed by itself.
    """
    Path("watched.py").write_text(WATCHED)
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    seldom = ("--monitor-interval", "4", "watched.py")
    return subprocess.run(
        [sys.executable, *launch, *seldom, *args],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def weights(model: str) -> dict[str, np.ndarray]:
    adapter = load_file(Path(model, "adapter", "adapter_model.safetensors"))
    return load_file(Path(model, "weights.safetensors")) | adapter


@pytest.mark.slow
def test_two_processes_train_the_detector_of_one(fleet: str, aster: Aster) -> None:
    """Were it another one, nothing that was measured of detectors would hold for it."""
    import torch

    ended = torchrun("train", fleet, *FLAGS, "-o", "two.aster", "--json")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("\n") == 1  # one result
    first, second = (torch.load(f"rank{number}.pt", weights_only=True) for number in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert sorted(path.name for path in Path().glob("two.aster*")) == ["two.aster"]
    assert aster("train", fleet, *FLAGS, "-o", "one.aster").code == 0
    here, there = weights("one.aster"), weights("two.aster")
    for name, expected in here.items():
        np.testing.assert_allclose(there[name], expected, rtol=0.0, atol=TOLERANCE, err_msg=name)
    one, two = read_card(Path("one.aster")).training, read_card(Path("two.aster")).training
    assert two.threshold == pytest.approx(one.threshold, rel=TOLERANCE)
    assert [epoch.step for epoch in two.epochs] == [epoch.step for epoch in one.epochs]
    assert (one.notes, two.notes) == ((), ("2 processes shared out the windows of every step",))


@pytest.mark.slow
def test_a_process_that_fails_ends_the_others_and_training_goes_on_later(fleet: str) -> None:
    """One that waits for ever holds a machine, and nobody is told."""
    assert torchrun("train", fleet, *FLAGS, "-o", "whole.aster").returncode == 0
    ended = torchrun("train", fleet, *FLAGS, "-o", "two.aster", ENDS_AFTER="3")
    assert ended.returncode != 0
    assert "another process of this training is not there any more" in ended.stderr
    assert not Path("two.aster").exists()
    ended = torchrun("train", fleet, *FLAGS, "-o", "two.aster", "--resume")
    assert ended.returncode == 0, ended.stderr
    whole, two = weights("whole.aster"), weights("two.aster")
    assert all(np.array_equal(two[name], value) for name, value in whole.items())
    assert not Path("two.aster.partial").exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("train", "log.csv", "--id-col", "unit", "--per-id"), "--engine ray shares out"),
        (("train", "-"), "standard input cannot be read by several processes"),
        (("score", "log.csv", "-m", "m.aster"), "torchrun is for `aster train`"),
        (("eval", "log.csv", "-m", "m.aster"), "torchrun is for `aster train`"),
    ],
)
def test_what_processes_cannot_do_together_is_refused(
    arguments: tuple[str, ...],
    problem: str,
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each would write the same file, or read a part of the same pipe."""
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert problem in refused(2, *arguments)


def test_a_job_s_variables_alone_mean_nothing(
    fleet: str, aster: Aster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other launchers set WORLD_SIZE too, and a training that waits for nobody would never end."""
    for name, value in {"WORLD_SIZE": "2", "RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert aster("train", fleet, *FLAGS, "-o", "m.aster").code == 0
    assert Path("m.aster").is_dir()
