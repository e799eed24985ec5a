"""``aster train --resume``: an interrupted training ends as if nobody had interrupted it."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aster_cli.checkpoint import PartialTraining, read_card
from tests.cli.conftest import Aster, Save, files_here, start
from tests.tiny_backbone import write_tiny_backbone
from tests.tiny_detector import WINDOW, wave

FLAGS = ("--backbone", "llm", "--backbone-layers", "2", "--window-size", WINDOW, "--steps", "12")
EPOCHS = 17
"""Twelve of the first training, and five of the second."""

Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def log(save: Save) -> str:
    write_tiny_backbone(Path("llm"))
    return save(wave(300), "log.csv")


def contents(model: str) -> dict[str, bytes]:
    """Every file but the manifest, which has a date in it, and the card of what was trained when."""
    files = (path for path in Path(model).rglob("*") if path.is_file())
    return {str(p.relative_to(model)): p.read_bytes() for p in files if p.name != "manifest.json"}


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Stop a training after so many more epochs, by what a test raises."""
    write = PartialTraining.write

    def install(epochs: int, error: BaseException | None = None) -> None:
        left = epochs

        def counted(self: PartialTraining, *args: Any) -> None:
            nonlocal left
            write(self, *args)
            left -= 1
            if left == 0:
                raise error or KeyboardInterrupt

        monkeypatch.setattr(PartialTraining, "write", counted)

    return install


def test_resumed_after_any_epoch_it_is_the_same_model(
    aster: Aster, stop_after: Callable[[int], None]
) -> None:
    """Every file is the same to the byte, from the first epoch of the first training to the last
    of the second, however often it was interrupted."""
    stop_after(0)
    assert aster("train", "log.csv", *FLAGS, "-o", "whole.aster").code == 0
    expected = contents("whole.aster")
    for first, then in [(3, 10), (EPOCHS, 0)]:
        stop_after(first)
        ended = aster("train", "log.csv", *FLAGS, "-o", "m.aster")
        assert ended.code == 130
        assert "note: m.aster.partial holds what was learnt; --resume goes on\n" in ended.err
        assert not Path("m.aster").exists()
        stop_after(then)
        if then:
            assert aster("train", "log.csv", *FLAGS, "-o", "m.aster", "--resume").code == 130
            stop_after(0)
        assert aster("train", "log.csv", *FLAGS, "-o", "m.aster", "--resume").code == 0
        assert contents("m.aster") == expected
        assert not Path("m.aster.partial").exists()
        shutil.rmtree("m.aster")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_what_was_learnt_and_the_model_before(
    sent: signal.Signals, aster: Aster, tmp_path: Path
) -> None:
    """Ctrl-C and a service manager's stop are one thing; the old model scores on meanwhile."""
    assert aster("train", "log.csv", *FLAGS, "--seed", "1").code == 0
    before = {name: h for name, h in files_here().items() if name.startswith("log.aster/")}
    flags = (*FLAGS[:-1], "240", "--force")
    process = start("train", "log.csv", *flags)
    assert process.stderr is not None
    while "step" not in (line := process.stderr.readline()):
        assert line, "training ended before its first epoch"
    process.send_signal(sent)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert [line for line in err.splitlines() if "step" not in line] == [
        "note: log.aster.partial holds what was learnt; --resume goes on",
        "aster: interrupted, nothing was half-written",
    ]
    after = files_here()
    assert {name: h for name, h in after.items() if name.startswith("log.aster/")} == before
    assert set(after) - set(before) == {
        "llm", "llm/config.json", "llm/model.safetensors", "log.csv", "log.aster",
        "log.aster.partial", "log.aster.partial/begun.json", "log.aster.partial/fit.safetensors",
        "log.aster.partial/lock",
    }  # fmt: skip
    assert aster("train", "log.csv", *flags, "--resume").code == 0
    assert not Path("log.aster.partial").exists()


def test_another_log_or_configuration_is_refused_by_name(
    aster: Aster, refused: Refused, save: Save, stop_after: Callable[[int], None]
) -> None:
    """Weights of two logs in one model would be nobody's detector."""
    stop_after(2)
    aster("train", "log.csv", *FLAGS, "-o", "m.aster")
    stop_after(0)
    other = save(wave(300, seed=5), "other.csv")
    target = ("-o", "m.aster", "--resume")
    assert refused(2, "train", other, *FLAGS, *target, "-q") == (
        "aster: m.aster.partial: was begun with another log; "
        "give the log it was begun with, or begin anew with --force"
    )
    assert refused(2, "train", "log.csv", *FLAGS, "--seed", "7", *target, "-q") == (
        "aster: m.aster.partial: was begun with configuration.training.seed 0, and now it is 7; "
        "give what it was begun with, or begin anew with --force"
    )
    short = save(wave(5), "short.csv")
    refused(3, "train", short, *FLAGS, *target, "-q")
    assert aster("train", "log.csv", *FLAGS, *target).code == 0


def test_an_interrupted_training_is_not_lost_by_the_next_one(
    aster: Aster, refused: Refused, stop_after: Callable[[int], None]
) -> None:
    """Hours of training may lie there; it takes a word to throw them away."""
    stop_after(2)
    aster("train", "log.csv", *FLAGS, "-o", "m.aster")
    stop_after(0)
    assert refused(2, "train", "log.csv", *FLAGS, "-o", "m.aster") == (
        "aster: m.aster.partial: an interrupted training lies there; "
        "--resume goes on with it, --force begins anew"
    )
    anew = (*FLAGS[:-1], "4")
    assert aster("train", "log.csv", *anew, "-o", "m.aster", "--force").code == 0
    assert read_card(Path("m.aster")).config.training.steps == 4
    assert not Path("m.aster.partial").exists()


def test_with_nothing_to_resume_it_begins(aster: Aster) -> None:
    """So that a wrapper can always give --resume."""
    ended = aster("train", "log.csv", *FLAGS, "-o", "m.aster", "--resume")
    assert ended.code == 0
    assert "note: there is no m.aster.partial: training begins at the start\n" in ended.err


def test_a_damaged_one_is_refused(
    aster: Aster, refused: Refused, stop_after: Callable[[int], None]
) -> None:
    """A flipped bit would end in a model that looks like any other."""
    stop_after(2)
    aster("train", "log.csv", *FLAGS, "-o", "m.aster")
    stop_after(0)
    for name in ("fit.safetensors", "begun.json"):
        file = Path("m.aster.partial") / name
        data = file.read_bytes()
        file.write_bytes(data[: len(data) // 2])
        complaint = refused(2, "train", "log.csv", *FLAGS, "-o", "m.aster", "--resume", "-q")
        assert f"{name}: is truncated or altered; begin anew with --force" in complaint
        file.write_bytes(data)


def test_two_trainings_of_one_model_are_one_too_many(aster: Aster, refused: Refused) -> None:
    """The second would replace what the first has learnt."""
    with PartialTraining(Path("m.aster")).held():
        complaint = refused(75, "train", "log.csv", *FLAGS, "-o", "m.aster")
    assert complaint == (
        "aster: m.aster.partial: another run holds the lock; try again when it has ended"
    )


def test_a_training_that_cannot_end_well_leaves_nothing(aster: Aster, save: Save) -> None:
    """The same again would fail the same way, so there is nothing to go on with."""
    short = save(wave(40), "short.csv")
    ended = aster("train", short, *FLAGS, "-o", "m.aster")
    assert ended.code == 3
    assert "calibrate" in ended.err
    assert not Path("m.aster.partial").exists()


def test_a_full_disk_keeps_the_last_epoch(
    aster: Aster, monkeypatch: pytest.MonkeyPatch, stop_after: Callable[[int], None]
) -> None:
    """What could not be written is not there; what was, still is, and training goes on from it."""
    stop_after(0)
    aster("train", "log.csv", *FLAGS, "-o", "whole.aster")
    fsync, left = os.fsync, 8

    def full(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        ended = aster("train", "log.csv", *FLAGS, "-o", "m.aster", "-q")
    assert ended.code == 2
    assert "cannot be written (No space left on device)" in ended.complaint
    assert aster("train", "log.csv", *FLAGS, "-o", "m.aster", "--resume").code == 0
    assert contents("m.aster") == contents("whole.aster")


def test_what_is_not_ours_stays(aster: Aster) -> None:
    """A folder that happens to have this name may hold anything."""
    mine = ("notes.txt", "other.safetensors", ".half.tmp")
    Path("m.aster.partial").mkdir()
    for name in mine:
        Path("m.aster.partial", name).write_text("mine")
    assert aster("train", "log.csv", *FLAGS, "-o", "m.aster").code == 0
    assert {p.name for p in Path("m.aster.partial").iterdir()} == set(mine)
