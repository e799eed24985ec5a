"""A state directory from a stranger: nothing outside it is read, written or waited for."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from aster_cli.errors import AsterError, StateError, StorageError
from aster_cli.locks import LOCK
from aster_cli.logs.dataset import Dataset
from aster_cli.snapshots import pack
from aster_cli.state import FORMAT, State, StateDirectory

FILE = "state.safetensors"


@pytest.fixture
def home(tmp_path: Path) -> StateDirectory:
    directory = StateDirectory(tmp_path / "state")
    directory.path.mkdir()
    return directory


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file that is not ours."""
    file = tmp_path / "precious.txt"
    file.write_text("years of work")
    return file


def test_a_lock_that_is_a_link_empties_nobodys_file(home: StateDirectory, precious: Path) -> None:
    """The lock's file is emptied when it is taken; through a link that would be another's."""
    (home.path / LOCK).symlink_to(precious)
    with pytest.raises(StorageError), home.locked():
        pass
    assert precious.read_text() == "years of work"


def test_a_state_that_is_a_link_is_neither_read_nor_replaced(
    home: StateDirectory, precious: Path
) -> None:
    """Writing goes through links, for ``-o`` may name one; so reading refuses it before."""
    (home.path / FILE).symlink_to(precious)
    with pytest.raises(StorageError, match="symbolic link"):
        home.read()
    assert precious.read_text() == "years of work"


@pytest.mark.parametrize("name", [LOCK, FILE])
def test_a_pipe_is_not_waited_for(name: str, home: StateDirectory) -> None:
    """A run from cron would stand for ever, and the next one behind it."""
    os.mkfifo(home.path / name)
    with pytest.raises(StorageError, match="regular file"), home.locked():
        home.read()


def test_the_mark_of_a_dataset_is_a_file_of_its_own(tmp_path: Path, precious: Path) -> None:
    """It is what tells whose the parts are."""
    scores = tmp_path / "scores"
    scores.mkdir()
    (scores / "_dataset.json").symlink_to(precious)
    with pytest.raises(StorageError, match="symbolic link"):
        Dataset(scores, "mine").check(0)
    (scores / "_dataset.json").unlink()
    os.mkfifo(scores / "_dataset.json")
    with pytest.raises(StorageError, match="regular file"):
        Dataset(scores, "mine").check(0)


def test_a_state_of_nothing_is_not_read_whole(home: StateDirectory) -> None:
    """A file full of nothing takes no room on a disk, and all of it in memory."""
    (home.path / FILE).touch()
    os.truncate(home.path / FILE, (1 << 32) + 1)
    with pytest.raises(StorageError, match="more than"):
        home.read()


FORGED: dict[str, dict[str, Any]] = {
    "no model": {"model_id": 1},
    "a run too many": {"run": 10**8},
    "a run before the first": {"run": -1},
    "an unknown field": {"shell": "rm -rf"},
    "lanes of text": {"lanes": "abc"},
    "a kind that there is not": {"lanes": [{"\x1fkind": "pickle"}]},
    "an array that is not there": {"lanes": [{"\x1fkind": "array", "name": "a"}]},
    "a frame of noise": {"lanes": [{"keys": {"\x1fkind": "frame", "name": "array-0"}}]},
    "a time of noise": {"lanes": [{"start": {"\x1fkind": "datetime", "text": "soon"}}]},
}


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_state_is_refused(how: str, home: StateDirectory) -> None:
    """Its seal is right: whoever forges one makes its seal too."""
    noise = np.frombuffer(b"ARROW1\0\0" + os.urandom(99) + b"ARROW1", dtype=np.uint8)
    values = {"model_id": "0" * 12, "lanes": [], "noise": noise} | FORGED[how]
    if how != "a frame of noise":
        del values["noise"]
    (home.path / FILE).write_bytes(pack(values, FORMAT))
    with pytest.raises(StateError, match="--rescore"):
        home.read()


def test_nesting_without_end_is_refused(home: StateDirectory) -> None:
    """Python's own stack would run over."""
    arrays = load(pack({"model_id": "0" * 12}, FORMAT))
    arrays["state"] = np.frombuffer(b'{"a":' * 100_000, dtype=np.uint8)
    (home.path / FILE).write_bytes(save(arrays))
    with pytest.raises(StateError):
        home.read()


@pytest.mark.parametrize("part", ["machine", "stream", "tracker", "pending", "waiting"])
@pytest.mark.parametrize("value", [None, 7, [], {"a": 1}])
def test_a_machine_of_noise_is_refused(
    part: str, value: object, live: Callable[[list[Any]], None], lane: dict[str, Any]
) -> None:
    """The state is what it claims to be, and what a machine is in it is not."""
    with pytest.raises(AsterError):
        live([lane | {part: value}])


@pytest.fixture
def live(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[Any]], None]:
    """Go on from lanes with the shared model."""
    from aster_cli import Detector
    from tests.tiny_detector import tiny_fleet_model, wave

    model = tiny_fleet_model(tmp_path_factory.getbasetemp())
    log = tmp_path_factory.mktemp("live") / "log.parquet"
    wave(60, unit="a").write_parquet(log)

    def run(lanes: list[Any]) -> None:
        from aster_cli.logs import open_log

        detector = Detector.load(model)
        made = detector.checkpoint
        with open_log(
            [str(log)], made.config.columns, made.config.time, expected=made.schema.log
        ) as opened:
            scorer = detector.incremental_scorer(opened, lanes)
            list(scorer.tables())
            lanes[:] = scorer.lanes()

    return run


@pytest.fixture
def lane(live: Callable[[list[Any]], None], home: StateDirectory) -> dict[str, Any]:
    """A machine's lane as a state on disk has it."""
    lanes: list[Any] = []
    live(lanes)
    home.write(State("0" * 12, lanes=lanes))
    state = home.read()
    shutil.rmtree(home.path)
    assert state is not None
    return dict(state.lanes[0])
