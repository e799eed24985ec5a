"""Where results go: never over something else unasked, never half-written."""

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import polars as pl
import pytest

from aster_cli.logs import Log
from aster_cli.reading import WindowReader
from tests.cli.conftest import FAST, Aster, Save, files_here
from tests.tiny_detector import wave

Refused = Callable[..., str]


@pytest.fixture
def log(save: Save) -> str:
    return save(wave(200), "log.csv")


def test_the_model_is_named_after_the_first_log(aster: Aster, save: Save) -> None:
    """Beside the caller, not beside the log: logs often lie where nobody may write."""
    log = save(wave(200), "logs/pump.csv")
    assert aster("train", log, *FAST).code == 0
    assert Path("pump.aster", "manifest.json").is_file()


def test_a_model_is_replaced_only_with_force(log: str, aster: Aster, refused: Refused) -> None:
    """A trained model may be hours of work."""
    assert aster("train", log, *FAST).code == 0
    first = files_here()
    assert "--force" in refused(2, "train", log, *FAST)
    assert aster("train", log, *FAST, "--seed", "1", "--force").code == 0
    assert files_here().keys() == first.keys()
    assert files_here() != first


@pytest.mark.parametrize("target", ["log.csv", "folder"])
def test_force_replaces_models_only(target: str, log: str, refused: Refused) -> None:
    """--force with a slip of the finger must not delete a folder of data."""
    Path("folder").mkdir()
    assert "is no model directory" in refused(2, "train", log, "-o", target, "--force", *FAST)


@pytest.mark.parametrize(
    "command", [("train", *FAST, "-o", "no/m.aster"), ("score", "-m", "MODEL", "-o", "no/s.csv")]
)
def test_a_target_in_no_directory_is_exit_2(
    command: tuple[str, ...], log: str, model: Path, refused: Refused
) -> None:
    """Said before an hour of training, not after it."""
    arguments = [str(model) if argument == "MODEL" else argument for argument in command[1:]]
    assert "no" in refused(2, command[0], log, *arguments)


def test_an_unwritable_directory_is_exit_2_before_training(
    log: str, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write anywhere, so the system's answer is given here."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "cannot be written" in refused(2, "train", log, *FAST)


def test_a_disk_that_fills_up_while_saving_is_exit_2(
    log: str, aster: Aster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a long training is where disks are found to be full; what was learnt stays."""

    def refuse(**kwargs: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(tempfile, "mkdtemp", refuse)
        ended = aster("train", log, *FAST, "-q")
    assert ended.code == 2
    assert "log.aster: cannot be written (No space left on device)" in ended.complaint
    assert not Path("log.aster").exists()
    assert aster("train", log, *FAST, "--resume").code == 0


def test_a_write_protected_scores_file_stays(
    log: str, model: Path, save: Save, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renaming over it would succeed where writing to it would not."""
    save("kept\n", "scores.csv")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert "write-protected" in refused(2, "score", log, "-m", model, "-o", "scores.csv")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_exit_2(log: str, model: Path, refused: Refused) -> None:
    """Half a file must not pass for a whole one."""
    flags = ("-o", "/dev/full", "--output-format", "csv")
    assert "No space left" in refused(2, "score", log, "-m", model, *flags)


@pytest.mark.parametrize("target", ["scores.xls", "scores"])
def test_an_unknown_output_format_is_exit_2(
    target: str, log: str, model: Path, refused: Refused
) -> None:
    """No guess about what a spreadsheet suffix was to mean."""
    assert "is no format to write" in refused(2, "score", log, "-m", model, "-o", target)


def test_scores_never_replace_their_own_log(log: str, model: Path, refused: Refused) -> None:
    """Raw data are the one thing that cannot be made again."""
    Path("same.csv").symlink_to(log)
    for target in (log, "same.csv"):
        assert "is the log itself" in refused(2, "score", log, "-m", model, "-o", target)


def test_an_interrupted_scoring_leaves_the_old_scores(
    log: str, model: Path, save: Save, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dashboard that reads the file meanwhile must see yesterday's scores or today's."""
    save("yesterday\n", "scores.csv")
    monkeypatch.setattr(Log.batches, "__defaults__", (32,))
    read = WindowReader.read
    calls = iter(range(99))

    def interrupted(self: WindowReader, *windows: Any) -> object:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return read(self, *windows)

    monkeypatch.setattr(WindowReader, "read", interrupted)
    assert "interrupted" in refused(130, "score", log, "-m", model, "-o", "scores.csv")


def test_an_internal_error_while_scoring_leaves_no_scores(
    log: str, model: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of ours is exit 70, never 1, and never a truncated file."""

    def broken(self: WindowReader, *windows: object) -> NoReturn:
        raise ZeroDivisionError("by a bug")

    monkeypatch.setattr(WindowReader, "read", broken)
    complaint = refused(70, "score", log, "-m", model, "-o", "scores.csv")
    assert "ZeroDivisionError" in complaint
    assert "--debug" in complaint


@pytest.mark.parametrize(("good", "code"), [(True, 0), (False, 2)])
def test_the_copy_of_standard_input_does_not_outlive_the_run(
    good: bool,
    code: int,
    log: str,
    model: Path,
    aster: Aster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A log is read twice, so a stream is copied: foreign data in a folder that all can list."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(tmp_path.iterdir())
    content = Path(log).read_bytes() + (b"" if good else b"1,2,3,4,5,6\n")
    assert aster("score", "-", "-m", model, "-o", "scores.csv", stdin=content).code == code
    assert set(tmp_path.iterdir()) == before
    assert Path("scores.csv").exists() is good


def test_the_scores_file_replaces_the_old_one_whole(
    log: str, model: Path, save: Save, aster: Aster
) -> None:
    """A shorter file over a longer one must not keep the longer one's tail."""
    save("x" * 1_000_000, "scores.csv")
    assert aster("score", log, "-m", model, "-o", "scores.csv").code == 0
    assert pl.read_csv("scores.csv").height == 200
    assert set(files_here()) == {"log.csv", "scores.csv"}
