"""The state directory: where a log that is scored in runs stands, whole or not at all.

``state.safetensors`` holds plain arrays; the one called ``state`` is JSON, and refers to the others
by name. Tables are Arrow IPC in an array of bytes. There is no pickle in it. ``lock`` is held by the
run that is at work, and holds its process number meanwhile.
"""

import fcntl
import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.errors import BusyError, StateError, StorageError
from aster_cli.logs.writers import replaced_file
from aster_cli.results import Snapshot

FORMAT = 1
"""Version of the state's format; a newer one is refused."""

_STATE, _SEAL = "state", "seal"
_KIND = "\x1fkind"  # marks an object of JSON that stands for a value JSON does not have
_ANEW = "restore it, or start anew with --rescore"

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class State:
    """Where a log stands.

    Attributes:
        model_id: Whose scores these are.
        dataset: Names the scores that this state belongs to.
        run: The last run whose part is committed; 0 before the first.
        whole_since: The part that holds what all before it did; they are superseded.
        lanes: Every machine as the run left it.
    """

    model_id: str
    dataset: str = field(default_factory=lambda: secrets.token_hex(8))
    run: int = 0
    whole_since: int = 0
    lanes: list[Snapshot] = field(default_factory=list)


class StateDirectory:
    """A state on disk, and the lock that keeps a second run away from it.

    Args:
        path: It is made if it is not there; its parent has to be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path / "state.safetensors"

    @contextmanager
    def locked(self) -> Iterator[int | None]:
        """Hold the lock; yields the process of the last run if it was killed before its end.

        The system frees the lock of a process that has died.

        Raises:
            BusyError: Another run holds it.
            StorageError: There is no such place, or it cannot be written.
        """
        descriptor = None
        try:
            try:
                self.path.mkdir(exist_ok=True)
                descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                interrupted = os.read(descriptor, 32).decode(errors="replace").strip()
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                for left in self.path.glob(f".{self._file.name}.*.tmp"):
                    left.unlink()
            except BlockingIOError as error:
                raise BusyError(
                    "another run holds the lock",
                    where=str(self.path),
                    hint="try again when it has ended",
                ) from error
            except OSError as error:
                raise _unwritable(self.path, error) from error
            try:
                yield int(interrupted) if interrupted.isdecimal() else None
            finally:
                os.ftruncate(descriptor, 0)
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def read(self) -> State | None:
        """Read the state; None where there is none yet.

        Raises:
            StateError: It is damaged, or written by a newer version.
            StorageError: It cannot be read.
        """
        try:
            data = self._file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(
                f"cannot be read ({error.strerror})", where=str(self._file)
            ) from error
        return _decoded(data, str(self._file))

    def write(self, state: State) -> None:
        """Replace the state, whole or not at all.

        Raises:
            StorageError: It cannot be written.
        """
        data = _encoded(state)
        try:
            with replaced_file(self._file) as file:
                file.write(data)
        except OSError as error:
            raise _unwritable(self._file, error) from error


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot be written ({error.strerror})", where=str(path))


def _encoded(state: State) -> bytes:
    from safetensors.numpy import save

    arrays: Arrays = {}
    values = {name: getattr(state, name) for name in State.__dataclass_fields__}
    text = json.dumps({"format": FORMAT, **_flat(values, arrays)})
    arrays[_STATE] = np.frombuffer(text.encode(), dtype=np.uint8)
    arrays[_SEAL] = _seal(arrays)
    return save(arrays)


def _decoded(data: bytes, where: str) -> State:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        values = json.loads(arrays[_STATE].tobytes())
        found = values.pop("format")
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError("is truncated or altered", where=where, hint=_ANEW) from error
    if isinstance(found, int) and found > FORMAT:
        raise StateError(
            f"has format {found}, and this aster reads up to {FORMAT}",
            where=where,
            hint="upgrade aster-cli",
        )
    seal = arrays.pop(_SEAL, None)
    if seal is None or seal.tobytes() != _seal(arrays).tobytes():
        raise StateError("is altered (its own SHA-256 is another)", where=where, hint=_ANEW)
    return State(**_unflat(values, arrays))


def _seal(arrays: Arrays) -> NDArray[np.uint8]:
    """SHA-256 over names, dtypes, shapes and contents."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return np.frombuffer(digest.digest(), dtype=np.uint8)


def _flat(value: Any, arrays: Arrays) -> Any:
    """JSON for a value; what JSON does not have goes into `arrays`, or is marked."""
    match value:
        case dict():
            return {name: _flat(item, arrays) for name, item in value.items()}
        case list() | tuple():
            return [_flat(item, arrays) for item in value]
        case np.ndarray():
            arrays[name := f"array-{len(arrays)}"] = np.ascontiguousarray(value)
            return {_KIND: "array", "name": name}
        case pl.DataFrame():
            buffer = io.BytesIO()
            value.write_ipc(buffer)
            array = np.frombuffer(buffer.getvalue(), dtype=np.uint8)
            return {**_flat(array, arrays), _KIND: "frame"}
        case datetime():
            return {_KIND: "datetime", "text": value.isoformat()}
        case date():
            return {_KIND: "date", "text": value.isoformat()}
        case _:
            return value


def _unflat(value: Any, arrays: Arrays) -> Any:
    """The value that `_flat` was given, but for tuples, which are lists now."""
    if isinstance(value, list):
        return [_unflat(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    match value.get(_KIND):
        case None:
            return {name: _unflat(item, arrays) for name, item in value.items()}
        case "array":
            return arrays[value["name"]].copy()  # what was read cannot be written to
        case "frame":
            return pl.read_ipc(io.BytesIO(arrays[value["name"]].tobytes()))
        case "datetime":
            return datetime.fromisoformat(value["text"])
        case "date":
            return date.fromisoformat(value["text"])
        case kind:
            raise ValueError(f"no such kind {kind!r}")
