"""A state is there whole or not at all, and says so when it is not."""

import fcntl
import math
import os
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from safetensors.numpy import load_file, save_file

from aster_cli import state as state_room
from aster_cli.errors import BusyError, StateError, StorageError
from aster_cli.state import State, StateDirectory

FILE = "state.safetensors"


@pytest.fixture
def home(tmp_path: Path) -> StateDirectory:
    directory = StateDirectory(tmp_path / "state")
    directory.path.mkdir()
    return directory


def full() -> State:
    """One of every kind of value that a lane has."""
    keys = pl.DataFrame(
        {"timestamp": [datetime(2025, 1, 1, tzinfo=UTC)], "unit": ["a"]},
        schema={"timestamp": pl.Datetime("ns", "Europe/Berlin"), "unit": pl.Categorical},
    )
    lane = {
        "machine": ["a", "ü\x1f"],
        "newest": 1_735_689_600_123_456_789,
        "last_time": -math.inf,
        "peak": 0.1 + 0.2,
        "none": None,
        "time": np.arange(3),
        "values": np.array([[np.nan, 1.0]]),
        "empty": np.zeros((0, 3), dtype=np.float32),
        "keys": keys,
        "start": datetime(2025, 1, 1, 0, 0, 0, 7, tzinfo=UTC),
        "day": date(2025, 1, 1),
        "pairs": [[0, 0.5]],
    }
    return State("0123456789ab", run=7, whole_since=3, lanes=[lane])


def test_what_is_written_is_read(home: StateDirectory) -> None:
    """To the bit: a rounded sum or a shifted time would move scores."""
    assert home.read() is None
    state = full()
    home.write(state)
    read = home.read()
    assert read is not None
    assert (read.model_id, read.dataset, read.run, read.whole_since) == (
        state.model_id, state.dataset, 7, 3,
    )  # fmt: skip
    (before,), (after,) = state.lanes, read.lanes
    assert list(after) == list(before)
    for name, value in before.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(after[name], value)
            assert after[name].dtype == value.dtype
            assert after[name].flags.writeable
        elif isinstance(value, pl.DataFrame):
            assert_frame_equal(after[name], value)
        else:
            assert after[name] == value
    assert list(home.path.iterdir()) == [home.path / FILE]


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "replaced", "unsealed"])
def test_a_damaged_state_is_refused(damage: str, home: StateDirectory) -> None:
    """Going on from half a state would give wrong scores for ever after."""
    home.write(full())
    file = home.path / FILE
    data = bytearray(file.read_bytes())
    match damage:
        case "cut":
            file.write_bytes(data[:-5])
        case "flipped":
            data[-1] ^= 1
            file.write_bytes(data)
        case "emptied":
            file.write_bytes(b"")
        case "replaced":
            file.write_text("a note to myself")
        case "unsealed":
            arrays = load_file(file)
            del arrays["seal"]
            save_file(arrays, file)
    with pytest.raises(StateError, match="--rescore") as refused:
        home.read()
    assert str(file) in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(("step", "advice"), [(1, "upgrade"), (-1, "--rescore")])
def test_a_state_of_another_format_is_refused(
    step: int, advice: str, home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An aster knows what its own format keeps, and neither what a newer nor what an older one does."""
    known = state_room.FORMAT
    with monkeypatch.context() as other:
        other.setattr(state_room, "FORMAT", known + step)
        home.write(full())
    with pytest.raises(StateError, match=rf"format {known + step}.*format {known}; .*{advice}"):
        home.read()


def test_an_unreadable_state_is_no_new_one(home: StateDirectory) -> None:
    """Taken as missing it would be begun anew, and all the log be scored again."""
    (home.path / FILE).mkdir()
    with pytest.raises(StorageError, match="cannot be read"):
        home.read()


def test_the_lock_is_held_by_one(home: StateDirectory) -> None:
    """Two runs at once would both write the next part."""
    with home.locked() as interrupted:
        assert interrupted is None
        with pytest.raises(BusyError, match="another run") as busy, home.locked():
            pass
        assert busy.value.exit_code == 75
    with home.locked() as interrupted:
        assert interrupted is None


def test_a_folder_that_its_last_holder_removes_is_made_again(
    home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may vanish just before the lock in it is opened."""
    mkdir, seen = Path.mkdir, []

    def removed(self: Path, **more: bool) -> None:
        mkdir(self, **more)
        seen.append(self)
        if len(seen) == 1:
            self.rmdir()

    monkeypatch.setattr(Path, "mkdir", removed)
    with home.locked() as interrupted:
        assert interrupted is None
    assert seen == [home.path] * 2


def test_a_lock_is_let_go_after_an_error(home: StateDirectory) -> None:
    """A run that ends with an error says so itself; the next one has nothing to tell."""
    with pytest.raises(ValueError, match="my own"), home.locked():
        raise ValueError("my own")
    with home.locked() as interrupted:
        assert interrupted is None


def test_a_killed_runs_traces_are_found_and_cleared(home: StateDirectory) -> None:
    """The system has freed its lock; what lies there still tells."""
    (home.path / "lock").write_text("4711\n")
    left = home.path / f".{FILE}.abcd.tmp"
    left.write_bytes(b"half")
    with home.locked() as interrupted:
        assert interrupted == 4711
        assert not left.exists()
        assert (home.path / "lock").read_text() == f"{os.getpid()}\n"
    assert (home.path / "lock").read_text() == ""


def test_a_place_that_cannot_be_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No parent, and a file system without locks."""
    with (
        pytest.raises(StorageError, match=r"no.state: cannot be written"),
        StateDirectory(tmp_path / "no" / "state").locked(),
    ):
        pass

    def refuse(*args: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(StorageError, match="Operation not supported"),
        StateDirectory(tmp_path / "state").locked(),
    ):
        pass
